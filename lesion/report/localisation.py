"""How much of a heat map lies on the lesion.

The lesion's outline is known (the masks of Tschandl et al., Nat. Med. 26, 1229, 2020), so the share of a map inside it
can be computed: the energy-based pointing game (Wang et al., "Score-CAM", 2020) and the pointing game (Zhang et al.,
"Top-down neural attention by excitation backprop", 2018). Photographers centre lesions, so a map that ignores the
photograph can do well. Each map is therefore compared with a Gaussian in the centre that is exactly as wide as the map.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from lesion.errors import UserError

MASKS = "HAM10000_segmentations_lesion_tschandl"
GAUSSIAN = "centred Gaussian"


def energy_inside(heat: np.ndarray, mask: np.ndarray) -> float:
    """The share of a map that lies inside the lesion (Wang et al., 2020).

    Args:
        heat: float (H, W), not negative, not all 0.
        mask: bool (H, W).
    """
    return float(heat[mask].sum() / heat.sum())


def pointing_hit(heat: np.ndarray, mask: np.ndarray) -> float:
    """Whether the map's hottest pixel is inside the lesion (Zhang et al., 2018); of several, the share that is.

    Args:
        heat: float (H, W).
        mask: bool (H, W).
    """
    return float(mask[heat == heat.max()].mean())


def spread(profile: np.ndarray) -> float:
    """Standard deviation, in pixels, of a map's sums along one axis, about their own centre."""
    share = profile / profile.sum()
    position = np.arange(len(profile))
    return float(np.sqrt(share @ (position - share @ position) ** 2))


@lru_cache
def gaussian_spreads(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Widths of centred Gaussians before and after they are cut off at the photograph's edges, in pixels.

    Args:
        length: of the photograph's side, pixels.

    Returns:
        Standard deviations before and after, both rising, float (400,).
    """
    before = np.geomspace(0.01, 100, 400) * length
    return before, np.array([spread(gaussian_profile(length, width)) for width in before])


def gaussian_profile(length: int, width: float) -> np.ndarray:
    """A Gaussian in the middle of `length` pixels, of standard deviation `width` before it is cut off, summing to 1."""
    distance = np.arange(length) - (length - 1) / 2
    profile = np.exp(-0.5 * (distance / width) ** 2)
    return profile / profile.sum()


def centred_gaussian(heat: np.ndarray) -> np.ndarray:
    """The baseline as wide as a map: a Gaussian in the centre of the photograph. Along each axis it has the standard
    deviation that the map has about its own centre. It differs from the map only in its position.

    The width is that inside the photograph. Where the map is wider than a constant one, the Gaussian is nearly
    constant.

    Args:
        heat: float (H, W), not negative, not all 0.

    Returns:
        float64 (H, W), summing to 1.
    """
    profiles = []
    for axis in (1, 0):
        profile = heat.sum(axis, dtype=np.float64)
        before, after = gaussian_spreads(len(profile))
        profiles.append(gaussian_profile(len(profile), np.interp(spread(profile), after, before)))
    return np.outer(*profiles)


def has_masks(folder: Path) -> bool:
    """Whether a folder of HAM10000 holds any lesion masks."""
    return any(folder.rglob("*_segmentation.png"))


def read_masks(folder: Path, image_ids: Sequence[str]) -> list[np.ndarray]:
    """The masks of the lesions, bool (H, W) each.

    Args:
        folder: of HAM10000; the masks are in or under it.
        image_ids: the images.

    Raises:
        UserError: masks are missing.
    """
    paths = {path.stem.removesuffix("_segmentation"): path for path in folder.rglob("*_segmentation.png")}
    missing = [image_id for image_id in image_ids if image_id not in paths]
    if missing:
        raise UserError(
            f"{folder} lacks the lesion masks of {len(missing)} of {len(image_ids)} images ({missing[0]}, …). Download "
            f"{MASKS}.zip of HAM10000 at the Harvard Dataverse (doi:10.7910/DVN/DBW86T; Tschandl et al., Nat. Med. 26, "
            f"1229, 2020) and unpack it there."
        )
    masks = []
    for image_id in image_ids:
        with Image.open(paths[image_id]) as image:
            masks.append(np.asarray(image.convert("L")) > 127)
    return masks
