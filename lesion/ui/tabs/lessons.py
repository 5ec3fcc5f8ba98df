"""The tab "Lessons": look, guess, then see."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from lesion.teaching.lessons import Lessons
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.html import lesson_steps
from lesion.ui.html.charts import contributions
from lesion.ui.inputs import CHOICE, values_of
from lesion.ui.inputs import now as changed_now
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

MOST_SETUPS = 2
LOOK, GUESS, SEE = range(3)


@dataclass(frozen=True)
class LessonsTab:
    """The tab's parts that the page connects.

    Attributes:
        settings: the events that set inputs.
        steps: by model; their `open` gives the values of `outputs`.
        outputs: the dropdown of lessons, the name of the model that they are about, and what a lesson fills.
    """

    settings: list[Dependency]
    steps: "PerModel[Steps]"
    outputs: list[Component]

    @property
    def picker(self) -> Component:
        """Chooses the lesson."""
        return self.outputs[0]


@dataclass(frozen=True)
class Steps:
    """What the tab shows, and what its endpoint answers.

    Attributes:
        lessons: of the checkpoint.
        name, model: of the model; the second says which checkpoint it is, too.
    """

    lessons: Lessons
    name: str
    model: str

    @property
    def choices(self) -> list[tuple[str, str]]:
        """The lessons' titles and keys."""
        return [(lesson.title, lesson.key) for lesson in self.lessons.all]

    def open(self, key: object = None) -> tuple:
        """A lesson, and the dropdown of them, as the tab shows them of another model; the first where this model has
        no such lesson."""
        keys = [key for _, key in self.choices]
        key = key if key in keys else keys[0]
        return gr.Dropdown(choices=self.choices, value=key), self.name, *self.show(key)

    def show(self, key: str) -> tuple:
        """The lesson's first step; nothing of its answer is computed yet."""
        lesson = self.lessons.get(key)
        setups = [
            gr.Button(lesson.setups[i].label, visible=True) if i < len(lesson.setups) else gr.Button(visible=False)
            for i in range(MOST_SETUPS)
        ]
        return (
            lesson_steps.lesson(lesson.title, lesson.story, self.model), *setups,
            lesson_steps.question(lesson.question), gr.Radio(list(lesson.options), value=None), "",
            gr.Walkthrough(selected=LOOK),
        )  # fmt: skip

    def reveal(self, key: str, guess: str | None) -> tuple:
        """The last step."""
        lesson = self.lessons.get(key)
        found = lesson.reveal()
        picture = contributions.side_by_side(found.answers) if found.answers else ""
        texts = [found.text, *(found.moral if found.holds else ())]
        seen = lesson_steps.reveal(lesson.question, lesson.options[found.correct], guess, texts) + picture
        return gr.Walkthrough(selected=SEE), seen

    def numbers(self, key: str) -> dict:
        lesson = self.lessons.get(key)
        found = lesson.reveal()
        return {
            "model": self.model, "title": lesson.title, "story": lesson.story, "question": lesson.question,
            "options": lesson.options, "correct": lesson.options[found.correct], "text": found.text,
            "moral": found.moral, "answers": found.answers,
        }  # fmt: skip


def build(
    choice: ModelChoice,
    tab: gr.Tab,
    open_photograph: Callable[..., str],
    record: list[Component],
    controls: dict[str, Component],
    tabs: gr.Tabs,
    chosen: gr.State,
) -> LessonsTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        choice: of the model.
        tab: whose selection fills it for another model.
        open_photograph: a model, an image id of a held-out photograph, and an artefact of `Setup` or None, to a file.
        record: photograph, age, sex and site of the left column.
        controls: those of other tabs that lessons set, by the names of `lesion.teaching.lessons.Setup`.
        tabs: of the page.
        chosen: whose change asks for the views again.
    """
    told = choice.models.each(lambda m: Steps(m.lessons, m.name, m.in_words))
    first, by = told.of().lessons.all[0], told.of().model
    picker = gr.Dropdown(told.of().choices, value=first.key, label="Lesson", elem_id="lesson")
    model = gr.State(told.of().name)
    with gr.Walkthrough(selected=LOOK, elem_id="walkthrough") as steps:
        with gr.Step("Look", id=LOOK):
            story = gr.HTML(lesson_steps.lesson(first.title, first.story, by), elem_id="story")
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
            to_see = gr.Button("Show the model's answer", variant="primary", elem_id="to-see")
        with gr.Step("See", id=SEE):
            seen = gr.HTML(elem_id="reveal")

    picker.preprocess = guess.preprocess = as_given
    private = {"api_visibility": "private"}
    shown = [story, *buttons, question, guess, seen, steps]
    outputs, quiet = [picker, model, *shown], {"show_progress": "hidden", "trigger_mode": "always_last", **private}
    picker.input(in_sentences(told.asked(Steps.show)), [picker, choice.control], shown, **quiet)

    def open_for(key: str, shown_model: str, name: str) -> tuple:
        return told.of(name).open(key) if name != shown_model else tuple(gr.skip() for _ in outputs)

    choice.when_in_view(tab, open_for, [picker, model, choice.control], outputs, **quiet)
    to_guess.click(None, None, steps, js=f"() => ({{ selected: {GUESS}, __type__: 'update' }})", **private)
    to_see.click(
        in_sentences(told.asked(Steps.reveal)), [picker, guess, choice.control], [steps, seen],
        show_progress="minimal", show_progress_on=question, **private,
    )  # fmt: skip
    given, lessons_of = [*record, *controls.values()], choice.models.each(lambda m: m.lessons)
    settings = [
        button.click(
            in_sentences(partial(set_inputs, lessons_of, index, list(controls), open_photograph)),
            [choice.control, picker, *given], [tabs, *given, chosen], **CHOICE,
        )
        for index, button in enumerate(buttons)
    ]  # fmt: skip
    endpoint(
        "lesson", told.asked(Steps.numbers), [picker, choice.control], gr.JSON(label="Answer", visible=False),
        f"Give the key of a lesson ({', '.join(key for _, key in told.of().choices)}). Returns its text, its "
        "question, and the answer that the model computes.",
    )  # fmt: skip
    return LessonsTab(settings, told, outputs)


def set_inputs(
    lessons: PerModel[Lessons],
    index: int,
    controls: list[str],
    open_photograph: Callable[..., str],
    model: str,
    key: str,
    *now: object,
) -> tuple:
    """What a lesson's button sets: the tab, photograph, age, sex and site, the controls, and that something was chosen.

    What it does not set is given back as it is: to skip a component would undo its `preprocess`.

    Args:
        lessons: by model.
        index: of the button.
        controls: their names.
        open_photograph: a model, an image id of a held-out photograph, and an artefact of `Setup` or None, to a file.
        model: that is chosen.
        key: of the lesson.
        now: photograph, age, sex, site and the controls' values.
    """
    setup = lessons.of(model).get(key).setups[index]
    return (
        gr.Tabs(selected=setup.tab) if setup.tab else gr.skip(),
        open_photograph(model, setup.image_id, setup.artefact) if setup.image_id else now[0],
        *(now[1:4] if setup.metadata is None else values_of(setup.metadata)),
        *(setup.controls.get(name, value) for name, value in zip(controls, now[4:], strict=True)),
        changed_now(),
    )
