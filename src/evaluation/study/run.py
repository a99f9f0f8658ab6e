"""Run a plan: steps by their needs, independent ones at the same time, outputs moved into place only when all is ok."""

from __future__ import annotations

import contextlib
import os
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path

import papermill
from papermill.exceptions import PapermillExecutionError

from evaluation import project
from evaluation.errors import EvaluationError
from evaluation.specification import RESOLVED, read_study
from evaluation.study.engine import ENGINE
from evaluation.study.execution import CELL_TIMEOUT, Execution
from evaluation.study.manifest import published_files, state_of, write_manifest
from evaluation.study.parameters import read_template
from evaluation.study.plan import Plan, PlannedStep, plan_study
from evaluation.study.staging import Kind, Staging, require_free
from evaluation.study.states import Failure, Progress, StepOutcome

ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class RunReport:
    """What became of a run.

    Attributes
    ----------
    study : str
        Id of the study.
    outcomes : tuple of StepOutcome
        One per step, in the order of the plan.
    state : str
        ``"ok"``, ``"skipped"``, ``"failed"`` or ``"cancelled"``.
    folder : Path
        Where the run lies now.
    complete : bool
        Whether these are all steps of the study.
    problem : str
        What went wrong after the steps, such as a report that could not be built; else empty.
    """

    study: str
    outcomes: tuple[StepOutcome, ...]
    state: str
    folder: Path = field(repr=False)
    complete: bool = True
    problem: str = ""

    @property
    def exit_code(self) -> int:
        """0 where all is ok or was skipped, 1 where something failed, 130 where the run was stopped by hand."""
        return {"ok": 0, "skipped": 0, "cancelled": 130}.get(self.state, 1)


def run_study(
    study_id: str,
    *,
    overrides: Mapping[str, str] | None = None,
    only: Sequence[str] = (),
    jobs: int | None = None,
    cell_timeout: int = CELL_TIMEOUT,
    progress: ProgressCallback | None = None,
    finish: Callable[[Path], object] | None = None,
    into: Path | None = None,
) -> RunReport:
    """Plan a study and run it.

    Parameters
    ----------
    study_id : str
        Stem of a file in ``params/``.
    overrides : mapping of str to str, optional
        Parameters as they were typed on the command line.
    only : sequence of str
        Run these steps and what they need. Such a run is kept as ``outputs/partial/<study>`` unless
        it holds all steps.
    jobs, cell_timeout, progress, finish, into
        As for ``run_plan``.

    Raises
    ------
    StudyError
        Before anything is written; see ``plan_study``.
    """
    plan = plan_study(read_study(study_id, resolved=False), overrides=overrides, only=only)
    return run_plan(plan, jobs=jobs, cell_timeout=cell_timeout, progress=progress, finish=finish, into=into)


def run_plan(
    plan: Plan,
    *,
    jobs: int | None = None,
    cell_timeout: int = CELL_TIMEOUT,
    progress: ProgressCallback | None = None,
    finish: Callable[[Path], object] | None = None,
    into: Path | None = None,
) -> RunReport:
    """Run what was planned, each notebook in a kernel of its own.

    Parameters
    ----------
    plan : Plan
        From ``plan_study``.
    jobs : int, optional
        Notebooks that run at the same time; by default as many as there are cores.
    cell_timeout : int
        Seconds a cell may take.
    progress : callable, optional
        Told of each cell; never called twice at the same time.
    finish : callable, optional
        Called with the staged folder of a complete run that is ok, before it is moved into place. An
        EvaluationError it raises makes the run a failed one.
    into : Path, optional
        Where the run goes, ok or not, instead of ``outputs/<study>`` (ok), ``outputs/partial/<study>``
        (ok, but not all steps), ``outputs/failed/<study>`` or ``outputs/skipped/<study>`` (data that the
        user brings are absent: nothing ran, and the manifest and the report say why).

    Returns
    -------
    RunReport
        Also after Ctrl-C: kernels are ended first, and the state is ``"cancelled"``.
    """
    if into is not None:
        require_free(into)
    staging = Staging(plan.study, project.project_root() / "outputs")
    staging.open()
    try:
        resolved = plan.specification.model_dump_json(by_alias=True, indent=2) + "\n"
        (staging.folder / RESOLVED).write_bytes(resolved.encode("utf-8"))
        if plan.skipped:
            outcomes = _skipped(plan, progress)
        else:
            batch = _Batch(plan, staging.folder, cell_timeout, progress)
            outcomes = _without_clashes(staging.folder, batch.run(jobs or _cores()))
        write_manifest(staging.folder, plan, outcomes)
        state, problem = state_of(outcomes), ""
        if (state == "skipped" or (state == "ok" and plan.complete)) and finish is not None:
            try:
                finish(staging.folder)
            except EvaluationError as error:
                state, problem = "failed", f"{type(error).__name__}: {error}"
        kind = _kind(state, plan.complete)
        folder = staging.close(kind) if into is None else staging.hand_over(into)
    except BaseException:
        staging.close("failed")
        raise
    return RunReport(plan.study, tuple(outcomes), state, folder, plan.complete, problem)


