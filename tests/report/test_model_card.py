"""The model card: what the start saw, how photographs are read, and the commands."""

import shlex
from dataclasses import asdict, replace

import pytest

from conftest import BUNDLED
from lesion.model.checkpoint import load_config
from lesion.report.commands import training_commands
from lesion.report.model_card import model_card
from lesion.report.starts import start_in_words
from train import parse_arguments

SOURCE = {"name": "skin", "images": 15284, "classes": 8, "rotated": True, "repeats": 2}
OBJECTS = {"name": "objects", "images": 77700, "classes": 277, "rotated": False, "repeats": 1}
STAGES = [
    {"backbone": "convnext_small", "depths": [2, 2, 4, 2], "image_size": 64, "epochs": 3, "batch_size": 64,
     "learning_rate": 1e-3, "seed": 0, "sources": [OBJECTS, SOURCE], "images_seen": 1_000_000,
     "mixed_precision": "bf16"},
    {"backbone": "convnext_small", "depths": [3, 3, 27, 3], "image_size": 64, "epochs": 2, "batch_size": 64,
     "learning_rate": 5e-4, "seed": 0, "sources": [OBJECTS], "images_seen": 200_000,
     "mixed_precision": "bf16"},
]  # fmt: skip


@pytest.mark.parametrize("bundled", [True, False], ids=["bundled", "tiny"])
def test_the_command_is_the_trainings(checkpoint, bundled):
    """Read again by train.py, it gives the recorded settings."""
    training = load_config(BUNDLED if bundled else checkpoint).training
    command = shlex.split(training_commands(training, "weights")[-2])
    assert command[:2] == ["python", "train.py"]
    _, config = parse_arguments(command[2:])
    for name, value in asdict(config).items():
        recorded = training.get(name)
        if name == "init":
            recorded = recorded if isinstance(recorded, str) else recorded["file"]
        if name == "image_sizes":
            recorded = tuple(map(tuple, recorded))
        if name != "workers":
            assert value == recorded, name


def test_the_starts_commands_are_those_of_each_stage():
    training = load_config(BUNDLED).training
    training = {**training, "init": {"file": "grown.safetensors", "stages": STAGES}}
    first, second, *_ = training_commands(training, "weights")
    assert "--data objects --lesions skin --lesion-repeats 2 --depths 2,2,4,2" in first
    assert "--output start1.safetensors" in first and "--grow-from" not in first
    assert "--output grown.safetensors" in second and "--grow-from start1.safetensors" in second


def test_the_start_says_what_it_saw():
    assert start_in_words("imagenet") == "ImageNet weights" and start_in_words("scratch") == "random weights"
    words = start_in_words({"file": "f", "stages": STAGES})
    assert words.startswith("pretraining with external data: ")
    assert "objects (77,700 photographs, 277 classes), skin (15,284 photographs, 8 classes); 1,200,000 image" in words
    old = {"file": "f", "images": "79992", "classes": "202", "image_size": "64", "epoch": "2"}
    assert start_in_words(old).endswith("79,992 photographs of 202 classes at 64 × 64 pixels, 2 epochs")
    assert "does not say how it was made" in start_in_words({"file": "f.safetensors"})


def test_the_card_says_which_epoch_was_kept_and_how_firmly(checkpoint):
    config = load_config(checkpoint)
    choice = config.training["epoch_choice"]
    card = " ".join(model_card(config, None).split())
    assert f"Epoch {choice['epoch']} was kept, by validation log-loss among the last {choice['candidates']}" in card
    assert f"{choice['agreement']:.0%} of bootstraps" in card and 0 < choice["agreement"] <= 1
    assert "was kept" not in model_card(load_config(BUNDLED), None), "the bundled one is older"


def test_the_card_says_how_photographs_are_read_and_with_what_start(checkpoint):
    config = load_config(checkpoint)
    assert "The centre square of 64 × 64 pixels" in model_card(config, None)
    squeezed = replace(config, transform=replace(config.transform, crop_mode="squash"))
    assert "The whole frame, squeezed into a square" in model_card(squeezed, None)
    card = model_card(load_config(BUNDLED), None)
    assert "**Start**: pretraining with external data: 79,992 photographs" in card
    assert "python train.py --data PATH_TO_HAM10000" in card and "macro F1" in card and "malignant AUROC" in card
