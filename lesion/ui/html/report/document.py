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
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.reading import EVALUATE, belongs, read_report
from lesion.ui.html import pieces
from lesion.ui.html.report.comparisons import against, systems
from lesion.ui.html.report.elsewhere import elsewhere
from lesion.ui.html.report.facts import label
from lesion.ui.html.report.figures import figure
from lesion.ui.html.report.known import near_duplicates, recognition
from lesion.ui.html.report.performance import COUNTED, diagnoses, learning, overview, subgroups
from lesion.ui.html.report.similar import similar_cases
from lesion.ui.html.report.trust import calibration, conformal, decision, explanations, out_of_distribution

MISSING = f"This checkpoint has no report yet. To measure it on photographs not used in training, run “{EVALUATE}”."
OF_ANOTHER = (
    "This report belongs to another checkpoint, or to this one before it was changed. Its figures may not hold for the "
    f"model that answers in this app. To measure that model, run “{EVALUATE}”."
)
UNREADABLE = f"This app cannot read this part of the report. Run “{EVALUATE}” to write it again."
OPEN_ALL, FOLD_ALL = "Open all sections", "Fold all sections"
SCRIPT = f"""
const parts = () => [...element.querySelectorAll('.part')];
element.addEventListener('click', event => {{
  const link = event.target.closest('a[href^="#report-"]'), button = event.target.closest('.fold');
  if (link) element.querySelector(`${{link.hash}} > .part`)?.setAttribute('open', '');
  if (button) {{
    const open = parts().some(part => !part.open);
    parts().forEach(part => part.open = open);
    button.textContent = open ? '{FOLD_ALL}' : '{OPEN_ALL}';
  }}
}});
"""
"""A link into a folded section opens it before the browser goes there; the button opens or folds all."""
OPEN_LINKED = """
() => {
  const part = location.hash.startsWith('#report-') && document.querySelector(`${location.hash} > .part`);
  if (part) { part.open = true; part.parentElement.scrollIntoView(); }
}
"""
"""Opens the section that the page's address ends with."""
STYLE = """
#model-report { min-height: 60vh; }
.report { font-size: var(--text-md); line-height: 1.45; }
.report > section { scroll-margin-top: .5rem; }
.report .part { margin: 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.report .part[open] { padding-bottom: 1.6rem; }
.report .part > summary { padding: .6rem 0; }
.report .part > summary h2 { display: inline; margin: 0; font-size: var(--text-lg); font-weight: 700; }
.report h3 { margin: 1.3rem 0 0; font-size: var(--text-md); font-weight: 700; }
.report p { line-height: 1.45; }
.report .section p { color: inherit; }
.report .section p, .report .part > p, .report .part > ul, .report .part dl { max-width: 62rem; }
.report .part > p, .report .part > ul { margin: .5rem 0 0; }
.report .part > ul, .report .facts ul { padding-left: 1.2rem; }
.report .part > ul li, .report .facts li { list-style: disc; margin: .15rem 0; }
.report b { color: inherit; }
.report .tools { display: flex; flex-wrap: wrap; gap: .5rem; margin: 1.2rem 0 .4rem; }
.report .tools > * { padding: .25rem .8rem; border-radius: 1rem; font: inherit; font-size: var(--text-sm);
  line-height: 1.4; font-weight: 600; color: inherit; background: none; text-decoration: none; cursor: pointer;
  border: 1px solid var(--color-accent); }
.report .tools > *:hover { background: color-mix(in srgb, var(--color-accent) 14%, transparent); }
.report .problem { margin-bottom: .8rem; }
.report .chart { max-width: none; margin: .8rem 0 0; }
.report .part details { margin-top: .6rem; }
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


def render(folder: Path, config: CheckpointConfig, counted: dict[str, list] | None = None) -> str:
    """The report: the label, then its sections, folded; or a sentence where there is none.

    Args:
        folder: of the checkpoint.
        config: its configuration.
        counted: confusion matrices of the test part as the app counts them, by decision rule. A cell of the report's
            that has the same number opens the photographs behind it.
    """
    try:
        report = read_report(folder)
    except UserError as error:
        return pieces.problem(str(error))
    if report is None:
        return pieces.placeholder(MISSING)
    own = belongs(report, folder)
    warning = "" if own else pieces.problem(OF_ANOTHER)
    report[COUNTED] = counted if own and counted else {}
    parts = []
    for section in SECTIONS:
        if any(key not in report for key in section.needs):
            continue
        try:
            content = section.render(report, lambda name: figure(folder, name))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # not written by this version
            content = pieces.problem(UNREADABLE)
        if content:
            parts.append(
                f'<section id="report-{section.key}"><details class="part"><summary><h2>{html.escape(section.title)}'
                f"</h2></summary>{content}</details></section>"
            )
    try:
        facts = label(report, config)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        facts = pieces.problem(UNREADABLE)
    file = base64.b64encode((folder / REPORT).read_bytes()).decode()
    download = f'<a download="{REPORT}" href="data:application/json;base64,{file}">Download {REPORT}</a>'
    tools = f'<div class="tools"><button type="button" class="fold">{OPEN_ALL}</button>{download}</div>'
    return f'<div class="report">{warning}{facts}{tools}{"".join(parts)}</div>'


SECTIONS = (
    Section("overview", "What was measured", ("metrics",), overview),
    Section("diagnoses", "Each diagnosis", tuple(f"per class, {rule}" for rule in RULES.values()), diagnoses),
    Section("calibration", "Calibration", ("calibration",), calibration),
    Section("decision", "Net benefit", ("decision",), decision),
    Section("subgroups", "Subgroups", ("subgroups",), subgroups),
    Section("sets", "Prediction sets", ("conformal",), conformal),
    Section("out-of-distribution", "Out-of-distribution images", ("novelty",), out_of_distribution),
    Section("elsewhere", "Elsewhere", ("elsewhere",), elsewhere),
    Section("explanations", "Heat maps", ("explanations",), explanations),
    Section("similar", "Similar cases", ("similar cases",), similar_cases),
    Section("near-duplicates", "Near-duplicates across the split", ("near-duplicates", "metrics"), near_duplicates),
    Section("recognition", "Photographs it has seen", ("recognition",), recognition),
    Section("systems", "Reference systems", ("systems",), systems),
    Section("against", "Another checkpoint", ("against",), against),
    Section("learning", "Learning curves", ("curves",), learning),
)
