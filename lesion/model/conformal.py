"""Sets of diagnoses that hold the true one nine times in ten.

Split conformal prediction with the score 1 − p(true diagnosis) (Sadinle, Lei and Wasserman, "Least ambiguous set-valued
classifiers with bounded error levels", 2019), class by class ("Mondrian": Vovk, "Conditional validity of inductive
conformal predictors", 2012), so that rare diagnoses are covered too and not only the common ones. A diagnosis that the
calibration part holds in fewer than nine lesions takes the threshold of all diagnoses together: with fewer, no finite
threshold promises 90 %.

Photographs of one lesion are not exchangeable with those of another, lesions are (Dunn, Wasserman and Ramdas,
"Distribution-free prediction sets for two-layer hierarchical models", 2022): the correction for a finite sample counts
lesions. Their weights are one a lesion, which covers a random lesion's photograph; ours are one a photograph, as in
every other figure here, calibration among them. HAM10000 photographs harder lesions more often, and with one a lesion
the sets covered 87 % of the validation photographs, not 90 % (five folds by lesion).

The most probable diagnosis is not forced into its set: it is right for 95 % of the nevi, two thirds of all photographs,
and sets that always hold it covered 93 %. A set can so leave out the most probable diagnosis; the photographs where
that happens are hard ones, and there the set is less reliable than the promise, which is one on average.

The promise is approximate: the same validation part also served for early stopping and calibration, and it is made for
each diagnosis with nine lesions. One with fewer gets no promise from the threshold of all together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.model.calibration import SUBSETS, effective, subset_index

COVERAGE = 0.9
ROUNDING = 1 - 1e-5
"""Thresholds lie this factor below a probability seen, so that the last digits of a logit decide nothing."""


@dataclass(frozen=True)
class PredictionSets:
    """Which probabilities put a diagnosis into the set.

    Attributes:
        coverage: the share of the photographs whose set is to hold the true diagnosis.
        thresholds: the smallest calibrated probability, at the data set's prevalence, at which a diagnosis belongs to
            the set; one row for each subset of the inputs, float (16, 7).
        pooled: whether that is the threshold of all diagnoses together, bool (16, 7).
    """

    coverage: float
    thresholds: np.ndarray
    pooled: np.ndarray

    def sets(self, probabilities: np.ndarray, present: np.ndarray) -> np.ndarray:
        """The sets; never empty: where no diagnosis reaches its threshold, the most probable one stands alone.

        Args:
            probabilities: float (N, 7), calibrated, at the data set's prevalence whatever prevalence is shown.
            present: bool (N, 4) or (4,), the inputs that were present and known.

        Returns:
            bool (N, 7).
        """
        members = probabilities >= self.thresholds[subset_index(present)]
        empty = ~members.any(1)
        members[empty, probabilities[empty].argmax(1)] = True
        return members


def enough(lesions: int, coverage: float) -> bool:
    """Whether so many lesions can promise the coverage: (n + 1) · coverage ≤ n."""
    return (lesions + 1) * coverage <= lesions + 1e-9  # 10 · 0.9 must not exceed 9 by its last digit


def threshold(probabilities: np.ndarray, lesion_ids: np.ndarray, coverage: float) -> float:
    """The largest threshold that a new lesion's photographs reach with probability `coverage`.

    The new lesion is counted as one more, of mean size, none of whose photographs reaches it.

    Args:
        probabilities: float (N,), of the true diagnosis.
        lesion_ids: N ids.
        coverage: between 0 and 1.

    Returns:
        0, which everything reaches, where the lesions are not `enough`.
    """
    lesions = len(np.unique(lesion_ids))
    if not enough(lesions, coverage):
        return 0.0
    needed = int(np.ceil(coverage * len(probabilities) * (lesions + 1) / lesions - 1e-9))
    return float(np.sort(probabilities)[-needed]) * ROUNDING


def fit_prediction_sets(
    probabilities: np.ndarray, known: np.ndarray, labels: np.ndarray, lesion_ids: np.ndarray, coverage: float = COVERAGE
) -> PredictionSets:
    """Thresholds for each subset of the inputs, from the validation part.

    A subset learns from the photographs whose record knows all of its fields, as its temperature does. Where these are
    of fewer than nine lesions, nothing can be promised, and every diagnosis belongs to the set.

    Args:
        probabilities: float (16, N, 7), calibrated, at the data set's prevalence; row s of the first axis with the
            inputs SUBSETS[s].
        known: bool (N, 3), of `MetadataEncoder.encode`.
        labels: int (N,).
        lesion_ids: N ids.
        coverage: see `PredictionSets`.
    """
    thresholds, pooled = np.zeros((len(SUBSETS), len(CODES))), np.ones((len(SUBSETS), len(CODES)), bool)
    lesion_ids = np.asarray(lesion_ids)
    for index, present in enumerate(SUBSETS):
        rows = np.flatnonzero(subset_index(effective(present, known)) == index)
        of_true = probabilities[index, rows, labels[rows]]
        thresholds[index] = threshold(of_true, lesion_ids[rows], coverage)
        for k in range(len(CODES)):
            of_class = labels[rows] == k
            ids = lesion_ids[rows[of_class]]
            if enough(len(np.unique(ids)), coverage):
                thresholds[index, k], pooled[index, k] = threshold(of_true[of_class], ids, coverage), False
    return PredictionSets(coverage, thresholds, pooled)


def set_in_words(codes: Sequence[str]) -> str:
    """ "Melanocytic nevus or melanoma", for the codes in the order given; "Any of the seven" for all."""
    if len(codes) == len(CODES):
        return "Any of the seven"
    names = [BY_CODE[code].name for code in codes]
    first, *others = [names[0], *(name[0].lower() + name[1:] for name in names[1:])]
    return f"{', '.join([first, *others[:-1]])} or {others[-1]}" if others else first
