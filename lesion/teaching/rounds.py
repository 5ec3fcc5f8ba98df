"""A reader round: held-out photographs that a class judges in stages, with answers of the model some of which are
deliberately wrong.

    settings = RoundSettings(seed=7, count=10)
    cases = draw_round(cohort, photographs, settings)

The reference for the stages and for the wrong answers is Tschandl et al., "Human-computer collaboration for skin
cancer recognition" (Nature Medicine 26, 2020), who showed readers faulty answers among the right ones.

Whoever knows the settings can compute the round, so they are no secret from a person who sees them. A class whose
phones must not know the truth early keeps its seed on the server.
"""

import io
from collections.abc import Container
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from lesion.data.diagnoses import BY_CODE, CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.reading import read_image
from lesion.errors import UserError, parse_number, parse_whole, shown
from lesion.model.calibration import reweight
from lesion.teaching.cohort import Cohort

STAGES = ("photograph", "metadata", "model")
"""What becomes visible of a case, in this order."""
COUNTS = (10, 30)
NATURAL, BALANCED, MELANOMA_OR_NEVUS = MIXES = ("natural", "balanced", "melanoma or nevus")
"""Drawn as the collection has them; as many of each of the seven diagnoses; half melanomas and half nevi."""
MISLEADING_SHARES = (0.0, 0.1, 0.2, 0.3)
"""Of each, 10 and 30 cases have a whole number."""
CONFIDENT = 0.5
"""The model looks confident where its most probable diagnosis has more than this. Chosen by hand, not fitted."""
LARGEST_SEED = 2**53 - 1
"""The largest whole number that a browser keeps exactly."""
DRAWS = 200
"""A round with too few answers that can be made misleading is drawn again, at most so often."""
CONFIRMED = "histo"
"""HAM10000's dx_type of a diagnosis confirmed by histopathology."""
CONFIRMATIONS = ("any", "confirmed")
"""In the text of a round: all diagnoses, or those confirmed by histopathology only."""
JPEG_QUALITY = 92


@dataclass(frozen=True)
class RoundSettings:
    """What a round is. Equal settings give equal rounds, whoever draws them.

    Args:
        seed: 0 to LARGEST_SEED.
        count: of cases, one of COUNTS.
        mix: one of MIXES.
        confirmed_only: whether only diagnoses confirmed by histopathology are drawn.
        stages: those of STAGES that a case has; "photograph" is always one.
        misleading_share: one of MISLEADING_SHARES, of the cases whose answer of the model is made false; 0 in a round
            without the stage "model".

    Raises:
        UserError: a value is not accepted.
    """

    seed: int
    count: int = 10
    mix: str = BALANCED
    confirmed_only: bool = False
    stages: tuple[str, ...] = STAGES
    misleading_share: float = 0.2

    def __post_init__(self):
        seed = parse_whole("Seed", self.seed, 0, LARGEST_SEED)
        count = parse_whole("Number of cases", self.count, 0, LARGEST_SEED)
        if count not in COUNTS:
            raise UserError(f"A round of {count} cases is not offered; choose {' or '.join(map(str, COUNTS))}.")
        if self.mix not in MIXES:
            raise UserError(f"Mix {shown(self.mix)} is not known; choose {', '.join(MIXES)}.")
        if not isinstance(self.confirmed_only, bool):
            raise UserError(
                f"Confirmed by histology only {shown(self.confirmed_only)} is not accepted; give true or false."
            )
        stages = parse_stages(self.stages)
        share = parse_number("Share of misleading answers", self.misleading_share, 0, 1)
        if share not in MISLEADING_SHARES:
            accepted = ", ".join(f"{x:g}" for x in MISLEADING_SHARES)
            raise UserError(f"Share of misleading answers {shown(share)} is not offered; choose {accepted}.")
        values = {"seed": seed, "count": count, "stages": stages}
        values["misleading_share"] = share if "model" in stages else 0.0
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def text(self) -> str:
        """The settings in one word for a link: 7_10_balanced_any_photograph.metadata.model_0.2."""
        confirmation = CONFIRMATIONS[self.confirmed_only]
        mix, stages = self.mix.replace(" ", "-"), ".".join(self.stages)
        return f"{self.seed}_{self.count}_{mix}_{confirmation}_{stages}_{self.misleading_share:g}"

    @classmethod
    def of_text(cls, text: object) -> "RoundSettings":
        """The settings of a `text`.

        Raises:
            UserError: it is not one, or a value in it is not accepted.
        """
        parts = text.split("_") if isinstance(text, str) else ()
        if len(parts) != 6 or parts[3] not in CONFIRMATIONS:
            raise UserError(f"{shown(text)} is not a round; copy the whole link of one.")
        seed, count, mix, confirmation, stages, share = parts
        confirmed_only = confirmation == CONFIRMATIONS[True]
        return cls(seed, count, mix.replace("-", " "), confirmed_only, tuple(stages.split(".")), share)

    @property
    def diagnoses(self) -> tuple[str, ...]:
        """The codes that a reader chooses from."""
        return ("mel", "nv") if self.mix == MELANOMA_OR_NEVUS else CODES

    @property
    def misleading_count(self) -> int:
        """Cases whose answer of the model is made false."""
        return round(self.misleading_share * self.count)


