"""Classified photographs as folders named by their class, on disk or in a zip file."""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from lesion.data.reading import SUFFIXES, read_image
from lesion.errors import UserError


class ClassFolders:
    """The photographs of one source, whose classes are its own.

    Args:
        source: a folder or a zip file; it holds CLASS/NAME.jpg, possibly deeper.

    Raises:
        UserError: it does not exist, or holds fewer than two classes.
    """

    def __init__(self, source: Path):
        self.source = source
        self._archive: zipfile.ZipFile | None = None
        if source.is_dir():
            entries = [(str(p.relative_to(source)), p.stat().st_size) for p in source.rglob("*") if p.is_file()]
        elif zipfile.is_zipfile(source):
            self._archive = zipfile.ZipFile(source)  # its reads take turns, so that threads may share it
            entries = [(entry.filename, entry.CRC) for entry in self._archive.infolist()]
        else:
            raise UserError(f"{source} is neither a folder nor a zip file; give folders or zip files of class folders.")
        entries = sorted(e for e in entries if Path(e[0]).suffix.lower() in SUFFIXES and Path(e[0]).parent.name)
        self.names = [name for name, _ in entries]
        self.identities = [f"{name} {mark}" for name, mark in entries]
        """Of each photograph, its name and its size or checksum: another where the content is another."""
        of_class = [Path(name).parent.name for name in self.names]
        self.classes = sorted(set(of_class))
        if len(self.classes) < 2:
            raise UserError(
                f"{source} holds images of {len(self.classes)} classes; pretraining needs at least two folders of "
                "images, each named by its class."
            )
        self.labels = np.searchsorted(self.classes, of_class)
        """int (N,), indices into `classes`."""

    def __len__(self) -> int:
        return len(self.names)

    def read(self, index: int) -> Image.Image:
        """A photograph, RGB; may be called from several threads.

        Raises:
            UserError: it cannot be read.
        """
        name = self.names[index]
        try:
            content = self._archive.read(name) if self._archive else (self.source / name).read_bytes()
        except (OSError, zipfile.BadZipFile) as error:
            raise UserError(f"{self.source}, {name} cannot be read ({error}); replace or remove it.") from None
        return read_image(content, f"{self.source}, {name}")

    def digest(self) -> str:
        """Hexadecimal hash of what the source holds."""
        return hashlib.sha256("\n".join(self.identities).encode()).hexdigest()[:16]
