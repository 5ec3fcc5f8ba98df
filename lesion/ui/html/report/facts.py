"""The label at the top of the model report: on one screen, what the model reads, on whom it was tested, how well it
did, and when not to rely on it (Sendak et al., "Presenting machine learning model information to clinical end users
with model facts labels", npj Digital Medicine 3, 2020)."""

import html

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.metrics.metrics import RULES
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.report.model_card import reading_in_words
from lesion.report.starts import start_in_words
from lesion.report.subgroups import FEW_LESIONS
from lesion.ui.html.report.metric_tables import metrics_table
from lesion.ui.html.report.tables import count, photographs
from lesion.ui.html.wording import unbroken

HEADLINE = (
    "dataset.accuracy",
    "uniform.balanced_accuracy",
    "dataset.macro_f1",
    "malignant_auroc",
    "melanoma_sensitivity_at_90_specificity",
    "ece",
)
PER_CLASS = f"per class, {RULES['dataset']}"
VIEWS = {"fused": "photograph and metadata", "image alone": "photograph alone"}
"""The report's views that the label shows, with their columns' names."""
STYLE = """
.report .facts { margin-top: 0; padding: .9rem 1.1rem 1.1rem; border: 2px solid currentColor; border-radius: 8px; }
.report .facts > h2 { margin: 0 0 .5rem; padding-bottom: .35rem; border-bottom: 6px solid currentColor;
  line-height: 1.2; font-size: var(--text-xl); font-weight: 800; }
.report .facts .columns { display: grid; gap: 0 2rem; grid-template-columns: 5fr 6fr; }
.report .facts dl { grid-template-columns: 7rem 1fr; align-content: start; }
.report .facts .chart { margin: 0; }
.report .facts h3 { margin: .8rem 0 .1rem; padding-top: .5rem; font-size: var(--text-md); font-weight: 700;
  border-top: 1px solid color-mix(in srgb, currentColor 30%, transparent); }
@media (max-width: 1100px) { .report .facts .columns { grid-template-columns: 1fr; gap: .8rem 0; } }
@media (max-width: 760px) { .report .facts dl { grid-template-columns: 1fr; } }
"""


def label(report: dict, config: CheckpointConfig) -> str:
    """The label.

    Args:
        report: of report.json.
        config: of the checkpoint.
    """
    about = "".join(f"<dt>{name}</dt><dd>{text}</dd>" for name, text in described(report, config).items())
    columns = {VIEWS[name]: figures for name, figures in report["metrics"].items() if name in VIEWS}
    figures = metrics_table(report, columns, HEADLINE, [])
    warnings = "".join(f"<li>{text}</li>" for text in cautions(report, config))
    return (
        f'<section id="report-facts" class="facts"><h2>Model facts</h2><div class="columns"><dl>{about}</dl>{figures}'
        f"</div><h3>Before you rely on it</h3><ul>{warnings}</ul></section>"
    )


def described(report: dict, config: CheckpointConfig) -> dict[str, str]:
    """What the model is and on whom it was tested, by the label's headings, as HTML."""
    training = config.training
    inputs = "A dermoscopic photograph"
    if config.metadata:
        inputs += ", age, sex and body site; each of the last three may be unknown"
    trained = f"{photographs(training['images']['training'])} of HAM10000. Start: {start_in_words(training['init'])}"
    tested = (
        f"{photographs(report['images'])} of {count(report['lesions'])} lesions of the same collection, not used in "
        f"training{people(report.get('subgroups', {}))}"
    )
    return {
        name: unbroken(html.escape(f"{text}."))
        for name, text in {
            "Reads": inputs,
            "Looks at": reading_in_words(config.transform).rstrip("."),
            "Answers": f"Probabilities of seven diagnoses: {', '.join(map(within_a_sentence, CODES))}",
            "Network": config.backbone,
            "Trained on": trained,
            "Tested on": tested,
        }.items()
    }


def people(subgroups: dict) -> str:
    """Sex and age of those tested, as far as a report says: ". By sex: female 45 %, …; by age: under 30 8 %, …"."""
    words = []
    for field in ("sex", "age"):
        counts = {value: entry["images"] for value, entry in subgroups.get(field, {}).items()}
        shares = {value: round(100 * images / sum(counts.values())) for value, images in counts.items()}
        named = ", ".join(f"{value} {share} %" for value, share in shares.items() if share)
        words += [f"by {field}: {named}"] if named else []
    return f". Photographs {'; '.join(words)}" if words else ""


def within_a_sentence(code: str) -> str:
    """A diagnosis's name with a small first letter."""
    name = BY_CODE[code].name
    return name[0].lower() + name[1:]


def cautions(report: dict, config: CheckpointConfig) -> list[str]:
    """When not to rely on the model, as HTML."""
    of_class = report[PER_CLASS]
    few = [f"{within_a_sentence(code)} ({e['images']})" for code, e in of_class.items() if e["images"] < FEW_LESIONS]
    out = [
        "For research and teaching only. <b>Not a medical device</b>: nobody may be diagnosed with it.",
        "All photographs come from one collection of two centres, were taken with a dermatoscope and show mostly light "
        f"skin. Expect more errors {link(report, 'elsewhere', 'elsewhere', 'elsewhere')}, and on photographs from "
        "phones.",
        "It knows seven diagnoses and answers with one of them whatever it is shown. A "
        f"{link(report, 'novelty', 'out-of-distribution', 'warning')} finds some pictures of something else, not all.",
    ]
    if config.metadata:
        out.append(
            "What it has learned of age, sex and body site reflects how the collection was made as much as how common "
            "a disease is: associations, not causes."
        )
    if few:
        out.append(
            f"Too few test photographs to judge {html.escape(', '.join(few))} well: see the intervals of "
            f"{link(report, PER_CLASS, 'diagnoses', 'each diagnosis')}."
        )
    subgroups = link(report, "subgroups", "subgroups", "subgroups")
    out.append(f"What holds for all patients together may not hold for some of them: see {subgroups}.")
    if report["split"] != "lesion":
        out.append(
            "The data were split by image: other photographs of the test lesions were used in training, so every "
            "figure here looks better than it is."
        )
    return out


def link(report: dict, key: str, section: str, text: str) -> str:
    """The text, as a link to a section where the report has it."""
    return f'<a href="#report-{section}">{text}</a>' if key in report else text
