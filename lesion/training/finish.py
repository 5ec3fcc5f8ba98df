"""What turns a trained network into a checkpoint."""

from dataclasses import dataclass

import numpy as np

from lesion.metrics.metrics import per_class_table, summarise
from lesion.model.calibration import (
    IMAGE_ALONE,
    SUBSETS,
    VIEWS,
    Calibration,
    effective,
    fit_calibration,
    subset_index,
)
from lesion.model.conformal import PredictionSets, fit_prediction_sets
from lesion.model.fusion import FusionHead, head_logits, one_an_image
from lesion.model.out_of_distribution import MahalanobisDetector, fit_detector
from lesion.training.data import TrainingData


def calibrate(logits: np.ndarray, data: TrainingData) -> Calibration:
    """Fits a temperature and a prior-correction exponent for each subset of the inputs on the validation part.

    Args:
        logits: float (16, N, 7), of the N validation rows with each of SUBSETS.
        data: gives class weights, prevalence, labels and what is known.
    """
    temperatures, prior_correction_exponents = np.ones((2, len(SUBSETS)))
    labels, known = data.labels[data.split.validation], data.known[data.split.validation]
    for index, present in enumerate(SUBSETS):
        of_subset = subset_index(effective(present, known)) == index
        if of_subset.any():
            fitted = fit_calibration(logits[index, of_subset].astype(np.float64), labels[of_subset], data.weights)
            temperatures[index], prior_correction_exponents[index] = fitted
    return Calibration(data.weights, data.prevalence, temperatures, prior_correction_exponents)


@dataclass(frozen=True)
class Fitted:
    """What is fitted to a trained model.

    Attributes:
        calibration, prediction_sets: on the validation part.
        detector: on the training part, its threshold on the validation part.
        validation: the metrics of the validation part for each of VIEWS (the image alone, without metadata).
    """

    calibration: Calibration
    prediction_sets: PredictionSets
    detector: MahalanobisDetector
    validation: dict[str, dict]


def fit_after_training(
    head: FusionHead, training: np.ndarray, validation: np.ndarray, data: TrainingData, metadata: bool
) -> Fitted:
    """Fits what turns a trained model's output into answers.

    Args:
        head: in its final state.
        training, validation: embeddings of `FusionModel.pool` of the rows of the two parts.
        data: the table, its split and what was fitted before training.
        metadata: whether the model reads metadata.
    """
    views = VIEWS if metadata else {"image alone": IMAGE_ALONE}
    rows = data.split.validation
    labels, known = data.labels[rows], data.known[rows]
    logits = np.stack([head_logits(head, validation, data.metadata[rows], present) for present in SUBSETS])
    calibration = calibrate(logits, data)
    present = np.stack([effective(subset, known) for subset in SUBSETS])
    probabilities = calibration.probabilities(logits, present)
    return Fitted(
        calibration,
        fit_prediction_sets(probabilities, known, labels, data.table.lesion_id.to_numpy()[rows]),
        fit_detector(one_an_image(training), one_an_image(validation)),
        {name: summarise(labels, probabilities[index], data.prevalence) for name, index in views.items()},
    )


def print_validation(metrics: dict) -> None:
    """Prints the validation metrics of every view, with the decision rule named."""
    for name, values in metrics.items():
        print(f"\nValidation, {name}: log-loss {values['log_loss']:.3f}, macro AUROC {values['macro_auroc']:.3f}")
        for rule in ("dataset", "uniform"):
            numbers = ", ".join(
                f"{k.replace('_', ' ')} {values[rule][k]:.3f}"
                for k in ("accuracy", "balanced_accuracy", "weighted_f1", "macro_f1")
            )
            print(f"  decided under {rule} prevalence: {numbers}")
    shown = "fused" if "fused" in metrics else "image alone"
    rule = metrics[shown]["dataset"]
    print(f"\n{shown}, data-set prevalence\n{per_class_table(rule['per_class'], rule['confusion_matrix'])}")
