"""A private folder for the sockets of kernels; what a killed run left behind is taken away by the next."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PREFIX = "evaluation-kernels-"

_HELD = "held"


class SocketFolder:
    """A folder that only this user can open, held until it is closed or this process ends.

    Attributes
    ----------
    path : Path
        The folder; its name is short, since the path of a Unix socket holds 107 bytes.
    """

    def __init__(self) -> None:
        remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._held = (self.path / _HELD).open("wb")
        fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._held.close()


def remove_abandoned() -> None:
    """Take away the folders of this user that no living process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # Another process may take it away at the same time, or own it.
        with contextlib.suppress(OSError):
            if folder.stat().st_uid != os.getuid():
                continue
            with (folder / _HELD).open("rb") as held:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
