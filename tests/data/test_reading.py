"""Reading odd and damaged files, and the transforms."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from conftest import EXAMPLES
from lesion.data.reading import FORMATS, SUFFIXES, read_image, walk_jpeg
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError

TRANSFORM = ImageTransform(64, 200, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    with Image.open(EXAMPLES / "ISIC_0024329.jpg") as image:
        return image.convert("RGB").resize((120, 90))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(image: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in grey levels."""
    return float(np.abs(np.asarray(image, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "JPEG", "GIF"])
def test_formats(photograph, kind):
    assert difference(read_image(encoded(photograph, kind)), photograph) < 6


@pytest.mark.parametrize("mode, kind, tolerance", [("CMYK", "JPEG", 6), ("L", "PNG", 0.01), ("P", "PNG", 0.01)])
def test_modes(photograph, mode, kind, tolerance):
    converted = photograph.convert(mode)
    assert difference(read_image(encoded(converted, kind)), converted.convert("RGB")) < tolerance


def test_sixteen_bits_are_scaled_not_clipped(photograph):
    grey = np.asarray(photograph.convert("L"))
    image = read_image(encoded(Image.fromarray(grey.astype(np.uint16) * 257), "PNG"))
    assert difference(image.convert("L"), photograph.convert("L")) < 1.5


def test_transparency_is_laid_over_white(photograph):
    clear = photograph.copy()
    clear.putalpha(0)
    assert np.asarray(read_image(encoded(clear, "PNG"))).min() == 255


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(photograph, orientation):
    # The transposition that undoes each orientation, from the EXIF standard.
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    turned = photograph if stored is None else photograph.transpose(stored)
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = read_image(encoded(turned, "PNG", exif=exif))
    assert image.size == photograph.size and difference(image, photograph) < 1


def test_first_frame_of_an_animation(photograph):
    frames = [photograph, Image.new("RGB", photograph.size, "blue")]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert difference(read_image(content), photograph) < 8


def test_bad_files_get_a_sentence(photograph):
    jpeg = encoded(photograph, "JPEG")
    bad = {
        "text": b"hello, this is no image",
        "empty": b"",
        "truncated": jpeg[: len(jpeg) // 2],
        "one pixel": encoded(Image.new("RGB", (1, 1)), "PNG"),
        "60 megapixels": encoded(Image.new("1", (10_000, 6_000)), "PNG"),
        "bomb": encoded(Image.new("1", (30_000, 30_000)), "PNG"),
    }
    for name, content in bad.items():
        with pytest.raises(UserError) as error:
            read_image(content, "mole.jpg")
        message = str(error.value)
        assert message.startswith("mole.jpg") and message.endswith(".") and "\n" not in message, name
    with pytest.raises(UserError, match="60 megapixels; at most 16"):
        read_image(bad["60 megapixels"])


def test_a_large_copy_is_read_like_a_small_one():
    with Image.open(EXAMPLES / "ISIC_0024329.jpg") as image:
        large = image.convert("RGB")
    small = large.resize((200, 150), Image.Resampling.LANCZOS)
    assert (TRANSFORM(large) - TRANSFORM(small)).abs().mean() < 0.02


def test_squashing_keeps_the_whole_image():
    corners = Image.new("RGB", (200, 150))
    for x in (0, 180):
        for y in (0, 130):
            corners.paste((255, 255, 255), (x, y, x + 20, y + 20))
    tensor = replace(TRANSFORM, crop_mode="squash")(corners)
    for y in (1, -2):
        for x in (1, -2):
            assert tensor[:, y, x].min() > 1.5


def test_a_jpeg_may_be_followed_by_a_film(photograph):
    """Motion photos of phones; chance puts the bytes of a scan's beginning into the film dozens of times."""
    for options in ({}, {"progressive": True}, {"comment": b"\xff\xda" * 60}):
        jpeg = encoded(photograph, "JPEG", **options)
        film = np.random.default_rng(0).integers(0, 256, 8_000_000, dtype=np.uint8).tobytes() + b"\xff\xda" * 60
        assert film.count(b"\xff\xda") > 100
        image = read_image(jpeg + film)
        assert difference(image, read_image(jpeg)) == 0
        assert walk_jpeg(jpeg + film) == (10 if "progressive" in options else 1, len(jpeg))


def test_many_scans_are_refused(photograph):
    jpeg = encoded(photograph, "JPEG", progressive=True)
    start = jpeg.rindex(b"\xff\xda")
    scans = jpeg[start:-2] * 50
    with pytest.raises(UserError, match="more than 50 scans"):
        read_image(jpeg[:start] + scans + b"\xff\xd9", "many.jpg")
    with pytest.raises(UserError, match="damaged"):
        read_image(jpeg[:2] + b"\xff\xfe\x00\x02" * 20_000 + jpeg[2:])
    assert walk_jpeg(jpeg[:-100]) == (10, len(jpeg) - 100), "cut off"


def test_the_endings_are_those_of_the_formats():
    Image.init()
    assert {Image.EXTENSION[suffix] for suffix in SUFFIXES} == set(FORMATS)
