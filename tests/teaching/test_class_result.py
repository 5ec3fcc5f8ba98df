"""A class's result against numbers counted by hand."""

import io

import numpy as np
import pandas as pd
import pytest

from conftest import BUNDLED
from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.inference.predictor import load_predictor
from lesion.teaching.class_files import class_csv, class_page
from lesion.teaching.class_result import class_result, right_by_stage, share_right
from lesion.teaching.class_session import ClassRound, Results
from lesion.teaching.cohort import Cohort
from lesion.teaching.paper import render
from lesion.teaching.round_cases import Rounds
from lesion.teaching.round_result import CONFIDENCES, Guess
from lesion.teaching.rounds import STAGES, RoundSettings


@pytest.fixture(scope="module")
def about() -> ClassRound:
    """Of the bundled checkpoint, which has photographs; none of the figures below depends on which it is."""
    predictor = load_predictor(BUNDLED)
    rounds, settings = Rounds(Cohort(predictor), HeldOutPhotographs(predictor.checkpoint.folder)), RoundSettings(1)
    return ClassRound(rounds, settings, rounds.cases(settings))


@pytest.fixture(scope="module")
def results(about) -> Results:
    """Seven phones at random, one that missed stages, and one that never voted."""
    generator = np.random.default_rng(0)
    phones = [
        [[Guess(CODES[generator.integers(7)], CONFIDENCES[generator.integers(3)]) for _ in STAGES] for _ in range(10)]
        for _ in range(7)
    ]
    late = [[None] * 3, [None, Guess("nv", "sure"), Guess("mel", "unsure")], *phones[0][2:]]
    return Results(about, [*phones, late, [[None] * 3 for _ in range(10)]])


def test_accuracies_changes_and_majorities(about, results):
    found = class_result(results)
    assert (found.phones, found.complete) == (8, 78)
    truths = [CODES[case.label] for case in about.cases]
    for column, stage in enumerate(STAGES):
        rights = [
            phone[k][column].diagnosis == truths[k] for phone in results.phones for k in range(10) if all(phone[k])
        ]
        assert found.readers.readers[stage]["accuracy"]["value"] == pytest.approx(np.mean(rights), abs=1e-6)
        ours = found.votes[found.votes.stage == stage]
        expected = 0.0
        for case, truth in enumerate(truths, start=1):
            counts = ours[ours.case == case].guess.value_counts()
            leading = counts[counts == counts.max()].index
            expected += (truth in leading) / len(leading)
        assert found.majority[stage] == (pytest.approx(expected, abs=1e-6), 10)
    changes = found.readers.changes["metadata"]
    assert changes.kept + changes.wrong_to_right + changes.right_to_wrong + changes.wrong_to_wrong == 78


def test_a_tie_counts_in_part():
    assert share_right({"mel": 2, "nv": 2, "bcc": 1}, "nv") == 0.5
    assert share_right({"mel": 2, "nv": 1}, "nv") == 0 and share_right({}, "nv") == 0


def test_one_phones_own_numbers(about, results):
    labels = [case.label for case in about.cases]
    numbers = right_by_stage(labels, results.phones[7])
    assert numbers[:, 1].tolist() == [8, 9, 9]
    assert numbers[0, 0] == sum(results.phones[7][k][0].diagnosis == CODES[labels[k]] for k in range(2, 10))


def test_a_class_in_which_nobody_voted(about):
    found = class_result(Results(about, [[[None] * 3 for _ in range(10)]]))
    assert (found.phones, found.complete, found.readers, len(found.votes)) == (0, 0, None, 0)
    assert found.majority == dict.fromkeys(STAGES, (0, 0))
    assert render(class_page(found, about), "pdf").startswith(b"%PDF")


def test_the_table_and_the_page(about, results):
    found = class_result(results)
    table = pd.read_csv(io.BytesIO(class_csv(found)))
    assert len(table) == 7 * 30 + 26 and set(table.phone) == set(range(1, 9))
    assert table.right.equals(table.true == table.guess)
    assert list(table.image_id.unique()) == [about.rounds.cohort.table.image_id.iloc[c.row] for c in about.cases]
    page = render(class_page(found, about), "pdf")
    assert page.startswith(b"%PDF") and page == render(class_page(found, about), "pdf"), "no date is in it"
