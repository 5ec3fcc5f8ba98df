"""Guided lessons: a case from the held-out images, a question to guess at, and an answer that the model computes.

Each lesson looks for its case among the held-out photographs by a rule that stands in its docstring, with the stored
embeddings; what it then shows is computed from the photograph itself. No figure is written into a lesson: with another
checkpoint there are other cases, a lesson whose case does not exist there is left out, and what is to be made of a case
is said only where the figures show it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from sklearn.metrics import roc_auc_score

from lesion.data.diagnoses import BY_CODE, CODES, DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS, Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError, shown
from lesion.metrics.bootstrap import interval
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, METADATA_ALONE, SUBSETS
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab, LabSettings
from lesion.words import percent

MELANOMA, NEVUS = CODES.index("mel"), CODES.index("nv")
RARE = 0.001
"""A share of melanomas at a place where they are rare."""
AREA_ROUNDS = 200
"""Resamplings of lesions for the interval of an area under the ROC curve, which takes longer than a count."""


@dataclass(frozen=True)
class Setup:
    """A button that sets real inputs.

    Attributes:
        label: on the button.
        metadata: the record to set, or None.
        image_id: the held-out photograph to set, or None.
        controls: values of other controls, by name: "prevalence", "share", "threshold", "used", "weighting".
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
        text: what the model answers, a paragraph.
        moral: what to make of it, paragraphs; to be said only where `holds`.
        answers: probabilities by code, under a heading each, for a picture beside the text; may be empty.
        holds: whether the lesson's point shows in the numbers.
    """

    correct: int
    text: str
    moral: tuple[str, ...]
    answers: dict[str, dict[str, float]]
    holds: bool


@dataclass(frozen=True)
class Lesson:
    """One lesson.

    Attributes:
        key: for the API.
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
        records = {"man of 80, face": Metadata(80, "male", "face"), "man of 30, back": Metadata(30, "male", "back")}

        def reveal() -> Reveal:
            metadata, known = self.predictor.config.encoder.encode(list(records.values()))
            rows = self.predictor.answers(self.cohort.embeddings[:1], metadata, known, SUBSETS[METADATA_ALONE])
            answers = {name: by_code(row) for name, row in zip(records, rows, strict=True)}
            old, young = (top(a) for a in answers.values())
            return Reveal(
                1 if old != young else 0,
                f"Without any photograph the model says {said(answers['man of 80, face'])} for the first and "
                f"{said(answers['man of 30, back'])} for the second.",
                (
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
                "Two men come with a spot. The first is 80 and has it on his face; the second is 30 and has it on his "
                "back. Nobody has looked at the spots yet.",
                "Once a photograph is chosen, the column metadata alone in Metadata influence says the same.",
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
        nevi = self.everything_known & (self.labels == NEVUS)
        row = self.best((young - old)[:, NEVUS], nevi & changes)
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
                f"At 25 the model says {said(answers['at 25'])}; at 75, for the very same photograph, "
                f"{said(answers['at 75'])}. It is in truth a nevus, of a patient of {record.age:g}.",
                (
                    f"Not one pixel has changed. The median age in the held-out photographs of {in_text('nv')} is "
                    f"{ages['nv']:g} years, in those of {in_text(after)} {ages[after]:g}; the model uses that.",
                    f"This is the most extreme case of {nevi.sum():,}. Of all those nevi, "
                    f"{counted((young.argmax(1) != old.argmax(1))[nevi].mean())} get another first diagnosis at 75 "
                    "than at 25.",
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
                f"On the face: {said(answers['on the face'])}. On the back: {said(answers['on the back'])}. In truth "
                f"it is of the {record.site}, and the confirmed diagnosis is {in_text(truth)}.",
                (
                    "Open Metadata influence and click through the body to see every site at once.",
                    f"This is the most extreme case of {self.everything_known.sum():,}. Of all those photographs, "
                    f"{counted(differs[self.everything_known].mean())} get another first diagnosis on the face than on "
                    "the back.",
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
        melanomas = self.everything_known & (self.labels == MELANOMA)
        turned = (full.argmax(1) == MELANOMA) & (alone.argmax(1) != MELANOMA) & melanomas
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
        melanomas = self.everything_known & (self.labels == MELANOMA)
        turned = (full.argmax(1) != MELANOMA) & (alone.argmax(1) == MELANOMA) & melanomas
        row = self.best((alone - full)[:, MELANOMA], turned)
        return None if row is None else self.turned_case(
            "ruined", "A case that metadata ruins", row,
            "The patient does not fit the picture that the collection gives of a melanoma patient, and so the evidence "
            "in the photograph is talked down. What helps more often than it harms can still harm the unusual one.",
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
                f"From the image alone: {said(answers['image alone'])}. With {record.describe()}: "
                f"{said(answers['with age, sex and site'])}. The lesion is in truth a melanoma.",
                (moral, self.how_often()),
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

    def how_often(self) -> str:
        """How often the metadata turn an answer on the held-out photographs, one way and the other."""
        full, alone = (p.argmax(1) == self.labels for p in (self.cohort.full, self.cohort.image_alone))
        won, lost = full & ~alone, alone & ~full
        return (
            f"This is the clearest such melanoma. Over all {len(won):,} held-out photographs the metadata turn "
            f"{percent(won.mean())} of the answers from wrong to right, and {percent(lost.mean())} from right to wrong."
        )

    def what_the_table_gives_away(self) -> Lesson | None:
        """No search: how well the metadata alone tell nevi from the rest on all held-out images."""
        nevi = self.labels == NEVUS
        if nevi.all() or not nevi.any():
            return None
        options = ("About as well as tossing a coin (0.5)", "A little better (up to 0.7)", "Well (over 0.7)")

        def reveal() -> Reveal:
            answers = self.held_out_answers(SUBSETS[METADATA_ALONE])[:, NEVUS]
            area = float(roc_auc_score(nevi, answers))
            rounds = self.cohort.weights[:AREA_ROUNDS]
            low, high = interval(np.array([roc_auc_score(nevi, answers, sample_weight=w) for w in rounds]))
            face = (self.table.site == "face").to_numpy()
            followed = (self.table.dx_type == "follow_up").to_numpy()
            return Reveal(
                2 if area > 0.7 else int(area > 0.55),
                f"Its area under the ROC curve for nevi is {area:.2f} (95 % interval {low:.2f} to {high:.2f}), without "
                "seeing a single image.",
                (
                    "Part of that is biology. Part is how the collection was made: of all held-out photographs "
                    f"{counted(nevi.mean())} show nevi, of those of the face {counted(nevi[face].mean())}; and "
                    f"{counted(followed[nevi].mean())} of the nevi, but {counted(followed[~nevi].mean())} of the rest, "
                    "were confirmed by watching them over time. A model that learns such habits will be wrong where "
                    "they are others.",
                ),
                {},
                area > 0.7,
            )

        return Lesson(
            "table-alone",
            "What the table alone gives away",
            (
                "Take the photographs away and leave only age, sex and site. How well can the model still tell a nevus "
                "from everything else, over all held-out photographs? Area under the ROC curve: 0.5 is guessing, 1 is "
                "perfect.",
            ),
            (Setup("Open Cohort without the photographs", controls={"used": ["age", "sex", "site"]}, tab="cohort"),),
            "How well does the table alone recognise nevi?",
            options,
            reveal,
        )

    def rare_disease(self) -> Lesson | None:
        """No search: the highest threshold, in whole percent, of an alarm that finds nine of ten held-out melanomas,
        taken to a place where melanoma is rare."""
        melanomas = self.labels == MELANOMA
        if melanomas.all() or not melanomas.any():
            return None
        threshold = int(100 * np.quantile(self.cohort.full[melanomas, MELANOMA], 0.1))
        bounds = (0.5, 0.2, 0.05)
        options = ("About half or more", "20 to 50", "5 to 20", "Fewer than 5")

        def reveal() -> Reveal:
            alarm = self.cohort.alarm(threshold / 100)
            here, there = alarm.positive_predictive_value, replace(alarm, melanoma_share=RARE).positive_predictive_value
            return Reveal(
                sum(there < bound for bound in bounds),
                f"In this collection, where {percent(alarm.melanoma_share)} of the photographs show melanomas, "
                f"{here * 100:.0f} of 100 alarms are true. The same alarm, with the same sensitivity "
                f"({counted(alarm.sensitivity)}) and specificity ({counted(alarm.specificity)}), where one in "
                f"{round(1 / RARE):,} is a melanoma: {there * 1000:.0f} of 1,000.",
                (
                    "The alarm has not become worse. There are so many harmless lesions that the false alarms among "
                    "them drown the true ones. Move the share of melanomas in Metadata influence and watch.",
                ),
                {},
                there < 0.05 < here,
            )

        place = {"threshold": threshold}
        return Lesson(
            "rare-disease",
            "A rare disease, and what a positive answer means",
            (
                f"An alarm rings when the probability of melanoma is at least {threshold} %: low enough to find nine "
                "of ten melanomas. In this collection melanomas are common: "
                f"{percent(self.cohort.prevalence[MELANOMA])} of the photographs.",
                f"Now take the same alarm to a place where one lesion in {round(1 / RARE):,} is a melanoma.",
            ),
            (
                Setup("As common as in this collection", controls={"prevalence": "dataset", **place}, tab="influence"),
                Setup(
                    f"One in {round(1 / RARE):,}", controls={"prevalence": "own", "share": 100 * RARE, **place},
                    tab="influence",
                ),
            ),
            "Of 100 alarms there, how many are melanomas?",
            options,
            reveal,
        )  # fmt: skip

    def class_weights(self) -> Lesson | None:
        """No search: the training lab, with balanced class weights and with none, on the three rarest diagnoses."""
        try:
            self.lab.check()
        except UserError:
            return None
        rare = [CODES[k] for k in np.argsort(self.cohort.prevalence)[:3]]
        names = ", ".join(in_text(code) for code in rare)
        options = ("More of them are found", "About as many", "Fewer of them are found")

        def reveal() -> Reveal:
            found = self.lab.compare(*(LabSettings(INPUTS, weighting) for weighting in ("balanced", "none")))
            rows = {in_text(code): found[f"recall.{code}"] for code in rare}
            rows["accuracy over all photographs"] = found["accuracy"]
            each = "; ".join(
                f"{name} {counted(row.first)} → {counted(row.second)} ({points(row.interval[0])} to "
                f"{points(row.interval[1])} points)"
                for name, row in rows.items()
            )
            change = float(np.mean([found[f"recall.{code}"].difference for code in rare]))
            return Reveal(
                2 if change < -0.02 else 1 if change < 0.02 else 0,
                f"Found with balanced weights → with none, and the change's 95 % interval: {each}.",
                (
                    "Both were trained here, on the held-out embeddings, five heads each, scored on lesions they had "
                    "not seen. Without weights the common nevus wins the doubtful cases: good for accuracy, bad for "
                    "whoever has the rare disease. Try it yourself in Training lab, with other seeds too.",
                ),
                {},
                change < -0.02,
            )

        return Lesson(
            "class-weights",
            "What happens to rare classes without class weights",
            (
                f"The three rarest diagnoses here are {names}. In training, balanced class weights make all "
                "photographs of a diagnosis together count as much as those of any other, so that one mistake on a "
                "rare diagnosis costs many times one on the common nevus.",
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


def points(share: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * share:+.0f}".replace("-", "−")


def in_text(code: str) -> str:
    """A diagnosis's name as it stands inside a sentence: "actinic keratosis / Bowen's disease"."""
    name = BY_CODE[code].name
    return name[0].lower() + name[1:]
