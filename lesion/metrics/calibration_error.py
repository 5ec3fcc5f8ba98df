"""The expected calibration error, debiased: of the most probable diagnosis, or of one diagnosis against the rest.

- Guo et al., "On Calibration of Modern Neural Networks" (2017).
- Debiasing: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019).
- Basic bootstrap interval: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2.
"""

import numpy as np
import pandas as pd
from scipy.stats import norm

from lesion.metrics.bootstrap import interval, mean_with_interval

CALIBRATION_BINS = 15
BLOCK = 250
"""Resamplings that are ranked at once, which bounds the memory."""


class CalibrationError:
    """Expected calibration error of probabilities of an event, debiased.

    Images are put into CALIBRATION_BINS equally filled bins of the probability. In a bin, the gap d is the mean of
    r = probability − (1 where the event is true, else 0). The plain error Σ share · |d| is too large: chance alone
    makes it about 0.02 for a perfect model and 2,000 images. So |d| is replaced by 2|d| − E|N(d, s²)| (Kumar, Liang and
    Ma, 2019), the mean of a folded normal distribution, with s the standard error of d. Photographs of one lesion are
    not independent, so s is robust to clusters: s² = Σ_lesions (Σ_{images of the lesion in the bin} (r − d))² / n². The
    sum over the bins is set to zero where it is negative. This removes nearly all that chance adds to a gap of several
    standard errors, and about two fifths where there is no gap at all.

    Args:
        confidence: float (N,), the probability of the event.
        right: bool (N,), whether the event is true.
        lesions: N ids; by default every image is of a lesion of its own.

    Attributes:
        bins: int (N,), the bin of each image, from the lowest probability to the highest.
        confidence, right: float (N,).
        plain: the error as it is usually given.
        value: debiased.
    """

    def __init__(self, confidence: np.ndarray, right: np.ndarray, lesions=None):
        self.confidence, self.right = confidence, right.astype(float)
        edges = np.unique(np.quantile(self.confidence, np.linspace(0, 1, CALIBRATION_BINS + 1)))
        self.bins = np.digitize(self.confidence, edges[1:-1])
        self._lesion = np.arange(len(right)) if lesions is None else pd.factorize(np.asarray(lesions))[0]
        shares, self._gap, errors = self._gaps(np.ones((1, len(right))))
        self.plain = float((shares * np.abs(self._gap)).sum())
        self.value = float(debiased(shares, self._gap, errors)[0])

    @classmethod
    def of_top_diagnosis(cls, labels: np.ndarray, probabilities: np.ndarray, lesions=None) -> "CalibrationError":
        """The event: the most probable diagnosis is the true one.

        Args:
            labels: int (N,).
            probabilities: float (N, 7).
            lesions: N ids; by default every image is of a lesion of its own.
        """
        return cls(probabilities.max(1), probabilities.argmax(1) == labels, lesions)

    @classmethod
    def of_diagnosis(
        cls, labels: np.ndarray, probabilities: np.ndarray, diagnosis: int, lesions=None
    ) -> "CalibrationError":
        """The event: the lesion has this diagnosis, one of seven; the other arguments as in `of_top_diagnosis`."""
        return cls(probabilities[:, diagnosis], labels == diagnosis, lesions)

    def _gaps(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shares of the images, gaps and their standard errors under each row of weights (rounds, N), the bins kept,
        each (rounds, bins)."""
        _, first = np.unique(self._lesion, return_index=True)
        of_lesion = weights[:, first].astype(np.float64)  # all images of a lesion are drawn alike
        sums, images = np.zeros((2, len(first), self.bins.max() + 1))
        np.add.at(sums, (self._lesion, self.bins), self.confidence - self.right)
        np.add.at(images, (self._lesion, self.bins), 1)
        n = of_lesion @ images
        filled = np.maximum(n, 1)  # a bin that a resampling left empty has no share
        gap = of_lesion @ sums / filled
        squares = of_lesion @ sums**2 - 2 * gap * (of_lesion @ (sums * images)) + gap**2 * (of_lesion @ images**2)
        return n / n.sum(1, keepdims=True), gap, np.sqrt(np.maximum(squares, 0)) / filled

    def draws(self, weights: np.ndarray) -> np.ndarray:
        """Values whose percentiles are a *basic* bootstrap interval of the error.

        A resampling is drawn from the sample. Taken as a population, the sample has the plain error, with the gaps
        that chance made: debiased values of resamplings lie around that, not around `value`, and their percentiles
        would be too high. What they show is the error of the estimate, draw − plain; so each is reflected:
        value − (draw − plain).

        Args:
            weights: of `bootstrap_weights` by the same lesions, float (rounds, N).

        Returns:
            float (rounds,).
        """
        return self.value - (debiased(*self._gaps(weights)) - self.plain)

    def by_chance(self, weights: np.ndarray) -> np.ndarray:
        """Plain errors that a perfectly calibrated model would show on images like these: the gaps of resamplings minus
        the sample's own.

        Args:
            weights: of `bootstrap_weights` by the same lesions, float (rounds, N).

        Returns:
            float (rounds,).
        """
        shares, gap, _ = self._gaps(weights)
        return (shares * np.abs(gap - self._gap)).sum(1)

    def interval(self, weights: np.ndarray) -> list[float]:
        """The 95 % interval of the error: that of `draws`, which begins at zero where chance explains the plain error.

        The bootstrap alone would exclude zero for a third of perfect models, since an error cannot be below zero. So
        zero is excluded only where the plain error is above the 97.5th percentile of `by_chance`.
        """
        low, high = np.maximum(interval(self.draws(weights)), 0).tolist()
        return [low if self.plain > np.percentile(self.by_chance(weights), 97.5) else 0.0, high]

    def curve(self, weights: np.ndarray) -> list[dict]:
        """The points of a reliability diagram, one a bin.

        Args:
            weights: float (rounds, N).

        Returns:
            "confidence" (mean probability), "accuracy" (share where the event was true), its 95 % "interval", "images".
        """
        points = []
        for b in np.unique(self.bins):
            of_bin = self.bins == b
            accuracy = mean_with_interval(self.right[of_bin], weights[:, of_bin])
            points.append(
                {
                    "confidence": float(self.confidence[of_bin].mean()),
                    "accuracy": accuracy["value"],
                    "interval": accuracy["interval"],
                    "images": int(of_bin.sum()),
                }
            )
        return points


def debiased(shares: np.ndarray, gap: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Σ share · (2|d| − E|N(d, s²)|) over the bins, at least 0; see `CalibrationError`.

    Args:
        shares, gap, errors: float (rounds, bins); a standard error of 0 removes nothing.

    Returns:
        float (rounds,).
    """
    standardised = gap / np.where(errors > 0, errors, 1)
    folded = 2 * errors * norm.pdf(standardised) + gap * (1 - 2 * norm.cdf(-standardised))
    return np.maximum((shares * (2 * np.abs(gap) - np.where(errors > 0, folded, np.abs(gap)))).sum(1), 0)
