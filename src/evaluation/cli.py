"""The command ``evaluation``: thin; each command calls one function and prints what it returned."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from evaluation import project
from evaluation.errors import EvaluationError, ProjectError
from evaluation.specification import read_study

if TYPE_CHECKING:
    from evaluation.study.plan import Plan
    from evaluation.study.run import RunReport
    from evaluation.study.states import Progress, StepOutcome

#: Exit codes beside 0 (ok) and those of other programs.
FAILED, BAD_INPUT, STOPPED = 1, 2, 130

app = typer.Typer(
    help="Run, check and review survey studies. Start with: evaluation run",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

Study = Annotated[str, typer.Argument(metavar="STUDY", help="Stem of a file in params/.")]
#: Lines of an error's message that are shown; an executed notebook holds them all.
_SHOWN = 25
_COLOURS = {"ok": "green", "blocked": "yellow", "cancelled": "yellow", "skipped": "yellow"}


def _print(*parts: object) -> None:
    Console(soft_wrap=True, highlight=False, markup=False).print(*parts)


@app.command()
def run(
    studies: Annotated[
        list[str] | None, typer.Argument(metavar="STUDIES", help="Studies to run; without any, all.")
    ] = None,
    parameter: Annotated[
        list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Set a parameter for this run.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="STEP", help="Run this step and what it needs.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Notebooks at the same time; default: cores.")
    ] = None,
) -> None:
    """Run studies: check the parameters, run the notebooks, build the report."""
    overrides = _overrides(parameter or [])
    plans = [_planned(study, overrides, only or ()) for study in studies or _all_studies()]
    reports = []
    for plan in plans:
        reports.append(_run(plan, jobs))
        if reports[-1].exit_code == STOPPED:
            break
    for report in reports:
        _tell_where(report)
    raise typer.Exit(max(report.exit_code for report in reports))


def _planned(study: str, overrides: dict[str, str], only: Sequence[str]) -> Plan:
    """Plan a study, and hold its chains and estimates to the verbs they name, before anything runs."""
    from evaluation.declared.checks import check_declarations
    from evaluation.study.plan import plan_study

    specification = read_study(study, resolved=False)
    planned = plan_study(specification, overrides=overrides, only=only)
    check_declarations(specification)
    return planned


def _overrides(texts: Sequence[str]) -> dict[str, str]:
    values = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise ProjectError(f"-p {text}: expected NAME=VALUE, for instance -p trim_upper=4.")
        if name.strip() in values:
            raise ProjectError(f"-p {text}: '{name.strip()}' is given twice. Keep one of the two.")
        values[name.strip()] = value
    return values


def _all_studies() -> list[str]:
    studies = project.study_ids()
    if not studies:
        raise ProjectError("params/ holds no study, so there is nothing to run. Write params/<study>.yml first.")
    return studies


def _run(plan: Plan, jobs: int | None) -> RunReport:
    from evaluation.study.run import run_plan

    with _ProgressView(plan) as show:
        report = run_plan(plan, jobs=jobs, progress=show, finish=_build_site)
    _print(_outcome_table(plan.study, report.outcomes))
    return report


def _build_site(run: Path) -> Path:
    from evaluation.report.site import build_site

    return build_site(run)


class _ProgressView:
    """Shows a run: bars on a terminal, else one line per cell."""

    def __init__(self, plan: Plan) -> None:
        self.study = plan.study
        self.console = Console(stderr=False, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Bars(*columns, console=self.console) if self.console.is_terminal else None
        self.tasks: dict[str, TaskID] = {}
        if self.bars is not None:
            width = max(len(step.name) for step in plan.steps)
            for step in plan.steps:
                label = f"{self.study} {step.name:<{width}}"
                self.tasks[step.name] = self.bars.add_task(label, total=step.cells, start=False)

    def __enter__(self) -> Callable[[Progress], None]:
        if self.bars is not None:
            self.bars.start()
        return self.show

    def __exit__(self, *_: object) -> None:
        if self.bars is not None:
            self.bars.stop()

    def show(self, event: Progress) -> None:
        """Show one event."""
        if self.bars is None:
            ending = "" if event.state == "running" else f" {event.state}"
            if event.done or ending:
                print(f"{self.study} {event.step} {event.done}/{event.cells}{ending}", flush=True)
            return
        task = self.tasks[event.step]
        if event.state in ("running", "ok") and not self.bars.tasks[task].started:
            self.bars.start_task(task)
        self.bars.update(task, completed=event.done, total=event.cells)
        if event.state != "running":
            self.bars.stop_task(task)


def _outcome_table(title: str, outcomes: Sequence[StepOutcome]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_edge=False)
    for column in ("step", "state", "cells", "seconds"):
        table.add_column(column, justify="right" if column in ("cells", "seconds") else "left", no_wrap=True)
    for outcome in outcomes:
        state = Text(outcome.state, style=_COLOURS.get(outcome.state, "red"))
        table.add_row(outcome.step, state, f"{outcome.done}/{outcome.cells}", f"{outcome.seconds:.1f}")
    return table


def _tell_failures(folder: str, outcomes: Sequence[StepOutcome]) -> None:
    told: dict[str, str] = {}
    for outcome in outcomes:
        failure = outcome.failure
        if outcome.state == "ok":
            continue
        if outcome.skipped_because:
            same = told.setdefault(outcome.skipped_because, outcome.step)
            _print(f"{outcome.step}: skipped")
            _print(_indented(outcome.skipped_because if same == outcome.step else f"for the same reason as {same}"))
            continue
        if failure is None:
            _print(f"{outcome.step}: {outcome.state}" + (f", {outcome.reason}" if outcome.reason else ""))
            continue
        cell = f"{folder}/notebooks/{outcome.notebook}.ipynb, cell [{failure.cell}]"
        _print(f"{outcome.step}: {cell if failure.cell else outcome.state}")
        same = told.setdefault(failure.text, outcome.step)
        _print(_indented(failure.text if same == outcome.step else f"the same as in {same}"))


def _indented(text: str) -> str:
    lines = text.splitlines()
    more = [f"... and {len(lines) - _SHOWN} further lines in that notebook"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}".rstrip() for line in [*lines[:_SHOWN], *more])


def _tell_where(report: RunReport) -> None:
    folder = _relative(report.folder)
    _tell_failures(folder, report.outcomes)
    if report.state == "skipped":
        why = _relative(report.folder / "report" / "index.html")
        _print(f"{report.study}: skipped, {why} says why; outputs/{report.study} was not touched")
        return
    if report.state != "ok":
        if report.problem:
            _print(Text(report.problem, style="red"))
        _print(f"{report.study}: {report.state}; this run is kept in {folder}, outputs/{report.study} was not touched")
        return
    page = report.folder / "report" / "index.html"
    part = "" if report.complete else " (only a part of the study)"
    _print(f"{report.study}: ok, {_relative(page if page.is_file() else report.folder)}{part}")


def _relative(path: Path) -> str:
    root = project.project_root()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


@app.command()
def plan(
    study: Study,
    parameter: Annotated[list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", metavar="STEP")] = None,
) -> None:
    """Check a study and print what would run; nothing is written."""
    planned = _planned(study, _overrides(parameter or []), only or ())
    if planned.skipped:
        _print(f"every step will be skipped: {planned.skipped}")
    for step in planned.steps:
        needs = f", after {', '.join(step.needs)}" if step.needs else ""
        _print(f"{step.name} (notebooks/{step.notebook}.ipynb, {step.cells} cells{needs})")
        for name, value in step.parameters.items():
            origin = "" if name in step.given else "  (default)"
            help_text = f"  # {step.declared[name].help}" if step.declared[name].help else ""
            _print(f"  {name} = {value!r}{origin}{help_text}")


@app.command()
def status(study: Study) -> None:
    """Print what became of each step in the last run."""
    from evaluation.project import MANIFEST
    from evaluation.study.manifest import outcomes_of, read_manifest

    project.study_file(study)
    outputs = project.project_root() / "outputs"
    places = (outputs / study, outputs / "failed" / study, outputs / "skipped" / study)
    runs = [run for run in places if (run / MANIFEST).is_file()]
    last = max(runs, key=lambda run: (run / MANIFEST).stat().st_mtime_ns, default=outputs / study)
    manifest = read_manifest(last)
    outcomes = outcomes_of(manifest)
    commit = manifest["git"]["commit"][:12] if manifest["git"] else "none"
    changed = " with changes not committed" if manifest["git"] and manifest["git"]["dirty"] else ""
    _print(_outcome_table(f"{_relative(last)}: {manifest['state']}, commit {commit}{changed}", outcomes))
    _tell_failures(_relative(last), outcomes)


@app.command()
def review(
    study: Study,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the reviewer's run; else a temporary one.")
    ] = None,
) -> None:
    """Recompute a study in a clean place and hold it against its claims, one by one."""
    from evaluation.review import review_study

    result = review_study(study, out=out)
    _print(result.summary())
    raise typer.Exit(result.exit_code)


@app.command()
def accept(study: Study) -> None:
    """Make the last good run the published one, and print which numbers differ from before."""
    from evaluation.review import accept_run

    _print(accept_run(study))


@app.command()
def report(study: Study) -> None:
    """Build the report of the last good run again."""
    from evaluation.report.site import build_site
    from evaluation.study.manifest import read_manifest

    project.study_file(study)
    run = project.project_root() / "outputs" / study
    read_manifest(run)
    _print(_relative(build_site(run)))


@app.command()
def validate(study: Study) -> None:
    """Run the published notebooks again and compare every output with what is stored."""
    project.study_file(study)
    reference = project.project_root() / "outputs" / "reference" / study
    if not reference.is_dir():
        raise ProjectError(
            f"nothing is published for '{study}' (outputs/reference/{study} does not exist). "
            f"Publish a good run first: evaluation accept {study}"
        )
    raise typer.Exit(_in_project("pytest", "--nbval", f"outputs/reference/{study}"))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> None:
    """Open JupyterLab on the project."""
    raise typer.Exit(_in_project("jupyter", "lab", *context.args))


def _in_project(module: str, *arguments: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=project.project_root(), check=False
    ).returncode


def main() -> NoReturn:
    """Run the command line; what the user can mend is told in one message, without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8")
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except EvaluationError as error:
        message = Text(f"{type(error).__name__}: {error}", style="red")
        Console(stderr=True, soft_wrap=True, highlight=False).print(message)
        raise SystemExit(BAD_INPUT) from None
    except KeyboardInterrupt:
        raise SystemExit(STOPPED) from None
    raise SystemExit(0)


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
