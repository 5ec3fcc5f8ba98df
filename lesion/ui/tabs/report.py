"""The tab "Model report": what `python -m lesion.evaluate` measured, read from report.json and never typed.

A report can come with a checkpoint of somebody else's, so every text of it is escaped, and a part that is not as
expected is replaced by a sentence instead of taking the others with it.
"""

import base64
import html
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.errors import UserError
from lesion.files import sha256
from lesion.metrics.metrics import RULES, rule_in_words
from lesion.model.checkpoint import CONFIG, REPORT
from lesion.report.figures import FIGURES
from lesion.ui.api import endpoint
from lesion.ui.html import charts, views
from lesion.ui.html.report_tables import (
    NOTHING,
    Column,
    Row,
    count,
    difference,
    in_hundred,
    measured,
    note,
    photographs,
    rate,
    table,
    three,
)

EVALUATE = "python -m lesion.evaluate --data PATH_TO_HAM10000 --checkpoint DIR"
MISSING = f"This checkpoint has no report yet. To measure it on the photographs it never saw, run “{EVALUATE}”."
OF_ANOTHER = (
    "This report is of another checkpoint, or of this one before it was changed: none of the figures below need hold "
    f"for the model that answers in this app. To measure it, run “{EVALUATE}”."
)
UNREADABLE = f"This part of the report is not in the form that this app reads. Run “{EVALUATE}” to write it anew."

VIEW_WORDS = {
    "fused": "with photograph and metadata",
    "image alone": "with the photograph alone",
    "metadata alone": "with age, sex and body site alone",
}
"""The report's views in words."""
METRICS = {
    "accuracy": "Accuracy",
    "weighted_f1": "Weighted F1",
    "macro_f1": "Macro F1",
    "balanced_accuracy": "Balanced accuracy",
    "log_loss": "Log-loss",
    "macro_auroc": "Macro AUROC",
    "malignant_auroc": "AUROC, malignant against benign",
    "melanoma_sensitivity_at_90_specificity": "Melanomas found at 90 % specificity",
    "melanoma_sensitivity_at_95_specificity": "Melanomas found at 95 % specificity",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
    "precision": "Precision",
    "recall": "Recall",
    "f1": "F1",
    "auroc": "AUROC",
    "average_precision": "Average precision",
}
"""Names for people, by the report's."""
LOWER_IS_BETTER = ("log_loss", "brier", "ece")
HEADLINE = (
    "dataset.accuracy",
    "dataset.weighted_f1",
    "uniform.balanced_accuracy",
    "log_loss",
    "macro_auroc",
    "malignant_auroc",
    "melanoma_sensitivity_at_90_specificity",
    "melanoma_sensitivity_at_95_specificity",
    "brier",
    "ece",
)
OTHER_RULE = (
    "uniform.accuracy",
    "uniform.weighted_f1",
    "uniform.macro_f1",
    "dataset.balanced_accuracy",
    "dataset.macro_f1",
)
PER_CLASS = ("precision", "recall", "f1")
RANKING = ("auroc", "average_precision")
BY_SUBGROUP = ("dataset.accuracy", "uniform.balanced_accuracy", "log_loss", "uniform.melanoma_recall")
FIELDS = {"sex": "Sex", "age": "Age, years", "site": "Body site", "dx_type": "How the diagnosis was confirmed"}
CONFIRMATIONS = {
    "histo": "under the microscope (histopathology)",
    "follow_up": "no change in follow-up",
    "consensus": "consensus of experts",
    "confocal": "confocal microscopy",
}
SYSTEM_METRICS = ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")
PUBLISHED_METRICS = ("accuracy", "weighted_f1", "balanced_accuracy")

