"""The batch command."""

import os
import shutil
import signal
import subprocess
import sys
import time
from subprocess import CompletedProcess

import pandas as pd
import pytest

from conftest import EXAMPLES, ROOT, run_command
from lesion.data.metadata import Metadata
from lesion.data.reading import SUFFIXES, read_image
from lesion.inference.batch_prediction import Photographs
from lesion.inference.image_folder import find_images
from lesion.inference.prediction_parts import PredictionParts
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


@pytest.fixture
def many(ham10000, checkpoint, tmp_path):
    """Arguments that predict 40 photographs, one of them broken, in three parts; without an output."""
    folder = tmp_path / "many"
    folder.mkdir()
    for path in sorted(ham10000.rglob("*.jpg"))[:40]:
        shutil.copy(path, folder)
    next(iter(sorted(folder.iterdir()))).write_bytes(b"broken")
    return ["--images", folder, "--checkpoint", checkpoint, "--batch-size", 2, "--device", "cpu", "--workers", 1]


def test_an_interrupted_prediction_goes_on_to_the_same_table(many, tmp_path, monkeypatch):
    whole, output = tmp_path / "whole.csv", tmp_path / "p.csv"
    assert predict(*many, "--output", whole).stderr.count("is not an image") == 1
    written, write = [], PredictionParts.write

    def killed_after_one(parts, number, *values):
        if written:
            raise KeyboardInterrupt
        written.append(number)
        write(parts, number, *values)

    with monkeypatch.context() as patched:
        patched.setattr(PredictionParts, "write", killed_after_one)
        done = predict(*many, "--output", output)
    assert done.returncode == 1 and "with --resume goes on" in done.stderr and not output.exists()
    done = predict(*many, "--output", output)
    assert done.returncode == 1 and "Add --resume to go on with it" in done.stderr
    done = predict(*many, "--output", output, "--resume", "--prior", "uniform")
    assert done.returncode == 1 and "prior uniform (was dataset)" in done.stderr
    # The precision is the interrupted run's, whatever a measurement says now.
    monkeypatch.setattr("lesion.inference.batch_prediction.prefers_bfloat16", lambda device: 1 / 0)
    predicted = []
    monkeypatch.setattr(PredictionParts, "write", lambda *values: (predicted.append(values[1]), write(*values)))
    done = predict(*many, "--output", output, "--resume")
    assert done.returncode == 1 and done.stderr.count("is not an image") == 1
    assert "Wrote 39 predictions" in done.stdout and predicted == [1, 2]
    assert output.read_bytes() == whole.read_bytes() and not output.with_name("p.csv.parts").exists()


def test_parquet_holds_the_same_table(many, tmp_path):
    for name in ("p.csv", "p.parquet"):
        predict(*many, "--output", tmp_path / name)
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "p.parquet"), pd.read_csv(tmp_path / "p.csv"), check_dtype=False
    )


def test_a_damaged_part_is_named(many, tmp_path, monkeypatch):
    def damage(parts, number, *values, write=PredictionParts.write):
        write(parts, number, *values)
        parts.path(number).write_bytes(b"nothing")

    monkeypatch.setattr(PredictionParts, "write", damage)
    done = predict(*many, "--output", tmp_path / "p.csv")
    assert done.returncode == 1 and "part-000000.parquet cannot be read" in done.stderr


def test_a_reading_process_that_is_killed_is_one_sentence(many, tmp_path, monkeypatch):
    monkeypatch.setattr(Photographs, "__getitem__", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    done = predict(*many, "--output", tmp_path / "p.csv")
    assert done.returncode == 1 and done.stderr.splitlines()[-1].startswith("error: The system ended a process")


def test_a_name_that_is_no_unicode_is_predicted(many, checkpoint, tmp_path):
    folder = tmp_path / "odd"
    folder.mkdir()
    shutil.copy(EXAMPLES / "ISIC_0024307.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")
    done = predict("--images", folder, "--checkpoint", checkpoint, "--output", tmp_path / "p.csv")
    assert done.returncode == 0 and list(pd.read_csv(tmp_path / "p.csv").image) == ["caf\\udce9"]


def start(arguments, *launcher) -> subprocess.Popen:
    command = [sys.executable, "-m", *launcher, "lesion.predict", *arguments]
    return subprocess.Popen(
        list(map(str, command)), cwd=ROOT, start_new_session=True, stderr=subprocess.DEVNULL,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@pytest.mark.process
def test_two_processes_and_a_killed_one_write_the_table_of_one(many, tmp_path):
    whole, shared, killed = (tmp_path / f"{name}.csv" for name in ("whole", "shared", "killed"))
    assert start([*many, "--output", whole]).wait(120) == 1, "for the broken file"
    # On CPUs `--cpu` starts two processes only through MPI; `--multi_gpu` always starts them.
    launcher = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1,
                "--main_process_port", 0, "--mixed_precision", "no", "--dynamo_backend", "no", "-m")  # fmt: skip
    start([*many, "--output", shared], *launcher).wait(180)
    process = start([*many, "--output", killed])
    parts = killed.with_name("killed.csv.parts")
    while process.poll() is None and not any(parts.glob("part-*.parquet")):
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert start([*many, "--output", killed, "--resume"]).wait(120) == 1
    assert shared.read_bytes() == whole.read_bytes() == killed.read_bytes()
