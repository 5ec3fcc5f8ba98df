"""One model's scores with intervals, and paired differences of two models."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import confusion_metrics, interval, per_class_draws, weighted_confusions
from lesion.metrics.calibration_error import CalibrationError
from lesion.metrics.metrics import (
    CLASSES,
    MALIGNANT,
    MELANOMA,
    RULES,
    SPECIFICITIES,
    decide,
    decision_metrics,
    per_class_metrics,
    per_class_ranking,
    probability_metrics,
    ranking_draws,
)


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
    differences = {}
    for name in values[0]:
        low, high = interval(draws[1][name] - draws[0][name])
        differences[name] = Difference(float(values[0][name][0]), float(values[1][name][0]), (low, high))
    return differences


class Scores:
    """Point values and bootstrap draws of every metric of one set of answers.

    Args:
        labels: int (N,).
        probabilities: float (N, 7), at the data set's prevalence.
        prevalence: float (7,).
        weights: of `bootstrap_weights`; share them to make a comparison paired.
        lesions: N ids, for the debiasing of "ece"; by default every image is of a lesion of its own.

    Attributes:
        values: point values, by name: those of `probability_metrics`, and the metrics of decisions as
            "dataset.accuracy" and so on.
        draws: float (rounds,), by the same names.
        calibration_error: behind "ece".
    """

    def __init__(
        self, labels: np.ndarray, probabilities: np.ndarray, prevalence: np.ndarray, weights: np.ndarray, lesions=None
    ):
        self.labels, self.probabilities, self.prevalence, self.weights = labels, probabilities, prevalence, weights
        self.calibration_error = CalibrationError.of_top_diagnosis(labels, probabilities, lesions)
        self.values = probability_metrics(labels, probabilities, lesions)
        own = np.clip(probabilities[np.arange(len(labels)), labels], np.finfo(probabilities.dtype).eps, 1)
        squares = ((probabilities - (labels[:, None] == CLASSES)) ** 2).sum(1)
        malignant = ranking_draws(MALIGNANT[labels], probabilities[:, MALIGNANT].sum(1), weights)
        melanoma = self._rankings[MELANOMA]
        areas = np.array([ranking["auroc"] for ranking in self._rankings])
        missed = np.isnan(areas)
        self.draws = {
            "log_loss": weights @ -np.log(own) / weights.sum(1),
            "brier": weights @ squares / weights.sum(1),
            "ece": self.calibration_error.draws(weights),
            "macro_auroc": np.where(missed, 0, areas).sum(0) / np.maximum((~missed).sum(0), 1),
            "malignant_auroc": malignant["auroc"],
            **{f"melanoma_sensitivity_at_{s}_specificity": melanoma[f"sensitivity_at_{s}"] for s in SPECIFICITIES},
        }
        for rule in RULES:
            decisions = decide(probabilities, prevalence, rule)
            draws = confusion_metrics(weighted_confusions(labels, decisions, weights))
            for name, value in decision_metrics(labels, decisions).items():
                self.values[f"{rule}.{name}"], self.draws[f"{rule}.{name}"] = value, draws[name]

    @cached_property
    def _rankings(self) -> list[dict[str, np.ndarray]]:
        """`ranking_draws` of each diagnosis against the rest."""
        return [ranking_draws(self.labels == k, self.probabilities[:, k], self.weights) for k in CLASSES]

    def with_intervals(self) -> dict[str, dict]:
        """{metric: {"value": …, "interval": [low, high]}}."""
        intervals = {name: interval(draws) for name, draws in self.draws.items()}
        intervals["ece"] = self.calibration_error.interval(self.weights)
        return {name: {"value": v, "interval": intervals[name]} for name, v in self.values.items()}

    def minus(self, other: "Scores") -> dict[str, dict]:
        """Paired differences, in the form of `with_intervals`; both must share their weights."""
        return {
            name: {"value": v - other.values[name], "interval": interval(self.draws[name] - other.draws[name])}
            for name, v in self.values.items()
        }

    def per_class(self, rule: str) -> dict[str, dict]:
        """Each diagnosis by itself.

        Args:
            rule: a key of RULES, for precision, recall and F1.

        Returns:
            By code: "images", and "precision", "recall", "f1", "auroc" and "average_precision", each in the form of
            `with_intervals`; without images of the diagnosis, recall and F1 are 0 as in scikit-learn and AUROC and
            average precision NaN.
        """
        decisions = decide(self.probabilities, self.prevalence, rule)
        values = per_class_metrics(self.labels, decisions)
        draws = per_class_draws(weighted_confusions(self.labels, decisions, self.weights))
        ranking = per_class_ranking(self.labels, self.probabilities)
        out: dict[str, dict[str, object]] = {}
        for k, code in enumerate(CODES):
            out[code] = {"images": int(values[code]["images"])}
            for name, of_name in draws.items():
                out[code][name] = {"value": values[code][name], "interval": interval(of_name[:, k])}
            for name, of_name in ranking.items():
                out[code][name] = {"value": float(of_name[k]), "interval": interval(self._rankings[k][name])}
        return out


def mcnemar(first: np.ndarray, second: np.ndarray) -> dict:
    """McNemar's exact test of two models on the same images.

    Args:
        first, second: bool (N,), where each is right.

    Returns:
        "first only" and "second only", how many only one gets right, and "p_value", two-sided; 1 where there is none.
    """
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    return {
        "first only": one,
        "second only": other,
        "p_value": float(binomtest(one, one + other).pvalue) if one + other else 1.0,
    }


def compare_models(
    labels: np.ndarray,
    first: np.ndarray,
    second: np.ndarray,
    prevalences: tuple[np.ndarray, np.ndarray],
    lesions,
    weights: np.ndarray,
) -> dict:
    """A paired comparison of two models on the same images.

    Args:
        labels: int (N,).
        first, second: probabilities, float (N, 7), each at its own training part's prevalence.
        prevalences: of the two training parts, float (7,) each.
        lesions: N ids.
        weights: of `bootstrap_weights` by these lesions, float (rounds, N).

    Returns:
        "first" and "second", of `Scores.with_intervals`; "first minus second", of `Scores.minus`; and "mcnemar": by
        the decision rule in words, `mcnemar` of all "images", which it takes to be independent though photographs of
        one lesion are not, and of the "first image of each lesion", where they are nearly so.
    """
    scores = [Scores(labels, p, q, weights, lesions) for p, q in zip((first, second), prevalences, strict=True)]
    one_each = ~pd.Series(np.asarray(lesions)).duplicated().to_numpy()
    tests = {}
    for rule, name in RULES.items():
        right = [decide(s.probabilities, s.prevalence, rule) == labels for s in scores]
        tests[name] = {
            "images": mcnemar(*right),
            "first image of each lesion": mcnemar(*(r[one_each] for r in right)),
        }
    return {
        "first": scores[0].with_intervals(),
        "second": scores[1].with_intervals(),
        "first minus second": scores[0].minus(scores[1]),
        "mcnemar": tests,
    }
