"""Runs what was planned, study after study, and tells of each what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from rich.text import Text

from evaluation.errors import EvaluationError
from evaluation.study.plan import Plan
from evaluation.study.run import run_plan
from evaluation.terminal import screen
from evaluation.terminal.end_report import end_report, where_it_lies
from evaluation.terminal.lines import PlainLines
from evaluation.terminal.live import LiveTable
from evaluation.terminal.places import places_of
from evaluation.terminal.status import view_of_report

_REFUSED, _STOPPED = 2, 130


@dataclass(frozen=True)
class Order:
    """How studies are to be run.

    Attributes
    ----------
    jobs : int or None
        Notebooks at the same time; None for as many as there are cores.
    keep_going : bool
        Whether a failure stops only what needs it.
    use_cache : bool
        Whether what is unchanged is taken from the cache.
    kernel : {"forked", "plain"}
    """

    jobs: int | None = None
    keep_going: bool = True
    use_cache: bool = True
    kernel: Literal["forked", "plain"] = "forked"


def run_plans(plans: Sequence[Plan], order: Order) -> int:
    """Run studies one after the other and print what became of each.

    Parameters
    ----------
    plans : sequence of Plan
        From ``plan_study``.
    order : Order

    Returns
    -------
    int
        The highest exit code: 0, 1 where something failed, 2 where a study could not be run at all
        (another run of it is at work), 130 where the user stopped it. With several studies the others
        still run, unless the user stopped, or asked to stop at the first failure.
    """
    codes, endings = [], []
    for number, plan in enumerate(plans):
        try:
            code, ending = _run(plan, order)
        except EvaluationError as error:
            if len(plans) == 1:
                raise
            code, ending = _REFUSED, f"{plan.study}: did not run. {type(error).__name__}: {error}"
            screen.show(Text(ending, style="red"))
        codes.append(code)
        endings.append(ending)
        if code == _STOPPED or (code and not order.keep_going):
            endings += [f"{later.study}: did not run, the command was stopped before" for later in plans[number + 1 :]]
            break
        screen.show(*[""] * (len(plans) > 1))
    if len(plans) > 1:
        screen.show(*endings)
    return max(codes)


def _run(plan: Plan, order: Order) -> tuple[int, str]:
    try:
        with screen.progress_of(plan, places_of(plan.specification.survey, plan.steps)) as watcher:
            report = run_plan(
                plan,
                jobs=order.jobs,
                progress=watcher.show,
                finish=partial(_build_site, watcher),
                keep_going=order.keep_going,
                use_cache=order.use_cache,
                kernel=order.kernel,
            )
    except KeyboardInterrupt:
        screen.show(f"{plan.study}: ended at once; how far it came: evaluation status {plan.study}")
        raise
    view = view_of_report(report)
    screen.show("", end_report(view, width=screen.width()))
    return report.exit_code, where_it_lies(view)


def _build_site(watcher: LiveTable | PlainLines, run: Path) -> Path:
    from evaluation.report.site import build_site  # brings Jinja and nbconvert, which a failed run can spare

    watcher.note("building the report")
    return build_site(run)
