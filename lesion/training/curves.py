"""The learning curves of a training."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from lesion.files import write_atomically

DPI = 110
WIDTH = 6.4
"""Inches."""
SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG."""
    write_atomically(path, lambda partial: figure.savefig(partial, dpi=DPI, format="png"))


def draw_learning(report: dict, path: Path) -> None:
    """Losses and validation metrics epoch by epoch, from the training's history."""
    history = report["curves"]["learning"]
    figure = Figure(figsize=(WIDTH, 7.2), layout="constrained")
    losses, shares = figure.subplots(2, 1, sharex=True)
    for axes, ending, empty in ((losses, "loss", "upper right"), (shares, "accuracy", "lower right")):
        names = [name for name in history if name.endswith(ending)]
        for name, colour in zip(names, SERIES, strict=False):
            label = name.replace("_", " ").replace("image alone balanced", "image alone, balanced")
            axes.plot(history["epoch"], history[name], marker="o", markersize=4, color=colour, label=label)
        axes.grid(alpha=0.3)
        axes.legend(loc=empty)
    losses.set(ylabel="loss, nats", title="Learning curves", ylim=(0, None))
    shares.set(xlabel="epoch", ylabel="share of validation images", ylim=(0, 1))
    shares.xaxis.get_major_locator().set_params(integer=True)
    save(figure, path)


def history_files(history: list[dict]) -> dict[str, Callable[[Path], None]]:
    """What writes history.csv and curves.png, by name."""
    frame = pd.DataFrame(history)
    return {
        "history.csv": lambda path: frame.to_csv(path, index=False),
        "curves.png": lambda path: draw_learning({"curves": {"learning": frame.to_dict("list")}}, path),
    }
