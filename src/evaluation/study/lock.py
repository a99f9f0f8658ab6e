"""One run of a study at a time: a lock that the operating system drops with the process that holds it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from evaluation import project
from evaluation.errors import StudyError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

#: Seconds a run waits for whoever is only looking whether the lock is held.
_PATIENCE = 0.5
#: On Windows a locked byte cannot be read by others, so the byte that is locked lies behind what the file says.
_LOCKED_BYTE = 4096
#: What a file system answers that knows no locks.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def lock_file(study: str) -> Path:
    """Return the lock of a study, ``outputs/.staging/<study>.lock``. Without a holder the file means nothing."""
    return project.project_root() / "outputs" / ".staging" / f"{study}.lock"


@contextlib.contextmanager
def holding(study: str) -> Iterator[str]:
    """Hold the lock of a study; the operating system drops it however the process ends.

    Parameters
    ----------
    study : str
        Id of the study.

    Yields
    ------
    str
        What the user should know, where the file system knows no locks; else empty.

    Raises
    ------
    StudyError
        Where another run holds it, with its process and since when; where ``outputs/`` cannot be written.
    """
    file = lock_file(study)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise StudyError(
            f"a run of '{study}' cannot write to outputs/ ({error.strerror}: outputs/.staging/{file.name}). "
            "Make the folder writable, or free some space, then run again."
        ) from None
    try:
        told = _acquire(descriptor, study)
        said = json.dumps({"pid": os.getpid(), "since": datetime.now(UTC).isoformat(timespec="seconds")})
        # What the file says is only for people; a full disk must not stop a run here.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, said.encode("ascii"))
        yield told
    finally:
        os.close(descriptor)


def is_held(study: str) -> bool:
    """Tell whether a run of the study is at work now, in whatever process."""
    try:
        descriptor = os.open(lock_file(study), os.O_RDWR)
    except OSError:
        return False
    try:
        return not _try_lock(descriptor, shared=True)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, study: str) -> str:
    end = time.monotonic() + _PATIENCE
    try:
        while not _try_lock(descriptor):
            if time.monotonic() > end:
                raise StudyError(
                    f"'{study}' is being run already{_holder(descriptor)}. Wait for its end (evaluation status "
                    f"{study} shows how far it is) or stop it, then run again."
                )
            time.sleep(0.05)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return f"the file system of outputs/ knows no locks ({error.strerror}): do not run '{study}' twice at once"
    return ""


def _holder(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        said = json.loads(os.read(descriptor, 1024))
        return f" by process {said['pid']}, since {said['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


if sys.platform == "win32":

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)
        return True

else:

    def _try_lock(descriptor: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
