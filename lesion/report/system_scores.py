"""The reference systems scored on their test parts."""

from pathlib import Path

import numpy as np
import pandas as pd

from lesion.data.ham10000 import records_of
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, interval
from lesion.metrics.scores import Scores
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, SUBSETS
from lesion.model.checkpoint import load_checkpoint
from lesion.report.systems import SYSTEMS


def test_answers(folder: Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """What a finished training answers on its test part, from the embeddings stored with it.

    Args:
        folder: of the checkpoint.

    Returns:
        The table of the test images, their probabilities, float64 (N, 7), and the training part's prevalence, (7,).
    """
    checkpoint = load_checkpoint(folder)
    held_out = checkpoint.held_out()
    rows = np.flatnonzero(held_out.table.test)
    table = held_out.table.iloc[rows]
    metadata, known = checkpoint.config.encoder.encode(records_of(table))
    present = SUBSETS[EVERYTHING if checkpoint.config.metadata else IMAGE_ALONE]
    probabilities = Predictor(checkpoint).answers(held_out.embeddings[rows], metadata, known, present)
    return table, probabilities, checkpoint.config.calibration.prevalence


def mean_over_seeds(scores: list[Scores], other: list[Scores] | None = None) -> dict[str, dict]:
    """Figures averaged over seeds, with intervals, or their paired differences from another system's.

    Args:
        scores: of a system, one a seed.
        other: of the system to subtract, on the same test images with the same bootstrap weights.

    Returns:
        {metric: {"value", "interval", "seeds": the value of each seed}}, of all metrics but the calibration error.
    """
    out = {}
    for name in scores[0].values.keys() - {"ece"}:  # its interval is no percentile of draws
        values, draws = [s.values[name] for s in scores], [s.draws[name] for s in scores]
        if other is not None:
            values = [a - b.values[name] for a, b in zip(values, other, strict=True)]
            draws = [a - b.draws[name] for a, b in zip(draws, other, strict=True)]
        out[name] = {"value": float(np.mean(values)), "interval": interval(np.mean(draws, axis=0)), "seeds": values}
    return out


def compare(folders: dict[str, list[Path]]) -> dict[str, dict]:
    """Scores finished trainings on their test parts.

    Args:
        folders: by a system's key, its checkpoints, one a seed, the same seeds for all.

    Returns:
        By key: "metrics", with the images and lesions they are of, and for every system split by lesion but the first
        "first minus this", paired.
    """
    splits = {system.key: system.split for system in SYSTEMS}
    scores: dict[str, list[Scores]] = {key: [] for key in folders}
    out, weights = {}, {}
    for key, runs in folders.items():
        for folder in runs:
            table, probabilities, prevalence = test_answers(folder)
            if splits[key] not in weights:
                weights[splits[key]] = bootstrap_weights(table.lesion_id)
            labels, weighting = table.label.to_numpy(), weights[splits[key]]
            scores[key].append(Scores(labels, probabilities, prevalence, weighting, table.lesion_id))
        out[key] = {
            "images": len(table),
            "lesions": int(table.lesion_id.nunique()),
            "metrics": mean_over_seeds(scores[key]),
        }
    first = SYSTEMS[0].key
    for key in folders:
        if key != first and splits[key] == splits[first]:
            out[key]["first minus this"] = mean_over_seeds(scores[first], scores[key])
    return out
