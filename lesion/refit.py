"""Fit again what follows training, on a finished checkpoint: `python -m lesion.refit --data DIR --checkpoint weights`.

Calibration, conformal thresholds and the check for other pictures are fitted anew as train.py fits them; the weights
and the held-out embeddings stay as they are. The test part plays no role. `lesion.evaluate` has to be run afterwards.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from accelerate import Accelerator

from lesion.data.ham10000 import read_table
from lesion.errors import UserError
from lesion.model.checkpoint import Checkpoint, load_checkpoint, prepare_folder, save_checkpoint
from lesion.training.embeddings import embed_table
from lesion.training.recipes import fit_after_training, prepare_data, print_validation


def refit(checkpoint: Checkpoint, data: Path, output: Path, mixed_precision: str | None) -> None:
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
        config, calibration=fitted.calibration, conformal=fitted.conformal,
        training={**recorded, "validation": fitted.validation},
    )  # fmt: skip
    save_checkpoint(output, checkpoint.model, changed, held_out, fitted.familiarity)
    print_validation(fitted.validation)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lesion.refit", description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of HAM10000")
    parser.add_argument("--checkpoint", type=Path, default=Path("weights"), help="folder (default %(default)s)")
    parser.add_argument("--output", type=Path, help="folder to write (default: the checkpoint's)")
    parser.add_argument("--mixed-precision", choices=("no", "bf16", "fp16"), default="no")
    args = parser.parse_args()
    try:
        refit(load_checkpoint(args.checkpoint), args.data, args.output or args.checkpoint, args.mixed_precision)
    except UserError as error:
        sys.exit(f"error: {error}")
    print("Run `python -m lesion.evaluate` now: the report of the checkpoint as it was has been removed.")


if __name__ == "__main__":
    main()
