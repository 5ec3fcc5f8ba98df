"""The classroom's copies of the held-out photographs."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import run_command
from lesion.data.held_out_photographs import FILE, FILE_OF_FORMAT_2, HeldOutPhotographs
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.model.checkpoint import DETECTOR, HELD_OUT, load_config
from lesion.model.held_out import read_held_out
from lesion.model.photographs import pack, small_jpeg


def copied(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint folder of its own."""
    folder.mkdir()
    for name in ("config.json", "model.safetensors", HELD_OUT, DETECTOR):
        (folder / name).symlink_to(checkpoint / name)
    return folder


def test_every_held_out_photograph_is_packed(checkpoint, ham10000, tmp_path):
    folder = copied(checkpoint, tmp_path / "checkpoint")
    done = run_command("lesion.photographs", "--data", ham10000, "--checkpoint", folder)
    assert done.returncode == 0 and "Wrote" in done.stdout
    photographs = HeldOutPhotographs(folder)
    ids = set(read_held_out(folder / HELD_OUT).table.image_id)
    assert photographs.names == {f"{image_id}.jpg" for image_id in ids}
    for image_id in sorted(ids)[:3]:
        content = photographs.read(image_id)
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (75, 75), "the centre square of 100 × 75 pixels"
        assert photographs.image_id_of(hashlib.sha256(content).digest()) == image_id
    assert photographs.image_id_of(b"another") is None and "ISIC_x" not in photographs
    with zipfile.ZipFile(folder / FILE) as archive:
        assert b"CC BY-NC" in archive.comment
    before = (folder / FILE).read_bytes()
    pack(ham10000, [folder])
    assert (folder / FILE).read_bytes() == before


def test_large_photographs_are_cut_to_what_the_network_reads(checkpoint, tmp_path):
    transform = load_config(checkpoint).transform
    side = transform.working_size
    Image.new("RGB", (4 * side, 2 * side), "pink").save(tmp_path / "large.jpg")
    with Image.open(io.BytesIO(small_jpeg(tmp_path / "large.jpg", transform))) as image:
        assert image.size == (side, side) and image.format == "JPEG"


def test_another_data_set_is_refused_in_a_sentence(checkpoint, ham10000, tmp_path):
    folder = copied(checkpoint, tmp_path / "checkpoint")
    other = tmp_path / "other"
    other.mkdir()
    table = (ham10000 / "HAM10000_metadata.csv").read_text().splitlines()
    (other / "HAM10000_metadata.csv").write_text("\n".join(table[:20]))
    for line in table[1:20]:
        name = f"{line.split(',')[1]}.jpg"
        (other / name).symlink_to(next(ham10000.rglob(name)))
    with pytest.raises(UserError, match="held-out images"):
        pack(other, [folder])
    assert not (folder / FILE).exists()


def with_working_size(checkpoint: Path, folder: Path, size: int) -> Path:
    """The checkpoint with another working size."""
    copied(checkpoint, folder)
    document = json.loads((folder / "config.json").read_text())
    document["image"]["working_size"] = size
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(document))
    return folder


def test_two_checkpoints_share_the_photographs(checkpoint, ham10000, tmp_path):
    """Each answers a shared copy as it answers the original, though it reads smaller photographs than the other."""
    outer = with_working_size(checkpoint, tmp_path / "outer", 50)
    inner = with_working_size(checkpoint, outer / "inner", 72)
    done = run_command("lesion.photographs", "--data", ham10000, "--checkpoint", outer, inner)
    assert done.returncode == 0 and not (inner / FILE).exists(), done.stderr
    image_id = min(HeldOutPhotographs(outer).names)[:-4]
    original = read_image(next(ham10000.rglob(f"{image_id}.jpg")))
    for folder in (outer, inner):
        photographs, predictor = HeldOutPhotographs(folder), load_predictor(folder)
        assert photographs.path.samefile(outer / FILE)
        copy = read_image(photographs.read(image_id))
        assert copy.size == (72, 72)
        answers = [list(predictor.predict(image).probabilities.values()) for image in (original, copy)]
        assert np.abs(np.subtract(*answers)).max() < 0.05
    with pytest.raises(UserError, match="does not lie in"):
        pack(ham10000, [inner, outer])
    (inner / FILE).write_bytes((outer / FILE).read_bytes())
    assert HeldOutPhotographs(inner).path == inner / FILE, "its own come first"


def test_a_square_jpeg_keeps_its_quantisation(checkpoint, tmp_path):
    """So a copy gets the answer of the original to within rounding, and is not larger."""
    transform = load_config(checkpoint).transform
    side = transform.working_size
    pixels = np.random.default_rng(0).integers(80, 180, (5, 5, 3), np.uint8)
    Image.fromarray(pixels).resize((side, side)).save(tmp_path / "small.jpg", quality=60)
    content = small_jpeg(tmp_path / "small.jpg", transform)
    with Image.open(tmp_path / "small.jpg") as before, Image.open(io.BytesIO(content)) as after:
        assert before.quantization == after.quantization
        assert np.abs(np.asarray(before, int) - np.asarray(after, int)).mean() < 1
    assert len(content) <= (tmp_path / "small.jpg").stat().st_size


def test_the_name_of_earlier_checkpoints_is_read(checkpoint, ham10000, tmp_path):
    folder = copied(checkpoint, tmp_path / "checkpoint")
    pack(ham10000, [folder]).rename(folder / FILE_OF_FORMAT_2)
    assert HeldOutPhotographs(folder).names


def test_a_damaged_file_is_like_none(checkpoint, tmp_path):
    folder = copied(checkpoint, tmp_path / "checkpoint")
    (folder / FILE).write_bytes(b"no archive")
    assert not HeldOutPhotographs(folder).names
