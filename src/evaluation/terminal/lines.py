"""Plain lines for a log: one where a notebook starts and one where it ends, and a sign of life of the slow ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Self, TextIO

from evaluation.study.interrupts import stop_requested
from evaluation.study.plan import Plan
from evaluation.study.states import Progress
from evaluation.terminal.live import STOPPING
from evaluation.terminal.reasons import spelt_reasons
from evaluation.terminal.snapshot import BROKEN, StepView
from evaluation.terminal.spelling import counted, duration, listed
from evaluation.terminal.tally import Clock, Tally

#: Seconds after which a notebook that goes on is told again.
PATIENCE = 30.0


def _time_of_day() -> str:
    return datetime.now().strftime("%H:%M:%S")


class PlainLines:
    """Tells a run line by line, each written out at once.

    Parameters
    ----------
    plan : Plan
        What is to run.
    stream : text stream
        Where the lines go.
    places : mapping of str to str, optional
        Words for instances.
    clock : callable, optional
        Seconds, by a clock that nobody can put back.
    stamp : callable, optional
        What each line begins with; by default the time of day, for a log that is read in the morning.
    """

    def __init__(
        self,
        plan: Plan,
        stream: TextIO,
        places: Mapping[str, str] | None = None,
        *,
        clock: Clock = time.monotonic,
        stamp: Callable[[], str] = _time_of_day,
    ) -> None:
        self.tally = Tally(plan, places, clock=clock)
        self._stream, self._stamp, self._clock = stream, stamp, clock
        self._told: dict[str, float] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, name="signs-of-life", daemon=True)

    def __enter__(self) -> Self:
        self._say(f"{self.tally.study}: {counted(len(self.tally.view().steps), 'notebook')}")
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()

    def show(self, event: Progress) -> None:
        """Tell the start and the end of a notebook; what its cells do in between is taken in silently."""
        view = self.tally.take(event)
        if view.state != "running":
            with self._lock:
                self._told.pop(view.name, None)
            self._say(f"{self.tally.study} {view.title}: {_ending(view)} ({self.tally.share})")
            return
        with self._lock:
            is_first = self._told.setdefault(view.name, now := self._clock()) == now and not event.done
        if is_first:
            why = f" ({spelt_reasons(view.why)})" if view.why else ""
            self._say(f"{self.tally.study} {view.title}: starts, {counted(view.cells, 'cell')}{why}")

    def note(self, text: str) -> None:
        """Tell what is done beside the notebooks."""
        self._say(f"{self.tally.study}: {text}")

    def remind(self) -> None:
        """Tell of each running notebook of which nothing was told for long, at which cell it is."""
        now = self._clock()
        for view in self.tally.view().steps:
            with self._lock:
                is_due = view.name in self._told and now - self._told[view.name] >= PATIENCE
                if is_due:
                    self._told[view.name] = now
            if is_due and view.state == "running":
                cell = f"cell {min(view.done + 1, view.cells)} of {view.cells}"
                self._say(f"{self.tally.study} {view.title}: {cell}, {duration(view.seconds)}")

    def _look(self) -> None:
        is_told = False
        while not self._over.wait(1.0):
            self.remind()
            if not is_told and stop_requested():
                is_told = True
                self.note(STOPPING)

    def _say(self, line: str) -> None:
        self._stream.write(f"{self._stamp()} {line}".lstrip() + "\n")
        self._stream.flush()


def _ending(view: StepView) -> str:
    spent = f", {duration(view.seconds)}" if view.seconds else ""
    cells = f"{view.state}, {view.done}/{view.cells} cells{spent}"
    if view.state in BROKEN and view.failure is not None:
        cell = f" in cell [{view.failure.cell}] of {view.cells}" if view.failure.cell else ""
        return f"{view.state.upper()}{cell}{spent}: {view.failure.line}"
    if view.state in BROKEN:
        return f"{view.state.upper()}, {view.done}/{view.cells} cells{spent}"
    if view.state == "blocked":
        return f"blocked, needs {listed(view.blocked_by, shown=4)}" if view.blocked_by else "blocked"
    return cells if view.state in ("ok", "cancelled") and view.done else view.state
