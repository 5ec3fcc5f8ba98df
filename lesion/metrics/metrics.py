"""Metrics of probabilities against labels, each under a named decision rule and with a bootstrap interval by lesion.

Point values are scikit-learn's. Intervals are percentiles over resamplings of lesions, not images, since photographs
of one lesion are not independent; a resampling is a row of image weights, so a confusion matrix under every resampling
is one matrix product, and a ROC curve under every resampling one sort and two cumulative sums.

- Debiased calibration error: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019); Guo et al., "On
  Calibration of Modern Neural Networks" (2017), for the error itself.
- Basic bootstrap interval: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2.
- McNemar, "Note on the sampling error of the difference between correlated proportions or percentages" (1947), exact.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    log_loss,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.model.calibration import UNIFORM, reweight

RULES = {"dataset": "data-set prevalence", "uniform": "equal prevalence"}
"""How a diagnosis is chosen: the most probable one, where diagnoses are as common as in the data set, or all equally
common."""
CLASSES = np.arange(len(CODES))
MELANOMA = CODES.index("mel")
MALIGNANT = np.array([d.nature != "benign" for d in DIAGNOSES])
"""bool (7,): melanoma, basal cell carcinoma, and actinic keratosis, which is pre-malignant."""
SPECIFICITIES = (90, 95)
"""At which the sensitivity for melanoma is reported, per cent."""
CALIBRATION_BINS = 15
BLOCK = 250
"""Resamplings that are ranked at once, which bounds the memory."""
NO_RULE = "none: reads probabilities"
DEFINITIONS = {
    "accuracy": "The share of images whose decided diagnosis is the confirmed one.",
    "balanced_accuracy": "The mean of the seven recalls, so that a rare diagnosis counts as much as a common one; the "
    "metric of ISIC 2018 Task 3.",
    "weighted_f1": "The F1 of each diagnosis, averaged with the number of its images as the weight.",
    "macro_f1": "The F1 of each diagnosis, averaged with equal weights.",
    "precision": "Of the images decided as this diagnosis, the share that have it.",
    "recall": "Of the images that have this diagnosis, the share decided as it; also called sensitivity.",
    "f1": "The harmonic mean of precision and recall.",
    "auroc": "How often an image with this diagnosis gets a higher probability of it than one without; 0.5 is chance.",
    "macro_auroc": "The AUROC of each diagnosis against the rest, averaged with equal weights.",
    "average_precision": "The precision averaged over all recalls, as the threshold falls; chance is the diagnosis's "
    "share of the images.",
    "malignant_auroc": "How often a malignant or pre-malignant lesion (mel, bcc, akiec) gets a higher summed "
    "probability of the three than a benign one does.",
    **{
        f"melanoma_sensitivity_at_{s}_specificity": f"The share of melanomas found by an alarm on the probability of "
        f"melanoma whose threshold leaves at least {s} % of the other images without an alarm; the threshold is read "
        "off these same images."
        for s in SPECIFICITIES
    },
    "brier": "The squared differences between the seven probabilities and the truth (1 for the confirmed diagnosis, 0 "
    "for the others), summed over the diagnoses and averaged over the images: 0 is perfect, 2 the worst.",
    "log_loss": "Minus the logarithm of the probability given to the confirmed diagnosis, averaged over the images, in "
    "nats: 0 is perfect.",
    "ece": f"Expected calibration error: how far the probability of the top diagnosis is from the share of times it is "
    f"right, averaged over {CALIBRATION_BINS} equally filled bins, less what chance alone would show.",
}
"""What each metric means, in one sentence."""


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


def probability_metrics(labels: np.ndarray, probabilities: np.ndarray, lesions=None) -> dict[str, float]:
    """Every metric that needs no decision: see DEFINITIONS.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).
        lesions: N ids, for the debiasing of "ece"; by default every image is of a lesion of its own.

    Returns:
        "log_loss" (nats), "brier" (the multi-class sum of squares, 0 to 2), "ece" (see `CalibrationError`),
        "macro_auroc", "malignant_auroc" and "melanoma_sensitivity_at_90_specificity", "…_95_…". Classes without an
        example, or without a counter-example, are left out of the macro average, and make the others NaN.
    """
    areas = [area for area in per_class_ranking(labels, probabilities)["auroc"] if not np.isnan(area)]
    malignant = MALIGNANT[labels]
    values = {
        "log_loss": float(log_loss(labels, probabilities, labels=CLASSES)),
        "brier": float(brier_score_loss(labels, probabilities, labels=CLASSES, scale_by_half=False)),
        "ece": CalibrationError(labels, probabilities, lesions).value,
        "macro_auroc": float(np.mean(areas)) if areas else float("nan"),
        "malignant_auroc": float("nan"),
        **{f"melanoma_sensitivity_at_{s}_specificity": float("nan") for s in SPECIFICITIES},
    }
    if 0 < malignant.sum() < len(labels):
        values["malignant_auroc"] = float(roc_auc_score(malignant, probabilities[:, MALIGNANT].sum(1)))
    melanoma = labels == MELANOMA
    if 0 < melanoma.sum() < len(labels):
        false, found, _ = roc_curve(melanoma, probabilities[:, MELANOMA], drop_intermediate=False)
        for s in SPECIFICITIES:
            allowed = false <= 1 - s / 100 + 1e-12
            values[f"melanoma_sensitivity_at_{s}_specificity"] = float(found[allowed].max())
    return values


def per_class_ranking(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, np.ndarray]:
    """One-against-rest "auroc" and "average_precision" of each diagnosis, float (7,); NaN where no image would show it.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).
    """
    out = {name: np.full(len(CODES), np.nan) for name in ("auroc", "average_precision")}
    for k in CLASSES:
        if 0 < (labels == k).sum() < len(labels):
            out["auroc"][k] = roc_auc_score(labels == k, probabilities[:, k])
            out["average_precision"][k] = average_precision_score(labels == k, probabilities[:, k])
    return out


def ranking_draws(positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """What scikit-learn's `roc_auc_score`, `average_precision_score` and `roc_curve` give for each row of weights.

    Args:
        positive: bool (N,).
        scores: float (N,), higher for what is thought positive.
        weights: float (rounds, N).

    Returns:
        By name, float (rounds,): "auroc", "average_precision", and "sensitivity_at_90" and "…_95", the largest
        sensitivity of a threshold whose specificity is at least that. NaN where a resampling drew only one kind.
    """
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # equal scores share a threshold
    names = ("auroc", "average_precision", *(f"sensitivity_at_{s}" for s in SPECIFICITIES))
    blocks = {name: [] for name in names}
    for start in range(0, len(weights), BLOCK):
        drawn = weights[start : start + BLOCK, order].astype(np.float64)
        alarms = np.cumsum(drawn, axis=1)[:, ends]
        found = np.cumsum(drawn * positive[order], axis=1)[:, ends]
        false = alarms - found
        with np.errstate(invalid="ignore", divide="ignore"):
            sensitivity, false_rate = found / found[:, -1:], false / false[:, -1:]
            gained = np.diff(sensitivity, axis=1, prepend=0)
            # Trapezoids: an image of an equal score counts as half overtaken.
            area = (np.diff(false_rate, axis=1, prepend=0) * (sensitivity - gained / 2)).sum(1)
            precision = (gained * np.where(alarms > 0, found / alarms, 0)).sum(1)
        blocks["auroc"].append(area)
        blocks["average_precision"].append(np.where(np.isnan(area), np.nan, precision))
        for s in SPECIFICITIES:
            best = np.where(false_rate <= 1 - s / 100 + 1e-12, sensitivity, 0).max(1)
            blocks[f"sensitivity_at_{s}"].append(np.where(np.isnan(area), np.nan, best))
    return {name: np.concatenate(parts) for name, parts in blocks.items()}


class CalibrationError:
    """Expected calibration error of the top diagnosis, debiased.

    Images are put into CALIBRATION_BINS equally filled bins of the top probability. In a bin, the gap d is the mean of
    r = top probability − (1 if right, else 0). The plain error Σ share · |d| is too large: chance alone makes it about
    0.02 for a perfect model and 2,000 images. So |d| is replaced by 2|d| − E|N(d, s²)| (Kumar, Liang and Ma, 2019),
    the mean of a folded normal distribution, with s the standard error of d. Photographs of one lesion are not
    independent, so s is robust to clusters: s² = Σ_lesions (Σ_{images of the lesion in the bin} (r − d))² / n². The sum
    over the bins is set to zero where it is negative. That takes off nearly all that chance adds to a gap of several
    standard errors, and about two fifths where there is no gap at all.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).
        lesions: N ids; by default every image is of a lesion of its own.

    Attributes:
        bins: int (N,), the bin of each image, from the lowest top probability to the highest.
        confidence, right: float (N,), the top probability, and 1 where the top diagnosis is the true one.
        plain: the error as it is usually given.
        value: debiased.
    """

    def __init__(self, labels: np.ndarray, probabilities: np.ndarray, lesions=None):
        self.confidence = probabilities.max(1)
        self.right = (probabilities.argmax(1) == labels).astype(float)
        edges = np.unique(np.quantile(self.confidence, np.linspace(0, 1, CALIBRATION_BINS + 1)))
        self.bins = np.digitize(self.confidence, edges[1:-1])
        self._lesion = np.arange(len(labels)) if lesions is None else pd.factorize(np.asarray(lesions))[0]
        shares, self._gap, errors = self._gaps(np.ones((1, len(labels))))
        self.plain = float((shares * np.abs(self._gap)).sum())
        self.value = float(debiased(shares, self._gap, errors)[0])

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

        A resampling is drawn from the sample, whose own error, as a population, is the plain one, gaps of chance and
        all: debiased values of resamplings lie around that, not around `value`, and their percentiles would be too
        high. What is learnt from them is the error of the estimate, draw − plain; so each is turned round:
        value − (draw − plain).

        Args:
            weights: of `bootstrap_weights` by the same lesions, float (rounds, N).

        Returns:
            float (rounds,).
        """
        return self.value - (debiased(*self._gaps(weights)) - self.plain)

    def by_chance(self, weights: np.ndarray) -> np.ndarray:
        """Plain errors that a perfectly calibrated model would show on images like these: the gaps of resamplings less
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

        The bootstrap alone would shut out zero for a third of perfect models, since zero is the edge of what an error
        can be; so it is shut out only where the plain error is above the 97.5th percentile of `by_chance`.
        """
        low, high = np.maximum(interval(self.draws(weights)), 0).tolist()
        return [low if self.plain > np.percentile(self.by_chance(weights), 97.5) else 0.0, high]

    def curve(self, weights: np.ndarray) -> list[dict]:
        """The points of a reliability diagram, one a bin.

        Args:
            weights: float (rounds, N).

        Returns:
            "confidence" (mean top probability), "accuracy" (share that was right), its 95 % "interval", "images".
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
        shares, gap, errors: float (rounds, bins); a standard error of 0 takes nothing off.

    Returns:
        float (rounds,).
    """
    standardised = gap / np.where(errors > 0, errors, 1)
    folded = 2 * errors * norm.pdf(standardised) + gap * (1 - 2 * norm.cdf(-standardised))
    return np.maximum((shares * (2 * np.abs(gap) - np.where(errors > 0, folded, np.abs(gap)))).sum(1), 0)


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


