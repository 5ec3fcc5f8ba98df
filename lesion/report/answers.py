"""What a checkpoint answers on its test part."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lesion.data.ham10000 import read_table, records_of
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import Predictor
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, SUBSETS, VIEWS, effective
from lesion.model.checkpoint import HELD_OUT
from lesion.model.fusion import head_logits
from lesion.model.held_out import read_held_out

ROUNDS, SEED = 1000, 0
"""Of the bootstrap over the test lesions."""


@dataclass(frozen=True)
class Answers:
    """What a checkpoint answers on its test part.

    Attributes:
        predictor: that answered.
        table: of `read_table`, the test images.
        embeddings: float32, of `FusionModel.pool`, N rows.
        known: which of age, sex and site each record has, bool (N, 3).
        logits: of the head, float (N, 7), by index into SUBSETS.
        probabilities: calibrated, at the data set's prevalence, float (N, 7), by the same.
    """

    predictor: Predictor
    table: pd.DataFrame
    embeddings: np.ndarray
    known: np.ndarray
    logits: dict[int, np.ndarray]
    probabilities: dict[int, np.ndarray]

    @property
    def full(self) -> int:
        """The index into SUBSETS of everything the model reads."""
        return EVERYTHING if self.predictor.config.metadata else IMAGE_ALONE

    @property
    def labels(self) -> np.ndarray:
        """int (N,)."""
        return self.table.label.to_numpy()


def held_out_test(predictor: Predictor) -> list[str]:
    """The image ids of a checkpoint's test part."""
    held_out = read_held_out(predictor.checkpoint.folder / HELD_OUT).table
    return list(held_out.image_id[held_out.test])


def answer_test_part(predictor: Predictor, data: Path) -> Answers:
    """Runs a checkpoint over its test images, from the files, as the app would.

    Args:
        predictor: its held-out table names the test images.
        data: the data set's folder.

    Raises:
        UserError: test images are not in the data set.
    """
    test = held_out_test(predictor)
    table = read_table(data, verify=False).set_index("image_id", drop=False)
    missing = sorted(set(test) - set(table.index))
    if missing:
        raise UserError(f"{data} lacks {len(missing)} of the checkpoint's {len(test)} test images: {missing[0]}, …")
    table = table.loc[test].reset_index(drop=True)
    images = tqdm(table.path, desc="Test images", unit="image")
    embeddings = np.stack([predictor.features(read_image(path)).embedding for path in images])
    metadata, known = predictor.config.encoder.encode(records_of(table))
    subsets = VIEWS.values() if predictor.config.metadata else [IMAGE_ALONE]
    logits = {s: head_logits(predictor.model.head, embeddings, metadata, SUBSETS[s]) for s in subsets}
    calibrate = predictor.config.calibration.probabilities
    probabilities = {s: calibrate(logits[s], effective(SUBSETS[s], known)) for s in subsets}
    return Answers(predictor, table, embeddings, known, logits, probabilities)
