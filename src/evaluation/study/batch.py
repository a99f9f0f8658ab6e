"""The steps of one run while they run: what is ready starts, what has not changed is taken from the cache."""

from __future__ import annotations

import contextlib
import functools
import heapq
import os
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import papermill
from papermill.exceptions import PapermillExecutionError

from evaluation import project
from evaluation.errors import CacheDamage
from evaluation.recording import start_code
from evaluation.study.cache import Cache
from evaluation.study.engine import ENGINE
from evaluation.study.events import EventLog
from evaluation.study.execution import CELL_TIMEOUT, Execution
from evaluation.study.interrupts import Interrupts
from evaluation.study.kernels.source import Kernels
from evaluation.study.manifest import STOPPED_BY_ANOTHER
from evaluation.study.outputs import Outputs
from evaluation.study.parameters import read_template
from evaluation.study.plan import Plan, PlannedStep
from evaluation.study.states import Failure, Progress, StepOutcome

ProgressCallback = Callable[[Progress], None]

#: Seconds after which the runner looks whether it was asked to stop.
_BREATH = 0.1
_BY_HAND = ("KeyboardInterrupt", "stopped by hand")
#: Bytes of a file beside what is published that is worth a word: it lies in the run and once more in the cache.
_LARGE = 50_000_000
#: Why a step runs where the user said that it is to run.
FORCED = "asked for (--force)"


class Teller:
    """Tells the event log and whoever watches; never two things at the same time.

    Parameters
    ----------
    log : EventLog
    progress : callable, optional
        Told of each sign of life.
    """

    def __init__(self, log: EventLog, progress: ProgressCallback | None) -> None:
        self.log, self.progress = log, progress
        self._lock = threading.RLock()

    def started(self, step: PlannedStep, why: tuple[str, ...]) -> None:
        """Tell that a step begins to run, and why it has to."""
        self.log.started(step.name, step.cells, why)
        self._tell(Progress(step.name, 0, step.cells, why=why))

    def cell(self, step: PlannedStep, done: int, cells: int) -> None:
        """Tell that a cell has run."""
        if done:
            self.log.cell(step.name, done, cells)
            self._tell(Progress(step.name, done, cells))

    def ended(self, outcome: StepOutcome) -> None:
        """Tell what became of a step."""
        self.log.ended(outcome)
        self._tell(Progress(outcome.step, outcome.done, outcome.cells, outcome.state, failure=outcome.failure))

    def note(self, text: str) -> None:
        """Tell what the user should know beside the steps."""
        self.log.note(text)

    def _tell(self, sign: Progress) -> None:
        if self.progress is not None:
            with self._lock:
                self.progress(sign)


@dataclass(frozen=True)
class Settings:
    """How a run goes about its steps.

    Attributes
    ----------
    jobs : int
        Notebooks that run at the same time.
    cell_timeout : int
        Seconds a cell may take.
    keep_going : bool
        Whether steps that do not need a failed one still run.
    use_cache : bool
        Whether results of earlier runs may stand for a step; what runs is kept either way.
    """

    jobs: int = 1
    cell_timeout: int = CELL_TIMEOUT
    keep_going: bool = True
    use_cache: bool = True


