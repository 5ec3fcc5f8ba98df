"""Reads what a report is made of and written into."""

import json
from pathlib import Path

from lesion.errors import UserError
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, REPORT

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


EVALUATE = "python -m lesion.evaluate --data PATH_TO_HAM10000 --checkpoint DIR"


def read_report(folder: Path) -> dict | None:
    """report.json of a checkpoint folder, None where there is none; a NaN in it becomes None.

    Raises:
        UserError: it is damaged.
    """
    try:
        report = json.loads((folder / REPORT).read_text(encoding="utf-8"), parse_constant=lambda _: None)
    except FileNotFoundError:
        return None
    except ValueError:  # no JSON, or no text
        report = None
    if not isinstance(report, dict):
        raise UserError(f"The checkpoint's {REPORT} is damaged. Run “{EVALUATE}” to write it again.")
    return report


def belongs(report: dict, folder: Path) -> bool:
    """Whether the report is of the checkpoint it lies beside."""
    return report.get("checkpoint") == sha256(folder / CONFIG)
