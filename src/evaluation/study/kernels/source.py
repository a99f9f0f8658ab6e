"""The kernels of one run: one fresh kernel per notebook, of one kind."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import IO, Any, Literal, Protocol, Self

import psutil  # type: ignore[import-untyped]

from evaluation.study.kernels.provisioner import StudyManager
from evaluation.study.kernels.sockets import SocketFolder
from evaluation.study.kernels.warm import ForkedProcess, WarmProcess

Kind = Literal["forked", "plain"]

#: Bytes a path of a Unix socket may have, less what a kernel puts behind it.
_LONGEST_STEM = 100


class _Child(Protocol):
    """What a kernel's process offers: the part of ``subprocess.Popen`` that is needed here."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def kill(self) -> None: ...


class KernelProcess:
    """The process of one kernel.

    Attributes
    ----------
    pid : int
        Its number, which is also that of its process group.
    """

    def __init__(self, child: _Child) -> None:
        self.pid = child.pid
        self._child = child

    def poll(self) -> int | None:
        """Return None while it runs, then its exit code; ``-9`` says that signal 9 ended it."""
        return self._child.poll()

    def kill_group(self) -> None:
        """End the kernel and what it started, that also where the kernel itself has ended already."""
        if isinstance(self._child, ForkedProcess) or not hasattr(os, "killpg"):
            if self._child.poll() is None:
                self._child.kill()
            return
        self.end_children()
        # The number stays that of the group as long as somebody of it lives.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def end_children(self) -> None:
        """End what a plain kernel that still runs has started, whatever its session; a forked one's end with it."""
        if isinstance(self._child, ForkedProcess) or self._child.poll() is not None:
            return
        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(self.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()


class Kernels:
    """Gives each notebook a kernel of its own; ends what it started when the ``with`` block ends.

    Parameters
    ----------
    kind : {"forked", "plain"}
        ``"forked"`` forks kernels from a process that has imported the third-party packages; it is
        started at the first kernel. On other systems than Linux, and on any failure, a kernel is
        plain: a new interpreter.

    Attributes
    ----------
    fell_back : str
        Why a plain kernel was last used though a forked one was asked for; else empty.

    Examples
    --------
    >>> with Kernels("plain") as kernels:
    ...     kernels.kind, kernels.fell_back
    ('plain', '')
    """

    def __init__(self, kind: Kind = "forked") -> None:
        self.kind: Kind = kind
        self.fell_back = ""
        self.warm = WarmProcess() if kind == "forked" else None
        self._lock = threading.Lock()
        self._folder: SocketFolder | None = None
        self._started = 0
        self._cancelled = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cancel(self) -> None:
        """Start no kernel any more, and break off what a kernel that is being started waits for."""
        self._cancelled.set()
        if self.warm is not None:
            self.warm.cancel()

    def close(self) -> None:
        """End the warm process, with it the forked kernels that still run, and take away the folder of sockets."""
        if self.warm is not None:
            self.warm.close()
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is not None:
            folder.close()

    def client_options(self, log: IO[bytes]) -> dict[str, Any]:
        """Return the keyword arguments of ``nbclient.NotebookClient`` that give it a kernel from here.

        Parameters
        ----------
        log : binary file
            Receives what the kernel writes to its terminal.
        """
        given = {
            "place": self._place(),
            "launch": {"stdout": log, "stderr": log},
            "warm": self.warm,
            "on_fall_back": staticmethod(self._fall_back),
            "cancelled": self._cancelled,
        }
        return {
            "kernel_manager_class": type("StudyManagerOfRun", (StudyManager,), given),
            "extra_arguments": ["--log-level=ERROR"],
            "shutdown_kernel": "immediate",
        }

    @staticmethod
    def process_of(client: Any) -> KernelProcess | None:
        """Return the process of the kernel that a NotebookClient now runs, or None where there is none."""
        child = getattr(getattr(getattr(client, "km", None), "provisioner", None), "process", None)
        return None if child is None else KernelProcess(child)

    def _fall_back(self, reason: str) -> None:
        self.fell_back = reason

    def _place(self) -> Mapping[str, str]:
        """Return where the next kernel listens: sockets in a private folder, each kernel under a name of its own."""
        if sys.platform == "win32":
            return {}
        with self._lock:
            if self._folder is None:
                self._folder = SocketFolder()
            self._started += 1
            stem = self._folder.path / f"k{self._started}"
        place = {"connection_file": f"{stem}.json"}
        if len(os.fsencode(stem)) <= _LONGEST_STEM:
            place |= {"transport": "ipc", "ip": str(stem)}
        return place
