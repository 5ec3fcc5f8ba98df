"""The tab "Cohort": the held-out photographs as a whole."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import gradio as gr
import numpy as np
from gradio.components import Component

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS, SEXES, SITES, UNKNOWN, parse_inputs
from lesion.errors import UserError
from lesion.metrics.scores import Difference
from lesion.teaching.cases import Cell, inputs_in_words
from lesion.teaching.cohort import AGE_BANDS, ANY, PARTS, Cohort, Comparison, Subgroup, check_rule
from lesion.ui import confusion_cells
from lesion.ui.api import as_given, endpoint
from lesion.ui.html import cases, pieces
from lesion.ui.html.charts import comparison
from lesion.ui.material import Material
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel

RULE_CHOICES = [("as in the data set", "dataset"), ("all equally common", "uniform")]


@dataclass(frozen=True)
class Views:
    """What the tab shows, and what its endpoints answer. The parameters' names are those of the API.

    Attributes:
        cohort: the held-out images.
        photographs: their small copies, as far as there are any.
    """

    cohort: Cohort
    photographs: HeldOutPhotographs

    @cached_property
    def compare_once(self) -> Callable:
        """`Cohort.compare`, whose latest results are kept."""
        return lru_cache(256)(self.cohort.compare)

    @cached_property
    def importance_once(self) -> Callable:
        """`Cohort.importance`, whose latest results are kept."""
        return lru_cache(256)(self.cohort.importance)

    def compared(self, used, shuffled, sex, age_band, site, diagnosis, part, rule) -> Comparison:
        """The chosen model against the full one."""
        check_rule(rule)  # before it becomes part of a key
        subgroup = Subgroup(sex, age_band, site, diagnosis, part)
        return self.compare_once(parse_inputs("Inputs", used), parse_inputs("Shuffled", shuffled), subgroup, rule)

    def show(self, used: list, shuffled: list, *others: str) -> tuple[str, ...]:
        """Summary, differences, confusion matrices, no cell's photographs any more, and the two lists of cases."""
        try:
            found = self.compared(used, shuffled, *others)
        except UserError as error:
            return pieces.problem(str(error)), "", "", "", "", ""
        *subgroup, rule = others

        def of_cell(matrix: str) -> dict:
            return cases.counted(Cell(matrix, *CODES[:2], used, shuffled, Subgroup(*subgroup), rule))

        chosen = inputs_in_words(used, shuffled)
        return (
            cases.cohort_summary(found, chosen),
            comparison.differences(found.differences, "full model", "chosen model"),
            pieces.side_by_side(
                comparison.confusion(found.confusions["full"], "Full model: image, age, sex and site", of_cell("full")),
                comparison.confusion(found.confusions["chosen"], f"Chosen model: {chosen}", of_cell("chosen")),
            ),
            "",
            cases.cases(found.rescued, self.photographs, f"Right with all inputs, wrong with {chosen}"),
            cases.cases(found.ruined, self.photographs, f"Right with {chosen}, wrong with all inputs"),
        )

    def show_importance(self, *subgroup_and_rule: str) -> str:
        """What each input is worth."""
        try:
            return comparison.importances(self.importance(*subgroup_and_rule))
        except UserError as error:
            return pieces.problem(str(error))

    def importance(self, sex, age_band, site, diagnosis, part, rule) -> dict:
        check_rule(rule)
        return self.importance_once(Subgroup(sex, age_band, site, diagnosis, part), rule)

    def numbers(self, used, shuffled, sex, age_band, site, diagnosis, part, rule) -> dict:
        found = self.compared(used, shuffled, sex, age_band, site, diagnosis, part, rule)
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


def about(material: Material) -> str:
    """How many held-out photographs there are, and which model answers about them."""
    return pieces.section(
        f"{len(material.cohort.table):,} photographs kept out of training",
        f"{material.in_words} answers. Take inputs away from it, or shuffle them among the lesions, and see what is "
        "lost against the full model. A third of the photographs (the validation part) were used for early stopping "
        "and calibration; the test part alone is the stricter judge.",
    )


