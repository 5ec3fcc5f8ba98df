"""The held-out photographs nearest to a photograph in the embedding, by cosine similarity."""

import numpy as np
import pandas as pd

from lesion.model.fusion import one_an_image
from lesion.model.held_out import HeldOut


class NearestHeldOut:
    """Finds the held-out photographs that the network embeds most like another one.

    Args:
        held_out: of a checkpoint, N photographs.
    """

    def __init__(self, held_out: HeldOut):
        self.directions = directions_of(held_out.embeddings)
        self.lesions = pd.factorize(held_out.table.lesion_id)[0]

    def find(
        self, embeddings: np.ndarray, own: np.ndarray, count: int, candidates: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest of each of Q photographs, the nearest first; of equally near ones the first in the table.

        Args:
            embeddings: float32, of `FusionModel.pool`, Q rows.
            own: int (Q,), the row of each photograph in the table, or -1 where it is none of the held-out ones.
                Photographs of its own lesion, and it itself, are never found.
            count: how many to find.
            candidates: bool (N,), those to look among; by default all.

        Returns:
            Rows of the table, int (Q, count), and their cosine similarities, float32 (Q, count). Where there are fewer
            candidates, the rows that are too many are -1 and their similarities -inf.
        """
        similarities = directions_of(embeddings) @ self.directions.T
        similarities[(own >= 0)[:, None] & (self.lesions[own][:, None] == self.lesions)] = -np.inf
        if candidates is not None:
            similarities[:, ~candidates] = -np.inf
        rows = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
        similarities = np.take_along_axis(similarities, rows, axis=1)
        return np.where(np.isinf(similarities), -1, rows), similarities


def directions_of(embeddings: np.ndarray) -> np.ndarray:
    """Image embeddings of `FusionModel.pool` as vectors of length 1, float32 (N, D)."""
    vectors = one_an_image(embeddings)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
