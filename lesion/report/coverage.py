"""How often the prediction sets contain the true diagnosis."""

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import mean_with_interval
from lesion.model.calibration import SUBSETS, VIEWS, effective
from lesion.model.conformal import PredictionSets
from lesion.report.answers import Answers
from lesion.report.calibration import CALIBRATED


def coverage_report(
    sets: np.ndarray, labels: np.ndarray, weights: np.ndarray, conformal: PredictionSets, subset: int
) -> dict:
    """How often the sets hold the true diagnosis, ready for JSON.

    Args:
        sets: bool (N, 7).
        labels: int (N,).
        weights: of `lesion.metrics.bootstrap.bootstrap_weights`, float (rounds, N).
        conformal: gives the promise, and with
        subset: an index into SUBSETS, which diagnoses have a threshold of their own.

    Returns:
        "promised"; "coverage", "mean set size" and "sets of one diagnosis", each {"value", "interval"}; "per class",
        by code, with "images" and "pooled" too. A diagnosis without images has NaN.
    """
    sizes = sets.sum(1)

    covered = sets[np.arange(len(labels)), labels].astype(float)
    return {
        "promised": conformal.coverage,
        "coverage": mean_with_interval(covered, weights),
        "mean set size": mean_with_interval(sizes.astype(float), weights),
        "sets of one diagnosis": mean_with_interval((sizes == 1).astype(float), weights),
        "per class": {
            code: {
                **mean_with_interval(covered[labels == k], weights[:, labels == k]),
                "images": int((labels == k).sum()),
                "pooled": bool(conformal.pooled[subset, k]),
            }
            for k, code in enumerate(CODES)
        },
    }


def conformal_report(answers: Answers, weights: np.ndarray) -> dict[str, dict]:
    """How often the sets of diagnoses hold the true one: by a key of CALIBRATED, the values of `coverage_report`.

    Args:
        answers: of `answer_test_part`.
        weights: of `bootstrap_weights`, float (rounds, N).
    """
    conformal, out = answers.predictor.config.prediction_sets, {}
    for name, view in CALIBRATED.items():
        if (subset := VIEWS[view]) in answers.probabilities:
            sets = conformal.sets(answers.probabilities[subset], effective(SUBSETS[subset], answers.known))
            out[name] = coverage_report(sets, answers.labels, weights, conformal, subset)
    return out
