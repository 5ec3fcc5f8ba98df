"""How often the prediction sets contain the true diagnosis."""

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import mean_with_interval
from lesion.model.calibration import SUBSETS, VIEWS, effective
from lesion.model.conformal import PredictionSets
from lesion.report.answers import Answers
from lesion.report.calibration import CALIBRATED


def coverage_report(
    sets: np.ndarray, labels: np.ndarray, weights: np.ndarray, prediction_sets: PredictionSets, subset: int
) -> dict:
    """How often prediction sets contain the true diagnosis, ready for JSON.

    Args:
        sets: bool (N, 7).
        labels: int (N,).
        weights: of `lesion.metrics.bootstrap.bootstrap_weights`, float (rounds, N).
        prediction_sets: of the checkpoint: what is promised, and the thresholds.
        subset: an index into SUBSETS, the inputs that the sets were made from.

    Returns:
        "coverage", "mean set size" and "sets of one diagnosis", each {"value", "interval"}; "confident", whether the
        promises hold for most validation parts or only on average over them; and "per class", by code, the coverage
        with what was "promised" and with "images". A diagnosis without images has NaN.
    """
    sizes = sets.sum(1)
    covered = sets[np.arange(len(labels)), labels].astype(float)
    return {
        "confident": bool(prediction_sets.confident[subset]),
        "coverage": mean_with_interval(covered, weights),
        "mean set size": mean_with_interval(sizes.astype(float), weights),
        "sets of one diagnosis": mean_with_interval((sizes == 1).astype(float), weights),
        "per class": {
            code: {
                **mean_with_interval(covered[labels == k], weights[:, labels == k]),
                "images": int((labels == k).sum()),
                "promised": float(prediction_sets.promised[subset, k]),
            }
            for k, code in enumerate(CODES)
        },
    }


def coverage_of_views(answers: Answers, weights: np.ndarray) -> dict[str, dict]:
    """The values of `coverage_report`, by a key of CALIBRATED.

    Args:
        answers: of `answer_test_part`.
        weights: of `bootstrap_weights`, float (rounds, N).
    """
    prediction_sets, out = answers.predictor.config.prediction_sets, {}
    for name, view in CALIBRATED.items():
        if (subset := VIEWS[view]) in answers.probabilities:
            sets = prediction_sets.sets(answers.probabilities[subset], effective(SUBSETS[subset], answers.known))
            out[name] = coverage_report(sets, answers.labels, weights, prediction_sets, subset)
    return out
