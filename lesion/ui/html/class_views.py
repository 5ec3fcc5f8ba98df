"""A class in a reader round: how to join it, and what its phones guessed. Phones and projector show the same pieces."""

import html
from collections import Counter
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

import segno

from lesion.teaching.round_result import CONFIDENCES, Guess
from lesion.teaching.rounds import RoundSettings
from lesion.ui.html.pieces import problem
from lesion.ui.html.round_steps import Collection, background, mix_in_words, paragraphs, rules
from lesion.ui.html.wording import brief

COLUMNS = {"photograph": "photograph alone", "metadata": "with metadata", "model": "with the model"}
"""What a column of guesses is called."""
SECRET = "Nobody sees what others guess before the teacher shows it. No names are asked for."
STYLE = """
.class-join { display: flex; flex-wrap: wrap; gap: 1.2rem 2rem; align-items: center; }
.class-join svg { width: min(100%, 15rem); height: auto; background: #fff; border-radius: 8px; flex: none; }
.class-join p { margin: 0 0 .35rem; line-height: 1.45; }
.class-join .address { font-size: var(--text-xl); font-weight: 700; overflow-wrap: anywhere; }
.class-code { font-size: 2.6rem; font-weight: 700; letter-spacing: .12em; font-variant-numeric: tabular-nums;
  line-height: 1.2; }
.problem + .class-code { margin: .6rem 0 0; }
.class-join .advice { font-size: var(--text-sm); color: var(--body-text-color-subdued); max-width: 38rem; }
.guesses caption { font-size: var(--text-lg); }
.guesses thead td, .guesses tbody th { width: 34%; }
.guesses .true th { font-weight: 700; }
.guesses .number { font-size: var(--text-sm); font-variant-numeric: tabular-nums; }
.guesses .track { display: flex; border-radius: 3px; overflow: hidden; }
.guesses .track > span { position: static; }
.guesses .part, .guess-key i { background: var(--color-accent); }
.guesses .fairly, .guess-key .fairly { opacity: .65; }
.guesses .unsure, .guess-key .unsure { opacity: .35; }
.guess-key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; font-size: var(--text-sm); margin: .35rem 0 0; }
.guess-key span { display: flex; align-items: center; gap: .35rem; }
.guess-key i { width: 1.4rem; height: .7rem; border-radius: 3px; }
"""


def short_address(url: str) -> str:
    """An address as a person types it."""
    parts = urlsplit(url)
    return f"{'' if parts.scheme == 'http' else 'https://'}{parts.netloc}{parts.path}"


def join(code: str, url: str, reachable: bool, note: str) -> str:
    """How phones come into a class.

    Args:
        code: of the class.
        url: of the app as phones find it, without a slash at its end.
        reachable: whether phones can be expected to get there; if not, there is no QR code that leads nowhere.
        note: for the teacher; may be empty.
    """
    link, typed = html.escape(f"{url}/class/{code}"), html.escape(f"{short_address(url)}/class/")
    spaced = f"{code[:3]} {code[3:]}"
    if not reachable:
        return f'{problem(note)}<p class="class-code" data-class-code>{spaced}</p>'
    picture = segno.make(f"{url}/class/{code}", error="m").svg_inline(
        scale=8, border=4, dark="#000", light="#fff", title="QR code of the link", omitsize=True
    )
    advice = f'<p class="advice">{html.escape(note)}</p>' if note else ""
    return (
        f'<div class="class-join">{picture}<div><p>Scan the code, or open</p>'
        f'<p class="address"><a href="{link}" target="_blank" rel="noopener">{typed}</a>'
        f'</p><p>and type</p><p class="class-code" data-class-code>{spaced}</p>{advice}</div></div>'
    )


def guesses(counts: Mapping[str, Counter[Guess]], diagnoses: Sequence[str], truth: str | None = None) -> str:
    """What a class guessed about a case, one column a stage.

    Args:
        counts: by stage, how often each guess was made.
        diagnoses: codes that the round offers.
        truth: the confirmed diagnosis, a code, once it is shown.
    """
    titles = "".join(f'<th scope="col">{html.escape(COLUMNS[stage])}</th>' for stage in counts)
    rows = []
    for code in diagnoses:
        cells = "".join(f"<td>{_bar(of_stage, code)}</td>" for of_stage in counts.values())
        true = ' class="true"' if code == truth else ""
        rows.append(f'<tr{true}><th scope="row">{brief(code)}{" ✓" if code == truth else ""}</th>{cells}</tr>')
    key = "".join(
        f'<span><i class="{name.split()[0]}"></i>{html.escape(name)}</span>' for name in reversed(CONFIDENCES)
    )
    return (
        '<div class="chart guesses"><table><caption>What the class guessed</caption>'
        f"<thead><tr><td></td>{titles}</tr></thead>"
        f'<tbody>{"".join(rows)}</tbody></table><p class="guess-key">{key}</p></div>'
    )


def _bar(counts: Counter[Guess], code: str) -> str:
    """The guesses of one diagnosis at one stage, the surest first."""
    total, parts = counts.total(), {name: counts[Guess(code, name)] for name in reversed(CONFIDENCES)}
    bars = "".join(
        f'<span class="part {name.split()[0]}" style="width:{number / total:.2%}"></span>'
        for name, number in parts.items()
        if number
    )
    number = f'<span class="number">{sum(parts.values())} of {total}</span>'
    return f'<div class="track" aria-hidden="true">{bars}</div>{number}'


def lobby(settings: RoundSettings, collection: Collection) -> str:
    """What a class sees before its first case."""
    told = [*rules(settings), mix_in_words(settings, collection), SECRET]
    made = paragraphs(background(settings, collection))
    return (
        f'<div class="round"><h2>A round of {settings.count} photographs</h2>{paragraphs(told)}'
        f"<details><summary>How the round is made</summary>{made}</details></div>"
    )


def case(heading: str, number: int, count: int, drawn: str, beside: str) -> str:
    """A case as a class sees it.

    Args:
        heading: HTML.
        number, count: which case of how many.
        drawn: of `round_steps.seen`.
        beside: what can be said about it, or was.
    """
    return (
        f'<div class="round"><p class="progress">Case {number} of {count}</p><h2>{heading}</h2>'
        f'<div class="case">{drawn}<div>{beside}</div></div></div>'
    )
