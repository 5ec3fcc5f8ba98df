"""The tab "Model report"."""

import gradio as gr

from lesion.errors import UserError
from lesion.model.checkpoint import Checkpoint
from lesion.report.reading import belongs, read_report
from lesion.ui import confusion_cells
from lesion.ui.api import endpoint
from lesion.ui.html.charts import comparison
from lesion.ui.html.report.document import MISSING, OF_ANOTHER, OPEN_LINKED, SCRIPT, render
from lesion.ui.model_choice import ModelChoice
from lesion.ui.models import PerModel


def model_report(checkpoint: Checkpoint) -> dict:
    """What the endpoint answers."""
    folder = checkpoint.folder
    report = read_report(folder)
    if report is None:
        raise UserError(MISSING)
    return report if belongs(report, folder) else {"warning": OF_ANOTHER, **report}


def show(cells: confusion_cells.Cells) -> tuple[str, str]:
    """The report as HTML, and no cell's photographs any more."""
    checkpoint = cells.cohort.predictor.checkpoint
    return render(checkpoint.folder, checkpoint.config, cells.of_test_part), ""


def build(choice: ModelChoice, cells: PerModel[confusion_cells.Cells], tab: gr.Tab) -> gr.HTML:
    """Builds the tab inside the current gr.Tab.

    Args:
        choice: of the model; report.json and its figures are read again whenever the tab is chosen.
        cells: the photographs behind its confusion matrices.
        tab: whose selection fills it.

    Returns:
        The list of photographs behind a cell, whose clicks carry an image id.
    """
    checkpoints = choice.models.each(lambda m: m.predictor.checkpoint)
    shown = gr.HTML(js_on_load=SCRIPT + comparison.CELLS_SCRIPT, elem_id="model-report")
    behind = confusion_cells.build(choice, cells, shown, "report-cell")
    filled = choice.when_in_view(
        tab, cells.asked(show), [choice.control], [shown, behind], api_visibility="private", show_progress="minimal",
        trigger_mode="always_last",
    )  # fmt: skip
    for event in filled:
        event.then(None, None, None, js=OPEN_LINKED, api_visibility="private")
    endpoint(
        "model_report", checkpoints.asked(model_report), [choice.control], gr.JSON(label="Answer", visible=False),
        "Returns the report on the checkpoint that answers here, as `python -m lesion.evaluate` wrote "
        "it: every metric on the test part with its 95 % interval, and what each one means. It has a warning where it "
        "was written for another checkpoint.",
    )  # fmt: skip
    return behind
