"""The report's section on photographs of the data set: are they recognised, and are there near-duplicates of them?"""

from collections.abc import Callable

from lesion.report.near_duplicates import EMBEDDING, MEASURES
from lesion.report.recognition import PARTS, in_all
from lesion.ui.html import pieces
from lesion.ui.html.report.facts import HEADLINE
from lesion.ui.html.report.metric_tables import metrics_table
from lesion.ui.html.report.tables import Column, Row, count, note, photographs, table, three


def recognition(report: dict, figure: Callable[[str], str]) -> str:
    """Whether the app recognises photographs that the model has seen."""
    found = report["recognition"]
    text = (
        "The tab Answer says where the model was trained on a photograph, and shows the confirmed diagnosis where a "
        "photograph was held out. It recognises a photograph at any size by a perceptual hash of 121 bits, of which at "
        f"most {count(found['threshold'])} may differ; this threshold was chosen on training photographs. Counted are "
        "photographs that are recognised as of their own part."
    )
    rows = []
    for name, of_parts in found.get("originals", {}).items():
        entries = [dict(zip(("images", "recognised"), in_all(of_parts), strict=True))] + [of_parts[p] for p in PARTS]
        rows.append(Row(f"Full-size photographs, {name}", [of(entry) for entry in entries]))
    columns = [Column(name) for name in ("all", *PARTS)]
    others = ""
    if "others" in found:
        others = (
            f"<p>Of {photographs(found['others']['images'])} of another collection, "
            f"{count(found['others']['recognised'])} were taken for one of the data set.</p>"
        )
    return pieces.introduction(text) + (table(columns, {"": rows}, kind="few") if rows else "") + others


def of(entry: dict) -> str:
    """ "41 of 41"."""
    return f"<b>{count(entry['recognised'])}</b> of {count(entry['images'])}"


def near_duplicates(report: dict, figure: Callable[[str], str]) -> str:
    """Whether test photographs have near-duplicates in the training part, and what they change."""
    found = report["near-duplicates"]
    text = (
        "A split by lesion trusts the ids of the lesions. If one lesion were listed under two ids, the model could be "
        "tested on a photograph that it was trained on. So each test photograph was compared with "
        f"{photographs(found['training'])} of other lesions in training. Two photographs count as near where, in the "
        "training part, at least half of the pairs as near are of one lesion. A near pair may show one lesion, or "
        "lesions that only look alike."
    )
    rows = []
    for name in MEASURES:
        limit = found[name]["threshold"]
        if limit is None:
            nearness = "no distance serves"
        else:
            nearness = (
                f"at least {three(limit)} cosine similarity" if name == EMBEDDING else f"at most {limit} of 121 bits"
            )
        rows.append(Row(f"By {name}" + note(nearness), [counts(found[name])]))
    rows.append(Row("By either", [counts(found["either"])]))
    columns = {"all test photographs": next(iter(report["metrics"].values())), "without them": found["metrics"]}
    return (
        pieces.introduction(text)
        + table([Column("Test photographs with a near-duplicate")], {"": rows}, kind="few")
        + "<p>The figures of all test photographs, and without those that have a near-duplicate:</p>"
        + metrics_table(report, columns, HEADLINE, [])
    )


def counts(entry: dict) -> str:
    """ "12 photographs of 9 lesions"."""
    lesions = "1 lesion" if entry["lesions"] == 1 else f"{count(entry['lesions'])} lesions"
    return f"<b>{photographs(entry['images'])}</b> of {lesions}"
