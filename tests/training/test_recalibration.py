"""What follows training, fitted again on a finished checkpoint."""

import json
from dataclasses import replace

import numpy as np
import pytest

from conftest import make_ham10000
from lesion.errors import UserError
from lesion.model.checkpoint import load_checkpoint
from lesion.training.recalibration import recalibrate, refit_prediction_sets


def test_recalibrating_repeats_what_training_fitted(checkpoint, ham10000, tmp_path):
    before = load_checkpoint(checkpoint)
    recalibrate(before, ham10000, tmp_path, "no")
    after = load_checkpoint(tmp_path)
    # Training fitted to embeddings in float32; the checkpoint keeps weights and embeddings as float16, and so few
    # photographs leave temperatures nearly free, so what they do is compared.
    for view in ("fused", "image alone", "metadata alone"):
        losses = [c.config.training["validation"][view]["log_loss"] for c in (before, after)]
        assert losses[1] == pytest.approx(losses[0], abs=0.01)
    np.testing.assert_allclose(
        before.config.prediction_sets.thresholds, after.config.prediction_sets.thresholds, atol=0.05
    )
    np.testing.assert_allclose(before.detector.mean, after.detector.mean, atol=0.02)
    for name, tensor in before.model.state_dict().items():
        assert tensor.equal(after.model.state_dict()[name])
    documents = [json.loads((c.folder / "config.json").read_text()) for c in (before, after)]
    assert documents[0]["sha256"]["model.safetensors"] == documents[1]["sha256"]["model.safetensors"]
    assert documents[0]["training"].keys() == documents[1]["training"].keys()


def test_prediction_sets_are_fitted_again_without_the_data_set(checkpoint, tmp_path):
    """To an older checkpoint, which promised nothing: the sets of a recalibration with the data set, all else kept."""
    before = load_checkpoint(checkpoint)
    trained = before.config.prediction_sets
    older = replace(trained, promised=np.zeros((16, 7)), thresholds=np.full((16, 7), 0.5))
    refit_prediction_sets(replace(before, config=replace(before.config, prediction_sets=older)), tmp_path)
    after = load_checkpoint(tmp_path).config
    np.testing.assert_array_equal(after.prediction_sets.promised, trained.promised)
    np.testing.assert_allclose(after.prediction_sets.thresholds, trained.thresholds, atol=0.05)
    documents = [json.loads((folder / "config.json").read_text()) for folder in (checkpoint, tmp_path)]
    for document in documents:
        del document["prediction_sets"]
    assert documents[0] == documents[1]


def test_another_data_set_is_refused(checkpoint, tmp_path):
    other = make_ham10000(
        tmp_path / "other", lesions={"nv": 80, "mel": 20, **dict.fromkeys(("bcc", "akiec", "bkl", "df", "vasc"), 12)}
    )
    with pytest.raises(UserError, match="give the same data set"):
        recalibrate(load_checkpoint(checkpoint), other, tmp_path / "out", "no")
    assert not (tmp_path / "out").exists()
