"""Calibration before and after it was fitted."""

import numpy as np
from scipy.special import softmax

from lesion.metrics.scores import Scores
from lesion.model.calibration import VIEWS
from lesion.report.answers import Answers


def calibration_report(answers: Answers, scores: dict[str, Scores]) -> tuple[dict, dict]:
    """Calibration error and log-loss before and after calibration, and the points of the reliability diagrams.

    Args:
        answers: of `answer_test_part`.
        scores: of the calibrated answers, by view.

    Returns:
        Two dictionaries by a key of CALIBRATED, by "before" (the softmax of the head's logits) and "after": the
        metrics "ece" and "log_loss" with intervals, "plain_ece" (not debiased) and "chance_ece" (the plain error that a
        perfect model would show on average on these images); and the points of `CalibrationError.curve`.
    """
    metrics, curves = {}, {}
    lesions = answers.table.lesion_id
    for name, view in CALIBRATED.items():
        if view not in scores:
            continue
        after = scores[view]
        before = softmax(answers.logits[VIEWS[view]].astype(np.float64), axis=1)
        of_both = {"before": Scores(answers.labels, before, after.prevalence, after.weights, lesions), "after": after}
        metrics[name], curves[name] = {}, {}
        for when, of_one in of_both.items():
            with_intervals, error = of_one.with_intervals(), of_one.calibration_error
            metrics[name][when] = {
                **{metric: with_intervals[metric] for metric in ("ece", "log_loss")},
                "plain_ece": error.plain,
                "chance_ece": float(error.by_chance(of_one.weights).mean()),
            }
            curves[name][when] = error.curve(of_one.weights)
    return metrics, curves


CALIBRATED = {"all metadata": "fused", "no metadata": "image alone"}
"""The views whose calibration is reported before and after."""
