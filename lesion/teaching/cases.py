"""Held-out photographs by what they are: those behind a cell of a confusion matrix, and those that fit a choice.

behind(cohort, Cell("full", "mel", "nv", INPUTS))        # the melanomas that the full model calls nevi
fitting(cohort, photographs, Choice(Subgroup(diagnosis="mel"), "wrong", "80 % or more"))
"""

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lesion.data.diagnoses import CODES, check_code
from lesion.data.metadata import INPUTS, parse_inputs
from lesion.errors import UserError, shown
from lesion.metrics.metrics import RULES
from lesion.teaching.cohort import ANY, Cohort, Subgroup, check_rule

FULL, CHOSEN = MATRICES = ("full", "chosen")
"""The two models that `Cohort.compare` counts."""
RIGHT, WRONG = OUTCOMES = ("right", "wrong")
"""Whether the model's answer, with age, sex and site and at the data set's prevalence, is the confirmed diagnosis."""
CERTAINTIES = {"80 % or more": (0.8, math.inf), "50 to 80 %": (0.5, 0.8), "under 50 %": (0.0, 0.5)}
"""Probabilities of the most probable diagnosis, from the first number up to, not including, the second."""


@dataclass(frozen=True)
class Cell:
    """A cell of a confusion matrix of the cohort.

    Args:
        matrix: one of MATRICES.
        confirmed, answer: its row and its column, codes.
        inputs, shuffled, subgroup, rule: of `Cohort.compare`, which counted it.

    Raises:
        UserError: a value is not accepted.
    """

    matrix: str
    confirmed: str
    answer: str
    inputs: Sequence[str] = INPUTS
    shuffled: Sequence[str] = ()
    subgroup: Subgroup = field(default_factory=Subgroup)
    rule: str = "dataset"

    def __post_init__(self):
        if self.matrix not in MATRICES:
            raise UserError(f"Model {shown(self.matrix)} is not known; choose {' or '.join(MATRICES)}.")
        check_code(self.confirmed)
        check_code(self.answer)
        check_rule(self.rule)
        for name in ("inputs", "shuffled"):
            object.__setattr__(self, name, parse_inputs(name.capitalize(), getattr(self, name)))


def behind(cohort: Cohort, cell: Cell) -> pd.DataFrame:
    """The photographs that a cell counts, those first whose answer is the most probable.

    Args:
        cohort: that was counted.
        cell: of one of its confusion matrices.

    Returns:
        One row for each that the cell counts: image_id, lesion_id, dx_type, age, sex, site, probability (of the answer)
        and confirmed_probability (of the confirmed diagnosis), both under the rule.

    Raises:
        UserError: the subgroup is empty.
    """
    found = cohort.decided(cell.inputs, cell.shuffled, cell.subgroup, cell.rule)
    own, answer = CODES.index(cell.confirmed), CODES.index(cell.answer)
    counted = np.flatnonzero((cohort.labels[found.rows] == own) & (found.decisions[cell.matrix] == answer))
    probabilities = found.probabilities[cell.matrix][counted]
    cases = cohort.table.iloc[found.rows[counted]][["image_id", "lesion_id", "dx_type", "age", "sex", "site"]]
    cases = cases.assign(probability=probabilities[:, answer], confirmed_probability=probabilities[:, own])
    return cases.sort_values("probability", ascending=False, kind="stable").reset_index(drop=True)


@dataclass(frozen=True)
class Choice:
    """What a photograph is to be; "any" leaves a part of it open.

    Args:
        subgroup: its confirmed diagnosis, record and part.
        outcome: one of OUTCOMES, or "any".
        certainty: how probable the model's answer is, a key of CERTAINTIES, or "any".

    Raises:
        UserError: a value is not accepted.
    """

    subgroup: Subgroup = field(default_factory=Subgroup)
    outcome: str = ANY
    certainty: str = ANY

    def __post_init__(self):
        for name, accepted in (("outcome", OUTCOMES), ("certainty", tuple(CERTAINTIES))):
            value = getattr(self, name)
            if value not in (ANY, *accepted):
                raise UserError(
                    f"{name.capitalize()} {shown(value)} is not known; choose {ANY}, {', '.join(accepted)}."
                )


def fitting(cohort: Cohort, photographs: Container[str], choice: Choice) -> np.ndarray:
    """The rows of the held-out photographs that fit, int (n,), in the order of the table.

    Args:
        cohort: the held-out photographs.
        photographs: ids of those that can be shown, such as `HeldOutPhotographs`; no other fits.
        choice: what they are to be.
    """
    fits = choice.subgroup.contains(cohort.table) & [image_id in photographs for image_id in cohort.table.image_id]
    if choice.outcome != ANY:
        fits &= (cohort.full.argmax(1) == cohort.labels) == (choice.outcome == RIGHT)
    if choice.certainty != ANY:
        low, high = CERTAINTIES[choice.certainty]
        most = cohort.full.max(1)
        fits &= (most >= low) & (most < high)
    return np.flatnonzero(fits)


def inputs_in_words(inputs: Sequence[str], shuffled: Sequence[str]) -> str:
    """What a model reads: "image and shuffled age"."""
    names = [f"shuffled {name}" if name in shuffled else name for name in INPUTS if name in inputs]
    if not names:
        return "nothing"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) + (" alone" if len(names) == 1 else "")


def cell_in_words(cell: Cell) -> str:
    """The model, the photographs and the rule: "Full model: …; sex female; decided under equal prevalence." """
    inputs = INPUTS if cell.matrix == FULL else cell.inputs
    shuffled = () if cell.matrix == FULL else cell.shuffled
    parts = [f"{cell.matrix.capitalize()} model: {inputs_in_words(inputs, shuffled)}"]
    of = cell.subgroup
    about = {"sex": of.sex, "age": of.age_band, "site": of.site, "part": of.part}
    parts += [f"{name} {value}" for name, value in about.items() if value != ANY]
    return "; ".join([*parts, f"decided under {RULES[cell.rule]}"]) + "."
