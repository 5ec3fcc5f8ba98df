"""The report's files."""

import math
from pathlib import Path

from lesion.files import write_atomically
from lesion.report.reading import BEGIN, END, split_at_markers


def without_nan(value):
    """A document with None for every NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def write_between_markers(path: Path, text: str) -> None:
    """Replaces what stands between BEGIN and END in a file.

    Raises:
        UserError: the file lacks the markers.
    """
    before, after = split_at_markers(path)
    result = f"{before}{BEGIN}\n{text}\n{END}{after}"
    write_atomically(path, lambda partial: partial.write_text(result, encoding="utf-8"))
