"""The photographs of a folder, and the table of what is known about them."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

import pandas as pd
import pyarrow

from lesion.data.metadata import Metadata
from lesion.data.reading import SUFFIXES
from lesion.errors import UserError, shown


class ImagePaths(Sequence[Path]):
    """Paths below a folder, in one block of memory instead of an object each.

    A process that was started to read photographs shares the memory of the one that started it. Each use of an object
    there counts a reference in it, which copies its page: millions of paths would be copied little by little.

    Args:
        folder: that all lie in.
        names: of the files, from the folder on.
    """

    def __init__(self, folder: Path, names: Iterable[str]):
        self.folder = folder
        self._names = pyarrow.array([os.fsencode(name) for name in names], pyarrow.large_binary())

    def __len__(self) -> int:
        return len(self._names)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.folder / os.fsdecode(self._names[index].as_py())

    def fingerprint(self) -> str:
        """How many files there are, and a hash of their names, sizes and times of last change."""
        digest = hashlib.sha256()
        for path in self:
            try:
                state = path.stat()
                of_file = f"{state.st_size} {state.st_mtime_ns}"
            except OSError:  # it has gone, and will be named when it is its turn
                of_file = "gone"
            digest.update(os.fsencode(path.relative_to(self.folder)) + f" {of_file}\n".encode())
        return f"{len(self)} files, {digest.hexdigest()[:16]}"


def find_images(folder: Path) -> tuple[ImagePaths, ImagePaths]:
    """The images below a folder, and the other files.

    Args:
        folder: searched with its sub-folders.

    Returns:
        Paths of the files whose ending is one of SUFFIXES, and of the rest, both sorted.

    Raises:
        UserError: there are no images, or two of one name, or a sub-folder cannot be read.
    """

    def refuse(error: OSError) -> None:  # os.walk would leave out a folder that cannot be read
        raise UserError(f"--images: {error.filename} cannot be read ({error.strerror}).")

    names: list[str] = []
    others: list[str] = []
    for parent, _, files in os.walk(folder, onerror=refuse):
        for path in (os.path.join(parent, file) for file in files):
            if os.path.isfile(path):
                is_image = os.path.splitext(path)[1].lower() in SUFFIXES
                (names if is_image else others).append(os.path.relpath(path, folder))
    if not names:
        raise UserError(f"--images {folder} holds no images; give a folder of files that end in {', '.join(SUFFIXES)}.")
    stems = set()
    for stem in (Path(name).stem for name in names):
        if stem in stems:
            raise UserError(f"--images {folder} holds several images named {stem}; the output needs one row of a name.")
        stems.add(stem)
    for found in (names, others):
        found.sort(key=lambda name: name.split(os.sep))
    return ImagePaths(folder, names), ImagePaths(folder, others)


def read_metadata(path: Path) -> dict[str, Metadata]:
    """Records by image_id from a table with HAM10000's columns.

    Raises:
        UserError: the table cannot be read, lacks a column, lists an image twice or holds a value not accepted.
    """
    columns = ("image_id", "age", "sex", "localization")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"--metadata {path} cannot be read as CSV ({error}).") from None
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise UserError(f"--metadata {path} lacks the column(s) {', '.join(missing)}; it needs {', '.join(columns)}.")
    records = {}
    for row in table.itertuples():
        if row.image_id in records:
            raise UserError(f"--metadata {path} lists {row.image_id} twice; keep one row of it.")
        try:
            records[row.image_id] = Metadata(row.age, row.sex, row.localization)
        except UserError as error:
            raise UserError(f"--metadata {path}, {row.image_id}: {error}") from None
    return records


def count_matches(images: Sequence[Path], records: dict[str, Metadata]) -> int:
    """How many images have a record.

    Args:
        images: of `find_images`.
        records: of `read_metadata`.

    Raises:
        UserError: none.
    """
    matched = sum(path.stem in records for path in images)
    if not matched:
        example = f" The table has {shown(next(iter(records)))}, for one." if records else " The table has no rows."
        raise UserError(
            f"No image_id of --metadata is the name of an image.{example} An image_id is the file's name without its "
            f"ending, such as {images[0].stem!r}. Correct the table, or leave --metadata out to predict without it."
        )
    return matched
