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
