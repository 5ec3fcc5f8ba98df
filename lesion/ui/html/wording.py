"""Names and numbers as the page writes them, as HTML."""

import base64
import html
from collections.abc import Sequence

from lesion.data.diagnoses import BY_CODE
from lesion.words import percent

CONFIRMATIONS = {
    "histo": "under the microscope (histopathology)",
    "follow_up": "no change in follow-up",
    "consensus": "consensus of experts",
    "confocal": "confocal microscopy",
}
"""How a diagnosis was confirmed, by HAM10000's dx_type."""


def short(probability: float) -> str:
    """The percent as a label has room for it, as HTML."""
    return html.escape(percent(probability).replace("less than ", "<").replace("more than ", ">"))


def name_of(code: str) -> str:
    """A diagnosis's name, as HTML."""
    return html.escape(BY_CODE[code].name)


def brief(code: str) -> str:
    """A diagnosis's name as a label has room for it, as HTML."""
    return html.escape(BY_CODE[code].name.split(" / ")[0])


def confirmation(dx_type: str) -> str:
    """How a diagnosis was confirmed, in words."""
    return f"confirmed: {CONFIRMATIONS.get(dx_type, dx_type)}"


def abbreviation(code: str) -> str:
    """A diagnosis's code with its name in the tooltip, as HTML."""
    return f'<abbr title="{name_of(code)}">{code}</abbr>'


def number(value: float, decimals: int | None = None) -> str:
    """A number with a minus sign, never a negative zero.

    Args:
        value: the number.
        decimals: how many; by default as many as it needs, up to six digits.
    """
    text = f"{value:g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def signed(value: float, decimals: int) -> str:
    """A number with + or −, or neither where it is shown as zero."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and float(text) else text


def percentage(share: float) -> str:
    """A rate that may well be zero: "94.2 %"."""
    return f"{number(100 * share, 1)}\u00a0%"


def between(value: float, interval: Sequence[float]) -> str:
    """A share with its 95 % interval: "75.1 % (69.8 % to 80.2 %)"."""
    return f"{percentage(value)} ({percentage(interval[0])} to {percentage(interval[1])})"


def unbroken(text: str) -> str:
    """The text with each percentage kept on one line."""
    return text.replace(" %", "\u00a0%")


def data_uri(content: bytes, kind: str) -> str:
    """An image inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
