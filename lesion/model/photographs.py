"""Small copies of the held-out photographs, packed into a checkpoint's folder."""

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from lesion.data.ham10000 import ATTRIBUTION, read_table
from lesion.data.held_out_photographs import FILE
from lesion.data.reading import read_image
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.model.checkpoint import HELD_OUT, load_config
from lesion.model.held_out import read_held_out

COMPACT = {"progressive": True, "optimize": True}
"""Options of a JPEG file that make it smaller without changing a pixel."""


def pack(data: Path, folders: Sequence[Path]) -> Path:
    """Writes the held-out photographs of checkpoints that hold out the same ones.

    Each is kept at the largest size that one of the checkpoints shrinks a photograph to; the others shrink it further,
    as they do with any photograph.

    Args:
        data: the data set's folder.
        folders: of the checkpoints. The first gets the file; the others lie in it, where they find it.

    Returns:
        The file written.

    Raises:
        UserError: a checkpoint cannot be read, the data lack some of the images, or the checkpoints cannot share a
            file.
    """
    transform, ids = shared(folders)
    paths = read_table(data, verify=False).set_index("image_id").path
    missing = sorted(set(ids) - set(paths.index))
    if missing:
        raise UserError(f"{data} lacks {len(missing)} of the checkpoint's {len(ids)} held-out images: {missing[0]}, …")

    def write(partial: Path) -> None:
        with zipfile.ZipFile(partial, "w") as archive:  # JPEGs do not get smaller
            archive.comment = ATTRIBUTION.encode()
            for image_id in tqdm(ids, desc="Packing photographs", unit="image"):
                # A fixed date, so that the same photographs make the same file.
                archive.writestr(zipfile.ZipInfo(f"{image_id}.jpg"), small_jpeg(Path(paths[image_id]), transform))

    write_atomically(folders[0] / FILE, write)
    return folders[0] / FILE


def shared(folders: Sequence[Path]) -> tuple[ImageTransform, list[str]]:
    """What makes the photographs of all these checkpoints, and the ids of their held-out images, sorted.

    Raises:
        UserError: a checkpoint cannot be read, or they cannot share a file.
    """
    transforms = [load_config(folder).transform for folder in folders]
    held_out = [sorted(read_held_out(folder / HELD_OUT).table.image_id) for folder in folders]
    for folder, transform, ids in zip(folders[1:], transforms[1:], held_out[1:], strict=True):
        if folder.absolute().parent != folders[0].absolute():
            raise UserError(f"{folder} does not lie in {folders[0]}, where a checkpoint looks for a shared file.")
        if ids != held_out[0] or transform.crop_mode != transforms[0].crop_mode:
            raise UserError(
                f"{folder} and {folders[0]} hold out other photographs, or cut them otherwise; give each a file of its "
                "own: run the command once for each."
            )
    return max(transforms, key=lambda transform: transform.working_size), held_out[0]


def small_jpeg(path: Path, transform: ImageTransform) -> bytes:
    """What the network reads of a photograph, by `ImageTransform.frame`. Where the file is a JPEG of just this, its
    quantisation is kept, which changes next to nothing."""
    image = read_image(path)
    framed, copy = transform.frame(image), io.BytesIO()
    with Image.open(path) as file:
        if file.format == "JPEG" and framed.size == file.size and np.array_equal(np.asarray(file), np.asarray(image)):
            file.save(copy, "JPEG", quality="keep", **COMPACT)
        else:
            framed.save(copy, "JPEG", quality=90, **COMPACT)
    return copy.getvalue()