STYLE = """
#model-report { min-height: 60vh; }
.report { font-size: var(--text-md); line-height: 1.45; }
.report > section { margin-top: 1.8rem; scroll-margin-top: .5rem; }
.report > section > .section:first-child h2 { margin-top: 0; }
.report p { line-height: 1.45; }
.report .section p { color: inherit; }
.report .section p, .report section > p, .report section > ul, .report dl { max-width: 62rem; }
.report section > p, .report section > ul { margin: .5rem 0 0; }
.report section > ul { padding-left: 1.2rem; }
.report section > ul li { list-style: disc; margin: .15rem 0; }
.report b { color: inherit; }
.report nav { display: flex; flex-wrap: wrap; gap: .4rem; }
.report nav a { padding: .2rem .7rem; border-radius: 1rem; font-size: var(--text-sm); color: inherit;
  text-decoration: none; border: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.report nav a:hover { border-color: var(--color-accent); }
.report nav a[download] { margin-left: auto; font-weight: 600; border-color: var(--color-accent); }
.report .problem { margin-bottom: .8rem; }
.report .chart { max-width: none; margin: .8rem 0 0; }
.report .stack { overflow-x: auto; }
.report .stack.few { max-width: 50rem; }
.report .stack table { table-layout: auto; }
.report .stack th, .report .stack td { vertical-align: top; font-variant-numeric: tabular-nums; }
.report .stack thead th { vertical-align: bottom; }
.report .stack thead .above { padding-bottom: 0; font-weight: 400;
  border-left: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
.report .stack .group th { padding-top: .9rem; font-weight: 700; }
.report .stack .label { display: none; }
.report .stack .interval, .report .stack small { font-size: var(--text-sm); white-space: nowrap;
  color: var(--body-text-color-subdued); }
.report .stack small { display: block; white-space: normal; }
.report .many .interval, .report .lines .interval { display: block; }
.report .stack .track { min-width: 7rem; max-width: 14rem; }
.report details { margin-top: .6rem; }
.report summary { cursor: pointer; font-weight: 600; }
.report dl { display: grid; grid-template-columns: minmax(9rem, 14rem) 1fr; gap: .3rem 1rem; margin: .5rem 0 0; }
.report dt { font-weight: 600; }
.report dd { margin: 0; }
.report .pictures { display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 34rem)); }
.report figure { margin: 0; }
.report figure img { display: block; width: 100%; height: auto; margin: 0; border-radius: 8px; background: #fff; }
.report details + p { margin: .6rem 0 0; }
@media (max-width: 1240px) {
  .report .stack.many { font-size: .875rem; }
  .report .stack .interval { white-space: normal; }
}
@media (max-width: 760px) {
  .report nav a[download] { margin-left: 0; }
  .report .stack table, .report .stack tbody, .report .stack tr, .report .stack th, .report .stack td {
    display: block; }
  .report .stack thead { display: none; }
  .report .stack th { padding: .1rem 0; font-weight: 700; }
  .report .stack th small { font-weight: 400; }
  .report .stack tbody tr { padding: .4rem 0; }
  .report .stack tbody tr.group { padding-top: 1.2rem; border: 0; font-size: 1.15em; }
  .report .stack td { display: grid; grid-template-columns: 2fr 3fr; gap: 0 .6rem; padding: .1rem 0; }
  .report .stack td.wide { display: block; }
  .report .lines .interval { display: inline; }
  .report .stack .interval { white-space: nowrap; }
  .report .stack .label { display: block; }
  .report .stack td > div { overflow-wrap: anywhere; }
  .report .stack.many tr { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .2rem .4rem;
    align-items: end; }
  .report .stack.many th, .report .stack.many td.wide { grid-column: 1 / -1; }
  .report .stack.many td { display: block; align-self: stretch; }
  .report .stack.many td[data-above] { grid-column-start: 1; }
  .report .stack.many td::before { content: attr(data-above) "\\00a0"; display: block; font-size: .9em; opacity: .9;
    white-space: nowrap; }
  .report .stack.many .label small { display: none; }
  .report .stack td.nothing { display: none; }
  .report dl { grid-template-columns: 1fr; gap: 0; }
  .report dd { margin-bottom: .5rem; }
}
"""
"""On a phone a table's row is a card, and each cell says its column's name; in a table of "many" columns three stand
side by side."""


