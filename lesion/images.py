"""Photographs: reading any file a person may have, and the transforms of training and of prediction.

A photograph is always shrunk to the working size first, the size of the images the model was trained on, so that a
600×450 original and its 200×150 copy are read alike.
"""

import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision.transforms import v2

from lesion.errors import UserError

SMALLEST, MOST_PIXELS = 16, 50_000_000


def read_image(source: str | Path | bytes, name: str | None = None) -> Image.Image:
    """Reads a photograph as 8-bit RGB, upright.

    EXIF orientation is applied, the first frame of an animation is taken, transparency is laid over white, and 16-bit
    greyscale is scaled to 8 bits.

    Args:
        source: path or content of an image file.
        name: what to call the file in an error; by default its name.

    Raises:
        UserError: not an image, damaged, smaller than 16 pixels or larger than 50 megapixels.
    """
    name = name or (Path(source).name if isinstance(source, str | Path) else "The file")
    advice = "Choose a photograph saved as JPEG or PNG."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is checked below
            image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise UserError(
                    f"{name} has {width} × {height} = {width * height / 1e6:.0f} megapixels; at most "
                    f"{MOST_PIXELS // 1_000_000} are accepted. Save a smaller copy: 600 × 450 pixels are enough."
                )
            if min(width, height) < SMALLEST:
                raise UserError(
                    f"{name} has {width} × {height} pixels; a photograph needs at least {SMALLEST} on each side."
                )
            image.load()
            return to_rgb(ImageOps.exif_transpose(image))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"There is no file {source}.") from None
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise UserError(f"{name} is not an image that can be read here. {advice}") from None
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, EOFError and more in Pillow
        raise UserError(f"{name} is damaged or incomplete ({type(error).__name__}). {advice}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode as 8-bit RGB."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = 65535 if image.mode.startswith("I;16") or values.max() > 255 else 255
        image = Image.fromarray(np.clip(values * (255 / top), 0, 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


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
