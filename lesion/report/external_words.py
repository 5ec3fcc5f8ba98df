"""What a checkpoint loses on photographs from elsewhere, in words and in Markdown."""

import numpy as np

from lesion.data.metadata import FIELDS
from lesion.metrics.metrics import ALARM_THRESHOLD
from lesion.report.markdown import markdown_table, value_in_words

EXPLAINED = (
    "The test part's figures beside them are of the same diagnoses. Nothing was fitted or chosen on these photographs. "
    "Accuracy is decided under data-set prevalence, balanced accuracy, over the diagnoses that occur, under equal "
    f"prevalence. The melanoma alarm rings at a probability of {100 * ALARM_THRESHOLD:g} %."
)


def counted(entry: dict) -> str:
    """Which photographs were measured: "200 photographs of 200 lesions (mel 40, nv 160)"."""
    each = ", ".join(f"{code} {count}" for code, count in entry["diagnoses"].items())
    left_out = entry["left out"]
    others = f"; left out, as none of the seven diagnoses: {sum(left_out.values())}" if left_out else ""
    return f"{entry['images']} photographs of {entry['lesions']} lesions ({each}{others})"


def elsewhere_in_markdown(elsewhere: dict[str, dict]) -> list[str]:
    """The values of `lesion.report.external.evaluate_external`, by the collection's name, as lines of Markdown."""
    lines = [f"**Elsewhere**: photographs of other collections. {EXPLAINED}"]
    for name, entry in elsewhere.items():
        lines += ["", f"{name}: {counted(entry)}. {' '.join(in_words(entry))}", ""]
        places = {"elsewhere": name, "here": "test part", "difference": "difference"}
        rows = [
            [f"{words}, {view}", *(value_in_words(values[place]) for values in figures.values())]
            for view, figures in entry["views"].items()
            for place, words in places.items()
        ]
        lines += markdown_table(["photographs", *next(iter(entry["views"].values()))], rows)
    return lines


def in_words(entry: dict) -> list[str]:
    """What is lost elsewhere and what may explain it, as sentences.

    Args:
        entry: of `score_external`, or read from report.json, where NaN is None.
    """
    figures = entry["views"].get("all metadata") or entry["views"]["no metadata"]
    sentences = []
    found, passed = (figures[name] for name in ("melanomas found by the alarm", "others not flagged"))
    if all(available(figure[place]) for figure in (found, passed) for place in ("elsewhere", "here")):
        sentences.append(
            f"The melanoma alarm at {100 * ALARM_THRESHOLD:g} % finds {of_hundred(found['elsewhere'])} melanomas there "
            f"instead of {of_hundred(found['here'])}, and leaves {of_hundred(passed['elsewhere'])} other lesions "
            f"unflagged instead of {of_hundred(passed['here'])}."
        )
    for name in ("balanced accuracy", "melanoma AUROC"):
        if available(figures[name]["difference"]):
            value, (low, high) = figures[name]["difference"]["value"], figures[name]["difference"]["interval"]
            verdict = f"The {name} is {abs(value):.2f} {'lower' if value < 0 else 'higher'} there"
            if low <= 0 <= high:
                sentences.append(f"{verdict}, which may be chance: the 95 % interval of the difference includes zero.")
            else:
                near, far = sorted((abs(low), abs(high)))
                sentences.append(f"{verdict} (95 % interval {near:.2f} to {far:.2f}).")
    return sentences + reasons(entry, figures)


def available(figure: dict) -> bool:
    """Whether a figure has a value and an interval."""
    return not any(value is None or np.isnan(value) for value in (figure["value"], *figure["interval"]))


def of_hundred(figure: dict) -> str:
    """A share as people count: "71 of 100"."""
    return f"{100 * figure['value']:.0f} of 100"


def reasons(entry: dict, figures: dict) -> list[str]:
    """What may explain a loss: only what is known or was measured."""
    sentences = [entry["differs"]] if entry["differs"] else []
    unknown = [name for name, share in entry["known"].items() if share == 0]
    if len(unknown) == len(FIELDS):
        sentences.append(
            "Its table has no age, sex or body site, so both sides are answered from the photograph alone."
        )
    elif unknown:
        sentences.append(f"Its table does not give the {' and '.join(unknown)}.")
    alarms = figures["out-of-distribution alarms"]
    if available(alarms["difference"]) and alarms["difference"]["interval"][0] > 0:
        sentences.append(
            f"To the model, {of_hundred(alarms['elsewhere'])} of its photographs look unlike those of the training, "
            f"instead of {of_hundred(alarms['here'])} in the test part."
        )
    if entry["seen"] is None:
        sentences.append("The checkpoint does not list the photographs that it has seen: some may be among these.")
    elif entry["seen"]:
        sentences.append(f"The model has seen {entry['seen']} of these photographs before: the figures are too good.")
    if entry["unlisted"]:
        names = ", ".join(entry["unlisted"])
        sentences.append(f"Of what it learned from, these do not list their photographs: {names}.")
    return sentences
