"""HTML pieces of the page. No computing here: numbers and pictures come in, markup goes out."""

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
import pandas as pd
from PIL import Image

from lesion.data.diagnoses import BY_CODE, DIAGNOSES
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.data.metadata import Metadata
from lesion.model.conformal import set_in_words
from lesion.teaching.cohort import Alarm, Comparison
from lesion.ui.example_photographs import Example
from lesion.words import percent

NOTICE = (
    "<b>For research and teaching only. Not a medical device.</b> Its answers are associations in one collection of "
    "photographs, mostly of light skin; they are not causes and no medical advice. Do not upload photographs that "
    "identify a person."
)
HEADER = (
    '<h1 class="page-title">Skin lesions: what the image says, and what age, sex and site add</h1>'
    f'<div class="notice" role="note">{NOTICE}</div>'
)
ATTRIBUTION = (
    "Model and examples: HAM10000, Tschandl, Rosendahl and Kittler, "
    '<a href="https://doi.org/10.1038/sdata.2018.161" target="_blank" rel="noopener">Sci. Data 5, 180161 (2018)</a>, '
    '<a href="https://creativecommons.org/licenses/by-nc/4.0/" target="_blank" rel="noopener">CC BY-NC 4.0</a>.'
)
UNFAMILIAR = (
    "This looks unlike the dermoscopic photographs that the model learned from. It answers all the same, since it "
    "knows nothing else, and the answer may mean little."
)
NO_ANSWER = "There is no answer this time. Please choose again in a few seconds."
WELCOME = "Choose a photograph or one of the examples to see an answer."
NO_HEAT = "The heat map appears here."

