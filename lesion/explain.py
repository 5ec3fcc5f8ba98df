"""Why the model answers as it does: Grad-CAM from the stored feature map, and changes of the answer in words.

Grad-CAM (Selvaraju et al., 2017; the grad-cam package) is computed on the part of the network behind the last feature
map, so that no further pass of the backbone is needed. The maps of one photograph share one scale: a diagnosis with
little evidence has a faint map.
"""

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from lesion.diagnoses import BY_CODE, CODES
from lesion.metadata import Metadata
from lesion.model import FusionModel

COLOURMAP = "inferno"
"""matplotlib's perceptually uniform map: it gets lighter with rising values, for colour-blind eyes too."""


class BehindFeatureMap(nn.Module):
    """The model from its last feature map on, with metadata and presence fixed.

    Args:
        model: the fusion model.
        metadata: float32 (WIDTH,).
        present: bool (4,).
    """

    def __init__(self, model: FusionModel, metadata: np.ndarray, present: np.ndarray):
        super().__init__()
        self.feature_map = nn.Identity()  # Grad-CAM's target layer
        self.model = model
        self.metadata = torch.from_numpy(metadata)
        self.present = torch.from_numpy(present)

    def forward(self, feature_map: torch.Tensor) -> torch.Tensor:
        """float (B, C, h, w) to logits (B, 7)."""
        embedding = self.model.pool(self.feature_map(feature_map))
        rows = len(feature_map)
        return self.model.head(embedding, self.metadata.expand(rows, -1), self.present.expand(rows, -1))


class UnscaledGradCAM(GradCAM):
    """The package's Grad-CAM without its scaling of every map to its own maximum."""

    def __init__(self, model: BehindFeatureMap):
        super().__init__(model, [model.feature_map])
        self.compute_input_gradient = True

    def compute_cam_per_layer(self, input_tensor, targets, eigen_smooth):
        hooks = self.activations_and_grads
        activations, gradients = hooks.activations[0].numpy(), hooks.gradients[0].numpy()
        maps = self.get_cam_image(input_tensor, self.target_layers[0], targets, activations, gradients, eigen_smooth)
        return np.maximum(maps, 0)

    def aggregate_multi_layers(self, cam_per_target_layer):
        return cam_per_target_layer  # there is one layer


def class_activation_maps(
    model: FusionModel, feature_map: torch.Tensor, metadata: np.ndarray, present: np.ndarray
) -> np.ndarray:
    """Grad-CAM of the seven logits.

    Args:
        model: in evaluation mode.
        feature_map: float32 (C, h, w).
        metadata: float32 (WIDTH,), one encoded record.
        present: bool (4,); the image must be present.

    Returns:
        float32 (7, h, w), not negative, the largest value of all seven maps 1 (or all 0).
    """
    # A clone made here is no inference tensor, so gradients can flow to it.
    inputs = feature_map.clone().float().expand(len(CODES), -1, -1, -1).contiguous()
    with torch.enable_grad(), UnscaledGradCAM(BehindFeatureMap(model, metadata, present)) as cam:
        maps = cam(inputs, [ClassifierOutputTarget(k) for k in range(len(CODES))])
    return (maps / (maps.max() or 1)).astype(np.float32)


def enlarge(activation_map: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A small map at a photograph's size.

    Args:
        activation_map: float32 (h, w) in [0, 1].
        size: width and height, pixels.

    Returns:
        float32 (height, width) in [0, 1].
    """
    enlarged = Image.fromarray(activation_map).resize(size, Image.Resampling.BICUBIC)
    return np.clip(np.asarray(enlarged), 0, 1)


def heat_layer(heat: np.ndarray) -> Image.Image:
    """A map as a picture to lay over the photograph: the warmer, the less transparent.

    Args:
        heat: float32 (H, W) in [0, 1].

    Returns:
        RGBA image.
    """
    colours = colormaps[COLOURMAP](heat, bytes=True)
    colours[..., 3] = np.round(255 * heat)
    return Image.fromarray(colours)


def overlay(photograph: Image.Image, heat: np.ndarray, opacity: float = 0.6) -> Image.Image:
    """The photograph with the map laid over it.

    Args:
        photograph: RGB.
        heat: float32 (H, W) in [0, 1], of the photograph's size.
        opacity: of the warmest places.

    Returns:
        RGB image.
    """
    layer = heat_layer(heat)
    mask = layer.getchannel("A").point(lambda value: round(value * opacity))
    return Image.composite(layer.convert("RGB"), photograph, mask)


def percent(probability: float) -> str:
    """A probability in words that fit a class: "47 %", "0.3 %", "less than 0.1 %"."""
    if probability < 0.001:
        return "less than 0.1 %"
    return f"{probability:.0%}".replace("%", " %") if probability >= 0.01 else f"{probability:.1%}".replace("%", " %")


def change_in_words(alone: dict[str, float], together: dict[str, float], metadata: Metadata) -> str:
    """What knowing the metadata did to the answer of the image alone.

    Args:
        alone: probabilities by code, from the image alone.
        together: from image and metadata.
        metadata: the record.
    """
    if not metadata.known:
        return "Nothing is known of age, sex or site: this is the answer from the photograph alone."
    code = max(CODES, key=lambda c: abs(together[c] - alone[c]))
    before, after = max(alone, key=alone.get), max(together, key=together.get)
    change = f"{BY_CODE[code].name} {percent(alone[code])} → {percent(together[code])}"
    if before == after:
        verdict = f"the most probable diagnosis stays {BY_CODE[after].name}"
    else:
        verdict = f"the most probable diagnosis changed from {BY_CODE[before].name} to {BY_CODE[after].name}"
    return f"Knowing {metadata.describe()}: {change}; {verdict}."
