"""Lesson: the model answers without a photograph, from age, sex and body site alone."""

from lesion.data.metadata import Metadata
from lesion.model.calibration import METADATA_ALONE, SUBSETS
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup, by_code, top, top_in_words

FIRST, SECOND = "man of 80, face", "man of 30, back"
RECORDS = {FIRST: Metadata(80, "male", "face"), SECOND: Metadata(30, "male", "back")}


def make(cases: HeldOutCases) -> Lesson:
    """No search: two records that are typical of different diagnoses, and no photograph."""

    def reveal() -> Reveal:
        metadata, known = cases.predictor.config.encoder.encode(list(RECORDS.values()))
        rows = cases.predictor.answers(cases.cohort.embeddings[:1], metadata, known, SUBSETS[METADATA_ALONE])
        answers = {name: by_code(row) for name, row in zip(RECORDS, rows, strict=True)}
        differ = top(answers[FIRST]) != top(answers[SECOND])
        return Reveal(
            int(differ),
            f"Without any photograph, the model answers {top_in_words(answers[FIRST])} for the first man and "
            f"{top_in_words(answers[SECOND])} for the second.",
            (
                "The model has learned which lesions were photographed at which age and body site. Doctors use such "
                "prior knowledge too. But the model has it from one collection only.",
            ),
            answers,
            differ,
        )

    return Lesson(
        "no-photograph",
        "What the model says with no image",
        (
            "Two men each have a spot on the skin. The first man is 80, and his spot is on the face. The second man is "
            "30, and his spot is on the back. Nobody has looked at the spots yet.",
            "Once a photograph is chosen, the tab Metadata influence shows the same answers under “metadata alone”.",
        ),
        tuple(Setup(f"Set: {name}", record) for name, record in RECORDS.items()),
        "Without any photograph, is the most probable diagnosis the same for both men?",
        (
            "Yes: without a photograph, the model can only name the most common diagnosis",
            "No: age and body site alone change the answer",
        ),
        reveal,
    )
