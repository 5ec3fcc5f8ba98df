"""Whether a checkpoint answers as the network that was trained: stored embeddings beside fresh ones.

A training and the app run the same network by different code, in different precisions. Whatever makes them differ, a
padding that one of them lost or a photograph cut otherwise, shows in the embeddings and the answers of the held-out
photographs.
"""

import numpy as np
import pandas as pd

from lesion.data.ham10000 import records_of
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import Predictor

PHOTOGRAPHS = 64
EXACT, ROUNDED = (0.002, 0.005), (0.1, 0.05)
"""Largest median relative difference of an embedding, and largest difference of the probabilities in 95 % of the
photographs: where both were computed in float32 (the stored ones are kept in float16), and where one was in bfloat16 or
float16. bfloat16 moves the embeddings of an EfficientNet-Lite2 by 6 %."""


def check_answers(predictor: Predictor, table: pd.DataFrame, count: int = PHOTOGRAPHS) -> tuple[float, float]:
    """Compares a fresh pass over held-out photographs with the stored embeddings and their answers.

    Args:
        predictor: of the checkpoint, as the app runs it.
        table: of `lesion.data.ham10000.read_table`, with the held-out photographs among its rows.
        count: photographs, evenly spaced.

    Returns:
        The median relative difference of the embeddings, and what the largest difference of a photograph's
        probabilities stays below in 95 % of the photographs.

    Raises:
        UserError: they differ by more than the precision explains.
    """
    held_out = predictor.checkpoint.held_out()
    stored = pd.Series(range(len(held_out.table)), index=held_out.table.image_id)
    table = table[table.image_id.isin(stored.index)]
    table = table.iloc[np.unique(np.linspace(0, len(table) - 1, count).round().astype(int))]
    fresh = np.stack([predictor.features(read_image(path)).embedding for path in table.path])
    kept = held_out.embeddings[stored[table.image_id]]
    axes = tuple(range(1, kept.ndim))
    relative = np.sqrt(((fresh - kept) ** 2).sum(axes) / (kept**2).sum(axes))
    metadata, known = predictor.config.encoder.encode(records_of(table))
    answers = [predictor.answers(embeddings, metadata, known) for embeddings in (fresh, kept)]
    found = float(np.median(relative)), float(np.quantile(np.abs(answers[0] - answers[1]).max(1), 0.95))
    precisions = {predictor.precision, predictor.config.embedding_precision}
    allowed = EXACT if precisions == {"float32"} else ROUNDED
    if found[0] > allowed[0] or found[1] > allowed[1]:
        raise UserError(
            f"{predictor.checkpoint.folder} does not answer as the network that was trained: on {len(table)} held-out "
            f"photographs the embeddings differ by {found[0]:.1%} (at most {allowed[0]:.1%} is rounding) and "
            f"probabilities by {found[1]:.3f} (at most {allowed[1]}). Check that data, checkpoint and the versions of "
            "torch and timm belong together; report it if they do."
        )
    return found
