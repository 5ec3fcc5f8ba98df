"""Small copies of a checkpoint's held-out photographs, packed into its folder."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tqdm.auto import tqdm

from lesion.data.ham10000 import ATTRIBUTION, read_table
from lesion.data.held_out_photographs import FILE
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.model.checkpoint import HELD_OUT, load_config
from lesion.model.held_out import read_held_out


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
    frame = load_config(folder).transform.frame
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
                archive.writestr(zipfile.ZipInfo(f"{image_id}.jpg"), small_jpeg(Path(paths[image_id]), frame))

    write_atomically(folder / FILE, write)
    return folder / FILE


def small_jpeg(path: Path, frame: Callable[[Image.Image], Image.Image]) -> bytes:
    """What the network reads of a photograph, by `ImageTransform.frame`: the file itself where that is a JPEG of just
    this."""
    image = read_image(path)
    framed = frame(image)
    if framed.size == image.size and path.suffix.lower() in (".jpg", ".jpeg"):
        return path.read_bytes()
    copy = io.BytesIO()
    framed.save(copy, "JPEG", quality=90)
    return copy.getvalue()
