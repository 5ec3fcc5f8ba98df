"""Lesson: training with balanced class weights and without any, and what becomes of the three rarest diagnoses."""

import numpy as np

from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS
from lesion.errors import UserError
from lesion.teaching.lab import LabSettings
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup, in_text, points, share_in_words


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: the training lab on all held-out images. Without enough lesions for it there is no lesson."""
    try:
        cases.lab.check()
    except UserError:
        return None
    rare = [CODES[k] for k in np.argsort(cases.cohort.prevalence)[:3]]
    *first, last = (in_text(code) for code in rare)

    def reveal() -> Reveal:
        found = cases.lab.compare(*(LabSettings(INPUTS, weighting) for weighting in ("balanced", "none")))
        rows = {in_text(code): found[f"recall.{code}"] for code in rare}
        rows["accuracy over all photographs"] = found["accuracy"]
        each = "; ".join(
            f"{name} {share_in_words(row.first)} → {share_in_words(row.second)} ({points(row.interval[0])} to "
            f"{points(row.interval[1])} points)"
            for name, row in rows.items()
        )
        change = float(np.mean([found[f"recall.{code}"].difference for code in rare]))
        return Reveal(
            2 if change < -0.02 else 1 if change < 0.02 else 0,
            f"Share found with balanced weights → without weights, and the 95 % interval of the change: {each}.",
            (
                "Both models were trained here, on the held-out embeddings. Each has five heads, and every head was "
                "scored on lesions that it had not seen. Without weights, the model calls more doubtful cases nevus, "
                "the common diagnosis. It finds fewer of the rare diseases. Try it yourself in Training lab, also with "
                "other seeds.",
            ),
            {},
            change < -0.02,
        )

    return Lesson(
        "class-weights",
        "What happens to rare diagnoses without class weights",
        (
            f"The three rarest diagnoses here are {', '.join(first)} and {last}. In training, balanced class weights "
            "make every diagnosis count the same in total. One mistake on a rare diagnosis then costs many times as "
            "much as one mistake on the common nevus.",
            "Now train the head without these weights. (The answer trains ten heads and takes some seconds.)",
        ),
        (
            Setup("Set up the lab with weights", controls={"weighting": "balanced"}, tab="lab"),
            Setup("Set up the lab without weights", controls={"weighting": "none"}, tab="lab"),
        ),
        "Without class weights, what happens to the rare diagnoses?",
        ("More of them are found", "About as many are found", "Fewer of them are found"),
        reveal,
    )
