"""Charts as HTML and SVG. No computing beyond the layout: numbers come in, markup goes out.

Lists and tables are HTML, whose text keeps its size on a phone; there is SVG only where axes are needed. A colour never
stands alone: there is a name, a sign, a dash pattern or a marker beside it.
"""

import html
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from lesion.data.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.data.metadata import INPUTS
from lesion.metrics.scores import Difference
from lesion.teaching.cohort import Alarm
from lesion.teaching.influence import Shapley, Switch, switches_in_words
from lesion.teaching.lab import EpochResult
from lesion.ui.html.body_map import SMALLEST_SCALE, ink, short, tint

VIOLET, OLIVE = "#7F63DA", "#8C8500"
"""Two colours that are no diagnosis's and that colour-blind eyes tell apart: up and down, run A and run B."""
RUN_COLOURS = {"A": VIOLET, "B": OLIVE}
DASHES = {
    "mel": "none",
    "nv": "14 4",
    "bcc": "3 4",
    "akiec": "14 4 3 4",
    "bkl": "7 3",
    "df": "14 4 3 4 3 4",
    "vasc": "5 7",
}
"""SVG dash pattern of each diagnosis's line."""
RARE = 0.02
"""A line that stays below this probability is thin and has no label."""
SMALLEST_RANGE = {"probability": 0.01, "log-odds": 1.0}
"""The waterfall's axis covers at least this much, so that next to nothing does not look like a lot."""
GAP = 19
"""Distance of two labels that stand above each other, SVG units."""
MOST_POINTS = 200
MARKS = "▲ and ▼ stand where the interval leaves it out."

