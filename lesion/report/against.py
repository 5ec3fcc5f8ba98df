"""Two checkpoints on the same test images."""

import pandas as pd

from lesion.errors import UserError
from lesion.files import sha256
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.metrics.scores import compare_models
from lesion.model.checkpoint import CONFIG
from lesion.report.answers import ROUNDS, SEED, Answers


def check_same_test_part(answers: Answers, other: Answers) -> None:
    """Checks that two checkpoints can be compared.

    Raises:
        UserError: they do not hold out exactly the same test images.
    """
    ours, theirs = set(answers.table.image_id), set(other.table.image_id)
    if ours != theirs:
        raise UserError(
            f"--against {other.predictor.checkpoint.folder} holds out other test images: {len(ours & theirs)} of "
            f"{answers.predictor.checkpoint.folder}'s {len(ours)} are among its {len(theirs)}. Compare checkpoints "
            "trained with the same --split and --split-seed."
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
