"""HTML pieces of the page. No computing here: numbers and pictures come in, markup goes out."""

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from lesion.diagnoses import BY_CODE, DIAGNOSES
from lesion.explain import percent
from lesion.ui.example_photographs import Example

NOTICE = (
    "<b>For research and teaching only. Not a medical device.</b> Its answers are associations in one collection of "
    "photographs, mostly of light skin; they are not causes and no medical advice. Do not upload photographs that "
    "identify a person."
)
ATTRIBUTION = (
    "Model and examples: HAM10000, Tschandl, Rosendahl and Kittler, "
    '<a href="https://doi.org/10.1038/sdata.2018.161" target="_blank" rel="noopener">Sci. Data 5, 180161 (2018)</a>, '
    '<a href="https://creativecommons.org/licenses/by-nc/4.0/" target="_blank" rel="noopener">CC BY-NC 4.0</a>.'
)
WELCOME = "Choose a photograph or one of the examples to see an answer."

STYLE = """
.gradio-container { max-width: 1320px !important; margin: auto; }
.page-title h1 { margin: 0; font-size: 1.55rem; }
.page-title p { margin: .15rem 0 0; }
.notice { font-size: .85rem; line-height: 1.4; border-left: 4px solid #E69F00; padding: .35rem .7rem;
  background: color-mix(in srgb, #E69F00 10%, transparent); border-radius: 0 6px 6px 0; }
.attribution { font-size: .8rem; opacity: .85; }
.attribution a { color: inherit; text-decoration: underline; }
.answer h2 { margin: 0 0 .1rem; font-size: 1.3rem; }
.answer .lead { margin: 0 0 .7rem; }
.answer ul { list-style: none; margin: 0; padding: 0; }
.answer li { margin: 0 0 .5rem; padding: 0; }
.answer .row { display: flex; justify-content: space-between; gap: .6rem; align-items: baseline; }
.answer .value { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
.answer .track { height: .8rem; border-radius: 4px; overflow: hidden;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.answer .bar { display: block; height: 100%; min-width: 2px; border-radius: 4px; transition: width .25s; }
.answer .top { font-weight: 700; }
.mark { font-size: .72rem; font-weight: 600; padding: .05rem .4rem; border-radius: 8px; margin-left: .35rem;
  white-space: nowrap; }
.mark.malignant { background: #B00020; color: #fff; }
.mark.pre-malignant { background: #FFE3AE; color: #4A2F00; }
.change { font-size: 1rem; padding: .5rem .7rem; border-radius: 6px; margin: 0;
  background: color-mix(in srgb, #0072B2 12%, transparent); }
.problem { padding: .7rem .9rem; border-radius: 6px; border-left: 4px solid #B00020;
  background: color-mix(in srgb, #B00020 10%, transparent); }
.placeholder { opacity: .8; padding: 5rem 1rem; text-align: center; border: 1px dashed currentColor;
  border-radius: 8px; }
.heat { margin: 0; }
.heat .frame { position: relative; border-radius: 8px; overflow: hidden; line-height: 0; }
.heat img { width: 100%; height: auto; margin: 0; }
.heat .layer { position: absolute; inset: 0; width: 100%; height: 100%; opacity: var(--heat-opacity, .6); }
.heat figcaption { font-size: .85rem; line-height: 1.35; margin-top: .35rem; }
.heat .scale { display: flex; gap: .5rem; align-items: center; margin-top: .3rem; font-size: .8rem; }
.heat .ramp { flex: 1; height: .6rem; border-radius: 4px;
  background: linear-gradient(90deg, #00000400, #420a6866, #932667a6, #dd513acc, #fca50ae6, #fcffa4); }
.examples h2 { font-size: 1rem; margin: 0 0 .4rem; }
.examples .strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(88px, 1fr)); gap: .6rem .5rem;
  align-items: start; }
.examples button { border: 2px solid transparent; border-radius: 8px; padding: 0; background: none; color: inherit;
  cursor: pointer; font-size: .66rem; font-weight: 400; line-height: 1.25; text-align: center; box-shadow: none;
  overflow-wrap: anywhere; }
.examples button:hover, .examples button:focus-visible { border-color: #0072B2; }
.examples img { width: 100%; height: auto; border-radius: 6px; margin: 0 0 .2rem; display: block; }
footer { margin-top: .5rem !important; }
"""


