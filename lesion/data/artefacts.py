"""Things on a photograph that are not skin: a ruler, a surgeon's ink, hair, and a camera's colour cast.

They are drawn by this module in three strengths, to see whether they change an answer. Networks have been misled by
them: Winkler et al., "Association Between Surgical Skin Markings in Dermoscopic Images and Diagnostic Performance of a
Deep Learning Convolutional Neural Network for Melanoma Recognition" (JAMA Dermatology, 2019); Bissoto et al.,
"(De)Constructing Bias on Skin Lesion Datasets" (CVPR Workshops, 2019). Drawn ones are only like the real ones.

Two changes that no reader would notice serve for comparison: JPEG at quality 90, and a shift by one pixel.

Every function takes an RGB image of any size and gives a new one; equal calls give equal images.
"""

import io
import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw

STRENGTHS = (1, 2, 3)
FINER = 3
"""Lines are drawn at this multiple of the image's size and shrunk, so that they have soft edges."""
INK = (74, 42, 128)
HAIR = (48, 34, 28)
HAIRS = {1: 6, 2: 18, 3: 45}
STROKES = {1: 1, 2: 2, 3: 4}
CAST = {1: 0.05, 2: 0.1, 3: 0.2}
"""Share by which red is raised and blue lowered."""
TICKS = {1: 0.03, 2: 0.05, 3: 0.08}
"""Length of a ruler's short marks over the side of the centre square."""


def layered(image: Image.Image, colour: tuple[int, int, int], opacity: float, draw: Callable) -> Image.Image:
    """The image under lines of one colour.

    Args:
        image: RGB.
        colour: of the lines.
        opacity: 0 to 1.
        draw: called as draw(pen, box): the centre square's left, top and side are `box`, in the pen's pixels.
    """
    width, height = (FINER * x for x in image.size)
    side = min(width, height)
    mask = Image.new("L", (width, height))
    draw(ImageDraw.Draw(mask), ((width - side) / 2, (height - side) / 2, side))
    mask = mask.resize(image.size, Image.Resampling.BOX).point(lambda value: round(opacity * value))
    return Image.composite(Image.new("RGB", image.size, colour), image, mask)


def ruler(image: Image.Image, strength: int) -> Image.Image:
    """Marks of a ruler along the lower edge of the centre square; longer and darker ones with the strength."""

    def draw(pen: ImageDraw.ImageDraw, box: tuple[float, float, float]) -> None:
        left, top, side = box
        for mark in range(41):
            x = left + side * mark / 40
            length = side * TICKS[strength] * (1.6 if mark % 5 == 0 else 1)
            pen.line([(x, top + side - length), (x, top + side)], fill=255, width=max(1, round(side / 250)))

    return layered(image, (20, 20, 20), 0.5 + 0.15 * strength, draw)


def ink(image: Image.Image, strength: int) -> Image.Image:
    """Strokes of a surgeon's marker around the lesion: one, two or four arcs."""

    def draw(pen: ImageDraw.ImageDraw, box: tuple[float, float, float]) -> None:
        left, top, side = box
        inset = 0.06 * side
        for stroke in range(STROKES[strength]):
            start = 20 + 90 * stroke
            frame = (left + inset, top + inset, left + side - inset, top + side - inset)
            pen.arc(frame, start, start + 50, fill=255, width=max(1, round(side / 40)))

    return layered(image, INK, 0.75, draw)


def hair(image: Image.Image, strength: int) -> Image.Image:
    """6, 18 or 45 dark, slightly bent hairs that cross the photograph."""
    generator = np.random.default_rng(0)  # the same hairs on every photograph; a stronger change has more of them

    def draw(pen: ImageDraw.ImageDraw, box: tuple[float, float, float]) -> None:
        left, top, side = box
        for _ in range(HAIRS[strength]):
            x, y, direction, bend, length = generator.uniform((0, 0, 0, -1.5, 0.3), (1, 1, math.tau, 1.5, 0.9))
            way = np.linspace(0, 1, 24)
            angle = direction + bend * way
            xs = x + length * np.cumsum(np.cos(angle)) / len(way)
            ys = y + length * np.cumsum(np.sin(angle)) / len(way)
            points = [(left + side * a, top + side * b) for a, b in zip(xs, ys, strict=True)]
            pen.line(points, fill=255, width=max(1, round(side / 220)), joint="curve")

    return layered(image, HAIR, 0.85, draw)


def colour_cast(image: Image.Image, strength: int) -> Image.Image:
    """Another white balance: red raised and blue lowered by 5, 10 or 20 %."""
    red, green, blue = image.split()
    share = CAST[strength]
    warmer = red.point(lambda value: min(255, round(value * (1 + share))))
    return Image.merge("RGB", (warmer, green, blue.point(lambda value: round(value * (1 - share)))))


def jpeg(image: Image.Image) -> Image.Image:
    """The image as a JPEG file of quality 90."""
    content = io.BytesIO()
    image.save(content, "JPEG", quality=90)
    return Image.open(content).convert("RGB")


def shift(image: Image.Image) -> Image.Image:
    """The image moved by one pixel to the right and down; the edge is repeated."""
    moved = ImageChops.offset(image, 1, 1)
    moved.paste(image.crop((0, 0, image.width, 1)), (1, 0))
    moved.paste(image.crop((0, 0, 1, image.height)), (0, 1))
    return moved


ARTEFACTS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "ruler": ruler, "ink": ink, "hair": hair, "colour cast": colour_cast,
}  # fmt: skip
HARMLESS: dict[str, Callable[[Image.Image], Image.Image]] = {"JPEG at quality 90": jpeg, "shift by one pixel": shift}
