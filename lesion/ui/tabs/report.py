"""The tab "Model report"."""

import gradio as gr

from lesion.errors import UserError
from lesion.model.checkpoint import Checkpoint
from lesion.report.reading import belongs, read_report
from lesion.ui import confusion_cells
from lesion.ui.api import in_sentences
from lesion.ui.html.charts import comparison
from lesion.ui.html.report.document import MISSING, OF_ANOTHER, OPEN_LINKED, SCRIPT, render


def build(checkpoint: Checkpoint, tab: gr.Tab, cells: confusion_cells.Cells) -> gr.HTML:
    """Builds the tab inside the current gr.Tab.

    Args:
        checkpoint: report.json and its figures are read again whenever the tab is chosen.
        tab: whose selection fills it.
        cells: the photographs behind its confusion matrices.

    Returns:
        The list of photographs behind a cell, whose clicks carry an image id.
    """
    folder = checkpoint.folder

    def model_report() -> dict:
        report = read_report(folder)
        if report is None:
            raise UserError(MISSING)
        return report if belongs(report, folder) else {"warning": OF_ANOTHER, **report}

    shown = gr.HTML(js_on_load=SCRIPT + comparison.CELLS_SCRIPT, elem_id="model-report")
    behind = confusion_cells.build(cells, shown, "report-cell")
    tab.select(
        lambda: (render(folder, checkpoint.config, cells.of_test_part), ""), None, [shown, behind],
        api_visibility="private", show_progress="minimal",
    ).then(None, None, None, js=OPEN_LINKED, api_visibility="private")  # fmt: skip
    gr.api(
        in_sentences(model_report), api_name="model_report",
        api_description="Returns the report on the checkpoint that answers here, as `python -m lesion.evaluate` wrote "
        "it: every metric on the test part with its 95 % interval, and what each one means. It has a warning where it "
        "was written for another checkpoint.",
    )  # fmt: skip
    return behind