class Section(NamedTuple):
    """A part of the tab.

    Attributes:
        key: its place in the page, "report-" and this.
        title: for people.
        needs: the keys of the report without which it is left out.
        render: (report, figure) → HTML, where figure(file name) is an HTML picture or nothing.
    """

    key: str
    title: str
    needs: tuple[str, ...]
    render: Callable[[dict, Callable[[str], str]], str]


def build(folder: Path, tab: gr.Tab) -> None:
    """Builds the tab inside the current gr.Tab.

    Args:
        folder: of the checkpoint; report.json and its figures are read anew whenever the tab is chosen.
        tab: whose selection fills it.
    """

    def model_report() -> dict:
        report = read_report(folder)
        if report is None:
            raise UserError(MISSING)
        return report if belongs(report, folder) else {"warning": OF_ANOTHER, **report}

    shown = gr.HTML(elem_id="model-report")
    tab.select(lambda: render(folder), None, shown, api_visibility="private", show_progress="minimal")
    endpoint(
        "model_report", model_report, [], gr.JSON(label="Answer", visible=False),
        "Gives the report on the checkpoint that answers here, as `python -m lesion.evaluate` wrote it: every metric "
        "on the test part with its 95 % interval, and what each one means. With a warning where it was written for "
        "another checkpoint.",
    )  # fmt: skip


