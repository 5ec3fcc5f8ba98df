"""Printed pages: A4 upright, with a title above and the notice and sources below.

    with sheet("A title") as page:
        write(page, MARGIN, 1.0, "Some words")
    Path("page.pdf").write_bytes(render(page, "pdf"))

Equal inputs give equal bytes: no date is printed or stored.
"""

import io
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from lesion.errors import UserError, shown

NOTICE = (
    "For research and teaching only. Not a medical device. Its answers are associations in one collection of "
    "photographs, mostly of light skin; they are not causes and no medical advice."
)
ATTRIBUTION = (
    "Model and examples: HAM10000, Tschandl, Rosendahl and Kittler, Sci. Data 5, 180161 (2018), "
    "doi.org/10.1038/sdata.2018.161. Licence: CC BY-NC 4.0, creativecommons.org/licenses/by-nc/4.0."
)
WIDTH, HEIGHT, MARGIN = 8.27, 11.69, 0.5
"""A4 upright and its margins, inches. All places on the page are inches from its upper left corner."""
LINE = 0.145
"""Distance of two lines of text, inches: 8.5 points with leading."""
SMALL, NORMAL, HEADING = 8, 8.5, 10
"""Sizes of text, points."""
LINE_LENGTH = 100
"""Characters of normal size on a line from margin to margin."""
RULE = 10.64
"""Where the line over the notice is, inches from the top."""
FORMATS = {"pdf": 300, "png": 150}
"""Kinds of file; pixels to the inch, in a PDF those of the photographs in it."""

# TrueType, so that the text of a PDF can be searched and copied whole. Set once, here, and not around savefig: an
# rc_context puts back all settings of the process when it ends, also under the feet of other threads.
matplotlib.rcParams["pdf.fonttype"] = 42
# Matplotlib is not thread-safe (its FAQ asks for a lock), and a server draws from many threads.
LOCK = threading.Lock()


@contextmanager
def sheet(title: str) -> Iterator[Figure]:
    """A page with its title, to draw on; may be used from several threads, one of which draws at a time."""
    with LOCK:
        page = Figure(figsize=(WIDTH, HEIGHT), facecolor="white")
        page.set_label(title)
        write(page, MARGIN, 0.38, title, size=15, weight="bold")
        yield page
        rule = Line2D([MARGIN / WIDTH, 1 - MARGIN / WIDTH], [1 - RULE / HEIGHT] * 2, color="k", lw=0.6)
        page.add_artist(rule)
        write(page, MARGIN, RULE + 0.06, f"{wrapped(NOTICE, 125)}\n{wrapped(ATTRIBUTION, 125)}", size=SMALL)
        for text in page.findobj(Text):
            text.set(fontfamily="DejaVu Sans", parse_math=False)


def check_kind(kind: object) -> None:
    """Raises a UserError where `kind` is none of FORMATS."""
    if kind not in tuple(FORMATS):
        raise UserError(f"Kind {shown(kind)} is not known; choose {' or '.join(FORMATS)}.")


def render(page: Figure, kind: str) -> bytes:
    """A page as a file; may be called from several threads.

    Args:
        page: of `sheet`.
        kind: "pdf", or "png" for 150 pixels to the inch.
    """
    buffer = io.BytesIO()
    details = {"metadata": {"Title": page.get_label(), "CreationDate": None}} if kind == "pdf" else {}
    with LOCK:
        page.savefig(buffer, format=kind, dpi=FORMATS[kind], **details)
    return buffer.getvalue()


def wrapped(words: str, width: int = LINE_LENGTH) -> str:
    """Lines of `width` characters at most, no number parted from its per cent sign."""
    return textwrap.fill(words.replace(" %", "\N{NO-BREAK SPACE}%"), width)


def write(page: Figure, left: float, top: float, words: str, size: float = NORMAL, weight: str = "normal") -> None:
    """Text whose upper left corner is at a place, inches."""
    page.text(left / WIDTH, 1 - top / HEIGHT, words, size=size, weight=weight, va="top", linespacing=1.25)


def heading(page: Figure, left: float, top: float, words: str) -> None:
    """As `write`, larger and bold."""
    write(page, left, top, words, HEADING, "bold")


def axes_at(page: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes at a place and of a size, inches."""
    return page.add_axes((left / WIDTH, 1 - (top + height) / HEIGHT, width / WIDTH, height / HEIGHT))


def bare(axes: Axes, rows: list[str]) -> None:
    """Leaves a bar chart its row names and its zero line; every bar has its value beside it."""
    axes.set_yticks(range(len(rows)), rows, fontsize=SMALL)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.axvline(0, color="k", lw=0.8)
