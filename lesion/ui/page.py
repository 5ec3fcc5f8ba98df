"""The whole page: title, notice, the photograph and its record on the left, tabs on the right."""

import json

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.errors import UserError
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import MOST_IN_A_PASS, Predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab
from lesion.teaching.lessons import Lessons
from lesion.ui import inputs, link
from lesion.ui.example_photographs import load_examples
from lesion.ui.html import answers, heading, heat_map, pieces
from lesion.ui.server.allow_list import Page
from lesion.ui.tabs import answer as answer_tab
from lesion.ui.tabs import cohort as cohort_tab
from lesion.ui.tabs import influence as influence_tab
from lesion.ui.tabs import lab as lab_tab
from lesion.ui.tabs import lessons as lessons_tab
from lesion.ui.tabs import report as report_tab

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


def build_page(predictor: Predictor) -> gr.Blocks:
    """The app, ready to launch with the theme and STYLE."""
    store, examples = PhotographStore(predictor), load_examples()
    cohort, photographs = Cohort(predictor), HeldOutPhotographs(predictor.checkpoint.folder)
    lab = Lab(cohort.held_out, predictor.config.encoder)
    lessons = Lessons(cohort, photographs, lab)
    rows = {image_id: row for row, image_id in enumerate(cohort.table.image_id)}
    truths = {example.key: example.diagnosis for example in examples}

    def truth_of(key: bytes) -> str | None:
        """The confirmed diagnosis, a code, where the photograph is one of the held-out ones."""
        image_id = photographs.image_id_of(key)
        return CODES[cohort.labels[rows[image_id]]] if image_id in rows else truths.get(key)

    with Page(title="Skin lesions: image and metadata", analytics_enabled=False) as page:
        gr.HTML(heading.HEADER)
        with gr.Row(equal_height=False):
            with gr.Column(scale=2, min_width=300, elem_id="inputs"):
                given, strip = inputs.build()
                link_controls = link.build()
                view = [gr.Textbox(visible=False), gr.Checkbox(visible=False)]  # of ASK
                chosen = gr.State(0)  # when a handler last set photograph, age, sex or site

            def open_photograph(image_id: str) -> str:
                """A file for the photograph component."""
                content = photographs.read(image_id)
                return save_bytes_to_cache(content, f"{image_id}.jpg", given.photo.GRADIO_CACHE)

            with gr.Column(scale=9, min_width=320), gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
                with gr.Tab("Answer", id="answer") as tab_answer:
                    answer, method, show_answer = answer_tab.build(given, store, truth_of)
                with gr.Tab("Metadata influence", id="influence") as tab_influence:
                    influence = influence_tab.build(given, store, cohort, truth_of)

                def show(
                    path: str | None, age: str, sex: str, site: str, target: str, method: str, *values: object
                ) -> tuple:
                    """Fills the tab in view, where it is one that answers about the photograph. What the other one says
                    goes, unless only the tab has changed."""
                    *settings, tab, again = values
                    try:
                        if path is None:
                            raise UserError(pieces.WELCOME)
                        metadata = Metadata(age, sex, site)
                        photograph = store.get(path, metadata if tab == tab_answer.id else None)
                        filled = [gr.skip() if again else ""] * len(outputs)
                        if tab == tab_answer.id:
                            filled[: len(answer)] = show_answer(photograph, metadata, target, method)
                        elif tab == tab_influence.id:
                            filled[len(answer) :] = influence.show(photograph, metadata, target, *settings)
                        return tuple(filled)
                    except UserError as error:
                        return tuple(
                            without_answer((pieces.placeholder if path is None else pieces.problem)(str(error)))
                        )

                def without_answer(said: str) -> list[str]:
                    """What the tabs hold where there is no answer: `said` in its place."""
                    filled = [""] * len(outputs)
                    filled[0] = filled[len(answer)] = said
                    filled[len(answer) - 1] = pieces.placeholder(heat_map.NO_HEAT)
                    return filled

                asked, outputs = [*given.all, method, *influence.controls], [*answer, *influence.outputs]
                # The lessons set controls of the tabs behind them, so these are built first.
                tab_lessons = gr.Tab("Lessons", id="lessons")
                with gr.Tab("Cohort", id="cohort") as tab_cohort:
                    used, cases = cohort_tab.build(cohort, photographs, tab_cohort)
                with gr.Tab("Training lab", id="lab") as tab_lab:
                    weighting = lab_tab.build(lab)
                with gr.Tab("Model report", id="report") as tab_report:
                    report_tab.build(predictor.checkpoint.folder, tab_report)
                prevalence, share, _, threshold = influence.controls
                with tab_lessons:
                    controls = {
                        "prevalence": prevalence, "share": share, "threshold": threshold, "used": used,
                        "weighting": weighting,
                    }  # fmt: skip
                    lesson = lessons_tab.build(lessons, open_photograph, given.record, controls, tabs, chosen)
                for event in lesson.settings:
                    event.then(None, None, None, js=SHOW_ALARM, api_visibility="private")
        gr.HTML(f'<div class="attribution">{heading.ATTRIBUTION}</div>', elem_id="attribution")

        # The tabs about all photographs have no use for the left column; the style sheet hides it there.
        for tab in (tab_answer, tab_influence, tab_lessons, tab_cohort, tab_lab, tab_report):
            tab.select(
                None, None, None, js=f"() => {{ document.body.dataset.tab = '{tab.id}' }}", api_visibility="private"
            )

        # One handler for every cause of a new answer: the browser then asks for one at a time, and for the last one
        # in the end, so that an answer never stands beside another photograph.
        changed = [given.photo.upload, given.photo.clear, given.photo.input, chosen.change]
        changed += [component.input for component in (*given.all[1:], method)]
        changed += [control.change for control in influence.controls]  # lessons set them too
        changed += [tab_answer.select, tab_influence.select]
        # More at once than elsewhere: those who upload a photograph wait for the network, and share its passes.
        shown = gr.on(
            changed, show, [*asked, *view], outputs, js=ASK % len(asked), api_visibility="private",
            show_progress="minimal", trigger_mode="always_last", concurrency_limit=2 * MOST_IN_A_PASS,
        )  # fmt: skip
        # The server is busy, or was started anew: its message says so, and no answer to something else stays in view.
        nothing = without_answer(pieces.problem(answers.NO_ANSWER))
        shown.failure(None, None, outputs, js=f"() => {json.dumps(nothing)}", api_visibility="private")

        def choose_example(event: gr.EventData) -> tuple:
            example = examples[event.index]
            return str(example.path), *inputs.values_of(example.metadata), inputs.now()

        strip.click(choose_example, None, [*given.record, chosen], **inputs.CHOICE)

        def choose_case(event: gr.EventData) -> tuple:
            record = cohort.records[rows[event.image]]
            return gr.Tabs(selected="answer"), open_photograph(event.image), *inputs.values_of(record), inputs.now()

        for component in cases:
            component.click(choose_case, None, [tabs, *given.record, chosen], **inputs.CHOICE).then(
                None, None, None, js="() => window.scrollTo({ top: 0, behavior: 'smooth' })", api_visibility="private"
            )

        def choose_age(event: gr.EventData) -> tuple[str, int]:
            return f"{event.age:g}", inputs.now()

        def choose_site(event: gr.EventData) -> tuple[str, int]:
            return event.site, inputs.now()

        influence.age_curve.click(choose_age, None, [given.age, chosen], **inputs.CHOICE)
        influence.body_map.click(choose_site, None, [given.site, chosen], **inputs.CHOICE)
        link.connect(page, link_controls, given, chosen, tabs, lesson, photographs, open_photograph)
    return page
