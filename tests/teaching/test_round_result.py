"""The result of a round against figures of another making."""

import re

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, recall_score

from lesion.data.diagnoses import CODES
from lesion.errors import UserError
from lesion.teaching.round_result import (
    CONFIDENCES,
    Followed,
    Guess,
    Progress,
    by_confidence,
    decisions_of,
    parse_case,
    parse_guesses,
    round_result,
)
from lesion.teaching.rounds import STAGES, RoundCase, RoundSettings

SETTINGS, DRAWS = RoundSettings(0, 30), 200


@pytest.fixture(scope="module")
def played() -> tuple[list[RoundCase], list[list[Guess]]]:
    """A made round of thirty cases, and a reader who is right more often at each stage."""
    generator, cases, guesses = np.random.default_rng(4), [], []
    for row in range(30):
        own = generator.dirichlet(np.ones(7))
        shown = own[generator.permutation(7)] if row % 5 == 0 else own
        label = int(generator.integers(5))  # two diagnoses do not occur
        cases.append(RoundCase(row, label, row % 5 == 0, own, shown))
        said = [label if generator.random() < share else generator.integers(7) for share in (0.3, 0.5, 0.6)]
        guesses.append([Guess(CODES[k], CONFIDENCES[generator.integers(3)]) for k in said])
    return cases, guesses


def resampled(labels: np.ndarray, decided: np.ndarray, metric) -> list[float]:
    """The 95 % interval of a metric, by drawing cases one resampling after another."""
    generator, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = np.repeat(np.arange(len(labels)), generator.multinomial(len(labels), [1 / len(labels)] * len(labels)))
        found.append(metric(labels[drawn], decided[drawn]))
    return np.percentile(found, [2.5, 97.5]).tolist()


def balanced(labels: np.ndarray, decided: np.ndarray) -> float:
    return recall_score(labels, decided, labels=np.unique(labels), average="macro", zero_division=0)


def test_accuracies_and_intervals_are_scikit_learns(played, monkeypatch):
    monkeypatch.setattr("lesion.teaching.round_result.RESAMPLINGS", DRAWS)
    cases, guesses = played
    labels, decisions = np.array([case.label for case in cases]), decisions_of(guesses)
    result = round_result(cases, decisions, SETTINGS)
    own, shown = (np.array([getattr(case, name).argmax() for case in cases]) for name in ("own", "shown"))
    found = {**result.readers, "own": result.model, "as shown": result.as_shown}
    expected = {**dict(zip(STAGES, decisions.T, strict=True)), "own": own, "as shown": shown}
    assert found.keys() == expected.keys()
    for name, decided in expected.items():
        for metric, function in (("accuracy", accuracy_score), ("balanced accuracy", balanced)):
            assert found[name][metric]["value"] == pytest.approx(function(labels, decided), abs=1e-6)
            assert found[name][metric]["interval"] == pytest.approx(resampled(labels, decided, function), abs=1e-6)


def test_changes_and_following_are_counted_case_by_case(played):
    cases, guesses = played
    result = round_result(cases, decisions_of(guesses), SETTINGS)
    assert list(result.changes) == ["metadata", "model"]
    for stage, changes in result.changes.items():
        at, counted = STAGES.index(stage), dict.fromkeys(vars(changes), 0)
        for case, of_case in zip(cases, guesses, strict=True):
            before, after, truth = of_case[at - 1].diagnosis, of_case[at].diagnosis, CODES[case.label]
            was, became = ("right" if guess == truth else "wrong" for guess in (before, after))
            counted["kept" if before == after else f"{was}_to_{became}"] += 1
        assert vars(changes) == counted and sum(counted.values()) == len(cases)
    counted = {name: [0, 0, 0] for name in ("right", "wrong", "misleading")}
    for case, (_, before, after) in zip(cases, guesses, strict=True):
        groups = ["right" if case.explained == CODES[case.label] else "wrong"]
        for name in groups + ["misleading"] * case.misleading:
            counted[name][0] += 1
            if before.diagnosis == case.explained:
                counted[name][1] += 1
            elif after.diagnosis == case.explained:
                counted[name][2] += 1
    assert result.followed == {name: Followed(*numbers) for name, numbers in counted.items()}


