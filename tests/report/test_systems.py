"""The reference systems side by side, on tiny backbones and a small data set."""

import json
import shutil
import sys

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from conftest import TINY
from lesion import compare
from lesion.data.ham10000 import read_table, split_table
from lesion.inference.predictor import load_predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import Scores
from lesion.model.calibration import IMAGE_ALONE
from lesion.model.checkpoint import load_checkpoint
from lesion.report import system_runs, system_scores, systems
from lesion.report.answers import answer_test_part

TINY_SYSTEMS = (
    systems.System("concat", "tiny and metadata", TINY, "concat"),
    systems.System("image", "tiny, image only", TINY, "none"),
    systems.System("metablock", "tiny and metadata, MetaBlock", TINY, "metablock"),
    systems.System("by_image", "tiny and metadata", TINY, "concat", "image"),
)


def run_main(monkeypatch, *arguments) -> None:
    for module in (compare, system_scores):
        monkeypatch.setattr(module, "SYSTEMS", TINY_SYSTEMS)
    monkeypatch.setattr(sys, "argv", ["compare", *map(str, arguments)])
    compare.main()


@pytest.fixture(scope="module")
def compared(ham10000, tmp_path_factory):
    output = tmp_path_factory.mktemp("compare")
    arguments = ["--data", ham10000, "--output", output, "--image-size", 32, "--epochs", 1, "--batch-size", 32]
    arguments += ["--init", "scratch", "--workers", 0, "--seeds", 0, 1]
    with pytest.MonkeyPatch.context() as monkeypatch:
        run_main(monkeypatch, *arguments)
    return output, arguments


def test_every_system_is_scored_on_its_own_test_part(compared, ham10000):
    output, _ = compared
    document = json.loads((output / "systems.json").read_text())
    assert [s["key"] for s in document["systems"]] == [s.key for s in TINY_SYSTEMS]
    table = read_table(ham10000)
    for system in document["systems"]:
        assert system["images"] == len(split_table(table, system["split"]).test)
        assert system["parameters"] > 0 and system["latency_ms"] > 0 and system["training_ms"] > 0
        assert ("first minus this" in system) == (system["key"] in ("image", "metablock"))
    first, image = document["systems"][:2]
    for metric, entry in image["first minus this"].items():
        assert entry["value"] == pytest.approx(first["metrics"][metric]["value"] - image["metrics"][metric]["value"])
        assert entry["interval"][0] <= entry["interval"][1]
    accuracy = image["metrics"]["dataset.accuracy"]
    assert accuracy["value"] == pytest.approx(np.mean(accuracy["seeds"])) and len(accuracy["seeds"]) == 2
    answers = answer_test_part(load_predictor(output / "image-seed1"))
    decided = answers.probabilities[IMAGE_ALONE].argmax(1)
    assert accuracy["seeds"][1] == pytest.approx(accuracy_score(answers.labels, decided))
    assert {system["start"] for system in document["systems"]} == {"random weights"}
    assert document["budget"]["mixed_precision"] == "no" and document["budget"]["seeds"] == [0, 1]


def test_metrics_stand_in_one_order(compared):
    """Whatever PYTHONHASHSEED is."""
    document = json.loads((compared[0] / "systems.json").read_text())
    answers = answer_test_part(load_predictor(compared[0] / "image-seed1"))
    weights = bootstrap_weights(answers.table.lesion_id, 2)
    names = [n for n in Scores(answers.labels, answers.probabilities[1], np.ones(7) / 7, weights).values if n != "ece"]
    for system in document["systems"]:
        assert list(system["metrics"]) == names == list(system.get("first minus this", names))


def test_finished_trainings_are_found_again_and_others_refused(compared, monkeypatch, capsys):
    output, arguments = compared
    before = {p: p.stat().st_mtime_ns for p in output.glob("*/model.safetensors")}
    assert len(before) == 8
    run_main(monkeypatch, *arguments)
    assert before == {p: p.stat().st_mtime_ns for p in output.glob("*/model.safetensors")}


@pytest.fixture
def no_training(monkeypatch):
    """Nothing may be trained."""

    def refuse(*arguments, **options):
        raise AssertionError("a training was started")

    monkeypatch.setattr(system_runs, "train", refuse)


@pytest.mark.parametrize(
    "options, words",
    [
        (["--batch-size", 16], r"batch_size 32, not 16\. So do 7 other folders\. Give another --output"),
        (["--mixed-precision", "bf16"], r"mixed_precision no, not bf16"),
        (["--init", "imagenet"], r"init scratch, not imagenet"),
    ],
)
def test_finished_trainings_with_other_settings_are_refused(compared, monkeypatch, no_training, options, words):
    with pytest.raises(SystemExit, match=words):
        run_main(monkeypatch, *compared[1], *options)


def test_a_mismatch_is_noticed_before_anything_is_trained(compared, tmp_path, monkeypatch, no_training):
    """The last of the finished trainings has other class weights; the first is missing and would be trained."""
    output = tmp_path / "copy"
    shutil.copytree(compared[0], output)
    shutil.rmtree(output / "concat-seed0")
    path = output / "by_image-seed1" / "config.json"
    document = json.loads(path.read_text())
    document["training"]["class_weighting"] = "balanced"
    path.write_text(json.dumps(document))
    with pytest.raises(SystemExit, match=r"by_image-seed1 holds a training with class_weighting balanced, not sqrt"):
        run_main(monkeypatch, *compared[1], "--output", output)


def test_starts_and_places_are_checked_before_anything_is_trained(compared, tmp_path, monkeypatch, no_training):
    _, arguments = compared
    with pytest.raises(SystemExit, match=rf"{TINY}.safetensors does not exist"):
        run_main(monkeypatch, *arguments, "--output", tmp_path / "new", "--init", tmp_path)
    with pytest.raises(SystemExit, match="is a folder; give the name of a file"):
        run_main(monkeypatch, *arguments, "--results", tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match="cannot be written"):
        run_main(monkeypatch, *arguments, "--output", tmp_path / "file" / "runs")


def test_metablock_keeps_positions_and_serves_the_app(compared):
    from lesion.inference.predictor import Predictor
    from lesion.teaching.cohort import Cohort
    from lesion.teaching.lab import Lab

    output, _ = compared
    checkpoint = load_checkpoint(output / "metablock-seed0")
    held_out = checkpoint.held_out()
    assert held_out.embeddings.ndim == 3
    predictor = Predictor(checkpoint)
    assert Cohort(predictor, rounds=20).compare(["image"]).images == len(held_out.table)
    Lab(held_out, checkpoint.config.encoder, rounds=20)


def test_starts_are_named_by_architecture(tmp_path):
    _, budget = compare.parse_arguments(["--data", "d", "--init", str(tmp_path)])
    config = system_runs.training_config(systems.SYSTEMS[3], budget, 2)
    assert config.init == str(tmp_path / "densenet121.safetensors") and config.seed == 2
    assert config.layer_decay == 1 and config.learning_rate == 5e-4
    _, budget = compare.parse_arguments(["--data", "d"])
    assert system_runs.training_config(systems.SYSTEMS[0], budget, 0).init == "imagenet"
    assert budget.learning_rate == 1e-4
