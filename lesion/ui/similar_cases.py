"""Confirmed cases like the photograph, below the answer: what is shown, and the endpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.errors import UserError
from lesion.inference.photograph_store import Photograph, PhotographStore
from lesion.report.reading import belongs, read_report
from lesion.teaching.cohort import ANY
from lesion.teaching.recognition import Recognition
from lesion.teaching.similar import AMONG, ANOTHER, NOT_A_DOCTOR, SimilarCases, check_among
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import cases, pieces, similar
from lesion.ui.inputs import NEEDS_IMAGE, Inputs
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

AMONG_CHOICES = [
    ("any diagnosis", ANY),
    ("another diagnosis than the answer", ANOTHER),
    *((f"only {d.name}", d.code) for d in DIAGNOSES),
]


class SimilarControls(NamedTuple):
    """The diagnoses to look among, and the list of cases, whose clicks carry an image id."""

    among: gr.Dropdown
    shown: gr.HTML


@dataclass(frozen=True)
class Views:
    """What is shown, and what the endpoint answers. The parameters' names are those of the API.

    Attributes:
        store: photographs in use, and the predictor.
        similar: the held-out photographs.
        photographs: their small copies, as far as there are any.
        recognition: of the photographs that are held out.
    """

    store: PhotographStore
    similar: SimilarCases
    photographs: HeldOutPhotographs
    recognition: Recognition

    def show(self, photograph: Photograph, answered: str, among: str) -> str:
        """The cases like a photograph that the model answered with this diagnosis, a code."""
        try:
            found = self.similar.among(
                photograph.features.embedding, self.recognition.of(photograph).image_id, among, answered
            )
        except UserError as error:
            return pieces.problem(str(error))
        return similar.similar_cases(found, self.photographs)

    def numbers(self, image, age, sex, site, among) -> dict:
        check_among(among)
        if image is None:
            raise UserError(NEEDS_IMAGE)
        metadata = Metadata(age, sex, site)
        photograph = self.store.get(image)
        answered = self.store.predictor.predict(photograph.features, metadata).diagnosis
        image_id = self.recognition.of(photograph).image_id
        found = self.similar.among(photograph.features.embedding, image_id, among, answered)
        return {
            "held-out photograph": image_id,
            "answer": answered,
            "among": among,
            "cases": found.replace({np.nan: None}).to_dict("records"),
            "in words": NOT_A_DOCTOR,
        }


def measured(folder: Path) -> str:
    """How good the similar cases are, from the checkpoint's report; nothing where it does not say."""
    try:
        report = read_report(folder)
        return similar.measured(report["similar cases"]) if report and belongs(report, folder) else ""
    except (UserError, KeyError, TypeError, ValueError, AttributeError):  # the tab "Model report" says what is wrong
        return ""


def build(inputs: Inputs, choice: ModelChoice, views: PerModel[Views]) -> SimilarControls:
    """Builds the section inside the current gr.Tab.

    Args:
        inputs: the left column.
        choice: of the model.
        views: by model.
    """
    with gr.Column(elem_id="similar-section"):
        gr.HTML(
            pieces.section(
                "Similar confirmed cases",
                "The held-out photographs nearest to this one in the network's embedding, by cosine similarity, never "
                "of the same lesion. Age, sex and site play no part. Click a case to open it.",
            )
        )
        among = gr.Dropdown(AMONG_CHOICES, value=ANY, label="Look among cases with", elem_id="among", min_width=220)
        shown = gr.HTML(js_on_load=cases.CASES_SCRIPT, elem_id="similar")
        choice.text(lambda m: measured(m.folder), elem_id="similar-quality")
    among.preprocess = as_given
    endpoint(
        "similar_cases", views.asked(Views.numbers), [*inputs.record, among, choice.control],
        gr.JSON(label="Answer", visible=False),
        "Give image, age, sex and body site as for /predict, and the diagnoses to look among: one of "
        f"{', '.join(AMONG)}, where '{ANOTHER}' leaves the model's answer out. Returns the held-out photographs "
        "nearest to the photograph by cosine similarity of the embeddings, at most six, the nearest first, with their "
        "confirmed diagnoses and records. Where the photograph is itself a held-out one, its id is returned and no "
        "photograph of its lesion.",
    )  # fmt: skip
    return SimilarControls(among, shown)
