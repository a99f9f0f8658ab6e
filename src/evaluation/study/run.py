"""Run a plan: steps by their needs, independent ones at the same time, outputs moved into place only when all is ok."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from evaluation import project
from evaluation.errors import EvaluationError, StudyError
from evaluation.specification import RESOLVED, read_study
from evaluation.study import lock
from evaluation.study.batch import Batch, ProgressCallback, Settings, Teller
from evaluation.study.cache import Cache
from evaluation.study.entries import sweep
from evaluation.study.events import EVENTS, EventLog, known_runs
from evaluation.study.execution import CELL_TIMEOUT
from evaluation.study.hashes import Change
from evaluation.study.interrupts import Interrupts
from evaluation.study.kernels.source import Kernels
from evaluation.study.manifest import inputs_of, published_files, restate, state_of, write_manifest
from evaluation.study.orphans import end_orphans
from evaluation.study.plan import Plan, plan_study
from evaluation.study.staging import Kind, Staging, require_free
from evaluation.study.states import Failure, StepOutcome


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
    keep_going: bool = True,
    use_cache: bool = True,
    kernel: Literal["forked", "plain"] = "forked",
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
    jobs, cell_timeout, progress, finish, into, keep_going, use_cache, kernel
        As for ``run_plan``.

    Raises
    ------
    StudyError
        Before anything is written; see ``plan_study`` and ``run_plan``.
    """
    return run_plan(
        plan_study(read_study(study_id, resolved=False), overrides=overrides, only=only),
        jobs=jobs,
        cell_timeout=cell_timeout,
        progress=progress,
        finish=finish,
        into=into,
        keep_going=keep_going,
        use_cache=use_cache,
        kernel=kernel,
    )


