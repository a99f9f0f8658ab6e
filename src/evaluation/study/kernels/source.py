"""The kernels of one run: one fresh kernel per notebook, of one kind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Protocol, Self

from jupyter_client.manager import AsyncKernelManager

Kind = Literal["forked", "plain"]

#: A path of a Unix socket holds 107 bytes; what stands after the folder's name needs some of them.
_LONGEST_FOLDER = 80


class _Child(Protocol):
    """What a kernel's process offers: the part of ``subprocess.Popen`` that is needed here."""

    pid: int

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
        """End the kernel and what it started; nothing happens where it has ended already."""
        if self._child.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._child.kill()


class Kernels:
    """Gives each notebook a kernel of its own; ends what it started when the ``with`` block ends.

    Parameters
    ----------
    kind : {"forked", "plain"}
        ``"forked"`` forks kernels from a process that has imported the third-party packages; it is
        started at the first kernel. On other systems than Linux, and on any failure, kernels are
        plain: an ordinary new interpreter each.

    Attributes
    ----------
    fell_back : str
        Why plain kernels are used though forked ones were asked for; else empty.

    Examples
    --------
    >>> with Kernels("plain") as kernels:
    ...     kernels.kind, kernels.fell_back
    ('plain', '')
    """

    def __init__(self, kind: Kind = "forked") -> None:
        self.kind: Kind = kind
        self.fell_back = ""
        self._lock = threading.Lock()
        self._folder: Path | None = None
        self._started = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the warm process and take away the folder of sockets; kernels that still run end too."""
        with self._lock:
            folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def client_options(self, log: IO[bytes]) -> dict[str, Any]:
        """Return the keyword arguments of ``nbclient.NotebookClient`` that give it a kernel from here.

        Parameters
        ----------
        log : binary file
            Receives what the kernel writes to its terminal.
        """
        place = self._place()
        launch = {"stdout": log, "stderr": log}
        manager = type("StudyKernelManager", (_Manager,), {"place": place, "launch": launch})
        return {
            "kernel_manager_class": manager,
            "extra_arguments": ["--log-level=ERROR"],
            "shutdown_kernel": "immediate",
        }

    @staticmethod
    def process_of(client: Any) -> KernelProcess | None:
        """Return the process of the kernel that a NotebookClient now runs, or None where there is none."""
        child = getattr(getattr(getattr(client, "km", None), "provisioner", None), "process", None)
        return None if child is None else KernelProcess(child)

    def _place(self) -> Mapping[str, str]:
        """Return where the next kernel listens: sockets in a private folder, each kernel under a name of its own."""
        if sys.platform == "win32":
            return {}
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="evaluation-"))
            self._started += 1
            stem = self._folder / f"k{self._started}"
        listens = {"connection_file": f"{stem}.json"}
        if len(os.fsencode(stem)) <= _LONGEST_FOLDER:
            listens |= {"transport": "ipc", "ip": str(stem)}
        return listens


class _Manager(AsyncKernelManager):  # type: ignore[misc]
    """A kernel manager that knows where its kernel listens and where it writes."""

    place: Mapping[str, str] = {}
    launch: Mapping[str, Any] = {}

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, **self.place})

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
        command, launch = await super()._async_pre_start_kernel(**{**self.launch, **options})
        return command, launch
