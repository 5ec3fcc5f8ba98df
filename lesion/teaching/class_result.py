"""What a class's round comes to: the readers' figures of `round_result` over all its phones, and what the class would
have said by a vote."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesion.data.diagnoses import CODES
from lesion.teaching.class_session import Results
from lesion.teaching.round_result import Guess, RoundResult, decisions_of, round_result

VOTE_COLUMNS = [
    "case", "image_id", "true", "model", "shown", "misleading", "phone", "stage", "guess", "confidence", "right",
]  # fmt: skip


@dataclass(frozen=True)
class ClassResult:
    """A class's round, scored.

    Attributes:
        phones: that voted at least once.
        complete: how often a phone voted at every stage of a case. These are what `readers` is about, so that its
            stages compare the same guesses.
        readers: of `round_result`; None where `complete` is 0.
        majority: by stage, how many cases the most frequent guess of the class was right about, and how many cases it
            voted on. Where k guesses are equally frequent and one of them is right, that is 1/k of a case: Tschandl et
            al., Nature Medicine 26 (2020), found such votes better than most of those who cast them.
        votes: one row a vote: case, image_id, true, model (its own diagnosis), shown (as the class saw it), misleading,
            phone (a number), stage, guess, confidence, right.
    """

    phones: int
    complete: int
    readers: RoundResult | None
    majority: dict[str, tuple[float, int]]
    votes: pd.DataFrame


def class_result(results: Results) -> ClassResult:
    """Scores a class."""
    about, stages = results.round, results.round.settings.stages
    phones = [votes for votes in results.phones if any(guess for case in votes for guess in case)]
    complete = [
        (case, guesses)
        for votes in phones
        for case, guesses in zip(about.cases, votes, strict=True)
        if all(guess is not None for guess in guesses)
    ]
    readers = None
    if complete:
        cases, guesses = zip(*complete, strict=True)
        readers = round_result(cases, decisions_of(guesses), about.settings)
    majority = {}
    for column, stage in enumerate(stages):
        counts = [Counter(v[k][column].diagnosis for v in phones if v[k][column]) for k in range(len(about.cases))]
        right = sum(share_right(c, CODES[case.label]) for c, case in zip(counts, about.cases, strict=True))
        majority[stage] = right, sum(bool(c) for c in counts)
    return ClassResult(len(phones), len(complete), readers, majority, _votes(results, phones))


def share_right(counts: Counter[str], true: str) -> float:
    """Of the most frequent guesses, the share that is right; 0 where nobody guessed."""
    most = max(counts.values(), default=0)
    leading = [code for code, number in counts.items() if number == most]
    return (true in leading) / max(1, len(leading))


def right_by_stage(about_labels: Sequence[int], votes: Sequence[Sequence[Guess | None]]) -> np.ndarray:
    """Of one phone, how many of its guesses were right and how many it made, int (stages, 2).

    Args:
        about_labels: of the cases, indices in CODES.
        votes: by case and stage.
    """
    return np.array(
        [
            [sum(g is not None and g.diagnosis == CODES[label] for g, label in zip(column, about_labels, strict=True)),
             sum(g is not None for g in column)]
            for column in zip(*votes, strict=True)
        ]
    )  # fmt: skip


def _votes(results: Results, phones: list[list[list[Guess | None]]]) -> pd.DataFrame:
    about, rows = results.round, []
    for number, case in enumerate(about.cases):
        told = (
            number + 1, about.rounds.cohort.table.image_id.iloc[case.row], CODES[case.label], CODES[case.own.argmax()],
            CODES[case.shown.argmax()], case.misleading,
        )  # fmt: skip
        for column, stage in enumerate(about.settings.stages):
            for phone, votes in enumerate(phones, start=1):
                if guess := votes[number][column]:
                    right = guess.diagnosis == CODES[case.label]
                    rows.append((*told, phone, stage, guess.diagnosis, guess.confidence, right))
    return pd.DataFrame(rows, columns=VOTE_COLUMNS)
