"""The tab "Answer": seven probabilities and a heat map."""

from collections.abc import Callable

import gradio as gr
from PIL import Image

from lesion.diagnoses import BY_CODE, CODES
from lesion.errors import UserError
from lesion.explain import change_in_words, enlarge, heat_layer, overlay
from lesion.images import read_image
from lesion.metadata import Metadata
from lesion.predictor import Photograph, PhotographStore
from lesion.ui import views
from lesion.ui.api import endpoint
from lesion.ui.inputs import MOST_PROBABLE, Inputs, explained

HEAT_SIZE = 300
"""Longer side of the heat layer, pixels; the browser enlarges it."""
NEEDS_IMAGE = "Give a photograph first: a JPEG or PNG file."


def build(inputs: Inputs, store: PhotographStore, truth_of: Callable[[bytes], str | None]) -> tuple[list, Callable]:
    """Builds the tab inside the current gr.Tab.

    Args:
        inputs: the left column.
        store: photographs and the predictor.
        truth_of: key of a photograph to its confirmed diagnosis, a code, where it is one of the held-out images.

    Returns:
        The components to fill, and what fills them: (photograph, record, diagnosis to explain) to their values.
    """
    predictor = store.predictor

    def answer(photograph: Photograph, metadata: Metadata) -> tuple[dict, dict]:
        """Probabilities from everything and from the image alone."""
        together = predictor.predict(photograph.features, metadata).probabilities
        return together, predictor.predict(photograph.features).probabilities

    def show(photograph: Photograph, metadata: Metadata, target: str) -> tuple[str, str, str]:
        together, alone = answer(photograph, metadata)
        code = explained(target, together)
        activation = predictor.activation_maps(photograph.features, metadata)[CODES.index(code)]
        width, height = photograph.features.size
        scale = HEAT_SIZE / max(width, height)
        layer = heat_layer(enlarge(activation, (max(1, round(width * scale)), max(1, round(height * scale)))))
        return (
            views.answer(together, truth_of(photograph.key)),
            views.change(change_in_words(alone, together, metadata)),
            views.heat(photograph.jpeg, layer, code, float(activation.max())),
        )

    def predict(
        image: str | None, age: str, sex: str, site: str, diagnosis: str
    ) -> tuple[dict[str, float], Image.Image, str]:
        if image is None:
            raise UserError(NEEDS_IMAGE)
        metadata = Metadata(age, sex, site)
        photograph = store.get(image)
        together, alone = answer(photograph, metadata)
        heat = predictor.grad_cam(photograph.features, metadata, explained(diagnosis, together))
        top = max(together, key=together.get)
        summary = f"{BY_CODE[top].name}. {change_in_words(alone, together, metadata)}"
        return together, overlay(read_image(image), heat), summary

    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=300):
            bars = gr.HTML(views.placeholder(views.WELCOME), elem_id="answer")
            change = gr.HTML(elem_id="change")
        with gr.Column(scale=1, min_width=300):
            heat = gr.HTML(views.placeholder("The heat map appears here."), elem_id="heat")
            opacity = gr.Slider(0, 100, 60, step=5, label="Heat opacity (%)", elem_id="opacity")
    opacity.input(
        None, opacity, None, js="v => document.documentElement.style.setProperty('--heat-opacity', v / 100)",
        api_visibility="private",
    )  # fmt: skip
    endpoint(
        "predict",
        predict,
        inputs.all,
        [
            gr.JSON(label="Probabilities by diagnosis code", visible=False),
            gr.Image(label="Overlay", format="jpeg", visible=False),
            gr.Textbox(label="Summary", visible=False),
        ],
        "The answer for one photograph. Give an image file, the age in years as a string of the list ('55'), the sex "
        "and the body site ('unknown' where not known), and the code of the diagnosis to explain, or "
        f"'{MOST_PROBABLE}'. Gives the seven probabilities by diagnosis code (at the data set's prevalence, summing to "
        "1), the Grad-CAM overlay at the photograph's own size, and a sentence on what the metadata changed.",
    )
    return [bars, change, heat], show
