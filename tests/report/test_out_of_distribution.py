"""Out-of-distribution images, and the report on how well they are detected."""

import builtins
import json
import sys

import numpy as np
import pytest
from PIL import Image

from lesion.errors import UserError
from lesion.metrics.bootstrap import bootstrap_weights
from lesion.model.out_of_distribution import MahalanobisDetector, fit_detector
from lesion.report import out_of_distribution_images
from lesion.report.out_of_distribution import out_of_distribution_report
from lesion.report.out_of_distribution_images import SOURCES, far, near

WIDTH = 40
MIXING = np.random.default_rng(7).normal(size=(WIDTH, WIDTH)) * np.geomspace(5, 0.05, WIDTH)
MIXING[:, -1] = 0  # one direction without variance, as after a LayerNorm


def familiar(count: int, seed: int) -> np.ndarray:
    """Embeddings most of whose variance lies in a few directions."""
    return 1000 + np.random.default_rng(seed).normal(size=(count, WIDTH)) @ MIXING.T


@pytest.fixture(scope="module")
def check() -> MahalanobisDetector:
    return fit_detector(familiar(3000, 0), familiar(1000, 1))


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
    monkeypatch.setattr(out_of_distribution_images, "SIZES", ((120, 90),))
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
    strange = centre + 100 * (-1.0) ** np.arange(WIDTH)
    test = np.concatenate([centre + 0.5 * (familiar(198, 8) - centre), np.stack([strange] * 2)])
    report = out_of_distribution_report(
        check, lambda image: strange if image is odd else centre, test, bootstrap_weights(np.arange(200), 300),
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
