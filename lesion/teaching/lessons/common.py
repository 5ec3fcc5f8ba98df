"""What the lessons share: their form, the search for a case, and numbers in words."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.model.calibration import EVERYTHING, SUBSETS
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Lab
from lesion.words import percent

MELANOMA, NEVUS = CODES.index("mel"), CODES.index("nv")


@dataclass(frozen=True)
class Setup:
    """A button that sets inputs of the page.

    Attributes:
        label: on the button.
        metadata: the record to set, or None.
        image_id: the held-out photograph to set, or None.
        artefact: what to draw on it, a name of `lesion.data.artefacts.ARTEFACTS` and a strength, or None.
        controls: values of other controls, by name: "prevalence", "share", "threshold", "used", "weighting";
            or "round", the text of a reader round to open.
        tab: the tab to open: "influence", "cohort", "lab", "round", or None to stay.
    """

    label: str
    metadata: Metadata | None = None
    image_id: str | None = None
    artefact: tuple[str, int] | None = None
    controls: dict[str, object] = field(default_factory=dict)
    tab: str | None = None


@dataclass(frozen=True)
class Reveal:
    """The answer to a lesson's question.

    Attributes:
        correct: index of the correct option.
        text: what the model answers, one paragraph.
        moral: the conclusion, paragraphs; shown only where `holds`.
        answers: probabilities by code, under a heading each, for a chart beside the text; may be empty.
        holds: whether the figures support the lesson's conclusion.
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
        key: its name in links and in the API.
        title: a few words.
        story: what the class looks at; paragraphs.
        setups: buttons for the case, the first one to begin with.
        question: what the class guesses.
        options: the possible guesses.
        reveal: computes the answer.
    """

    key: str
    title: str
    story: tuple[str, ...]
    setups: tuple[Setup, ...]
    question: str
    options: tuple[str, ...]
    reveal: Callable[[], Reveal]


class HeldOutCases:
    """The held-out images of a checkpoint, from which the lessons choose their cases.

    Args:
        cohort: the held-out images.
        photographs: their small copies; lessons about a photograph need them.
        lab: for the lesson on class weights.
    """

    def __init__(self, cohort: Cohort, photographs: HeldOutPhotographs, lab: Lab):
        self.cohort, self.photographs, self.lab = cohort, photographs, lab
        self.predictor, self.table, self.labels = cohort.predictor, cohort.table, cohort.labels
        self.records = cohort.records
        self.everything_known = cohort.known.all(1)
        self._has_photograph = np.array([image_id in photographs for image_id in self.table.image_id])

    def answers(self, present: np.ndarray = SUBSETS[EVERYTHING], **changes: object) -> np.ndarray:
        """Probabilities of every held-out image with some metadata fields changed, float64 (N, 7)."""
        records = [replace(record, **changes) for record in self.records]
        metadata, known = self.predictor.config.encoder.encode(records)
        return self.predictor.answers(self.cohort.embeddings, metadata, known, present)

    def best(self, score: np.ndarray, eligible: np.ndarray) -> int | None:
        """The row of the eligible image with the highest score among those with a photograph; None without any.

        Args:
            score: float (N,).
            eligible: bool (N,).
        """
        eligible = eligible & self._has_photograph
        return int(np.where(eligible, score, -np.inf).argmax()) if eligible.any() else None

    def answers_of(
        self, image_id: str, records: dict[str, Metadata], present: np.ndarray = SUBSETS[EVERYTHING]
    ) -> dict[str, dict[str, float]]:
        """Probabilities by code for one photograph with each of several records, by the records' names."""
        features = self.predictor.features(read_image(self.photographs.read(image_id)))
        rows = self.predictor.probabilities(features, list(records.values()), present)
        return {name: by_code(row) for name, row in zip(records, rows, strict=True)}


def by_code(row: np.ndarray) -> dict[str, float]:
    """Seven probabilities by code."""
    return dict(zip(CODES, row.tolist(), strict=True))


def top(answer: dict[str, float]) -> str:
    """The code of the most probable diagnosis."""
    return max(answer, key=answer.get)


def top_in_words(answer: dict[str, float]) -> str:
    """The most probable diagnosis with its probability: "melanoma (75 %)"."""
    code = top(answer)
    return f"{in_text(code)} ({percent(answer[code])})"


def share_in_words(share: float) -> str:
    """A share of photographs, 0 to 1: "14 %". Unlike a probability, a share may be "0 %" or "100 %"."""
    return f"{100 * share:.0f} %"


def points(share: float) -> str:
    """A difference of two shares in percentage points, with its sign."""
    return f"{100 * share:+.0f}".replace("-", "−")


def in_text(code: str) -> str:
    """A diagnosis's name as it stands inside a sentence: "actinic keratosis / Bowen's disease"."""
    name = BY_CODE[code].name
    return name[0].lower() + name[1:]