STYLE = """
h1.page-title { margin: 0 0 .25rem; font-size: var(--text-xl); font-weight: 700; line-height: 1.25; }
.notice { font-size: var(--text-sm); line-height: 1.4; border-left: 4px solid #E69F00; padding: .1rem 0 .1rem .6rem; }
.attribution { font-size: var(--text-sm); color: var(--body-text-color-subdued); }
.answer h2 { margin: 0; font-size: var(--text-xxl); font-weight: 700; line-height: 1.2; }
.answer .lead { margin: 0 0 .3rem; }
.answer .set { margin: 0 0 .6rem; min-height: 4.2em; line-height: 1.4; }
.answer .problem { margin: 0 0 .7rem; }
.answer ul { list-style: none; margin: 0; padding: 0; }
.answer li { margin: 0 0 .4rem; padding: 0; }
.answer .row { display: flex; justify-content: space-between; gap: .6rem; align-items: baseline; line-height: 1.4; }
.answer .value { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
.answer .track { height: .7rem; border-radius: 3px; overflow: hidden;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.answer .bar { display: block; height: 100%; min-width: 2px; border-radius: 3px; transition: width .25s; }
.answer .top { font-weight: 700; }
.mark { font-size: var(--text-xs); font-weight: 600; padding: .05rem .4rem; border-radius: 8px; margin-left: .35rem;
  white-space: nowrap; }
.mark.malignant { background: #B00020; color: #fff; }
.mark.pre-malignant { background: #FFE3AE; color: #4A2F00; }
.change { padding: .55rem .75rem; border-radius: 6px; margin: 0; line-height: 1.45;
  background: color-mix(in srgb, var(--color-accent) 14%, transparent); }
.problem { padding: .7rem .9rem; border-radius: 6px; border-left: 4px solid var(--error-border-color);
  background: var(--error-background-fill); }
.placeholder { color: var(--body-text-color-subdued); padding: 1rem; display: grid; place-items: center;
  text-align: center; min-height: 100%; border: 1px dashed var(--border-color-primary); border-radius: 8px; }
#answer, #answer .placeholder { min-height: 26rem; }
#change { min-height: 5.5rem; }
#cohort-summary, #lab-status { min-height: 2.8rem; }
#heat .placeholder { aspect-ratio: 4 / 3; }
#heat:not(:has(figure)) { padding-bottom: 5.3rem; }
#heat:not(:has(figure)) .prose { aspect-ratio: 4 / 3; }
#largest-change { min-height: 3.4rem; }
#largest-change:not(:has(.change)) ~ :not(#alarm-section):not(#alarm-row) { display: none !important; }
#differences { min-height: 26rem; }
#importances { min-height: 11rem; }
#confusions { min-height: 22rem; }
#lab-curves, #lab-curves .placeholder { min-height: 20rem; }
.heat { margin: 0; }
.heat .frame { position: relative; aspect-ratio: 4 / 3; border-radius: 8px; overflow: hidden; line-height: 0;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.heat img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: contain; margin: 0; }
.heat .layer { opacity: var(--heat-opacity, .6); }
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
summary { cursor: pointer; font-weight: 600; padding: .15rem 0; }
.examples h2 { font-size: var(--text-sm); font-weight: 600; margin: 0 0 .3rem; }
.examples .strip { display: grid; grid-template-columns: repeat(6, 1fr); gap: .25rem; }
.examples button { display: block; margin: 0 !important; border: 2px solid transparent;
  border-radius: 8px; padding: 0; background: none; box-shadow: none; cursor: pointer; }
.examples button:hover { border-color: var(--color-accent); }
.examples img { width: 100%; height: auto; border-radius: 6px; margin: 0; display: block; }
.truth { margin-top: .4rem; }
.section h2 { margin: 1.3rem 0 0; font-size: var(--text-lg); font-weight: 700; line-height: 1.3; }
.section p { margin: .15rem 0 0; max-width: 62rem; color: var(--body-text-color-subdued); line-height: 1.45; }
[role=tabpanel] > .column > .block:first-child .section:first-child h2 { margin-top: 0; }
.alarm dl { display: grid; grid-template-columns: 1fr auto; gap: .3rem 1rem; margin: 0; }
.alarm dt { margin: 0; }
.alarm dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.alarm p { margin: .4rem 0 0; color: var(--body-text-color-subdued); }
.change + .chart { margin-top: .8rem; }
.change.rings { background: color-mix(in srgb, #D55E00 22%, transparent); }
.side-by-side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1rem; }
.cases h3 { margin: 0; font-size: var(--text-md); font-weight: 700; }
.cases p { margin: 0 0 .4rem; }
.cases ul { list-style: none; margin: 0; padding: 0; display: grid; gap: .5rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 280px), 1fr)); }
.cases li { margin: 0; padding: 0; }
.cases button, .cases li > span { display: flex; gap: .6rem; width: 100%; height: 100%; text-align: left;
  padding: .4rem; border: 1px solid var(--border-color-primary); border-radius: 8px; background: none; color: inherit;
  font: inherit; font-size: var(--text-sm); line-height: 1.4; cursor: pointer; box-shadow: none; }
.cases li > span { cursor: default; display: block; }
.cases button:hover { border-color: var(--color-accent); }
.cases img { width: 96px; height: 72px; object-fit: cover; border-radius: 6px; margin: 0; flex: none; }
.cases b { color: inherit; }
.lesson { max-width: 52rem; }
.lesson h2 { margin: .2rem 0 .4rem; font-size: var(--text-xl); font-weight: 700; line-height: 1.3; }
.lesson + .chart { margin-top: 1rem; }
.chart + .side-by-side { margin-top: 1.2rem; }
.lesson p { font-size: var(--text-lg); line-height: 1.5; margin: 0 0 .6rem; }
.lesson b { color: inherit; }
@media (max-width: 600px) {
  h1.page-title { font-size: var(--text-lg); }
  .notice { font-size: var(--text-xs); }
  .examples .strip { grid-auto-flow: column; grid-template-columns: none; grid-auto-columns: 64px; overflow-x: auto;
    padding-bottom: .3rem; }
  #answer, #answer .placeholder { min-height: 0; }
  .answer { display: flex; flex-direction: column; }
  .answer .set, .answer .truth { order: 1; margin: .4rem 0 0; }
}
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
        # The diagnosis is not told: the class guesses, and opens it under the answer.
        values = example.metadata.describe()
        buttons.append(
            f'<button type="button" data-index="{index}" title="{example.image_id}: {values}">'
            f'<img src="{data_uri(buffer.getvalue(), "webp")}" alt="Example {index + 1}: {values}"></button>'
        )
    return (
        '<div class="examples"><h2>Examples it never learned from</h2>'
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


def set_promise(coverage: float) -> str:
    """What a conformal set is, in words."""
    return (
        f"Sets made like this are meant to hold the true diagnosis for {percent(coverage)} of photographs like those "
        "of the collection."
    )


def answer(
    probabilities: dict[str, float],
    members: Sequence[str],
    coverage: float,
    unfamiliar: bool,
    truth: str | None = None,
) -> str:
    """The seven diagnoses as bars, the most probable first, and the set of those that come into question.

    Args:
        probabilities: by code.
        members: of the conformal set, codes, the most probable first.
        coverage: that the set promises.
        unfamiliar: whether the picture is unlike a dermoscopic photograph.
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
    # Folded up, so that a class can guess first.
    known = f'<details class="truth"><summary>Confirmed diagnosis</summary>{marked(truth)}</details>' if truth else ""
    warning = f'<p class="problem" role="alert">{UNFAMILIAR}</p>' if unfamiliar else ""
    left_out = (
        ""
        if top.code in members
        else f" {html.escape(top.name)} is the most probable all the same, but below the threshold of its diagnosis; "
        "where that happens, the set is much less reliable."
    )
    # A picture of something else was promised nothing.
    members_line = f"<b>{html.escape(set_in_words(members))}?</b> {set_promise(coverage)}{left_out}"
    members_line = "" if unfamiliar else f'<p class="set">{members_line}</p>'
    return (
        f'<div class="answer" aria-live="polite">{warning}<h2>{marked(top.code)}</h2>'
        f'<p class="lead">is the most probable of the seven, with {unbroken(percent(probabilities[top.code]))}.</p>'
        f"{members_line}<ul>{''.join(rows)}</ul>{known}</div>"
    )


