"""report.json: every number of the figures, the model card, the README and the page's Model report."""

import math
from collections.abc import Sequence
from pathlib import Path

from sklearn.metrics import confusion_matrix

from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.files import sha256
from lesion.inference.agreement import check_answers
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.metrics import CLASSES, DEFINITIONS, RULES, decide, rule_in_words
from lesion.metrics.scores import Scores
from lesion.model.calibration import NOTHING, SUBSETS, VIEWS
from lesion.model.checkpoint import CONFIG
from lesion.model.fusion import one_an_image
from lesion.report.answers import ROUNDS, SEED, Answers
from lesion.report.artefacts import artefact_report
from lesion.report.calibration import calibration_per_class, calibration_report
from lesion.report.coverage import coverage_of_views
from lesion.report.curves import learning_curves, ranking_curves
from lesion.report.decision import decision_report
from lesion.report.out_of_distribution import out_of_distribution_report
from lesion.report.similar_cases import similar_cases
from lesion.report.subgroups import subgroups

CHANGED = 40
"""At most this many test photographs are blurred and half covered, to see whether that is detected."""


def build_report(answers: Answers) -> dict:
    """What the stored embeddings of a checkpoint's test part give; the backbone does not run.

    Args:
        answers: of `answer_test_part`.

    Raises:
        UserError: the history beside the checkpoint cannot be read.
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
    report["calibration per class"] = calibration_per_class(scores, table.lesion_id)
    report["conformal"] = coverage_of_views(answers, weights)
    report["similar cases"] = similar_cases(answers, weights)
    report["decision"] = decision_report(labels, best.probabilities, prevalence, weights)
    report["subgroups"] = subgroups(table, labels, best.probabilities, prevalence, weights)
    report["curves"] = {
        "reliability": reliability,
        **ranking_curves(labels, best.probabilities),
        **learning_curves(predictor.checkpoint.folder),
    }
    return report


def check_fresh_pass(answers: Answers, photographs: Sequence[Path]) -> dict:
    """Runs the network over the test photographs as the app does, and compares with the stored embeddings.

    Args:
        answers: of `answer_test_part`.
        photographs: of the test images, in their order.

    Returns:
        "images"; the "precision" of the fresh pass and of the stored embeddings; and the differences "embeddings" and
        "probabilities", see `check_answers`.

    Raises:
        UserError: the fresh answers are not the stored ones.
    """
    predictor, table = answers.predictor, answers.table.assign(path=photographs)
    embeddings, probabilities = check_answers(predictor, table, len(table))
    return {
        "images": len(table),
        "precision": {"fresh": predictor.precision, "stored": predictor.config.embedding_precision},
        "embeddings": embeddings,
        "probabilities": probabilities,
    }


def photographs_report(answers: Answers, photographs: Sequence[Path]) -> dict:
    """The parts of the report for which the network has to run over photographs.

    Args:
        answers: of `answer_test_part`.
        photographs: of the test images, in their order.

    Raises:
        UserError: a fresh pass does not agree with the stored embeddings; scikit-image is not installed.
    """
    predictor = answers.predictor
    return {
        "fresh pass": check_fresh_pass(answers, photographs),
        "novelty": out_of_distribution_report(
            predictor.checkpoint.detector,
            lambda image: one_an_image(predictor.features(image).embedding[None])[0],
            one_an_image(answers.embeddings),
            bootstrap_weights(answers.table.lesion_id, ROUNDS, SEED),
            photographs[:: math.ceil(len(photographs) / CHANGED)],
        ),
        "artefacts": artefact_report(predictor, answers.table, photographs),
    }


def nothing_known(answers: Answers) -> dict[str, dict[str, float]]:
    """The answer with every input absent, beside the training part's prevalence, by code."""
    predictor = answers.predictor
    metadata, known = predictor.config.encoder.encode([Metadata()])
    shown = predictor.answers(answers.embeddings[:1], metadata, known, SUBSETS[NOTHING])[0]
    return {
        code: {"probability": float(p), "training prevalence": float(q)}
        for code, p, q in zip(CODES, shown, predictor.config.calibration.prevalence, strict=True)
    }
