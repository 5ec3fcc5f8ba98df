"""The resumable state of a training: written whole or not at all, read without executing anything in it."""

import zipfile
from pathlib import Path

import torch

from lesion.errors import UserError
from lesion.files import write_atomically


def first_line(error: Exception) -> str:
    """Of an exception's message; the rest of PyTorch's are hints for programmers."""
    return str(error).strip().split("\n")[0]


def write_state(state: dict, path: Path) -> None:
    """Writes a resumable state, so that a crash or a full disk leaves the old one or the new one, never half.

    Raises:
        UserError: it cannot be written.
    """

    def write(partial: Path) -> None:
        with open(partial, "wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # what torch's zip writer makes of an OSError of the file's
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    write_atomically(path, write)


def read_state(path: Path) -> dict:
    """Reads what `write_state` wrote, without executing anything in it.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch.load takes flipped bits for weights: it checks no sums
            if damaged := archive.testzip():
                raise ValueError(f"{damaged} is damaged")
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict) or "fingerprint" not in state:
            raise ValueError("it is not of a training")
    except Exception as error:  # damaged files raise many kinds of exceptions
        raise UserError(f"{path} cannot be read ({first_line(error)}); remove it to start anew.") from None
    return state
