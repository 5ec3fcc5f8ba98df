"""Which epoch of a fine-tuning is kept, and how firmly the validation part says so."""

import io
from pathlib import Path

import numpy as np

from lesion.files import write_atomically
from lesion.metrics.bootstrap import bootstrap_weights

FILE = "validation_losses.npy"
ROUNDS = 1000


def note_losses(folder: Path, epoch: int, losses: np.ndarray) -> None:
    """Keeps an epoch's losses beside those of the epochs before it.

    Args:
        folder: of the training's state.
        epoch: counted from 1.
        losses: float (N,), of every validation photograph.

    Raises:
        UserError: the file cannot be written.
    """
    earlier = read_losses(folder)[: epoch - 1] if epoch > 1 else np.empty((0, len(losses)))
    content = io.BytesIO()
    np.save(content, np.vstack([earlier, losses]), allow_pickle=False)
    write_atomically(folder / FILE, lambda path: path.write_bytes(content.getvalue()))


def read_losses(folder: Path) -> np.ndarray:
    """float (epochs, N), of `note_losses`."""
    return np.load(folder / FILE, allow_pickle=False)


def agreement(losses: np.ndarray, lesion_ids: np.ndarray) -> float:
    """How often a bootstrap of the validation lesions would have chosen the same epoch.

    Args:
        losses: float (candidates, N).
        lesion_ids: of the N validation photographs.

    Returns:
        A share of ROUNDS draws.
    """
    weights = bootstrap_weights(lesion_ids, ROUNDS)
    return float((np.argmin(losses @ weights.T, axis=0) == np.argmin(losses.mean(1))).mean())
