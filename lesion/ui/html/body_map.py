"""A human figure, front and back, whose body sites are coloured by probability. No computing: markup alone."""

import html
from dataclasses import dataclass

from lesion.data.diagnoses import BY_CODE
from lesion.data.metadata import UNKNOWN
from lesion.ui.html.colours import ink, tint
from lesion.ui.html.wording import short
from lesion.words import percent

CHIPS = {
    "trunk": "chest, abdomen or back, not specified",
    "acral": "palms and soles",
    None: "site not known",
}
"""Sites that have no region of their own, and what they mean."""
SMALLEST_SCALE = 0.1
"""The scale ends no lower than this probability, so that a diagnosis that is rare everywhere looks pale everywhere."""
LINE = 15
"""Distance of two lines of text, SVG units."""


@dataclass(frozen=True)
class Region:
    """One site on one figure. The figure's axis is x = 0 and y grows downwards; one unit is about 1 px.

    Attributes:
        half: SVG path of the half with x > 0. Where a site crosses the axis, the path starts and ends there, open and
            two units beyond, so that neither a line nor a gap shows between the halves.
        x, y: where the percent stands, its baseline; the name is above.
        anchor: the label's `text-anchor`.
        leader: SVG path of the line from the region to its label; none where the label stands on the region itself.
    """

    half: str
    x: float
    y: float
    anchor: str = "middle"
    leader: str = ""


