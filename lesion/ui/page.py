"""The whole page: title, notice, the photograph and its record on the left, tabs on the right."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from lesion.data.metadata import Metadata
from lesion.errors import UserError
from lesion.inference.predictor import MOST_IN_A_PASS
from lesion.teaching.lessons.drawn_on import drawn_photograph
from lesion.ui import chooser, confusion_cells, inputs, link, model_choice
from lesion.ui.api import in_sentences
from lesion.ui.example_photographs import load_examples
from lesion.ui.html import answers, heading, heat_map, pieces
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import Models
from lesion.ui.server.gradio_private import UploadsOnlyBlocks, served_file
from lesion.ui.tabs import answer as answer_tab
from lesion.ui.tabs import classroom as classroom_tab
from lesion.ui.tabs import cohort as cohort_tab
from lesion.ui.tabs import influence as influence_tab
from lesion.ui.tabs import lab as lab_tab
from lesion.ui.tabs import lessons as lessons_tab
from lesion.ui.tabs import report as report_tab
from lesion.ui.tabs import round as round_tab

ANSWER, INFLUENCE = "answer", "influence"
"""The ids of the two tabs that answer about the photograph."""
SHOW_ALARM = """
() => {
  if (document.body.dataset.tab === 'influence')
    document.querySelector('#threshold').scrollIntoView({ block: 'center', behavior: 'smooth' });
}
"""
"""A lesson that sets how common melanoma is leads to the alarm, far down its tab."""
ASK = """
async (...given) => {
  await new Promise(done => setTimeout(done, 20));
  const tab = document.querySelector('#tabs [role=tab][aria-selected=true]')?.dataset.tabId ?? 'answer';
  const asked = given.slice(0, %d), text = JSON.stringify(asked), again = text === window.asked;
  window.asked = text;
  return [...asked, tab, again];
}
"""
"""Adds to what is asked (so many values) the tab in view, once one just selected is marked as such, and whether nothing
but the tab has changed."""
ANSWERED, ASK_AGAIN = "answered", "ask-again"
WATCH = f"""
() => {{
  let before, askedAgain, since = 0;
  setInterval(() => {{
    const tab = document.querySelector('#tabs [role=tab][aria-selected=true]')?.dataset.tabId;
    const fields = ['age', 'sex', 'site'].map(name => document.querySelector(`#${{name}} input`));
    const answered = document.querySelector('#{ANSWERED}')?.textContent.trim();
    const busy = document.querySelector('.html-container.pending') || fields.includes(document.activeElement);
    const chosen = JSON.stringify(fields.map(field => field?.value));
    const stale = answered && ['answer', 'influence'].includes(tab) && !busy && chosen !== answered;
    since = stale && chosen === before ? since + 1 : 0;
    before = chosen;
    if (since >= 4 && chosen !== askedAgain) {{
      askedAgain = chosen;
      document.querySelector('#{ASK_AGAIN}').click();
    }}
    if (chosen === answered) askedAgain = undefined;
  }}, 500);
}}
"""
"""On a slow machine Gradio may lose a change that comes while an answer is under way, or show two answers in the wrong
order; the answer would then stand beside other choices. So what was answered is compared with what the controls show,
and after two seconds asked for again where they differ."""


class Tabs(NamedTuple):
    """The tabs and their parts that the page connects.

    Attributes:
        all: the component that holds them.
        answer, influence: the two that answer about the photograph.
        lessons: sets the inputs of others.
        cases: events that carry the id of a held-out image to open.
    """

    all: gr.Tabs
    answer: answer_tab.AnswerTab
    influence: influence_tab.InfluenceTab
    lessons: lessons_tab.LessonsTab
    cases: list[Callable]


@dataclass(frozen=True)
class PhotographViews:
    """Fills the two tabs that answer about the photograph."""

    models: Models
    answer: answer_tab.AnswerTab
    influence: influence_tab.InfluenceTab

    @property
    def outputs(self) -> list[gr.HTML]:
        """The components to fill."""
        return [*self.answer.outputs, *self.influence.outputs]

    def show(self, path: str | None, age: str, sex: str, site: str, target: str, *values: object) -> tuple:
        """The outputs' values. Only the tab in view is filled, where it is one of the two; the other is emptied, unless
        nothing but the tab has changed.

        Args:
            path: of the photograph.
            age, sex, site, target: of the left column.
            values: of the controls of the tab "Answer", then of "Metadata influence", then the model's name, then what
                ASK adds.
        """
        *settings, model, tab, again = values
        of_answer, of_influence = settings[: len(self.answer.controls)], settings[len(self.answer.controls) :]
        try:
            if path is None:
                raise UserError(pieces.WELCOME)
            metadata = Metadata(age, sex, site)
            photograph = self.models.get(model).store.get(path, metadata if tab == ANSWER else None)
            filled = [gr.skip() if again else ""] * len(self.outputs)
            first = len(self.answer.outputs)
            if tab == ANSWER:
                filled[:first] = self.answer.views.of(model).show(photograph, metadata, target, *of_answer)
            elif tab == INFLUENCE:
                views = self.influence.views.of(model)
                filled[first:] = views.of_photograph(photograph, metadata, target, *of_influence)
            return tuple(filled)
        except UserError as error:
            return tuple(self.without_answer((pieces.placeholder if path is None else pieces.problem)(str(error))))

    def without_answer(self, said: str) -> list[str]:
        """The outputs' values where there is no answer: `said` in place of it."""
        filled, first = [""] * len(self.outputs), len(self.answer.outputs)
        filled[0] = filled[first] = said
        filled[first - 1] = pieces.placeholder(heat_map.NO_HEAT)
        return filled


