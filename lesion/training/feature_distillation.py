"""Another network's features as a further aim of a pretraining.

A label says which of some classes a photograph is; a good network's features say how it resembles all others. So the
student also learns to give, through one linear layer, the direction of the teacher's pooled features of the very image
it sees (Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015; the cosine as in Ranzinger et al., "AM-RADIO",
CVPR 2024; the same augmented image for both: Beyer et al., "Knowledge distillation: A good teacher is patient and
consistent", CVPR 2022).
"""

from pathlib import Path

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from timm.data import resolve_model_data_config
from torch import nn
from torch.nn import functional

from lesion.errors import UserError
from lesion.model.fusion import create_backbone
from lesion.model.seen import SeenPhotographs
from lesion.training.augmentation import normalise
from lesion.training.start import load_start, read_start

SHARE = 0.5
"""Of the loss that the teacher's features make; the labels make the rest."""
LARGEST_ENLARGEMENT = 2
"""The teacher's input over the student's, at most: enlarging an image further only costs time."""


class FeatureTeacher(nn.Module):
    """A network that gives the direction of its pooled features.

    Args:
        teacher: a timm model name, whose pretrained weights are loaded from the Hub, or a file of `lesion.pretrain`.
        image_size: side of the student's input, pixels.

    Raises:
        UserError: it cannot be loaded.
    """

    def __init__(self, teacher: str, image_size: int):
        super().__init__()
        if teacher.endswith(".safetensors"):
            start = read_start(Path(teacher), "--teacher")
            if not start.backbone_name:
                raise UserError(f"--teacher {teacher} does not say which backbone it holds; make it with this version.")
            self.backbone = create_backbone(start.backbone_name)
            load_start(self.backbone, start.backbone, Path(teacher), "--teacher")
            self.fingerprint, self.seen = start.sha256, start.seen
        else:
            try:
                self.backbone = create_backbone(teacher, pretrained=True)
            except (HfHubHTTPError, LocalEntryNotFoundError, OSError, RuntimeError) as error:
                raise UserError(
                    f"The weights of --teacher {teacher} cannot be loaded from the Hugging Face Hub "
                    f"({type(error).__name__}); connect to the network, or give a file of `python -m lesion.pretrain`."
                ) from None
            self.fingerprint, self.seen = teacher, SeenPhotographs()
        self.backbone.requires_grad_(False)
        configured = resolve_model_data_config(self.backbone)
        self.mean, self.std = configured["mean"], configured["std"]
        self.side = min(configured["input_size"][-1], LARGEST_ENLARGEMENT * image_size)

    @property
    def width(self) -> int:
        """Of its pooled features."""
        return self.backbone.head_hidden_size

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float (B, 3, S, S) in [0, 1], not normalised, to float (B, width), of length 1."""
        self.backbone.eval()
        images = functional.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=True)
        images = normalise(images, self.mean, self.std).contiguous(memory_format=torch.channels_last)
        return functional.normalize(self.backbone(images).float(), dim=1)


def direction_loss(features: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """One less the cosine between a student's projected features and its teacher's, float (B,).

    Args:
        features: float (B, width), of any length.
        taught: float (B, width), of `FeatureTeacher`.
    """
    return 1 - functional.cosine_similarity(features.float(), taught, dim=1)
