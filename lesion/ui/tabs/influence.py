"""The tab "Metadata influence": what age, sex and site did to the answer."""

from functools import partial
from typing import NamedTuple

import gradio as gr
from gradio.components import Component

from lesion.data.metadata import FIELDS
from lesion.metrics.metrics import ALARM_THRESHOLD
from lesion.teaching.alarm import ALARM_THRESHOLDS
from lesion.teaching.influence import ANY_FIELD, CHANGING, MOST_CHANGES, SCALES
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.html import body_map, pieces
from lesion.ui.html.charts import contributions
from lesion.ui.influence_answers import PREVALENCE_CHOICES, Answers, Views
from lesion.ui.inputs import Inputs
from lesion.ui.material import Material
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel
from lesion.ui.server.gradio_private import served_file

THRESHOLD = round(100 * ALARM_THRESHOLD)
"""Of the melanoma alarm at first, %."""


class InfluenceTab(NamedTuple):
    """What the page wires together.

    Attributes:
        views: by model; their `of_photograph` gives the values of `outputs`.
        controls: whose values it takes after its first three arguments.
        outputs: the components to fill.
        age_curve, body_map: two of the outputs, whose clicks carry an age and a site.
    """

    views: PerModel[Views]
    controls: list[Component]
    outputs: list[gr.HTML]
    age_curve: gr.HTML
    body_map: gr.HTML


def build(inputs: Inputs, choice: ModelChoice, tab: gr.Tab) -> InfluenceTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        inputs: the left column.
        choice: of the model.
        tab: whose selection fills the alarm for another model.
    """
    serve = partial(served_file, inputs.photo)
    views = choice.models.each(lambda m: Views(m.predictor, m.cohort))
    answers = choice.models.each(lambda m: Answers(views.of(m.name), m.store, m.recognition, serve))
    with gr.Row():
        prevalence = gr.Radio(
            PREVALENCE_CHOICES, value="dataset", label="How common the diagnoses are, in this tab", min_width=300,
            elem_id="prevalence", scale=3,
        )  # fmt: skip
        share = gr.Slider(
            0.1, 50, 2, step=0.1, label="Melanomas among all photographs (%)", elem_id="share", min_width=220,
            interactive=True, scale=2,
        )  # fmt: skip
    change = gr.HTML(pieces.placeholder(pieces.WELCOME), elem_id="largest-change")
    gr.HTML(pieces.section("Three answers side by side", "The same model, asked with some of its inputs hidden."))
    three = gr.HTML(elem_id="three-answers")
    waterfall, scale, curve = build_contributions()
    figure, table, changing, smallest = build_places()
    threshold, here, alarm, roc, decision = build_alarm(choice, views)
    build_downloads(answers, inputs, choice, prevalence, share)
    for control in (prevalence, share, scale, threshold, changing):
        control.preprocess = as_given
    of_alarm, asked = views.asked(Views.of_alarm), [prevalence, share, threshold, choice.control]
    options = {"api_visibility": "private", "show_progress": "hidden", "trigger_mode": "always_last"}
    filled = [alarm, roc, decision]
    gr.on([prevalence.change, share.change, threshold.change], of_alarm, asked, filled, **options)
    choice.when_in_view(tab, of_alarm, asked, filled, **options)
    add_endpoints(answers, inputs, choice, [prevalence, share], scale, threshold, changing)
    outputs = [change, three, waterfall, curve, figure, table, smallest, here]
    return InfluenceTab(views, [prevalence, share, scale, threshold, changing], outputs, curve, figure)


def build_contributions() -> tuple[gr.HTML, gr.Radio, gr.HTML]:
    """Who contributed what, its scale, and the age curve."""
    with gr.Row(equal_height=False):
        with gr.Column(min_width=340):
            gr.HTML(
                pieces.section(
                    "Who contributed what",
                    "What each input adds, averaged over every order in which the four may become known: exact Shapley "
                    "values (Shapley, 1953).",
                )
            )
            waterfall = gr.HTML(elem_id="waterfall")
            scale = gr.Radio(SCALES, value=SCALES[0], label="Scale", elem_id="scale")
        with gr.Column(min_width=340):
            gr.HTML(
                pieces.section(
                    "If the patient were younger or older",
                    "Everything else stays as it is. Click the plot to choose an age.",
                )
            )
            curve = gr.HTML(js_on_load=contributions.AGE_SCRIPT, elem_id="age-curve")
    return waterfall, scale, curve


def build_places() -> tuple[gr.HTML, gr.HTML, gr.Radio, gr.HTML]:
    """The body map, the table of sites and sexes, what a smallest change may change, and the smallest changes."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=340):
            gr.HTML(
                pieces.section(
                    "If the lesion were somewhere else",
                    "The same photograph at another site. Click a site to choose it.",
                )
            )
            figure = gr.HTML(js_on_load=body_map.SCRIPT, elem_id="body-map")
        with gr.Column(scale=2, min_width=340):
            gr.HTML(pieces.section("Site and sex together", "At the chosen age."))
            table = gr.HTML(elem_id="site-table")
            gr.HTML(
                pieces.section(
                    "The smallest changes that change the answer",
                    f"Of all 855 combinations of age, sex and site, up to {MOST_CHANGES}: fewest fields changed first, "
                    "then fewest years. Each changes other fields or leads to another diagnosis than those above it, "
                    "and no part of it alone changes the answer.",
                )
            )
            choices = [(ANY_FIELD, ANY_FIELD), *((f"only {field}", field) for field in FIELDS)]
            changing = gr.Radio(choices, value=ANY_FIELD, label="What may change", elem_id="changing")
            smallest = gr.HTML(elem_id="smallest-change")
    return figure, table, changing, smallest


