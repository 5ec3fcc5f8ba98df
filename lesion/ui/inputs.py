"""The left column: photograph, age, sex, site and the diagnosis to explain, for the tabs that answer about them."""

import time
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import AGES, SEXES, SITES, UNKNOWN, Metadata
from lesion.errors import UserError, shown
from lesion.teaching.influence import value_in_words
from lesion.ui.api import as_given, uploaded_file
from lesion.ui.example_photographs import load_examples
from lesion.ui.html import examples

MOST_PROBABLE = "most probable"
NEEDS_IMAGE = "Give a photograph first: a JPEG or PNG file."
CHOICE = {
    "api_visibility": "private", "show_progress": "hidden", "trigger_mode": "multiple", "concurrency_id": "choice",
    "concurrency_limit": 1,
}  # fmt: skip
"""Options of what sets photograph, age, sex or site: a click counts also while the one before waits for the server,
and they are answered one after another, so that the last one's choice stays."""


@dataclass(frozen=True)
class Inputs:
    """The components, in the order in which every handler takes their values."""

    photo: gr.Image
    age: gr.Dropdown
    sex: gr.Dropdown
    site: gr.Dropdown
    target: gr.Dropdown

    @property
    def all(self) -> list[Component]:
        """The five of them."""
        return [self.photo, self.age, self.sex, self.site, self.target]

    @property
    def record(self) -> list[Component]:
        """Photograph, age, sex and site: what an example or a case sets."""
        return self.all[:4]


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


def build() -> tuple[Inputs, gr.HTML]:
    """Builds the column inside the current gr.Blocks.

    Returns:
        The components, and the strip of examples, whose click carries the index of an example.
    """
    photo = gr.Image(
        label="Photograph", sources=["upload", "clipboard", "webcam"], height=210, elem_id="photo", buttons=[],
        show_label=False, placeholder="Drop or choose a dermoscopic photograph",
    )  # fmt: skip
    strip = gr.HTML(examples.examples(load_examples()), js_on_load=examples.EXAMPLES_SCRIPT, elem_id="examples")
    with gr.Row():
        ages = [UNKNOWN, *map(str, AGES)]
        age = gr.Dropdown(ages, value=UNKNOWN, label="Age (years)", elem_id="age", min_width=100)
        sex = gr.Dropdown([UNKNOWN, *SEXES], value=UNKNOWN, label="Sex", elem_id="sex", min_width=100)
    with gr.Row():  # side by side on a phone, below each other where the column is narrower
        site = gr.Dropdown([UNKNOWN, *SITES], value=UNKNOWN, label="Body site", elem_id="site", min_width=145)
        choices = [(MOST_PROBABLE, MOST_PROBABLE), *((d.name, d.code) for d in DIAGNOSES)]
        target = gr.Dropdown(
            choices, value=MOST_PROBABLE, label="Diagnosis to explain", elem_id="target", min_width=145
        )
    photo.preprocess = uploaded_file
    for dropdown in (age, sex, site, target):
        dropdown.preprocess = as_given
    return Inputs(photo, age, sex, site, target), strip


def values_of(metadata: Metadata) -> tuple[str, str, str]:
    """A record as the three dropdowns show it."""
    return value_in_words(metadata.age), value_in_words(metadata.sex), value_in_words(metadata.site)


def now() -> int:
    """A value that the page has not had yet: a change of it asks for a new answer."""
    return time.monotonic_ns()
