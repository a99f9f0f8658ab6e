"""Kernels that a killed run left: ended before the next run begins, so that none writes into its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping

import psutil  # type: ignore[import-untyped]

from evaluation.study.events import born

#: Seconds that may lie between two readings of the moment at which one process was born.
_SAME = 1.0
#: Seconds that a process may take to end.
_PATIENCE = 10.0


def end_orphans(kernels: Mapping[int, float]) -> None:
    """End those kernels that still run.

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
    end = time.monotonic() + _PATIENCE
    while any(_runs(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