def build(
    choice: ModelChoice, cells: PerModel[confusion_cells.Cells], tab: gr.Tab
) -> tuple[gr.CheckboxGroup, list[gr.HTML]]:
    """Builds the tab inside the current gr.Tab.

    Args:
        choice: of the model.
        cells: the photographs behind its confusion matrices.
        tab: whose selection fills the views for the first time.

    Returns:
        The control of what the chosen model may use, and the lists of cases, whose clicks carry an image id.
    """
    views = choice.models.each(lambda m: Views(m.cohort, m.photographs))
    choice.text(about, elem_id="cohort-about")
    used, shuffled, subgroup, rule = build_controls()
    outputs, importances = build_views(choice, cells)
    controls = [used, shuffled, *subgroup, rule]
    for control in controls:
        control.preprocess = as_given
    options = {"api_visibility": "private", "show_progress": "minimal", "trigger_mode": "always_last"}
    show, asked = views.asked(Views.show), [*controls, choice.control]
    gr.on([control.change for control in controls], show, asked, outputs, **options)
    choice.when_in_view(tab, show, asked, outputs, **options)
    show, asked = views.asked(Views.show_importance), [*subgroup, rule, choice.control]
    gr.on([control.change for control in (*subgroup, rule)], show, asked, [importances], **options)
    choice.when_in_view(tab, show, asked, [importances], **options)
    add_endpoints(views, [*controls, choice.control])
    confusion_cells.add_endpoint(choice, cells, controls)
    return used, outputs[-3:]


def build_controls() -> tuple[gr.CheckboxGroup, gr.CheckboxGroup, list[gr.Dropdown], gr.Radio]:
    """What the chosen model may use, what is shuffled, the subgroup, and how it decides."""
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
    return used, shuffled, [sex, age_band, site, diagnosis, part], rule


def build_views(choice: ModelChoice, cells: PerModel[confusion_cells.Cells]) -> tuple[list[gr.HTML], gr.HTML]:
    """What `Views.show` fills, and what `Views.show_importance` fills."""
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
    gr.HTML(pieces.section("Confusion matrices", f"{comparison.ROWS} {comparison.HOW}"))
    confusions = gr.HTML(js_on_load=comparison.CELLS_SCRIPT, elem_id="confusions")
    behind = confusion_cells.build(choice, cells, confusions, "cohort-cell")
    gr.HTML(
        pieces.section(
            "Cases that changed",
            "One photograph of each lesion, the largest change first: its confirmed diagnosis, and the probability of "
            "that diagnosis by the chosen model → by the full model. Click a case to open it in the tab Answer, where "
            "diagnoses are as common as in the data set.",
        )
    )
    with gr.Row(equal_height=False):
        with gr.Column(min_width=340):
            rescued = gr.HTML(js_on_load=cases.CASES_SCRIPT, elem_id="rescued")
        with gr.Column(min_width=340):
            ruined = gr.HTML(js_on_load=cases.CASES_SCRIPT, elem_id="ruined")
    return [summary, differences, confusions, behind, rescued, ruined], importances


def add_endpoints(views: PerModel[Views], controls: list[Component]) -> None:
    """The tab's endpoints."""
    answer = gr.JSON(label="Answer", visible=False)
    about = (
        f"Give a subgroup of the held-out photographs (sex; age band: {', '.join(AGE_BANDS)}; site; confirmed "
        f"diagnosis, a code; part: validation or test; each '{ANY}' to leave it open) and how common the model takes "
        "the diagnoses to be: 'dataset' or 'uniform'. "
    )
    endpoint(
        "cohort", views.asked(Views.numbers), controls, answer,
        "Give the inputs that the chosen model may use, and those of them that are shuffled among the lesions (lists "
        f"of {', '.join(INPUTS)}). {about}Returns accuracy, balanced accuracy and recalls of the full and the chosen "
        "model, each difference (chosen − full) with a 95 % bootstrap interval by lesion, confusion matrices, and the "
        "cases that only one of them gets right.",
    )  # fmt: skip
    endpoint(
        "importance", views.asked(Views.importance), controls[2:], answer,
        about + "Returns the permutation importance of each input with 95 % intervals: accuracy and balanced accuracy "
        "lost, log-loss added (nats).",
    )  # fmt: skip


def plain(difference: Difference) -> dict:
    """A difference as JSON can hold it: None for a class without images."""
    values = [difference.first, difference.second, difference.difference, *difference.interval]
    full, chosen, change, low, high = (None if np.isnan(v) else v for v in values)
    return {"full": full, "chosen": chosen, "difference": change, "interval": [low, high]}
