"""Cases of the cohort whose answer changes with the inputs."""

import html

import pandas as pd

from lesion.data.diagnoses import BY_CODE
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.teaching.cohort import Comparison
from lesion.ui.html.wording import data_uri
from lesion.words import percent

SHOWN_CASES = 12
CASES_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-image]');
  if (button) trigger('click', { image: button.dataset.image });
});
"""
STYLE = """
.cases h3 { margin: 0; font-size: var(--text-md); font-weight: 700; }
.cases p { margin: 0 0 .4rem; }
.cases ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 280px), 1fr)); }
.cases li { margin: 0; padding: 0; }
.cases button, .cases li > span { display: flex; gap: .6rem; width: 100%; height: 100%; text-align: left;
  padding: .4rem; border: 1px solid var(--border-color-primary); border-radius: 8px; background: none;
  color: inherit; font: inherit; font-size: var(--text-sm); line-height: 1.4; cursor: pointer; box-shadow: none; }
.cases li > span { cursor: default; display: block; }
.cases button:hover { border-color: var(--color-accent); }
.cases img { width: 96px; height: 72px; object-fit: cover; border-radius: 6px; margin: 0; flex: none; }
.cases b { color: inherit; }
"""


def cases(table: pd.DataFrame, photographs: HeldOutPhotographs, title: str) -> str:
    """A list of photographs with their values; a click on one triggers the component's click with its id.

    Args:
        table: `Comparison.rescued` or `ruined`.
        photographs: where one is missing, its id stands for it.
        title: of the list.
    """
    items = []
    for case in table.head(SHOWN_CASES).itertuples():
        values = Metadata(case.age, case.sex, case.site).describe()
        text = (
            f"<b>{html.escape(BY_CODE[case.diagnosis].name)}</b><br>"
            f"{percent(case.chosen_probability)} → {percent(case.full_probability)}<br>{html.escape(values)}<br>"
            f"full: {html.escape(BY_CODE[case.full].name)}<br>"
            f"chosen: {html.escape(BY_CODE[case.chosen].name)}"
        )
        if case.image_id in photographs:
            source = data_uri(photographs.read(case.image_id), "jpeg")
            items.append(
                f'<li><button type="button" data-image="{case.image_id}" title="Open {case.image_id}">'
                f'<img src="{source}" alt="{case.image_id}"><span>{text}</span></button></li>'
            )
        else:
            items.append(f"<li><span>{html.escape(case.image_id)}<br>{text}</span></li>")
    lesions = "lesion" if len(table) == 1 else "lesions"
    more = f", {len(items)} of them shown" if len(table) > len(items) else ""
    return (
        f'<div class="cases"><h3>{html.escape(title)}</h3><p>{len(table)} {lesions}{more}.</p>'
        f"<ul>{''.join(items)}</ul></div>"
    )


def cohort_summary(comparison: Comparison, chosen: str) -> str:
    """What was compared, and whether it is enough to judge by."""
    few = (
        " These are too few to judge by: the intervals say more about the resampling than about the model."
        if comparison.too_few
        else ""
    )
    return (
        f'<p class="change" aria-live="polite">{comparison.images:,} photographs of {comparison.lesions:,} lesions. '
        f"Full model: image, age, sex and site. Chosen model: {html.escape(chosen)}.{few}</p>"
    )
