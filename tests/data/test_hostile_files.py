"""Bad and odd image files of every kind are read as the photograph that they are, or refused in a sentence."""

import io
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from conftest import ROOT, check_sentence
from image_files import DISPLAY_P3, PHOTOGRAPH, encoded, small, turned
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor


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


@pytest.mark.process
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
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
from conftest import memory
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