def run_plan(
    plan: Plan,
    *,
    jobs: int | None = None,
    cell_timeout: int = CELL_TIMEOUT,
    progress: ProgressCallback | None = None,
    finish: Callable[[Path], object] | None = None,
    into: Path | None = None,
    keep_going: bool = True,
    use_cache: bool = True,
    kernel: Literal["forked", "plain"] = "forked",
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
    keep_going : bool, default True
        After a failure, still run the steps that do not need the failed one. With False nothing new
        starts, and what runs is cancelled.
    use_cache : bool, default True
        Take the results of steps that nothing has changed for from ``outputs/.cache/<study>``. With False
        every step runs; either way what runs is kept there.
    kernel : {"forked", "plain"}, default "forked"
        ``"forked"`` saves the start of an interpreter per notebook, on Linux; elsewhere, and where
        forking fails, kernels are plain.

    Returns
    -------
    RunReport
        Also after Ctrl-C: kernels are ended first, and the state is ``"cancelled"``.

    Raises
    ------
    StudyError
        Where the study is being run already; where ``outputs/`` cannot be written.
    KeyboardInterrupt
        After Ctrl-C twice: no kernel is left, and the run stays in ``outputs/.staging`` until the next one.
    """
    if into is not None:
        require_free(into)
    settings = Settings(max(1, jobs or _cores()), cell_timeout, keep_going, use_cache)
    with Interrupts() as interrupts, lock.holding(plan.study) as told:
        run = _Run(plan, settings, kernel, interrupts, progress)
        return run.go(told, finish, into)


class _Run:
    """One run, from its staging folder to its place."""

    def __init__(
        self,
        plan: Plan,
        settings: Settings,
        kernel: Literal["forked", "plain"],
        interrupts: Interrupts,
        progress: ProgressCallback | None,
    ) -> None:
        self.plan, self.settings, self.kernel = plan, settings, kernel
        self.interrupts, self.progress = interrupts, progress
        outputs = project.project_root() / "outputs"
        self.staging = Staging(plan.study, outputs)
        self.cache_folder = outputs / ".cache" / plan.study
        self.problem = ""
        self.inputs: dict[str, str | None] = {}

    def go(self, told: str, finish: Callable[[Path], object] | None, into: Path | None) -> RunReport:
        earlier = known_runs(self.plan.study)
        left = next((run for run in earlier if run.folder == self.staging.folder), None)
        if left is not None:
            end_orphans(left.kernels)
        self.staging.open()
        number = 1 + max((run.number for run in earlier), default=0)
        with EventLog(self.staging.folder / EVENTS) as log:
            cells = {step.name: step.cells for step in self.plan.steps}
            log.run(
                self.plan.study,
                number,
                cells,
                jobs=self.settings.jobs,
                kernel=self.kernel,
                complete=self.plan.complete,
                only=self.plan.only,
                given=self.plan.overrides,
            )
            for text in (told, left and f"run {left.number} was killed; what it had finished is taken from the cache"):
                if text:
                    log.note(text)
            try:
                outcomes = self._steps(log)
                state = self._finished(outcomes, finish)
            except KeyboardInterrupt:
                log.note("ended at once, asked twice")
                raise
            except OSError as error:
                log.close()
                self._give_up()
                raise StudyError(_told(error, f"this run of '{self.plan.study}'")) from None
            except BaseException:
                log.close()
                self._give_up()
                raise
            if self.problem:
                log.note(self.problem)
            report = RunReport(self.plan.study, tuple(outcomes), state, Path(), self.plan.complete, self.problem)
            log.end(state, report.exit_code, {"run": _size(self.staging.folder), "cache": _size(self.cache_folder)})
        with self.interrupts.shield():
            kind = _kind(state, self.plan.complete)
            folder = self.staging.close(kind) if into is None else self.staging.hand_over(into)
        return replace(report, folder=folder)

    def _give_up(self) -> None:
        """Keep what there is as a failed run; where even that cannot be done, the next run clears it away."""
        with contextlib.suppress(StudyError):
            self.staging.close("failed")

    def _steps(self, log: EventLog) -> list[StepOutcome]:
        """Run the steps and return what became of each."""
        folder, plan = self.staging.folder, self.plan
        self.inputs = inputs_of(plan)
        resolved = plan.specification.model_dump_json(by_alias=True, indent=2) + "\n"
        (folder / RESOLVED).write_bytes(resolved.encode("utf-8"))
        teller = Teller(log, self.progress)
        if plan.skipped:
            outcomes = [
                StepOutcome(step.name, step.output, "skipped", cells=step.cells, skipped_because=plan.skipped)
                for step in plan.steps
            ]
            for outcome in outcomes:
                teller.ended(outcome)
            return outcomes
        with Kernels(self.kernel) as kernels:
            cache = Cache(self.cache_folder, plan)
            batch = Batch(plan, folder, teller, cache, kernels, self.interrupts, self.settings)
            outcomes = _without_clashes(folder, batch.run(), teller)
            outcomes = _with_faults(outcomes, batch.outputs.faults(plan.steps), teller)
            if state_of(outcomes) == "ok":
                outcomes = _without_changes(outcomes, cache.inputs.changed(), teller)
            for file in cache.inputs.mixed_code():
                self.problem = self.problem or _changed(file)
                teller.note(
                    f"{file} changed while the study ran: some steps ran what it was before, some what it is now"
                )
            if state_of(outcomes) == "ok" and plan.complete:
                sweep(self.cache_folder, {step.name for step in plan.steps})
            if kernels.fell_back:
                teller.note(f"kernels were plain: {kernels.fell_back}")
        return outcomes

    def _finished(self, outcomes: Sequence[StepOutcome], finish: Callable[[Path], object] | None) -> str:
        """Write the manifest and what the caller adds to a good run; return what became of the run."""
        state = state_of(outcomes)
        try:
            now = inputs_of(self.plan)
            changed = [file for file, digest in self.inputs.items() if now.get(file) != digest]
            if changed:
                self.problem = _changed(changed[0])
            if state == "ok" and self.problem:
                state = "failed"
            write_manifest(self.staging.folder, self.plan, outcomes, self.inputs)
            if (state == "skipped" or (state == "ok" and self.plan.complete)) and finish is not None:
                finish(self.staging.folder)
        except EvaluationError as error:
            state, self.problem = "failed", f"{type(error).__name__}: {error}"
        except OSError as error:
            state, self.problem = "failed", _told(error, "the manifest or the report of this run")
        state = "cancelled" if self.interrupts.requested else state
        restate(self.staging.folder, state)
        return state


def _changed(file: str) -> str:
    """Say that nobody can tell which version of a file a run rests on."""
    return f"{file} changed while the study ran, so nobody can say which version its results rest on. Run again"


def _told(error: OSError, what: str) -> str:
    """Say what could not be written, where, and what to do."""
    root = str(project.project_root()) + os.sep
    place = str(error.filename or "outputs/").replace(root, "")
    return (
        f"{what} cannot be written ({error.strerror or error}: {place}). What stood in outputs/ before is as it was. "
        "Make outputs/ writable, or free some space on its disk, then run again."
    )


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    total = 0
    for place, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except OSError:
                continue
    return total


def _kind(state: str, complete: bool) -> Kind:
    if state == "skipped":
        return "skipped"
    return "failed" if state != "ok" else "ok" if complete else "partial"


def _cores() -> int:
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def _without_changes(outcomes: list[StepOutcome], changes: Sequence[Change], teller: Teller) -> list[StepOutcome]:
    """Fail the steps whose data changed after they had read them: the manifest would name what they did not read."""
    told: dict[str, list[str]] = {}
    for change in changes:
        told.setdefault(change.first, []).append(change.message)
    faults = {step: Failure(0, "SourceError", "\n".join(lines)) for step, lines in told.items()}
    return _with_faults(outcomes, faults, teller)


def _with_faults(outcomes: list[StepOutcome], faults: Mapping[str, Failure], teller: Teller) -> list[StepOutcome]:
    """Fail those steps, so far good, of which something is known only now."""
    checked = []
    for outcome in outcomes:
        if outcome.is_good and outcome.step in faults:
            outcome = replace(outcome, state="failed", failure=faults[outcome.step])
            teller.ended(outcome)
        checked.append(outcome)
    return checked


def _without_clashes(run: Path, outcomes: Sequence[StepOutcome], teller: Teller) -> list[StepOutcome]:
    """Fail a step that published over another's file: which of the two is left would be chance."""
    owner: dict[str, str] = {}
    checked = []
    for outcome in outcomes:
        for file in published_files(run, outcome.step):
            first = owner.setdefault(file, outcome.step)
            if first != outcome.step and outcome.is_good:
                fault = f"step '{first}' publishes {file} too. Publish under another name in one of the two"
                outcome = replace(outcome, state="failed", failure=Failure(0, "PublishError", fault))
                teller.ended(outcome)
        checked.append(outcome)
    return checked