class Batch:
    """The steps of one run while they run.

    Parameters
    ----------
    plan : Plan
    run : Path
        The staging folder.
    teller : Teller
    cache : Cache
    kernels : Kernels
    interrupts : Interrupts
        Says whether the run was asked to stop.
    settings : Settings, optional
    """

    def __init__(
        self,
        plan: Plan,
        run: Path,
        teller: Teller,
        cache: Cache,
        kernels: Kernels,
        interrupts: Interrupts,
        settings: Settings | None = None,
    ) -> None:
        self.plan, self.folder, self.teller = plan, run, teller
        self.cache, self.kernels, self.interrupts = cache, kernels, interrupts
        self.settings = settings or Settings()
        self.outcomes: dict[str, StepOutcome] = {}
        self.outputs = Outputs(run, cache.inputs)
        self._executions: dict[str, Execution] = {}
        self._stopping: tuple[str, str] | None = None
        self._order = {step.name: place for place, step in enumerate(plan.steps)}
        self._waits = {step.name: len(step.needs) for step in plan.steps}
        self._waiting: dict[str, list[str]] = {}
        for step in plan.steps:
            for need in step.needs:
                self._waiting.setdefault(need, []).append(step.name)
        self._ready = [self._order[name] for name, needs in self._waits.items() if not needs]
        self._hidden = _hidden(plan.study, run)

    def run(self) -> list[StepOutcome]:
        """Run all steps and return what became of each, in the order of the plan.

        Raises
        ------
        KeyboardInterrupt
            Where the user asked twice; kernels have been ended.
        """
        running: dict[Future[StepOutcome], str] = {}
        while True:
            try:
                if not self._advance(running):
                    break
            except KeyboardInterrupt:
                # The second may come before the first was looked at.
                if self.interrupts.count > 1 or self._stopping == _BY_HAND:
                    self._stop(*_BY_HAND)
                    raise
                self._stop(*_BY_HAND)
            except BaseException:
                self._stop(*_BY_HAND)
                wait(running, timeout=30)
                raise
        return [self.outcomes.get(step.name) or self._never_started(step) for step in self.plan.steps]

    def _advance(self, running: dict[Future[StepOutcome], str]) -> bool:
        """Start what is ready, wait a moment for what runs; tell whether there is anything left to do."""
        if self.interrupts.requested and self._stopping != _BY_HAND:
            self._stop(*_BY_HAND)
        while self._ready and self._stopping is None and len(running) < self.settings.jobs:
            step = self.plan.steps[heapq.heappop(self._ready)]
            running[_in_thread(functools.partial(self._step, step))] = step.name
        if running:
            self._collect(running)
        if self._stopping is not None:
            self._cancel()
        return bool(running) or (bool(self._ready) and self._stopping is None)

    def _collect(self, running: dict[Future[StepOutcome], str]) -> None:
        finished, _ = wait(running, timeout=_BREATH, return_when=FIRST_COMPLETED)
        for execution in list(self._executions.values()):
            execution.watch()
        for future in sorted(finished, key=lambda future: self._order[running[future]]):
            name = running.pop(future)
            self._settle(future.result())
            if not self.outcomes[name].is_good and not self.settings.keep_going and self._stopping is None:
                self._stop(STOPPED_BY_ANOTHER, f"stopped because step '{name}' {self.outcomes[name].state}")

    def _settle(self, outcome: StepOutcome) -> None:
        """Note what became of a step, and what of those that waited for it."""
        settled = [outcome]
        while settled:
            outcome = settled.pop()
            self.outcomes[outcome.step] = outcome
            for name in self._waiting.get(outcome.step, ()):
                self._waits[name] -= 1
                if self._waits[name]:
                    continue
                step = self.plan.steps[self._order[name]]
                broken = tuple(need for need in step.needs if not self.outcomes[need].is_good)
                if not broken:
                    heapq.heappush(self._ready, self._order[name])
                elif self._stopping is None:
                    blocked = StepOutcome(name, step.output, "blocked", cells=step.cells, blocked_by=broken)
                    self.teller.ended(blocked)
                    settled.append(blocked)

    def _stop(self, error: str, message: str) -> None:
        self._stopping = (error, message)
        self._cancel()
        self.kernels.cancel()

    def _cancel(self) -> None:
        """End the kernels that run; one that is just being started is caught the next time."""
        if self._stopping is not None:
            for execution in list(self._executions.values()):
                execution.cancel(*self._stopping)

    def _never_started(self, step: PlannedStep) -> StepOutcome:
        by_another = self._stopping is not None and self._stopping != _BY_HAND
        failure = Failure(0, *self._stopping) if by_another and self._stopping else None
        outcome = StepOutcome(step.name, step.output, "cancelled", cells=step.cells, failure=failure)
        self.teller.ended(outcome)
        return outcome

    def _step(self, step: PlannedStep) -> StepOutcome:
        """Take a step from the cache or run it; a full disk, or whatever else, fails the step and not the run."""
        try:
            return self._run_step(step)
        except OSError as error:
            kind = type(error).__name__
            fault = f"{error.strerror or error}: {error.filename or 'outputs/'}. Free some space, then run again"
        except Exception as error:  # noqa: BLE001 -- the other steps go on, and this one says what it was
            kind = type(error).__name__
            fault = f"{error or 'no words'}. The runner could not go on with this step. Run again with --force"
        failure = Failure(0, kind, fault.replace(str(project.project_root()) + os.sep, ""))
        outcome = StepOutcome(step.name, step.output, "failed", cells=step.cells, failure=failure)
        self.teller.ended(outcome)
        return outcome

    def _run_step(self, step: PlannedStep) -> StepOutcome:
        begin = time.monotonic()
        upstream = self.cache.upstream(step, self.folder)
        kept, why, files = self._from_cache(step, upstream)
        if kept is not None:
            self.outputs.ended(step, files)
            outcome = replace(kept, seconds=time.monotonic() - begin)
            self.teller.ended(outcome)
            return outcome
        self.teller.started(step, why)
        execution = self._execution(step, upstream)
        self._executions[step.name] = execution
        if self._stopping is not None:
            execution.cancel(*self._stopping)
        try:
            self._execute(step, execution)
        finally:
            del self._executions[step.name]
        outcome = StepOutcome(
            step.name,
            step.output,
            execution.state,
            execution.done,
            execution.cells,
            time.monotonic() - begin,
            execution.failure,
            tuple(execution.warnings),
            peak_memory_bytes=int((execution.record or {}).get("peak_memory_bytes") or execution.peak_memory_bytes),
        )
        self._tell_large(step, (execution.record or {}).get("left", ()))
        if outcome.state == "ok":
            self.outputs.ended(step, (execution.record or {}).get("left", ()))
            not_kept = self.cache.keep(step, upstream, self.folder, outcome, execution.record)
            if not_kept:
                self.teller.note(f"{step.name} is not kept: {not_kept}")
        self.teller.ended(outcome)
        return outcome

    def _tell_large(self, step: PlannedStep, files: Iterable[str]) -> None:
        """Tell of files that a step wrote into the run folder and that fill the disk."""
        for file in files:
            with contextlib.suppress(OSError):
                size = os.lstat(self.folder / file).st_size
                if size > _LARGE:
                    self.teller.note(
                        f"{step.name} left {file} with {size / 1e6:,.0f} MB in the run folder; the cache holds it once "
                        "more. If nobody needs it, take its line out of the notebook"
                    )

    def _from_cache(
        self, step: PlannedStep, upstream: Mapping[str, str]
    ) -> tuple[StepOutcome | None, tuple[str, ...], Iterable[str]]:
        """Return what was kept of a step or None, why it has to run, and the files that were put into the run."""
        if not self.settings.use_cache:
            return None, (FORCED,), ()
        verdict = self.cache.look_up(step, upstream)
        if verdict.entry is None:
            return None, verdict.why, ()
        try:
            kept = self.cache.restore(verdict.entry, self.folder)
            self._tell_large(step, verdict.entry.files)
            return kept, (), verdict.entry.files
        except CacheDamage as damage:
            self.teller.note(f"{step.name}: {damage}")
            return None, ("what was kept of it is damaged",), ()
        except OSError as error:
            return None, (f"what was kept of it cannot be put back ({error.strerror})",), ()

    def _execution(self, step: PlannedStep, upstream: Mapping[str, str]) -> Execution:
        return Execution(
            save_to=self.folder / "notebooks" / f"{step.output}.ipynb",
            environment=self._environment(step),
            folder=project.project_root(),
            timeout=self.settings.cell_timeout,
            on_cell=lambda done, cells: self.teller.cell(step, done, cells),
            hidden=self._hidden,
            language=str(step.parameters["lang"]),
            sections=self.plan.specification.sections,
            kernels=self.kernels,
            recording=start_code(project.project_root(), self.folder),
            on_start=lambda pid: self.teller.log.kernel(step.name, pid),
            approve=lambda record: self._approve(step, record, upstream),
        )

    def _approve(
        self, step: PlannedStep, record: Mapping[str, Any] | None, upstream: Mapping[str, str]
    ) -> Failure | None:
        """Fail a step that read something else than the steps before it did, or touched what others published."""
        changes = self.cache.inputs.check(step.name, record)
        if changes:
            return Failure(0, "SourceError", "\n".join(change.message for change in changes))
        return self.outputs.fault(step, record, upstream)

    def _execute(self, step: PlannedStep, execution: Execution) -> None:
        # What a failing cell raises is in the execution: its state and where it stopped.
        with contextlib.suppress(PapermillExecutionError):
            papermill.execute_notebook(
                read_template(step.notebook),
                None,
                dict(step.given),
                engine_name=ENGINE,
                kernel_name="python3",
                language="python",
                progress_bar=False,
                execution=execution,
            )

    def _environment(self, step: PlannedStep) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in project.TERMINAL_VARIABLES}
        return (
            inherited
            | project.KERNEL_SETTINGS
            | {
                project.PROJECT_VARIABLE: str(project.project_root()),
                project.RUN_VARIABLE: str(self.folder),
                project.STEP_VARIABLE: step.name,
                project.INSTANCE_VARIABLE: step.label,
            }
        )


def _in_thread(work: Callable[[], StepOutcome]) -> Future[StepOutcome]:
    """Do something in a thread that does not hold the process back when the user wants it to end."""
    future: Future[StepOutcome] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 -- handed over to whoever asks for the result
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _hidden(study: str, run: Path) -> dict[str, str]:
    """Return the absolute paths an output might show, the most specific first."""
    places = {
        str(run): f"outputs/{study}",
        sysconfig.get_path("purelib"): "<packages>",
        sysconfig.get_path("stdlib"): "<python>",
        str(project.project_root()): ".",
    }
    home = str(Path.home())
    for path, shown in list(places.items()):
        if path.startswith(home + os.sep):
            places["~" + path.removeprefix(home)] = shown
    if len(Path(home).parts) > 1:
        places[home] = "~"
    return dict(sorted(places.items(), key=lambda place: -len(place[0])))
