"""The notebooks, run cell by cell with a tiny network on small data; figures of each are computed again here."""

import itertools
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

from conftest import EXAMPLES, ROOT, TINY
from lesion import Cohort, Metadata, load_predictor, read_image
from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS
from lesion.report.card_metadata import LIBRARY
from lesion.teaching.cohort import Subgroup
from train import parse_arguments

NOTEBOOKS = ROOT / "lesion" / "notebooks"
PHOTOGRAPH = EXAMPLES / "ISIC_0024329.jpg"
RECORD = (55, "male", "back")


def execute(name: str, parameters: str, shown: str, folder: Path, monkeypatch) -> dict:
    """Runs a notebook from the folder that it lies in, as Jupyter does.

    Args:
        name: of the file.
        parameters: what replaces its cell of parameters.
        shown: an expression of the notebook's variables.
        folder: for Jupyter's files.

    Returns:
        The value of the expression, after the last cell.
    """
    for variable in ("JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(folder / "jupyter"))
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    (cell,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    cell.source = parameters
    notebook.cells.append(new_code_cell(f"import json\nprint(json.dumps({shown}))"))
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    return json.loads(notebook.cells[-1].outputs[0].text)


@pytest.mark.process
def test_metadata_influence(checkpoint, tmp_path, monkeypatch):
    shown = execute(
        "metadata_influence.ipynb",
        f"CHECKPOINT, PHOTOGRAPH = {str(checkpoint)!r}, {str(PHOTOGRAPH)!r}\nAGE, SEX, SITE = {RECORD!r}",
        "{'code': code, 'contributions': shapley.contributions, 'accuracy': differences['accuracy'][0]}",
        tmp_path,
        monkeypatch,
    )
    predictor = load_predictor(checkpoint)
    features = predictor.features(read_image(PHOTOGRAPH))

    def answer(known: tuple[int, ...]) -> np.ndarray:
        mask = np.isin(np.arange(len(INPUTS)), known)
        return predictor.probabilities(features, [Metadata(*RECORD)], mask)[0]

    code = int(answer((0, 1, 2, 3)).argmax())
    assert shown["code"] == CODES[code]
    gains = np.zeros(len(INPUTS))
    orders = list(itertools.permutations(range(len(INPUTS))))
    for order in orders:
        for place, player in enumerate(order):
            gains[player] += (answer(order[: place + 1]) - answer(order[:place]))[code] / len(orders)
    assert [shown["contributions"][name] for name in INPUTS] == pytest.approx(gains.tolist(), abs=1e-6)
    cohort = Cohort(predictor)
    alone, full = (p.argmax(1) == cohort.labels for p in (cohort.image_alone, cohort.full))
    assert shown["accuracy"] == pytest.approx(alone.mean() - full.mean(), abs=1e-6)


@pytest.mark.process
def test_train(ham10000, tmp_path, monkeypatch):
    output = tmp_path / "trained"
    shown = execute(
        "train.ipynb",
        f"DATA, OUTPUT = {str(ham10000)!r}, {str(output)!r}\n"
        f"BACKBONE, INIT, IMAGE_SIZE = {TINY!r}, 'scratch', '32:1'\nMORE = '--workers 0 --resume'",
        "validation['fused'].to_dict()",
        tmp_path,
        monkeypatch,
    )
    cohort = Cohort(load_predictor(output))
    validation = Subgroup(part="validation").rows(cohort.table)
    right = cohort.full[validation].argmax(1) == cohort.labels[validation]
    assert shown["accuracy"] == pytest.approx(right.mean(), abs=1e-6)


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_is_stored_clean_and_says_what_to_replace(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [cell.id for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    title = notebook.cells[0].source
    for badge in ("colab.research.google.com/github/OWNER/REPO", "kaggle.com/kernels/welcome?src="):
        assert badge in title and f"lesion/notebooks/{path.name}" in title
    assert "Replace OWNER/REPO" in title


@pytest.mark.process
def test_the_line_for_a_rented_gpu_is_one_that_hf_and_train_accept(tmp_path):
    """A dry run: hf reads the whole line and sends nothing."""
    page = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("hf jobs uv run ")]
    words = shlex.split(line)[1:]
    words.insert(words.index("run") + 1, "--dry-run")
    nowhere = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": "hf_none", "HF_HOME": str(tmp_path)}
    command = [Path(sys.executable).with_name("hf"), *words]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | nowhere, capture_output=True, text=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for shown in ("train.py", "a10g-small", "6h", "hf://datasets/USER/HAM10000:/data", "hf://buckets/USER/runs:/runs"):
        assert shown in done.stdout
    args, config = parse_arguments(words[words.index("train.py") + 1 :])
    assert (str(args.data), str(args.output), config.init) == ("/data", "/runs/train", "imagenet")
    assert LIBRARY in line
