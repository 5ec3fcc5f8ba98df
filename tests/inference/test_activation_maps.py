"""Class activation maps from stored feature maps, and changes in words."""

import json

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from conftest import BUNDLED, EXAMPLES
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.files import sha256
from lesion.inference.activation_maps import (
    METHODS,
    covered_share,
    enlarge,
    heat_layer,
    offered_methods,
    overlay,
    split_backbone,
    unscaled_maps,
)
from lesion.inference.predictor import Predictor, load_checkpoint
from lesion.teaching.influence import change_in_words
from lesion.words import percent

RECORD = Metadata(70, "male", "face")


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return Predictor(load_checkpoint(checkpoint), bfloat16=False)  # the package knows no other way


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


@pytest.mark.parametrize("method", METHODS)
def test_equals_the_package_on_the_whole_network(predictor, photograph, method):
    """For each diagnosis, once our maps are scaled as the package scales each one by itself."""
    features = predictor.features(photograph)
    how, records = METHODS[method], predictor.config.encoder.encode([RECORD] * 7)[0]
    stage_map = features.earlier_map if how.earlier else features.feature_map
    maps = unscaled_maps(predictor.model, [stage_map] * 7, records, method, CODES)
    inputs = predictor.config.transform(photograph)[None].requires_grad_()
    layer = predictor.model.backbone.stages[-2 if how.earlier else -1]
    for k in range(7):
        with how.formula(Whole(predictor), [layer]) as stock:
            expected = stock(inputs, [ClassifierOutputTarget(k)])
        ours = scale_cam_image(scale_cam_image(maps[k : k + 1], tuple(inputs.shape[-2:])))
        np.testing.assert_allclose(ours, expected, atol=2e-3)


def test_fewer_diagnoses_give_the_same_maps_on_their_own_scale(predictor, photograph):
    features = predictor.features(photograph)
    for method in predictor.map_methods:
        every = predictor.activation_maps(features, RECORD, method)
        some = predictor.activation_maps(features, RECORD, method, ["bcc", "mel"])
        expected = every[[CODES.index("bcc"), CODES.index("mel")]]
        np.testing.assert_allclose(some, expected / expected.max(), atol=1e-4)


def test_methods_that_a_backbone_has(predictor, photograph):
    assert predictor.map_methods == ("Grad-CAM", "Grad-CAM++", "LayerCAM", "LayerCAM, earlier stage")
    with pytest.raises(UserError, match="choose Grad-CAM or"):
        predictor.activation_maps(predictor.features(photograph), RECORD, "Eigen-CAM")
    assert split_backbone(timm.create_model("test_resnet", num_classes=0)) is None
    before, last = split_backbone(predictor.model.backbone)
    inputs = predictor.config.transform(photograph)[None]
    with torch.inference_mode():
        torch.testing.assert_close(last(before(inputs)), predictor.model.forward_features(inputs))


def write_report(folder, energies: dict[str, float], checkpoint: str | None = None) -> None:
    """A checkpoint folder with no more than what names its report's checkpoint and its maps' shares in the lesion."""
    (folder / "config.json").write_text("{}")
    methods = {name: {"energy": {"value": value}} for name, value in energies.items()}
    report = {"checkpoint": checkpoint or sha256(folder / "config.json"), "explanations": {"methods": methods}}
    (folder / "report.json").write_text(json.dumps(report))


def test_methods_are_offered_in_the_order_of_the_checkpoints_own_report(tmp_path):
    neutral = offered_methods(tmp_path, True)
    assert neutral == ("Grad-CAM", "Grad-CAM++", "LayerCAM", "LayerCAM, earlier stage")
    energies = dict(zip(METHODS, (0.2, 0.3, 0.1, 0.5, 0.6, 0.4), strict=True))
    write_report(tmp_path, energies)
    assert offered_methods(tmp_path, True) == ("Grad-CAM++, earlier stage", "Grad-CAM++", "Grad-CAM", "LayerCAM")
    assert offered_methods(tmp_path, False) == ("Grad-CAM++", "Grad-CAM", "LayerCAM")
    write_report(tmp_path, energies, "of another checkpoint")
    assert offered_methods(tmp_path, True) == neutral
    for damage in ("{", "[]", '{"checkpoint": 1}', "[" * 100_000):
        (tmp_path / "report.json").write_text(damage)
        assert offered_methods(tmp_path, True) == neutral


