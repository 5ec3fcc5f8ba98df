"""Lesson: the same melanoma alarm where melanoma is common and where it is rare."""

from dataclasses import replace

import numpy as np

from lesion.teaching.alarm import ALARM_THRESHOLDS
from lesion.teaching.lessons.common import MELANOMA, HeldOutCases, Lesson, Reveal, Setup, share_in_words
from lesion.words import percent

RARE = 0.001
"""Share of melanomas where they are rare."""
BOUNDS = (0.5, 0.2, 0.05)
OPTIONS = ("About half or more", "20 to 50", "5 to 20", "Fewer than 5")


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: the alarm with the highest threshold, in whole percent, that finds nine of ten held-out melanomas.
    Without such a threshold among ALARM_THRESHOLDS there is no lesson."""
    melanomas = cases.labels == MELANOMA
    if melanomas.all() or not melanomas.any():
        return None
    lowest, highest = ALARM_THRESHOLDS
    threshold = min(highest, int(100 * np.quantile(cases.cohort.full[melanomas, MELANOMA], 0.1)))
    if threshold < lowest:
        return None
    common = percent(cases.cohort.prevalence[MELANOMA])
    one_in = f"{round(1 / RARE):,}"

    def reveal() -> Reveal:
        alarm = cases.cohort.alarm(threshold / 100)
        here, there = alarm.positive_predictive_value, replace(alarm, melanoma_share=RARE).positive_predictive_value
        return Reveal(
            sum(there < bound for bound in BOUNDS),
            f"In this collection, {common} of the photographs show melanoma, and {here * 100:.0f} of 100 alarms are "
            f"correct. Where one lesion in {one_in} is a melanoma, {there * 1000:.0f} of 1,000 alarms are correct. The "
            f"sensitivity ({share_in_words(alarm.sensitivity)}) and the specificity "
            f"({share_in_words(alarm.specificity)}) are the same in both places.",
            (
                "The alarm has not become worse. There are many more harmless lesions, and so the false alarms far "
                "outnumber the correct ones. Change the share of melanomas in Metadata influence, and watch the "
                "figures.",
            ),
            {},
            there < 0.05 < here,
        )

    place = {"threshold": threshold}
    return Lesson(
        "rare-disease",
        "A rare disease, and what a positive answer means",
        (
            f"An alarm rings when the probability of melanoma is at least {threshold} %. At this threshold it finds "
            f"nine of ten melanomas. In this collection melanomas are common: {common} of the photographs.",
            f"Now use the same alarm where one lesion in {one_in} is a melanoma.",
        ),
        (
            Setup("As common as in this collection", controls={"prevalence": "dataset", **place}, tab="influence"),
            Setup(
                f"One in {one_in}", controls={"prevalence": "own", "share": 100 * RARE, **place}, tab="influence"
            ),
        ),
        "Where melanoma is that rare, how many of 100 alarms are melanomas?",
        OPTIONS,
        reveal,
    )  # fmt: skip
