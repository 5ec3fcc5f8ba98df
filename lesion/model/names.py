"""What people call a network that timm names."""

import re

FAMILIES = {
    "convnext": "ConvNeXt", "convnextv2": "ConvNeXt V2", "densenet": "DenseNet", "efficientnet": "EfficientNet",
    "efficientnetv2": "EfficientNetV2", "mobilenetv3": "MobileNetV3", "resnet": "ResNet", "vit": "ViT",
}  # fmt: skip
"""As their papers write them. Of another family the first letter is made a capital."""


def model_name(backbone: str) -> str:
    """A plain name: "ConvNeXt-Small" of convnext_small.fb_in22k_ft_in1k, "EfficientNet-Lite2" of
    tf_efficientnet_lite2.in1k, "DenseNet121" of densenet121.

    Args:
        backbone: timm's name. What follows the full stop names the weights that a training began with.
    """
    architecture = backbone.partition("/")[2] or backbone  # a prefix such as timm/ names a hub
    words = architecture.partition(".")[0].removeprefix("tf_").split("_")
    return "-".join(map(_word, words))


def _word(word: str) -> str:
    """A word of the name: "DenseNet121" of densenet121."""
    if word in FAMILIES:
        return FAMILIES[word]
    family, number = re.fullmatch(r"(.*?)(\d*)", word).groups()
    return FAMILIES.get(family, family[:1].upper() + family[1:]) + number
