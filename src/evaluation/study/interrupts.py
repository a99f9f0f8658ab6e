"""Ctrl-C while a study runs: once to stop in good order, twice to end at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Any, Self

#: Signals that ask a run to stop.
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Those that listen now; the last one hears the signals.
_listening: list[Interrupts] = []


def stop_requested() -> bool:
    """Tell whether the run of this process was asked to stop and is about to: for whoever shows how it stands."""
    return bool(_listening) and _listening[-1].requested


class Interrupts:
    """Counts the signals that ask a run to stop, as long as the ``with`` block lasts.

    The first one only raises a flag, so that it never hits in the middle of a step's bookkeeping; the
    second raises KeyboardInterrupt. Outside the main thread, where signals cannot be caught, nothing is done.

    Attributes
    ----------
    count : int
        Signals so far.
    """

    def __init__(self) -> None:
        self.count = 0
        self._shielded = False
        self._before: dict[int, Any] = {}

    @property
    def requested(self) -> bool:
        """Whether the run was asked to stop."""
        return self.count > 0

    def __enter__(self) -> Self:
        _listening.append(self)
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                # None stands for a handler that was not set from Python and could not be put back.
                if signal.getsignal(number) not in (None, signal.SIG_IGN):
                    self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _listening.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def shield(self) -> Iterator[None]:
        """Let a second signal wait until the block has ended: a folder is being moved."""
        self._shielded = True
        before = self.count
        try:
            yield
        finally:
            self._shielded = False
        if self.count > max(before, 1):
            raise KeyboardInterrupt

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 1 and not self._shielded:
            raise KeyboardInterrupt
