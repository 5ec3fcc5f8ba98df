"""The model card of a checkpoint, in the Hub's form."""

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import ATTRIBUTION
from lesion.data.transforms import ImageTransform
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.card_metadata import HUB_DATASET, LIBRARY, card_metadata, card_title
from lesion.report.checklists import CLEAR_DERM, TRIPOD_AI, checklist_table
from lesion.report.commands import training_commands
from lesion.report.figures import figures_of
from lesion.report.markdown import markdown_table, value_in_words
from lesion.report.participants import participants_in_markdown
from lesion.report.readme_results import METRICS, results_table
from lesion.report.starts import external_sources, start_in_words, terms_in_words

BY_SUBGROUP = {
    "dataset.accuracy": "accuracy",
    "uniform.balanced_accuracy": "balanced accuracy",
    "uniform.melanoma_recall": "melanomas found",
}
"""The figures of the table of subgroups."""


CONFIRMATION = """\
HAM10000 names four ways (Tschandl et al. 2018). **Histopathology**: a pathologist diagnosed the excised lesion.
**Follow-up**: a nevus did not change in digital dermatoscopy. **Consensus**: experts agreed on a typical benign lesion.
**Confocal microscopy**: seen in the living skin. So a cancer is confirmed on tissue, while many nevi never were: what
looks harmless is more often only watched. The way of confirmation is never an input."""
HUMANS = """\
From the literature; other photographs and other conditions, so not to be compared number by number.

- The same seven diagnoses, 30 photographs each: 511 readers had 17.91 right on average, 27 experts with more than ten
  years of experience 18.78, the three best programs 25.43. P. Tschandl et al., Lancet Oncology 20, 938–947 (2019).
- The same seven diagnoses: 302 readers had 63.6 % right alone and 77.0 % when they saw a program's probabilities.
  P. Tschandl et al., Nature Medicine 26, 1229–1234 (2020).
- Melanoma or nevus: 58 dermatologists had a sensitivity of 86.6 % and a specificity of 71.3 % with the dermoscopic
  image alone, and 88.9 % and 75.7 % with clinical information. H. A. Haenssle et al., Annals of Oncology 29, 1836–1842
  (2018)."""
LICENCE = "The weights derive from HAM10000 (CC BY-NC 4.0): non-commercial use with attribution."
SKIN_TONE = """\
HAM10000 comes from Vienna and Queensland and shows mostly light skin. It does not record skin colour, so nothing here
says how the model does on dark skin; expect it to do worse. No subgroups by an estimated skin colour are published. The
usual estimate, the individual typology angle (ITA) of the pixels around the lesion, depends on light and camera, and
ways to compute it disagree on the same photographs (T. Kalb et al., arXiv 2308.09640). A table by such groups would
look like a finding without being one."""


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


def participants_section(report: dict | None) -> str:
    """The heading and the table of participants, or "" where the report has none."""
    if report is None or "participants" not in report:
        return ""
    return f"## Participants\n\n{participants_in_markdown(report['participants'])}\n\n"


def model_card(config: CheckpointConfig, report: dict | None, load_from: str = "weights") -> str:
    """A model card in the Hub's form.

    Args:
        config: of the checkpoint.
        report: of `lesion.evaluate`; None for a checkpoint that it has not scored.
        load_from: what to give as the checkpoint to load it, a folder or a Hub id.
    """
    card = sections(config, report, load_from)
    tables = {name: checklist_table(items, card, report or {}) for name, items in CHECKLISTS.items()}
    checklists = "\n\n".join(f"### {name}\n\n{table}" for name, table in tables.items())
    return f"""---
{card_metadata(config, report).to_yaml()}
---

{card}
## Checklists

Where each item is answered, or that it is not. Topics are shortened.

{checklists}
"""


CHECKLISTS = {
    "TRIPOD+AI (Collins et al., BMJ 385, e078378, 2024)": TRIPOD_AI,
    "CLEAR Derm (Daneshjou et al., JAMA Dermatology 158, 90–96, 2022)": CLEAR_DERM,
}


def model_facts(config: CheckpointConfig) -> str:
    """What the model is, as a list."""
    training = config.training
    stages = ", then ".join(f"{epochs} epochs at {size} px" for size, epochs in training["image_sizes"])
    images = ", ".join(f"{count} {part}" for part, count in training["images"].items())
    inputs = "a dermoscopic photograph"
    if config.metadata:
        inputs += ", age, sex and body site; each of the last three may be unknown"
    facts = f"""\
- **Inputs**: {inputs}.
- **What it sees of a photograph**: {reading_in_words(config.transform)}
- **Output**: probabilities of seven diagnoses: {", ".join(d.name for d in DIAGNOSES)}.
- **Start**: {start_in_words(training["init"])}.
- **Recipe**: {training["recipe"]}, {stages}, {training["class_weighting"]} class weights,
  seed {training["seed"]}, {training["minutes"]} minutes.{choice_in_words(training)}
- **Data**: {ATTRIBUTION}. Split by {training["split"]}, seed {training["split_seed"]}: {images}."""
    if external := external_sources(training):
        facts += f"\n- **With external data**: {', '.join(external)}; terms under Licence."
    return facts


def sections(config: CheckpointConfig, report: dict | None, load_from: str) -> str:
    """The card without front matter and checklists; arguments as of `model_card`."""
    training = config.training
    licence = " ".join(filter(None, (LICENCE, terms_in_words(training))))
    return f"""# {card_title(config)}

For research and teaching. Not a medical device: it must not be used to diagnose anyone.

## Model facts

{model_facts(config)}

## Use

With the code of this project ({LIBRARY}), `python app.py --checkpoint {load_from}` shows the model in a browser, and
`python -m lesion.predict --checkpoint {load_from} --images DIR --output predictions.csv` answers a folder of
photographs. In Python:

```python
from lesion import Metadata, load_predictor

predictor = load_predictor("{load_from}")
predictor.predict(image, Metadata(age=55, sex="female", site="back")).probabilities  # of a PIL image
```

It is made for teachers and their classes, and for whoever studies what metadata add to an image. Do not use it for
diagnosis, for screening, for photographs from a phone, or for any diagnosis other than these seven.

## Data

{ATTRIBUTION}.
Dermoscopic photographs of pigmented lesions, collected over twenty years at the Department of Dermatology of the
Medical University of Vienna and in a skin cancer practice in Queensland, Australia. They are at the Harvard Dataverse
(doi:10.7910/DVN/DBW86T) and on Kaggle. The front matter names a copy on the Hub, `{HUB_DATASET}`, because the Hub links
only its own data sets.

## How diagnoses were made

{CONFIRMATION}

{participants_section(report)}## Results

{validation_table(training["validation"]) if report is None else tested_in_words(report)}

## Human performance

{HUMANS}

## Skin tone

{SKIN_TONE}

## How it was made

```
{chr(10).join(training_commands(training, "weights"))}
```

## Limits

The photographs come from one collection, from two centres, and show mostly light skin. Associations in it are not
causes. What the metadata say about a diagnosis reflects how the collection was made as much as how common the disease
is. The model knows only these seven diagnoses and answers with one of them for any image. The data name no patients:
different lesions of one patient may be on both sides of the split.

## Funding and ethics

No funding and no conflict of interest are declared. No patient was seen for this model: it reads published photographs
without names. The paper of the collection describes the ethics approvals of both centres.

## Licence

{licence}
"""
