"""Whether full-size photographs of the data set are recognised, and others are not."""

import shutil

import numpy as np
import pytest
from PIL import Image

from conftest import run_command
from lesion.data.ham10000 import read_table
from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.model.seen import read_seen
from lesion.report.recognition import in_all, recognition_in_words, recognition_report


@pytest.fixture(scope="module")
def known(checkpoint, ham10000, tmp_path_factory):
    """The checkpoint with hashes, larger copies of some of its photographs, and other photographs."""
    place = tmp_path_factory.mktemp("recognition")
    shutil.copytree(checkpoint, place / "checkpoint")
    assert run_command("lesion.photographs", "--data", ham10000, "--checkpoint", place / "checkpoint").returncode == 0
    (place / "originals").mkdir()
    table = read_table(ham10000, verify=False)
    for row in table.iloc[::6].itertuples():
        with Image.open(row.path) as image:
            image.resize((400, 300), Image.Resampling.BICUBIC).save(place / "originals" / f"{row.image_id}.png")
    (place / "others").mkdir()
    for number in range(5):
        pixels = np.random.default_rng(number).integers(0, 255, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((90, 90)).save(place / "others" / f"{number}.png")
    return place


def test_originals_are_of_their_own_part_and_others_of_none(known):
    checkpoint = load_checkpoint(known / "checkpoint")
    report = recognition_report(checkpoint, known / "originals", known / "others")
    held_out = checkpoint.held_out().table
    test = set(held_out.image_id[held_out.test])
    names = {path.stem for path in (known / "originals").iterdir()}
    assert report["threshold"] == read_seen(known / "checkpoint").threshold > 0
    assert list(report["originals"]) == ["as they are", "JPEG quality 70"]
    for found in report["originals"].values():
        assert found["test"]["images"] == len(names & test)
        assert sum(found[part]["images"] for part in found) == len(names)
        images, recognised = in_all(found)
        assert images == len(names) and recognised >= images - 1
    assert report["others"] == {"images": 5, "recognised": 0}
    assert f"of {len(names)} (training" in recognition_in_words(report)
    assert recognition_report(checkpoint, None, known / "others").keys() == {"threshold", "others"}


def test_a_photograph_taken_for_another_counts_as_not_recognised(known, tmp_path):
    """A held-out photograph under the name of a training photograph."""
    checkpoint = load_checkpoint(known / "checkpoint")
    held_out = set(checkpoint.held_out().table.image_id)
    names = sorted((known / "originals").iterdir())
    ours = next(path for path in names if path.stem in held_out)
    theirs = next(path for path in names if path.stem not in held_out)
    shutil.copy(ours, tmp_path / theirs.name)
    report = recognition_report(checkpoint, tmp_path, None)
    assert report["originals"]["as they are"]["training"] == {"images": 1, "recognised": 0}


def test_what_cannot_be_used_is_one_sentence(known, checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"has no seen_photographs.*lesion\.photographs"):
        recognition_report(load_checkpoint(checkpoint), known / "originals", None)
    with pytest.raises(UserError, match=r"--others .* holds no photographs"):
        recognition_report(load_checkpoint(known / "checkpoint"), None, tmp_path)
    shutil.copy(next((known / "originals").iterdir()), tmp_path / "mine.png")
    with pytest.raises(UserError, match="mine is no image of the checkpoint's data set"):
        recognition_report(load_checkpoint(known / "checkpoint"), tmp_path, None)
