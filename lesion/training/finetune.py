"""The whole network, fine-tuned."""

import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import Ham10000
from lesion.data.transforms import ImageTransform, training_transform
from lesion.errors import UserError
from lesion.files import write_atomically, write_together
from lesion.model.fusion import FusionModel
from lesion.training.config import TrainingConfig, views_of
from lesion.training.curves import history_files
from lesion.training.data import TrainingData
from lesion.training.examples import map_examples
from lesion.training.head import epoch_metrics
from lesion.training.loop import AugmentedDataset, LoopConfig, fit
from lesion.training.state import first_line
from lesion.training.subsets import MultimodalMixup, random_subsets, subset_losses


def finetune(
    accelerator: Accelerator,
    model: FusionModel,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    output: Path,
    resume: bool,
) -> list[dict]:
    """Trains the whole network; the best epoch's averaged weights are left in `model`.

    Returns:
        The history, one dictionary an epoch.
    """
    rows = data.split.training
    augmentations = [training_transform(transform, config.size_at(epoch)) for epoch in range(config.epochs)]
    images = Ham10000(data.table.iloc[rows], data.metadata[rows], data.labels[rows])
    mixup = MultimodalMixup(
        mixup_alpha=0.4, cutmix_alpha=1.0, prob=config.mixup_probability, switch_prob=0.3, label_smoothing=0.0,
        num_classes=len(DIAGNOSES),
    )  # fmt: skip
    weights = torch.tensor(data.weights, dtype=torch.float32, device=accelerator.device)

    def loss(model: nn.Module, batch: list) -> torch.Tensor:
        images, metadata, targets = mixup(*batch)
        present = random_subsets(len(images)).to(images.device)
        return subset_losses(model(images, metadata, present), targets, weights)

    if config.init == "scratch" or config.layer_decay == 1:
        groups = param_groups_weight_decay(model, LoopConfig.weight_decay)
    else:
        groups = param_groups_layer_decay(
            model.backbone, LoopConfig.weight_decay, layer_decay=config.layer_decay
        ) + param_groups_weight_decay(model.head, LoopConfig.weight_decay)
    state_folder = output / "state"
    best_path = state_folder / "best.safetensors"
    validation = data.table.iloc[data.split.validation]

    def on_epoch_end(history: list[dict], averaged: FusionModel) -> None:
        row = history[-1]
        row["size"] = config.size_at(row["epoch"] - 1)
        images = Ham10000(validation, transform=replace(transform, size=row["size"]))
        embeddings = map_examples(accelerator, averaged.eval().embed, images, config.batch_size, config.workers)
        row |= epoch_metrics(averaged.head, embeddings, data, views_of(config))
        if accelerator.is_main_process:
            # Earlier stages made models for smaller images: the choice is among the last stage's epochs.
            last_stage = [h["balanced_accuracy"] for h in history if h["size"] == config.image_sizes[-1][0]]
            if row["balanced_accuracy"] >= max(last_stage, default=math.inf):
                state = {k: v.cpu().contiguous() for k, v in averaged.state_dict().items()}
                content = save(state, {"epoch": str(row["epoch"])})
                write_atomically(best_path, lambda path: path.write_bytes(content))
            write_together({state_folder / name: write for name, write in history_files(history).items()})

    loop = LoopConfig(
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        workers=config.workers,
    )  # fmt: skip
    # JSON turns the tuples of the configuration into the lists that the state file gives back.
    fingerprint = json.loads(json.dumps(asdict(config)))
    for name in ("workers", "evaluation_size", "patience"):
        del fingerprint[name]
    # Without the paths: the data set may lie elsewhere when the training goes on.
    content = data.table.drop(columns="path").to_csv(index=False)
    fingerprint["data set"] = hashlib.sha256(content.encode()).hexdigest()[:12]
    _, history = fit(
        accelerator, model, groups, AugmentedDataset(images, augmentations, config.seed), loss, loop,
        state_folder / "last.pt", fingerprint, on_epoch_end, resume,
    )  # fmt: skip
    accelerator.wait_for_everyone()
    try:
        model.load_state_dict(load_file(best_path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{best_path} cannot be read ({first_line(error)}); remove {state_folder} to start anew."
        ) from None
    return history
