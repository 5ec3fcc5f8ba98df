"""The report's headline figures in Markdown, for the README and the model card."""

from collections.abc import Iterator

from lesion.metrics.metrics import SPECIFICITIES
from lesion.report.calibration import CALIBRATED
from lesion.report.external_words import elsewhere_in_markdown
from lesion.report.markdown import markdown_table, value_in_words
from lesion.report.near_duplicates import near_duplicates_in_words
from lesion.report.recognition import recognition_in_words

METRICS = {
    "dataset.accuracy": "accuracy",
    "dataset.weighted_f1": "weighted F1",
    "dataset.macro_f1": "macro F1",
    "uniform.balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "macro_auroc": "macro AUROC",
    "malignant_auroc": "malignant AUROC",
}
"""The headline figures; the decision rule is in the name."""
COMPARED = ("dataset.accuracy", "dataset.weighted_f1", "uniform.balanced_accuracy")
"""The figures of the reference systems."""


def results_table(report: dict) -> str:
    """The report's headline figures as Markdown.

    Args:
        report: of report.json; one of an earlier version may lack the calibration per class, the heat maps and the
            reference systems.
    """
    views = dict(report["metrics"])
    if "fused minus image alone" in report:
        views["fused − image alone"] = report["fused minus image alone"]
    lines = [
        f"Test part: {report['images']} images of {report['lesions']} lesions, split by {report['split']}; 95 % "
        f"intervals from {report['bootstrap']['rounds']} bootstrap resamplings of lesions. Accuracy, weighted F1 and "
        "macro F1 are decided under data-set prevalence, balanced accuracy under equal prevalence; the other figures "
        "need no decision. Malignant are mel, bcc and akiec.",
        "",
        *markdown_table(
            ["inputs", *METRICS.values()],
            ([name, *(value_in_words(metrics[m]) for m in METRICS)] for name, metrics in views.items()),
        ),
        "",
        "The calibration error is that of the most probable diagnosis, debiased.",
        "",
        *markdown_table(
            [
                "inputs",
                *(f"melanoma sensitivity at {s} % specificity" for s in SPECIFICITIES),
                "calibration error before → after calibration",
                "Brier score",
            ],
            probability_rows(report),
        ),
        "",
        *findings(report),
    ]
    if "elsewhere" in report:
        lines += ["", *elsewhere_in_markdown(report["elsewhere"])]
    if "systems" in report:
        lines += ["", *systems_table(report["systems"])]
    return "\n".join(lines)


def probability_rows(report: dict) -> Iterator[list[str]]:
    """The rows of the second table: figures of the probabilities, with and without metadata."""
    for name, view in CALIBRATED.items():
        if view in report["metrics"]:
            metrics, ece = report["metrics"][view], {w: e["ece"] for w, e in report["calibration"][name].items()}
            yield [
                view,
                *(value_in_words(metrics[f"melanoma_sensitivity_at_{s}_specificity"]) for s in SPECIFICITIES),
                f"{value_in_words(ece['before'])} → {value_in_words(ece['after'])}",
                value_in_words(metrics["brier"]),
            ]


def findings(report: dict) -> list[str]:
    """Calibration per class, prediction sets, similar cases, out-of-distribution detection and heat maps, one item
    each."""
    lines = []
    for name, of_view in report.get("calibration per class", {}).items():
        each = ", ".join(f"{code} {value_in_words(entry)}" for code, entry in of_view.items())
        lines.append(f"- **Calibration error per class**, against the rest ({name}): {each}.")
    for name, entry in report["conformal"].items():
        # A report of an earlier version has one promise for all diagnoses.
        promised = f" ({entry['promised']:.0%} promised)" if "promised" in entry else ""
        each = ", ".join(
            f"{code} {own['promised']:g} → {value_in_words(own)}"
            for code, own in entry["per class"].items()
            if own["images"] and not promised
        )
        lines.append(
            f"- **Prediction sets** ({name}): {value_in_words(entry['coverage'])} of the test images have a set that "
            f"contains the true diagnosis{promised}. A set has {value_in_words(entry['mean set size'])} diagnoses on "
            "average." + (f" By diagnosis, promised → measured: {each}." if each else "")
        )
    if "similar cases" in report:
        lines.append(similar(report["similar cases"]))
    if "decision" in report:
        lines.append(net_benefits(report["decision"]))
    lines.append(detection(report["novelty"]))
    if "explanations" in report:
        lines.append(heat_maps(report["explanations"]))
    if "near-duplicates" in report:
        words = near_duplicates_in_words(report["near-duplicates"], report["images"])
        lines.append(f"- **Near-duplicates across the split**: {words}")
    if "recognition" in report:
        lines.append(f"- **Photographs that the model has seen**: {recognition_in_words(report['recognition'])}")
    return lines


