"""Reads a photograph from any image file that a person may have.

Files may be hostile. Only formats that photographs are saved in are tried: Pillow knows many more, of which one starts
another program (EPS) and several are decoded in Python. What a small file can claim (pixels, parts, metadata) is
limited before memory is spent on it. Large pictures are decoded one at a time and reduced.
"""

import io
import logging
import math
import re
import struct
import threading
import warnings
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms, UnidentifiedImageError

from lesion.errors import UserError

SMALLEST, MOST_PIXELS, MOST_JPEG_PIXELS = 16, 16_000_000, 50_000_000
"""Pixels: of a side; of an image (WebP needs the most memory, 15 bytes a pixel); of a JPEG, which is reduced while it
is decoded."""
KEPT_PIXELS = 4_000_000
"""Pixels of a photograph as it is kept. The sides of a larger one are divided by 2, or 3, and so on."""
MOST_SCANS = 50
"""Of a progressive JPEG, which usually has ten. Each decodes the whole image again, however few bytes it has."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif")
"""Endings of the files of FORMATS, in lower case."""
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""The formats of Pillow that are tried. JPEG 2000 is not: a file of 1 kB took 0.9 GB. Nor is PPM: one took 20 s."""
ACCEPTED = "Choose a photograph saved as JPEG or PNG (WebP, GIF, BMP, TIFF and AVIF are read too)."
MOST_METADATA = {b"II": 2_000_000, b"MM": 2_000_000, b"GI": 500_000}
"""Bytes that may be read before the pixels, by the first two bytes of a file: of TIFF, which consists of fields, and of
GIF, whose comments are copied again for each of their parts. Other files may be read twice."""
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs")
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""The transposition that makes an image upright, by its EXIF orientation."""
MOST_SEGMENTS = 10_000
"""Of a JPEG; a photograph has a few dozen."""
JPEG_MARKER = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]", re.DOTALL)
"""The start of a segment. The markers 208 to 215 are not one: they occur within a scan."""
JPEG_EXIF = re.compile(rb"\xff\xe1(..)Exif\x00\x00", re.DOTALL)
DIRECTORIES = re.compile(rb"(\xff[\xe1\xe2]..|infe.{8})(?:Exif|MPF\x00)", re.DOTALL)
"""Where a JPEG or AVIF file announces EXIF fields, or several pictures."""

# Our own messages replace Pillow's warnings. (warnings.catch_warnings is not safe in threads.)
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)
one_at_a_time = threading.Lock()


class BoundedReader(io.BytesIO):
    """A file's content, of which only a limited amount can be read.

    A directory of TIFF fields can refer a thousand times to the same megabytes, and a file can have millions of parts.
    Pillow keeps a copy of each.

    Args:
        content: of the file.
        size: bytes that may be read; the number of reads is limited too.
    """

    def __init__(self, content: bytes, size: float):
        super().__init__(content)
        self.bytes_left, self.reads_left = size, 10_000 + len(content) // 2000

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.bytes_left -= len(data)
        self.reads_left -= 1
        if self.bytes_left < 0 or self.reads_left < 0:
            raise OSError("too many parts")
        return data


def read_image(source: str | Path | bytes, name: str | None = None) -> Image.Image:
    """Reads a photograph as 8-bit RGB, upright, in sRGB.

    EXIF orientation and an embedded ICC profile are applied, the first frame of an animation is taken, transparency is
    laid over white, and 16-bit greyscale is scaled to 8 bits. More than KEPT_PIXELS are reduced. May be called from
    several threads.

    Args:
        source: path or content of an image file.
        name: what to call the file in an error; by default its name.

    Raises:
        UserError: not an image of an accepted format, damaged, smaller than 16 pixels or too large.
    """
    name = name or (Path(source).name if isinstance(source, str | Path) else "The file")
    if isinstance(source, bytes):
        content = source
    else:
        try:
            content = Path(source).read_bytes()
        except FileNotFoundError:
            raise UserError(f"There is no file {source}.") from None
        except OSError as error:
            raise UserError(f"{source} cannot be read ({error.strerror}).") from None
    if content[4:8] == b"ftyp" and any(brand in content[8:64] for brand in HEIC_BRANDS):
        raise UserError(
            f"{name} is a HEIC photograph, which cannot be read here. Save it as JPEG: on an iPhone, set Settings > "
            "Camera > Formats to Most Compatible, or send the photograph by mail or a message."
        )
    try:
        return decode(content, name)
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{name} is not an image that can be read here. {ACCEPTED}") from None
    except Image.DecompressionBombError:
        most = MOST_PIXELS // 1_000_000
        raise UserError(f"{name} has far more than the {most} megapixels that are accepted. {ACCEPTED}") from None
    except Exception as error:  # damaged files raise OSError, SyntaxError, struct.error, EOFError and more in Pillow
        raise UserError(f"{name} is damaged or incomplete ({type(error).__name__}). {ACCEPTED}") from error


def decode(content: bytes, name: str) -> Image.Image:
    """The content of an image file, as `read_image` returns it; for a damaged one, this raises whatever Pillow raises.

    Raises:
        UserError: too small, too large, or with parts that photographs do not have.
    """
    exif, most_metadata = b"", MOST_METADATA.get(content[:2], 2 * len(content) + 4096)
    if content.startswith(b"\xff\xd8"):
        scans, end = walk_jpeg(content)
        content = content[:end]
        if scans > MOST_SCANS:
            raise UserError(f"{name} is a JPEG of more than {MOST_SCANS} scans. {ACCEPTED}")
        if found := JPEG_EXIF.search(content):
            exif = content[found.start(1) + 2 :][: int.from_bytes(found[1], "big")]
    if content.startswith(b"\xff\xd8") or content[4:8] == b"ftyp":
        # Pillow reads these while it opens the file, and copies every field.
        content = DIRECTORIES.sub(rb"\1none", content)
    reader = BoundedReader(content, most_metadata)
    image: Any  # each format's class has more than Pillow's common one
    with Image.open(reader, formats=FORMATS) as image:
        reader.bytes_left = math.inf  # from here on, the size of the image is the limit
        check_size(image, name)
        if image.format == "TIFF":
            tile = [image.tag_v2.get(tag, 1) for tag in (322, 323)]
            if math.prod(tile) > MOST_PIXELS:
                raise UserError(f"{name} has tiles of {tile[0]} × {tile[1]} pixels. {ACCEPTED}")
            orientation = image.tag_v2.get(274, 1)
            image.load_end = lambda: None  # it would read all fields again, to turn the image as is done below
        elif image.format == "BMP" and image.tile[0].codec_name == "bmp_rle":  # in Python: 14 seconds for 1 kB
            raise UserError(f"{name} is a run-length encoded BMP. {ACCEPTED}")
        with one_at_a_time if image.width * image.height > KEPT_PIXELS else nullcontext():
            factor = reduction(image)
            image.draft(None, (image.width // factor, image.height // factor))  # a JPEG is shrunk while it is decoded
            image.load()
            reduced = reduce(image)
        if image.format != "TIFF":
            orientation = orientation_of(exif or image.info.get("exif", b""))
        if orientation in UPRIGHT:
            reduced = reduced.transpose(UPRIGHT[orientation])
        return in_srgb(reduced, image.info.get("icc_profile"))


def walk_jpeg(content: bytes) -> tuple[int, int]:
    """The number of scans of a JPEG, and where it ends.

    What follows the end is not part of the picture: phones append a film there. A segment is skipped by the length that
    it gives, as libjpeg does; after a scan's header the next marker ends its data, in which 255 is followed by 0.

    Args:
        content: of the file, which begins with 255, 216.

    Returns:
        The scans, and the number of bytes up to the end; of all bytes where the file is cut off.

    Raises:
        OSError: more segments than a photograph has.
    """
    scans, position = 0, 2
    for _ in range(MOST_SEGMENTS):
        marker = JPEG_MARKER.search(content, position)
        if marker is None:
            return scans, len(content)
        position, kind = marker.end(), content[marker.end() - 1]
        if kind == 0xD9:  # end of image
            return scans, position
        scans += kind == 0xDA  # start of scan
        if kind not in (0x01, 0xD8):  # these have no length
            position += int.from_bytes(content[position : position + 2], "big")
    raise OSError("too many parts")


def check_size(image: Image.Image, name: str) -> None:
    """Refuses an image that is too small or too large, before it is decoded.

    Raises:
        UserError: it is.
    """
    width, height = image.size
    most = MOST_JPEG_PIXELS if image.format == "JPEG" else MOST_PIXELS
    if width * height > most:
        raise UserError(
            f"{name} has {width} × {height} = {width * height / 1e6:.0f} megapixels; at most {most // 1_000_000} are "
            f"accepted{'' if image.format == 'JPEG' else ' unless it is a JPEG'}. Save a smaller copy: 600 × 450 "
            "pixels are enough."
        )
    if min(width, height) < SMALLEST:
        raise UserError(f"{name} has {width} × {height} pixels; a photograph needs at least {SMALLEST} on each side.")


def reduce(image: Image.Image) -> Image.Image:
    """The image with at most KEPT_PIXELS, each the mean of several; converted to RGB where its mode has no means."""
    factor = reduction(image)
    if factor == 1:
        return image
    if image.mode.startswith("I;16"):  # Pillow reduces only the wider mode
        return image.convert("I").reduce(factor).convert("I;16")
    if image.mode in ("1", "P", "PA") or "transparency" in image.info:
        image = to_rgb(image)
    return image.reduce(factor)


def reduction(image: Image.Image) -> int:
    """What to divide the sides by for at most KEPT_PIXELS."""
    return math.ceil(math.sqrt(image.width * image.height / KEPT_PIXELS))


def orientation_of(exif: bytes) -> int:
    """The orientation in an EXIF block, 1 to 8; 1, upright, where there is none or the block is broken."""
    exif = exif.removeprefix(b"Exif\x00\x00")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    try:
        (start,) = struct.unpack_from(f"{order}L", exif, 4)
        (fields,) = struct.unpack_from(f"{order}H", exif, start)
        for position in range(start + 2, start + 2 + 12 * fields, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHLH", exif, position)
            if (tag, kind) == (0x0112, 3):
                return value
    except struct.error:
        pass
    return 1


def in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Any image as 8-bit RGB, from the colours of its ICC profile to sRGB; phones embed Display P3.

    A profile that is damaged, or for another kind of image, is ignored.
    """
    if image.mode not in ("L", "CMYK"):
        image = to_rgb(image)
    if profile:
        try:
            own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            if "sRGB" not in ImageCms.getProfileDescription(own):
                srgb = ImageCms.createProfile("sRGB")
                image = cast(Image.Image, ImageCms.profileToProfile(image, own, srgb, outputMode="RGB"))
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            pass
    return to_rgb(image)


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
