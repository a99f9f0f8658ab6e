"""The runner's end of the warm process: starts it, asks it for kernels, hears when they end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from pathlib import Path
from typing import IO, Any

from evaluation.study.kernels import template

#: Seconds the warm process may take to import its packages, and to fork a kernel.
IMPORT_TIMEOUT = 120
FORK_TIMEOUT = 30

#: Seconds it may take to end before it is killed.
_GRACE = 2

#: Variables in which kernels of one warm process may differ: nothing reads them while it is imported.
_PER_KERNEL = ("EVALUATION_", "JPY_")


class NoFork(Exception):
    """No kernel could be forked; its text says why."""


class ForkedProcess:
    """A forked kernel, with as much of ``subprocess.Popen`` as a kernel provisioner needs.

    Attributes
    ----------
    pid : int
        Its number, which is also that of its process group.
    returncode : int or None
        None while it runs, then its exit code, or the signal that ended it as a negative number.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int, parent: WarmProcess, ended: Future[int]) -> None:
        self.pid = pid
        self._parent = parent
        self._ended = ended

    @property
    def returncode(self) -> int | None:
        """What it ended with, or None."""
        return self._ended.result() if self._ended.done() else None

    def poll(self) -> int | None:
        """Return None while it runs, then its exit code."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended and return its exit code."""
        return self._ended.result(timeout)

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel and what it started."""
        if self.returncode is None:
            self._parent.send_signal(self.pid, number)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class WarmProcess:
    """A process that has imported the packages of notebooks and forks kernels; thread-safe.

    It is started at the first kernel. Once it has failed it stays so, and ``broken`` says why.

    Attributes
    ----------
    broken : str
        Why it forks no kernel any more; empty while it does, or was not asked yet.
    """

    def __init__(self) -> None:
        self.broken = ""
        self.pid: int | None = None
        self._cancelled = False
        self._starting, self._sending = threading.Lock(), threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._terminal: IO[bytes] | None = None
        self._environment: dict[str, str] = {}
        self._looked_for: frozenset[str] = frozenset()
        self._ready: Future[str] = Future()
        self._answers: dict[int, Future[int]] = {}
        self._ends: dict[int, Future[int]] = {}
        self._asked = 0

    def fork(
        self, arguments: Sequence[str], *, folder: str, environment: Mapping[str, str], streams: Sequence[int]
    ) -> ForkedProcess:
        """Fork a kernel.

        Parameters
        ----------
        arguments : sequence of str
            Its command line, from the launcher's path on.
        folder : str
            Its working directory.
        environment : mapping of str to str
            Its whole environment.
        streams : sequence of int
            Descriptors of its standard input, output and error.

        Raises
        ------
        NoFork
            Where it cannot be forked, or would not be what an ordinary kernel is.
        """
        if unlike := _unlike_plain(folder, environment):
            raise NoFork(unlike)
        with self._starting:
            if self.broken or self._cancelled:
                raise NoFork(self.broken or "the run was stopped")
            if self._child is None:
                self._start(environment)
        self._must_share(environment)
        if hidden := self._looked_for & _modules_of(folder):
            raise NoFork(f"{min(hidden)} lies in the working directory and hides a package")
        with self._sending:
            self._asked += 1
            number = self._asked
            answer: Future[int] = Future()
            ended: Future[int] = Future()
            self._answers[number], self._ends[number] = answer, ended
        request = {"id": number, "arguments": list(arguments), "folder": folder, "environment": dict(environment)}
        try:
            self._send(request, streams)
            pid = answer.result(FORK_TIMEOUT)
        except NoFork:
            self._answers.pop(number, None)
            self._ends.pop(number, None)
            raise
        except NotInTime:
            self._break(f"the warm process forked no kernel in {FORK_TIMEOUT} s")
            raise NoFork(self.broken) from None
        return ForkedProcess(pid, self, ended)

    def send_signal(self, pid: int, number: int) -> None:
        """Send a signal to a kernel and what it started; nothing happens where it has ended."""
        with contextlib.suppress(NoFork):
            self._send({"signal": number, "pid": pid})

    def cancel(self) -> None:
        """Fork no kernel any more; where the process still imports, end it. Callable from any thread."""
        self._cancelled = True
        self._end_unready()

    def _end_unready(self) -> None:
        child = self._child
        if child is not None and not self._ready.done():
            child.kill()

    def close(self) -> None:
        """End the process, and every kernel that still runs."""
        self.cancel()
        with self._starting:
            self._break(self.broken or "the run has ended")

    def _start(self, environment: Mapping[str, str]) -> None:
        self._environment = _shared(environment)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * template.LONGEST)
        self._terminal = tempfile.TemporaryFile()  # noqa: SIM115
        own = {
            "JE_ARROW_MALLOC_CONF": "background_thread:false",
            "MPLBACKEND": environment.get("MPLBACKEND") or "module://matplotlib_inline.backend_inline",
        }
        try:
            with theirs:
                self._child = subprocess.Popen(
                    [sys.executable, template.__file__, str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=self._terminal,
                    stderr=self._terminal,
                    env=self._environment | own,
                    cwd="/",
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            self.broken = f"the warm process did not start ({error})"
            raise NoFork(self.broken) from None
        self.pid, self._control = self._child.pid, ours
        if self._cancelled:
            self._end_unready()
        threading.Thread(target=self._listen, args=(ours,), name="warm process", daemon=True).start()
        try:
            unfit = self._ready.result(IMPORT_TIMEOUT)
        except NotInTime:
            unfit = f"the warm process was not ready in {IMPORT_TIMEOUT} s"
        if unfit:
            self._break(unfit)
            raise NoFork(self.broken)

    def _must_share(self, environment: Mapping[str, str]) -> None:
        asked = _shared(environment)
        for name in sorted({*asked, *self._environment}):
            if asked.get(name) != self._environment.get(name):
                raise NoFork(f"{name} is not what it was when the warm process started")

    def _send(self, message: Mapping[str, Any], descriptors: Sequence[int] = ()) -> None:
        content = json.dumps(message).encode("ascii")
        if len(content) > template.LONGEST:
            raise NoFork("the environment is too long")
        with self._sending:
            if self._control is None:
                raise NoFork(self.broken)
            try:
                socket.send_fds(self._control, [content], list(descriptors))
            except OSError as error:
                raise NoFork(f"the warm process cannot be asked ({error})") from None

    def _listen(self, control: socket.socket) -> None:
        while True:
            try:
                content = control.recv(template.LONGEST)
            except OSError:
                content = b""
            if not content:
                break
            self._hear(json.loads(content))
        self._lost()

    def _hear(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            self._looked_for = frozenset(message.get("ready", ()))
            self._ready.set_result(message.get("unfit", ""))
            return
        number = message["id"]
        answer = self._answers.pop(number, None)
        if "pid" in message and answer is not None:
            answer.set_result(message["pid"])
        elif answer is not None:
            answer.set_exception(NoFork(message.get("refused", "the forked process ended at once")))
        if "ended" in message:
            self._ends.pop(number).set_result(message["status"])

    def _lost(self) -> None:
        """The process is gone: its kernels went with it, and nobody is left to say how."""
        status = None if self._child is None else self._child.wait()
        words = ""
        if self._terminal is not None:
            with self._terminal:
                words = _last_words(self._terminal)
        with self._sending:
            if self._control is not None:
                self._control.close()
                self._control = None
            how = f"signal {-status}" if status is not None and status < 0 else f"exit code {status}"
            self.broken = self.broken or f"the warm process ended ({how}{words})"
        if not self._ready.done():
            self._ready.set_result(self.broken)
        for answer in list(self._answers.values()):
            if not answer.done():
                answer.set_exception(NoFork(self.broken))
        for ended in list(self._ends.values()):
            if not ended.done():
                ended.set_result(-signal.SIGKILL)

    def _break(self, why: str) -> None:
        self.broken = why
        with self._sending:
            if self._control is not None:
                # The listener wakes up and clears away.
                with contextlib.suppress(OSError):
                    self._control.shutdown(socket.SHUT_RDWR)
        if self._child is not None:
            try:
                self._child.wait(_GRACE)
            except subprocess.TimeoutExpired:
                self._child.kill()


def _shared(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(_PER_KERNEL)}


def _unlike_plain(folder: str, environment: Mapping[str, str]) -> str:
    """Return what an ordinary kernel would read from its working directory while it starts, or an empty text."""
    paths = environment.get("PYTHONPATH", "")
    if paths and not all(map(os.path.isabs, paths.split(os.pathsep))):
        return "PYTHONPATH holds a path that is not absolute"
    if (Path(folder) / "matplotlibrc").exists():
        return "a matplotlibrc lies in the working directory"
    return ""


def _modules_of(folder: str) -> frozenset[str]:
    """Return the names under which Python would import what lies in a folder."""
    found = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith((".py", ".so", ".pyc")):
                found.add(entry.name.split(".", 1)[0])
            elif entry.is_dir() and os.path.exists(os.path.join(entry.path, "__init__.py")):
                found.add(entry.name)
    return frozenset(found)


def _last_words(terminal: IO[bytes]) -> str:
    terminal.seek(0)
    lines = [line.strip() for line in terminal.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f": {lines[-1]}" if lines else ""
