"""Near-duplicates across the split: test photographs that are as near to a training photograph of another lesion as two
photographs of one lesion are to each other.

A split by lesion trusts the ids. Where a collection lists one lesion under two ids, or two sources share a photograph,
the test part leaks all the same: Abhishek, Jain and Hamarneh, "Investigating the Quality of DermaMNIST and
Fitzpatrick17k Dermatological Image Datasets", Scientific Data 12 (2025). Nearness is measured twice, by perceptual hash
and by the cosine similarity of the network's embeddings. Each threshold comes from the training part: it is the loosest
one at which at least half of the pairs that are as near are of one lesion.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lesion.data.ham10000 import read_table
from lesion.data.perceptual_hash import distances, perceptual_hash, signs
from lesion.data.reading import read_image
from lesion.inference.predictor import MOST_IN_A_PASS, Predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import Scores
from lesion.model.fusion import one_an_image
from lesion.report.answers import ROUNDS, SEED, Answers
from lesion.report.markdown import value_in_words

HASH, EMBEDDING = "perceptual hash", "embedding"
STEPS = 100_000
"""Of cosine similarity, to count it as a whole number as the bits of a hash are."""
BLOCK = 256
"""Photographs compared with all others at once."""
Distances = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From rows of two arrays to whole numbers, int (N, M)."""


def cosine_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """One less the cosine similarity, in STEPS, of rows of length 1: int (N, M)."""
    return np.maximum(((1 - one @ other.T) * STEPS).round().astype(int), 0)


MEASURES: dict[str, Distances] = {HASH: distances, EMBEDDING: cosine_distances}


def blocks(count: int) -> list[slice]:
    """Slices of BLOCK rows that cover `count` rows."""
    return [slice(start, start + BLOCK) for start in range(0, count, BLOCK)]


def threshold_of(measure: Distances, features: np.ndarray, lesions: np.ndarray) -> int | None:
    """The largest distance at which at least half of the pairs as near or nearer are of one lesion; None where there is
    no such distance.

    Args:
        measure: of MEASURES.
        features: what it compares, N rows.
        lesions: of each row, (N,).
    """
    of_one, of_two = np.zeros((2, 2 * STEPS + 2), int)
    rows = np.arange(len(features))
    for block in blocks(len(features)):
        found, once = measure(features[block], features), rows[block, None] < rows
        same = lesions[block, None] == lesions
        of_one += np.bincount(found[once & same], minlength=len(of_one))
        of_two += np.bincount(found[once & ~same], minlength=len(of_two))
    one, two = of_one.cumsum(), of_two.cumsum()
    enough = np.flatnonzero((one > 0) & (one >= two) & (of_one + of_two > 0))
    return int(enough[-1]) if len(enough) else None


def near_pairs(
    measure: Distances,
    threshold: int | None,
    test: np.ndarray,
    training: np.ndarray,
    same: Callable[[slice], np.ndarray],
) -> np.ndarray:
    """How many training photographs of another lesion are within the threshold of each test photograph, int (N,).

    Args:
        measure: of MEASURES.
        threshold: of `threshold_of`.
        test, training: what the measure compares, N and M rows.
        same: which pairs of a block of the test photographs are of one lesion, bool (n, M).
    """
    if threshold is None:
        return np.zeros(len(test), int)
    counts = [((measure(test[b], training) <= threshold) & ~same(b)).sum(1) for b in blocks(len(test))]
    return np.concatenate(counts)


def described(predictor: Predictor, paths: Sequence[Path]) -> dict[str, np.ndarray]:
    """What the measures compare of photographs, by their names.

    Raises:
        UserError: a photograph cannot be read.
    """

    def describe(path: Path) -> tuple[np.ndarray, np.ndarray]:
        image = read_image(path)
        return perceptual_hash(image), predictor.features(image).embedding

    with ThreadPoolExecutor(2 * MOST_IN_A_PASS) as pool:  # those that wait share a pass
        each = list(tqdm(pool.map(describe, paths), total=len(paths), desc="Near-duplicates", unit="image"))
    embeddings = one_an_image(np.stack([embedding for _, embedding in each]))
    return {
        HASH: signs(np.stack([hashed for hashed, _ in each])),
        EMBEDDING: embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
    }


def near_duplicates(answers: Answers, photographs: Sequence[Path], data: Path) -> dict:
    """Counts near-duplicates across the split, and scores the test part without them.

    Args:
        answers: of `answer_test_part`.
        photographs: of the test images, in their order.
        data: the data set's folder.

    Returns:
        "training", photographs compared with; by measure, "threshold" (bits, or cosine similarity; None where none
        serves), "pairs", "images" and "lesions" of the test part; "either", "images" and "lesions"; and "metrics", of
        `Scores.with_intervals` with everything the model reads, of the test part without these images.

    Raises:
        UserError: the data set or a photograph cannot be read.
    """
    table, held_out = read_table(data, verify=False), answers.held_out.table.image_id
    training = table[~table.image_id.isin(held_out)]
    ours = described(answers.predictor, [Path(path) for path in photographs])
    theirs = described(answers.predictor, list(training.path))
    lesions, others = answers.table.lesion_id.to_numpy(), training.lesion_id.to_numpy()
    report: dict = {"training": len(training)}
    near = np.zeros(len(lesions), bool)
    for name, measure in MEASURES.items():
        threshold = threshold_of(measure, theirs[name], others)
        pairs = near_pairs(measure, threshold, ours[name], theirs[name], lambda b: lesions[b, None] == others)
        if name == EMBEDDING and threshold is not None:
            threshold = 1 - threshold / STEPS
        report[name] = {"threshold": threshold, "pairs": int(pairs.sum()), **counted(pairs > 0, answers.table)}
        near |= pairs > 0
    report["either"] = counted(near, answers.table)
    return report | {"metrics": metrics_of(answers, ~near)}


def counted(chosen: np.ndarray, table: pd.DataFrame) -> dict[str, int]:
    """The images, and the lesions they are of."""
    return {"images": int(chosen.sum()), "lesions": int(table.lesion_id[chosen].nunique())}


def metrics_of(answers: Answers, chosen: np.ndarray) -> dict[str, dict]:
    """The metrics of some of the test images, bool (N,), with everything that the model reads."""
    weights = bootstrap_weights(answers.table.lesion_id, ROUNDS, SEED)[:, chosen]
    prevalence = answers.predictor.config.calibration.prevalence
    scores = Scores(
        answers.labels[chosen], answers.probabilities[answers.full][chosen], prevalence, weights,
        answers.table.lesion_id[chosen],
    )  # fmt: skip
    return scores.with_intervals()


def near_duplicates_in_words(report: dict, images: int) -> str:
    """The figures in a sentence or two.

    Args:
        report: of `near_duplicates`.
        images: of the test part.
    """
    each = ", ".join(f"by {name} {report[name]['images']}" for name in MEASURES)
    accuracy, balanced = (report["metrics"][m] for m in ("dataset.accuracy", "uniform.balanced_accuracy"))
    return (
        f"{report['either']['images']} of {images} test photographs are as near to one of {report['training']} "
        f"training photographs of another lesion as photographs of one lesion are ({each}). Without them the accuracy "
        f"is {value_in_words(accuracy)} and the balanced accuracy {value_in_words(balanced)}."
    )
