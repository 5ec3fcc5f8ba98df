"""The fusion model: a timm backbone reads the photograph, a small MLP reads age, sex and site, their features are
concatenated, and a head gives the logits of the seven diagnoses. A second head, MetaBlock, lets the metadata gate the
feature map instead; it serves for comparison.

Every subset of {image, age, sex, site} is an input of its own: an absent image is a learned null embedding, an absent
field is the encoding of "unknown". The backbone runs once an image. The head is so small that all sixteen
subsets, or hundreds of records, cost next to nothing.

Concatenation of image features and clinical data for HAM10000: Pacheco and Krohling, "The impact of patient clinical
information on automated skin cancer detection" (2020). MetaBlock: the same authors, "An attention-based mechanism to
combine images and metadata in deep learning models applied to skin cancer classification" (2021). Training
on random subsets of the inputs, so that each is on distribution: Neverova et al., "ModDrop" (2015); Covert, Lundberg
and Lee, "Explaining by Removing" (2021).
ConvNeXt: Liu et al., "A ConvNet for the 2020s" (2022), MIT licence, by way of timm (Apache 2.0).
"""

from typing import Any

import numpy as np
import timm
import torch
from torch import nn

from lesion.data.diagnoses import DIAGNOSES
from lesion.data.metadata import ABSENT, FIELD_OF_COLUMN, WIDTH
from lesion.errors import UserError, shown

DEFAULT_BACKBONE = "convnext_small.fb_in22k_ft_in1k"
LAYER_SCALE_FROM_SCRATCH = 0.1
"""ConvNeXt scales each block's output by 1e-6 at first, which suits hundreds of epochs; short runs start here."""
STAGES = 4
"""Of a ConvNeXt."""
DRY_RUN_SIZE = 64
"""Pixels; a multiple of every usual stride."""


def create_backbone(
    name: str, pretrained: bool = False, drop_path_rate: float = 0.0, depths: tuple[int, ...] | None = None
) -> Any:
    """A timm backbone without its classifier.

    Args:
        name: timm model name, with or without a pretrained tag.
        pretrained: load timm's weights of that name from the Hugging Face Hub.
        drop_path_rate: stochastic depth, where the architecture has it (densenet121, for one, has not).
        depths: blocks of each of the four stages of a ConvNeXt; by default as its name says.

    Returns:
        A torch.nn.Module with what timm's models have in common, which no type names: `forward_features`,
        `forward_head`, `num_features`, `head_hidden_size`, `feature_info`.

    Raises:
        UserError: timm has no such model, or it is not accepted (see `check_backbone`), or `depths` are not.
    """
    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('.')[0].split('_')[0]}*")[:5])
        hint = f"; similar names: {close}" if close else ""
        raise UserError(f"timm has no model {name!r}{hint}. timm.list_models() lists all.")
    options: dict[str, Any] = {"drop_path_rate": drop_path_rate} if drop_path_rate else {}
    if depths is not None:
        if not timm.models.is_model_in_modules(name, ["convnext"]):
            raise UserError(f"The depth of {name} cannot be chosen; give depths for a ConvNeXt, or none.")
        if len(depths) != STAGES or min(depths) < 1:
            raise UserError(f"Depths {shown(depths)} are not accepted; give {STAGES} whole numbers from 1.")
        options["depths"] = tuple(depths)
    try:
        backbone = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        backbone = timm.create_model(name, pretrained=pretrained, num_classes=0)
    check_backbone(backbone, name)
    if not pretrained:
        for parameter_name, parameter in backbone.named_parameters():
            if parameter_name.endswith(".gamma"):
                nn.init.constant_(parameter, LAYER_SCALE_FROM_SCRATCH)
    return backbone


def check_backbone(backbone: Any, name: str) -> None:
    """Runs a small image through a backbone, on the device of its weights, to see that it can be used here.

    Heat maps and MetaBlock read the last features as (batch, channels, height, width), and images have other sizes
    than those the architecture was made for. Vision transformers and Swin are refused by this.

    Raises:
        UserError: it cannot.
    """
    device = next(backbone.parameters()).device
    was_training = backbone.training
    backbone.eval()
    try:
        with torch.no_grad(), torch.device(device):
            features = backbone.forward_features(torch.zeros(1, 3, DRY_RUN_SIZE, DRY_RUN_SIZE))
            cells = DRY_RUN_SIZE // backbone.feature_info[-1]["reduction"]
            expected = (1, backbone.num_features, cells, cells)
            problem = f"its last features have the shape {tuple(features.shape)}, not {expected}"
            if tuple(features.shape) == expected:
                pooled = backbone.forward_head(features, pre_logits=True)
                width = backbone.head_hidden_size
                problem = "" if tuple(pooled.shape) == (1, width) else f"its pooled features are not of width {width}"
    except Exception as error:  # architectures raise many things where they cannot read the image
        problem = str(error).strip().split("\n")[0].rstrip(".")
    backbone.train(was_training)
    if problem:
        raise UserError(
            f"{name} is not accepted for an image of {DRY_RUN_SIZE} × {DRY_RUN_SIZE} pixels: {problem}. Choose a "
            "convolutional network, which reads images of any size and gives a map (batch, channels, height, width), "
            "such as convnext_small, efficientnet_b0, densenet121 or resnet50."
        )


