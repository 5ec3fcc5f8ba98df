"""A training survives: killed, without room, without permission, on damaged and foreign files, in two processes.

The faults are those of `tests/bench/faults.py`, which prints them as the README's table, on a shorter training.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from bench.faults import FAULTS, Training, contents, killed, train_uninterrupted, two_processes
from safetensors.numpy import load_file

import lesion.pretrain
import lesion.recalibrate
from conftest import TINY
from lesion.data.ham10000 import read_table
from lesion.data.transforms import ImageTransform
from lesion.errors import UserError
from lesion.files import prepare_folder, write_atomically, write_together
from lesion.model.checkpoint import load_checkpoint, save_checkpoint
from lesion.model.fusion import FusionModel, create_backbone
from lesion.training import pretraining
from lesion.training.class_folders import ClassFolders
from lesion.training.embeddings import embed_table
from lesion.training.loop import LoopConfig
from lesion.training.pretraining import PretrainingConfig, Source, pretrain


@pytest.fixture(scope="module")
def training(tmp_path_factory, ham10000) -> Training:
    """A finished training of two epochs."""
    training = Training(ham10000, tmp_path_factory.mktemp("faults"), epochs=2, workers=1)
    train_uninterrupted(training)
    return training


def test_killed_and_resumed_equals_uninterrupted(training):
    kills = {"start": 1, "fit": 2, "write_state": 1, "embed_table": 1, "fit_head": 1, "save_checkpoint": 1}
    assert killed(training, kills).startswith("7 kills")


@pytest.mark.parametrize("fault", FAULTS.values(), ids=lambda fault: fault.__name__)
def test_fault_is_one_sentence_and_earlier_results_are_intact(training, fault):
    fault(training)


def test_two_processes_read_and_evaluate_as_one(training):
    two_processes(training)


def save_again(checkpoint, folder):
    loaded = load_checkpoint(checkpoint)
    save_checkpoint(folder, loaded.model, loaded.config, loaded.held_out(), loaded.detector)


@pytest.mark.parametrize("renamed", [0, 1, 2, 3])
def test_a_checkpoint_killed_between_its_renames_is_the_old_one_or_refused(
    checkpoint, training, tmp_path, monkeypatch, renamed
):
    class Killed(BaseException):
        pass

    def replace(*paths, rename=os.replace):
        if len(done) == renamed:
            raise Killed
        done.append(rename(*paths))

    folder = shutil.copytree(training.finished, tmp_path / "copy")
    before, done = contents(folder), []
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(os, "replace", replace)
        save_again(checkpoint, folder)
    if renamed == 0:
        assert contents(folder) == before
        load_checkpoint(folder)
    else:
        with pytest.raises(UserError, match="another training"):
            load_checkpoint(folder)
    save_again(checkpoint, folder)
    load_checkpoint(folder)


def test_files_that_belong_together_are_written_all_or_none(tmp_path):
    def fails(path):
        path.write_text("half of it")
        raise OSError(28, "No space left on device")

    (tmp_path / "a").write_text("before")
    with pytest.raises(UserError, match=r"b cannot be written \(No space left on device\); make room"):
        write_together({tmp_path / "a": lambda path: path.write_text("after"), tmp_path / "b": fails})
    assert (tmp_path / "a").read_text() == "before" and [p.name for p in tmp_path.iterdir()] == ["a"]


def test_a_full_device_is_named(tmp_path):
    """/dev/full refuses every byte, as a full disk does."""
    (tmp_path / "out.partial").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"out cannot be written \(No space left on device\)"):
        write_atomically(tmp_path / "out", lambda path: path.write_text("text"))
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs Linux's /proc, where nobody can make a folder")
def test_a_folder_that_cannot_be_made_is_named():
    with pytest.raises(UserError, match=r"/proc/nowhere cannot be written \(.*choose another place"):
        prepare_folder(Path("/proc/nowhere"))


def test_embeddings_that_find_no_room_are_used_all_the_same(ham10000, tmp_path, capsys):
    torch.manual_seed(0)
    table = read_table(ham10000, verify=False).iloc[:4]
    model, transform = FusionModel(create_backbone(TINY)), ImageTransform(32, 100, (0.5,) * 3, (0.5,) * 3)
    expected = embed_table(Accelerator(cpu=True), model, table, transform, None, workers=0)
    (tmp_path / "file").write_text("")
    found = embed_table(Accelerator(cpu=True), model, table, transform, tmp_path / "file", workers=0)
    assert np.array_equal(found, expected) and "Going on without a cache" in capsys.readouterr().out


@pytest.mark.parametrize("module", [lesion.pretrain, lesion.recalibrate])
def test_pretraining_and_recalibrating_without_a_place_are_one_sentence(
    checkpoint, ham10000, tmp_path, monkeypatch, module
):
    (tmp_path / "file").write_text("")
    given = {"--data": ham10000, "--output": tmp_path / "file" / "folder" / "output"}
    given |= {"--backbone": TINY} if module is lesion.pretrain else {"--checkpoint": checkpoint}
    monkeypatch.setattr(sys, "argv", [module.__name__, *(str(word) for pair in given.items() for word in pair)])
    with pytest.raises(SystemExit, match=r"^error: .* cannot be written \(Not a directory\); make room"):
        module.main()


def test_pretraining_that_dies_leaves_an_earlier_start(ham10000, tmp_path, monkeypatch):
    """It writes its output when it is done, not while it is still worse than what is there."""

    def dies_in_the_second_epoch(*arguments, map_examples=pretraining.map_examples):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return map_examples(*arguments)

    start, epochs = tmp_path / "start.safetensors", []
    start.write_text("earlier")
    monkeypatch.setattr(pretraining, "map_examples", dies_in_the_second_epoch)
    sources = [Source(ClassFolders(ham10000), True, 1)]
    config = PretrainingConfig(TINY, None, 32, "no", None, False, None)
    loop = LoopConfig(epochs=2, batch_size=64, workers=0)
    with pytest.raises(KeyboardInterrupt):
        pretrain(sources, config, loop, start, resume=False)
    assert start.read_text() == "earlier"
    pretrain(sources, config, loop, start, resume=True)
    assert load_file(start)
