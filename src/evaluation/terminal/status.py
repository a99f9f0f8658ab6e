"""From what a run wrote down to how it stands: running, dead or ended, in this process or another."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.specification import RESOLVED
from evaluation.study.events import EVENTS, RunLog, latest_run, read_events
from evaluation.study.manifest import outcomes_of, read_manifest
from evaluation.study.run import RunReport
from evaluation.study.states import Progress, StepOutcome
from evaluation.terminal import screen
from evaluation.terminal.end_report import end_report, one_line
from evaluation.terminal.places import places_named
from evaluation.terminal.snapshot import RunView, Standing, StepView


def status_pages(studies: Sequence[str], *, is_overview: bool = False, verbose: bool = False) -> list[RenderableType]:
    """Return how the last runs of some studies stand, ready to print.

    Parameters
    ----------
    studies : sequence of str
    is_overview : bool
        Give runs that are good one line each, and say in words which studies never ran, which is
        else an error.
    verbose : bool
        Fold nothing.

    Raises
    ------
    ProjectError
        Where a study never ran.
    """
    pages: list[RenderableType] = []
    for study in studies:
        try:
            view = view_of_latest(study)
        except ProjectError as error:
            if not is_overview:
                raise
            pages.append(f"{study}: {error}")
            continue
        if is_overview and not verbose and view.state in ("ok", "skipped"):
            pages.append(one_line(view))
        else:
            pages += [*[""] * bool(pages), end_report(view, width=screen.width(), full=verbose), ""]
    return pages[:-1] if pages and pages[-1] == "" else pages


def view_of_latest(study: str) -> RunView:
    """Return how the newest run of a study stands.

    Parameters
    ----------
    study : str
        Id of the study.

    Raises
    ------
    ProjectError
        Where it never ran.
    """
    try:
        return view_of_log(latest_run(study))
    except ProjectError:
        run = project.project_root() / "outputs" / study
        if not (run / project.MANIFEST).is_file():
            raise
        return _of_manifest(study, run)


def view_of_report(report: RunReport) -> RunView:
    """Return how a run stands that this process has just ended."""
    places = _places(report.folder, [outcome.step for outcome in report.outcomes])
    page = report.folder / "report" / "index.html"
    try:
        log: RunLog | None = read_events(report.folder / EVENTS)
    except ProjectError:
        # The disk may have been full: what became of the steps is known all the same.
        log = None
    why = log.why if log else {}
    return RunView(
        report.study,
        report.state,
        tuple(
            StepView.of(outcome, place=places.get(outcome.step, ""), why=why.get(outcome.step, ()))
            for outcome in report.outcomes
        ),
        number=log.number if log else 0,
        elapsed=log.elapsed if log else 0.0,
        folder=relative(report.folder),
        complete=report.complete,
        problem=report.problem,
        notes=tuple(note for note in log.notes if note != report.problem) if log else (),
        disk=log.disk if log else {},
        page=relative(page) if page.is_file() else "",
        commit=_commit(report.folder),
        options=_options(log) if log else "",
    )


def view_of_log(log: RunLog) -> RunView:
    """Return how a run stands, as its events tell."""
    places = _places(log.folder, list(log.cells))
    ended = {outcome.step: outcome for outcome in log.outcomes}
    quiet = silence(log) if log.state == "running" else 0.0
    now = log.elapsed + quiet
    steps = tuple(_step(step, cells, ended, log, places.get(step, ""), now) for step, cells in log.cells.items())
    page = log.folder / "report" / "index.html"
    return RunView(
        log.study,
        log.state,
        steps,
        number=log.number,
        elapsed=now,
        folder=relative(log.folder),
        pid=log.pid,
        complete=log.complete and log.folder != project.project_root() / "outputs" / "partial" / log.study,
        notes=log.notes,
        disk=log.disk,
        page=relative(page) if page.is_file() else "",
        silence=quiet,
        commit=_commit(log.folder),
        options=_options(log),
    )


def _options(log: RunLog) -> str:
    """Return what the command of a run named beside the study, to be typed again."""
    given = [word for name, value in log.given.items() for word in ("-p", f"{name}={value}")]
    return shlex.join([*(word for step in log.only for word in ("--only", step)), *given])


def silence(log: RunLog) -> float:
    """Return the seconds since a run last wrote a line; 0 where the clock was put back."""
    try:
        return max(0.0, time.time() - (log.folder / EVENTS).stat().st_mtime)
    except OSError:
        return 0.0


def _step(name: str, cells: int, ended: Mapping[str, StepOutcome], log: RunLog, place: str, now: float) -> StepView:
    why = log.why.get(name, ())
    if name in ended:
        return StepView.of(ended[name], place=place, why=why)
    sign: Progress | None = log.running.get(name)
    if sign is None:
        return StepView(name, "waiting", cells=cells, place=place)
    state: Standing = "running" if log.state == "running" else "interrupted"
    return StepView(name, state, sign.done, sign.cells, now - log.begun.get(name, now), place=place, why=why)


def _of_manifest(study: str, run: Path) -> RunView:
    """Return how a run stands that was made before runs told their events."""
    manifest = read_manifest(run)
    steps = tuple(StepView.of(outcome) for outcome in outcomes_of(manifest))
    page = run / "report" / "index.html"
    return RunView(
        study,
        manifest["state"],
        steps,
        folder=relative(run),
        complete=manifest["complete"],
        page=relative(page) if page.is_file() else "",
        commit=_commit(run),
    )


def _commit(run: Path) -> str:
    """Return the commit that a run's manifest names, and whether anything differed from it."""
    try:
        git = read_manifest(run)["git"]
    except (ProjectError, KeyError):
        return ""
    changed = ", with changes not committed" if git and git["dirty"] else ""
    return f"{git['commit'][:12]}{changed}" if git else ""


def _places(run: Path, steps: list[str]) -> dict[str, str]:
    """Return the words for instances, from the study as it was resolved for that run."""
    if not any("/" in step for step in steps):
        return {}
    try:
        resolved = json.loads((run / RESOLVED).read_text(encoding="utf-8"))
        matrices = {name: list(step.get("matrix") or {}) for name, step in resolved["steps"].items()}
        lang = str((resolved.get("parameters") or {}).get("lang", "en"))
        return places_named(str(resolved["survey"]), steps, matrices, lang)
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}


def relative(path: Path) -> str:
    """Return a path relative to the project, with ``/``; as it is where it lies elsewhere."""
    root = project.project_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
