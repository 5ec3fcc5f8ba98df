"""The report's headline figures in Markdown: the README's results."""

from lesion.metrics.metrics import SPECIFICITIES
from lesion.report.calibration import CALIBRATED
from lesion.report.markdown import value_in_words

METRICS = {
    "dataset.accuracy": "accuracy",
    "dataset.weighted_f1": "weighted F1",
    "uniform.balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "macro_auroc": "macro AUROC",
}
"""The figures of the README's first table; the decision rule is in the name."""


def results_table(report: dict) -> str:
    """The report's headline figures as two Markdown tables."""
    views = dict(report["metrics"])
    if "fused minus image alone" in report:
        views["fused − image alone"] = report["fused minus image alone"]
    lines = [
        f"Test part: {report['images']} images of {report['lesions']} lesions, split by {report['split']}; 95 % "
        f"intervals from {report['bootstrap']['rounds']} bootstrap resamplings of lesions. Accuracy and weighted F1 "
        "are decided under data-set prevalence, balanced accuracy under equal prevalence.",
        "",
        "| inputs | " + " | ".join(METRICS.values()) + " |",
        "| --- |" + " --- |" * len(METRICS),
    ]
    for name, metrics in views.items():
        lines.append(f"| {name} | " + " | ".join(value_in_words(metrics[m]) for m in METRICS) + " |")
    at = " | ".join(f"melanoma sensitivity at {s} % specificity" for s in SPECIFICITIES)
    lines += [
        "",
        "What reads the probabilities and needs no decision rule; malignant are mel, bcc and akiec, and the "
        "calibration error is that of the most probable diagnosis, debiased.",
        "",
        f"| inputs | malignant AUROC | {at} | calibration error before → after calibration | Brier score |",
        "| --- |" + " --- |" * (3 + len(SPECIFICITIES)),
    ]
    for name, view in CALIBRATED.items():
        if view not in report["metrics"]:
            continue
        metrics, ece = report["metrics"][view], {w: e["ece"] for w, e in report["calibration"][name].items()}
        cells = [
            value_in_words(metrics["malignant_auroc"]),
            *(value_in_words(metrics[f"melanoma_sensitivity_at_{s}_specificity"]) for s in SPECIFICITIES),
            f"{value_in_words(ece['before'])} → {value_in_words(ece['after'])}",
            value_in_words(metrics["brier"]),
        ]
        lines.append(f"| {view} | " + " | ".join(cells) + " |")
    lines += ["", *doubts_in_words(report)]
    if "systems" in report:
        lines += ["", *systems_table(report["systems"])]
    return "\n".join(lines)


def doubts_in_words(report: dict) -> list[str]:
    """What the report says of sets of diagnoses, other pictures and heat maps, as Markdown."""
    sets, lines = report["conformal"], []
    for name, entry in sets.items():
        lines.append(
            f"- **Sets of diagnoses** ({name}): they hold the true one for {value_in_words(entry['coverage'])} of the "
            f"test images ({entry['promised']:.0%} promised) and have {value_in_words(entry['mean set size'])} "
            "diagnoses on average."
        )
    novelty = report["novelty"]
    far_images = sum(family["images"] for family in novelty["families"].values() if family["far"])
    far, near = (
        ", ".join(
            f"{name} {family['caught']:.0%} of {family['images']}"
            for name, family in novelty["families"].items()
            if family["far"] == is_far
        )
        for is_far in (True, False)
    )
    lines.append(
        f"- **Not a dermoscopic photograph**: noticed are {novelty['far caught']:.1%} of {far_images} pictures of this "
        f"mix: {far}; of what is closer to one: {near}; and, falsely, "
        f"{value_in_words(novelty['false alarms on test'])} of the test images."
    )
    if "explanations" in report:
        lines.append(
            "- **Heat maps**: share of the map inside the lesion's outline, and that share less the one of a centred "
            "Gaussian as wide as the map: "
            + "; ".join(
                f"{name} {value_in_words(m['energy'])}, {value_in_words(m['energy minus centred Gaussian'])}"
                for name, m in report["explanations"]["methods"].items()
                if m["offered"]
            )
            + f" (the lesion covers {report['explanations']['area share']['value']:.3f} of the area)."
        )
    return lines


def systems_table(systems: dict) -> list[str]:
    """The document of `lesion.compare` as Markdown."""
    budget = systems["budget"]
    seeds = ", ".join(map(str, budget["seeds"]))
    lines = [
        f"The reference systems, all with {budget['epochs']} epochs at {budget['image_size']} pixels, the same recipe "
        f"and seed {seeds}, from {budget['start']}. Intervals cover the choice of test lesions, not the luck of a "
        "training; “first − this” is paired. Training: a step with 32 images on the CPU, bfloat16; answer: one image.",
        "",
        "| system | split by | accuracy | weighted F1 | balanced accuracy | weighted F1, first − this | balanced "
        "accuracy, first − this | parameters | training, ms an image | answer, ms |",
        "| --- |" + " --- |" * 9,
    ]
    headline = ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")
    for system in systems["systems"]:
        difference = system.get("first minus this")
        cells = [
            system["name"],
            system["split"],
            *(value_in_words(system["metrics"][m]) for m in headline),
            *(value_in_words(difference[m]) if difference else "–" for m in headline[1:]),
            f"{system['parameters'] / 1e6:.1f} M",
            f"{system['training_ms']:.1f}",
            f"{system['latency_ms']:.1f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    for published in systems["published"]:
        f1 = f"{published['weighted_f1']:.2f}" if "weighted_f1" in published else "–"
        lines.append(f"| {published['name']}, as published | image | {published['accuracy']:.4f} | {f1} |" + " – |" * 6)
    return lines