def per_class_draws(confusions: np.ndarray) -> dict[str, np.ndarray]:
    """Precision, recall and F1 of each diagnosis for a stack of confusion matrices (rounds, 7, 7); each (rounds, 7).

    As in scikit-learn with zero_division=0, a diagnosis that was never decided has precision 0; the recall and F1 of
    one that a resampling missed are NaN.
    """
    hits = np.diagonal(confusions, axis1=1, axis2=2)
    true, decided = confusions.sum(2), confusions.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "precision": np.where(decided > 0, hits / decided, 0.0),
            "recall": hits / true,
            "f1": np.where(true > 0, 2 * hits / (true + decided), np.nan),
        }


def interval(draws: np.ndarray) -> list[float]:
    """The 95 % percentile interval of what is no NaN; two NaN where nothing is left."""
    if np.isnan(draws).all():
        return [float("nan"), float("nan")]
    return [float(x) for x in np.nanpercentile(draws, [2.5, 97.5])]


def mean_with_interval(values: np.ndarray, weights: np.ndarray) -> dict:
    """The mean of one value an image, {"value": …, "interval": [low, high]}; NaN where there is no image.

    Args:
        values: float (N,).
        weights: of `bootstrap_weights`, float (rounds, N).
    """
    with np.errstate(invalid="ignore"):
        draws = weights @ values / weights.sum(1)
    return {"value": float(values.mean()) if len(values) else float("nan"), "interval": interval(draws)}


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
        self.calibration_error = CalibrationError(labels, probabilities, lesions)
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
        out = {}
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


def rule_in_words(metric: str) -> str:
    """The decision rule of a metric of `Scores.values`: one of RULES in words, or that there is none."""
    rule, dot, _ = metric.partition(".")
    return RULES[rule] if dot else NO_RULE
