"""A class that judges a reader round together: a teacher opens it, phones join by its code and vote at each stage, and
nobody sees the votes of others before the teacher shows them.

    classes = Classes()
    code, teacher = classes.open(ClassRound(rounds, settings, rounds.cases(settings)))
    phone = classes.join(code)
    classes.move(code, teacher, 0, "next")
    classes.vote(code, phone, 1, "photograph", Guess("mel", "sure"))

There are no names and no accounts: a random token counts a phone once, another is the teacher's. Everything lives in
memory, is bounded in number, and is gone three hours after the class was opened or when the teacher closes it.
"""

import secrets
import threading
import time
from collections.abc import Callable

from lesion.errors import UserError, parse_whole, shown
from lesion.teaching.class_session import TRUTH, Class, ClassRound, Phone, Results, Seen, Watched
from lesion.teaching.round_result import Guess

MOST_CLASSES = 20
"""Open at once."""
MOST_PHONES = 200
"""In one class."""
KEPT = 3 * 60 * 60
"""Seconds after its opening that a class is gone."""
LEFT = 60
"""Seconds without a question after which a phone counts as gone. One in use asks every ten."""
UNATTENDED = 10 * 60
"""Seconds without a question of its teacher after which a class gives its place to a new one where there is no other.
A projector that is on asks every second."""
LETTERS = "BCDFGHJKLMNPQRSTVWXZ3479"
"""Of a code. No vowels, so that it is never a word, and nothing that is read as something else."""
CODE_LENGTH = 6
NEXT, SHOW = MOVES = ("next", "show")
"""What a teacher does: goes on to the next stage, or shows what the class guessed at this one."""


class NoClass(UserError):
    """There is no class with this code, or no longer."""


class NotYours(UserError):
    """The token is not one of this class."""


