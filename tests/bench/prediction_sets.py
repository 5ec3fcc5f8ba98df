"""Which prediction sets keep their promises? `python tests/bench/prediction_sets.py [--checkpoint DIR]`.

Methods are compared by cross-validation by lesion inside the validation part of a checkpoint, ten folds, three times;
the test part is not read. A method is a score, and the groups of diagnoses that share a threshold:

- the probability (Sadinle, Lei and Wasserman, 2019), or that at equal prevalence; or regularised adaptive sets: the sum
  of the probabilities down to the diagnosis, plus a penalty for each rank beyond the k-th (Angelopoulos, Bates, Malik
  and Jordan, "Uncertainty sets for image classifiers using conformal prediction", 2021; without their randomisation).
- each diagnosis for itself; clusters of diagnoses with alike scores, those with too few lesions taking the threshold of
  all (Ding, Angelopoulos, Bates, Jordan and Tibshirani, "Class-conditional conformal prediction with many classes",
  2023); or all together.

The promises are those of `lesion.model.conformal.promise`. Printed: the coverage of each diagnosis, the mean size of a
set, and by how many of its lesions the worst diagnosis misses its promise.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans
from sklearn.model_selection import StratifiedGroupKFold

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import records_of
from lesion.inference.predictor import load_predictor
from lesion.model.calibration import SUBSETS, UNIFORM, VIEWS, reweight
from lesion.model.conformal import ALWAYS, lesions_to_cover, members, promise, threshold

FOLDS, REPEATS = 10, 3
QUANTILES = (0.1, 0.2, 0.3, 0.4, 0.5)
"""Of the score of the true diagnosis, by which diagnoses are clustered; above these a threshold cannot be."""
PENALTIES = {"adaptive, penalty 0.01 from rank 2": (0.01, 1), "adaptive, penalty 0.1 from rank 3": (0.1, 2)}
GROUPS = {"each diagnosis": 7, "2 clusters": 2, "3 clusters": 3, "all together": 1}


def adaptive(probabilities: np.ndarray, penalty: float, free: int) -> np.ndarray:
    """Minus the score of regularised adaptive sets, so that more is likelier; float (N, 7)."""
    order = np.argsort(-probabilities, axis=1)
    sums = np.take_along_axis(probabilities, order, axis=1).cumsum(1)
    sums += penalty * np.maximum(0, np.arange(1, len(CODES) + 1) - free)
    scores = np.empty_like(sums)
    np.put_along_axis(scores, order, -sums, axis=1)
    return scores


def grouped(of_true: np.ndarray, labels: np.ndarray, counts: np.ndarray, groups: int) -> list[np.ndarray]:
    """For each diagnosis, those with which it shares a threshold."""
    everything = np.arange(len(CODES))
    if groups in (1, len(CODES)):
        return [everything if groups == 1 else everything[k : k + 1] for k in everything]
    large = np.flatnonzero([promise(count) == promise(10**4) for count in counts])
    profiles = [np.quantile(of_true[labels == k], QUANTILES) for k in large]
    clusters = KMeans(groups, n_init=10, random_state=0).fit(profiles, sample_weight=np.sqrt(counts[large])).labels_
    return [large[clusters == clusters[large == k]] if k in large else everything for k in everything]


def fit(scores, labels, lesions, promised, groups, confident) -> np.ndarray:
    """A threshold for each diagnosis, float (7,)."""
    of_true = scores[np.arange(len(labels)), labels]
    counts = np.array([len(np.unique(lesions[labels == k])) for k in range(len(CODES))])
    thresholds = []
    for k, together in enumerate(grouped(of_true, labels, counts, groups)):
        rows = np.isin(labels, together)
        supported = np.isfinite(lesions_to_cover(len(np.unique(lesions[rows])), promised[k], confident))
        # A fold leaves some diagnoses too few lesions for what all of them support: then the least probable counts.
        kept = threshold(of_true[rows], lesions[rows], promised[k], confident) if supported else of_true[rows].min()
        thresholds.append(-np.inf if promised[k] == ALWAYS else kept)
    return np.array(thresholds)


def cross_validated(scores, labels, lesions, promised, groups, confident) -> tuple[np.ndarray, float]:
    """The coverage of each diagnosis and the mean size of a set."""
    coverages, sizes = [], []
    for seed in range(REPEATS):
        sets = np.zeros(scores.shape, bool)
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fitted, others in folds.split(scores, labels, lesions):
            thresholds = fit(scores[fitted], labels[fitted], lesions[fitted], promised, groups, confident)
            sets[others] = members(scores[others], thresholds)
        covered = sets[np.arange(len(labels)), labels]
        coverages.append([covered[labels == k].mean() for k in range(len(CODES))])
        sizes.append(sets.sum(1).mean())
    return np.mean(coverages, axis=0), float(np.mean(sizes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--checkpoint", default="weights")
    predictor = load_predictor(parser.parse_args().checkpoint)
    held_out, prevalence = predictor.checkpoint.held_out(), predictor.config.calibration.prevalence
    metadata, known = predictor.config.encoder.encode(records_of(held_out.table))
    scores: dict[str, Callable] = {
        "probability": lambda p: p,
        "probability at equal prevalence": lambda p: reweight(p, prevalence, UNIFORM),
        **{name: lambda p, own=own: adaptive(p, *own) for name, own in PENALTIES.items()},
    }
    for view in ("fused", "image alone"):
        present = SUBSETS[VIEWS[view]]
        rows = np.flatnonzero(~held_out.table.test & (known | ~present[1:]).all(1))
        table = held_out.table.iloc[rows]
        labels, lesions = table.label.to_numpy(), table.lesion_id.to_numpy()
        probabilities = predictor.answers(held_out.embeddings[rows], metadata[rows], known[rows], present)
        counts = np.array([len(np.unique(lesions[labels == k])) for k in range(len(CODES))])
        promised = np.array([promise(count) for count in counts])
        print(f"\n{view}: promised {', '.join(f'{c} {p:g}' for c, p in zip(CODES, promised, strict=True))}\n")
        print("| score | threshold for | " + " | ".join(CODES) + " | mean size | worst, lesions missed |")
        print("| --- | --- |" + " --- |" * (len(CODES) + 2))
        for name, score in scores.items():
            for shared, groups in GROUPS.items():
                for confident in (False, True) if groups == len(CODES) else (False,):
                    found = cross_validated(score(probabilities), labels, lesions, promised, groups, confident)
                    worst = max(0, ((promised - found[0]) * counts).max())
                    print(
                        f"| {name} | {shared}{', confident' if confident else ''} | "
                        + " | ".join(f"{share:.2f}" for share in found[0])
                        + f" | {found[1]:.2f} | {worst:.1f} |",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
