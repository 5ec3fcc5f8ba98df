"""A held-out photograph by what it is, in the left column: how many fit, and one of them at random."""

from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.components import Component

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import SEXES, SITES, UNKNOWN
from lesion.errors import UserError
from lesion.teaching.cases import CERTAINTIES, OUTCOMES, Choice, fitting
from lesion.teaching.cohort import AGE_BANDS, ANY, Cohort, Subgroup
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import cases, pieces
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

NONE_FITS = "No held-out photograph fits. Set one of the choices to any."


class Chooser(NamedTuple):
    """What the page wires together.

    Attributes:
        views: by model; their `pick` takes the values of the controls.
        controls: what the photograph is to be.
        button: opens one.
    """

    views: "PerModel[Views]"
    controls: list[Component]
    button: gr.Button


@dataclass(frozen=True)
class Views:
    """What the chooser says, and what its endpoint answers. The parameters' names are those of the API.

    Attributes:
        cohort: the held-out images.
        photographs: their small copies; a photograph without one is not offered.
    """

    cohort: Cohort
    photographs: HeldOutPhotographs

    def rows(self, diagnosis, age_band, sex, site, outcome, certainty) -> np.ndarray:
        """Those that fit, int (n,)."""
        choice = Choice(Subgroup(sex, age_band, site, diagnosis), outcome, certainty)
        return fitting(self.cohort, self.photographs, choice)

    def show(self, *choices: str) -> str:
        """How many fit."""
        try:
            rows = self.rows(*choices)
        except UserError as error:
            return pieces.problem(str(error))
        if len(rows) == 0:
            return pieces.change(NONE_FITS)
        counts = cases.photographs_of_lesions(len(rows), len(np.unique(self.cohort.lesions[rows])))
        return pieces.change(f"{counts} fit{'s' if len(rows) == 1 else ''}.")

    def pick(self, *choices: str) -> int:
        """One that fits, by chance: its row.

        Raises:
            UserError: none fits.
        """
        rows = self.rows(*choices)
        if len(rows) == 0:
            raise UserError(NONE_FITS)
        return int(np.random.default_rng().choice(rows))

    def numbers(self, diagnosis, age_band, sex, site, outcome, certainty) -> dict:
        choices = (diagnosis, age_band, sex, site, outcome, certainty)
        rows, cohort = self.rows(*choices), self.cohort
        chosen = None
        if len(rows):
            row = self.pick(*choices)
            chosen = {
                "image_id": cohort.table.image_id.iloc[row], **vars(cohort.records[row]),
                "diagnosis": CODES[cohort.labels[row]], "answer": CODES[cohort.full[row].argmax()],
                "probability": float(cohort.full[row].max()),
            }  # fmt: skip
        return {
            "photographs": len(rows),
            "lesions": len(np.unique(cohort.lesions[rows])),
            "image ids": list(cohort.table.image_id.iloc[rows]),
            "one of them": chosen,
        }


def build(choice: ModelChoice) -> Chooser:
    """Builds the chooser inside the current gr.Column, folded up.

    Args:
        choice: of the model.
    """
    views = choice.models.each(lambda m: Views(m.cohort, m.photographs))
    bands, sites = [ANY, *AGE_BANDS, UNKNOWN], [ANY, *SITES, UNKNOWN]
    diagnoses = [(ANY, ANY), *((d.name, d.code) for d in DIAGNOSES)]
    start = {"value": ANY, "min_width": 90}
    with gr.Accordion("Choose a held-out photograph", open=False, elem_id="chooser"):
        diagnosis = gr.Dropdown(diagnoses, label="Confirmed diagnosis", elem_id="choose-diagnosis", **start)
        with gr.Row():
            outcome = gr.Dropdown([ANY, *OUTCOMES], label="The model is", elem_id="choose-outcome", scale=2, **start)
            certainties = [ANY, *CERTAINTIES]
            certainty = gr.Dropdown(certainties, label="Its answer has", elem_id="choose-certainty", scale=3, **start)
        with gr.Row():
            age_band = gr.Dropdown(bands, label="Age (years)", elem_id="choose-age", **start)
            sex = gr.Dropdown([ANY, *SEXES, UNKNOWN], label="Sex", elem_id="choose-sex", **start)
        site = gr.Dropdown(sites, label="Body site", elem_id="choose-site", **start)
        controls = [diagnosis, age_band, sex, site, outcome, certainty]
        count = gr.HTML(views.of().show(*[ANY] * len(controls)), elem_id="fitting")
        button = gr.Button("Open one at random", size="sm", elem_id="open-random")
    for control in controls:
        control.preprocess = as_given
    gr.on(
        [control.change for control in (*controls, choice.control)], views.asked(Views.show),
        [*controls, choice.control], count, api_visibility="private", show_progress="hidden",
        trigger_mode="always_last",
    )  # fmt: skip
    endpoint(
        "choose_case", views.asked(Views.numbers), [*controls, choice.control], gr.JSON(label="Answer", visible=False),
        f"Give what a held-out photograph is to be: confirmed diagnosis (a code), age band ({', '.join(AGE_BANDS)}), "
        f"sex, body site, whether the model is right ({' or '.join(OUTCOMES)}; with age, sex and site, at the data "
        f"set's prevalence), and the probability of its answer ({', '.join(CERTAINTIES)}); each '{ANY}' to leave it "
        "open. Returns how many photographs, of how many lesions, fit; their ids; and one of them at random with its "
        "record, its confirmed diagnosis and the model's answer.",
    )  # fmt: skip
    return Chooser(views, controls, button)
