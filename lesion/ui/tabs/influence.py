"""The tab "Metadata influence": what age, sex and site did to the answer."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.processing_utils import save_bytes_to_cache

from lesion.data.diagnoses import CODES
from lesion.data.metadata import UNKNOWN, Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError, parse_number, shown
from lesion.inference.photograph_store import Photograph, PhotographStore
from lesion.teaching.cohort import Cohort
from lesion.teaching.handout import FORMATS, handout, render, sweep_csv
from lesion.teaching.influence import (
    PREVALENCES,
    SCALES,
    Influence,
    change_in_words,
    parse_prevalence,
    prevalence_in_words,
    smallest_change_in_words,
    switches_in_words,
)
from lesion.ui.api import as_given, endpoint, in_sentences
from lesion.ui.html import alarms, pieces
from lesion.ui.html import body_map as body
from lesion.ui.html.charts import contributions, roc_curve
from lesion.ui.inputs import Inputs, explained
from lesion.ui.tabs.answer import NEEDS_IMAGE

PREVALENCE_CHOICES = list(
    zip(("as in the data set", "all equal", "my own share of melanomas"), PREVALENCES, strict=True)
)
THRESHOLD = 20
"""Of the melanoma alarm at first, %."""


class InfluenceTab(NamedTuple):
    """What the page wires together.

    Attributes:
        controls: whose values `show` takes after its first three arguments.
        outputs: the components to fill.
        show: (photograph, record, diagnosis to explain, …) to the values of `outputs`.
        age_curve, body_map: two of the outputs, whose clicks carry an age and a site.
    """

    controls: list[Component]
    outputs: list[gr.HTML]
    show: Callable
    age_curve: gr.HTML
    body_map: gr.HTML


def parse_threshold(percentage: object) -> float:
    """The alarm's threshold, 0 to 1.

    Raises:
        UserError: no percentage.
    """
    return parse_number("Threshold", percentage, 0, 100, "%") / 100


def build(
    inputs: Inputs, store: PhotographStore, cohort: Cohort, truth_of: Callable[[bytes], str | None]
) -> InfluenceTab:
    """Builds the tab inside the current gr.Tab.

    Args:
        inputs: the left column.
        store: photographs and the predictor.
        cohort: the held-out images, for the alarm.
        truth_of: see `lesion.ui.tabs.answer.build`.
    """
    predictor = store.predictor
    training = predictor.config.calibration.prevalence

    def explain(photograph: Photograph, metadata: Metadata, target: str, choice: str, share: float) -> tuple:
        """The influence and the code of the diagnosis to explain."""
        influence = Influence(predictor, photograph.features, metadata, parse_prevalence(choice, share, training))
        return influence, explained(target, influence.three_answers["both"])

    def show(
        photograph: Photograph, metadata: Metadata, target: str, choice: str, share: float, scale: str, threshold: float
    ) -> tuple[str, ...]:
        influence, code = explain(photograph, metadata, target, choice, share)
        answers = influence.three_answers
        prevalences = {}
        for c in PREVALENCES:
            with suppress(UserError):  # a share still being typed is no reason to hide an answer that does not use it
                prevalences[c] = parse_prevalence(c, share, training)
        found = influence.at_prevalences(prevalences, "mel")
        rows = [
            (words, (training if prevalences[c] is None else prevalences[c])[CODES.index("mel")], found[c])
            for words, c in PREVALENCE_CHOICES
            if c in prevalences
        ]
        return (
            pieces.change(change_in_words(answers["image alone"], answers["both"], metadata)),
            contributions.side_by_side(answers),
            contributions.waterfall(influence.shapley(code, scale), code, scale),
            contributions.age_curve(influence.ages[1:], influence.age_curve, metadata.age, influence.switches),
            body.body_map(influence.by_site(code), code, metadata.site),
            contributions.site_table(
                influence.by_site_and_sex(code), code, metadata.site or UNKNOWN, metadata.sex or UNKNOWN
            ),
            pieces.change(smallest_change_in_words(influence.smallest_change, metadata)),
            alarms.alarm_here(found["dataset"], parse_threshold(threshold)) + alarms.by_prevalence(rows),
        )

    def show_alarm(choice: str, share: float, threshold: float) -> tuple[str, str]:
        try:
            prevalence, at = parse_prevalence(choice, share, training), parse_threshold(threshold)
        except UserError as error:
            return pieces.problem(str(error)), ""
        alarm = cohort.alarm(at, prevalence)
        return alarms.alarm(alarm, prevalence_in_words(prevalence)), roc_curve.roc(alarm, at)

    def case(image: str | None, age: str, sex: str, site: str) -> tuple[Photograph, Metadata]:
        if image is None:
            raise UserError(NEEDS_IMAGE)
        return store.get(image), Metadata(age, sex, site)

    def table_file(image, age, sex, site, prevalence, melanoma_share) -> str:
        influence, _ = explain(*case(image, age, sex, site), None, prevalence, melanoma_share)
        return save_bytes_to_cache(sweep_csv(influence).encode(), "sweep.csv", inputs.photo.GRADIO_CACHE)

    def handout_file(image, age, sex, site, diagnosis, prevalence, melanoma_share, kind) -> str:
        if kind not in tuple(FORMATS):
            raise UserError(f"Kind {shown(kind)} is not known; choose {' or '.join(FORMATS)}.")
        photograph, metadata = case(image, age, sex, site)
        influence, code = explain(photograph, metadata, diagnosis, prevalence, melanoma_share)
        heat = predictor.heat_map(photograph.features, predictor.predict(photograph.features, metadata), code)
        figure = handout(influence, read_image(image), heat, code, truth_of(photograph.key))
        return save_bytes_to_cache(render(figure, kind), f"handout.{kind}", inputs.photo.GRADIO_CACHE)

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
                    "If the patient were younger or older", "Everything else as it is. Click the plot to choose an age."
                )
            )
            curve = gr.HTML(js_on_load=contributions.AGE_SCRIPT, elem_id="age-curve")
    with gr.Row(equal_height=False):
        with gr.Column(scale=3, min_width=340):
            gr.HTML(
                pieces.section("If it were somewhere else", "The same photograph at another site. Click to choose one.")
            )
            figure = gr.HTML(js_on_load=body.SCRIPT, elem_id="body-map")
        with gr.Column(scale=2, min_width=340):
            gr.HTML(pieces.section("Site and sex together", "At the age chosen."))
            table = gr.HTML(elem_id="site-table")
            gr.HTML(
                pieces.section(
                    "The smallest change that flips the answer",
                    "Of all 855 combinations of age, sex and site: fewest fields changed, then fewest years.",
                )
            )
            smallest = gr.HTML(elem_id="smallest-change")
    gr.HTML(
        pieces.section(
            "Raising the alarm",
            "An alarm rings where the probability of melanoma, as in the data set, is at least the threshold. It rings "
            "for the same photographs wherever it is used; what an alarm means there is another matter. Counted on the "
            f"{len(cohort.table):,} photographs kept out of training (a third of them served to choose when to stop it "
            "and to calibrate), with age, sex and site; 95 % intervals by resampling lesions.",
        ),
        elem_id="alarm-section",
    )
    with gr.Row(equal_height=False, elem_id="alarm-row"):
        with gr.Column(min_width=340):
            threshold = gr.Slider(
                1, 99, THRESHOLD, step=1, label="Alarm at a melanoma probability of (%)", elem_id="threshold",
                interactive=True,
            )  # fmt: skip
            here = gr.HTML(elem_id="alarm-here")
            numbers, curve_of_thresholds = show_alarm("dataset", 2, THRESHOLD)
            alarm = gr.HTML(numbers, elem_id="alarm")
        with gr.Column(min_width=340):
            roc = gr.HTML(curve_of_thresholds, elem_id="roc")
    take = gr.HTML(pieces.section("Take it with you", "What this tab shows, for a notebook or for print."))
    with gr.Row():
        as_csv = gr.Button("All combinations (CSV)", elem_id="get-csv")
        as_pdf = gr.Button("Handout (PDF)", elem_id="get-pdf")
        as_png = gr.Button("Handout (PNG)", elem_id="get-png")
    download = gr.DownloadButton(visible="hidden", elem_id="download")

    for control in (prevalence, share, scale, threshold):
        control.preprocess = as_given
    gr.on(
        [prevalence.change, share.change, threshold.change], show_alarm, [prevalence, share, threshold], [alarm, roc],
        api_visibility="private", show_progress="hidden", trigger_mode="always_last",
    )  # fmt: skip

    for button, function, values in (
        (as_csv, table_file, [*inputs.record, prevalence, share]),
        (as_pdf, partial(handout_file, kind="pdf"), [*inputs.all, prevalence, share]),
        (as_png, partial(handout_file, kind="png"), [*inputs.all, prevalence, share]),
    ):
        button.click(
            in_sentences(function),
            values,
            download,
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=take,
        ).success(None, None, None, js="() => document.querySelector('#download').click()", api_visibility="private")

    answer = gr.JSON(label="Answer", visible=False)
    file = gr.File(label="File", visible=False)
    kind = gr.Textbox("pdf", label="Kind: pdf or png", visible=False)
    context = [prevalence, share]
    about = (
        "Give image, age, sex and body site as for /predict, how common the diagnoses are ('dataset', 'uniform' or "
        "'own') and, for 'own', the percentage of melanomas. "
    )

    def three_answers(image, age, sex, site, prevalence, melanoma_share) -> dict:
        photograph, metadata = case(image, age, sex, site)
        answers = explain(photograph, metadata, None, prevalence, melanoma_share)[0].three_answers
        return {**answers, "in words": change_in_words(answers["image alone"], answers["both"], metadata)}

    def shapley(image, age, sex, site, diagnosis, prevalence, melanoma_share, scale) -> dict:
        influence, code = explain(*case(image, age, sex, site), diagnosis, prevalence, melanoma_share)
        return {"diagnosis": code, "scale": scale, **vars(influence.shapley(code, scale))}

    def age_curve(image, age, sex, site, prevalence, melanoma_share) -> dict:
        influence, _ = explain(*case(image, age, sex, site), None, prevalence, melanoma_share)
        return {
            "ages": influence.ages[1:],
            "probabilities": dict(zip(CODES, influence.age_curve.T.tolist(), strict=True)),
            "switches": [vars(s) for s in influence.switches],
            "in words": switches_in_words(influence.switches),
        }

    def body_map(image, age, sex, site, diagnosis, prevalence, melanoma_share) -> dict:
        influence, code = explain(*case(image, age, sex, site), diagnosis, prevalence, melanoma_share)
        return {"diagnosis": code, "probabilities": influence.by_site_and_sex(code).to_dict("index")}

    def smallest_change(image, age, sex, site, prevalence, melanoma_share) -> dict:
        photograph, metadata = case(image, age, sex, site)
        found = explain(photograph, metadata, None, prevalence, melanoma_share)[0].smallest_change
        words = smallest_change_in_words(found, metadata)
        if found is None:
            return {"in words": words}
        return {
            **vars(found.metadata), "changed": found.changed, "years": found.years, "diagnosis": found.diagnosis,
            "probability": found.probability, "in words": words,
        }  # fmt: skip

    def melanoma_alarm(prevalence, melanoma_share, threshold) -> dict:
        found = cohort.alarm(parse_threshold(threshold), parse_prevalence(prevalence, melanoma_share, training))
        return {
            "sensitivity": found.sensitivity, "sensitivity interval": found.sensitivity_interval,
            "specificity": found.specificity, "specificity interval": found.specificity_interval,
            "melanoma share": found.melanoma_share,
            "melanomas among the alarms": None if np.isnan(found.positive_predictive_value) else
            found.positive_predictive_value,
            "melanomas among the others": None if np.isnan(found.missed) else found.missed,
        }  # fmt: skip

    endpoint(
        "three_answers", three_answers, [*inputs.record, *context], answer,
        about + "Gives the seven probabilities from the image alone, the metadata alone, and both, and the largest "
        "change in words.",
    )  # fmt: skip
    endpoint(
        "shapley", shapley, [*inputs.all, *context, scale], answer,
        about + "Also the diagnosis to explain and the scale ('probability' or 'log-odds'). Gives what the model "
        "answers with nothing known (start) and with everything (end), and the exact Shapley value of image, age, sex "
        "and site; start and the four add up to end.",
    )  # fmt: skip
    endpoint(
        "age_curve", age_curve, [*inputs.record, *context], answer,
        about + "Gives the seven probabilities at every age, sex and site as they are, and where the most probable "
        "diagnosis changes.",
    )  # fmt: skip
    endpoint(
        "body_map", body_map, [*inputs.all, *context], answer,
        about + "Also the diagnosis. Gives its probability with the lesion at each site, for each sex, at the given "
        "age.",
    )  # fmt: skip
    endpoint(
        "smallest_change", smallest_change, [*inputs.record, *context], answer,
        about + "Gives the nearest age, sex and site with another most probable diagnosis (fewest fields changed, then "
        "fewest years), or only the sentence that there is none.",
    )  # fmt: skip
    endpoint(
        "alarm", melanoma_alarm, [*context, threshold], answer,
        "Give how common the diagnoses are ('dataset', 'uniform' or 'own'), for 'own' the percentage of melanomas, and "
        "the probability of melanoma from which an alarm rings (%). Gives sensitivity and specificity on the held-out "
        "photographs with 95 % intervals, and the predictive values at that prevalence.",
    )  # fmt: skip
    endpoint(
        "sweep", table_file, [*inputs.record, *context], file,
        about + "Gives a CSV file with the seven probabilities for every age, sex and site.",
    )  # fmt: skip
    endpoint(
        "handout", handout_file, [*inputs.all, *context, kind], file,
        about + "Also the diagnosis to explain, and 'pdf' or 'png'. Gives a page to print: photograph, heat map, "
        "answers and plots.",
    )  # fmt: skip
    outputs = [change, three, waterfall, curve, figure, table, smallest, here]
    return InfluenceTab([prevalence, share, scale, threshold], outputs, show, curve, figure)
