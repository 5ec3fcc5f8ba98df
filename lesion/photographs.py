"""Small copies of a checkpoint's held-out photographs, so that the classroom can show the cases it talks about.

    python -m lesion.photographs --data PATH_TO_HAM10000 [--checkpoint weights]

writes photographs.zip into the checkpoint folder: one JPEG for each held-out image, at the size the network was trained
on, so that a copy gets the stored embedding's answer. Without the file the app shows ids and values instead.
"""

import argparse
import hashlib
import io
import re
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

from tqdm.auto import tqdm

from lesion.data.ham10000 import ATTRIBUTION, read_table
from lesion.data.reading import read_image, shrink
from lesion.errors import UserError
from lesion.model.checkpoint import HELD_OUT, load_config, read_held_out, resolve, write_atomically

FILE = "photographs.zip"
LARGEST = 2**20
"""Bytes of a photograph, which is to be small."""


class HeldOutPhotographs:
    """The photographs of a checkpoint folder, read when asked for.

    Args:
        folder: of the checkpoint; it may have none, and what is damaged or too large in its file is left out.
    """

    def __init__(self, folder: Path):
        self.path = folder / FILE
        self._ids, names = {}, set()
        with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(self.path) as archive:
            for entry in archive.infolist():
                # An entry of a file from elsewhere can be wrong in many ways, for which zipfile and zlib raise as many.
                with suppress(Exception):
                    if re.fullmatch(r"\w+\.jpg", entry.filename) and entry.file_size <= LARGEST:
                        self._ids[hashlib.sha256(archive.read(entry)).digest()] = Path(entry.filename).stem
                        names.add(entry.filename)
        self.names = frozenset(names)

    def __contains__(self, image_id: str) -> bool:
        return f"{image_id}.jpg" in self.names

    def read(self, image_id: str) -> bytes:
        """The JPEG file of an image that is contained."""
        with zipfile.ZipFile(self.path) as archive:
            return archive.read(f"{image_id}.jpg")

    def image_id_of(self, key: bytes) -> str | None:
        """The id of the image whose file has this SHA-256, or None."""
        return self._ids.get(key)


def pack(data: Path, folder: Path) -> Path:
    """Writes a checkpoint's held-out photographs.

    Args:
        data: the data set's folder.
        folder: of the checkpoint.

    Returns:
        The file written.

    Raises:
        UserError: the checkpoint cannot be read, or the data lack some of its images.
    """
    side = load_config(folder).transform.working_size
    ids = read_held_out(folder / HELD_OUT).table.image_id
    paths = read_table(data, verify=False).set_index("image_id").path
    missing = sorted(set(ids) - set(paths.index))
    if missing:
        raise UserError(f"{data} lacks {len(missing)} of the checkpoint's {len(ids)} held-out images: {missing[0]}, …")

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w") as archive:  # JPEGs do not get smaller
            archive.comment = ATTRIBUTION.encode()
            for image_id in tqdm(sorted(ids), desc="Packing photographs", unit="image"):
                # A fixed date, so that the same photographs make the same file.
                archive.writestr(zipfile.ZipInfo(f"{image_id}.jpg"), small_jpeg(Path(paths[image_id]), side))

    write_atomically(folder / FILE, write)
    return folder / FILE


def small_jpeg(path: Path, side: int) -> bytes:
    """The file itself where it is a JPEG of at most `side` pixels, else a copy of that size."""
    image = read_image(path)
    if max(image.size) <= side and path.suffix.lower() in (".jpg", ".jpeg"):
        return path.read_bytes()
    copy = io.BytesIO()
    shrink(image, side).save(copy, "JPEG", quality=90)
    return copy.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.photographs", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="HAM10000's folder")
    parser.add_argument("--checkpoint", default="weights", help="folder (default %(default)s)")
    args = parser.parse_args()
    try:
        path = pack(args.data, resolve(args.checkpoint))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"Wrote {path} ({path.stat().st_size / 1e6:.1f} MB).")


if __name__ == "__main__":
    main()