def text_of(settings: RoundSettings, identity: str) -> str:
    """A round as links name it: its settings, and the checkpoint whose cases these are."""
    return f"{settings.text}_{identity}"


def settings_of(text: object, identity: str) -> RoundSettings:
    """The settings in a link.

    Raises:
        UserError: it is no round, or one of another checkpoint.
    """
    settings, _, checkpoint = text.rpartition("_") if isinstance(text, str) else (text, "", "")
    found = RoundSettings.of_text(settings)
    if checkpoint != identity:
        raise UserError(
            f"This round was made for another checkpoint ({shown(checkpoint)}); here it would have other cases. Choose "
            f"or start that checkpoint, or begin a round of this one ({identity})."
        )
    return found


def parse_stages(stages: object) -> tuple[str, ...]:
    """The stages of a round, in the order of STAGES.

    Raises:
        UserError: not a list of STAGES with "photograph" among them.
    """
    if not isinstance(stages, list | tuple) or "photograph" not in stages or any(s not in STAGES for s in stages):
        raise UserError(
            f"Stages {shown(stages)} are not accepted; give a list of {', '.join(STAGES)}, with photograph in it."
        )
    return tuple(stage for stage in STAGES if stage in stages)


@dataclass(frozen=True)
class RoundCase:
    """One case.

    Attributes:
        row: in the cohort's table.
        label: the confirmed diagnosis, an index in CODES.
        misleading: whether the model's answer was made false.
        own: the model's own probabilities, float64 (7,), with diagnoses as common as the round says.
        shown: those at the stage "model": `own`, or with its two most probable diagnoses exchanged.
    """

    row: int
    label: int
    misleading: bool
    own: np.ndarray
    shown: np.ndarray

    @property
    def explained(self) -> str:
        """The code of the diagnosis that the heat map is of: the most probable one as shown."""
        return CODES[self.shown.argmax()]


def as_common_as(settings: RoundSettings, answers: np.ndarray, cohort: Cohort) -> np.ndarray:
    """Answers with the diagnoses as common as a round's mix has them, which the reader is told as well.

    Args:
        settings: of the round.
        answers: float64 (N, 7), at the data set's prevalence.
        cohort: that they are about.

    Returns:
        float64 (N, 7); 0 for a diagnosis that the round has not.
    """
    if settings.mix == NATURAL:
        return answers
    offered = np.array([code in settings.diagnoses for code in CODES])
    return reweight(answers, cohort.prevalence, offered / offered.sum())


