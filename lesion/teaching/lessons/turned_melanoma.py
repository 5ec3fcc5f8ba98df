"""What the lessons "rescued" and "ruined" share: a melanoma whose first diagnosis the metadata change."""

from lesion.data.diagnoses import CODES, DIAGNOSES
from lesion.data.metadata import Metadata
from lesion.model.calibration import IMAGE_ALONE, SUBSETS
from lesion.teaching.lessons.common import (
    MELANOMA,
    HeldOutCases,
    Lesson,
    Reveal,
    Setup,
    share_in_words,
    top,
    top_in_words,
)


def turned_melanoma(cases: HeldOutCases, key: str, title: str, found_with_metadata: bool, moral: str) -> Lesson | None:
    """A melanoma with complete metadata that is found from the photograph with metadata and missed from the photograph
    alone, or the other way round: the one whose probability of melanoma changes most.

    Args:
        cases: to search.
        key, title, moral: of the lesson.
        found_with_metadata: whether the answer with metadata is the correct one.
    """
    rise = (cases.cohort.full - cases.cohort.image_alone)[:, MELANOMA]
    full, alone = (p.argmax(1) == MELANOMA for p in (cases.cohort.full, cases.cohort.image_alone))
    turned = full & ~alone if found_with_metadata else alone & ~full
    melanomas = cases.everything_known & (cases.labels == MELANOMA)
    row = cases.best(rise if found_with_metadata else -rise, melanomas & turned)
    if row is None:
        return None
    image_id, record = cases.table.image_id[row], cases.records[row]

    def reveal() -> Reveal:
        answers = {
            **cases.answers_of(image_id, {"image alone": record}, SUBSETS[IMAGE_ALONE]),
            **cases.answers_of(image_id, {"with age, sex and site": record}),
        }
        before, after = (top(a) for a in answers.values())
        return Reveal(
            CODES.index(after),
            f"From the photograph alone, the model answers {top_in_words(answers['image alone'])}. With "
            f"{record.describe()}, it answers {top_in_words(answers['with age, sex and site'])}. The confirmed "
            "diagnosis is melanoma.",
            (moral, how_often(cases)),
            answers,
            (before != "mel" == after) if found_with_metadata else (before == "mel" != after),
        )

    return Lesson(
        key,
        title,
        ("First, the photograph alone. Nothing is known about the patient.", f"Then the record: {record.describe()}."),
        (
            Setup("Show the photograph alone", Metadata(), image_id),
            Setup(f"Add {record.describe()}", record, image_id),
        ),
        f"With {record.describe()}, which diagnosis comes first?",
        tuple(d.name for d in DIAGNOSES),
        reveal,
    )


def how_often(cases: HeldOutCases) -> str:
    """How often the metadata change an answer on the held-out photographs from wrong to right, and the reverse."""
    full, alone = (p.argmax(1) == cases.labels for p in (cases.cohort.full, cases.cohort.image_alone))
    won, lost = full & ~alone, alone & ~full
    return (
        f"This is the clearest such melanoma. Across all {len(won):,} held-out photographs, the metadata change "
        f"{share_in_words(won.mean())} of the answers from wrong to right and {share_in_words(lost.mean())} from right "
        "to wrong."
    )
