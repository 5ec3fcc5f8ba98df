"""Checkpoints on the Hugging Face Hub, or in a local folder."""

import contextlib
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from lesion.errors import UserError

UPLOADED = ["*.json", "*.safetensors", "*.png", "*.zip", "*.csv"]
"""What of a checkpoint folder belongs on the Hub, beside the model card."""
HUB_ID = r"[\w.-]+/[\w.-]+"
CHECKPOINT_HELP = "folder, or Hub id user/name or user/name@revision"
GET_ONE = "Train one with `python train.py --data PATH_TO_HAM10000`, or restore weights/ from the repository."


def resolve(source: str | Path) -> Path:
    """The local folder of a checkpoint.

    Args:
        source: a folder, or a repository on the Hugging Face Hub: "user/name", or "user/name@revision" for a branch,
            tag or commit of it. It is downloaded once; where the Hub cannot be reached, what was downloaded before
            serves.

    Raises:
        UserError: neither.
    """
    folder = Path(source)
    with contextlib.suppress(OSError):  # a name too long for a folder
        if folder.is_dir():
            return folder
    repository, _, revision = str(source).partition("@")
    if not re.fullmatch(HUB_ID, repository):
        raise UserError(
            f"There is no checkpoint folder {source}; give --checkpoint another folder or a Hub id user/name. {GET_ONE}"
        )
    try:
        return Path(huggingface_hub.snapshot_download(repository, revision=revision or None, allow_patterns=UPLOADED))
    except (HTTPError, HFValidationError, OSError) as error:  # HTTPError: also a connection that breaks off
        reason = str(error).strip().split("\n")[0]
        if isinstance(error, GatedRepoError):
            reason = "access to it has to be asked for on its page"
        elif isinstance(error, RepositoryNotFoundError):
            reason = "there is no such repository, or it is private and `hf auth login` is needed"
        elif isinstance(error, RevisionNotFoundError):
            reason = f"it has no branch, tag or commit {revision}"
        raise UserError(
            f"{source} is not a local folder and cannot be loaded from the Hugging Face Hub ({reason}). {GET_ONE}"
        ) from None
