"""The report's section on similar cases."""

from collections.abc import Callable

from lesion.data.diagnoses import CODES
from lesion.ui.html import pieces, wording
from lesion.ui.html.report.tables import Column, Row, count, note, photographs, points, rate, table


def similar_cases(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the nearest cases have the photograph's diagnosis."""
    found = report["similar cases"]
    columns = [
        Column("With its diagnosis"),
        Column("By chance", found["chance"]),
        Column("Minus chance, points"),
    ]
    entries = {"All photographs": found["all"], **{wording.name_of(c): found["per class"][c] for c in CODES}}
    rows = []
    for name, entry in entries.items():
        cells = ["no such photograph"]
        if entry["images"]:
            cells = [rate(entry["share"]), wording.percentage(entry["by chance"]["value"])]
            cells.append(points(entry["minus chance"]))
        lesions = "1 lesion" if entry["lesions"] == 1 else f"{count(entry['lesions'])} lesions"
        rows.append(Row(name + note(f"{photographs(entry['images'])} of {lesions}"), cells))
    text = (
        f"The tab Answer shows the {found['nearest']} held-out photographs of other lesions that are nearest to a "
        "photograph in the network's embedding. How many of them have its confirmed diagnosis? Each test photograph "
        f"was asked about, and compared with the {count(found['candidates'])} held-out photographs except those of its "
        f"own lesion. Chance is {found['chance']}. The intervals resample the lesions asked about; the cases they are "
        "compared with stay as they are."
    )
    return pieces.introduction(text) + table(columns, {"": rows}, kind="few")