STYLE = f"""
.chart {{ max-width: 60rem; font-size: var(--text-md); line-height: 1.35; }}
.chart.sites {{ max-width: 32rem; }}
.chart.importances, .chart.learning {{ max-width: none; }}
.chart.roc svg, .chart.learning section > svg {{ max-width: 28rem; }}
.chart svg {{ display: block; width: 100%; max-width: 34rem; height: auto; overflow: visible; }}
.chart text {{ font-size: 16px; fill: currentColor; font-variant-numeric: tabular-nums; }}
.chart text.strong {{ font-weight: 700; }}
.chart .grid {{ stroke: currentColor; stroke-width: 1; opacity: .2; }}
.chart .axis {{ stroke: currentColor; stroke-width: 1.5; opacity: .75; }}
.chart .guide {{ stroke: currentColor; stroke-width: 1.5; stroke-dasharray: 5 4; opacity: .8; fill: none; }}
.chart .curve {{ fill: none; stroke-width: 3.2; stroke-linejoin: round; }}
.chart .curve.thin {{ stroke-width: 1.3; }}
.chart .up {{ fill: {VIOLET}; }}
.chart .down {{ fill: {OLIVE}; fill-opacity: .4; stroke: {OLIVE}; stroke-width: 2.5; }}
.chart .column {{ fill: transparent; cursor: pointer; }}
.chart .column:hover {{ fill: color-mix(in srgb, currentColor 16%, transparent); }}
.chart p, .chart ul {{ margin: .4rem 0 0; padding: 0; font-size: 1em; line-height: 1.4; }}
.chart ul, .chart li {{ list-style: none; }}
.chart li {{ margin: 0; padding: 0; }}
.chart .panels {{ display: grid; gap: 1rem 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 17rem), 1fr)); }}
.chart.learning .panels {{ grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }}
.chart p.heading {{ margin: 0; font-weight: 700; }}
.chart table {{ width: 100%; margin: 0; border: 0; border-collapse: collapse; table-layout: fixed; background: none;
  color: inherit; font-size: 1em; }}
.chart caption {{ padding: 0 0 .3rem; color: inherit; font-weight: 700; text-align: left; }}
.chart tr {{ border: 0; background: none; }}
.chart th, .chart td {{ padding: .25rem .35rem; border: 0; color: inherit; font-size: 1em; font-weight: 400;
  line-height: 1.3; text-align: left; vertical-align: middle; overflow-wrap: break-word; hyphens: auto; }}
.chart tbody tr {{ border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }}
.chart thead th {{ font-weight: 600; vertical-align: bottom; }}
.chart b, .chart .top {{ color: inherit; font-weight: 700; }}
.chart .value {{ font-variant-numeric: tabular-nums; white-space: nowrap; }}
.chart .track {{ position: relative; display: block; height: .8rem; margin: .1rem 0;
  background: color-mix(in srgb, currentColor 12%, transparent); }}
.chart .track > span {{ position: absolute; top: 0; bottom: 0; }}
.chart .track .bar {{ min-width: 2px; }}
.chart .track .plain {{ background: color-mix(in srgb, currentColor 40%, transparent); }}
.chart .track .line {{ top: calc(50% - 1.5px); bottom: auto; height: 3px; background: currentColor; }}
.chart .track .zero {{ width: 2px; margin-left: -1px; background: currentColor; opacity: .6; }}
.chart .track .dot {{ width: .8rem; margin-left: -.4rem; border-radius: 50%; background: currentColor; }}
.chart .row {{ display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 .6rem; margin-top: .45rem; }}
.chart.answers thead td {{ width: 34%; }}
.chart.differences thead td {{ width: 28%; }}
.chart.differences thead .model {{ width: 16%; }}
.chart.sites thead .place {{ width: 37%; }}
.chart.sites th, .chart.sites td {{ padding: .08rem .35rem; }}
.chart.sites td, .chart.sites .sex {{ text-align: center; font-variant-numeric: tabular-nums; }}
.chart.sites thead .sex {{ font-size: .8125em; white-space: nowrap; }}
.chart.sites [aria-current] {{ font-weight: 700; outline: 3px solid #111; outline-offset: -3px;
  box-shadow: inset 0 0 0 4px #fff; }}
.chart.confusion thead td {{ width: 28%; font-size: .875em; text-align: right; white-space: normal; }}
.chart.confusion th, .chart.confusion td {{ padding: .4rem .1rem; text-align: center; }}
.chart.confusion td, .chart abbr {{ white-space: nowrap; }}
.chart.confusion tbody th {{ padding-right: .4rem; text-align: right; }}
.chart.confusion td.right {{ font-weight: 700; outline: 2px solid currentColor; outline-offset: -2px; }}
.chart abbr {{ font-weight: 600; text-decoration: none; cursor: help; }}
.chart svg.sample {{ display: inline-block; width: 2.6rem; height: .8rem; vertical-align: middle; }}
@media (max-width: 500px) {{
  .chart {{ font-size: var(--text-sm); }}
  .chart text {{ font-size: 17.5px; }}
  .chart th, .chart td {{ padding: .25rem .15rem; }}
  .chart.answers tr {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr));
    align-items: end; }}
  .chart.differences tr {{ display: grid; grid-template-columns: 1fr 1fr 2fr; }}
  .chart.answers tbody th, .chart.differences tbody th, .chart td[colspan] {{ grid-column: 1 / -1; padding-bottom: 0; }}
  .chart.answers thead td, .chart.differences thead td {{ display: none; }}
  .chart.differences thead .model {{ width: auto; }}
  .chart.sites thead .place {{ width: 35%; }}
  .chart.sites thead .sex {{ padding: 0; font-size: .75em; }}
  .chart.confusion th, .chart.confusion td {{ padding: .4rem 0; }}
  .chart.confusion thead td {{ width: 14%; }}
  .chart.confusion .name {{ display: none; }}
}}
"""
"""Gradio puts its own class before each selector and cuts at every comma: no commas inside :is()."""

AGE_SCRIPT = """
element.addEventListener('click', event => {
  const column = event.target.closest('[data-age]');
  if (column) trigger('click', { age: Number(column.dataset.age) });
});
"""
"""A click on the age curve triggers the component's click with the age. The mouse is enough: for the keyboard there is
the age field itself."""


