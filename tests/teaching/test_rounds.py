"""Rounds are drawn as their settings say, equally everywhere, and their misleading answers are false."""

import hashlib
import io
import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import BUNDLED, ROOT
from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.perceptual_hash import distances, perceptual_hash, signs
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.teaching.cohort import Cohort
from lesion.teaching.rounds import (
    CONFIDENT,
    COUNTS,
    LARGEST_SEED,
    MISLEADING_SHARES,
    MIXES,
    STAGES,
    RoundSettings,
    draw_round,
    photograph_of,
)

WITHOUT_METADATA = ("photograph", "model")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(load_predictor(BUNDLED))


@pytest.fixture(scope="module")
def photographs() -> HeldOutPhotographs:
    return HeldOutPhotographs(BUNDLED)


def test_over_a_thousand_seeds_the_stated_share_misleads_and_each_one_is_false(cohort, photographs):
    kinds = list(product(COUNTS, MIXES, (False, True), (STAGES, WITHOUT_METADATA), MISLEADING_SHARES))
    for seed in range(1000):
        count, mix, confirmed_only, stages, share = kinds[seed % len(kinds)]
        cases = draw_round(cohort, photographs, RoundSettings(seed, count, mix, confirmed_only, stages, share))
        misleading = [case for case in cases if case.misleading]
        assert len(misleading) == pytest.approx(share * count), seed
        for case in misleading:
            assert case.shown.argmax() != case.label, seed
            assert case.own.argmax() == case.label and case.shown.max() > CONFIDENT, seed
        assert all(np.array_equal(case.own, case.shown) for case in cases if not case.misleading)
        assert len(cases) == count == len({cohort.lesions[case.row] for case in cases}), "a lesion appears once"


def test_misleading_answers_exchange_the_two_most_probable_diagnoses(cohort, photographs):
    for case in draw_round(cohort, photographs, RoundSettings(5, 30, misleading_share=0.3)):
        differ = np.flatnonzero(case.own != case.shown)
        assert set(differ) == (set(np.argsort(case.own)[-2:]) if case.misleading else set())
        assert sorted(case.own) == sorted(case.shown) and case.explained == CODES[case.shown.argmax()]


def test_answers_are_those_to_what_the_reader_sees_at_the_prevalence_of_the_mix(cohort, photographs):
    for mix, stages in product(MIXES, (STAGES, WITHOUT_METADATA)):
        prevalence = cohort.prevalence.copy()
        if mix != "natural":
            prevalence = np.full(7, 1 / 7) if mix == "balanced" else np.array([0.5, 0.5, 0, 0, 0, 0, 0])
        present = np.array([True, *["metadata" in stages] * 3])
        for case in draw_round(cohort, photographs, RoundSettings(2, 10, mix, stages=stages)):
            raw = cohort.predictor.answers(
                cohort.embeddings[[case.row]], cohort.metadata[[case.row]], cohort.known[[case.row]], present
            )[0]
            tilted = raw / cohort.prevalence * prevalence
            np.testing.assert_allclose(case.own, tilted / tilted.sum(), atol=1e-6)


def test_mixes_are_what_they_are_called(cohort, photographs):
    for seed in range(40):
        labels = [case.label for case in draw_round(cohort, photographs, RoundSettings(seed, 30, "balanced"))]
        assert sorted(np.bincount(labels, minlength=7)) == [4, 4, 4, 4, 4, 5, 5]
        labels = [case.label for case in draw_round(cohort, photographs, RoundSettings(seed, 10, "melanoma or nevus"))]
        assert np.bincount(labels, minlength=7).tolist() == [5, 5, 0, 0, 0, 0, 0]
        cases = draw_round(cohort, photographs, RoundSettings(seed, 30, "balanced", confirmed_only=True))
        assert set(cohort.table.dx_type.iloc[[case.row for case in cases]]) == {"histo"}
    natural = np.concatenate(
        [[c.label for c in draw_round(cohort, photographs, RoundSettings(s, 30, "natural"))] for s in range(200)]
    )
    in_collection = np.bincount(cohort.labels, minlength=7) / len(cohort.labels)
    np.testing.assert_allclose(np.bincount(natural, minlength=7) / len(natural), in_collection, atol=0.05)


def test_rounds_with_and_without_metadata_have_the_same_cases_and_another_seed_has_others(cohort, photographs):
    def rows(settings: RoundSettings) -> list[int]:
        return [case.row for case in draw_round(cohort, photographs, settings)]

    for seed in range(30):
        settings = RoundSettings(seed, 10, misleading_share=0.3)
        assert rows(settings) == rows(replace(settings, stages=WITHOUT_METADATA))
        assert rows(settings) != rows(replace(settings, seed=seed + 1))


