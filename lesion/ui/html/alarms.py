"""The melanoma alarm in numbers."""

import html
from collections.abc import Sequence

import numpy as np

from lesion.teaching.alarm import Alarm
from lesion.words import percent

STYLE = """
.alarm dl { display: grid; grid-template-columns: 1fr auto; gap: .3rem 1rem; margin: 0; }
.alarm dt { margin: 0; }
.alarm dd { margin: 0; text-align: right; font-variant-numeric: tabular-nums; }
.alarm p { margin: .4rem 0 0; color: var(--body-text-color-subdued); }
.change + .chart { margin-top: .8rem; }
.change.rings { background: color-mix(in srgb, #D55E00 22%, transparent); }
"""


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
        '<thead><tr><th scope="col">prevalence</th><th scope="col">melanomas among all</th>'
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
        value, low, high = (f"{100 * v:.0f}\u00a0%" for v in (value, *interval))
        return f"<b>{value}</b> ({low} to {high})"

    true = in_hundred(alarm.positive_predictive_value, "no alarm rings")
    missed = in_hundred(alarm.missed, "the alarm always rings")
    return (
        f'<div class="alarm" aria-live="polite"><dl>'
        f"<dt>Melanomas found (sensitivity)</dt><dd>{rate(alarm.sensitivity, alarm.sensitivity_interval)}</dd>"
        f"<dt>Others not flagged (specificity)</dt><dd>{rate(alarm.specificity, alarm.specificity_interval)}</dd>"
        f"<dt>Melanomas among the alarms</dt><dd><b>{true}</b></dd>"
        f"<dt>Melanomas missed, among those not flagged</dt><dd><b>{missed}</b></dd></dl>"
        f"<p>The last two depend on how common melanoma is: here {percent(alarm.melanoma_share)}. "
        f"{html.escape(prevalence)}</p></div>"
    )
