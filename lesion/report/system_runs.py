"""The trainings of the reference systems."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from lesion.data.ham10000 import DEFAULT_SPLIT_SEED
from lesion.errors import UserError
from lesion.model.checkpoint import CONFIG, load_config
from lesion.report.systems import System
from lesion.training.config import TrainingConfig
from lesion.training.recipes import train


@dataclass(frozen=True)
class Budget:
    """What every system gets alike.

    Attributes:
        image_size: side of the square input, in training and prediction, pixels.
        epochs, batch_size, learning_rate, workers: see `lesion.training.loop.LoopConfig`.
        init: "imagenet", "scratch", or a folder that holds ARCHITECTURE.safetensors, made by `lesion.pretrain`, for
            each architecture (convnext_small, densenet121, efficientnet_b0).
        mixed_precision: "no", "bf16" or "fp16"; None for what `accelerate launch` was told.
    """

    image_size: int
    epochs: int
    batch_size: int
    learning_rate: float
    workers: int
    init: str
    mixed_precision: str | None


def start_in_words(init: str | dict[str, str]) -> str:
    """The start of the trainings, from what a checkpoint records of it."""
    if isinstance(init, str):
        return {"imagenet": "ImageNet weights", "scratch": "random weights"}[init]
    return (
        f"a pretraining of each backbone alike, on {init['images']} photographs of {init['classes']} classes at "
        f"{init['image_size']} × {init['image_size']} pixels, {init['epoch']} epochs"
    )


def training_config(system: System, budget: Budget, seed: int) -> TrainingConfig:
    """The training of a system: the recipe "finetune" of train.py, the same for all."""
    init = budget.init
    if init not in ("imagenet", "scratch"):
        init = str(Path(init) / f"{system.backbone.split('.')[0]}.safetensors")
    return TrainingConfig(
        backbone=system.backbone, init=init, recipe="finetune", fusion=system.fusion, split=system.split,
        split_seed=DEFAULT_SPLIT_SEED, image_sizes=((budget.image_size, budget.epochs),),
        evaluation_size=budget.image_size, batch_size=budget.batch_size, learning_rate=budget.learning_rate, seed=seed,
        workers=budget.workers, class_weighting="sqrt", layer_decay=0.95 if init == "imagenet" else 1.0,
        drop_path_rate=0.1, mixup_probability=0.5, patience=10, mixed_precision=budget.mixed_precision,
    )  # fmt: skip


def run(table: pd.DataFrame, system: System, budget: Budget, seed: int, output: Path) -> Path:
    """Trains a system, or goes on with its training, or finds it finished.

    Args:
        table: of `read_table`.
        system, budget, seed: what to train.
        output: folder of all runs.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: a finished training in the folder had other settings.
    """
    folder, config = output / f"{system.key}-seed{seed}", training_config(system, budget, seed)
    if not (folder / CONFIG).exists():
        return train(table, config, folder, resume=True)
    done = load_config(folder).training
    wanted = {"image_sizes": [list(stage) for stage in config.image_sizes], "batch_size": config.batch_size,
              "learning_rate": config.learning_rate, "backbone": config.backbone, "split_seed": config.split_seed,
              }  # fmt: skip
    changed = [f"{name} {done[name]}, not {value}" for name, value in wanted.items() if done[name] != value]
    if changed:
        raise UserError(f"{folder} holds a training with {'; '.join(changed)}. Give another --output, or remove it.")
    return folder
