"""The checkpoint folder: written, read, refused."""

import json
import os
import pickle
import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file, save_file

from lesion.data.diagnoses import CODES
from lesion.data.held_out_photographs import FILE, LARGEST, HeldOutPhotographs
from lesion.errors import UserError
from lesion.files import sha256
from lesion.model.checkpoint import load_checkpoint, save_checkpoint
from lesion.model.held_out import read_held_out
from lesion.model.out_of_distribution import MahalanobisDetector


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
    rename_hash(folder, "model.safetensors")


def rename_hash(folder, name):
    """Makes config.json name a file as it is."""
    edit_config(folder, lambda d: d["sha256"].update({name: sha256(folder / name)}))


def edit_held_out(folder, edit):
    """Changes the arrays and texts of the held-out part."""
    path = folder / "held_out.safetensors"
    with safe_open(path, "np") as file:
        texts = {name: json.loads(text) for name, text in file.metadata().items()}
    arrays = load_arrays(path)
    edit(arrays, texts)
    save_arrays(arrays, path, {name: json.dumps(text) for name, text in texts.items()})
    rename_hash(folder, path.name)


def edit_sets(folder, **values):
    """Changes values of the prediction sets."""
    edit_config(folder, lambda d: d["prediction_sets"].update(values))


def edit_detector(folder, width):
    """Replaces the check for other pictures by one for embeddings of another width."""
    arrays = MahalanobisDetector(np.zeros(width, np.float32), np.ones((1, width), np.float32), 1.0, 0.02).arrays()
    save_arrays(arrays, folder / "out_of_distribution.safetensors")
    name = "out_of_distribution.safetensors"
    edit_config(folder, lambda d: d["sha256"].update({name: sha256(folder / name)}))


def test_round_trip(checkpoint, tmp_path):
    first = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path, first.model, first.config, first.held_out(), first.detector)
    second = load_checkpoint(tmp_path)
    for name, tensor in first.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name])
    assert first.config.transform == second.config.transform and first.config.encoder == second.config.encoder
    for name, values in vars(first.config.calibration).items():
        np.testing.assert_array_equal(values, getattr(second.config.calibration, name))
    for name, values in vars(first.config.prediction_sets).items():
        np.testing.assert_array_equal(values, getattr(second.config.prediction_sets, name))
    for name, values in first.detector.arrays().items():
        np.testing.assert_array_equal(values, second.detector.arrays()[name])
    one, other = first.held_out(), second.held_out()
    assert one.table.equals(other.table) and np.array_equal(one.embeddings, other.embeddings)


def as_format_3(folder):
    """Turns a checkpoint into what version 3 of the format made of it: here no diagnosis but nevi has a threshold."""

    def edit(document):
        pooled = [[code != "nv" for code in CODES]] * 16
        thresholds = document["prediction_sets"]["thresholds"]
        document.update(format=3, prediction_sets={"coverage": 0.9, "thresholds": thresholds, "pooled": pooled})

    edit_config(folder, edit)


def as_format_2(folder):
    """Turns a checkpoint into what version 2 of the format made of it."""
    as_format_3(folder)
    (folder / "out_of_distribution.safetensors").rename(folder / "familiarity.safetensors")

    def edit(document):
        document.update(format=2, conformal=document.pop("prediction_sets"))
        del document["embedding_precision"], document["image"]["crop_mode"]
        document["calibration"]["strengths"] = document["calibration"].pop("prior_correction_exponents")
        document["sha256"]["familiarity.safetensors"] = document["sha256"].pop("out_of_distribution.safetensors")
        document["training"]["mixed_precision"] = "bf16"

    edit_config(folder, edit)


