"""Reads what a report is made of and written into."""

import json
from pathlib import Path

from lesion.errors import UserError

BEGIN, END = "<!-- results: begin, written by lesion.evaluate -->", "<!-- results: end -->"


def read_systems(path: Path) -> dict:
    """The document that `lesion.compare` wrote.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"--systems {path} cannot be read ({error}); make it with `python -m lesion.compare`."
        ) from None


def split_at_markers(path: Path) -> tuple[str, str]:
    """What stands before BEGIN and after END in a file.

    Raises:
        UserError: the file lacks the markers.
    """
    document = path.read_text(encoding="utf-8")
    if BEGIN not in document or END not in document:
        raise UserError(f"{path} lacks the lines {BEGIN} and {END}.")
    before, rest = document.split(BEGIN, 1)
    return before, rest.split(END, 1)[1]
