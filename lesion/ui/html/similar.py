"""Confirmed cases that the model finds similar to a photograph."""

import html
from collections import Counter

import pandas as pd

from lesion.data.diagnoses import BY_CODE
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.teaching.similar import NOT_A_DOCTOR
from lesion.ui.html.cases import item, photographs_of_lesions
from lesion.ui.html.pieces import marked
from lesion.ui.html.wording import confirmation, name_of, number, percentage

STYLE = """
.similar ul { grid-template-columns: repeat(6, minmax(0, 1fr)); }
.similar button { flex-direction: column; gap: .35rem; }
.similar img { width: 100%; height: auto; }
.similar b { display: block; }
.similar .mark { display: table; margin: .1rem 0; }
.similar .colour { display: inline-block; width: .7em; height: .7em; border-radius: 2px; margin-right: .35em; }
@media (max-width: 1100px) {
  .similar ul { grid-template-columns: repeat(3, minmax(0, 1fr)); }
}
@media (max-width: 600px) {
  .similar ul { grid-template-columns: 1fr 1fr; }
}
"""


def similar_cases(table: pd.DataFrame, photographs: HeldOutPhotographs) -> str:
    """The cases side by side; a click on one triggers the component's click with its id (`cases.CASES_SCRIPT`).

    Args:
        table: of `SimilarCases.find`.
        photographs: where one is missing, its id stands for it.
    """
    items = []
    for case in table.itertuples():
        text = (
            f'<b><span class="colour" style="background:{BY_CODE[case.diagnosis].colour}" aria-hidden="true"></span>'
            f"{marked(case.diagnosis)}</b>{html.escape(Metadata(case.age, case.sex, case.site).describe())}<br>"
            f"{html.escape(confirmation(case.dx_type))}<br>similarity {number(case.similarity, 3)}"
        )
        items.append(item(case.image_id, photographs, text))
    counted = ", ".join(f"{count} × {name_of(code)}" for code, count in Counter(table.diagnosis).most_common())
    found = photographs_of_lesions(len(table), table.lesion_id.nunique())
    return f'<div class="cases similar"><p>{found}: {counted}. {NOT_A_DOCTOR}</p><ul>{"".join(items)}</ul></div>'


def measured(found: dict) -> str:
    """How often the nearest cases have the photograph's diagnosis.

    Args:
        found: the report's "similar cases".
    """
    share, chance, nearest = found["all"]["share"], found["all"]["by chance"], int(found["nearest"])
    low, high = share["interval"]
    return (
        f"<p><small>Measured on the test photographs: {percentage(share['value'])} of the nearest {nearest} cases have "
        f"the photograph’s diagnosis ({percentage(low)} to {percentage(high)}); by chance it would be "
        f"{percentage(chance['value'])}. Model report has each diagnosis.</small></p>"
    )
