"""Tables of measured values with their intervals, as HTML; on a phone a row becomes a card."""

import html
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from lesion.ui.html import wording

NOTHING = "–"
STYLE = """
.report .stack { overflow-x: auto; }
.report .stack.few { max-width: 50rem; }
.report .stack table { table-layout: auto; }
.report .stack th, .report .stack td { vertical-align: top; font-variant-numeric: tabular-nums; }
.report .stack thead th { vertical-align: bottom; }
.report .stack thead .above { padding-bottom: 0; font-weight: 400;
  border-left: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.report .stack .group th { padding-top: .9rem; font-weight: 700; }
.report .stack .label { display: none; }
.report .stack .interval, .report .stack small { font-size: var(--text-sm); white-space: nowrap;
  color: var(--body-text-color-subdued); }
.report .stack small { display: block; white-space: normal; }
.report .many .interval, .report .lines .interval { display: block; }
.report .stack .track { min-width: 7rem; max-width: 14rem; }
@media (max-width: 1240px) {
  .report .stack.many { font-size: .875rem; }
  .report .stack .interval { white-space: normal; }
}
@media (max-width: 760px) {
  .report .stack table, .report .stack tbody, .report .stack tr, .report .stack th, .report .stack td {
    display: block; }
  .report .stack thead { display: none; }
  .report .stack th { padding: .1rem 0; font-weight: 700; }
  .report .stack th small { font-weight: 400; }
  .report .stack tbody tr { padding: .4rem 0; }
  .report .stack tbody tr.group { padding-top: 1.2rem; border: 0; font-size: 1.15em; }
  .report .stack td { display: grid; grid-template-columns: 2fr 3fr; gap: 0 .6rem; padding: .1rem 0; }
  .report .stack td.wide { display: block; }
  .report .lines .interval { display: inline; }
  .report .stack .interval { white-space: nowrap; }
  .report .stack .label { display: block; }
  .report .stack td > div { overflow-wrap: anywhere; }
  .report .stack.many tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .2rem .4rem;
    align-items: end; }
  .report .stack.many th, .report .stack.many td.wide { grid-column: 1 / -1; }
  .report .stack.many td { display: block; align-self: stretch; }
  .report .stack.many td[data-above] { grid-column-start: 1; }
  .report .stack.many td::before { content: attr(data-above) "\\00a0"; display: block; font-size: .9em; opacity: .9;
    white-space: nowrap; }
  .report .stack.many .label small { display: none; }
  .report .stack td.nothing { display: none; }
}
"""
"""On a phone a table's row is a card, and each cell says its column's name; in a table of "many" columns three stand
side by side."""


class Column(NamedTuple):
    """A column of a table.

    Attributes:
        label: its name, text.
        hint: a tooltip, text.
        above: what it shares with its neighbours, text.
    """

    label: str
    hint: str = ""
    above: str = ""


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        head: HTML.
        cells: HTML; fewer than columns where the last one reaches to the end.
        hint: a tooltip of the head, text.
    """

    head: str
    cells: Sequence[str]
    hint: str = ""


def three(value: float) -> str:
    """ "0.772"."""
    return wording.number(value, 3)


def measured(
    entry: dict | None, word: Callable[[float], str] = three, first_word: Callable[[float], str] | None = None
) -> str:
    """A value with its 95 % interval, as HTML: "0.772 (0.748 to 0.794)".

    Args:
        entry: "value" and "interval", of the report; None, or with None in it, where there was nothing to measure.
        word: how a number is written.
        first_word: how the value is, where that is another way.
    """
    if entry is None or entry["value"] is None:
        return NOTHING
    low, high = entry["interval"]
    if low is None or high is None:
        interval = "no interval"
    elif low == high:  # no resampling differs from another, which says nothing of other photographs
        interval = "all equal: no interval"
    else:
        interval = f"{word(low)} to {word(high)}"
    return f'<b>{(first_word or word)(entry["value"])}</b> <span class="interval">({interval})</span>'


def difference(entry: dict | None) -> str:
    """A difference with its 95 % interval, as HTML: "+0.042 (0.027 to 0.057)"."""
    return measured(entry, three, lambda value: wording.signed(value, 3))


def rate(entry: dict | None) -> str:
    """A share with its 95 % interval, as HTML: "75.1 % (69.8 % to 80.2 %)"."""
    return measured(entry, wording.percentage)


def points(entry: dict) -> str:
    """A difference of shares with its 95 % interval, as HTML: "+4.2 (2.7 to 5.7)"."""
    return measured(entry, lambda v: wording.number(100 * v, 1), lambda v: wording.signed(100 * v, 1))


def in_hundred(entry: dict) -> str:
    """A share as people count, with its 95 % interval, as HTML: "77 (75 to 79)"."""
    return measured(entry, lambda share: wording.number(100 * share, 0))


def count(value: int) -> str:
    """ "2,003"."""
    return f"{value:,}"


def photographs(number: int) -> str:
    """ "1 photograph", "2,003 photographs"."""
    return f"{count(number)} photograph" + ("" if number == 1 else "s")


def note(text: str) -> str:
    """A line in small letters."""
    return f"<small>{html.escape(text)}</small>"


def table(columns: Sequence[Column], groups: dict[str, Sequence[Row]], kind: str = "") -> str:
    """A table whose rows become cards on a phone.

    Args:
        columns: after the first, which holds the rows' names.
        groups: rows by the heading above them, text, which may be empty.
        kind: class: "few" or "many" columns, or "lines" for intervals below their values.
    """
    runs = [(above, len(list(run))) for above, run in groupby(columns, lambda column: column.above)]
    above = "".join(
        f'<th class="above" scope="colgroup" colspan="{span}">{html.escape(text)}</th>'
        if text
        else f'<td colspan="{span}"></td>'
        for text, span in runs
    )
    heads = "".join(f'<th scope="col"{tooltip(c.hint)}>{html.escape(c.label)}</th>' for c in columns)
    bodies = []
    for title, rows in groups.items():
        lines = []
        if title:
            lines.append(f'<tr class="group"><th colspan="{len(columns) + 1}">{html.escape(title)}</th></tr>')
        for row in rows:
            cells = []
            for place, (column, cell) in enumerate(zip(columns, row.cells, strict=False)):
                if place + 1 == len(row.cells) < len(columns):
                    cells.append(f'<td class="wide" colspan="{len(columns) - place}">{cell}</td>')
                    break
                attributes = ' class="nothing"' if cell == NOTHING else ""
                if place == 0 or columns[place - 1].above != column.above:
                    attributes += f' data-above="{html.escape(column.above)}"'
                label = html.escape(column.label) + (note(column.above) if column.above else "")
                cells.append(f'<td{attributes}><span class="label">{label}</span><div>{cell}</div></td>')
            lines.append(f'<tr><th scope="row"{tooltip(row.hint)}>{row.head}</th>{"".join(cells)}</tr>')
        bodies.append(f"<tbody>{''.join(lines)}</tbody>")
    above = f"<tr><td></td>{above}</tr>" if any(column.above for column in columns) else ""
    return (
        f'<div class="chart stack {kind}"><table><thead>{above}<tr><td></td>{heads}</tr></thead>{"".join(bodies)}'
        "</table></div>"
    )


def tooltip(text: str) -> str:
    """A title attribute, or nothing."""
    return f' title="{html.escape(text)}"' if text else ""
