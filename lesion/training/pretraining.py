"""Supervised pretraining of a timm backbone on classified photographs of any kind.

Each source has a label space of its own and so a classifier of its own: two collections may name a class alike and mean
different pictures. The recipe is the plain one of timm's training script: random resized crops, flips, colour jitter,
label smoothing (Szegedy et al., 2016), AdamW with warm-up and cosine, averaged weights. A ConvNeXt may start shallow
and grow, see `lesion.training.growing`; it may learn from another network's features as well, see
`lesion.training.feature_distillation`.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from accelerate import Accelerator
from safetensors.torch import save
from timm.data import resolve_model_data_config
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.nn import functional
from torch.utils.data import Dataset, Subset

from lesion.files import prepare_folder, write_atomically, write_together
from lesion.model.fusion import create_backbone
from lesion.model.seen import SeenPhotographs, together
from lesion.training.augmentation import augment, normalise
from lesion.training.class_folders import ClassFolders
from lesion.training.examples import map_examples
from lesion.training.feature_distillation import SHARE, FeatureTeacher, direction_loss
from lesion.training.frames import RESOLUTION, Frames, make_frames
from lesion.training.growing import grow, layer_scales
from lesion.training.loop import LoopConfig, fit
from lesion.training.seen import seen_in_folders
from lesion.training.start import CLASSIFIER, SEEN_IDS, UNLISTED, Start, commit, load_start, read_start

HELD_OUT = 0.01  # of each source's photographs, to report accuracy on
SMALLEST_AREA = 0.35
DROP_PATH_RATE = 0.05
LABEL_SMOOTHING = 0.1


@dataclass(frozen=True)
class Source:
    """Photographs to learn from.

    Attributes:
        folders: their content.
        rotated: whether they may be turned by any angle; a lesion has no up.
        repeats: times that each is seen in an epoch.
    """

    folders: ClassFolders
    rotated: bool
    repeats: int


@dataclass(frozen=True)
class PretrainingConfig:
    """What a pretraining is made of, beside its sources and the settings of the loop.

    Attributes:
        backbone: timm model name.
        depths: blocks of each stage of a ConvNeXt; None for the architecture's own.
        image_size: side of the square input, pixels.
        mixed_precision: "no", "bf16" or "fp16"; None for what `accelerate launch` was told.
        init: a file of an earlier pretraining to start from; None for random weights.
        grow: whether the start has fewer blocks and is to be grown.
        teacher: see `lesion.training.feature_distillation.FeatureTeacher`, or None.
    """

    backbone: str
    depths: tuple[int, ...] | None
    image_size: int
    mixed_precision: str | None
    init: Path | None
    grow: bool
    teacher: str | None


class LabelledFrames(Dataset):
    """The photographs of all sources one after another: (frame, source, label, rotated)."""

    def __init__(self, frames: list[Frames], sources: Sequence[Source]):
        self.frames = frames
        self.source = np.repeat(np.arange(len(sources)), [len(s.folders) for s in sources])
        self.row = np.concatenate([np.arange(len(s.folders)) for s in sources])
        self.label = np.concatenate([s.folders.labels for s in sources])
        self.rotated = [s.rotated for s in sources]

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int, int, bool]:
        source = int(self.source[index])
        return self.frames[source][int(self.row[index])], source, int(self.label[index]), self.rotated[source]


class Classifier(nn.Module):
    """A backbone and, on its pooled features, one linear layer for each source, and one for a teacher.

    Args:
        backbone: of `create_backbone`.
        classes: of each source.
        taught: width of the teacher's features; None without one.
    """

    def __init__(self, backbone: nn.Module, classes: Sequence[int], taught: int | None = None):
        super().__init__()
        width = backbone.head_hidden_size
        self.backbone = backbone
        self.classifiers = nn.ModuleList(nn.Linear(width, count) for count in classes)
        self.projection = nn.Linear(width, taught) if taught else None

    def forward(self, images: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """float (B, 3, H, W) to the logits of every source, each (B, classes), and the features as the teacher's,
        (B, taught)."""
        features = self.backbone(images)
        logits = [classifier(features) for classifier in self.classifiers]
        return logits, self.projection(features) if self.projection else None


def source_losses(logits: list[torch.Tensor], sources: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each photograph in the label space of its own source, float (B,).

    Args:
        logits: of `Classifier`, one of each source.
        sources, labels: int (B,).
    """
    losses = torch.zeros(len(labels), device=labels.device)
    for source, of_source in enumerate(logits):
        rows = (sources == source).nonzero()[:, 0]
        losses[rows] = functional.cross_entropy(
            of_source[rows].float(), labels[rows], label_smoothing=LABEL_SMOOTHING, reduction="none"
        )
    return losses


def split_sources(sources: Sequence[Source], seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Rows of `LabelledFrames` to train on, with their repeats, and the held-out rows of each source."""
    training, held_out, first = [], [], 0
    for number, source in enumerate(sources):
        order = first + np.random.default_rng([seed, number]).permutation(len(source.folders))
        count = max(1, round(HELD_OUT * len(order)))
        held_out.append(np.sort(order[:count]))
        training += [np.sort(order[count:])] * source.repeats
        first += len(order)
    return np.concatenate(training), held_out


def describe_sources(sources: Sequence[Source]) -> list[dict]:
    """What a start records of each source."""
    return [
        {
            "name": source.folders.source.name, "images": len(source.folders), "classes": len(source.folders.classes),
            "repeats": source.repeats, "rotated": source.rotated, "content": source.folders.digest(),
        }
        for source in sources
    ]  # fmt: skip


def create_classifier(
    config: PretrainingConfig, sources: Sequence[Source], taught: int | None
) -> tuple[Classifier, Start, list[str]]:
    """The network at its start, where it started from, and the layer scales inserted where it was grown.

    Args:
        config, sources: of the pretraining.
        taught: see `Classifier`.

    Raises:
        UserError: the start cannot be read, or does not fit.
    """
    backbone = create_backbone(config.backbone, drop_path_rate=DROP_PATH_RATE, depths=config.depths)
    model = Classifier(backbone, [len(s.folders.classes) for s in sources], taught)
    if config.init is None:
        return model, Start({}, {}, "", "", SeenPhotographs()), []
    start, inserted = read_start(config.init), []
    weights = start.backbone
    if config.grow:
        own = config.depths or tuple(len(stage.blocks) for stage in backbone.stages)
        weights, inserted = grow(weights, own)
    load_start(backbone, weights, config.init)
    for source, classifier in zip(sources, model.classifiers, strict=True):  # the same classes go on
        prefix = f"{CLASSIFIER}{source.folders.source.name}."
        kept = {k.removeprefix(prefix): v for k, v in start.classifiers.items() if k.startswith(prefix)}
        if kept and kept["weight"].shape == classifier.weight.shape:
            classifier.load_state_dict(kept)
    return model, start, inserted


def pretrain(
    sources: Sequence[Source], config: PretrainingConfig, loop: LoopConfig, output: Path, resume: bool
) -> None:
    """Pretrains a backbone and writes its averaged weights to `output`.

    Args:
        sources: what to learn from.
        config: the network and its input.
        loop: the loop's settings.
        output: a .safetensors file; beside it are kept the resumable state, the decoded photographs and the learning
            curve (.state, frames-….npy, .csv).
        resume: go on from the state where it exists.

    Raises:
        UserError: the data or the weights cannot be used, or a file cannot be written.
    """
    accelerator = Accelerator(mixed_precision=config.mixed_precision)
    prepare_folder(output.parent)
    torch.manual_seed(loop.seed)
    teacher = FeatureTeacher(config.teacher, config.image_size).to(accelerator.device) if config.teacher else None
    model, start, inserted = create_classifier(config, sources, teacher.width if teacher else None)
    normalisation = resolve_model_data_config(model.backbone)
    images = LabelledFrames(frames_of(accelerator, sources, config.image_size, output.parent), sources)
    training, held_out = split_sources(sources, loop.seed)
    described = describe_sources(sources)
    made_by = commit()
    accelerator.print(f"Pretraining {config.backbone} {config.depths or ''}: {len(training)} photographs an epoch.")
    accelerator.print(f"{config}\n{loop}\n{described}\ncommit {made_by}")

    def loss(model: nn.Module, batch: list, epoch: int) -> torch.Tensor:
        frames, source, labels, rotated = batch
        images = augment(frames, config.image_size, rotated, SMALLEST_AREA)
        logits, features = model(normalise(images, **channels).contiguous(memory_format=torch.channels_last))
        losses = source_losses(logits, source, labels)
        if teacher is None:
            return losses
        with accelerator.autocast():
            taught = teacher(images)
        return (1 - SHARE) * losses + SHARE * direction_loss(features, taught)

    def on_epoch_end(history: list[dict], averaged: Classifier) -> None:
        row = history[-1]
        row["images_seen"] = row["epoch"] * len(training)
        averaged.eval()
        for number, (source, rows) in enumerate(zip(described, held_out, strict=True)):

            def logits(frames: torch.Tensor, number: int = number) -> torch.Tensor:
                side = (config.image_size, config.image_size)
                whole = functional.interpolate(frames.float() / 255, size=side, mode="bilinear", antialias=True)
                return averaged(normalise(whole, **channels))[0][number]

            answers = map_examples(accelerator, logits, Subset(images, rows), loop.batch_size, 0)
            row[f"accuracy {source['name']}"] = float((answers.argmax(1) == images.label[rows]).mean())
        if accelerator.is_main_process:
            write_atomically(output.with_suffix(".csv"), lambda path: pd.DataFrame(history).to_csv(path, index=False))

    channels = {"mean": normalisation["mean"], "std": normalisation["std"]}
    fingerprint = {
        "backbone": config.backbone, "depths": str(config.depths), "image_size": config.image_size,
        "sources": json.dumps(described), "init": start.sha256, "teacher": teacher.fingerprint if teacher else None,
    }  # fmt: skip
    averaged, history = fit(
        accelerator, model, param_groups_weight_decay(model, loop.weight_decay), Subset(images, training), loss, loop,
        output.with_suffix(".state"), fingerprint, on_epoch_end, resume,
    )  # fmt: skip
    if accelerator.is_main_process:
        stage = {
            "backbone": config.backbone, "depths": config.depths, "image_size": config.image_size,
            "epochs": loop.epochs, "batch_size": loop.batch_size, "learning_rate": loop.learning_rate,
            "seed": loop.seed, "sources": described, "images_seen": loop.epochs * len(training),
            "minutes": history[-1]["minutes"], "mixed_precision": accelerator.mixed_precision, "commit": made_by,
            "teacher": Path(config.teacher).name if config.teacher else None,
            "layer_scales": layer_scales(averaged.backbone.state_dict(), inserted) if inserted else None,
            "history": history,
        }  # fmt: skip
        lesions = seen_in_folders(source.folders for source in sources if source.rotated)
        seen = together(start.seen, lesions, teacher.seen if teacher else SeenPhotographs())
        write_start(output, averaged, sources, [*start.stages, stage], seen)
    accelerator.wait_for_everyone()
    accelerator.print(f"Wrote {output}.")


def frames_of(accelerator: Accelerator, sources: Sequence[Source], image_size: int, folder: Path) -> list[Frames]:
    """The decoded photographs of each source, all of one size."""
    largest = max(min(source.folders.read(0).size) for source in sources)
    side = min(round(RESOLUTION * image_size), largest)
    return [make_frames(accelerator, folder, s.folders.read, s.folders.identities, side) for s in sources]


def write_start(
    output: Path, model: Classifier, sources: Sequence[Source], stages: list[dict], seen: SeenPhotographs
) -> None:
    """Writes what `lesion.training.start.read_start` reads: the backbone, the classifiers, how they were made, and the
    photographs of lesions they have seen."""
    tensors = {k: v.cpu().contiguous() for k, v in model.backbone.state_dict().items()}
    for source, classifier in zip(sources, model.classifiers, strict=True):
        prefix = f"{CLASSIFIER}{source.folders.source.name}."
        tensors |= {prefix + k: v.cpu().contiguous() for k, v in classifier.state_dict().items()}
    tensors[SEEN_IDS] = torch.from_numpy(seen.ids.view(np.int64))
    last = stages[-1]
    described = {
        "backbone": last["backbone"],
        "images": str(sum(s["images"] for s in last["sources"])),
        "classes": str(sum(s["classes"] for s in last["sources"])),
        "image_size": str(last["image_size"]),
        "epoch": str(last["epochs"]),
        "images_seen": str(sum(stage.get("images_seen", 0) for stage in stages)),
        "stages": json.dumps(stages),
        UNLISTED: json.dumps(seen.unlisted),
    }
    content = save(tensors, described)
    write_together({output: lambda path: path.write_bytes(content)})
