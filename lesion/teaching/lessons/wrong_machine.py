"""Lesson: answers made false look as sure of themselves as true ones."""

import numpy as np

from lesion.errors import UserError
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup, share_in_words
from lesion.teaching.rounds import RoundCase, RoundSettings, draw_round, text_of

ROUND = RoundSettings(seed=3, count=10, misleading_share=0.3)
"""The short round that the lesson opens."""
ROUNDS = 100
"""Rounds of the same kind that its figures come from."""
AS_SURE = 0.05
"""Mean probabilities that differ by less than this look alike."""


def sureness(rounds: list[tuple[RoundCase, ...]]) -> dict[bool, np.ndarray]:
    """The highest probability shown, of the cases whose diagnosis shown is wrong because it was made so (True) and of
    those where it is right (False)."""
    cases = [case for cases in rounds for case in cases]
    right = [case.shown.max() for case in cases if case.shown.argmax() == case.label]
    return {True: np.array([case.shown.max() for case in cases if case.misleading]), False: np.array(right)}


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: rounds like the one it opens, drawn by a hundred seeds. Without enough photographs there is none."""

    def drawn(seed: int) -> tuple[RoundCase, ...]:
        settings = RoundSettings(seed=seed, count=ROUND.count, misleading_share=ROUND.misleading_share)
        return draw_round(cases.cohort, cases.photographs, settings)

    try:
        drawn(ROUND.seed)
    except UserError:
        return None

    identity = cases.cohort.predictor.checkpoint.identity

    def reveal() -> Reveal:
        found = sureness([drawn(seed) for seed in range(ROUNDS)])
        false, true = found[True].mean(), found[False].mean()
        alike = bool(true - false < AS_SURE)
        return Reveal(
            1 if alike else 0,
            f"In {ROUNDS} rounds drawn like this one, the diagnosis shown first has {share_in_words(true)} on average "
            f"where it is right ({len(found[False])} cases), and {share_in_words(false)} where it was made false "
            f"({len(found[True])} cases).",
            (
                "A false answer of a machine does not look false. In a study with 302 readers, faulty answers misled "
                "all of them, experts too (Tschandl and others, Nature Medicine, 2020). So decide before you look at "
                "the machine, and change your mind only for a reason that you can see in the photograph.",
            ),
            {},
            alike,
        )

    return Lesson(
        "wrong-machine",
        "A machine that is wrong",
        (
            "Play a short round. You judge ten photographs, first alone and then with the model's answer beside them.",
            f"In {ROUND.misleading_count} of the ten, the answer was made false: the probabilities of its two most "
            "probable diagnoses are exchanged, and the heat map is the one of the false diagnosis. At the end the "
            "round says which they were, and how often you followed them.",
        ),
        (Setup("Open the round", controls={"round": text_of(ROUND, identity)}, tab="round"),),
        "Can you tell a false answer by how sure it looks?",
        ("Yes: false answers are less sure", "No: they look as sure as the right ones"),
        reveal,
    )
