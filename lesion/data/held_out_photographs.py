"""Small copies of a checkpoint's held-out photographs, so that the classroom can show the cases it talks about."""

import hashlib
import re
import zipfile
from contextlib import suppress
from pathlib import Path

FILE = "held_out_photographs.zip"
FILE_OF_FORMAT_2 = "photographs.zip"
"""Of whole frames, not squares. It can go as soon as weights/ is of format 3."""
LARGEST = 2**20
"""Bytes of a photograph at most; these copies are small."""


def find_file(folder: Path) -> Path:
    """Where the held-out photographs of a checkpoint folder are: in it, or beside it for several checkpoints that hold
    out the same; where there are none, where they would be."""
    places = (folder / FILE_OF_FORMAT_2, folder / FILE, folder.absolute().parent / FILE)
    return next((path for path in places if path.is_file()), folder / FILE)


class HeldOutPhotographs:
    """The photographs of a checkpoint folder, read when asked for.

    Args:
        folder: of the checkpoint. It may have none; what is damaged or too large in its file is left out.
    """

    def __init__(self, folder: Path):
        self.path = find_file(folder)
        self._ids, names = {}, set()
        with suppress(OSError, zipfile.BadZipFile):
            # It stays open, as several threads may read it: to list thousands of entries anew takes 20 ms.
            self._archive = zipfile.ZipFile(self.path)
            for entry in self._archive.infolist():
                # An entry of a file from elsewhere can be wrong in many ways; zipfile and zlib raise many exceptions.
                with suppress(Exception):
                    if re.fullmatch(r"\w+\.jpg", entry.filename) and entry.file_size <= LARGEST:
                        self._ids[hashlib.sha256(self._archive.read(entry)).digest()] = Path(entry.filename).stem
                        names.add(entry.filename)
        self.names = frozenset(names)

    def __contains__(self, image_id: str) -> bool:
        return f"{image_id}.jpg" in self.names

    def read(self, image_id: str) -> bytes:
        """The JPEG file of an image that is contained."""
        return self._archive.read(f"{image_id}.jpg")

    def image_id_of(self, key: bytes) -> str | None:
        """The id of the image whose file has this SHA-256, or None."""
        return self._ids.get(key)
