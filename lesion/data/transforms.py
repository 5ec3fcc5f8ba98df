"""From a photograph to the network's input, at prediction and in training."""

import math
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
        image = self.frame(image).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return v2.functional.normalize(v2.functional.pil_to_tensor(image).float() / 255, self.mean, self.std)

    def frame(self, image: Image.Image) -> Image.Image:
        """What the network reads of a photograph, at the working size; the transform of a frame is that of the
        photograph."""
        if self.crop_mode == "squash":
            return shrink(image, self.working_size)
        return centre_square(image, self.working_size)

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Where the frame lies on a photograph of `size` (width, height): left, top, right, bottom, pixels."""
        return (0, 0, *size) if self.crop_mode == "squash" else square_box(size)


class FreeRotation(torch.nn.Module):
    """Rotation by any angle, the surroundings filled by reflection. A lesion has no up."""

    def forward(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        margin = [math.ceil((math.hypot(width, height) - side) / 2) for side in (width, height)]
        padded = v2.functional.pad(image, margin, padding_mode="reflect")
        angle = float(torch.rand(())) * 360
        rotated = padded.rotate(angle, Image.Resampling.BILINEAR)
        return v2.functional.center_crop(rotated, [height, width])


class RandomResolution(torch.nn.Module):
    """Shrinks and enlarges again by up to a factor of two, as another camera would."""

    def forward(self, image: Image.Image) -> Image.Image:
        factor = 1 + float(torch.rand(()))
        small = image.resize([max(1, round(x / factor)) for x in image.size], Image.Resampling.BILINEAR)
        return small.resize(image.size, Image.Resampling.BICUBIC)


class Shrink(torch.nn.Module):
    """`shrink` as a step of a transform.

    Args:
        longest: longer side at most, pixels.
    """

    def __init__(self, longest: int):
        super().__init__()
        self.longest = longest

    def forward(self, image: Image.Image) -> Image.Image:
        return shrink(image, self.longest)


def training_transform(evaluation: ImageTransform, size: int) -> v2.Compose:
    """Augmentation at an input size: rotation, flips, scaled crops, colour, resolution.

    Args:
        evaluation: gives working size and normalisation.
        size: side of the square input, pixels.

    Returns:
        A transform from an RGB PIL image to float32 (3, size, size), drawing from the global generators.
    """
    return v2.Compose(
        [
            # Twice the input is resolution enough for a crop, and makes small sizes cheap.
            Shrink(min(evaluation.working_size, 2 * size)),
            FreeRotation(),
            v2.RandomHorizontalFlip(),
            v2.RandomResizedCrop(size, scale=(0.4, 1.0), ratio=(0.75, 1.6), interpolation=3),
            v2.RandomApply([RandomResolution()], p=0.2),
            v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2, hue=0.03),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(evaluation.mean, evaluation.std),
        ]
    )
