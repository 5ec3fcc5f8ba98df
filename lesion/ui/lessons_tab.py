"""The tab "Lessons": look, guess, then see."""

from collections.abc import Callable

import gradio as gr

from lesion.lessons import Lesson, Lessons
from lesion.ui import charts, views
from lesion.ui.api import as_given, endpoint

MOST_SETUPS = 2
LOOK, GUESS, SEE = range(3)


def build(lessons: Lessons, open_case: Callable, record: list, refresh: dict) -> None:
    """Builds the tab inside the current gr.Tab.

    Args:
        lessons: of the checkpoint.
        open_case: (image id or None, record) to values of `record`.
        record: photograph, age, sex and site of the left column.
        refresh: keyword arguments of the event that shows the answer to the new inputs.
    """

    def show(key: str) -> tuple:
        """The lesson's first step; nothing of its answer is computed yet."""
        lesson = lessons.get(key)
        setups = [
            gr.Button(lesson.setups[i].label, visible=True) if i < len(lesson.setups) else gr.Button(visible=False)
            for i in range(MOST_SETUPS)
        ]
        return (
            views.lesson(lesson.title, lesson.story), *setups, views.question(lesson.question),
            gr.Radio(list(lesson.options), value=None), "", gr.Walkthrough(selected=LOOK),
        )  # fmt: skip

    def reveal(key: str, guess: str | None) -> tuple:
        lesson = lessons.get(key)
        return gr.Walkthrough(selected=SEE), revealed(lesson, guess)

    def revealed(lesson: Lesson, guess: str | None) -> str:
        found = lesson.reveal()
        picture = charts.three_answers(found.answers) if found.answers else ""
        return views.reveal(lesson.options[found.correct], guess, found.text) + picture

    def numbers(key: str) -> dict:
        lesson = lessons.get(key)
        found = lesson.reveal()
        return {
            "title": lesson.title, "story": lesson.story, "question": lesson.question, "options": lesson.options,
            "correct": lesson.options[found.correct], "text": found.text, "answers": found.answers,
        }  # fmt: skip

    choices = [(lesson.title, lesson.key) for lesson in lessons.all]
    first = lessons.all[0]
    picker = gr.Dropdown(choices, value=first.key, label="Lesson", elem_id="lesson")
    with gr.Walkthrough(selected=LOOK, elem_id="walkthrough") as steps:
        with gr.Step("Look", id=LOOK):
            story = gr.HTML(views.lesson(first.title, first.story), elem_id="story")
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
            question = gr.HTML(views.question(first.question), elem_id="question")
            guess = gr.Radio(list(first.options), label="Your guess", elem_id="guess")
            to_see = gr.Button("Show what the model answers", variant="primary", elem_id="to-see")
        with gr.Step("See", id=SEE):
            seen = gr.HTML(elem_id="reveal")

    picker.preprocess = guess.preprocess = as_given
    private = {"api_visibility": "private"}
    picker.input(
        show, picker, [story, *buttons, question, guess, seen, steps], show_progress="hidden", **private
    )  # fmt: skip
    to_guess.click(None, None, steps, js=f"() => ({{ selected: {GUESS}, __type__: 'update' }})", **private)
    to_see.click(reveal, [picker, guess], [steps, seen], show_progress="minimal", concurrency_id="lab", **private)
    for index, button in enumerate(buttons):

        def set_inputs(key: str, index: int = index) -> tuple:
            setup = lessons.get(key).setups[index]
            return open_case(setup.image_id, setup.metadata)

        button.click(set_inputs, picker, record, show_progress="hidden", **private).then(**refresh)

    endpoint(
        "lesson", numbers, [picker], gr.JSON(label="Answer", visible=False),
        f"Give the key of a lesson ({', '.join(lesson.key for lesson in lessons.all)}). Gives its text, its question, "
        "and the answer that the model computes.",
        concurrency_id="lab",
    )  # fmt: skip
