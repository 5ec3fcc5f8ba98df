"""Near-duplicates across the split."""

import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from lesion.data.ham10000 import read_table
from lesion.data.perceptual_hash import distances, signs
from lesion.metrics.metrics import decide
from lesion.report.answers import photographs_of
from lesion.report.near_duplicates import (
    EMBEDDING,
    HASH,
    STEPS,
    cosine_distances,
    near_duplicates,
    near_duplicates_in_words,
    near_pairs,
    threshold_of,
)


def brute_force(found: np.ndarray, lesions: np.ndarray) -> int | None:
    """The threshold by looking at every one."""
    one, other = np.triu_indices(len(lesions), 1)
    same, best = lesions[one] == lesions[other], None
    for limit in np.unique(found[one, other]):
        near = found[one, other] <= limit
        if same[near].sum() >= (~same[near]).sum():
            best = int(limit)
    return best


@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_is_the_loosest_with_half_of_its_pairs_of_one_lesion(seed):
    generator = np.random.default_rng(seed)
    lesions = np.repeat(np.arange(50), 2)
    centres = np.repeat(generator.normal(size=(50, 8)), 2, 0)
    vectors = centres + 0.3 * generator.normal(size=centres.shape)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = brute_force(cosine_distances(vectors, vectors), lesions)
    assert threshold_of(cosine_distances, vectors, lesions) == expected is not None
    bits = generator.integers(0, 255, (50, 16), np.uint8).repeat(2, 0)
    bits[1::2, :2] = generator.integers(0, 255, (50, 2), np.uint8)
    hashes = signs(bits)
    assert threshold_of(distances, hashes, lesions) == brute_force(distances(hashes, hashes), lesions)
    assert threshold_of(distances, hashes, np.arange(100)) is None, "no two of one lesion"


def test_cosine_distances_count_steps():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(4, 6)), generator.normal(size=(5, 6))
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other /= np.linalg.norm(other, axis=1, keepdims=True)
    expected = (1 - np.einsum("ik,jk->ij", one, other)) * STEPS
    assert np.abs(cosine_distances(one, other) - expected).max() <= 0.5
    assert cosine_distances(one[:1], one[:1]).item() == 0


def test_only_training_photographs_of_another_lesion_count():
    training = signs(np.array([[0] * 16, [255] + [0] * 15, [255] * 16], np.uint8))
    test, lesions, others = training[[0, 2]], np.array(["a", "c"]), np.array(["a", "b", "d"])
    same = lambda block: lesions[block, None] == others  # noqa: E731 - as the caller writes it
    assert near_pairs(distances, 8, test, training, same).tolist() == [1, 1]
    assert near_pairs(distances, 7, test, training, same).tolist() == [0, 1]
    assert near_pairs(distances, None, test, training, same).tolist() == [0, 0]


def test_a_planted_duplicate_is_found(answers, ham10000, tmp_path):
    """A test photograph over a training photograph of another lesion, and photographs of one lesion made alike."""
    data = tmp_path / "data"
    shutil.copytree(ham10000, data)
    table = read_table(data, verify=False)
    training = table[~table.image_id.isin(answers.held_out.table.image_id)]
    planted, victim = answers.table.image_id[0], training.iloc[0]
    with Image.open(table.set_index("image_id").path[planted]) as image:
        image.resize((200, 150)).save(victim.path, quality=80)
    for _, photographs in training.iloc[1:].groupby("lesion_id"):
        for path in photographs.path.iloc[1:]:
            shutil.copy(photographs.path.iloc[0], path)
    report = near_duplicates(answers, photographs_of(answers, data), data)
    assert report["training"] == len(training) and report[HASH]["images"] >= 1 and report[HASH]["threshold"] >= 1
    assert 0 < report[EMBEDDING]["threshold"] <= 1
    either = report["either"]
    assert max(report[m]["images"] for m in (HASH, EMBEDDING)) <= either["images"] < len(answers.table)
    words = near_duplicates_in_words(report, len(answers.table))
    assert f"{either['images']} of {len(answers.table)} test photographs" in words


def test_figures_without_near_duplicates_are_those_of_the_rest(answers, photographs, ham10000, monkeypatch):
    """Equal to scikit-learn's on the photographs that are left."""
    chosen = np.arange(len(answers.table)) % 5 == 0
    monkeypatch.setattr("lesion.report.near_duplicates.near_pairs", lambda *_: chosen.astype(int))
    report = near_duplicates(answers, photographs, ham10000)
    assert report["either"]["images"] == chosen.sum() == report[HASH]["pairs"]
    labels, left = answers.labels[~chosen], answers.probabilities[answers.full][~chosen]
    prevalence = answers.predictor.config.calibration.prevalence
    accuracy = accuracy_score(labels, decide(left, prevalence, "dataset"))
    assert report["metrics"]["dataset.accuracy"]["value"] == pytest.approx(accuracy, abs=1e-9)
    balanced = balanced_accuracy_score(labels, decide(left, prevalence, "uniform"))
    assert report["metrics"]["uniform.balanced_accuracy"]["value"] == pytest.approx(balanced, abs=1e-9)
