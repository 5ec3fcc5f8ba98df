"""A checkpoint answers as the network that was trained, or the training ends with an error."""

import numpy as np
import pytest
import torch

from lesion.data.ham10000 import read_table
from lesion.errors import UserError
from lesion.inference.agreement import check_answers
from lesion.inference.predictor import Predictor
from lesion.model.checkpoint import load_checkpoint


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_trained_checkpoint_agrees_with_itself(checkpoint, ham10000, bfloat16):
    predictor = Predictor(load_checkpoint(checkpoint), bfloat16)
    relative, probability = check_answers(predictor, read_table(ham10000, verify=False))
    assert 0 < relative < (0.05 if bfloat16 else 0.002) and probability < (0.05 if bfloat16 else 0.005)


def test_another_network_is_noticed(checkpoint, ham10000):
    loaded = load_checkpoint(checkpoint)
    with torch.no_grad():
        for parameter in loaded.model.backbone.parameters():
            parameter.mul_(1 + 0.2 * torch.rand_like(parameter))
    with pytest.raises(UserError, match="does not answer as the network that was trained"):
        check_answers(Predictor(loaded, False), read_table(ham10000, verify=False))


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

    from lesion.data.reading import read_image

    monkeypatch.setattr("lesion.inference.agreement.read_image", noted)
    check_answers(predictor, table, count=10)
    assert len(read) == 10 == len(set(read)) and set(read) <= held_out and np.isin(read, table.image_id).all()
