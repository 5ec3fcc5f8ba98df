"""Every subset of the inputs is trained."""

import torch
from timm.data.mixup import Mixup, mixup_target

RANDOM_SUBSETS = 4
"""Random subsets of the inputs that the head is trained on beside the complete one, for every image of a batch."""


def random_subsets(count: int, generator: torch.Generator | None = None) -> torch.Tensor:
    """For each of `count` images the complete input and RANDOM_SUBSETS others, bool (count, 1 + RANDOM_SUBSETS, 4)."""
    drawn = torch.rand(count, RANDOM_SUBSETS, 4, generator=generator) < 0.5
    return torch.cat([torch.ones(count, 1, 4, dtype=torch.bool), drawn], dim=1)


def subset_losses(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy, half for the complete input and half for the mean of the other subsets.

    Args:
        logits: float (B, K, 7); the first of K is the complete input.
        targets: float (B, 7), probabilities.
        weights: float (7,), of the classes.

    Returns:
        float (B,).
    """
    losses = -(weights * targets)[:, None].mul(logits.float().log_softmax(-1)).sum(-1)
    return 0.5 * losses[:, 0] + 0.5 * losses[:, 1:].mean(1)


class MultimodalMixup(Mixup):
    """timm's mixup and cutmix, with the encoded metadata mixed by the same weight as the images."""

    def __call__(self, images: torch.Tensor, metadata: torch.Tensor, labels: torch.Tensor) -> tuple:
        """Mixes a batch, the images in place.

        Args:
            images: float (B, 3, H, W).
            metadata: float (B, WIDTH).
            labels: int (B,).

        Returns:
            images, metadata, and the targets float (B, 7).
        """
        share = self._mix_batch(images)
        metadata = share * metadata + (1 - share) * metadata.flip(0)
        return images, metadata, mixup_target(labels, self.num_classes, share, self.label_smoothing)
