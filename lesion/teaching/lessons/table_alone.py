"""Lesson: how well age, sex and body site alone separate nevi from all other diagnoses."""

import numpy as np
from sklearn.metrics import roc_auc_score

from lesion.metrics.bootstrap import interval
from lesion.model.calibration import METADATA_ALONE, SUBSETS
from lesion.teaching.lessons.common import NEVUS, HeldOutCases, Lesson, Reveal, Setup, share_in_words

ROUNDS = 200
"""Resamplings of lesions for the interval: an area under the ROC curve takes longer than a count."""


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: all held-out images."""
    nevi = cases.labels == NEVUS
    if nevi.all() or not nevi.any():
        return None

    def reveal() -> Reveal:
        answers = cases.answers(SUBSETS[METADATA_ALONE])[:, NEVUS]
        area = float(roc_auc_score(nevi, answers))
        rounds = cases.cohort.weights[:ROUNDS]
        low, high = interval(np.array([roc_auc_score(nevi, answers, sample_weight=w) for w in rounds]))
        face = (cases.table.site == "face").to_numpy()
        followed = (cases.table.dx_type == "follow_up").to_numpy()
        return Reveal(
            2 if area > 0.7 else int(area > 0.55),
            f"The area under the ROC curve for nevi is {area:.2f} (95 % interval {low:.2f} to {high:.2f}). The model "
            "has not seen a single photograph.",
            (
                "Part of this is biology. Part of it is how the collection was made. Nevi are "
                f"{share_in_words(nevi.mean())} of all held-out photographs, and {share_in_words(nevi[face].mean())} "
                f"of those of the face. Follow-up over time confirmed {share_in_words(followed[nevi].mean())} of the "
                f"nevi, and {share_in_words(followed[~nevi].mean())} of the other lesions. A model that learns how one "
                "collection was made will be wrong where photographs are collected in another way.",
            ),
            {},
            area > 0.7,
        )

    return Lesson(
        "table-alone",
        "What age, sex and site alone reveal",
        (
            "Take the photographs away. Only age, sex and body site remain. How well can the model still separate nevi "
            "from all other diagnoses, over all held-out photographs?",
            "The measure is the area under the ROC curve: 0.5 is guessing, and 1 is perfect.",
        ),
        (Setup("Open Cohort without the photographs", controls={"used": ["age", "sex", "site"]}, tab="cohort"),),
        "How well does the model recognise nevi from the metadata alone?",
        ("About as well as a coin toss (0.5)", "A little better (up to 0.7)", "Well (over 0.7)"),
        reveal,
    )