FRONT = {
    "ear": Region(
        "M26.5 41 C31 36.5 35.5 39.5 34.5 46.5 C33.7 53 30 58.5 25.5 56.5 Z",
        50, 66, "start", "M31 50 L46 54",
    ),
    "neck": Region(
        "M-2 72 L14 72 C14 82 15 87 25 92 C16 96 8 97 -2 97",
        -50, 94, "end", "M-17 86 L-46 86",
    ),
    "face": Region(
        "M-2 80 C12 80 21.5 69 24.5 57 C26.5 49 27 44 26.4 39 C19 37.5 9 31 -2 31", -50, 62, "end", "M-18 66 L-46 56"
    ),
    "scalp": Region("M-2 31 C9 31 19 37.5 26.4 39 C29 22 17 11 -2 11", 50, 32, "start", "M20 22 L46 24"),
    "chest": Region(
        "M-2 97 C8 97 16 96 25 92 C30 95 35 98 41 99.5 L43 131 C43 141 40.5 150 37.5 159 C26 163.5 13 165 -2 165",
        0, 142,
    ),
    "abdomen": Region(
        "M-2 165 C13 165 26 163.5 37.5 159 C34.5 172 34.5 187 39.5 206 L42.5 217 C28 221 14 222 -2 222", 0, 206,
    ),
    "genital": Region(
        "M-2 222 C14 222 28 221 42.5 217 C43.8 222 44.4 226 44.8 231 C30 233 16 242 8 252 C5 255 3 256 -2 256",
        59, 290, "start", "M41 225 L62 262",
    ),
    "upper extremity": Region(
        "M41 99.5 C54 101 62 109 65 124 C67.5 136 71.5 144 77 154 C83.5 165 91 186 98.6 211 L87.6 215.6"
        " C77 199 67 187 61.5 171 C57 157 49 147 43 131 Z",
        103, 113, "middle", "M55 106 L65 100",
    ),
    "hand": Region(
        "M98.6 211 C103 216 108 224 110.5 232 C113 240 115 247 112.5 250.5 C110.5 253.5 106 253 102.5 250"
        " C97.5 245.5 94 239 92 232.5 C91 236 91.5 240 89.5 241.8 C87 243.5 84.6 240.5 84.4 236.5"
        " C84.2 229 85.6 221.5 87.6 215.6 Z",
        -134, 288, "start", "M-106 249 L-112 262",
    ),
    "lower extremity": Region(
        "M44.8 231 C47.5 258 45 287 40 311 C38.5 319 39.5 326 40.5 335 C42 353 34.5 379 28.5 405 L15.5 405"
        " C14 383 10.5 363 12.5 342 C13.5 331 13.5 323 12 313 C9.5 295 4.5 275 2.5 255.5 C4.5 255 6 254 8 252"
        " C16 242 30 233 44.8 231 Z",
        -59, 352, "end", "M-38 336 L-55 336",
    ),
    "foot": Region(
        "M15.5 405 L28.5 405 C30 411 37 420 39.5 426 C41.5 431.5 38 434 31 434 L21 434 C15.5 434 13.6 431 14.2 425 Z",
        59, 424, "start", "M35 424 L55 415",
    ),
}  # fmt: skip
BACK = {
    "ear": FRONT["ear"],
    "neck": FRONT["neck"],
    "scalp": Region("M-2 76 C11 76 20.5 69 24.5 57 C31 29 20 11 -2 11", 50, 32, "start", "M20 22 L46 24"),
    "back": Region(
        "M-2 97 C8 97 16 96 25 92 C30 95 35 98 41 99.5 L43 131 C43 141 40.5 150 37.5 159 C34.5 172 34.5 187 39.5 206"
        " L42.5 217 C28 215 14 216 -2 222",
        0, 144,
    ),
    "upper extremity": FRONT["upper extremity"],
    "hand": FRONT["hand"],
    "lower extremity": Region(
        "M0 222 C14 216 28 215 42.5 217 C47 234 47.5 261 45 287 C44 296 42 303 40 311"
        " C38.5 319 39.5 326 40.5 335 C42 353 34.5 379 28.5 405 L15.5 405 C14 383 10.5 363 12.5 342"
        " C13.5 331 13.5 323 12 313 C9.5 295 4 275 0 255 Z",
        -59, 352, "end", "M-38 336 L-55 336",
    ),
    "foot": FRONT["foot"],
}  # fmt: skip
SMILE = '<path class="features" d="M-9.5 51 v.01 M9.5 51 v.01 M-8 65 Q0 71 8 65"/>'
STYLE = """
.body-map { max-width: 620px; }
.body-map .figures { display: flex; flex-wrap: wrap; justify-content: center; gap: .5rem 0; }
.body-map figure { flex: 1 1 215px; max-width: 310px; margin: 0; text-align: center; }
.body-map figcaption { font-size: var(--text-sm); font-weight: 600; }
.body-map svg { display: block; width: 100%; height: auto; }
.body-map text { font-size: 14px; fill: currentColor; }
.body-map .value { font-weight: 700; font-variant-numeric: tabular-nums; }
.body-map .leader { fill: none; stroke: currentColor; stroke-width: 1; opacity: .7; }
.body-map .features { fill: none; stroke: #222; stroke-width: 2.6; stroke-linecap: round; pointer-events: none; }
.body-map .shape { stroke: #5f6670; stroke-width: 1; stroke-linejoin: round; }
.body-map .outline { display: none; fill: none; stroke-linejoin: round; pointer-events: none; }
.body-map .halo { stroke: #fff; stroke-width: 4.5; }
.body-map .line { stroke: #111; stroke-width: 2; }
.body-map .chosen .halo { stroke-width: 6; }
.body-map .chosen .line { stroke-width: 3.5; }
.body-map g[role=button] { cursor: pointer; outline: none; }
.body-map :is(g[role=button]:hover, g[role=button]:focus-visible) .outline, .body-map .chosen { display: inline; }
.body-map g[role=button]:is(:hover, :focus-visible, [aria-pressed=true]) .name { text-decoration: underline; }
.body-map .chips { display: flex; flex-wrap: wrap; gap: .5rem; justify-content: center; margin-top: .5rem; }
.body-map .chips button { margin: 0; padding: .25rem .7rem; border: 1px solid #5f6670; border-radius: 1rem;
  cursor: pointer; font: inherit; font-size: var(--text-sm); line-height: 1.4; box-shadow: none; }
.body-map .chips b { color: inherit; }
.body-map .chips button:is(:hover, :focus-visible) { outline: 2px solid #111; box-shadow: 0 0 0 4px #fff; }
.body-map .chips button[aria-pressed=true] { outline: 3px solid #111; box-shadow: 0 0 0 5px #fff; }
.body-map .legend { display: flex; flex-wrap: wrap; gap: 0 .5rem; align-items: center; justify-content: center;
  margin-top: .7rem; font-size: var(--text-sm); line-height: 1.4; }
.body-map .legend p { flex-basis: 100%; margin: 0; font-size: inherit; text-align: center; }
.body-map .ramp { width: min(12rem, 50%); height: .8rem; border: 1px solid #5f6670; border-radius: 4px; }
"""
"""Where there is no room for both figures at a readable size, as on a phone, the back stands below the front."""
SCRIPT = """
const choose = part => trigger('click', { site: part.dataset.site });
element.addEventListener('click', event => {
  const part = event.target.closest('[data-site]');
  if (part) choose(part);
});
element.addEventListener('keydown', event => {
  const region = event.target.closest('g[data-site]');
  if (!region || (event.key !== 'Enter' && event.key !== ' ')) return;
  event.preventDefault();
  choose(region);
});
"""
"""A click or a key on a site triggers the component's click with the site; a <g> has no key handling of its own."""


