"""The model card of a checkpoint, in the Hub's form."""

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import ATTRIBUTION
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.figures import figures_of
from lesion.report.markdown import value_in_words
from lesion.report.readme_results import METRICS, results_table

BY_SUBGROUP = {
    "dataset.accuracy": "accuracy",
    "uniform.balanced_accuracy": "balanced accuracy",
    "uniform.melanoma_recall": "melanomas found",
}
"""The figures of the model card's table of subgroups."""


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
