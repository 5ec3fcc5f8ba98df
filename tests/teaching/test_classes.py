"""A class on the server: who may see and do what, and how much there may be of it."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from conftest import check_sentence
from hostile_values import VALUES
from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.teaching.class_session import TRUTH, ClassRound
from lesion.teaching.classes import (
    CODE_LENGTH,
    KEPT,
    LEFT,
    LETTERS,
    MOST_CLASSES,
    MOST_PHONES,
    UNATTENDED,
    Classes,
    NoClass,
    NotYours,
    as_code,
)
from lesion.teaching.round_result import Guess
from lesion.teaching.rounds import MELANOMA_OR_NEVUS, STAGES, RoundCase, RoundSettings

SURE, UNSURE = Guess("mel", "sure"), Guess("nv", "unsure")


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def some_round(stages=STAGES, **settings) -> ClassRound:
    """Ten cases of the first diagnosis. No photograph of them is read."""
    case = RoundCase(0, 0, False, np.eye(len(CODES))[0], np.eye(len(CODES))[0])
    return ClassRound(None, RoundSettings(1, stages=stages, **settings), (case,) * 10)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def classes(clock) -> Classes:
    return Classes(clock)


def begin(classes: Classes, about: ClassRound | None = None, moves: int = 1) -> tuple[str, str]:
    """A class that has gone on so many times: its code and its teacher's token."""
    code, teacher = classes.open(about or some_round())
    for turn in range(moves):
        classes.move(code, teacher, turn, "next")
    return code, teacher


def test_a_class_goes_through_every_stage_of_every_case(classes):
    code, teacher = classes.open(some_round())
    places = []
    for turn in range(60):
        watched, _ = classes.watch(code, teacher)
        places.append(watched.seen.place)
        assert watched.seen.turn == min(turn, 41)
        assert watched.seen.open == (watched.seen.place.stage in STAGES)
        classes.move(code, teacher, turn, "next")
    expected = [(0, ""), *((case, stage) for case in range(1, 11) for stage in (*STAGES, TRUTH)), (11, "")]
    assert places[: len(expected)] == expected and set(places[len(expected) :]) == {(11, "")}


def test_nothing_is_told_of_votes_before_the_teacher_shows_them(classes):
    code, teacher = begin(classes)
    mine, other = classes.join(code), classes.join(code)
    classes.vote(code, mine, 1, "photograph", SURE)
    watched, _ = classes.watch(code, teacher)
    assert (watched.phones, watched.votes, watched.seen.guesses) == (2, 1, {})
    seen, votes, _ = classes.look(code, other)
    assert seen.guesses == {} and votes == [[None] * 3] * 10
    assert classes.look(code, mine)[1][0] == [SURE, None, None]
    classes.move(code, teacher, 1, "show")
    for told in (classes.look(code, other)[0], classes.watch(code, teacher)[0].seen):
        assert told.guesses == {"photograph": {SURE: 1}} and not told.open
    classes.move(code, teacher, 2, "next")
    assert classes.look(code, other)[0].guesses == {}, "the next stage is not shown yet"
    classes.vote(code, other, 1, "metadata", UNSURE)
    for turn in (3, 4):
        classes.move(code, teacher, turn, "next")
    seen, _, _ = classes.look(code, other)
    assert seen.place == (1, TRUTH)
    assert seen.guesses == {"photograph": {SURE: 1}, "metadata": {UNSURE: 1}, "model": {}}


def test_a_vote_that_is_sent_again_counts_once_and_stays(classes):
    code, teacher = begin(classes)
    phone = classes.join(code)
    for _ in range(3):
        classes.vote(code, phone, 1, "photograph", SURE)
    with pytest.raises(UserError, match="already voted mel, sure"):
        classes.vote(code, phone, 1, "photograph", UNSURE)
    assert classes.watch(code, teacher)[0].votes == 1
    classes.move(code, teacher, 1, "next")
    classes.vote(code, phone, 1, "photograph", SURE)  # its first answer was lost
    late = classes.join(code)
    with pytest.raises(UserError, match="not counted"):
        classes.vote(code, late, 1, "photograph", SURE)
    with pytest.raises(UserError, match="not counted"):
        classes.vote(code, late, 2, "photograph", SURE)
    assert classes.watch(code, teacher)[0].votes == 0


def test_a_vote_needs_an_open_stage(classes):
    code, teacher = classes.open(some_round())
    phone = classes.join(code)
    with pytest.raises(UserError, match="not counted"):
        classes.vote(code, phone, 1, "photograph", SURE)
    classes.move(code, teacher, 0, "next")
    classes.move(code, teacher, 1, "show")
    with pytest.raises(UserError, match="not counted"):
        classes.vote(code, phone, 1, "photograph", SURE)


def test_the_round_says_what_may_be_voted(classes):
    code, _ = begin(classes, some_round(("photograph", "model"), mix=MELANOMA_OR_NEVUS))
    phone = classes.join(code)
    with pytest.raises(UserError, match="no bcc; choose mel, nv"):
        classes.vote(code, phone, 1, "photograph", Guess("bcc", "sure"))
    with pytest.raises(UserError, match="choose photograph, model"):
        classes.vote(code, phone, 1, "metadata", SURE)


def test_moves_that_are_sent_twice_move_once(classes):
    code, teacher = classes.open(some_round())
    for _ in range(3):
        classes.move(code, teacher, 0, "next")
    for _ in range(3):
        classes.move(code, teacher, 1, "show")
    seen = classes.watch(code, teacher)[0].seen
    assert (seen.turn, seen.place, seen.open) == (2, (1, "photograph"), False)
    with pytest.raises(UserError, match="Move 'back' is not known; choose next or show"):
        classes.move(code, teacher, 2, "back")


