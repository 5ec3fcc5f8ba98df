"""The photograph with the heat map on it, and how good the maps are."""

import html
import io

from PIL import Image

from lesion.data.diagnoses import BY_CODE
from lesion.ui.html.wording import data_uri
from lesion.words import percent

NO_HEAT = "The heat map appears here."
FRAME = 4, 3
"""Proportions of the frame that a photograph is fitted into, as in STYLE."""
STYLE = """
#heat .placeholder { aspect-ratio: 4 / 3; }
#heat:not(:has(figure)) { padding-bottom: 5.3rem; }
#heat:not(:has(figure)) .prose { aspect-ratio: 4 / 3; }
.heat { margin: 0; }
.heat .frame { position: relative; aspect-ratio: 4 / 3; border-radius: 8px; overflow: hidden; line-height: 0;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.heat img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; margin: 0; }
.heat .layer { opacity: var(--heat-opacity, .6); }
.heat .read { position: absolute; box-shadow: 0 0 0 100rem rgb(0 0 0 / .6); outline: 1px solid rgb(255 255 255 / .7); }
.heat figcaption { font-size: var(--text-sm); line-height: 1.4; margin-top: .3rem; min-height: 4.2em; }
.heat .scale { display: flex; gap: .5rem; align-items: center; margin-top: .35rem; font-size: var(--text-sm); }
.heat .ramp { flex: 1; height: .6rem; border-radius: 4px;
  background: linear-gradient(90deg, #00000400, #420a6866, #932667a6, #dd513acc, #fca50ae6, #fcffa4); }
.map-quality { font-size: var(--text-sm); }
.map-quality p { margin: .4rem 0; line-height: 1.4; }
.map-quality .scroll { overflow-x: auto; }
.map-quality table { width: 100%; border-collapse: collapse; }
.map-quality th, .map-quality td { text-align: left; padding: .2rem .4rem; vertical-align: top;
  border-bottom: 1px solid var(--border-color-primary); }
.map-quality small { white-space: nowrap; color: var(--body-text-color-subdued); }
"""


def heat(
    photograph: bytes,
    layer: Image.Image,
    code: str,
    strength: float,
    method: str,
    size: tuple[int, int],
    box: tuple[int, int, int, int],
) -> str:
    """The photograph with the heat laid over it, the warmer the less transparent; the opacity is the page's
    --heat-opacity.

    Args:
        photograph: JPEG.
        layer: of `lesion.inference.activation_maps.heat_layer`, of any size with the photograph's proportions.
        code: the diagnosis explained.
        strength: the map's largest value on the scale common to this diagnosis and the most probable one.
        method: how the map was made.
        size: of the photograph, width and height, pixels.
        box: the part of it that the model reads: left, top, right, bottom, pixels. The rest is shaded.
    """
    name = html.escape(BY_CODE[code].name)
    if strength == 0:
        text = f"Nothing in this photograph is evidence for {name}."
    elif strength < 0.25:
        text = f"Faint: little in this photograph is evidence for {name}, compared with the most probable diagnosis."
    else:
        text = f"Warm colours mark the strongest evidence for {name}."
    square, note = "", ""
    if box != (0, 0, *size):
        square, note = (
            f'<span class="read" style="{place(size, box)}"></span>',
            " The model reads only the bright square.",
        )
    return (
        f'<figure class="heat"><div class="frame"><img src="{data_uri(photograph, "jpeg")}" alt="The photograph">'
        f'<img class="layer" src="{data_uri(layer_png(layer), "png")}" alt="Heat map: {text}">{square}</div>'
        f'<div class="scale"><span>no evidence</span><span class="ramp"></span><span>most</span></div>'
        f"<figcaption>{text} The scale is shared with the most probable diagnosis ({html.escape(method)}).{note}"
        f"</figcaption></figure>"
    )


def layer_png(layer: Image.Image) -> bytes:
    """A heat layer as PNG, the warmer the less transparent."""
    buffer = io.BytesIO()
    layer.save(buffer, "PNG", transparency=bytes(range(256)), compress_level=1)
    return buffer.getvalue()


def place(size: tuple[int, int], box: tuple[int, int, int, int]) -> str:
    """Where a part of a photograph lies in the frame that the whole of it is fitted into, as CSS.

    Args:
        size: of the photograph, width and height.
        box: the part: left, top, right, bottom.
    """
    scale = min(side / length for side, length in zip(FRAME, size, strict=True))
    rules = []
    for side, length, start, end, names in zip(
        FRAME, size, box[:2], box[2:], ("left width", "top height"), strict=True
    ):
        bar = (side - scale * length) / 2
        values = bar + scale * start, scale * (end - start)
        rules += [f"{name}:{100 * value / side:.3f}%" for name, value in zip(names.split(), values, strict=True)]
    return ";".join(rules)


def map_quality(measured: dict) -> str:
    """How good the heat maps are, folded up.

    Args:
        measured: of `lesion.report.explanations.explanation_report`.

    Raises:
        KeyError, TypeError, ValueError: not in that form.
    """

    def share(entry: dict) -> str:
        low, high = entry["interval"]
        return f"{percent(entry['value'])} <small>({percent(low)} to {percent(high)})</small>"

    def verdict(entry: dict) -> str:
        low, high = entry["interval"]
        return "the map is better" if low > 0 else "the map is worse" if high < 0 else "no clear difference"

    rows = []
    for name, figures in measured["methods"].items():
        energy, pointing = (
            f"<td>{share(figures[key])}<br>blob: {percent(figures[f'{key} of the centred Gaussian']['value'])}; "
            f"{verdict(figures[f'{key} minus centred Gaussian'])}</td>"
            for key in ("energy", "pointing")
        )
        rows.append(f'<tr><th scope="row">{html.escape(name)}</th>{energy}{pointing}</tr>')
    area = measured["area share"]["value"]
    return (
        '<details class="map-quality"><summary>How good are these maps?</summary>'
        f"<p>Measured on {measured['images']:,} photographs not used in training, with outlines of the lesions that "
        f"were drawn or checked by hand. The lesion fills {percent(area)} of a photograph on average, so a uniform map "
        "has that share inside it. Photographers centre lesions, so the baseline is a blob in the middle, as wide as "
        "the map.</p>"
        '<div class="scroll"><table><thead><tr><th scope="col">map</th><th scope="col">share of it inside the lesion '
        '(95 % interval)</th><th scope="col">photographs whose hottest point is inside the lesion</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )
