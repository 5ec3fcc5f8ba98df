"""The recipe `finetune`: the whole network.

AdamW with layer-wise decay of the learning rate where the start is pretrained (Bao et al., "BEiT", 2021), warm-up and
cosine, stochastic depth, mixup (Zhang et al., 2018) and cutmix (Yun et al., 2019), all timm's. The last stage's epoch
with the least validation log-loss is kept, averaged over the complete input and the image alone: an accuracy on a
thousand photographs, of which eleven are dermatofibromas, would choose by luck.
"""

import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from timm.optim import param_groups_layer_decay, param_groups_weight_decay
from torch import nn
from torch.utils.data import ConcatDataset, Dataset

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.ham10000 import Ham10000
from lesion.data.reading import read_image
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import write_atomically, write_together
from lesion.model.fusion import FusionModel
from lesion.training.augmentation import augment, normalise
from lesion.training.choice import agreement, note_losses, read_losses
from lesion.training.config import TrainingConfig, views_of
from lesion.training.curves import history_files
from lesion.training.data import TrainingData
from lesion.training.distillation import SHARE, Teacher, divergence
from lesion.training.examples import map_examples
from lesion.training.external import ExternalPhotographs
from lesion.training.frames import RESOLUTION, Frames, make_frames
from lesion.training.head import epoch_metrics
from lesion.training.loop import LoopConfig, fit
from lesion.training.state import first_line
from lesion.training.subsets import MultimodalMixup, random_subsets, subset_losses

BEST = "best.safetensors"


class TrainingFrames(Dataset):
    """Photographs with their records: (frame, metadata, label)."""

    def __init__(self, frames: Frames, metadata: np.ndarray, labels: np.ndarray):
        self.frames, self.metadata, self.labels = frames, metadata, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, np.ndarray, int]:
        return self.frames[index], self.metadata[index], self.labels[index]


def training_frames(
    accelerator: Accelerator, data: TrainingData, transform: ImageTransform, config: TrainingConfig, folder: Path
) -> TrainingFrames:
    """The training part, decoded."""
    table = data.table.iloc[data.split.training]
    paths = list(table.path)
    stats = [Path(path).stat() for path in paths]
    identities = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in zip(table.image_id, stats, strict=True)]
    side = frame_side(transform, config)
    frames = make_frames(accelerator, folder, lambda index: read_image(paths[index]), identities, side)
    rows = data.split.training
    return TrainingFrames(frames, data.metadata[rows], data.labels[rows])


def external_frames(
    accelerator: Accelerator,
    external: ExternalPhotographs,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    folder: Path,
) -> TrainingFrames:
    """The photographs from elsewhere, decoded, their records encoded as HAM10000's."""
    side = frame_side(transform, config)
    frames = make_frames(accelerator, folder, external.read, external.identities, side)
    return TrainingFrames(frames, data.encoder.encode(external.records)[0], external.labels)


def frame_side(transform: ImageTransform, config: TrainingConfig) -> int:
    """Of the decoded photographs, pixels."""
    return min(transform.working_size, round(RESOLUTION * max(size for size, _ in config.image_sizes)))


class Objective:
    """The loss of a batch: augmented, mixed, on several subsets of the inputs, with a teacher or without.

    Args:
        config, data, transform: of the training.
        accelerator: carries device and precision.
        teacher: or None.
    """

    def __init__(
        self,
        config: TrainingConfig,
        data: TrainingData,
        transform: ImageTransform,
        accelerator: Accelerator,
        teacher: Teacher | None,
    ):
        self.config, self.transform, self.accelerator = config, transform, accelerator
        self.teacher = teacher.to(accelerator.device) if teacher else None
        self.weights = torch.tensor(data.weights, dtype=torch.float32, device=accelerator.device)
        self.mixup = MultimodalMixup(
            mixup_alpha=0.4, cutmix_alpha=1.0, prob=config.mixup_probability, switch_prob=0.3, label_smoothing=0.0,
            num_classes=len(DIAGNOSES),
        )  # fmt: skip

    def __call__(self, model: nn.Module, batch: list, epoch: int) -> torch.Tensor:
        """float (B,), one an example; see `lesion.training.loop.fit`."""
        frames, metadata, labels = batch
        rotated = torch.ones(len(frames), dtype=torch.bool, device=frames.device)
        images = augment(frames, self.config.size_at(epoch), rotated)
        if len(images) % 2:  # timm's mixup takes pairs
            images, metadata, labels = (torch.cat([x, x[:1]]) for x in (images, metadata, labels))
        images, metadata, targets = (x[: len(frames)] for x in self.mixup(images, metadata, labels))
        present = random_subsets(len(images)).to(images.device)
        inputs = normalise(images, self.transform.mean, self.transform.std)
        logits = model(inputs.contiguous(memory_format=torch.channels_last), metadata, present)
        losses = subset_losses(logits, targets, self.weights)
        if self.teacher is None:
            return losses
        with self.accelerator.autocast():
            answers = self.teacher(images, metadata, present)
        return (1 - SHARE) * losses + SHARE * divergence(logits, answers)