def read_report(folder: Path) -> dict | None:
    """report.json of a checkpoint folder, None where there is none; what is no number in it is None too.

    Raises:
        UserError: it is damaged.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        return None
    except ValueError:  # no JSON, or no text
        report = None
    if not isinstance(report, dict):
        raise UserError(f"The checkpoint's {REPORT} is damaged. Run “{EVALUATE}” to write it anew.")
    return report


def belongs(report: dict, folder: Path) -> bool:
    """Whether the report is of the checkpoint it lies beside."""
    return report.get("checkpoint") == sha256(folder / CONFIG)


def render(folder: Path) -> str:
    """The whole tab.

    Args:
        folder: of the checkpoint.
    """
    try:
        report = read_report(folder)
    except UserError as error:
        return views.problem(str(error))
    if report is None:
        return views.placeholder(MISSING)
    warning = "" if belongs(report, folder) else views.problem(OF_ANOTHER)
    links, parts = [], []
    for section in SECTIONS:
        if any(key not in report for key in section.needs):
            continue
        try:
            content = section.render(report, lambda name: figure(folder, name))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):  # not written by this version
            content = views.section(section.title, "") + views.problem(UNREADABLE)
        if content:
            links.append(f'<a href="#report-{section.key}">{html.escape(section.title)}</a>')
            parts.append(f'<section id="report-{section.key}">{content}</section>')
    file = base64.b64encode((folder / REPORT).read_bytes()).decode()
    download = f'<a download="{REPORT}" href="data:application/json;base64,{file}">Download {REPORT}</a>'
    navigation = f'<nav aria-label="Parts of the report">{"".join(links)}{download}</nav>'
    return f'<div class="report">{warning}{navigation}{"".join(parts)}</div>'


def figure(folder: Path, name: str) -> str:
    """One of `lesion.report.figures.FIGURES` from the folder; nothing where it is missing."""
    path = folder / name
    if not path.exists():
        return ""
    source, title = views.data_uri(path.read_bytes(), "png"), html.escape(FIGURES[name].title)
    return f'<figure><img src="{source}" alt="{title}; its numbers are in {REPORT}"/></figure>'


def pictures(*figures: str) -> str:
    """Figures beside one another, below one another on a phone."""
    return f'<div class="pictures">{"".join(figures)}</div>' if any(figures) else ""


def metric_name(metric: str) -> str:
    """A metric of `lesion.metrics.scores.Scores.values` for people, as text."""
    return METRICS[metric.rpartition(".")[2]]


def definitions(report: dict, metrics: Sequence[str]) -> str:
    """What the metrics mean, folded up; nothing where the report does not say."""
    known = report.get("definitions", {})
    keys = [key for key in METRICS if key in {m.rpartition(".")[2] for m in metrics} and key in known]
    items = "".join(f"<dt>{html.escape(METRICS[key])}</dt><dd>{html.escape(known[key])}</dd>" for key in keys)
    return f"<details><summary>What these figures mean</summary><dl>{items}</dl></details>" if items else ""


def metrics_table(report: dict, columns: dict[str, dict], metrics: Sequence[str], differences: Sequence[str]) -> str:
    """A row a metric, with the rule it is decided under.

    Args:
        report: for the definitions.
        columns: by name, metrics as of `lesion.metrics.scores.Scores.with_intervals`.
        metrics: to show; those that no column has are left out.
        differences: the columns whose values are written with their sign.
    """
    rows = []
    for metric in metrics:
        if not any(metric in values for values in columns.values()):
            continue
        key = metric.rpartition(".")[2]
        rule = rule_in_words(metric)
        notes = [f"decided under {rule}" if rule in RULES.values() else "no decision: reads probabilities"]
        if key in LOWER_IS_BETTER:
            notes.append("lower is better")
        cells = [
            (difference if name in differences else measured)(values.get(metric)) for name, values in columns.items()
        ]
        head = metric_name(metric) + note("; ".join(notes))
        rows.append(Row(head, cells, report.get("definitions", {}).get(key, "")))
    return table([Column(name) for name in columns], {"": rows})


def overview(report: dict, figure: Callable[[str], str]) -> str:
    """What was measured, and the headline table."""
    images, lesions, rounds = report["images"], report["lesions"], report["bootstrap"]["rounds"]
    if report["split"] == "lesion":
        split = "It was set apart by lesion: all photographs of one lesion are on the same side."
    else:
        split = (
            "It was set apart by image, as in the published work: other photographs of the same lesions were learned "
            "from, which flatters every figure."
        )
    text = (
        f"{count(images)} photographs of {count(lesions)} skin lesions that the model did not learn from: the "
        f"{report['part']} part. {split} {report['note']}"
    )
    metrics = report["metrics"]
    columns = dict(metrics)
    differences = []
    if "fused minus image alone" in report:
        differences.append("fused − image alone")
        columns[differences[0]] = report["fused minus image alone"]
    of_100 = ", ".join(f"{in_hundred(m['dataset.accuracy'])} {VIEW_WORDS[name]}" for name, m in metrics.items())
    diagnoses = report[f"per class, {RULES['dataset']}"]
    common = max(diagnoses, key=lambda code: diagnoses[code]["images"])
    always = round(100 * diagnoses[common]["images"] / images)
    folded = metrics_table(report, columns, OTHER_RULE, differences)
    return (
        views.section("What was measured", text)
        + f"<p>Of 100 such photographs the model names the confirmed diagnosis for {of_100}. For comparison: always "
        f"answering {charts.name_of(common).lower()}, the most common one, would be right for {always}.</p>"
        "<p>The numbers in brackets are 95 % intervals: how far a figure moves when the lesions are drawn anew, with "
        f"replacement, {count(rounds)} times. They cover the choice of the test lesions, not the luck of a "
        "training.</p>"
        "<p>A probability becomes a decision by one of two rules, and each figure says which:</p><ul>"
        f"<li><b>{RULES['dataset']}</b>: the most probable diagnosis, where diagnoses are as common as in this "
        "collection. Made for accuracy; rare diagnoses are seldom named.</li>"
        f"<li><b>{RULES['uniform']}</b>: the most probable diagnosis, were all seven equally common. Made for balanced "
        "accuracy; rare diagnoses are named more often, and more often wrongly.</li></ul>"
        "<p>Some figures need no decision. <b>AUROC</b>, the area under the ROC curve, is how often a photograph with "
        "a diagnosis gets a higher probability of it than one without; 0.5 is chance. <b>Melanomas found at 90 % "
        "specificity</b>: by an alarm that leaves 90 of 100 other photographs in peace. Log-loss, Brier score and "
        "calibration error judge the probabilities themselves.</p>"
        + metrics_table(report, columns, HEADLINE, differences)
        + definitions(report, [*HEADLINE, *PER_CLASS, "auroc"])
        + f"<details><summary>Other averages, and each under the other rule</summary>{folded}"
        + f"{definitions(report, ['macro_f1'])}</details>"
    )


def diagnoses(report: dict, figure: Callable[[str], str]) -> str:
    """Each diagnosis by itself: figures, confusion matrices, ROC and precision-recall curves."""
    known = report.get("definitions", {})
    columns = [Column(METRICS[m], known.get(m, ""), f"under {rule}") for rule in RULES.values() for m in PER_CLASS]
    columns += [Column(METRICS[m], known.get(m, ""), "no decision") for m in RANKING]
    by_rule = [report[f"per class, {rule}"] for rule in RULES.values()]
    rows = []
    for code in CODES:
        images = by_rule[0][code]["images"]
        cells = ["no such photograph"]
        if images:
            cells = [measured(values[code][m]) for values in by_rule for m in PER_CLASS]
            cells += [measured(by_rule[0][code][m]) for m in RANKING]
        rows.append(Row(f"{views.marked(code)}{note(photographs(images))}", cells, BY_CODE[code].description))
    matrices = [
        charts.confusion(np.array(report[f"confusion matrix, {rule}"]), f"Decided under {rule}")
        for rule in RULES.values()
        if f"confusion matrix, {rule}" in report
    ]
    text = (
        "Recall: of the melanomas, how many are called melanoma? Precision: of those called melanoma, how many are? A "
        "rule can raise one at the cost of the other; F1 is one figure for both. AUROC and average precision judge the "
        "order in which the probabilities put the photographs, whatever the rule. Few photographs make wide intervals."
    )
    return (
        views.section("Each diagnosis", text)
        + table(columns, {"": rows}, kind="many")
        + definitions(report, [*PER_CLASS, *RANKING])
        + views.section("What is taken for what", "Rows: confirmed diagnosis. Columns: the model's answer.")
        + views.side_by_side(*matrices)
        + pictures(figure("roc.png"), figure("precision_recall.png"))
    )


def calibration(report: dict, figure: Callable[[str], str]) -> str:
    """Whether a probability of 70 % is right 70 times of 100."""
    columns = [
        Column(METRICS[m], report.get("definitions", {}).get(m, ""), "lower is better") for m in ("ece", "log_loss")
    ]
    groups = {
        f"With {name}": [
            Row(f"{when} calibration", [measured(both[when][m]) for m in ("ece", "log_loss")])
            for when in ("before", "after")
        ]
        for name, both in report["calibration"].items()
    }
    text = (
        "Where the model says 70 %, it should be right for 70 of 100 photographs. Calibration undoes the tilt that "
        "class weights give in training, and adjusts the model's confidence; it was fitted on the validation part. No "
        "rule decides here: the top diagnosis is the most probable one at data-set prevalence."
    )
    prior = ""
    if "nothing known" in report:
        gap = max(abs(row["probability"] - row["training prevalence"]) for row in report["nothing known"].values())
        prior = (
            "<p>With no photograph and nothing known, the model should answer how common each diagnosis was in "
            f"training. The largest of the seven gaps is {charts.number(100 * gap, 2)} percentage points.</p>"
        )
    figures = table(columns, groups, kind="few") + definitions(report, ("ece", "log_loss")) + prior
    return views.section("Probabilities that mean something", text) + views.side_by_side(
        f"<div>{figures}</div>", pictures(figure("reliability.png"))
    )


def subgroups(report: dict, figure: Callable[[str], str]) -> str:
    """For whom it works: every subgroup, or the sentence on why it cannot be judged."""
    names = {metric: "Melanomas found" if "recall" in metric else metric_name(metric) for metric in BY_SUBGROUP}
    known = report.get("definitions", {})
    columns = [
        Column(name, known.get(metric.rpartition(".")[2], ""), f"under {rule_in_words(metric)}")
        if "." in metric
        else Column(name, known.get(metric, ""), "no decision; lower is better")
        for metric, name in names.items()
    ]
    shares = charts.Axis(0, 1, 4, 96)
    groups = {}
    for field, values in report["subgroups"].items():
        rows = []
        for value, entry in values.items():
            melanomas = "1 melanoma" if entry["melanomas"] == 1 else f"{count(entry['melanomas'])} melanomas"
            lesions = "1 lesion" if entry["lesions"] == 1 else f"{count(entry['lesions'])} lesions"
            about = f"{photographs(entry['images'])} of {lesions}, {melanomas}; {entry['diagnoses']} of 7 diagnoses"
            head, cells = html.escape(CONFIRMATIONS.get(value, value)) + note(about), []
            if "too few" in entry:
                cells.append(html.escape(entry["too few"]))
            else:
                for metric in BY_SUBGROUP:
                    if metric not in entry:
                        cells.append(html.escape(entry.get("too few melanomas", NOTHING)))
                    elif metric == "log_loss":
                        cells.append(measured(entry[metric]))
                    else:
                        cells.append(measured(entry[metric]) + dot(shares, entry[metric]))
            rows.append(Row(head, cells))
        groups[FIELDS[field]] = rows
    text = (
        "The same figures for parts of the test part. Subgroups differ in how hard their lesions are, too: faces carry "
        "other diagnoses than feet, and balanced accuracy is the mean over those that occur. So a gap shows where the "
        "model errs more, not why. The data do not record skin colour, and most of it is light."
    )
    return views.section("For whom it works", text) + table(columns, groups, kind="lines")


def dot(axis: charts.Axis, entry: dict) -> str:
    """A value and its interval on a track, as HTML."""
    if None in (entry["value"], *entry["interval"]):
        return ""
    return (
        f'<span class="track" aria-hidden="true">{charts.whisker(axis, *entry["interval"])}'
        f'<span class="dot" style="left:{axis.at(entry["value"])}%"></span></span>'
    )


def conformal(report: dict, figure: Callable[[str], str]) -> str:
    """Sets of diagnoses that hold the confirmed one as often as promised."""
    found = report["conformal"]
    promised = {entry["promised"] for entry in found.values()}
    promise = " or ".join(f"{charts.number(100 * share)} %" for share in sorted(promised))
    sizes = [measured(entry["mean set size"], lambda size: charts.number(size, 2)) for entry in found.values()]
    rows = [
        Row("Sets that hold the confirmed diagnosis", [rate(entry["coverage"]) for entry in found.values()]),
        Row("Diagnoses in a set, on average", sizes),
        Row("Sets of one diagnosis", [rate(entry["sets of one diagnosis"]) for entry in found.values()]),
    ]
    by_class = []
    for code in CODES:
        entries = [entry["per class"][code] for entry in found.values()]
        cells = []
        for entry in entries:
            pooled = note("threshold of all diagnoses together: too few to have its own")
            cells.append(rate(entry) + (pooled if entry["pooled"] else "") if entry["images"] else "no such photograph")
        head = charts.name_of(code) + note(photographs(entries[0]["images"]))
        by_class.append(Row(head, cells))
    text = (
        f"Instead of one diagnosis the model can give a set, which is to hold the confirmed one for {promise} of the "
        "photographs (conformal prediction; thresholds from the validation part, one for each diagnosis that has "
        "lesions enough there). A sure model gives small sets. No decision rule is needed: sets are read off the "
        "probabilities at data-set prevalence."
    )
    columns = [Column(f"with {name}") for name in found]
    return views.section("Sets of diagnoses, and what they promise", text) + table(
        columns, {"": rows, "Sets that hold the confirmed diagnosis, by diagnosis": by_class}, kind="few"
    )


def novelty(report: dict, figure: Callable[[str], str]) -> str:
    """Whether pictures that are no dermoscopic photographs are told apart."""
    found = report["novelty"]
    kinds = {True: "Pictures with nothing of a lesion", False: "Pictures that resemble skin, tissue or a lesion"}
    groups: dict[str, list[Row]] = {title: [] for title in kinds.values()}
    for name, family in found["families"].items():
        groups[kinds[family["far"]]].append(Row(html.escape(name), [count(family["images"]), caught(family)]))
    text = (
        "The model knows seven diagnoses and answers with one of them whatever it is shown. A warning is to ring where "
        "the picture is no dermoscopic photograph. It can ring for good photographs, too: the false alarms."
    )
    false = rate(found["false alarms on test"])
    set_to = charts.percentage(found["false-alarm rate on validation"])
    return (
        views.section("Pictures that are no dermoscopic photographs", text)
        + f"<p>False alarms among the test photographs: {false}; the threshold was set for {set_to} on validation. "
        f"What is measured is {html.escape(found['method'])}.</p>"
        + table(
            [Column("Pictures"), Column("Warned of")],
            {title: rows for title, rows in groups.items() if rows},
            kind="few",
        )
    )


def caught(family: dict) -> str:
    """How many pictures of a family the warning rang for, as HTML."""
    value = family["caught"]
    if isinstance(value, dict):
        return rate(value)
    return NOTHING if value is None else f"<b>{charts.percentage(value)}</b>"


def explanations(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the heat maps lie on the lesion, and show what the answer hangs on."""
    found = report["explanations"]
    maps = []
    for name, figures in found["methods"].items():
        used = "in the tab Answer" if figures["offered"] else "measured only"
        cells = [
            rate(figures["energy"]),
            points(figures["energy minus centred Gaussian"]),
            rate(figures["pointing"]),
            points(figures["pointing minus centred Gaussian"]),
        ]
        maps.append(Row(html.escape(name) + note(used), cells))
    columns = [
        Column("inside the lesion", above="share of the map"),
        Column("more than the blob, points", above="share of the map"),
        Column("inside the lesion", above="hottest point"),
        Column("more than the blob, points", above="hottest point"),
    ]
    text = (
        f"A heat map is to lie on the lesion. In {photographs(found['images'])} of {count(found['lesions'])} lesions "
        "with a known outline, the share of each map inside it was counted, and whether its hottest point is. Lesions "
        "stand in the middle, so a blind blob there, as wide as the map, is the guess to beat; a map that is the same "
        f"everywhere has {charts.percentage(found['area share']['value'])} of itself inside. Explained is "
        f"{found['explained']}."
    )
    perturbed = found["deletion and insertion"]
    orders = [
        Row(html.escape(name), [measured(entry["deletion"]), measured(entry["insertion"])])
        for name, entry in perturbed["orders"].items()
    ]
    return (
        views.section("Are the heat maps right?", text)
        + table(columns, {"": maps})
        + "<p>A map is also to show what the answer hangs on: when its hottest places are blurred first, the "
        "probability of the diagnosis is to fall soon (deletion: lower is better); when they are uncovered first, it "
        "is to rise soon (insertion: higher is better). Both are the mean probability on the way, over "
        f"{photographs(perturbed['images'])}.</p>"
        + table([Column("Deletion"), Column("Insertion")], {"": orders}, kind="few")
    )


