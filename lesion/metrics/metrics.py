"""Metrics of probabilities against labels, each under a named decision rule and with a bootstrap interval by lesion.

Point values are scikit-learn's. Intervals are percentiles over resamplings of lesions, not images, since photographs
of one lesion are not independent; a resampling is a row of image weights, so a confusion matrix under every resampling
is one matrix product, and a ROC curve under every resampling one sort and two cumulative sums.

- Debiased calibration error: Kumar, Liang and Ma, "Verified Uncertainty Calibration" (2019); Guo et al., "On
  Calibration of Modern Neural Networks" (2017), for the error itself.
- Basic bootstrap interval: Davison and Hinkley, "Bootstrap Methods and their Application" (1997), section 5.2.
- McNemar, "Note on the sampling error of the difference between correlated proportions or percentages" (1947), exact.
"""

import numpy as np
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
from lesion.metrics.calibration_error import BLOCK, CALIBRATION_BINS, CalibrationError
from lesion.model.calibration import UNIFORM, reweight

RULES = {"dataset": "data-set prevalence", "uniform": "equal prevalence"}
"""How a diagnosis is chosen: the most probable one, where diagnoses are as common as in the data set, or all equally
common."""
CLASSES = np.arange(len(CODES))
MELANOMA = CODES.index("mel")
MALIGNANT = np.array([d.nature != "benign" for d in DIAGNOSES])
"""bool (7,): melanoma, basal cell carcinoma, and actinic keratosis, which is pre-malignant."""
ALARM_THRESHOLD = 0.2
"""The probability of melanoma at which the melanoma alarm rings, where nobody has chosen another."""
SPECIFICITIES = (90, 95)
"""At which the sensitivity for melanoma is reported, per cent."""
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
        "ece": CalibrationError.of_top_diagnosis(labels, probabilities, lesions).value,
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
    blocks: dict[str, list[np.ndarray]] = {name: [] for name in names}
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
    out: dict[str, object] = dict(probability_metrics(labels, probabilities))
    for rule in RULES:
        decisions = decide(probabilities, prevalence, rule)
        out[rule] = {
            **decision_metrics(labels, decisions),
            "per_class": per_class_metrics(labels, decisions),
            "confusion_matrix": confusion_matrix(labels, decisions, labels=CLASSES).tolist(),
        }
    return out


def rule_in_words(metric: str) -> str:
    """The decision rule of a metric of `Scores.values`: one of RULES in words, or that there is none."""
    rule, dot, _ = metric.partition(".")
    return RULES[rule] if dot else NO_RULE
