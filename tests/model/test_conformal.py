"""Sets of diagnoses that hold the true one as often as promised."""

import json

import numpy as np
import pytest
from scipy.stats import norm

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, METADATA_ALONE, NOTHING, SUBSETS
from lesion.model.conformal import (
    ALWAYS,
    CONFIDENCE,
    MOST_DIAGNOSES,
    PROMISES,
    PredictionSets,
    fit_prediction_sets,
    promise,
    promise_in_words,
    set_in_words,
    threshold,
)
from lesion.report.coverage import coverage_report

SHARES = np.array([0.1, 0.62, 0.06, 0.05, 0.1, 0.03, 0.04])


def simulate(lesions: int, generator: np.random.Generator, shares=SHARES) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities (N, 7), labels and lesion ids; one to four alike photographs of each lesion."""
    label = generator.choice(7, lesions, p=shares)
    evidence = generator.normal(0, 1.3, (lesions, 7)) + 2 * np.eye(7)[label]
    photographs = generator.integers(1, 5, lesions)
    rows = np.repeat(np.arange(lesions), photographs)
    logits = evidence[rows] + generator.normal(0, 0.4, (len(rows), 7)) + np.log(np.maximum(shares, 0.01))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return probabilities, label[rows], rows


def fit(probabilities, labels, lesion_ids, known=None) -> PredictionSets:
    known = np.ones((len(labels), 3), bool) if known is None else known
    return fit_prediction_sets(np.broadcast_to(probabilities, (16, *probabilities.shape)), known, labels, lesion_ids)


@pytest.mark.parametrize("coverage", [0.8, 0.9])
@pytest.mark.parametrize("confident", [False, True])
def test_coverage_of_new_lesions(coverage, confident):
    """Over many draws: on average at the promise and not far above it; or, confident, kept by four draws in five."""
    generator, covered = np.random.default_rng(0), []
    for _ in range(600):
        lesions = generator.normal(size=30)
        kept = threshold(norm.cdf(np.repeat(lesions, 2)), np.repeat(np.arange(30), 2), coverage, confident)
        covered.append(1 - kept)  # of a new lesion, whose probability is uniform
    if confident:
        assert 0.77 < np.mean(np.array(covered) >= coverage) < 0.97
    else:
        assert coverage - 0.005 < np.mean(covered) < coverage + 0.03


def test_coverage_of_every_diagnosis():
    """On average over many draws: at the promise or, where a diagnosis is rare and its threshold confident, above."""
    generator, hits, promises = np.random.default_rng(0), [], []
    for _ in range(40):
        conformal = fit(*simulate(600, generator))
        probabilities, labels, _ = simulate(600, generator)
        covered = conformal.sets(probabilities, SUBSETS[EVERYTHING])[np.arange(len(labels)), labels]
        hits.append([covered[labels == k].mean() for k in range(7)])
        promises.append(conformal.promised[EVERYTHING])
    gaps = np.mean(np.array(hits) - promises, axis=0)
    assert (gaps > -0.015).all() and (gaps < 0.1).all(), gaps
    assert {0.8, 0.9} == set(np.ravel(promises))


@pytest.mark.parametrize("photographs", [1, 3])
def test_a_new_lesion_is_counted_beside_those_seen(photographs):
    """Of eleven lesions each is once the new one: nine in ten must reach the threshold that the other ten give."""
    probabilities, ids = np.repeat(np.linspace(0.05, 0.95, 11), photographs), np.repeat(np.arange(11), photographs)
    new = [ids == lesion for lesion in range(11)]
    covered = [(probabilities[n] >= threshold(probabilities[~n], ids[~n], 0.9, False)).all() for n in new]
    assert np.mean(covered) >= 0.9


@pytest.mark.parametrize("lesions, promised", [(16, 0.9), (15, 0.8), (8, 0.8), (7, 1.0), (1, 1.0), (0, 1.0)])
def test_the_promise_is_what_the_lesions_support(lesions, promised):
    """All of n new lesions are below the lowest of n seen with a probability of c ** n at coverage c (Wilks, 1941)."""
    assert promise(lesions) == promised
    supported = [c for c in PROMISES if 1 - c**lesions >= CONFIDENCE]
    assert promised == (supported[0] if supported else ALWAYS)


def test_lesions_are_counted_and_not_photographs():
    """Seven lesions promise nothing, however often each was photographed: their diagnosis is in every set."""
    generator = np.random.default_rng(1)
    probabilities, labels = generator.dirichlet(np.ones(7), 400), np.repeat(1, 400)
    few, enough = (fit(probabilities, labels, np.arange(400) % lesions) for lesions in (7, 8))
    assert (few.promised[:, 1] == 1).all() and not few.thresholds[:, 1].any()
    assert (enough.promised[:, 1] == 0.8).all() and enough.thresholds[:, 1].all()


def test_a_rare_diagnosis_takes_its_least_probable_lesion():
    probabilities, labels, ids = simulate(300, np.random.default_rng(2), shares=np.array([0.2, 0.6, 0.2, 0, 0, 0, 0]))
    rare = np.full((8, 7), 0.01)
    rare[:, 5] = np.linspace(0.05, 0.45, 8)
    conformal = fit(
        np.concatenate([probabilities, rare]),
        np.append(labels, np.full(8, 5)),
        np.append(ids, ids.max() + 1 + np.arange(8)),
    )
    assert conformal.promised[0].tolist() == [0.9, 0.9, 0.9, 1, 1, 0.8, 1]
    assert conformal.thresholds[0, 5] == pytest.approx(0.05, rel=1e-4)


def test_thresholds_are_confident_where_the_sets_stay_small():
    generator = np.random.default_rng(7)
    labels = np.repeat(np.arange(7), 60)
    sure = 0.7 * np.eye(7)[labels] + 0.3 * generator.dirichlet(np.ones(7), 420)
    unsure = 0.15 * np.eye(7)[labels] + 0.85 * generator.dirichlet(np.ones(7), 420)
    first, second = (fit(p, labels, np.arange(420)) for p in (sure, unsure))
    assert first.confident.all() and not second.confident.any()
    assert first.sets(sure, SUBSETS[EVERYTHING]).sum(1).mean() <= MOST_DIAGNOSES
    for k in range(7):
        own = unsure[labels == k, k]
        assert second.thresholds[0, k] == threshold(own, np.arange(60), 0.9, False)
        assert second.thresholds[0, k] > threshold(own, np.arange(60), 0.9, True)


def test_each_subset_learns_from_the_records_that_know_its_fields():
    probabilities, labels, ids = simulate(300, np.random.default_rng(3))
    known = np.ones((len(labels), 3), bool)
    known[::2, 1] = False  # sex
    all_subsets = np.stack([probabilities] * 16)
    conformal = fit_prediction_sets(all_subsets, known, labels, ids)
    without_sex, with_sex = [IMAGE_ALONE, NOTHING], [EVERYTHING, METADATA_ALONE]
    full, half = fit(probabilities, labels, ids), fit(probabilities[1::2], labels[1::2], ids[1::2])
    np.testing.assert_array_equal(conformal.thresholds[without_sex], full.thresholds[without_sex])
    np.testing.assert_array_equal(conformal.thresholds[with_sex], half.thresholds[with_sex])
    assert not np.array_equal(full.thresholds[EVERYTHING], half.thresholds[EVERYTHING])


def test_a_subset_without_records_gives_all_seven():
    probabilities, labels, ids = simulate(200, np.random.default_rng(4))
    known = np.ones((len(labels), 3), bool)
    known[:, 0] = False  # nobody's age
    conformal = fit(probabilities, labels, ids, known)
    assert conformal.sets(probabilities, SUBSETS[EVERYTHING]).all()
    assert (conformal.promised[EVERYTHING] == 1).all()
    assert not conformal.sets(probabilities, SUBSETS[IMAGE_ALONE]).all()


def test_sets_follow_their_subset_and_are_never_empty():
    thresholds = np.full((16, 7), 0.9)
    thresholds[IMAGE_ALONE] = 0.2
    conformal = PredictionSets(np.full((16, 7), 0.9), thresholds, np.ones(16, bool))
    probabilities = np.array([[0.5, 0.3, 0.1, 0.1, 0, 0, 0]] * 2)
    members = conformal.sets(probabilities, SUBSETS[[EVERYTHING, IMAGE_ALONE]])
    assert members.tolist() == [[True] + [False] * 6, [True, True] + [False] * 5]
    # The most probable diagnosis is not forced into a set that another one is in.
    thresholds[EVERYTHING, 1] = 0.25
    assert conformal.sets(probabilities[:1], SUBSETS[EVERYTHING]).tolist() == [[False, True] + [False] * 5]


def test_the_last_digit_of_a_logit_decides_nothing():
    """With nothing to look at every answer is the prevalence, and must not be cut out by rounding."""
    probabilities, labels, ids = simulate(900, np.random.default_rng(5))
    constant = np.broadcast_to(SHARES, probabilities.shape)
    assert fit(constant, labels, ids).sets(np.float32(constant) * (1 - 1e-6), SUBSETS[NOTHING]).all()


def test_words():
    assert set_in_words(["mel"]) == "Melanoma"
    assert set_in_words(["nv", "mel"]) == "Melanocytic nevus or melanoma"
    assert set_in_words(["nv", "akiec", "bkl"]) == (
        "Melanocytic nevus, actinic keratosis / Bowen's disease or benign keratosis"
    )
    assert set_in_words(CODES) == "Any of the seven"


def test_promises_in_words():
    promised = np.array([0.9] * 5 + [0.8] * 2)
    assert promise_in_words(promised) == (
        "A prediction set like this should contain the true diagnosis for 90 % of the collection's photographs of each "
        "diagnosis (80 % for dermatofibroma and vascular lesion)."
    )
    promised[0], promised[6] = 0, 1
    assert "diagnosis (100 % for vascular lesion; 80 % for dermatofibroma; nothing is promised for melanoma)." in (
        promise_in_words(promised)
    )
    assert promise_in_words(np.zeros(7)).startswith("Nothing is promised")


def test_report():
    probabilities, labels, ids = simulate(300, np.random.default_rng(6))
    conformal = fit(probabilities, labels, ids)
    sets = conformal.sets(probabilities, SUBSETS[EVERYTHING])
    report = coverage_report(sets, labels, bootstrap_weights(ids, 200), conformal, EVERYTHING)
    assert json.loads(json.dumps(report)) == report
    covered = sets[np.arange(len(labels)), labels]
    assert report["confident"] is bool(conformal.confident[EVERYTHING])
    assert report["coverage"]["value"] == pytest.approx(covered.mean())
    low, high = report["coverage"]["interval"]
    assert 0.8 < low < covered.mean() < high < 1 and 0.01 < high - low < 0.15
    assert report["mean set size"]["value"] == pytest.approx(sets.sum(1).mean())
    assert report["sets of one diagnosis"]["value"] == pytest.approx((sets.sum(1) == 1).mean())
    nevi = report["per class"]["nv"]
    assert nevi["images"] == (labels == 1).sum() and nevi["promised"] == 0.9
    assert nevi["value"] == pytest.approx(covered[labels == 1].mean()) and nevi["interval"][0] < nevi["value"]
    # All of one diagnosis's photographs missed: coverage 0 there, whatever the others.
    sets[labels == 0, 0] = False
    assert coverage_report(sets, labels, bootstrap_weights(ids, 50), conformal, EVERYTHING)["per class"]["mel"][
        "interval"
    ] == [0, 0]
