"""Which photographs a checkpoint has seen: seen_photographs.safetensors.

It says so without showing or naming any: an image's id is kept as a part of its SHA-256. So photographs of another
collection that the model was trained on can be told from those that are new to it.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

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


@dataclass(frozen=True)
class SeenPhotographs:
    """What a checkpoint says of the photographs it has seen.

    Attributes:
        ids: `hashed_ids` of the photographs that its start, its teacher and its training read or were chosen by; none
            where the checkpoint does not say.
        unlisted: names of further sources, whose ids are not known.
    """

    ids: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    unlisted: tuple[str, ...] = ()

    def contains_id(self, image_id: str) -> bool:
        """Whether the checkpoint has seen the image, as far as it says."""
        return bool(np.isin(np.uint64(hashed_id(image_id)), self.ids))

    def content(self) -> bytes:
        """The file's content."""
        return serialise({"ids": self.ids}, {"unlisted": json.dumps(self.unlisted)})


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
            ids, unlisted = file.get_tensor("ids"), json.loads(file.metadata()["unlisted"])
        if ids.dtype != np.uint64 or ids.ndim != 1 or not all(isinstance(name, str) for name in unlisted):
            raise ValueError("it holds something else")
        return SeenPhotographs(ids, tuple(unlisted))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read ({error}). {MAKE_ONE}") from None
