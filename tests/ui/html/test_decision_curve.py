"""The decision curve is drawn at every prevalence that the page offers."""

import pytest

from conftest import BUNDLED
from lesion.inference.predictor import load_predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.decision import decide
from lesion.teaching.influence import parse_prevalence
from lesion.ui.html.charts.decision_curve import decision_curve


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(load_predictor(BUNDLED), rounds=50)


@pytest.mark.parametrize("share", [0.01, 0.1, 2, 50, 99])
def test_it_is_drawn_at_every_prevalence(cohort, share):
    """Where melanoma is very rare, removing every lesion lies below the chart and is left out."""
    decision = decide(cohort, 0.2, parse_prevalence("own", share, cohort.prevalence))
    drawn = decision_curve(decision)
    benefits = decision.curve[:, 2]
    shown = benefits.max() >= -0.25 * 1.05 * max(decision.curve[:, 1].max(), benefits.max(), 1e-3)
    assert ("remove every lesion" in drawn) == shown and "remove none" in drawn
