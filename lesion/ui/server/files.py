"""The app's own folder of files: uploaded photographs, and tables and handouts made for download. Nothing in it stays.

Every running app has a folder that only its user can open, with a lock file that it holds while it runs. So apps that
run at once never touch each other's, and what a killed app left is known by its free lock: the next start removes it.

Nothing here imports Gradio, which has to be told of the folder before it is imported.
"""

import hashlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from lesion.errors import UserError

PREFIX = "skin-lesion-demo-"
KEPT = 40 * 60
"""Seconds after its last use that a file is removed; `PhotographStore.get` renews the time of a photograph."""
ROOM = 2 * 10**9
"""Bytes of all files together; beyond them the oldest go first."""
PAUSE = 10
"""Seconds between two looks at the folder."""


@contextmanager
def own_folder() -> Iterator[Path]:
    """A new folder for the files of this app, swept while it is in use and removed at the end.

    It lies in the system's folder for temporary files, or in the one that GRADIO_TEMP_DIR names. Folders that killed
    apps of the same user left there are removed first.

    Raises:
        UserError: no such folder can be made.
    """
    parent = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()).resolve()
    try:
        parent.mkdir(parents=True, exist_ok=True)
        remove_left(parent)
        folder, lock = new_folder(parent)
    except OSError as error:
        raise UserError(
            f"Cannot make a folder for uploads in {parent} ({error.strerror}); set GRADIO_TEMP_DIR to another folder."
        ) from None
    stopped = threading.Event()

    def keep_swept() -> None:
        while not stopped.wait(PAUSE):
            sweep(folder / "files", KEPT, ROOM)

    threading.Thread(target=keep_swept, daemon=True).start()
    try:
        yield folder / "files"
    finally:
        stopped.set()
        remove(folder, lock)


def new_folder(parent: Path) -> tuple[Path, IO]:
    """A new folder with a held lock and an empty folder `files`.

    Raises:
        OSError: it cannot be made, or the file system knows no locks.
    """
    for _ in range(9):  # again where another start took the new folder, not locked yet, for one that was left
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        with suppress(OSError):
            lock = open(folder / "lock", "a")  # noqa: SIM115 - held while the app runs
            if take(lock) and (folder / "lock").exists():
                (folder / "files").mkdir(mode=0o700)
                return folder, lock
            lock.close()
        shutil.rmtree(folder, ignore_errors=True)
    raise OSError(0, "it cannot hold a lock")


def take(lock: IO) -> bool:
    """Locks an open file for as long as it is open; False where another process holds it."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def remove(folder: Path, lock: IO) -> None:
    """Removes a folder whose lock is held."""
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()
    shutil.rmtree(folder, ignore_errors=True)  # Windows removes no open file: the lock is still there


def remove_left(parent: Path) -> None:
    """Removes the folders of this user's apps that no longer run."""
    for folder in parent.glob(PREFIX + "*"):
        with suppress(OSError):  # another start removes it too, or it is another user's
            found = folder.lstat()
            ours = not hasattr(os, "getuid") or found.st_uid == os.getuid()
            if stat.S_ISDIR(found.st_mode) and ours:
                lock = open(folder / "lock", "a")  # noqa: SIM115 - closed by remove
                if take(lock):
                    remove(folder, lock)
                lock.close()


def sweep(folder: Path, kept: float, room: int) -> None:
    """Removes the files that are too old, then the oldest of those that are too many.

    Args:
        folder: with folders of files in it.
        kept: seconds that a file may stay. Its age counts from its last change of any kind, since a copy brings the
            time of what it was copied from along.
        room: bytes of all files together.
    """
    now, files = time.time(), []
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # gone meanwhile
                found = os.lstat(os.path.join(place, name))
                files.append((found.st_ctime, found.st_size, os.path.join(place, name)))
    total = 0
    for changed, size, path in sorted(files, reverse=True):
        total += size
        if now - changed > kept or total > room:
            with suppress(OSError):  # open, on Windows: next time
                os.remove(path)
    for place, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # not empty, or gone meanwhile
            if place != str(folder) and now - os.stat(place).st_mtime > kept:
                os.rmdir(place)


def keep_content(folder: Path, content: bytes, name: str) -> Path:
    """The path of a file with this content, written whole or found: a file that is there is never written again, since
    somebody may be reading it, but counts as used now.

    Args:
        folder: where files are kept, each in a folder named by its content's hash.
        content: of the file.
        name: of the file, with its ending.
    """
    path = folder / hashlib.sha256(content).hexdigest() / name
    try:
        os.utime(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        os.replace(file.name, path)
    return path.resolve()