def parameter_groups(model: FusionModel, config: TrainingConfig) -> list[dict]:
    """The optimiser's groups: a pretrained backbone's first layers learn more slowly than its last ones."""
    if config.init == "scratch" or config.layer_decay == 1:
        return param_groups_weight_decay(model, LoopConfig.weight_decay)
    backbone = param_groups_layer_decay(model.backbone, LoopConfig.weight_decay, layer_decay=config.layer_decay)
    return backbone + param_groups_weight_decay(model.head, LoopConfig.weight_decay)


def fingerprint_of(
    config: TrainingConfig,
    data: TrainingData,
    start_sha256: str,
    teacher: Teacher | None,
    external: ExternalPhotographs | None,
) -> dict:
    """What a resumed run must agree with: the settings, and the content of the data sets, the start and the teacher."""
    # JSON turns the tuples of the configuration into the lists that the state file gives back.
    fingerprint = json.loads(json.dumps(asdict(config)))
    for name in ("workers", "evaluation_size", "patience"):
        del fingerprint[name]
    # Without the paths: the files may lie elsewhere when the training goes on.
    content = data.table.drop(columns="path").to_csv(index=False)
    fingerprint["data set"] = hashlib.sha256(content.encode()).hexdigest()[:12]
    if config.init not in ("imagenet", "scratch"):
        fingerprint["init"] = start_sha256
    fingerprint["teacher"] = teacher.fingerprint if teacher else None
    fingerprint["external"] = f"{config.external.epochs} epochs of {external.digest()}" if external else None
    return fingerprint


def finetune(
    accelerator: Accelerator,
    model: FusionModel,
    data: TrainingData,
    transform: ImageTransform,
    config: TrainingConfig,
    start_sha256: str,
    external: ExternalPhotographs | None,
    output: Path,
    resume: bool,
) -> list[dict]:
    """Trains the whole network; the best epoch's averaged weights are left in `model`.

    Args:
        accelerator: carries device, mixed precision and processes.
        model: at its start.
        data, transform, config: of the training.
        start_sha256: of the file it started from, "" without one.
        external: what `config.external` names, or None.
        output: the checkpoint folder; the state is kept in its folder state/.
        resume: go on from the state where it exists.

    Returns:
        The history, one dictionary an epoch.

    Raises:
        UserError: as `lesion.training.loop.fit`, or the teacher cannot be used.
    """
    folder = output / "state"
    validation = data.table.iloc[data.split.validation]

    def on_epoch_end(history: list[dict], averaged: FusionModel) -> None:
        row = history[-1]
        row["size"] = config.size_at(row["epoch"] - 1)
        images = Ham10000(validation, transform=replace(transform, size=row["size"]))
        embeddings = map_examples(accelerator, averaged.eval().embed, images, config.batch_size, config.workers)
        metrics, losses = epoch_metrics(averaged.head, embeddings, data, views_of(config))
        row |= metrics
        if accelerator.is_main_process:
            note_losses(folder, row["epoch"], losses)
            # Earlier stages made models for smaller images: the choice is among the last stage's epochs.
            last_stage = [h["validation_loss"] for h in history if h["size"] == config.image_sizes[-1][0]]
            if row["validation_loss"] <= min(last_stage, default=-math.inf):
                state = {k: v.cpu().contiguous() for k, v in averaged.state_dict().items()}
                content = save(state, {"epoch": str(row["epoch"])})
                write_atomically(folder / BEST, lambda path: path.write_bytes(content))
            write_together({folder / name: write for name, write in history_files(history).items()})

    teacher = Teacher(Path(config.teacher), data) if config.teacher else None
    loop = LoopConfig(
        epochs=config.epochs, batch_size=config.batch_size, learning_rate=config.learning_rate, seed=config.seed,
        workers=config.workers,
    )  # fmt: skip
    examples = training_frames(accelerator, data, transform, config, folder)
    sizes = [len(examples)] * config.epochs
    if external:
        elsewhere = external_frames(accelerator, external, data, transform, config, folder)
        examples = ConcatDataset([examples, elsewhere])
        sizes[: config.external.epochs] = [len(examples)] * config.external.epochs
    _, history = fit(
        accelerator, model, parameter_groups(model, config), examples,
        Objective(config, data, transform, accelerator, teacher), loop, folder / "last.pt",
        fingerprint_of(config, data, start_sha256, teacher, external), on_epoch_end, resume, sizes,
    )  # fmt: skip
    accelerator.wait_for_everyone()
    try:
        model.load_state_dict(load_file(folder / BEST))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{folder / BEST} cannot be read ({first_line(error)}); remove {folder} to start anew."
        ) from None
    return history


def describe_choice(history: list[dict], data: TrainingData, folder: Path) -> dict:
    """The epoch that was kept, of how many, and how firmly.

    Args:
        history: of `finetune`.
        data: of the training.
        folder: of its state.
    """
    losses = read_losses(folder)
    candidates = [row["epoch"] for row in history if row["size"] == history[-1]["size"]]
    of_candidates = losses[[epoch - 1 for epoch in candidates]]
    lesions = data.table.lesion_id.to_numpy()[data.split.validation]
    return {
        "epoch": candidates[int(of_candidates.mean(1).argmin())],
        "candidates": len(candidates),
        "agreement": agreement(of_candidates, lesions),
    }
