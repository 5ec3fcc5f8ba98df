"""What age, sex and body site do to the answer for one photograph. It is exact, because the model was trained on every
subset of the inputs, and immediate, because only the small head runs.

    influence = Influence(predictor, predictor.features(image), Metadata(age=75, site="face"))
    influence.shapley("akiec").contributions    # {"image": 0.21, "age": 0.04, "sex": 0.0, "site": 0.22}

- Shapley values: Shapley, "A value for n-person games" (1953); over trained subsets of the inputs: Covert, Lundberg and
  Lee, "Explaining by Removing" (2021). Four inputs have sixteen subsets, so nothing is sampled.
- Age curve: individual conditional expectation, Goldstein et al., "Peeking Inside the Black Box" (2015).
- Smallest changes: minimal counterfactuals over a finite grid, as in LIT (Tenney et al., 2020), found by looking at
  every cell.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import pandas as pd

from lesion.data.diagnoses import BY_CODE, CODES, check_code
from lesion.data.metadata import AGES, ALL_AGES, ALL_SEXES, ALL_SITES, FIELDS, INPUTS, UNKNOWN, Metadata
from lesion.errors import UserError, parse_number, shown
from lesion.inference.features import Features
from lesion.inference.predictor import Predictor
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, METADATA_ALONE, NOTHING, SUBSETS, UNIFORM, reweight
from lesion.words import percent

PREVALENCES = ("dataset", "uniform", "own")
SCALES = ("probability", "log-odds")
ANY_FIELD = "any field"
CHANGING = (ANY_FIELD, *FIELDS)
"""Which fields of the record a smallest change may change: any of them, or one alone."""
MOST_CHANGES = 3
"""Smallest changes that are listed."""


def parse_prevalence(choice: object, melanoma_share: object, training: np.ndarray) -> np.ndarray | None:
    """How common the diagnoses are, from what a person chose.

    Args:
        choice: one of PREVALENCES; "own" sets melanoma's share and leaves the others in the data set's proportions.
        melanoma_share: for "own", the percentage of melanomas among the lesions photographed, 0.01 to 99.
        training: frequencies of the classes in the training part, float (7,).

    Returns:
        float64 (7,) summing to 1; None for the data set's own.

    Raises:
        UserError: a value is not accepted.
    """
    if choice not in PREVALENCES:
        raise UserError(f"Prevalence {shown(choice)} is not known; choose {', '.join(PREVALENCES)}.")
    if choice != "own":
        return UNIFORM if choice == "uniform" else None
    share = parse_number("Share of melanomas", melanoma_share, 0.01, 99, "%") / 100
    melanoma = CODES.index("mel")
    prevalence = training * (1 - share) / (1 - training[melanoma])
    prevalence[melanoma] = share
    return prevalence


@dataclass(frozen=True)
class Shapley:
    """One diagnosis's answer as a sum.

    Attributes:
        start: with nothing known.
        contributions: of each of INPUTS, by name.
        end: with everything known; `start` plus the contributions.
    """

    start: float
    contributions: dict[str, float]
    end: float


@dataclass(frozen=True)
class Switch:
    """Two neighbouring ages of the age curve, years, between which the top diagnosis changes, and its codes."""

    younger: float
    older: float
    before: str
    after: str


@dataclass(frozen=True)
class SmallestChange:
    """The nearest record with another top diagnosis.

    Attributes:
        metadata: that record.
        changed: names of the fields that differ.
        years: the difference in age; None where the age stays, or is unknown on one side.
        diagnosis: the new top diagnosis, a code.
        probability: of it.
    """

    metadata: Metadata
    changed: tuple[str, ...]
    years: float | None
    diagnosis: str
    probability: float


class Influence:
    """Every view of what the metadata did, for one photograph and one record.

    Args:
        predictor: of `load_predictor`.
        features: of the photograph.
        metadata: the record.
        prevalence: how common each diagnosis is, float (7,); by default as in the data set. Every view uses it.
    """

    def __init__(
        self, predictor: Predictor, features: Features, metadata: Metadata, prevalence: np.ndarray | None = None
    ):
        self.predictor, self.features, self.metadata, self.prevalence = predictor, features, metadata, prevalence

    @cached_property
    def subsets(self) -> np.ndarray:
        """Probabilities from each subset of the inputs, float64 (16, 7), in the order of SUBSETS."""
        return self.predictor.probabilities(self.features, [self.metadata] * len(SUBSETS), SUBSETS, self.prevalence)

    @property
    def three_answers(self) -> dict[str, dict[str, float]]:
        """Probabilities by code from the image alone, the metadata alone, and both."""
        rows = {"image alone": IMAGE_ALONE, "metadata alone": METADATA_ALONE, "both": EVERYTHING}
        return {name: dict(zip(CODES, self.subsets[row].tolist(), strict=True)) for name, row in rows.items()}

    def shapley(self, code: str, scale: str = "probability") -> Shapley:
        """Exact Shapley values of image, age, sex and site.

        The contribution of an input is what adding it changes, averaged over all orders in which the four may become
        known. A field of which nothing is known contributes 0.

        Args:
            code: of the diagnosis.
            scale: "probability", or "log-odds" (natural logarithm of p / (1 − p)).

        Raises:
            UserError: an unknown diagnosis or scale.
        """
        check_code(code)
        if scale not in SCALES:
            raise UserError(f"Scale {shown(scale)} is not known; choose {' or '.join(SCALES)}.")
        index = CODES.index(code)
        values = self.subsets[:, index]
        if scale == "log-odds":
            values = np.log(values / np.delete(self.subsets, index, axis=1).sum(1))
        contributions = {}
        for player, name in enumerate(INPUTS):
            without = np.flatnonzero(~SUBSETS[:, player])
            sizes = SUBSETS[without].sum(1)
            weights = np.array([math.factorial(s) * math.factorial(3 - s) / math.factorial(4) for s in sizes])
            contributions[name] = float(weights @ (values[without | 1 << player] - values[without]))
        return Shapley(float(values[NOTHING]), contributions, float(values[EVERYTHING]))

    @cached_property
    def ages(self) -> tuple[float | None, ...]:
        """The ages of the sweep: unknown, HAM10000's, and the record's own where it is another."""
        if self.metadata.age in ALL_AGES:
            return ALL_AGES
        return (None, *sorted((*AGES, self.metadata.age)))

    @cached_property
    def sweep(self) -> np.ndarray:
        """Probabilities for every age, sex and site, float64 (len(ages), 3, 15, 7)."""
        metadata, known = self.predictor.encoded_grid
        answers = self.predictor.answers(self.features.embedding[None], metadata, known, prevalence=self.prevalence)
        answers = answers.reshape(len(ALL_AGES), len(ALL_SEXES), len(ALL_SITES), len(CODES))
        if self.ages is ALL_AGES:
            return answers
        records = [Metadata(self.metadata.age, sex, site) for sex, site in product(ALL_SEXES, ALL_SITES)]
        own = self.predictor.probabilities(self.features, records, prevalence=self.prevalence)
        return np.insert(answers, self.ages.index(self.metadata.age), own.reshape(answers.shape[1:]), axis=0)

    @property
    def place(self) -> tuple[int, int, int]:
        """Where in `sweep` the record is."""
        record = self.metadata
        return self.ages.index(record.age), ALL_SEXES.index(record.sex), ALL_SITES.index(record.site)

    def at_prevalences(self, prevalences: Mapping[str, np.ndarray | None], code: str) -> dict[str, float]:
        """The probability of a diagnosis from everything, were the diagnoses as common as that.

        Args:
            prevalences: float (7,), or None for the data set's own, under any names.
            code: of the diagnosis.

        Raises:
            UserError: an unknown diagnosis.
        """
        check_code(code)
        training = self.predictor.config.calibration.prevalence
        own, index = training if self.prevalence is None else self.prevalence, CODES.index(code)
        return {
            name: float(reweight(self.subsets[EVERYTHING], own, training if p is None else p)[index])
            for name, p in prevalences.items()
        }

    @property
    def age_curve(self) -> np.ndarray:
        """Probabilities against age with sex and site as they are, float64 (len(ages) - 1, 7), for ages[1:]."""
        _, sex, site = self.place
        return self.sweep[1:, sex, site]

    @property
    def switches(self) -> list[Switch]:
        """Where along the age curve the top diagnosis changes."""
        top, ages = self.age_curve.argmax(1), self.ages[1:]
        return [
            Switch(ages[i], ages[i + 1], CODES[top[i]], CODES[top[i + 1]])
            for i in range(len(top) - 1)
            if top[i] != top[i + 1]
        ]

    def by_site_and_sex(self, code: str) -> pd.DataFrame:
        """Probability of a diagnosis at the record's age: 15 rows by site, 3 columns by sex, "unknown" among both.

        Raises:
            UserError: an unknown diagnosis.
        """
        check_code(code)
        values = self.sweep[self.place[0], :, :, CODES.index(code)].T
        names = [[value or UNKNOWN for value in values] for values in (ALL_SITES, ALL_SEXES)]
        return pd.DataFrame(values, pd.Index(names[0], name="site"), pd.Index(names[1], name="sex"))

    def by_site(self, code: str) -> dict[str | None, float]:
        """Probability of a diagnosis with the lesion at each site, age and sex as they are.

        Raises:
            UserError: an unknown diagnosis.
        """
        check_code(code)
        age, sex, _ = self.place
        return dict(zip(ALL_SITES, self.sweep[age, sex, :, CODES.index(code)].tolist(), strict=True))

    @property
    def smallest_change(self) -> SmallestChange | None:
        """The first of `smallest_changes`, or None where there is none."""
        return next(iter(self.smallest_changes()), None)

    def smallest_changes(self, changing: str = ANY_FIELD) -> list[SmallestChange]:
        """The records with another top diagnosis that are nearest to this one, at most MOST_CHANGES.

        Nearest: fewest fields changed, then fewest years (an age forgotten or learnt counts as more than any), then
        the most probable new diagnosis. Each is minimal: no part of the change would do. Each changes other fields than
        those before it, or leads to another diagnosis; three neighbouring ages would tell a class no more than one.

        Args:
            changing: one of CHANGING.

        Raises:
            UserError: it is none of them.
        """
        if changing not in CHANGING:
            raise UserError(f"Field {shown(changing)} is not known; choose {', '.join(CHANGING)}.")
        place, top = np.array(self.place), self.sweep.argmax(-1)
        cells = np.argwhere(top != top[self.place])
        differs = cells != place
        minimal = np.ones(len(cells), bool)
        for part in product((False, True), repeat=len(FIELDS)):
            partly = np.where(part, cells, place)
            minimal &= (partly == cells).all(1) | (top[tuple(partly.T)] == top[self.place])
        if changing != ANY_FIELD:
            minimal &= (differs == [field == changing for field in FIELDS]).all(1)
        cells, differs = cells[minimal], differs[minimal]
        years = np.array([0.0 if a == self.metadata.age else self._years(a) for a in self.ages])[cells[:, 0]]
        diagnosis, probability = top[tuple(cells.T)], self.sweep[tuple(cells.T)].max(1)
        nearest = np.lexsort((-probability, years, differs.sum(1)))
        kind = np.column_stack([differs, diagnosis])
        _, first = np.unique(kind[nearest], axis=0, return_index=True)
        return [
            SmallestChange(
                Metadata(self.ages[cells[i, 0]], ALL_SEXES[cells[i, 1]], ALL_SITES[cells[i, 2]]),
                tuple(field for field, d in zip(FIELDS, differs[i], strict=True) if d),
                float(years[i]) if 0 < years[i] < math.inf else None,
                CODES[diagnosis[i]],
                float(probability[i]),
            )
            for i in nearest[np.sort(first)[:MOST_CHANGES]]
        ]

    def _years(self, age: float | None) -> float:
        known = age is not None and self.metadata.age is not None
        return abs(age - self.metadata.age) if known else math.inf

    def sweep_table(self) -> pd.DataFrame:
        """The sweep as a table: columns age, sex, site ("unknown" where absent) and the seven codes."""
        fields = product(self.ages, ALL_SEXES, ALL_SITES)
        table = pd.DataFrame([[UNKNOWN if v is None else v for v in row] for row in fields], columns=list(FIELDS))
        return table.join(pd.DataFrame(self.sweep.reshape(-1, len(CODES)), columns=list(CODES)))


def smallest_change_in_words(change: SmallestChange | None, metadata: Metadata, changing: str = ANY_FIELD) -> str:
    """The smallest change that flips the answer: "With the age 60 instead of 75 the answer would be Melanoma (41 %)."

    Args:
        change: of `Influence.smallest_changes`.
        metadata: the record it departs from.
        changing: one of CHANGING, the field that was changed alone.
    """
    if change is None:
        fields = "age, sex or site" if changing == ANY_FIELD else changing
        return f"No other {fields} changes the most probable diagnosis."
    parts = []
    for field in change.changed:
        new, old = (value_in_words(getattr(record, field)) for record in (change.metadata, metadata))
        parts.append(f"the {field} {'given as ' if field == 'sex' else ''}{new} instead of {old}")
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    name = BY_CODE[change.diagnosis].name
    return f"With {listed} the answer would be {name} ({percent(change.probability)})."


def smallest_changes_in_words(
    changes: Sequence[SmallestChange], metadata: Metadata, changing: str = ANY_FIELD
) -> list[str]:
    """A sentence for each of the changes, or one on there being none.

    Args:
        changes: of `Influence.smallest_changes`.
        metadata: the record they depart from.
        changing: one of CHANGING, as there.
    """
    return [smallest_change_in_words(change, metadata, changing) for change in changes or [None]]


def value_in_words(value: float | str | None) -> str:
    """A field's value in words: "unknown", "75", "face"."""
    if value is None:
        return UNKNOWN
    return value if isinstance(value, str) else f"{value:g}"


