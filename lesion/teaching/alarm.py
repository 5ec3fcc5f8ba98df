"""What a melanoma alarm means where melanoma is as common as one says.

Predictive values follow from sensitivity, specificity and prevalence by Bayes' rule.
"""

from dataclasses import dataclass

import numpy as np

ALARM_THRESHOLDS = (1, 99)
"""Lowest and highest threshold of the melanoma alarm, per cent; the page offers whole numbers between them."""


@dataclass(frozen=True)
class Alarm:
    """A melanoma alarm at one threshold, on all held-out images.

    Attributes:
        sensitivity, specificity: with their 95 % intervals; NaN where no image would show them.
        melanoma_share: the prevalence that predictive values are computed for.
        curve: float (n, 2): sensitivity and 1 − specificity, from the highest threshold to the lowest.
    """

    sensitivity: float
    sensitivity_interval: tuple[float, float]
    specificity: float
    specificity_interval: tuple[float, float]
    melanoma_share: float
    curve: np.ndarray

    @property
    def positive_predictive_value(self) -> float:
        """Share of melanomas among the alarms; NaN where there is none."""
        true, false = self.sensitivity * self.melanoma_share, (1 - self.specificity) * (1 - self.melanoma_share)
        return true / (true + false) if true + false else float("nan")

    @property
    def missed(self) -> float:
        """Share of melanomas among the photographs without an alarm; NaN where there is none."""
        missed, passed = (1 - self.sensitivity) * self.melanoma_share, self.specificity * (1 - self.melanoma_share)
        return missed / (missed + passed) if missed + passed else float("nan")
