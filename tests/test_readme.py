"""What the READMEs say: their commands and code are run on small data, their links and paths lead somewhere.

A command of the top README is run by a test here if that takes under a minute. Of the others, the lists below name the
test that runs it or the reason why none does, so a new command cannot be forgotten.
"""

import importlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
from PIL import Image

from conftest import BUNDLED, EXAMPLES, ROOT, TINY, running_app
from lesion.data.ham10000 import read_table
from lesion.data.held_out_photographs import FILE as PHOTOGRAPHS
from lesion.model.checkpoint import load_checkpoint
from lesion.report.reading import BEGIN, END

README = (ROOT / "README.md").read_text(encoding="utf-8")
MAP = (ROOT / "lesion" / "README.md").read_text(encoding="utf-8")
PAGES = (
    "README.md", "lesion/README.md", "lesion/notebooks/README.md", "lesion/ui/examples/README.md",
    "tests/bench/README.md",
)  # fmt: skip
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

SMALLER = {
    "train.py": f"--backbone {TINY} --init scratch --image-size 32:1 --workers 0",
    "lesion.pretrain": f"--backbone {TINY} --image-size 32 --epochs 1 --batch-size 8 --workers 0",
}
"""Options added to a command so that it takes seconds, without a download."""
EXPECTED = {
    "python train.py --data PATH_TO_HAM10000": "runs/train/config.json",
    "python -m lesion.photographs --data PATH_TO_HAM10000 --checkpoint runs/train": "runs/train/" + PHOTOGRAPHS,
    "python -m lesion.predict --images DIR --output predictions.csv --metadata METADATA.csv": "predictions.csv",
    "python -m lesion.evaluate --data PATH_TO_HAM10000 --systems weights/systems.json --readme README.md":
        "weights/report.json",
    "python -m lesion.pretrain --data FOLDER_OR_ZIPS --backbone convnext_small --output start.safetensors":
        "start.safetensors",
}  # fmt: skip
"""The commands that are run here, and a file that each writes."""
RUN_ELSEWHERE = {
    "accelerate launch -m lesion.predict": "tests/test_predict.py",
    "git clone --depth 1 ADDRESS_OF_THIS_REPOSITORY": "test_a_shallow_clone_has_the_app_and_its_checkpoint",
    "python app.py": "test_the_client_code_runs",
    "python app.py --checkpoint runs/train": "test_the_client_code_runs",
    "python app.py --checkpoint USER/NAME": "tests/model/test_hub.py",
    "python -m lesion.publish --checkpoint runs/train --repository USER/NAME": "tests/model/test_hub.py",
    'hf upload USER/NAME . . --repo-type space --exclude "runs/*" --exclude ".venv/*" --exclude .gitattributes':
        "tests/test_space.py",
    "pip install -r requirements.txt": ".ci/run",
    "pip install -r tests/requirements.txt": ".ci/run",
}  # fmt: skip
"""The commands that another test or CI runs."""
NOT_RUN = {
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cpu": "downloads an environment",
    "pip install kagglehub": "is needed for the next command only",
    """python -c "import kagglehub; print(kagglehub.dataset_download('kmader/skin-cancer-mnist-ham10000'))\"""":
        "downloads gigabytes and needs an account",
    "accelerate launch --mixed_precision bf16 train.py --data PATH_TO_HAM10000": "needs several GPUs",
    "hf auth login": "needs an account",
    **{
        f"python -m lesion.evaluate --external {arguments}":
            "needs a collection that may not be given on; tests/report/test_external.py runs the command"
        for arguments in (
            "PH2_simple_dataset.csv --images DIR --mapping ph2 --readme README.md",
            "meta.csv --images DIR --mapping derm7pt",
            "metadata.csv --images DIR --mapping pad_ufes_20",
        )
    },
}  # fmt: skip
"""The commands that no test runs, and why."""


