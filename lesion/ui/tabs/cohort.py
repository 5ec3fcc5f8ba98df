"""The tab "Cohort": the held-out photographs as a whole."""

from functools import lru_cache

import gradio as gr
import numpy as np

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS, SEXES, SITES, UNKNOWN, parse_inputs
from lesion.errors import UserError
from lesion.metrics.scores import Difference
from lesion.teaching.cohort import AGE_BANDS, ANY, PARTS, Cohort, Comparison, Subgroup, check_rule
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import cases, pieces
from lesion.ui.html.charts import comparison

RULE_CHOICES = [("as in the data set", "dataset"), ("all equally common", "uniform")]


def build(cohort: Cohort, photographs: HeldOutPhotographs, tab: gr.Tab) -> tuple[gr.CheckboxGroup, list[gr.HTML]]:
    """Builds the tab inside the current gr.Tab.

    Args:
        cohort: the held-out images.
        photographs: their small copies, as far as there are any.
        tab: whose selection fills the views for the first time.

    Returns:
        The control of what the chosen model may use, and the lists of cases, whose clicks carry an image id.
    """
    compare, importance = lru_cache(256)(cohort.compare), lru_cache(256)(cohort.importance)

    def compared(used, shuffled, sex, age_band, site, diagnosis, part, rule) -> Comparison:
        check_rule(rule)  # before it becomes part of a key
        subgroup = Subgroup(sex, age_band, site, diagnosis, part)
        return compare(parse_inputs("Inputs", used), parse_inputs("Shuffled", shuffled), subgroup, rule)

    def importance_numbers(sex, age_band, site, diagnosis, part, rule) -> dict:
        check_rule(rule)
        return importance(Subgroup(sex, age_band, site, diagnosis, part), rule)

    def show(used: list, shuffled: list, *others: str) -> tuple[str, ...]:
        try:
            found = compared(used, shuffled, *others)
        except UserError as error:
            return pieces.problem(str(error)), "", "", "", ""
        chosen = in_words(used, shuffled)
        return (
            cases.cohort_summary(found, chosen),
            comparison.differences(found.differences, "full model", "chosen model"),
            pieces.side_by_side(
                comparison.confusion(found.confusions["full"], "Full model: image, age, sex and site"),
                comparison.confusion(found.confusions["chosen"], f"Chosen model: {chosen}"),
            ),
            cases.cases(found.rescued, photographs, f"Right with everything, wrong with {chosen}"),
            cases.cases(found.ruined, photographs, f"Right with {chosen}, wrong with everything"),
        )

    def show_importance(*subgroup_and_rule: str) -> str:
        try:
            return comparison.importances(importance_numbers(*subgroup_and_rule))
        except UserError as error:
            return pieces.problem(str(error))

    def cohort_numbers(used, shuffled, sex, age_band, site, diagnosis, part, rule) -> dict:
        found = compared(used, shuffled, sex, age_band, site, diagnosis, part, rule)
        return {
            "images": found.images,
            "lesions": found.lesions,
            "too few to judge": found.too_few,
            "differences": {name: plain(difference) for name, difference in found.differences.items()},
            "confusion matrices": {name: matrix.tolist() for name, matrix in found.confusions.items()},
            "diagnoses": CODES,
            "right with everything only": found.rescued.replace({np.nan: None}).to_dict("records"),
            "right with the chosen inputs only": found.ruined.replace({np.nan: None}).to_dict("records"),
        }

    gr.HTML(
        pieces.section(
            f"{len(cohort.table):,} photographs kept out of training",
            "Take inputs away from the model, or shuffle them among the lesions, and see what is lost against the full "
            "model. A third of the photographs (the validation part) served to choose when to stop training and to "
            "calibrate; the test part alone is the stricter judge.",
        )
    )
    with gr.Row():
        used = gr.CheckboxGroup(list(INPUTS), value=["image"], label="The chosen model may use", elem_id="used")
        shuffled = gr.CheckboxGroup(list(INPUTS), label="Shuffled among the lesions", elem_id="shuffled")
        rule = gr.Radio(RULE_CHOICES, value="dataset", label="Decide as if diagnoses were", elem_id="rule")
    with gr.Row():
        sex = gr.Dropdown([ANY, *SEXES, UNKNOWN], value=ANY, label="Only sex", elem_id="only-sex", min_width=120)
        bands = [ANY, *AGE_BANDS, UNKNOWN]
        age_band = gr.Dropdown(bands, value=ANY, label="Only age", elem_id="only-age", min_width=120)
        site = gr.Dropdown([ANY, *SITES, UNKNOWN], value=ANY, label="Only site", elem_id="only-site", min_width=120)
        diagnoses = [(ANY, ANY), *((d.name, d.code) for d in DIAGNOSES)]
        diagnosis = gr.Dropdown(diagnoses, value=ANY, label="Only diagnosis", elem_id="only-diagnosis", min_width=160)
        part = gr.Dropdown([ANY, *PARTS], value=ANY, label="Only part", elem_id="only-part", min_width=120)
    summary = gr.HTML(pieces.change("Counting …"), elem_id="cohort-summary")
    differences = gr.HTML(elem_id="differences")
    gr.HTML(
        pieces.section(
            "What each input is worth",
            "Permutation importance (Breiman, 2001): what the full model loses when one input is shuffled among the "
            "lesions of the subgroup, mean of five shuffles.",
        )
    )
    importances = gr.HTML(elem_id="importances")
    gr.HTML(pieces.section("What is taken for what", "Rows: confirmed diagnosis. Columns: the model's answer."))
    confusions = gr.HTML(elem_id="confusions")
    gr.HTML(
        pieces.section(
            "Cases that changed",
            "One photograph a lesion, the largest change first: its confirmed diagnosis, and how probable the chosen "
            "model → the full model found that. Click one to open it in Answer, where diagnoses are as common as in "
            "the data set.",
        )
    )
    with gr.Row(equal_height=False):
        with gr.Column(min_width=340):
            rescued = gr.HTML(js_on_load=cases.CASES_SCRIPT, elem_id="rescued")
        with gr.Column(min_width=340):
            ruined = gr.HTML(js_on_load=cases.CASES_SCRIPT, elem_id="ruined")

    subgroup = [sex, age_band, site, diagnosis, part]
    for control in (used, shuffled, *subgroup, rule):
        control.preprocess = as_given
    controls, outputs = [used, shuffled, *subgroup, rule], [summary, differences, confusions, rescued, ruined]
    options = {"api_visibility": "private", "show_progress": "minimal", "trigger_mode": "always_last"}
    gr.on([tab.select, *(control.change for control in controls)], show, controls, outputs, **options)
    gr.on(
        [tab.select, *(control.change for control in (*subgroup, rule))], show_importance, [*subgroup, rule],
        importances, **options,
    )  # fmt: skip

    answer = gr.JSON(label="Answer", visible=False)
    about = (
        f"Give a subgroup of the held-out photographs (sex; age band: {', '.join(AGE_BANDS)}; site; confirmed "
        f"diagnosis, a code; part: validation or test; each '{ANY}' to leave it open) and how common the model takes "
        "the diagnoses to be: 'dataset' or 'uniform'. "
    )
    endpoint(
        "cohort", cohort_numbers, controls, answer,
        "Give the inputs that the chosen model may use, and those of them that are shuffled among the lesions (lists "
        f"of {', '.join(INPUTS)}). {about}Gives accuracy, balanced accuracy and recalls of the full and the chosen "
        "model, each difference (chosen − full) with a 95 % bootstrap interval by lesion, confusion matrices, and the "
        "cases that only one of them gets right.",
    )  # fmt: skip
    endpoint(
        "importance", importance_numbers, [*subgroup, rule], answer,
        about + "Gives the permutation importance of each input with 95 % intervals: accuracy and balanced accuracy "
        "lost, log-loss added (nats).",
    )  # fmt: skip
    return used, [rescued, ruined]


def in_words(used: list[str], shuffled: list[str]) -> str:
    """The chosen model's inputs: "image and shuffled age"."""
    names = [f"shuffled {name}" if name in shuffled else name for name in INPUTS if name in used]
    if not names:
        return "nothing"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) + (" alone" if len(names) == 1 else "")


def plain(difference: Difference) -> dict:
    """A difference as JSON can hold it: None for a class without images."""
    values = [difference.first, difference.second, difference.difference, *difference.interval]
    full, chosen, change, low, high = (None if np.isnan(v) else v for v in values)
    return {"full": full, "chosen": chosen, "difference": change, "interval": [low, high]}
