"""The report's section on photographs of other collections."""

import html
from collections.abc import Callable

from lesion.report.external_words import EXPLAINED, counted, in_words
from lesion.ui.html import pieces
from lesion.ui.html.report.tables import Column, Row, difference, measured, table


def elsewhere(report: dict, figure: Callable[[str], str]) -> str:
    """How the model does on photographs of other collections, beside the test part."""
    text = f"How the model does on photographs of other collections. {EXPLAINED}"
    parts = [pieces.introduction(text)]
    for name, entry in report["elsewhere"].items():
        sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in in_words(entry))
        parts.append(f"<p><b>{html.escape(name)}</b>: {html.escape(counted(entry))}.</p><ul>{sentences}</ul>")
        groups = {
            f"With {view}": [
                Row(
                    html.escape(of_figure),
                    [measured(places["elsewhere"]), measured(places["here"]), difference(places["difference"])],
                )
                for of_figure, places in figures.items()
            ]
            for view, figures in entry["views"].items()
        }
        columns = [Column(name), Column("Test part"), Column("Difference")]
        parts.append(table(columns, groups, kind="few"))
    return "".join(parts)
