"""Heat maps against lesion masks, and deletion and insertion."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from lesion.data.ham10000 import read_table, records_of
from lesion.data.reading import read_image
from lesion.errors import UserError
from lesion.inference.activation_maps import METHODS
from lesion.inference.predictor import Predictor, load_checkpoint
from lesion.report.deletion import RANDOM, area_under, blurred, deletion_and_insertion, pixel_order, replaced
from lesion.report.explanations import explanation_report
from lesion.report.heat_maps import explain_table
from lesion.report.localisation import (
    GAUSSIAN,
    MASKS,
    centred_gaussian,
    energy_inside,
    pointing_hit,
    read_masks,
    spread,
)
from lesion.ui.html import heat_map
from lesion.words import percent


def blob(x: float, y: float, width: float, height: float, shape=(150, 200)) -> np.ndarray:
    """A Gaussian at (x, y)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-0.5 * (((columns - x) / width) ** 2 + ((rows - y) / height) ** 2))


def test_energy_and_pointing_of_a_known_map():
    heat, mask = np.zeros((4, 6)), np.zeros((4, 6), bool)
    mask[1:3, 1:3] = True
    heat[1, 1], heat[3, 5] = 3, 1
    assert energy_inside(heat, mask) == 0.75 and pointing_hit(heat, mask) == 1
    heat[3, 5] = 9
    assert energy_inside(heat, mask) == 0.25 and pointing_hit(heat, mask) == 0
    heat[1, 1] = 9
    assert pointing_hit(heat, mask) == 0.5, "two hottest pixels, one of them inside"
    assert energy_inside(np.ones((4, 6)), mask) == pytest.approx(mask.mean()), "an even map has the lesion's area"


def test_centred_gaussian_is_as_wide_as_the_map_and_in_the_middle():
    heat = blob(40, 110, 25, 12)
    guess = centred_gaussian(heat)
    assert guess.shape == heat.shape and guess.sum() == pytest.approx(1)
    for axis in (0, 1):
        assert spread(guess.sum(axis)) == pytest.approx(spread(heat.sum(axis)), rel=1e-3)
    rows, columns = np.mgrid[:150, :200]
    assert (guess * columns).sum() == pytest.approx(99.5) and (guess * rows).sum() == pytest.approx(74.5)
    assert np.allclose(guess, guess[::-1, ::-1])


def test_centred_gaussian_of_an_even_map_and_of_a_centred_one():
    np.testing.assert_allclose(centred_gaussian(np.ones((30, 40))), 1 / 1200, rtol=1e-2)
    heat = blob(99.5, 74.5, 30, 20)
    np.testing.assert_allclose(centred_gaussian(heat), heat / heat.sum(), atol=1e-6)


def test_a_map_that_knows_where_the_lesion_is_beats_the_blind_guess():
    mask = blob(50, 100, 25, 25) > 0.6
    knows, blind = blob(50, 100, 20, 20), blob(150, 50, 20, 20)
    assert energy_inside(knows, mask) > energy_inside(centred_gaussian(knows), mask) + 0.3
    assert energy_inside(blind, mask) < energy_inside(centred_gaussian(blind), mask)


def test_pixels_are_replaced_hottest_first():
    heat = np.array([[0.1, 0.9], [0.5, 0.2]])
    order = pixel_order(heat, np.random.default_rng(0))
    assert order.tolist() == [1, 2, 3, 0]
    image, other = torch.zeros(3, 2, 2), torch.ones(3, 2, 2)
    steps = replaced(image, other, order, 4)
    assert steps.shape == (5, 3, 2, 2)
    assert [s[0].flatten().tolist() for s in steps[:3]] == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 1, 0]]
    assert torch.equal(steps[-1], other)
    assert sorted(pixel_order(np.zeros((5, 5)), np.random.default_rng(0))) == list(range(25))


def test_area_under_a_curve():
    assert area_under(np.array([1.0, 1, 1])) == pytest.approx(1)
    assert area_under(np.array([0.0, 0.5, 1])) == pytest.approx(0.5)
    assert area_under(np.array([1.0, 0, 0, 0])) == pytest.approx(1 / 6)


def test_deleting_the_decisive_patch_ruins_the_answer():
    image = torch.zeros(3, 40, 40)
    image[:, 4:12, 4:12] = 1
    found = np.zeros((40, 40))
    found[4:12, 4:12] = 1
    generator = np.random.default_rng(0)
    orders = {
        "found": pixel_order(found, generator),
        "missed": pixel_order(1 - found, generator),
        "chance": pixel_order(np.zeros((40, 40)), generator),
    }
    (whole, gone), areas = deletion_and_insertion(
        image, orders, lambda images: images[:, 0, 4:12, 4:12].mean((1, 2)).numpy()
    )
    assert whole == 1 and gone < 0.5
    deletion, insertion = ({name: pair[k] for name, pair in areas.items()} for k in (0, 1))
    assert deletion["found"] < deletion["chance"] < deletion["missed"]
    assert insertion["found"] > insertion["chance"] > insertion["missed"]


