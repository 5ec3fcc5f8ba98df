"""Files: written atomically, so that a crash or a full disk leaves the old content or the new, and hashed."""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from lesion.errors import UserError


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()  # Python 3.10 has no hashlib.file_digest
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def not_writable(path: Path, error: OSError) -> UserError:
    """The error for a file or folder that cannot be written."""
    return UserError(
        f"{path} cannot be written ({error.strerror or error}); make room there or choose another place and run the "
        "command again, a training with --resume: what was there before is unchanged."
    )


def prepare_folder(folder: Path) -> None:
    """Makes a folder and tries to write into it, so that one that cannot be written is noticed before the work.

    Raises:
        UserError: it cannot be made, or nothing can be written into it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(b"0")  # an empty file can be made on a full disk
    except OSError as error:
        raise not_writable(folder, error) from None


def prepare_file(path: Path) -> None:
    """`prepare_folder` for the folder of a file to be written.

    Raises:
        UserError: it is a folder, or its own folder cannot be made or written into.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; give the name of a file to write.")
    prepare_folder(path.parent)


def write_together(writers: dict[Path, Callable[[Path], object]]) -> None:
    """Writes files that belong together: all of them, or none and everything stays as it was.

    Each is first written beside its place and flushed to the disk, which fails where there is no room. Then all are
    renamed in the order given. A process that is killed between two renames leaves the last file as it was.

    Args:
        writers: what writes each file, called with a temporary path.

    Raises:
        UserError: a file cannot be written.
    """
    partials = {path: path.with_name(path.name + ".partial") for path in writers}
    try:
        for path, write in writers.items():
            write(partials[path])
            with open(partials[path], "rb+") as file:
                os.fsync(file.fileno())
        for path, partial in partials.items():
            os.replace(partial, path)
    except OSError as error:
        raise not_writable(path, error) from None
    finally:
        for partial in partials.values():
            with contextlib.suppress(OSError):
                partial.unlink()


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """`write_together` for one file."""
    write_together({path: write})
