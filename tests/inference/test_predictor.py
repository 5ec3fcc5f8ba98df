"""The backbone in bfloat16 and in shared passes, and what the machine offers."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import BUNDLED, EXAMPLES, ROOT, TINY
from lesion.data.diagnoses import CODES
from lesion.data.metadata import Metadata
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.hardware import bfloat16_is_faster, find_device, prefers_bfloat16
from lesion.inference.photograph_store import PhotographStore
from lesion.inference.predictor import (
    MOST_IN_A_PASS,
    MapRequest,
    PassRequest,
    Predictor,
    load_checkpoint,
    load_predictor,
)
from lesion.model.calibration import IMAGE_ALONE, SUBSETS
from lesion.model.checkpoint import Checkpoint
from lesion.model.fusion import FusionModel, create_backbone
from lesion.ui.server.files import sweep

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
        monkeypatch.setattr("lesion.hardware.bfloat16_is_faster", lambda faster=faster: faster)
        assert Predictor(load_checkpoint(checkpoint), device="cpu").model.in_bfloat16 is faster
    assert bfloat16_is_faster.__wrapped__() in (True, False)


GPUS = [
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU with CUDA")),
    pytest.param("mps", marks=pytest.mark.skipif(not torch.backends.mps.is_available(), reason="needs Apple's GPU")),
]


@pytest.mark.parametrize("device", GPUS)
@pytest.mark.parametrize("bfloat16", [False, None])
def test_a_gpu_answers_and_explains_as_the_cpu(device, bfloat16):
    predictors = [Predictor(load_checkpoint(BUNDLED), *how) for how in ((False, "cpu"), (bfloat16, device))]
    assert [predictor.model.device.type for predictor in predictors] == ["cpu", device]
    for path in sorted(EXAMPLES.glob("*.jpg")):
        features = [predictor.features(read_image(path), RECORD) for predictor in predictors]
        for of_device in features:
            assert {of_device.feature_map.device.type, of_device.earlier_map.device.type} == {"cpu"}
        answers, *maps = (
            [function(predictor, f) for predictor, f in zip(predictors, features, strict=True)]
            for function in (
                lambda predictor, f: predictor.probabilities(f, [Metadata(), RECORD]),
                *(
                    lambda predictor, f, method=method: predictor.activation_maps(f, RECORD, method)
                    for method in predictors[0].map_methods
                ),
            )
        )
        np.testing.assert_allclose(*answers, atol=0.01)
        assert all(np.abs(on_cpu - on_gpu).mean() < 0.02 for on_cpu, on_gpu in maps)


def test_the_device_is_chosen_by_what_is_there(checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert find_device() == torch.device("cpu") == load_predictor(checkpoint, "cpu").model.device
    for name in ("cuda", "tpu"):
        with pytest.raises(UserError, match=f"Device '{name}' is not available here; choose auto or cpu."):
            load_predictor(checkpoint, name)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device() == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device() == torch.device("cuda") and find_device("cpu") == torch.device("cpu")
    assert find_device(torch.device("cuda", 1)) == torch.device("cuda", 1)


@pytest.mark.parametrize("native", [True, False])
def test_bfloat16_on_a_gpu_where_it_has_instructions_for_it(monkeypatch, native):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native and not including_emulation)
    assert prefers_bfloat16(torch.device("cuda")) is native
    assert not prefers_bfloat16(torch.device("mps"))


def photographs(count: int) -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [Image.fromarray(generator.integers(0, 256, (30, 40, 3), dtype=np.uint8)) for _ in range(count)]


def test_photographs_of_one_pass_answer_as_alone(predictor):
    images = photographs(MOST_IN_A_PASS)
    inputs = [predictor.config.transform(image) for image in images]
    requests = [PassRequest(x, image.size, None) for x, image in zip(inputs, images, strict=True)]
    together = predictor.run_backbone(requests)
    for image, features in zip(images, together, strict=True):
        alone = predictor.features(image)
        np.testing.assert_allclose(features.embedding, alone.embedding, atol=1e-4)
        np.testing.assert_allclose(features.feature_map, alone.feature_map, atol=1e-3)
        assert features.feature_map.untyped_storage().nbytes() == 4 * features.feature_map.numel()
        assert predictor.probabilities(features, [RECORD]) == pytest.approx(predictor.probabilities(alone, [RECORD]))


def test_heat_maps_of_one_pass_are_as_alone(predictor):
    """Whatever their methods, records and diagnoses."""
    of_each = [predictor.features(image) for image in photographs(4)]
    records = [RECORD, Metadata(), Metadata(30, "male"), RECORD]
    methods = [*predictor.map_methods[:2], predictor.map_methods[0], "Grad-CAM"]
    codes = [("mel",), ("nv", "bcc"), ("vasc", "mel"), CODES]
    requests = [MapRequest(*values) for values in zip(of_each, records, methods, codes, strict=True)]
    for request, together in zip(requests, predictor.run_maps(requests), strict=True):
        alone = predictor.activation_maps(*request)
        assert alone.shape == together.shape and together.max() == 1
        np.testing.assert_allclose(together, alone, atol=1e-3)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_first_heat_map_of_the_pass_is_as_one_asked_later(checkpoint, bfloat16):
    """And it is given to nobody who asks for another record, method or diagnosis."""
    predictor = Predictor(load_checkpoint(checkpoint), bfloat16)
    predictor.map_methods = ("LayerCAM, earlier stage", "Grad-CAM")  # as where a report says that it is the best
    images, best = photographs(3), predictor.map_methods[0]
    records = [RECORD, None, Metadata(30, "male")]
    requests = [
        PassRequest(predictor.config.transform(image), image.size, record)
        for image, record in zip(images, records, strict=True)
    ]
    with_maps = predictor.run_backbone(requests)
    without = predictor.run_backbone([request._replace(metadata=None) for request in requests])
    for features, plain, record in zip(with_maps, without, records, strict=True):
        assert plain.first_map is None and (features.first_map is None) == (record is None)
        torch.testing.assert_close(features.feature_map, plain.feature_map)
        torch.testing.assert_close(features.earlier_map, plain.earlier_map)
        assert not any(t.requires_grad or t.grad_fn for t in (features.feature_map, features.earlier_map))
        top = predictor.predict(plain, record).diagnosis
        other = next(code for code in CODES if code != top)
        for asked in [(record, best, [top]), (RECORD, "Grad-CAM", [top]), (record, best, [other, top])]:
            asked_later = predictor.activation_maps(plain, *asked)
            np.testing.assert_allclose(
                predictor.activation_maps(features, *asked), asked_later, atol=0.05 if bfloat16 else 1e-4
            )
        if first := features.first_map:
            assert predictor.activation_maps(features, record, best, [top]) is first.activation_map
            assert predictor.activation_maps(features, Metadata(50), best, [top]) is not first.activation_map


def test_photographs_are_forgotten_in_time(predictor, tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("lesion.inference.photograph_store.time", SimpleNamespace(monotonic=lambda: now))
    path = tmp_path / "photograph.png"
    photographs(1)[0].save(path)
    Image.new("RGB", (40, 30)).save(tmp_path / "other.png")
    store = PhotographStore(predictor, kept=60)
    first = store.get(path)
    for _ in range(3):  # each use starts the time anew
        now += 59
        assert store.get(path) is first
    now += 61
    assert store.get(path) is not first
    now += 61
    path.write_bytes((tmp_path / "other.png").read_bytes())
    store.get(path)
    assert len(store._photographs) == len(store._used_at) == 1


def test_a_photograph_in_use_is_not_swept(predictor, tmp_path):
    """The app removes files by their time of last change of any kind."""
    path = tmp_path / "files" / "photograph.png"
    path.parent.mkdir()
    photographs(1)[0].save(path)
    os.utime(path, (1000, 1000))
    store = PhotographStore(predictor)
    store.get(path)
    time.sleep(0.6)
    store.get(path)
    sweep(path.parent, 0.5, 10**9)
    assert path.exists() and path.stat().st_mtime == 1000
    time.sleep(0.6)
    sweep(path.parent, 0.5, 10**9)
    assert not path.exists()


def different_in_each_subset(checkpoint: Checkpoint, fusion: str) -> Predictor:
    """A predictor whose temperatures and thresholds are others for each subset of the inputs."""
    calibration = replace(checkpoint.config.calibration, temperatures=np.geomspace(0.3, 3, 16))
    thresholds = np.random.default_rng(0).uniform(0.02, 0.3, (16, 7))
    prediction_sets = replace(checkpoint.config.prediction_sets, thresholds=thresholds)
    config = replace(checkpoint.config, fusion=fusion, calibration=calibration, prediction_sets=prediction_sets)
    torch.manual_seed(0)
    model = FusionModel(create_backbone(TINY), fusion).eval()
    return Predictor(replace(checkpoint, config=config, model=model), bfloat16=False)


def test_an_image_only_checkpoint_ignores_metadata(checkpoint):
    """Its temperature was chosen by the known fields, so that the app gave another answer than its report measured."""
    predictor = different_in_each_subset(load_checkpoint(checkpoint), "none")
    features = predictor.features(photographs(1)[0])
    alone, with_record = (predictor.predict(features, record) for record in (Metadata(), RECORD))
    assert with_record.probabilities == alone.probabilities
    assert predictor.prediction_set(with_record) == predictor.prediction_set(alone)
    answers = predictor.probabilities(features, [RECORD] * 16, SUBSETS)
    np.testing.assert_array_equal(answers, answers[SUBSETS[:, 0].astype(int)])
    np.testing.assert_allclose(answers[IMAGE_ALONE], list(alone.probabilities.values()))


def test_a_fused_checkpoint_does_not(checkpoint):
    predictor = different_in_each_subset(load_checkpoint(checkpoint), "concat")
    features = predictor.features(photographs(1)[0])
    assert predictor.predict(features).probabilities != predictor.predict(features, RECORD).probabilities


def test_the_prediction_set_is_the_same_at_every_prior(checkpoint):
    """Its thresholds hold at the data set's prevalence."""
    predictor, changed = different_in_each_subset(load_checkpoint(checkpoint), "concat"), 0
    for image in photographs(6):
        features = predictor.features(image)
        for record in (Metadata(), RECORD):
            dataset, uniform = (predictor.predict(features, record, prior) for prior in ("dataset", "uniform"))
            assert (dataset.prior, uniform.prior) == ("dataset", "uniform")
            assert predictor.prediction_set(uniform) == predictor.prediction_set(dataset)
            changed += predictor.prediction_set(replace(uniform, prior="dataset")) != predictor.prediction_set(dataset)
    assert changed, "the prior makes a difference"


def test_precision_is_known(checkpoint):
    for bfloat16, precision in ((False, "float32"), (True, "bfloat16")):
        assert Predictor(load_checkpoint(checkpoint), bfloat16).precision == precision


@pytest.mark.process
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot bind a process to a core")
@pytest.mark.parametrize("given, expected", [(None, "1"), ("2", "2")])
def test_threads_are_the_cores_that_are_ours(given, expected):
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "import lesion, torch; print(torch.get_num_threads())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if given:
        environment["OMP_NUM_THREADS"] = given
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == expected