def test_blur_takes_detail_and_leaves_the_average():
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert blurred(images).std() < images.std() / 5
    assert blurred(images).mean() == pytest.approx(float(images.mean()), abs=0.02)


@pytest.fixture(scope="module", params=[False, True], ids=["float32", "bfloat16"])
def predictor(checkpoint, request):
    return Predictor(load_checkpoint(checkpoint), request.param)


@pytest.fixture(scope="module")
def table(ham10000):
    return read_table(ham10000, verify=False).iloc[::5].reset_index(drop=True)


@pytest.fixture(scope="module")
def masks(tmp_path_factory, table):
    """A folder of masks at the photographs' size, the first one empty."""
    folder = tmp_path_factory.mktemp("masks")
    (folder / MASKS).mkdir()
    mask = 255 * (blob(50, 37, 20, 15, (75, 100)) > 0.5).astype(np.uint8)
    for row, image_id in enumerate(table.image_id):
        Image.fromarray(mask * (row > 0)).save(folder / MASKS / f"{image_id}_segmentation.png")
    return folder


def test_what_is_measured_is_what_the_app_shows(predictor, table):
    explained = explain_table(predictor, table)
    for row in (0, 17):
        features = predictor.features(read_image(table.path[row]))
        record = records_of(table)[row]
        assert predictor.probabilities(features, [record]).argmax() == explained.decided[row]
        for method in predictor.map_methods:
            shown = predictor.activation_maps(features, record, method)[explained.decided[row]]
            measured = explained.maps[method][row]
            np.testing.assert_allclose(measured / measured.max(), shown / shown.max(), atol=1e-3)


def test_missing_masks_are_refused(ham10000, masks, table):
    with pytest.raises(UserError, match=f"lacks the lesion masks of {len(table)} of .* Download {MASKS}.zip"):
        read_masks(ham10000, list(table.image_id))
    with pytest.raises(UserError, match=r"lacks the lesion masks of 1 of 2 images \(ISIC_x"):
        read_masks(masks, [table.image_id[0], "ISIC_x"])
    first, second = read_masks(masks, list(table.image_id[:2]))
    assert second.dtype == bool and second.shape == (75, 100) and second.any() and not first.any()


def test_report(predictor, table, masks, monkeypatch):
    monkeypatch.setattr("lesion.report.explanations.SAMPLE", 3)
    outlines = read_masks(masks, list(table.image_id))
    report = explanation_report(predictor, table, outlines, rounds=50)
    json.dumps(report, allow_nan=False)
    assert report["images"] == len(table) - 1 and report["without a mask"] == 1
    assert tuple(report["methods"]) == tuple(METHODS)
    for name, figures in report["methods"].items():
        low, high = figures["energy"]["interval"]
        assert low <= figures["energy"]["value"] <= high
        difference = figures["energy"]["value"] - figures["energy of the centred Gaussian"]["value"]
        assert figures["energy minus centred Gaussian"]["value"] == pytest.approx(difference)
        assert figures["cells"] == ([4, 4] if METHODS[name].earlier else [2, 2])
        assert figures["offered"] == (name in predictor.map_methods)
    perturbed = report["deletion and insertion"]
    assert perturbed["probability of the whole photograph"]["value"] > 1 / 7
    assert perturbed["images"] == 3 and tuple(perturbed["orders"]) == (*predictor.map_methods, GAUSSIAN, RANDOM)
    assert "deletion minus random order" in perturbed["orders"][GAUSSIAN]
    assert report == explanation_report(predictor, table, outlines, rounds=50), "the same seed gives the same report"

    words = heat_map.map_quality(report)
    assert words.count("<tr>") == 1 + len(METHODS) and "How good are these maps?" in words
    assert percent(report["methods"]["Grad-CAM"]["energy"]["value"]) in words
    report["methods"]["Grad-CAM"]["energy minus centred Gaussian"]["interval"] = [-0.2, -0.1]
    grad_cam = heat_map.map_quality(report).split('<th scope="row">Grad-CAM</th>')[1].split("</tr>")[0]
    assert "worse" in grad_cam
    with pytest.raises(KeyError):
        heat_map.map_quality({})