def test_only_the_teachers_token_moves_shows_and_closes(classes):
    code, teacher = begin(classes)
    phone = classes.join(code)
    _, other_teacher = classes.open(some_round())
    for token in (phone, other_teacher, "", teacher[:-1], teacher + "x", *VALUES.values()):
        for act in (
            lambda token=token: classes.move(code, token, 1, "show"),
            lambda token=token: classes.watch(code, token),
            lambda token=token: classes.results(code, token),
            lambda token=token: classes.close(code, token),
        ):
            with pytest.raises(NotYours) as error:
                act()
            check_sentence(str(error.value), repr(token)[:50])
    assert classes.look(code, phone)[0].turn == 1


def test_only_a_phone_of_the_class_votes(classes):
    code, teacher = begin(classes)
    elsewhere = classes.join(classes.open(some_round())[0])
    for token in (elsewhere, teacher, "", *VALUES.values()):
        with pytest.raises(NotYours):
            classes.vote(code, token, 1, "photograph", SURE)
        with pytest.raises(NotYours):
            classes.look(code, token)


@pytest.mark.parametrize("name", VALUES)
def test_hostile_values_get_a_sentence(classes, name):
    code, teacher = begin(classes)
    phone, value = classes.join(code), VALUES[name]
    acts = {
        "join": lambda: classes.join(value),
        "case": lambda: classes.vote(code, phone, value, "photograph", SURE),
        "stage": lambda: classes.vote(code, phone, 1, value, SURE),
        "turn": lambda: classes.move(code, teacher, value, "next"),
        "move": lambda: classes.move(code, teacher, 0, value),
    }
    for place, act in acts.items():
        if place == "turn" and name in ("number", "arabic digits"):  # a turn, and not where the class is
            act()
            continue
        with pytest.raises(UserError) as error:
            act()
        check_sentence(str(error.value), f"{place}: {name}")
    assert classes.look(code, phone)[0].turn == 1


def test_the_result_is_there_after_the_last_case(classes):
    code, teacher = begin(classes)
    phone = classes.join(code)
    classes.vote(code, phone, 1, "photograph", SURE)
    with pytest.raises(UserError, match="cases to judge yet"):
        classes.results(code, teacher)
    for turn in range(1, 41):
        classes.move(code, teacher, turn, "next")
    results = classes.results(code, teacher)
    assert results.phones == [[[SURE, None, None], *[[None] * 3] * 9]]


def test_codes_are_typed_as_people_type_them(classes):
    code, _ = classes.open(some_round())
    assert len(code) == CODE_LENGTH and set(code) <= set(LETTERS)
    for typed in (code, code.lower(), f" {code[:3]} {code[3:]} ", f"{code[:3]}-{code[3:]}"):
        assert classes.join(typed)
    assert as_code("x" * 10**6) == as_code(None) == ""


def test_a_class_ends_after_three_hours_or_when_it_is_closed(classes, clock):
    code, teacher = begin(classes)
    phone = classes.join(code)
    clock.now = KEPT - 1
    classes.look(code, phone)
    classes.watch(code, teacher)
    clock.now = KEPT + 1
    for act in (lambda: classes.look(code, phone), lambda: classes.watch(code, teacher), lambda: classes.join(code)):
        with pytest.raises(NoClass):
            act()
    assert not classes._classes, "nothing of it is kept"
    code, teacher = begin(classes)
    classes.close(code, teacher)
    with pytest.raises(NoClass):
        classes.join(code)
    assert not classes._classes


def test_as_many_classes_as_there_may_be(classes, clock):
    opened = [classes.open(some_round()) for _ in range(MOST_CLASSES)]
    with pytest.raises(UserError, match="20 classes are open"):
        classes.open(some_round())
    clock.now = UNATTENDED + 1
    for code, teacher in opened[1:]:
        classes.watch(code, teacher)
    classes.open(some_round())
    with pytest.raises(NoClass):
        classes.join(opened[0][0])
    assert all(classes.join(code) for code, _ in opened[1:])


def test_a_full_class_gives_the_places_of_phones_that_left_without_a_vote(classes, clock):
    code, teacher = begin(classes)
    phones = [classes.join(code) for _ in range(MOST_PHONES)]
    with pytest.raises(UserError, match="full: 200 phones"):
        classes.join(code)
    classes.vote(code, phones[0], 1, "photograph", SURE)
    clock.now = LEFT + 1
    classes.look(code, phones[1])
    assert classes.watch(code, teacher)[0].phones == 1
    classes.join(code)
    classes.look(code, phones[0])
    classes.look(code, phones[1])
    with pytest.raises(NotYours):
        classes.look(code, phones[2])


def test_memory_is_bounded_whatever_is_asked(classes):
    code, _ = begin(classes)
    phone = classes.join(code)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(3_000):
            for act in (
                lambda number=number: classes.join(f"K{number}"),
                lambda number=number: classes.look(code, f"token {number}"),
                lambda number=number: classes.vote(code, phone, 1, "metadata", Guess("nv", "sure")),
                lambda number=number: classes.move(code, phone, 1, "next"),
            ):
                with pytest.raises(UserError):
                    act()
        while True:
            try:
                classes.join(code)
            except UserError:
                break
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 2**20, f"{grown} bytes for a full class and wrong questions by the thousand"


def test_votes_of_many_threads_are_all_counted_once(classes):
    code, teacher = begin(classes)
    phones = [classes.join(code) for _ in range(60)]
    together = threading.Barrier(30)

    def vote(phone: str) -> None:
        together.wait(30)
        for _ in range(20):
            classes.vote(code, phone, 1, "photograph", SURE)

    with ThreadPoolExecutor(30) as pool:
        list(pool.map(vote, phones))
    assert classes.watch(code, teacher)[0].votes == 60