def _fit_to_mislead(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Which cases have an answer that is right and looks confident, int (n,)."""
    return np.flatnonzero((answers.argmax(1) == labels) & (answers.max(1) > CONFIDENT))


def draw_round(cohort: Cohort, photographs: Container[str], settings: RoundSettings) -> tuple[RoundCase, ...]:
    """The cases of a round in their order. A lesion appears once.

    The model reads what the reader sees: without the stage "metadata" the photograph alone. Its answers are made
    misleading only where it is right and looks confident: its two most probable diagnoses are exchanged, so that the
    most probable one is false.

    Args:
        cohort: the held-out images.
        photographs: ids of those that can be shown, such as `HeldOutPhotographs`.
        settings: of the round.

    Raises:
        UserError: there are too few lesions, or too few answers that can be made misleading.
    """
    table = cohort.table
    pool = np.array([image_id in photographs for image_id in table.image_id])
    if not pool.any():
        raise UserError(
            "This checkpoint comes without its held-out photographs, so there is nothing to judge; add them with "
            "python -m lesion.photographs --data HAM10000 --checkpoint FOLDER."
        )
    if settings.confirmed_only:
        pool &= (table.dx_type == CONFIRMED).to_numpy()
    rows = np.flatnonzero(pool)
    with_metadata, without = (as_common_as(settings, p, cohort) for p in (cohort.full, cohort.image_alone))
    of_cases, of_answers = map(np.random.default_rng, np.random.SeedSequence(settings.seed).spawn(2))
    for _ in range(DRAWS):
        drawn = _draw(rows, cohort, settings, of_cases)
        labels = cohort.labels[drawn]
        # Asked of both, so that rounds with and without the stage "metadata" have the same cases.
        both = [_fit_to_mislead(answers[drawn], labels) for answers in (with_metadata, without)]
        if min(map(len, both)) >= settings.misleading_count:
            break
    else:
        raise UserError(
            f"The model is too seldom right and confident for {settings.misleading_count} misleading answers in a "
            f"round of {settings.count}; choose a smaller share."
        )
    reads_metadata = "metadata" in settings.stages
    own, eligible = (with_metadata[drawn], both[0]) if reads_metadata else (without[drawn], both[1])
    misleading = set(of_answers.choice(eligible, settings.misleading_count, replace=False).tolist())
    return tuple(
        RoundCase(int(row), int(label), i in misleading, p, exchanged(p) if i in misleading else p)
        for i, (row, label, p) in enumerate(zip(drawn, labels, own, strict=True))
    )


def _draw(rows: np.ndarray, cohort: Cohort, settings: RoundSettings, generator: np.random.Generator) -> np.ndarray:
    """Rows of a round in their order, drawn from `rows` without two of one lesion, int (count,)."""
    shuffled = generator.permutation(rows)
    _, first = np.unique(cohort.lesions[shuffled], return_index=True)
    shuffled = shuffled[np.sort(first)]
    if settings.mix == NATURAL:
        if len(shuffled) < settings.count:
            raise UserError(
                f"There are only {len(shuffled)} such lesions; choose a round of fewer cases, or any confirmation."
            )
        return shuffled[: settings.count]
    classes = [CODES.index(code) for code in settings.diagnoses]
    of_class = [shuffled[cohort.labels[shuffled] == k] for k in classes]
    each, more = divmod(settings.count, len(classes))
    # The remainder goes to diagnoses by lot, to those that have enough lesions.
    able = [k for k, found in enumerate(of_class) if len(found) > each]
    if min(map(len, of_class)) < each or len(able) < more:
        scarcest = min(range(len(classes)), key=lambda k: len(of_class[k]))
        name, number = BY_CODE[CODES[classes[scarcest]]].name, len(of_class[scarcest])
        raise UserError(
            f"A round of {settings.count} cases with this mix needs {each + bool(more)} lesions of each diagnosis, and "
            f"there are only {number} of {name}; choose fewer cases, another mix, or any confirmation."
        )
    lucky = set(generator.choice(able, more, replace=False).tolist()) if more else set()
    drawn = [found[: each + (k in lucky)] for k, found in enumerate(of_class)]
    return generator.permutation(np.concatenate(drawn))


def exchanged(probabilities: np.ndarray) -> np.ndarray:
    """Probabilities, float (7,), with those of the two most probable diagnoses exchanged."""
    first, second = np.argsort(-probabilities, kind="stable")[:2]
    out = probabilities.copy()
    out[[first, second]] = probabilities[[second, first]]
    return out


def photograph_of(photographs: HeldOutPhotographs, image_id: str) -> bytes:
    """A held-out photograph as JPEG that does not give itself away: it is mirrored, so that the app does not recognise
    it where a reader saves and uploads it, and has neither a name nor metadata. A lesion has no left or right."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.asarray(read_image(photographs.read(image_id), "The photograph")))
    ImageOps.mirror(image).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()
