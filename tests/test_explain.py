"""Grad-CAM from the stored feature map, and changes in words."""

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from conftest import EXAMPLES
from lesion.diagnoses import CODES
from lesion.errors import UserError
from lesion.explain import change_in_words, enlarge, heat_layer, overlay, percent
from lesion.images import read_image
from lesion.metadata import Metadata
from lesion.predictor import load_predictor

RECORD = Metadata(70, "male", "face")


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return load_predictor(checkpoint)


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    return read_image(EXAMPLES / "ISIC_0024329.jpg")


class Whole(nn.Module):
    """Photograph to logits with the record fixed, for the package's stock use."""

    def __init__(self, predictor):
        super().__init__()
        self.model = predictor.model
        self.metadata = torch.from_numpy(predictor.config.encoder.encode([RECORD])[0])

    def forward(self, images):
        return self.model(images, self.metadata, torch.ones(1, 1, 4, dtype=torch.bool))[:, 0]


def test_equals_stock_grad_cam_on_the_whole_network(predictor, photograph):
    """At the last stage, for each diagnosis, once our maps are scaled as the package scales each one by itself."""
    maps = predictor.activation_maps(predictor.features(photograph), RECORD)
    inputs = predictor.config.transform(photograph)[None].requires_grad_()
    size = tuple(inputs.shape[-2:])
    for k in range(7):
        with GradCAM(Whole(predictor), [predictor.model.backbone.stages[-1]]) as stock:
            expected = stock(inputs, [ClassifierOutputTarget(k)])
        ours = scale_cam_image(scale_cam_image(maps[k : k + 1], size))
        np.testing.assert_allclose(ours, expected, atol=1e-3)


def test_maps_share_one_scale(predictor, photograph):
    maps = predictor.activation_maps(predictor.features(photograph), RECORD)
    assert maps.shape[0] == 7 and maps.dtype == np.float32
    assert maps.min() >= 0 and maps.max() == 1
    assert (maps.reshape(7, -1).max(1) < 1).sum() == 6, "one diagnosis has the hottest place, the others are below"


def test_grad_cam_has_the_photographs_size(predictor, photograph):
    heat = predictor.grad_cam(photograph, RECORD, target="mel")
    assert heat.shape == (photograph.height, photograph.width) and heat.dtype == np.float32
    assert heat.min() >= 0 and heat.max() <= 1
    with pytest.raises(UserError, match="choose mel, nv"):
        predictor.grad_cam(photograph, RECORD, target="wart")


def test_no_gradient_is_left_behind(predictor, photograph):
    predictor.grad_cam(photograph, RECORD)
    assert all(p.grad is None for p in predictor.model.parameters())
    assert not predictor.model.head._forward_hooks and not predictor.model._forward_hooks


def test_prediction(predictor, photograph):
    prediction = predictor.predict(photograph, RECORD)
    assert tuple(prediction.probabilities) == CODES
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.diagnosis == max(prediction.probabilities, key=prediction.probabilities.get)
    features = predictor.features(photograph)
    assert predictor.predict(features, RECORD).probabilities == pytest.approx(prediction.probabilities, abs=1e-6)
    uniform = predictor.predict(features, RECORD, prior="uniform").probabilities
    ratio = np.array([uniform[c] / prediction.probabilities[c] for c in CODES])
    ratio *= predictor.config.calibration.prevalence
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)
    with pytest.raises(UserError, match="dataset or uniform"):
        predictor.predict(features, RECORD, prior="other")


def test_overlay_keeps_cold_places():
    photograph = Image.new("RGB", (40, 30), "pink")
    heat = np.zeros((30, 40), np.float32)
    heat[:, 20:] = 1
    picture = np.asarray(overlay(photograph, heat))
    assert (picture[:, :20] == np.asarray(photograph)[:, :20]).all() and (picture[:, 20:] != 255).any()
    assert heat_layer(heat).getpixel((0, 0))[3] == 0 and heat_layer(heat).getpixel((39, 0))[3] == 255


def test_enlarged_maps_stay_in_range():
    activation = np.random.default_rng(0).random((3, 3)).astype(np.float32)
    large = enlarge(activation, (90, 60))
    assert large.shape == (60, 90) and large.min() >= 0 and large.max() <= 1


def test_percent():
    assert [percent(p) for p in (0, 0.0004, 0.004, 0.012, 0.5, 1)] == [
        "less than 0.1 %", "less than 0.1 %", "0.4 %", "1 %", "50 %", "100 %",
    ]  # fmt: skip


def test_changes_in_words():
    alone = dict.fromkeys(CODES, 0.0) | {"bkl": 0.6, "akiec": 0.12, "nv": 0.28}
    together = dict.fromkeys(CODES, 0.0) | {"bkl": 0.3, "akiec": 0.47, "nv": 0.23}
    words = change_in_words(alone, together, Metadata(75, site="face"))
    assert words == (
        "Knowing age 75, face: Actinic keratosis / Bowen's disease 12 % → 47 %; the most probable diagnosis changed "
        "from Benign keratosis to Actinic keratosis / Bowen's disease."
    )
    assert "stays Benign keratosis" in change_in_words(alone, alone, Metadata(75))
    assert "photograph alone" in change_in_words(alone, alone, Metadata())