def about_alarm(material: Material) -> str:
    """What the alarm is, and on what it was measured."""
    return pieces.section(
        "Melanoma alarm",
        "The alarm rings where the probability of melanoma, at the data set's prevalence, is at or above the "
        "threshold. It rings for the same photographs wherever it is used, but what an alarm means depends on "
        f"how common melanoma is there. Measured on the {len(material.cohort.table):,} photographs kept out of "
        "training (a third of them were used for early stopping and calibration), with age, sex and site; 95 % "
        "intervals by resampling lesions.",
    )


def build_alarm(choice: ModelChoice, views: PerModel[Views]) -> tuple[gr.Slider, gr.HTML, gr.HTML, gr.HTML, gr.HTML]:
    """The alarm's threshold, this photograph's alarm, the alarm in numbers, its ROC curve and its decision curve."""
    choice.text(about_alarm, elem_id="alarm-section")
    with gr.Row(equal_height=False, elem_id="alarm-row"):
        with gr.Column(min_width=340):
            threshold = gr.Slider(
                *ALARM_THRESHOLDS, THRESHOLD, step=1, label="Alarm at a melanoma probability of (%)",
                elem_id="threshold", interactive=True,
            )  # fmt: skip
            here = gr.HTML(elem_id="alarm-here")
            numbers, curve, worth = views.of().of_alarm("dataset", 2, THRESHOLD)
            alarm = gr.HTML(numbers, elem_id="alarm")
        with gr.Column(min_width=340):
            roc = gr.HTML(curve, elem_id="roc")
    gr.HTML(
        pieces.section(
            "Is the alarm worth it?",
            "A lesion removed for nothing costs something too. The threshold says how much: from a risk of 20 % on, "
            "four needless removals weigh as much as one melanoma found. The net benefit subtracts them, and is "
            "compared with removing every lesion and with removing none (treat all, treat none; decision-curve "
            "analysis: Vickers and Elkin, 2006). It reads the probability at the prevalence that is chosen above.",
        ),
        elem_id="decision-section",
    )
    decision = gr.HTML(worth, elem_id="decision")
    return threshold, here, alarm, roc, decision


