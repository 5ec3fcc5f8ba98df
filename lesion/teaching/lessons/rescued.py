"""Lesson: a melanoma that the model misses from the photograph alone and finds with the metadata."""

from lesion.teaching.lessons.common import HeldOutCases, Lesson
from lesion.teaching.lessons.turned_melanoma import turned_melanoma


def make(cases: HeldOutCases) -> Lesson | None:
    """The case: see `turned_melanoma`."""
    return turned_melanoma(
        cases,
        "rescued",
        "A case that metadata rescues",
        found_with_metadata=True,
        moral="With age, sex and body site, the model finds a melanoma that it missed from the photograph alone. The "
        "tab Cohort shows how often this happens, and how often metadata do harm.",
    )
