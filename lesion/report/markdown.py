"""Tables and figures with intervals in Markdown."""

import math
from collections.abc import Iterable, Sequence


def value_in_words(entry: dict) -> str:
    """A figure with its interval: "0.771 (0.752 to 0.790)"; a dash where there is none, NaN, or None of report.json."""
    low, high = entry["interval"]
    if any(value is None or math.isnan(value) for value in (entry["value"], low, high)):
        return "–"
    return f"{entry['value']:.3f} ({low:.3f} to {high:.3f})"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table, one line a row."""
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " --- |" * (len(header) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]
