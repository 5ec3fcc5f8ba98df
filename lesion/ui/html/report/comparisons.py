"""The report's comparisons with other systems and another checkpoint."""

import html
from collections.abc import Callable

from lesion.metrics.metrics import rule_in_words
from lesion.ui.html import pieces, wording
from lesion.ui.html.report.metric_tables import HEADLINE, metric_name, metrics_table
from lesion.ui.html.report.tables import (
    NOTHING,
    Column,
    Row,
    count,
    difference,
    measured,
    note,
    table,
    three,
)

SYSTEM_METRICS = ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")
PUBLISHED_METRICS = ("accuracy", "weighted_f1", "balanced_accuracy")


def systems(report: dict, figure: Callable[[str], str]) -> str:
    """The reference systems side by side: `lesion.compare`'s document."""
    document = report["systems"]
    budget = document["budget"]
    # A document of an earlier version names one start for all systems.
    start = f", from {budget['start']}" if "start" in budget else ""
    trainings = "one training" if len(budget["seeds"]) == 1 else f"{len(budget['seeds'])} trainings"
    by_split: dict[str, list[Row]] = {}
    for system in document["systems"]:
        cells = [compared(system, metric) for metric in SYSTEM_METRICS]
        cells += [
            f"{system['parameters'] / 1e6:.1f}",
            wording.number(system["training_ms"], 1),
            wording.number(system["latency_ms"], 1),
        ]
        title = f"Split by {system['split']}: {count(system['images'])} test photographs"
        if system["split"] == "image":
            title += ", other photographs of the same lesions in training"
        start = note(f"start: {system['start']}") if "start" in system else ""
        by_split.setdefault(title, []).append(Row(html.escape(system["name"]) + start, cells))
    published = []
    for row in document["published"]:
        cells = [three(row[m]) if m in row else NOTHING for m in PUBLISHED_METRICS]
        published.append(Row(html.escape(row["name"]), [*cells, *[NOTHING] * 3]))
    columns = [Column(metric_name(m), above=f"under {rule_in_words(m)}") for m in SYSTEM_METRICS]
    columns += [
        Column("Parameters, millions"),
        Column("Training, ms per photograph", "in a step with 32 on the CPU, bfloat16, reading no files"),
        Column("Answer, ms", "one photograph, on the CPU"),
    ]
    text = (
        f"Every system got the same budget: photographs of {budget['image_size']} × {budget['image_size']} pixels, "
        f"{budget['epochs']} epochs, the same recipe, {trainings} each{start}. A figure is the "
        "mean over the trainings. Its interval covers the choice of test lesions, not the chance in a training, which "
        "the figures of the single trainings show. Below them is the difference: the first system minus this one. "
        "These are small trainings for a fair comparison, not the best that each system can reach."
    )
    return pieces.introduction(text) + table(
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
            f"<li>Decided under {html.escape(rule)}, one photograph per lesion: only this one was right for "
            f"{count(test['first only'])}, only the other for {count(test['second only'])}; {p} (McNemar's exact "
            "test).</li>"
        )
    text = (
        f"{other['checkpoint']} ({other['backbone']}), a checkpoint that was trained with the same "
        "split, answered the same test photographs."
    )
    return pieces.introduction(text) + metrics_table(report, columns, HEADLINE, [minus]) + f"<ul>{''.join(items)}</ul>"
