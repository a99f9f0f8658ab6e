"""The warm process: imports third-party packages once, then forks an ordinary Jupyter kernel per request.

It is run as a script, not imported, so that nothing of the workbench is loaded in a kernel before its
notebook asks for it. Its argument is the descriptor of a socket on which each message is one JSON object:

- it says ``{"ready": <names that were looked for>}`` when the packages are imported, or ``{"unfit": <why>}``;
- it is asked ``{"id", "arguments", "folder", "environment"}``, with three descriptors (standard input, output
  and error) beside it, and the new kernel itself answers ``{"id", "pid"}``; ``{"id", "refused"}`` is the answer
  where none could be forked;
- it is asked ``{"signal", "pid"}``, which goes to the kernel and what the kernel started;
- it says ``{"ended", "id", "status"}`` when a kernel is gone: its exit code, or the signal as a negative number.

When the other end of the socket is closed, which the system does for a runner that was killed, it ends all
kernels and itself. A kernel ends when this process does.
"""

from __future__ import annotations

import sys

# A script's folder stands first in the path; an ordinary kernel does not have it, and its files would hide packages.
if __name__ == "__main__":
    del sys.path[0]

import builtins
import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import time
import types
from collections.abc import Iterator
from typing import Any

#: What a kernel imports while it starts, and what notebooks import, directly or through the workbench.
#: One that is not installed is left out.
PACKAGES = (
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "sqlite3",
    "tornado.platform.asyncio",
    "tornado.queues",
    "numpy",
    "pandas",
    "scipy.stats",
    "scipy.optimize",
    "matplotlib.pyplot",
    "matplotlib.backends.backend_svg",
    "seaborn",
    "statsmodels.api",
    "statsmodels.formula.api",
    "formulaic",
    "pyarrow.parquet",
    "pyarrow.csv",
    "pyreadstat",
    "pydantic",
    "ruamel.yaml",
    "openpyxl",
)
#: How often, and how many seconds apart, processes that were killed are looked for.
_ROUNDS, _SOON = 400, 0.005
#: Bytes a message may have.
LONGEST = 1 << 17

#: Seconds after which the warm process looks, while it imports, whether the runner is still there.
LOOK = 0.25

_SET_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36


