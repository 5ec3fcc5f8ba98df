"""Prediction sets: diagnoses that contain the true one as often as promised, nine times in ten where that can be said.

Split conformal prediction with the score 1 − p(true diagnosis) (Sadinle, Lei and Wasserman, "Least ambiguous set-valued
classifiers with bounded error levels", 2019), class by class ("Mondrian": Vovk, "Conditional validity of inductive
conformal predictors", 2012), so that rare diagnoses are covered too and not only the common ones. Regularised adaptive
sets, clustered diagnoses and one threshold for all were compared by cross-validation inside the validation part
(tests/bench/prediction_sets.py): these keep the promise of every diagnosis with the smallest sets.

The promise of a diagnosis is the highest of PROMISES that its lesions of the validation part support. The usual promise
holds on average over all validation parts that could have been drawn: with this one, the coverage may be well below.
So the thresholds are confident where the sets stay small: they keep the promise for CONFIDENCE of the validation parts
(Vovk 2012, proposition 2: the coverage beyond the r-th best of n lesions has a Beta(r, n + 1 − r) distribution). That
takes 16 lesions for 0.9 and 8 for 0.8. A diagnosis with fewer is put into every set, which promises all of it. Where
confident sets would have more than MOST_DIAGNOSES on average, the thresholds keep the same promises on average.

Photographs of one lesion are not exchangeable with those of another; lesions are (Dunn, Wasserman and Ramdas,
"Distribution-free prediction sets for two-layer hierarchical models", 2022). So the correction for a finite sample
counts lesions. Their method weights each lesion equally, which covers a photograph of a random lesion. Ours weights
each photograph equally, as every other figure here does, calibration among them. HAM10000 has more photographs of
harder lesions, so with equal weights for lesions the sets cover fewer photographs than promised.

The most probable diagnosis is not forced into its set, since that would make the sets cover more than was asked. A set
can therefore leave out the most probable diagnosis. The photographs where this happens are hard ones, and there a set
is less reliable than the coverage, which is an average.

The coverage is approximate: the same validation part also served for early stopping and calibration.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import beta

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.model.calibration import SUBSETS, effective, subset_index

PROMISES = (0.9, 0.8)
"""The coverage that a diagnosis is promised: the first that its lesions support."""
ALWAYS = 1.0
"""The promise of a diagnosis that is put into every set."""
CONFIDENCE = 0.8
"""For this share of the validation parts that could have been drawn, confident thresholds keep their promise."""
MOST_DIAGNOSES = 2.2
"""Sets that are larger on average say little."""
ROUNDING = 1 - 1e-5
"""Thresholds are observed probabilities times this factor, so that rounding of a logit decides nothing."""


@dataclass(frozen=True)
class PredictionSets:
    """Which probabilities put a diagnosis into the set.

    Attributes:
        promised: for each subset of the inputs and each diagnosis, the share of its photographs whose set should
            contain it, float (16, 7); 1 where it is put into every set, 0 where nothing is promised (a checkpoint of
            an older format).
        thresholds: the smallest calibrated probability, at the data set's prevalence, at which a diagnosis belongs to
            the set, float (16, 7).
        confident: whether the thresholds of a subset are, bool (16,); see above.
    """

    promised: np.ndarray
    thresholds: np.ndarray
    confident: np.ndarray

    def sets(self, probabilities: np.ndarray, present: np.ndarray) -> np.ndarray:
        """The sets. None is empty: where no diagnosis reaches its threshold, the set is the most probable one.

        Args:
            probabilities: float (N, 7), calibrated, at the data set's prevalence whatever prevalence is shown.
            present: bool (N, 4) or (4,), the inputs that were present and known.

        Returns:
            bool (N, 7).
        """
        return members(probabilities, self.thresholds[subset_index(present)])


def members(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """`PredictionSets.sets` by thresholds that are given: float (N, 7) and float (7,) or (N, 7) to bool (N, 7)."""
    reached = probabilities >= thresholds
    empty = ~reached.any(1)
    reached[empty, probabilities[empty].argmax(1)] = True
    return reached


def lesions_to_cover(lesions: int, coverage: float, confident: bool) -> float:
    """How many of the validation part's lesions of a diagnosis a threshold must let in to promise a coverage.

    Args:
        lesions: how many there are.
        coverage: to promise, between 0 and 1.
        confident: whether the promise is to be kept for CONFIDENCE of the validation parts, or on average over them.

    Returns:
        The number, which may be a fraction; infinity where there are not enough lesions.
    """
    if confident:
        covered = np.arange(1, lesions + 1)
        enough = np.flatnonzero(beta.sf(coverage, covered, lesions + 1 - covered) >= CONFIDENCE)
        return float(covered[enough[0]]) if len(enough) else np.inf
    needed = coverage * (lesions + 1)
    return needed if needed <= lesions + 1e-9 else np.inf  # 10 · 0.9 must not exceed 9 by its last digit


def promise(lesions: int) -> float:
    """The highest of PROMISES that this many lesions support with CONFIDENCE; ALWAYS where none is."""
    return next((c for c in PROMISES if np.isfinite(lesions_to_cover(lesions, c, True))), ALWAYS)


def threshold(probabilities: np.ndarray, lesion_ids: np.ndarray, coverage: float, confident: bool) -> float:
    """The largest threshold that keeps a promise for the photographs of new lesions.

    Args:
        probabilities: float (N,), of the true diagnosis.
        lesion_ids: N ids.
        coverage: the promise.
        confident: see `lesions_to_cover`.

    Returns:
        The threshold; 0, which every probability reaches, where there are not enough lesions.
    """
    lesions = len(np.unique(lesion_ids))
    covered = lesions_to_cover(lesions, coverage, confident)
    if np.isinf(covered):
        return 0.0
    needed = int(np.ceil(covered * len(probabilities) / lesions - 1e-9))
    return float(np.sort(probabilities)[-needed]) * ROUNDING


def fit_prediction_sets(
    probabilities: np.ndarray, known: np.ndarray, labels: np.ndarray, lesion_ids: np.ndarray
) -> PredictionSets:
    """Thresholds for each subset of the inputs, from the validation part.

    A subset is fitted on the photographs whose record has all of its fields, as its temperature is.

    Args:
        probabilities: float (16, N, 7), calibrated, at the data set's prevalence; row s of the first axis with the
            inputs SUBSETS[s].
        known: bool (N, 3), of `MetadataEncoder.encode`.
        labels: int (N,).
        lesion_ids: N ids.
    """
    promised, thresholds = np.full((2, len(SUBSETS), len(CODES)), ALWAYS)
    confident, lesion_ids = np.ones(len(SUBSETS), bool), np.asarray(lesion_ids)
    for index, present in enumerate(SUBSETS):
        rows = np.flatnonzero(subset_index(effective(present, known)) == index)
        of_class = [rows[labels[rows] == k] for k in range(len(CODES))]
        promised[index] = [promise(len(np.unique(lesion_ids[own]))) for own in of_class]
        for kind in (True, False):
            confident[index] = kind
            thresholds[index] = [
                threshold(probabilities[index, own, k], lesion_ids[own], promised[index, k], kind)
                for k, own in enumerate(of_class)
            ]
            sizes = members(probabilities[index, rows], thresholds[index]).sum(1)
            if len(rows) == 0 or sizes.mean() <= MOST_DIAGNOSES:
                break
    return PredictionSets(promised, thresholds, confident)


def promise_in_words(promised: np.ndarray) -> str:
    """What the sets made from one subset of the inputs promise, as a sentence.

    Args:
        promised: of `PredictionSets`, float (7,).
    """
    values, counts = np.unique(promised, return_counts=True)
    usual = values[counts.argmax()]
    others = []
    for value in values[values != usual][::-1]:
        names = listed([code for code, own in zip(CODES, promised, strict=True) if own == value], "and")
        others.append(f"{100 * value:g} % for {names}" if value else f"nothing is promised for {names}")
    exceptions = f" ({'; '.join(others)})" if others else ""
    if usual == 0:
        return f"Nothing is promised of how often such a prediction set contains the true diagnosis{exceptions}."
    return (
        f"A prediction set like this should contain the true diagnosis for {100 * usual:g} % of the collection's "
        f"photographs of each diagnosis{exceptions}."
    )


def listed(codes: Sequence[str], conjunction: str) -> str:
    """ "melanoma, dermatofibroma or vascular lesion", as inside a sentence."""
    *others, last = [name[0].lower() + name[1:] for name in (BY_CODE[code].name for code in codes)]
    return f"{', '.join(others)} {conjunction} {last}" if others else last


def set_in_words(codes: Sequence[str]) -> str:
    """ "Melanocytic nevus or melanoma", for the codes in the order given; "Any of the seven" for all."""
    if len(codes) == len(CODES):
        return "Any of the seven"
    names = listed(codes, "or")
    return names[0].upper() + names[1:]
