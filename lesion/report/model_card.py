"""The model card of a checkpoint, in the Hub's form."""

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import ATTRIBUTION
from lesion.data.transforms import ImageTransform
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.commands import training_commands
from lesion.report.figures import figures_of
from lesion.report.markdown import markdown_table, value_in_words
from lesion.report.readme_results import METRICS, results_table
from lesion.report.starts import start_in_words

BY_SUBGROUP = {
    "dataset.accuracy": "accuracy",
    "uniform.balanced_accuracy": "balanced accuracy",
    "uniform.melanoma_recall": "melanomas found",
}
"""The figures of the table of subgroups."""


def reading_in_words(transform: ImageTransform) -> str:
    """What the network sees of a photograph."""
    if transform.crop_mode == "squash":
        frame, side = "The whole frame, squeezed into a square", "longer"
    else:
        frame, side = "The centre square", "shorter"
    return (
        f"{frame} of {transform.size} × {transform.size} pixels. A photograph is first shrunk to "
        f"{transform.working_size} pixels on its {side} side, where it is larger."
    )


def tested_in_words(report: dict) -> str:
    """The results of a report."""
    figures = "\n".join(f"![{figure.title}]({name})" for name, figure in figures_of(report).items())
    return f"{results_table(report)}\n\n### Subgroups\n\n{subgroups_table(report['subgroups'])}\n\n{figures}"


def subgroups_table(subgroups: dict) -> str:
    """The values of `lesion.report.subgroups.subgroups` as Markdown."""
    rows = []
    for field, groups in subgroups.items():
        for value, entry in groups.items():
            cells = [value_in_words(entry[m]) if m in entry else "too few" for m in BY_SUBGROUP]
            rows.append([f"{field}: {value}", str(entry["images"]), str(entry["melanomas"]), *cells])
    return "\n".join(
        [
            "Subgroups of the test part, with all inputs that the model reads. Accuracy is decided under data-set "
            "prevalence, the other figures under equal prevalence. Subgroups differ in how difficult their lesions "
            "are: a gap shows where the model errs more, not why.",
            "",
            *markdown_table(["subgroup", "images", "melanomas", *BY_SUBGROUP.values()], rows),
        ]
    )


def validation_table(views: dict) -> str:
    """The figures that training stores, as Markdown."""
    rows = []
    for name, view in views.items():
        values = []
        for metric in METRICS:
            rule, _, key = metric.rpartition(".")
            values.append(f"{(view[rule] if rule else view)[key]:.3f}")
        rows.append([name, *values])
    return "\n".join(
        [
            "`lesion.evaluate` has not scored this checkpoint on its test part. These are figures of the validation "
            "part, which chose the epoch and fitted the calibration. Expect lower ones on the test part.",
            "",
            *markdown_table(["inputs", *METRICS.values()], rows),
        ]
    )


def choice_in_words(training: dict) -> str:
    """Which epoch a fine-tuning kept and how firmly, and the commit that trained, where the checkpoint records them."""
    words = ""
    if choice := training.get("epoch_choice"):
        words += (
            f" Epoch {choice['epoch']} was kept, by validation log-loss among the last {choice['candidates']}; "
            f"{choice['agreement']:.0%} of bootstraps of the validation lesions choose it."
        )
    if training.get("commit", "unknown") != "unknown":
        words += f" Trained by the code of commit {training['commit']}."
    return words


def model_card(config: CheckpointConfig, report: dict | None, load_from: str = "weights") -> str:
    """A model card in the Hub's form.

    Args:
        config: of the checkpoint.
        report: of `lesion.evaluate`; None for a checkpoint that it has not scored.
        load_from: what to give as the checkpoint to load it, a folder or a Hub id.
    """
    training = config.training
    stages = ", then ".join(f"{epochs} epochs at {size} px" for size, epochs in training["image_sizes"])
    images = ", ".join(f"{count} {part}" for part, count in training["images"].items())
    reads, inputs = "on the image alone", "a dermoscopic photograph"
    if config.metadata:
        reads = "with age, sex and body site"
        inputs += ", age, sex and body site; each of the last three may be unknown"
    return f"""---
license: cc-by-nc-4.0
library_name: timm
pipeline_tag: image-classification
tags: [dermoscopy, skin-lesion, multimodal, education]
---

# {config.backbone.split(".")[0]} {reads}, on HAM10000

For research and teaching. Not a medical device: it must not be used to diagnose anyone.

- **Inputs**: {inputs}.
- **What it sees of a photograph**: {reading_in_words(config.transform)}
- **Output**: probabilities of seven diagnoses: {", ".join(d.name for d in DIAGNOSES)}.
- **Start**: {start_in_words(training["init"])}.
- **Recipe**: {training["recipe"]}, {stages}, {training["class_weighting"]} class weights,
  seed {training["seed"]}, {training["minutes"]} minutes.{choice_in_words(training)}
- **Data**: {ATTRIBUTION}. Split by {training["split"]}, seed {training["split_seed"]}: {images}.

## Use

With the code of this project, `python app.py --checkpoint {load_from}` shows the model in a browser, and
`python -m lesion.predict --checkpoint {load_from} --images DIR --output predictions.csv` answers a folder of
photographs. In Python:

```python
from lesion import Metadata, load_predictor

predictor = load_predictor("{load_from}")
predictor.predict(image, Metadata(age=55, sex="female", site="back")).probabilities  # of a PIL image
```

Use it to teach and to study what metadata add to an image. Do not use it for diagnosis, for screening, for photographs
from a phone, or for any diagnosis other than these seven.

## Results

{validation_table(training["validation"]) if report is None else tested_in_words(report)}

## How it was made

```
{chr(10).join(training_commands(training, "weights"))}
```

## Limits

The photographs come from one collection, from two centres, and show mostly light skin; the collection does not record
skin colour. Associations in it are not causes. What the metadata say about a diagnosis reflects how the collection was
made as much as how common the disease is. The model knows only these seven diagnoses and answers with one of them for
any image. The data name no patients: different lesions of one patient may be on both sides of the split.

## Licence

The weights derive from HAM10000 (CC BY-NC 4.0): non-commercial use with attribution. If the start was pretrained on
ImageNet images, ImageNet's terms (non-commercial research and teaching) apply too; the terms of any other collection
named at Start apply as well.
"""
