"""The tab "Lessons": look, guess, then see."""

from collections.abc import Callable
from dataclasses import dataclass

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from lesion.teaching.lessons import Lesson, Lessons
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.html import lesson_steps
from lesion.ui.html.charts import contributions
from lesion.ui.inputs import CHOICE, values_of
from lesion.ui.inputs import now as changed_now

MOST_SETUPS = 2
LOOK, GUESS, SEE = range(3)


@dataclass(frozen=True)
class LessonsTab:
    """The tab's parts that the page connects.

    Attributes:
        settings: the events that set inputs.
        picker: chooses the lesson.
        show: the lesson's key to the values of `outputs`.
        outputs: what a lesson fills.
    """

    settings: list[Dependency]
    picker: gr.Dropdown
    show: Callable
    outputs: list[Component]


def build(
    lessons: Lessons,
    open_photograph: Callable,
    record: list,
    controls: dict[str, Component],
    tabs: gr.Tabs,
    chosen: gr.State,
) -> LessonsTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        lessons: of the checkpoint.
        open_photograph: image id of a held-out photograph to a file.
        record: photograph, age, sex and site of the left column.
        controls: those of other tabs that lessons set, by the names of `lesion.teaching.lessons.Setup`.
        tabs: of the page.
        chosen: whose change shows the views anew.
    """

    def show(key: str) -> tuple:
        """The lesson's first step; nothing of its answer is computed yet."""
        lesson = lessons.get(key)
        setups = [
            gr.Button(lesson.setups[i].label, visible=True) if i < len(lesson.setups) else gr.Button(visible=False)
            for i in range(MOST_SETUPS)
        ]
        return (
            lesson_steps.lesson(lesson.title, lesson.story), *setups, lesson_steps.question(lesson.question),
            gr.Radio(list(lesson.options), value=None), "", gr.Walkthrough(selected=LOOK),
        )  # fmt: skip

    def reveal(key: str, guess: str | None) -> tuple:
        lesson = lessons.get(key)
        return gr.Walkthrough(selected=SEE), revealed(lesson, guess)

    def revealed(lesson: Lesson, guess: str | None) -> str:
        found = lesson.reveal()
        picture = contributions.side_by_side(found.answers) if found.answers else ""
        texts = [found.text, *(found.moral if found.holds else ())]
        return lesson_steps.reveal(lesson.question, lesson.options[found.correct], guess, texts) + picture

    def numbers(key: str) -> dict:
        lesson = lessons.get(key)
        found = lesson.reveal()
        return {
            "title": lesson.title, "story": lesson.story, "question": lesson.question, "options": lesson.options,
            "correct": lesson.options[found.correct], "text": found.text, "moral": found.moral,
            "answers": found.answers,
        }  # fmt: skip

    choices = [(lesson.title, lesson.key) for lesson in lessons.all]
    first = lessons.all[0]
    picker = gr.Dropdown(choices, value=first.key, label="Lesson", elem_id="lesson")
    with gr.Walkthrough(selected=LOOK, elem_id="walkthrough") as steps:
        with gr.Step("Look", id=LOOK):
            story = gr.HTML(lesson_steps.lesson(first.title, first.story), elem_id="story")
            with gr.Row():
                buttons = [
                    gr.Button(
                        first.setups[i].label if i < len(first.setups) else "", visible=i < len(first.setups),
                        elem_id=f"setup-{i}",
                    )
                    for i in range(MOST_SETUPS)
                ]  # fmt: skip
            to_guess = gr.Button("Now guess", variant="primary", elem_id="to-guess")
        with gr.Step("Guess", id=GUESS):
            question = gr.HTML(lesson_steps.question(first.question), elem_id="question")
            guess = gr.Radio(list(first.options), label="Your guess", elem_id="guess")
            to_see = gr.Button("Show what the model answers", variant="primary", elem_id="to-see")
        with gr.Step("See", id=SEE):
            seen = gr.HTML(elem_id="reveal")

    picker.preprocess = guess.preprocess = as_given
    private = {"api_visibility": "private"}
    shown = [story, *buttons, question, guess, seen, steps]
    picker.input(in_sentences(show), picker, shown, show_progress="hidden", trigger_mode="always_last", **private)
    to_guess.click(None, None, steps, js=f"() => ({{ selected: {GUESS}, __type__: 'update' }})", **private)
    to_see.click(
        in_sentences(reveal), [picker, guess], [steps, seen], show_progress="minimal", show_progress_on=question,
        **private,
    )  # fmt: skip
    events = []
    for index, button in enumerate(buttons):

        def set_inputs(key: str, *now: object, index: int = index) -> tuple:
            """Gives what the setup does not set back as it is: to skip a component would undo its `preprocess`."""
            setup = lessons.get(key).setups[index]
            return (
                gr.Tabs(selected=setup.tab) if setup.tab else gr.skip(),
                open_photograph(setup.image_id) if setup.image_id else now[0],
                *(now[1:4] if setup.metadata is None else values_of(setup.metadata)),
                *(setup.controls.get(name, value) for name, value in zip(controls, now[4:], strict=True)),
                changed_now(),
            )

        given = [*record, *controls.values()]
        outputs = [tabs, *given, chosen]
        events.append(button.click(in_sentences(set_inputs), [picker, *given], outputs, **CHOICE))

    endpoint(
        "lesson", numbers, [picker], gr.JSON(label="Answer", visible=False),
        f"Give the key of a lesson ({', '.join(lesson.key for lesson in lessons.all)}). Gives its text, its question, "
        "and the answer that the model computes.",
    )  # fmt: skip
    return LessonsTab(events, picker, in_sentences(show), shown)
