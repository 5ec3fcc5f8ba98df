"""Fine-tuning: what an epoch is chosen by, what the optimiser and the loss are given, what a teacher adds."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset

from conftest import TINY, run_command
from lesion.data.ham10000 import read_table
from lesion.data.metadata import WIDTH
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.model.fusion import FusionModel, create_backbone
from lesion.training import finetune as module
from lesion.training.choice import agreement, note_losses, read_losses
from lesion.training.data import prepare_data
from lesion.training.distillation import Teacher, divergence
from lesion.training.finetune import BEST, Objective, describe_choice, finetune, fingerprint_of, parameter_groups
from lesion.training.loop import LoopConfig, fit
from train import parse_arguments

TRANSFORM = ImageTransform(32, 75, (0.5,) * 3, (0.5,) * 3)


def configured(*arguments: str):
    base = ["--data", "x", "--backbone", TINY, "--init", "scratch", "--image-size", "32:2", "--workers", "0"]
    return parse_arguments(base + list(arguments))[1]


@pytest.fixture(scope="module")
def data(ham10000):
    return prepare_data(read_table(ham10000, verify=False), "lesion", 2, "sqrt")


def fresh() -> FusionModel:
    torch.manual_seed(0)
    return FusionModel(create_backbone(TINY))


def test_the_epoch_with_the_least_log_loss_is_left_in_the_model(data, tmp_path, monkeypatch):
    """Not the last one, and not the one with the best accuracy."""
    losses = iter([1.5, 1.2, 1.4])
    accuracies = iter([0.9, 0.1, 0.95])
    kept = {}

    def judged(head, embeddings, data, views):
        loss = next(losses)
        kept[loss] = copy.deepcopy(head.state_dict())
        each = np.full(len(data.split.validation), loss)
        return {"validation_loss": loss, "accuracy": 0.5, "balanced_accuracy": next(accuracies)}, each

    monkeypatch.setattr(module, "epoch_metrics", judged)
    config, model = configured("--image-size", "32:3"), fresh()
    (tmp_path / "state").mkdir()
    history = finetune(Accelerator(cpu=True), model, data, TRANSFORM, config, "", None, tmp_path, False)
    for name, tensor in model.head.state_dict().items():
        assert torch.equal(tensor, kept[1.2][name]), name
        assert tensor.dtype != torch.float32 or name == "null_image" or not torch.equal(tensor, kept[1.4][name])
    assert describe_choice(history, data, tmp_path / "state") == {"epoch": 2, "candidates": 3, "agreement": 1.0}
    assert load_file(tmp_path / "state" / BEST)


def test_a_pretrained_backbones_first_layers_learn_more_slowly():
    model = fresh()
    config = replace(configured(), init="imagenet", layer_decay=0.5)
    scale_of = {
        id(parameter): group.get("lr_scale", 1.0)
        for group in parameter_groups(model, config)
        for parameter in group["params"]
    }
    assert len(scale_of) == len(list(model.parameters()))
    stem = scale_of[id(model.backbone.stem[0].weight)]
    late = scale_of[id(model.backbone.stages[-1].blocks[-1].mlp.fc1.weight)]
    head = scale_of[id(model.head.classifier[0].weight)]
    assert stem < late <= head == 1.0 and stem <= 0.5 * late
    flat = parameter_groups(model, replace(config, layer_decay=1.0))
    assert all("lr_scale" not in group for group in flat)


class Pictures(Dataset):
    """Eight pictures."""

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return torch.from_numpy(np.random.default_rng(index).normal(size=(3, 32, 32)).astype(np.float32)), index % 2


def distances(config, folder) -> dict[str, float]:
    """How far one step of the optimiser moves a weight of the stem, of the last stage and of the head, on average."""
    model = fresh()
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


def test_the_optimiser_moves_the_first_layers_of_a_pretrained_backbone_less(tmp_path):
    pretrained = distances(replace(configured(), init="imagenet", layer_decay=0.5), tmp_path)
    assert pretrained["stem"] < 0.3 * pretrained["last stage"] < 0.3 * 1.1 * pretrained["head"]
    scratch = distances(replace(configured(), layer_decay=0.5), tmp_path)
    assert scratch["stem"] == pytest.approx(scratch["head"], rel=0.05), "nothing is to be kept of a random start"


def objective(data, teacher=None, weighting="sqrt") -> Objective:
    config = configured("--mixup", "0", "--class-weights", weighting)
    return Objective(config, data, TRANSFORM, Accelerator(cpu=True), teacher)


class Uniform(torch.nn.Module):
    """Answers nothing but one seventh each."""

    def forward(self, images, metadata, present):
        return torch.zeros(len(images), present.shape[1], 7)


def batch(data, labels) -> list[torch.Tensor]:
    frames = torch.randint(0, 256, (len(labels), 3, 48, 48), dtype=torch.uint8)
    return [frames, torch.from_numpy(data.metadata[: len(labels)]), torch.tensor(labels)]


def test_rare_diagnoses_weigh_more_in_the_loss(data):
    labels = [0, int(data.prevalence.argmax()), 5]
    losses = objective(data)(Uniform(), batch(data, labels), 0)
    np.testing.assert_allclose(losses, data.weights[labels] * np.log(7), rtol=1e-5)
    assert losses[1] < min(losses[0], losses[2]), "what is common weighs less"


def test_the_network_gets_the_size_of_the_epoch(data):
    sizes = []

    class Noting(Uniform):
        def forward(self, images, metadata, present):
            sizes.append(tuple(images.shape))
            return super().forward(images, metadata, present)

    config = configured("--image-size", "32:1,48:1")
    loss = Objective(config, data, TRANSFORM, Accelerator(cpu=True), None)
    for epoch in (0, 1):
        loss(Noting(), batch(data, [0, 1, 2]), epoch)
    assert [size[-1] for size in sizes] == [32, 48] and all(size[0] == 3 or size[0] == 4 for size in sizes)


def test_a_teacher_pulls_towards_its_answers(data, checkpoint):
    teacher = Teacher(checkpoint, data)
    torch.manual_seed(0)
    alone = objective(data)(Uniform(), batch(data, [0, 1, 2, 3]), 0)
    torch.manual_seed(0)
    taught = objective(data, teacher)(Uniform(), batch(data, [0, 1, 2, 3]), 0)
    assert (taught >= 0.5 * alone - 1e-6).all() and not torch.allclose(taught, 0.5 * alone, atol=1e-3)


def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn_from_it(data, checkpoint):
    teacher = Teacher(checkpoint, data)
    images, metadata = torch.rand(4, 3, 48, 48), torch.from_numpy(data.metadata[:4])
    present = torch.ones(4, 5, 4, dtype=torch.bool)
    answers = teacher(images, metadata, present)
    torch.testing.assert_close(answers.sum(-1), torch.ones(4, 5))
    torch.testing.assert_close(divergence(answers.log(), answers), torch.zeros(4), atol=1e-6, rtol=0)
    assert (divergence(torch.zeros(4, 5, 7), answers) > 0).all()


def test_a_teacher_reads_what_the_app_reads(data, checkpoint, ham10000):
    """At its own size and normalisation its answers are the checkpoint's, less calibration."""
    teacher, loaded = Teacher(checkpoint, data), load_checkpoint(checkpoint)
    torch.manual_seed(1)
    images = torch.rand(2, 3, 64, 64)
    metadata, present = torch.from_numpy(data.metadata[:2]), torch.ones(2, 1, 4, dtype=torch.bool)
    transform = loaded.config.transform
    inputs = (images - torch.tensor(transform.mean).view(3, 1, 1)) / torch.tensor(transform.std).view(3, 1, 1)
    with torch.no_grad():
        logits = loaded.model(inputs, metadata, present)
    shift = np.log(data.weights) - loaded.config.calibration.prior_correction_exponents[-1] * np.log(
        loaded.config.calibration.class_weights
    )
    expected = (logits + torch.tensor(shift, dtype=torch.float32)).softmax(-1)
    torch.testing.assert_close(teacher(images, metadata, present), expected, atol=1e-4, rtol=0)


