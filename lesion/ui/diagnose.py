"""The first tab: a photograph and three dropdowns in, seven probabilities and a heat map out."""

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from lesion.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.errors import UserError, shown
from lesion.explain import change_in_words, enlarge, heat_layer, overlay
from lesion.images import read_image
from lesion.metadata import AGES, SEXES, SITES, UNKNOWN, Metadata
from lesion.predictor import Photograph, PhotographStore
from lesion.ui import views
from lesion.ui.example_photographs import load_examples

MOST_PROBABLE = "most probable"
HEAT_SIZE = 300
"""Longer side of the heat layer, pixels; the browser enlarges it."""
NEEDS_IMAGE = "Give a photograph first: a JPEG or PNG file."


def uploaded_file(payload: ImageData | None) -> str | None:
    """The uploaded file as it is.

    It stands in for gr.Image's own preprocessing, which fails on a bad file with a generic error and clips 16-bit
    images; we decode the file ourselves, with better words.
    """
    return None if payload is None else payload.path


def as_given(value: object) -> object:
    """Stands in for a dropdown's own preprocessing: what an API client gives is checked by us, with better words."""
    return value


def explained(target: str | None, probabilities: dict[str, float]) -> str:
    """The code of the diagnosis to explain, from the dropdown's value.

    Raises:
        UserError: no such diagnosis.
    """
    if target in (None, "", MOST_PROBABLE):
        return max(probabilities, key=probabilities.get)
    if target not in CODES:
        raise UserError(f"Diagnosis {shown(target)} is not known; choose {MOST_PROBABLE}, {', '.join(CODES)}.")
    return target


def build(store: PhotographStore) -> None:
    """Builds the tab inside the current gr.Blocks.

    Args:
        store: photographs and the predictor.
    """
    predictor, examples = store.predictor, load_examples()
    truths = {example.key: example.diagnosis for example in examples}

    def answer(photograph: Photograph, metadata: Metadata) -> tuple[dict, dict]:
        """Probabilities from everything and from the image alone."""
        together = predictor.predict(photograph.features, metadata).probabilities
        return together, predictor.predict(photograph.features).probabilities

    def show(path: str | None, age: str, sex: str, site: str, target: str) -> tuple[str, str, str]:
        if path is None:
            return views.placeholder(views.WELCOME), "", views.placeholder("The heat map appears here.")
        try:
            metadata = Metadata(age, sex, site)
            photograph = store.get(path)
            together, alone = answer(photograph, metadata)
            code = explained(target, together)
        except UserError as error:
            return views.problem(str(error)), "", views.placeholder("No heat map without a photograph.")
        activation = predictor.activation_maps(photograph.features, metadata)[CODES.index(code)]
        width, height = photograph.features.size
        scale = HEAT_SIZE / max(width, height)
        layer = heat_layer(enlarge(activation, (max(1, round(width * scale)), max(1, round(height * scale)))))
        return (
            views.answer(together, truths.get(photograph.key)),
            views.change(change_in_words(alone, together, metadata)),
            views.heat(photograph.jpeg, layer, code, float(activation.max())),
        )

    def predict(
        image: str | None, age: str, sex: str, site: str, diagnosis: str
    ) -> tuple[dict[str, float], Image.Image, str]:
        try:
            if image is None:
                raise UserError(NEEDS_IMAGE)
            metadata = Metadata(age, sex, site)
            photograph = store.get(image)
            together, alone = answer(photograph, metadata)
            heat = predictor.grad_cam(photograph.features, metadata, explained(diagnosis, together))
            picture = overlay(read_image(image), heat)
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from None
        top = max(together, key=together.get)
        summary = f"{BY_CODE[top].name}. {change_in_words(alone, together, metadata)}"
        return together, picture, summary

    def choose(event: gr.EventData) -> tuple[str, str, str, str]:
        example = examples[event.index]
        known = example.metadata
        age = UNKNOWN if known.age is None else f"{known.age:g}"
        return str(example.path), age, known.sex or UNKNOWN, known.site or UNKNOWN

    with gr.Row(equal_height=False):
        with gr.Column(scale=4, min_width=300):
            photo = gr.Image(
                label="Photograph", sources=["upload", "clipboard", "webcam"], height=250, elem_id="photo", buttons=[],
                placeholder="Drop a dermoscopic photograph here, or click to choose a file",
            )  # fmt: skip
            photo.preprocess = uploaded_file
            with gr.Row():
                ages = [UNKNOWN, *map(str, AGES)]
                age = gr.Dropdown(ages, value=UNKNOWN, label="Age (years)", elem_id="age", min_width=100)
                sex = gr.Dropdown([UNKNOWN, *SEXES], value=UNKNOWN, label="Sex", elem_id="sex", min_width=100)
            site = gr.Dropdown([UNKNOWN, *SITES], value=UNKNOWN, label="Body site", elem_id="site")
        with gr.Column(scale=4, min_width=300):
            bars = gr.HTML(views.placeholder(views.WELCOME), elem_id="answer")
            change = gr.HTML(elem_id="change")
        with gr.Column(scale=4, min_width=300):
            heat = gr.HTML(views.placeholder("The heat map appears here."), elem_id="heat")
            with gr.Row():
                choices = [(MOST_PROBABLE, MOST_PROBABLE), *((d.name, d.code) for d in DIAGNOSES)]
                target = gr.Dropdown(choices, value=MOST_PROBABLE, label="Explain", elem_id="target", min_width=150)
                opacity = gr.Slider(0, 100, 60, step=5, label="Heat opacity (%)", elem_id="opacity", min_width=120)
    strip = gr.HTML(views.examples(examples), js_on_load=views.EXAMPLES_SCRIPT, elem_id="examples")

    for dropdown in (age, sex, site, target):
        dropdown.preprocess = as_given
    inputs, outputs = [photo, age, sex, site, target], [bars, change, heat]
    gr.on(
        [photo.upload, photo.clear, photo.input, age.input, sex.input, site.input, target.input],
        show, inputs, outputs, api_visibility="private", show_progress="minimal", trigger_mode="always_last",
    )  # fmt: skip
    strip.click(choose, None, [photo, age, sex, site], api_visibility="private", show_progress="hidden").then(
        show, inputs, outputs, api_visibility="private", show_progress="minimal"
    )
    opacity.input(
        None, opacity, None, js="v => document.documentElement.style.setProperty('--heat-opacity', v / 100)",
        api_visibility="private",
    )  # fmt: skip

    probabilities = gr.JSON(label="Probabilities by diagnosis code", visible=False)
    picture = gr.Image(label="Overlay", format="jpeg", visible=False)
    summary = gr.Textbox(label="Summary", visible=False)
    gr.Button(visible=False).click(
        predict, inputs, [probabilities, picture, summary], api_name="predict",
        api_description=(
            "The answer for one photograph. Give an image file, the age in years as a string of the list ('55'), the "
            "sex and the body site ('unknown' where not known), and the code of the diagnosis to explain, or "
            f"'{MOST_PROBABLE}'. Gives the seven probabilities by diagnosis code (at the data set's prevalence, "
            "summing to 1), the Grad-CAM overlay at the photograph's own size, and a sentence on what the metadata "
            "changed."
        ),
    )  # fmt: skip
