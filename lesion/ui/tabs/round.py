"""The tab "Reader round": the class decides first, then sees what metadata and machine did to its judgement."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.teaching.round_result import CONFIDENCES
from lesion.teaching.rounds import (
    BALANCED,
    COUNTS,
    LARGEST_SEED,
    MELANOMA_OR_NEVUS,
    MISLEADING_SHARES,
    NATURAL,
    STAGES,
    RoundSettings,
)
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.html import pieces, round_script
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel
from lesion.ui.round_views import KINDS, Answers, Views, settings_from, what_browser_says
from lesion.ui.server.gradio_private import served_file
from lesion.words import percent

FIRST = RoundSettings(seed=1)
"""The round that the page starts with."""
MIX_CHOICES = [
    ("all seven, equally common", BALANCED),
    ("as common as in the collection", NATURAL),
    ("melanoma or nevus", MELANOMA_OR_NEVUS),
]
STAGE_CHOICES = [("age, sex and site", "metadata"), ("the model's answer and heat map", "model")]
AT_ONCE = 8
"""Views that are made at once; each takes milliseconds, but for a heat map that is not there yet."""
SAYS = "() => [window.readerRound()]"
"""What the browser keeps of the round; see `lesion.ui.round_views.what_browser_says`."""
OPEN = """
text => {
  if (text && window.openRound) window.openRound(text);
  else if (text) window.wantedRound = text;
  return '';
}
"""
"""Opens a round by its text, now or as soon as the tab is there."""
COPY_LINK = """
async () => {
  const link = new URL(location.pathname, location.href);
  link.searchParams.set('tab', 'round');
  link.searchParams.set('round', document.querySelector('#round [data-round]')?.dataset.round ?? '');
  const copied = await navigator.clipboard?.writeText(link.href).then(() => true, () => false);
  const label = copied ? 'Link to this round (copied)' : 'Link to this round (to copy)';
  return { __type__: 'update', value: link.href, visible: true, label };
}
"""


class RoundTab(NamedTuple):
    """The tab's parts that the page connects.

    Attributes:
        view: its event `select` carries the id of a held-out image.
        wanted: the text of a round that is to be opened by OPEN.
    """

    view: gr.HTML
    wanted: gr.Textbox


def build(choice: ModelChoice) -> RoundTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        choice: of the model. A round that has begun stays with the model whose checkpoint its text names.
    """
    models = choice.models
    views = models.each(lambda m: Views(m.rounds))
    with gr.Row(equal_height=False, elem_id="round-room"):
        controls = build_settings()
        with gr.Column(scale=3, min_width=320):
            view = gr.HTML(in_place(views.of().intro, FIRST), js_on_load=round_script.SCRIPT, elem_id="round")
    answers = models.each(lambda m: Answers(m.rounds, partial(served_file, view)))
    says = gr.Textbox(visible=False)

    def model_of(said: str) -> str | None:
        text = str(what_browser_says(said).get("round"))
        return models.named_by(text.rpartition("_")[2])

    def choose(*values: object) -> str:
        *settings, model = values
        return in_place(lambda: views.of(model).intro(settings_from(*settings)))

    def go_on(said: str) -> str:
        return in_place(lambda: views.of(model_of(said)).opened(said)[1])

    def arrive(said: str) -> tuple:
        try:
            model = model_of(said)
            settings, seen = views.of(model).opened(said)
        except UserError as error:
            model, settings, seen = None, FIRST, pieces.problem(str(error)) + in_place(views.of().intro, FIRST)
        return seen, *values_of(settings), model or models.names[0]

    def file_of(said: str, kind: str) -> str:
        return answers.of(model_of(said)).file_of_browser(said, kind)

    build_files(file_of, says)

    quiet = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": AT_ONCE}
    given = [*controls, choice.control]
    gr.on([control.input for control in given], choose, given, view, trigger_mode="always_last", **quiet)
    # The browser waits for an answer before it asks for the next one, or asks for the same again.
    asked = {"js": SAYS, "trigger_mode": "multiple", **quiet}
    shown = view.click(go_on, says, view, **asked)
    restored = view.submit(arrive, says, [view, *given], **asked)
    for answered in (shown, restored):
        answered.success(None, None, None, js="() => window.roundSettled()", api_visibility="private")
        answered.failure(None, None, None, js="() => window.roundFailed()", api_visibility="private")
    add_endpoints(choice, answers, controls)
    return RoundTab(view, gr.Textbox(visible=False))


def in_place(make: Callable[..., str], *values: object) -> str:
    """A view, or in its place the sentence that says why there is none."""
    try:
        return make(*values)
    except UserError as error:
        return pieces.problem(str(error))


def values_of(settings: RoundSettings) -> tuple:
    """Settings as the controls show them."""
    beside = [stage for stage in settings.stages if stage != "photograph"]
    return settings.seed, settings.count, settings.mix, settings.confirmed_only, beside, settings.misleading_share