def test_several_readers_are_scored_together(played):
    cases, guesses = played
    once, twice = (round_result(cases * n, np.tile(decisions_of(guesses), (n, 1)), SETTINGS) for n in (1, 2))
    for stage in STAGES:
        for entry in ("value", "interval"):
            expected = pytest.approx(once.readers[stage]["accuracy"][entry])
            assert twice.readers[stage]["accuracy"][entry] == expected, "no false precision"
    assert twice.changes["model"].kept == 2 * once.changes["model"].kept


def test_a_round_of_the_photograph_alone_has_no_changes(played):
    cases, guesses = played
    settings = RoundSettings(0, 30, stages=("photograph",))
    result = round_result(cases, decisions_of(guesses)[:, :1], settings)
    assert list(result.readers) == ["photograph"] and not result.changes and not result.followed
    assert result.as_shown is None and result.model["accuracy"]["value"] >= 0


def test_right_guesses_are_counted_by_confidence(played):
    cases, guesses = played
    found = by_confidence(cases, guesses, 2)
    assert sum(total for _, total in found.values()) == 30
    for confidence, (right, total) in found.items():
        pairs = [(c, g[2]) for c, g in zip(cases, guesses, strict=True) if g[2].confidence == confidence]
        assert (right, total) == (sum(CODES[c.label] == g.diagnosis for c, g in pairs), len(pairs))


@pytest.mark.parametrize(
    "values, words",
    [
        (None, "The guesses None are not accepted; give for each case a list with [diagnosis, confidence] for"),
        ([["mel", "sure"], ["mel", "sure"], ["mel"]], "for photograph, metadata, model."),
        ([["mel", "sure"]] * 4, "are not accepted"),
        ([["wart", "sure"]], "Guess 'wart' is not a diagnosis; choose mel,"),
        ([["mel", 5]], "Confidence 5 is not known; choose unsure, fairly sure, sure."),
        ([[["mel"], {}]], "Guess ['mel'] is not a diagnosis"),
    ],
)
def test_guesses_that_are_none_are_refused_in_a_sentence(values, words):
    with pytest.raises(UserError, match=re.escape(words)):
        parse_case(values, SETTINGS)


def test_guesses_of_a_round_of_two_diagnoses():
    settings = RoundSettings(0, 10, "melanoma or nevus", stages=("photograph",))
    assert parse_case([["nv", "sure"]], settings) == (Guess("nv", "sure"),)
    with pytest.raises(UserError, match=r"This round has no bcc; choose mel, nv\."):
        parse_case([["bcc", "sure"]], settings)


def test_progress_leads_through_stages_and_cases():
    full, some = [["nv", "sure"]] * 3, [["nv", "sure"]]
    for guesses, opened, stage in (([], 0, "photograph"), ([some], 0, "metadata"), ([full, some * 2], 1, "model")):
        assert Progress.of(SETTINGS, guesses, opened).stage == stage
    assert Progress.of(SETTINGS, [full], 0).stage is None, "the truth of the first case"
    assert Progress.of(SETTINGS, [full], 1).of_case == ()
    assert not Progress.of(SETTINGS, [full] * 30, 29).finished and Progress.of(SETTINGS, [full] * 30, 30).finished
    assert len(parse_guesses([full] * 30, SETTINGS)) == 30


@pytest.mark.parametrize(
    "guesses, opened, words",
    [
        ([], 1, "The guesses of the first 1 cases are not complete"),
        ([[["nv", "sure"]]], 1, "are not complete; guess at every stage."),
        ([[], []], 0, "are not those of 0 cases and one more."),
        ([], 31, "Number of cases left behind 31 is not accepted; give a number from 0 to 30."),
        ("many", 0, "The guesses 'many' are not those of"),
    ],
)
def test_progress_that_is_none_is_refused_in_a_sentence(guesses, opened, words):
    with pytest.raises(UserError, match=re.escape(words)):
        Progress.of(SETTINGS, guesses, opened)


@pytest.mark.parametrize("values", [None, [], [[["nv", "sure"]] * 3] * 29, {"a": 1}])
def test_a_result_needs_all_cases(values):
    with pytest.raises(UserError, match="give a list of 30 cases"):
        parse_guesses(values, SETTINGS)
    with pytest.raises(UserError, match="are not complete"):
        parse_guesses([[["nv", "sure"]] * 2] * 30, SETTINGS)
