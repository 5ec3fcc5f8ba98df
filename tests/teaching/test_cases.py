"""Held-out photographs by what they are, against plain counting."""

import numpy as np
import pytest
from scipy.special import softmax

from conftest import BUNDLED
from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS, SITES
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.teaching.cases import CERTAINTIES, OUTCOMES, Cell, Choice, behind, fitting, inputs_in_words
from lesion.teaching.cohort import AGE_BANDS, Cohort, Subgroup


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(load_predictor(BUNDLED), rounds=10)


@pytest.mark.parametrize(
    ("inputs", "shuffled", "subgroup", "rule"),
    [
        (INPUTS, (), Subgroup(part="test"), "dataset"),
        (("image", "site"), ("site",), Subgroup(sex="female"), "uniform"),
        ((), (), Subgroup(), "dataset"),
    ],
)
def test_every_cell_has_as_many_photographs_as_it_says(cohort, inputs, shuffled, subgroup, rule):
    compared, seen = cohort.compare(inputs, shuffled, subgroup, rule), {"full": [], "chosen": []}
    for matrix, ids in seen.items():
        for i, confirmed in enumerate(CODES):
            for k, answer in enumerate(CODES):
                cases = behind(cohort, Cell(matrix, confirmed, answer, inputs, shuffled, subgroup, rule))
                assert len(cases) == compared.confusions[matrix][i, k]
                assert cases.probability.is_monotonic_decreasing
                assert all(cohort.labels[cohort.row_of[image_id]] == i for image_id in cases.image_id)
                ids += list(cases.image_id)
    everyone = set(cohort.table.image_id[subgroup.rows(cohort.table)])
    assert all(len(ids) == len(set(ids)) and set(ids) == everyone for ids in seen.values())


@pytest.mark.parametrize("rule", ["dataset", "uniform"])
def test_probabilities_behind_a_cell_are_those_of_a_plain_computation(cohort, rule):
    cases = behind(cohort, Cell("full", "mel", "nv", rule=rule))
    assert len(cases) > 10
    for case in cases.itertuples():
        shown = cohort.full[cohort.row_of[case.image_id]]
        if rule == "uniform":
            shown = softmax(np.log(shown) - np.log(cohort.prevalence))
        assert CODES[shown.argmax()] == "nv"
        assert (case.probability, case.confirmed_probability) == pytest.approx((shown[1], shown[0]), abs=1e-6)


def test_what_fits_is_counted_one_photograph_at_a_time(cohort):
    shown = set(cohort.table.image_id[::2])
    choices = [
        Choice(),
        Choice(Subgroup("male", "75 and over", "face", "akiec")),
        Choice(Subgroup(diagnosis="mel"), "wrong"),
        Choice(Subgroup(sex="unknown")),
        Choice(Subgroup(site="back", part="test"), "right", "50 to 80 %"),
        *(Choice(outcome=outcome, certainty=certainty) for outcome in OUTCOMES for certainty in CERTAINTIES),
    ]
    for choice in choices:
        expected = []
        for row, record in enumerate(cohort.table.itertuples()):
            own, most = CODES[record.label], cohort.full[row].max()
            right = CODES[cohort.full[row].argmax()] == own
            sure = "80 % or more" if most >= 0.8 else "50 to 80 %" if most >= 0.5 else "under 50 %"
            low, high = AGE_BANDS.get(choice.subgroup.age_band, (0, 0))
            wanted = choice.subgroup
            expected += [row] * (
                record.image_id in shown
                and wanted.diagnosis in ("any", own)
                and wanted.sex in ("any", record.sex or "unknown")
                and wanted.site in ("any", record.site or "unknown")
                and (wanted.age_band == "any" or low <= record.age < high)
                and wanted.part in ("any", "test" if record.test else "validation")
                and choice.outcome in ("any", "right" if right else "wrong")
                and choice.certainty in ("any", sure)
            )
        assert fitting(cohort, shown, choice).tolist() == expected


def test_every_photograph_is_right_or_wrong_and_of_one_certainty(cohort):
    everything = set(cohort.table.image_id)
    counts = [
        len(fitting(cohort, everything, Choice(outcome=outcome, certainty=certainty)))
        for outcome in OUTCOMES
        for certainty in CERTAINTIES
    ]
    assert sum(counts) == len(everything) and all(counts)
    nobody = Choice(Subgroup("male", "under 30", "ear", "df"))
    assert len(fitting(cohort, everything, nobody)) == 0, "that none fits is an answer, not an error"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda c: Cell("best", "mel", "nv"), "choose full or chosen"),
        (lambda c: Cell("full", ["mel"], "nv"), "choose mel, nv"),
        (lambda c: Cell("full", "mel", "wart"), "choose mel, nv"),
        (lambda c: Cell("full", "mel", "nv", ["colour"]), "give a list of image, age"),
        (lambda c: Cell("full", "mel", "nv", rule="best"), "dataset or uniform"),
        (lambda c: Choice(outcome="nearly"), "choose any, right, wrong"),
        (lambda c: Choice(certainty=0.8), "choose any, 80 % or more, 50 to 80 %, under 50 %"),
        (
            lambda c: behind(c, Cell("full", "mel", "nv", subgroup=Subgroup(sex="unknown", site=SITES[0]))),
            "None of the held-out images",
        ),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(cohort, call, words):
    with pytest.raises(UserError, match=words):
        call(cohort)


def test_inputs_in_words():
    assert inputs_in_words(["image"], []) == "image alone"
    assert inputs_in_words(["site", "image", "age"], ["age"]) == "image, shuffled age and site"
    assert inputs_in_words([], ["age"]) == "nothing"
