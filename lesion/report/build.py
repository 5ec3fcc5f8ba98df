"""The report on the test part."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve
from tqdm.auto import tqdm

from lesion.data.diagnoses import CODES
from lesion.data.ham10000 import read_table, records_of
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.files import sha256
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.metrics import CLASSES, DEFINITIONS, RULES, decide, per_class_table, rule_in_words
from lesion.metrics.scores import Scores, compare_models
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, NOTHING, SUBSETS, VIEWS, effective
from lesion.model.checkpoint import CONFIG, HELD_OUT
from lesion.model.fusion import head_logits, one_an_image
from lesion.model.held_out import read_held_out
from lesion.report.coverage import coverage_report
from lesion.report.markdown import CALIBRATED, value_in_words
from lesion.report.out_of_distribution_images import novelty_report
from lesion.report.subgroups import subgroups

ROUNDS, SEED = 1000, 0
CURVE_POINTS = 60
CHANGED = 40
"""Test photographs at most that are blurred and half covered, to see whether that is noticed."""
HISTORY = "history.csv"


@dataclass(frozen=True)
class Answers:
    """What a checkpoint answers on its test part.

    Attributes:
        predictor: that answered.
        table: of `read_table`, the test images.
        embeddings: float32, of `FusionModel.pool`, N rows.
        known: which of age, sex and site each record has, bool (N, 3).
        logits: of the head, float (N, 7), by index into SUBSETS.
        probabilities: calibrated, at the data set's prevalence, float (N, 7), by the same.
    """

    predictor: Predictor
    table: pd.DataFrame
    embeddings: np.ndarray
    known: np.ndarray
    logits: dict[int, np.ndarray]
    probabilities: dict[int, np.ndarray]

    @property
    def full(self) -> int:
        """The index into SUBSETS of everything the model reads."""
        return EVERYTHING if self.predictor.config.metadata else IMAGE_ALONE

    @property
    def labels(self) -> np.ndarray:
        """int (N,)."""
        return self.table.label.to_numpy()


def held_out_test(predictor: Predictor) -> list[str]:
    """The image ids of a checkpoint's test part."""
    held_out = read_held_out(predictor.checkpoint.folder / HELD_OUT).table
    return list(held_out.image_id[held_out.test])


def answer_test_part(predictor: Predictor, data: Path) -> Answers:
    """Runs a checkpoint over its test images, from the files, as the app would.

    Args:
        predictor: its held-out table names the test images.
        data: the data set's folder.

    Raises:
        UserError: test images are not in the data set.
    """
    test = held_out_test(predictor)
    table = read_table(data, verify=False).set_index("image_id", drop=False)
    missing = sorted(set(test) - set(table.index))
    if missing:
        raise UserError(f"{data} lacks {len(missing)} of the checkpoint's {len(test)} test images: {missing[0]}, …")
    table = table.loc[test].reset_index(drop=True)
    images = tqdm(table.path, desc="Test images", unit="image")
    embeddings = np.stack([predictor.features(read_image(path)).embedding for path in images])
    metadata, known = predictor.config.encoder.encode(records_of(table))
    subsets = VIEWS.values() if predictor.config.metadata else [IMAGE_ALONE]
    logits = {s: head_logits(predictor.model.head, embeddings, metadata, SUBSETS[s]) for s in subsets}
    calibrate = predictor.config.calibration.probabilities
    probabilities = {s: calibrate(logits[s], effective(SUBSETS[s], known)) for s in subsets}
    return Answers(predictor, table, embeddings, known, logits, probabilities)


