"""The batch command."""

import shutil
from subprocess import CompletedProcess

import pandas as pd
import pytest

from conftest import EXAMPLES, run_command
from lesion.data.metadata import Metadata
from lesion.data.reading import SUFFIXES, read_image
from lesion.inference.batch_prediction import find_images
from lesion.inference.predictor import load_predictor


def predict(*arguments) -> CompletedProcess:
    return run_command("lesion.predict", *arguments)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("ISIC_0024329.jpg", "ISIC_0024307.jpg"):
        shutil.copy(EXAMPLES / name, folder)
    return folder


def test_writes_the_isic_file(images, checkpoint, tmp_path):
    (tmp_path / "meta.csv").write_text("image_id,age,sex,localization\nISIC_0024329,75,female,lower extremity\n")
    output = tmp_path / "out" / "predictions.csv"
    files = ("--images", images, "--output", output, "--metadata", tmp_path / "meta.csv")
    done = predict(*files, "--checkpoint", checkpoint)
    assert done.returncode == 0, done.stderr
    assert output.read_text().splitlines()[0] == "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"
    table = pd.read_csv(output, index_col="image")
    predictor = load_predictor(checkpoint)
    records = {"ISIC_0024329": Metadata(75, "female", "lower extremity"), "ISIC_0024307": Metadata()}
    for name, record in records.items():
        expected = predictor.predict(read_image(EXAMPLES / f"{name}.jpg"), record).probabilities
        assert list(table.loc[name]) == pytest.approx(list(expected.values()), abs=1e-4)


def test_prior(images, checkpoint, tmp_path):
    done = predict("--images", images, "--output", tmp_path / "u.csv", "--checkpoint", checkpoint, "--prior", "uniform")
    assert done.returncode == 0, done.stderr
    expected = load_predictor(checkpoint).predict(read_image(EXAMPLES / "ISIC_0024307.jpg"), prior="uniform")
    row = pd.read_csv(tmp_path / "u.csv", index_col="image").loc["ISIC_0024307"]
    assert list(row) == pytest.approx(list(expected.probabilities.values()), abs=1e-4)


def test_an_unreadable_file_is_named_and_the_rest_predicted(images, checkpoint, tmp_path):
    (images / "broken.jpg").write_bytes((EXAMPLES / "ISIC_0024307.jpg").read_bytes()[:5000])
    done = predict("--images", images, "--output", tmp_path / "p.csv", "--checkpoint", checkpoint)
    assert done.returncode == 1 and "broken.jpg" in done.stderr and "Traceback" not in done.stderr
    assert sorted(pd.read_csv(tmp_path / "p.csv").image) == ["ISIC_0024307", "ISIC_0024329"]


@pytest.mark.parametrize(
    "table, words",
    [
        ("image_id,age\nx,1\n", "lacks the column(s) sex, localization"),
        ("image_id,age,sex,localization\nx,200,male,back\n", "x: Age '200' is outside"),
        ("image_id,age,sex,localization\nx,20,male,back\nx,20,male,back\n", "lists x twice"),
    ],
)
def test_wrong_metadata_is_one_sentence(images, checkpoint, tmp_path, table, words):
    (tmp_path / "m.csv").write_text(table)
    done = predict(
        "--images", images, "--output", tmp_path / "p.csv", "--metadata", tmp_path / "m.csv", "--checkpoint", checkpoint
    )
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "p.csv").exists()


def test_records_are_matched_and_counted(images, checkpoint, tmp_path):
    (images / "notes.txt").write_text("not an image")
    (tmp_path / "m.csv").write_text("image_id,age,sex,localization\nISIC_0024329,75,female,back\nother,5,male,back\n")
    arguments = ("--images", images, "--metadata", tmp_path / "m.csv", "--checkpoint", checkpoint)
    done = predict(*arguments, "--output", tmp_path / "p.csv")
    assert done.returncode == 0 and "has a row for 1 of the 2 images" in done.stdout
    assert "1 other file in" in done.stdout and "(.txt)" in done.stdout
    (tmp_path / "m.csv").write_text("image_id,age,sex,localization\nISIC_0024329.jpg,75,female,back\n")
    done = predict(*arguments, "--output", tmp_path / "none.csv")
    assert done.returncode == 1 and not (tmp_path / "none.csv").exists()
    assert "'ISIC_0024329.jpg'" in done.stderr and "without its ending, such as 'ISIC_0024307'" in done.stderr


def test_every_format_that_is_read_is_predicted(tmp_path):
    for index, suffix in enumerate(SUFFIXES):
        (tmp_path / f"{index}{suffix.upper() if index % 2 else suffix}").write_bytes(b"")
    (tmp_path / "table.csv").write_text("")
    found, others = find_images(tmp_path)
    assert len(found) == len(SUFFIXES) and ".avif" in SUFFIXES and [p.name for p in others] == ["table.csv"]


def test_an_output_that_cannot_be_written_is_noticed_before_the_work(images, tmp_path):
    """Before the checkpoint, which is missing here, is looked for."""
    (tmp_path / "file").write_text("")
    for output, words in ((tmp_path, "is a folder"), (tmp_path / "file" / "p.csv", "cannot be written")):
        done = predict("--images", images, "--output", output, "--checkpoint", tmp_path / "nowhere")
        assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr


def test_empty_folder(checkpoint, tmp_path):
    done = predict("--images", tmp_path, "--output", tmp_path / "p.csv", "--checkpoint", checkpoint)
    assert done.returncode == 1 and "holds no images" in done.stderr
