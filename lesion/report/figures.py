"""The figures of a report, drawn from report.json's numbers alone.

One column of panels, so that they can be read on a phone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.metrics.metrics import CLASSES, RULES
from lesion.training.curves import WIDTH, draw_learning, save

LEARNING_CURVES = "curves.png"
BEFORE, AFTER = "#999999", "#0072B2"


def draw_confusion(report: dict, path: Path) -> None:
    """Confusion matrices under both rules: counts, and the share of the true diagnosis's images as per cent."""
    figure = Figure(figsize=(WIDTH, 12.2), layout="constrained")
    for axes, (rule, name) in zip(figure.subplots(2, 1), RULES.items(), strict=True):
        counts = np.array(report[f"confusion matrix, {name}"])
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), number in np.ndenumerate(counts):
            share = f"{shares[row, column]:.0%}" if shares[row, column] >= 0.005 else "<1%"
            text = f"{number}\n{share}" if number else "0"
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
        metrics = report["metrics"][next(iter(report["metrics"]))]
        accuracy, balanced = (metrics[f"{rule}.{m}"]["value"] for m in ("accuracy", "balanced_accuracy"))
        axes.set(
            xticks=CLASSES, xticklabels=CODES, yticks=CLASSES, yticklabels=CODES, xlabel="decided", ylabel="confirmed",
            title=f"Decided under {name}\naccuracy {accuracy:.3f}, balanced accuracy {balanced:.3f}",
        )  # fmt: skip
    save(figure, path)


def draw_roc(report: dict, path: Path) -> None:
    """ROC curve of each diagnosis against the rest, with its AUROC and interval."""
    figure = Figure(figsize=(WIDTH, 6.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
    draw_per_class(axes, report, "roc", "auroc")
    axes.set(xlabel="1 − specificity", ylabel="sensitivity", title="ROC, each diagnosis against the rest", aspect=1)
    axes.legend(loc="lower right", title="AUROC (95 % interval)", framealpha=1)  # where no useful curve goes
    save(figure, path)


def draw_precision_recall(report: dict, path: Path) -> None:
    """Precision-recall curve of each diagnosis against the rest, with its average precision and interval."""
    figure = Figure(figsize=(WIDTH, 8.3), layout="constrained")
    axes = figure.subplots()
    draw_per_class(axes, report, "precision_recall", "average_precision")
    axes.set(
        xlabel="recall", ylabel="precision", title="Precision and recall, each diagnosis against the rest", aspect=1,
        ylim=(-0.02, 1.02),
    )  # fmt: skip
    figure.legend(loc="outside lower center", title="average precision (95 % interval), chance", frameon=False)
    save(figure, path)


def draw_per_class(axes: Axes, report: dict, curve: str, metric: str) -> None:
    """The curves of the diagnoses in their colours, the metric of each, and what chance gives, as labels."""
    per_class = report[f"per class, {RULES['dataset']}"]
    for code, points in report["curves"][curve].items():
        row = per_class[code]
        low, high = row[metric]["interval"]
        label = f"{code}: {row[metric]['value']:.3f} ({low:.3f} to {high:.3f})"
        if metric == "average_precision":
            label += f", {row['images'] / report['images']:.3f}"
        axes.plot(*np.array(points).T, color=BY_CODE[code].colour, linewidth=1.8, label=label)


def draw_reliability(report: dict, path: Path) -> None:
    """How often the top diagnosis is right against its probability, before and after calibration, with intervals."""
    curves = report["curves"]["reliability"]
    figure = Figure(figsize=(WIDTH, 5.9 * len(curves)), layout="constrained")
    for axes, (name, both) in zip(np.atleast_1d(figure.subplots(len(curves), 1)), curves.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="0.7", linestyle="--")
        for when, colour, marker in (("before", BEFORE, "s"), ("after", AFTER, "o")):
            points, ece = both[when], report["calibration"][name][when]["ece"]
            x, y = (np.array([p[of] for p in points]) for of in ("confidence", "accuracy"))
            low, high = np.array([p["interval"] for p in points]).T
            label = f"{when}: error {ece['value']:.3f} ({ece['interval'][0]:.3f} to {ece['interval'][1]:.3f})"
            axes.errorbar(
                x, y, [np.maximum(y - low, 0), np.maximum(high - y, 0)], color=colour, marker=marker, markersize=5,
                elinewidth=1, label=label,
            )  # fmt: skip
        axes.set(
            xlabel="probability of the top diagnosis", ylabel="share that was right", xlim=(0, 1.02), ylim=(0, 1.02),
            title=f"Calibration with {name}", aspect=1,
        )  # fmt: skip
        axes.legend(loc="upper left", frameon=False, title="calibration", alignment="left")
    save(figure, path)


@dataclass(frozen=True)
class ReportFigure:
    """One of a report's figures.

    Attributes:
        title: in words.
        draw: (report, path of the PNG).
    """

    title: str
    draw: Callable[[dict, Path], None]


FIGURES = {
    "confusion.png": ReportFigure("Confusion matrices", draw_confusion),
    "roc.png": ReportFigure("ROC curves", draw_roc),
    "precision_recall.png": ReportFigure("Precision-recall curves", draw_precision_recall),
    "reliability.png": ReportFigure("Reliability before and after calibration", draw_reliability),
    LEARNING_CURVES: ReportFigure("Learning curves", draw_learning),
}


def figures_of(report: dict) -> dict[str, ReportFigure]:
    """The figures that a report has the numbers for, by file name."""
    return {name: f for name, f in FIGURES.items() if name != LEARNING_CURVES or "learning" in report["curves"]}
