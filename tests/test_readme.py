"""The README's commands and code: those that are quick run, of the others every name and option is known."""

import contextlib
import io
import re
import runpy
import shlex
import sys
from urllib.parse import unquote

import pytest

from conftest import BUNDLED, ROOT, running_app

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMAND = re.compile(
    r"python (?:-m (lesion\.\w+)|(train\.py|app\.py|tests/[\w/]+\.py))(.*?)(?=`|\||#|\n\n|python |done)", re.DOTALL
)


def commands() -> list[tuple[str, tuple[str, ...]]]:
    """Every module or script of ours that the README runs, with the options given to it."""
    found = {}
    for module, script, rest in COMMAND.findall(README):
        options = re.findall(r"(?<![\w-])--[a-z-]+", rest)
        found.setdefault(module or script, set()).update(options)
    return [(name, tuple(sorted(options))) for name, options in sorted(found.items())]


@pytest.mark.parametrize("name, options", commands())
def test_every_command_exists_and_knows_its_options(name, options, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    printed = io.StringIO()
    if name == "tests/pictures.py":  # takes no options
        assert not options and (ROOT / name).is_file()
        return
    with contextlib.redirect_stdout(printed), pytest.raises(SystemExit) as end:
        if name.endswith(".py"):
            monkeypatch.syspath_prepend((ROOT / name).parent)  # as Python does for a script
            runpy.run_path(str(ROOT / name), run_name="__main__")
        else:
            runpy.run_module(name, run_name="__main__")
    assert end.value.code == 0
    assert [option for option in options if option not in printed.getvalue()] == []


def test_the_commands_are_found():
    names = [name for name, _ in commands()]
    assert {"app.py", "train.py", "lesion.predict", "lesion.publish", "lesion.evaluate"} <= set(names)
    assert ("lesion.pretrain", "--image-size") in {(name, option) for name, options in commands() for option in options}


def test_the_test_command_is_what_ci_runs():
    command = next(line.strip() for line in README.splitlines() if line.endswith("python -m pytest"))
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == command
    assert shlex.split(command)[:2] == ["pip", "install"]


def test_the_code_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for block in BLOCKS[:2]:
        exec(block, names)
    assert sum(names["prediction"].probabilities.values()) == pytest.approx(1)
    assert names["heat"].shape == (450, 600)
    assert names["influence"].smallest_change is not None


def test_the_client_code_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    server = running_app(BUNDLED, tmp_path / "log")
    url = next(server)
    names: dict[str, object] = {}
    exec(BLOCKS[2].replace("http://127.0.0.1:7860", url), names)
    assert names["client"].view_api(return_format="dict")["named_endpoints"].keys() >= {"/predict", "/shapley"}
    next(server, None)


def test_links_and_pictures_lead_somewhere():
    titles = re.findall(r"^## (.+)$", README, re.MULTILINE)
    headings = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert (ROOT / unquote(target)).exists(), target
