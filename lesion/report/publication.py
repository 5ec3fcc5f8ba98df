"""A checkpoint to the Hugging Face Hub, with its model card."""

import json
import re
from pathlib import Path

import huggingface_hub
from huggingface_hub import CommitOperationAdd
from huggingface_hub.errors import HfHubHTTPError, HTTPError

from lesion.errors import UserError, shown
from lesion.files import sha256
from lesion.model.checkpoint import CONFIG, REPORT, load_checkpoint
from lesion.model.hub import HUB_ID, UPLOADED
from lesion.report.model_card import model_card

LOG_IN = "log in by `hf auth login` with a token that may write there"


def publish(folder: Path, repository: str, private: bool = False) -> str:
    """Uploads a checkpoint; the repository is made if need be.

    Args:
        folder: of the checkpoint.
        repository: Hub id, "user/name".
        private: whether a new repository is private.

    Returns:
        What loads just this upload, "user/name@commit".

    Raises:
        UserError: the folder is no valid checkpoint, its report is of another one, or the Hub does not take it.
    """
    if not re.fullmatch(HUB_ID, repository):
        raise UserError(f"Repository {shown(repository)} is not accepted; give a Hub id, user/name.")
    config, report = load_checkpoint(folder).config, None
    if (folder / REPORT).is_file():
        try:
            report = dict(json.loads((folder / REPORT).read_text(encoding="utf-8")))
        except (OSError, TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"{folder / REPORT} cannot be read ({error}); run `python -m lesion.evaluate` again, or remove it."
            ) from None
        if report.get("checkpoint") != sha256(folder / CONFIG):
            raise UserError(f"{folder / REPORT} is of another checkpoint; run `python -m lesion.evaluate` on this one.")
    files = sorted(path for pattern in UPLOADED for path in folder.glob(pattern))
    operations = [CommitOperationAdd(path.name, path) for path in files]
    operations.append(CommitOperationAdd("README.md", model_card(config, report, load_from=repository).encode()))
    if huggingface_hub.get_token() is None:
        raise UserError(f"The Hub does not know who you are: {LOG_IN}.")
    try:
        huggingface_hub.create_repo(repository, private=private, exist_ok=True)
        commit = huggingface_hub.create_commit(repository, operations, commit_message=f"Checkpoint {config.backbone}")
    except (HTTPError, OSError) as error:
        refused = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
        reason = LOG_IN if refused else str(error).strip().split("\n")[0]
        raise UserError(f"{repository} cannot be written on the Hugging Face Hub: {reason}.") from None
    return f"{repository}@{commit.oid}"