def _kind(state: str, complete: bool) -> Kind:
    if state == "skipped":
        return "skipped"
    return "failed" if state != "ok" else "ok" if complete else "partial"


def _skipped(plan: Plan, progress: ProgressCallback | None) -> list[StepOutcome]:
    if progress is not None:
        for step in plan.steps:
            progress(Progress(step.name, 0, step.cells, "skipped"))
    return [
        StepOutcome(step.name, step.notebook, "skipped", cells=step.cells, skipped_because=plan.skipped)
        for step in plan.steps
    ]


def _cores() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _without_clashes(run: Path, outcomes: Sequence[StepOutcome]) -> list[StepOutcome]:
    """Fail a step that published over another's file: which of the two is left would be chance."""
    owner: dict[str, str] = {}
    checked = []
    for outcome in outcomes:
        for file in published_files(run, outcome.step):
            first = owner.setdefault(file, outcome.step)
            if first != outcome.step and outcome.state == "ok":
                fault = f"step '{first}' publishes {file} too. Publish under another name in one of the two"
                outcome = replace(outcome, state="failed", failure=Failure(0, "PublishError", fault))
        checked.append(outcome)
    return checked


class _Batch:
    """The steps of one run while they run."""

    def __init__(self, plan: Plan, run: Path, cell_timeout: int, progress: ProgressCallback | None) -> None:
        self.plan, self.folder, self.cell_timeout = plan, run, cell_timeout
        self.progress = progress
        self.outcomes: dict[str, StepOutcome] = {}
        self.executions: dict[str, Execution] = {}
        self.cancelled = False
        self._lock = threading.Lock()

    def run(self, jobs: int) -> list[StepOutcome]:
        with ThreadPoolExecutor(max_workers=max(1, jobs)) as pool:
            running: dict[Future[StepOutcome], str] = {}
            try:
                while self._start_ready(pool, running):
                    self._collect(running)
            except KeyboardInterrupt:
                self._cancel(running)
            except BaseException:
                self._cancel(running)
                raise
        return [self.outcomes.get(step.name) or self._never_started(step) for step in self.plan.steps]

    def _start_ready(self, pool: ThreadPoolExecutor, running: dict[Future[StepOutcome], str]) -> bool:
        started = {*self.outcomes, *running.values()}
        for step in self.plan.steps:
            if step.name in started:
                continue
            broken = tuple(need for need in step.needs if need in self.outcomes and self.outcomes[need].state != "ok")
            if broken:
                self.outcomes[step.name] = StepOutcome(
                    step.name, step.notebook, "blocked", cells=step.cells, blocked_by=broken
                )
                self._tell(Progress(step.name, 0, step.cells, "blocked"))
            elif all(need in self.outcomes for need in step.needs):
                running[pool.submit(self._run_step, step)] = step.name
        return bool(running)

    def _collect(self, running: dict[Future[StepOutcome], str]) -> None:
        # A wait without a limit cannot be interrupted by Ctrl-C on Windows.
        finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
        for future in finished:
            self.outcomes[running.pop(future)] = future.result()

    def _cancel(self, running: dict[Future[StepOutcome], str]) -> None:
        with self._lock:
            self.cancelled = True
        for future in running:
            future.cancel()
        for execution in list(self.executions.values()):
            execution.cancel()
        wait(running)
        for future, name in running.items():
            if not future.cancelled() and future.exception() is None:
                self.outcomes[name] = future.result()

    def _never_started(self, step: PlannedStep) -> StepOutcome:
        return StepOutcome(step.name, step.notebook, "cancelled", cells=step.cells)

    def _tell(self, event: Progress) -> None:
        if self.progress is not None:
            with self._lock:
                self.progress(event)

    def _run_step(self, step: PlannedStep) -> StepOutcome:
        execution = Execution(
            save_to=self.folder / "notebooks" / f"{step.notebook}.ipynb",
            environment=self._environment(step),
            folder=project.project_root(),
            timeout=self.cell_timeout,
            on_cell=lambda done, cells: self._tell(Progress(step.name, done, cells)),
            hidden=self._hidden(),
            language=str(step.parameters["lang"]),
            sections=self.plan.specification.sections,
        )
        self.executions[step.name] = execution
        if self.cancelled:
            return self._never_started(step)
        begin = time.monotonic()
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
        outcome = StepOutcome(
            step.name,
            step.notebook,
            execution.state,
            execution.done,
            execution.cells,
            time.monotonic() - begin,
            execution.failure,
            tuple(execution.warnings),
        )
        self._tell(Progress(step.name, execution.done, execution.cells, execution.state))
        return outcome

    def _environment(self, step: PlannedStep) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in project.TERMINAL_VARIABLES}
        return (
            inherited
            | project.KERNEL_SETTINGS
            | {
                project.PROJECT_VARIABLE: str(project.project_root()),
                project.RUN_VARIABLE: str(self.folder),
                project.STEP_VARIABLE: step.name,
            }
        )

    def _hidden(self) -> dict[str, str]:
        """Return the absolute paths an output might show, the most specific first."""
        places = {
            str(self.folder): f"outputs/{self.plan.study}",
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