def build_downloads(
    answers: PerModel[Answers], inputs: Inputs, choice: ModelChoice, prevalence: gr.Radio, share: gr.Slider
) -> None:
    """Buttons that make a file and let the browser download it."""
    take = gr.HTML(pieces.section("Download", "What this tab shows, as a table or as a page to print."))
    with gr.Row():
        as_csv = gr.Button("All combinations (CSV)", elem_id="get-csv")
        as_pdf = gr.Button("Handout (PDF)", elem_id="get-pdf")
        as_png = gr.Button("Handout (PNG)", elem_id="get-png")
    download = gr.DownloadButton(visible="hidden", elem_id="download")
    for button, function, values in (
        (as_csv, Answers.table_file, inputs.record),
        (as_pdf, Answers.handout_pdf, inputs.all),
        (as_png, Answers.handout_png, inputs.all),
    ):
        made = button.click(
            in_sentences(answers.asked(function)), [*values, prevalence, share, choice.control], download,
            api_visibility="private", show_progress="minimal", show_progress_on=take,
        )  # fmt: skip
        made.success(None, None, None, js="() => document.querySelector('#download').click()", api_visibility="private")


def add_endpoints(
    answers: PerModel[Answers],
    inputs: Inputs,
    choice: ModelChoice,
    context: list[Component],
    scale: gr.Radio,
    threshold: gr.Slider,
    changing: gr.Radio,
) -> None:
    """The tab's endpoints; `context` is how common the diagnoses are."""
    answer, model = gr.JSON(label="Answer", visible=False), choice.control
    file = gr.File(label="File", visible=False)
    kind = gr.Textbox("pdf", label="Kind: pdf or png", visible=False)
    about = (
        "Give image, age, sex and body site as for /predict, how common the diagnoses are ('dataset', 'uniform' or "
        "'own') and, for 'own', the percentage of melanomas. "
    )
    endpoint(
        "three_answers", answers.asked(Answers.three_answers), [*inputs.record, *context, model], answer,
        about + "Returns the seven probabilities from the image alone, the metadata alone, and both, and the largest "
        "change in words.",
    )  # fmt: skip
    endpoint(
        "shapley", answers.asked(Answers.shapley), [*inputs.all, *context, scale, model], answer,
        about + "Also the diagnosis to explain and the scale ('probability' or 'log-odds'). Returns what the model "
        "answers with nothing known (start) and with everything known (end), and the exact Shapley value of image, "
        "age, sex and site; start and the four values add up to end.",
    )  # fmt: skip
    endpoint(
        "age_curve", answers.asked(Answers.age_curve), [*inputs.record, *context, model], answer,
        about + "Returns the seven probabilities at every age, with sex and site as given, and the ages between which "
        "the most probable diagnosis changes.",
    )  # fmt: skip
    endpoint(
        "body_map", answers.asked(Answers.body_map), [*inputs.all, *context, model], answer,
        about + "Also the diagnosis. Returns its probability with the lesion at each site, for each sex, at the given "
        "age.",
    )  # fmt: skip
    endpoint(
        "smallest_change", answers.asked(Answers.smallest_change), [*inputs.record, *context, changing, model], answer,
        about + f"Also what may change: one of {', '.join(CHANGING)}. Returns the nearest age, sex and site with "
        "another most probable diagnosis (fewest fields changed, then fewest years), or a sentence saying that there "
        f"is none; and under 'changes' up to {MOST_CHANGES} of these, each with other fields changed or another "
        "diagnosis, and none of which a part would do.",
    )  # fmt: skip
    endpoint(
        "alarm", answers.asked(Answers.alarm), [*context, threshold, model], answer,
        "Give how common the diagnoses are ('dataset', 'uniform' or 'own'), for 'own' the percentage of melanomas, and "
        "the probability of melanoma at which the alarm rings (%). Returns sensitivity and specificity on the "
        "held-out photographs with 95 % intervals, the predictive values at that prevalence, and the net benefit "
        "beside that of removing every lesion, in melanomas found for each lesion seen (removing none has 0), also in "
        "words.",
    )  # fmt: skip
    endpoint(
        "sweep", answers.asked(Answers.table_file), [*inputs.record, *context, model], file,
        about + "Returns a CSV file with the seven probabilities for every age, sex and site.",
    )  # fmt: skip
    endpoint(
        "handout", answers.asked(Answers.handout_file), [*inputs.all, *context, kind, model], file,
        about + "Also the diagnosis to explain, and 'pdf' or 'png'. Returns a page to print: photograph, heat map, "
        "answers and plots.",
    )  # fmt: skip