def similar(found: dict) -> str:
    """The item on similar cases."""
    each = ", ".join(
        f"{code} {value_in_words(entry['share'])} (chance {entry['by chance']['value']:.3f})"
        for code, entry in found["per class"].items()
        if entry["images"]
    )
    return (
        f"- **Similar cases**: share of the {found['nearest']} nearest of {found['candidates']} held-out photographs, "
        "without those of the same lesion, that have the diagnosis of the test photograph: "
        f"{value_in_words(found['all']['share'])} (chance {found['all']['by chance']['value']:.3f}); {each}. "
        f"Chance is {found['chance']}."
    )


def net_benefits(found: dict) -> str:
    """The item on what the melanoma alarm is worth."""
    each = "; ".join(
        f"from a risk of {100 * at['threshold']:g} % on {value_in_words(at['alarm'])} instead of {at['everyone']:.3f}"
        for at in found["thresholds"]
    )
    return (
        "- **Net benefit of the melanoma alarm**, in melanomas found for each lesion, instead of that of removing "
        f"every lesion (removing none has 0; {found['melanoma share']:.1%} are melanomas): {each}."
    )


def detection(found: dict) -> str:
    """The item on out-of-distribution detection."""
    far_images = sum(family["images"] for family in found["families"].values() if family["far"])
    far, near = (
        ", ".join(
            f"{name} {family['caught']:.0%} of {family['images']}"
            for name, family in found["families"].items()
            if family["far"] == is_far
        )
        for is_far in (True, False)
    )
    return (
        f"- **Out-of-distribution detection**: detected are {found['far caught']:.1%} of {far_images} images that show "
        f"no lesion ({far}). Of images that resemble skin, tissue or a lesion: {near}. False alarms: "
        f"{value_in_words(found['false alarms on test'])} of the test images."
    )


def heat_maps(found: dict) -> str:
    """The item on heat maps."""
    each = "; ".join(
        f"{name} {value_in_words(m['energy'])}, {value_in_words(m['energy minus centred Gaussian'])}"
        for name, m in found["methods"].items()
        if m["offered"]
    )
    return (
        "- **Heat maps**: share of the map inside the lesion's outline, and that share minus the share of a centred "
        f"Gaussian as wide as the map: {each} (the lesion covers {found['area share']['value']:.3f} of the area)."
    )


def systems_table(document: dict) -> list[str]:
    """The document of `lesion.compare` as Markdown; one of an earlier version names one start for all systems."""
    budget = document["budget"]
    starts = "start" in document["systems"][0]
    start = "" if starts else f", from {budget['start']}"
    rows = []
    for system in document["systems"]:
        difference = system.get("first minus this")
        rows.append(
            [
                system["name"],
                *([system["start"]] if starts else []),
                system["split"],
                *(value_in_words(system["metrics"][m]) for m in COMPARED),
                *(value_in_words(difference[m]) if difference else "–" for m in COMPARED[1:]),
                f"{system['parameters'] / 1e6:.1f} M",
                f"{system['training_ms']:.1f}",
                f"{system['latency_ms']:.1f}",
            ]
        )
    for published in document["published"]:
        f1 = f"{published['weighted_f1']:.2f}" if "weighted_f1" in published else "–"
        own = [f"{published['name']}, as published", *(["as published"] if starts else []), "image"]
        rows.append([*own, f"{published['accuracy']:.4f}", f1, *["–"] * 6])
    return [
        f"The reference systems, all with {budget['epochs']} epochs at {budget['image_size']} pixels, the same recipe "
        f"and seed {', '.join(map(str, budget['seeds']))}{start}. Intervals cover the choice of test lesions, not the "
        "luck of a training; “first − this” is paired. Training: a step with 32 images on the CPU, bfloat16; answer: "
        "one image.",
        "",
        *markdown_table(
            [
                "system",
                *(["start"] if starts else []),
                "split by",
                *(METRICS[m] for m in COMPARED),
                *(f"{METRICS[m]}, first − this" for m in COMPARED[1:]),
                "parameters",
                "training, ms an image",
                "answer, ms",
            ],
            rows,
        ),
    ]
