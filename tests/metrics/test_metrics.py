"""Metrics and their intervals, against scikit-learn, plainer ways of counting and simulations with known truths."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
    roc_auc_score,
    roc_curve,
)

from lesion.data.diagnoses import CODES
from lesion.metrics.bootstrap import bootstrap_weights, confusion_metrics, weighted_confusions
from lesion.metrics.calibration_error import CalibrationError
from lesion.metrics.metrics import (
    DEFINITIONS,
    MALIGNANT,
    RULES,
    decide,
    decision_metrics,
    ranking_draws,
    rule_in_words,
    summarise,
)
from lesion.metrics.scores import Scores, compare_models, mcnemar
from lesion.report.subgroups import FEW_LESIONS, age_band, subgroups

GENERATOR = np.random.default_rng(0)
LABELS = np.concatenate([np.arange(7), GENERATOR.choice(7, 193, p=[0.1, 0.6, 0.1, 0.05, 0.05, 0.05, 0.05])])
PROBABILITIES = GENERATOR.dirichlet(np.ones(7), 200) * 0.5 + 0.5 * np.eye(7)[LABELS] * GENERATOR.random((200, 1))
PROBABILITIES /= PROBABILITIES.sum(1, keepdims=True)
PREVALENCE = np.bincount(LABELS) / len(LABELS)
LESIONS = np.arange(200) // 2


def test_point_values_are_scikit_learns():
    values = summarise(LABELS, PROBABILITIES, PREVALENCE)
    top = PROBABILITIES.argmax(1)
    assert values["dataset"]["accuracy"] == (top == LABELS).mean()
    equal = (PROBABILITIES / PREVALENCE).argmax(1)
    assert values["uniform"]["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(LABELS, equal))
    assert values["macro_auroc"] == pytest.approx(
        roc_auc_score(LABELS, PROBABILITIES, multi_class="ovr", average="macro")
    )
    assert values["log_loss"] == pytest.approx(-np.log(PROBABILITIES[np.arange(200), LABELS]).mean())
    assert values["dataset"]["confusion_matrix"] == confusion_matrix(LABELS, top).tolist()


def test_weighted_confusions_equal_repeated_examples():
    decisions = decide(PROBABILITIES, PREVALENCE, "dataset")
    weights = bootstrap_weights(LESIONS, rounds=5, seed=3)
    draws = confusion_metrics(weighted_confusions(LABELS, decisions, weights))
    for i, row in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(200), row)
        for name, value in decision_metrics(LABELS[drawn], decisions[drawn]).items():
            assert draws[name][i] == pytest.approx(value), name


def test_bootstrap_draws_whole_lesions():
    weights = bootstrap_weights(LESIONS, rounds=50, seed=0)
    assert (weights[:, ::2] == weights[:, 1::2]).all()
    assert (weights.sum(1) == 200).all()
    assert np.array_equal(weights, bootstrap_weights(LESIONS, rounds=50, seed=0))


def test_paired_difference_of_equal_answers_is_zero():
    weights = bootstrap_weights(LESIONS, rounds=20)
    scores = Scores(LABELS, PROBABILITIES, PREVALENCE, weights)
    for entry in scores.minus(scores).values():
        assert entry == {"value": 0, "interval": [0, 0]}
    for entry in scores.with_intervals().values():
        assert entry["interval"][0] <= entry["value"] <= entry["interval"][1]


def test_better_answers_score_better():
    weights = bootstrap_weights(LESIONS, rounds=50)
    better = 0.5 * PROBABILITIES + 0.5 * np.eye(7)[LABELS]
    difference = Scores(LABELS, better, PREVALENCE, weights).minus(Scores(LABELS, PROBABILITIES, PREVALENCE, weights))
    assert difference["log_loss"]["interval"][1] < 0 < difference["dataset.accuracy"]["interval"][0]


def test_malignant_are_melanoma_carcinoma_and_keratosis():
    assert [code for code, bad in zip(CODES, MALIGNANT, strict=True) if bad] == ["mel", "bcc", "akiec"]
    values = summarise(LABELS, PROBABILITIES, PREVALENCE)
    bad = np.isin(LABELS, [0, 2, 3])
    assert values["malignant_auroc"] == pytest.approx(roc_auc_score(bad, PROBABILITIES[:, [0, 2, 3]].sum(1)))


def test_brier_is_the_sum_of_squares_of_all_diagnoses():
    expected = ((PROBABILITIES - np.eye(7)[LABELS]) ** 2).sum(1).mean()
    assert summarise(LABELS, PROBABILITIES, PREVALENCE)["brier"] == pytest.approx(expected)


def test_sensitivity_is_the_best_that_the_specificity_allows():
    values = summarise(LABELS, PROBABILITIES, PREVALENCE)
    melanoma, shown = LABELS == 0, PROBABILITIES[:, 0]
    for asked in (90, 95):
        reached = [
            (shown >= threshold)[melanoma].mean()
            for threshold in [*shown, 2]
            if (shown < threshold)[~melanoma].mean() >= asked / 100
        ]
        assert values[f"melanoma_sensitivity_at_{asked}_specificity"] == pytest.approx(max(reached))


@pytest.mark.parametrize("decimals", [8, 1], ids=["few ties", "many ties"])
def test_ranking_draws_are_scikit_learns_with_weights(decimals):
    weights = bootstrap_weights(LESIONS, rounds=12, seed=1)
    shown, positive = PROBABILITIES[:, 0].round(decimals), LABELS == 0
    draws = ranking_draws(positive, shown, weights)
    for i, w in enumerate(weights):
        assert draws["auroc"][i] == pytest.approx(roc_auc_score(positive, shown, sample_weight=w))
        expected = average_precision_score(positive, shown, sample_weight=w)
        assert draws["average_precision"][i] == pytest.approx(expected)
        false, found, _ = roc_curve(positive, shown, sample_weight=w, drop_intermediate=False)
        for asked in (90, 95):
            best = found[false <= 1 - asked / 100 + 1e-12].max()
            assert draws[f"sensitivity_at_{asked}"][i] == pytest.approx(best)


def test_a_resampling_of_one_kind_has_no_ranking():
    weights = np.array([[1.0, 1, 0, 0], [1, 1, 1, 1]])
    draws = ranking_draws(np.array([True, True, False, False]), np.array([0.9, 0.2, 0.4, 0.1]), weights)
    assert all(np.isnan(d[0]) for d in draws.values())
    assert draws["auroc"][1] == 0.75


def test_draws_are_the_metrics_of_the_drawn_images():
    weights = bootstrap_weights(LESIONS, rounds=6, seed=5)
    scores = Scores(LABELS, PROBABILITIES, PREVALENCE, weights, LESIONS)
    for i, row in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(200), row)
        again = Scores(LABELS[drawn], PROBABILITIES[drawn], PREVALENCE, np.ones((1, len(drawn))))
        for name in scores.values.keys() - {"ece"}:  # whose draws are turned round
            assert scores.draws[name][i] == pytest.approx(again.values[name]), name


@pytest.mark.parametrize("rule", RULES)
def test_every_diagnosis_by_itself(rule):
    scores = Scores(LABELS, PROBABILITIES, PREVALENCE, bootstrap_weights(LESIONS, rounds=100), LESIONS)
    rows = scores.per_class(rule)
    expected = precision_recall_fscore_support(LABELS, decide(PROBABILITIES, PREVALENCE, rule), zero_division=0)
    for k, (code, row) in enumerate(rows.items()):
        assert code == CODES[k] and row["images"] == expected[3][k]
        for name, values in zip(("precision", "recall", "f1"), expected, strict=False):
            assert row[name]["value"] == pytest.approx(values[k])
        assert row["auroc"]["value"] == pytest.approx(roc_auc_score(k == LABELS, PROBABILITIES[:, k]))
        for name in ("precision", "recall", "f1", "auroc", "average_precision"):
            low, high = row[name]["interval"]
            assert low <= row[name]["value"] <= high and high - low < 1


def test_every_metric_is_defined_and_names_its_rule():
    scores = Scores(LABELS, PROBABILITIES, PREVALENCE, bootstrap_weights(LESIONS, rounds=2))
    assert {name.split(".")[-1] for name in scores.values} <= DEFINITIONS.keys()
    assert rule_in_words("uniform.accuracy") == "equal prevalence" and rule_in_words("brier").startswith("none")
    assert all(text.endswith(".") for text in DEFINITIONS.values())


def simulate(generator, overconfidence: float, lesions: int = 1000, images: int = 2):
    """Answers whose top probability is `overconfidence` above the chance of being right, which the photographs of a
    lesion share; at overconfidence 0 they are calibrated perfectly."""
    chance = np.repeat(generator.uniform(0.4, 0.85, lesions), images)
    right = np.repeat(generator.random(lesions), images) < chance
    rest = (1 - chance - overconfidence) / 6
    probabilities = np.tile(rest[:, None], 7)
    probabilities[:, 1] = chance + overconfidence
    return np.where(right, 1, 3), probabilities, np.repeat(np.arange(lesions), images)


def test_calibration_error_of_perfect_answers_is_near_zero():
    generator = np.random.default_rng(0)
    errors = [CalibrationError.of_top_diagnosis(*simulate(generator, 0.0, lesions=2000, images=1)) for _ in range(20)]
    plain, debiased = (np.mean([getattr(e, name) for e in errors]) for name in ("plain", "value"))
    assert 0.015 < plain < 0.04, "what chance shows"
    assert debiased < 0.65 * plain


def test_clusters_count_in_the_calibration_error():
    """Two photographs of each lesion say as much as one: taken as independent, the debiasing falls short."""
    generator = np.random.default_rng(1)
    aware, unaware = [], []
    for _ in range(20):
        labels, probabilities, lesions = simulate(generator, 0.0)
        aware.append(CalibrationError.of_top_diagnosis(labels, probabilities, lesions).value)
        unaware.append(CalibrationError.of_top_diagnosis(labels, probabilities).value)
    assert np.mean(aware) < 0.8 * np.mean(unaware)


def test_a_known_calibration_error_is_found_and_covered():
    generator = np.random.default_rng(2)
    values, covered = [], []
    for _ in range(40):
        labels, probabilities, lesions = simulate(generator, 0.1)
        error = CalibrationError.of_top_diagnosis(labels, probabilities, lesions)
        low, high = error.interval(bootstrap_weights(lesions, rounds=200))
        values.append(error.value)
        covered.append(low <= 0.1 <= high)
    assert np.mean(values) == pytest.approx(0.1, abs=0.01)
    assert np.mean(covered) > 0.85


def test_perfect_answers_are_seldom_called_miscalibrated():
    generator = np.random.default_rng(3)
    lows, chance, plain = [], [], []
    for _ in range(40):
        labels, probabilities, lesions = simulate(generator, 0.0)
        error, weights = (
            CalibrationError.of_top_diagnosis(labels, probabilities, lesions),
            bootstrap_weights(lesions, rounds=200),
        )
        lows.append(error.interval(weights)[0])
        chance.append(error.by_chance(weights).mean())
        plain.append(error.plain)
    assert np.mean(np.array(lows) == 0) > 0.85
    assert np.mean(chance) == pytest.approx(np.mean(plain), rel=0.1), "what chance alone shows"


def test_calibration_error_by_hand():
    """Fifteen bins of one lesion each: no gap has a standard error, so nothing is taken off."""
    confidence = np.repeat(np.linspace(0.6, 0.9, 15), 2)
    probabilities = np.column_stack([confidence, 1 - confidence, *np.zeros((5, 30))])
    error = CalibrationError.of_top_diagnosis(np.zeros(30, int), probabilities, np.arange(30) // 2)
    assert error.plain == pytest.approx((1 - confidence).mean()) == error.value
    points = error.curve(bootstrap_weights(np.arange(30) // 2, rounds=50))
    assert [p["confidence"] for p in points] == pytest.approx(confidence[::2])
    assert all(p["accuracy"] == 1 and p["interval"] == [1, 1] and p["images"] == 2 for p in points)


def test_mcnemar_counts_who_alone_is_right():
    first = np.array([True] * 9 + [False] * 3 + [True] * 20)
    second = np.array([False] * 9 + [True] * 3 + [True] * 20)
    expected = {"first only": 9, "second only": 3, "p_value": binomtest(9, 12).pvalue}
    assert mcnemar(first, second) == expected
    assert mcnemar(first, first)["p_value"] == 1


def test_two_models_are_compared_in_pairs():
    weights = bootstrap_weights(LESIONS, rounds=100)
    better = 0.3 * PROBABILITIES + 0.7 * np.eye(7)[LABELS]
    found = compare_models(LABELS, better, PROBABILITIES, (PREVALENCE, PREVALENCE), LESIONS, weights)
    values = [found[of]["dataset.accuracy"]["value"] for of in ("first", "second", "first minus second")]
    assert values[0] - values[1] == values[2] > 0
    right = [p.argmax(1) == LABELS for p in (better, PROBABILITIES)]
    tests = found["mcnemar"]["data-set prevalence"]
    assert tests["images"] == mcnemar(*right)
    assert tests["first image of each lesion"] == mcnemar(*(r[::2] for r in right))
    swapped = compare_models(LABELS, PROBABILITIES, better, (PREVALENCE, PREVALENCE), LESIONS, weights)
    assert swapped["first minus second"]["log_loss"]["value"] == -found["first minus second"]["log_loss"]["value"]


def test_each_model_decides_by_its_own_prevalence():
    other = np.roll(PREVALENCE, 1)
    found = compare_models(
        LABELS, PROBABILITIES, PROBABILITIES, (PREVALENCE, other), LESIONS, bootstrap_weights(LESIONS, rounds=5)
    )
    expected = decision_metrics(LABELS, decide(PROBABILITIES, other, "uniform"))["accuracy"]
    assert found["second"]["uniform.accuracy"]["value"] == pytest.approx(expected)


def test_ages_are_put_into_bands():
    ages = pd.Series([0, 29.9, 30, 44, 45, 60, 74, 75, 120, np.nan])
    names = ["under 30"] * 2 + ["30 to 44"] * 2 + ["45 to 59"] + ["60 to 74"] * 2 + ["75 and over"] * 2 + ["unknown"]
    assert list(age_band(ages)) == names


def test_subgroups_have_counts_and_figures_or_say_that_they_are_too_small():
    sex = np.array(["female"] * 120 + ["male"] * (2 * FEW_LESIONS - 2) + [None] * 22, dtype=object)
    table = pd.DataFrame({"lesion_id": LESIONS, "sex": sex, "age": 50.0, "site": "back", "dx_type": "histo"})
    weights = bootstrap_weights(LESIONS, rounds=200)
    found = subgroups(table, LABELS, PROBABILITIES, PREVALENCE, weights)
    assert list(found["sex"]) == ["female", "male", "unknown"] and list(found["age"]) == ["45 to 59"]
    counts = {"images": 58, "lesions": 29, "melanomas": len(set(LESIONS[120:178][LABELS[120:178] == 0]))}
    male = found["sex"]["male"]
    assert male == {**counts, "diagnoses": len(set(LABELS[120:178])), "too few": "Only 29 lesions: too few to judge."}
    female, everyone = found["sex"]["female"], found["site"]["back"]
    top = PROBABILITIES.argmax(1)
    assert female["dataset.accuracy"]["value"] == pytest.approx((top == LABELS)[:120].mean())
    equal = (PROBABILITIES / PREVALENCE).argmax(1)
    assert everyone["uniform.balanced_accuracy"]["value"] == pytest.approx(balanced_accuracy_score(LABELS, equal))
    assert "uniform.melanoma_recall" not in female
    assert female["too few melanomas"] == f"Only {female['melanomas']} melanomas: too few to judge how many are found."
    for name in ("dataset.accuracy", "uniform.balanced_accuracy", "log_loss"):
        low, high = female[name]["interval"]
        assert low < female[name]["value"] < high


def test_a_subgroup_with_many_melanomas_has_their_recall():
    labels = np.zeros(200, int)
    table = pd.DataFrame({"lesion_id": LESIONS, "sex": "male", "age": 50.0, "site": "back", "dx_type": "consensus"})
    found = subgroups(table, labels, PROBABILITIES, PREVALENCE, bootstrap_weights(LESIONS, rounds=20))
    equal = (PROBABILITIES / PREVALENCE).argmax(1)
    assert found["dx_type"]["consensus"]["uniform.melanoma_recall"]["value"] == pytest.approx((equal == 0).mean())


def test_calibration_error_of_one_diagnosis_against_the_rest():
    """Its probability is 0.1 too high on every image; its share of the images is 0.3."""
    generator = np.random.default_rng(0)
    labels = np.where(generator.random(4000) < 0.3, 2, 1)
    probabilities = np.zeros((4000, 7))
    probabilities[:, 2] = 0.4 + generator.uniform(-0.01, 0.01, 4000)
    probabilities[:, 1] = 1 - probabilities[:, 2]
    lesions = np.arange(4000) // 2
    error = CalibrationError.of_diagnosis(labels, probabilities, 2, lesions)
    low, high = error.interval(bootstrap_weights(lesions, rounds=200))
    assert error.value == pytest.approx(0.1, abs=0.02) and 0 < low < error.value < high
    perfect = np.where(np.arange(7) == 2, 0.3, 0.0) * np.ones((4000, 1))
    assert CalibrationError.of_diagnosis(labels, perfect, 2, lesions).value < 0.01
