"""The held-out images as a whole, against scikit-learn and plainer ways of counting."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score, roc_curve

from conftest import BUNDLED
from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS, SITES, Metadata
from lesion.errors import UserError
from lesion.inference.predictor import load_predictor
from lesion.metrics.metrics import decide
from lesion.model.calibration import SUBSETS, UNIFORM
from lesion.teaching.cohort import AGE_BANDS, Cohort, Subgroup, exchange


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return Cohort(load_predictor(BUNDLED), rounds=200)


def test_the_full_model_is_the_predictors(cohort):
    for row in (0, 1000, 3000):
        record = cohort.table.iloc[row]
        metadata, known = cohort.predictor.config.encoder.encode([Metadata(record.age, record.sex, record.site)])
        expected = cohort.predictor.answers(cohort.embeddings[row][None], metadata, known)
        np.testing.assert_allclose(cohort.full[row], expected[0], atol=1e-5)


def test_comparison_equals_scikit_learn(cohort):
    subgroup = Subgroup(sex="female", part="test")
    compared = cohort.compare(["image", "age"], subgroup=subgroup, rule="uniform")
    rows = np.flatnonzero((cohort.table.sex == "female") & cohort.table.test)
    assert compared.images == len(rows) and compared.lesions == cohort.table.lesion_id.iloc[rows].nunique()
    labels = cohort.labels[rows]
    for name, place, present in (("full", "first", SUBSETS[15]), ("chosen", "second", SUBSETS[3])):
        decided = decide(cohort.answers(rows, present), cohort.prevalence, "uniform")
        assert getattr(compared.differences["accuracy"], place) == pytest.approx(accuracy_score(labels, decided))
        expected = balanced_accuracy_score(labels, decided)
        assert getattr(compared.differences["balanced_accuracy"], place) == pytest.approx(expected)
        for code, recall in zip(CODES, recall_score(labels, decided, average=None), strict=True):
            assert getattr(compared.differences[f"recall.{code}"], place) == pytest.approx(recall)
        assert compared.confusions[name].sum() == len(rows)
    for difference in compared.differences.values():
        low, high = difference.interval
        assert low <= difference.difference <= high


def test_the_full_model_differs_from_itself_by_nothing(cohort):
    compared = cohort.compare(INPUTS)
    assert all(d.difference == 0 and d.interval == (0, 0) for d in compared.differences.values())
    assert len(compared.rescued) == len(compared.ruined) == 0


def test_changed_cases_are_those_where_one_is_right(cohort):
    compared = cohort.compare(["image"])
    alone = dict(zip(cohort.table.image_id, cohort.image_alone, strict=True))
    full = dict(zip(cohort.table.image_id, cohort.full, strict=True))
    for cases, right, wrong in ((compared.rescued, full, alone), (compared.ruined, alone, full)):
        assert len(cases) > 20 and cases.image_id.is_unique
        for case in cases.itertuples():
            assert CODES[right[case.image_id].argmax()] == case.diagnosis != CODES[wrong[case.image_id].argmax()]
        change = (cases.full_probability - cases.chosen_probability).abs()
        assert change.is_monotonic_decreasing
    hits = (cohort.full.argmax(1) == cohort.labels) & (cohort.image_alone.argmax(1) != cohort.labels)
    assert len(compared.rescued) == len(set(cohort.lesions[hits]))


def test_whole_lesions_are_exchanged(cohort):
    lesions = cohort.lesions[:500]
    donors = exchange(lesions, np.random.default_rng(0))
    for lesion in np.unique(lesions):
        assert len(np.unique(lesions[donors[lesions == lesion]])) == 1
    assert (lesions[donors] != lesions).mean() > 0.98
    again = exchange(lesions, np.random.default_rng(0))
    np.testing.assert_array_equal(donors, again)


def test_a_shuffled_age_is_another_lesions_and_nothing_else_changes(cohort):
    rows = np.arange(len(cohort.table))
    before = cohort.metadata.copy(), cohort.known.copy()
    shuffled = cohort.answers(rows, shuffled=["age"], generator=np.random.default_rng(0))
    np.testing.assert_array_equal(cohort.metadata, before[0])
    np.testing.assert_array_equal(cohort.known, before[1])
    donors = exchange(cohort.lesions, np.random.default_rng(0))
    records = [
        Metadata(cohort.table.age.iloc[d], cohort.table.sex.iloc[i], cohort.table.site.iloc[i])
        for i, d in zip(rows[:50], donors[:50], strict=True)
    ]
    metadata, known = cohort.predictor.config.encoder.encode(records)
    expected = cohort.predictor.answers(cohort.embeddings[:50], metadata, known)
    np.testing.assert_allclose(shuffled[:50], expected, atol=1e-5)


def test_importance(cohort):
    importance = cohort.importance()
    assert tuple(importance) == INPUTS
    image, sex = importance["image"], importance["sex"]
    assert image["log-loss"]["value"] > 0.3 and image["balanced accuracy"]["value"] > 0.2
    assert abs(sex["accuracy"]["value"]) < 0.02
    for name in INPUTS:
        for figure in importance[name].values():
            assert figure["interval"][0] <= figure["value"] <= figure["interval"][1]
        assert importance[name]["log-loss"]["interval"][0] > -0.01


def test_alarm_equals_scikit_learns_roc_curve(cohort):
    positive = cohort.labels == 0
    false, true, thresholds = roc_curve(positive, cohort.full[:, 0], drop_intermediate=False)
    for at in (50, 500, 1500):
        alarm = cohort.alarm(thresholds[at])
        assert alarm.sensitivity == pytest.approx(true[at]) and 1 - alarm.specificity == pytest.approx(false[at])
        assert alarm.sensitivity_interval[0] <= alarm.sensitivity <= alarm.sensitivity_interval[1]
    assert alarm.curve[-1] == pytest.approx([1, 1])


def test_predictive_values_follow_from_prevalence(cohort):
    """At the held-out images' own share of melanomas they are plain shares; where melanoma is rare they fall."""
    share = (cohort.labels == 0).mean()
    prevalence = cohort.prevalence.copy()
    prevalence[1:] *= (1 - share) / prevalence[1:].sum()
    prevalence[0] = share
    alarm = cohort.alarm(0.3, prevalence)
    raised = cohort.full[:, 0] >= 0.3
    assert alarm.positive_predictive_value == pytest.approx((cohort.labels[raised] == 0).mean())
    assert alarm.missed == pytest.approx((cohort.labels[~raised] == 0).mean())
    never = cohort.alarm(1.0, UNIFORM)
    assert never.sensitivity == 0 and np.isnan(never.positive_predictive_value)
    everywhere = cohort.alarm(0.0)
    assert everywhere.sensitivity == 1 and everywhere.positive_predictive_value == pytest.approx(cohort.prevalence[0])


