"""A perceptual hash: nearly the same for a photograph at any size and JPEG quality, and another for other photographs.

pHash: which of the lowest spatial frequencies of the photograph in grey are stronger than their median (Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010; `phash` of the package ImageHash). Only the
centre square is looked at, which is what the network reads. The usual 64 frequencies are too few here: dermoscopic
photographs are all a spot in the middle, and some of different lesions lie as near as two copies of one.
"""

import numpy as np
from PIL import Image
from scipy.fft import dctn

from lesion.data.transforms import square_box

SIDE, FREQUENCIES = 32, 11
"""Pixels of a side of the grey square; frequencies taken in each direction."""
BYTES = 16
"""Of a hash: 121 bits and seven that are always 0."""


def perceptual_hash(image: Image.Image) -> np.ndarray:
    """The hash of a photograph, uint8 (BYTES,)."""
    square = image.convert("L").resize(
        (SIDE, SIDE), Image.Resampling.LANCZOS, box=square_box(image.size), reducing_gap=3.0
    )
    strengths = dctn(np.asarray(square, np.float64))[:FREQUENCIES, :FREQUENCIES].ravel()
    return np.packbits(strengths > np.median(strengths))


def signs(hashes: np.ndarray) -> np.ndarray:
    """The bits of hashes, uint8 (N, BYTES), as −1 and 1: float32 (N, 8 BYTES), for `distances`."""
    return np.unpackbits(hashes, axis=-1).astype(np.float32) * 2 - 1


def distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many bits differ: int (N, M).

    Args:
        one, other: of `signs`, N and M rows.
    """
    return ((one.shape[-1] - one @ other.T) / 2).round().astype(int)
