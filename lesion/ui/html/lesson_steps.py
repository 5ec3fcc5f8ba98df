"""A lesson's three steps: look, guess, see."""

import html
from collections.abc import Sequence

from lesion.ui.html.pieces import paragraphs

STYLE = """
.lesson { max-width: 52rem; }
.lesson h2 { margin: .2rem 0 .4rem; font-size: var(--text-xl); font-weight: 700; line-height: 1.3; }
.lesson + .chart { margin-top: 1rem; }
.lesson p { font-size: var(--text-lg); line-height: 1.5; margin: 0 0 .6rem; }
.lesson p.about { font-size: var(--text-sm); color: var(--body-text-color-subdued); margin: -.2rem 0 .5rem; }
.lesson b { color: inherit; }
"""


def lesson(title: str, story: Sequence[str], model: str) -> str:
    """What a lesson's class looks at, and which model it is about."""
    about = f'<p class="about">About {html.escape(model)}</p>'
    return f'<div class="lesson"><h2>{html.escape(title)}</h2>{about}{paragraphs(story)}</div>'


def question(text: str) -> str:
    """A lesson's question."""
    return f'<div class="lesson"><h2>{html.escape(text)}</h2></div>'


def reveal(question: str, correct: str, guess: str | None, texts: Sequence[str]) -> str:
    """A lesson's answer, and how the guess did."""
    verdict = ""
    if guess is not None:
        verdict = "You guessed right." if guess == correct else f"You guessed: {guess}. Not quite."
    return (
        f'<div class="lesson" aria-live="polite"><h2>{html.escape(question)}</h2>'
        f"<p><b>{html.escape(correct)}.</b> {html.escape(verdict)}</p>{paragraphs(texts)}</div>"
    )
