"""How a backbone starts: from timm's ImageNet weights, from random ones, from a file of `lesion.pretrain`, or from a
checkpoint."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import nn

from lesion.errors import UserError
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, load_checkpoint
from lesion.model.fusion import FusionModel, create_backbone
from lesion.model.seen import SeenPhotographs, read_seen
from lesion.training.config import TrainingConfig
from lesion.training.seen import seen_by_recorded_start

CLASSIFIER = "classifiers."
"""What the names of a start's classifiers begin with; all others are the backbone's."""
SEEN_IDS, UNLISTED = "seen.ids", "unlisted"
"""Where a start says which photographs of lesions it has seen: a tensor, and a text with the names of other sources."""


@dataclass(frozen=True)
class Start:
    """A file of `lesion.pretrain`, or the backbone of a checkpoint.

    Attributes:
        backbone: weights by name.
        classifiers: weights by name, of the classes it was pretrained on.
        sha256: of the file, or of the checkpoint's config.json, hexadecimal.
        description: how it was made, as JSON.
        seen: the photographs of lesions that it was trained on, as far as it says.
    """

    backbone: dict[str, torch.Tensor]
    classifiers: dict[str, torch.Tensor]
    sha256: str
    description: str
    seen: SeenPhotographs

    @property
    def backbone_name(self) -> str | None:
        """timm's name of the network, where the file says it."""
        return json.loads(self.description).get("backbone") if self.description else None

    @property
    def stages(self) -> list[dict]:
        """How it was made, one dictionary a pretraining."""
        return json.loads(self.description).get("stages", []) if self.description else []


def start_of_checkpoint(folder: Path) -> Start:
    """The backbone of a finished checkpoint, with which a training goes on.

    Raises:
        UserError: it cannot be read.
    """
    checkpoint = load_checkpoint(folder)
    training = checkpoint.config.training
    init = training["init"]
    images, epochs = training["images"]["training"], sum(epochs for _, epochs in training["image_sizes"])
    stage = {
        "backbone": checkpoint.config.backbone, "split": training["split"], "split_seed": training["split_seed"],
        "trained_on": f"{images:,} photographs of HAM10000, the training part", "images_seen": images * epochs,
        "minutes": training["minutes"], "commit": training.get("commit", "unknown"),
    }  # fmt: skip
    stages = [*(init.get("stages", []) if isinstance(init, dict) else []), stage]
    described = {"backbone": checkpoint.config.backbone, "stages": stages}
    weights = {name: tensor.float() for name, tensor in checkpoint.model.backbone.state_dict().items()}
    seen = read_seen(folder)
    if not len(seen.ids):
        seen = SeenPhotographs(unlisted=(folder.name,))
    return Start(weights, {}, sha256(folder / CONFIG), json.dumps(described), seen)


def check_parts(start: Start, config: TrainingConfig, path: str) -> None:
    """A start that was trained on HAM10000 may have seen only what this training may see.

    Raises:
        UserError: it was trained on another split.
    """
    for stage in start.stages:
        if "split" in stage and (stage["split"], stage["split_seed"]) != (config.split, config.split_seed):
            raise UserError(
                f"--init {path} was trained on the split by {stage['split']} of seed {stage['split_seed']}, so it has "
                f"seen photographs that this training holds out; give --split {stage['split']} and --split-seed "
                f"{stage['split_seed']}, or another start."
            )


def read_start(path: Path, option: str = "--init") -> Start:
    """Reads a file of `lesion.pretrain`, or a checkpoint's folder, named in messages by the option that gave it.

    Raises:
        UserError: it is missing or damaged.
    """
    if path.is_dir():
        return start_of_checkpoint(path)
    try:
        content = path.read_bytes()
        tensors = load(content)
        with safe_open(path, "pt") as file:
            described = dict(file.metadata() or {})
        if "stages" in described:
            described["stages"] = json.loads(described["stages"])
        if SEEN_IDS in tensors:
            ids = tensors.pop(SEEN_IDS).numpy().view(np.uint64)
            seen = SeenPhotographs(ids, tuple(json.loads(described.pop(UNLISTED))))
        else:
            seen = seen_by_recorded_start({"file": path.name, **described})
    except FileNotFoundError:
        raise UserError(
            f"{option} {path} does not exist; give a file of `python -m lesion.pretrain`, or a checkpoint's folder."
        ) from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise UserError(
            f"{option} {path} cannot be read ({error}); make it with `python -m lesion.pretrain`."
        ) from None
    backbone = {k: v for k, v in tensors.items() if not k.startswith(CLASSIFIER)}
    classifiers = {k: v for k, v in tensors.items() if k.startswith(CLASSIFIER)}
    return Start(backbone, classifiers, hashlib.sha256(content).hexdigest(), json.dumps(described), seen)


def load_start(backbone: nn.Module, weights: dict[str, torch.Tensor], path: Path, option: str = "--init") -> None:
    """Loads the weights of a start, named by its path and the option that gave it in the message.

    Raises:
        UserError: they are of another architecture.
    """
    try:
        backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"{option} {path} does not hold the weights of this backbone ({str(error).splitlines()[0]}); make it with "
            "`python -m lesion.pretrain --backbone` and the same name."
        ) from None


def create_model(config: TrainingConfig) -> FusionModel:
    """The model at its start.

    Raises:
        UserError: the Hub cannot be reached, or the weights file does not fit.
    """
    torch.manual_seed(config.seed)
    drop_path_rate = config.drop_path_rate if config.recipe == "finetune" else 0.0
    if config.init == "imagenet":
        try:
            backbone = create_backbone(config.backbone, pretrained=True, drop_path_rate=drop_path_rate)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
            raise UserError(
                f"The ImageNet weights of {config.backbone} cannot be loaded from the Hugging Face Hub "
                f"({type(error).__name__}); connect to the network, or give --init scratch, or --init PATH with a "
                "file made by `python -m lesion.pretrain`."
            ) from None
    else:
        backbone = create_backbone(config.backbone, drop_path_rate=drop_path_rate)
        if config.init != "scratch":
            start = read_start(Path(config.init))
            check_parts(start, config, config.init)
            load_start(backbone, start.backbone, Path(config.init))
    return FusionModel(backbone, config.fusion)


def describe_start(init: str) -> str | dict:
    """`--init` as the checkpoint records it: a file or folder by its name, a hash of its content, and how it was made.

    Raises:
        UserError: the file is missing or damaged.
    """
    if init in ("imagenet", "scratch"):
        return init
    start = read_start(Path(init))
    return {"file": Path(init).name, "sha256": start.sha256, **json.loads(start.description)}


def commit() -> str:
    """The commit of the code that runs, with "-dirty" where files differ from it; "unknown" outside a repository."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
