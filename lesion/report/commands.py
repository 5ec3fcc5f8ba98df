"""The commands that made a checkpoint, from what it records."""

import shlex

OPTIONS = {
    "backbone": "--backbone",
    "recipe": "--recipe",
    "split": "--split",
    "split_seed": "--split-seed",
    "evaluation_size": "--evaluation-size",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "class_weighting": "--class-weights",
    "layer_decay": "--layer-decay",
    "drop_path_rate": "--drop-path",
    "mixup_probability": "--mixup",
    "patience": "--patience",
    "mixed_precision": "--mixed-precision",
    "seed": "--seed",
}
"""The options of train.py by the names under which a checkpoint records their values."""
PRETRAINING_OPTIONS = {
    "backbone": "--backbone",
    "image_size": "--image-size",
    "epochs": "--epochs",
    "batch_size": "--batch-size",
    "learning_rate": "--learning-rate",
    "mixed_precision": "--mixed-precision",
    "seed": "--seed",
}
"""The options of `lesion.pretrain` by the names under which a start records their values."""


def training_commands(training: dict, folder: str) -> list[str]:
    """The commands that pretrained the start, trained the checkpoint and evaluated it.

    Args:
        training: `config.training` of the checkpoint.
        folder: where the checkpoint is.
    """
    init, teacher = training["init"], training.get("teacher")
    commands = pretraining_commands(init.get("stages", []), init["file"]) if isinstance(init, dict) else []
    words = ["python", "train.py", "--data", "PATH_TO_HAM10000", "--output", folder]
    words += ["--init", init if isinstance(init, str) else init["file"]]
    if teacher:
        words += ["--teacher", str(teacher["checkpoint"] if isinstance(teacher, dict) else teacher)]
    if external := training.get("external"):
        words += ["--external", external["table"], "--external-images", *external["images"]]
        words += ["--external-epochs", str(external["epochs"])]
    words += ["--no-metadata"] if training["fusion"] == "none" else ["--fusion", training["fusion"]]
    words += ["--image-size", ",".join(f"{size}:{epochs}" for size, epochs in training["image_sizes"])]
    words += given(training, OPTIONS)
    evaluate = ["python", "-m", "lesion.evaluate", "--data", "PATH_TO_HAM10000", "--checkpoint", folder]
    return [*commands, shlex.join(words), shlex.join(evaluate)]


def pretraining_commands(stages: list[dict], file: str) -> list[str]:
    """The runs of `lesion.pretrain` that made a start, each from the file of the one before; [] where none is recorded.

    Args:
        stages: as the start records them.
        file: its name.
    """
    commands, before = [], None
    for number, stage in enumerate(stages, 1):
        if "sources" not in stage:  # not made by lesion.pretrain
            return []
        output = file if number == len(stages) else f"start{number}.safetensors"
        words = ["python", "-m", "lesion.pretrain", "--output", output]
        words += ["--convert", converted(stage), "--data", "PATH_TO_IMAGENET_CLASSES"] if "recognised" in stage else []
        for option, rotated in (("--data", False), ("--lesions", True)):
            sources = [source for source in stage["sources"] if source.get("rotated") == rotated]
            if sources:
                words += [option, *(source["name"] for source in sources)]
                words += ["--lesion-repeats", str(sources[0]["repeats"])] if rotated else []
        if stage.get("depths"):
            words += ["--depths", ",".join(map(str, stage["depths"]))]
        if before:
            words += ["--init" if before.get("depths") == stage.get("depths") else "--grow-from", before["output"]]
        words += ["--teacher", stage["teacher"]] if stage.get("teacher") else []
        commands.append(shlex.join(words + given(stage, PRETRAINING_OPTIONS)))
        before = {**stage, "output": output}
    return commands


def converted(stage: dict) -> str:
    """The file whose weights a stage took over; a record of an earlier version names it with its source alone."""
    return stage.get("converted") or stage["sources"][0]["name"].rpartition(" by ")[2]


def given(values: dict, options: dict[str, str]) -> list[str]:
    """The options with their values, those left out that are not recorded."""
    known = {name: values.get(name) for name in options}
    return [word for name, value in known.items() if value is not None for word in (options[name], str(value))]
