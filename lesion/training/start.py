"""How a backbone starts."""

from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import nn

from lesion.errors import UserError
from lesion.model.fusion import FusionModel, create_backbone
from lesion.training.config import TrainingConfig


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
            load_backbone(backbone, Path(config.init))
    return FusionModel(backbone, config.fusion)


def load_backbone(backbone: nn.Module, path: Path) -> None:
    """Loads a weights file of `lesion.pretrain`.

    Raises:
        UserError: missing, damaged, or of another architecture.
    """
    try:
        backbone.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise UserError(f"--init {path} is no file; give imagenet, scratch, or a .safetensors file.") from None
    except (SafetensorError, OSError, RuntimeError) as error:
        raise UserError(
            f"--init {path} does not hold the weights of this backbone ({str(error).splitlines()[0]}); make it with "
            "`python -m lesion.pretrain --backbone` and the same name."
        ) from None


def describe_start(init: str) -> str | dict[str, str]:
    """`--init` as the checkpoint records it: a file by its name and what `lesion.pretrain` wrote into it."""
    if init in ("imagenet", "scratch"):
        return init
    with safe_open(init, "pt") as file:
        return {"file": Path(init).name, **(file.metadata() or {})}
