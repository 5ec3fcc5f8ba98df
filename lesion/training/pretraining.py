"""Supervised pretraining of a timm backbone."""

import copy
import io
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import save
from timm.data import create_transform, resolve_model_data_config
from timm.optim import param_groups_weight_decay
from torch import nn
from torch.utils.data import Dataset, Subset

from lesion.errors import UserError
from lesion.files import prepare_folder, write_atomically
from lesion.model.fusion import create_backbone
from lesion.training.loop import AugmentedDataset, LoopConfig, fit, map_examples
from lesion.training.start import load_backbone

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
HELD_OUT = 0.01  # of the images, to report accuracy on


class ClassFolders(Dataset):
    """Images under folders named by their class, on disk or inside zip files.

    Args:
        sources: folders or zip files; each holds CLASS/NAME.jpg, possibly deeper.

    Raises:
        UserError: a source does not exist or the sources hold fewer than two classes.
    """

    def __init__(self, sources: list[Path]):
        self.transform = None
        self.items: list[tuple[Path, str, str]] = []
        for source in sources:
            if source.is_dir():
                names = [str(p.relative_to(source)) for p in sorted(source.rglob("*")) if p.is_file()]
            elif zipfile.is_zipfile(source):
                with zipfile.ZipFile(source) as archive:
                    names = sorted(archive.namelist())
            else:
                raise UserError(f"--data {source} is neither a folder nor a zip file.")
            self.items += [
                (source, name, Path(name).parent.name) for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES
            ]
        self.classes = sorted({name for *_, name in self.items} - {""})
        if len(self.classes) < 2:
            raise UserError(
                f"--data {' '.join(map(str, sources))} holds images of {len(self.classes)} classes; pretraining needs "
                "at least two folders of images, each named by its class."
            )
        self.targets = [self.classes.index(name) for *_, name in self.items]
        self._archives: dict[tuple[int, Path], zipfile.ZipFile] = {}

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        source, name, _ = self.items[index]
        if source.is_dir():
            data = (source / name).read_bytes()
        else:
            key = (os.getpid(), source)  # a file handle must not be shared between worker processes
            if key not in self._archives:
                self._archives[key] = zipfile.ZipFile(source)
            data = self._archives[key].read(name)
        image = Image.open(io.BytesIO(data)).convert("RGB")
        return (self.transform(image) if self.transform else image), self.targets[index]

    def with_transform(self, transform: Callable) -> "ClassFolders":
        """The same images with a transform applied to each RGB PIL image."""
        other = copy.copy(self)
        other.transform = transform
        return other

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_archives": {}}  # open files do not travel to worker processes


class Classifier(nn.Module):
    """A backbone and one linear layer on its pooled features."""

    def __init__(self, backbone: nn.Module, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.head_hidden_size, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float (B, 3, H, W) to logits (B, num_classes)."""
        return self.classifier(self.backbone(images))


def pretrain(
    sources: list[Path],
    backbone_name: str,
    output: Path,
    image_size: int,
    config: LoopConfig,
    mixed_precision: str | None,
    resume: bool,
    init: Path | None = None,
) -> None:
    """Pretrains a backbone and writes its averaged weights, without the classifier, to `output`.

    Args:
        sources: see `ClassFolders`.
        backbone_name: a timm model name.
        output: a .safetensors file; the resumable state is kept beside it as `output`.state.
        image_size: side of the square input, pixels.
        config: the loop's settings.
        mixed_precision: "no", "bf16" or "fp16"; None for what `accelerate launch` was told.
        resume: go on from the state where it exists.
        init: weights of an earlier pretraining to start from, with a new classifier; by default random ones.

    Raises:
        UserError: the data or the weights cannot be used, or a file cannot be written.
    """
    accelerator = Accelerator(mixed_precision=mixed_precision)
    images = ClassFolders(sources)
    order = np.random.default_rng(config.seed).permutation(len(images))
    held_out = order[: max(1, round(HELD_OUT * len(images)))]
    training = np.sort(order[len(held_out) :])
    torch.manual_seed(config.seed)
    model = Classifier(create_backbone(backbone_name, drop_path_rate=0.05), len(images.classes))
    if init:
        load_backbone(model.backbone, init)
    data_config = resolve_model_data_config(model.backbone)
    transform = partial(
        create_transform, (3, image_size, image_size), interpolation="bilinear",
        mean=data_config["mean"], std=data_config["std"],
    )  # fmt: skip
    augment = transform(is_training=True, scale=(0.35, 1.0), hflip=0.5, color_jitter=0.3, auto_augment=None)
    evaluated = Subset(images.with_transform(transform(is_training=False, crop_pct=1.0)), held_out)
    accelerator.print(
        f"Pretraining {backbone_name} on {len(training)} images of {len(images.classes)} classes at {image_size} px: "
        f"{config}"
    )

    def loss(model: nn.Module, batch: list) -> torch.Tensor:
        logits = model(batch[0]).float()
        return nn.functional.cross_entropy(logits, batch[1], label_smoothing=0.1, reduction="none")

    def on_epoch_end(history: list[dict], averaged: nn.Module) -> None:
        logits = map_examples(accelerator, averaged.eval(), evaluated, config.batch_size, config.workers)
        targets = np.array([images.targets[i] for i in held_out])
        history[-1]["held_out_accuracy"] = float((logits.argmax(1) == targets).mean())

    prepare_folder(output.parent)
    averaged, history = fit(
        accelerator,
        model,
        param_groups_weight_decay(model, config.weight_decay),
        AugmentedDataset(Subset(images, training), [augment] * config.epochs, config.seed),
        loss,
        config,
        output.with_suffix(".state"),
        {
            "backbone": backbone_name,
            "image_size": image_size,
            "images": len(images),
            "classes": len(images.classes),
            "init": str(init),
        },
        on_epoch_end,
        resume,
    )
    if accelerator.is_main_process:
        state = {k: v.cpu().contiguous() for k, v in averaged.backbone.state_dict().items()}
        described = {
            "backbone": backbone_name,
            "images": str(len(training)),
            "classes": str(len(images.classes)),
            "image_size": str(image_size),
            "init": init.name if init else "scratch",
            **{k: f"{v:.4g}" for k, v in history[-1].items()},
        }
        content = save(state, described)
        write_atomically(output, lambda path: path.write_bytes(content))
    accelerator.wait_for_everyone()
    accelerator.print(f"Wrote {output} ({backbone_name}, held-out accuracy {history[-1]['held_out_accuracy']:.3f}).")
