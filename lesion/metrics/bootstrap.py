"""Intervals by a bootstrap over lesions."""

import numpy as np
import pandas as pd

from lesion.data.diagnoses import CODES


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
