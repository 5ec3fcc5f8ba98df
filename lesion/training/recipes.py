"""The two recipes that make a checkpoint.

`frozen`, the reference recipe: the backbone never changes, so its embeddings are computed once and only the metadata
branch and the head are trained, with Adam, balanced class weights and early stopping on the validation loss.

`finetune`: the whole network, AdamW with layer-wise decay of the learning rate where the start is pretrained (Bao et
al., "BEiT", 2021), warm-up and cosine, stochastic depth, mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019), all
timm's; the best epoch by validation balanced accuracy is kept, and its head trained on as in `frozen`.

Both train every subset of the inputs: the complete one and random others, on the same embeddings.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from accelerate import Accelerator
from timm.data import resolve_model_data_config

from lesion.data.transforms import ImageTransform
from lesion.files import prepare_folder
from lesion.hardware import PRECISIONS, versions
from lesion.model.checkpoint import save_checkpoint
from lesion.model.checkpoint_config import CheckpointConfig
from lesion.model.held_out import HeldOut
from lesion.training.config import TrainingConfig
from lesion.training.curves import history_files
from lesion.training.data import prepare_data, working_size_of
from lesion.training.finetune import finetune
from lesion.training.finish import fit_after_training, print_validation
from lesion.training.head import train_frozen
from lesion.training.start import create_model, describe_start


def train(table: pd.DataFrame, config: TrainingConfig, output: Path, resume: bool = False) -> Path:
    """Trains, calibrates and writes a checkpoint folder.

    Args:
        table: of `lesion.data.ham10000.read_table`.
        config: everything else.
        output: the checkpoint folder. The resumable state and the running history.csv and curves.png are kept in its
            folder state/; a checkpoint that the folder already holds is replaced, with both, when the training is done.
        resume: go on from an interrupted run in `output`.

    Returns:
        `output`.

    Raises:
        UserError: the data, the start or the state cannot be used, or a file cannot be written.
    """
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    data = prepare_data(table, config.split, config.split_seed, config.class_weighting)
    model = create_model(config)
    backbone_data = resolve_model_data_config(model.backbone)
    working_size = working_size_of(table, config.evaluation_size)
    transform = ImageTransform(config.evaluation_size, working_size, backbone_data["mean"], backbone_data["std"])
    parts = ", ".join(f"{n} {len(getattr(data.split, n))}" for n in ("training", "validation", "test"))
    accelerator.print("\n".join(f"  {k}: {v}" for k, v in {**asdict(config), "images": parts, **versions()}.items()))
    prepare_folder(output)
    prepare_folder(output / "state")
    held_out_rows = np.union1d(data.split.validation, data.split.test)
    if config.recipe == "frozen":
        history, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    else:
        history = finetune(accelerator, model, data, transform, config, output, resume)
        # Mixup and random crops leave the head behind the backbone: it is trained on, on the finished embeddings.
        _, embeddings = train_frozen(accelerator, model, data, transform, config, output)
    training, validation = embeddings[data.split.training], embeddings[data.split.validation]
    fitted = fit_after_training(model.head, training, validation, data, config.fusion != "none")
    if accelerator.is_main_process:
        provenance = {
            **asdict(config),
            "init": describe_start(config.init),
            "images": {n: len(getattr(data.split, n)) for n in ("training", "validation", "test")},
            "minutes": round(history[-1]["minutes"], 1),
            "mixed_precision": accelerator.mixed_precision,
            "versions": versions(),
            "validation": fitted.validation,
        }
        checkpoint = CheckpointConfig(
            config.backbone,
            config.fusion,
            transform,
            data.encoder,
            fitted.calibration,
            fitted.prediction_sets,
            PRECISIONS[accelerator.mixed_precision],
            provenance,
        )
        held_out = table.iloc[held_out_rows].assign(test=np.isin(held_out_rows, data.split.test))
        held_out = HeldOut(held_out.drop(columns="path"), embeddings[held_out_rows])
        save_checkpoint(output, model, checkpoint, held_out, fitted.detector, history_files(history))
        print_validation(fitted.validation)
        print(f"Wrote {output}. The test part is opened by `python -m lesion.evaluate --checkpoint {output}`.")
    accelerator.wait_for_everyone()
    return output
