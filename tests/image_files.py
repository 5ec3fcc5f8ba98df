"""Image files of every kind, right and wrong, all made from one photograph: see `corpus`.

The bombs are those that cost Pillow gigabytes or minutes.
"""

import io
import struct
import warnings
import zipfile
import zlib
from collections import Counter
from itertools import product
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageCms

from conftest import EXAMPLES
from lesion.data.reading import FORMATS, UPRIGHT

PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
ACCEPTED = (*FORMATS, "MPO")


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


def corpus() -> list[Item]:
    """All of them."""
    parts = formats, truncated, bombs, lies, polyglots, metadata_blocks, no_photographs
    items = [item for part in parts for item in part()]
    print("\nThe corpus:", len(items), dict(Counter(item.kind for item in items)))
    return items
