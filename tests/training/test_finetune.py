"""Fine-tuning: how fast each layer learns, what the loss weighs, and which epoch is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from conftest import TINY
from lesion.data.ham10000 import read_table
from lesion.data.metadata import WIDTH
from lesion.data.transforms import ImageTransform
from lesion.model.fusion import FusionModel, create_backbone
from lesion.training.data import prepare_data
from lesion.training.finetune import Objective, finetune, parameter_groups
from lesion.training.loop import LoopConfig, fit
from train import parse_arguments

ARGUMENTS = f"--backbone {TINY} --init scratch --image-size 32:1 --workers 0 --mixup 0 --class-weights balanced"
_, CONFIG = parse_arguments(["--data", "x", *ARGUMENTS.split()])
TRANSFORM = ImageTransform(32, 100, (0.5,) * 3, (0.5,) * 3)


class Pictures(Dataset):
    """Eight pictures."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.from_numpy(np.random.default_rng(index).normal(size=(3, 32, 32)).astype(np.float32)), index % 2


def distances(config, folder) -> dict[str, float]:
    """How far one step of the optimiser moves a weight of the stem, of the last stage and of the head, on average."""
    torch.manual_seed(0)
    model = FusionModel(create_backbone(TINY))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def loss(model, batch, epoch):
        present = torch.ones(len(batch[0]), 2, 4, dtype=torch.bool)
        logits = model(batch[0], torch.zeros(len(batch[0]), WIDTH), present)[:, 0]
        return nn.functional.cross_entropy(logits, batch[1], reduction="none")

    loop = LoopConfig(epochs=1, batch_size=8, learning_rate=1e-3, weight_decay=0.0, workers=0)
    fit(
        Accelerator(cpu=True), model, parameter_groups(model, config), Pictures(), loss, loop, folder / "last.pt", {},
        lambda *_: None,
    )  # fmt: skip
    after = dict(model.named_parameters())
    weights = {"stem": "backbone.stem.0.weight", "head": "head.classifier.0.weight"}
    weights["last stage"] = [name for name in before if ".stages.3." in name and name.endswith("weight")][-1]
    # Adam moves every weight that has a gradient by about the learning rate in its first step.
    return {name: (after[key] - before[key]).abs().max().item() for name, key in weights.items()}


def test_the_first_layers_of_a_pretrained_backbone_learn_more_slowly(tmp_path):
    pretrained = distances(replace(CONFIG, init="imagenet", layer_decay=0.5), tmp_path)
    assert pretrained["stem"] < 0.3 * pretrained["last stage"] < 0.3 * 1.1 * pretrained["head"]
    scratch = distances(replace(CONFIG, layer_decay=0.5), tmp_path)
    assert scratch["stem"] == pytest.approx(scratch["head"], rel=0.05), "nothing is to be kept of a random start"


class Undecided(nn.Module):
    """Gives every diagnosis the same logit."""

    def forward(self, images, metadata, present):
        return torch.zeros(*present.shape[:2], 7)


def test_the_loss_weighs_rare_diagnoses(ham10000):
    data = prepare_data(read_table(ham10000, verify=False), "lesion", 0, "balanced")
    objective = Objective(CONFIG, data, TRANSFORM, Accelerator(cpu=True), None)
    labels = torch.arange(7)
    frames = torch.zeros(7, 3, 64, 64, dtype=torch.uint8)
    losses = objective(Undecided(), [frames, torch.zeros(7, WIDTH), labels], 0)
    np.testing.assert_allclose(losses / np.log(7), data.weights, rtol=1e-5)
    assert losses[5] > 2 * losses[1], "dermatofibroma, of which there are few, and nevus"


def test_the_epoch_with_the_least_validation_loss_is_kept(ham10000, tmp_path, monkeypatch):
    """Of three epochs the second is said to be the best."""
    said, averaged = iter([0.9, 0.5, 0.7]), []

    def judge(head, embeddings, data, views):
        averaged.append({name: tensor.clone() for name, tensor in head.state_dict().items()})
        loss = next(said)
        return {"validation_loss": loss, "balanced_accuracy": 1 - loss}, np.full(len(data.split.validation), loss)

    monkeypatch.setattr("lesion.training.finetune.epoch_metrics", judge)
    data = prepare_data(read_table(ham10000, verify=False), "lesion", 0, "sqrt")
    torch.manual_seed(0)
    model = FusionModel(create_backbone(TINY))
    config = replace(CONFIG, image_sizes=((32, 3),))
    finetune(Accelerator(cpu=True), model, data, TRANSFORM, config, "", tmp_path, resume=False)
    assert all(torch.equal(averaged[1][name], tensor) for name, tensor in model.head.state_dict().items())
    assert not torch.equal(averaged[1]["null_image"], averaged[2]["null_image"])
