"""A pretraining that learns another network's features too."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from timm.data import resolve_model_data_config
from torch.nn import functional

from conftest import TINY, run_command
from lesion.data.ham10000 import read_table
from lesion.errors import UserError
from lesion.model.fusion import create_backbone
from lesion.report.commands import pretraining_commands
from lesion.training.augmentation import normalise
from lesion.training.feature_distillation import FeatureTeacher, direction_loss

OTHER = "resnet10t"


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    torch.manual_seed(5)
    save_file(create_backbone(OTHER).state_dict(), path, {"backbone": OTHER})
    return path


def test_it_gives_the_direction_of_its_own_features(teacher_file):
    """Of the image at its own normalisation, enlarged to twice the student's side at most."""
    teacher = FeatureTeacher(str(teacher_file), 32)
    torch.manual_seed(5)
    network = create_backbone(OTHER).eval()
    images = torch.rand(3, 3, 32, 32)
    configured = resolve_model_data_config(network)
    larger = functional.interpolate(images, size=(64, 64), mode="bilinear", antialias=True)
    with torch.no_grad():
        features = network(normalise(larger, configured["mean"], configured["std"]))
    torch.testing.assert_close(teacher(images), features / features.norm(dim=1, keepdim=True), atol=1e-5, rtol=0)
    assert teacher.width == features.shape[1] and not any(p.requires_grad for p in teacher.parameters())
    assert FeatureTeacher(str(teacher_file), 500).side == configured["input_size"][-1]


def test_only_the_direction_counts():
    taught = functional.normalize(torch.tensor([[3.0, 4.0], [3.0, 4.0], [3.0, 4.0]]), dim=1)
    losses = direction_loss(torch.tensor([[6.0, 8.0], [-4.0, 3.0], [-3.0, -4.0]]), taught)
    torch.testing.assert_close(losses, torch.tensor([0.0, 1.0, 2.0]), atol=1e-6, rtol=0)


def test_a_teacher_that_cannot_be_loaded_is_one_sentence(tmp_path, teacher_file):
    with pytest.raises(UserError, match=r"--teacher .*none.safetensors does not exist"):
        FeatureTeacher(str(tmp_path / "none.safetensors"), 32)
    save_file(create_backbone(OTHER).state_dict(), tmp_path / "nameless.safetensors")
    with pytest.raises(UserError, match="does not say which backbone"):
        FeatureTeacher(str(tmp_path / "nameless.safetensors"), 32)
    save_file(create_backbone(OTHER).state_dict(), tmp_path / "wrong.safetensors", {"backbone": TINY})
    with pytest.raises(UserError, match=r"--teacher .*does not hold the weights"):
        FeatureTeacher(str(tmp_path / "wrong.safetensors"), 32)


def test_pretraining_with_a_teacher(ham10000, tmp_path, teacher_file):
    """The start keeps neither the teacher nor the layer towards it, and says who taught."""
    for row in read_table(ham10000, verify=False).itertuples():
        target = tmp_path / "folders" / f"class{row.label}"
        target.mkdir(parents=True, exist_ok=True)
        (target / f"{row.image_id}.jpg").symlink_to(row.path)
    command = (
        "lesion.pretrain", "--data", tmp_path / "folders", "--backbone", TINY, "--image-size", 32, "--epochs", 2,
        "--batch-size", 30, "--workers", 0, "--output",
    )  # fmt: skip
    done = run_command(*command, tmp_path / "taught.safetensors", "--teacher", teacher_file)
    assert done.returncode == 0, done.stderr
    with safe_open(tmp_path / "taught.safetensors", "pt") as file:
        names, stages = list(file.keys()), json.loads(file.metadata()["stages"])
    assert not any("projection" in name or "teacher" in name for name in names)
    assert stages[0]["teacher"] == "teacher.safetensors"
    assert "--teacher teacher.safetensors" in pretraining_commands(stages, "taught.safetensors")[0]
    plain = run_command(*command, tmp_path / "taught.safetensors", "--resume")
    assert plain.returncode == 1 and "teacher=None (was " in plain.stderr, "another teacher is another run"
