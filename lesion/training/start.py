"""How a backbone starts: from timm's ImageNet weights, from random ones, or from a file of `lesion.pretrain`."""

import hashlib
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import nn

from lesion.errors import UserError
from lesion.model.fusion import FusionModel, create_backbone
from lesion.training.config import TrainingConfig

CLASSIFIER = "classifiers."
"""What the names of a start's classifiers begin with; all others are the backbone's."""


@dataclass(frozen=True)
class Start:
    """A file of `lesion.pretrain`.

    Attributes:
        backbone: weights by name.
        classifiers: weights by name, of the classes it was pretrained on.
        sha256: of the file, hexadecimal.
        description: what `lesion.pretrain` wrote into it, as JSON.
    """

    backbone: dict[str, torch.Tensor]
    classifiers: dict[str, torch.Tensor]
    sha256: str
    description: str

    @property
    def stages(self) -> list[dict]:
        """How it was made, one dictionary a pretraining."""
        return json.loads(self.description).get("stages", []) if self.description else []


def read_start(path: Path) -> Start:
    """Reads a file of `lesion.pretrain`.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        content = path.read_bytes()
        tensors = load(content)
        with safe_open(path, "pt") as file:
            described = dict(file.metadata() or {})
        if "stages" in described:
            described["stages"] = json.loads(described["stages"])
    except FileNotFoundError:
        raise UserError(f"--init {path} is not a file; give imagenet, scratch, or a .safetensors file.") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"--init {path} cannot be read ({error}); make it with `python -m lesion.pretrain`.") from None
    backbone = {k: v for k, v in tensors.items() if not k.startswith(CLASSIFIER)}
    classifiers = {k: v for k, v in tensors.items() if k.startswith(CLASSIFIER)}
    return Start(backbone, classifiers, hashlib.sha256(content).hexdigest(), json.dumps(described))


def load_start(backbone: nn.Module, weights: dict[str, torch.Tensor], path: Path) -> None:
    """Loads the weights of a start, named by its path in the message.

    Raises:
        UserError: they are of another architecture.
    """
    try:
        backbone.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"--init {path} does not hold the weights of this backbone ({str(error).splitlines()[0]}); make it with "
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
            load_start(backbone, read_start(Path(config.init)).backbone, Path(config.init))
    return FusionModel(backbone, config.fusion)


def describe_start(init: str) -> str | dict:
    """`--init` as the checkpoint records it: a file by its name, its content's hash, and what `lesion.pretrain` wrote
    into it.

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
