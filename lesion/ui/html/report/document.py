"""The whole model report as HTML: what `python -m lesion.evaluate` measured, read from report.json and never typed.

A report can come with a checkpoint of somebody else's, so every text of it is escaped, and a part that is not as
expected is replaced by a sentence instead of taking the others with it.
"""

import base64
import html
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from lesion.errors import UserError
from lesion.metrics.metrics import RULES
from lesion.model.checkpoint import REPORT
from lesion.report.reading import EVALUATE, belongs, read_report
from lesion.ui.html import pieces
from lesion.ui.html.report.comparisons import against, systems
from lesion.ui.html.report.elsewhere import elsewhere
from lesion.ui.html.report.figures import figure
from lesion.ui.html.report.performance import diagnoses, learning, overview, subgroups
from lesion.ui.html.report.similar import similar_cases
from lesion.ui.html.report.trust import calibration, conformal, explanations, out_of_distribution

MISSING = f"This checkpoint has no report yet. To measure it on photographs not used in training, run “{EVALUATE}”."
OF_ANOTHER = (
    "This report belongs to another checkpoint, or to this one before it was changed. Its figures may not hold for the "
    f"model that answers in this app. To measure that model, run “{EVALUATE}”."
)
UNREADABLE = f"This app cannot read this part of the report. Run “{EVALUATE}” to write it again."
STYLE = """
#model-report { min-height: 60vh; }
.report { font-size: var(--text-md); line-height: 1.45; }
.report > section { margin-top: 1.8rem; scroll-margin-top: .5rem; }
.report > section > .section:first-child h2 { margin-top: 0; }
.report p { line-height: 1.45; }
.report .section p { color: inherit; }
.report .section p, .report section > p, .report section > ul, .report dl { max-width: 62rem; }
.report section > p, .report section > ul { margin: .5rem 0 0; }
.report section > ul { padding-left: 1.2rem; }
.report section > ul li { list-style: disc; margin: .15rem 0; }
.report b { color: inherit; }
.report nav { display: flex; flex-wrap: wrap; gap: .4rem; }
.report nav a { padding: .2rem .7rem; border-radius: 1rem; font-size: var(--text-sm); color: inherit;
  text-decoration: none; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.report nav a:hover { border-color: var(--color-accent); }
.report nav a[download] { margin-left: auto; font-weight: 600; border-color: var(--color-accent); }
.report .problem { margin-bottom: .8rem; }
.report .chart { max-width: none; margin: .8rem 0 0; }
.report details { margin-top: .6rem; }
.report summary { cursor: pointer; font-weight: 600; }
.report dl { display: grid; grid-template-columns: minmax(9rem, 14rem) 1fr; gap: .3rem 1rem; margin: .5rem 0 0; }
.report dt { font-weight: 600; }
.report dd { margin: 0; }
.report .pictures { display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 34rem)); }
.report figure { margin: 0; }
.report figure img { display: block; width: 100%; height: auto; margin: 0; border-radius: 8px; background: #fff; }
.report details + p { margin: .6rem 0 0; }
@media (max-width: 760px) {
  .report nav a[download] { margin-left: 0; }
  .report dl { grid-template-columns: 1fr; gap: 0; }
  .report dd { margin-bottom: .5rem; }
}
"""


class Section(NamedTuple):
    """A section of the report.

    Attributes:
        key: its place in the page, "report-" and this.
        title: for people.
        needs: the keys of the report without which it is left out.
        render: (report, figure) → HTML, where figure(file name) is an HTML picture or nothing.
    """

    key: str
    title: str
    needs: tuple[str, ...]
    render: Callable[[dict, Callable[[str], str]], str]


def render(folder: Path) -> str:
    """The report with links to its sections, or a sentence where there is none.

    Args:
        folder: of the checkpoint.
    """
    try:
        report = read_report(folder)
    except UserError as error:
        return pieces.problem(str(error))
    if report is None:
        return pieces.placeholder(MISSING)
    warning = "" if belongs(report, folder) else pieces.problem(OF_ANOTHER)
    links, parts = [], []
    for section in SECTIONS:
        if any(key not in report for key in section.needs):
            continue
        try:
            content = section.render(report, lambda name: figure(folder, name))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # not written by this version
            content = pieces.section(section.title, "") + pieces.problem(UNREADABLE)
        if content:
            links.append(f'<a href="#report-{section.key}">{html.escape(section.title)}</a>')
            parts.append(f'<section id="report-{section.key}">{content}</section>')
    file = base64.b64encode((folder / REPORT).read_bytes()).decode()
    download = f'<a download="{REPORT}" href="data:application/json;base64,{file}">Download {REPORT}</a>'
    navigation = f'<nav aria-label="Parts of the report">{"".join(links)}{download}</nav>'
    return f'<div class="report">{warning}{navigation}{"".join(parts)}</div>'


SECTIONS = (
    Section("overview", "What was measured", ("metrics",), overview),
    Section("diagnoses", "Each diagnosis", tuple(f"per class, {rule}" for rule in RULES.values()), diagnoses),
    Section("calibration", "Calibration", ("calibration",), calibration),
    Section("subgroups", "Subgroups", ("subgroups",), subgroups),
    Section("sets", "Prediction sets", ("conformal",), conformal),
    Section("out-of-distribution", "Out-of-distribution images", ("novelty",), out_of_distribution),
    Section("elsewhere", "Elsewhere", ("elsewhere",), elsewhere),
    Section("explanations", "Heat maps", ("explanations",), explanations),
    Section("similar", "Similar cases", ("similar cases",), similar_cases),
    Section("systems", "Reference systems", ("systems",), systems),
    Section("against", "Another checkpoint", ("against",), against),
    Section("learning", "Learning curves", ("curves",), learning),
)
