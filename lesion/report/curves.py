"""The curves of a report: ROC, precision and recall, learning."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import precision_recall_curve, roc_curve

from lesion.data.diagnoses import CODES
from lesion.errors import UserError

CURVE_POINTS = 60
HISTORY = "history.csv"


def ranking_curves(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, list]]:
    """ROC and precision-recall curves of each diagnosis against the rest.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).

    Returns:
        "roc": by code, at most CURVE_POINTS pairs of 1 − specificity and sensitivity; "precision_recall": of recall
        and precision. Diagnoses without an image, or that all images have, are left out.
    """
    out = {"roc": {}, "precision_recall": {}}
    for k, code in enumerate(CODES):
        positive = labels == k
        if 0 < positive.sum() < len(labels):
            false, found, _ = roc_curve(positive, probabilities[:, k])
            precision, recall, _ = precision_recall_curve(positive, probabilities[:, k])
            out["roc"][code] = thinned(np.column_stack([false, found]))
            out["precision_recall"][code] = thinned(np.column_stack([recall, precision]))
    return out


def thinned(points: np.ndarray) -> list[list[float]]:
    """At most CURVE_POINTS points of a curve, float (n, 2), evenly spaced along it, its ends among them."""
    along = np.concatenate([[0], np.abs(np.diff(points, axis=0)).sum(1).cumsum()])
    wanted = np.searchsorted(along, np.linspace(0, along[-1], CURVE_POINTS - 1))
    return points[np.unique(np.append(wanted, len(points) - 1))].round(5).tolist()


def learning_curves(folder: Path) -> dict[str, dict[str, list]]:
    """{"learning": the columns of the training's history by name}; empty where the checkpoint has no history.

    Raises:
        UserError: the history cannot be read.
    """
    path = folder / HISTORY
    if not path.exists():
        return {}
    try:
        return {"learning": pd.read_csv(path).to_dict("list")}
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); restore it, or remove it.") from None
