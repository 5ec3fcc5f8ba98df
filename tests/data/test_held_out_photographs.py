"""The classroom's copies of the held-out photographs."""

import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from conftest import run_command
from lesion.data.held_out_photographs import FILE, HeldOutPhotographs
from lesion.errors import UserError
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
    pack(ham10000, folder)
    assert (folder / FILE).read_bytes() == before


def test_large_photographs_are_cut_to_what_the_network_reads(checkpoint, tmp_path):
    transform = load_config(checkpoint).transform
    side = transform.working_size
    Image.new("RGB", (4 * side, 2 * side), "pink").save(tmp_path / "large.jpg")
    with Image.open(io.BytesIO(small_jpeg(tmp_path / "large.jpg", transform.frame))) as image:
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
        pack(other, folder)
    assert not (folder / FILE).exists()


def test_a_damaged_file_is_like_none(checkpoint, tmp_path):
    folder = copied(checkpoint, tmp_path / "checkpoint")
    (folder / FILE).write_bytes(b"no archive")
    assert not HeldOutPhotographs(folder).names
