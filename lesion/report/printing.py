"""The report as printed by the command."""

from lesion.metrics.metrics import RULES, per_class_table
from lesion.report.external_words import counted, in_words
from lesion.report.markdown import value_in_words


def print_report(report: dict) -> None:
    """Prints the metrics of every view, the paired differences and the values of each diagnosis."""
    sections = dict(report["metrics"])
    if "fused minus image alone" in report:
        sections["fused minus image alone, paired"] = report["fused minus image alone"]
    if "against" in report:
        sections[f"minus {report['against']['checkpoint']}, paired"] = report["against"]["first minus second"]
    for name, metrics in sections.items():
        print(f"\n{name}")
        for metric, entry in metrics.items():
            print(f"  {metric:38} {value_in_words(entry)}")
    for rule in RULES.values():
        values = {
            code: {name: entry if name == "images" else entry["value"] for name, entry in row.items()}
            for code, row in report[f"per class, {rule}"].items()
        }
        print(f"\nper class, {rule}\n{per_class_table(values, report[f'confusion matrix, {rule}'])}")


def print_elsewhere(entry: dict) -> None:
    """Prints a collection's figures beside those of the test part, and what they mean in words."""
    print(f"\n{entry['name']}: {counted(entry)}")
    for view, figures in entry["views"].items():
        print(f"\n{view:32} {'there':26} {'test part':26} difference")
        for figure, places in figures.items():
            cells = [value_in_words(places[place]) for place in ("elsewhere", "here", "difference")]
            print(f"  {figure:30} {cells[0]:26} {cells[1]:26} {cells[2]}")
    print("\n" + "\n".join(in_words(entry)))
