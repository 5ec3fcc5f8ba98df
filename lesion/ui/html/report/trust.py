"""The report's sections on what can be relied on: probabilities, prediction sets, warnings, heat maps."""

import html
from collections.abc import Callable

from lesion.data.diagnoses import CODES
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
    rate,
    table,
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
            f"training. The largest of the seven gaps is {wording.number(100 * gap, 2)} percentage points.</p>"
        )
    figures = table(columns, groups, kind="few") + definitions(report, ("ece", "log_loss")) + prior
    return pieces.section("Probabilities that mean something", text) + pieces.side_by_side(
        f"<div>{figures}</div>", pictures(figure("reliability.png"))
    )


def conformal(report: dict, figure: Callable[[str], str]) -> str:
    """Sets of diagnoses that hold the confirmed one as often as promised."""
    found = report["conformal"]
    promised = {entry["promised"] for entry in found.values()}
    promise = " or ".join(f"{wording.number(100 * share)} %" for share in sorted(promised))
    sizes = [measured(entry["mean set size"], lambda size: wording.number(size, 2)) for entry in found.values()]
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
        head = wording.name_of(code) + note(photographs(entries[0]["images"]))
        by_class.append(Row(head, cells))
    text = (
        f"Instead of one diagnosis the model can give a set, which is to hold the confirmed one for {promise} of the "
        "photographs (conformal prediction; thresholds from the validation part, one for each diagnosis that has "
        "lesions enough there). A sure model gives small sets. No decision rule is needed: sets are read off the "
        "probabilities at data-set prevalence."
    )
    columns = [Column(f"with {name}") for name in found]
    return pieces.section("Sets of diagnoses, and what they promise", text) + table(
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
    set_to = wording.percentage(found["false-alarm rate on validation"])
    return (
        pieces.section("Pictures that are no dermoscopic photographs", text)
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
    return NOTHING if value is None else f"<b>{wording.percentage(value)}</b>"


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
        f"everywhere has {wording.percentage(found['area share']['value'])} of itself inside. Explained is "
        f"{found['explained']}."
    )
    perturbed = found["deletion and insertion"]
    orders = [
        Row(html.escape(name), [measured(entry["deletion"]), measured(entry["insertion"])])
        for name, entry in perturbed["orders"].items()
    ]
    return (
        pieces.section("Are the heat maps right?", text)
        + table(columns, {"": maps})
        + "<p>A map is also to show what the answer hangs on: when its hottest places are blurred first, the "
        "probability of the diagnosis is to fall soon (deletion: lower is better); when they are uncovered first, it "
        "is to rise soon (insertion: higher is better). Both are the mean probability on the way, over "
        f"{photographs(perturbed['images'])}.</p>"
        + table([Column("Deletion"), Column("Insertion")], {"": orders}, kind="few")
    )


def points(entry: dict) -> str:
    """A difference of shares with its 95 % interval, as HTML: "+4.2 (2.7 to 5.7)"."""
    return measured(entry, lambda v: wording.number(100 * v, 1), lambda v: wording.signed(100 * v, 1))
