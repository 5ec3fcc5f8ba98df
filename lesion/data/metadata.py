"""Age, sex and body site: the record a person fills in, and the numbers the model reads.

Every field may be absent, and the model was trained on absent fields. A field that the data set records as unknown is
absent too.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from lesion.errors import UserError, shown

FIELDS = ("age", "sex", "site")
INPUTS = ("image", *FIELDS)
"""The four inputs, in the order of every presence mask."""
UNKNOWN = "unknown"
SEXES = ("female", "male")
SITES = (
    "abdomen", "acral", "back", "chest", "ear", "face", "foot", "genital", "hand", "lower extremity", "neck", "scalp",
    "trunk", "upper extremity",
)  # fmt: skip
AGES = tuple(range(0, 90, 5))
"""The ages that HAM10000 records, years."""
OLDEST = 120
WIDTH = 2 + len(SEXES) + 1 + len(SITES) + 1
"""Length of an encoded record."""
FIELD_OF_COLUMN = np.array([0] * 2 + [1] * (len(SEXES) + 1) + [2] * (len(SITES) + 1))
"""For each column of an encoded record, the index in FIELDS of the field it belongs to."""


@dataclass(frozen=True)
class Metadata:
    """What is known of a lesion beside its photograph.

    Args:
        age: years, 0 to 120, or None.
        sex: "female", "male" or None.
        site: one of SITES, or None.

    The strings "unknown" and "" and a NaN age mean None; ages may be given as strings.

    Raises:
        UserError: a value is not accepted.
    """

    age: float | None = None
    sex: str | None = None
    site: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "age", parse_age(self.age))
        object.__setattr__(self, "sex", parse_choice("sex", self.sex, SEXES))
        object.__setattr__(self, "site", parse_choice("site", self.site, SITES))

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the fields that have a value."""
        return tuple(field for field in FIELDS if getattr(self, field) is not None)

    def describe(self) -> str:
        """The known fields in words: "age 55, female, back"."""
        age = None if self.age is None else f"age {self.age:g}"
        return ", ".join(x for x in (age, self.sex, self.site) if x) or "nothing known"


def parse_age(value: Any) -> float | None:
    """Age in years from a number or a string; None where unknown.

    Raises:
        UserError: not a number, or outside 0 to 120.
    """
    if value is None or (isinstance(value, str) and value.strip().lower() in ("", UNKNOWN, "nan")):
        return None
    try:
        if isinstance(value, bool):
            raise TypeError
        age = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"Age {shown(value)} is not a number; give years from 0 to {OLDEST}, or '{UNKNOWN}'.") from None
    if math.isnan(age):
        return None
    if not 0 <= age <= OLDEST:
        raise UserError(f"Age {shown(value)} is outside 0 to {OLDEST} years; correct it, or give '{UNKNOWN}'.")
    return age


def parse_choice(field: str, value: object, choices: Sequence[str]) -> str | None:
    """A sex or a site, whatever its case; None where unknown.

    Raises:
        UserError: not one of `choices`.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    text = value.strip().lower() if isinstance(value, str) else None
    if text in ("", UNKNOWN):
        return None
    if text not in choices:
        raise UserError(f"{field.capitalize()} {shown(value)} is not known; choose {', '.join(choices)} or {UNKNOWN}.")
    return text


ALL_AGES, ALL_SEXES, ALL_SITES = (None, *AGES), (None, *SEXES), (None, *SITES)
"""Every value of each field, unknown first."""
GRID = tuple(Metadata(*values) for values in product(ALL_AGES, ALL_SEXES, ALL_SITES))
"""Every record: 19 ages × 3 sexes × 15 sites."""


def parse_inputs(name: str, values: object) -> tuple[str, ...]:
    """A list of names of inputs, in the order of INPUTS.

    Args:
        name: of the list, in the message.
        values: a list, tuple or set, which may be empty.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(values, list | tuple | set | frozenset) or any(v not in INPUTS for v in values):
        raise UserError(f"{name} {shown(values)} is not accepted; give a list of {', '.join(INPUTS)}.")
    return tuple(i for i in INPUTS if i in values)


@dataclass(frozen=True)
class MetadataEncoder:
    """Turns records into the model's input.

    A record becomes WIDTH numbers: age as a z-score and a missing flag, sex and site one-hot with a column for
    unknown. A missing age is imputed with the training mean, a z-score of 0.

    Args:
        age_mean, age_std: mean and standard deviation of the known ages of the training part, years.
    """

    age_mean: float
    age_std: float

    @classmethod
    def fit(cls, ages: np.ndarray) -> "MetadataEncoder":
        """Fits mean and deviation.

        Args:
            ages: float (N,), years, NaN where unknown; the training part alone.

        Raises:
            UserError: no age is known.
        """
        known = ages[~np.isnan(ages)]
        if len(known) == 0:
            raise UserError("No training example has an age; the metadata table needs some.")
        return cls(float(known.mean()), float(known.std()) or 1.0)

    def encode(self, records: Sequence[Metadata]) -> tuple[np.ndarray, np.ndarray]:
        """Encodes records.

        Args:
            records: N records.

        Returns:
            float32 (N, WIDTH), and bool (N, 3): whether each of FIELDS is known.
        """
        out = np.zeros((len(records), WIDTH), np.float32)
        known = np.zeros((len(records), len(FIELDS)), bool)
        for row, record in enumerate(records):
            known[row] = [getattr(record, field) is not None for field in FIELDS]
            if record.age is None:
                out[row, 1] = 1
            else:
                out[row, 0] = (record.age - self.age_mean) / self.age_std
            out[row, 2 + (SEXES.index(record.sex) if record.sex else len(SEXES))] = 1
            out[row, 3 + len(SEXES) + (SITES.index(record.site) if record.site else len(SITES))] = 1
        return out, known


ABSENT = MetadataEncoder(0.0, 1.0).encode([Metadata()])[0][0]
"""The encoding of a record of which nothing is known, float32 (WIDTH,)."""