def test_subgroups_cover_every_image_once(cohort):
    fields = {
        "sex": ("female", "male", "unknown"),
        "age_band": (*AGE_BANDS, "unknown"),
        "site": (*SITES, "unknown"),
        "diagnosis": CODES,
        "part": ("validation", "test"),
    }
    for field, values in fields.items():
        rows = np.concatenate([Subgroup(**{field: value}).rows(cohort.table) for value in values])
        assert sorted(rows) == list(range(len(cohort.table)))


def test_a_small_subgroup_says_so(cohort):
    assert cohort.compare(["image"], subgroup=Subgroup(diagnosis="df", sex="male")).too_few
    assert not cohort.compare(["image"]).too_few


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda c: Subgroup(sex="other"), "choose any, female, male, unknown"),
        (lambda c: Subgroup(age_band=55), "choose any, under 30"),
        (lambda c: c.compare(["image"], subgroup=Subgroup(diagnosis="df", site="ear")), "None of the held-out images"),
        (lambda c: c.compare("image"), "give a list of image, age, sex, site"),
        (lambda c: c.compare(["photo"]), "give a list of image, age, sex, site"),
        (lambda c: c.compare(["image"], [["age"]]), "Shuffled"),
        (lambda c: c.compare(["image"], rule="best"), "dataset or uniform"),
        (lambda c: c.compare(["image"], rule=["dataset"]), "dataset or uniform"),
        (lambda c: c.importance(rule={}), "dataset or uniform"),
    ],
)
def test_wrong_values_are_refused_in_a_sentence(cohort, call, words):
    with pytest.raises(UserError, match=words):
        call(cohort)


def test_mean_confusion_of_repeats():
    from lesion.metrics.bootstrap import weighted_confusions

    generator = np.random.default_rng(0)
    labels, repeats = generator.integers(0, 7, 40), generator.integers(0, 7, (3, 40))
    weights = softmax(generator.normal(size=(2, 40)), axis=1)
    each = [weighted_confusions(labels, r, weights) for r in repeats]
    np.testing.assert_allclose(weighted_confusions(labels, repeats, weights), np.mean(each, axis=0))
