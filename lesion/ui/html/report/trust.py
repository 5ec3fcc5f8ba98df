"""The report's sections on what can be relied on: probabilities, prediction sets, warnings, heat maps."""

import html
from collections.abc import Callable

from lesion.data.diagnoses import CODES
from lesion.model.conformal import CONFIDENCE, MOST_DIAGNOSES
from lesion.ui.html import pieces, wording
from lesion.ui.html.report.figures import pictures
from lesion.ui.html.report.metric_tables import METRICS, definitions
from lesion.ui.html.report.tables import (
    NOTHING,
    Column,
    Row,
    count,
    measured,
    note,
    photographs,
    points,
    rate,
    table,
)


def calibration(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the model is right 70 times out of 100 where it says 70 %."""
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
        "Where the model says 70 %, it should be right for 70 of 100 photographs. Calibration corrects for the class "
        "weights used in training, and adjusts the model's confidence; it was fitted on the validation part. No "
        "decision rule is needed here: the diagnosis is the most probable one at data-set prevalence."
    )
    prior = ""
    if "nothing known" in report:
        gap = max(abs(row["probability"] - row["training prevalence"]) for row in report["nothing known"].values())
        prior = (
            "<p>With no photograph and nothing known, the model should answer with the prevalence of each diagnosis in "
            f"training. The largest of the seven gaps is {wording.number(100 * gap, 2)} percentage points.</p>"
        )
    per_class = {
        f"With {name}": [
            Row(pieces.marked(code) + note(photographs(e["images"])), [measured(e)]) for code, e in of.items()
        ]
        for name, of in report.get("calibration per class", {}).items()
    }
    dangerous = (
        "<p>The probability of one diagnosis, against all others, after calibration:</p>"
        + table([Column("Calibration error (ECE)", above="lower is better")], per_class, kind="few")
        if per_class
        else ""
    )
    figures = table(columns, groups, kind="few") + dangerous + definitions(report, ("ece", "log_loss")) + prior
    return pieces.introduction(text) + pieces.side_by_side(f"<div>{figures}</div>", pictures(figure("reliability.png")))


def conformal(report: dict, figure: Callable[[str], str]) -> str:
    """Whether prediction sets contain the confirmed diagnosis as often as promised."""
    found = report["conformal"]
    sizes = [measured(entry["mean set size"], lambda size: wording.number(size, 2)) for entry in found.values()]
    rows = [
        Row("Sets that contain the confirmed diagnosis", [rate(entry["coverage"]) for entry in found.values()]),
        Row("Diagnoses in a set, on average", sizes),
        Row("Sets of one diagnosis", [rate(entry["sets of one diagnosis"]) for entry in found.values()]),
    ]
    by_class = []
    for code in CODES:
        entries = [entry["per class"][code] for entry in found.values()]
        cells = [
            rate(entry) + promised_in_words(entry) if entry["images"] else "no such photograph" for entry in entries
        ]
        by_class.append(Row(wording.name_of(code) + note(photographs(entries[0]["images"])), cells))
    text = (
        "Instead of one diagnosis the model can give a prediction set. Each diagnosis has a threshold of its own, and "
        "belongs to the set where its probability reaches it (conformal prediction). The thresholds come from the "
        "validation part, and what can be promised depends on how many lesions of a diagnosis are there. A confident "
        "model gives small sets. No decision rule is needed: a set follows from the probabilities at data-set "
        "prevalence."
    )
    columns = [Column(f"with {name}") for name in found]
    return (
        pieces.introduction(text)
        + table(columns, {"": rows, "Sets that contain the confirmed diagnosis, by diagnosis": by_class}, kind="few")
        + "".join(
            f"<p>With {html.escape(name)}: {kept(entry['confident'])}</p>"
            for name, entry in found.items()
            if "confident" in entry
        )
    )


def promised_in_words(entry: dict) -> str:
    """What the sets promise for a diagnosis, as HTML; nothing in a report of an earlier version."""
    if "promised" not in entry:
        return ""
    share = entry["promised"]
    return note(f"promised: {wording.number(100 * share)}\u00a0%" if share else "nothing promised")


def kept(confident: bool) -> str:
    """How firmly the promises of the prediction sets hold."""
    if confident:
        return (
            f"thresholds are fitted so that {100 * CONFIDENCE:g} of 100 validation parts like this one would give a "
            "diagnosis thresholds that keep its promise."
        )
    return (
        f"a promise holds on average over validation parts like this one. Firmer thresholds would give sets of more "
        f"than {MOST_DIAGNOSES:g} diagnoses on average."
    )


def decision(report: dict, figure: Callable[[str], str]) -> str:
    """Whether acting on the melanoma alarm is better than acting on every lesion or on none."""
    found = report["decision"]
    rows = [
        Row(
            f"{wording.number(100 * at['threshold'])}\u00a0%",
            [measured(at["alarm"]), f"<b>{wording.number(at['everyone'], 3)}</b>", "<b>0</b>"],
        )
        for at in found["thresholds"]
    ]
    text = (
        "A melanoma alarm causes needless removals too. Whoever acts from a risk of 20 % on accepts four of them for "
        "each melanoma that is found, so each counts as a quarter of a melanoma. The net benefit is what remains, in "
        "melanomas found for each lesion (decision-curve analysis: Vickers and Elkin, 2006). The alarm is worth it "
        "where it is above both removing every lesion and removing none. Of the lesions, "
        f"{wording.percentage(found['melanoma share'])} are melanomas."
    )
    columns = [Column("the alarm", above="net benefit of"), Column("removing every lesion", above="net benefit of"),
               Column("removing none", above="net benefit of")]  # fmt: skip
    return pieces.section("Is the melanoma alarm worth it?", text) + table(
        columns, {"Risk from which on one removes": rows}, kind="few"
    )


def out_of_distribution(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the app warns of pictures that are not dermoscopic photographs."""
    found = report["novelty"]
    kinds = {True: "Pictures unlike any lesion", False: "Pictures that resemble skin, tissue or a lesion"}
    groups: dict[str, list[Row]] = {title: [] for title in kinds.values()}
    for name, family in found["families"].items():
        groups[kinds[family["far"]]].append(Row(html.escape(name), [count(family["images"]), caught(family)]))
    text = (
        "The model knows seven diagnoses and answers with one of them whatever it is shown. A warning should appear "
        "where the picture is not a dermoscopic photograph. It can also appear for good photographs: these are "
        "false alarms."
    )
    false = rate(found["false alarms on test"])
    set_to = wording.percentage(found["false-alarm rate on validation"])
    return (
        pieces.introduction(text)
        + f"<p>False alarms among the test photographs: {false}; the threshold was set for {set_to} on validation. "
        f"What is measured is {html.escape(found['method'])}.</p>"
        + table(
            [Column("Pictures"), Column("With a warning")],
            {title: rows for title, rows in groups.items() if rows},
            kind="few",
        )
    )


def caught(family: dict) -> str:
    """How many pictures of a family got the warning, as HTML."""
    value = family["caught"]
    if isinstance(value, dict):
        return rate(value)
    return NOTHING if value is None else f"<b>{wording.percentage(value)}</b>"


def explanations(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the heat maps lie on the lesion, and show what the answer depends on."""
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
        Column("minus the blob, points", above="share of the map"),
        Column("inside the lesion", above="hottest point"),
        Column("minus the blob, points", above="hottest point"),
    ]
    text = (
        f"A heat map should lie on the lesion. For {photographs(found['images'])} of {count(found['lesions'])} lesions "
        "with a known outline, the table gives the share of each map inside the outline, and how often its hottest "
        "point is inside. Lesions are usually in the middle, so the baseline is a blob there, as wide as the map; "
        f"{wording.percentage(found['area share']['value'])} of a uniform map is inside. The diagnosis explained is "
        f"{found['explained']}."
    )
    perturbed = found["deletion and insertion"]
    orders = [
        Row(html.escape(name), [measured(entry["deletion"]), measured(entry["insertion"])])
        for name, entry in perturbed["orders"].items()
    ]
    return (
        pieces.introduction(text)
        + table(columns, {"": maps})
        + "<p>A map should also show what the answer depends on. When its hottest places are blurred first, the "
        "probability of the diagnosis should fall soon (deletion: lower is better); when they are revealed first, it "
        "should rise soon (insertion: higher is better). Both figures are the mean probability along the way, over "
        f"{photographs(perturbed['images'])}.</p>"
        + table([Column("Deletion"), Column("Insertion")], {"": orders}, kind="few")
    )
