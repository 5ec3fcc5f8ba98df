"""Checkpoints to and from the Hub: huggingface_hub's real client, in processes of its own, against a stand-in."""

import os
import shutil
import subprocess
import sys

import pytest

from conftest import EXAMPLES, ROOT
from hub import READER, WRITER, Hub
from lesion.model.checkpoint import CONFIG, MODEL, REPORT
from lesion.model.hub import UPLOADED


@pytest.fixture(scope="module")
def hub():
    """A stand-in Hub."""
    server = Hub()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A folder of one photograph."""
    folder = tmp_path_factory.mktemp("photographs")
    shutil.copy(EXAMPLES / "ISIC_0024307.jpg", folder)
    return folder


def run(module: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """A command of the project."""
    return python("-m", module, *arguments, **environment)


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """A process of its own."""
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


ONE_AFTER_ANOTHER = """
import sys
from lesion.predict import main

_, photographs, output, *checkpoints = sys.argv
for number, checkpoint in enumerate(checkpoints):
    sys.argv[1:] = ["--images", photographs, "--output", f"{output}/{number}.csv", "--checkpoint", checkpoint]
    main()
"""


def predict(photographs, output, *checkpoints: object, **environment: str) -> list[str]:
    """The tables of predictions that checkpoints make, in one process, whose start is most of the time."""
    output.mkdir(exist_ok=True)
    done = python("-c", ONE_AFTER_ANOTHER, photographs, output, *checkpoints, **environment)
    assert done.returncode == 0, done.stderr
    return [(output / f"{number}.csv").read_text() for number in range(len(checkpoints))]


def refusal(done: subprocess.CompletedProcess) -> str:
    """The one sentence of a command that did not do it."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return sentence


def test_pushed_loaded_pinned_and_kept(hub, checkpoint, photographs, tmp_path):
    done = run("lesion.publish", "--checkpoint", checkpoint, "--repository", "teacher/lesions",
               **hub.environment(tmp_path / "a", WRITER))  # fmt: skip
    assert done.returncode == 0, done.stderr
    first = done.stdout.split("just this one, ")[1].strip()
    (uploaded,) = [files for files in hub.repositories["models/teacher/lesions"].values() if files]
    kept = {path.name for pattern in UPLOADED for path in checkpoint.glob(pattern)}
    assert uploaded.keys() == kept | {"README.md"} and MODEL in kept and CONFIG in kept
    card = " ".join(uploaded["README.md"].decode().split())  # wherever its lines break
    assert "license: cc-by-nc-4.0" in card and "--checkpoint teacher/lesions" in card
    assert "has not scored this checkpoint on its test part" in card

    cache, tables = hub.environment(tmp_path / "cache"), tmp_path / "tables"
    remote, again = predict(photographs, tables, "teacher/lesions", "teacher/lesions", **cache)
    assert remote == again and "README.md" not in hub.downloads
    assert hub.downloads.count(MODEL) == 1, "what is there is not downloaded again"

    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    document = (other / CONFIG).read_text()
    (other / CONFIG).write_text(document.replace('"size": 64', '"size": 96'))
    assert (other / CONFIG).read_text() != document
    done = run("lesion.publish", "--checkpoint", other, "--repository", "teacher/lesions",
               **hub.environment(tmp_path / "a", WRITER))  # fmt: skip
    assert done.returncode == 0, done.stderr
    changed, pinned = predict(photographs, tables, "teacher/lesions", first, **cache)
    assert [pinned, changed] == predict(photographs, tables, checkpoint, other)
    assert pinned == remote != changed

    gone = Hub()
    nowhere = cache | {"HF_ENDPOINT": gone.url}
    gone.shutdown()
    gone.server_close()
    assert predict(photographs, tables, "teacher/lesions", first, **nowhere) == [changed, pinned]
    offline = cache | {"HF_HUB_OFFLINE": "1"}
    assert predict(photographs, tables, "teacher/lesions", **offline) == [changed]
    empty = nowhere | {"HF_HOME": str(tmp_path / "empty")}
    done = run("lesion.predict", "--images", photographs, "--output", tmp_path / "none.csv",
               "--checkpoint", "teacher/lesions", **empty)  # fmt: skip
    assert "cannot be loaded from the Hugging Face Hub" in refusal(done)


@pytest.mark.parametrize(
    "checkpoint_id, words",
    [
        ("teacher/nothing", "there is no such repository, or it is private"),
        ("teacher/small@v9", "it has no branch, tag or commit v9"),
        ("teacher/small", "is not a checkpoint: it has no config.json"),
    ],
)
def test_what_the_hub_has_not_is_one_sentence(hub, photographs, tmp_path, checkpoint_id, words):
    hub.repositories.setdefault("models/teacher/small", {"1" * 40: {"notes.json": b"{}"}})
    done = run("lesion.predict", "--images", photographs, "--output", tmp_path / "x.csv", "--checkpoint", checkpoint_id,
               **hub.environment(tmp_path / "cache"))  # fmt: skip
    assert words in refusal(done)


def test_a_damaged_download_is_refused(hub, checkpoint, photographs, tmp_path):
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    hub.repositories["models/teacher/damaged"] = {"2" * 40: files | {MODEL: files[MODEL][:-1]}}
    done = run("lesion.predict", "--images", photographs, "--output", tmp_path / "x.csv",
               "--checkpoint", "teacher/damaged", **hub.environment(tmp_path / "cache"))  # fmt: skip
    assert f"{MODEL} is not the file that {CONFIG} was written with" in refusal(done)


@pytest.mark.parametrize(
    "repository, token, words",
    [
        ("teacher/new", None, "The Hub does not know who you are: log in"),
        ("teacher/new", READER, "log in by `hf auth login` with a token that may write there"),
        ("lesions", WRITER, "Repository 'lesions' is not accepted; give a Hub id, user/name"),
    ],
)
def test_a_refused_upload_is_one_sentence(hub, checkpoint, tmp_path, repository, token, words):
    done = run("lesion.publish", "--checkpoint", checkpoint, "--repository", repository,
               **hub.environment(tmp_path, token))  # fmt: skip
    assert words in refusal(done)
    assert "models/teacher/new" not in hub.repositories


def test_what_is_no_checkpoint_or_another_ones_report_is_not_uploaded(hub, checkpoint, tmp_path):
    writer = hub.environment(tmp_path / "home", WRITER)
    done = run("lesion.publish", "--checkpoint", tmp_path, "--repository", "teacher/none", **writer)
    assert "is not a checkpoint" in refusal(done)
    shutil.copytree(checkpoint, tmp_path / "copy")
    (tmp_path / "copy" / REPORT).write_text('{"checkpoint": "of another"}')
    done = run("lesion.publish", "--checkpoint", tmp_path / "copy", "--repository", "teacher/none", **writer)
    assert "is of another checkpoint. Run “python -m lesion.evaluate" in refusal(done)
    (tmp_path / "copy" / REPORT).write_text("{")
    done = run("lesion.publish", "--checkpoint", tmp_path / "copy", "--repository", "teacher/none", **writer)
    assert "is damaged. Run “python -m lesion.evaluate" in refusal(done)
    assert "models/teacher/none" not in hub.repositories