def body_map(probabilities: dict[str | None, float], code: str, selected: str | None) -> str:
    """The two figures, the sites that have no region on them, and the colour scale.

    Args:
        probabilities: of the diagnosis, 0 to 1, by the lesion's site: each of SITES, and None where it is unknown.
        code: the diagnosis.
        selected: the site chosen, None for unknown.
    """
    diagnosis = BY_CODE[code]
    top = max(SMALLEST_SCALE, *probabilities.values())
    fills = {site: tint(diagnosis.colour, p / top) for site, p in probabilities.items()}
    figures = "".join(
        f'<figure><svg viewBox="-140 4 280 436" role="group" aria-label="{side} of the body">'
        f"{regions(sites, probabilities, fills, selected)}</svg><figcaption>{side}</figcaption></figure>"
        for side, sites in (("front", FRONT), ("back", BACK))
    )
    chips = "".join(
        f'<button type="button" data-site="{site or UNKNOWN}" aria-pressed="{pressed(site, selected)}" '
        f'title="{meaning}" style="background:{fills[site]};color:{ink(fills[site])}">'
        f"{site or UNKNOWN} <b>{short(probabilities[site])}</b></button>"
        for site, meaning in CHIPS.items()
    )
    name = html.escape(diagnosis.name)
    return (
        f'<div class="body-map" role="group" aria-label="Probability of {name} by body site">'
        f'<div class="figures">{figures}</div><div class="chips">{chips}</div>'
        f'<div class="legend"><span>0 %</span><span class="ramp" style="background:linear-gradient(90deg,'
        f'{tint(diagnosis.colour, 0)},{diagnosis.colour})"></span><span>{percent(top)}</span>'
        f"<p>probability of {name}, with the lesion at that site</p></div></div>"
    )


def regions(
    sites: dict[str, Region], probabilities: dict[str | None, float], fills: dict[str | None, str], selected: str | None
) -> str:
    """The regions of one figure, as SVG.

    Args:
        sites: the figure's regions.
        probabilities: by site.
        fills: colours by site.
        selected: the site chosen.
    """
    parts, chosen = [], ""
    for site, region in sites.items():
        halves = f'<path d="{region.half}"/><path d="{region.half}" transform="scale(-1 1)"/>'
        outline = f'<g class="halo">{halves}</g><g class="line">{halves}</g>'
        says = f"{site}: {html.escape(percent(probabilities[site]))}"
        parts.append(
            f'<g role="button" tabindex="0" data-site="{site}" aria-label="{says}" '
            f'aria-pressed="{pressed(site, selected)}"><title>{says}</title>'
            f'<g class="shape" fill="{fills[site]}">{halves}</g><g class="outline">{outline}</g>'
            f"{SMILE if site == 'face' else ''}{label(site, probabilities[site], region, fills[site])}</g>"
        )
        if site == selected:
            chosen = f'<g class="outline chosen" aria-hidden="true">{outline}</g>'
    # SVG paints in order: the outline comes last, so that no neighbour covers it. The regions keep their order, as the
    # page updates its elements in place and the keyboard's focus would end up on another site.
    return "".join(parts) + chosen


def label(site: str, probability: float, region: Region, fill: str) -> str:
    """A region's name and percent, and the line that leads to them, as SVG."""
    lines = [(word, "name") for word in site.split()] + [(short(probability), "value")]
    style = "" if region.leader else f' style="fill:{ink(fill)}"'
    leader = f'<path class="leader" d="{region.leader}"/>' if region.leader else ""
    return leader + "".join(
        f'<text class="{kind}" x="{region.x}" y="{region.y - LINE * above}" text-anchor="{region.anchor}"{style}>'
        f"{text}</text>"
        for above, (text, kind) in enumerate(reversed(lines))
    )


def pressed(site: str | None, selected: str | None) -> str:
    """The value of `aria-pressed`."""
    return "true" if site == selected else "false"
