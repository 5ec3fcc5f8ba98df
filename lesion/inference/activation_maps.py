"""Why the model answers as it does: class activation maps from stored feature maps.

Grad-CAM (Selvaraju et al., 2017), Grad-CAM++ (Chattopadhay et al., 2018) and LayerCAM (Jiang et al., 2021) by the
formulas of the grad-cam package, from the activations and gradients of a stage of the backbone. For the last stage
only the head runs again. For the stage before it, whose map is finer, the last stage runs again too, from the stored
map on; only a ConvNeXt can be cut there. `lesion.report.localisation` measures how good each method is.

The maps of one photograph share one scale: a diagnosis with little evidence has a faint map.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, LayerCAM
from pytorch_grad_cam.base_cam import BaseCAM
from timm.models.convnext import ConvNeXt
from torch import nn

from lesion.data.diagnoses import CODES
from lesion.data.metadata import INPUTS
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, REPORT
from lesion.model.fusion import FusionHead, FusionModel

COLOURMAP = "inferno"
"""Perceptually uniform, of matplotlib: lighter with rising values, for colour-blind people too."""


@dataclass(frozen=True)
class Method:
    """A class activation map.

    Attributes:
        formula: the grad-cam package's class.
        earlier: whether it reads the stage before the last.
    """

    formula: type[BaseCAM]
    earlier: bool


METHODS = {
    "Grad-CAM": Method(GradCAM, False),
    "Grad-CAM++": Method(GradCAMPlusPlus, False),
    "LayerCAM": Method(LayerCAM, False),
    "LayerCAM, earlier stage": Method(LayerCAM, True),
    "Grad-CAM++, earlier stage": Method(GradCAMPlusPlus, True),
    "Grad-CAM, earlier stage": Method(GradCAM, True),
}
"""In the order of a checkpoint without a report: LayerCAM was made for earlier stages."""


def offered_methods(folder: Path, earlier: bool) -> tuple[str, ...]:
    """The heat maps to offer: every method of the last stage, which cost nothing, and the best of the earlier stage's,
    which cost as much as each other.

    Their order is that of the checkpoint's own report, by the share of the map inside the lesion
    (`lesion.report.localisation`), the largest first; or that of METHODS where there is no report of it.

    Args:
        folder: of the checkpoint.
        earlier: whether the backbone can be cut before its last stage.

    Returns:
        Keys of METHODS.
    """
    shares = measured_shares(folder)
    ordered = sorted(METHODS, key=lambda name: -shares.get(name, 0.0))  # a stable order
    best_earlier = next(name for name in ordered if METHODS[name].earlier)
    return tuple(name for name in ordered if not METHODS[name].earlier or (earlier and name == best_earlier))


def measured_shares(folder: Path) -> dict[str, float]:
    """The share of each method's map inside the lesion, as a checkpoint's report.json gives it; empty where the file
    is missing, damaged or of another checkpoint."""
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        if report["checkpoint"] != sha256(folder / CONFIG):
            return {}
        return {name: float(figures["energy"]["value"]) for name, figures in report["explanations"]["methods"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return {}


def split_backbone(backbone: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    """A backbone as what comes before its last stage, and the last stage; None where it is not a ConvNeXt."""
    if not isinstance(backbone, ConvNeXt):
        return None
    *before, last = backbone.stages
    return nn.Sequential(backbone.stem, *before), nn.Sequential(last, backbone.norm_pre)


def formula_maps(method: str, head: FusionHead, activations: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """A method's maps, each on its own scale, without what is negative.

    Args:
        method: a key of METHODS.
        head: any module with weights; the package only asks for its device.
        activations, gradients: of a stage, float32 (B, C, h, w).

    Returns:
        float32 (B, h, w).
    """
    formula = METHODS[method].formula(head, [])
    return np.maximum(formula.get_cam_image(None, None, None, activations, gradients, False), 0)


def unscaled_maps(
    model: FusionModel, stage_maps: Sequence[torch.Tensor], metadata: np.ndarray, method: str, codes: Sequence[str]
) -> np.ndarray:
    """Class activation maps from the stored map of a stage, each with the scale of its gradients.

    Args:
        model: in evaluation mode.
        stage_maps: N of float32 (C, h, w), of the stage that the method reads; on any device.
        metadata: float32 (N, WIDTH), encoded records.
        method: a key of METHODS.
        codes: N diagnoses.

    Returns:
        float32 (N, h, w), not negative.
    """
    with recording():
        stage_map = torch.stack(list(stage_maps)).to(model.device)
        if METHODS[method].earlier:
            stages = split_backbone(model.backbone)
            assert stages is not None, "such a method is offered only where there is an earlier stage"
            feature_map = stage_map.requires_grad_()
            with model.autocast():
                feature_map = stages[1](feature_map).float()
            return recorded_maps(model, stage_map, feature_map, metadata, method, codes)
        if not (model.pooled and isinstance(model.backbone, ConvNeXt)):
            return recorded_maps(model, stage_map.requires_grad_(), stage_map, metadata, method, codes)
        # The head reads the mean of all cells: the gradient of each is that of the mean over their number.
        mean = stage_map.mean((2, 3), keepdim=True).requires_grad_()
        (gradients,) = gradients_of(model, [mean], mean, metadata, codes)
        gradients = (gradients / stage_map[0, 0].numel()).expand_as(stage_map)
    return formula_maps(method, model.head, stage_map.cpu().numpy(), gradients.cpu().numpy())


@contextmanager
def recording() -> Iterator[None]:
    """Records operations for the gradients of `recorded_maps`, also within torch.inference_mode."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def recorded_maps(
    model: FusionModel,
    stage_map: torch.Tensor,
    feature_map: torch.Tensor,
    metadata: np.ndarray,
    method: str,
    codes: Sequence[str],
) -> np.ndarray:
    """As `unscaled_maps`, where the backbone has just run from that stage on.

    Args:
        model: in evaluation mode.
        stage_map: float (N, C, h, w), of the stage that the method reads, which requires gradients.
        feature_map: float32 (N, C', h', w'), the backbone's last, computed from it under `recording`.
        metadata, method, codes: see `unscaled_maps`.
    """
    with recording():
        (gradients,) = gradients_of(model, [stage_map], feature_map, metadata, codes)
    activations, gradients = (x.detach().float().cpu().numpy() for x in (stage_map, gradients))
    return formula_maps(method, model.head, activations, gradients)


