"""Photographs of another collection in the first epochs of a fine-tuning."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from conftest import TINY, run_command
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.report.commands import training_commands
from lesion.training.config import External
from lesion.training.external import read_external
from train import parse_arguments

ROWS = [
    ("A1", "MEL", "45.0", "female", "posterior torso"),
    ("A2", "NV", "", "male", "head/neck"),
    ("A3", "SCC", "70.0", "male", "head/neck"),
    ("A4", "AK", "80.0", "", "palms/soles"),
    ("A5", "NV", "30.0", "female", "lower extremity"),
]


@pytest.fixture
def elsewhere(tmp_path):
    """The arguments of `External`: a table, and photographs in a folder and in a zip file, A1 in both."""
    table = tmp_path / "table.csv"
    lines = ["image,lesion_id,diagnosis,age_approx,sex,anatom_site_general"]
    lines += [f"{image},,{','.join(rest)}" for image, *rest in ROWS]
    table.write_text("\n".join(lines))
    for number, (image, diagnosis, *_) in enumerate(ROWS):
        path = tmp_path / "small" / diagnosis / f"{image}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (50 * number, 100, 100)).save(path)
    large = tmp_path / "large.zip"
    with zipfile.ZipFile(large, "w") as archive:
        for number, (image, diagnosis, *_) in enumerate(ROWS[:2]):
            path = tmp_path / f"{image}.png"
            Image.new("RGB", (90, 90), (50 * number, 100, 100)).save(path)
            archive.write(path, f"{diagnosis}/{image}.png")
    return str(table), (str(large), str(tmp_path / "small"))


def test_diagnoses_and_records_become_ham10000s(elsewhere):
    external = read_external(External(*elsewhere, 1))
    assert [CODES[label] for label in external.labels] == ["mel", "nv", "akiec", "nv"], "none of them is SCC"
    assert external.records == [
        Metadata(45, "female", "back"), Metadata(None, "male", None), Metadata(80, None, "acral"),
        Metadata(30, "female", "lower extremity"),
    ]  # fmt: skip
    assert [external.read(index).width for index in range(4)] == [90, 90, 40, 40], "the first source's copy is taken"
    counts = external.describe(External(*elsewhere, 1))["photographs"]
    assert counts == dict.fromkeys(CODES, 0) | {"mel": 1, "nv": 2, "akiec": 1}


def test_what_cannot_be_used_is_named(elsewhere, tmp_path):
    table, sources = elsewhere
    with pytest.raises(UserError, match=r"2 of the 4 photographs .* A4, A5"):
        read_external(External(table, sources[:1], 1))
    with pytest.raises(UserError, match="cannot be read as CSV"):
        read_external(External(str(tmp_path / "none.csv"), sources, 1))
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("image,diagnosis\nA1,MEL")
    with pytest.raises(UserError, match="lacks age_approx, sex, anatom_site_general"):
        read_external(External(str(wrong), sources, 1))
    wrong.write_text((tmp_path / "table.csv").read_text().replace("45.0", "450"))
    with pytest.raises(UserError, match=r"A1: Age .*450"):
        read_external(External(str(wrong), sources, 1))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--external", "t.csv"], "--external-images"),
        (["--external", "t.csv", "--external-images", "a", "--recipe", "frozen"], "recipe finetune"),
        (["--external", "t.csv", "--external-images", "a", "--epochs", "3"], "more than the epochs"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, sentence, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(["--data", "x", *options])
    assert sentence in capsys.readouterr().err


def test_the_first_epochs_read_them(ham10000, elsewhere, tmp_path, monkeypatch):
    """Each once, and the last epoch none; the checkpoint says so, and gives the command."""
    table, sources = elsewhere
    options = ("--external", table, "--external-images", *sources, "--external-epochs", 1)
    output = tmp_path / "checkpoint"
    done = run_command(
        "train", "--data", ham10000, "--output", output, "--backbone", TINY, "--init", "scratch", "--workers", 0,
        "--image-size", "32:2", "--batch-size", 16, *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    training = load_checkpoint(output).config.training
    recorded = training["external"]
    assert recorded["photographs"] == dict.fromkeys(CODES, 0) | {"mel": 1, "nv": 2, "akiec": 1}
    assert (recorded["table"], recorded["images"], recorded["epochs"]) == ("table.csv", ["large.zip", "small"], 1)
    command = next(c for c in training_commands(training, "weights") if "train.py" in c)
    assert "--external table.csv --external-images large.zip small --external-epochs 1" in command
    first, second = (-(-count // 16) for count in (training["images"]["training"] + 4, training["images"]["training"]))
    assert f"{first + second}/{first + second}" in done.stderr, "steps of both epochs"
    frames = sorted(len(np.load(path, mmap_mode="r")) for path in (output / "state").glob("frames-*.npy"))
    assert frames == [4, training["images"]["training"]]
