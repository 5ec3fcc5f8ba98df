"""Prediction sets: diagnoses that contain the true one for a given share of the photographs, nine in ten here.

Split conformal prediction with the score 1 − p(true diagnosis) (Sadinle, Lei and Wasserman, "Least ambiguous set-valued
classifiers with bounded error levels", 2019), class by class ("Mondrian": Vovk, "Conditional validity of inductive
conformal predictors", 2012), so that rare diagnoses are covered too and not only the common ones. A diagnosis with
fewer than nine lesions in the validation part takes the threshold of all diagnoses together: with fewer, no finite
threshold guarantees 90 %.

Photographs of one lesion are not exchangeable with those of another; lesions are (Dunn, Wasserman and Ramdas,
"Distribution-free prediction sets for two-layer hierarchical models", 2022). So the correction for a finite sample
counts lesions. Their method weights each lesion equally, which covers a photograph of a random lesion. Ours weights
each photograph equally, as every other figure here does, calibration among them. HAM10000 has more photographs of
harder lesions, so with equal weights for lesions the sets cover fewer than 90 % of the photographs.

The most probable diagnosis is not forced into its set, since that would make the sets cover more than was asked. A set
can therefore leave out the most probable diagnosis. The photographs where this happens are hard ones, and there a set
is less reliable than the coverage, which is an average.

The coverage is approximate. The same validation part also served for early stopping and calibration. It holds for each
diagnosis with at least nine lesions; the threshold of all diagnoses together guarantees nothing for a rarer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.model.calibration import SUBSETS, effective, subset_index

COVERAGE = 0.9
ROUNDING = 1 - 1e-5
"""Thresholds are observed probabilities times this factor, so that rounding of a logit decides nothing."""


@dataclass(frozen=True)
class PredictionSets:
    """Which probabilities put a diagnosis into the set.

    Attributes:
        coverage: the share of the photographs whose set should contain the true diagnosis.
        thresholds: the smallest calibrated probability, at the data set's prevalence, at which a diagnosis belongs to
            the set; one row for each subset of the inputs, float (16, 7).
        pooled: whether that is the threshold of all diagnoses together, bool (16, 7).
    """

    coverage: float
    thresholds: np.ndarray
    pooled: np.ndarray

    def sets(self, probabilities: np.ndarray, present: np.ndarray) -> np.ndarray:
        """The sets. None is empty: where no diagnosis reaches its threshold, the set is the most probable one.

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
    """Whether this many lesions suffice to guarantee the coverage: (n + 1) · coverage ≤ n."""
    return (lesions + 1) * coverage <= lesions + 1e-9  # 10 · 0.9 must not exceed 9 by its last digit


def threshold(probabilities: np.ndarray, lesion_ids: np.ndarray, coverage: float) -> float:
    """The largest threshold that a new lesion's photographs reach with probability `coverage`.

    The new lesion counts as one more of mean size, none of whose photographs reaches the threshold.

    Args:
        probabilities: float (N,), of the true diagnosis.
        lesion_ids: N ids.
        coverage: between 0 and 1.

    Returns:
        The threshold; 0, which every probability reaches, where there are not `enough` lesions.
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

    A subset is fitted on the photographs whose record has all of its fields, as its temperature is. Where these show
    fewer than nine lesions, nothing can be guaranteed, and every diagnosis belongs to the set.

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
