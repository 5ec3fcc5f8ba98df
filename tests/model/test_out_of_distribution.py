"""The check for pictures that are no dermoscopic photographs, and the pictures it is scored on."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lesion.model.out_of_distribution import MahalanobisDetector, fit_detector

WIDTH = 40
MIXING = np.random.default_rng(7).normal(size=(WIDTH, WIDTH)) * np.geomspace(5, 0.05, WIDTH)
MIXING[:, -1] = 0  # one direction without variance, as after a LayerNorm


def familiar(count: int, seed: int) -> np.ndarray:
    """Embeddings most of whose variance lies in a few directions, and far from 0, so that their length says little."""
    return (1000 + np.random.default_rng(seed).normal(size=(count, WIDTH)) @ MIXING.T).astype(np.float64)


@pytest.fixture(scope="module")
def check() -> MahalanobisDetector:
    return fit_detector(familiar(3000, 0), familiar(1000, 1))


def test_false_alarms_are_near_their_rate(check):
    assert (check.score(familiar(1000, 1)) > check.threshold).mean() <= 0.02
    assert 0.01 < (check.score(familiar(20_000, 2)) > check.threshold).mean() < 0.03
    rarer = fit_detector(familiar(3000, 0), familiar(1000, 1), 0.005)
    assert rarer.threshold > check.threshold and rarer.false_alarm_rate == 0.005


def test_direction_without_variance_is_left_out(check):
    assert check.whitening.shape == (WIDTH - 1, WIDTH)
    assert check.score(familiar(5000, 3)).mean() == pytest.approx(WIDTH - 1, rel=0.05)


def test_catches_what_is_strange_in_a_weak_direction(check):
    """A shift that is small beside the spread of the embeddings, where photographs hardly vary."""
    weakest = check.whitening[-1] / np.square(check.whitening[-1]).sum()
    shift = 12 * weakest * np.linalg.norm(familiar(1000, 4), axis=1).mean()  # the check reads them at length 1
    assert np.linalg.norm(shift) < 0.2 * familiar(1000, 4).std(0).max()
    strange = familiar(500, 5) + shift
    assert (check.score(strange) > check.threshold).mean() > 0.95
    assert check.is_out_of_distribution(strange[0]) is True
    assert check.is_out_of_distribution(familiar(3000, 0).mean(0)) is False


def test_arrays_round_trip_through_a_file(check, tmp_path):
    arrays = check.arrays()
    save_file(arrays, tmp_path / "arrays.safetensors")
    again = MahalanobisDetector.from_arrays(load_file(tmp_path / "arrays.safetensors"))
    np.testing.assert_array_equal(again.score(familiar(50, 6)), check.score(familiar(50, 6)))
    assert (again.threshold, again.false_alarm_rate) == (check.threshold, check.false_alarm_rate)
    assert arrays["whitening"].dtype == np.float32


@pytest.mark.parametrize(
    "name, value",
    [
        ("mean", np.zeros(WIDTH + 1, np.float32)),
        ("whitening", np.full((3, WIDTH), np.nan, np.float32)),
        ("limits", np.array([10.0])),
        ("limits", np.array([-1.0, 0.02])),
        ("limits", np.array([10.0, 0.0])),
    ],
)
def test_arrays_that_cannot_be_are_refused(check, name, value):
    with pytest.raises(ValueError):
        MahalanobisDetector.from_arrays(check.arrays() | {name: value})
    with pytest.raises(KeyError):
        MahalanobisDetector.from_arrays({k: v for k, v in check.arrays().items() if k != name})
