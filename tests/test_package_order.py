"""The order of the packages; pyproject.toml says it, and import-linter reads the imports."""

from importlinter.cli import lint_imports

from conftest import ROOT


def test_imports_go_down_and_only_the_page_knows_gradio(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    found = lint_imports(no_cache=True, no_logo=True)
    assert found == 0, capsys.readouterr().out
