"""The tab "Class": a teacher opens a class, phones join it, and the projector shows what the class guesses."""

import secrets

import gradio as gr
from gradio.components import Component

from lesion.teaching.class_session import ClassRound
from lesion.teaching.classes import KEPT, MOST_PHONES, Classes
from lesion.teaching.rounds import COUNTS, LARGEST_SEED, MISLEADING_SHARES, MIXES
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.class_answers import ClassAnswers
from lesion.ui.html import class_board, class_phone, pieces
from lesion.ui.model_choice import ModelChoice
from lesion.ui.round_views import settings_from
from lesion.ui.server.addresses import Address, for_phones
from lesion.ui.server.gradio_private import UploadsOnlyBlocks
from lesion.ui.style import PHONE_STYLE
from lesion.ui.tabs.round import build_choices


def build(page: UploadsOnlyBlocks, choice: ModelChoice) -> gr.HTML:
    """Builds the tab inside the current gr.Tab.

    Args:
        page: whose routes answer phones and projector, and whose address phones use.
        choice: of the model; a class stays with the one that it was opened with.

    Returns:
        The component whose clicks carry the id of a held-out image.
    """
    classes = Classes()

    def address_of(opened_at: object) -> Address:
        return for_phones(opened_at, page.server_name, page.share_url)

    page.direct_routes += ClassAnswers(classes, address_of, class_phone.page(PHONE_STYLE)).routes()
    controls, button = build_settings()
    given = [*controls, choice.control]
    board = gr.HTML(class_board.board(), js_on_load=class_board.SCRIPT, elem_id="class-board")

    def open_class(*values: object) -> tuple[str, str]:
        """Code and teacher's token of a new class, in a round that nobody can know before: its number is drawn here."""
        *values, model = values
        rounds = choice.models.get(model).rounds
        settings = settings_from(secrets.randbelow(LARGEST_SEED + 1), *values)
        return classes.open(ClassRound(rounds, settings, rounds.cases(settings)))

    def opened(*values: object) -> str:
        return class_board.board(*open_class(*values))

    def opened_for_programs(cases, mix, confirmed_only, stages, misleading_share, model) -> dict:
        opened = open_class(cases, mix, confirmed_only, stages, misleading_share, model)
        return dict(zip(("code", "teacher"), opened, strict=True))

    button.click(
        in_sentences(opened), given, board, api_visibility="private", show_progress="minimal",
        show_progress_on=button,
    )  # fmt: skip
    endpoint(
        "open_class", opened_for_programs, given, gr.JSON(label="Class", visible=False),
        f"Opens a class in a reader round that the server draws. Give the number of cases ({COUNTS[0]} or {COUNTS[1]}),"
        f" the mix ({', '.join(MIXES)}), whether only diagnoses confirmed by histopathology are drawn, what is shown "
        "after the photograph (a list of 'metadata', 'model'), and the share of misleading answers "
        f"({', '.join(f'{x:g}' for x in MISLEADING_SHARES)}). Returns the code with "
        "which phones join, and the teacher's token, with which everything can be shown and ended: keep it to "
        "yourself. Whatever else is asked is a POST of a JSON "
        "object to class/join, look, vote, watch, move, result or close; lesion/README.md describes them.",
    )  # fmt: skip
    return board


def build_settings() -> tuple[list[Component], gr.Button]:
    """The controls of the round, and the button that opens a class."""
    with gr.Column(elem_id="class-setup"):
        gr.HTML(
            pieces.section(
                "A class in a reader round",
                "Phones join with a code. At each stage everybody guesses, and you show what the class guessed when "
                f"you like. Up to {MOST_PHONES} phones; no names, no accounts. The votes are kept in the memory of "
                f"this server until you close the class, for {KEPT // 3600} hours at most.",
            )
        )
        controls = build_choices("class")
        button = gr.Button("Open a class", variant="primary", elem_id="class-open")
    for control in controls:
        control.preprocess = as_given
    return controls, button
