"""The report's figures."""

import html
from pathlib import Path

from lesion.model.checkpoint import REPORT
from lesion.report.figures import FIGURES
from lesion.ui.html import wording


def figure(folder: Path, name: str) -> str:
    """One of `lesion.report.figures.FIGURES` from the folder; nothing where it is missing."""
    path = folder / name
    if not path.exists():
        return ""
    source, title = wording.data_uri(path.read_bytes(), "png"), html.escape(FIGURES[name].title)
    return f'<figure><img src="{source}" alt="{title}; its numbers are in {REPORT}"/></figure>'


def pictures(*figures: str) -> str:
    """Figures beside one another, below one another on a phone."""
    return f'<div class="pictures">{"".join(figures)}</div>' if any(figures) else ""
