"""Who is in each part of the data: photographs and lesions by age, sex, site, diagnosis and how it was made."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import read_table, split_table
from lesion.data.metadata import SEXES, SITES, UNKNOWN
from lesion.report.answers import Answers
from lesion.report.markdown import markdown_table
from lesion.report.subgroups import CONFIRMATIONS

CONFIRMED_BY = {
    "histo": "histopathology",
    "follow_up": "follow-up",
    "consensus": "consensus of experts",
    "confocal": "confocal microscopy",
    UNKNOWN: "unknown",
}
"""HAM10000's dx_type in words."""


def participants(answers: Answers, data: Path) -> dict | None:
    """The parts into which the data were split, described.

    The split is drawn again from the table, as the training drew it.

    Args:
        answers: of `answer_test_part`.
        data: the data set's folder.

    Returns:
        "collection" and "parts", by name of the part: see `described`. None where the table is not the one that the
        checkpoint was trained with, so that its split cannot be drawn again.

    Raises:
        UserError: the data set cannot be read, or is too small to be split.
    """
    training, table = answers.predictor.config.training, read_table(data, verify=False)
    split = split_table(table, training["split"], training["split_seed"])
    rows = {"training": split.training, "validation": split.validation, "test": split.test}
    same = {name: len(numbers) for name, numbers in rows.items()} == training["images"]
    if not same or set(table.image_id.iloc[split.test]) != set(answers.table.image_id):
        return None
    return {
        "collection": described(table),
        "parts": {name: described(table.iloc[numbers]) for name, numbers in rows.items()},
    }


def described(table: pd.DataFrame) -> dict:
    """One part.

    Args:
        table: one row an image, of `read_table`.

    Returns:
        "images" and "lesions"; "age": "mean" and "std" (years, of the images whose age is known) and "unknown" images;
        "sex", "site", "diagnosis" and "confirmed by": [images, lesions] by value, values that do not occur left out.
    """
    ages = table.age
    return {
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "age": {"mean": float(ages.mean()), "std": float(ages.std(ddof=0)), "unknown": int(ages.isna().sum())},
        "sex": counted(table, table.sex.fillna(UNKNOWN), [*SEXES, UNKNOWN]),
        "site": counted(table, table.site.fillna(UNKNOWN), [*SITES, UNKNOWN]),
        "diagnosis": counted(table, table.label.map(lambda label: CODES[label]), CODES),
        "confirmed by": counted(
            table, table.dx_type.where(table.dx_type.isin(CONFIRMATIONS), UNKNOWN), [*CONFIRMATIONS, UNKNOWN]
        ),
    }


def counted(table: pd.DataFrame, values: pd.Series, order: Sequence[str]) -> dict[str, list[int]]:
    """[images, lesions] of each value that occurs, in the given order."""
    lesions = table.lesion_id.groupby(values).agg(["size", "nunique"])
    return {value: [int(n) for n in lesions.loc[value]] for value in order if value in lesions.index}


def participants_in_markdown(found: dict) -> str:
    """The flow and the table of `participants`."""
    collection, parts = found["collection"], found["parts"]
    flow = "; ".join(f"{part['images']:,} of {part['lesions']:,} lesions for {name}" for name, part in parts.items())
    rows = [
        ["photographs (lesions)", *(f"{part['images']:,} ({part['lesions']:,})" for part in parts.values())],
        ["age, mean ± standard deviation", *(age_in_words(part["age"]) for part in parts.values())],
        ["age unknown", *(str(part["age"]["unknown"]) for part in parts.values())],
    ]
    for field in ("sex", "site", "diagnosis", "confirmed by"):
        for value in collection[field]:
            counts = (part[field].get(value, [0, 0]) for part in parts.values())
            words = CONFIRMED_BY[value] if field == "confirmed by" else value
            rows.append([f"{field}: {words}", *(f"{images} ({lesions})" for images, lesions in counts)])
    return "\n".join(
        [
            f"The collection has {collection['images']:,} photographs of {collection['lesions']:,} lesions; none was "
            f"left out. They were divided into {flow}. The collection does not say how many patients there are. The "
            "table counts photographs, with lesions in parentheses.",
            "",
            *markdown_table(["", *parts], rows),
        ]
    )


def age_in_words(age: dict) -> str:
    """Mean and standard deviation, years; "–" where no age is known."""
    return "–" if age["mean"] is None or age["mean"] != age["mean"] else f"{age['mean']:.1f} ± {age['std']:.1f}"
