"""The answer about one photograph."""

import html
from collections.abc import Sequence

import numpy as np

from lesion.data.diagnoses import DIAGNOSES
from lesion.model.conformal import promise_in_words, set_in_words
from lesion.teaching.recognition import Recognised
from lesion.ui.html.pieces import marked
from lesion.ui.html.wording import unbroken
from lesion.words import percent

NOT_DERMOSCOPIC = (
    "This picture looks unlike the dermoscopic photographs that the model was trained on. The model always answers "
    "with one of its seven diagnoses; here the answer may mean little."
)
TRAINED_ON = (
    "The model was trained on this photograph and was told its diagnosis. How well it answers here says little about "
    "photographs that are new to it. The examples and the photographs in Lessons and Cohort were held out."
)
NO_ANSWER = "No answer arrived. Please try again in a few seconds."
STYLE = """
.answer h2 { margin: 0; font-size: var(--text-xxl); font-weight: 700; line-height: 1.2; }
.answer .lead { margin: 0 0 .3rem; }
.answer .set { margin: 0 0 .6rem; min-height: 4.2em; line-height: 1.4; }
.answer .problem, .answer .change { margin: 0 0 .7rem; }
.answer ul { list-style: none; margin: 0; padding: 0; }
.answer li { margin: 0 0 .4rem; padding: 0; }
.answer .row { display: flex; justify-content: space-between; gap: .6rem; align-items: baseline; line-height: 1.4; }
.answer .value { font-variant-numeric: tabular-nums; font-weight: 600; white-space: nowrap; }
.answer .track { height: .7rem; border-radius: 3px; overflow: hidden;
  background: color-mix(in srgb, currentColor 12%, transparent); }
.answer .bar { display: block; height: 100%; min-width: 2px; border-radius: 3px; transition: width .25s; }
.answer .top { font-weight: 700; }
#answer, #answer .placeholder { min-height: 26rem; }
#change { min-height: 5.5rem; }
.truth { margin-top: .4rem; }
@media (max-width: 600px) {
  #answer, #answer .placeholder { min-height: 0; }
  .answer { display: flex; flex-direction: column; }
  .answer .set, .answer .truth { order: 1; margin: .4rem 0 0; }
}
"""


def answer(
    probabilities: dict[str, float],
    members: Sequence[str],
    promised: np.ndarray,
    out_of_distribution: bool,
    known: Recognised,
) -> str:
    """The seven diagnoses as bars, the most probable first, and the prediction set.

    Args:
        probabilities: by code.
        members: of the conformal set, codes, the most probable first.
        promised: the share of the photographs of each diagnosis that its sets should contain, float (7,).
        out_of_distribution: whether the picture is unlike a dermoscopic photograph.
        known: of the photograph: its confirmed diagnosis, or that the model was trained on it.
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
    truth = f"<summary>Confirmed diagnosis</summary>{marked(known.truth)}" if known.truth else ""
    truth = truth and f'<details class="truth">{truth}</details>'
    notice = f'<p class="change" role="note">{TRAINED_ON}</p>' if known.trained_on else ""
    warning = f'<p class="problem" role="alert">{NOT_DERMOSCOPIC}</p>' if out_of_distribution else ""
    left_out = (
        ""
        if top.code in members
        else f" {html.escape(top.name)} is the most probable diagnosis, but its probability is below its threshold, so "
        "the set does not contain it. Such sets are much less reliable."
    )
    # A picture of something else was promised nothing.
    members_line = f"<b>{html.escape(set_in_words(members))}?</b> {html.escape(promise_in_words(promised))}{left_out}"
    members_line = "" if out_of_distribution else f'<p class="set">{members_line}</p>'
    return (
        f'<div class="answer" aria-live="polite">{warning}<h2>{marked(top.code)}</h2>'
        f'<p class="lead">is the most probable of the seven, at {unbroken(percent(probabilities[top.code]))}.</p>'
        f"{members_line}{notice}<ul>{''.join(rows)}</ul>{truth}</div>"
    )
