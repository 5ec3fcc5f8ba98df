"""The backbone in bfloat16 and in shared passes, and what the machine offers."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import BUNDLED, EXAMPLES, ROOT
from lesion.hardware import bfloat16_is_faster
from lesion.images import read_image
from lesion.metadata import Metadata
from lesion.predictor import MOST_IN_A_PASS, PhotographStore, Predictor, load_checkpoint

RECORD = Metadata(70, "male", "face")


@pytest.fixture(scope="module")
def predictor(checkpoint):
    return Predictor(load_checkpoint(checkpoint), bfloat16=False)


@pytest.mark.parametrize("bundled", [False, True])
def test_bfloat16_answers_like_float32(checkpoint, bundled):
    folder = BUNDLED if bundled else checkpoint
    exact, fast = (Predictor(load_checkpoint(folder), bfloat16) for bfloat16 in (False, True))
    assert any(p.dtype == torch.bfloat16 for p in fast.model.backbone.parameters())
    # Where bfloat16 is imitated, the bundled checkpoint takes seconds a photograph.
    for path in sorted(EXAMPLES.glob("*.jpg"))[: 2 if bundled else 6]:
        features = [predictor.features(read_image(path)) for predictor in (exact, fast)]
        assert all(f.feature_map.dtype == torch.float32 for f in features)
        answers, maps = (
            [function(predictor, f) for predictor, f in zip((exact, fast), features, strict=True)]
            for function in (
                lambda predictor, f: predictor.probabilities(f, [Metadata(), RECORD]),
                lambda predictor, f: predictor.activation_maps(f, RECORD, predictor.map_methods[0]),
            )
        )
        np.testing.assert_allclose(*answers, atol=0.01)
        assert np.abs(maps[0] - maps[1]).mean() < 0.02


def test_bfloat16_is_chosen_by_measurement(checkpoint, monkeypatch):
    for faster in (True, False):
        monkeypatch.setattr("lesion.predictor.bfloat16_is_faster", lambda faster=faster: faster)
        assert Predictor(load_checkpoint(checkpoint)).model.bfloat16 is faster
    assert bfloat16_is_faster.__wrapped__() in (True, False)


def photographs(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(count)]


def test_photographs_of_one_pass_answer_as_alone(predictor):
    images = photographs(MOST_IN_A_PASS)
    together = predictor.run_backbone([predictor.config.transform(image) for image in images], [(40, 30)] * len(images))
    for image, features in zip(images, together, strict=True):
        alone = predictor.features(image)
        np.testing.assert_allclose(features.embedding, alone.embedding, atol=1e-4)
        np.testing.assert_allclose(features.feature_map, alone.feature_map, atol=1e-3)
        assert features.feature_map.untyped_storage().nbytes() == 4 * features.feature_map.numel()
        assert predictor.probabilities(features, [RECORD]) == pytest.approx(predictor.probabilities(alone, [RECORD]))


def test_those_who_wait_share_a_pass_in_the_order_of_coming(predictor, monkeypatch, tmp_path):
    passes, free = [], threading.Event()
    run_backbone = predictor.run_backbone

    def slow(inputs, sizes):
        passes.append(len(inputs))
        free.wait(10)
        return run_backbone(inputs, sizes)

    monkeypatch.setattr(predictor, "run_backbone", slow)
    store, answers = PhotographStore(predictor), {}
    paths = [tmp_path / f"{i}.png" for i in range(MOST_IN_A_PASS + 3)]
    for path, image in zip(paths, photographs(len(paths)), strict=True):
        image.save(path)

    def visit(path):
        answers[path] = store.get(path)

    threads = [threading.Thread(target=visit, args=(path,)) for path in paths]
    for count, thread in enumerate(threads):
        thread.start()
        while len(passes) == 0 or len(store._waiting) < count:  # the first one runs, the others wait behind it
            time.sleep(0.01)
    free.set()
    for thread in threads:
        thread.join(30)
    assert passes == [1, MOST_IN_A_PASS, 2]
    for path in paths:
        np.testing.assert_allclose(
            answers[path].features.embedding, predictor.features(read_image(path)).embedding, atol=1e-4
        )


def test_a_failed_pass_fails_all_that_shared_it_and_nothing_after(predictor, monkeypatch, tmp_path):
    path = tmp_path / "photograph.png"
    photographs(1)[0].save(path)
    store = PhotographStore(predictor)
    with monkeypatch.context() as broken:
        broken.setattr(predictor, "run_backbone", lambda inputs, sizes: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            store.get(path)
    assert store.get(path).features.size == (40, 30)


def test_photographs_are_forgotten_in_time(predictor, tmp_path):
    path = tmp_path / "photograph.png"
    photographs(1)[0].save(path)
    Image.new("RGB", (40, 30)).save(tmp_path / "other.png")
    store = PhotographStore(predictor, kept=0.2)
    first = store.get(path)
    assert store.get(path) is first
    time.sleep(0.3)
    assert store.get(path) is not first
    time.sleep(0.3)
    path.write_bytes((tmp_path / "other.png").read_bytes())
    store.get(path)
    assert len(store._photographs) == len(store._read_at) == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core")
@pytest.mark.parametrize("given, expected", [(None, "1"), ("2", "2")])
def test_threads_are_the_cores_that_are_ours(given, expected):
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lesion.hardware import limit_threads; limit_threads()\n"
        "import torch; print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if given:
        environment["OMP_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
