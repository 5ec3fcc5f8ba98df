"""What CONTRIBUTING.md, the package's metadata and the list of citations say is so."""

import re
import subprocess
import sys

import pytest
import yaml
from packaging.requirements import Requirement

from conftest import ROOT

GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
WITHOUT_PLAYWRIGHT = """
import sys
import pytest

sys.modules["playwright"] = sys.modules["axe_playwright_python"] = None  # as where they are not installed
sys.exit(pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "-m", sys.argv[1]]))
"""


@pytest.mark.process
def test_the_quick_loop_needs_no_playwright():
    (marks,) = re.findall(r'`python -m pytest -m "(.+)"`', GUIDE)
    command = [sys.executable, "-c", WITHOUT_PLAYWRIGHT, marks]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    chosen, collected = map(int, re.search(r"(\d+)/(\d+) tests collected", done.stdout).groups())
    assert chosen > collected / 2


def test_files_and_commands_of_the_guide_exist():
    for target in re.findall(r"\]\(([^)]+)\)", GUIDE):
        assert (ROOT / target).is_file(), target
    for script in re.findall(r"python ([\w/]+\.py)", GUIDE):
        assert (ROOT / script).is_file(), script
    for module in re.findall(r"python -m (lesion\.\w+)", GUIDE):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), module


def test_the_citation_names_the_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == re.search(r'^version = "(.+)"$', PYPROJECT, re.MULTILINE)[1]
    assert [set(author) for author in citation["authors"]] == [{"name"}], "the project, and no invented person"


def test_the_workflow_runs_what_is_run_by_hand():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    assert ".ci/run" in [step.get("run") for step in workflow["jobs"]["test"]["steps"]]


def test_the_hooks_use_a_tool_of_the_tests():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    listed = {Requirement(line).name for line in (ROOT / "tests" / "requirements.txt").read_text().splitlines()}
    assert {hook["entry"].split()[0] for hook in hooks} == {"ruff"} <= listed
