"""A finished checkpoint as the teacher of another network.

The student learns from the teacher's answer to the very image it sees, augmented and mixed alike, for each subset of
the inputs (Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022; Hinton, Vinyals
and Dean, 2015). timm's DistillationTeacher renormalises an image for another network; that this one reads another size,
and metadata, is ours, so its few lines are written here.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lesion.errors import UserError
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, load_checkpoint
from lesion.training.augmentation import normalise
from lesion.training.data import TrainingData

SHARE = 0.5
"""Of the loss that the teacher's answers make; the labels make the rest."""


class Teacher(nn.Module):
    """A fused checkpoint that answers as one trained with the student's class weights would.

    Args:
        folder: of the checkpoint.
        data: the student's: both must encode metadata alike.

    Raises:
        UserError: the checkpoint cannot be read, or was trained on another training part.
    """

    def __init__(self, folder: Path, data: TrainingData):
        super().__init__()
        checkpoint = load_checkpoint(folder)
        config = checkpoint.config
        trained_on = set(data.table.image_id.iloc[np.union1d(data.split.validation, data.split.test)])
        if set(checkpoint.held_out().table.image_id) != trained_on or config.encoder != data.encoder:
            raise UserError(
                f"--teacher {folder} was trained on another split; give a checkpoint of the same data set, --split and "
                "--split-seed, or it would tell the student what is held out."
            )
        self.model, self.transform = checkpoint.model.requires_grad_(False), config.transform
        self.fingerprint = sha256(folder / CONFIG)
        shift = np.log(data.weights) - config.calibration.prior_correction_exponents[-1] * np.log(
            config.calibration.class_weights
        )
        self.register_buffer("shift", torch.tensor(shift, dtype=torch.float32))

    @torch.no_grad()
    def forward(self, images: torch.Tensor, metadata: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Its probabilities.

        Args:
            images: float (B, 3, S, S) in [0, 1], not normalised.
            metadata: float (B, WIDTH).
            present: bool (B, K, 4).

        Returns:
            float (B, K, 7).
        """
        self.model.eval()
        side = (self.transform.size, self.transform.size)
        images = functional.interpolate(images, size=side, mode="bilinear", antialias=True)
        images = normalise(images, self.transform.mean, self.transform.std).to(memory_format=torch.channels_last)
        return (self.model(images, metadata, present).float() + self.shift).softmax(-1)


def divergence(logits: torch.Tensor, answers: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of a student's answers from a teacher's, half for the complete input and half for the
    mean of the other subsets, as in `lesion.training.subsets.subset_losses`.

    Args:
        logits: float (B, K, 7), the student's.
        answers: float (B, K, 7), the teacher's probabilities.

    Returns:
        float (B,).
    """
    each = functional.kl_div(logits.float().log_softmax(-1), answers, reduction="none").sum(-1)
    return 0.5 * each[:, 0] + 0.5 * each[:, 1:].mean(1)
