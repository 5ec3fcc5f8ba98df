"""Calibration errors of the probabilities, before and after calibration."""

import numpy as np
from scipy.special import softmax

from lesion.data.diagnoses import CODES
from lesion.metrics.calibration_error import CalibrationError
from lesion.metrics.scores import Scores
from lesion.model.calibration import VIEWS
from lesion.report.answers import Answers

CALIBRATED = {"all metadata": "fused", "no metadata": "image alone"}
"""The views whose calibration is reported before and after."""
DANGEROUS = ("mel", "bcc", "akiec")
"""Malignant and pre-malignant diagnoses, whose own probabilities people act on."""


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


def calibration_per_class(scores: dict[str, Scores], lesions) -> dict[str, dict[str, dict]]:
    """The calibration error of each of DANGEROUS against the rest, after calibration.

    Args:
        scores: of the calibrated answers, by view.
        lesions: N ids.

    Returns:
        By a key of CALIBRATED and by code: "value" and "interval" of the debiased error, and "images" with the
        diagnosis. Without such an image, a diagnosis is left out.
    """
    out = {}
    for name, view in CALIBRATED.items():
        if view in scores:
            out[name] = {}
            of_view = scores[view]
            for k in map(CODES.index, DANGEROUS):
                images = int((of_view.labels == k).sum())
                if images:
                    error = CalibrationError.of_diagnosis(of_view.labels, of_view.probabilities, k, lesions)
                    entry = {"value": error.value, "interval": error.interval(of_view.weights), "images": images}
                    out[name][CODES[k]] = entry
    return out
