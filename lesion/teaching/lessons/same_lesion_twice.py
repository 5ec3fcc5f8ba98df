"""Lesson: heads trained with and without other photographs of the very lesions that they are tested on."""

import numpy as np

from lesion.errors import UserError
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import Difference, compare_decisions
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup, points, share_in_words

EPOCHS = 10
ROUNDS = 1000
CLEARLY = 0.01
"""A difference in accuracy below one point is no difference."""


def paired_folds(lab: Lab, seed: int) -> tuple[list, list, np.ndarray]:
    """Folds without and with leakage, alike in everything else.

    Of each lesion with several photographs one, drawn by chance, is tested. In the leaking folds its other photographs
    are trained on, in place of as many photographs of other lesions with the same diagnosis. So both heads of a pair
    train on equally many photographs of each diagnosis, and decide the same ones.

    Args:
        lab: whose folds they are.
        seed: of the folds and the draws.

    Returns:
        The folds without and with leakage, pairs of row numbers; and the rows that are tested, int (n,).
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(lab.labels))
    _, first, counts = np.unique(lab.lesions[order], return_index=True, return_counts=True)
    tested = order[first[counts > 1]]
    clean, leaking = [], []
    for training, held_out in lab.folds(seed):
        targets = np.intersect1d(held_out, tested)
        twins = np.setdiff1d(held_out[np.isin(lab.lesions[held_out], lab.lesions[targets])], targets)
        given_up = []
        for label, count in zip(*np.unique(lab.labels[twins], return_counts=True), strict=True):
            same = training[lab.labels[training] == label]
            given_up += generator.choice(same, min(count, len(same)), replace=False).tolist()
        clean.append((training, targets))
        leaking.append((np.concatenate([np.setdiff1d(training, given_up), twins]), targets))
    return clean, leaking, np.sort(tested)


def leakage(lab: Lab, settings: LabSettings) -> tuple[Difference, int]:
    """The accuracy without and with leakage, paired, and on how many lesions it was measured."""
    clean, leaking, tested = paired_folds(lab, settings.seed)
    decided = [lab.decisions_of(folds, settings)[tested] for folds in (clean, leaking)]
    weights = bootstrap_weights(lab.lesions[tested], ROUNDS)
    return compare_decisions(lab.labels[tested], *decided, weights)["accuracy"], len(tested)


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: all held-out lesions with several photographs."""
    lab = cases.lab
    try:
        lab.check()
    except UserError:
        return None
    _, counts = np.unique(lab.lesions, return_counts=True)
    several = int((counts > 1).sum())
    if several < 50:
        return None

    def reveal() -> Reveal:
        accuracy, lesions = leakage(lab, LabSettings(epochs=EPOCHS))
        low, high = accuracy.interval
        found = low > 0 and accuracy.difference >= CLEARLY
        text = (
            f"Tested on one photograph of each of {lesions} lesions: {share_in_words(accuracy.first)} right when the "
            f"head had seen no photograph of them, {share_in_words(accuracy.second)} when it had seen their other "
            f"photographs ({points(accuracy.difference)} points, 95 % interval {points(low)} to {points(high)})."
        )
        if found:
            moral = (
                "Nothing else differs: both heads trained on equally many photographs of each diagnosis. The gain is "
                "recognition of lesions already seen. A new patient brings no such lesion, so the higher figure "
                "promises too much. A split by photograph makes exactly this mistake.",
            )
        else:
            moral = (
                "Here the leak is worth little. Only the small head was trained on the other photographs; the network "
                "that reads the image has seen none of these lesions and has not memorised them. Where the whole "
                "network trains on a split by photograph, it can. Model report shows such a training where one was "
                "made.",
            )
        return Reveal(0 if found else 1, text, moral, {}, True)

    return Lesson(
        "same-lesion-twice",
        "The same lesion twice",
        (
            f"{several} of the held-out lesions were photographed more than once. Split the photographs at random, and "
            "one picture of a lesion is trained on while another one tests the model.",
            "The reference work on this data splits like that. Here we do it on purpose, and measure what it is worth: "
            "ten heads are trained, five with the other photographs of the tested lesions and five with as many "
            "photographs of other lesions. (The answer takes some seconds.)",
        ),
        (Setup("Open Training lab", tab="lab"),),
        "Is the head better on a lesion whose other photographs it has trained on?",
        ("Yes, clearly: its accuracy rises by a point or more", "No, or hardly"),
        reveal,
    )