def prevalence_in_words(prevalence: np.ndarray | None) -> str:
    """How common the answers take the diagnoses to be.

    Args:
        prevalence: as `parse_prevalence` gives it, float (7,) or None.
    """
    if prevalence is None:
        return "Diagnoses as common as in the data set."
    if np.allclose(prevalence, UNIFORM):
        return "All seven diagnoses equally common."
    share = prevalence[CODES.index("mel")]
    return f"Melanoma {100 * share:.3g} %, the other diagnoses in the data set's proportions."


def switches_in_words(switches: Iterable[Switch]) -> list[str]:
    """A sentence for each switch of the most probable diagnosis along the age curve."""
    return [
        f"Between the ages of {s.younger:g} and {s.older:g} the answer changes from {BY_CODE[s.before].name} to "
        f"{BY_CODE[s.after].name}."
        for s in switches
    ]


def change_in_words(alone: dict[str, float], together: dict[str, float], metadata: Metadata) -> str:
    """What knowing the metadata did to the answer of the image alone.

    Args:
        alone: probabilities by code, from the image alone.
        together: from image and metadata.
        metadata: the record.
    """
    if not metadata.known:
        return "Nothing is known of age, sex or site: this is the answer from the photograph alone."
    code = max(CODES, key=lambda c: abs(together[c] - alone[c]))
    before, after = max(alone, key=alone.get), max(together, key=together.get)
    change = f"{BY_CODE[code].name} {percent(alone[code])} → {percent(together[code])}"
    if before == after:
        verdict = f"the most probable diagnosis stays {BY_CODE[after].name}"
    else:
        verdict = f"the most probable diagnosis changed from {BY_CODE[before].name} to {BY_CODE[after].name}"
    return f"Knowing {metadata.describe()}: {change}; {verdict}."
