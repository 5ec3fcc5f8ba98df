"""The files of a report."""

import json
import math
from pathlib import Path

from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.model.checkpoint import REPORT, Checkpoint
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.figures import figures_of
from lesion.report.model_card import model_card
from lesion.report.reading import BEGIN, END, EVALUATE, belongs, read_report, split_at_markers


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
    return write_texts(report, config, output)


def write_texts(report: dict, config: CheckpointConfig, output: Path) -> Path:
    """`write_report` without the figures."""
    card = model_card(config, report)
    write_atomically(output / "README.md", lambda path: path.write_text(card, encoding="utf-8"))
    text = json.dumps(without_nan(report), indent=2, allow_nan=False) + "\n"
    write_atomically(output / REPORT, lambda path: path.write_text(text, encoding="utf-8"))
    return output / REPORT


def write_elsewhere(entry: dict, checkpoint: Checkpoint, output: Path) -> dict | None:
    """Adds a collection's figures to the report on a checkpoint, in place of earlier ones of that collection.

    Args:
        entry: of `lesion.report.external.evaluate_external`.
        checkpoint: that was scored.
        output: folder of its report.

    Returns:
        The report; None, and nothing is written, where the folder has none of this checkpoint.

    Raises:
        UserError: the report is damaged, or a file cannot be written.
    """
    report = read_report(output)
    if report is None or not belongs(report, checkpoint.folder):
        return None
    report["elsewhere"] = {**report.get("elsewhere", {}), entry["name"]: entry}
    try:
        write_texts(report, checkpoint.config, output)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(
            f"{output / REPORT} lacks what the model card needs. Run “{EVALUATE}” to write it again."
        ) from None
    return report


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
