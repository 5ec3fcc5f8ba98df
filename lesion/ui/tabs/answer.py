"""The tab "Answer": seven probabilities and a heat map."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from gradio.components import Component
from PIL import Image

from lesion.data.diagnoses import BY_CODE
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.activation_maps import heat_layer, overlay
from lesion.inference.photograph_store import Photograph, PhotographStore
from lesion.inference.predictor import Prediction
from lesion.model.conformal import promise_in_words, set_in_words
from lesion.report.reading import belongs, read_report
from lesion.teaching.influence import change_in_words
from lesion.teaching.recognition import Recognition
from lesion.ui import similar_cases
from lesion.ui.api import endpoint
from lesion.ui.html import answers, heat_map, pieces
from lesion.ui.inputs import MOST_PROBABLE, NEEDS_IMAGE, Inputs, explained
from lesion.ui.material import Material
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

HEAT_SIZE = 300
"""Longer side of the heat layer, pixels; the browser enlarges it."""


class AnswerTab(NamedTuple):
    """What the page wires together.

    Attributes:
        views: by model; their `show` gives the values of `outputs`.
        outputs: the components to fill: the answer, what the metadata changed, similar cases, the heat map.
        controls: the heat map's method, and the diagnoses to look for similar cases among.
        similar: one of the outputs, whose clicks carry an image id.
    """

    views: "PerModel[Answers]"
    outputs: list[gr.HTML]
    controls: list[Component]
    similar: gr.HTML


def measured_maps(folder: Path) -> str:
    """How good the heat maps are, from the checkpoint's report; nothing where it does not say."""
    try:
        report = read_report(folder)
        return heat_map.map_quality(report["explanations"]) if report and belongs(report, folder) else ""
    except (UserError, KeyError, TypeError, ValueError, AttributeError):  # the tab "Model report" says what is wrong
        return ""


@dataclass(frozen=True)
class Answers:
    """What the tab shows, and what its endpoint answers.

    Attributes:
        store: photographs and the predictor.
        recognition: of the photographs that the model was trained on or that are held out.
        similar: similar cases.
    """

    store: PhotographStore
    recognition: Recognition
    similar: similar_cases.Views

    def changed(self, photograph: Photograph, prediction: Prediction) -> str:
        """What the metadata changed, in words."""
        alone = self.store.predictor.predict(photograph.features).probabilities
        return change_in_words(alone, prediction.probabilities, prediction.metadata)

    def show(self, photograph: Photograph, metadata: Metadata, target: str, method: str, among: str) -> tuple[str, ...]:
        """The views about one photograph."""
        predictor = self.store.predictor
        prediction = predictor.predict(photograph.features, metadata)
        code = explained(target, prediction.probabilities)
        width, height = photograph.features.size
        scale = HEAT_SIZE / max(width, height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        heat = predictor.heat_map(photograph.features, prediction, code, size, method)
        return (
            answers.answer(
                prediction.probabilities,
                predictor.prediction_set(prediction),
                predictor.set_promises(metadata),
                predictor.is_out_of_distribution(photograph.features),
                self.recognition.of(photograph),
            ),
            pieces.change(self.changed(photograph, prediction)),
            self.similar.show(photograph, prediction.diagnosis, among),
            heat_map.heat(
                photograph.jpeg,
                heat_layer(heat),
                code,
                float(heat.max()),
                method,
                photograph.features.size,
                predictor.config.transform.box(photograph.features.size),
            ),
        )

    def predict(
        self, image: str | None, age: str, sex: str, site: str, diagnosis: str
    ) -> tuple[dict[str, float], Image.Image, str]:
        """Answers the endpoint /predict; the parameters' names are those of the API."""
        if image is None:
            raise UserError(NEEDS_IMAGE)
        predictor, metadata = self.store.predictor, Metadata(age, sex, site)
        photograph = self.store.get(image, metadata)
        prediction = predictor.predict(photograph.features, metadata)
        code = explained(diagnosis, prediction.probabilities)
        heat = predictor.heat_map(photograph.features, prediction, code)
        name, what_changed = BY_CODE[prediction.diagnosis].name, self.changed(photograph, prediction)
        if predictor.is_out_of_distribution(photograph.features):
            summary = f"{answers.NOT_DERMOSCOPIC} {name}. {what_changed}"
        else:
            members = set_in_words(predictor.prediction_set(prediction))
            promise = promise_in_words(predictor.set_promises(metadata))
            summary = f"{name}. {members}? {promise} {what_changed}"
        if self.recognition.of(photograph).trained_on:
            summary = f"{summary} {answers.TRAINED_ON}"
        return prediction.probabilities, overlay(read_image(image), heat), summary


def methods_of(material: Material) -> gr.Dropdown:
    """The heat maps that a model offers, the best one chosen."""
    methods = list(material.predictor.map_methods)
    return gr.Dropdown(methods, value=methods[0])


def build(inputs: Inputs, choice: ModelChoice) -> AnswerTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        inputs: the left column.
        choice: of the model.
    """
    similar = choice.models.each(lambda m: similar_cases.Views(m.store, m.similar, m.photographs, m.recognition))
    views = choice.models.each(lambda m: Answers(m.store, m.recognition, similar.of(m.name)))
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            bars = gr.HTML(pieces.placeholder(pieces.WELCOME), elem_id="answer")
            change = gr.HTML(elem_id="change")
        with gr.Column(scale=1, min_width=300):
            heat = gr.HTML(pieces.placeholder(heat_map.NO_HEAT), elem_id="heat")
            with gr.Row():
                opacity = gr.Slider(
                    0, 100, 60, step=5, label="Opacity (%)", elem_id="opacity", scale=2, min_width=130, buttons=[]
                )
                method = gr.Dropdown(
                    list(choice.models.first.predictor.map_methods), label="Heat map method", elem_id="method", scale=3,
                    min_width=190,
                )  # fmt: skip
            choice.text(lambda m: measured_maps(m.folder), elem_id="map-quality")
    choice.follow(method, methods_of)
    among, cases = similar_cases.build(inputs, choice, similar)
    opacity.input(
        None, opacity, None, js="v => document.documentElement.style.setProperty('--heat-opacity', v / 100)",
        api_visibility="private",
    )  # fmt: skip
    endpoint(
        "predict",
        views.asked(Answers.predict),
        [*inputs.all, choice.control],
        [
            gr.JSON(label="Probabilities by diagnosis code", visible=False),
            gr.Image(label="Overlay", format="jpeg", visible=False),
            gr.Textbox(label="Summary", visible=False),
        ],
        "The answer for one photograph. Give an image file, the age in years as a string of the list ('55'), the sex "
        "and the body site ('unknown' where not known), and the code of the diagnosis to explain, or "
        f"'{MOST_PROBABLE}'. Returns the seven probabilities by diagnosis code (at the data set's prevalence, summing "
        "to 1), the heat map laid over the photograph at its own size, and a summary: the most probable diagnosis, the "
        "prediction set with its promise of how often it contains the true diagnosis, and what the metadata changed; a "
        "warning in place of the set where the picture is unlike a dermoscopic photograph, and a notice where the "
        "model was trained on the photograph.",
    )
    return AnswerTab(views, [bars, change, cases, heat], [method, among], cases)