def points(entry: dict) -> str:
    """A difference of shares with its 95 % interval, as HTML: "+4.2 (2.7 to 5.7)"."""
    return measured(entry, lambda v: charts.number(100 * v, 1), lambda v: charts.signed(100 * v, 1))


def systems(report: dict, figure: Callable[[str], str]) -> str:
    """The reference systems side by side: `lesion.compare`'s document."""
    document = report["systems"]
    budget = document["budget"]
    trainings = "one training" if len(budget["seeds"]) == 1 else f"{len(budget['seeds'])} trainings"
    by_split: dict[str, list[Row]] = {}
    for system in document["systems"]:
        cells = [compared(system, metric) for metric in SYSTEM_METRICS]
        cells += [
            f"{system['parameters'] / 1e6:.1f}",
            charts.number(system["training_ms"], 1),
            charts.number(system["latency_ms"], 1),
        ]
        title = f"Split by {system['split']}: {count(system['images'])} test photographs"
        if system["split"] == "image":
            title += ", other photographs of the same lesions in training"
        by_split.setdefault(title, []).append(Row(html.escape(system["name"]), cells))
    published = []
    for row in document["published"]:
        cells = [three(row[m]) if m in row else NOTHING for m in PUBLISHED_METRICS]
        published.append(Row(html.escape(row["name"]), [*cells, *[NOTHING] * 3]))
    columns = [Column(metric_name(m), above=f"under {rule_in_words(m)}") for m in SYSTEM_METRICS]
    columns += [
        Column("Parameters, millions"),
        Column("Training, ms a photograph", "in a step with 32 on the CPU, bfloat16, reading no files"),
        Column("Answer, ms", "one photograph, on the CPU"),
    ]
    text = (
        f"Every system got the same budget: photographs of {budget['image_size']} × {budget['image_size']} pixels, "
        f"{budget['epochs']} epochs, the same recipe, {trainings} each, from {budget['start']}. A figure is the "
        "mean over the trainings. Its interval covers the choice of test lesions, not the luck of a training: that is "
        "seen in the figures of the single trainings. Below it, the difference of the first system minus this one. "
        "These are small trainings for a fair comparison, not what each system could reach."
    )
    return views.section("Beside the reference systems", text) + table(
        columns,
        {**by_split, "As published: split by image, other test photographs, their own decision rule": published},
    )


