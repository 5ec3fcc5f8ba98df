"""The checkpoint folder: written, read, refused."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from lesion.checkpoint import load_checkpoint, read_held_out, save_checkpoint, sha256
from lesion.errors import UserError
from lesion.novelty import FamiliarityCheck


@pytest.fixture
def folder(checkpoint, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("state"))


def edit_config(folder, edit):
    document = json.loads((folder / "config.json").read_text())
    edit(document)
    (folder / "config.json").write_text(json.dumps(document))


def edit_weights(folder, edit):
    """Changes the weights and names their new hash, as a careless tool would."""
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")
    edit_config(folder, lambda d: d["sha256"].update({"model.safetensors": sha256(folder / "model.safetensors")}))


def edit_familiarity(folder, width):
    """Replaces the check for other pictures by one for embeddings of another width."""
    arrays = FamiliarityCheck(np.zeros(width, np.float32), np.ones((1, width), np.float32), 1.0, 0.02).arrays()
    save_arrays(arrays, folder / "familiarity.safetensors")
    name = "familiarity.safetensors"
    edit_config(folder, lambda d: d["sha256"].update({name: sha256(folder / name)}))


def test_round_trip(checkpoint, tmp_path):
    first = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path, first.model, first.config, first.held_out(), first.familiarity)
    second = load_checkpoint(tmp_path)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])
    assert first.config.transform == second.config.transform and first.config.encoder == second.config.encoder
    for name, values in vars(first.config.calibration).items():
        np.testing.assert_array_equal(values, getattr(second.config.calibration, name))
    for name, values in vars(first.config.conformal).items():
        np.testing.assert_array_equal(values, getattr(second.config.conformal, name))
    for name, values in first.familiarity.arrays().items():
        np.testing.assert_array_equal(values, second.familiarity.arrays()[name])
    one, other = first.held_out(), second.held_out()
    assert one.table.equals(other.table) and np.array_equal(one.embeddings, other.embeddings)


def test_weights_are_half_precision(checkpoint):
    assert {t.dtype for t in load_file(checkpoint / "model.safetensors").values()} == {torch.float16}


def test_a_new_checkpoint_removes_the_old_report(folder):
    (folder / "report.json").write_text("{}")
    loaded = load_checkpoint(folder)
    save_checkpoint(folder, loaded.model, loaded.config, loaded.held_out(), loaded.familiarity)
    assert not (folder / "report.json").exists()


def add_pickle(folder):
    (folder / "model.safetensors").write_bytes(pickle.dumps({"a": 1}))
    edit_config(folder, lambda d: d["sha256"].update({"model.safetensors": sha256(folder / "model.safetensors")}))


DAMAGE = {
    "no config": (lambda f: (f / "config.json").unlink(), "config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "has no model.safetensors"),
    "no held-out part": (lambda f: (f / "held_out.safetensors").unlink(), "has no held_out.safetensors"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "format None"),
    "newer": (lambda f: edit_config(f, lambda d: d.update(format=99)), "format 99"),
    "other classes": (lambda f: edit_config(f, lambda d: d.update(diagnoses=["a", "b"])), "diagnoses are"),
    "key missing": (lambda f: edit_config(f, lambda d: d.pop("encoder")), "it has no 'encoder'"),
    "wrong type": (lambda f: edit_config(f, lambda d: d.update(image=3)), "cannot be used"),
    "bad temperature": (lambda f: edit_config(f, lambda d: d["calibration"].update(temperatures=[0] * 16)), "positive"),
    "short weights": (lambda f: edit_config(f, lambda d: d["calibration"].update(class_weights=[1])), "shapes"),
    "no fusion": (lambda f: edit_config(f, lambda d: d.update(fusion="sum")), "fusion one of none, concat, metablock"),
    "short thresholds": (lambda f: edit_config(f, lambda d: d["conformal"].update(thresholds=[[0.1]])), "16 subsets"),
    "threshold of 2": (lambda f: edit_config(f, lambda d: d["conformal"].update(thresholds=[[2] * 7] * 16)), "0 to 1"),
    "other familiarity": (lambda f: edit_familiarity(f, 3), "is of another model"),
    "other backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="test_resnet")), "does not fit"),
    "no such backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="nonesuch")), "nonesuch"),
    "truncated": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 100), "damaged"),
    "NaN": (lambda f: edit_weights(f, lambda w: w["head.null_image"].fill_(float("nan"))), "not finite"),
    "extra tensor": (lambda f: edit_weights(f, lambda w: w.update(extra=torch.ones(1))), "does not fit"),
    "other shape": (lambda f: edit_weights(f, lambda w: w.update({"head.null_image": torch.ones(3)})), "does not fit"),
    "pickle renamed": (add_pickle, "cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_a_sentence(folder, name):
    damage, words = DAMAGE[name]
    damage(folder)
    with pytest.raises(UserError) as error:
        load_checkpoint(folder)
    assert words in str(error.value)


def test_damaged_held_out_part(tmp_path):
    (tmp_path / "held_out.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(tmp_path / "held_out.safetensors")


@pytest.mark.parametrize("source", ["nowhere", "a/b/c", "user/name"])
def test_missing_checkpoint_says_how_to_get_one(source):
    with pytest.raises(UserError, match=r"train\.py --data"):
        load_checkpoint(source)
