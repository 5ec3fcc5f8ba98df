"""The photographs in use between clicks: a bounded least-recently-used store."""

import hashlib
import io
import os
import threading
import time
from collections import OrderedDict
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lesion.data.metadata import Metadata
from lesion.data.perceptual_hash import perceptual_hash
from lesion.data.reading import read_image
from lesion.data.transforms import shrink
from lesion.errors import UserError
from lesion.inference.features import Features
from lesion.inference.predictor import Predictor

DISPLAY_SIZE = 1200
"""Longer side of a photograph on the screen, pixels at most."""


@dataclass(frozen=True)
class Photograph:
    """What is kept of a photograph between clicks.

    Attributes:
        key: SHA-256 of the file.
        features: of the backbone.
        jpeg: the photograph for the screen, at most DISPLAY_SIZE pixels on its longer side.
        perceptual_hash: see `lesion.data.perceptual_hash`.
    """

    key: bytes
    features: Features
    jpeg: bytes
    perceptual_hash: bytes


class PhotographStore:
    """The photographs in use, by content, the least recently used dropped first.

    The key is a hash of the file, so a visitor can see only photographs whose file they have.

    Args:
        predictor: runs the backbone once for each new photograph.
        capacity: photographs kept.
        kept: seconds after its last use that a photograph is kept; then it is read again.
    """

    def __init__(self, predictor: Predictor, capacity: int = 128, kept: float = 40 * 60):
        self.predictor, self.capacity, self.kept = predictor, capacity, kept
        self._photographs: OrderedDict[bytes, Photograph] = OrderedDict()
        self._used_at: dict[bytes, float] = {}
        self._pending: dict[bytes, Future[Photograph]] = {}
        self._lock = threading.Lock()

    def get(self, path: str | Path, metadata: Metadata | None = None) -> Photograph:
        """The photograph in a file, from the store or through the backbone.

        Args:
            path: of the file; `mark_as_used` is called on it.
            metadata: see `Predictor.features`.

        Raises:
            UserError: the file cannot be read as a photograph.
        """
        try:
            content = Path(path).read_bytes()
        except OSError:
            raise UserError("The photograph is no longer on the server; please upload it again.") from None
        mark_as_used(Path(path))
        key = hashlib.sha256(content).digest()
        with self._lock:
            for old in [k for k, used_at in self._used_at.items() if time.monotonic() - used_at > self.kept]:
                del self._photographs[old], self._used_at[old]
            if key in self._photographs:
                self._photographs.move_to_end(key)
                self._used_at[key] = time.monotonic()
                return self._photographs[key]
            pending = self._pending.get(key)
            if pending is None:
                ours = self._pending[key] = Future()
        if pending is not None:  # where a class opens the same photograph at once, one request runs the backbone
            return pending.result()
        try:
            photograph = self._read(key, content, metadata)
        except BaseException as error:
            ours.set_exception(error)
            raise
        else:
            with self._lock:
                self._photographs[key], self._used_at[key] = photograph, time.monotonic()
                while len(self._photographs) > self.capacity:
                    del self._used_at[self._photographs.popitem(last=False)[0]]
            ours.set_result(photograph)
            return photograph
        finally:
            with self._lock:
                del self._pending[key]

    def _read(self, key: bytes, content: bytes, metadata: Metadata | None) -> Photograph:
        image = read_image(content, "The file")
        shown = io.BytesIO()
        shrink(image, DISPLAY_SIZE).save(shown, "JPEG", quality=90)
        features = self.predictor.features(image, metadata)
        return Photograph(key, features, shown.getvalue(), perceptual_hash(image).tobytes())


def mark_as_used(path: Path) -> None:
    """Renews the time of a file's last change of any kind, by which the app removes unused uploads. Its content and the
    time of its last writing stay."""
    with suppress(OSError):  # a file of another user is not an upload
        found = path.stat()
        os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
