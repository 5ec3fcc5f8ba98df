"""The report on the test part, its figures and the pages made from it."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from scipy.special import softmax
from sklearn.metrics import log_loss

from lesion import evaluate
from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE
from lesion.report import against, build, reading
from lesion.report.against import check_same_test_part, compare_checkpoints
from lesion.report.answers import ROUNDS, SEED, Answers, answer_test_part
from lesion.report.curves import learning_curves, thinned
from lesion.report.figures import FIGURES, figures_of
from lesion.report.reading import BEGIN, END
from lesion.report.readme_results import results_table
from lesion.report.writing import without_nan, write_between_markers


@pytest.fixture(scope="module")
def answers(checkpoint, ham10000):
    return answer_test_part(load_predictor(checkpoint), ham10000)


@pytest.fixture(scope="module")
def report(answers):
    return build.evaluate(answers)


def run_main(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    evaluate.main()


def test_command_writes_report_card_readme_and_comparison(checkpoint, ham10000, tmp_path, monkeypatch, capsys):
    readme, output = tmp_path / "page.md", tmp_path / "report"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    arguments = ["--data", ham10000, "--checkpoint", checkpoint, "--output", output, "--readme", readme]
    run_main(monkeypatch, *arguments, "--against", checkpoint)
    report = json.loads((output / "report.json").read_text())
    assert report["part"] == "test" and report["images"] > 0
    table = results_table(report)
    assert readme.read_text() == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    card = (output / "README.md").read_text()
    assert table in card and f"{report['metrics']['fused']['log_loss']['value']:.3f}" in table
    for name in FIGURES:
        assert f"]({name})" in card
        with Image.open(output / name) as image:
            assert 500 < image.width <= 720, "legible on a phone"
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
    found = report["against"]
    assert found["checkpoint"] == checkpoint.name
    assert all(entry == {"value": 0, "interval": [0, 0]} for entry in found["first minus second"].values())
    assert found["mcnemar"]["equal prevalence"]["images"]["p_value"] == 1
    assert f"minus {checkpoint.name}" in capsys.readouterr().out


def test_answers_are_the_apps(answers):
    row = answers.table.iloc[3]
    features = answers.predictor.features(read_image(row.path))
    records = records_of(answers.table.iloc[[3]])
    expected = answers.predictor.probabilities(features, records)
    np.testing.assert_allclose(answers.probabilities[EVERYTHING][3], expected[0], atol=1e-6)


def test_calibration_is_reported_before_and_after(answers, report):
    labels = answers.labels
    for name, subset in (("all metadata", EVERYTHING), ("no metadata", IMAGE_ALONE)):
        of_both = report["calibration"][name]
        before = log_loss(labels, softmax(answers.logits[subset].astype(float), axis=1), labels=range(7))
        assert of_both["before"]["log_loss"]["value"] == pytest.approx(before)
        after = log_loss(labels, answers.probabilities[subset], labels=range(7))
        assert of_both["after"]["log_loss"]["value"] == pytest.approx(after)
        for when in ("before", "after"):
            assert of_both[when]["ece"]["interval"][0] <= of_both[when]["ece"]["interval"][1]
            assert sum(p["images"] for p in report["curves"]["reliability"][name][when]) == len(labels)


def test_intervals_are_by_lesion(answers, report):
    weights = bootstrap_weights(answers.table.lesion_id, ROUNDS, SEED)
    losses = -np.log(answers.probabilities[EVERYTHING][np.arange(len(answers.labels)), answers.labels])
    draws = weights @ losses / weights.sum(1)
    assert report["metrics"]["fused"]["log_loss"]["interval"] == pytest.approx(np.percentile(draws, [2.5, 97.5]))


def test_every_metric_names_its_rule(report):
    assert report["decided under"].keys() == report["metrics"]["fused"].keys()
    assert report["decided under"]["dataset.accuracy"] == "data-set prevalence"


def test_nothing_known_is_near_the_prevalence(report):
    for entry in report["nothing known"].values():
        assert entry["probability"] == pytest.approx(entry["training prevalence"], abs=0.1)


def test_curves_start_and_end_in_their_corners(report):
    for points in report["curves"]["roc"].values():
        assert points[0] == [0, 0] and points[-1] == [1, 1] and len(points) <= 60
    for points in report["curves"]["precision_recall"].values():
        assert points[0][0] == 1 and points[-1] == [0, 1] and len(points) <= 60


def test_learning_curves_are_the_histories(report, checkpoint):
    rows = (checkpoint / "history.csv").read_text().split()
    assert ",".join(report["curves"]["learning"]) == rows[0]
    assert report["curves"]["learning"]["epoch"] == [1, 2]


def test_without_a_history_there_are_no_learning_curves(report, tmp_path):
    assert learning_curves(tmp_path) == {}
    bare = {**report, "curves": {k: v for k, v in report["curves"].items() if k != "learning"}}
    assert figures_of(bare).keys() == FIGURES.keys() - {"curves.png"}


def test_thinning_keeps_the_shape():
    angles = np.linspace(0, np.pi / 2, 5000)
    circle = np.column_stack([np.cos(angles), np.sin(angles)])
    points = np.array(thinned(circle))
    assert 50 < len(points) <= 60
    assert np.abs(np.hypot(*points.T) - 1).max() < 1e-4
    assert np.hypot(*np.diff(points, axis=0).T).max() < 0.05
    assert thinned(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]])) == [[0, 0], [0, 1], [1, 1]]


def test_checkpoints_with_other_test_images_are_refused(answers, monkeypatch):
    check_same_test_part(answers.predictor, answers.predictor)
    ids = list(answers.table.image_id)
    parts = iter([ids, [*ids[:-1], "ISIC_9"]])
    monkeypatch.setattr(against, "held_out_test", lambda predictor: next(parts))
    with pytest.raises(UserError, match=f"{len(ids) - 1} of .* {len(ids)} are among its {len(ids)}"):
        check_same_test_part(answers.predictor, answers.predictor)


def test_comparison_pairs_images_by_id(answers):
    order = np.arange(len(answers.table))[::-1]
    turned = Answers(
        answers.predictor,
        answers.table.iloc[order].reset_index(drop=True),
        answers.embeddings[order],
        answers.known[order],
        {s: v[order] for s, v in answers.logits.items()},
        {s: v[order] for s, v in answers.probabilities.items()},
    )
    found = compare_checkpoints(answers, turned)
    assert all(entry["value"] == 0 for entry in found["first minus second"].values())


def test_sets_pictures_and_systems_are_told(report):
    entry = {"value": 0.7, "interval": [0.6, 0.8], "seeds": [0.7]}
    metrics = {m: entry for m in ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")}
    system = {"name": "one", "split": "lesion", "parameters": 2_500_000, "training_ms": 1.24, "latency_ms": 3,
              "metrics": metrics}  # fmt: skip
    difference = {m: {"value": 0.031, "interval": [0.01, 0.05]} for m in metrics}
    budget = {"epochs": 6, "image_size": 64, "seeds": [0, 1], "start": "random weights"}
    published = [{"name": "theirs", "accuracy": 0.7179}]
    systems = [system, {**system, "name": "two", "first minus this": difference}]
    table = results_table({**report, "systems": {"budget": budget, "systems": systems, "published": published}})
    assert "seed 0, 1, from random weights" in table and "| theirs, as published | image | 0.7179 | – |" in table
    assert "| two | lesion | 0.700 (0.600 to 0.800) |" in table and "| 0.031 (0.010 to 0.050) |" in table
    sets = report["conformal"]["all metadata"]
    assert f"{sets['coverage']['value']:.3f}" in table and "(90% promised)" in table
    assert report["novelty"]["families"].keys() > {"noise", "blurred lesions"} and "blurred lesions" in table


def test_no_number_becomes_null():
    assert without_nan({"a": [1.0, float("nan")], "b": (float("nan"), "c")}) == {
        "a": [1.0, None],
        "b": [None, "c"],
    }


def test_systems_file_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"make it with `python -m lesion\.compare`"):
        reading.read_systems(tmp_path / "systems.json")


def test_markers_are_needed(tmp_path):
    (tmp_path / "x.md").write_text("nothing")
    with pytest.raises(UserError, match="lacks the lines"):
        write_between_markers(tmp_path / "x.md", "table")