def evaluate(answers: Answers) -> dict:
    """The report on a checkpoint's test part: every number of the figures, the model card and the README.

    Args:
        answers: of `answer_test_part`.
    """
    predictor, table, labels = answers.predictor, answers.table, answers.labels
    weights = bootstrap_weights(table.lesion_id, ROUNDS, SEED)
    prevalence = predictor.config.calibration.prevalence
    scores = {
        name: Scores(labels, answers.probabilities[s], prevalence, weights, table.lesion_id)
        for name, s in VIEWS.items()
        if s in answers.probabilities
    }
    best = scores.get("fused", scores["image alone"])
    report = {
        "part": "test",
        "split": predictor.config.training["split"],
        "images": len(table),
        "lesions": int(table.lesion_id.nunique()),
        "bootstrap": {"unit": "lesion", "rounds": ROUNDS, "seed": SEED, "interval": "95 % percentile; basic for ece"},
        "rules": RULES,
        "decided under": {metric: rule_in_words(metric) for metric in best.values},
        "definitions": DEFINITIONS,
        "checkpoint": sha256(predictor.checkpoint.folder / CONFIG),
        "note": "The data name no patients: different lesions of one patient may be on both sides of the split.",
        "metrics": {name: s.with_intervals() for name, s in scores.items()},
    }
    if len(scores) > 1:
        report["fused minus image alone"] = scores["fused"].minus(scores["image alone"])
        report["nothing known"] = nothing_known(answers)
    for rule in RULES:
        decisions = decide(best.probabilities, prevalence, rule)
        report[f"per class, {RULES[rule]}"] = best.per_class(rule)
        report[f"confusion matrix, {RULES[rule]}"] = confusion_matrix(labels, decisions, labels=CLASSES).tolist()
    report["calibration"], reliability = calibration_report(answers, scores)
    report["conformal"] = conformal_report(answers, weights)
    report["novelty"] = novelty_report(
        predictor.checkpoint.detector,
        lambda picture: one_an_image(predictor.features(picture).embedding[None])[0],
        one_an_image(answers.embeddings),
        weights,
        table.path[:: math.ceil(len(table) / CHANGED)],
    )
    report["subgroups"] = subgroups(table, labels, best.probabilities, prevalence, weights)
    report["curves"] = {
        "reliability": reliability,
        **ranking_curves(labels, best.probabilities),
        **learning_curves(predictor.checkpoint.folder),
    }
    return report


def nothing_known(answers: Answers) -> dict[str, dict[str, float]]:
    """What the model says with every input absent, beside the training part's prevalence, by code."""
    predictor = answers.predictor
    metadata, known = predictor.config.encoder.encode([Metadata()])
    shown = predictor.answers(answers.embeddings[:1], metadata, known, SUBSETS[NOTHING])[0]
    return {
        code: {"probability": float(p), "training prevalence": float(q)}
        for code, p, q in zip(CODES, shown, predictor.config.calibration.prevalence, strict=True)
    }


def calibration_report(answers: Answers, scores: dict[str, Scores]) -> tuple[dict, dict]:
    """Calibration error and log-loss before and after calibration, and the points of the reliability diagrams.

    Args:
        answers: of `answer_test_part`.
        scores: of the calibrated answers, by view.

    Returns:
        Two dictionaries by a key of CALIBRATED, by "before" (the softmax of the head's logits) and "after": the
        metrics "ece" and "log_loss" with intervals, "plain_ece" (not debiased) and "chance_ece" (the plain error that a
        perfect model would show on average on these images); and the points of `CalibrationError.curve`.
    """
    metrics, curves = {}, {}
    lesions = answers.table.lesion_id
    for name, view in CALIBRATED.items():
        if view not in scores:
            continue
        after = scores[view]
        before = softmax(answers.logits[VIEWS[view]].astype(np.float64), axis=1)
        of_both = {"before": Scores(answers.labels, before, after.prevalence, after.weights, lesions), "after": after}
        metrics[name], curves[name] = {}, {}
        for when, of_one in of_both.items():
            with_intervals, error = of_one.with_intervals(), of_one.calibration_error
            metrics[name][when] = {
                **{metric: with_intervals[metric] for metric in ("ece", "log_loss")},
                "plain_ece": error.plain,
                "chance_ece": float(error.by_chance(of_one.weights).mean()),
            }
            curves[name][when] = error.curve(of_one.weights)
    return metrics, curves


def conformal_report(answers: Answers, weights: np.ndarray) -> dict[str, dict]:
    """How often the sets of diagnoses hold the true one: by a key of CALIBRATED, the values of `coverage_report`.

    Args:
        answers: of `answer_test_part`.
        weights: of `bootstrap_weights`, float (rounds, N).
    """
    conformal, out = answers.predictor.config.prediction_sets, {}
    for name, view in CALIBRATED.items():
        if (subset := VIEWS[view]) in answers.probabilities:
            sets = conformal.sets(answers.probabilities[subset], effective(SUBSETS[subset], answers.known))
            out[name] = coverage_report(sets, answers.labels, weights, conformal, subset)
    return out


