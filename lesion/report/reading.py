"""Reads the documents that a report is made of or written into, and says in a sentence what is wrong with one."""

import json
from contextlib import suppress
from pathlib import Path

from lesion.errors import UserError
from lesion.files import prepare_file, sha256
from lesion.model.checkpoint import CONFIG, REPORT, Checkpoint
from lesion.report.readme_results import systems_table

BEGIN, END = "<!-- results: begin, written by lesion.evaluate -->", "<!-- results: end -->"
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
    except (OSError, ValueError, RecursionError):  # no JSON, or no text
        report = None
    if not isinstance(report, dict):
        raise UserError(f"The checkpoint's {REPORT} is damaged. Run “{EVALUATE}” to write it again.")
    return report


def belongs(report: dict, folder: Path) -> bool:
    """Whether the report is of the checkpoint it lies beside."""
    return report.get("checkpoint") == sha256(folder / CONFIG)


def kept_elsewhere(output: Path, checkpoint: Checkpoint) -> dict:
    """What a report that is to be replaced says of the same checkpoint on other collections: its part "elsewhere", or
    nothing."""
    with suppress(UserError):  # a damaged report is replaced too
        report = read_report(output)
        if report and belongs(report, checkpoint.folder) and "elsewhere" in report:
            return {"elsewhere": report["elsewhere"]}
    return {}


def read_systems(path: Path) -> dict:
    """The document that `lesion.compare` wrote.

    Raises:
        UserError: it cannot be read, or is another document.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        systems_table(document)  # which reads all of it
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise UserError(
            f"--systems {path} cannot be read ({reason}); make it with `python -m lesion.compare`."
        ) from None
    return document


def split_at_markers(path: Path) -> tuple[str, str]:
    """What stands before BEGIN and after END in a file.

    Raises:
        UserError: the file is missing, is not text, lacks the markers, or cannot be written.
    """
    try:
        document = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(f"--readme {path} cannot be read ({error}); give a Markdown file.") from None
    if BEGIN not in document or END not in document:
        raise UserError(f"{path} lacks the lines {BEGIN} and {END}; add them where the results belong.")
    prepare_file(path)
    before, rest = document.split(BEGIN, 1)
    return before, rest.split(END, 1)[1]
