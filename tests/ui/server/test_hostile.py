"""Bad and odd input of every kind: each gets an answer or a sentence, and the app neither dies nor grows.

The corpus is made here, from one photograph: see `corpus`. The bombs are those that cost Pillow gigabytes or minutes.
"""

import io
import json
import struct
import subprocess
import sys
import warnings
import zipfile
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from conftest import EXAMPLES, ROOT, start_app
from lesion.data.reading import FORMATS, UPRIGHT, read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.ui.html import pieces
from lesion.ui.server.allow_list import UNKNOWN

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
ACCEPTED = (*FORMATS, "MPO")
IMAGE, RECORD, PREVALENCE = object(), ["55", "female", "back"], ["own", 2]
SESSIONS = 300
"""That Gradio keeps at most, a quarter of a megabyte each: every call of the API is one."""
GROWTH = 300
"""Megabytes that the server's memory may grow by from before the corpus to after it."""


class Item(NamedTuple):
    """One file; `readable` is None where either an answer or a sentence will do."""

    kind: str
    name: str
    content: bytes
    readable: bool | None


def small() -> Image.Image:
    with Image.open(PHOTOGRAPH) as image:
        return image.convert("RGB").resize((80, 60))


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    """Of a PNG."""
    return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))


def png(width: int, height: int, extra: bytes = b"", data: bytes = b"") -> bytes:
    """A PNG with these numbers in its header, whatever its data."""
    header = struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(fields: list[tuple[int, int, int, int | bytes]], data: bytes = b"") -> bytes:
    """A little-endian TIFF directory: (tag, type, count, value) with bytes stored behind it, then data."""
    end = 8 + 2 + 12 * len(fields) + 4
    entries, stored = b"", b""
    for tag, kind, count, value in sorted(fields, key=lambda field: field[0]):
        if isinstance(value, bytes):
            stored, value = stored + value, end + len(stored)
        entries += struct.pack("<HHLL", tag, kind, count, value)
    return b"II*\0" + struct.pack("<LH", 8, len(fields)) + entries + bytes(4) + stored + data


def raw_tiff(image: Image.Image, **changed: int) -> bytes:
    """An uncompressed TIFF of one strip, some numbers of which may be lies."""
    numbers = {"width": image.width, "height": image.height, "size": len(image.tobytes()), "samples": 3} | changed
    fields = [
        (256, 4, 1, numbers["width"]), (257, 4, 1, numbers["height"]), (258, 3, 3, struct.pack("<HHH", 8, 8, 8)),
        (259, 3, 1, 1), (262, 3, 1, 2), (277, 3, 1, numbers["samples"]), (278, 4, 1, image.height),
        (279, 4, 1, numbers["size"]),
    ]  # fmt: skip
    return tiff([*fields, (273, 4, 1, 8 + 2 + 12 * 9 + 4 + 6)], image.tobytes())


def exif_bomb(fields: int, size: int) -> bytes:
    """An EXIF block whose every field is the same megabytes."""
    end = 8 + 2 + 12 * fields + 4
    entries = b"".join(struct.pack("<HHLL", 1000 + i, 7, size, end) for i in range(fields))
    return b"II*\0" + struct.pack("<LH", 8, fields) + entries + bytes(4) + bytes(size)


def with_segments(jpeg: bytes, segments: bytes) -> bytes:
    """A JPEG with segments in place of its JFIF header, which Pillow reads EXIF without."""
    return jpeg[:2] + segments + jpeg[4 + int.from_bytes(jpeg[4:6], "big") :]


def segment(marker: int, data: bytes) -> bytes:
    return bytes((255, marker)) + struct.pack(">H", len(data) + 2) + data


