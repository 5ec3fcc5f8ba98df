"""Decision-curve analysis: is an alarm worth more than acting on every lesion, or on none?

Whoever acts from a risk of t on accepts (1 − t) / t needless acts for each melanoma that is found. So a needless act is
worth t / (1 − t) of a melanoma, and the net benefit of an alarm, in melanomas found for each lesion seen, is

    share of true alarms − share of false alarms · t / (1 − t).

Acting on none has a net benefit of 0. Vickers and Elkin, "Decision curve analysis: a novel method for evaluating
prediction models" (Medical Decision Making 26, 565–574, 2006).
"""

import numpy as np

THRESHOLDS = np.arange(1, 51) / 100
"""Of the risk, at which the curve is computed: nobody waits for a melanoma until it is more likely than not."""


def net_benefit(sensitivity, specificity, prevalence, thresholds):
    """The net benefit of an alarm, in melanomas found for each lesion seen.

    Args:
        sensitivity, specificity: of the alarm at each threshold, from 0 to 1; numbers or arrays of one shape.
        prevalence: share of melanomas, from 0 to 1.
        thresholds: the risk from which on one acts, from 0 to below 1.
    """
    odds = thresholds / (1 - thresholds)
    return sensitivity * prevalence - (1 - specificity) * (1 - prevalence) * odds


def of_all(prevalence, thresholds):
    """The net benefit of acting on every lesion: an alarm that always rings."""
    return net_benefit(1.0, 0.0, prevalence, thresholds)


def rates(positive: np.ndarray, risks: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sensitivity and specificity of an alarm at each threshold, float (T,) each; NaN where no image would show one.

    Args:
        positive: bool (N,).
        risks: float (N,); the alarm rings where the risk is at least the threshold.
        thresholds: float (T,).
    """
    with np.errstate(invalid="ignore"):
        below = [np.searchsorted(np.sort(risks[kind]), thresholds) / kind.sum() for kind in (positive, ~positive)]
    return 1 - below[0], below[1]


def net_benefit_draws(
    positive: np.ndarray, rings: np.ndarray, prevalence: float, threshold: float, weights: np.ndarray
) -> np.ndarray:
    """The net benefit of an alarm under every resampling of lesions, float (rounds,).

    Args:
        positive, rings: bool (N,), whether an image is of a melanoma, and whether the alarm rings.
        prevalence, threshold: see `net_benefit`.
        weights: of `lesion.metrics.bootstrap.bootstrap_weights`, float (rounds, N).
    """
    with np.errstate(invalid="ignore"):
        sensitivity = weights @ (positive & rings) / (weights @ positive)
        specificity = weights @ (~positive & ~rings) / (weights @ ~positive)
    return net_benefit(sensitivity, specificity, prevalence, threshold)