def compared(system: dict, metric: str) -> str:
    """A system's figure, each training's own, and what the first system has more, as HTML."""
    entry = system["metrics"][metric]
    out = measured(entry)
    if len(entry["seeds"]) > 1:
        out += f"<small>trainings: {', '.join(three(v) for v in entry['seeds'])}</small>"
    if "first minus this" in system:
        out += f"<small>first − this: {difference(system['first minus this'][metric])}</small>"
    return out


def against(report: dict, figure: Callable[[str], str]) -> str:
    """Another checkpoint on the same photographs."""
    other = report["against"]
    minus = "this one − the other"
    columns = {"this one": other["first"], "the other": other["second"], minus: other["first minus second"]}
    items = []
    for rule, tests in other["mcnemar"].items():
        test = tests["first image of each lesion"]
        p = "p &lt; 0.001" if test["p_value"] < 0.001 else f"p = {three(test['p_value'])}"
        items.append(
            f"<li>Decided under {html.escape(rule)}, one photograph a lesion: only this one right for "
            f"{count(test['first only'])}, only the other for {count(test['second only'])}; {p} (McNemar's exact "
            "test).</li>"
        )
    text = (
        f"{other['checkpoint']} ({other['backbone']}), a checkpoint that was trained with the same "
        "split, answered the same test photographs."
    )
    return (
        views.section("Beside another checkpoint", text)
        + metrics_table(report, columns, HEADLINE, [minus])
        + f"<ul>{''.join(items)}</ul>"
    )


def learning(report: dict, figure: Callable[[str], str]) -> str:
    """The learning curves, where there are any."""
    picture = figure("curves.png") if "learning" in report["curves"] else ""
    text = "Losses of training and validation, epoch by epoch, and how many validation photographs were named rightly."
    return picture and views.section("How it learned", text) + pictures(picture)


SECTIONS = (
    Section("overview", "What was measured", ("metrics",), overview),
    Section("diagnoses", "Each diagnosis", tuple(f"per class, {rule}" for rule in RULES.values()), diagnoses),
    Section("calibration", "Calibration", ("calibration",), calibration),
    Section("subgroups", "For whom it works", ("subgroups",), subgroups),
    Section("sets", "Sets of diagnoses", ("conformal",), conformal),
    Section("strangers", "Other pictures", ("novelty",), novelty),
    Section("explanations", "Heat maps", ("explanations",), explanations),
    Section("systems", "Reference systems", ("systems",), systems),
    Section("against", "Another checkpoint", ("against",), against),
    Section("learning", "Learning curves", ("curves",), learning),
)
