"""Lesson: one photograph, with the lesion on the face and on the back."""

from dataclasses import replace

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.teaching.lessons.common import (
    HeldOutCases,
    Lesson,
    Reveal,
    Setup,
    in_text,
    share_in_words,
    top,
    top_in_words,
)


def make(cases: HeldOutCases) -> Lesson | None:
    """The case: among images with complete metadata whose first diagnosis differs between face and back, the one whose
    probabilities differ most (total variation)."""
    face, back = cases.answers(site="face"), cases.answers(site="back")
    differs = face.argmax(1) != back.argmax(1)
    row = cases.best(np.abs(face - back).sum(1), cases.everything_known & differs)
    if row is None:
        return None
    image_id, record = cases.table.image_id[row], cases.records[row]
    records = {"on the face": replace(record, site="face"), "on the back": replace(record, site="back")}
    truth = CODES[cases.labels[row]]

    def reveal() -> Reveal:
        answers = cases.answers_of(image_id, records)
        on_face, on_back = answers.values()
        changed = top(on_face) != top(on_back)
        others = differs[cases.everything_known].mean()
        return Reveal(
            int(changed),
            f"On the face, the model answers {top_in_words(on_face)}. On the back, it answers {top_in_words(on_back)}. "
            f"The recorded body site is {record.site}, and the confirmed diagnosis is {in_text(truth)}.",
            (
                "Open Metadata influence and click on the body to see the answer for every site.",
                f"This case is the most extreme of {cases.everything_known.sum():,} photographs. Of all these "
                f"photographs, {share_in_words(others)} get a different first diagnosis on the face than on the back.",
            ),
            answers,
            changed,
        )

    return Lesson(
        "face-and-back",
        "One photograph, on the face and on the back",
        ("The photograph, the age and the sex stay the same. Only the body site changes.",),
        tuple(Setup(f"Put it {name}", r, image_id) for name, r in records.items()),
        "Does the body site alone change which diagnosis comes first?",
        ("No", "Yes"),
        reveal,
    )
