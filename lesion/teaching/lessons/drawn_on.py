"""Lesson: a ruler, ink, hair and a colour cast on a photograph, and what they do to the answer."""

import io

import numpy as np

from lesion.data.artefacts import ARTEFACTS, HARMLESS, STRENGTHS
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.report.reading import belongs, read_report
from lesion.teaching.lessons.common import (
    NEVUS,
    HeldOutCases,
    Lesson,
    Reveal,
    Setup,
    by_code,
    in_text,
    share_in_words,
    top,
    top_in_words,
)

IN_WORDS = {1: "weak", 2: "medium", 3: "strong"}
"""The strengths."""


def make(cases: HeldOutCases) -> Lesson | None:
    """The case: the confirmed nevus that the model, with the whole record, calls a nevus by the smallest margin."""
    full = cases.cohort.full
    others = np.delete(full, NEVUS, axis=1).max(1)
    margin = full[:, NEVUS] - others
    row = cases.best(-margin, (cases.labels == NEVUS) & (margin > 0) & cases.everything_known)
    if row is None:
        return None
    image_id, record = cases.table.image_id[row], cases.records[row]

    def reveal() -> Reveal:
        predictor = cases.predictor
        frame = predictor.config.transform.frame(read_image(cases.photographs.read(image_id)))

        def answer(image) -> dict[str, float]:
            return by_code(predictor.probabilities(predictor.features(image), [record])[0])

        plain = answer(frame)
        drawn = {f"{IN_WORDS[s]} {name}": answer(draw(frame, s)) for name, draw in ARTEFACTS.items() for s in STRENGTHS}
        harmless = {name: answer(change(frame)) for name, change in HARMLESS.items()}
        flipped = {name: found for name, found in drawn.items() if top(found) != top(plain)}
        quiet = [name for name, found in harmless.items() if top(found) != top(plain)]
        text = f"The photograph as it is: {top_in_words(plain)}. "
        if flipped:
            each = "; ".join(f"{name}: {top_in_words(found)}" for name, found in flipped.items())
            text += (
                f"{len(flipped)} of the {len(drawn)} drawn changes make another diagnosis the most probable. {each}. "
            )
        else:
            text += f"None of the {len(drawn)} drawn changes puts another diagnosis first. "
        text += (
            f"Of the {len(harmless)} changes that nobody would notice ({', '.join(harmless)}), "
            f"{len(quiet) or 'none'} does."
        )
        strongest = max(drawn, key=lambda name: abs(drawn[name][top(plain)] - plain[top(plain)]))
        return Reveal(
            0 if flipped else 1,
            text,
            (
                "Neither ruler nor ink says anything about the lesion itself. Ink and rulers are put there by people "
                "who already suspect something, so a network can learn them as if they were signs of disease.",
                *rates_in_words(cases),
            ),
            {"as it is": plain, strongest: drawn[strongest]},
            True,
        )

    return Lesson(
        "drawn-on",
        "A ruler, ink, hair and a colour cast",
        (
            f"A confirmed {in_text('nv')} ({record.describe()}) that the model calls a {in_text('nv')}, if only just.",
            "Now we draw on the photograph: marks of a ruler at its edge, a surgeon's ink around the lesion, hairs "
            "across it, or we make its colours warmer; each in three strengths. The skin under it stays the same.",
        ),
        (
            Setup("Open the photograph", metadata=record, image_id=image_id),
            Setup("The same with strong ink", metadata=record, image_id=image_id, artefact=("ink", 3)),
        ),
        "Does anything of this make another diagnosis the most probable?",
        ("Yes", "No"),
        reveal,
    )


def drawn_photograph(content: bytes, artefact: tuple[str, int]) -> bytes:
    """A photograph's JPEG file with an artefact drawn on it, as JPEG.

    Args:
        content: of the file.
        artefact: its name and strength.
    """
    name, strength = artefact
    out = io.BytesIO()
    ARTEFACTS[name](read_image(content), strength).save(out, "JPEG", quality=95)
    return out.getvalue()


def rates_in_words(cases: HeldOutCases) -> tuple[str, ...]:
    """How often the changes flip decisions over the test part, from the checkpoint's report; nothing without one."""
    folder = cases.predictor.checkpoint.folder
    try:
        report = read_report(folder)
        if not report or not belongs(report, folder):
            return ()
        found = report["artefacts"]
        rates = {f"{IN_WORDS[3]} {name}": strengths["3"] for name, strengths in found["flips"].items()}
        each = ", ".join(
            f"{name} {share_in_words(rate['value'])} ({share_in_words(rate['interval'][0])} to "
            f"{share_in_words(rate['interval'][1])})"
            for name, rate in (rates | found["harmless"]).items()
        )
    except (UserError, KeyError, TypeError, ValueError, AttributeError):  # Model report says what is wrong
        return ()
    return (f"One photograph proves little. Decisions changed over {found['photographs']} test photographs: {each}.",)
