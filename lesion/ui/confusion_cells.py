"""The photographs behind a cell of a confusion matrix: what is shown, how the page is wired, and the endpoint."""

from dataclasses import dataclass
from functools import cached_property

import gradio as gr
import numpy as np
from gradio.components import Component
from sklearn.metrics import confusion_matrix

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS
from lesion.errors import UserError, parse_whole
from lesion.metrics.metrics import CLASSES, RULES
from lesion.teaching.cases import MATRICES, Cell, behind
from lesion.teaching.cohort import Cohort, Subgroup
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import cases, pieces
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

SHOW_LIST = """
() => {
  const heading = document.querySelector('#%s h3, #%s [role=alert]');
  heading?.scrollIntoView({ block: 'start', behavior: 'smooth' });
  heading?.focus({ preventScroll: true });
}
"""


@dataclass(frozen=True)
class Cells:
    """What is shown behind a cell, and what the endpoint answers. The parameters' names are those of the API.

    Attributes:
        cohort: the held-out images.
        photographs: their small copies, as far as there are any.
    """

    cohort: Cohort
    photographs: HeldOutPhotographs

    @cached_property
    def of_test_part(self) -> dict[str, list]:
        """The confusion matrix of the full model on the test part, by decision rule, as the report writes it."""
        found = {rule: self.cohort.decided(INPUTS, (), Subgroup(part="test"), rule) for rule in RULES}
        return {
            rule: confusion_matrix(self.cohort.labels[d.rows], d.decisions["full"], labels=CLASSES).tolist()
            for rule, d in found.items()
        }

    def show(self, cell: Cell, page: object) -> str:
        """A page of the photographs that a cell counts."""
        table = behind(self.cohort, cell)
        page = parse_whole("Page", page, 1, cases.pages(table))
        return cases.behind_cell(table, self.photographs, cell, page)

    def open(self, event: gr.EventData) -> str:
        """As `show`, for a click on a cell or on a page of its list."""
        try:
            subgroup = Subgroup(event.sex, event.age_band, event.site, event.diagnosis, event.part)
            about = (event.matrix, event.confirmed, event.answer, event.used, event.shuffled, subgroup, event.rule)
            return self.show(Cell(*about), event.page)
        except UserError as error:
            return pieces.problem(str(error))

    def numbers(self, used, shuffled, sex, age_band, site, diagnosis, part, rule, matrix, confirmed, answer) -> dict:
        subgroup = Subgroup(sex, age_band, site, diagnosis, part)
        table = behind(self.cohort, Cell(matrix, confirmed, answer, used, shuffled, subgroup, rule))
        return {
            "photographs": len(table),
            "lesions": int(table.lesion_id.nunique()),
            "cases": table.replace({np.nan: None}).to_dict("records"),
        }


def build(choice: ModelChoice, cells: PerModel[Cells], matrices: gr.HTML, elem_id: str) -> gr.HTML:
    """Builds the list of the photographs behind a cell where it is to be shown.

    Args:
        choice: of the model.
        cells: of each model.
        matrices: whose cells open the list (`comparison.CELLS_SCRIPT`).
        elem_id: of the list.

    Returns:
        The list, whose clicks carry an image id.
    """
    shown = gr.HTML(js_on_load=cases.CELL_SCRIPT, elem_id=elem_id)
    gr.on(
        [matrices.click, shown.select], cells.asked(Cells.open), choice.control, shown, api_visibility="private",
        show_progress="minimal", trigger_mode="always_last",
    ).then(None, None, None, js=SHOW_LIST % (elem_id, elem_id), api_visibility="private")  # fmt: skip
    return shown


def add_endpoint(choice: ModelChoice, cells: PerModel[Cells], controls: list[Component]) -> None:
    """The endpoint.

    Args:
        choice: of the model.
        cells: of each model.
        controls: of the tab "Cohort".
    """
    matrix = gr.Radio(list(MATRICES), value="full", label="Matrix", visible=False)
    codes = [(d.name, d.code) for d in DIAGNOSES]
    confirmed = gr.Dropdown(codes, value="mel", label="Confirmed diagnosis", visible=False)
    answer = gr.Dropdown(codes, value="nv", label="The model's answer", visible=False)
    for control in (matrix, confirmed, answer):
        control.preprocess = as_given
    endpoint(
        "confusion_cell", cells.asked(Cells.numbers), [*controls, matrix, confirmed, answer, choice.control],
        gr.JSON(label="Answer", visible=False),
        "Give what /cohort takes, the matrix ('full' or 'chosen'), a confirmed diagnosis and an answer of the model "
        "(codes). Returns the photographs that this cell of the model's confusion matrix counts, as many as it says, "
        "with their records and the probabilities of the two diagnoses; the most probable answers come first.",
    )  # fmt: skip