def build_settings() -> list[Component]:
    """The controls, in the order of `settings_from`, and the button that copies a link."""
    with gr.Column(scale=2, min_width=320, elem_id="round-settings"):
        gr.HTML(
            pieces.section(
                "Reader round",
                "You decide first. Then the page shows what age, sex and site, and the model, did to your judgement.",
            )
        )
        choices = build_choices("round")
        number = gr.Number(
            FIRST.seed, label="Number of the round", info="The same number and settings give the same cases.",
            precision=0, minimum=0, maximum=LARGEST_SEED, elem_id="round-seed",
        )  # fmt: skip
        copy = gr.Button("Copy link to this round", size="sm", elem_id="round-copy")
        link = gr.Textbox(label="Link to this round", visible=False, interactive=False, elem_id="round-link")
    copy.click(None, None, link, js=COPY_LINK, api_visibility="private")
    controls = [number, *choices]
    for control in controls:
        control.preprocess = as_given
    return controls


def build_choices(name: str) -> list[Component]:
    """The settings of a round but for its number, in the order of `settings_from`.

    Args:
        name: of the tab, with which the elements' ids begin.
    """
    _, count, mix, confirmed_only, beside, share = values_of(FIRST)
    counts = gr.Radio(list(COUNTS), value=count, label="Cases", elem_id=f"{name}-count")
    mixes = gr.Radio(MIX_CHOICES, value=mix, label="Diagnoses", elem_id=f"{name}-mix")
    stages = gr.CheckboxGroup(STAGE_CHOICES, value=beside, label="Shown after the photograph", elem_id=f"{name}-stages")
    shares = gr.Radio(
        [(percent(x) if x else "none", x) for x in MISLEADING_SHARES], value=share, elem_id=f"{name}-share",
        label="Answers of the model made wrong on purpose",
    )  # fmt: skip
    confirmed = gr.Checkbox(
        confirmed_only, label="Only diagnoses confirmed under the microscope", elem_id=f"{name}-confirmed"
    )
    return [counts, mixes, confirmed, stages, shares]


def build_files(file_of: Callable[[str, str], str], says: gr.Textbox) -> None:
    """Buttons that make a file of a finished round, which `says` takes in, and let the browser download it."""
    with gr.Row(elem_id="round-files"):
        buttons = {
            "csv": gr.Button("The cases and your guesses (CSV)", elem_id="round-csv"),
            "pdf": gr.Button("The result to print (PDF)", elem_id="round-pdf"),
        }
    download = gr.DownloadButton(visible="hidden", elem_id="round-download")
    for kind, button in buttons.items():
        made = button.click(
            in_sentences(partial(file_of, kind=kind)), says, download, js=SAYS,
            api_visibility="private", show_progress="minimal", show_progress_on=button,
        )  # fmt: skip
        made.success(
            None, None, None, js="() => document.querySelector('#round-download').click()", api_visibility="private"
        )


def add_endpoints(choice: ModelChoice, answers: PerModel[Answers], controls: list[Component]) -> None:
    """The tab's endpoints."""
    answer = gr.JSON(label="Answer", visible=False)
    case = gr.Number(1, label="Case, from 1", precision=0, visible=False)
    stage = gr.Radio(list(STAGES), value=STAGES[0], label="Stage", visible=False)
    guesses = gr.JSON(label="Guesses", visible=False)
    kind = gr.Textbox(KINDS[0], label=f"Kind: {', '.join(KINDS)}", visible=False)
    for control in (case, stage, guesses, kind):
        control.preprocess = as_given
    about = (
        f"Give a round: its number, how many cases ({' or '.join(map(str, COUNTS))}), the mix, whether only diagnoses "
        "confirmed by histopathology are drawn, what is shown after the photograph (a list of 'metadata', 'model'), "
        f"and the share of misleading answers ({', '.join(f'{x:g}' for x in MISLEADING_SHARES)}). "
    )
    of_case = (
        f"[diagnosis, confidence] for every stage, with a code of {', '.join(CODES)} and one of "
        f"{', '.join(CONFIDENCES)}"
    )
    endpoint(
        "round_stage", answers.asked(Answers.stage), [*controls, case, stage, choice.control], answer,
        about + "Also the case and the stage. Returns what a reader sees then: the photograph, from 'metadata' on age, "
        "sex and site, at 'model' the probabilities and the heat map; nothing that tells the truth.",
    )  # fmt: skip
    endpoint(
        "round_truth", answers.asked(Answers.truth), [*controls, case, guesses, choice.control], answer,
        about + f"Also the case and its guesses: a list of {of_case}. Returns the confirmed diagnosis.",
    )  # fmt: skip
    endpoint(
        "round_result", answers.asked(Answers.result), [*controls, guesses, choice.control], answer,
        about + f"Also the guesses about all cases: a list of lists of {of_case}. Returns accuracy and balanced "
        "accuracy at every stage and of the model with 95 % intervals, what was changed and followed, and the cases.",
    )  # fmt: skip
    endpoint(
        "round_file", answers.asked(Answers.file), [*controls, guesses, kind, choice.control],
        gr.File(label="File", visible=False),
        about + "Also the guesses as for /round_result and 'csv', 'pdf' or 'png'. Returns the cases as a table, or the "
        "result as a page to print.",
    )  # fmt: skip