class _Listener:
    """Hears which names are looked for by imports, and finds none."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if path is None:
            self.names.add(name)


@contextlib.contextmanager
def _seeming_kernel() -> Iterator[None]:
    """Answer as a kernel does where a package asks, when it is imported, what it is imported in.

    pandas then chooses how many columns it shows, and the encoding it names.
    """
    terminal = sys.stdout
    with open(os.devnull, "w", encoding="UTF-8") as output:
        vars(builtins)["get_ipython"] = lambda: types.SimpleNamespace(kernel=True)
        sys.stdout = output
        try:
            yield
        finally:
            sys.stdout = terminal
            del vars(builtins)["get_ipython"]


def preload(listener: _Listener) -> str:
    """Import the packages; return why no kernel may be forked from what is there then, or an empty text."""
    sys.meta_path.insert(0, listener)
    with _seeming_kernel():
        for package in PACKAGES:
            with contextlib.suppress(ImportError):
                importlib.import_module(package)
    sys.meta_path.remove(listener)
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"the imported packages started {threads - 1} threads (is OPENBLAS_NUM_THREADS=1 set?)"
    # A drawing backend that is loaded before there is a shell never shows a figure.
    if getattr(sys.modules.get("matplotlib.pyplot"), "_backend_mod", None) is not None:
        return "an imported package has loaded the drawing backend"
    sys.modules.pop("matplotlib_inline.backend_inline", None)
    gc.collect()
    # What stands now is never collected in a kernel, so its pages stay shared.
    gc.freeze()
    return ""


@contextlib.contextmanager
def ending_with(control: socket.socket) -> Iterator[None]:
    """End this process as soon as the other end of a socket is closed, in the middle of whatever it does."""

    def look(number: int, frame: object) -> None:
        with contextlib.suppress(BlockingIOError):
            if not control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                os._exit(1)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK, LOOK)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Warm:
    """The kernels that were forked and still run.

    Parameters
    ----------
    control : socket.socket
        Connected to the runner.
    """

    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.parent = os.getppid()
        self.libc = ctypes.CDLL(None)
        # What a kernel that has ended had started becomes a child of this process, whatever its session.
        self.libc.prctl(_SET_CHILD_SUBREAPER, 1)
        self.kernels: dict[int, tuple[int, int]] = {}
        self.ears = select.poll()
        self.ears.register(control, select.POLLIN)

    def serve(self) -> tuple[dict[str, Any], list[int]] | None:
        """Answer until the runner is gone, then return None; in a new kernel return its request and descriptors."""
        while os.getppid() == self.parent:
            for ear, _ in self.ears.poll(1000):
                if ear != self.control.fileno():
                    self._bury(ear)
                    continue
                message, descriptors, _, _ = socket.recv_fds(self.control, LONGEST, 3)
                if not message:
                    return None
                request = json.loads(message)
                if "signal" in request:
                    self._send_signal(request)
                elif self._fork(request, descriptors):
                    return request, descriptors
        return None

    def end(self) -> None:
        """End every kernel with what it started."""
        for _, pid in self.kernels.values():
            _signal_group(pid, signal.SIGKILL)
        self.kernels.clear()
        self._end_orphans()

    def _end_orphans(self) -> None:
        """End what kernels that are gone had started; while a kernel lives, its own lie below it."""
        for _ in range(_ROUNDS):
            orphans = _children() - {pid for _, pid in self.kernels.values()}
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(_SOON)

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> bool:
        here = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            self.say({"id": request["id"], "refused": f"no process could be forked ({error})"})
            pid = -1
        if pid == 0:
            # The kernel ends with this process, also where it had ended before it could be asked to.
            self.libc.prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
            # A program whose starter ends stays with its kernel as long as that runs.
            self.libc.prctl(_SET_CHILD_SUBREAPER, 1)
            if os.getppid() != here:
                os._exit(1)
            os.setsid()
            self.say({"id": request["id"], "pid": os.getpid()})
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            ear = os.pidfd_open(pid)
            self.kernels[ear] = (request["id"], pid)
            self.ears.register(ear, select.POLLIN)
        return False

    def _bury(self, ear: int) -> None:
        number, pid = self.kernels.pop(ear)
        self.ears.unregister(ear)
        os.close(ear)
        # What the kernel started and left behind goes with it.
        _signal_group(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        self._end_orphans()
        self.say({"id": number, "ended": pid, "status": status})

    def _send_signal(self, request: dict[str, Any]) -> None:
        if any(pid == request["pid"] for _, pid in self.kernels.values()):
            _signal_group(request["pid"], request["signal"])

    def say(self, message: dict[str, Any]) -> None:
        """Send a message to the runner, who may be gone."""
        with contextlib.suppress(OSError):
            self.control.send(json.dumps(message).encode("ascii"))


def _children() -> set[int]:
    """Return the processes whose parent this one is."""
    here, found = str(os.getpid()), set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
            if stat.read().rpartition(")")[2].split()[1] == here:
                found.add(int(name))
    return found


def _signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        # It has not made its group yet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def become_kernel(request: dict[str, Any], descriptors: list[int], kept: set[int]) -> None:
    """Make this forked process what a new interpreter with ``python -m ipykernel_launcher`` would be, and run.

    Parameters
    ----------
    request : dict
        ``arguments`` (with the launcher's path first), ``folder`` and ``environment``.
    descriptors : list of int
        Standard input, output and error.
    kept : set of int
        Descriptors that imported packages hold; every other one is closed.
    """
    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    for descriptor in open_descriptors() - kept - {0, 1, 2}:
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    os.environ["JPY_PARENT_PID"] = str(os.getppid())
    time.tzset()
    importlib.invalidate_caches()
    sys.path_importer_cache.pop(os.path.dirname(os.path.abspath(__file__)), None)
    sys.argv = request["arguments"]
    _seed()
    from ipykernel.kernelapp import IPKernelApp

    # The class read the number of the parent from the environment when it was imported.
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize()  # type: ignore[no-untyped-call]
    # What multiprocessing found when it was imported is this script and its folder.
    if "multiprocessing.process" in sys.modules:
        sys.modules["__mp_main__"] = sys.modules["__main__"]
        sys.modules["multiprocessing.process"].ORIGINAL_DIR = os.getcwd()  # type: ignore[attr-defined]
    app.start()  # type: ignore[no-untyped-call]


def _seed() -> None:
    """Give the global generators a state of their own: a fork has that of its parent, and so of its siblings."""
    import random

    import numpy as np

    random.seed()
    np.random.seed()  # noqa: NPY002


def open_descriptors() -> set[int]:
    """Return the descriptors of this process that are open."""
    listed = [int(name) for name in os.listdir("/proc/self/fd")]
    # The list itself was read through one that is closed by now.
    return {descriptor for descriptor in listed if os.path.lexists(f"/proc/self/fd/{descriptor}")}


def main(descriptor: int) -> None:
    """Serve on a socket until its other end is closed; a forked kernel leaves here too, with its own exit code."""
    control = socket.socket(fileno=descriptor)
    warm = Warm(control)
    before = open_descriptors()
    given = dict(os.environ)
    listener = _Listener()
    with ending_with(control):
        unfit = preload(listener)
    told = {name: value for name, value in os.environ.items() if given.get(name) != value}
    opened = open_descriptors() - before
    warm.say({"unfit": unfit} if unfit else {"ready": sorted(listener.names)})
    asked = warm.serve()
    if asked is None:
        warm.end()
        os._exit(0)
    control.detach()
    request, descriptors = asked
    # Some packages leave a word in the environment when they are imported.
    request["environment"] |= told
    become_kernel(request, descriptors, opened)


if __name__ == "__main__":
    main(int(sys.argv[1]))
