"""Probabilities that mean something."""

import numpy as np
import pytest
from scipy.special import log_softmax

from lesion.model.calibration import (
    EVERYTHING,
    IMAGE_ALONE,
    METADATA_ALONE,
    NOTHING,
    SUBSETS,
    UNIFORM,
    Calibration,
    class_weights,
    effective,
    fit_calibration,
    subset_index,
)

LABELS = np.repeat(np.arange(7), [70, 10, 5, 5, 5, 3, 2])
PREVALENCE = np.bincount(LABELS) / len(LABELS)


def test_named_subsets():
    assert SUBSETS[NOTHING].tolist() == [False] * 4 and SUBSETS[EVERYTHING].tolist() == [True] * 4
    assert SUBSETS[IMAGE_ALONE].tolist() == [True, False, False, False]
    assert SUBSETS[METADATA_ALONE].tolist() == [False, True, True, True]
    assert subset_index(SUBSETS).tolist() == list(range(16))


def test_unknown_fields_are_absent():
    known = np.array([[True, False, True], [False, False, False]])
    assert effective(SUBSETS[EVERYTHING], known).tolist() == [[True, True, False, True], [True, False, False, False]]
    assert effective(SUBSETS[NOTHING], known).sum() == 0


@pytest.mark.parametrize("weighting, power", [("none", 0), ("sqrt", 0.5), ("balanced", 1)])
def test_class_weights(weighting, power):
    weights = class_weights(LABELS, weighting)
    np.testing.assert_allclose(weights / weights[0], (PREVALENCE[0] / PREVALENCE) ** power)
    assert weights[LABELS].mean() == pytest.approx(1)


@pytest.mark.parametrize("weighting", ["none", "sqrt", "balanced"])
def test_class_weights_are_undone(weighting):
    """The minimiser of the weighted cross-entropy is q ∝ w·p; the answer must be p."""
    weights = class_weights(LABELS, weighting)
    truth = np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    logits = np.log(weights * truth) + 3
    calibration = Calibration(weights, PREVALENCE, *np.ones((2, 16)))
    np.testing.assert_allclose(calibration.probabilities(logits, SUBSETS[EVERYTHING]), truth)


def test_change_of_prevalence():
    weights, truth = class_weights(LABELS, "sqrt"), np.random.default_rng(0).dirichlet(np.ones(7), size=5)
    calibration = Calibration(weights, PREVALENCE, *np.ones((2, 16)))
    logits = np.log(weights * truth)
    expected = truth * UNIFORM / PREVALENCE
    shown = calibration.probabilities(logits, SUBSETS[EVERYTHING], UNIFORM)
    np.testing.assert_allclose(shown, expected / expected.sum(1, keepdims=True))
    same = calibration.probabilities(logits, SUBSETS[EVERYTHING], PREVALENCE)
    np.testing.assert_allclose(same, truth)


def test_each_subset_has_its_temperature():
    temperatures = np.linspace(1, 2.5, 16)
    calibration = Calibration(np.ones(7), PREVALENCE, temperatures, np.ones(16))
    logits = np.random.default_rng(0).normal(size=(16, 7))
    shown = calibration.log_probabilities(logits, SUBSETS)
    np.testing.assert_allclose(shown, log_softmax(logits / temperatures[:, None], axis=1))


@pytest.mark.parametrize("temperature, strength", [(0.5, 1.0), (1.0, 0.6), (2.0, 0.3)])
def test_temperature_and_strength_are_recovered(temperature, strength):
    generator = np.random.default_rng(0)
    truth = log_softmax(generator.normal(size=(20_000, 7)) * 2, axis=1)
    labels = np.array([generator.choice(7, p=np.exp(row)) for row in truth])
    weights = class_weights(LABELS, "sqrt")
    fitted = fit_calibration(truth * temperature + strength * np.log(weights), labels, weights)
    assert fitted == pytest.approx((temperature, strength), abs=0.06)
