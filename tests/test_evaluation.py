"""Metrics, intervals and the report."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, roc_auc_score

from lesion.errors import UserError
from lesion.evaluate import BEGIN, END, results_table, write_between_markers
from lesion.evaluation import (
    Scores,
    bootstrap_weights,
    confusion_metrics,
    decide,
    decision_metrics,
    summarise,
    weighted_confusions,
)

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


def test_command_writes_report_card_and_readme(checkpoint, ham10000, tmp_path):
    readme, output = tmp_path / "page.md", tmp_path / "report"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    command = [sys.executable, "-m", "lesion.evaluate", "--data", str(ham10000), "--checkpoint", str(checkpoint)]
    done = subprocess.run(
        [*command, "--output", str(output), "--readme", str(readme)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((output / "report.json").read_text())
    assert report["part"] == "test" and report["images"] > 0
    for name in ("confusion.png", "reliability.png"):
        assert (output / name).stat().st_size > 1000
    table = results_table(report)
    assert readme.read_text() == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    card = (output / "README.md").read_text()
    assert f"{report['metrics']['fused']['log_loss']['value']:.3f}" in card


def test_markers_are_needed(tmp_path):
    (tmp_path / "x.md").write_text("nothing")
    with pytest.raises(UserError, match="lacks the lines"):
        write_between_markers(tmp_path / "x.md", "table")
