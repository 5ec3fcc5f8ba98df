"""Whether a fresh pass agrees with the stored embeddings."""

import numpy as np
import pytest
import torch

from lesion.data.ham10000 import read_table
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.agreement import check_answers
from lesion.inference.predictor import Predictor, load_checkpoint


@pytest.fixture
def table(ham10000):
    return read_table(ham10000, verify=False)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_precision_is_no_difference(checkpoint, table, bfloat16):
    embeddings, probabilities = check_answers(Predictor(load_checkpoint(checkpoint), bfloat16), table)
    assert 0 < embeddings < 0.05 and 0 < probabilities < 0.05


def test_a_network_that_is_computed_in_another_way_is_refused(checkpoint, table):
    """Every depthwise convolution repeats the pixels at the edge instead of adding zeros; the weights are the same."""
    predictor = Predictor(load_checkpoint(checkpoint), False)
    depthwise = [m for m in predictor.model.backbone.modules() if isinstance(m, torch.nn.Conv2d) and m.groups > 1]
    assert depthwise
    for layer in depthwise:
        layer.padding_mode = "replicate"
        layer._reversed_padding_repeated_twice = [side for side in reversed(layer.padding) for _ in range(2)]
    with pytest.raises(UserError, match="does not answer as the network that was trained"):
        check_answers(predictor, table)


def test_other_photographs_are_refused(checkpoint, table):
    shuffled = table.assign(path=np.roll(table.path, 40))
    with pytest.raises(UserError, match="Check that data, checkpoint"):
        check_answers(Predictor(load_checkpoint(checkpoint), False), shuffled)


def test_a_photograph_read_otherwise_is_noticed(checkpoint, ham10000):
    loaded = load_checkpoint(checkpoint)
    object.__setattr__(loaded.config.transform, "crop_mode", "squash")
    with pytest.raises(UserError, match="does not answer"):
        check_answers(Predictor(loaded, False), read_table(ham10000, verify=False))


def test_only_held_out_photographs_are_read(checkpoint, ham10000, monkeypatch):
    predictor, table = Predictor(load_checkpoint(checkpoint), False), read_table(ham10000, verify=False)
    held_out = set(predictor.checkpoint.held_out().table.image_id)
    read = []

    def noted(path):
        read.append(path.stem)
        return read_image(path)

    monkeypatch.setattr("lesion.inference.agreement.read_image", noted)
    check_answers(predictor, table, count=10)
    assert len(read) == 10 == len(set(read)) and set(read) <= held_out and np.isin(read, table.image_id).all()
