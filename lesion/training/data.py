"""A table with its split, and what is fitted on the training part."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import Split, records_of, split_table
from lesion.data.metadata import MetadataEncoder
from lesion.model.calibration import (
    class_weights,
)


@dataclass(frozen=True)
class TrainingData:
    """A table with its split and everything that is fitted on the training part."""

    table: pd.DataFrame
    split: Split
    encoder: MetadataEncoder
    metadata: np.ndarray
    known: np.ndarray
    weights: np.ndarray
    prevalence: np.ndarray

    @property
    def labels(self) -> np.ndarray:
        """int64 (N,)."""
        return self.table.label.to_numpy()


def prepare_data(table: pd.DataFrame, split: str, split_seed: int, class_weighting: str) -> TrainingData:
    """Splits the table, fits the encoder, the class weights and the prevalence on the training part.

    Args:
        table: of `lesion.data.ham10000.read_table`.
        split, split_seed, class_weighting: see `TrainingConfig`.
    """
    split = split_table(table, split, split_seed)
    training = table.iloc[split.training]
    encoder = MetadataEncoder.fit(training.age.to_numpy())
    metadata, known = encoder.encode(records_of(table))
    labels = training.label.to_numpy()
    prevalence = np.bincount(labels, minlength=len(DIAGNOSES)) / len(labels)
    return TrainingData(table, split, encoder, metadata, known, class_weights(labels, class_weighting), prevalence)


def working_size_of(table: pd.DataFrame, evaluation_size: int) -> int:
    """The size every photograph is first shrunk to, pixels on its shorter side.

    It is the median size of the training images, so that a larger copy of one is read like it, and at most three
    times the input, beyond which no detail survives.
    """
    shorter = []
    for path in table.path.iloc[:: max(1, len(table) // 50)]:
        with Image.open(path) as image:
            shorter.append(min(image.size))
    return int(min(np.median(shorter), 3 * evaluation_size))
