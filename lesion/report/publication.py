"""A checkpoint to the Hugging Face Hub, with its model card."""

import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from lesion.data import held_out_photographs
from lesion.data.held_out_photographs import HeldOutPhotographs
from lesion.errors import UserError, shown
from lesion.model.checkpoint import CONFIG, HELD_OUT, MODEL, REPORT, load_checkpoint
from lesion.model.checkpoint_config import DETECTOR, DETECTOR_OF_FORMAT_2
from lesion.model.held_out import read_held_out
from lesion.model.hub import HUB_ID
from lesion.model.seen import FILE as SEEN
from lesion.report.curves import HISTORY
from lesion.report.figures import FIGURES, LEARNING_CURVES, figures_of
from lesion.report.model_card import model_card
from lesion.report.reading import EVALUATE, belongs, read_report

DETECTORS = (DETECTOR, DETECTOR_OF_FORMAT_2)
"""Names of the detector's file, of which a checkpoint has one."""
WITHOUT_REPORT = (CONFIG, MODEL, HELD_OUT, SEEN, *DETECTORS, HISTORY, LEARNING_CURVES)
PHOTOGRAPHS = (held_out_photographs.FILE, held_out_photographs.FILE_OF_FORMAT_2)
FILES = {*WITHOUT_REPORT, REPORT, *FIGURES, *PHOTOGRAPHS}
"""Names of all files that a checkpoint may have on the Hub beside its card."""
LOG_IN = "log in by `hf auth login` with a token that may write there"


def publish(folder: Path, repository: str, private: bool = False) -> str:
    """Uploads a checkpoint; a repository that does not exist is made.

    Files of the checkpoint that was there before, such as its report, are removed in the same commit where this one has
    none of that name. Files that no checkpoint has stay.

    Args:
        folder: of the checkpoint.
        repository: Hub id, "user/name".
        private: whether a new repository is private.

    Returns:
        What loads just this upload, "user/name@commit".

    Raises:
        UserError: the folder is not a valid checkpoint; its report or its photographs are damaged or of another one;
            or the Hub refuses the upload.
    """
    if not re.fullmatch(HUB_ID, repository):
        raise UserError(f"Repository {shown(repository)} is not accepted; give a Hub id, user/name.")
    config, report = load_checkpoint(folder).config, read_report(folder)
    if report is not None and not belongs(report, folder):
        raise UserError(f"{folder / REPORT} is of another checkpoint. Run “{EVALUATE}” on this one.")
    try:
        card = model_card(config, report, load_from=repository)
    except (KeyError, TypeError, AttributeError, ValueError):
        raise UserError(
            f"{folder / REPORT} lacks what the model card needs. Run “{EVALUATE}” to write it again."
        ) from None
    operations = [CommitOperationAdd(path.name, path) for path in files_of(folder, report)]
    left_over = FILES - {operation.path_in_repo for operation in operations}
    operations.append(CommitOperationAdd("README.md", card.encode()))
    if huggingface_hub.get_token() is None:
        raise UserError(f"The Hub does not know who you are: {LOG_IN}.")
    try:
        huggingface_hub.create_repo(repository, private=private, exist_ok=True)
        left_over &= set(huggingface_hub.list_repo_files(repository))
        operations += [CommitOperationDelete(name) for name in sorted(left_over)]
        commit = huggingface_hub.create_commit(repository, operations, commit_message=f"Checkpoint {config.backbone}")
    except (HTTPError, OSError) as error:
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
        reason = LOG_IN if refused else str(error).strip().split("\n")[0]
        raise UserError(f"{repository} cannot be written on the Hugging Face Hub: {reason}.") from None
    return f"{repository}@{commit.oid}"


def files_of(folder: Path, report: dict | None) -> list[Path]:
    """The files of a checkpoint folder that belong to its checkpoint.

    The folder may hold others, among them figures of an earlier checkpoint's report.

    Args:
        folder: of the checkpoint.
        report: of this checkpoint, or None.

    Raises:
        UserError: its small photographs are not those of its held-out images.
    """
    names = {*WITHOUT_REPORT}
    if report is not None:
        names |= {REPORT, *figures_of(report)}
    photographs = HeldOutPhotographs(folder)
    if photographs.path.exists():
        ids = read_held_out(folder / HELD_OUT).table.image_id
        if photographs.names != {f"{image_id}.jpg" for image_id in ids}:
            raise UserError(
                f"{photographs.path} is not of this checkpoint's held-out images; make it again with "
                "`python -m lesion.photographs`, or remove it."
            )
    paths = [folder / name for name in sorted(names) if (folder / name).is_file()]
    return paths + ([photographs.path] if photographs.path.exists() else [])
