"""What age, sex and site do to an answer: side by side, as a waterfall, against age, and by site and sex."""

import html
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from lesion.data.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.data.metadata import INPUTS
from lesion.teaching.influence import Shapley, Switch, switches_in_words
from lesion.ui.html.body_map import SMALLEST_SCALE
from lesion.ui.html.colours import DASHES, OLIVE, VIOLET, ink, tint
from lesion.ui.html.svg import GAP, Axis, curve, frame, line, spread, svg, words
from lesion.ui.html.wording import brief, name_of, number, short, signed

RARE = 0.02
"""A line that stays below this probability is thin and has no label."""
SMALLEST_RANGE = {"probability": 0.01, "log-odds": 1.0}
"""The waterfall's axis covers at least this much, so that next to nothing does not look like a lot."""
AGE_SCRIPT = """
element.addEventListener('click', event => {
  const column = event.target.closest('[data-age]');
  if (column) trigger('click', { age: Number(column.dataset.age) });
});
"""
"""A click on the age curve triggers the component's click with the age. The mouse is enough: for the keyboard there is
the age field itself."""
STYLE = f"""
.chart.sites {{ max-width: 32rem; }}
.chart .up {{ fill: {VIOLET}; }}
.chart .down {{ fill: {OLIVE}; fill-opacity: .4; stroke: {OLIVE}; stroke-width: 2.5; }}
.chart .column {{ fill: transparent; cursor: pointer; }}
.chart .column:hover {{ fill: color-mix(in srgb, currentColor 16%, transparent); }}
.chart.answers thead td {{ width: 34%; }}
.chart.sites thead .place {{ width: 37%; }}
.chart.sites th, .chart.sites td {{ padding: .08rem .35rem; }}
.chart.sites td, .chart.sites .sex {{ text-align: center; font-variant-numeric: tabular-nums; }}
.chart.sites thead .sex {{ font-size: .8125em; white-space: nowrap; }}
.chart.sites [aria-current] {{ font-weight: 700; outline: 3px solid #111; outline-offset: -3px;
  box-shadow: inset 0 0 0 4px #fff; }}
@media (max-width: 500px) {{
  .chart.answers tr {{ display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr));
    align-items: end; }}
  .chart.answers tbody th {{ grid-column: 1 / -1; padding-bottom: 0; }}
  .chart.answers thead td {{ display: none; }}
  .chart.sites thead .place {{ width: 35%; }}
  .chart.sites thead .sex {{ padding: 0; font-size: .75em; }}
}}
"""


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
