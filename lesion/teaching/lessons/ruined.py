"""Lesson: a melanoma that the model finds from the photograph alone and misses with the metadata."""

from lesion.teaching.lessons.common import HeldOutCases, Lesson
from lesion.teaching.lessons.turned_melanoma import turned_melanoma


def make(cases: HeldOutCases) -> Lesson | None:
    """The case: see `turned_melanoma`."""
    return turned_melanoma(
        cases,
        "ruined",
        "A case that metadata ruins",
        found_with_metadata=False,
        moral="This patient is unlike most melanoma patients in the collection. The metadata outweigh what the "
        "photograph shows. Information that helps on average can still harm an unusual patient.",
    )
