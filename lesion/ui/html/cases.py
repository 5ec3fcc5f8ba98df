"""Lists of held-out photographs: those whose answer changes with the inputs, and those behind a cell."""

import html
import json
import math

import pandas as pd

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.teaching.cases import Cell, cell_in_words
from lesion.teaching.cohort import Comparison, Subgroup
from lesion.ui.html.wording import brief, data_uri, name_of
from lesion.words import percent

SHOWN_CASES = 12
PAGE = 24
"""Photographs behind a cell that are shown at once."""
CASES_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-image]');
  if (button) trigger('click', { image: button.dataset.image });
});
"""
CELL_SCRIPT = f"""
{CASES_SCRIPT}
element.addEventListener('click', event => {{
  const button = event.target.closest('button[data-page]');
  const cell = JSON.parse(event.target.closest('[data-cell]')?.dataset.cell ?? '{{}}');
  if (button) trigger('select', {{ ...cell, page: Number(button.dataset.page) }});
  if (!event.target.closest('button[data-back]')) return;
  for (const table of element.closest('[role=tabpanel]').querySelectorAll('table[data-counted]')) {{
    const counted = JSON.parse(table.dataset.counted);
    if (counted.matrix !== cell.matrix || counted.rule !== cell.rule) continue;
    const from = table.querySelector(`button[data-confirmed=${{cell.confirmed}}][data-answer=${{cell.answer}}]`);
    from?.focus({{ preventScroll: true }});
    (from ?? table).scrollIntoView({{ block: 'center', behavior: 'smooth' }});
  }}
}});
"""
"""As CASES_SCRIPT; a click on a page triggers the component's selection with the cell and the page, and one button
leads back to the cell."""
STYLE = """
.behind { margin-top: 1rem; }
.behind h3 { scroll-margin-top: 1rem; }
.behind h3:focus { outline: none; }
.behind nav { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem; margin-top: .6rem; }
.cases nav button { width: auto; height: auto; padding: .35rem .9rem; }
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
        items.append(item(case.image_id, photographs, text))
    lesions = "lesion" if len(table) == 1 else "lesions"
    more = f", {len(items)} of them shown" if len(table) > len(items) else ""
    return (
        f'<div class="cases"><h3>{html.escape(title)}</h3><p>{len(table)} {lesions}{more}.</p>'
        f"<ul>{''.join(items)}</ul></div>"
    )


def item(image_id: str, photographs: HeldOutPhotographs, text: str) -> str:
    """A photograph of a list, which a click opens; its id where there is no small copy.

    Args:
        image_id: of a held-out image.
        photographs: their small copies.
        text: about it, HTML.
    """
    if image_id not in photographs:
        return f"<li><span>{html.escape(image_id)}<br>{text}</span></li>"
    source = data_uri(photographs.read(image_id), "jpeg")
    return (
        f'<li><button type="button" data-image="{image_id}" title="Open {image_id}">'
        f'<img src="{source}" alt="{image_id}"><span>{text}</span></button></li>'
    )


def behind_cell(table: pd.DataFrame, photographs: HeldOutPhotographs, cell: Cell, page: int) -> str:
    """The photographs that a cell of a confusion matrix counts, a page of them; CELL_SCRIPT opens one, or another page.

    Args:
        table: of `lesion.teaching.cases.behind`.
        photographs: where one is missing, its id stands for it.
        cell: that was asked for.
        page: from 1 to `pages(table)`.
    """
    first = (page - 1) * PAGE
    items = []
    for case in table.iloc[first : first + PAGE].itertuples():
        values = Metadata(case.age, case.sex, case.site).describe()
        text = f"{html.escape(values)}<br>{brief(cell.answer)}: {percent(case.probability)}"
        if cell.answer != cell.confirmed:
            text += f"<br>{brief(cell.confirmed)}: {percent(case.confirmed_probability)}"
        items.append(item(case.image_id, photographs, text))
    counts = photographs_of_lesions(len(table), table.lesion_id.nunique())
    title = f"{name_of(cell.confirmed)} called {name_of(cell.answer)}: {counts}"
    order = "The most probable answers come first. " if len(table) > 1 else ""
    about = html.escape(json.dumps(cell_as_data(cell)))
    last = pages(table)
    turns = "".join(
        f'<button type="button" data-page="{to}">{words}</button>'
        for words, to in (("Previous", page - 1), ("Next", page + 1))
        if 1 <= to <= last
    )
    where = "" if last == 1 else f"Page {page} of {last}, photographs {first + 1:,} to {first + len(items):,}."
    return (
        f'<div class="cases behind" data-cell="{about}"><h3 tabindex="-1">{title}</h3>'
        f"<p>{html.escape(cell_in_words(cell))} {order}Click a photograph to open it.</p><ul>{''.join(items)}</ul>"
        f'<nav aria-label="Photographs behind the cell"><span>{where}</span>{turns}'
        '<button type="button" data-back>Back to the matrix</button></nav></div>'
    )


def cell_as_data(cell: Cell) -> dict:
    """A cell as the page's scripts send it back."""
    return {
        "matrix": cell.matrix, "confirmed": cell.confirmed, "answer": cell.answer, "used": cell.inputs,
        "shuffled": cell.shuffled, "rule": cell.rule, **vars(cell.subgroup),
    }  # fmt: skip


def counted(cell: Cell) -> dict:
    """What a matrix says of itself to the page's scripts: a cell of it without the two diagnoses."""
    return {name: value for name, value in cell_as_data(cell).items() if name not in ("confirmed", "answer")}


def of_test_part(rule: str) -> dict:
    """As `counted`, for the full model on the test part under a decision rule."""
    return counted(Cell("full", *CODES[:2], subgroup=Subgroup(part="test"), rule=rule))


def photographs_of_lesions(images: int, lesions: int) -> str:
    """ "1 photograph of 1 lesion", "61 photographs of 48 lesions"."""
    return f"{images:,} photograph{'' if images == 1 else 's'} of {lesions:,} lesion{'' if lesions == 1 else 's'}"


def pages(table: pd.DataFrame) -> int:
    """How many pages the photographs of a cell take; an empty table takes one."""
    return max(1, math.ceil(len(table) / PAGE))


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
