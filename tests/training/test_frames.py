"""Photographs decoded once."""

import pickle

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from lesion.data.ham10000 import read_table
from lesion.data.reading import read_image
from lesion.data.transforms import centre_square
from lesion.errors import UserError
from lesion.training.frames import make_frames


@pytest.fixture
def paths(ham10000):
    return list(read_table(ham10000, verify=False).path[:12])


def made(folder, paths, side=40, read=None):
    return make_frames(
        Accelerator(cpu=True), folder, read or (lambda i: read_image(paths[i])), [p.name for p in paths], side
    )


def test_frames_are_the_centre_squares_in_order(paths, tmp_path):
    frames = made(tmp_path, paths)
    for index in (0, 5, 11):
        expected = torch.from_numpy(np.array(centre_square(read_image(paths[index]), 40))).permute(2, 0, 1)
        assert torch.equal(frames[index], expected) and frames[index].dtype == torch.uint8


def test_they_are_decoded_once_and_anew_where_anything_changed(paths, tmp_path):
    read = []

    def noted(index):
        read.append(index)
        return read_image(paths[index])

    made(tmp_path, paths, read=noted)
    made(tmp_path, paths, read=noted)
    assert sorted(read) == list(range(12))
    made(tmp_path, paths, side=41, read=noted)
    made(tmp_path, paths[:11], read=noted)
    assert len(read) == 12 + 12 + 11 and len(list(tmp_path.iterdir())) == 3


def test_small_photographs_are_enlarged(paths, tmp_path):
    assert made(tmp_path, paths, side=90)[0].shape == (3, 90, 90)


def test_a_photograph_that_cannot_be_read_leaves_nothing(paths, tmp_path):
    def broken(index):
        if index == 7:
            raise UserError("photograph 7 cannot be read.")
        return read_image(paths[index])

    with pytest.raises(UserError, match="photograph 7"):
        made(tmp_path, paths, read=broken)
    assert not list(tmp_path.iterdir())


def test_another_process_opens_the_file_itself(paths, tmp_path):
    frames = made(tmp_path, paths)
    frames[0]
    content = pickle.dumps(frames)
    assert len(content) < 500 and torch.equal(pickle.loads(content)[3], frames[3])
