"""The files of a report."""

import json
import math
from pathlib import Path

from lesion.files import write_atomically
from lesion.model.checkpoint import REPORT
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.figures import figures_of
from lesion.report.model_card import model_card
from lesion.report.reading import BEGIN, END, split_at_markers


def write_report(report: dict, config: CheckpointConfig, output: Path) -> Path:
    """Writes figures, model card and report.json; the last one comes last, so that it never stands beside figures of
    another report.

    Args:
        report: of `lesion.report.build`.
        config: of the checkpoint.
        output: folder.

    Returns:
        The path of report.json.

    Raises:
        UserError: a file cannot be written.
    """
    for name, figure in figures_of(report).items():
        figure.draw(report, output / name)
    card = model_card(config, report)
    write_atomically(output / "README.md", lambda path: path.write_text(card, encoding="utf-8"))
    text = json.dumps(without_nan(report), indent=2, allow_nan=False) + "\n"
    write_atomically(output / REPORT, lambda path: path.write_text(text, encoding="utf-8"))
    return output / REPORT


def without_nan(value):
    """A document with None for every NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_between_markers(path: Path, text: str) -> None:
    """Replaces what stands between BEGIN and END in a file.

    Raises:
        UserError: as `split_at_markers`.
    """
    before, after = split_at_markers(path)
    result = f"{before}{BEGIN}\n{text}\n{END}{after}"
    write_atomically(path, lambda partial: partial.write_text(result, encoding="utf-8"))
