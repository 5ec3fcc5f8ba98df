"""From a photograph to the network's input at prediction. In training: `lesion.training.augmentation`."""

from dataclasses import dataclass

import torch
from PIL import Image
from torchvision.transforms import v2


def shrink(image: Image.Image, longest: int) -> Image.Image:
    """The image with its longer side at most `longest` pixels; never enlarged."""
    scale = longest / max(image.size)
    if scale >= 1:
        return image
    return image.resize([max(1, round(x * scale)) for x in image.size], Image.Resampling.LANCZOS)


CROP_MODES = ("center", "squash")
"""timm's names: the centre square of the photograph, or all of it squeezed to a square (checkpoints of format 2)."""


def centre_square(image: Image.Image, side: int) -> Image.Image:
    """The centre square of an image, its side at most `side` pixels: the shorter side is resized and the rest cut off,
    as timm evaluates. Never enlarged."""
    scale = min(1.0, side / min(image.size))
    if scale < 1:
        image = image.resize([max(1, round(x * scale)) for x in image.size], Image.Resampling.LANCZOS)
    left, top, right, bottom = square_box(image.size)
    return image.crop((left, top, right, bottom))


def square_box(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """The centre square of an image of `size` (width, height): left, top, right, bottom, pixels."""
    side = min(size)
    left, top = ((x - side) // 2 for x in size)
    return left, top, left + side, top + side


@dataclass(frozen=True)
class ImageTransform:
    """From a photograph to the backbone's input at prediction.

    A photograph is first shrunk to the working size, the size of the images the model was trained on, so that a large
    original and its small copy are read alike.

    Args:
        size: side of the square input, pixels.
        working_size: side that every photograph is first shrunk to, pixels: the shorter one where the centre is
            cropped, the longer one where the photograph is squeezed.
        mean, std: per-channel normalisation, of the backbone's timm configuration.
        crop_mode: one of CROP_MODES.
    """

    size: int
    working_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_mode: str = "center"

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB PIL image to float32 (3, size, size)."""
        return self.normalise(self.pixels(image))

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """RGB PIL image to uint8 (3, size, size): a quarter of the memory, for whoever sends many to another process
        or device, where they are normalised."""
        return v2.functional.pil_to_tensor(self.frame(image).resize((self.size, self.size), Image.Resampling.BICUBIC))

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (..., 3, size, size) of `pixels`, on any device, to float32 of the same shape."""
        return v2.functional.normalize(pixels.float().div_(255), self.mean, self.std, inplace=True)

    def frame(self, image: Image.Image) -> Image.Image:
        """The part of a photograph that the network reads, at the working size. The transform of a frame equals that
        of its photograph."""
        if self.crop_mode == "squash":
            return shrink(image, self.working_size)
        return centre_square(image, self.working_size)

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where the frame lies on a photograph of `size` (width, height): left, top, right, bottom, pixels."""
        return (0, 0, *size) if self.crop_mode == "squash" else square_box(size)
