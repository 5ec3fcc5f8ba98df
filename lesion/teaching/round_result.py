"""What a reader round comes to: how good the reader was at each stage, and what metadata and machine changed.

    result = round_result(cases, decisions, settings)

It takes any number of readers of one round: then a case stands in `cases` once for each reader, with the decisions of
that reader, and intervals resample cases, since a class looks at the same few photographs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.errors import UserError, parse_whole, shown
from lesion.metrics.bootstrap import bootstrap_weights, confusion_metrics, interval, weighted_confusions
from lesion.teaching.rounds import RoundCase, RoundSettings

CONFIDENCES = ("unsure", "fairly sure", "sure")
"""How sure a reader is of a guess."""
RESAMPLINGS = 1000
METRICS = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy"}
"""Names of `confusion_metrics`, and ours."""
PUBLISHED = (
    (
        "non-experts diagnosed 58.6 % of photographs correctly and experts 68.4 %, over the same seven diagnoses",
        "Rinner et al., J. Med. Internet Res. 22, e15597 (2020), doi.org/10.2196/15597",
    ),
    (
        "experts with more than ten years of experience diagnosed 18.8 of 30 photographs correctly on average",
        "Tschandl et al., Lancet Oncol. 20, 938–947 (2019), doi.org/10.1016/S1470-2045(19)30333-X",
    ),
)
"""Human figures as published, and where; both of other photographs."""


@dataclass(frozen=True)
class Guess:
    """What a reader says at a stage.

    Args:
        diagnosis: a code.
        confidence: one of CONFIDENCES.

    Raises:
        UserError: a value is not accepted.
    """

    diagnosis: str
    confidence: str

    def __post_init__(self):
        if self.diagnosis not in CODES:
            raise UserError(f"Guess {shown(self.diagnosis)} is not a diagnosis; choose {', '.join(CODES)}.")
        if self.confidence not in CONFIDENCES:
            raise UserError(f"Confidence {shown(self.confidence)} is not known; choose {', '.join(CONFIDENCES)}.")


def parse_case(values: object, settings: RoundSettings) -> tuple[Guess, ...]:
    """The guesses about one case as a browser or an API client gives them: for each stage so far, [diagnosis,
    confidence].

    Raises:
        UserError: it is something else, or a diagnosis that the round does not offer.
    """
    stages = settings.stages
    if not isinstance(values, list) or len(values) > len(stages) or not all(
        isinstance(guess, list) and len(guess) == 2 for guess in values
    ):  # fmt: skip
        raise UserError(
            f"The guesses {shown(values)} are not accepted; give for each case a list with [diagnosis, confidence] for "
            f"{', '.join(stages)}."
        )
    guesses = tuple(Guess(*guess) for guess in values)
    for guess in guesses:
        if guess.diagnosis not in settings.diagnoses:
            raise UserError(f"This round has no {guess.diagnosis}; choose {', '.join(settings.diagnoses)}.")
    return guesses


@dataclass(frozen=True)
class Progress:
    """How far a reader is. It is all that the browser keeps of a round: the server keeps nothing.

    Attributes:
        settings: of the round.
        guesses: by case, one for each stage; those of the last case may be fewer.
        opened: cases that the reader has left behind.
    """

    settings: RoundSettings
    guesses: tuple[tuple[Guess, ...], ...]
    opened: int

    @classmethod
    def of(cls, settings: RoundSettings, guesses: object, opened: object) -> "Progress":
        """Progress from what a browser gives.

        Raises:
            UserError: it is not that of a round.
        """
        opened = parse_whole("Number of cases left behind", opened, 0, settings.count)
        if not isinstance(guesses, list) or len(guesses) > min(opened + 1, settings.count):
            raise UserError(f"The guesses {shown(guesses)} are not those of {opened} cases and one more.")
        parsed = tuple(parse_case(case, settings) for case in guesses)
        if len(parsed) < opened or any(len(case) < len(settings.stages) for case in parsed[:opened]):
            raise UserError(f"The guesses of the first {opened} cases are not complete; guess at every stage.")
        return cls(settings, parsed, opened)

    @property
    def finished(self) -> bool:
        """Whether the reader has left the last case behind."""
        return self.opened == self.settings.count

    @property
    def of_case(self) -> tuple[Guess, ...]:
        """The guesses about the case that the reader looks at."""
        return self.guesses[self.opened] if len(self.guesses) > self.opened else ()

    @property
    def stage(self) -> str | None:
        """The stage whose guess is to come; None where the truth of the case is."""
        given, stages = len(self.of_case), self.settings.stages
        return stages[given] if given < len(stages) else None


def parse_guesses(values: object, settings: RoundSettings) -> tuple[tuple[Guess, ...], ...]:
    """The guesses about a whole round, as an API client gives them: a list of cases, each as `parse_case` takes it.

    Raises:
        UserError: it is something else, or not complete.
    """
    if not isinstance(values, list) or len(values) != settings.count:
        raise UserError(f"The guesses {shown(values)} are not accepted; give a list of {settings.count} cases.")
    return Progress.of(settings, values, settings.count).guesses


def decisions_of(guesses: Sequence[Sequence[Guess]]) -> np.ndarray:
    """Guesses as indices in CODES, int (cases, stages)."""
    return np.array([[CODES.index(guess.diagnosis) for guess in case] for case in guesses])


@dataclass(frozen=True)
class Changes:
    """What the readers changed when a stage began. The four numbers add up to the cases."""

    kept: int
    wrong_to_right: int
    right_to_wrong: int
    wrong_to_wrong: int


@dataclass(frozen=True)
class Followed:
    """What the readers did with some answers of the model.

    Attributes:
        cases: that had such an answer.
        agreed: of these, where the reader had thought the same before.
        followed: of the others, where the reader changed to the model's diagnosis.
    """

    cases: int
    agreed: int
    followed: int

    @property
    def disagreed(self) -> int:
        """Where the reader had thought otherwise before."""
        return self.cases - self.agreed


@dataclass(frozen=True)
class RoundResult:
    """A round, scored.

    Attributes:
        readers: by stage, "accuracy" and "balanced accuracy", each {"value": …, "interval": [low, high]}, 95 %, with
            cases resampled. Balanced accuracy is the mean recall of the diagnoses that occur.
        model: of the model's own answers on the same cases, in the same form.
        as_shown: of the answers that were shown, the misleading ones among them; None without the stage "model".
        changes: by stage, from the second on.
        followed: of the answers shown, by "right", "wrong" and, a part of these, "misleading"; empty without the stage
            "model".
    """

    readers: dict[str, dict[str, dict]]
    model: dict[str, dict]
    as_shown: dict[str, dict] | None
    changes: dict[str, Changes]
    followed: dict[str, Followed]


def round_result(cases: Sequence[RoundCase], decisions: np.ndarray, settings: RoundSettings) -> RoundResult:
    """Scores a round.

    Args:
        cases: n of them, of `draw_round`; for several readers each once a reader.
        decisions: int (n, stages), indices in CODES.
        settings: of the round.
    """
    labels = np.array([case.label for case in cases])
    own = np.array([case.own.argmax() for case in cases])
    seen = np.array([case.shown.argmax() for case in cases])
    misleading = np.array([case.misleading for case in cases])
    # A lesion is in a round once, so to draw rows is to draw lesions.
    weights = bootstrap_weights([case.row for case in cases], RESAMPLINGS)

    def score(decided: np.ndarray) -> dict[str, dict]:
        points, draws = (
            confusion_metrics(weighted_confusions(labels, decided, w)) for w in (np.ones((1, len(labels))), weights)
        )
        return {
            ours: {"value": float(points[name][0]), "interval": interval(draws[name])} for name, ours in METRICS.items()
        }

    columns = dict(zip(settings.stages, np.asarray(decisions).T, strict=True))
    changes = {
        stage: _changes(labels, columns[before], columns[stage])
        for before, stage in zip(settings.stages, settings.stages[1:], strict=False)
    }
    followed = {}
    if "model" in columns:
        before = columns[settings.stages[-2]]
        groups = {"right": seen == labels, "wrong": seen != labels, "misleading": misleading}
        followed = {name: _followed(seen, before, columns["model"], group) for name, group in groups.items()}
    return RoundResult(
        {stage: score(decided) for stage, decided in columns.items()},
        score(own),
        score(seen) if "model" in columns else None,
        changes,
        followed,
    )


def _changes(labels: np.ndarray, before: np.ndarray, after: np.ndarray) -> Changes:
    changed, was, became = before != after, before == labels, after == labels
    numbers = (~changed, ~was & became, was & ~became, changed & ~was & ~became)
    return Changes(*(int(which.sum()) for which in numbers))


def _followed(seen: np.ndarray, before: np.ndarray, after: np.ndarray, group: np.ndarray) -> Followed:
    agreed = group & (before == seen)
    return Followed(int(group.sum()), int(agreed.sum()), int((group & ~agreed & (after == seen)).sum()))


def by_confidence(
    cases: Sequence[RoundCase], guesses: Sequence[Sequence[Guess]], stage: int
) -> dict[str, tuple[int, int]]:
    """How many guesses at a stage were right and how many there were, by how sure the reader was.

    Args:
        cases, guesses: of a round, one row a case.
        stage: index of it in the round.
    """
    counts = dict.fromkeys(CONFIDENCES, (0, 0))
    for case, of_case in zip(cases, guesses, strict=True):
        guess = of_case[stage]
        right, all_of_them = counts[guess.confidence]
        counts[guess.confidence] = (right + (guess.diagnosis == CODES[case.label]), all_of_them + 1)
    return counts
