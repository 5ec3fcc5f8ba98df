"""Which photographs a checkpoint has seen: seen_photographs.safetensors.

It says so without showing or naming any. An image's id is kept as a part of its SHA-256, so that photographs of another
collection that the model was trained on can be told from those that are new to it. A photograph of the data set is kept
as a perceptual hash, so that it is recognised at any size: as one that the model was trained on, or as one held out.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from lesion.data.perceptual_hash import BYTES, distances, signs
from lesion.errors import UserError
from lesion.model.held_out import serialise

FILE = "seen_photographs.safetensors"
MAKE_ONE = "Make it again with `python -m lesion.photographs --data PATH_TO_HAM10000 --checkpoint DIR`."
SMALL_COPY = "_downsampled"
"""The ISIC archive adds this to the id of a photograph that it has made smaller."""


def hashed_id(image_id: str) -> int:
    """The first eight bytes of the SHA-256 of an image's id; the same for a small copy of the ISIC archive."""
    name = image_id.removesuffix(SMALL_COPY)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def hashed_ids(image_ids: Iterable[str]) -> np.ndarray:
    """`hashed_id` of each, uint64, sorted, each once."""
    return np.unique(np.fromiter(map(hashed_id, image_ids), np.uint64))


def digest_of(image_ids: Iterable[str]) -> str:
    """A hexadecimal hash of a list of ids in their order."""
    return hashlib.sha256("\n".join(image_ids).encode()).hexdigest()


def no_ids() -> np.ndarray:
    return np.empty(0, np.uint64)


def no_hashes() -> np.ndarray:
    return np.empty((0, BYTES), np.uint8)


class Match(NamedTuple):
    """The photograph of the data set that a picture shows.

    Attributes:
        row: of held_out.safetensors; None where the model was trained on it.
    """

    row: int | None


@dataclass(frozen=True)
class SeenPhotographs:
    """What a checkpoint says of the photographs it has seen.

    Attributes:
        ids: `hashed_ids` of the photographs that its start, its teacher and its training read or were chosen by; none
            where the checkpoint does not say.
        unlisted: names of further sources, whose ids are not known.
        training: perceptual hashes of the training part, uint8 (N, BYTES); none where the checkpoint has none.
        held_out: the same of the held-out images, in the order of held_out.safetensors.
        held_out_ids: `digest_of` the ids of these.
        threshold: bits by which the hashes of a picture and of a photograph that it shows differ at most.
    """

    ids: np.ndarray = field(default_factory=no_ids)
    unlisted: tuple[str, ...] = ()
    training: np.ndarray = field(default_factory=no_hashes)
    held_out: np.ndarray = field(default_factory=no_hashes)
    held_out_ids: str = ""
    threshold: int = 0

    def contains_id(self, image_id: str) -> bool:
        """Whether the checkpoint has seen the image, as far as it says."""
        return bool(np.isin(np.uint64(hashed_id(image_id)), self.ids))

    @cached_property
    def _signs(self) -> np.ndarray:
        """Of the training part, then of the held-out images."""
        return signs(np.concatenate([self.training, self.held_out]))

    def find(self, perceptual_hash: np.ndarray) -> Match | None:
        """The photograph of the data set that a picture shows, None for any other picture.

        Args:
            perceptual_hash: of the picture, uint8 (BYTES,).
        """
        if not len(self._signs):
            return None
        found = distances(signs(perceptual_hash)[None], self._signs)[0]
        nearest = int(found.argmin())
        if found[nearest] > self.threshold:
            return None
        row = nearest - len(self.training)
        return Match(row if row >= 0 else None)

    def content(self) -> bytes:
        """The file's content."""
        texts = {"unlisted": json.dumps(self.unlisted), "held_out_ids": self.held_out_ids}
        arrays = {"ids": self.ids, "training": self.training, "held_out": self.held_out}
        return serialise(arrays, {**texts, "threshold": str(self.threshold)})


def together(*parts: SeenPhotographs) -> SeenPhotographs:
    """What several sources have seen, their ids only."""
    unlisted = dict.fromkeys(name for part in parts for name in part.unlisted)
    return SeenPhotographs(np.unique(np.concatenate([part.ids for part in parts])), tuple(unlisted))


def read_seen(folder: Path) -> SeenPhotographs:
    """Reads seen_photographs.safetensors of a checkpoint folder; where there is none, nothing is known.

    Raises:
        UserError: it is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return SeenPhotographs()
    try:
        with safe_open(path, "np") as file:
            ids, training, held_out = (file.get_tensor(name) for name in ("ids", "training", "held_out"))
            texts = file.metadata()
        unlisted, threshold = json.loads(texts["unlisted"]), int(texts["threshold"])
        if ids.dtype != np.uint64 or ids.ndim != 1 or not all(isinstance(name, str) for name in unlisted):
            raise ValueError("its ids are something else")
        if any(hashes.dtype != np.uint8 or hashes.shape[1:] != (BYTES,) for hashes in (training, held_out)):
            raise ValueError("its perceptual hashes are something else")
        return SeenPhotographs(ids, tuple(unlisted), training, held_out, texts["held_out_ids"], threshold)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}). {MAKE_ONE}") from None
