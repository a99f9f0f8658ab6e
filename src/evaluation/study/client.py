"""The client of one kernel: runs cells, asks the kernel aside of them, and holds no more output than is allowed."""

from __future__ import annotations

import ast
import contextlib
import json
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import psutil  # type: ignore[import-untyped]
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from evaluation.study.kernels.source import Kernels
from evaluation.study.output_limit import LIMIT, weight

#: Seconds the kernel has to answer what is asked aside of the cells.
_ASIDE_TIMEOUT = 60
#: What the kernel's own count may miss before the runner ends it: output of programs it started, error messages.
_MARGIN = 1.2


class StudyClient(NotebookClient):
    """A notebook client that answers for what a kernel puts out and for how it ended.

    Attributes
    ----------
    has_flooded : bool
        Whether the kernel was ended because it put out more than is allowed.
    peak_memory_bytes : int
        The most memory that the kernel was seen to take (``watch``).
    """

    has_flooded = False
    peak_memory_bytes = 0
    _received = 0

    def process_message(self, msg: dict[str, Any], cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        """Take in one message of the kernel; beyond the limit it is dropped and the kernel ended."""
        if msg["msg_type"] != "status":
            self._received += weight([msg["content"], msg.get("buffers")])
        if self._received > LIMIT * _MARGIN and msg["msg_type"] != "status":
            self.has_flooded = True
            self.kill()
            return None
        node: NotebookNode | None = super().process_message(msg, cell, cell_index)
        return node

    def kill(self) -> None:
        """End the kernel and what it started, at once; callable from another thread."""
        process = Kernels.process_of(self)
        if process is not None:
            process.kill_group()

    def ask(self, expression: str) -> Any:
        """Return what an expression gives in the kernel, unseen by the notebook; None where it gives nothing.

        Parameters
        ----------
        expression : str
            Of Python; gives JSON text, or None.
        """
        if self.kc is None:
            return None
        with self._soon(), contextlib.suppress(DeadKernelError, CellTimeoutError):
            # A kernel that has just had an error turns down what is asked at the same moment.
            for _ in range(5):
                reply = self.wait_for_reply(
                    self.kc.execute(
                        "",
                        silent=True,
                        store_history=False,
                        user_expressions={"asked": expression},
                        stop_on_error=False,
                    )
                )
                if reply is None or reply["content"]["status"] == "ok":
                    return _answer(reply)
        return None

    def watch(self) -> None:
        """Note how much memory the kernel has taken, while it can still be asked; callable from another thread."""
        process = Kernels.process_of(self)
        if process is not None:
            self.peak_memory_bytes = max(self.peak_memory_bytes, _peak(process.pid))

    def how_it_ended(self) -> str:
        """Say how a kernel that is no more came to its end."""
        process = Kernels.process_of(self)
        code = None if process is None else process.poll()
        if code == -9:
            seen = f" It had taken {self.peak_memory_bytes / 1e6:,.0f} MB of memory." if self.peak_memory_bytes else ""
            return (
                "the kernel was killed in this cell by signal 9 (SIGKILL): out of memory, or ended from outside."
                f"{seen} If memory was short, run fewer notebooks at the same time (--jobs 1), or read fewer variables"
            )
        if code is not None and code < 0:
            name = signal.Signals(-code).name if -code in {*signal.Signals} else "unknown"
            return f"the kernel died in this cell of signal {-code} ({name}): a crash, or ended from outside"
        if code is not None:
            return f"the kernel died in this cell: its process ended with exit code {code}"
        return "the kernel died in this cell (out of memory, a crash, or ended from outside)"

    @contextlib.contextmanager
    def _soon(self) -> Iterator[None]:
        patience = self.timeout
        self.timeout = _ASIDE_TIMEOUT
        try:
            yield
        finally:
            self.timeout = patience


def _answer(reply: Mapping[str, Any] | None) -> Any:
    said = ((reply or {}).get("content", {}).get("user_expressions") or {}).get("asked", {})
    text = said.get("data", {}).get("text/plain")
    try:
        given = ast.literal_eval(text) if text else None
        return None if given is None else json.loads(given)
    except (ValueError, SyntaxError, TypeError):
        return None


def _peak(pid: int) -> int:
    """Return the most bytes of memory a process has held; elsewhere than on Linux, what it holds now."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            return next((int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:")), 0)
    except OSError:
        pass
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0