def section(title: str, text: str) -> str:
    """A heading with a line on what is to be seen below it."""
    return f'<div class="section"><h2>{html.escape(title)}</h2><p>{html.escape(text)}</p></div>'


def alarm_here(probability: float, threshold: float) -> str:
    """Whether the photograph at hand raises the melanoma alarm; both arguments from 0 to 1."""
    rings = probability >= threshold
    verdict = "the alarm rings" if rings else "no alarm"
    return (
        f'<p class="change {"rings" if rings else ""}" aria-live="polite">This photograph, '
        f"with this age, sex and site: melanoma {percent(probability)}; <b>{verdict}</b>.</p>"
    )


def by_prevalence(rows: Sequence[tuple[str, float, float]]) -> str:
    """The same photograph where melanoma is rare and where it is common.

    Args:
        rows: how common the diagnoses are in words, the share of melanomas, and the photograph's probability of it.
    """
    body = "".join(
        f'<tr><th scope="row">{html.escape(words)}</th><td>{percent(share)}</td>'
        f"<td><b>{percent(probability)}</b></td></tr>"
        for words, share, probability in rows
    )
    return (
        '<div class="chart"><table><caption>The same photograph where melanoma is rare and where it is common</caption>'
        '<thead><tr><th scope="col">diagnoses</th><th scope="col">melanomas among all</th>'
        f'<th scope="col">this photograph</th></tr></thead><tbody>{body}</tbody></table></div>'
    )


def in_hundred(share: float, none: str) -> str:
    """A share as people count: "41 of 100", "3 of 1,000"; `none` where there is nothing to share."""
    if np.isnan(share):
        return none
    return f"{share * 100:.0f} of 100" if share >= 0.1 else f"{share * 1000:.0f} of 1,000"


def alarm(alarm: Alarm, prevalence: str) -> str:
    """What a melanoma alarm does, in words.

    Args:
        alarm: of `Cohort.alarm`.
        prevalence: in words.
    """

    def rate(value: float, interval: tuple[float, float]) -> str:
        if np.isnan(value):
            return "no such photograph"
        return f"<b>{value:.0%}</b> ({interval[0]:.0%} to {interval[1]:.0%})"

    true = in_hundred(alarm.positive_predictive_value, "no alarm rings")
    missed = in_hundred(alarm.missed, "every alarm rings")
    return (
        f'<div class="alarm" aria-live="polite"><dl>'
        f"<dt>Melanomas found (sensitivity)</dt><dd>{rate(alarm.sensitivity, alarm.sensitivity_interval)}</dd>"
        f"<dt>Others left in peace (specificity)</dt><dd>{rate(alarm.specificity, alarm.specificity_interval)}</dd>"
        f"<dt>Of the alarms, truly melanomas</dt><dd><b>{true}</b></dd>"
        f"<dt>Of those without alarm, melanomas all the same</dt><dd><b>{missed}</b></dd></dl>"
        f"<p>The last two depend on how common melanoma is: here {percent(alarm.melanoma_share)}. "
        f"{html.escape(prevalence)}</p></div>"
    )


SHOWN_CASES = 12
CASES_SCRIPT = """
element.addEventListener('click', event => {
  const button = event.target.closest('button[data-image]');
  if (button) trigger('click', { image: button.dataset.image });
});
"""


def cases(table: pd.DataFrame, photographs: HeldOutPhotographs, title: str) -> str:
    """A list of photographs with their values; a click on one triggers the component's click with its id.

    Args:
        table: `Comparison.rescued` or `ruined`.
        photographs: where one is missing, its id stands for it.
        title: of the list.
    """
    items = []
    for case in table.head(SHOWN_CASES).itertuples():
        values = Metadata(case.age, case.sex, case.site).describe()
        text = (
            f"<b>{html.escape(BY_CODE[case.diagnosis].name)}</b><br>"
            f"{percent(case.chosen_probability)} → {percent(case.full_probability)}<br>{html.escape(values)}<br>"
            f"everything: {html.escape(BY_CODE[case.full].name)}<br>"
            f"chosen: {html.escape(BY_CODE[case.chosen].name)}"
        )
        if case.image_id in photographs:
            source = data_uri(photographs.read(case.image_id), "jpeg")
            items.append(
                f'<li><button type="button" data-image="{case.image_id}" title="Open {case.image_id}">'
                f'<img src="{source}" alt="{case.image_id}"><span>{text}</span></button></li>'
            )
        else:
            items.append(f"<li><span>{html.escape(case.image_id)}<br>{text}</span></li>")
    more = f", {len(items)} of them shown" if len(table) > len(items) else ""
    return (
        f'<div class="cases"><h3>{html.escape(title)}</h3><p>{len(table)} lesion(s){more}.</p>'
        f"<ul>{''.join(items)}</ul></div>"
    )


