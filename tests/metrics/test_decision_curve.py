"""Net benefit."""

import numpy as np
import pytest

from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.decision_curve import THRESHOLDS, net_benefit, net_benefit_draws, of_all, rates


def test_net_benefit_equals_its_definition_by_counts():
    """Vickers and Elkin's own: true positives / n − false positives / n · t / (1 − t)."""
    generator = np.random.default_rng(0)
    risks = generator.uniform(size=500).round(2)
    positive = generator.uniform(size=500) < risks
    found = net_benefit(*rates(positive, risks, THRESHOLDS), positive.mean(), THRESHOLDS)
    for threshold, value in zip(THRESHOLDS, found, strict=True):
        rings = risks >= threshold
        true, false = (positive & rings).sum(), (~positive & rings).sum()
        assert value == pytest.approx(true / 500 - false / 500 * threshold / (1 - threshold), abs=1e-9)


def test_an_alarm_that_always_rings_is_acting_on_all_and_one_that_never_rings_on_none():
    positive = np.arange(100) < 12
    assert net_benefit(*rates(positive, np.ones(100), THRESHOLDS), 0.12, THRESHOLDS) == pytest.approx(
        of_all(0.12, THRESHOLDS)
    )
    assert not net_benefit(*rates(positive, np.zeros(100), THRESHOLDS), 0.12, THRESHOLDS).any()
    assert of_all(0.12, 0.12) == pytest.approx(0), "where the risk is the prevalence, acting on all gains nothing"


def test_calibrated_risks_are_never_worse_than_either_simple_rule():
    generator = np.random.default_rng(1)
    risks = generator.beta(0.5, 3, 200_000)
    positive = generator.uniform(size=len(risks)) < risks
    found = net_benefit(*rates(positive, risks, THRESHOLDS), positive.mean(), THRESHOLDS)
    assert (found >= np.maximum(of_all(positive.mean(), THRESHOLDS), 0) - 2e-3).all()


def test_draws_are_the_net_benefits_of_the_resampled_lesions():
    generator = np.random.default_rng(2)
    risks = generator.uniform(size=60)
    positive, lesions = generator.uniform(size=60) < risks, np.arange(60) // 2
    weights = bootstrap_weights(lesions, 20, 3)
    draws = net_benefit_draws(positive, risks >= 0.3, 0.2, 0.3, weights)
    for row, draw in zip(weights.astype(int), draws, strict=True):
        again = net_benefit(*rates(np.repeat(positive, row), np.repeat(risks, row), np.array([0.3])), 0.2, 0.3)
        assert draw == pytest.approx(again[0], abs=1e-9)
