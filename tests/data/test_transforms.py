"""What the network reads of a photograph."""

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import EXAMPLES
from lesion.data.reading import read_image
from lesion.data.transforms import ImageTransform, centre_square

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CENTER = ImageTransform(64, 200, MEAN, STD)
SQUASH = ImageTransform(64, 200, MEAN, STD, "squash")


def striped(width: int, height: int) -> Image.Image:
    """Red left and right of the centre square, green in it."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 255
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    pixels[top : top + side, left : left + side] = (0, 255, 0)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(90, 60), (60, 90), (600, 450), (61, 60), (64, 64)])
def test_only_the_centre_square_is_read(size):
    outside_red = CENTER(striped(*size))
    green = CENTER(Image.new("RGB", (64, 64), (0, 255, 0)))
    assert torch.allclose(outside_red[:, 8:-8, 8:-8], green[:, 8:-8, 8:-8], atol=1e-5)
    left, top, right, bottom = CENTER.box(size)
    assert right - left == bottom - top == min(size)
    assert abs((left + right) - size[0]) <= 1 and abs((top + bottom) - size[1]) <= 1


def test_squashed_is_the_whole_photograph():
    assert SQUASH.box((90, 60)) == (0, 0, 90, 60)
    assert SQUASH(striped(90, 60))[0].max() > 1, "the red beside the square is read"
    assert SQUASH.frame(Image.new("RGB", (600, 450))).size == (200, 150)


@pytest.mark.parametrize("transform", [CENTER, SQUASH])
def test_a_frame_is_read_as_its_photograph(transform):
    image = read_image(EXAMPLES / "ISIC_0024329.jpg")
    assert torch.equal(transform(transform.frame(image)), transform(image))


def test_a_small_photograph_is_not_enlarged():
    assert centre_square(Image.new("RGB", (90, 60)), 200).size == (60, 60)
    assert centre_square(Image.new("RGB", (900, 600)), 200).size == (200, 200)
