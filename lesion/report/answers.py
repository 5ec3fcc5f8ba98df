"""What a checkpoint answers on its test part, from the embeddings stored with it.

The classroom (`lesion.teaching`) reads the same embeddings, so that its counts and those of the report are equal.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from lesion.data.ham10000 import read_table, records_of
from lesion.errors import UserError
from lesion.inference.predictor import Predictor
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, SUBSETS, VIEWS, effective
from lesion.model.fusion import head_logits
from lesion.model.held_out import HeldOut

ROUNDS, SEED = 1000, 0
"""Of the bootstrap over the test lesions."""


@dataclass(frozen=True)
class Answers:
    """What a checkpoint answers on its test part.

    Attributes:
        predictor: of the checkpoint.
        held_out: of the checkpoint.
        rows: of the held-out table, those of the test part, int (N,).
        known: which of age, sex and site each record has, bool (N, 3).
        logits: of the head, float (N, 7), by index into SUBSETS.
        probabilities: calibrated, at the data set's prevalence, float (N, 7), by the same.
    """

    predictor: Predictor
    held_out: HeldOut
    rows: np.ndarray
    known: np.ndarray
    logits: dict[int, np.ndarray]
    probabilities: dict[int, np.ndarray]

    @property
    def table(self) -> pd.DataFrame:
        """The test images: image_id, lesion_id, label, dx_type, age, sex, site, test; N rows."""
        return self.held_out.table.iloc[self.rows].reset_index(drop=True)

    @property
    def embeddings(self) -> np.ndarray:
        """float32, of `FusionModel.pool`, N rows."""
        return self.held_out.embeddings[self.rows]

    @property
    def full(self) -> int:
        """The index into SUBSETS of everything the model reads."""
        return EVERYTHING if self.predictor.config.metadata else IMAGE_ALONE

    @property
    def labels(self) -> np.ndarray:
        """int (N,)."""
        return self.table.label.to_numpy()


def answer_test_part(predictor: Predictor) -> Answers:
    """The answers of a checkpoint on its test part; the backbone does not run.

    Raises:
        UserError: the stored embeddings are missing, damaged or of another model.
    """
    held_out = predictor.checkpoint.held_out()
    rows = np.flatnonzero(held_out.table.test)
    metadata, known = predictor.config.encoder.encode(records_of(held_out.table.iloc[rows]))
    subsets = VIEWS.values() if predictor.config.metadata else [IMAGE_ALONE]
    logits = {s: head_logits(predictor.model.head, held_out.embeddings[rows], metadata, SUBSETS[s]) for s in subsets}
    calibrate = predictor.config.calibration.probabilities
    probabilities = {s: calibrate(logits[s], effective(SUBSETS[s], known)) for s in subsets}
    return Answers(predictor, held_out, rows, known, logits, probabilities)


def photographs_of(answers: Answers, data: Path) -> list[Path]:
    """The photograph of each test image.

    Args:
        answers: of the checkpoint.
        data: the data set's folder.

    Raises:
        UserError: the data set cannot be read, or lacks some of the test images.
    """
    paths = read_table(data, verify=False).set_index("image_id").path
    test = list(answers.table.image_id)
    missing = sorted(set(test) - set(paths.index))
    if missing:
        raise UserError(
            f"{data} lacks {len(missing)} of the checkpoint's {len(test)} test images ({missing[0]}, …); give the data "
            "set that it was trained on."
        )
    return list(paths[test])