class Axis(NamedTuple):
    """A linear axis: the values `low` and `high` stand at the places `start` and `end`, SVG units or percent."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value."""
        place = self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        return round(place, 2)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on the axis, at most `most` steps."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (factor * step) <= most + 1e-9)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def side_by_side(answers: dict[str, dict[str, float]]) -> str:
    """Answers side by side, such as those from the image alone, the metadata alone and both.

    Args:
        answers: probabilities by code, by the column's name, as of `Influence.three_answers`.
    """
    tops = {column: max(CODES, key=shares.get) for column, shares in answers.items()}
    heads = "".join(
        f'<th scope="col">{html.escape(column)}<br/><b>▶ {name_of(tops[column])}</b></th>' for column in answers
    )
    rows = []
    for diagnosis in DIAGNOSES:
        cells = []
        for column, shares in answers.items():
            share, top = shares[diagnosis.code], tops[column] == diagnosis.code
            cells.append(
                f'<td><span class="value{" top" if top else ""}">{"▶ " if top else ""}{short(share)}</span>'
                f'<span class="track" aria-hidden="true"><span class="bar" style="width:{share:.2%};'
                f'background:{diagnosis.colour}"></span></span></td>'
            )
        rows.append(f'<tr><th scope="row">{name_of(diagnosis.code)}</th>{"".join(cells)}</tr>')
    return (
        '<div class="chart answers"><table aria-label="Probability of each diagnosis" style="--columns:'
        f'{len(answers)}"><thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def waterfall(shapley: Shapley, code: str, scale: str) -> str:
    """How each input moves the answer from nothing known to everything known.

    Args:
        shapley: of the diagnosis, on that scale.
        code: the diagnosis.
        scale: "probability" or "log-odds".
    """
    as_probability = scale == "probability"
    totals = [shapley.start]
    for name in INPUTS:
        totals.append(totals[-1] + shapley.contributions[name])
    low, high = min(0.0, *totals), max(0.0, *totals)
    if high - low < SMALLEST_RANGE[scale]:
        low, high = (low, low + SMALLEST_RANGE[scale]) if high >= -low else (high - SMALLEST_RANGE[scale], high)
    axis, row = Axis(low, high, 156, 350), 36
    bottom = row * (len(INPUTS) + 2)

    def shown(value: float) -> str:
        return short(value) if as_probability else number(value, 1)

    def change(value: float) -> str:
        if not as_probability:
            return signed(value, 1)
        return f"{signed(100 * value, 0 if abs(value) >= 0.1 else 1)} points"

    colour = BY_CODE[code].colour
    bars = [("nothing known", 0.0, shapley.start, shown(shapley.start), f'fill="{colour}"')]
    for name, before, after in zip(INPUTS, totals[:-1], totals[1:], strict=True):
        text = change(shapley.contributions[name])
        arrow = {"+": "→ ", "−": "← "}.get(text[0], "")
        bars.append((name, before, after, arrow + text, f'class="{"up" if after >= before else "down"}"'))
    bars.append(("everything known", 0.0, shapley.end, shown(shapley.end), f'fill="{colour}"'))
    parts = []
    for value in axis.ticks():
        text = number(100 * value if as_probability else value)
        if not as_probability or 0 <= value <= 1:  # the sums on the way may leave that range, probabilities do not
            parts.append(line(axis.at(value), 0, axis.at(value), bottom, "grid"))
            parts.append(words(axis.at(value), bottom + 20, text, "middle"))
    parts.append(line(axis.at(0), 0, axis.at(0), bottom, "axis"))
    for place, (name, before, after, text, look) in enumerate(bars):
        left, right = sorted((axis.at(before), axis.at(after)))
        y = place * row
        parts.append(
            f'<g class="step"><title>{name}: {text}</title>'
            f'<rect x="{left}" y="{y + 7}" width="{right - left:.2f}" height="{row - 14}" {look}/>'
            f"{words(148, y + 23, name, 'end')}{words(358, y + 23, text, kind='strong')}</g>"
        )
        if place < len(bars) - 1:
            parts.append(line(axis.at(after), y + 7, axis.at(after), y + 2 * row - 7, "axis"))
    title = f"{scale} of {brief(code)}" + (", %" if as_probability else " (0 is 50 %)")
    parts.append(words(490 / 2, bottom + 44, title, "middle"))
    steps = ", ".join(f"{name} {change(shapley.contributions[name])}" for name in INPUTS)
    summary = (
        f"{scale} of {name_of(code)}: {shown(shapley.start)} with nothing known, {shown(shapley.end)} with everything "
        f"known; {steps}"
    )
    return f'<div class="chart waterfall">{svg(490, bottom + 54, summary, parts)}</div>'


def age_curve(
    ages: Sequence[float], probabilities: np.ndarray, current: float | None, switches: Sequence[Switch]
) -> str:
    """The seven probabilities against age; each age is a column to point at and click on, see AGE_SCRIPT.

    Args:
        ages: years, rising.
        probabilities: float (len(ages), 7).
        current: the record's age, years; None where unknown.
        switches: where the most probable diagnosis changes.
    """
    x, y = Axis(-2.5, max(85, *ages) + 2.5, 40, 290), Axis(0, 1, 284, 48)
    parts = [
        frame(
            x,
            y,
            {age: f"{age:g}" for age in x.ticks()},
            {share: f"{100 * share:.0f}" for share in y.ticks()},
            "age in years",
            "probability, %",
        )
    ]
    for switch in switches:
        middle = x.at((switch.younger + switch.older) / 2)
        parts.append(line(middle, y.end, middle, y.start, "guide"))
    labelled = []
    for code, values in zip(CODES, zip(*probabilities, strict=True), strict=True):
        common = max(values) >= RARE
        points = [(x.at(age), y.at(value)) for age, value in zip(ages, values, strict=True)]
        parts.append(curve(points, BY_CODE[code].colour, DASHES[code], "" if common else "thin"))
        if common:
            labelled.append((code, points[-1][1]))
    places = spread([place for _, place in labelled], GAP, y.end, y.start)
    for (code, end), place in zip(labelled, places, strict=True):
        leader = [(x.at(ages[-1]), end), (x.end + 2, end), (x.end + 14, place), (x.end + 20, place)]
        parts.append(curve(leader, BY_CODE[code].colour, kind="thin"))
        parts.append(words(x.end + 24, place + 5.5, brief(code)))
    if current is not None:
        parts.append(line(x.at(current), y.end - 6, x.at(current), y.start, "axis"))
        parts.append(words(x.at(current), y.end - 10, f"now {current:g}", "middle", "strong"))
    edges = [x.low, *((a + b) / 2 for a, b in pairwise(ages)), x.high]
    for age, left, right, shares in zip(ages, edges[:-1], edges[1:], probabilities, strict=True):
        ranked = sorted(zip(CODES, shares, strict=True), key=lambda pair: -pair[1])
        listed = "\n".join(f"{short(share)} {name_of(code)}" for code, share in ranked)
        parts.append(
            f'<rect class="column" data-age="{age:g}" x="{x.at(left)}" y="{y.end}" '
            f'width="{x.at(right) - x.at(left):.2f}" height="{y.start - y.end}"><title>age {age:g}\n{listed}</title>'
            "</rect>"
        )
    sentences = switches_in_words(switches) or ["The most probable diagnosis is the same at every age."]
    sentences = [html.escape(sentence) for sentence in sentences]
    summary = f"Probability of the seven diagnoses from age {ages[0]:g} to {ages[-1]:g}. {' '.join(sentences)}"
    items = "".join(f"<li>{sentence}</li>" for sentence in sentences)
    return f'<div class="chart ages">{svg(490, 334, summary, parts)}<ul>{items}</ul></div>'


def site_table(table: pd.DataFrame, code: str, site: str, sex: str) -> str:
    """A diagnosis's probability by site and sex, as a heat table on the scale of the body map's colours.

    Args:
        table: of `Influence.by_site_and_sex`: a row each site, a column each sex.
        code: the diagnosis.
        site, sex: the record's, "unknown" where they are.
    """
    top = max(SMALLEST_SCALE, table.to_numpy().max())
    rows = []
    for place, shares in table.iterrows():
        cells = []
        for column, share in shares.items():
            fill = tint(BY_CODE[code].colour, share / top)
            now = ' aria-current="true"' if (place, column) == (site, sex) else ""
            cells.append(f'<td{now} style="background:{fill};color:{ink(fill)}">{short(share)}</td>')
        rows.append(f'<tr><th scope="row">{html.escape(place)}</th>{"".join(cells)}</tr>')
    heads = "".join(f'<th scope="col" class="sex">{html.escape(column)}</th>' for column in table.columns)
    return (
        f'<div class="chart sites"><table><caption>Probability of {name_of(code)}</caption>'
        f'<thead><tr><th scope="col" class="place">site</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


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
        f"95 % interval; upright line: no difference. {html.escape(note) or MARKS}</p></div>"
    )


def confusion(matrix: np.ndarray, title: str) -> str:
    """A confusion matrix as a heat table of row rates.

    Args:
        matrix: int (7, 7), rows confirmed, columns the model's answer.
        title: of the table.
    """
    rows = []
    for diagnosis, counts in zip(DIAGNOSES, matrix.tolist(), strict=True):
        cells = []
        for answer, count in zip(DIAGNOSES, counts, strict=True):
            rate = count / max(1, sum(counts))
            says = f"{name_of(diagnosis.code)} called {name_of(answer.code)}: {percentage(rate)} of {sum(counts)}"
            # Half transparent at most, so that the page's own text colour is read on it in both themes.
            cells.append(
                f'<td class="{"right" if answer is diagnosis else ""}" title="{says}" style="background:'
                f'color-mix(in srgb,{diagnosis.colour} {65 * rate:.1f}%,transparent)">{count}</td>'
            )
        rows.append(
            f'<tr><th scope="row"><span class="name">{brief(diagnosis.code)} </span>'
            f"{abbreviation(diagnosis.code)}</th>{''.join(cells)}</tr>"
        )
    heads = "".join(f'<th scope="col">{abbreviation(code)}</th>' for code in CODES)
    return (
        f'<div class="chart confusion"><table><caption>{html.escape(title)}</caption><thead><tr>'
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


def roc(alarm: Alarm, threshold: float) -> str:
    """The melanoma alarm's ROC curve with the chosen threshold on it.

    Args:
        alarm: at that threshold.
        threshold: of the probability, 0 to 1.
    """
    x, y = Axis(0, 1, 62, 400), Axis(0, 1, 368, 30)
    shares = {share: f"{100 * share:.0f} %" for share in x.ticks()}
    parts = [frame(x, y, shares, shares, "false alarms among the others (1 − specificity)", "melanomas found")]
    kept = [(0.0, 0.0)]
    for found, false in alarm.curve.tolist():
        # A rising curve is 2 long at most along the axes, which bounds how many points keep this distance.
        if found + false - sum(kept[-1]) >= 2 / (MOST_POINTS - 2):
            kept.append((false, found))
    kept.append((1.0, 1.0))
    parts.append(line(x.start, y.start, x.end, y.end, "guide"))
    parts.append(curve([(x.at(false), y.at(found)) for false, found in kept], BY_CODE["mel"].colour))
    at_x, at_y = x.at(1 - alarm.specificity), y.at(alarm.sensitivity)
    parts.append(f'<path class="guide" d="M{x.start} {at_y} H{at_x} V{y.start}"/>')
    parts.append(f'<circle cx="{at_x}" cy="{at_y}" r="8" fill="{BY_CODE["mel"].colour}" stroke="currentColor"/>')
    beside, anchor = (14, "start") if at_x < x.at(0.5) else (-14, "end")
    parts.append(words(at_x + beside, min(at_y + 30, y.start - 8), f"threshold {short(threshold)}", anchor, "strong"))
    says = (
        f"At threshold {short(threshold)} the alarm finds {between(alarm.sensitivity, alarm.sensitivity_interval)} of "
        "the melanomas and is a false alarm for "
        f"{between(1 - alarm.specificity, [1 - end for end in reversed(alarm.specificity_interval)])} of the others."
    )
    return f'<div class="chart roc">{svg(430, 422, says, parts)}<p>{says}</p></div>'


def learning_curves(runs: dict[str, Sequence[EpochResult]]) -> str:
    """Loss and balanced accuracy of up to two runs against the epoch, from the first epoch on.

    Args:
        runs: "A" and "B", or one of them; the results so far.
    """
    runs = {name: history for name, history in runs.items() if history}
    results = [result for history in runs.values() for result in history]
    last = max((result.epochs for result in results), default=1)
    losses = [v for r in results for v in (r.training_loss, r.held_out_loss) if math.isfinite(v)]
    x = Axis(0, last, 62, 378)
    panels = []
    for title, high, lines in (
        ("loss", 1.05 * max(losses, default=1.0), {"training_loss": "7 5", "held_out_loss": "none"}),
        ("balanced accuracy", 1.0, {"balanced_accuracy": "none"}),
    ):
        y = Axis(0, high, 240, 30)
        as_share = title != "loss"
        y_labels = {v: f"{100 * v:.0f} %" if as_share else f"{v:g}" for v in (round(v, 6) for v in y.ticks())}
        x_labels = {epoch: f"{epoch:g}" for epoch in x.ticks() if epoch == int(epoch)}
        parts = [frame(x, y, x_labels, y_labels, "epoch", title)]
        legend, ends = [], []
        for name, history in runs.items():
            colour = RUN_COLOURS[name]
            for attribute, dash in lines.items():
                # A run that diverges has losses beyond every number; its line ends there.
                values = [(r.epoch, getattr(r, attribute)) for r in history if math.isfinite(getattr(r, attribute))]
                if not values:
                    continue
                points = [(x.at(epoch), y.at(value)) for epoch, value in values]
                parts.append(curve(points, colour, dash))
                parts.append(f'<circle cx="{points[-1][0]}" cy="{points[-1][1]}" r="5" fill="{colour}"/>')
                ends.append((name, points[-1]))
                kind = {"training_loss": "training ", "held_out_loss": "held-out "}.get(attribute, "")
                value = percentage(values[-1][1]) if as_share else number(values[-1][1], 2)
                legend.append(
                    f'<li><svg class="sample" viewBox="0 0 42 12" aria-hidden="true">'
                    f"{curve([(0, 6), (42, 6)], colour, dash)}</svg> {html.escape(name)}: {kind}{title} "
                    f'<b class="value">{value}</b></li>'
                )
        places = spread([end[1] for _, end in ends], GAP, y.end, y.start)
        for (name, end), place in zip(ends, places, strict=True):
            parts.append(words(end[0] + 9, place + 5.5, html.escape(name), kind="strong"))
        done = ", ".join(f"run {name} after epoch {h[-1].epoch} of {h[-1].epochs}" for name, h in runs.items())
        panels.append(
            f"<section>{svg(400, 292, f'{title} against epoch: {html.escape(done)}', parts)}"
            f"<ul>{''.join(legend)}</ul></section>"
        )
    return f'<div class="chart learning"><div class="panels">{"".join(panels)}</div></div>'


def name_of(code: str) -> str:
    """A diagnosis's name, as HTML."""
    return html.escape(BY_CODE[code].name)


def brief(code: str) -> str:
    """A diagnosis's name as a label has room for it, as HTML."""
    return html.escape(BY_CODE[code].name.split(" / ")[0])


def abbreviation(code: str) -> str:
    """A diagnosis's code with its name in the tooltip, as HTML."""
    return f'<abbr title="{name_of(code)}">{code}</abbr>'


def number(value: float, decimals: int | None = None) -> str:
    """A number with a minus sign, never a negative zero.

    Args:
        value: the number.
        decimals: how many; by default as many as it needs, up to six digits.
    """
    text = f"{value:g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, decimals: int) -> str:
    """A number with + or −, or neither where it is shown as zero."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and float(text) else text


def percentage(share: float) -> str:
    """A rate that may well be zero: "94.2 %"."""
    return f"{number(100 * share, 1)}\u00a0%"


def between(value: float, interval: Sequence[float]) -> str:
    """A share with its 95 % interval: "75.1 % (69.8 % to 80.2 %)"."""
    return f"{percentage(value)} ({percentage(interval[0])} to {percentage(interval[1])})"


def spanning(values: Iterable[float]) -> Axis:
    """An axis in percent of a track's width that holds zero and all values, with some room for a dot."""
    low, high = min(0.0, *values, -1e-3), max(0.0, *values, 1e-3)
    return Axis(low, high, 4, 96)


def whisker(axis: Axis, low: float, high: float) -> str:
    """A 95 % interval on a track, as HTML."""
    return f'<span class="line" style="left:{axis.at(low)}%;width:{axis.at(high) - axis.at(low):.2f}%"></span>'


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as it takes to keep a distance, within bounds and in their order.

    Args:
        places: where labels would stand.
        gap: the distance.
        low, high: the bounds.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for rank, i in enumerate(order):
        if rank:
            moved[i] = max(moved[i], moved[order[rank - 1]] + gap)
    for rank, i in enumerate(reversed(order)):
        moved[i] = max(low, min(moved[i], high - rank * gap))
    return moved


def svg(width: float, height: float, summary: str, parts: Iterable[str]) -> str:
    """A picture with a sentence for those who do not see it.

    Args:
        width, height: of the viewBox.
        summary: the sentence, as HTML.
        parts: SVG.
    """
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{summary}">{"".join(parts)}</svg>'


def words(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text, as SVG.

    Args:
        x, y: its place, the baseline.
        text: as HTML.
        anchor: `text-anchor`.
        kind: class.
    """
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class, as SVG."""
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def curve(points: Iterable[tuple[float, float]], colour: str, dash: str = "none", kind: str = "") -> str:
    """A line through points, as SVG.

    Args:
        points: places.
        colour: hexadecimal RGB.
        dash: `stroke-dasharray`.
        kind: class beside "curve".
    """
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="curve {kind}" points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>'


def frame(x: Axis, y: Axis, x_labels: dict[float, str], y_labels: dict[float, str], x_title: str, y_title: str) -> str:
    """Both axes with grid lines and titles, as SVG.

    Args:
        x, y: the axes.
        x_labels, y_labels: text by value.
        x_title, y_title: what the axes show.
    """
    parts = [line(x.start, y.start, x.end, y.start, "axis"), line(x.start, y.start, x.start, y.end, "axis")]
    for value, text in y_labels.items():
        parts.append(line(x.start, y.at(value), x.end, y.at(value), "grid"))
        parts.append(words(x.start - 6, y.at(value) + 5.5, text, "end"))
    for value, text in x_labels.items():
        parts.append(line(x.at(value), y.start, x.at(value), y.start + 5, "axis"))
        parts.append(words(x.at(value), y.start + 21, text, "middle"))
    parts.append(words((x.start + x.end) / 2, y.start + 43, x_title, "middle"))
    parts.append(words(2, 16, y_title, kind="strong"))
    return "".join(parts)
