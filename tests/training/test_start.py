"""Starts are known by what is in them."""

import hashlib
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from conftest import TINY
from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.model.fusion import create_backbone
from lesion.report.starts import start_in_words
from lesion.training.start import commit, create_model, describe_start, load_start, read_start
from train import parse_arguments


def written(path, seed=0, **described):
    torch.manual_seed(seed)
    save_file(create_backbone(TINY).state_dict(), path, described)
    return path


def test_a_start_is_described_by_its_content(tmp_path):
    path = written(tmp_path / "start.safetensors", backbone=TINY, stages=json.dumps([{"images_seen": 7}]))
    described = describe_start(str(path))
    assert described["file"] == "start.safetensors" and described["stages"] == [{"images_seen": 7}]
    assert described["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert describe_start("imagenet") == "imagenet" and describe_start("scratch") == "scratch"


def test_another_content_at_the_same_path_is_another_start(tmp_path):
    first = read_start(written(tmp_path / "start.safetensors")).sha256
    assert read_start(written(tmp_path / "start.safetensors", seed=1)).sha256 != first
    assert read_start(written(tmp_path / "elsewhere.safetensors")).sha256 == first


def test_classifiers_are_apart_from_the_backbone(tmp_path):
    backbone = create_backbone(TINY)
    tensors = {**backbone.state_dict(), "classifiers.world.zip.weight": torch.ones(3, 64)}
    save_file(tensors, tmp_path / "start.safetensors")
    start = read_start(tmp_path / "start.safetensors")
    assert list(start.classifiers) == ["classifiers.world.zip.weight"]
    load_start(backbone, start.backbone, tmp_path)


def test_another_architecture_is_refused(tmp_path):
    start = read_start(written(tmp_path / "start.safetensors"))
    with pytest.raises(UserError, match="does not hold the weights of this backbone"):
        load_start(create_backbone("resnet10t"), start.backbone, tmp_path / "start.safetensors")


def test_the_commit_that_trains_is_known_in_a_repository(monkeypatch, tmp_path):
    assert commit() == "unknown" or len(commit().removesuffix("-dirty")) == 40
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"


def test_a_checkpoint_is_a_start(checkpoint):
    """Its backbone, how that was made, and the split whose held-out parts it has not seen."""
    start = read_start(checkpoint)
    backbone = create_backbone(TINY)
    load_start(backbone, start.backbone, checkpoint)
    for name, tensor in load_checkpoint(checkpoint).model.backbone.state_dict().items():
        assert torch.equal(backbone.state_dict()[name], tensor.float()), name
    stage, training = start.stages[-1], load_checkpoint(checkpoint).config.training
    assert stage["images_seen"] == 2 * training["images"]["training"]
    assert "photographs of HAM10000" in start_in_words(describe_start(str(checkpoint)))
    same = parse_arguments(["--data", "x", "--backbone", TINY, "--init", str(checkpoint)])[1]
    create_model(same)
    for other in (replace(same, split_seed=3), replace(same, split="image")):
        with pytest.raises(UserError, match=r"split by lesion of seed 2.* --split-seed 2"):
            create_model(other)
