"""Kernels that a killed run left, with their programs: ended before the next run, none writes into its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Collection, Iterator, Mapping

import psutil  # type: ignore[import-untyped]

from evaluation import project
from evaluation.study.events import born

#: Seconds that may lie between two readings of the moment at which one process was born.
_SAME = 1.0
#: Seconds that a process may take to end.
_PATIENCE = 10.0


def end_orphans(kernels: Mapping[int, float]) -> None:
    """End those kernels that still run, and the programs of those that do not.

    A number that the system has since given to another process is told by the moment of its birth.

    Parameters
    ----------
    kernels : mapping of int to float
        Processes of kernels with the moment at which each was born (``RunLog.kernels``).
    """
    left = [pid for pid, birth in kernels.items() if birth and abs(born(pid) - birth) < _SAME]
    for pid in left:
        with contextlib.suppress(OSError, psutil.Error):
            if hasattr(os, "killpg"):
                os.killpg(pid, signal.SIGKILL)
            else:
                psutil.Process(pid).kill()
    for program in _programs_of([pid for pid, birth in kernels.items() if birth and not born(pid)]):
        left.append(program.pid)
        with contextlib.suppress(psutil.Error):
            program.kill()
    end = time.monotonic() + _PATIENCE
    while any(_runs(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.05)


def _programs_of(groups: Collection[int]) -> Iterator[psutil.Process]:
    """Yield what is left of process groups whose first process, a kernel, is gone."""
    if not groups or not hasattr(os, "getpgid"):
        return
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            # The number of a group that has ended may be another's by now; that was not started by a notebook.
            if os.getpgid(process.pid) in groups and project.RUN_VARIABLE in process.environ():
                yield process


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
