"""Which files of a folder belong to its checkpoint, and reports that cannot be used."""

import json
import shutil

import pytest

from lesion.data.held_out_photographs import FILE
from lesion.errors import UserError
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, REPORT
from lesion.model.photographs import pack
from lesion.report.figures import figures_of
from lesion.report.publication import files_of, publish
from lesion.report.reading import read_report


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A copy of the checkpoint, with figures of an earlier report."""
    copy = tmp_path / "checkpoint"
    shutil.copytree(checkpoint, copy)
    for name in ("roc.png", "reliability.png", "notes.json"):
        (copy / name).write_bytes(b"of an earlier checkpoint")
    return copy


def test_figures_of_an_earlier_report_are_not_uploaded(folder, report):
    names = {path.name for path in files_of(folder, None)}
    assert {
        "model.safetensors",
        "config.json",
        "held_out.safetensors",
        "seen_photographs.safetensors",
        "history.csv",
        "curves.png",
    } <= names
    assert not {"roc.png", "reliability.png", "notes.json"} & names
    (folder / REPORT).write_text("{}")
    names = {path.name for path in files_of(folder, report)}
    assert {REPORT, "roc.png", "reliability.png"} <= names and "notes.json" not in names
    assert "roc.png" in figures_of(report)


def test_photographs_of_other_images_are_not_uploaded(folder, ham10000):
    pack(ham10000, [folder])
    assert FILE in {path.name for path in files_of(folder, None)}
    (folder / FILE).write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"make it again with `python -m lesion\.photographs`"):
        files_of(folder, None)


@pytest.mark.parametrize(
    "content, words",
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"checkpoint": "0"}', "is of another checkpoint"),
        (None, "lacks what the model card needs"),
    ],
)
def test_a_report_that_cannot_be_used_is_one_sentence(folder, content, words):
    assert read_report(folder) is None
    (folder / REPORT).write_text(content or json.dumps({"checkpoint": sha256(folder / CONFIG)}))
    with pytest.raises(UserError, match=words):
        publish(folder, "teacher/none")