def test_the_bundled_checkpoint_keeps_its_order():
    assert offered_methods(BUNDLED, True) == ("LayerCAM, earlier stage", "LayerCAM", "Grad-CAM++", "Grad-CAM")


def test_a_last_stage_method_comes_first_without_a_map_of_the_pass(predictor, photograph):
    assert predictor.features(photograph, RECORD).first_map is None
    prediction = predictor.predict(photograph, RECORD)
    heat = predictor.heat_map(predictor.features(photograph, RECORD), prediction, prediction.diagnosis)
    expected = predictor.heat_map(predictor.features(photograph), prediction, prediction.diagnosis, method="Grad-CAM")
    np.testing.assert_allclose(heat, expected, atol=1e-6)


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
    layer = heat_layer(heat)
    assert layer.getpixel((0, 0)) == 0 and layer.getpixel((39, 0)) == 255
    assert sum(layer.convert("RGB").getpixel((39, 0))) > 600, "inferno ends in a light yellow"


def test_enlarged_maps_stay_in_range():
    activation = np.random.default_rng(0).random((3, 3)).astype(np.float32)
    for covered in (1.0, 0.8):
        large = enlarge(activation, (90, 60), covered)
        assert large.shape == (60, 90) and large.min() >= 0 and large.max() <= 1


def test_cells_are_laid_where_the_backbone_saw_them():
    """At 120 pixels the centres of ConvNeXt's three last cells are at 16, 48 and 80; behind them the map is even."""
    activation = np.zeros((3, 3), np.float32)
    activation[1, 1] = 1
    large = enlarge(activation, (120, 240), covered=0.8)
    y, x = np.mgrid[:240, :120] + 0.5
    assert (large * x).sum() / large.sum() == pytest.approx(48, abs=0.5)
    assert (large * y).sum() / large.sum() == pytest.approx(96, abs=1)
    activation = np.zeros((3, 3), np.float32)
    activation[:, 2] = 1
    large = enlarge(activation, (120, 120), covered=0.8)
    assert (large[:, 100:] == 1).all() and large[60, 64] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    "name, size, expected", [("test_convnext", 120, 0.8), ("test_convnext", 128, 1), ("test_efficientnet", 120, 1)]
)
def test_covered_share_follows_from_the_cells(name, size, expected):
    backbone = timm.create_model(name, num_classes=0).eval()
    with torch.inference_mode():
        cells = backbone.forward_features(torch.zeros(1, 3, size, size)).shape[-1]
    assert covered_share(backbone, "Grad-CAM", size, cells) == pytest.approx(expected)


def test_the_hidden_part_of_a_photograph_is_the_one_beyond_the_cells():
    """Why maps are laid so: where no padding blurs it, a strip at the right edge changes no cell of a ConvNeXt."""
    stem = timm.create_model("test_convnext", num_classes=0).stem
    images = torch.zeros(1, 3, 62, 62)
    changed = images.clone()
    changed[..., 60:] = 1
    assert torch.equal(stem(images), stem(changed))


def test_percent():
    assert [percent(p) for p in (0, 0.0004, 0.004, 0.012, 0.5, 1)] == [
        "less than 0.1 %", "less than 0.1 %", "0.4 %", "1 %", "50 %", "more than 99.9 %",
    ]  # fmt: skip


def test_percent_near_certainty():
    assert [percent(p) for p in (0.9, 0.985, 0.99, 0.9951, 0.996, 0.9989, 0.999, 0.9991)] == [
        "90 %", "98 %", "99 %", "99.5 %", "99.6 %", "99.9 %", "99.9 %", "more than 99.9 %",
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
