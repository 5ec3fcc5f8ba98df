"""Two models beside each other: differences, confusion matrices, and what each input is worth."""

import html
import json
import math

import numpy as np

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import INPUTS
from lesion.metrics.scores import Difference
from lesion.ui.html.charts.tracks import spanning, whisker
from lesion.ui.html.wording import abbreviation, brief, name_of, number, percentage, signed

CELLS_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-answer]');
  if (!button) return;
  const counted = JSON.parse(button.closest('table').dataset.counted);
  trigger('click', { ...counted, confirmed: button.dataset.confirmed, answer: button.dataset.answer, page: 1 });
});
element.addEventListener('focusin', event => {
  const table = event.target.closest('table[data-counted]');
  if (event.target.matches('button[data-answer]'))
    for (const button of table.querySelectorAll('button')) button.tabIndex = button === event.target ? 0 : -1;
});
element.addEventListener('keydown', event => {
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  const from = event.target.closest('button[data-answer]')?.parentElement;
  if (!step || !from) return;
  event.preventDefault();
  const rows = [...from.closest('tbody').rows];
  let row = rows.indexOf(from.parentElement), column = from.cellIndex, to;
  do to = rows[row += step[0]]?.cells[column += step[1]];
  while (to && !to.querySelector('button'));
  to?.querySelector('button').focus();
});
"""
"""A click on a cell triggers the component's click with what its table says, its two diagnoses, and the first page. One
cell of a table is in the order of the Tab key, and the arrow keys lead to the others, as in a spreadsheet."""
ROWS = "Rows: confirmed diagnosis. Columns: the model's answer."
HOW = (
    "Click a number to see the photographs behind it. Arrow keys lead from one number to the next, and Enter opens it."
)
MARKS = "▲ and ▼ mark differences whose interval excludes zero."
STYLE = """
.chart.importances { max-width: none; }
.chart.differences thead td { width: 28%; }
.chart.differences thead .model { width: 16%; }
.chart.confusion thead td { width: 28%; font-size: .875em; text-align: right; white-space: normal; }
.chart.confusion th, .chart.confusion td { padding: .4rem .1rem; text-align: center; }
.chart.confusion td, .chart abbr { white-space: nowrap; }
.chart.confusion td:has(button) { padding: 0; }
.chart.confusion td button { display: block; width: 100%; margin: 0; padding: .4rem .1rem; border: 0; background: none;
  box-shadow: none; color: inherit; font: inherit; cursor: pointer; text-decoration: underline dotted;
  text-underline-offset: .2em; }
