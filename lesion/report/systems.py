"""The reference systems trained and scored side by side."""

from dataclasses import dataclass

from lesion.model.fusion import DEFAULT_BACKBONE

SYSTEMS_FILE = "systems.json"


@dataclass(frozen=True)
class System:
    """One of the systems.

    Attributes:
        key: name of its folder.
        name: for people.
        backbone: timm model name.
        fusion: one of `lesion.model.fusion.FUSIONS`.
        split: "lesion" or "image".
    """

    key: str
    name: str
    backbone: str
    fusion: str
    split: str = "lesion"


SYSTEMS = (
    System("convnext_concat", "ConvNeXt-Small and metadata, concatenation", DEFAULT_BACKBONE, "concat"),
    System("convnext_image", "ConvNeXt-Small, image only", DEFAULT_BACKBONE, "none"),
    System("convnext_metablock", "ConvNeXt-Small and metadata, MetaBlock", DEFAULT_BACKBONE, "metablock"),
    System("densenet_image", "DenseNet121, image only", "densenet121.ra_in1k", "none"),
    System("efficientnet_image", "EfficientNet-B0, image only", "efficientnet_b0.ra_in1k", "none"),
    System("concat_by_image", "ConvNeXt-Small and metadata, concatenation", DEFAULT_BACKBONE, "concat", "image"),
)  # fmt: skip
"""The first is what the others are compared with; the one split by image has other test images and stands apart."""
PUBLISHED = (
    {"name": "reference work, ConvNeXt and metadata", "accuracy": 0.7179, "weighted_f1": 0.74},
    {"name": "reference work, EfficientNet-B0, image only", "accuracy": 0.6990},
)
"""As published; split by image, scored on the images that served for early stopping."""
