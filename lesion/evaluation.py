"""Metrics of probabilities against labels, each under a named decision rule and with a bootstrap interval by lesion.

Point values are scikit-learn's. Intervals are percentiles over resamplings of lesions, not images, since photographs
of one lesion are not independent; a resampling is a row of image weights, so a confusion matrix under every resampling
is one matrix product.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from lesion.calibration import UNIFORM, reweight
from lesion.diagnoses import CODES

RULES = {"dataset": "data-set prevalence", "uniform": "equal prevalence"}
"""How a diagnosis is chosen: the most probable one, where diagnoses are as common as in the data set, or all equally
common."""
CLASSES = np.arange(len(CODES))


def decide(probabilities: np.ndarray, prevalence: np.ndarray, rule: str) -> np.ndarray:
    """The top diagnosis under a rule.

    Args:
        probabilities: float (N, 7), at the data set's prevalence.
        prevalence: float (7,), of the training part.
        rule: a key of RULES.

    Returns:
        int (N,).
    """
    return (probabilities if rule == "dataset" else reweight(probabilities, prevalence, UNIFORM)).argmax(1)


def decision_metrics(labels: np.ndarray, decisions: np.ndarray) -> dict[str, float]:
    """Accuracy, balanced accuracy, weighted and macro F1. Both arguments: int (N,)."""
    present = np.unique(labels)
    return {
        "accuracy": float(accuracy_score(labels, decisions)),
        "balanced_accuracy": float(np.mean([(decisions[labels == k] == k).mean() for k in present])),
        "weighted_f1": float(f1_score(labels, decisions, average="weighted", zero_division=0)),
        "macro_f1": float(f1_score(labels, decisions, labels=CLASSES, average="macro", zero_division=0)),
    }


def probability_metrics(labels: np.ndarray, probabilities: np.ndarray, weights=None) -> dict[str, float]:
    """Log-loss in nats and the macro average of one-against-rest AUROC.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).
        weights: float (N,), or None.

    Classes without an example, or without a counter-example, are left out of the average.
    """
    drawn = labels if weights is None else labels[weights > 0]
    areas = [
        roc_auc_score(labels == k, probabilities[:, k], sample_weight=weights)
        for k in CLASSES
        if 0 < (drawn == k).sum() < len(drawn)
    ]
    return {
        "log_loss": float(log_loss(labels, probabilities, labels=CLASSES, sample_weight=weights)),
        "macro_auroc": float(np.mean(areas)) if areas else float("nan"),
    }


def per_class_metrics(labels: np.ndarray, decisions: np.ndarray) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and number of images of each diagnosis, by code."""
    values = precision_recall_fscore_support(labels, decisions, labels=CLASSES, zero_division=0)
    names = ("precision", "recall", "f1", "images")
    return {code: {n: float(v[k]) for n, v in zip(names, values, strict=True)} for k, code in enumerate(CODES)}


def per_class_table(per_class: dict[str, dict[str, float]], confusion: list[list[int]]) -> str:
    """The values of `per_class_metrics` beside the confusion matrix (rows true, columns decided), as text."""
    lines = ["  diagnosis precision recall     F1 images   decided as " + " ".join(f"{code:>5}" for code in CODES)]
    for (code, row), counts in zip(per_class.items(), confusion, strict=True):
        values = f"{row['precision']:9.3f} {row['recall']:6.3f} {row['f1']:6.3f} {row['images']:6.0f}"
        lines.append(f"  {code:9} {values}              " + " ".join(f"{n:5d}" for n in counts))
    return "\n".join(lines)


def summarise(labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray) -> dict:
    """Every metric without intervals: what train.py prints and stores for the validation part.

    Args:
        labels: int (N,).
        probabilities: float (N, 7), at the data set's prevalence.
        prevalence: float (7,), of the training part.
    """
    out = probability_metrics(labels, probabilities)
    for rule in RULES:
        decisions = decide(probabilities, prevalence, rule)
        out[rule] = {
            **decision_metrics(labels, decisions),
            "per_class": per_class_metrics(labels, decisions),
            "confusion_matrix": confusion_matrix(labels, decisions, labels=CLASSES).tolist(),
        }
    return out


def bootstrap_weights(lesion_ids, rounds: int = 1000, seed: int = 0) -> np.ndarray:
    """How often each image is drawn when lesions are drawn with replacement.

    Args:
        lesion_ids: N ids.
        rounds: number of resamplings.
        seed: of the draws.

    Returns:
        float64 (rounds, N).
    """
    codes, unique = pd.factorize(np.asarray(lesion_ids))
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(len(unique), np.full(len(unique), 1 / len(unique)), size=rounds)
    return counts[:, codes].astype(np.float64)