def profile(description: str, *primaries: tuple[float, float, float], gamma: float = 2.2) -> bytes:
    """A matrix ICC profile of a display: red, green and blue in XYZ under D50."""
    fixed = [round(x * 65536) for x in (0.9642, 1, 0.8249)]
    text = description.encode() + b"\0"
    curve = b"curv\0\0\0\0" + struct.pack(">LH", 1, round(gamma * 256))
    tags = [(b"desc", b"desc\0\0\0\0" + struct.pack(">L", len(text)) + text + bytes(78)), (b"wtpt", fixed)]
    tags += [(name, [round(x * 65536) for x in xyz]) for name, xyz in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries)]  # noqa: B905 - a broken profile has fewer
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, data, start = struct.pack(">L", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags:
        value = value if isinstance(value, bytes) else b"XYZ \0\0\0\0" + struct.pack(">3l", *value)
        table += name + struct.pack(">LL", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    head = struct.pack(">LLL4s4s4s12x4s", 128 + len(table + data), 0, 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return head + bytes(28) + struct.pack(">3l", *fixed) + bytes(48) + table + data


DISPLAY_P3 = profile(
    "Display P3", (0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)
)
STORED = UPRIGHT | {6: UPRIGHT[8], 8: UPRIGHT[6]}
"""How a camera stores a picture of each orientation: the inverse of what turns it upright."""


def turned(image: Image.Image, orientation: int, kind: str, **options) -> bytes:
    """The file of a camera held so that it stored this EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = image.transpose(STORED[orientation]) if orientation in STORED else image
    return encoded(image, kind, exif=exif, **options)


def formats() -> list[Item]:
    """Every format that Pillow writes, in every mode that it takes."""
    Image.init()
    found, photograph = [], small()
    warnings.simplefilter("ignore", DeprecationWarning)  # modes that Pillow 13 will not write
    for kind, mode in product(sorted(Image.SAVE), MODES):
        try:
            grey = photograph.convert("L")
            wide = grey.convert("I").point(lambda value: value * 257)
            image = wide.convert(mode) if mode in ("I", "I;16") else (
                grey.convert("P").convert("PA") if mode == "PA" else
                ImageCms.profileToProfile(photograph, *map(ImageCms.createProfile, ("sRGB", "LAB")), outputMode="LAB")
                if mode == "LAB" else photograph.convert(mode)
            )  # fmt: skip
            content = encoded(image, kind)
        except (OSError, ValueError, KeyError, AttributeError, ImageCms.PyCMSError):  # it does not take this mode
            continue
        # Pillow cannot read the TIFF files that it writes in YCbCr.
        readable = None if (kind, mode) == ("TIFF", "YCbCr") else kind in ACCEPTED
        found.append(Item("format", f"{mode}.{kind.lower()}", content, readable))
    return found


def truncated() -> list[Item]:
    """Every accepted format, cut at every tenth; of an MPO file the second picture is cut first."""
    contents = {kind: encoded(small(), kind) for kind in ACCEPTED}
    contents["progressive"] = encoded(small(), "JPEG", progressive=True)
    contents["animation"] = encoded(small(), "GIF", save_all=True, append_images=[Image.new("RGB", (80, 60), "blue")])
    return [
        Item("truncated", f"{tenth}.{kind.lower()}", content[: len(content) * tenth // 10],
             None if kind in ("MPO", "animation") else False)
        for kind, content in contents.items() for tenth in range(10)
    ]  # fmt: skip


def bombs() -> list[Item]:
    """Small files that claim, or unfold into, more than any photograph has."""
    photograph = small()
    jpeg, plain = encoded(photograph, "JPEG"), encoded(photograph, "PNG")
    gif = encoded(photograph, "GIF")
    frame = gif.index(b",", 13 + 3 * 2 ** ((gif[10] & 7) + 1))
    exif = exif_bomb(1000, 1_000_000)
    exif_segments = b"".join(segment(0xE1, b"Exif\0\0" + exif[i : i + 65_000]) for i in range(0, len(exif), 65_000))
    progressive = encoded(photograph, "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    tile = [
        (256, 3, 1, 100), (257, 3, 1, 100), (258, 3, 3, struct.pack("<HHH", 8, 8, 8)), (259, 3, 1, 8), (262, 3, 1, 2),
        (277, 3, 1, 3), (322, 3, 1, 30_000), (323, 3, 1, 30_000), (324, 4, 1, 200), (325, 4, 1, 1000),
    ]  # fmt: skip
    table = struct.pack("<L", 200) * 400_000
    strips = [
        (256, 3, 1, 16), (257, 4, 1, 400_000), (258, 3, 3, struct.pack("<HHH", 8, 8, 8)), (259, 3, 1, 1),
        (262, 3, 1, 2), (273, 4, 400_000, table), (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 400_000, table),
    ]  # fmt: skip
    rle = struct.pack("<LllHHLLllLL", 40, 1_500_000, 16, 1, 8, 1, 0, 0, 0, 256, 0) + bytes(1024)
    texts = b"".join(chunk(b"tEXt", b"%d\0b" % i) for i in range(30_000))
    zeros, grey = zlib.compress(bytes(20_000_000)), Image.new("1", (10_000, 6_000))
    film = encoded(photograph, "WEBP", save_all=True, append_images=[photograph.rotate(90)] * 9)
    made = {
        "declared.png": (png(50_000, 50_000), False),
        "sixty-megapixels.png": (encoded(grey, "PNG"), False),
        "text.png": (png(80, 60, chunk(b"zTXt", b"a\0\0" + zeros)), False),
        "profile.png": (png(80, 60, chunk(b"iCCP", b"a\0\0" + zeros)), False),
        "texts.png": (plain[:33] + texts + plain[33:], False),
        "texts-behind.png": (plain[:-12] + texts + plain[-12:], False),
        "chunks.png": (plain[:33] + chunk(b"prVt", b"") * 40_000 + plain[33:], False),
        "exif.png": (plain[:33] + chunk(b"eXIf", exif) + plain[33:], True),
        "exif.webp": (encoded(photograph, "WEBP", exif=exif), True),
        "exif.avif": (encoded(photograph, "AVIF", exif=exif), True),
        "exif.jpg": (with_segments(jpeg, exif_segments), True),
        "exif.tif": (raw_tiff(photograph)[:8] + exif[8:], False),
        "pictures.jpg": (with_segments(jpeg, segment(0xE2, b"MPF\0" + exif_bomb(2000, 30_000))), True),
        "segments.jpg": (with_segments(jpeg, segment(0xE5, b"") * 40_000), False),
        "junk.jpg": (with_segments(jpeg, segment(0xE5, b"") + b"a" * 100_000), False),
        "scans.jpg": (progressive[:-2] + scan * 60 + b"\xff\xd9", False),
        "comment.gif": (gif[:frame] + b"!\xfe" + (b"\xff" + b"a" * 255) * 15_000 + b"\0" + gif[frame:], False),
        "screen.gif": (gif[:6] + b"\xff\xff\xff\xff" + gif[10:], False),
        "tile.tif": (tiff(tile, bytes(1200)), False),
        "strips.tif": (tiff(strips, bytes(1000)), False),
        "runs.bmp": (b"BM" + struct.pack("<LHHL", 0, 0, 0, 14 + 40 + 1024) + rle + bytes(80), False),
        "canvas.webp": (film[:24] + b"\xff\x3f\0\xff\x3f\0" + film[30:], False),
        "fifty-megapixels.jpg": (encoded(Image.new("L", (8_000, 6_200)), "JPEG"), True),
        "sixty-megapixels.jpg": (encoded(Image.new("L", (10_000, 6_000)), "JPEG"), False),
        "text.ppm": (b"P3 2700 1800 255\n" + b"9 " * 100_000, False),
        "strip.png": (encoded(Image.new("RGB", (16, 30_000), "pink"), "PNG"), True),
        "long-strip.jpg": (encoded(Image.new("RGB", (60_000, 17), "pink"), "JPEG"), True),
        "narrow.png": (encoded(Image.new("RGB", (15, 3_000)), "PNG"), False),
        "dot.gif": (encoded(Image.new("RGB", (1, 1)), "GIF"), False),
        "frames.gif": (encoded(photograph, "GIF", save_all=True, append_images=[photograph.rotate(90)] * 90), True),
        "frames.webp": (film, True),
        "frames.png": (encoded(photograph, "PNG", save_all=True, append_images=[photograph.rotate(90)] * 9), True),
        "pages.tif": (encoded(photograph, "TIFF", save_all=True, append_images=[photograph] * 9), True),
    }  # fmt: skip
    return [Item("bomb", name, *made[name]) for name in made]


def lies() -> list[Item]:
    """Headers whose numbers are not those of the data."""
    photograph = small()
    jpeg, bmp, webp = (encoded(photograph, kind) for kind in ("JPEG", "BMP", "WEBP"))
    frame = jpeg.index(b"\xff\xc0") + 5
    made = []
    for width, height in ((0, 0), (0, 60), (80, 61), (81, 60), (79, 60), (20, 20), (65_535, 65_535), (2**31 - 1, 20)):
        readable = None if (width, height) in ((80, 61), (81, 60), (79, 60), (20, 20)) else False
        data = bytes(60 * (3 * 80 + 1))
        made += [
            ("png", png(width, height, data=data), readable),
            ("bmp", bmp[:18] + struct.pack("<ll", width, -height) + bmp[26:], readable),
            ("tif", raw_tiff(photograph, width=width, height=height), readable),
        ]
        if width < 2**16:
            made.append(("jpg", jpeg[:frame] + struct.pack(">HH", height, width) + jpeg[frame + 4 :], readable))
    for size in (0, 1, 2**31, 2**32 - 1):
        made.append(("tif", raw_tiff(photograph, size=size), None))
        made.append(("webp", webp[:4] + struct.pack("<L", size) + webp[8:], None))
        made.append(("bmp", bmp[:10] + struct.pack("<L", size) + bmp[14:], None))
    for samples in (0, 1, 4, 65_535):
        made.append(("tif", raw_tiff(photograph, samples=samples), None))
    return [Item("lie", f"{i}.{kind}", content, readable) for i, (kind, content, readable) in enumerate(made)]


def polyglots() -> list[Item]:
    """Images that are something else too, and wrong names."""
    photograph, archive = small(), io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.html", "<script>alert(1)</script>")
    jpeg, plain, gif, webp = (encoded(photograph, kind) for kind in ("JPEG", "PNG", "GIF", "WEBP"))
    script = b"<html><script>alert(1)</script></html>"
    made = {
        "zip.jpg": jpeg + archive.getvalue(),
        "html.png": plain + script,
        "script.gif": gif + b"*/=1;alert(1)",
        "html.webp": webp + script,
        "comment.jpg": with_segments(jpeg, segment(0xFE, script)),
        "text.png": plain[:33] + chunk(b"tEXt", b"Comment\0" + script) + plain[33:],
        "is-png.jpg": plain,
        "is-jpeg.png": jpeg,
        "is-gif.tif": gif,
        "is-webp.exe": webp,
        "no-extension": jpeg,
        "two.jpg.png.jpg": jpeg,
        "bild größe 图 <b>.png": plain,
        "is-avif.heic": encoded(photograph, "AVIF"),
    }
    return [Item("polyglot", name, content, True) for name, content in made.items()]


def metadata_blocks() -> list[Item]:
    """EXIF and ICC, right and wrong."""
    photograph, items = small(), []
    for kind, orientation in product(("JPEG", "PNG", "WEBP", "TIFF", "AVIF"), range(1, 9)):
        items.append(Item("exif", f"{orientation}.{kind.lower()}", turned(photograph, orientation, kind), True))
    right = turned(photograph, 6, "JPEG")
    block = right[right.index(b"Exif\0\0") :][:100]
    broken = [
        b"", b"Exif", b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0XX*\0" + bytes(50),
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", block[:20], block[:24], b"Exif\0\0" + tiff([(0x0112, 99, 1, 6)]),
        b"Exif\0\0" + tiff([(0x0112, 3, 1, 9)]), b"Exif\0\0" + tiff([(0x0112, 2, 500, 6)]),
        b"Exif\0\0" + tiff([(0x0112, 5, 1, b"\0" * 8)]), b"Exif\0\0" + tiff([(34665, 4, 1, 8)]),
        b"Exif\0\0" + b"\xff" * 999,
    ]  # fmt: skip
    jpeg, plain = encoded(photograph, "JPEG"), encoded(photograph, "PNG")
    for i, exif in enumerate(broken):
        items.append(Item("exif", f"broken-{i}.jpg", with_segments(jpeg, segment(0xE1, exif)), True))
        items.append(Item("exif", f"broken-{i}.png", plain[:33] + chunk(b"eXIf", exif[6:]) + plain[33:], True))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profiles = {
        "srgb": srgb, "p3": DISPLAY_P3, "lab": ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes(),
        "none": b"x", "zeros": bytes(500), "half": DISPLAY_P3[:230], "no primaries": profile("none"),
        "flat": profile("flat", *[(0, 0, 0)] * 3), "gamma": profile("gamma", *[(0.3, 0.3, 0.3)] * 3, gamma=0),
        "grey": DISPLAY_P3.replace(b"RGB ", b"GRAY"), "cmyk": DISPLAY_P3.replace(b"RGB ", b"CMYK"),
        "noise": DISPLAY_P3[:128] + np.random.default_rng(0).bytes(400), "megabyte": DISPLAY_P3 + bytes(900_000),
    }  # fmt: skip
    for (name, icc), kind in product(profiles.items(), ("JPEG", "PNG", "WEBP", "TIFF", "AVIF")):
        items.append(Item("icc", f"{name}.{kind.lower()}", encoded(photograph, kind, icc_profile=icc), True))
    for mode in ("L", "CMYK"):
        items.append(
            Item("icc", f"{mode}.jpg", encoded(photograph.convert(mode), "JPEG", icc_profile=DISPLAY_P3), True)
        )
    return items


def no_photographs() -> list[Item]:
    """What is no image, or of a format that no camera writes."""
    eps = encoded(small(), "EPS")
    starts = {
        "empty.jpg": b"", "null.jpg": b"\0", "zeros.png": bytes(10_000), "text.txt": b"hello, this is no image",
        "page.html": b"<!doctype html><script>alert(1)</script>", "drawing.svg": b"<svg onload='alert(1)'></svg>",
        "archive.zip": b"PK\3\4" + bytes(100), "program.exe": b"MZ" + bytes(100), "script.sh": b"#!/bin/sh\nrm -r /\n",
        "drawing.eps": eps, "program.eps": eps.replace(b"%%EndComments", b"%%EndComments\n(a) (w) file", 1),
        "page.pdf": b"%PDF-1.7\n1 0 obj", "scan.dcm": bytes(128) + b"DICM" + bytes(100), "pickle.jpg": b"\x80\x04\x95c",
        "photograph.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
        "container.heic": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(100),
        "film.mp4": b"\0\0\0\x18ftypisom" + bytes(100),
        "layers.psd": b"8BPS\0\1" + bytes(6) + struct.pack(">HLLHH", 3, 60, 80, 8, 3) + bytes(100),
        "stars.fits": b"SIMPLE  =                    T".ljust(80) + b"BITPIX  = 8".ljust(80) + b"END".ljust(2720),
        "icon.xpm": b'/* XPM */\nstatic char * a[] = {\n"80 60 1 1",\n"a c #000000",\n' + b'"aaaa",\n' * 60,
        "old.sun": struct.pack(">8L", 0x59A66A95, 80, 60, 24, 14_400, 1, 0, 0) + bytes(14_400),
        "film.fli": struct.pack("<LHHHHH", 128, 0xAF12, 1, 80, 60, 8) + bytes(200),
        "film.mpeg": b"\0\0\1\xb3\x05\0\x3c" + bytes(99),
        "camera.pcd": bytes(2048) + b"PCD_" + bytes(5000), "pointer.cur": b"\0\0\2\0\1\0" + bytes(100),
        "brush.gbr": struct.pack(">5L4s", 28, 2, 80, 60, 4, b"GIMP") + bytes(20_000), "wall.wal": bytes(1000),
        "picture.wmf": b"\xd7\xcd\xc6\x9a\0\0" + bytes(100), "hierarchy.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "weather.grib": b"GRIB\0\0\0\1" + bytes(100), "weather.bufr": b"BUFR" + bytes(100),
        "composite.doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "news.iptc": b"\x1c\x03\x3c\0\1\1" + bytes(100),
        "thumbnail.xv": b"P7 332\n#END_OF_COMMENTS\n80 60 255\n" + bytes(4800), "texture.ftu": b"FTEX" + bytes(100),
        "game.mic": bytes(300), "noise.jpg": np.random.default_rng(0).bytes(20_000),
    }  # fmt: skip
    magics = {
        "jpg": b"\xff\xd8\xff", "soi": b"\xff\xd8", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF89a", "bmp": b"BM",
        "tif": b"II*\0", "mm": b"MM\0*", "big": b"II+\0\x08\0\0\0", "webp": b"RIFF\xff\xff\xff\xffWEBPVP8 ",
        "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf",
    }  # fmt: skip
    for (name, magic), rest in product(magics.items(), (b"", bytes(64), b"\xff" * 64)):
        starts[f"{rest[:1].hex()}magic.{name}"] = magic + rest
    return [Item("none", name, content, False) for name, content in starts.items()]


@pytest.fixture(scope="module")
def corpus() -> list[Item]:
    parts = formats, truncated, bombs, lies, polyglots, metadata_blocks, no_photographs
    items = [item for part in parts for item in part()]
    print("\nThe corpus:", len(items), dict(Counter(item.kind for item in items)))
    return items


def check_sentence(message: object, about: str) -> None:
    """For a person: short, whole, and of our writing."""
    assert isinstance(message, str) and message.endswith(".") and "\n" not in message and len(message) < 500, about
    assert "Traceback" not in message and "object at 0x" not in message, about


def test_the_corpus_is_large(corpus):
    kinds = Counter(item.kind for item in corpus)
    assert len(corpus) >= 200 and len(kinds) == 8 and min(kinds.values()) >= 10, kinds
    assert len({(item.kind, item.name) for item in corpus}) == len(corpus)


def test_every_file_is_read_or_refused_in_a_sentence(corpus):
    wrong = []
    for item in corpus:
        about = f"{item.kind} {item.name}"
        try:
            image = read_image(item.content, "The file")
        except UserError as error:
            check_sentence(str(error), about)
            wrong += [f"{about}: {error}"] if item.readable else []
        else:
            assert image.mode == "RGB" and image.width * image.height <= 4_000_000, about
            wrong += [f"{about} was read"] if item.readable is False else []
    assert not wrong


def test_what_is_read_is_the_photograph(corpus):
    """In whatever format, mode, orientation or wrapping; few colours keep the brightness at least."""
    expected, wrong = np.asarray(small(), float), []
    for item in corpus:
        name, _, kind = item.name.rpartition(".")
        if not item.readable or item.kind not in ("format", "exif", "icc", "polyglot"):
            continue
        if item.kind == "icc" and name not in ("srgb", "none", "zeros", "half"):  # the others change the colours
            continue
        if name.startswith("I") and kind not in ("png", "tiff"):  # Pillow clips 16 bits as it writes the others
            continue
        image = np.asarray(read_image(item.content), float)
        few = name in ("1", "P", "PA") or kind == "gif"
        if image.shape != expected.shape or abs(image.mean() - expected.mean()) > (30 if few else 6):
            wrong.append((item.kind, item.name, image.shape, image.mean()))
    assert not wrong


def test_heic_is_told_how_to_save():
    with pytest.raises(UserError, match="Most Compatible"):
        read_image(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))


def test_no_other_program_is_started(monkeypatch):
    """Pillow has Ghostscript draw EPS files."""
    started = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_, **__: started.append(1))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: started.append(2))
    with pytest.raises(UserError):
        read_image(encoded(small(), "EPS"))
    assert not started


def test_a_rotated_copy_answers_as_the_original(checkpoint):
    predictor = load_predictor(checkpoint)
    with Image.open(PHOTOGRAPH) as image:
        photograph = image.convert("RGB").resize((200, 150))
    original = predictor.predict(read_image(encoded(photograph, "PNG"))).probabilities
    lossless = {"PNG": {}, "TIFF": {}, "WEBP": {"lossless": True}}
    lossy = {"JPEG": {"quality": 98, "subsampling": 0}, "AVIF": {"quality": 98, "subsampling": "4:4:4"}}
    for kind, options in (lossless | lossy).items():
        for orientation in range(1, 9):
            turned_copy = read_image(turned(photograph, orientation, kind, **options))
            answer = predictor.predict(turned_copy).probabilities
            assert answer == pytest.approx(original, abs=1e-5 if kind in lossless else 5e-3), (kind, orientation)


def test_a_large_photograph_answers_as_a_small_copy(checkpoint):
    """What is shrunk while it is decoded, or by whole numbers, is the same picture."""
    predictor = load_predictor(checkpoint)
    with Image.open(PHOTOGRAPH) as image:
        expected = predictor.predict(image).probabilities
        large = image.resize((4400, 3300), Image.Resampling.BICUBIC)
    for content in (encoded(large, "JPEG", quality=95), encoded(large, "PNG", compress_level=1)):
        assert predictor.predict(read_image(content)).probabilities == pytest.approx(expected, abs=0.005)


def test_colours_of_a_phone():
    """A picture in Display P3 is read as the same picture in sRGB, where its profile says so."""
    photograph = small()
    srgb, p3 = ImageCms.createProfile("sRGB"), ImageCms.ImageCmsProfile(io.BytesIO(DISPLAY_P3))
    in_p3 = ImageCms.profileToProfile(photograph, srgb, p3)
    expected = np.asarray(photograph, float)
    for kind in ("PNG", "TIFF"):
        assert np.abs(np.asarray(read_image(encoded(in_p3, kind, icc_profile=DISPLAY_P3)), float) - expected).mean() < 1
        assert np.abs(np.asarray(read_image(encoded(in_p3, kind, icc_profile=None)), float) - expected).mean() > 2
    same = ImageCms.ImageCmsProfile(srgb).tobytes()
    assert np.array_equal(np.asarray(read_image(encoded(photograph, "PNG", icc_profile=same))), expected)


def memory(process: int | str, field: str = "VmRSS") -> float:
    """Of a running process, megabytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")


@linux
def test_the_largest_files_take_bounded_memory(corpus, tmp_path):
    """Bombs, and the largest photographs accepted, one after another in a process of their own."""
    size, colour = (4600, 3450), (200, 150, 130)
    flat = Image.new("RGB", size, colour)
    largest = {
        "largest.png": encoded(flat.convert("RGBA"), "PNG", compress_level=1),
        "largest.webp": encoded(flat, "WEBP", method=0),
        "largest.avif": encoded(flat, "AVIF", speed=10),
        "largest.tif": encoded(Image.new("I;16", size, 30_000), "TIFF", compression="tiff_lzw"),
        "largest.jpg": encoded(Image.new("RGB", (8160, 6120), colour), "JPEG", progressive=True),
    }
    for name, content in largest.items():
        (tmp_path / name).write_bytes(content)
    for item in corpus:
        if item.kind == "bomb":
            (tmp_path / f"bomb-{item.name}").write_bytes(item.content)
    script = """
import sys, time
from pathlib import Path
sys.path.insert(0, "tests")
from test_hostile import memory
from lesion.errors import UserError
from lesion.data.reading import read_image
from PIL import Image
Image.init()
before = memory("self")
for path in sorted(Path(sys.argv[1]).iterdir()):
    start = time.perf_counter()
    try:
        read_image(path)
    except UserError:
        assert path.name.startswith("bomb"), path
    seconds = time.perf_counter() - start
    print(f"{path.name}: {seconds:.2f} s, {memory('self', 'VmHWM') - before:.0f} MB at most so far")
    assert seconds < 20, path
print(memory("self", "VmHWM") - before)
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[-1]) < 500


class Server(NamedTuple):
    """A running app: its process, an HTTP client of its API, and its log."""

    process: subprocess.Popen
    api: httpx.Client
    log: Path

    def upload(self, name: str, content: bytes) -> dict:
        answer = self.api.post("/upload", files={"files": (name, content)})
        answer.raise_for_status()
        return {"path": answer.json()[0], "meta": {"_type": "gradio.FileData"}}

    def ask(self, endpoint: str, values: list) -> tuple[bool, object]:
        """Whether there is an answer, and the answer or the error message."""
        body = json.dumps({"data": values})  # writes NaN and Infinity as they are
        headers = {"content-type": "application/json"}
        asked = self.api.post(f"/call/{endpoint}", content=body, headers=headers)
        if asked.status_code != 200:
            assert 400 <= asked.status_code < 500, (asked.status_code, asked.text)
            return False, "Refused by the server."
        events = self.api.get(f"/call/{endpoint}/{asked.json()['event_id']}").text.strip().split("\n\n")
        event, _, data = events[-1].partition("\ndata: ")
        data = json.loads(data) if data else None
        return event == "event: complete", data if event == "event: complete" else (data or {}).get("error")


@pytest.fixture(scope="module")
def server(checkpoint, tmp_path_factory):
    """Started for these tests; at the end it must still run and must have logged no error."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    process, url = start_app(checkpoint, log)
    # A new connection each time: one that the server closes is then never used again.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=f"{url}/gradio_api", timeout=120, limits=limits) as api:
        yield Server(process, api, log)
    alive = process.poll() is None
    process.terminate()
    process.wait(20)
    assert alive, log.read_text()
    assert "Traceback" not in log.read_text()


@linux
def test_the_app_answers_or_explains_every_file_and_does_not_grow(server, corpus):
    def check(item: Item, endpoint: str, *others: object) -> None:
        about = f"{item.kind} {item.name}"
        values = [server.upload(item.name, item.content), *RECORD, *others]
        answered, answer = server.ask(endpoint, values)
        if answered:
            probabilities = answer[0] if endpoint == "predict" else answer[0]["both"]
            assert item.readable is not False, about
            assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5), about
        else:
            assert not item.readable, f"{about}: {answer}"
            check_sentence(answer, about)

    with ThreadPoolExecutor(4) as visitors:
        # The stores of photographs and sessions fill, and allocators take what they will keep.
        list(visitors.map(lambda item: check(item, "predict", "most probable"), corpus[::3]))
        list(visitors.map(lambda _: server.ask("alarm", [*PREVALENCE, 20]), range(SESSIONS)))
        before = memory(server.process.pid)
        list(visitors.map(lambda item: check(item, "three_answers", *PREVALENCE), corpus))
    grown = memory(server.process.pid) - before
    print(f"\nThe server takes {before:.0f} MB, {grown:+.0f} MB after the corpus; "
          f"{memory(server.process.pid, 'VmHWM'):.0f} MB at most.")  # fmt: skip
    assert grown < GROWTH


LAB, SUBGROUP = [["age", "sex"], "none", 1, 0.001, 0], ["any"] * 5
CALLS = {
    "predict": [IMAGE, *RECORD, "most probable"],
    "three_answers": [IMAGE, *RECORD, *PREVALENCE],
    "shapley": [IMAGE, *RECORD, "mel", *PREVALENCE, "probability"],
    "age_curve": [IMAGE, *RECORD, *PREVALENCE],
    "body_map": [IMAGE, *RECORD, "mel", *PREVALENCE],
    "smallest_change": [IMAGE, *RECORD, *PREVALENCE],
    "alarm": [*PREVALENCE, 20],
    "sweep": [IMAGE, *RECORD, *PREVALENCE],
    "handout": [IMAGE, *RECORD, "mel", *PREVALENCE, "png"],
    "lesson": ["no-photograph"],
    "cohort": [["image"], [], *SUBGROUP, "dataset"],
    "importance": [*SUBGROUP, "dataset"],
    "train_head": LAB,
    "compare_heads": [*LAB, *LAB],
    "model_report": [],
}
"""Every endpoint with values that are right."""
VALUES = {
    "null": None, "true": True, "number": 5, "negative": -5, "huge": 10**400, "float": 1e308, "nan": float("nan"),
    "infinity": float("inf"), "nan in words": "NaN", "empty": "", "half": "½", "arabic digits": "٥٥",
    "german": "fünfundfünfzig", "emoji": "🩺😀", "null byte": "a\0b", "surrogate": "\ud800", "sql": "' OR 1=1; --",
    "html": "<script>alert(1)</script>", "format": "{0.__class__} %s ${7*7}", "path": "../../../../etc/passwd",
    "megabyte": "x" * 900_000, "list": ["a", ["b"]], "long list": ["image"] * 50_000, "dictionary": {"a": {"b": 1}},
    "update": {"__type__": "update", "value": 3}, "file": {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    "bare file": {"path": "/etc/passwd"}, "address": {"url": "http://127.0.0.1:9/x.png", "path": "http://127.0.0.1:9/x.png"},
}  # fmt: skip
ANSWERED = {"null", "nan", "nan in words", "empty", "arabic digits", "number", "long list"}
"""Values that some parameter takes: unknown, a number, or names of inputs."""


def test_calls_name_every_endpoint(server):
    endpoints = server.api.get("/info").json()["named_endpoints"]
    assert {f"/{name}" for name in CALLS} == set(endpoints)
    for name, values in CALLS.items():
        assert len(endpoints[f"/{name}"]["parameters"]) == len(values), name


@pytest.mark.parametrize("endpoint", CALLS)
def test_every_value_of_an_endpoint_gets_an_answer_or_a_sentence(server, endpoint):
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    right = [photograph if value is IMAGE else value for value in CALLS[endpoint]]
    step = 1 if endpoint == "predict" else 4  # most are read by the same few functions
    for position in range(len(right)):
        for name in list(VALUES)[position % step :: step]:
            answered, answer = server.ask(endpoint, [*right[:position], VALUES[name], *right[position + 1 :]])
            about = f"{endpoint}, value {position}: {name}"
            if answered:
                assert name in ANSWERED, f"{about} was answered"
            else:
                check_sentence(answer, about)


def test_lists_in_lists(server):
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    for depth in (50, 200, 500, 900, 5_000):
        lists = "[" * depth + "]" * depth
        body = f'{{"data": [{json.dumps(photograph)}, {lists}, "male", "back", "mel"]}}'
        answer = server.api.post("/call/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 400, 422), answer.text
        if answer.status_code == 200:
            text = server.api.get(f"/call/predict/{answer.json()['event_id']}").text
            check_sentence(json.loads(text.split("data: ")[1])["error"], f"depth {depth}")


@pytest.mark.parametrize(
    "body",
    [
        b"", b"nope", b"[]", b"null", b'"text"', b"{}", b'{"data": 5}', b'{"data": null}', b'{"data": {}}', b"\xff\xfe",
        b'{"data": [1', b'{"data": [[[[[' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_bodies_that_are_no_question(server, body):
    answer = server.api.post("/call/predict", content=body, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500


@pytest.mark.parametrize("values", [[], [None], [None] * 4])
def test_too_few_values(server, values):
    answered, answer = server.ask("predict", values)
    assert not answered
    check_sentence(answer, str(values))


def test_too_many_values(server):
    photograph = server.upload("mole.jpg", encoded(small(), "JPEG"))
    answered, answer = server.ask("predict", [photograph, *RECORD, "mel", *range(1000)])
    assert answered or check_sentence(answer, "too many") is None


@pytest.mark.parametrize(
    "body",
    [
        {"fn_index": "predict", "data": [], "session_hash": "x"},
        {"fn_index": 0, "data": []},
        {"data": [], "session_hash": "x"},
        {"fn_index": 0, "data": [], "session_hash": {"a": 1}},
    ],
)
def test_questions_to_nobody(server, body):
    answer = server.api.post("/queue/join", json=body)
    assert 400 <= answer.status_code < 500, answer.status_code


@pytest.mark.parametrize(
    "path, body",
    [
        ("/call/nonsense", {"data": []}),
        ("/call/v2/nonsense", {"prevalence": "dataset"}),
        ("/call/v2/alarm", {"nonsense": 1}),
        ("/call/v2/predict", {}),
        ("/queue/join", {"fn_index": 99999, "data": [], "session_hash": "x"}),
        ("/queue/join", {"fn_index": -1, "data": [], "session_hash": "x"}),
    ],
)
def test_unknown_endpoints_handlers_and_parameters_get_a_sentence(server, path, body):
    answer = server.api.post(path, json=body)
    assert answer.status_code == 404 and answer.json() == {"detail": UNKNOWN}


@pytest.mark.parametrize("path", ["/call/predict", "/call/v2/predict", "/queue/join", "/cancel", "/reset"])
@pytest.mark.parametrize("body", [b"nope", b"[]", b'{"data": NaN, "fn_index": 1e400, "session_hash": Infinity}'])
def test_unreadable_requests_are_told_why_and_not_repeated(server, path, body):
    answer = server.api.post(path, content=body, headers={"content-type": "application/json"})
    if path == "/call/v2/predict" and body.startswith(b"{"):  # it has no parameter of these names
        assert answer.status_code == 404 and answer.json() == {"detail": UNKNOWN}
    else:
        assert answer.status_code == 422 and all(set(e) == {"type", "loc", "msg"} for e in answer.json()["detail"])


@pytest.mark.parametrize("path", ["/call/predict/gone", "/call/v2/predict/gone", "/queue/data?session_hash=gone"])
def test_answers_asked_for_before_a_restart(server, path):
    assert "404: Not Found" in server.api.get(path).text


@pytest.mark.parametrize("path", ["/call/", "/queue/data", "/nonesuch"])
def test_addresses_that_lead_nowhere(server, path):
    answer = server.api.get(path)
    assert 400 <= answer.status_code < 500 or '"error"' in answer.text or "event: error" in answer.text


def test_html_in_a_value_is_shown_as_text():
    with pytest.raises(UserError) as error:
        read_image(b"x", "<script>alert(1)</script>")
    assert "<script>" in str(error.value) and "<script>" not in pieces.problem(str(error.value))
