"""The pieces that every tab's HTML is made of."""

import html
from collections.abc import Sequence

from lesion.data.diagnoses import BY_CODE
from lesion.ui.html.wording import unbroken

WELCOME = "Choose a photograph or one of the examples to see an answer."
STYLE = """
.mark { font-size: var(--text-xs); font-weight: 600; padding: .05rem .4rem; border-radius: 8px; margin-left: .35rem;
  white-space: nowrap; }
.mark.malignant { background: #B00020; color: #fff; }
.mark.pre-malignant { background: #FFE3AE; color: #4A2F00; }
.change { padding: .55rem .75rem; border-radius: 6px; margin: 0; line-height: 1.45;
  background: color-mix(in srgb, var(--color-accent) 14%, transparent); }
.change p + p { margin-top: .4rem; }
.problem { padding: .7rem .9rem; border-radius: 6px; border-left: 4px solid var(--error-border-color);
  background: var(--error-background-fill); }
.placeholder { color: var(--body-text-color-subdued); padding: 1rem; display: grid; place-items: center;
  text-align: center; min-height: 100%; border: 1px dashed var(--border-color-primary); border-radius: 8px; }
summary { cursor: pointer; font-weight: 600; padding: .15rem 0; }
.section h2 { margin: 1.3rem 0 0; font-size: var(--text-lg); font-weight: 700; line-height: 1.3; }
.section p { margin: .15rem 0 0; max-width: 62rem; color: var(--body-text-color-subdued); line-height: 1.45; }
[role=tabpanel] > .column > .block:first-child .section:first-child h2 { margin-top: 0; }
.side-by-side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr)); gap: 1rem; }
.chart + .side-by-side { margin-top: 1.2rem; }
"""


def problem(message: str) -> str:
    """A sentence about what could not be used."""
    return f'<div class="problem" role="alert">{html.escape(message)}</div>'


def placeholder(message: str) -> str:
    """A text in the place of content that is still to come."""
    return f'<div class="placeholder">{html.escape(message)}</div>'


def section(title: str, text: str) -> str:
    """A heading with a text about what follows."""
    return f'<div class="section"><h2>{html.escape(title)}</h2><p>{unbroken(html.escape(text))}</p></div>'


def introduction(text: str) -> str:
    """A text about what follows, below a heading that stands elsewhere."""
    return f'<div class="section"><p>{unbroken(html.escape(text))}</p></div>'


def side_by_side(*pieces: str) -> str:
    """Pieces beside one another, below one another on a phone."""
    return f'<div class="side-by-side">{"".join(pieces)}</div>'


def paragraphs(texts: Sequence[str]) -> str:
    """Texts as paragraphs."""
    return "".join(f"<p>{html.escape(text)}</p>" for text in texts)


def change(sentence: str) -> str:
    """The sentence on what the metadata changed."""
    return f'<p class="change" aria-live="polite">{unbroken(html.escape(sentence))}</p>'


def changes(sentences: Sequence[str]) -> str:
    """Sentences on what other metadata would change, one below the other."""
    return f'<div class="change" aria-live="polite">{unbroken(paragraphs(sentences))}</div>'


def marked(code: str) -> str:
    """A diagnosis's name, with a mark where it is malignant or pre-malignant."""
    diagnosis = BY_CODE[code]
    mark = "" if diagnosis.nature == "benign" else f'<span class="mark {diagnosis.nature}">{diagnosis.nature}</span>'
    return f"{html.escape(diagnosis.name)}{mark}"
