"""Drawn artefacts: stronger ones change more, the lesion's middle stays visible, nothing depends on chance."""

import numpy as np
import pytest
from PIL import Image

from lesion.data.artefacts import ARTEFACTS, HARMLESS, STRENGTHS, shift


@pytest.fixture
def image() -> Image.Image:
    y, x = np.mgrid[:150, :200]
    spot = np.exp(-((x - 100) ** 2 + (y - 75) ** 2) / 800)[..., None]
    noise = np.random.default_rng(0).normal(0, 3, (150, 200, 1))
    return Image.fromarray((np.array([210, 170, 160]) - spot * [120, 110, 100] + noise).clip(0, 255).astype(np.uint8))


def changed(before: Image.Image, after: Image.Image) -> float:
    """Mean absolute change of a channel, 0 to 255."""
    return float(np.abs(np.asarray(before, float) - np.asarray(after, float)).mean())


@pytest.mark.parametrize("name", ARTEFACTS)
def test_stronger_ones_change_more(image, name):
    before = np.asarray(image).copy()
    sizes = [changed(image, ARTEFACTS[name](image, strength)) for strength in STRENGTHS]
    assert 0 < sizes[0] < sizes[1] < sizes[2]
    assert (np.asarray(image) == before).all(), "the image given stays as it is"
    again = ARTEFACTS[name](image, 2)
    assert again.size == image.size and again.mode == "RGB"
    assert (np.asarray(again) == np.asarray(ARTEFACTS[name](image, 2))).all(), "nothing depends on chance"


@pytest.mark.parametrize("name", ["ruler", "ink"])
def test_ruler_and_ink_leave_the_middle_alone(image, name):
    middle = (75, 50, 125, 100)
    after = ARTEFACTS[name](image, 3)
    assert changed(image.crop(middle), after.crop(middle)) == 0


@pytest.mark.parametrize("name", ARTEFACTS)
def test_they_lie_inside_the_square_that_the_network_reads(image, name):
    """At least part of each does: the centre square changes."""
    square = (25, 0, 175, 150)
    assert changed(image.crop(square), ARTEFACTS[name](image, 1).crop(square)) > 0


def test_harmless_changes_are_small(image):
    assert all(0 < changed(image, change(image)) < 5 for change in HARMLESS.values())
    pixels, moved = np.asarray(image), np.asarray(shift(image))
    assert (moved[1:, 1:] == pixels[:-1, :-1]).all()
    assert (moved[0, 1:] == pixels[0, :-1]).all() and (moved[1:, 0] == pixels[:-1, 0]).all()