def build_page(models: Models) -> gr.Blocks:
    """The app, ready to launch with a theme and a style sheet.

    Args:
        models: to choose from.
    """
    with UploadsOnlyBlocks(title="Skin lesions: image and metadata", analytics_enabled=False) as page:
        gr.HTML(heading.HEADER)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300, elem_id="inputs"):
                choice = model_choice.build(models)
                page.optional = choice.control
                given, strip = inputs.build()
                chosen_by = chooser.build(choice)
                link_controls = link.build()
                view = [gr.Textbox(visible=False), gr.Checkbox(visible=False)]  # of ASK
                answered = gr.HTML(visible="hidden", elem_id=ANSWERED)
                again = gr.Button(visible="hidden", elem_id=ASK_AGAIN)
                chosen = gr.State(0)  # when a handler last set photograph, age, sex or site

            def open_photograph(model: str, image_id: str, artefact: tuple[str, int] | None = None) -> str:
                """A file for the photograph component, with an artefact drawn on it where one is given."""
                content = models.get(model).photographs.read(image_id)
                if artefact:
                    content = drawn_photograph(content, artefact)
                return served_file(given.photo, content, f"{image_id}.jpg")

            with gr.Column(scale=9, min_width=320):
                tabs = build_tabs(page, choice, given, chosen, open_photograph)
        gr.HTML(f'<div class="attribution">{heading.ATTRIBUTION}</div>', elem_id="attribution")
        views = PhotographViews(models, tabs.answer, tabs.influence)
        connect_views(views, given, choice, chosen, (answered, again), view, tabs.all)
        connect_choices(choice, given, chosen, strip, chosen_by, tabs, open_photograph)
        choice.connect(chosen)
        page.load(None, None, None, js=WATCH, api_visibility="private")
        link.connect(page, link_controls, given, choice, chosen, tabs.all, tabs.lessons, open_photograph)
    return page


def build_tabs(
    page: UploadsOnlyBlocks,
    choice: ModelChoice,
    given: inputs.Inputs,
    chosen: gr.State,
    open_photograph: Callable[..., str],
) -> Tabs:
    """Builds the tabs inside the current gr.Column.

    Args:
        page: that they are on.
        choice: of the model.
        given: the left column.
        chosen: whose change asks for the views again.
        open_photograph: a model, and an image id of a held-out photograph, to a file.
    """
    cells = choice.models.each(lambda m: confusion_cells.Cells(m.cohort, m.photographs))
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
        with gr.Tab("Answer", id=ANSWER):
            answer = answer_tab.build(given, choice)
        with gr.Tab("Metadata influence", id=INFLUENCE) as tab_influence:
            influence = influence_tab.build(given, choice, tab_influence)
        # The lessons set controls of the tabs behind them, so these are built first.
        tab_lessons = gr.Tab("Lessons", id="lessons")
        with gr.Tab("Reader round", id="round"):
            readers = round_tab.build(choice)
        with gr.Tab("Class", id="class"):
            class_view = classroom_tab.build(page, choice)
        with gr.Tab("Cohort", id="cohort") as tab_cohort:
            used, cases = cohort_tab.build(choice, cells, tab_cohort)
        with gr.Tab("Training lab", id="lab"):
            weighting = lab_tab.build(choice)
        with gr.Tab("Model report", id="report") as tab_report:
            behind = report_tab.build(choice, cells, tab_report)
        prevalence, share, _, threshold, _ = influence.controls
        controls = {
            "prevalence": prevalence, "share": share, "threshold": threshold, "used": used, "weighting": weighting,
            "round": readers.wanted,
        }  # fmt: skip
        with tab_lessons:
            lessons = lessons_tab.build(choice, tab_lessons, open_photograph, given.record, controls, tabs, chosen)
    for event in lessons.settings:
        event.then(None, None, None, js=SHOW_ALARM, api_visibility="private")
        event.then(None, readers.wanted, readers.wanted, js=round_tab.OPEN, api_visibility="private")
    # The tabs about all photographs have no use for the left column; the style sheet hides it there.
    for tab in tabs_of(tabs):
        tab.select(None, None, None, js=f"() => {{ document.body.dataset.tab = '{tab.id}' }}", api_visibility="private")
    opens_a_case = [*(listed.click for listed in (answer.similar, class_view, *cases, behind)), readers.view.select]
    return Tabs(tabs, answer, influence, lessons, opens_a_case)


