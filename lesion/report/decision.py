"""The net benefit of the melanoma alarm on the test part; see `lesion.metrics.decision_curve`."""

import numpy as np

from lesion.metrics.bootstrap import interval
from lesion.metrics.decision_curve import net_benefit, net_benefit_draws, of_all, rates
from lesion.metrics.metrics import MELANOMA

REPORTED = (0.05, 0.1, 0.2, 0.3, 0.5)
"""Thresholds of the risk."""


def decision_report(labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray, weights: np.ndarray) -> dict:
    """Net benefits in melanomas found for each lesion, where diagnoses are as common as in training.

    Args:
        labels: int (N,).
        probabilities: float (N, 7), at that prevalence.
        prevalence: float (7,), of the training part.
        weights: of `bootstrap_weights`, float (rounds, N).

    Returns:
        "melanoma share", and "thresholds": a list with, for each of REPORTED, the "threshold", and the net benefits
        "alarm", {"value", "interval"}, and "everyone", a number. Acting on none has 0.
    """
    share, risks, positive = float(prevalence[MELANOMA]), probabilities[:, MELANOMA], labels == MELANOMA
    benefits = net_benefit(*rates(positive, risks, np.array(REPORTED)), share, np.array(REPORTED))
    return {
        "melanoma share": share,
        "thresholds": [
            {
                "threshold": threshold,
                "alarm": {
                    "value": float(value),
                    "interval": interval(net_benefit_draws(positive, risks >= threshold, share, threshold, weights)),
                },
                "everyone": float(of_all(share, threshold)),
            }
            for threshold, value in zip(REPORTED, benefits, strict=True)
        ],
    }
