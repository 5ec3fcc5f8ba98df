"""The report on the test part."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.calibration_error import CalibrationError
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE
from lesion.report.answers import ROUNDS, SEED


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


def test_calibration_of_each_dangerous_diagnosis(answers, report):
    for name, subset in (("all metadata", EVERYTHING), ("no metadata", IMAGE_ALONE)):
        assert list(report["calibration per class"][name]) == ["mel", "bcc", "akiec"]
        for code, entry in report["calibration per class"][name].items():
            k = CODES.index(code)
            shown, lesions = answers.probabilities[subset], answers.table.lesion_id
            assert entry["value"] == CalibrationError(shown[:, k], answers.labels == k, lesions).value
            assert 0 <= entry["interval"][0] <= entry["interval"][1] < 1
            assert entry["images"] == (answers.labels == k).sum()


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
