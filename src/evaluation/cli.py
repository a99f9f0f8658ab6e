"""The command ``evaluation``: thin; each command calls one function and prints what it returned."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from evaluation import project
from evaluation.errors import EvaluationError, ProjectError
from evaluation.specification import read_study

if TYPE_CHECKING:
    from evaluation.study.plan import Plan

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
Studies = Annotated[list[str] | None, typer.Argument(metavar="STUDIES", help="Studies; without any, all.")]
Parameters = Annotated[
    list[str] | None, typer.Option("-p", "--parameter", metavar="NAME=VALUE", help="Set a parameter for this run.")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="STEP", help="This step and what it needs; also 'district/110_*'."),
]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Fold nothing; with parameters where there are any.")]


def _print(*parts: RenderableType) -> None:
    from evaluation.terminal import screen

    screen.show(*parts)


@app.command()
def run(
    studies: Studies = None,
    parameter: Parameters = None,
    only: Only = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Notebooks at the same time; default: cores.")
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="After a failure: run what does not need it, or stop.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Run every notebook, changed or not.")] = False,
    kernel: Annotated[
        Literal["forked", "plain"], typer.Option("--kernel", help="plain: a new interpreter for each notebook.")
    ] = "forked",
) -> None:
    """Run studies: check the parameters, run what changed, build the report."""
    from evaluation.terminal.running import Order, run_plans

    overrides = _overrides(parameter or [])
    plans = [_planned(study, overrides, only or ()) for study in studies or _all_studies()]
    raise typer.Exit(run_plans(plans, Order(jobs=jobs, keep_going=keep_going, use_cache=not force, kernel=kernel)))


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


@app.command()
def plan(
    studies: Studies = None,
    parameter: Parameters = None,
    only: Only = None,
    verbose: Verbose = False,
) -> None:
    """Check studies and print what would run and why; nothing is written."""
    from evaluation.study.cache import Cache
    from evaluation.terminal import screen
    from evaluation.terminal.places import places_of
    from evaluation.terminal.plan_page import plan_page

    overrides = _overrides(parameter or [])
    for number, study in enumerate(studies or _all_studies()):
        planned = _planned(study, overrides, only or ())
        cache = Cache(project.project_root() / "outputs" / ".cache" / study, planned)
        previews = [] if planned.skipped else cache.preview()
        places = places_of(planned.specification.survey, planned.steps)
        lines = [""] if number else []
        _print(*lines, plan_page(planned, previews, places, width=screen.width(), verbose=verbose))


@app.command()
def status(studies: Studies = None, verbose: Verbose = False) -> None:
    """Print how the last run of each study stands: running, dead or ended; without a study, good ones in a line."""
    from evaluation.terminal.status import status_pages

    for study in studies or ():
        project.study_file(study)
    _print(*status_pages(studies or _all_studies(), is_overview=not studies, verbose=verbose))


@app.command()
def review(
    study: Study,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for the reviewer's run; else a temporary one.")
    ] = None,
) -> None:
    """Recompute a study in a clean place and hold it against its claims, one by one."""
    from evaluation.review import review_study

    _print(f"{study}: recomputing in a clean copy of the project; up to the claims, what is told is of that copy")
    result = review_study(study, out=out)
    _print(result.summary())
    raise typer.Exit(result.exit_code)


@app.command()
def compare(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The earlier study.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The later study; it says which changes are explained.")],
    out: Annotated[Path | None, typer.Option("--out", help="Folder; else outputs/compare/OLD--NEW.")] = None,
) -> None:
    """Hold the tables of two studies against each other; exit 1 where a change is not explained."""
    from evaluation.releases.compare import compare_studies
    from evaluation.terminal.status import relative

    result = compare_studies(old, new, out=out)
    _print(result.summary(), f"{relative(result.folder / 'compare.html')} and compare.csv hold every cell")
    raise typer.Exit(result.exit_code)


@app.command(name="sign-off")
def sign_off(
    study: Study,
    name: Annotated[str, typer.Option("--name", help="Who signs.")],
    role: Annotated[str, typer.Option("--role", help="As what: analyst, head of division.")],
    checked: Annotated[list[str], typer.Option("--checked", help="What was checked; give it once for each.")],
    note: Annotated[str, typer.Option("--note", help="Anything else.")] = "",
) -> None:
    """Record who checked what in the last good run."""
    from evaluation.releases import signoff
    from evaluation.terminal.rebuilding import show_release

    given = signoff.sign_off(study, name=name, role=role, checked=checked, note=note)
    _print(given.summary(), *show_release(study))


@app.command()
def accept(
    study: Study,
    reason: Annotated[str, typer.Option("--reason", help="Why published numbers change; needed where one does.")] = "",
    by: Annotated[str, typer.Option("--by", help="Who says so; else whoever signed off last.")] = "",
) -> None:
    """Make the last good run the published one, and print which numbers differ from before."""
    from evaluation.review import accept_run
    from evaluation.terminal.rebuilding import show_release

    _print(accept_run(study, reason=reason, by=by), *show_release(study))


@app.command()
def report(study: Study) -> None:
    """Build the report of the last good run again."""
    from evaluation.report.site import build_site
    from evaluation.study.manifest import read_manifest

    project.study_file(study)
    run = project.project_root() / "outputs" / study
    read_manifest(run)
    _print(build_site(run).relative_to(project.project_root()).as_posix())


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
        # A terminal that is closed asks the run to stop as Ctrl-C does, unless nohup said to go on without it.
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
            signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
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
