"""Colours of the charts besides those of diagnoses, dash patterns, and tints with a readable ink."""

VIOLET, OLIVE = "#7F63DA", "#8C8500"
"""Two colours that no diagnosis has and that colour-blind people can distinguish: up and down, run A and run B."""
RUN_COLOURS = {"A": VIOLET, "B": OLIVE}
DASHES = {
    "mel": "none",
    "nv": "14 4",
    "bcc": "3 4",
    "akiec": "14 4 3 4",
    "bkl": "7 3",
    "df": "14 4 3 4 3 4",
    "vasc": "5 7",
}
"""SVG dash pattern of each diagnosis's line."""
PALEST = 0.08
"""Share of the diagnosis's colour at probability 0: still distinguishable from a white page."""


def tint(colour: str, share: float) -> str:
    """A colour mixed with white.

    Args:
        colour: hexadecimal RGB.
        share: 0, the palest, to 1, the colour itself.
    """
    weight = PALEST + (1 - PALEST) * share
    return "#" + "".join(f"{round(255 + weight * (c - 255)):02x}" for c in bytes.fromhex(colour[1:]))


def ink(fill: str) -> str:
    """Black or white, whichever is read better on a fill."""
    red, green, blue = bytes.fromhex(fill[1:])
    return "#111" if 0.3 * red + 0.59 * green + 0.11 * blue > 100 else "#fff"
