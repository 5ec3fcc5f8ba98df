"""The report on the test part."""

import math

from sklearn.metrics import confusion_matrix

from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.files import sha256
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.metrics import CLASSES, DEFINITIONS, RULES, decide, rule_in_words
from lesion.metrics.scores import Scores
from lesion.model.calibration import NOTHING, SUBSETS, VIEWS
from lesion.model.checkpoint import CONFIG
from lesion.model.fusion import one_an_image
from lesion.report.answers import ROUNDS, SEED, Answers
from lesion.report.calibration import calibration_report
from lesion.report.coverage import conformal_report
from lesion.report.curves import learning_curves, ranking_curves
from lesion.report.out_of_distribution import novelty_report
from lesion.report.subgroups import subgroups

CHANGED = 40
"""Test photographs at most that are blurred and half covered, to see whether that is noticed."""


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
