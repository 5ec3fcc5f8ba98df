"""A checkpoint on photographs from elsewhere, beside its own test part.

Nothing is fitted, chosen or tuned on them. The test part's figures are of the same diagnoses, so that the two can be
compared; what is lost has an interval from independent resamplings of both.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.external_table import Mapping, read_external_table
from lesion.data.ham10000 import first_five, records_of
from lesion.data.metadata import FIELDS
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.predictor import MOST_IN_A_PASS, Predictor
from lesion.metrics.bootstrap import bootstrap_weights, interval
from lesion.metrics.metrics import ALARM_THRESHOLD, MELANOMA, per_class_ranking, ranking_draws
from lesion.metrics.scores import Scores
from lesion.model.calibration import SUBSETS, VIEWS
from lesion.model.fusion import one_an_image
from lesion.model.seen import SeenPhotographs, read_seen
from lesion.report.answers import ROUNDS, SEED, Answers, answer_test_part
from lesion.report.calibration import CALIBRATED

FIGURES = (
    "accuracy", "balanced accuracy", "malignant AUROC", "melanoma AUROC", "melanomas found by the alarm",
    "others not flagged", "calibration error", "sets with the true diagnosis", "diagnoses in a set",
    "out-of-distribution alarms",
)  # fmt: skip
"""What is measured. Accuracy is decided under data-set prevalence; balanced accuracy, over the diagnoses that occur,
under equal prevalence. The alarm rings at ALARM_THRESHOLD."""


class Part(NamedTuple):
    """Photographs with all that the figures need.

    Attributes:
        table: lesion_id, label, age, sex, site; N rows.
        embeddings: float32, of `FusionModel.pool`, N rows.
    """

    table: pd.DataFrame
    embeddings: np.ndarray


def count_seen(seen: SeenPhotographs, image_ids: Sequence[str], name: str, allowed: bool) -> int | None:
    """How many of a collection's photographs a checkpoint has seen; None where it does not say.

    Args:
        seen: of the checkpoint.
        image_ids: of the collection.
        name: of the collection.
        allowed: whether it may have seen some.

    Raises:
        UserError: it has, and may not.
    """
    known = [image_id for image_id in image_ids if seen.contains_id(Path(image_id).name)]
    if known and not allowed:
        raise UserError(
            f"The checkpoint's start or training saw {len(known)} of the {len(image_ids)} photographs of {name} "
            f"({first_five(known)}), so its figures there would be too good. Take them out of the table, or give "
            "--allow-seen to measure all the same; the report then says so."
        )
    return len(known) if len(seen.ids) else None


def embed(predictor: Predictor, paths: Sequence[Path]) -> np.ndarray:
    """The embeddings of photographs as the app computes them, several in a pass; float32, N rows.

    Raises:
        UserError: a photograph cannot be read.
    """
    with ThreadPoolExecutor(MOST_IN_A_PASS) as pool:
        found = pool.map(lambda path: predictor.features(read_image(path)).embedding, paths)
        return np.stack(list(tqdm(found, total=len(paths), desc="Reading photographs", unit="image")))


def evaluate_external(
    predictor: Predictor, path: Path, images: Path, mapping: Mapping, name: str, allow_seen: bool
) -> dict:
    """Reads a collection and scores a checkpoint on it; see `score_external`.

    Args:
        predictor: of the checkpoint.
        path, images, mapping: see `read_external_table`.
        name: of the collection.
        allow_seen: whether photographs that the checkpoint has seen may be among them.

    Returns:
        The values of `score_external` with "name", "left out" (rows by a diagnosis that is none of the seven), "seen"
        (how many photographs the checkpoint has seen, None where it does not say), and "unlisted" (the names of
        sources that it has seen and whose ids are not known).

    Raises:
        UserError: the collection cannot be read, or is not allowed.
    """
    table, left_out = read_external_table(path, images, mapping)
    seen = read_seen(predictor.checkpoint.folder)
    count = count_seen(seen, list(table.image_id), name, allow_seen)
    entry = score_external(predictor, table, answer_test_part(predictor), mapping)
    return {"name": name, **entry, "left out": left_out, "seen": count, "unlisted": list(seen.unlisted)}


def score_external(predictor: Predictor, table: pd.DataFrame, answers: Answers, mapping: Mapping) -> dict:
    """The figures of a collection, ready for JSON.

    Args:
        predictor: of the checkpoint.
        table: of `read_external_table`.
        answers: of the checkpoint's own test part.
        mapping: by which the table was read.

    Returns:
        "images", "lesions", "diagnoses" (photographs by code), "internal" (the test part's "images" and "lesions" with
        these diagnoses), "known" (the share of photographs with each field), "differs", and "views": by a key of
        CALIBRATED, for each of FIGURES, "elsewhere", "here" (the test part) and "difference" (elsewhere − here), each
        {"value", "interval"}. The view with all metadata is left out where the model reads none, or nothing is known.

    Raises:
        UserError: a photograph cannot be read.
    """
    outside = Part(table, embed(predictor, list(table.path)))
    occurring = np.isin(answers.labels, table.label.unique())
    inside = Part(answers.table[occurring].reset_index(drop=True), answers.embeddings[occurring])
    _, known = predictor.config.encoder.encode(records_of(table))
    counts = table.label.value_counts()
    views = {}
    for view, subset in ((view, VIEWS[name]) for view, name in CALIBRATED.items()):
        if view == "no metadata" or (predictor.config.metadata and known.any()):
            parts = (outside, inside)  # with a seed each, so that their resamplings are independent
            views[view] = compared(
                *(measured(predictor, part, SUBSETS[subset], SEED + seed) for seed, part in enumerate(parts))
            )
    return {
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "diagnoses": {code: int(counts.get(k, 0)) for k, code in enumerate(CODES) if k in counts},
        "internal": {"images": int(occurring.sum()), "lesions": int(inside.table.lesion_id.nunique())},
        "known": {name: float(share) for name, share in zip(FIELDS, known.mean(0), strict=True)},
        "differs": mapping.differs,
        "views": views,
    }


class Figure(NamedTuple):
    """A value, its bootstrap draws and its 95 % interval."""

    value: float
    draws: np.ndarray
    interval: list[float]


def measured(predictor: Predictor, part: Part, present: np.ndarray, seed: int) -> dict[str, Figure]:
    """Each of FIGURES on some photographs.

    Args:
        predictor: of the checkpoint.
        part: the photographs.
        present: bool (4,), the inputs that the model may look at.
        seed: of the bootstrap over lesions.
    """
    labels, lesions = part.table.label.to_numpy(), part.table.lesion_id
    config = predictor.config
    metadata, known = config.encoder.encode(records_of(part.table))
    probabilities = predictor.answers(part.embeddings, metadata, known, present)
    weights = bootstrap_weights(lesions, ROUNDS, seed)
    scores = Scores(labels, probabilities, config.calibration.prevalence, weights, lesions)
    sets = config.prediction_sets.sets(probabilities, predictor.inputs_read(present, known))
    detector = predictor.checkpoint.detector
    rings, melanoma = probabilities[:, MELANOMA] >= ALARM_THRESHOLD, labels == MELANOMA
    area = ranking_draws(melanoma, probabilities[:, MELANOMA], weights)["auroc"]

    def share(values: np.ndarray, among: np.ndarray | None = None) -> Figure:
        among = np.ones(len(values)) if among is None else among.astype(float)
        with np.errstate(invalid="ignore"):
            draws = (weights @ (values * among)) / (weights @ among)
            return Figure(float((values * among).sum() / among.sum()), draws, interval(draws))

    def of_scores(metric: str) -> Figure:
        return Figure(scores.values[metric], scores.draws[metric], scores.with_intervals()[metric]["interval"])

    covered = sets[np.arange(len(labels)), labels]
    unlike = detector.score(one_an_image(part.embeddings)) > detector.threshold
    values = (
        of_scores("dataset.accuracy"),
        of_scores("uniform.balanced_accuracy"),
        of_scores("malignant_auroc"),
        Figure(float(per_class_ranking(labels, probabilities)["auroc"][MELANOMA]), area, interval(area)),
        share(rings, melanoma),
        share(~rings, ~melanoma),
        of_scores("ece"),
        share(covered),
        share(sets.sum(1)),
        share(unlike),
    )
    return dict(zip(FIGURES, values, strict=True))


def compared(elsewhere: dict[str, Figure], here: dict[str, Figure]) -> dict[str, dict[str, dict]]:
    """Each figure of two sets of photographs, and their difference: see `score_external`."""
    found = {}
    for name, outside in elsewhere.items():
        inside = here[name]
        found[name] = {
            "elsewhere": {"value": outside.value, "interval": outside.interval},
            "here": {"value": inside.value, "interval": inside.interval},
            "difference": {"value": outside.value - inside.value, "interval": interval(outside.draws - inside.draws)},
        }
    return found
