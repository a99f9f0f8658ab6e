"""A private folder for the sockets of kernels; what a killed run left behind is taken away by the next."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import IO

if sys.platform != "win32":
    import fcntl

PREFIX = "evaluation-kernels-"

_HELD = "held"
#: Seconds that a folder may be without its lock: whoever makes it has not come so far.
_BEING_MADE = 60
#: Folders that another process may take away, while they are made, before it is given up.
_TRIES = 100


class SocketFolder:
    """A folder that only this user can open, held until it is closed or this process ends.

    Attributes
    ----------
    path : Path
        The folder; its name is short, since the path of a Unix socket holds 107 bytes.
    """

    def __init__(self) -> None:
        remove_abandoned()
        self.path, self._held = _held_folder()

    def close(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._held.close()


def _held_folder() -> tuple[Path, IO[bytes]]:
    """Make a folder and take its lock; where another process was there in between, make a new one."""
    for _ in range(_TRIES):
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        with contextlib.ExitStack() as stack, contextlib.suppress(BlockingIOError, FileNotFoundError):
            held = stack.enter_context((folder / _HELD).open("wb"))
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that was removed a moment ago holds nothing.
            if os.path.samestat(os.fstat(held.fileno()), os.stat(folder / _HELD)):
                stack.pop_all()
                return folder, held
    raise OSError(
        errno.EBUSY, "the folder for the sockets of kernels is taken away again and again", tempfile.gettempdir()
    )


def remove_abandoned() -> None:
    """Take away the folders of this user that no living process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another process may take it away at the same time, or own it.
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == os.getuid():
                _remove_unheld(folder)


def _remove_unheld(folder: Path) -> None:
    try:
        held = (folder / _HELD).open("rb")
    except FileNotFoundError:
        if time.time() - folder.stat().st_mtime > _BEING_MADE:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