@pytest.mark.process
def test_the_same_seed_gives_the_same_round_in_two_new_processes(cohort, photographs):
    settings = RoundSettings(1234, 30)
    program = (
        "from lesion.teaching.cohort import Cohort\n"
        "from lesion.teaching.rounds import RoundSettings, draw_round\n"
        "from lesion.data.held_out_photographs import HeldOutPhotographs\n"
        "from lesion.inference.predictor import load_predictor\n"
        "from pathlib import Path\n"
        f"cohort, photographs = Cohort(load_predictor({str(BUNDLED)!r})), HeldOutPhotographs(Path({str(BUNDLED)!r}))\n"
        f"cases = draw_round(cohort, photographs, RoundSettings.of_text({settings.text!r}))\n"
        "print([(case.row, case.label, case.misleading) for case in cases])"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, text=True,
            stdout=subprocess.PIPE,
        )
        for seed in ("1", "2")
    ]  # fmt: skip
    answers = [process.communicate()[0] for process in running]
    ours = [(case.row, case.label, case.misleading) for case in draw_round(cohort, photographs, settings)]
    assert answers == [f"{ours}\n"] * 2


def test_a_photograph_gives_nothing_away(photographs):
    name = min(photographs.names)
    content = photograph_of(photographs, Path(name).stem)
    original = photographs.read(Path(name).stem)
    assert photographs.image_id_of(hashlib.sha256(content).digest()) is None
    assert Path(name).stem.encode() not in content and b"Exif" not in content
    ours, theirs = (np.asarray(Image.open(io.BytesIO(x)), float) for x in (content, original))
    assert ours.shape == theirs.shape and np.abs(ours - theirs[:, ::-1]).mean() < 3, "mirrored"
    shown, stored = (perceptual_hash(Image.open(io.BytesIO(x)).convert("RGB")) for x in (content, original))
    assert distances(signs(shown[None]), signs(stored[None]))[0, 0] > 20, "uploaded in Answer it is another photograph"


@pytest.mark.parametrize("count, mix, share", list(product(COUNTS, MIXES, MISLEADING_SHARES)))
def test_settings_survive_a_link(count, mix, share):
    for confirmed, stages in product((False, True), (STAGES, WITHOUT_METADATA, ("photograph", "metadata"))):
        settings = RoundSettings(LARGEST_SEED, count, mix, confirmed, stages, share)
        assert RoundSettings.of_text(settings.text) == settings
        assert set(settings.text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_."), "nothing that a link must escape"


@pytest.mark.parametrize(
    "change, words",
    [
        ({"seed": -1}, "Seed -1 is not accepted; give a number from 0 to 9007199254740991."),
        ({"seed": 1.5}, "Seed 1.5 is not accepted; give a whole number"),
        ({"count": 12}, "A round of 12 cases is not offered; choose 10 or 30."),
        ({"mix": "moles"}, "Mix 'moles' is not known; choose natural, balanced, melanoma or nevus."),
        ({"confirmed_only": "yes"}, "Confirmed by histology only 'yes' is not accepted; give true or false."),
        ({"stages": ("model",)}, "Stages ('model',) are not accepted; give a list of photograph, metadata, model,"),
        ({"stages": ("photograph", "truth")}, "with photograph in it."),
        ({"misleading_share": 0.25}, "Share of misleading answers 0.25 is not offered; choose 0, 0.1, 0.2, 0.3."),
    ],
)
def test_what_is_not_offered_is_refused_in_a_sentence(change, words):
    with pytest.raises(UserError) as error:
        RoundSettings(**{"seed": 1, **change})
    assert words in str(error.value)


@pytest.mark.parametrize("text", ["", None, 5, "1_10", "1_10_balanced_some_photograph_0", "x" * 100_000])
def test_a_text_that_is_no_round_is_refused(text):
    with pytest.raises(UserError, match="is not a round; copy the whole link"):
        RoundSettings.of_text(text)


def test_a_round_without_the_model_misleads_nobody():
    assert RoundSettings(1, stages=("photograph", "metadata"), misleading_share=0.3).misleading_count == 0


def test_too_few_lesions_are_named(cohort, photographs):
    ids, rare = cohort.table.image_id.to_numpy(), cohort.labels == CODES.index("df")
    few = set(ids[~rare]) | set(ids[rare][:3])
    with pytest.raises(UserError, match=r"there are only [123] of Dermatofibroma; choose fewer cases"):
        draw_round(cohort, few, RoundSettings(1, 30, "balanced"))
    with pytest.raises(UserError, match=r"There are only [123] such lesions"):
        draw_round(cohort, set(ids[rare][:3]), RoundSettings(1, 10, "natural"))
