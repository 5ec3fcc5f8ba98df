"""The report's metrics: their names for people, what they mean, and tables of them."""

import html
from collections.abc import Sequence

from lesion.metrics.metrics import RULES, rule_in_words
from lesion.ui.html.report.tables import (
    Column,
    Row,
    difference,
    measured,
    note,
    table,
)

VIEW_WORDS = {
    "fused": "with photograph and metadata",
    "image alone": "with the photograph alone",
    "metadata alone": "with age, sex and body site alone",
}
"""The report's views in words."""
METRICS = {
    "accuracy": "Accuracy",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "balanced_accuracy": "Balanced accuracy",
    "log_loss": "Log-loss",
    "macro_auroc": "Macro AUROC",
    "malignant_auroc": "AUROC, malignant against benign",
    "melanoma_sensitivity_at_90_specificity": "Melanomas found at 90 % specificity",
    "melanoma_sensitivity_at_95_specificity": "Melanomas found at 95 % specificity",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "Average precision",
}
"""Names for people, by the report's."""
LOWER_IS_BETTER = ("log_loss", "brier", "ece")
HEADLINE = (
    "dataset.accuracy",
    "dataset.weighted_f1",
    "dataset.macro_f1",
    "uniform.balanced_accuracy",
    "log_loss",
    "macro_auroc",
    "malignant_auroc",
    "melanoma_sensitivity_at_90_specificity",
    "melanoma_sensitivity_at_95_specificity",
    "brier",
    "ece",
)
OTHER_RULE = (
    "uniform.accuracy",
    "uniform.weighted_f1",
    "uniform.macro_f1",
    "dataset.balanced_accuracy",
)
PER_CLASS = ("precision", "recall", "f1")
RANKING = ("auroc", "average_precision")


def metric_name(metric: str) -> str:
    """A metric of `lesion.metrics.scores.Scores.values` for people, as text."""
    return METRICS[metric.rpartition(".")[2]]


def definitions(report: dict, metrics: Sequence[str]) -> str:
    """What the metrics mean, folded up; nothing where the report does not say."""
    known = report.get("definitions", {})
    keys = [key for key in METRICS if key in {m.rpartition(".")[2] for m in metrics} and key in known]
    items = "".join(f"<dt>{html.escape(METRICS[key])}</dt><dd>{html.escape(known[key])}</dd>" for key in keys)
    return f"<details><summary>What these figures mean</summary><dl>{items}</dl></details>" if items else ""


def metrics_table(report: dict, columns: dict[str, dict], metrics: Sequence[str], differences: Sequence[str]) -> str:
    """A row a metric, with the rule it is decided under.

    Args:
        report: for the definitions.
        columns: by name, metrics as of `lesion.metrics.scores.Scores.with_intervals`.
        metrics: to show; those that no column has are left out.
        differences: the columns whose values are written with their sign.
    """
    rows = []
    for metric in metrics:
        if not any(metric in values for values in columns.values()):
            continue
        key = metric.rpartition(".")[2]
        rule = rule_in_words(metric)
        notes = [f"decided under {rule}" if rule in RULES.values() else "no decision: uses the probabilities"]
        if key in LOWER_IS_BETTER:
            notes.append("lower is better")
        cells = [
            (difference if name in differences else measured)(values.get(metric)) for name, values in columns.items()
        ]
        head = metric_name(metric) + note("; ".join(notes))
        rows.append(Row(head, cells, report.get("definitions", {}).get(key, "")))
    return table([Column(name) for name in columns], {"": rows})