EXAMPLES_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button');
  if (button) trigger('click', { index: Number(button.dataset.index) });
});
"""


def examples(choices: Sequence[Example]) -> str:
    """Thumbnails to choose from; a click triggers the component's click with the index."""
    buttons = []
    for index, example in enumerate(choices):
        with Image.open(example.path) as image:
            thumbnail = image.resize((160, 120), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        thumbnail.save(buffer, "WEBP", quality=80)
        name = BY_CODE[example.diagnosis].name
        buttons.append(
            f'<button type="button" data-index="{index}" title="{example.image_id}: {example.metadata.describe()}">'
            f'<img src="{data_uri(buffer.getvalue(), "webp")}" alt="">{html.escape(name)}</button>'
        )
    return (
        '<div class="examples"><h2>Examples that the model never trained on</h2>'
        f'<div class="strip">{"".join(buttons)}</div></div>'
    )


def marked(code: str) -> str:
    """A diagnosis's name, with a mark where it is malignant or pre-malignant."""
    diagnosis = BY_CODE[code]
    mark = "" if diagnosis.nature == "benign" else f'<span class="mark {diagnosis.nature}">{diagnosis.nature}</span>'
    return f"{html.escape(diagnosis.name)}{mark}"


def problem(message: str) -> str:
    """A sentence about what could not be used."""
    return f'<div class="problem" role="alert">{html.escape(message)}</div>'


def placeholder(message: str) -> str:
    """What stands where nothing is to be shown yet."""
    return f'<div class="placeholder">{html.escape(message)}</div>'


def answer(probabilities: dict[str, float], truth: str | None = None) -> str:
    """The seven diagnoses as bars, the most probable first.

    Args:
        probabilities: by code.
        truth: the confirmed diagnosis of an example, a code.
    """
    ranked = sorted(DIAGNOSES, key=lambda d: -probabilities[d.code])
    top = ranked[0]
    rows = []
    for diagnosis in ranked:
        share = probabilities[diagnosis.code]
        rows.append(
            f'<li title="{html.escape(diagnosis.description)}"><div class="row {"top" if diagnosis is top else ""}">'
            f'<span>{marked(diagnosis.code)}</span><span class="value">{percent(share)}</span></div>'
            f'<div class="track" aria-hidden="true"><span class="bar" style="width:{share:.2%};'
            f'background:{diagnosis.colour}"></span></div></li>'
        )
    known = f" Confirmed diagnosis of this example: {html.escape(BY_CODE[truth].name)}." if truth else ""
    return (
        f'<div class="answer" aria-live="polite"><h2>{marked(top.code)}</h2>'
        f'<p class="lead">is the most probable of the seven, with {percent(probabilities[top.code])}.{known}</p>'
        f"<ul>{''.join(rows)}</ul></div>"
    )


def change(sentence: str) -> str:
    """The sentence on what the metadata changed."""
    return f'<p class="change" aria-live="polite">{html.escape(sentence)}</p>'


def data_uri(content: bytes, kind: str) -> str:
    """An image inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def heat(photograph: bytes, layer: Image.Image, code: str, strength: float) -> str:
    """The photograph with the heat laid over it; the opacity is the page's --heat-opacity.

    Args:
        photograph: JPEG.
        layer: RGBA, of any size with the photograph's proportions.
        code: the diagnosis explained.
        strength: the map's largest value on the scale common to all seven diagnoses.
    """
    buffer = io.BytesIO()
    layer.save(buffer, "WEBP", quality=80)
    name = html.escape(BY_CODE[code].name)
    if strength == 0:
        text = f"No part of this photograph speaks for {name}."
    elif strength < 0.25:
        text = f"Faint: little in this photograph speaks for {name}, compared with the other diagnoses."
    else:
        text = f"Bright areas spoke most for {name}."
    return (
        f'<figure class="heat"><div class="frame"><img src="{data_uri(photograph, "jpeg")}" alt="The photograph">'
        f'<img class="layer" src="{data_uri(buffer.getvalue(), "webp")}" alt="Heat map: {text}"></div>'
        f'<div class="scale"><span>no evidence</span><span class="ramp"></span><span>most</span></div>'
        f"<figcaption>{text} One scale for all seven diagnoses (Grad-CAM).</figcaption></figure>"
    )
