"""Checkpoints to and from the Hub: huggingface_hub's real client, in processes of its own, against a stand-in."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard

from conftest import BUNDLED, EXAMPLES, ROOT
from hub import READER, WRITER, Hub
from lesion.model.checkpoint import CONFIG, MODEL, REPORT
from lesion.model.hub import UPLOADED
from lesion.report.card_metadata import RESULTS


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


COMMANDS = """
import json, os, sys

offline = os.environ["HF_HUB_OFFLINE"]
from conftest import run_command  # which sets it for the other tests

os.environ["HF_HUB_OFFLINE"] = offline
for line in sys.stdin:
    token, module, *arguments = json.loads(line)
    os.environ.pop("HF_TOKEN", None)
    if token:
        os.environ["HF_TOKEN"] = token
    done = run_command(module, *arguments)
    print(json.dumps([done.returncode, done.stdout, done.stderr]), flush=True)
"""


class Client:
    """A process that runs commands of the project one after another: huggingface_hub reads where the Hub and its cache
    are once, when it is imported.

    Args:
        environment: of `Hub.environment`.
    """

    def __init__(self, environment: dict[str, str]):
        path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMANDS], cwd=ROOT, env=os.environ | environment | {"PYTHONPATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, module: str, *arguments: object, token: str | None = None) -> subprocess.CompletedProcess:
        """A command, with a token or none."""
        self.process.stdin.write(json.dumps([token, module, *map(str, arguments)]) + "\n")
        self.process.stdin.flush()
        return subprocess.CompletedProcess(module, *json.loads(self.process.stdout.readline()))

    def predict(self, photographs, output, *checkpoints: object) -> list[str]:
        """The tables of predictions that checkpoints make."""
        tables = []
        for number, checkpoint in enumerate(checkpoints):
            table = output / f"{number}.csv"
            done = self.run(
                "lesion.predict", "--images", photographs, "--output", table, "--checkpoint", checkpoint
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            tables.append(table.read_text())
        return tables

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(30)


@pytest.fixture
def client():
    """Makes clients."""
    clients = []

    def make(environment: dict[str, str]) -> Client:
        clients.append(Client(environment))
        return clients[-1]

    yield make
    for one in clients:
        one.close()


@pytest.fixture(scope="module")
def refused(hub, tmp_path_factory):
    """A client whose commands are all refused."""
    client = Client(hub.environment(tmp_path_factory.mktemp("refused")))
    yield client
    client.close()


def refusal(done: subprocess.CompletedProcess) -> str:
    """The one sentence of a command that did not do it."""
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    (sentence,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    return sentence


def test_pushed_loaded_pinned_and_kept(hub, client, checkpoint, photographs, tmp_path):
    cache, tables = hub.environment(tmp_path / "cache"), tmp_path / "tables"
    online = client(cache)
    publish = ("lesion.publish", "--repository", "teacher/lesions", "--checkpoint")
    done = online.run(*publish, checkpoint, token=WRITER)
    assert done.returncode == 0, done.stderr
    first = done.stdout.split("just this one, ")[1].strip()
    (uploaded,) = [files for files in hub.repositories["models/teacher/lesions"].values() if files]
    kept = {path.name for pattern in UPLOADED for path in checkpoint.glob(pattern)}
    assert uploaded.keys() == kept | {"README.md"} and MODEL in kept and CONFIG in kept
    card = " ".join(uploaded["README.md"].decode().split())  # wherever its lines break
    assert "license: cc-by-nc-4.0" in card and "--checkpoint teacher/lesions" in card
    assert "has not scored this checkpoint on its test part" in card

    remote, again = online.predict(photographs, tables, "teacher/lesions", "teacher/lesions")
    assert remote == again and "README.md" not in hub.downloads
    assert hub.downloads.count(MODEL) == 1, "what is there is not downloaded again"

    # The Hub's last commit with a report and a figure of it, and with a file of its owner.
    on_hub = list(hub.repositories["models/teacher/lesions"].values())[-1]
    on_hub |= {REPORT: b"of the first checkpoint", "roc.png": b"of its report", "notes.md": b"the owner's"}
    other = tmp_path / "other"
    shutil.copytree(checkpoint, other)
    document = (other / CONFIG).read_text()
    (other / CONFIG).write_text(document.replace('"size": 64', '"size": 96'))
    assert (other / CONFIG).read_text() != document
    done = online.run(*publish, other, token=WRITER)
    assert done.returncode == 0, done.stderr
    now = list(hub.repositories["models/teacher/lesions"].values())[-1]
    assert now.keys() == uploaded.keys() - {REPORT, "roc.png"} and now["notes.md"] == b"the owner's"
    changed, pinned = online.predict(photographs, tables, "teacher/lesions", first)
    assert [pinned, changed] == online.predict(photographs, tables, checkpoint, other)
    assert pinned == remote != changed

    gone = Hub()
    nowhere = cache | {"HF_ENDPOINT": gone.url}
    gone.shutdown()
    gone.server_close()
    assert client(nowhere).predict(photographs, tables, "teacher/lesions", first) == [changed, pinned]
    assert client(cache | {"HF_HUB_OFFLINE": "1"}).predict(photographs, tables, "teacher/lesions") == [changed]
    empty = client(nowhere | {"HF_HOME": str(tmp_path / "empty")})
    done = empty.run(
        "lesion.predict", "--images", photographs, "--output", tmp_path / "x.csv", "--checkpoint", "teacher/lesions"
    )  # fmt: skip
    assert "cannot be loaded from the Hugging Face Hub" in refusal(done)


@pytest.mark.parametrize(
    "folder", [path.parent for path in sorted(BUNDLED.rglob(CONFIG))], ids=lambda folder: folder.name
)
def test_a_bundled_checkpoint_comes_back_with_its_results(hub, client, folder, photographs, tmp_path):
    """The Hub gets the card with the test results, and gives the files that answer alike."""
    online, repository = client(hub.environment(tmp_path / "cache")), f"teacher/{folder.name}"
    done = online.run("lesion.publish", "--checkpoint", folder, "--repository", repository, token=WRITER)
    assert done.returncode == 0, done.stderr
    files = list(hub.repositories[f"models/{repository}"].values())[-1]
    measured = json.loads((folder / REPORT).read_text())["metrics"]
    results = ModelCard(files["README.md"].decode()).data.eval_results
    shown = {(result.dataset_config, result.metric_name): result.metric_value for result in results}
    for metric, (_, words, _) in RESULTS.items():
        assert shown["fused", words] == pytest.approx(measured["fused"][metric]["value"], abs=5e-5)
    local, remote = online.predict(photographs, tmp_path / "tables", folder, repository)
    assert local == remote


@pytest.mark.parametrize(
    "checkpoint_id, words",
    [
        ("teacher/nothing", "there is no such repository, or it is private"),
        ("teacher/small@v9", "it has no branch, tag or commit v9"),
        ("teacher/small", "is not a checkpoint: it has no config.json"),
    ],
)
def test_what_the_hub_has_not_is_one_sentence(hub, refused, photographs, tmp_path, checkpoint_id, words):
    hub.repositories.setdefault("models/teacher/small", {"1" * 40: {"notes.json": b"{}"}})
    done = refused.run(
        "lesion.predict", "--images", photographs, "--output", tmp_path / "x.csv", "--checkpoint", checkpoint_id
    )  # fmt: skip
    assert words in refusal(done)


def test_a_damaged_download_is_refused(hub, refused, checkpoint, photographs, tmp_path):
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir() if path.is_file()}
    hub.repositories["models/teacher/damaged"] = {"2" * 40: files | {MODEL: files[MODEL][:-1]}}
    done = refused.run(
        "lesion.predict", "--images", photographs, "--output", tmp_path / "x.csv", "--checkpoint", "teacher/damaged"
    )  # fmt: skip
    assert f"{MODEL} is not the file that {CONFIG} was written with" in refusal(done)


@pytest.mark.parametrize(
    "repository, token, words",
    [
        ("teacher/new", None, "The Hub does not know who you are: log in"),
        ("teacher/new", READER, "log in by `hf auth login` with a token that may write there"),
        ("lesions", WRITER, "Repository 'lesions' is not accepted; give a Hub id, user/name"),
    ],
)
def test_a_refused_upload_is_one_sentence(hub, refused, checkpoint, repository, token, words):
    done = refused.run("lesion.publish", "--checkpoint", checkpoint, "--repository", repository, token=token)
    assert words in refusal(done)
    assert "models/teacher/new" not in hub.repositories


def test_what_is_no_checkpoint_or_another_ones_report_is_not_uploaded(hub, refused, checkpoint, tmp_path):
    publish = ("lesion.publish", "--repository", "teacher/none", "--checkpoint")
    assert "is not a checkpoint" in refusal(refused.run(*publish, tmp_path, token=WRITER))
    shutil.copytree(checkpoint, tmp_path / "copy")
    for content, words in (
        ('{"checkpoint": "of another"}', "is of another checkpoint. Run “python -m lesion.evaluate"),
        ("{", "is damaged. Run “python -m lesion.evaluate"),
    ):
        (tmp_path / "copy" / REPORT).write_text(content)
        assert words in refusal(refused.run(*publish, tmp_path / "copy", token=WRITER))
    assert "models/teacher/none" not in hub.repositories
