"""SVG: axes, lines, text and labels that keep their distance."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

GAP = 19
"""Distance of two labels that stand above each other, SVG units."""


class Axis(NamedTuple):
    """A linear axis: the values `low` and `high` stand at the places `start` and `end`, SVG units or percent."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The place of a value."""
        place = self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)
        return round(place, 2)

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on the axis, at most `most` steps."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / most))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (factor * step) <= most + 1e-9)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places moved as little as it takes to keep a distance, within bounds and in their order.

    Args:
        places: where labels would stand.
        gap: the distance.
        low, high: the bounds.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = list(places)
    for rank, i in enumerate(order):
        if rank:
            moved[i] = max(moved[i], moved[order[rank - 1]] + gap)
    for rank, i in enumerate(reversed(order)):
        moved[i] = max(low, min(moved[i], high - rank * gap))
    return moved


def svg(width: float, height: float, summary: str, parts: Iterable[str]) -> str:
    """A picture with a sentence for those who do not see it.

    Args:
        width, height: of the viewBox.
        summary: the sentence, as HTML.
        parts: SVG.
    """
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{summary}">{"".join(parts)}</svg>'


def words(x: float, y: float, text: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text, as SVG.

    Args:
        x, y: its place, the baseline.
        text: as HTML.
        anchor: `text-anchor`.
        kind: class.
    """
    return f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{text}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line of a class, as SVG."""
    return f'<line class="{kind}" x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"/>'


def curve(points: Iterable[tuple[float, float]], colour: str, dash: str = "none", kind: str = "") -> str:
    """A line through points, as SVG.

    Args:
        points: places.
        colour: hexadecimal RGB.
        dash: `stroke-dasharray`.
        kind: class beside "curve".
    """
    path = " ".join(f"{x},{y}" for x, y in points)
    return f'<polyline class="curve {kind}" points="{path}" stroke="{colour}" stroke-dasharray="{dash}"/>'


def frame(x: Axis, y: Axis, x_labels: dict[float, str], y_labels: dict[float, str], x_title: str, y_title: str) -> str:
    """Both axes with grid lines and titles, as SVG.

    Args:
        x, y: the axes.
        x_labels, y_labels: text by value.
        x_title, y_title: what the axes show.
    """
    parts = [line(x.start, y.start, x.end, y.start, "axis"), line(x.start, y.start, x.start, y.end, "axis")]
    for value, text in y_labels.items():
        parts.append(line(x.start, y.at(value), x.end, y.at(value), "grid"))
        parts.append(words(x.start - 6, y.at(value) + 5.5, text, "end"))
    for value, text in x_labels.items():
        parts.append(line(x.at(value), y.start, x.at(value), y.start + 5, "axis"))
        parts.append(words(x.at(value), y.start + 21, text, "middle"))
    parts.append(words((x.start + x.end) / 2, y.start + 43, x_title, "middle"))
    parts.append(words(2, 16, y_title, kind="strong"))
    return "".join(parts)
