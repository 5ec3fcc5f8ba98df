"""The photographs of a training as squares of one size, decoded once and kept in a memory-mapped file.

Decoding a JPEG at every epoch costs more than a small network's step. The file's name is a hash of all it depends on;
it takes 3 · side² bytes a photograph and may be removed when the training is done.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from tqdm.auto import tqdm

from lesion.data.transforms import centre_square
from lesion.files import prepare_folder, write_atomically

RESOLUTION = 1.5
"""Side of a frame over the side of the network's input: crops of about half of the area keep their resolution."""


class Frames:
    """Square photographs; may be sent to another process.

    Args:
        path: of `make_frames`.
    """

    def __init__(self, path: Path):
        self.path = path
        self._array: np.ndarray | None = None

    def __getitem__(self, index: int) -> torch.Tensor:
        """A photograph, uint8 (3, side, side)."""
        if self._array is None:
            self._array = np.load(self.path, mmap_mode="r")
        return torch.from_numpy(self._array[index].copy()).permute(2, 0, 1)

    def __getstate__(self) -> dict:
        return {"path": self.path, "_array": None}  # a mapped file is opened anew, not copied


def make_frames(
    accelerator: Accelerator,
    folder: Path,
    read: Callable[[int], Image.Image],
    identities: Sequence[str],
    side: int,
) -> Frames:
    """Decodes photographs, in the main process while the others wait, or finds them decoded.

    Args:
        accelerator: carries the processes.
        folder: where the file is kept.
        read: gives photograph i as an RGB PIL image; called from several threads.
        identities: of each photograph, what changes where its content does.
        side: of the frames, pixels; the centre square is taken, and enlarged where it is smaller.

    Raises:
        UserError: a photograph cannot be read, or the file cannot be written.
    """
    key = hashlib.sha256("\n".join(["1", str(side), *identities]).encode()).hexdigest()[:16]
    path = folder / f"frames-{key}.npy"
    if accelerator.is_main_process and not path.exists():
        prepare_folder(folder)
        write_atomically(path, lambda partial: decode(partial, read, len(identities), side))
    accelerator.wait_for_everyone()
    return Frames(path)


def decode(path: Path, read: Callable[[int], Image.Image], count: int, side: int) -> None:
    """Writes uint8 (count, side, side, 3) as a .npy file."""

    def frame(index: int) -> None:
        image = centre_square(read(index), side)
        if image.size != (side, side):
            image = image.resize((side, side), Image.Resampling.BICUBIC)
        array[index] = image

    array = np.lib.format.open_memmap(path, "w+", np.uint8, (count, side, side, 3))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in tqdm(pool.map(frame, range(count)), total=count, desc="Decoding photographs", unit="image"):
            pass
    array.flush()
