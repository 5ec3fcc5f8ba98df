"""The fusion model: what each input subset may depend on."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from conftest import TINY
from lesion.data.metadata import WIDTH, Metadata, MetadataEncoder
from lesion.errors import UserError
from lesion.model.calibration import SUBSETS
from lesion.model.fusion import FusionModel, check_backbone, create_backbone, head_logits

ENCODER = MetadataEncoder(50.0, 15.0)


@pytest.fixture(scope="module", params=["concat", "metablock"])
def model(request) -> FusionModel:
    torch.manual_seed(0)
    model = FusionModel(create_backbone(TINY), request.param).eval()
    torch.nn.init.normal_(model.head.null_image)
    return model


def answer(model, images, records, present) -> np.ndarray:
    metadata = torch.from_numpy(ENCODER.encode(records)[0])
    with torch.inference_mode():
        return model(images, metadata, torch.from_numpy(np.array(present))).numpy()


def test_backbone_runs_once_for_all_subsets(model):
    calls = []
    hook = model.backbone.stem.register_forward_hook(lambda *_: calls.append(1))
    present = np.broadcast_to(SUBSETS, (2, 16, 4))
    logits = answer(model, torch.randn(2, 3, 64, 64), [Metadata(20)] * 2, present)
    hook.remove()
    assert logits.shape == (2, 16, 7) and len(calls) == 1


def test_subset_depends_on_its_inputs_alone(model):
    images = torch.randn(2, 3, 64, 64)
    records = [Metadata(20, "male", "back"), Metadata(70, "female", "face")]
    logits = answer(model, images, records, np.broadcast_to(SUBSETS, (2, 16, 4)))
    for index, (image, age, sex, site) in enumerate(SUBSETS):
        kept = Metadata(20 if age else None, "male" if sex else None, "back" if site else None)
        other = images[:1] if image else torch.randn(1, 3, 64, 64)
        present = [[[image, True, True, True]]]
        np.testing.assert_allclose(answer(model, other, [kept], present)[0, 0], logits[0, index], atol=1e-5)


def test_every_field_matters_where_present(model):
    images = torch.randn(1, 3, 64, 64)
    full = answer(model, images, [Metadata(20, "male", "back")], [[[True] * 4]])
    for index in range(4):
        mask = [True] * 4
        mask[index] = False
        assert np.abs(answer(model, images, [Metadata(20, "male", "back")], [[mask]]) - full).max() > 1e-4


def test_image_only_model_ignores_metadata():
    model = FusionModel(create_backbone(TINY), "none").eval()
    images = torch.randn(1, 3, 64, 64)
    one, other = (answer(model, images, [r], [[[True] * 4]]) for r in (Metadata(20), Metadata(80, "male", "ear")))
    np.testing.assert_array_equal(one, other)


def test_head_logits_agrees_with_the_model(model):
    images, records = torch.randn(3, 3, 64, 64), [Metadata(20), Metadata(sex="male"), Metadata()]
    with torch.inference_mode():
        embeddings = model.embed(images).numpy()
    for present in SUBSETS:
        alone = head_logits(model.head, embeddings, ENCODER.encode(records)[0], present)
        together = answer(model, images, records, np.broadcast_to(present, (3, 1, 4)))[:, 0]
        np.testing.assert_allclose(alone, together, atol=1e-5)


@pytest.mark.parametrize("name", ["densenet121.ra_in1k", "efficientnet_b0.ra_in1k", "convnext_small.fb_in22k_ft_in1k"])
def test_named_backbones_fit(name):
    """Stochastic depth is asked for and left out where the architecture has none (densenet121)."""
    model = FusionModel(create_backbone(name, drop_path_rate=0.1)).eval()
    logits = model(torch.randn(1, 3, 64, 64), torch.zeros(1, WIDTH), torch.ones(1, 2, 4, dtype=torch.bool))
    assert logits.shape == (1, 2, 7)


def test_unknown_backbone_is_named_with_similar_ones():
    with pytest.raises(UserError, match=r"convnext_huge.*similar names: convnext"):
        create_backbone("convnext_huge")


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "test_vit", "twins_svt_small"]
)
def test_a_backbone_without_a_feature_map_is_refused(name):
    """A Vision Transformer broke in heat maps; Swin, whose channels are last, gave wrong ones."""
    with torch.device("meta"), pytest.raises(UserError, match=f"{name} is not accepted.*convnext_small, efficient"):
        create_backbone(name)


def test_channels_last_features_are_refused():
    class ChannelsLast(nn.Module):
        num_features = head_hidden_size = 8
        feature_info: ClassVar = [{"reduction": 32}]
        weight = nn.Parameter(torch.zeros(1))

        def parameters(self):
            return iter([self.weight])

        def forward_features(self, images):
            return torch.zeros(len(images), 2, 2, 8)

        def forward_head(self, features, pre_logits):
            return features.mean((1, 2))

    with pytest.raises(UserError, match=r"\(1, 2, 2, 8\), not \(1, 8, 2, 2\)"):
        check_backbone(ChannelsLast(), "channels_last")


@pytest.mark.parametrize("name", ["tf_efficientnet_lite2", "densenet121", "convnext_small", "resnet18", TINY])
def test_convolutional_networks_are_accepted(name):
    with torch.device("meta"):
        backbone = create_backbone(name)
        assert backbone.training, "as timm gives it"
        assert FusionModel(backbone).embed(torch.zeros(1, 3, 120, 120)).shape == (1, backbone.head_hidden_size)


def test_depths_of_a_convnext():
    backbone = create_backbone(TINY, depths=(1, 1, 3, 2), drop_path_rate=0.1)
    assert [len(stage.blocks) for stage in backbone.stages] == [1, 1, 3, 2]
    with pytest.raises(UserError, match="depth of resnet18 cannot be chosen"):
        create_backbone("resnet18", depths=(1, 1, 1, 1))
    for depths in ((1, 1, 3), (1, 1, 0, 2)):
        with pytest.raises(UserError, match="give 4 whole numbers"):
            create_backbone(TINY, depths=depths)
