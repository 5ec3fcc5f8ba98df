"""Guided lessons: a case from the held-out images, a question to guess at, and an answer that the model computes.

Each lesson looks for its case among the held-out photographs by a rule that stands in its docstring, with the stored
embeddings; what it then shows is computed from the photograph itself. No number and no answer is written into a lesson:
with another checkpoint there are other cases, and a lesson whose case does not exist there is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from sklearn.metrics import roc_auc_score

from lesion.calibration import EVERYTHING, IMAGE_ALONE, METADATA_ALONE, SUBSETS
from lesion.cohort import Cohort
from lesion.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.errors import UserError, shown
from lesion.explain import percent
from lesion.images import read_image
from lesion.lab import Lab, LabSettings
from lesion.metadata import INPUTS, Metadata
from lesion.photographs import HeldOutPhotographs

MELANOMA, NEVUS = CODES.index("mel"), CODES.index("nv")
RARE = 0.001
"""A share of melanomas such as among all the moles that healthy people have looked at, for the lesson on prevalence."""
LAB_EPOCHS = 10


@dataclass(frozen=True)
class Setup:
    """A button that sets real inputs.

    Attributes:
        label: on the button.
        metadata: the record to set, or None.
        image_id: the held-out photograph to set, or None.
        controls: values of other controls, by name: "prevalence", "share", "used", "weighting".
        tab: where to go then: "influence", "cohort", "lab", or None to stay.
    """

    label: str
    metadata: Metadata | None = None
    image_id: str | None = None
    controls: dict[str, object] = field(default_factory=dict)
    tab: str | None = None


@dataclass(frozen=True)
class Reveal:
    """The answer to a lesson's question.

    Attributes:
        correct: index of the right option.
        text: what the model answers, and what to make of it; paragraphs.
        answers: probabilities by code, under a heading each, for a picture beside the text; may be empty.
        holds: whether the lesson's point shows in the numbers.
    """

    correct: int
    text: tuple[str, ...]
    answers: dict[str, dict[str, float]]
    holds: bool


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        key: for links and the API.
        title: a few words.
        story: what the class looks at; paragraphs.
        setups: buttons for the case, the first one to begin with.
        question: to guess at.
        options: the guesses.
        reveal: computes the answer.
    """

    key: str
    title: str
    story: tuple[str, ...]
    setups: tuple[Setup, ...]
    question: str
    options: tuple[str, ...]
    reveal: Callable[[], Reveal]


