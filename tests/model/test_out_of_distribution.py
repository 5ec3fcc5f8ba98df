"""The check for pictures that are no dermoscopic photographs, and the pictures it is scored on."""

import builtins
import json
import sys

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from lesion.errors import UserError
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.out_of_distribution import MahalanobisDetector, fit_detector
from lesion.report import out_of_distribution_images as strangers
from lesion.report.out_of_distribution import novelty_report
from lesion.report.out_of_distribution_images import SOURCES, far, near

WIDTH = 40
MIXING = np.random.default_rng(7).normal(size=(WIDTH, WIDTH)) * np.geomspace(5, 0.05, WIDTH)
MIXING[:, -1] = 0  # one direction without variance, as after a LayerNorm


def familiar(count: int, seed: int) -> np.ndarray:
    """Embeddings most of whose variance lies in a few directions."""
    return (np.random.default_rng(seed).normal(size=(count, WIDTH)) @ MIXING.T).astype(np.float32)


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
    shift = 12 * weakest
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


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> list:
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for i in range(2):
        pixels = generator.normal((200, 150, 140), 20, (75, 100, 3))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return sorted(folder.glob("*.png"))


def test_families(photographs, monkeypatch):
    """Twenty pictures or more of every family, the same ones each time, and none in both sources."""
    pytest.importorskip("skimage")
    monkeypatch.setattr(strangers, "SIZES", ((120, 90),))
    names, seen = [], []
    for source in SOURCES:
        families = far(source) | near(source, photographs)
        names.append(list(families))
        for name, images in families.items():
            assert len(images) == 2 if "lesions" in name else len(images) >= 20, name
            assert all(image.mode == "RGB" and min(image.size) >= 16 for image in images), name
        seen.append({image.tobytes() for images in families.values() for image in images})
    assert names[0] == names[1] and len(names[0]) == 11
    assert not seen[0] & seen[1]
    assert {image.tobytes() for images in far("report").values() for image in images} <= seen[1]


def test_without_scikit_image_a_sentence_says_what_to_do(monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith("skimage"):
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "skimage", raising=False)
    assert "noise" in far("tuning")
    with pytest.raises(UserError, match=r"scikit-image.*pip install -r tests/requirements.txt"):
        far("report")


def test_report(check, photographs, monkeypatch):
    plain, odd = Image.new("RGB", (32, 32)), Image.new("RGB", (32, 32), "white")
    monkeypatch.setattr(
        "lesion.report.out_of_distribution.far", lambda source: {"plain": [plain, odd], "odd": [odd, odd]}
    )
    monkeypatch.setattr(
        "lesion.report.out_of_distribution.near", lambda source, paths: {"blurred": [plain] * len(paths)}
    )
    centre = familiar(3000, 0).mean(0)
    test = np.concatenate([familiar(198, 8) * 0.5, np.stack([centre + 100] * 2)])
    report = novelty_report(
        check, lambda image: centre + (1000 if image is odd else 0), test, bootstrap_weights(np.arange(200), 300),
        photographs,
    )  # fmt: skip
    assert json.loads(json.dumps(report)) == report
    assert report["families"] == {
        "plain": {"far": True, "images": 2, "caught": 0.5},
        "odd": {"far": True, "images": 2, "caught": 1.0},
        "blurred": {"far": False, "images": 2, "caught": 0.0},
    }
    assert report["far caught"] == 0.75
    alarms = report["false alarms on test"]
    assert alarms["value"] == pytest.approx(0.01) and alarms["interval"][0] < 0.01 < alarms["interval"][1]
    assert report["false-alarm rate on validation"] == 0.02
