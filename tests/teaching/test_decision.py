"""What the melanoma alarm is worth."""

from dataclasses import replace

import numpy as np
import pytest

from lesion.inference.predictor import load_predictor
from lesion.metrics.decision_curve import THRESHOLDS
from lesion.model.calibration import reweight
from lesion.teaching.cohort import Cohort
from lesion.teaching.decision import HIGHEST, decide, decision_in_words
from lesion.teaching.influence import parse_prevalence


@pytest.fixture(scope="module")
def cohort(checkpoint):
    return Cohort(load_predictor(checkpoint), rounds=100)


def test_it_is_the_alarms_own_at_the_data_sets_prevalence(cohort):
    for threshold in (0.05, 0.15, 0.3):
        alarm, found = cohort.alarm(threshold), decide(cohort, threshold)
        share, odds = alarm.melanoma_share, threshold / (1 - threshold)
        expected = alarm.sensitivity * share - (1 - alarm.specificity) * (1 - share) * odds
        assert found.alarm == pytest.approx(expected, abs=1e-6)
        assert found.everyone == pytest.approx(share - (1 - share) * odds, abs=1e-9)
        assert found.interval[0] <= found.alarm <= found.interval[1]
        at = np.flatnonzero(np.isclose(THRESHOLDS, threshold))[0]
        assert found.curve[at] == pytest.approx([threshold, found.alarm, found.everyone], abs=1e-9)


def test_the_risk_is_read_where_melanoma_is_as_common_as_is_said(cohort):
    prevalence = parse_prevalence("own", 2, cohort.prevalence)
    found = decide(cohort, 0.1, prevalence)
    rings = reweight(cohort.full, cohort.prevalence, prevalence)[:, 0] >= 0.1
    true, false = rings[cohort.labels == 0].mean() * 0.02, rings[cohort.labels != 0].mean() * 0.98
    assert found.alarm == pytest.approx(true - false / 9, abs=1e-6) and found.melanoma_share == pytest.approx(0.02)


def test_thresholds_at_the_ends(cohort):
    always, never = decide(cohort, 0.0), decide(cohort, 1.0)
    assert always.alarm == always.everyone == pytest.approx(cohort.prevalence[0])
    assert never.threshold == HIGHEST and never.alarm == pytest.approx(0, abs=1e-9)


def test_words(cohort):
    found = replace(decide(cohort, 0.2), alarm=0.0526, interval=(0.046, 0.059), everyone=-0.111)
    assert decision_in_words(found) == (
        "Whoever removes lesions from a melanoma risk of 20 % on accepts 4 needless removals for each melanoma found. "
        "Weighed like that, of 1,000 lesions the alarm is worth 53 melanomas found, removing every lesion −111 "
        "melanomas found, and removing none 0. The alarm is better than removing none, the better of the two simple "
        "rules."
    )
    assert "Whether it is better than removing none cannot be told" in decision_in_words(
        replace(found, interval=(-0.01, 0.06))
    )
    assert "The alarm is worse than simply removing every lesion." in decision_in_words(replace(found, everyone=0.07))
    assert "asks for 9 melanomas found for each needless removal" in decision_in_words(replace(found, threshold=0.9))
    assert "the same as removing every lesion" in decision_in_words(replace(found, threshold=0.0))
    assert "nothing can be said" in decision_in_words(replace(found, alarm=float("nan")))
