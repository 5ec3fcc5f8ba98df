"""The trainings of the reference systems."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd
from accelerate.utils import parse_choice_from_env

from lesion.data.ham10000 import DEFAULT_SPLIT_SEED, split_table
from lesion.errors import UserError
from lesion.model.checkpoint import CONFIG, load_config
from lesion.report.starts import start_in_words
from lesion.report.systems import System
from lesion.training.config import TrainingConfig
from lesion.training.recipes import train
from lesion.training.start import describe_start


@dataclass(frozen=True)
class Budget:
    """What is the same for every system.

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


def training_config(system: System, budget: Budget, seed: int) -> TrainingConfig:
    """The training of a system: the recipe "finetune" of train.py, the same for all."""
    init = budget.init
    if init not in ("imagenet", "scratch"):
        init = str(Path(init) / f"{system.backbone.split('.')[0]}.safetensors")
    return TrainingConfig(
        backbone=system.backbone, init=init, teacher=None, external=None, recipe="finetune", fusion=system.fusion,
        split=system.split, split_seed=DEFAULT_SPLIT_SEED, image_sizes=((budget.image_size, budget.epochs),),
        evaluation_size=budget.image_size, batch_size=budget.batch_size, learning_rate=budget.learning_rate, seed=seed,
        workers=budget.workers, class_weighting="sqrt", layer_decay=0.95 if init == "imagenet" else 1.0,
        drop_path_rate=0.1, mixup_probability=0.5, patience=10, mixed_precision=budget.mixed_precision,
    )  # fmt: skip


def check_runs(table: pd.DataFrame, systems: list[System], budget: Budget, seeds: list[int], output: Path) -> None:
    """Checks, before anything is trained, that every start can be read and every finished training is what is wanted.

    Args:
        table: of `read_table`.
        systems, budget, seeds: what to train.
        output: folder of all runs.

    Raises:
        UserError: a start file is missing or damaged, or a finished training in the folder had other settings, another
            start or other data.
    """
    wrong = []
    for system in systems:
        for seed in seeds:
            config = training_config(system, budget, seed)
            wanted = settings_of(table, config)
            if (run_folder(system, seed, output) / CONFIG).exists():
                done = load_config(run_folder(system, seed, output)).training
                changed = [
                    f"{name} {in_words(done.get(name))}, not {in_words(value)}"
                    for name, value in wanted.items()
                    if done.get(name) != value
                ]
                if changed:
                    wrong.append(f"{run_folder(system, seed, output)} holds a training with {'; '.join(changed)}.")
    if wrong:
        more = f" So do {len(wrong) - 1} other folders." if len(wrong) > 1 else ""
        raise UserError(f"{wrong[0]}{more} Give another --output, or remove them.")


def settings_of(table: pd.DataFrame, config: TrainingConfig) -> dict:
    """Everything that a training depends on, as its checkpoint records it.

    Raises:
        UserError: the start file is missing or damaged.
    """
    settings = json.loads(json.dumps(asdict(config)))  # JSON has no tuples
    del settings["workers"]  # they change the time, not the result
    split = split_table(table, config.split, config.split_seed)
    return settings | {
        "init": json.loads(json.dumps(describe_start(config.init))),
        "mixed_precision": config.mixed_precision or parse_choice_from_env("ACCELERATE_MIXED_PRECISION", "no"),
        "images": {part: len(getattr(split, part)) for part in ("training", "validation", "test")},
    }


def in_words(value: object) -> str:
    """A setting in an error: a start in words, anything else as it is."""
    if isinstance(value, dict) and "file" in value:
        return f"{start_in_words(value)} ({value['file']}, {value.get('sha256', 'no sha256')[:8]})"
    return str(value)


def run_folder(system: System, seed: int, output: Path) -> Path:
    """The checkpoint's folder of a training."""
    return output / f"{system.key}-seed{seed}"


def run(table: pd.DataFrame, system: System, budget: Budget, seed: int, output: Path) -> Path:
    """Trains a system, or continues its training, or takes it where it is finished; see `check_runs`.

    Args:
        table: of `read_table`.
        system, budget, seed: what to train.
        output: folder of all runs.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: as `lesion.training.recipes.train`.
    """
    folder = run_folder(system, seed, output)
    if (folder / CONFIG).exists():
        return folder
    return train(table, training_config(system, budget, seed), folder, resume=True)