def cohort_summary(comparison: Comparison, chosen: str) -> str:
    """What was compared, and whether it is enough to judge by."""
    few = (
        " These are too few to judge by: the intervals say more about the resampling than about the model."
        if comparison.too_few
        else ""
    )
    return (
        f'<p class="change" aria-live="polite">{comparison.images:,} photographs of {comparison.lesions:,} lesions. '
        f"Full model: image, age, sex and site. Chosen model: {html.escape(chosen)}.{few}</p>"
    )


def side_by_side(*pieces: str) -> str:
    """Pieces beside one another, below one another on a phone."""
    return f'<div class="side-by-side">{"".join(pieces)}</div>'


def paragraphs(texts: Sequence[str]) -> str:
    """Texts as paragraphs."""
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def lesson(title: str, story: Sequence[str]) -> str:
    """What a lesson's class looks at."""
    return f'<div class="lesson"><h2>{html.escape(title)}</h2>{paragraphs(story)}</div>'


def question(text: str) -> str:
    """A lesson's question."""
    return f'<div class="lesson"><h2>{html.escape(text)}</h2></div>'


def reveal(question: str, correct: str, guess: str | None, texts: Sequence[str]) -> str:
    """A lesson's answer, and how the guess did."""
    verdict = ""
    if guess is not None:
        verdict = "You guessed right." if guess == correct else f"You guessed: {guess}. Not so."
    return (
        f'<div class="lesson" aria-live="polite"><h2>{html.escape(question)}</h2>'
        f"<p><b>{html.escape(correct)}.</b> {html.escape(verdict)}</p>{paragraphs(texts)}</div>"
    )


def change(sentence: str) -> str:
    """The sentence on what the metadata changed."""
    return f'<p class="change" aria-live="polite">{unbroken(html.escape(sentence))}</p>'


def unbroken(text: str) -> str:
    """The text with each percentage kept on one line."""
    return text.replace(" %", "\u00a0%")


def data_uri(content: bytes, kind: str) -> str:
    """An image inside the page."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def heat(photograph: bytes, layer: Image.Image, code: str, strength: float, method: str) -> str:
    """The photograph with the heat laid over it, the warmer the less transparent; the opacity is the page's
    --heat-opacity.

    Args:
        photograph: JPEG.
        layer: of `lesion.inference.activation_maps.heat_layer`, of any size with the photograph's proportions.
        code: the diagnosis explained.
        strength: the map's largest value on the scale common to this diagnosis and the most probable one.
        method: how the map was made.
    """
    buffer = io.BytesIO()
    layer.save(buffer, "PNG", transparency=bytes(range(256)), compress_level=1)
    name = html.escape(BY_CODE[code].name)
    if strength == 0:
        text = f"No part of this photograph speaks for {name}."
    elif strength < 0.25:
        text = f"Faint: little in this photograph speaks for {name}, compared with the most probable diagnosis."
    else:
        text = f"Bright areas spoke most for {name}."
    return (
        f'<figure class="heat"><div class="frame"><img src="{data_uri(photograph, "jpeg")}" alt="The photograph">'
        f'<img class="layer" src="{data_uri(buffer.getvalue(), "png")}" alt="Heat map: {text}"></div>'
        f'<div class="scale"><span>no evidence</span><span class="ramp"></span><span>most</span></div>'
        f"<figcaption>{text} On one scale with the most probable diagnosis ({html.escape(method)}).</figcaption>"
        f"</figure>"
    )


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
        f"<p>Measured on {measured['images']:,} photographs the model never trained on, whose lesions' outlines were "
        f"drawn or checked by hand. The lesion fills {percent(area)} of a photograph on average: a map that is the "
        "same everywhere has that share inside it. Photographers centre lesions, so a blob in the middle, as wide as "
        "the map, is the guess to beat.</p>"
        '<div class="scroll"><table><thead><tr><th scope="col">map</th><th scope="col">share of it inside the lesion '
        '(95 % interval)</th><th scope="col">photographs whose hottest point is inside the lesion</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )
