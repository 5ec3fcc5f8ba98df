"""The report in Markdown: the README's tables of results, and the model card of a checkpoint."""

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import ATTRIBUTION
from lesion.metrics.metrics import SPECIFICITIES
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.figures import figures_of

METRICS = {
    "dataset.accuracy": "accuracy",
    "dataset.weighted_f1": "weighted F1",
    "uniform.balanced_accuracy": "balanced accuracy",
    "log_loss": "log-loss",
    "macro_auroc": "macro AUROC",
}
"""The figures of the README's first table; the decision rule is in the name."""
CALIBRATED = {"all metadata": "fused", "no metadata": "image alone"}
"""The views whose calibration is reported before and after."""
BY_SUBGROUP = {
    "dataset.accuracy": "accuracy",
    "uniform.balanced_accuracy": "balanced accuracy",
    "uniform.melanoma_recall": "melanomas found",
}
"""The figures of the model card's table of subgroups."""


def value_in_words(entry: dict) -> str:
    """ "0.771 (0.752 to 0.790)"."""
    low, high = entry["interval"]
    return f"{entry['value']:.3f} ({low:.3f} to {high:.3f})"


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


def tested_in_words(report: dict) -> str:
    """All that a model card says of a report."""
    figures = "\n".join(f"![{figure.title}]({name})" for name, figure in figures_of(report).items())
    return f"{results_table(report)}\n\n### Subgroups\n\n{subgroups_table(report['subgroups'])}\n\n{figures}"


def subgroups_table(subgroups: dict) -> str:
    """The values of `lesion.report.subgroups.subgroups` as Markdown."""
    lines = [
        "Of the test part, with all that the model reads; accuracy under data-set prevalence, the others under equal "
        "prevalence. Subgroups differ in how hard their lesions are: a gap shows "
        "where the model errs more, not why.",
        "",
        "| subgroup | images | melanomas | " + " | ".join(BY_SUBGROUP.values()) + " |",
        "| --- | --- | --- |" + " --- |" * len(BY_SUBGROUP),
    ]
    for field, groups in subgroups.items():
        for value, entry in groups.items():
            cells = [value_in_words(entry[m]) if m in entry else "too few" for m in BY_SUBGROUP]
            lines.append(f"| {field}: {value} | {entry['images']} | {entry['melanomas']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def validation_table(views: dict) -> str:
    """The figures that training stores, as Markdown."""
    lines = [
        "`lesion.evaluate` has not scored this checkpoint on its test part. On validation, which chose the epoch and "
        "fitted the calibration, so that test will come out lower:",
        "",
        "| inputs | " + " | ".join(METRICS.values()) + " |",
        "| --- |" + " --- |" * len(METRICS),
    ]
    for name, view in views.items():
        values = []
        for metric in METRICS:
            rule, _, key = metric.rpartition(".")
            values.append(f"{(view[rule] if rule else view)[key]:.3f}")
        lines.append(f"| {name} | " + " | ".join(values) + " |")
    return "\n".join(lines)


def model_card(config: CheckpointConfig, report: dict | None, load_from: str = "weights") -> str:
    """A model card in the Hub's form.

    Args:
        config: of the checkpoint.
        report: of `lesion.evaluate`; None for a checkpoint that it has not scored.
        load_from: what to give for the checkpoint to load it, a folder or a Hub id.
    """
    training, transform = config.training, config.transform
    start = training["init"]
    if isinstance(start, dict):
        start = "our own pretraining: " + ", ".join(f"{k} {v}" for k, v in start.items())
    stages = ", then ".join(f"{epochs} epochs at {size} px" for size, epochs in training["image_sizes"])
    images = ", ".join(f"{count} {part}" for part, count in training["images"].items())
    return f"""---
license: cc-by-nc-4.0
library_name: timm
pipeline_tag: image-classification
tags: [dermoscopy, skin-lesion, multimodal, education]
---

# {config.backbone.split(".")[0]} with age, sex and body site, on HAM10000

For research and teaching. Not a medical device: it must not be used to diagnose anyone.

- **Reads** a dermoscopic photograph ({transform.size} × {transform.size} pixels, shrunk to {transform.working_size} on
  its longer side first), age, sex and body site, each of which may be unknown.
- **Answers** probabilities of seven diagnoses: {", ".join(d.name for d in DIAGNOSES)}.
- **Start**: {start}.
- **Recipe**: {training["recipe"]}, {stages}, {training["class_weighting"]} class weights,
  seed {training["seed"]}, {training["minutes"]} minutes.
- **Data**: {ATTRIBUTION}. Split by {training["split"]}, seed {training["split_seed"]}: {images}.

## Use

For teaching and research on what metadata add to an image, with the code of this project: `python app.py --checkpoint
{load_from}` shows it in a browser, `python -m lesion.predict --checkpoint {load_from} --images DIR --output
predictions.csv` answers a folder of photographs, and in Python:

```python
from lesion import Metadata, load_predictor

predictor = load_predictor("{load_from}")
predictor.predict(image, Metadata(age=55, sex="female", site="back")).probabilities  # of a PIL image
```

Not for: diagnosing anyone, screening, photographs from a phone, any diagnosis but these seven.

## Results

{validation_table(training["validation"]) if report is None else tested_in_words(report)}

## Limits

Photographs of one collection, mostly of light skin, from two centres; skin colour is not recorded in it. Associations
in it are not causes: what the metadata say about a diagnosis is how this collection was made as much as how disease is
spread. The model knows these seven diagnoses and answers one of them to any picture. The data name no patients:
different lesions of one patient may be on both sides of the split.

## Licence

The weights derive from HAM10000 (CC BY-NC 4.0): non-commercial use with attribution. Where the start was pretrained on
ImageNet images, ImageNet's terms (non-commercial research and teaching) apply too.
"""
