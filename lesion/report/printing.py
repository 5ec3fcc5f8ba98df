"""The report as printed by the command."""

from lesion.metrics.metrics import RULES, per_class_table
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