def gradients_of(
    model: FusionModel,
    inputs: Sequence[torch.Tensor],
    feature_map: torch.Tensor,
    metadata: np.ndarray,
    codes: Sequence[str],
) -> tuple[torch.Tensor, ...]:
    """Gradients of each row's logit of its diagnosis.

    Args:
        model: in evaluation mode.
        inputs: by which; those that the feature map was computed from, or itself.
        feature_map, metadata, codes: see `recorded_maps`.

    Returns:
        One of each input's shape.
    """
    everything = torch.ones(len(codes), len(INPUTS), dtype=torch.bool, device=model.device)
    logits = model.head(model.pool(feature_map), torch.from_numpy(metadata).to(model.device), everything)
    explained = logits[range(len(codes)), [CODES.index(code) for code in codes]]
    return torch.autograd.grad(explained.sum(), inputs)


def covered_share(backbone: Any, method: str, input_size: int, cells: int) -> float:
    """How much of the photograph's width and height a stage's cells span, from the top left corner.

    A convolution with stride 2 and no padding drops an odd row or column: at 120 pixels ConvNeXt's last stage has
    3 × 3 cells of 32 pixels, which span 96 of the 120. Where padding makes more cells instead, they span everything.

    Args:
        backbone: of timm.
        method: a key of METHODS.
        input_size: side of the backbone's square input, pixels.
        cells: the stage's, on a side.
    """
    stride = backbone.feature_info[-2 if METHODS[method].earlier else -1]["reduction"]
    return min(1.0, cells * stride / input_size)


def enlarge(activation_map: np.ndarray, size: tuple[int, int], covered: float = 1.0) -> np.ndarray:
    """A small map at a photograph's size, bicubic; beyond the centres of the outer cells it is constant.

    Args:
        activation_map: float32 (h, w) in [0, 1].
        size: width and height, pixels.
        covered: of `covered_share`.

    Returns:
        float32 (height, width) in [0, 1].
    """
    height, width = activation_map.shape
    margin = 2  # cells, as far as the bicubic kernel reaches
    padded = Image.fromarray(np.pad(activation_map, margin, mode="edge"))
    box = (margin, margin, margin + width / covered, margin + height / covered)
    return np.clip(np.asarray(padded.resize(size, Image.Resampling.BICUBIC, box)), 0, 1)


def on_one_scale(maps: np.ndarray) -> np.ndarray:
    """Maps, float (K, h, w), as float32 whose largest value is 1, or all of which are 0."""
    return (maps / (maps.max() or 1)).astype(np.float32)


def heat_layer(heat: np.ndarray) -> Image.Image:
    """A map in colours.

    Args:
        heat: float32 (H, W) in [0, 1].

    Returns:
        Image of mode P, whose values are the heat from 0 to 255: a PNG of it takes a millisecond.
    """
    layer = Image.fromarray(np.round(255 * heat).astype(np.uint8)).convert("P")
    layer.putpalette(colormaps[COLOURMAP](np.arange(256), bytes=True)[:, :3].tobytes())
    return layer


def overlay(photograph: Image.Image, heat: np.ndarray, opacity: float = 0.6) -> Image.Image:
    """The photograph with the map laid over it.

    Args:
        photograph: RGB.
        heat: float32 (H, W) in [0, 1], of the photograph's size.
        opacity: of the warmest places.

    Returns:
        RGB image.
    """
    mask = Image.fromarray(np.round(255 * opacity * heat).astype(np.uint8))
    return Image.composite(heat_layer(heat).convert("RGB"), photograph, mask)
