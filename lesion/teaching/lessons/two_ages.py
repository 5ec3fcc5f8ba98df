"""Lesson: one photograph of a nevus, with the patient's age given as 25 and as 75."""

from dataclasses import replace

from lesion.data.diagnoses import CODES
from lesion.teaching.lessons.common import (
    NEVUS,
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
    """The case: among confirmed nevi with complete metadata that are called nevus at 25 but not at 75, the one whose
    probability of nevus falls most."""
    young, old = cases.answers(age=25.0), cases.answers(age=75.0)
    changes = (young.argmax(1) == NEVUS) & (old.argmax(1) != NEVUS)
    nevi = cases.everything_known & (cases.labels == NEVUS)
    row = cases.best((young - old)[:, NEVUS], nevi & changes)
    if row is None:
        return None
    image_id, record = cases.table.image_id[row], cases.records[row]
    records = {"at 25": replace(record, age=25.0), "at 75": replace(record, age=75.0)}

    def reveal() -> Reveal:
        answers = cases.answers_of(image_id, records)
        fall = answers["at 25"]["nv"] - answers["at 75"]["nv"]
        before, after = top(answers["at 25"]), top(answers["at 75"])
        ages = {code: cases.table.age[cases.labels == k].median() for k, code in enumerate(CODES)}
        others = (young.argmax(1) != old.argmax(1))[nevi].mean()
        return Reveal(
            2 if before != after else int(fall > 0.1),
            f"At age 25, the model answers {top_in_words(answers['at 25'])}. At age 75, for the same photograph, it "
            f"answers {top_in_words(answers['at 75'])}. The confirmed diagnosis is {in_text('nv')}, and the patient is "
            f"{record.age:g} years old.",
            (
                "Not one pixel has changed. In the held-out photographs, the median age is "
                f"{ages['nv']:g} years for {in_text('nv')} and {ages[after]:g} years for {in_text(after)}. The model "
                "uses this difference.",
                f"This case is the most extreme of {nevi.sum():,} nevi. Of all these nevi, {share_in_words(others)} "
                "get a different first diagnosis at 75 than at 25.",
            ),
            answers,
            before == "nv" != after,
        )

    return Lesson(
        "two-ages",
        "The same mole at 25 and at 75",
        (
            "This photograph shows a confirmed melanocytic nevus, a mole. Suppose the patient is 25 years old. Then "
            "suppose the patient is 75.",
        ),
        tuple(Setup(f"Show it {name}", r, image_id) for name, r in records.items()),
        "What happens to the answer when the patient is 75 instead of 25?",
        (
            "Almost nothing: the photograph decides",
            "Nevus becomes less probable, but stays first",
            "Another diagnosis comes first",
        ),
        reveal,
    )
