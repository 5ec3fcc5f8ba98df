"""The command that writes the report."""

import json
import shutil
import sys

import numpy as np
import pytest
from PIL import Image

from lesion import evaluate
from lesion.inference.predictor import Predictor
from lesion.report.figures import FIGURES
from lesion.report.reading import BEGIN, END
from lesion.report.readme_results import results_table


def run_main(monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate", *map(str, arguments)])
    evaluate.main()


def test_command_writes_report_card_readme_and_comparison(checkpoint, ham10000, tmp_path, monkeypatch, capsys):
    readme, output = tmp_path / "page.md", tmp_path / "report"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    arguments = ["--data", ham10000, "--checkpoint", checkpoint, "--output", output, "--readme", readme]
    run_main(monkeypatch, *arguments, "--against", checkpoint)
    report = json.loads((output / "report.json").read_text())
    assert report["part"] == "test" and report["images"] > 0
    table = results_table(report)
    assert readme.read_text() == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    card = (output / "README.md").read_text()
    assert table in card and f"{report['metrics']['fused']['log_loss']['value']:.3f}" in table
    for name in FIGURES:
        assert f"]({name})" in card
        with Image.open(output / name) as image:
            assert 500 < image.width <= 720, "legible on a phone"
            assert len(np.unique(np.asarray(image.convert("L")))) > 20
    found = report["against"]
    assert found["checkpoint"] == checkpoint.name
    assert all(entry == {"value": 0, "interval": [0, 0]} for entry in found["first minus second"].values())
    assert found["mcnemar"]["equal prevalence"]["images"]["p_value"] == 1
    assert f"minus {checkpoint.name}" in capsys.readouterr().out


@pytest.fixture
def no_pass(monkeypatch):
    """The network may not run."""

    def refuse(*arguments, **options):
        raise AssertionError("the network ran")

    monkeypatch.setattr(Predictor, "run_backbone", refuse)


@pytest.mark.parametrize(
    "option, content, words",
    [
        ("--readme", None, "page.md cannot be read"),
        ("--readme", "no markers", "lacks the lines"),
        ("--systems", "[]", r"cannot be read .*make it with `python -m lesion\.compare`"),
        ("--systems", '{"budget": {"epochs": 1}, "systems": [], "published": []}', "cannot be read"),
        ("--output", "a file", "cannot be written"),
        ("--against", "a file", "There is no checkpoint folder"),
    ],
)
def test_what_cannot_work_is_said_before_the_network_runs(
    checkpoint, ham10000, tmp_path, monkeypatch, no_pass, option, content, words
):
    path = tmp_path / "page.md"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SystemExit, match=f"error: .*{words}"):
        run_main(monkeypatch, "--data", ham10000, "--checkpoint", checkpoint, option, path)


def test_missing_masks_are_said_before_the_network_runs(checkpoint, ham10000, tmp_path, monkeypatch, no_pass):
    data = shutil.copytree(ham10000, tmp_path / "data")
    Image.new("L", (4, 4)).save(data / "ISIC_x_segmentation.png")
    with pytest.raises(SystemExit, match=r"error: .*lacks the lesion masks"):
        run_main(monkeypatch, "--data", data, "--checkpoint", checkpoint)
