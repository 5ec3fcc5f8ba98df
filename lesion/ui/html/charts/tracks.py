"""Values with their intervals on a horizontal track, as HTML."""

from collections.abc import Iterable

from lesion.ui.html.svg import Axis


def spanning(values: Iterable[float]) -> Axis:
    """An axis in percent of a track's width that holds zero and all values, with some room for a dot."""
    low, high = min(0.0, *values, -1e-3), max(0.0, *values, 1e-3)
    return Axis(low, high, 4, 96)


def whisker(axis: Axis, low: float, high: float) -> str:
    """A 95 % interval on a track, as HTML."""
    return f'<span class="line" style="left:{axis.at(low)}%;width:{axis.at(high) - axis.at(low):.2f}%"></span>'
