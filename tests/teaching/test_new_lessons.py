"""The lessons on leakage, drawn artefacts, a wrong machine and a weak eye: their figures, computed otherwise."""

import numpy as np
import pytest
import torch

from conftest import BUNDLED
from lesion.data.artefacts import ARTEFACTS, STRENGTHS
from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import INPUTS
from lesion.data.reading import read_image
from lesion.inference.predictor import load_predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import compare_decisions
from lesion.teaching.cohort import Cohort
from lesion.teaching.lab import Fold, Lab, LabSettings
from lesion.teaching.lessons import Lessons
from lesion.teaching.lessons.same_lesion_twice import leakage, paired_folds
from lesion.teaching.lessons.wrong_machine import sureness
from lesion.teaching.rounds import RoundCase


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(BUNDLED)


@pytest.fixture(scope="module")
def lab(predictor) -> Lab:
    return Lab(predictor.checkpoint.held_out(), predictor.config.encoder, rounds=100)


def test_leaking_folds_differ_in_nothing_but_the_tested_lesions(lab):
    clean, leaking, tested = paired_folds(lab, seed=4)
    lesions, counts = np.unique(lab.lesions, return_counts=True)
    assert sorted(lab.lesions[tested]) == sorted(lesions[counts > 1]), "one photograph of each lesion with several"
    decided = np.concatenate([targets for _, targets in clean])
    assert sorted(decided) == sorted(tested)
    for (without, targets), (with_twins, same) in zip(clean, leaking, strict=True):
        assert (targets == same).all()
        assert not set(lab.lesions[without]) & set(lab.lesions[targets])
        twins = np.setdiff1d(with_twins, without)
        assert set(lab.lesions[twins]) <= set(lab.lesions[targets]) and not set(twins) & set(targets)
        assert len(twins) == sum((lab.lesions == lesion).sum() - 1 for lesion in lab.lesions[targets])
        counted = [np.bincount(lab.labels[rows], minlength=7) for rows in (without, with_twins)]
        np.testing.assert_array_equal(*counted)


def test_the_leaks_worth_is_the_paired_difference_in_accuracy(lab):
    settings = LabSettings(epochs=2, seed=4)
    difference, lesions = leakage(lab, settings)
    clean, leaking, tested = paired_folds(lab, 4)
    right = [(lab.decisions_of(folds, settings)[tested] == lab.labels[tested]).mean() for folds in (clean, leaking)]
    assert (difference.first, difference.second) == pytest.approx(tuple(right), abs=1e-6)
    assert lesions == len(tested)


def test_a_run_over_folds_decides_as_the_labs_own(lab):
    settings = LabSettings(INPUTS, epochs=2, seed=1)
    np.testing.assert_array_equal(lab.decisions_of(lab.folds(1), settings), lab.result(settings).decisions)
    only = [(training, held_out[:5]) for training, held_out in lab.folds(1)]
    decided = lab.decisions_of(only, settings)
    assert (decided >= 0).sum() == 25 and decided.min() == -1


def test_noise_is_as_large_as_it_says(lab):
    training, held_out = lab.folds(0)[0]
    fold = Fold(lab._examples, training, held_out, LabSettings(epochs=1), noise=2.0)
    seen = []
    fold.head.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    rows = torch.tensor(training)
    with torch.no_grad():
        fold.forward(rows)
        fold.forward(rows)
    added = [read - fold.embeddings[rows] for read in seen]
    ratio = added[0].std(0) / fold.embeddings.std(0)
    np.testing.assert_allclose(ratio.numpy(), 2.0, rtol=0.2)
    assert not torch.equal(*added), "drawn anew whenever it is read"


def test_the_weak_eyes_gains_are_those_of_the_lab(lab, predictor):
    from lesion.teaching.lessons import weak_eye

    lab_rounds = bootstrap_weights(lab.lesions, weak_eye.ROUNDS)
    found = weak_eye.gains(lab)
    folds = lab.folds(0)
    decided = [lab.decisions_of(folds, LabSettings(i, epochs=weak_eye.EPOCHS)) for i in (("image",), INPUTS)]
    expected = compare_decisions(lab.labels, *decided, lab_rounds)["accuracy"]
    assert found["as it is"] == expected


def test_drawn_changes_are_answered_as_the_app_answers_them(predictor, lab):
    lessons = Lessons(Cohort(predictor, rounds=50), HeldOutPhotographs(BUNDLED), lab)
    lesson = lessons.get("drawn-on")
    setup = lesson.setups[1]
    frame = predictor.config.transform.frame(read_image(lessons.cases.photographs.read(setup.image_id)))
    plain = predictor.predict(frame, setup.metadata).probabilities
    reveal = lesson.reveal()
    assert reveal.answers["as it is"] == pytest.approx(plain, abs=1e-5)
    drawn = [
        predictor.predict(draw(frame, s), setup.metadata).diagnosis for draw in ARTEFACTS.values() for s in STRENGTHS
    ]
    flips = sum(code != max(plain, key=plain.get) for code in drawn)
    assert lesson.options[reveal.correct] == ("Yes" if flips else "No")
    assert (f"{flips} of the 12" if flips else "None of the 12") in reveal.text
    assert setup.artefact == ("ink", 3) and max(plain, key=plain.get) == "nv"


def test_sureness_is_the_highest_probability_shown():
    def case(label, misleading, *shown):
        shown = np.array([*shown, 0, 0, 0, 0, 0])
        return RoundCase(0, label, misleading, shown, shown)

    found = sureness([(case(0, False, 0.8, 0.2), case(0, True, 0.3, 0.7)), (case(1, False, 0.9, 0.1),)])
    assert found[False].tolist() == [0.8] and found[True].tolist() == [0.7]
    assert CODES[0] == "mel"