class Classes:
    """The open classes; may be called from several threads.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._classes: dict[str, Class] = {}

    def open(self, about: ClassRound) -> tuple[str, str]:
        """A new class.

        Returns:
            Its code, which everybody may see, and its teacher's token, which nobody else may.

        Raises:
            UserError: too many are open.
        """
        with self._lock:
            now = self._clock()
            self._drop(now)
            if len(self._classes) >= MOST_CLASSES:
                longest = min(self._classes.values(), key=lambda one: one.attended)
                if now - longest.attended < UNATTENDED:
                    raise UserError(
                        f"{MOST_CLASSES} classes are open on this server, and no more are possible. Please try again "
                        "when one of them has ended."
                    )
                del self._classes[longest.code]
            while (code := "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))) in self._classes:
                pass
            teacher = secrets.token_urlsafe(16)
            self._classes[code] = Class(code, teacher, about, now, now)
            return code, teacher

    def join(self, code: object) -> str:
        """The token of a new phone in a class.

        Raises:
            NoClass: there is no such class.
            UserError: the class is full.
        """
        with self._lock:
            found, now = self._find(code), self._clock()
            if len(found.phones) >= MOST_PHONES:
                gone = [t for t, phone in found.phones.items() if now - phone.asked > LEFT and not any(phone.votes)]
                for token in gone:
                    del found.phones[token]
            if len(found.phones) >= MOST_PHONES:
                raise UserError(
                    f"This class is full: {MOST_PHONES} phones are in it. Please share one with a neighbour."
                )
            token = secrets.token_urlsafe(16)
            found.add_phone(token, now)
            return token

    def vote(self, code: object, token: object, case: object, stage: object, guess: Guess) -> None:
        """Counts a vote. The same one sent again changes nothing, also after its stage is over.

        Args:
            code, token: of the class and of the phone.
            case: from 1.
            stage: of the round.
            guess: the vote.

        Raises:
            NoClass, NotYours: there is no such class, or no such phone in it.
            UserError: the stage is not open, the phone has voted otherwise there, or the round has no such diagnosis.
        """
        with self._lock:
            found, phone = self._phone(code, token)
            found.vote(phone, parse_whole("Case", case, 1, len(found.about.cases)), stage, guess)

    def look(self, code: object, token: object) -> tuple[Seen, list[list[Guess | None]], ClassRound]:
        """What a phone may see, its own votes by case and stage, and what the class is about.

        Raises:
            NoClass, NotYours: there is no such class, or no such phone in it.
        """
        with self._lock:
            found, phone = self._phone(code, token)
            return found.seen(), found.votes_of(phone), found.about

    def watch(self, code: object, teacher: object) -> tuple[Watched, ClassRound]:
        """What the projector shows, and what the class is about.

        Raises:
            NoClass, NotYours: there is no such class, or the token is not its teacher's.
        """
        with self._lock:
            found = self._taught(code, teacher)
            now, place = self._clock(), found.place
            phones = sum(now - phone.asked <= LEFT for phone in found.phones.values())
            votes = found.counts(*place).total() if place.stage not in ("", TRUTH) else 0
            return Watched(found.seen(), phones, votes), found.about

    def move(self, code: object, teacher: object, turn: object, move: object) -> None:
        """Goes on or shows the guesses. Sent again, since no answer arrived, it moves only once.

        Args:
            code: of the class.
            teacher: its teacher's token.
            turn: the `Seen.turn` that the teacher saw; where the class is elsewhere by now, nothing happens.
            move: one of MOVES.

        Raises:
            NoClass, NotYours: there is no such class, or the token is not its teacher's.
            UserError: another move.
        """
        with self._lock:
            found = self._taught(code, teacher)
            number = parse_whole("Turn", turn, 0, 10**6)
            if move not in MOVES:
                raise UserError(f"Move {shown(move)} is not known; choose {' or '.join(MOVES)}.")
            if number != found.turn or found.over or (move == SHOW and not found.open):
                return
            if move == SHOW:
                found.show()
            else:
                found.go_on()

    def close(self, code: object, teacher: object) -> None:
        """Ends a class and forgets it.

        Raises:
            NoClass, NotYours: there is no such class, or the token is not its teacher's.
        """
        with self._lock:
            del self._classes[self._taught(code, teacher).code]

    def results(self, code: object, teacher: object) -> Results:
        """The votes of a class that is over.

        Raises:
            NoClass, NotYours: there is no such class, or the token is not its teacher's.
            UserError: its last case is not over.
        """
        with self._lock:
            found = self._taught(code, teacher)
            if not found.over:
                raise UserError("The class has cases to judge yet; its result is there after the last one.")
            return Results(found.about, [found.votes_of(phone) for phone in found.phones.values()])

    def _drop(self, now: float) -> None:
        for code in [code for code, one in self._classes.items() if now - one.opened > KEPT]:
            del self._classes[code]

    def _find(self, code: object) -> Class:
        self._drop(self._clock())
        found = self._classes.get(as_code(code))
        if found is None:
            raise NoClass(
                f"There is no class with the code {shown(code)}. Look at the code on the projector; a class ends when "
                "its teacher closes it, or after three hours."
            )
        return found

    def _phone(self, code: object, token: object) -> tuple[Class, Phone]:
        found = self._find(code)
        phone = found.phones.get(token) if isinstance(token, str) else None
        if phone is None:
            raise NotYours("This phone is not in the class. Join it with the code on the projector.")
        phone.asked = self._clock()
        return found, phone

    def _taught(self, code: object, teacher: object) -> Class:
        found = self._find(code)
        given = teacher.encode(errors="replace") if isinstance(teacher, str) else b""
        if not secrets.compare_digest(given, found.teacher.encode()):
            raise NotYours("Only the teacher who opened the class can do this, on the page where it was opened.")
        found.attended = self._clock()
        return found


def as_code(text: object) -> str:
    """A code as a person may type it, in small letters or with spaces; empty for what cannot be one."""
    if not isinstance(text, str) or len(text) > 4 * CODE_LENGTH:
        return ""
    return "".join(text.split()).replace("-", "").upper()
