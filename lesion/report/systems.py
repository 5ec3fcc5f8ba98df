"""The reference systems trained and scored side by side."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from lesion.data.ham10000 import DEFAULT_SPLIT_SEED, records_of
from lesion.data.metadata import WIDTH
from lesion.errors import UserError
from lesion.inference.predictor import Predictor
from lesion.metrics.bootstrap import bootstrap_weights, interval
from lesion.metrics.scores import Scores
from lesion.model.calibration import EVERYTHING, IMAGE_ALONE, SUBSETS
from lesion.model.checkpoint import CONFIG, load_checkpoint, load_config
from lesion.model.fusion import DEFAULT_BACKBONE, FusionModel, create_backbone
from lesion.training.config import TrainingConfig
from lesion.training.loop import keep_depthwise_in_float32
from lesion.training.recipes import train
from lesion.training.subsets import random_subsets

SYSTEMS_FILE = "systems.json"


@dataclass(frozen=True)
class System:
    """One of the systems.

    Attributes:
        key: name of its folder.
        name: for people.
        backbone: timm model name.
        fusion: one of `lesion.model.fusion.FUSIONS`.
        split: "lesion" or "image".
    """

    key: str
    name: str
    backbone: str
    fusion: str
    split: str = "lesion"


SYSTEMS = (
    System("convnext_concat", "ConvNeXt-Small and metadata, concatenation", DEFAULT_BACKBONE, "concat"),
    System("convnext_image", "ConvNeXt-Small, image only", DEFAULT_BACKBONE, "none"),
    System("convnext_metablock", "ConvNeXt-Small and metadata, MetaBlock", DEFAULT_BACKBONE, "metablock"),
    System("densenet_image", "DenseNet121, image only", "densenet121.ra_in1k", "none"),
    System("efficientnet_image", "EfficientNet-B0, image only", "efficientnet_b0.ra_in1k", "none"),
    System("concat_by_image", "ConvNeXt-Small and metadata, concatenation", DEFAULT_BACKBONE, "concat", "image"),
)  # fmt: skip
"""The first is what the others are compared with; the one split by image has other test images and stands apart."""
PUBLISHED = (
    {"name": "reference work, ConvNeXt and metadata", "accuracy": 0.7179, "weighted_f1": 0.74},
    {"name": "reference work, EfficientNet-B0, image only", "accuracy": 0.6990},
)
"""As published; split by image, scored on the images that served for early stopping."""


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


def test_answers(folder: Path) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """What a finished training answers on its test part, from the embeddings stored with it.

    Args:
        folder: of the checkpoint.

    Returns:
        The table of the test images, their probabilities, float64 (N, 7), and the training part's prevalence, (7,).
    """
    checkpoint = load_checkpoint(folder)
    held_out = checkpoint.held_out()
    rows = np.flatnonzero(held_out.table.test)
    table = held_out.table.iloc[rows]
    metadata, known = checkpoint.config.encoder.encode(records_of(table))
    present = SUBSETS[EVERYTHING if checkpoint.config.metadata else IMAGE_ALONE]
    probabilities = Predictor(checkpoint).answers(held_out.embeddings[rows], metadata, known, present)
    return table, probabilities, checkpoint.config.calibration.prevalence


def mean_over_seeds(scores: list[Scores], other: list[Scores] | None = None) -> dict[str, dict]:
    """Figures averaged over seeds, with intervals, or their paired differences from another system's.

    Args:
        scores: of a system, one a seed.
        other: of the system to subtract, on the same test images with the same bootstrap weights.

    Returns:
        {metric: {"value", "interval", "seeds": the value of each seed}}, of all metrics but the calibration error.
    """
    out = {}
    for name in scores[0].values.keys() - {"ece"}:  # its interval is no percentile of draws
        values, draws = [s.values[name] for s in scores], [s.draws[name] for s in scores]
        if other is not None:
            values = [a - b.values[name] for a, b in zip(values, other, strict=True)]
            draws = [a - b.draws[name] for a, b in zip(draws, other, strict=True)]
        out[name] = {"value": float(np.mean(values)), "interval": interval(np.mean(draws, axis=0)), "seeds": values}
    return out


def measure_speed(systems: list[System], image_size: int, repeats: int = 20) -> dict[str, dict[str, float]]:
    """Parameters, and times measured in turns so that whatever slows the machine slows all of them.

    Args:
        systems: to measure; their weights do not matter.
        image_size: pixels.
        repeats: of which the median counts.

    Returns:
        By key: "parameters", "latency_ms" (one image, float32, the backbone and the head on one record, on this CPU)
        and "training_ms" (an image of a step with 32, bfloat16, without reading images).
    """
    batch, out, models = 32, {}, {}
    for system in systems:
        model = FusionModel(create_backbone(system.backbone), system.fusion).to(memory_format=torch.channels_last)
        keep_depthwise_in_float32(model)
        models[system.key] = model
        parameters = sum(p.numel() for p in model.parameters())
        out[system.key] = {"parameters": parameters, "latency_ms": [], "training_ms": []}
    images = torch.randn(batch, 3, image_size, image_size).to(memory_format=torch.channels_last)
    metadata, present = torch.zeros(batch, WIDTH), random_subsets(batch)
    for turn in range(repeats + 2):
        for key, model in models.items():
            model.eval()
            started = time.perf_counter()
            with torch.inference_mode():
                model(images[:1], metadata[:1], present[:1, :1])
            answered = time.perf_counter()
            model.train()
            with torch.autocast("cpu", torch.bfloat16):
                loss = model(images, metadata, present).float().square().mean()
            loss.backward()
            model.zero_grad()
            trained = time.perf_counter()
            if turn > 1:  # the first turns choose kernels
                out[key]["latency_ms"].append(1000 * (answered - started))
                out[key]["training_ms"].append(1000 * (trained - answered) / batch)
    return {
        key: {"parameters": row["parameters"], **{n: statistics.median(row[n]) for n in ("latency_ms", "training_ms")}}
        for key, row in out.items()
    }


def compare(folders: dict[str, list[Path]]) -> dict[str, dict]:
    """Scores finished trainings on their test parts.

    Args:
        folders: by a system's key, its checkpoints, one a seed, the same seeds for all.

    Returns:
        By key: "metrics", with the images and lesions they are of, and for every system split by lesion but the first
        "first minus this", paired.
    """
    splits = {system.key: system.split for system in SYSTEMS}
    scores: dict[str, list[Scores]] = {key: [] for key in folders}
    out, weights = {}, {}
    for key, runs in folders.items():
        for folder in runs:
            table, probabilities, prevalence = test_answers(folder)
            if splits[key] not in weights:
                weights[splits[key]] = bootstrap_weights(table.lesion_id)
            labels, weighting = table.label.to_numpy(), weights[splits[key]]
            scores[key].append(Scores(labels, probabilities, prevalence, weighting, table.lesion_id))
        out[key] = {
            "images": len(table),
            "lesions": int(table.lesion_id.nunique()),
            "metrics": mean_over_seeds(scores[key]),
        }
    first = SYSTEMS[0].key
    for key in folders:
        if key != first and splits[key] == splits[first]:
            out[key]["first minus this"] = mean_over_seeds(scores[first], scores[key])
    return out
