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


@dataclass(frozen=True)
class ImageTransform:
    """From a photograph to the backbone's input at prediction: the whole image, squeezed to a square.

    Args:
        size: side of the square input, pixels.
        working_size: longer side that every photograph is first shrunk to, pixels.
        mean, std: per-channel normalisation, of the backbone's timm configuration.
    """

    size: int
    working_size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB PIL image to float32 (3, size, size)."""
        image = shrink(image, self.working_size).resize((self.size, self.size), Image.Resampling.BICUBIC)
        return v2.functional.normalize(v2.functional.pil_to_tensor(image).float() / 255, self.mean, self.std)


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
