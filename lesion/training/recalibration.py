"""What follows training, fitted again on a finished checkpoint."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from lesion.data.ham10000 import read_table, records_of
from lesion.errors import UserError
from lesion.files import prepare_folder
from lesion.model.calibration import SUBSETS, effective
from lesion.model.checkpoint import Checkpoint, save_checkpoint
from lesion.model.conformal import fit_prediction_sets
from lesion.model.fusion import head_logits
from lesion.model.seen import FILE, read_seen
from lesion.training.data import prepare_data
from lesion.training.embeddings import embed_table
from lesion.training.finish import fit_after_training, print_validation


def recalibrate(checkpoint: Checkpoint, data: Path, output: Path, mixed_precision: str | None) -> None:
    """Writes the checkpoint with what follows training fitted again.

    Args:
        checkpoint: of `load_checkpoint`.
        data: folder of the data set it was trained on.
        output: folder to write; the checkpoint's own, or another.
        mixed_precision: of the pass over the training images: "no", "bf16" or "fp16".

    Raises:
        UserError: the data set splits into other parts than the checkpoint's, or `output` cannot be written.
    """
    config, held_out = checkpoint.config, checkpoint.held_out()
    recorded = config.training
    prepared = prepare_data(read_table(data), recorded["split"], recorded["split_seed"], recorded["class_weighting"])
    rows = np.union1d(prepared.split.validation, prepared.split.test)
    if list(prepared.table.image_id.iloc[rows]) != list(held_out.table.image_id):
        raise UserError(
            f"{data} does not split into the parts that {checkpoint.folder} was trained with; give the same data set."
        )
    prepare_folder(output)
    accelerator = Accelerator(mixed_precision=mixed_precision)
    training_table = prepared.table.iloc[prepared.split.training]
    training = embed_table(accelerator, checkpoint.model, training_table, config.transform, None)
    validation = held_out.embeddings[np.isin(rows, prepared.split.validation)]
    fitted = fit_after_training(checkpoint.model.head, training, validation, prepared, config.metadata)
    changed = replace(
        config, calibration=fitted.calibration, prediction_sets=fitted.prediction_sets,
        training={**recorded, "validation": fitted.validation},
    )  # fmt: skip
    save_checkpoint(output, checkpoint.model, changed, held_out, fitted.detector, seen_beside(checkpoint.folder))
    print_validation(fitted.validation)


def refit_prediction_sets(checkpoint: Checkpoint, output: Path) -> None:
    """Writes the checkpoint with its prediction sets fitted again; all else stays, and no data set is needed.

    Args:
        checkpoint: of `load_checkpoint`; the embeddings of its validation part are stored with it.
        output: folder to write; the checkpoint's own, or another.

    Raises:
        UserError: the stored embeddings are missing or damaged, or `output` cannot be written.
    """
    config, held_out = checkpoint.config, checkpoint.held_out()
    rows = np.flatnonzero(~held_out.table.test)
    table = held_out.table.iloc[rows]
    metadata, known = config.encoder.encode(records_of(table))
    logits = np.stack(
        [head_logits(checkpoint.model.head, held_out.embeddings[rows], metadata, present) for present in SUBSETS]
    )
    probabilities = config.calibration.probabilities(logits, np.stack([effective(subset, known) for subset in SUBSETS]))
    fitted = fit_prediction_sets(probabilities, known, table.label.to_numpy(), table.lesion_id.to_numpy())
    changed = replace(config, prediction_sets=fitted)
    save_checkpoint(output, checkpoint.model, changed, held_out, checkpoint.detector, seen_beside(checkpoint.folder))


def seen_beside(folder: Path) -> dict[str, Callable[[Path], object]]:
    """What a checkpoint has seen, to be written beside another one of the same training; nothing where it has no file.

    Raises:
        UserError: it is damaged.
    """
    content = read_seen(folder).content()
    return {FILE: lambda path: path.write_bytes(content)} if (folder / FILE).exists() else {}
