"""Learning curves."""

import html
import math
from collections.abc import Sequence

from lesion.teaching.lab import EpochResult
from lesion.ui.html.colours import RUN_COLOURS
from lesion.ui.html.svg import GAP, Axis, curve, frame, spread, svg, words
from lesion.ui.html.wording import number, percentage

STYLE = """
.chart.learning { max-width: none; }
.chart.learning section > svg { max-width: 28rem; }
.chart.learning .panels { grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); }
.chart svg.sample { display: inline-block; width: 2.6rem; height: .8rem; vertical-align: middle; }
"""


def learning_curves(runs: dict[str, Sequence[EpochResult]]) -> str:
    """Loss and balanced accuracy of up to two runs against the epoch, from the first epoch on.

    Args:
        runs: "A" and "B", or one of them; the results so far.
    """
    runs = {name: history for name, history in runs.items() if history}
    results = [result for history in runs.values() for result in history]
    last = max((result.epochs for result in results), default=1)
    losses = [v for r in results for v in (r.training_loss, r.held_out_loss) if math.isfinite(v)]
    x = Axis(0, last, 62, 378)
    panels = []
    for title, high, lines in (
        ("loss", 1.05 * max(losses, default=1.0), {"training_loss": "7 5", "held_out_loss": "none"}),
        ("balanced accuracy", 1.0, {"balanced_accuracy": "none"}),
    ):
        y = Axis(0, high, 240, 30)
        as_share = title != "loss"
        y_labels = {v: f"{100 * v:.0f} %" if as_share else f"{v:g}" for v in (round(v, 6) for v in y.ticks())}
        x_labels = {epoch: f"{epoch:g}" for epoch in x.ticks() if epoch == int(epoch)}
        parts = [frame(x, y, x_labels, y_labels, "epoch", title)]
        legend, ends = [], []
        for name, history in runs.items():
            colour = RUN_COLOURS[name]
            for attribute, dash in lines.items():
                # A run that diverges has losses beyond every number; its line ends there.
                values = [(r.epoch, getattr(r, attribute)) for r in history if math.isfinite(getattr(r, attribute))]
                if not values:
                    continue
                points = [(x.at(epoch), y.at(value)) for epoch, value in values]
                parts.append(curve(points, colour, dash))
                parts.append(f'<circle cx="{points[-1][0]}" cy="{points[-1][1]}" r="5" fill="{colour}"/>')
                ends.append((name, points[-1]))
                kind = {"training_loss": "training ", "held_out_loss": "held-out "}.get(attribute, "")
                value = percentage(values[-1][1]) if as_share else number(values[-1][1], 2)
                legend.append(
                    f'<li><svg class="sample" viewBox="0 0 42 12" aria-hidden="true">'
                    f"{curve([(0, 6), (42, 6)], colour, dash)}</svg> {html.escape(name)}: {kind}{title} "
                    f'<b class="value">{value}</b></li>'
                )
        places = spread([end[1] for _, end in ends], GAP, y.end, y.start)
        for (name, end), place in zip(ends, places, strict=True):
            parts.append(words(end[0] + 9, place + 5.5, html.escape(name), kind="strong"))
        done = ", ".join(f"run {name} after epoch {h[-1].epoch} of {h[-1].epochs}" for name, h in runs.items())
        panels.append(
            f"<section>{svg(400, 292, f'{title} against epoch: {html.escape(done)}', parts)}"
            f"<ul>{''.join(legend)}</ul></section>"
        )
    return f'<div class="chart learning"><div class="panels">{"".join(panels)}</div></div>'