.chart.confusion td button:hover { text-decoration: underline; }
.chart.confusion tbody th { padding-right: .4rem; text-align: right; }
.chart.confusion td.right { font-weight: 700; outline: 2px solid currentColor; outline-offset: -2px; }
.chart abbr { font-weight: 600; text-decoration: none; cursor: help; }
@media (max-width: 500px) {
  .chart.differences tr { display: grid; grid-template-columns: 1fr 1fr 2fr; }
  .chart.differences tbody th, .chart td[colspan] { grid-column: 1 / -1; padding-bottom: 0; }
  .chart.differences thead td { display: none; }
  .chart.differences thead .model { width: auto; }
  .chart.confusion th, .chart.confusion td { padding: .4rem 0; }
  .chart.confusion thead td { width: 14%; }
  .chart.confusion .name { display: none; }
}
"""


def differences(figures: dict[str, Difference], first: str, second: str, note: str = "") -> str:
    """Figures of two models with their difference, in numbers and as a forest plot.

    Args:
        figures: shares of 1, by the names of `lesion.metrics.scores.compare_decisions`.
        first, second: what the models are called.
        note: what else the intervals' reader must know; with it, no difference is called higher or lower.
    """
    ends = [end for figure in figures.values() for end in (*figure.interval, figure.difference) if not math.isnan(end)]
    axis = spanning(ends)
    body = []
    for name, figure in figures.items():
        metric, _, code = name.partition(".")
        title = f"Recall: {name_of(code)}" if code else metric.replace("_", " ").capitalize()
        head = f'<tr><th scope="row">{title}</th>'
        if math.isnan(figure.difference):
            body.append(f'{head}<td colspan="3">none in this subgroup</td></tr>')
            continue
        low, high = figure.interval
        mark = "▲ higher" if low > 0 else "▼ lower" if high < 0 else ""
        verdict = "" if note else f'<b class="value">{mark}</b>' if mark else "no clear difference"
        says = f"{signed(100 * figure.difference, 1)} ({number(100 * low, 1)} to {number(100 * high, 1)})"
        body.append(
            f'{head}<td class="value">{number(100 * figure.first, 1)}</td>'
            f'<td class="value">{number(100 * figure.second, 1)}</td>'
            f"<td>{says} {verdict}"
            f'<span class="track" aria-hidden="true"><span class="zero" style="left:{axis.at(0)}%"></span>'
            f'{whisker(axis, low, high)}<span class="dot" style="left:{axis.at(figure.difference)}%"></span></span>'
            "</td></tr>"
        )
    return (
        '<div class="chart differences"><table><thead><tr><td></td>'
        + "".join(f'<th scope="col" class="model">{html.escape(name)} (%)</th>' for name in (first, second))
        + '<th scope="col">difference in percentage points '
        f"(95 % interval)</th></tr></thead><tbody>{''.join(body)}</tbody></table><p>Dot: the difference; line: its "
        f"95 % interval; vertical line: no difference. {html.escape(note) or MARKS}</p></div>"
    )


def confusion(matrix: np.ndarray, title: str, counted: dict | None = None, opens: np.ndarray | bool = True) -> str:
    """A confusion matrix as a heat table of row rates.

    Args:
        matrix: int (7, 7), rows confirmed, columns the model's answer.
        title: of the table.
        counted: what `CELLS_SCRIPT` says of the matrix beside the cell; with it, cells with photographs are buttons.
        opens: bool (7, 7), which cells can be; by default all.
    """
    rows, buttons = [], 0
    opens = np.broadcast_to(opens, matrix.shape) & (matrix > 0) if counted is not None else np.zeros_like(matrix, bool)
    for diagnosis, counts in zip(DIAGNOSES, matrix.tolist(), strict=True):
        cells = []
        for answer, count in zip(DIAGNOSES, counts, strict=True):
            rate = count / max(1, sum(counts))
            says = f"{name_of(diagnosis.code)} called {name_of(answer.code)}: {percentage(rate)} of {sum(counts)}"
            content = str(count)
            if opens[CODES.index(diagnosis.code), CODES.index(answer.code)]:
                content = (
                    f'<button type="button" data-confirmed="{diagnosis.code}" data-answer="{answer.code}" '
                    f'tabindex="{-1 if buttons else 0}" aria-label="{count}: {says}">{count}</button>'
                )
                buttons += 1
            # Half transparent at most, so that the page's own text colour is read on it in both themes.
            cells.append(
                f'<td class="{"right" if answer is diagnosis else ""}" title="{says}" style="background:'
                f'color-mix(in srgb,{diagnosis.colour} {65 * rate:.1f}%,transparent)">{content}</td>'
            )
        rows.append(
            f'<tr><th scope="row"><span class="name">{brief(diagnosis.code)} </span>'
            f"{abbreviation(diagnosis.code)}</th>{''.join(cells)}</tr>"
        )
    heads = "".join(f'<th scope="col">{abbreviation(code)}</th>' for code in CODES)
    data = "" if counted is None else f' data-counted="{html.escape(json.dumps(counted))}"'
    return (
        f'<div class="chart confusion"><table{data}><caption>{html.escape(title)}</caption><thead><tr>'
        f'<td><span class="name">confirmed ↓ answer →</span></td>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def importances(importance: dict[str, dict[str, dict]]) -> str:
    """What shuffling each input costs, three panels of bars with their 95 % intervals.

    Args:
        importance: of `Cohort.importance`.
    """
    panels = []
    for metric, title, unit, decimals in (
        ("log-loss", "log-loss added, nats", 1, 2),
        ("accuracy", "accuracy lost, points", 100, 1),
        ("balanced accuracy", "balanced accuracy lost, points", 100, 1),
    ):
        figures = {name: importance[name][metric] for name in INPUTS}
        axis = spanning([end for figure in figures.values() for end in (*figure["interval"], figure["value"])])
        rows = []
        for name, figure in figures.items():
            low, high = figure["interval"]
            left, right = sorted((axis.at(0), axis.at(figure["value"])))
            value, *ends = (number(unit * v, decimals) for v in (figure["value"], low, high))
            rows.append(
                f'<div class="row"><span>{name}</span><span class="value"><b>{value}</b> ({" to ".join(ends)})</span>'
                f'</div><span class="track" aria-hidden="true"><span class="bar plain" style="left:{left}%;'
                f'width:{right - left:.2f}%"></span><span class="zero" style="left:{axis.at(0)}%"></span>'
                f"{whisker(axis, low, high)}</span>"
            )
        panels.append(f'<section aria-label="{title}"><p class="heading">{title}</p>{"".join(rows)}</section>')
    return f'<div class="chart importances"><div class="panels">{"".join(panels)}</div></div>'
