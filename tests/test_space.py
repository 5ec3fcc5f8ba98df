"""The repository as a Hugging Face Space, as a plain git clone, and as an installed package."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from conftest import ROOT
from hub import WRITER, Hub

LARGEST = 100 * 10**6
"""Bytes of a file, beyond which common git hosts refuse it."""
COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


@pytest.fixture(scope="module")
def front_matter() -> dict:
    """The settings at the top of the README, which make the repository a Space."""
    return yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def tracked() -> list[Path]:
    """The files of the repository."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines()]


def not_newer(given: str, tested: str) -> bool:
    """Whether a version is of the tested major and minor version, or of an earlier one."""
    return Version(given).release[:2] <= Version(tested).release[:2]


def test_versions_are_compared_as_numbers():
    assert not_newer("6.9.0", "6.31.0") and not_newer("6.31.4", "6.31.0")
    assert not not_newer("6.31.0", "6.9.0") and not not_newer("10.0", "9.5")


def test_front_matter_is_what_a_space_expects_and_what_is_tested(front_matter):
    assert front_matter["sdk"] == "gradio" and (ROOT / front_matter["app_file"]).is_file()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    gradio = next(Requirement(line) for line in lines if line.startswith("gradio"))
    assert gradio.specifier.contains(front_matter["sdk_version"])
    assert not_newer(front_matter["sdk_version"], version("gradio")), "the tests have not seen a newer one"
    assert SpecifierSet(">=3.10").contains(front_matter["python_version"])
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= set(COLOURS)
    assert len(front_matter["short_description"]) <= 60, "the Hub refuses a longer one"
    assert front_matter["license"] == "cc-by-nc-4.0", "the strictest of what is in the repository: weights and images"


def test_the_lines_for_a_checkpoint_of_the_hub_are_front_matter(front_matter):
    """They name the same checkpoint twice, a time, and nothing that the front matter has already."""
    page = (ROOT / "lesion" / "notebooks" / "README.md").read_text(encoding="utf-8")
    added = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    assert (
        added.keys() == {"models", "preload_from_hub", "startup_duration_timeout"}
        and not added.keys() & front_matter.keys()
    )
    assert added["models"] == added["preload_from_hub"] == ["USER/NAME"]
    assert re.fullmatch(r"\d+[mh]", added["startup_duration_timeout"])


def test_a_plain_clone_has_everything():
    assert "filter=lfs" not in (ROOT / ".gitattributes").read_text()
    assert not [path for path in tracked() if path.stat().st_size > LARGEST]
    assert ROOT / "weights" / "model.safetensors" in tracked()


@pytest.mark.process
def test_the_documented_upload_makes_a_space_of_what_is_needed(tmp_path):
    """The README's command on a small copy of the repository, against the stand-in Hub."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    command = shlex.split(next(line for line in lines if line.strip().startswith("hf upload ")))
    folder, wanted = tmp_path / "clone", ("app.py", "README.md", ".gitignore", "weights/config.json")
    for name in (*wanted, "runs/train/last.pt", ".venv/bin/python", ".git/config", ".gitattributes"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes() if name in wanted else b"not for the Hub")
    hub = Hub()
    subprocess.run(
        [Path(sys.executable).with_name("hf"), *command[1:]], cwd=folder, check=True, capture_output=True, timeout=120,
        env=os.environ | hub.environment(tmp_path / "home", WRITER),
    )  # fmt: skip
    hub.shutdown()
    ((space, commits),) = hub.repositories.items()
    assert space.startswith("spaces/")
    assert set(list(commits.values())[-1]) == set(wanted)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The package, built without a network from a copy: a build leaves its files in the folder that it builds."""
    folder = tmp_path_factory.mktemp("wheel")
    for path in tracked():
        name = path.relative_to(ROOT)
        if name.parts[0] not in ("weights", "tests"):
            (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, folder / "source" / name)
    command = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
    ]
    done = subprocess.run([*command, folder / "source"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_every_module_and_the_examples(wheel):
    """The notebooks stay in the repository: people open them there, beside the weights."""
    product = [path.relative_to(ROOT) for path in tracked()]
    left_out = (Path("lesion/README.md"), *(name for name in product if name.parent.name == "notebooks"))
    wanted = {str(name) for name in product if name.parts[0] == "lesion" and name not in left_out}
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = message_from_bytes(archive.read(next(n for n in archive.namelist() if n.endswith("/METADATA"))))
    assert files == wanted | {"app.py", "train.py"}
    lines = (ROOT / "requirements.txt").read_text().split()
    assert {Requirement(line) for line in about.get_all("Requires-Dist")} == {Requirement(line) for line in lines}
    assert about["License-Expression"] == "MIT AND CC-BY-NC-4.0", "the code's, and the example photographs'"


def test_an_installed_app_says_which_checkpoint_to_give(wheel, tmp_path):
    """The weights are no part of the package."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    command = [sys.executable, "-c", "import app; app.main()"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("error: No checkpoint was given") and "--checkpoint" in done.stderr