def test_a_teacher_of_another_split_is_refused(ham10000, checkpoint):
    other = prepare_data(read_table(ham10000, verify=False), "lesion", 3, "sqrt")
    with pytest.raises(UserError, match="trained on another split"):
        Teacher(checkpoint, other)


def test_train_with_a_teacher(ham10000, checkpoint, tmp_path):
    done = run_command(
        "train", "--data", ham10000, "--output", tmp_path, "--backbone", TINY, "--init", "scratch", "--workers", 0,
        "--image-size", "32:1", "--teacher", checkpoint,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert load_checkpoint(tmp_path).config.training["teacher"] == str(checkpoint)


def test_a_resumed_run_is_known_by_content_not_by_path(data):
    config = replace(configured(), init="/somewhere/start.safetensors")
    one = fingerprint_of(config, data, "a" * 64, None, None)
    assert one == fingerprint_of(replace(config, init="start.safetensors"), data, "a" * 64, None, None)
    assert one != fingerprint_of(config, data, "b" * 64, None, None)


def test_losses_of_resumed_epochs_replace_the_earlier_ones(tmp_path):
    for epoch, value in ((1, 1.0), (2, 2.0), (3, 3.0), (2, 2.5)):
        note_losses(tmp_path, epoch, np.full(4, value))
    np.testing.assert_array_equal(read_losses(tmp_path), [[1.0] * 4, [2.5] * 4])


def test_agreement_is_certain_or_even():
    lesions = np.arange(200)
    generator = np.random.default_rng(0)
    clear = np.stack([np.full(200, 1.0), np.full(200, 0.5)])
    assert agreement(clear, lesions) == 1.0
    noise = generator.normal(0, 1, 200)
    even = np.stack([noise, -noise + 2 * noise.mean()])
    assert 0.4 < agreement(even, lesions) < 0.6


@pytest.fixture
def another_precision():
    """Accelerate keeps one precision for a whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_bfloat16_trains_the_network_that_answers(ham10000, tmp_path, another_precision):
    """A tf_ model, whose strided convolutions pad in a forward of their own; train.py itself compares at its end."""
    done = run_command(
        "train", "--data", ham10000, "--output", tmp_path, "--backbone", "tf_efficientnet_lite0", "--init", "scratch",
        "--workers", 0, "--image-size", "64:1", "--batch-size", 32, "--mixed-precision", "bf16",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "config.json").is_file()