class Lessons:
    """The lessons of a checkpoint.

    Args:
        cohort: its held-out images.
        photographs: their small copies; lessons about a photograph need them.
        lab: for the lesson on class weights.
    """

    def __init__(self, cohort: Cohort, photographs: HeldOutPhotographs, lab: Lab):
        self.cohort, self.photographs, self.lab = cohort, photographs, lab
        self.predictor, self.table, self.labels = cohort.predictor, cohort.table, cohort.labels
        self.shown = np.array([image_id in photographs for image_id in self.table.image_id])

    @cached_property
    def all(self) -> tuple[Lesson, ...]:
        """The lessons that this checkpoint has a case for, in teaching order."""
        makers = (
            self.no_photograph, self.same_mole_at_two_ages, self.face_and_back, self.rescued, self.ruined,
            self.what_the_table_gives_away, self.rare_disease, self.class_weights,
        )  # fmt: skip
        return tuple(lesson for make in makers if (lesson := make()) is not None)

    def get(self, key: object) -> Lesson:
        """A lesson by its key.

        Raises:
            UserError: there is none.
        """
        for lesson in self.all:
            if lesson.key == key:
                return lesson
        raise UserError(f"Lesson {shown(key)} is not known; choose {', '.join(lesson.key for lesson in self.all)}.")

    # What the makers share.

    def held_out_answers(self, present: np.ndarray = SUBSETS[EVERYTHING], **changes: object) -> np.ndarray:
        """Probabilities of every held-out image with some fields changed, float64 (N, 7)."""
        records = [replace(record, **changes) for record in self.cohort.records]
        metadata, known = self.predictor.config.encoder.encode(records)
        return self.predictor.answers(self.cohort.embeddings, metadata, known, present)

    def record(self, row: int) -> Metadata:
        """Of a held-out image."""
        return self.cohort.records[row]

    def best(self, score: np.ndarray, eligible: np.ndarray) -> int | None:
        """The eligible image with the highest score whose photograph is there, or None."""
        eligible = eligible & self.shown
        return int(np.where(eligible, score, -np.inf).argmax()) if eligible.any() else None

    def answers_of(
        self, image_id: str, records: dict[str, Metadata], present: np.ndarray = SUBSETS[EVERYTHING]
    ) -> dict[str, dict[str, float]]:
        """Probabilities by code from a photograph with several records, by their names."""
        features = self.predictor.features(read_image(self.photographs.read(image_id)))
        rows = self.predictor.probabilities(features, list(records.values()), present)
        return {name: by_code(row) for name, row in zip(records, rows, strict=True)}

    # The lessons.

    def no_photograph(self) -> Lesson | None:
        """No search: two records at opposite ends of what the table knows, and no image."""
        records = {"man of 80, face": Metadata(80, "male", "face"), "woman of 30, back": Metadata(30, "female", "back")}

        def reveal() -> Reveal:
            metadata, known = self.predictor.config.encoder.encode(list(records.values()))
            rows = self.predictor.answers(self.cohort.embeddings[:1], metadata, known, SUBSETS[METADATA_ALONE])
            answers = {name: by_code(row) for name, row in zip(records, rows, strict=True)}
            old, young = (top(a) for a in answers.values())
            return Reveal(
                1 if old != young else 0,
                (
                    f"Without any photograph the model says {said(answers['man of 80, face'])} for the man and "
                    f"{said(answers['woman of 30, back'])} for the woman.",
                    "It has learnt which lesions were photographed at which age and site. That is prior knowledge, as "
                    "a doctor has it too; but here it is the habit of one collection.",
                ),
                answers,
                old != young,
            )  # fmt: skip

        return Lesson(
            "no-photograph",
            "What the model says with no image",
            (
                "Two people come with a spot. The first is a man of 80 with a spot on his face; the second a woman of "
                "30 with one on her back. Nobody has looked at the spots yet.",
                "In Metadata influence, the column metadata alone is what the model answers to such a question.",
            ),
            tuple(Setup(f"Set: {name}", record) for name, record in records.items()),
            "Without any photograph, is the most probable diagnosis the same for both?",
            ("Yes, without an image it can only say what is most common", "No, age and site alone change it"),
            reveal,
        )

    def same_mole_at_two_ages(self) -> Lesson | None:
        """The confirmed nevus with everything known whose probability of nevus falls most from 25 to 75, where the most
        probable diagnosis changes."""
        young, old = self.held_out_answers(age=25.0), self.held_out_answers(age=75.0)
        changes = (young.argmax(1) == NEVUS) & (old.argmax(1) != NEVUS)
        row = self.best((young - old)[:, NEVUS], self.everything_known & changes & (self.labels == NEVUS))
        if row is None:
            return None
        image_id, record = self.table.image_id[row], self.record(row)
        records = {"at 25": replace(record, age=25.0), "at 75": replace(record, age=75.0)}

        def reveal() -> Reveal:
            answers = self.answers_of(image_id, records)
            fall = answers["at 25"]["nv"] - answers["at 75"]["nv"]
            after = top(answers["at 75"])
            ages = {code: self.table.age[self.labels == k].median() for k, code in enumerate(CODES)}
            return Reveal(
                2 if top(answers["at 25"]) != top(answers["at 75"]) else int(fall > 0.1),
                (
                    f"At 25 the model says {said(answers['at 25'])}; at 75, for the very same photograph, "
                    f"{said(answers['at 75'])}. It is in truth a nevus, of a patient of {record.age:g}.",
                    f"Not one pixel has changed. The median age of the held-out patients with {in_text('nv')} is "
                    f"{ages['nv']:g} years, with {in_text(after)} {ages[after]:g}; the model uses that.",
                ),
                answers,
                top(answers["at 25"]) == "nv" != top(answers["at 75"]),
            )

        return Lesson(
            "two-ages",
            "The same mole at 25 and at 75",
            ("This photograph shows a confirmed melanocytic nevus, a mole. Suppose its owner is 25; then suppose 75.",),
            tuple(Setup(f"Show it {name}", r, image_id) for name, r in records.items()),
            "What happens to the answer when the patient is 75 instead of 25?",
            (
                "Next to nothing: the photograph decides",
                "Nevus becomes less probable, but stays first",
                "Another diagnosis comes first",
            ),
            reveal,
        )

    def face_and_back(self) -> Lesson | None:
        """The image with everything known whose answer differs most, by total variation, between face and back."""
        face, back = self.held_out_answers(site="face"), self.held_out_answers(site="back")
        differs = face.argmax(1) != back.argmax(1)
        row = self.best(np.abs(face - back).sum(1), self.everything_known & differs)
        if row is None:
            return None
        image_id, record = self.table.image_id[row], self.record(row)
        records = {"on the face": replace(record, site="face"), "on the back": replace(record, site="back")}
        truth = CODES[self.labels[row]]

        def reveal() -> Reveal:
            answers = self.answers_of(image_id, records)
            names = [BY_CODE[top(a)].name for a in answers.values()]
            return Reveal(
                1 if names[0] != names[1] else 0,
                (
                    f"On the face: {said(answers['on the face'])}. On the back: {said(answers['on the back'])}. In "
                    f"truth it is of the {record.site}, and the confirmed diagnosis is {in_text(truth)}.",
                    "Open Metadata influence and click through the body to see every site at once.",
                ),
                answers,
                names[0] != names[1],
            )

        return Lesson(
            "face-and-back",
            "One photograph, on the face and on the back",
            ("The same photograph, the same age and sex; only the place on the body is another.",),
            tuple(Setup(f"Put it {name}", r, image_id) for name, r in records.items()),
            "Does the place alone change which diagnosis comes first?",
            ("No", "Yes"),
            reveal,
        )

    def rescued(self) -> Lesson | None:
        """The melanoma that the image alone misses and the whole input finds, with the largest rise of its
        probability."""
        full, alone = self.cohort.full, self.cohort.image_alone
        turned = (full.argmax(1) == MELANOMA) & (alone.argmax(1) != MELANOMA) & (self.labels == MELANOMA)
        row = self.best((full - alone)[:, MELANOMA], turned)
        return None if row is None else self.turned_case(
            "rescued", "A case that metadata rescues", row,
            "Knowing age, sex and site, the model finds what the photograph alone did not show it. In Cohort you can "
            "see how often this happens, and what it costs.",
        )  # fmt: skip

    def ruined(self) -> Lesson | None:
        """The melanoma that the image alone finds and the whole input misses, with the largest fall of its
        probability."""
        full, alone = self.cohort.full, self.cohort.image_alone
        turned = (full.argmax(1) != MELANOMA) & (alone.argmax(1) == MELANOMA) & (self.labels == MELANOMA)
        row = self.best((alone - full)[:, MELANOMA], turned)
        return None if row is None else self.turned_case(
            "ruined", "A case that metadata ruins", row,
            "The patient does not fit the picture that the collection gives of a melanoma patient, and so the evidence "
            "in the photograph is talked down. What helps most patients can harm the unusual one.",
        )  # fmt: skip

    def turned_case(self, key: str, title: str, row: int, moral: str) -> Lesson:
        """A melanoma whose answer the metadata turn, one way or the other."""
        image_id, record = self.table.image_id[row], self.record(row)
        options = tuple(d.name for d in DIAGNOSES)

        def reveal() -> Reveal:
            together = self.answers_of(image_id, {"with age, sex and site": record})
            alone = self.answers_of(image_id, {"image alone": record}, SUBSETS[IMAGE_ALONE])
            answers = {**alone, **together}
            before, after = (top(a) for a in answers.values())
            expected = ("mel" == after != before) if key == "rescued" else ("mel" == before != after)
            return Reveal(
                CODES.index(after),
                (
                    f"From the image alone: {said(answers['image alone'])}. With {record.describe()}: "
                    f"{said(answers['with age, sex and site'])}. The lesion is in truth a melanoma.",
                    moral,
                ),
                answers,
                expected,
            )

        return Lesson(
            key,
            title,
            (
                "First the photograph alone, with nothing known of the patient.",
                f"Then the record: {record.describe()}.",
            ),
            (
                Setup("Show the photograph alone", Metadata(), image_id),
                Setup(f"Add {record.describe()}", record, image_id),
            ),
            f"With {record.describe()}, which diagnosis comes first?",
            options,
            reveal,
        )

    def what_the_table_gives_away(self) -> Lesson | None:
        """No search: how well the metadata alone tell each diagnosis from the others on all held-out images."""
        options = ("About as well as tossing a coin (0.5)", "A little better (up to 0.7)", "Well (over 0.7)")

        def reveal() -> Reveal:
            answers = self.held_out_answers(SUBSETS[METADATA_ALONE])
            areas = {c: roc_auc_score(self.labels == k, answers[:, k]) for k, c in enumerate(CODES)}
            area = areas["nv"]
            best = max(areas, key=areas.get)
            face = (self.table.site == "face").to_numpy()
            nevi = self.labels == NEVUS
            followed = (self.table.dx_type == "follow_up").to_numpy()
            return Reveal(
                2 if area > 0.7 else int(area > 0.55),
                (
                    f"Its area under the ROC curve for nevi is {area:.2f}, and {areas[best]:.2f} for "
                    f"{in_text(best)}: without seeing a single image.",
                    "Part of that is biology. Part is how the collection was made: of all held-out photographs "
                    f"{counted(nevi.mean())} show nevi, of those of the face only {counted(nevi[face].mean())}; and "
                    f"{counted(followed[nevi].mean())} of the nevi, but {counted(followed[~nevi].mean())} of the rest, "
                    "were confirmed by watching them over time, which is done in people with many moles. A model that "
                    "learns such habits will be wrong elsewhere.",
                ),
                {},
                area > 0.7,
            )

        return Lesson(
            "table-alone",
            "What the table alone gives away",
            (
                "Take the photographs away and leave only age, sex and site. How well can the model still tell a nevus "
                "from everything else, over all held-out patients? Area under the ROC curve: 0.5 is guessing, 1 is "
                "perfect.",
            ),
            (Setup("Open Cohort without the photographs", controls={"used": ["age", "sex", "site"]}, tab="cohort"),),
            "How well does the table alone recognise nevi?",
            options,
            reveal,
        )

    def rare_disease(self) -> Lesson | None:
        """No search: the alarm that finds 90 % of the held-out melanomas, taken to a place where melanoma is rare."""
        bounds = (0.5, 0.2, 0.05)
        options = ("About half or more", "20 to 50", "5 to 20", "Fewer than 5")

        def reveal() -> Reveal:
            probabilities = self.cohort.full[self.labels == MELANOMA, MELANOMA]
            alarm = self.cohort.alarm(float(np.quantile(probabilities, 0.1)))
            here, there = alarm.positive_predictive_value, replace(alarm, melanoma_share=RARE).positive_predictive_value
            return Reveal(
                sum(there < bound for bound in bounds),
                (
                    f"In this collection, where {percent(alarm.melanoma_share)} of the lesions are melanomas, "
                    f"{here * 100:.0f} of 100 alarms are true. The same alarm, with the same sensitivity "
                    f"({counted(alarm.sensitivity)}) and specificity ({counted(alarm.specificity)}), where one in "
                    f"{round(1 / RARE):,} is a melanoma: {there * 1000:.0f} of 1,000.",
                    "The alarm has not become worse. There are so many harmless lesions that even a small share of "
                    "false alarms drowns the true ones. Move the share of melanomas in Metadata influence and watch.",
                ),
                {},
                there < 0.05 < here,
            )

        return Lesson(
            "rare-disease",
            "A rare disease, and what a positive answer means",
            (
                "An alarm rings when the probability of melanoma is high enough to find nine of ten melanomas. In this "
                "collection melanoma is common, since doctors photographed what worried them.",
                f"Now take the same alarm to a place where one lesion in {round(1 / RARE):,} is a melanoma.",
            ),
            (
                Setup("Melanoma as common as in this collection", controls={"prevalence": "dataset"}, tab="influence"),
                Setup(
                    f"One lesion in {round(1 / RARE):,} a melanoma",
                    controls={"prevalence": "own", "share": 100 * RARE},
                    tab="influence",
                ),
            ),
            "Of 100 alarms there, how many are melanomas?",
            options,
            reveal,
        )

    def class_weights(self) -> Lesson | None:
        """No search: the training lab, with balanced class weights and with none, on the three rarest diagnoses."""
        rare = [CODES[k] for k in np.argsort(self.cohort.prevalence)[:3]]
        names = ", ".join(in_text(code) for code in rare)
        options = ("More of them are found", "About as many", "Fewer of them are found")

        def reveal() -> Reveal:
            runs = [LabSettings(INPUTS, weighting, LAB_EPOCHS) for weighting in ("balanced", "none")]
            found = self.lab.compare(*runs)
            rows = [found[f"recall.{code}"] for code in rare]
            change = float(np.mean([row.difference for row in rows]))
            each = "; ".join(
                f"{in_text(code)} {counted(row.first)} → {counted(row.second)}"
                for code, row in zip(rare, rows, strict=True)
            )
            accuracy = found["accuracy"]
            return Reveal(
                2 if change < -0.02 else 1 if change < 0.02 else 0,
                (
                    f"Of each rare diagnosis, found with balanced weights → with none: {each}. Accuracy over all "
                    f"photographs: {counted(accuracy.first)} → {counted(accuracy.second)}.",
                    "Both were trained here, on the held-out embeddings, five heads each, scored on lesions they had "
                    "not seen. Without weights the common nevus wins the doubtful cases: good for accuracy, bad for "
                    "whoever has the rare disease. Try it yourself in Training lab.",
                ),
                {},
                change < -0.02,
            )

        return Lesson(
            "class-weights",
            "What happens to rare classes without class weights",
            (
                f"The three rarest diagnoses here are {names}. In training, class weights make a mistake on a rare "
                "diagnosis cost as much, in sum, as one on the common nevus.",
                "Train the head without these weights, and see what becomes of the rare diagnoses. (The answer trains "
                "ten heads and takes some seconds.)",
            ),
            (
                Setup("Set up the lab with weights", controls={"weighting": "balanced"}, tab="lab"),
                Setup("Set up the lab without weights", controls={"weighting": "none"}, tab="lab"),
            ),
            "Without class weights, what happens to the rare diagnoses?",
            options,
            reveal,
        )

    @property
    def everything_known(self) -> np.ndarray:
        """Which held-out images have a whole record, bool (N,)."""
        return self.cohort.known.all(1)


def by_code(row: np.ndarray) -> dict[str, float]:
    """Seven probabilities by code."""
    return dict(zip(CODES, row.tolist(), strict=True))


def top(answer: dict[str, float]) -> str:
    """The code of the most probable diagnosis."""
    return max(answer, key=answer.get)


def said(answer: dict[str, float]) -> str:
    """An answer in a few words: "melanoma (75 %)"."""
    code = top(answer)
    return f"{in_text(code)} ({percent(answer[code])})"


def counted(share: float) -> str:
    """A share of photographs, 0 to 1, which may be none: "14 %"."""
    return f"{100 * share:.0f} %"


def in_text(code: str) -> str:
    """A diagnosis's name as it stands inside a sentence: "actinic keratosis / Bowen's disease"."""
    name = BY_CODE[code].name
    return name[0].lower() + name[1:]