def tabs_of(tabs: gr.Tabs) -> list[gr.Tab]:
    """The single tabs."""
    return [tab for tab in tabs.children if isinstance(tab, gr.Tab)]


def connect_views(
    views: PhotographViews,
    given: inputs.Inputs,
    choice: ModelChoice,
    chosen: gr.State,
    watched: tuple[gr.HTML, gr.Button],
    view: list[Component],
    tabs: gr.Tabs,
) -> None:
    """One handler for every cause of a new answer: the browser then asks for one at a time, and for the last one in the
    end, so that an answer never stands beside another photograph."""
    answered, again = watched

    def ask(*values: object) -> tuple:
        return (*views.show(*values), json.dumps(values[1:4], separators=(",", ":")))

    of_answer, of_influence = views.answer.controls, views.influence.controls
    asked = [*given.all, *of_answer, *of_influence, choice.control]
    changed = [given.photo.upload, given.photo.clear, given.photo.input, chosen.change, again.click]
    changed += [component.input for component in (*given.all[1:], *of_answer)]
    changed += [control.change for control in of_influence]  # lessons set them too
    changed += [tab.select for tab in tabs_of(tabs) if tab.id in (ANSWER, INFLUENCE)]
    # More at once than elsewhere: those who upload a photograph wait for the network, and share its passes.
    shown = gr.on(
        changed, ask, [*asked, *view], [*views.outputs, answered], js=ASK % len(asked), api_visibility="private",
        show_progress="minimal", trigger_mode="always_last", concurrency_limit=2 * MOST_IN_A_PASS,
    )  # fmt: skip
    # The server is busy or was restarted: its message says so, and no answer to an earlier question stays in view.
    nothing = [*views.without_answer(pieces.problem(answers.NO_ANSWER)), ""]
    shown.failure(None, None, [*views.outputs, answered], js=f"() => {json.dumps(nothing)}", api_visibility="private")


def connect_choices(
    choice: ModelChoice,
    given: inputs.Inputs,
    chosen: gr.State,
    strip: gr.HTML,
    chosen_by: chooser.Chooser,
    tabs: Tabs,
    open_photograph: Callable[..., str],
) -> None:
    """Lets a click on an example, a case, an age or a site, and the chooser set the left column."""

    def choose_example(event: gr.EventData) -> tuple:
        example = load_examples()[event.index]
        return str(example.path), *inputs.values_of(example.metadata), inputs.now()

    def open_row(model: str, row: int) -> tuple:
        cohort = choice.models.get(model).cohort
        photograph = open_photograph(model, cohort.table.image_id.iloc[row])
        return photograph, *inputs.values_of(cohort.records[row]), inputs.now()

    def choose_case(model: str, event: gr.EventData) -> tuple:
        row = choice.models.get(model).cohort.row_of[event.image]
        return gr.Tabs(selected=ANSWER), *open_row(model, row)

    def pick(*values: str) -> tuple:
        *choices, model = values
        return open_row(model, chosen_by.views.of(model).pick(*choices))

    def choose_age(event: gr.EventData) -> tuple[str, int]:
        return f"{event.age:g}", inputs.now()

    def choose_site(event: gr.EventData) -> tuple[str, int]:
        return event.site, inputs.now()

    strip.click(choose_example, None, [*given.record, chosen], **inputs.CHOICE)
    chosen_by.button.click(
        in_sentences(pick), [*chosen_by.controls, choice.control], [*given.record, chosen], **inputs.CHOICE
    )
    for case_chosen in tabs.cases:
        case_chosen(choose_case, choice.control, [tabs.all, *given.record, chosen], **inputs.CHOICE).then(
            None, None, None, js="() => window.scrollTo({ top: 0, behavior: 'smooth' })", api_visibility="private"
        )
    tabs.influence.age_curve.click(choose_age, None, [given.age, chosen], **inputs.CHOICE)
    tabs.influence.body_map.click(choose_site, None, [given.site, chosen], **inputs.CHOICE)