def commands_of(page: str) -> list[str]:
    """The commands of a page: every line of its shell blocks, and code in the text that begins with a program."""
    lines = [line for block in re.findall(r"```shell\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    in_text = re.findall(r"`((?:accelerate|git|hf|pip|python) [^`]+)`", re.sub(r"```.*?```", "", page, flags=re.DOTALL))
    return [" ".join(command.split()) for command in [*lines, *in_text]]


def main_of(command: str) -> tuple[Callable[[], None], str, list[str]]:
    """The main function of a command of ours, its name and its arguments."""
    _, *words = shlex.split(command)
    name, arguments = (words[1], words[2:]) if words[0] == "-m" else (words[0], words[1:])
    return importlib.import_module(name.removesuffix(".py")).main, name, arguments


@pytest.fixture
def folder(ham10000, checkpoint, tmp_path, monkeypatch):
    """A working folder like a clone, with a tiny checkpoint; the README's placeholders are small files in it."""
    for name in ("weights", "runs/train"):
        shutil.copytree(checkpoint, tmp_path / name)
    shutil.copy(BUNDLED / "systems.json", tmp_path / "weights")
    shutil.copy(ROOT / "README.md", tmp_path)
    (tmp_path / "PATH_TO_HAM10000").symlink_to(ham10000, target_is_directory=True)
    (tmp_path / "DIR").mkdir()
    shutil.copy(EXAMPLES / "ISIC_0024329.jpg", tmp_path / "DIR")
    (tmp_path / "METADATA.csv").write_text("image_id,age,sex,localization\nISIC_0024329,75,female,lower extremity\n")
    for number, image in enumerate(read_table(ham10000).path[:24]):
        target = tmp_path / "FOLDER_OR_ZIPS" / f"class {number % 2}"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, target)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", EXPECTED)
def test_the_quick_commands_run(command, folder, monkeypatch):
    main, name, arguments = main_of(command)
    written = folder / EXPECTED[command]
    before = written.stat().st_mtime_ns if written.exists() else None
    monkeypatch.setattr(sys, "argv", [name, *arguments, *SMALLER.get(name, "").split()])
    main()
    assert written.stat().st_mtime_ns != before
    check = CHECKS.get(name)
    if check:
        check(folder)


def check_training(folder: Path) -> None:
    assert load_checkpoint(folder / "runs" / "train").config.training["image_sizes"] == [[32, 1]]


def check_predictions(folder: Path) -> None:
    table = pd.read_csv(folder / "predictions.csv")
    assert f"`{','.join(table.columns)}`" in README
    assert list(table.image) == ["ISIC_0024329"]


def check_report(folder: Path) -> None:
    report = json.loads((folder / "weights" / "report.json").read_text())
    before, rest = (folder / "README.md").read_text(encoding="utf-8").split(BEGIN)
    assert f"Test part: {report['images']} images" in rest.split(END)[0]
    assert (before, rest.split(END)[1]) == (README.split(BEGIN)[0], README.split(END)[1])


CHECKS = {"train.py": check_training, "lesion.predict": check_predictions, "lesion.evaluate": check_report}


def test_every_command_is_run_or_named():
    commands = {re.split(r"\s+#", command)[0] for command in commands_of(README)}
    assert commands == {*EXPECTED, *RUN_ELSEWHERE, *NOT_RUN}
    assert [place for place in RUN_ELSEWHERE.values() if place not in globals() and not (ROOT / place).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_command_knows_its_options(page, monkeypatch, capsys):
    """Also of the commands that take long: each is asked for its help."""
    text = (ROOT / page).read_text(encoding="utf-8")
    options = {}
    for module, rest in re.findall(r"python (?:-m )?(lesion\.\w+|train\.py)([^`\n]*(?:\\\n[^`\n]*)*)", text):
        options.setdefault(module, set()).update(re.findall(r"(?<![\w-])--[a-z-]+", rest))
    for name, of_command in options.items():
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as end:
            importlib.import_module(name.removesuffix(".py")).main()
        printed = capsys.readouterr().out
        assert end.value.code == 0 and [option for option in of_command if option not in printed] == []


def test_the_options_in_the_table_are_those_of_train(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit):
        importlib.import_module("train").main()
    printed = capsys.readouterr().out
    table = README.split("| option | what it does |")[1].split("\n\n")[0]
    options = re.findall(r"`(--[a-z-]+)", table)
    assert len(options) >= 5 and [option for option in options if option not in printed] == []


def test_the_test_command_is_what_ci_runs():
    (command,) = [line for line in commands_of(MAP) if line.endswith("python -m pytest")]
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.process
def test_a_shallow_clone_has_the_app_and_its_checkpoint(tmp_path):
    command = next(line for line in commands_of(README) if line.startswith("git clone"))
    command = command.replace("ADDRESS_OF_THIS_REPOSITORY", ROOT.as_uri())
    subprocess.run([*shlex.split(command), "clone"], cwd=tmp_path, check=True, capture_output=True, timeout=60)
    load_checkpoint(tmp_path / "clone" / "weights")
    assert (tmp_path / "clone" / "app.py").is_file()


def test_the_code_runs(monkeypatch):
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    exec(BLOCKS[0], names)
    assert sum(names["prediction"].probabilities.values()) == pytest.approx(1)
    with Image.open(EXAMPLES / "ISIC_0024329.jpg") as image:
        assert names["heat"].shape == (image.height, image.width)
    assert names["influence"].shapley("akiec").contributions.keys() == {"image", "age", "sex", "site"}


@pytest.mark.process
def test_the_client_code_runs(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    server = running_app(BUNDLED, tmp_path / "log")
    url = next(server)
    names: dict[str, object] = {}
    exec(BLOCKS[1].replace("http://127.0.0.1:7860", url), names)
    documented = re.findall(r"`(/\w+)`", MAP.split("| endpoint | gives |")[1].split("\n\n")[0])
    assert names["client"].view_api(return_format="dict")["named_endpoints"].keys() == set(documented)
    next(server, None)


def test_every_snippet_is_run():
    assert len(BLOCKS) == 2


def test_the_lessons_of_the_plan_exist():
    plan = README.split("| minutes |")[1].split("\n\n")[0]
    titles = [title for row in plan.splitlines() if "Lesson" in row for title in re.findall(r"\*([^*]{15,})\*", row)]
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "lesion" / "teaching").rglob("*.py"))
    assert len(titles) == 8 and [title for title in titles if f'"{title}"' not in code] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_and_paths_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    titles = re.findall(r"(?m)^#+ (.+)$", text)
    headings = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings
        elif not target.startswith("http"):
            assert ((ROOT / page).parent / unquote(target)).exists(), target
    paths = re.findall(r"`((?:\.ci|\.github|lesion|tests|weights)/[\w./-]*|\w+\.(?:py|md|toml|txt))`", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_readme_is_short():
    before, rest = README.split(BEGIN)
    written_by_hand = before + rest.split(END)[1]
    assert len(written_by_hand.splitlines()) <= 225
