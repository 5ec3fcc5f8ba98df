"""The melanoma alarm's ROC curve."""

from lesion.data.diagnoses import BY_CODE
from lesion.teaching.alarm import Alarm
from lesion.ui.html.svg import Axis, curve, frame, line, svg, words
from lesion.ui.html.wording import between, short

MOST_POINTS = 200
STYLE = """
.chart.roc svg { max-width: 28rem; }
"""


def roc(alarm: Alarm, threshold: float) -> str:
    """The melanoma alarm's ROC curve with the chosen threshold on it.

    Args:
        alarm: at that threshold.
        threshold: of the probability, 0 to 1.
    """
    x, y = Axis(0, 1, 62, 400), Axis(0, 1, 368, 30)
    shares = {share: f"{100 * share:.0f} %" for share in x.ticks()}
    parts = [frame(x, y, shares, shares, "false alarms among the others (1 − specificity)", "melanomas found")]
    kept = [(0.0, 0.0)]
    for found, false in alarm.curve.tolist():
        # A rising curve is 2 long at most along the axes, which bounds how many points keep this distance.
        if found + false - sum(kept[-1]) >= 2 / (MOST_POINTS - 2):
            kept.append((false, found))
    kept.append((1.0, 1.0))
    parts.append(line(x.start, y.start, x.end, y.end, "guide"))
    parts.append(curve([(x.at(false), y.at(found)) for false, found in kept], BY_CODE["mel"].colour))
    at_x, at_y = x.at(1 - alarm.specificity), y.at(alarm.sensitivity)
    parts.append(f'<path class="guide" d="M{x.start} {at_y} H{at_x} V{y.start}"/>')
    parts.append(f'<circle cx="{at_x}" cy="{at_y}" r="8" fill="{BY_CODE["mel"].colour}" stroke="currentColor"/>')
    beside, anchor = (14, "start") if at_x < x.at(0.5) else (-14, "end")
    parts.append(words(at_x + beside, min(at_y + 30, y.start - 8), f"threshold {short(threshold)}", anchor, "strong"))
    says = (
        f"At threshold {short(threshold)} the alarm finds {between(alarm.sensitivity, alarm.sensitivity_interval)} of "
        "the melanomas and raises a false alarm for "
        f"{between(1 - alarm.specificity, [1 - end for end in reversed(alarm.specificity_interval)])} of the others."
    )
    return f'<div class="chart roc">{svg(430, 422, says, parts)}<p>{says}</p></div>'
