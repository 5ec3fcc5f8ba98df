"""Augmentation of a whole batch as tensors, on any device.

One sampling grid does crop, scale, rotation and flip (Jaderberg et al., "Spatial Transformer Networks", 2015). One
matrix a photograph does brightness, contrast, saturation and hue. timm's transforms and torchvision's do the same image
by image in PIL, which takes several times as long on the same cores (tests/bench/augmentation.py), and a GPU would wait
for it.

Every number is drawn from PyTorch's global generators, which the training loop seeds at each step.
"""

import math

import torch
from torch.nn import functional

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.2, 0.2, 0.2, 0.03
"""Largest changes: shares of 1, and of a turn of the colour circle."""
BLURRED = 0.2
"""Share of the photographs that are shrunk by up to a factor of two and enlarged again, as another camera would."""
ASPECT = 4 / 3
"""Largest ratio of a crop's sides."""
YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From RGB to brightness and two axes of colour (the NTSC standard's matrix)."""


def augment(frames: torch.Tensor, size: int, rotated: torch.Tensor, smallest_area: float = 0.4) -> torch.Tensor:
    """Random crops of photographs, turned, mirrored, and in other colours.

    Args:
        frames: uint8 (B, 3, S, S), square photographs.
        size: side of the crops, pixels.
        rotated: bool (B,), which may be turned by any angle and mirrored both ways; a lesion has no up, a cat has.
        smallest_area: share of a photograph that a crop covers at least.

    Returns:
        float32 (B, 3, size, size) in [0, 1], not normalised.
    """
    images = frames.float().div_(255)
    if images.shape[-1] > 2 * size:  # more than bilinear sampling can bridge without aliasing
        images = functional.interpolate(images, size=(2 * size, 2 * size), mode="bilinear", antialias=True)
    grid = functional.affine_grid(random_crops(rotated, smallest_area), [len(images), 3, size, size], False)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return change_colours(blur_some(images))


def uniform(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """float32 (len(like),), drawn evenly between two numbers, on the device of `like`."""
    return torch.empty(len(like), device=like.device).uniform_(low, high)


def random_crops(rotated: torch.Tensor, smallest_area: float) -> torch.Tensor:
    """Affine maps from a crop's coordinates to a photograph's, both from -1 to 1, float32 (B, 2, 3).

    Args:
        rotated, smallest_area: see `augment`.
    """
    area, ratio = uniform(rotated, smallest_area, 1), uniform(rotated, -math.log(ASPECT), math.log(ASPECT)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    angle = uniform(rotated, 0, 2 * math.pi) * rotated
    mirrored = torch.where(uniform(rotated, 0, 1) < 0.5, -1.0, 1.0)
    cosine, sine = angle.cos(), angle.sin()
    left, top = (1 - width) * uniform(rotated, -1, 1), (1 - height) * uniform(rotated, -1, 1)
    rows = [cosine * width * mirrored, -sine * height, left, sine * width * mirrored, cosine * height, top]
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def blur_some(images: torch.Tensor) -> torch.Tensor:
    """BLURRED of the images at a lower resolution, in place; all of a batch by the same factor."""
    chosen = (uniform(images, 0, 1) < BLURRED).nonzero()[:, 0]
    size = images.shape[-1]
    small = max(1, round(size / (1 + torch.rand(()).item())))
    if len(chosen):
        shrunk = functional.interpolate(images[chosen], size=(small, small), mode="bilinear", antialias=True)
        images[chosen] = functional.interpolate(shrunk, size=(size, size), mode="bilinear")
    return images


def change_colours(images: torch.Tensor) -> torch.Tensor:
    """Other brightness, contrast, saturation and hue, float32 (B, 3, H, W) in [0, 1]."""
    brightness = uniform(images, 1 - BRIGHTNESS, 1 + BRIGHTNESS).view(-1, 1, 1)
    contrast = uniform(images, 1 - CONTRAST, 1 + CONTRAST).view(-1, 1, 1)
    saturation = uniform(images, 1 - SATURATION, 1 + SATURATION)
    hue = uniform(images, -HUE, HUE) * 2 * math.pi
    to_yiq = YIQ.to(images.device)
    turned = torch.zeros(len(images), 3, 3, device=images.device)
    turned[:, 0, 0] = 1
    turned[:, 1, 1] = turned[:, 2, 2] = saturation * hue.cos()
    turned[:, 1, 2], turned[:, 2, 1] = -saturation * hue.sin(), saturation * hue.sin()
    matrix = torch.linalg.inv(to_yiq) @ turned @ to_yiq
    pixels = images.flatten(2)
    grey = (to_yiq[0] @ pixels.mean(2, keepdim=True)).view(-1, 1, 1)  # (B, 1, 1), which `matrix` does not change
    changed = torch.baddbmm((1 - contrast) * brightness * grey, brightness * contrast * matrix, pixels)
    return changed.clamp_(0, 1).view_as(images)


def normalise(images: torch.Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> torch.Tensor:
    """float32 (B, 3, H, W) in [0, 1], less the mean of each channel and over its deviation."""
    return (images - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)
