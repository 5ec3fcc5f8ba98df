"""One class on its way through a reader round: where it is, who has voted what, and what may be told to whom.

`lesion.teaching.classes` keeps these objects and calls them with its lock held.
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from lesion.data.diagnoses import CODES
from lesion.errors import UserError, shown
from lesion.teaching.round_cases import Rounds
from lesion.teaching.round_result import CONFIDENCES, Guess
from lesion.teaching.rounds import RoundCase, RoundSettings

TRUTH = "truth"
"""Of a case, what follows its last stage."""


@dataclass(frozen=True, eq=False)
class ClassRound:
    """What a class is about. No two are equal.

    Attributes:
        rounds: of the checkpoint.
        settings: of the round. Its seed gives the cases away, so it stays on the server until the end.
        cases: of the round.
    """

    rounds: Rounds
    settings: RoundSettings
    cases: tuple[RoundCase, ...]


class Place(NamedTuple):
    """Where a class is.

    Attributes:
        case: 0 before the first one, then from 1; one more than there are at the end.
        stage: one of `RoundSettings.stages`, "truth" after them, or "" before the first case and at the end.
    """

    case: int
    stage: str


START = Place(0, "")


class Seen(NamedTuple):
    """What a phone or the projector is told.

    Attributes:
        turn: how often the teacher went on; what is shown changes with it alone, but for the numbers below.
        place: where the class is.
        open: whether votes are taken.
        guesses: by stage, how often each guess was made; of this case, and only what the teacher has shown.
    """

    turn: int
    place: Place
    open: bool
    guesses: dict[str, Counter[Guess]]


class Watched(NamedTuple):
    """What the projector is told beside `Seen`.

    Attributes:
        phones: that asked lately.
        votes: at this stage so far.
    """

    seen: Seen
    phones: int
    votes: int


class Results(NamedTuple):
    """The votes of a whole class, for `lesion.teaching.class_result`.

    Attributes:
        round: what they are about.
        phones: the guesses of each by case and stage, None where it did not vote.
    """

    round: ClassRound
    phones: list[list[list[Guess | None]]]


GUESSES = [None, *(Guess(code, confidence) for code in CODES for confidence in CONFIDENCES)]
"""What a byte of `Phone.votes` stands for."""
BYTES = {guess: byte for byte, guess in enumerate(GUESSES)}


@dataclass(slots=True)
class Phone:
    """A phone in a class.

    Attributes:
        votes: a byte for each case and stage, an index in GUESSES.
        asked: when it last asked.
    """

    votes: bytearray
    asked: float


@dataclass
class Class:
    """A class.

    Attributes:
        code: that everybody may see.
        teacher: the token that nobody but the teacher may.
        about: what is judged.
        opened, attended: when it was opened, and when its teacher last asked, on the clock of `Classes`.
        turn: see `Seen`.
        place: where it is.
        shown: whether the guesses at this stage are.
        phones: by their tokens.
    """

    code: str
    teacher: str
    about: ClassRound
    opened: float
    attended: float
    turn: int = 0
    place: Place = START
    shown: bool = False
    phones: dict[str, Phone] = field(default_factory=dict)

    @cached_property
    def stages(self) -> tuple[str, ...]:
        """Of a case, the truth among them."""
        return (*self.about.settings.stages, TRUTH)

    @property
    def open(self) -> bool:
        """Whether votes are taken."""
        return self.place.stage not in ("", TRUTH) and not self.shown

    @property
    def over(self) -> bool:
        """Whether the last case is over."""
        return self.place.case > len(self.about.cases)

    def go_on(self) -> None:
        """To the next stage, the truth, the next case, or the end."""
        case, stage = self.place
        if stage in ("", TRUTH):
            self.place = Place(case + 1, "" if case == len(self.about.cases) else self.stages[0])
        else:
            self.place = Place(case, self.stages[self.stages.index(stage) + 1])
        self.shown = False
        self.turn += 1

    def show(self) -> None:
        """Shows the guesses at this stage, on which no vote is taken from now on."""
        self.shown = True
        self.turn += 1

    def add_phone(self, token: str, now: float) -> None:
        """A phone that has not voted yet."""
        self.phones[token] = Phone(bytearray(len(self.about.cases) * len(self.about.settings.stages)), now)

    def vote(self, phone: Phone, case: int, stage: object, guess: Guess) -> None:
        """Counts a vote; the same one again changes nothing, also after its stage is over.

        Raises:
            UserError: the stage is not open, the phone has voted otherwise there, or the round has no such diagnosis.
        """
        settings = self.about.settings
        if stage not in settings.stages:
            raise UserError(f"Stage {shown(stage)} is not one of this round; choose {', '.join(settings.stages)}.")
        if guess.diagnosis not in settings.diagnoses:
            raise UserError(f"This round has no {guess.diagnosis}; choose {', '.join(settings.diagnoses)}.")
        index = self._index(case, stage)
        before = GUESSES[phone.votes[index]]
        if before == guess:
            return
        if before is not None:
            raise UserError(
                f"This phone has already voted {before.diagnosis}, {before.confidence}, and a vote stays as it is. "
                "Wait for the next stage."
            )
        if not (self.open and self.place == (case, stage)):
            raise UserError(
                f"No votes are taken on case {case} at the stage {stage} now, so this one is not counted. Vote on what "
                "the class looks at."
            )
        phone.votes[index] = BYTES[guess]

    def votes_of(self, phone: Phone) -> list[list[Guess | None]]:
        """A phone's guesses by case and stage."""
        stages, guesses = len(self.about.settings.stages), [GUESSES[byte] for byte in phone.votes]
        return [guesses[first : first + stages] for first in range(0, len(guesses), stages)]

    def counts(self, case: int, stage: str) -> Counter[Guess]:
        """The guesses at a stage."""
        index = self._index(case, stage)
        return Counter(GUESSES[phone.votes[index]] for phone in self.phones.values() if phone.votes[index])

    def seen(self) -> Seen:
        """What may be told to everybody in the class."""
        case, stage = self.place
        told = self.about.settings.stages if stage == TRUTH else (stage,) if self.shown else ()
        return Seen(self.turn, self.place, self.open, {name: self.counts(case, name) for name in told})

    def _index(self, case: int, stage: str) -> int:
        return (case - 1) * len(self.about.settings.stages) + self.stages.index(stage)
