"""What the melanoma alarm is worth: its net benefit beside acting on every lesion and on none.

See `lesion.metrics.decision_curve` for the method.
"""

from dataclasses import dataclass

import numpy as np

from lesion.metrics.bootstrap import interval
from lesion.metrics.decision_curve import THRESHOLDS, net_benefit, net_benefit_draws, of_all, rates
from lesion.metrics.metrics import MELANOMA
from lesion.model.calibration import reweight
from lesion.teaching.cohort import Cohort

HIGHEST = 0.99
"""From a certainty on, no number of needless acts would be too few."""
SEEN = 1000
"""Lesions that a net benefit is told for."""


@dataclass(frozen=True)
class Decision:
    """The worth of acting on the alarm, where melanoma is as common as is given.

    Attributes:
        threshold: the risk of melanoma from which on one acts, 0 to HIGHEST.
        melanoma_share: how common melanoma is.
        alarm: net benefit at that threshold, in melanomas found for each lesion seen; NaN where no image would show it.
        interval: its 95 % interval.
        everyone: net benefit of acting on every lesion, at that threshold.
        curve: float (T, 3), by THRESHOLDS: the threshold, and the net benefits of the alarm and of acting on all.
    """

    threshold: float
    melanoma_share: float
    alarm: float
    interval: tuple[float, float]
    everyone: float
    curve: np.ndarray


def decide(cohort: Cohort, threshold: float, prevalence: np.ndarray | None = None) -> Decision:
    """The decision curve on the held-out images.

    A net benefit takes the probability to be the risk where the alarm is used. So, unlike the alarm's own figures, it
    reads the probability at the prevalence that is given.

    Args:
        cohort: the held-out images.
        threshold: of the risk, 0 to 1; above HIGHEST it is taken as HIGHEST.
        prevalence: how common the diagnoses are, float (7,), by default as in the data set.
    """
    prevalence = cohort.prevalence if prevalence is None else prevalence
    threshold, share = min(threshold, HIGHEST), float(prevalence[MELANOMA])
    risks = reweight(cohort.full, cohort.prevalence, prevalence)[:, MELANOMA]
    positive, rings = cohort.labels == MELANOMA, risks >= threshold
    sensitivity, specificity = rates(positive, risks, np.array([*THRESHOLDS, threshold]))
    benefits = net_benefit(sensitivity, specificity, share, np.array([*THRESHOLDS, threshold]))
    low, high = interval(net_benefit_draws(positive, rings, share, threshold, cohort.weights))
    return Decision(
        threshold,
        share,
        float(benefits[-1]),
        (low, high),
        float(of_all(share, threshold)),
        np.column_stack([THRESHOLDS, benefits[:-1], of_all(share, THRESHOLDS)]),
    )


def decision_in_words(decision: Decision) -> str:
    """What the alarm is worth, for a teacher to read aloud."""
    if np.isnan(decision.alarm):
        return "Without melanomas and other lesions among the held-out photographs, nothing can be said."
    if decision.threshold == 0:
        return "At a threshold of 0 % the alarm always rings: it is the same as removing every lesion."
    best, rule = max((decision.everyone, "removing every lesion"), (0.0, "removing none"))
    if decision.interval[0] > best:
        verdict = f"The alarm is better than {rule}, the better of the two simple rules."
    elif decision.interval[1] < best:
        verdict = f"The alarm is worse than simply {rule}."
    else:
        verdict = f"Whether it is better than {rule} cannot be told from these photographs."
    alarm, everyone = (worth(round(SEEN * value)) for value in (decision.alarm, decision.everyone))
    return (
        f"Whoever removes lesions from a melanoma risk of {100 * decision.threshold:g} % on "
        f"{exchange(decision.threshold)}. Weighed like that, of {SEEN:,} lesions the alarm is worth {alarm}, removing "
        f"every lesion {everyone}, and removing none 0. {verdict}"
    )


def exchange(threshold: float) -> str:
    """How needless removals weigh against melanomas for whoever acts from a risk on, above 0 and below 1."""
    needless = (1 - threshold) / threshold
    if needless >= 1:
        return f"accepts {needless:.3g} needless {'removal' if needless == 1 else 'removals'} for each melanoma found"
    return f"asks for {1 / needless:.3g} melanomas found for each needless removal"


def worth(melanomas: int) -> str:
    """ "62 melanomas found", "−40 melanomas found"."""
    return f"{melanomas:,} melanoma{'' if abs(melanomas) == 1 else 's'} found".replace("-", "−")
