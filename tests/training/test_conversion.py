"""ImageNet weights of another package, taken over by their order."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from timm.data import ImageNetInfo, create_transform, resolve_model_data_config

from conftest import TINY
from lesion.errors import UserError
from lesion.model.fusion import create_backbone
from lesion.training.class_folders import ClassFolders
from lesion.training.conversion import convert
from lesion.training.start import load_start, read_start


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> ClassFolders:
    """Twenty ImageNet classes, each of one pattern."""
    root = tmp_path_factory.mktemp("world")
    generator = np.random.default_rng(0)
    for name in ImageNetInfo().label_names()[:400:20]:
        (root / name).mkdir()
        pattern = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((40, 40))
        for number in range(2):
            pattern.save(root / name / f"{number}.png")
    return ClassFolders(root)


@pytest.fixture(scope="module")
def network(folders) -> torch.nn.Module:
    """A small network whose classifier knows the patterns."""
    torch.manual_seed(0)
    network = timm.create_model(TINY).eval()
    transform = create_transform(**resolve_model_data_config(network), is_training=False)
    images = torch.stack([transform(folders.read(row)) for row in range(0, len(folders), 2)])
    with torch.no_grad():
        features = network.forward_head(network.forward_features(images), pre_logits=True)
        columns = [ImageNetInfo().label_names().index(name) for name in folders.classes]
        classifier = network.get_classifier()
        classifier.weight.zero_()
        classifier.bias.zero_()
        centred = features - features.mean(0)
        classifier.weight[columns] = torch.linalg.pinv(centred).T
        classifier.bias[columns] = -classifier.weight[columns] @ features.mean(0)
    return network


def other_names(state: dict) -> dict:
    return {f"_{number}.{name.split('.')[-1]}": tensor for number, (name, tensor) in enumerate(state.items())}


def test_weights_under_other_names_make_a_start(network, folders, tmp_path, capsys):
    torch.save(other_names(network.state_dict()), tmp_path / "weights.pth")
    share = convert(tmp_path / "weights.pth", TINY, folders, tmp_path / "start.safetensors")
    assert share == 1 and "Top-1 among 20 ImageNet classes" in capsys.readouterr().out
    start = read_start(tmp_path / "start.safetensors")
    backbone = create_backbone(TINY)
    load_start(backbone, start.backbone, tmp_path)
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, network.state_dict()[name]), name
    assert start.stages[0]["recognised"] == 1 and start.stages[0]["source"] == "weights.pth"


def test_tensors_of_one_shape_in_another_order_are_noticed(network, folders, tmp_path):
    """As a batch norm's mean taken for its variance: every shape fits."""
    state = dict(network.state_dict())
    names = [name for name in state if name.endswith("norm.weight")]
    for name in names:
        bias = name.replace("weight", "bias")
        state[name], state[bias] = state[bias], state[name]
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="less than 10 times chance"):
        convert(tmp_path / "weights.pth", TINY, folders, tmp_path / "start.safetensors")
    assert not (tmp_path / "start.safetensors").exists()


def test_another_networks_weights_are_refused(network, folders, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="in its order and shapes"):
        convert(tmp_path / "weights.pth", "resnet10t", folders, tmp_path / "start.safetensors")


def test_nothing_in_the_file_is_executed(folders, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (print, ("executed",))

    torch.save({"weight": Bomb()}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match="cannot be read as a dictionary of tensors"):
        convert(tmp_path / "weights.pth", TINY, folders, tmp_path / "start.safetensors")


def test_folders_that_are_no_imagenet_classes_prove_nothing(network, ham10000, tmp_path):
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    with pytest.raises(UserError, match="0 classes of ImageNet"):
        convert(tmp_path / "weights.pth", TINY, ClassFolders(ham10000), tmp_path / "start.safetensors")