def test_format_2_is_read_and_written_as_format_4(folder):
    before = load_checkpoint(folder)
    as_format_2(folder)
    read = load_checkpoint(folder)
    assert read.config.transform == replace(before.config.transform, crop_mode="squash")
    assert read.config.embedding_precision == "bfloat16" and before.config.embedding_precision == "float32"
    save_checkpoint(folder, read.model, read.config, read.held_out(), read.detector)
    document = json.loads((folder / "config.json").read_text())
    assert document["format"] == 4 and document["image"]["crop_mode"] == "squash"
    assert not (folder / "familiarity.safetensors").exists()
    again = load_checkpoint(folder)
    for name, values in vars(before.config.calibration).items():
        np.testing.assert_array_equal(values, vars(again.config.calibration)[name])
    sets = again.config.prediction_sets
    np.testing.assert_array_equal(sets.thresholds, before.config.prediction_sets.thresholds)
    assert (sets.promised == [0.9 if code == "nv" else 0 for code in CODES]).all() and not sets.confident.any()
    for name, values in before.detector.arrays().items():
        np.testing.assert_array_equal(values, again.detector.arrays()[name])


def test_weights_are_half_precision(checkpoint):
    assert {t.dtype for t in load_file(checkpoint / "model.safetensors").values()} == {torch.float16}


def test_a_new_checkpoint_removes_the_old_report(folder):
    (folder / "report.json").write_text("{}")
    loaded = load_checkpoint(folder)
    save_checkpoint(folder, loaded.model, loaded.config, loaded.held_out(), loaded.detector)
    assert not (folder / "report.json").exists()


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def add_pickle(folder, name="model.safetensors"):
    (folder / name).write_bytes(pickle.dumps(Payload(folder / "executed")))
    rename_hash(folder, name)


def lie_about_length(folder, length):
    """The first eight bytes say how long the header is."""
    path = folder / "model.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + path.read_bytes()[8:])
    rename_hash(folder, path.name)


def edit_check(folder, **arrays):
    """Changes the check for other pictures."""
    path = folder / "out_of_distribution.safetensors"
    save_arrays({**load_arrays(path), **arrays}, path)
    rename_hash(folder, path.name)


