"""The melanoma alarm's decision curve."""

import html

from lesion.data.diagnoses import BY_CODE
from lesion.teaching.decision import SEEN, Decision, decision_in_words
from lesion.ui.html.svg import Axis, curve, frame, svg, words
from lesion.ui.html.wording import number, short


def decision_curve(decision: Decision) -> str:
    """Net benefit by threshold: of the alarm, of removing every lesion and of removing none.

    Args:
        decision: of `lesion.teaching.decision.decide`.
    """
    thresholds, alarm, everyone = (SEEN * decision.curve).T
    thresholds = thresholds / SEEN
    top = max(alarm.max(), everyone.max(), 1e-3 * SEEN) * 1.05
    bottom = -0.25 * top
    x, y = Axis(0, thresholds[-1], 62, 500), Axis(bottom, top, 300, 34)
    x_labels = {share: f"{100 * share:.0f} %" for share in x.ticks()}
    y_labels = {value: number(value) for value in y.ticks()}
    colour = BY_CODE["mel"].colour
    inside = [(x.at(t), y.at(value)) for t, value in zip(thresholds, everyone, strict=True) if value >= bottom]
    parts = [
        frame(x, y, x_labels, y_labels, "melanoma risk from which on one removes", f"net benefit, of {SEEN:,} lesions"),
        curve([(x.start, y.at(0)), (x.end, y.at(0))], "currentColor", "2 5"),
        curve([(x.at(t), y.at(max(value, bottom))) for t, value in zip(thresholds, alarm, strict=True)], colour),
    ]
    parts.append(words(x.end, y.at(0) + 20, "remove none", "end"))
    if inside:  # where melanoma is very rare, removing every lesion is far below the chart at every threshold
        parts.append(curve(inside, "currentColor", "9 5"))
        parts.append(words(inside[-1][0] + 8, inside[-1][1] - 4, "remove every lesion"))
    parts.append(words(x.end, min(y.at(alarm[-10:].max()), y.at(0)) - 10, "alarm", "end", "strong"))
    if decision.threshold <= thresholds[-1] and bottom <= SEEN * decision.alarm <= top:
        at_x, at_y = x.at(decision.threshold), y.at(SEEN * decision.alarm)
        parts.append(f'<circle cx="{at_x}" cy="{at_y}" r="8" fill="{colour}" stroke="currentColor"/>')
        parts.append(words(at_x + 12, at_y - 10, f"threshold {short(decision.threshold)}", kind="strong"))
    says = html.escape(decision_in_words(decision))
    low, high = (number(SEEN * end, 0) for end in decision.interval)
    return (
        f'<div class="chart">{svg(520, 354, says, parts)}<p aria-live="polite">{says} (95&nbsp;% interval of '
        f"the alarm: {low} to {high}.)</p></div>"
    )
