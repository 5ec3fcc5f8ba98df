"""Deeper networks that compute what the shallow ones did."""

import pytest
import torch

from lesion.errors import UserError
from lesion.model.fusion import create_backbone
from lesion.training.growing import depths_of, grow, layer_scales, origins

SHALLOW, DEEP = (1, 1, 2, 1), (2, 1, 5, 3)


def backbone(depths) -> torch.nn.Module:
    torch.manual_seed(0)
    return create_backbone("test_convnext", depths=depths).eval()


def test_grown_computes_the_same():
    shallow, deep = backbone(SHALLOW), backbone(DEEP)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected, random = shallow.forward_features(images), deep.forward_features(images)
        weights, inserted = grow(shallow.state_dict(), DEEP)
        deep.load_state_dict(weights)
        found = deep.forward_features(images)
    assert not torch.allclose(random, expected, atol=1e-2)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert len(inserted) == sum(DEEP) - sum(SHALLOW)
    assert layer_scales(weights, inserted)["inserted"] == 0 < layer_scales(weights, inserted)["others"]


def test_inserted_blocks_learn_from_the_second_step_on():
    deep = backbone(DEEP)
    weights, inserted = grow(backbone(SHALLOW).state_dict(), DEEP)
    deep.load_state_dict(weights)
    inner = inserted[0].replace("gamma", "mlp.fc1.weight")
    before = weights[inner].clone()
    optimizer = torch.optim.Adam(deep.parameters(), 1e-2)
    for _ in range(3):
        deep(torch.randn(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    trained = deep.state_dict()
    assert all(trained[name].abs().sum() > 0 for name in inserted)
    assert not torch.equal(trained[inner], before)


def test_depths_are_read_from_the_weights():
    assert depths_of(backbone(DEEP).state_dict()) == DEEP
    assert depths_of(create_backbone("resnet18").state_dict()) == ()


def test_copies_follow_their_block():
    assert origins(2, 5) == [(0, False), (0, True), (1, False), (1, True), (1, True)]
    for old, new in ((2, 27), (4, 9), (9, 27), (3, 3)):
        assert [block for block, is_new in origins(old, new) if not is_new] == list(range(old))
        assert len(origins(old, new)) == new


@pytest.mark.parametrize("depths", [(1, 1, 1, 1), (1, 1, 2), (1, 1, 2, 1, 1)])
def test_a_network_cannot_shrink(depths):
    with pytest.raises(UserError, match="1, 1, 2, 1 blocks in its stages cannot grow"):
        grow(backbone(SHALLOW).state_dict(), depths)


def test_another_architecture_cannot_grow():
    with pytest.raises(UserError, match="not a ConvNeXt"):
        grow(create_backbone("resnet18").state_dict(), DEEP)
