"""The report's sections on how often the model is right: overview, each diagnosis, subgroups, training."""

import html
from collections.abc import Callable

import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.metrics.metrics import RULES, rule_in_words
from lesion.ui.html import cases, pieces, svg, wording
from lesion.ui.html.charts import comparison, tracks
from lesion.ui.html.report.figures import pictures
from lesion.ui.html.report.metric_tables import (
    HEADLINE,
    METRICS,
    OTHER_RULE,
    PER_CLASS,
    RANKING,
    VIEW_WORDS,
    definitions,
    metric_name,
    metrics_table,
)
from lesion.ui.html.report.tables import (
    NOTHING,
    Column,
    Row,
    count,
    in_hundred,
    measured,
    note,
    photographs,
    table,
)

BY_SUBGROUP = ("dataset.accuracy", "uniform.balanced_accuracy", "log_loss", "uniform.melanoma_recall")
FIELDS = {"sex": "Sex", "age": "Age, years", "site": "Body site", "dx_type": "How the diagnosis was confirmed"}

COUNTED = "counted by the app"
"""Not in report.json: `lesion.ui.html.report.document.render` adds the confusion matrices as the app counts them."""
CLOSED = (
    "A number that is not underlined does not open: the app counts another one there, since two diagnoses that are "
    "almost equally probable may be decided differently on another machine."
)


def overview(report: dict, figure: Callable[[str], str]) -> str:
    """What was measured, and the headline table."""
    images, lesions, rounds = report["images"], report["lesions"], report["bootstrap"]["rounds"]
    if report["split"] == "lesion":
        split = "The data were split by lesion: all photographs of one lesion are on the same side."
    else:
        split = (
            "The data were split by image, as in the published work: other photographs of the same lesions were used "
            "in training, which makes every figure look better than it is."
        )
    text = (
        f"{count(images)} photographs of {count(lesions)} skin lesions that were not used in training: the "
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
        pieces.introduction(text)
        + f"<p>Of 100 such photographs the model names the confirmed diagnosis for {of_100}. For comparison: always "
        f"answering {wording.name_of(common).lower()}, the most common one, would be right for {always}.</p>"
        "<p>The numbers in brackets are 95 % intervals, from resampling the lesions with replacement "
        f"{count(rounds)} times. They cover the choice of the test lesions, not the chance in a training.</p>"
        "<p>One of two rules turns the probabilities into a decision, and each figure says which:</p><ul>"
        f"<li><b>{RULES['dataset']}</b>: the most probable diagnosis, where diagnoses are as common as in this "
        "collection. It suits accuracy; rare diagnoses are seldom named.</li>"
        f"<li><b>{RULES['uniform']}</b>: the diagnosis that would be most probable if all seven were equally common. "
        "It suits balanced accuracy; rare diagnoses are named more often, and more often wrongly.</li></ul>"
        "<p>Some figures need no decision. <b>AUROC</b>, the area under the ROC curve, is how often a photograph with "
        "a diagnosis gets a higher probability of it than one without; 0.5 is chance. <b>Melanomas found at 90 % "
        "specificity</b>: the share found by an alarm that flags 10 of 100 other photographs. Log-loss, Brier score "
        "and calibration error judge the probabilities themselves.</p>"
        + metrics_table(report, columns, HEADLINE, differences)
        + definitions(report, [*HEADLINE, *PER_CLASS, "auroc"])
        + f"<details><summary>Other averages, and figures under the other rule</summary>{folded}"
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
        rows.append(Row(f"{pieces.marked(code)}{note(photographs(images))}", cells, BY_CODE[code].description))
    text = (
        "Recall: how many of the melanomas are called melanoma? Precision: how many of those called melanoma are "
        "melanomas? A rule can raise one at the cost of the other; F1 combines both. AUROC and average precision judge "
        "how the probabilities rank the photographs and do not depend on the rule. Few photographs give wide intervals."
    )
    return (
        pieces.introduction(text)
        + table(columns, {"": rows}, kind="many")
        + definitions(report, [*PER_CLASS, *RANKING])
        + confusion_matrices(report)
        + pictures(figure("roc.png"), figure("precision_recall.png"))
    )


def confusion_matrices(report: dict) -> str:
    """The confusion matrix under each rule; cells open the photographs behind them where the app counts as many."""
    how, matrices = [comparison.ROWS], []
    for rule, words in RULES.items():
        if f"confusion matrix, {words}" not in report:
            continue
        matrix, title = np.array(report[f"confusion matrix, {words}"]), f"Decided under {words}"
        counted = report.get(COUNTED, {}).get(rule)
        if counted is None:
            matrices.append(comparison.confusion(matrix, title))
            continue
        same = matrix == np.array(counted)
        how += [comparison.HOW] if same.all() else [comparison.HOW, CLOSED]
        matrices.append(comparison.confusion(matrix, title, cases.of_test_part(rule), same))
    text = " ".join(dict.fromkeys(how))
    return f"<h3>Confusion matrices</h3><p>{html.escape(text)}</p>{pieces.side_by_side(*matrices)}"


def subgroups(report: dict, figure: Callable[[str], str]) -> str:
    """Results by subgroup: each of them, or the sentence on why it cannot be judged."""
    names = {metric: "Melanomas found" if "recall" in metric else metric_name(metric) for metric in BY_SUBGROUP}
    known = report.get("definitions", {})
    columns = [
        Column(name, known.get(metric.rpartition(".")[2], ""), f"under {rule_in_words(metric)}")
        if "." in metric
        else Column(name, known.get(metric, ""), "no decision; lower is better")
        for metric, name in names.items()
    ]
    shares = svg.Axis(0, 1, 4, 96)
    groups = {}
    for field, values in report["subgroups"].items():
        rows = []
        for value, entry in values.items():
            melanomas = "1 melanoma" if entry["melanomas"] == 1 else f"{count(entry['melanomas'])} melanomas"
            lesions = "1 lesion" if entry["lesions"] == 1 else f"{count(entry['lesions'])} lesions"
            about = f"{photographs(entry['images'])} of {lesions}, {melanomas}; {entry['diagnoses']} of 7 diagnoses"
            head, cells = html.escape(wording.CONFIRMATIONS.get(value, value)) + note(about), []
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
        "The same figures for subgroups of the test part. Subgroups also differ in how difficult their lesions are: "
        "the diagnoses on faces differ from those on feet, and balanced accuracy averages over the diagnoses that "
        "occur. So a gap shows where the model makes more errors, not why. The data do not record skin colour; most "
        "of the skin is light."
    )
    return pieces.introduction(text) + table(columns, groups, kind="lines")


def dot(axis: svg.Axis, entry: dict) -> str:
    """A value and its interval on a track, as HTML."""
    if None in (entry["value"], *entry["interval"]):
        return ""
    return (
        f'<span class="track" aria-hidden="true">{tracks.whisker(axis, *entry["interval"])}'
        f'<span class="dot" style="left:{axis.at(entry["value"])}%"></span></span>'
    )


def learning(report: dict, figure: Callable[[str], str]) -> str:
    """The learning curves, where there are any."""
    picture = figure("curves.png") if "learning" in report["curves"] else ""
    text = "Training and validation loss by epoch, and the share of validation photographs named correctly."
    return picture and pieces.introduction(text) + pictures(picture)
