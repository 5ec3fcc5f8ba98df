"""Lesson: what metadata are worth to a model that sees well, and to one that sees badly."""

from lesion.data.metadata import INPUTS
from lesion.errors import UserError
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import Difference, compare_decisions
from lesion.teaching.lab import Lab, LabSettings
from lesion.teaching.lessons.common import HeldOutCases, Lesson, Reveal, Setup, points, share_in_words

EPOCHS = 8
NOISES = {"as it is": 0.0, "with noise thirty times as large as the differences between photographs": 30.0}
"""What the head reads of the photographs, and the standard deviation of the noise. Chosen by hand, after weaker noise
and balanced accuracy had shown no rise (tests/bench/README.md): the lesson illustrates, it does not prove."""
ROUNDS = 1000
CLEARLY = 0.02
"""A gain in accuracy that is larger by two points is clearly larger."""


def gains(lab: Lab) -> dict[str, Difference]:
    """Accuracy of heads trained without and with the metadata, for each of NOISES, paired."""
    weights, out = bootstrap_weights(lab.lesions, ROUNDS), {}
    for name, noise in NOISES.items():
        alone, fused = (LabSettings(inputs, epochs=EPOCHS) for inputs in (("image",), INPUTS))
        folds = lab.folds(fused.seed)
        decided = [lab.decisions_of(folds, settings, noise) for settings in (alone, fused)]
        out[name] = compare_decisions(lab.labels, *decided, weights)["accuracy"]
    return out


def make(cases: HeldOutCases) -> Lesson | None:
    """No search: the training lab on all held-out images. Without enough lesions for it there is no lesson."""
    lab = cases.lab
    try:
        lab.check()
    except UserError:
        return None

    def reveal() -> Reveal:
        found = gains(lab)
        each = "; ".join(
            f"{name}: {share_in_words(gain.first)} → {share_in_words(gain.second)} ({points(gain.difference)} points, "
            f"95 % interval {points(gain.interval[0])} to {points(gain.interval[1])})"
            for name, gain in found.items()
        )
        strong, *_, weak = (gain.difference for gain in found.values())
        holds = weak - strong > CLEARLY
        return Reveal(
            0 if holds else 1 if weak - strong > -CLEARLY else 2,
            f"Accuracy from the photograph alone → with age, sex and site, by what the head sees of the "
            f"photograph. {each}.",
            (
                "What a second source of information is worth depends on the first. A reader who sees little in the "
                "photograph gains most from knowing the patient, and depends most on the patient being like others.",
            ),
            {},
            holds,
        )

    return Lesson(
        "weak-eye",
        "How much metadata is worth depends on the eye",
        (
            "The network turns a photograph into numbers, which the head reads beside age, sex and site. We make it "
            "see badly on purpose: noise is added to these numbers each time they are read.",
            "With and without the noise, heads are trained on the photograph alone and with the metadata as well. "
            "(The answer trains twenty heads and takes about twenty seconds.)",
        ),
        (
            Setup("Open Training lab", tab="lab"),
            Setup("Compare the models in Metadata influence", tab="influence"),
        ),
        "The worse the model sees, what are age, sex and site worth to it?",
        ("More", "As much as before", "Less"),
        reveal,
    )
