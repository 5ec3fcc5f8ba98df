"""From logits to probabilities that mean something.

A head trained to the optimum with class weights w answers q ∝ w·p, and no temperature undoes that. So the answer is
p ∝ (q / w^s)^(1/T). The temperature T (Guo et al., "On Calibration of Modern Neural Networks", 2017) and the
prior-correction exponent s are fitted on the validation part, one pair for each subset of the inputs. The exponent is 1
at the optimum, and less where mixup and early stopping kept the head from following the weights fully. (A bias for
every class, as in Alexandari, Kundaje and Shrikumar, 2020, has too many parameters for our rare classes.) A change of
prevalence from π to π' multiplies p by π'/π (Saerens, Latinne and Decaestecker, 2002).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_softmax
from sklearn.utils.class_weight import compute_class_weight

from lesion.data.diagnoses import DIAGNOSES

SUBSETS = np.array([[bool(s >> i & 1) for i in range(4)] for s in range(16)])
"""bool (16, 4): the presence masks over INPUTS; row s has input i where bit i of s is set."""
NOTHING, IMAGE_ALONE, METADATA_ALONE, EVERYTHING = 0, 1, 14, 15
VIEWS = {"fused": EVERYTHING, "image alone": IMAGE_ALONE, "metadata alone": METADATA_ALONE}
"""The subsets that every report shows."""
UNIFORM = np.full(len(DIAGNOSES), 1 / len(DIAGNOSES))
WEIGHTINGS = ("none", "sqrt", "balanced")


def subset_index(present: np.ndarray) -> np.ndarray:
    """bool (..., 4) presence masks to indices into SUBSETS, int (...)."""
    return present @ (1 << np.arange(4))


def effective(present: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Presence masks without the fields that are unknown: bool (4,) or (N, 4), and bool (N, 3), to bool (N, 4)."""
    return np.broadcast_to(present, (len(known), 4)) & np.column_stack([np.ones(len(known), bool), known])


def class_weights(labels: np.ndarray, weighting: str) -> np.ndarray:
    """Loss weights of the classes.

    Args:
        labels: int (N,), of the training part, every class among them.
        weighting: "balanced" (scikit-learn's, ∝ 1/frequency), "sqrt" (its square root) or "none".

    Returns:
        float64 (7,), with mean 1 over the examples.
    """
    balanced = compute_class_weight("balanced", classes=np.arange(len(DIAGNOSES)), y=labels)
    weights = balanced ** {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[weighting]
    return weights / weights[labels].mean()


def reweight(probabilities: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Probabilities where the diagnoses are as common as `after` instead of `before`, float (..., 7); see above."""
    weighted = probabilities * (after / before)
    return weighted / weighted.sum(-1, keepdims=True)


@dataclass(frozen=True)
class Calibration:
    """What turns logits into probabilities.

    Attributes:
        class_weights: the loss weights the head was trained with, (7,).
        prevalence: frequencies of the classes in the training part, (7,).
        temperatures, prior_correction_exponents: one for each subset of the inputs, (16,).
    """

    class_weights: np.ndarray
    prevalence: np.ndarray
    temperatures: np.ndarray
    prior_correction_exponents: np.ndarray

    def log_probabilities(
        self, logits: np.ndarray, present: np.ndarray, prevalence: np.ndarray | None = None
    ) -> np.ndarray:
        """Calibrated log-probabilities.

        Args:
            logits: float (..., 7), the head's.
            present: bool (..., 4), the inputs that were present and known.
            prevalence: how common each diagnosis is where the answer is used, (7,), summing to 1; by default as in
                the training data.

        Returns:
            float64 (..., 7).
        """
        subset = subset_index(present)[..., None]
        corrected = logits.astype(np.float64) - self.prior_correction_exponents[subset] * np.log(self.class_weights)
        corrected /= self.temperatures[subset]
        if prevalence is not None:
            corrected = log_softmax(corrected, axis=-1) + np.log(prevalence) - np.log(self.prevalence)
        return log_softmax(corrected, axis=-1)

    def probabilities(
        self, logits: np.ndarray, present: np.ndarray, prevalence: np.ndarray | None = None
    ) -> np.ndarray:
        """As `log_probabilities`, exponentiated."""
        return np.exp(self.log_probabilities(logits, present, prevalence))


def fit_calibration(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """The temperature and the prior-correction exponent with the least log-loss.

    Args:
        logits: float (N, 7), the head's.
        labels: int (N,).
        weights: float (7,), of the classes in the loss.

    Returns:
        A temperature between 0.2 and 5, and an exponent between 0.01 and 1.5.
    """
    rows, log_weights = np.arange(len(labels)), np.log(weights)

    def log_loss(parameters: np.ndarray) -> float:
        log_temperature, exponent = parameters
        corrected = (logits - exponent * log_weights) / np.exp(log_temperature)
        return -log_softmax(corrected, axis=1)[rows, labels].mean()

    bounds = [(np.log(0.2), np.log(5.0)), (0.01, 1.5)]
    log_temperature, exponent = minimize(log_loss, [0.0, 1.0], bounds=bounds, method="L-BFGS-B").x
    return float(np.exp(log_temperature)), float(exponent)