def weighted_confusions(labels: np.ndarray, decisions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Confusion matrices under every resampling.

    Args:
        labels: int (N,).
        decisions: int (N,), or (R, N) for the mean matrix of R repeats.
        weights: float (rounds, N).

    Returns:
        float (rounds, 7, 7), rows true, columns decided.
    """
    n, repeats = len(CODES), np.atleast_2d(decisions)
    cells = np.zeros((len(labels), n * n), weights.dtype)
    for repeat in repeats:
        cells[np.arange(len(labels)), labels * n + repeat] += 1 / len(repeats)
    return (weights @ cells).reshape(len(weights), n, n)


def confusion_metrics(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """The metrics of `decision_metrics` for a stack of confusion matrices (rounds, 7, 7); each (rounds,).

    A class that a resampling missed is left out of its balanced accuracy.
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    true, decided = confusions.sum(2), confusions.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / true
        f1 = np.where(true + decided > 0, 2 * hits / (true + decided), 0.0)
    return {
        "accuracy": hits.sum(1) / true.sum(1),
        "balanced_accuracy": np.nanmean(recall, axis=1),
        "weighted_f1": (f1 * true).sum(1) / true.sum(1),
        "macro_f1": f1.mean(1),
    }


def interval(draws: np.ndarray) -> list[float]:
    """The 95 % percentile interval of what is no NaN; two NaN where nothing is left."""
    if np.isnan(draws).all():
        return [float("nan"), float("nan")]
    return [float(x) for x in np.nanpercentile(draws, [2.5, 97.5])]


@dataclass(frozen=True)
class Difference:
    """One figure of two models on the same images.

    Attributes:
        first, second: of each model; NaN for the recall of a class without images.
        interval: 95 %, of second − first.
    """

    first: float
    second: float
    interval: tuple[float, float]

    @property
    def difference(self) -> float:
        """second − first."""
        return self.second - self.first


def compare_decisions(
    labels: np.ndarray, first: np.ndarray, second: np.ndarray, weights: np.ndarray
) -> dict[str, Difference]:
    """A paired comparison of two models' decisions.

    Args:
        labels, first, second: int (N,).
        weights: of `bootstrap_weights`, float (rounds, N).

    Returns:
        By name: "accuracy", "balanced_accuracy", and each diagnosis's recall, "recall.mel" and so on.
    """

    def figures(decisions: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
        confusions = weighted_confusions(labels, decisions, weights)
        metrics = confusion_metrics(confusions)
        with np.errstate(invalid="ignore"):
            recalls = np.diagonal(confusions, axis1=1, axis2=2) / confusions.sum(2)
        return {
            "accuracy": metrics["accuracy"],
            "balanced_accuracy": metrics["balanced_accuracy"],
            **{f"recall.{code}": recalls[:, k] for k, code in enumerate(CODES)},
        }

    values = [figures(decisions, np.ones((1, len(labels)))) for decisions in (first, second)]
    draws = [figures(decisions, weights) for decisions in (first, second)]
    return {
        name: Difference(
            float(values[0][name][0]), float(values[1][name][0]), tuple(interval(draws[1][name] - draws[0][name]))
        )
        for name in values[0]
    }


class Scores:
    """Point values and bootstrap draws of every metric of one set of answers.

    Args:
        labels: int (N,).
        probabilities: float (N, 7), at the data set's prevalence.
        prevalence: float (7,).
        weights: of `bootstrap_weights`; share them to make a comparison paired.

    Attributes:
        values: point values, by name; the metrics of decisions are named "dataset.accuracy" and so on.
        draws: float (rounds,), by the same names.
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray, weights: np.ndarray):
        self.labels, self.probabilities, self.prevalence = labels, probabilities, prevalence
        self.values = probability_metrics(labels, probabilities)
        rounds = [probability_metrics(labels, probabilities, w) for w in weights]
        self.draws = {name: np.array([r[name] for r in rounds]) for name in self.values}
        for rule in RULES:
            decisions = decide(probabilities, prevalence, rule)
            draws = confusion_metrics(weighted_confusions(labels, decisions, weights))
            for name, value in decision_metrics(labels, decisions).items():
                self.values[f"{rule}.{name}"], self.draws[f"{rule}.{name}"] = value, draws[name]

    def with_intervals(self) -> dict[str, dict]:
        """{metric: {"value": …, "interval": [low, high]}}."""
        return {name: {"value": v, "interval": interval(self.draws[name])} for name, v in self.values.items()}

    def minus(self, other: "Scores") -> dict[str, dict]:
        """Paired differences, in the form of `with_intervals`; both must share their weights."""
        return {
            name: {"value": v - other.values[name], "interval": interval(self.draws[name] - other.draws[name])}
            for name, v in self.values.items()
        }
