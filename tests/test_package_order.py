"""The order of the packages, held by import-linter as pyproject.toml says, and the length of files and functions."""

import ast
from pathlib import Path

from importlinter.cli import lint_imports

from conftest import ROOT


def test_imports_go_down_and_only_the_page_knows_gradio(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    found = lint_imports(no_cache=True, no_logo=True)
    assert found == 0, capsys.readouterr().out


def product() -> list[Path]:
    return [ROOT / "app.py", ROOT / "train.py", *sorted((ROOT / "lesion").rglob("*.py"))]


def test_no_file_has_more_than_400_lines():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in product()}
    assert not {name: lines for name, lines in lengths.items() if lines > 400}


def test_no_function_has_more_than_80_lines():
    long = {}
    for path in product():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                if (lines := node.end_lineno - first + 1) > 80:
                    long[f"{path.relative_to(ROOT)}: {node.name}"] = lines
    assert not long


def test_no_test_file_has_more_than_600_lines():
    files = sorted((ROOT / "tests").rglob("*.py"))
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {name: lines for name, lines in lengths.items() if lines >= 600}