def ranking_curves(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, dict[str, list]]:
    """ROC and precision-recall curves of each diagnosis against the rest.

    Args:
        labels: int (N,).
        probabilities: float (N, 7).

    Returns:
        "roc": by code, at most CURVE_POINTS pairs of 1 − specificity and sensitivity; "precision_recall": of recall
        and precision. Diagnoses without an image, or that all images have, are left out.
    """
    out = {"roc": {}, "precision_recall": {}}
    for k, code in enumerate(CODES):
        positive = labels == k
        if 0 < positive.sum() < len(labels):
            false, found, _ = roc_curve(positive, probabilities[:, k])
            precision, recall, _ = precision_recall_curve(positive, probabilities[:, k])
            out["roc"][code] = thinned(np.column_stack([false, found]))
            out["precision_recall"][code] = thinned(np.column_stack([recall, precision]))
    return out


def thinned(points: np.ndarray) -> list[list[float]]:
    """At most CURVE_POINTS points of a curve, float (n, 2), evenly spaced along it, its ends among them."""
    along = np.concatenate([[0], np.abs(np.diff(points, axis=0)).sum(1).cumsum()])
    wanted = np.searchsorted(along, np.linspace(0, along[-1], CURVE_POINTS - 1))
    return points[np.unique(np.append(wanted, len(points) - 1))].round(5).tolist()


def learning_curves(folder: Path) -> dict[str, dict[str, list]]:
    """{"learning": the columns of the training's history by name}, or nothing where none lies beside the checkpoint."""
    path = folder / HISTORY
    return {"learning": pd.read_csv(path).to_dict("list")} if path.exists() else {}


def check_same_test_part(predictor: Predictor, other: Predictor) -> None:
    """Raises a UserError where two checkpoints do not hold out exactly the same test images."""
    ours, theirs = set(held_out_test(predictor)), set(held_out_test(other))
    if ours != theirs:
        raise UserError(
            f"--against {other.checkpoint.folder} holds out other test images: {len(ours & theirs)} of "
            f"{predictor.checkpoint.folder}'s {len(ours)} are among its {len(theirs)}. Compare checkpoints trained "
            "with the same --split and --split-seed."
        )


def compare_checkpoints(answers: Answers, other: Answers) -> dict:
    """Two checkpoints on the same test images, each with everything it reads.

    Args:
        answers: of the reported checkpoint, the "first".
        other: of the "second".

    Returns:
        What the second is, and the values of `compare_models`.
    """
    rows = pd.Index(other.table.image_id).get_indexer(answers.table.image_id)
    folder, config = other.predictor.checkpoint.folder, other.predictor.config
    lesions = answers.table.lesion_id
    return {
        "checkpoint": folder.resolve().name,
        "sha256": sha256(folder / CONFIG),
        "backbone": config.backbone,
        **compare_models(
            answers.labels,
            answers.probabilities[answers.full],
            other.probabilities[other.full][rows],
            (answers.predictor.config.calibration.prevalence, config.calibration.prevalence),
            lesions,
            bootstrap_weights(lesions, ROUNDS, SEED),
        ),
    }


def without_nan(value):
    """A document with None for every NaN, which JSON has not."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def print_report(report: dict) -> None:
    """Prints the metrics of every view, the paired differences and the values of each diagnosis."""
    sections = dict(report["metrics"])
    if "fused minus image alone" in report:
        sections["fused minus image alone, paired"] = report["fused minus image alone"]
    if "against" in report:
        sections[f"minus {report['against']['checkpoint']}, paired"] = report["against"]["first minus second"]
    for name, metrics in sections.items():
        print(f"\n{name}")
        for metric, entry in metrics.items():
            print(f"  {metric:38} {value_in_words(entry)}")
    for rule in RULES.values():
        values = {
            code: {name: entry if name == "images" else entry["value"] for name, entry in row.items()}
            for code, row in report[f"per class, {rule}"].items()
        }
        print(f"\nper class, {rule}\n{per_class_table(values, report[f'confusion matrix, {rule}'])}")
