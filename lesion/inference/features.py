"""What is kept of a photograph: all that the head and the heat maps need."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from lesion.data.metadata import Metadata


class FirstMap(NamedTuple):
    """A class activation map that was made in the same pass as the features: by the first method, of the diagnosis that
    was most probable with a record; float32 (1, h, w) in [0, 1]."""

    metadata: Metadata
    code: str
    activation_map: np.ndarray


@dataclass(frozen=True)
class Features:
    """All that the head needs of a photograph, in the main memory wherever the network runs.

    Attributes:
        feature_map: float32 (C, h, w), the backbone's last.
        embedding: float32, of `FusionModel.pool`, of one image: (D,), or (P, C) for MetaBlock.
        size: width and height of the photograph, pixels.
        earlier_map: float32 (C, h, w), of the stage before the last; None where the backbone cannot be cut there.
        first_map: where one was asked for.
    """

    feature_map: torch.Tensor
    embedding: np.ndarray
    size: tuple[int, int]
    earlier_map: torch.Tensor | None
    first_map: FirstMap | None
