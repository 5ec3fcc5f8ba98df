"""The charts' markup."""

import json
import math
import re
from itertools import combinations, pairwise
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from skimage.color import deltaE_ciede2000, rgb2lab

from lesion.data.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.data.metadata import AGES, INPUTS
from lesion.metrics.scores import Difference
from lesion.teaching.alarm import Alarm
from lesion.teaching.influence import Shapley, Switch
from lesion.ui.html import colours, svg, wording
from lesion.ui.html.charts import comparison, contributions, learning_curve, roc_curve

CHARACTER = 8.6
"""Width of a character on average, SVG units, in a wide font."""


SIGHT = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
"""Linear RGB as it is seen: Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15, 1291 (2009)."""


def parsed(markup: str) -> ElementTree.Element:
    """The markup as XML, whose elements have no namespace."""
    return ElementTree.fromstring(markup)


def text(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def number(element: ElementTree.Element, name: str) -> float:
    return float(element.get(name))


def style(element: ElementTree.Element, name: str) -> float:
    return float(re.search(rf"(?:^|;){name}:([-\d.]+)%", element.get("style")).group(1))


def part(root: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    """Elements of a class."""
    return [e for e in root.iter() if kind in (e.get("class") or "").split()]


def check_labels(root: ElementTree.Element) -> None:
    """No text leaves its viewBox."""
    for picture in root.iter("svg"):
        _, _, width, height = map(float, picture.get("viewBox").split())
        for label in picture.iter("text"):
            length, x = CHARACTER * len(text(label)), number(label, "x")
            left = x - length * {"start": 0, "middle": 0.5, "end": 1}[label.get("text-anchor")]
            assert left >= -8 and left + length <= width + 8, text(label)
            assert 12 <= number(label, "y") <= height, text(label)


def shapley(start: float, *contributions: float) -> Shapley:
    return Shapley(start, dict(zip(INPUTS, contributions, strict=True)), start + sum(contributions))


def test_three_answers():
    answers = {
        "image alone": dict(zip(CODES, (0.5, 0.2, 0.1, 0.1, 0.05, 0.05, 0.0), strict=True)),
        "metadata alone": dict(zip(CODES, (0.1, 0.6, 0.1, 0.1, 0.05, 0.05, 0.0), strict=True)),
    }
    root = parsed(contributions.side_by_side(answers))
    assert [text(head) for head in root.findall(".//thead//th")] == [
        "image alone▶ Melanoma",
        "metadata alone▶ Melanocytic nevus",
    ]
    rows = root.findall(".//tbody/tr")
    assert [text(row.find("th")) for row in rows] == [d.name for d in DIAGNOSES]
    for row, diagnosis in zip(rows, DIAGNOSES, strict=True):
        bars = part(row, "bar")
        widths = [style(bar, "width") for bar in bars]
        assert widths == pytest.approx([100 * shares[diagnosis.code] for shares in answers.values()])
        assert all(diagnosis.colour in bar.get("style") for bar in bars)
    assert [text(e) for e in part(root, "top")] == ["▶ 50 %", "▶ 60 %"]


@pytest.mark.parametrize(
    ("scale", "found"),
    [
        ("probability", shapley(0.1, 0.3, -0.05, 0.0, 0.2)),
        ("probability", shapley(0.0001, 1.05, -0.03, -0.001, -0.0192)),
        ("probability", shapley(0.9999, -0.5, -0.5, 0.02, -0.0198)),
        ("probability", shapley(0.0004, 0.0, 0.0, 0.0, 0.0)),
        ("log-odds", shapley(-9.0, 14.0, -3.0, 0.0, 1.0)),
        ("log-odds", shapley(9.0, -20.0, 1.0, 0.0, 1.0)),
        ("log-odds", shapley(-7.3, 0.0, 0.0, 0.0, 0.0)),
        ("log-odds", shapley(0.0, 0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_waterfall_is_a_chain_from_start_to_end(scale, found):
    root = parsed(contributions.waterfall(found, "akiec", scale))
    check_labels(root)
    steps = part(root, "step")
    assert [text(step.findall("text")[0]) for step in steps] == ["nothing known", *INPUTS, "everything known"]
    bars = [step.find("rect") for step in steps]
    spans = [(number(bar, "x"), number(bar, "x") + number(bar, "width")) for bar in bars]
    zero = spans[0][0] if found.start >= 0 else spans[0][1]
    place = sum(spans[0]) - zero
    for (left, right), value in zip(spans[1:-1], found.contributions.values(), strict=True):
        assert place == pytest.approx(left if value >= 0 else right, abs=0.02)
        place = right if value >= 0 else left
    assert place == pytest.approx(sum(spans[-1]) - zero, abs=0.02)
    values = [abs(found.start), *map(abs, found.contributions.values()), abs(found.end)]
    widths = [right - left for left, right in spans]
    assert np.multiply(widths, max(values)) == pytest.approx(np.multiply(values, max(widths)), abs=0.05 * max(values))
    labels = {number(e, "x") for step in steps for e in step.findall("text")}
    assert min(labels) < min(left for left, _ in spans) and max(right for _, right in spans) < max(labels)


def test_waterfall_says_the_direction_by_sign_arrow_and_colour():
    steps = part(parsed(contributions.waterfall(shapley(0.1, 0.3, -0.05, 0.0, 0.2), "mel", "probability")), "step")
    shown = [(text(step.findall("text")[1]), step.find("rect").get("class")) for step in steps[1:-1]]
    assert shown == [("→ +30 points", "up"), ("← −5.0 points", "down"), ("0.0 points", "up"), ("→ +20 points", "up")]
    assert [text(steps[i].findall("text")[1]) for i in (0, -1)] == ["10 %", "55 %"]
    assert {steps[i].find("rect").get("fill") for i in (0, -1)} == {BY_CODE["mel"].colour}
    steps = part(parsed(contributions.waterfall(shapley(-2.0, 1.34, 0.0, 0.0, -3.0), "mel", "log-odds")), "step")
    assert [text(step.findall("text")[1]) for step in steps] == ["−2.0", "→ +1.3", "0.0", "0.0", "← −3.0", "−3.7"]


CURVE = np.linspace([0.0, 0.9, 0.0, 0.06, 0.04, 0.0, 0.0], [0.3, 0.3, 0.1, 0.1, 0.1, 0.1, 0.0], len(AGES))


def test_every_age_is_a_column_to_click_on():
    root = parsed(contributions.age_curve(AGES, CURVE, 75, []))
    check_labels(root)
    columns = part(root, "column")
    assert [float(column.get("data-age")) for column in columns] == list(AGES)
    for column, after in pairwise(columns):
        assert number(column, "x") + number(column, "width") == pytest.approx(number(after, "x"), abs=0.02)
    assert text(columns[0]).splitlines()[:2] == ["age 0", "90 % Melanocytic nevus"]
    assert len(text(columns[0]).splitlines()) == 8
    now = next(e for e in root.iter("text") if text(e) == "now 75")
    assert number(columns[15], "x") < number(now, "x") < number(columns[16], "x")


def test_age_curve_draws_the_probabilities():
    root = parsed(contributions.age_curve(AGES, CURVE, None, []))
    assert "now" not in text(root)
    lines = [e for e in part(root, "curve") if len(e.get("points").split()) == len(AGES)]
    assert [line.get("stroke") for line in lines] == [d.colour for d in DIAGNOSES]
    assert len({line.get("stroke-dasharray") for line in lines}) == len(CODES)
    heights = np.array([[float(point.split(",")[1]) for point in line.get("points").split()] for line in lines]).T
    assert np.polyfit(CURVE.ravel(), heights.ravel(), 1)[0] < 0
    assert np.corrcoef(CURVE.ravel(), heights.ravel())[0, 1] == pytest.approx(-1, abs=1e-6)
    assert "thin" in lines[-1].get("class"), "it stays below 2 %"
    names = [e for e in root.iter("text") if text(e) in {wording.brief(code) for code in CODES}]
    assert "Vascular lesion" not in map(text, names) and len(names) == 6
    places = sorted(number(name, "y") for name in names)
    assert all(after - before >= svg.GAP - 0.01 for before, after in pairwise(places))


def test_age_curve_reaches_an_age_beyond_the_grid():
    root = parsed(contributions.age_curve((*AGES, 110.0), np.vstack([CURVE, CURVE[-1]]), 110.0, []))
    check_labels(root)
    assert "now 110" in text(root)


def test_switches_are_said_in_words():
    root = parsed(
        contributions.age_curve(AGES, CURVE, 75, [Switch(60, 65, "nv", "bkl"), Switch(70, 75, "bkl", "akiec")])
    )
    said = [text(item) for item in root.iter("li")]
    assert len(said) == 2
    assert re.search("60 and 65 .* from Melanocytic nevus to Benign keratosis", said[0])
    assert re.search("70 and 75 .* from Benign keratosis to Actinic keratosis / Bowen's disease", said[1])
    assert len(part(root, "guide")) == 2
    root = parsed(contributions.age_curve(AGES, CURVE, 75, []))
    assert [text(item) for item in root.iter("li")] == ["The most probable diagnosis is the same at every age."]


def test_site_table_marks_the_current_cell():
    table = pd.DataFrame(
        [[0.1, 0.2, 0.3], [0.0004, 0.5, 0.6]], ["unknown", "face"], ["unknown", "female", "male"], dtype=float
    )
    root = parsed(contributions.site_table(table, "mel", "face", "female"))
    cells = [[text(cell) for cell in row.findall("td")] for row in root.findall(".//tbody/tr")]
    assert cells == [["10 %", "20 %", "30 %"], ["<0.1 %", "50 %", "60 %"]]
    assert [text(cell) for cell in root.iter("td") if cell.get("aria-current")] == ["50 %"]
    assert f"background:{BY_CODE['mel'].colour.lower()}" in root.findall(".//td")[-1].get("style")


def test_differences_as_numbers_and_places():
    nothing = Difference(math.nan, math.nan, (math.nan, math.nan))
    figures = {
        "accuracy": Difference(0.8, 0.7, (-0.15, -0.05)),
        "balanced_accuracy": Difference(0.5, 0.55, (-0.05, 0.15)),
        "recall.mel": Difference(0.0, 0.2, (0.1, 0.3)),
        "recall.df": nothing,
    }
    root = parsed(comparison.differences(figures, "full model", "<run B>"))
    assert [text(head) for head in root.findall(".//thead//th")][:2] == ["full model (%)", "<run B> (%)"]
    rows = root.findall(".//tbody/tr")
    assert [text(row) for row in rows] == [
        "Accuracy80.070.0−10.0 (−15.0 to −5.0) ▼ lower",
        "Balanced accuracy50.055.0+5.0 (−5.0 to 15.0) no clear difference",
        "Recall: Melanoma0.020.0+20.0 (10.0 to 30.0) ▲ higher",
        "Recall: Dermatofibromanone in this subgroup",
    ]
    dots = [style(part(row, "dot")[0], "left") for row in rows[:3]]
    zero = style(part(rows[0], "zero")[0], "left")
    assert np.array(dots) - zero == pytest.approx(np.array([-0.1, 0.05, 0.2]) * (dots[2] - zero) / 0.2, abs=0.02)
    line = part(rows[0], "line")[0]
    assert style(line, "left") + style(line, "width") < zero < style(part(rows[2], "line")[0], "left")
    assert "none in this subgroup" in text(parsed(comparison.differences({"recall.df": nothing}, "A", "B")))


def test_cells_with_photographs_are_buttons_and_say_where_they_come_from():
    matrix = np.eye(7, dtype=int) * 4
    matrix[0, 1] = 12
    counted = {"matrix": "full", "used": ["image"], "rule": "dataset"}
    root = parsed(comparison.confusion(matrix, "Full", counted))
    assert json.loads(root.find(".//table").get("data-counted")) == counted
    buttons = list(root.iter("button"))
    assert [(b.get("data-confirmed"), b.get("data-answer"), text(b)) for b in buttons[:2]] == [
        ("mel", "mel", "4"),
        ("mel", "nv", "12"),
    ]
    assert len(buttons) == 8 and [b.get("tabindex") for b in buttons] == ["0", *["-1"] * 7]
    assert buttons[1].get("aria-label") == "12: Melanoma called Melanocytic nevus: 75.0\u00a0% of 16"
    assert not list(parsed(comparison.confusion(matrix, "Full")).iter("button"))


def test_confusion():
    matrix = np.arange(49).reshape(7, 7)
    matrix[6] = 0
    root = parsed(comparison.confusion(matrix, "Full & chosen"))
    cells = [row.findall("td") for row in root.findall(".//tbody/tr")]
    assert [[int(text(cell)) for cell in row] for row in cells] == matrix.tolist()
    assert all((cell.get("class") == "right") == (i == j) for i, row in enumerate(cells) for j, cell in enumerate(row))
    assert cells[0][1].get("title") == "Melanoma called Melanocytic nevus: 4.8\u00a0% of 21"
    assert "transparent" in cells[0][1].get("style") and BY_CODE["mel"].colour in cells[0][1].get("style")
    assert [e.text for e in root.findall(".//thead//abbr")] == list(CODES)


def test_importances():
    figures = {"image": 0.4, "age": 0.2, "sex": -0.1, "site": 0.0}
    importance = {
        name: {
            metric: {"value": value, "interval": [value - 0.05, value + 0.05]}
            for metric in ("accuracy", "balanced accuracy", "log-loss")
        }
        for name, value in figures.items()
    }
    root = parsed(comparison.importances(importance))
    panels = list(root.iter("section"))
    assert [text(e) for e in part(root, "heading")] == [
        "log-loss added, nats",
        "accuracy lost, points",
        "balanced accuracy lost, points",
    ]
    assert [text(row) for row in part(panels[0], "row")][::2] == [
        "image0.40 (0.35 to 0.45)",
        "sex−0.10 (−0.15 to −0.05)",
    ]
    assert text(part(panels[1], "row")[0]) == "image40.0 (35.0 to 45.0)"
    for panel in panels:
        widths = [style(bar, "width") for bar in part(panel, "bar")]
        assert np.array(widths) == pytest.approx(np.array([4, 2, 1, 0]) * widths[1] / 2, abs=0.03)


@pytest.mark.parametrize("point", [(0.75, 0.86), (0.0, 1.0), (1.0, 0.0)])
def test_roc_marks_the_threshold(point):
    steps = np.linspace(0, 1, 3000)
    curve = np.column_stack([steps**0.2, steps])
    alarm = Alarm(point[0], (point[0], point[0]), point[1], (point[1], point[1]), 0.1, curve)
    root = parsed(roc_curve.roc(alarm, 0.2))
    check_labels(root)
    path = [tuple(map(float, p.split(","))) for p in part(root, "curve")[0].get("points").split()]
    assert 100 < len(path) <= 200
    (left, bottom), (right, top) = path[0], path[-1]
    mark = root.find(".//circle")
    assert (number(mark, "cx") - left) / (right - left) == pytest.approx(1 - point[1], abs=1e-3)
    assert (bottom - number(mark, "cy")) / (bottom - top) == pytest.approx(point[0], abs=1e-3)
    assert "threshold 20 %" in text(root)


def history(count: int, epochs: int, factor: float = 1.0) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            epoch=epoch,
            epochs=epochs,
            training_loss=factor / epoch,
            held_out_loss=factor * 1.2 / epoch,
            balanced_accuracy=0.5,
        )
        for epoch in range(1, count + 1)
    ]


def test_learning_curves_grow_along_an_axis_that_is_there_from_the_start():
    early, late = (parsed(learning_curve.learning_curves({"A": history(n, 20)})) for n in (5, 20))
    check_labels(late)
    ends = []
    for root in (early, late):
        loss, accuracy = root.iter("section")
        training, held_out = [e for e in part(loss.find("svg"), "curve")]
        assert training.get("stroke-dasharray") != "none" and held_out.get("stroke-dasharray") == "none"
        ends.append(float(part(accuracy.find("svg"), "curve")[0].get("points").split()[-1].split(",")[0]))
    axis = part(early, "axis")[0]
    assert ends[1] == number(axis, "x2")
    assert (ends[0] - number(axis, "x1")) / (ends[1] - number(axis, "x1")) == pytest.approx(5 / 20, abs=1e-3)
    assert "A: held-out loss 0.06" in text(late) and "A: balanced accuracy 50.0\u00a0%" in text(late)


def test_learning_curves_of_two_runs_and_of_one_that_diverges():
    runs = {"A": history(3, 3), "B": history(3, 6)}
    runs["B"][1].training_loss = runs["B"][1].held_out_loss = math.nan
    root = parsed(learning_curve.learning_curves(runs))
    check_labels(root)
    assert "nan" not in ElementTree.tostring(root, "unicode")
    assert {line.get("stroke") for line in part(root, "curve")} == set(colours.RUN_COLOURS.values())
    parsed(learning_curve.learning_curves({"A": history(1, 10), "B": []}))
    parsed(learning_curve.learning_curves({}))


def test_labels_are_spread_within_bounds():
    assert svg.spread([5, 5, 50], 10, 0, 60) == [5, 15, 50]
    assert svg.spread([60, 58, 59], 10, 0, 60) == [60, 40, 50]


def test_pictures_have_a_summary():
    for markup in (
        contributions.waterfall(shapley(0.1, 0.3, -0.05, 0.0, 0.2), "akiec", "probability"),
        contributions.age_curve(AGES, CURVE, 75, []),
    ):
        svg = parsed(markup).find("svg")
        assert svg.get("role") == "img" and len(svg.get("aria-label")) > 40


def seen(colour: str, sight: str) -> np.ndarray:
    """A hexadecimal colour in CIELAB, as eyes of that kind see it."""
    rgb = np.array(list(bytes.fromhex(colour[1:]))) / 255
    linear = np.clip(SIGHT[sight] @ np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4), 0, 1)
    return rgb2lab(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))


@pytest.mark.parametrize("sight", SIGHT)
def test_colour_blind_eyes_tell_the_colours_apart(sight):
    """A CIEDE2000 distance of 10 is plain even between colours that lie apart."""
    of_diagnoses = {diagnosis.code: diagnosis.colour for diagnosis in DIAGNOSES}
    distances = {
        pair: float(deltaE_ciede2000(*(seen(of_diagnoses[code], sight) for code in pair)))
        for pair in combinations(of_diagnoses, 2)
    }
    assert min(distances.values()) >= 10, min(distances, key=distances.get)
    assert deltaE_ciede2000(seen(colours.VIOLET, sight), seen(colours.OLIVE, sight)) >= 20