def create_classifier(width: int) -> nn.Sequential:
    """The small classifier at the end of a head, of `width` features."""
    return nn.Sequential(nn.Linear(width, 256), nn.GELU(), nn.Dropout(0.2), nn.Linear(256, len(DIAGNOSES)))


class FusionHead(nn.Module):
    """What the heads have in common: a null image and null fields.

    Args:
        image_width: number of image features.
    """

    absent: torch.Tensor
    field_of_column: torch.Tensor

    def __init__(self, image_width: int):
        super().__init__()
        self.image_norm = nn.LayerNorm(image_width)
        self.null_image = nn.Parameter(torch.zeros(image_width))
        self.register_buffer("absent", torch.from_numpy(ABSENT), persistent=False)
        self.register_buffer("field_of_column", torch.from_numpy(FIELD_OF_COLUMN), persistent=False)

    def seen(self, metadata: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Encoded records, float (B, WIDTH), in which the fields that `present`, bool (B, 4), excludes are absent."""
        return torch.where(present[:, 1:][:, self.field_of_column], metadata, self.absent)


class ConcatenationHead(FusionHead):
    """From a pooled image embedding and an encoded record to logits: the features are concatenated.

    Args:
        image_width: D, length of the image embedding.
        metadata: whether there is a metadata branch; without one the model sees the image alone.
    """

    def __init__(self, image_width: int, metadata: bool = True):
        super().__init__(image_width)
        self.metadata_branch = (
            nn.Sequential(nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU()) if metadata else None
        )
        self.classifier = create_classifier(image_width + (64 if metadata else 0))

    def forward(self, embedding: torch.Tensor, metadata: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Logits of the seven diagnoses.

        Args:
            embedding: float (B, D), pooled image features; (1, D) for one image with B records.
            metadata: float (B, WIDTH), encoded records.
            present: bool (B, 4), which of INPUTS (image, age, sex, site) to look at.

        Returns:
            float (B, 7).
        """
        # The first layer of the classifier on the concatenated features, as the sum of an image part and a metadata
        # part: the image part, nearly all of the work, is then computed once for one image with many records.
        layers: Any = self.classifier
        first, *others = layers
        image_weight, metadata_weight = first.weight.tensor_split([embedding.shape[1]], dim=1)
        hidden = torch.where(
            present[:, :1],
            nn.functional.linear(self.image_norm(embedding), image_weight, first.bias),
            nn.functional.linear(self.null_image, image_weight, first.bias),
        )
        if self.metadata_branch is not None:
            hidden = hidden + nn.functional.linear(self.metadata_branch(self.seen(metadata, present)), metadata_weight)
        for layer in others:
            hidden = layer(hidden)
        return hidden


class MetaBlockHead(FusionHead):
    """MetaBlock (Pacheco and Krohling, 2021): gates computed from the record, one for each channel, select what to keep
    of the unpooled feature map V: sigmoid(tanh(V · f(record)) + g(record)), which is then pooled and classified.

    f and g are linear with a layer norm, where the paper has batch norm: a batch here holds several subsets of the same
    inputs, and an answer must not depend on the others in its batch.

    Args:
        image_width: C, channels of the feature map.
    """

    def __init__(self, image_width: int):
        super().__init__(image_width)
        self.scale = nn.Sequential(nn.Linear(WIDTH, image_width), nn.LayerNorm(image_width))
        self.shift = nn.Sequential(nn.Linear(WIDTH, image_width), nn.LayerNorm(image_width))
        self.classifier = create_classifier(image_width)

    def forward(self, embedding: torch.Tensor, metadata: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """Logits of the seven diagnoses.

        Args:
            embedding: float (B, P, C), the feature map's P positions; (1, P, C) for one image with B records.
            metadata, present: see `ConcatenationHead.forward`.

        Returns:
            float (B, 7).
        """
        seen = self.seen(metadata, present)
        values = torch.where(present[:, :1, None], self.image_norm(embedding), self.null_image)
        gated = torch.sigmoid(torch.tanh(values * self.scale(seen)[:, None]) + self.shift(seen)[:, None])
        return self.classifier(gated.mean(1))


FUSIONS = ("none", "concat", "metablock")
"""How a model joins image and metadata; "none" reads the image alone."""


class FusionModel(nn.Module):
    """Backbone and fusion head.

    Args:
        backbone: of `create_backbone`.
        fusion: one of FUSIONS.
    """

    def __init__(self, backbone: Any, fusion: str = "concat"):
        super().__init__()
        self.backbone: Any = backbone
        self.in_bfloat16 = False
        self.pooled = fusion != "metablock"
        self.head: ConcatenationHead | MetaBlockHead
        if self.pooled:
            self.head = ConcatenationHead(backbone.head_hidden_size, fusion == "concat")
        else:
            self.head = MetaBlockHead(backbone.num_features)

    def use_bfloat16(self) -> None:
        """For prediction on hardware with instructions for it: stores the backbone's kernels and matrices in bfloat16,
        in place, for use under `autocast`; norms, sums and the head stay float32."""
        for module in self.backbone.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.to(torch.bfloat16)
        self.in_bfloat16 = True

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.head.null_image.device

    def autocast(self) -> torch.autocast:
        """The context in which prediction runs the backbone, or a part of it."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.in_bfloat16)

    def forward_features(self, images: torch.Tensor) -> torch.Tensor:
        """float (B, 3, H, W) to the last feature map, float (B, C, h, w): 768 × 7 × 7 for ConvNeXt-Small at 224."""
        return self.backbone.forward_features(images)

    def pool(self, feature_map: torch.Tensor) -> torch.Tensor:
        """The last feature map to what the head reads of the image, the image embedding.

        Returns:
            float (B, D), pooled; for MetaBlock float (B, h · w, C), every position.
        """
        if self.pooled:
            return self.backbone.forward_head(feature_map, pre_logits=True)
        return feature_map.flatten(2).transpose(1, 2)

    def embed(self, images: torch.Tensor) -> torch.Tensor:
        """float (B, 3, H, W) to the image embedding of `pool`."""
        return self.pool(self.forward_features(images))

    def forward(self, images: torch.Tensor, metadata: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
        """The backbone once, the head on K subsets of the inputs.

        Args:
            images: float (B, 3, H, W).
            metadata: float (B, WIDTH).
            present: bool (B, K, 4).

        Returns:
            logits, float (B, K, 7).
        """
        return head_on_subsets(self.head, self.embed(images), metadata, present)


def head_on_subsets(
    head: FusionHead, embedding: torch.Tensor, metadata: torch.Tensor, present: torch.Tensor
) -> torch.Tensor:
    """The head on K subsets of the same inputs.

    Args:
        head: the fusion head.
        embedding: of `FusionModel.pool`, B rows.
        metadata: float (B, WIDTH).
        present: bool (B, K, 4).

    Returns:
        logits, float (B, K, 7).
    """
    batch, subsets, _ = present.shape
    embedding, metadata = (x.repeat_interleave(subsets, dim=0) for x in (embedding, metadata))
    return head(embedding, metadata, present.flatten(0, 1)).view(batch, subsets, -1)


def one_an_image(embeddings: np.ndarray) -> np.ndarray:
    """Image embeddings of `FusionModel.pool` as float (N, D): their mean where MetaBlock keeps every position."""
    return embeddings if embeddings.ndim == 2 else embeddings.mean(1)


@torch.inference_mode()
def head_logits(head: FusionHead, embeddings: np.ndarray, metadata: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Logits of the head in evaluation mode.

    Args:
        head: on any device.
        embeddings: float32, of `FusionModel.pool`, N rows, or one for one image with N records.
        metadata: float32 (N, WIDTH).
        present: bool (4,) or (N, 4).

    Returns:
        float32 (N, 7).
    """
    device = next(head.parameters()).device
    mask = np.broadcast_to(present, (len(metadata), 4))
    tensors = [torch.tensor(x, device=device) for x in (embeddings, metadata, mask)]
    if was_training := head.training:  # switching each time would take as long as the head itself
        head.eval()
    logits = head(*tensors).float().cpu().numpy()
    if was_training:
        head.train()
    return logits
