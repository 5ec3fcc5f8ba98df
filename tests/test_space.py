"""The repository as a Hugging Face Space, and as a plain git clone."""

import os
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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


def test_front_matter_is_what_a_space_expects_and_what_is_tested(front_matter):
    assert front_matter["sdk"] == "gradio" and (ROOT / front_matter["app_file"]).is_file()
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    gradio = next(Requirement(line) for line in lines if line.startswith("gradio"))
    assert gradio.specifier.contains(front_matter["sdk_version"])
    major_and_minor = version("gradio").split(".")[:2]
    assert front_matter["sdk_version"].split(".")[:2] <= major_and_minor, "no newer one than the tests saw"
    assert SpecifierSet(">=3.10").contains(front_matter["python_version"])
    assert {front_matter["colorFrom"], front_matter["colorTo"]} <= set(COLOURS)
    assert len(front_matter["short_description"]) <= 60, "the Hub refuses a longer one"
    assert front_matter["license"] == "cc-by-nc-4.0", "the strictest of what is in the repository: weights and images"


def test_a_plain_clone_has_everything():
    assert "filter=lfs" not in (ROOT / ".gitattributes").read_text()
    assert not [path for path in tracked() if path.stat().st_size > LARGEST]
    assert ROOT / "weights" / "model.safetensors" in tracked()


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
