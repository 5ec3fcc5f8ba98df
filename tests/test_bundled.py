"""The checkpoint and the examples that come with the repository."""

import hashlib
import json
import re

import numpy as np
import pytest

from conftest import BUNDLED, ROOT
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.calibration import EVERYTHING, NOTHING, SUBSETS
from lesion.model.checkpoint import CONFIG, load_checkpoint
from lesion.report.answers import ROUNDS, SEED, answer_test_part
from lesion.report.model_card import model_card
from lesion.report.out_of_distribution_images import drawn, text
from lesion.report.reading import BEGIN, END
from lesion.report.readme_results import results_table
from lesion.report.similar_cases import similar_cases
from lesion.ui.example_photographs import load_examples


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(load_checkpoint(BUNDLED))


@pytest.fixture(scope="module")
def report() -> dict:
    return json.loads((BUNDLED / "report.json").read_text())


def test_is_a_fused_convnext_small_on_an_honest_split(predictor):
    assert predictor.config.backbone.startswith("convnext_small") and predictor.config.metadata
    assert predictor.config.training["split"] == "lesion"
    assert {p.dtype.itemsize for p in load_checkpoint(BUNDLED).model.parameters()} == {4}


def test_files_are_under_the_hosts_limit():
    assert all(path.stat().st_size < 100 * 2**20 for path in BUNDLED.iterdir() if path.is_file())


def test_nothing_known_gives_the_training_prevalence(predictor):
    features = predictor.features(read_image(load_examples()[0].path))
    shown = predictor.probabilities(features, [Metadata()], SUBSETS[NOTHING])[0]
    assert np.abs(shown - predictor.config.calibration.prevalence).max() < 0.02


def test_every_temperature_is_sober(predictor):
    assert ((predictor.config.calibration.temperatures > 0.3) & (predictor.config.calibration.temperatures < 3)).all()


def test_examples_are_held_out_and_cover_the_diagnoses(predictor):
    held_out = predictor.checkpoint.held_out().table.set_index("image_id")
    examples = load_examples()
    assert len(examples) >= 7 and {e.diagnosis for e in examples} == set(CODES)
    for example in examples:
        row = held_out.loc[example.image_id]
        assert CODES[row.label] == example.diagnosis
        assert Metadata(row.age, row.sex, row.site) == example.metadata
        assert read_image(example.path).size == (600, 450)


def test_examples_are_familiar_and_a_page_of_text_is_not(predictor):
    for example in load_examples():
        assert not predictor.is_out_of_distribution(predictor.features(read_image(example.path)))
    for page in drawn(text, 0, "report"):
        assert predictor.is_out_of_distribution(predictor.features(page))


def test_sets_hold_the_true_diagnosis_as_often_as_promised(report):
    for name in ("all metadata", "no metadata"):
        sets = report["conformal"][name]
        each = sets["per class"].values()
        promised = sum(own["images"] * own.get("promised", 0.9) for own in each) / sum(own["images"] for own in each)
        assert sets["coverage"]["interval"][1] >= promised
        assert report["calibration"][name]["after"]["ece"]["interval"][1] <= 0.04


def test_similar_cases_have_the_diagnosis_more_often_than_by_chance(predictor):
    answers = answer_test_part(predictor)
    found = similar_cases(answers, bootstrap_weights(answers.table.lesion_id, ROUNDS, SEED))
    for code, entry in found["per class"].items():
        if entry["lesions"] >= 20:
            assert entry["share"]["interval"][0] > entry["by chance"]["value"], code
            assert entry["minus chance"]["interval"][0] > 0, code


def test_other_pictures_are_noticed(report):
    assert report["novelty"]["false alarms on test"]["value"] <= 0.03
    assert report["novelty"]["far caught"] >= 0.95


def test_the_first_heat_map_beats_a_blind_guess(predictor, report):
    best = report["explanations"]["methods"][predictor.map_methods[0]]
    assert best["energy minus centred Gaussian"]["interval"][0] > 0


def test_the_systems_side_by_side(report):
    systems = {system["key"]: system for system in report["systems"]["systems"]}
    image_only = systems["convnext_image"]["first minus this"]
    assert image_only["dataset.weighted_f1"]["value"] > 0 and image_only["uniform.balanced_accuracy"]["value"] > 0


def test_held_out_embeddings_are_the_models(predictor):
    """Of the examples, whose full-size files are read like the small ones they were embedded from."""
    held_out = predictor.checkpoint.held_out()
    rows = {image_id: i for i, image_id in enumerate(held_out.table.image_id)}
    for example in load_examples()[:4]:
        ours = predictor.features(read_image(example.path)).embedding
        stored = held_out.embeddings[rows[example.image_id]]
        assert np.corrcoef(ours, stored)[0, 1] > 0.95


def test_lesions_of_the_test_part_are_in_no_other_part(predictor):
    table = predictor.checkpoint.held_out().table
    assert not set(table.lesion_id[table.test]) & set(table.lesion_id[~table.test])


def test_report_is_this_checkpoints(report):
    assert report["checkpoint"] == hashlib.sha256((BUNDLED / CONFIG).read_bytes()).hexdigest()
    assert report["part"] == "test" and report["split"] == "lesion"


def test_reported_figures_reach_what_the_readme_promises(report):
    fused = report["metrics"]["fused"]
    assert fused["dataset.accuracy"]["value"] > 0.7179, "the reference work's accuracy, on a split that leaks lesions"
    assert report["fused minus image alone"]["log_loss"]["value"] < 0


def test_readme_and_model_card_are_made_from_the_report(predictor, report):
    readme = (ROOT / "README.md").read_text()
    assert re.search(f"{re.escape(BEGIN)}\n(.*)\n{re.escape(END)}", readme, re.DOTALL)[1] == results_table(report)
    assert (BUNDLED / "README.md").read_text() == model_card(predictor.config, report)


def test_examples_are_answered(predictor):
    for example in load_examples():
        features = predictor.features(read_image(example.path))
        answers = predictor.probabilities(features, [example.metadata] * 16, SUBSETS)
        np.testing.assert_allclose(answers.sum(1), 1)
        heat = predictor.activation_maps(features, example.metadata)
        assert np.isfinite(heat).all() and heat.max() == 1
        assert answers[EVERYTHING].max() > answers[NOTHING].min()
