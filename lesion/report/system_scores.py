"""The reference systems scored on their test parts."""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, interval
from lesion.metrics.scores import Scores
from lesion.model.checkpoint import load_checkpoint, load_config
from lesion.report.answers import answer_test_part
from lesion.report.starts import start_in_words
from lesion.report.system_runs import Budget
from lesion.report.systems import PUBLISHED, SYSTEMS, System


def mean_over_seeds(scores: list[Scores], other: list[Scores] | None = None) -> dict[str, dict]:
    """Figures averaged over seeds, with intervals, or their paired differences from another system's.

    Args:
        scores: of a system, one a seed.
        other: of the system to subtract, on the same test images with the same bootstrap weights.

    Returns:
        {metric: {"value", "interval", "seeds": the value of each seed}}, in the order of `Scores.values`, without the
        calibration error.
    """
    out = {}
    for name in scores[0].values:
        if name == "ece":  # its interval is not a percentile of draws
            continue
        values, draws = [s.values[name] for s in scores], [s.draws[name] for s in scores]
        if other is not None:
            values = [a - b.values[name] for a, b in zip(values, other, strict=True)]
            draws = [a - b.draws[name] for a, b in zip(draws, other, strict=True)]
        out[name] = {"value": float(np.mean(values)), "interval": interval(np.mean(draws, axis=0)), "seeds": values}
    return out


def score_systems(folders: dict[str, list[Path]]) -> dict[str, dict]:
    """Scores finished trainings on their test parts.

    Args:
        folders: by a system's key, its checkpoints, one a seed, the same seeds for all.

    Returns:
        By key: "metrics", with the images and lesions they are of, and for every system split by lesion but the first
        "first minus this", paired.
    """
    splits = {system.key: system.split for system in SYSTEMS}
    scores: dict[str, list[Scores]] = {key: [] for key in folders}
    out, weights = {}, {}
    for key, runs in folders.items():
        for folder in runs:
            answers = answer_test_part(Predictor(load_checkpoint(folder)))
            table, prevalence = answers.table, answers.predictor.config.calibration.prevalence
            if splits[key] not in weights:
                weights[splits[key]] = bootstrap_weights(table.lesion_id)
            probabilities, weighting = answers.probabilities[answers.full], weights[splits[key]]
            scores[key].append(Scores(answers.labels, probabilities, prevalence, weighting, table.lesion_id))
        out[key] = {
            "images": len(table),
            "lesions": int(table.lesion_id.nunique()),
            "metrics": mean_over_seeds(scores[key]),
        }
    first = SYSTEMS[0].key
    for key in folders:
        if key != first and splits[key] == splits[first]:
            out[key]["first minus this"] = mean_over_seeds(scores[first], scores[key])
    return out


def systems_document(
    systems: list[System],
    budget: Budget,
    folders: dict[str, list[Path]],
    scores: dict[str, dict],
    speed: dict[str, dict[str, float]],
) -> dict:
    """All that the report says of the reference systems.

    Args:
        systems: in their order.
        budget: of their trainings.
        folders: by key, the checkpoints, one a seed.
        scores: of `score_systems`.
        speed: of `lesion.report.system_speed.measure_speed`.
    """
    trainings = {key: [load_config(folder).training for folder in runs] for key, runs in folders.items()}
    starts = {key: start_in_words(runs[0]["init"]) for key, runs in trainings.items()}
    first = trainings[systems[0].key]
    return {
        "budget": {
            **{name: value for name, value in asdict(budget).items() if name not in ("init", "workers")},
            "mixed_precision": first[0]["mixed_precision"],
            "seeds": [training["seed"] for training in first],
            "start": starts[systems[0].key] if len(set(starts.values())) == 1 else "a start of its own for each system",
        },
        "systems": [
            {
                **asdict(s),
                "start": starts[s.key],
                **speed[s.key],
                "minutes": [training["minutes"] for training in trainings[s.key]],
                **scores[s.key],
            }
            for s in systems
        ],
        "published": PUBLISHED,
    }
