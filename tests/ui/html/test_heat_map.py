"""The heat map's markup: what the model reads of a photograph."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from lesion.data.transforms import ImageTransform
from lesion.inference.activation_maps import heat_layer
from lesion.ui.html import heat_map

FRAME = 4, 3
"""Width and height of the frame that a photograph stands in, in any unit."""


def drawn(size: tuple[int, int], crop_mode: str) -> ElementTree.Element:
    """The figure of a photograph of that size, as a checkpoint with that crop mode reads it."""
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "JPEG")
    box = ImageTransform(120, 200, (0, 0, 0), (1, 1, 1), crop_mode).box(size)
    layer = heat_layer(np.ones(size[::-1], np.float32))
    markup = heat_map.heat(buffer.getvalue(), layer, "mel", 1.0, "Grad-CAM", size, box)
    return ElementTree.fromstring(re.sub(r"(<img [^>]*[^/])>", r"\1/>", markup))


def place(element: ElementTree.Element) -> list[float]:
    """Left, top, width and height, in units of FRAME."""
    percent = dict(re.findall(r"(left|top|width|height):([\d.]+)%", element.get("style")))
    return [
        float(percent[name]) / 100 * FRAME[axis]
        for name, axis in (("left", 0), ("top", 1), ("width", 0), ("height", 1))
    ]


def squares(figure: ElementTree.Element) -> list[ElementTree.Element]:
    return figure.findall(".//span[@class='read']")


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((600, 450), [0.5, 0, 3, 3]),  # fills the frame
        ((1200, 600), [1, 0.5, 2, 2]),  # bars above and below it
        ((300, 600), [1.25, 0.75, 1.5, 1.5]),  # bars left and right of it
        ((500, 500), None),  # all of it is read
    ],
)
def test_what_lies_outside_the_centre_square_is_shaded(size, expected):
    figure = drawn(size, "center")
    if expected is None:
        assert not squares(figure) and "square" not in "".join(figure.itertext())
        return
    (square,) = squares(figure)
    assert place(square) == pytest.approx(expected, abs=1e-3)
    assert "The model reads only the bright square." in "".join(figure.find("figcaption").itertext())
    assert re.search(r"\.heat \.read \{[^}]*box-shadow", heat_map.STYLE)


def test_a_checkpoint_that_reads_the_whole_photograph_shades_nothing():
    figure = drawn((600, 450), "squash")
    assert not squares(figure) and "square" not in "".join(figure.itertext())
