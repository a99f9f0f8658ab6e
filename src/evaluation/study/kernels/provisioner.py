"""Kernel provisioner and manager of a run: a forked kernel where that is possible, an ordinary one where not."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import queue
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from subprocess import Popen
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from evaluation.study.kernels.warm import ForkedProcess, NoFork, WarmProcess

#: Seconds between two looks whether a kernel listens, or has ended.
_SOON = 0.005
#: Seconds to wait for sockets; a kernel that takes longer is still waited for by the client.
_PATIENCE = 10

#: Makes a plain kernel end with the thread that started it, also where it is too busy to look for its parent.
_END_WITH_PARENT = """\
__import__("ctypes").CDLL(None).prctl(1, 9)
if __import__("os").getppid() != {parent}:
    __import__("os")._exit(1)
"""

_LAUNCHER = "ipykernel_launcher"
_warm: WarmProcess | None = None


def _common_warm() -> WarmProcess:
    """Return the warm process of this process, for kernels that no run asks for (nbval, JupyterLab)."""
    global _warm
    if _warm is None:
        _warm = WarmProcess()
    return _warm


def close_common() -> None:
    """End the warm process that no run asked for, with its kernels; the next kernel starts another."""
    global _warm
    if _warm is not None:
        _warm.close()
        _warm = None


class ForkProvisioner(LocalProvisioner):
    """Forks Python kernels from a warm process, and starts any other, or what cannot be forked, as usual.

    Attributes
    ----------
    warm : WarmProcess or None
        Forks the kernels; None takes the one of this process.
    on_fall_back : callable or None
        Called with the reason where the kernel is started as usual.
    cancelled : threading.Event or None
        No kernel is started once it is set.
    """

    warm: WarmProcess | None = None
    on_fall_back: Callable[[str], None] | None = None
    cancelled: threading.Event | None = None
    process: Popen[bytes] | ForkedProcess | None  # type: ignore[assignment]

    async def launch_kernel(self, cmd: list[str], **launch: Any) -> KernelConnectionInfo:
        """Start a kernel by the command line ``cmd``; ``launch`` is for ``subprocess.Popen``.

        Raises
        ------
        RuntimeError
            Where the run has been stopped.
        """
        try:
            forked = self._fork(cmd, launch)
        except NoFork as reason:
            if self.cancelled is not None and self.cancelled.is_set():
                raise RuntimeError("the run was stopped") from None
            if self.on_fall_back is not None:
                self.on_fall_back(str(reason))
            return await super().launch_kernel(cmd, **launch)
        self.process, self.pid, self.pgid = forked, forked.pid, forked.pid
        self.cwd = launch.get("cwd") or os.getcwd()
        return self.connection_info

    def _fork(self, cmd: list[str], launch: Mapping[str, Any]) -> ForkedProcess:
        if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
            raise NoFork("kernels are forked on Linux only")
        if cmd[:3] != [sys.executable, "-m", _LAUNCHER]:
            raise NoFork("the kernel is not this interpreter's")
        with open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), _descriptor(launch.get("stdout"), 1), _descriptor(launch.get("stderr"), 2)]
            return (self.warm or _common_warm()).fork(
                [str(_launcher()), *cmd[3:]],
                folder=os.path.abspath(launch.get("cwd") or os.getcwd()),
                environment=launch["env"],
                streams=streams,
            )

    async def wait(self) -> int | None:
        """Wait until the kernel has ended."""
        while await self.poll() is None:
            await asyncio.sleep(_SOON)
        return await super().wait()

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and what it started."""
        if isinstance(self.process, ForkedProcess):
            self.process.send_signal(signum)
        else:
            await super().send_signal(signum)


def _launcher() -> str | None:
    """Return the file that an ordinary kernel runs."""
    found = importlib.util.find_spec(_LAUNCHER)
    return None if found is None else found.origin


def _descriptor(stream: Any, inherited: int) -> int:
    if stream is None:
        return inherited
    return stream if isinstance(stream, int) else int(stream.fileno())


class StudyClient(AsyncKernelClient):
    """A kernel client that is ready as soon as the kernel has answered on both channels."""

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until the kernel answers, and its output channel says that it is idle again.

        Raises
        ------
        RuntimeError
            Where the kernel died, or did not answer in time.
        """
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while True:
            asked = self.kernel_info()
            if await self._answers(asked):
                break
            if not await self.is_alive():
                raise RuntimeError("Kernel died before replying to kernel_info")
            if time.monotonic() > deadline:
                raise RuntimeError(f"Kernel didn't respond in {timeout} seconds")
        if sys.platform == "linux" and isinstance(self.parent, StudyManager) and not self.parent.is_forked:
            await self._answers(self.execute(_END_WITH_PARENT.format(parent=os.getpid()), silent=True))

    async def _answers(self, asked: str) -> bool:
        """Tell whether the reply came within a second, and after it the news that the kernel is idle."""
        try:
            while (reply := await self.get_shell_msg(timeout=1))["parent_header"].get("msg_id") != asked:
                pass
            if reply["msg_type"] == "kernel_info_reply":
                self._handle_kernel_info_reply(reply)
            while True:
                news = await self.get_iopub_msg(timeout=0.2)
                if news["parent_header"].get("msg_id") == asked and news["content"].get("execution_state") == "idle":
                    return True
        except queue.Empty:
            return False


class StudyManager(AsyncKernelManager):
    """Manages one kernel of a run.

    Attributes
    ----------
    place : mapping of str to str
        Where the kernel listens.
    launch : mapping of str to object
        What it is started with, unless the caller says otherwise.
    warm : WarmProcess or None
        Forks it; None for an ordinary kernel.
    on_fall_back : callable or None
        Called with the reason where it could not be forked.
    cancelled : threading.Event or None
        No kernel is forked, or started in place of a forked one, once it is set.
    """

    place: Mapping[str, str] = {}
    launch: Mapping[str, Any] = {}
    warm: WarmProcess | None = None
    on_fall_back: Callable[[str], None] | None = None
    cancelled: threading.Event | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, **self.place, "client_factory": StudyClient})

    @property
    def is_forked(self) -> bool:
        """Whether the kernel was forked from a warm process."""
        return isinstance(getattr(self.provisioner, "process", None), ForkedProcess)

    async def _async_pre_start_kernel(self, **options: Any) -> tuple[list[str], dict[str, Any]]:
        if self.warm is not None and self.provisioner is None:
            self.kernel_id = self.kernel_id or str(uuid.uuid4())
            self.provisioner = ForkProvisioner(kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self)
            self.provisioner.warm, self.provisioner.on_fall_back = self.warm, self.on_fall_back
            self.provisioner.cancelled = self.cancelled
        return await super()._async_pre_start_kernel(**{**self.launch, **options})

    async def _async_launch_kernel(self, kernel_cmd: list[str], **launch: Any) -> None:
        await super()._async_launch_kernel(kernel_cmd, **launch)
        if self.transport != "ipc":
            return
        # Who connects before the kernel listens tries again only a tenth of a second later.
        awaited = [f"{self.ip}-{port}" for port in self.ports]
        deadline = time.monotonic() + _PATIENCE
        while awaited and time.monotonic() < deadline and await self.is_alive():
            awaited = [path for path in awaited if not os.path.exists(path)]
            await asyncio.sleep(_SOON)

    async def _async_wait(self, pollinterval: float = _SOON) -> None:
        await super()._async_wait(min(pollinterval, _SOON))