def first_row(array, value):
    array = array.copy()
    array[0] = value
    return array


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
    "short thresholds": (lambda f: edit_sets(f, thresholds=[[0.1]]), "16 subsets"),
    "threshold of 2": (lambda f: edit_sets(f, thresholds=[[2] * 7] * 16), "0 to 1"),
    "other detector": (lambda f: edit_detector(f, 3), "is of another model"),
    "other backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="test_resnet")), "does not fit"),
    "no such backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="nonesuch")), "nonesuch"),
    "truncated": (lambda f: (f / "model.safetensors").write_bytes(b"x" * 100), "damaged"),
    "NaN": (lambda f: edit_weights(f, lambda w: w["head.null_image"].fill_(float("nan"))), "not finite"),
    "extra tensor": (lambda f: edit_weights(f, lambda w: w.update(extra=torch.ones(1))), "does not fit"),
    "other shape": (lambda f: edit_weights(f, lambda w: w.update({"head.null_image": torch.ones(3)})), "does not fit"),
    "pickle renamed": (add_pickle, "cannot be read"),
    "pickled embeddings": (lambda f: add_pickle(f, "held_out.safetensors"), "cannot be read"),
    "pickled check": (lambda f: add_pickle(f, "out_of_distribution.safetensors"), "cannot be read"),
    "next format": (lambda f: edit_config(f, lambda d: d.update(format=5)), "Update the application"),
    "no crop mode": (lambda f: edit_config(f, lambda d: d["image"].pop("crop_mode")), "it has no 'crop_mode'"),
    "no precision": (lambda f: edit_config(f, lambda d: d.pop("embedding_precision")), "it has no 'embedding_prec"),
    "precision of 3": (lambda f: edit_config(f, lambda d: d.update(embedding_precision=3)), "one of float32, bfloat16"),
    "format 2 in name only": (lambda f: edit_config(f, lambda d: d.update(format=2)), "it has no 'strengths'"),
    "format 2 without a detector": (lambda f: (as_format_2(f), (f / "familiarity.safetensors").unlink()),
                                    "has no familiarity.safetensors"),
    "long format": (lambda f: edit_config(f, lambda d: d.update(format="x" * 10_000)), "x…"),
    "deep": (lambda f: (f / "config.json").write_text("[" * 100_000), "cannot be read"),
    "infinite size": (lambda f: edit_config(f, lambda d: d["image"].update(size=float("inf"))), "cannot be used"),
    "huge size": (lambda f: edit_config(f, lambda d: d["image"].update(size=10**9)), "out of range"),
    "huge number": (lambda f: edit_config(f, lambda d: d["encoder"].update(age_mean=10**400)), "cannot be used"),
    "NaN promise": (lambda f: edit_sets(f, promised=[[float("nan")] * 7] * 16), "0 to 1"),
    "tiny deviation": (lambda f: edit_config(f, lambda d: d["image"].update(std=[1e-300] * 3)), "std positive"),
    "infinite age": (lambda f: edit_config(f, lambda d: d["encoder"].update(age_std=float("inf"))), "years"),
    "cold": (lambda f: edit_config(f, lambda d: d["calibration"].update(temperatures=[1e-300] * 16)), "out of range"),
    "Hub backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="hf-hub:timm/resnet18")), "timm has no"),
    "local backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="local-dir:/etc")), "timm has no"),
    "other tag": (lambda f: edit_config(f, lambda d: d.update(backbone="test_convnext.nonesuch")), "cannot be built"),
    "huge backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="convnext_xxlarge")), "does not fit"),
    "shapeless backbone": (lambda f: edit_config(f, lambda d: d.update(backbone="test_vit")), "is not accepted"),
    "infinity": (lambda f: edit_weights(f, lambda w: w["head.null_image"].fill_(float("inf"))), "not finite"),
    "tensor missing": (lambda f: edit_weights(f, lambda w: w.pop("head.null_image")), "does not fit"),
    "whole numbers": (lambda f: edit_weights(f, lambda w: w.update({k: v.int() for k, v in w.items()})), "does not"),
    "eight bits": (
        lambda f: edit_weights(f, lambda w: w.update({k: v.to(torch.float8_e4m3fn) for k, v in w.items()})),
        "does not fit",
    ),
    "long header": (lambda f: lie_about_length(f, 2**62), "cannot be read"),
    "no header": (lambda f: lie_about_length(f, 0), "cannot be read"),
    "whole check": (lambda f: edit_check(f, limits=np.zeros((1, 1), np.int8)), "do not fit"),
    "NaN check": (lambda f: edit_check(f, whitening=np.full((1, 1), np.nan), mean=np.zeros(1)), "not finite"),
    "a folder": (lambda f: ((f / "config.json").unlink(), (f / "config.json").mkdir()), "has no config.json"),
    "a link elsewhere": (lambda f: link(f, "model.safetensors", "/etc/passwd"), "damaged"),
    "a link to itself": (lambda f: link(f, "model.safetensors", f / "model.safetensors"), "has no"),
}  # fmt: skip


def link(folder, name, target):
    (folder / name).unlink()
    os.symlink(target, folder / name)


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_refused_with_a_sentence(folder, name):
    damage, words = DAMAGE[name]
    damage(folder)
    with pytest.raises(UserError) as error:
        load_checkpoint(folder).held_out()
    message = str(error.value)
    assert words in message and message.endswith(".") and len(message) < 1000
    assert not (folder / "executed").exists()


