"""Keeps count of a run while it runs: takes its signs of life, knows at any moment how it stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from evaluation.study.plan import Plan
from evaluation.study.states import GOOD, Progress
from evaluation.terminal.snapshot import RunView, StepView

Clock = Callable[[], float]


class Tally:
    """How a run stands; callable from several threads.

    Parameters
    ----------
    plan : Plan
        What is to run.
    places : mapping of str to str, optional
        Words for instances, from ``places_of``.
    clock : callable, optional
        Seconds, by a clock that nobody can put back.
    """

    def __init__(self, plan: Plan, places: Mapping[str, str] | None = None, *, clock: Clock = time.monotonic) -> None:
        self.study, self.clock = plan.study, clock
        self._begin = clock()
        self._needs = {step.name: step.needs for step in plan.steps}
        self._started: dict[str, float] = {}
        self._ended: set[str] = set()
        self._lock = threading.Lock()
        self._views = {
            step.name: StepView(
                step.name, "waiting", cells=step.cells, notebook=step.output, place=(places or {}).get(step.name, "")
            )
            for step in plan.steps
        }

    def take(self, event: Progress) -> StepView:
        """Take a sign of life in, and return how the step stands now."""
        with self._lock:
            now, view = self.clock(), self._views[event.step]
            if event.state == "running":
                self._started.setdefault(event.step, now)
            else:
                self._ended.add(event.step)
            blocked = self._blockers(event.step) if event.state == "blocked" else ()
            view = replace(
                view,
                state=event.state,
                done=event.done,
                cells=event.cells,
                seconds=now - self._started[event.step] if event.step in self._started else 0.0,
                why=event.why or view.why,
                failure=event.failure or view.failure,
                blocked_by=blocked,
            )
            self._views[event.step] = view
            return view

    @property
    def share(self) -> str:
        """How many notebooks have ended, of how many."""
        with self._lock:
            return f"{len(self._ended):,} of {len(self._views):,}"

    def view(self) -> RunView:
        """Return how the run stands; what is running has run until now."""
        with self._lock:
            now = self.clock()
            steps = tuple(
                replace(view, seconds=now - self._started[view.name]) if view.state == "running" else view
                for view in self._views.values()
            )
        return RunView(self.study, "running", steps, elapsed=now - self._begin)

    def _blockers(self, name: str) -> tuple[str, ...]:
        ended = (*GOOD, "waiting", "running")
        needs = [need for need in self._needs[name] if need in self._views]
        return tuple(need for need in needs if self._views[need].state not in ended)
