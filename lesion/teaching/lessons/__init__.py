"""Guided lessons: a case from the held-out images, a question, and an answer that the model computes.

Each module makes one lesson. It searches the held-out images for its case by the rule in its docstring, with the
stored embeddings. The figures that it shows are then computed from the photograph itself. No figure is written into a
lesson: another checkpoint has other cases, a lesson without a case is left out, and a conclusion is shown only where
the figures support it.
"""

from functools import cached_property

from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.errors import UserError, shown
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab
from lesion.teaching.lessons import (
    class_weights,
    drawn_on,
    face_and_back,
    no_photograph,
    rare_disease,
    rescued,
    ruined,
    same_lesion_twice,
    table_alone,
    two_ages,
    weak_eye,
    wrong_machine,
)
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup

__all__ = ["Lesson", "Lessons", "Reveal", "Setup"]

IN_TEACHING_ORDER = (
    no_photograph, two_ages, face_and_back, rescued, ruined, weak_eye, table_alone, rare_disease, class_weights,
    same_lesion_twice, drawn_on, wrong_machine,
)  # fmt: skip


class Lessons:
    """The lessons of a checkpoint.

    Args:
        cohort: its held-out images.
        photographs: their small copies; lessons about a photograph need them.
        lab: for the lesson on class weights.
    """

    def __init__(self, cohort: Cohort, photographs: HeldOutPhotographs, lab: Lab):
        self.cases = HeldOutCases(cohort, photographs, lab)

    @cached_property
    def all(self) -> tuple[Lesson, ...]:
        """The lessons for which this checkpoint has a case, in teaching order."""
        return tuple(lesson for module in IN_TEACHING_ORDER if (lesson := module.make(self.cases)) is not None)

    def get(self, key: object) -> Lesson:
        """A lesson by its key.

        Raises:
            UserError: there is no such lesson.
        """
        for lesson in self.all:
            if lesson.key == key:
                return lesson
        raise UserError(f"Lesson {shown(key)} is not known; choose {', '.join(lesson.key for lesson in self.all)}.")