HELD_OUT_DAMAGE = {
    "label of 7": lambda a, _: a.update(label=first_row(a["label"], 7)),
    "age of 400": lambda a, _: a.update(age=first_row(a["age"], 400)),
    "infinite age": lambda a, _: a.update(age=first_row(a["age"], np.inf)),
    "third sex": lambda a, _: a.update(sex=first_row(a["sex"], 2)),
    "site of 99": lambda a, _: a.update(site=first_row(a["site"], 99)),
    "NaN embedding": lambda a, _: a.update(embeddings=first_row(a["embeddings"], np.nan)),
    "one embedding less": lambda a, _: a.update(embeddings=a["embeddings"][1:]),
    "one label less": lambda a, _: a.update(label=a["label"][1:]),
    "embeddings of another model": lambda a, _: a.update(embeddings=a["embeddings"][:, :3].copy()),
    "flat embeddings": lambda a, _: a.update(embeddings=a["embeddings"][:, 0].copy()),
    "labels in two columns": lambda a, _: a.update(label=np.stack([a["label"]] * 2, 1)),
    "no embeddings": lambda a, _: a.pop("embeddings") is None,
    "nothing": lambda a, t: (a.update({k: v[:0] for k, v in a.items()}), t.update({k: [] for k in t})),
    "one image twice": lambda _, t: t.update(image_id=[t["image_id"][0], *t["image_id"][:-1]]),
    "ids that are numbers": lambda _, t: t.update(image_id=list(range(len(t["image_id"])))),
    "ids that are one text": lambda _, t: t.update(lesion_id="x" * len(t["lesion_id"])),
    "ids that are a number": lambda _, t: t.update(dx_type=5),
    "ids that are records": lambda _, t: t.update(lesion_id=[{}] * len(t["lesion_id"])),
}


@pytest.mark.parametrize("name", HELD_OUT_DAMAGE)
def test_damaged_held_out_part_is_refused_with_a_sentence(folder, name):
    edit_held_out(folder, HELD_OUT_DAMAGE[name])
    with pytest.raises(UserError) as error:
        load_checkpoint(folder).held_out()
    assert "held_out.safetensors" in str(error.value) and str(error.value).endswith(".")


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "held_out.safetensors", "out_of_distribution.safetensors"]
)
@pytest.mark.parametrize("renamed", [False, True])
def test_truncation_is_refused_with_a_sentence(folder, name, renamed):
    """Whether or not config.json knows of it."""
    content = (folder / name).read_bytes()
    for tenth in range(10):
        (folder / name).write_bytes(content[: len(content) * tenth // 10])
        if renamed and name != "config.json":
            rename_hash(folder, name)
        with pytest.raises(UserError) as error:
            load_checkpoint(folder).held_out()
        assert str(error.value).endswith(".")


def test_no_memory_is_spent_on_weights_that_do_not_fit(folder):
    """Neither on those of the file, nor on those of the backbone that it names."""
    import resource

    edit_weights(folder, lambda w: w.update(extra=torch.zeros(50_000_000)))
    edit_config(folder, lambda d: d.update(backbone="convnext_xxlarge"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="does not fit"):
        load_checkpoint(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_photographs_from_elsewhere(folder):
    """Only small files of the right names are taken from the archive, and what is damaged is left out."""
    with zipfile.ZipFile(folder / FILE, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("ISIC_1.jpg", "../ISIC_2.jpg", "/etc/ISIC_3.jpg", "ISIC_4.html", "a/ISIC_5.jpg", "ISIC_6.jpg\n"):
            archive.writestr(name, name)
        archive.writestr("ISIC_7.jpg", bytes(LARGEST + 1))
        archive.writestr("ISIC_8.jpg", b"to be damaged" * 50)
        at = archive.getinfo("ISIC_8.jpg").header_offset
    content = bytearray((folder / FILE).read_bytes())
    content[at + 45 : at + 50] = b"xxxxx"
    (folder / FILE).write_bytes(content)
    photographs = HeldOutPhotographs(folder)
    assert photographs.names == {"ISIC_1.jpg"} and photographs.read("ISIC_1") == b"ISIC_1.jpg"
    for tenth in range(10):
        (folder / FILE).write_bytes(content[: len(content) * tenth // 10])
        HeldOutPhotographs(folder)
    (folder / FILE).unlink()
    (folder / FILE).mkdir()
    assert not HeldOutPhotographs(folder).names


def test_damaged_held_out_part(tmp_path):
    (tmp_path / "held_out.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        read_held_out(tmp_path / "held_out.safetensors")


@pytest.mark.parametrize("source", ["nowhere", "a/b/c", "user/name", "x" * 5000, "a\0b", "../..x", "-/-"])
def test_missing_checkpoint_says_how_to_get_one(source):
    with pytest.raises(UserError, match=r"train\.py --data"):
        load_checkpoint(source)
