"""Which of the checkpoint's own photographs a picture shows: nobody should take the answer about a photograph that the
model was trained on for a test of the model."""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.errors import UserError
from lesion.inference.photograph_store import Photograph
from lesion.model.seen import MAKE_ONE, Match, digest_of, read_seen
from lesion.teaching.cohort import Cohort


class Recognised(NamedTuple):
    """What is known of a photograph.

    Attributes:
        image_id: its id, where it is a held-out one.
        truth: its confirmed diagnosis, a code, where it is a held-out one or an example.
        trained_on: whether the model was trained on it.
    """

    image_id: str | None = None
    truth: str | None = None
    trained_on: bool = False


class Recognition:
    """Recognises the photographs of a checkpoint's data set: held-out ones by their small copies' files, all of them at
    any size by perceptual hashes, as far as the checkpoint has these.

    Args:
        cohort: the held-out images.
        photographs: their small copies.
        examples: ids and confirmed diagnoses, codes, of the photographs that come with the app, by the SHA-256 of
            their files. A checkpoint of another split may not hold them out.

    Raises:
        UserError: what the checkpoint says of the photographs it has seen is damaged, or of another checkpoint.
    """

    def __init__(self, cohort: Cohort, photographs: HeldOutPhotographs, examples: Mapping[bytes, tuple[str, str]]):
        folder = cohort.predictor.checkpoint.folder
        seen = read_seen(folder)
        if len(seen.held_out) and seen.held_out_ids != digest_of(cohort.table.image_id):
            raise UserError(f"What {folder} says of the photographs it has seen is of another checkpoint. {MAKE_ONE}")
        self._cohort, self._photographs, self._examples = cohort, photographs, examples

        @lru_cache(128)  # each change of age, sex or site asks again
        def find(perceptual_hash: bytes) -> Match | None:
            return seen.find(np.frombuffer(perceptual_hash, np.uint8))

        self._find = find

    def of(self, photograph: Photograph) -> Recognised:
        """What is known of a photograph; nothing of most."""
        example, truth = self._examples.get(photograph.key, (None, None))
        row = self._cohort.row_of.get(self._photographs.image_id_of(photograph.key) or example)
        if row is None:
            match = self._find(photograph.perceptual_hash)
            if match is None or match.row is None:
                return Recognised(truth=truth, trained_on=match is not None)
            row = match.row
        return Recognised(self._cohort.table.image_id.iloc[row], CODES[self._cohort.labels[row]])
