"""Augmentation of a batch as tensors."""

import numpy as np
import pytest
import torch

from conftest import EXAMPLES
from lesion.data.reading import read_image
from lesion.data.transforms import centre_square
from lesion.training import augmentation
from lesion.training.augmentation import augment, change_colours, normalise, random_crops


def photograph(side: int = 96) -> torch.Tensor:
    image = centre_square(read_image(EXAMPLES / "ISIC_0024329.jpg"), side)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


@pytest.fixture
def plain(monkeypatch):
    """Neither colours nor resolution change."""
    for name in ("BRIGHTNESS", "CONTRAST", "SATURATION", "HUE", "BLURRED"):
        monkeypatch.setattr(augmentation, name, 0.0)


def test_the_same_seed_gives_the_same_batch_and_another_another():
    frames = photograph().repeat(4, 1, 1, 1)
    batches = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        batches.append(augment(frames, 64, torch.ones(4, dtype=torch.bool)))
    assert torch.equal(batches[0], batches[1]) and not torch.allclose(batches[0], batches[2], atol=0.05)
    assert not torch.allclose(batches[0][0], batches[0][1], atol=0.05), "each photograph is changed in its own way"
    assert batches[0].shape == (4, 3, 64, 64) and batches[0].min() >= 0 and batches[0].max() <= 1


def test_an_upright_photograph_is_only_cropped_and_mirrored(plain):
    """Rows stay rows: the brightness of the top is not found at the bottom."""
    ramp = torch.arange(0, 240, 4, dtype=torch.uint8).view(1, 1, 60, 1).expand(200, 3, 60, 60)
    torch.manual_seed(0)
    upright = augment(ramp, 48, torch.zeros(200, dtype=torch.bool))
    assert (upright.mean(3)[:, 0, -1] > upright.mean(3)[:, 0, 0]).all()
    turned = augment(ramp, 48, torch.ones(200, dtype=torch.bool))
    downwards = (turned.mean(3)[:, 0, -1] > turned.mean(3)[:, 0, 0]).float().mean()
    assert 0.3 < downwards < 0.7


def test_a_crop_has_the_area_that_was_asked(plain):
    torch.manual_seed(0)
    maps = random_crops(torch.ones(2000, dtype=torch.bool), 0.4)
    areas = torch.linalg.det(maps[:, :, :2]).abs()
    assert areas.min() > 0.35 and areas.max() <= 1 + 1e-6 and 0.6 < areas.mean() < 0.75
    corners = maps[:, :, 2].abs() + 0.0
    assert corners.max() <= 1


def test_without_a_change_the_photograph_is_resampled(plain, monkeypatch):
    monkeypatch.setattr(augmentation, "ASPECT", 1.0)
    frames = photograph(64)[None].repeat(20, 1, 1, 1)
    same = augment(frames, 64, torch.zeros(20, dtype=torch.bool), smallest_area=1.0)
    expected = frames.float() / 255
    mirrored = expected.flip(3)
    errors = torch.minimum((same - expected).abs().amax((1, 2, 3)), (same - mirrored).abs().amax((1, 2, 3)))
    assert errors.max() < 1e-3


def test_colours_change_as_said(monkeypatch):
    images = photograph(32)[None].float().repeat(50, 1, 1, 1) / 255 * 0.5 + 0.25
    for name in ("CONTRAST", "SATURATION", "HUE"):
        monkeypatch.setattr(augmentation, name, 0.0)
    brighter = change_colours(images.clone())
    factors = brighter.mean((1, 2, 3)) / images.mean((1, 2, 3))
    assert 0.79 < factors.min() < 0.9 and 1.1 < factors.max() < 1.21
    monkeypatch.setattr(augmentation, "BRIGHTNESS", 0.0)
    torch.testing.assert_close(change_colours(images.clone()), images, rtol=0, atol=1e-4)
    monkeypatch.setattr(augmentation, "HUE", 0.03)
    hued = change_colours(images.clone())
    grey = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    torch.testing.assert_close((hued * grey).sum(1), (images * grey).sum(1), rtol=0, atol=5e-3)
    assert (hued - images).abs().max() > 0.01


def test_normalised_as_torchvision():
    from torchvision.transforms import v2

    images, mean, std = torch.rand(2, 3, 8, 8), (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    torch.testing.assert_close(normalise(images, mean, std), v2.functional.normalize(images, mean, std))
