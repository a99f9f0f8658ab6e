"""The page at the end of a run, for whoever reads it tired: what failed and where, what never ran, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group as Page

from evaluation.study.states import GOOD
from evaluation.terminal.failures import tell_failures
from evaluation.terminal.outcome_table import outcome_table
from evaluation.terminal.reasons import shared_reasons, spelt_reasons
from evaluation.terminal.sheet import Sheet, glued
from evaluation.terminal.snapshot import RunView, StepView, grouped, spelt_counts
from evaluation.terminal.spelling import counted, duration, listed, size

#: Notebooks that are named as the slowest, and warnings and reasons that are told.
SLOWEST, WARNINGS, REASONS = 5, 8, 8
#: Names of blocking steps that are written out.
_BLOCKERS = 4


def end_report(run: RunView, *, width: int | None = None, full: bool = False) -> Page:
    """Return what became of a run, or how it stands, on one page.

    Parameters
    ----------
    run : RunView
        A run that has ended, is running, or was killed.
    width : int, optional
        Columns of the terminal; without it lines are not broken.
    full : bool
        Fold nothing.

    Returns
    -------
    rich.console.Group
        Parts that have nothing to tell are left out. The counts always add up to all notebooks.
    """
    sheet = Sheet(width)
    _tell_head(sheet, run)
    sheet.blank()
    sheet.block(outcome_table(run.steps, width=width or 80))
    tell_failures(sheet, run, full=full)
    _tell_unfinished(sheet, run, full)
    _tell_never_ran(sheet, run, full)
    _tell_why(sheet, run, full)
    _tell_warnings(sheet, run, full)
    _tell_cost(sheet, run)
    sheet.blank()
    _tell_next(sheet, run)
    return sheet.page()


def _tell_head(sheet: Sheet, run: RunView) -> None:
    name = f"{run.study}, run {run.number}" if run.number else run.study
    after = f" after {duration(run.elapsed)}" if run.elapsed else ""
    process = f"process {run.pid}" if run.pid else "its process"
    if run.state == "running":
        head = f"running for {duration(run.elapsed)}, last sign of life {duration(run.silence)} ago ({process})"
    elif run.state == "dead":
        head = f"DEAD{after}: {process} ended before the run did"
    else:
        head = (run.state if run.state in ("ok", "skipped") else run.state.upper()) + after
    sheet.write(f"{name}: {head}", style="bold")
    part = "" if run.complete else ", only a part of the study"
    total = len(run.steps)
    sheet.write(f"{total:,} of {counted(total, 'notebook')}{part}: {spelt_counts(run.steps)}")
    if run.commit:
        sheet.write(f"commit {run.commit}")
    if run.problem:
        sheet.blank()
        sheet.write(run.problem, style="red")


def _tell_unfinished(sheet: Sheet, run: RunView, full: bool) -> None:
    """Tell what is under way, what was when the process died, and what was stopped by hand in the middle."""
    headings = {"running": "Running now", "interrupted": "Under way when the process died", "cancelled": "Stopped"}
    for state, heading in headings.items():
        views = [view for view in run.steps if view.state == state and not view.never_ran]
        if not views:
            continue
        sheet.heading(f"{heading} ({len(views):,})")
        shown = views if full else views[:10]
        for view in shown:
            spent = f", {duration(view.seconds)}" if view.seconds else ""
            reason = f": {view.failure.message}" if state == "cancelled" and view.failure else ""
            sheet.write(f"{view.long_title}: cell {view.done + 1} of {view.cells}{spent}{reason}", indent=2)
        if len(views) > len(shown):
            sheet.write(f"and {listed(view.label for view in views[len(shown) :])}", indent=2)


def _tell_never_ran(sheet: Sheet, run: RunView, full: bool) -> None:
    idle = [view for view in run.steps if view.never_ran]
    if not idle:
        return
    heading = "Still to come" if run.state == "running" else "Never ran"
    sheet.heading(f"{heading} ({len(idle):,})")
    states = {view.name: view for view in run.steps}
    reasons: dict[str, list[StepView]] = {}
    for view in idle:
        reasons.setdefault(_why_idle(view, states, run.state, full), []).append(view)
    for reason, views in reasons.items():
        names = "; ".join(_names(views, full))
        sheet.write(f"{names}: {reason}" if reason else names, indent=2)


def _why_idle(view: StepView, states: dict[str, StepView], state: str, full: bool) -> str:
    if view.skipped_because:
        return view.skipped_because
    if view.blocked_by:
        blockers = [states.get(name, StepView(name, "waiting")) for name in view.blocked_by]
        named = (glued(f"{blocker.title} ({blocker.state})") for blocker in blockers)
        return f"needs {listed(named, shown=len(blockers) if full else _BLOCKERS)}"
    if view.state == "cancelled":
        return view.failure.message if view.failure else "the run was stopped before its turn came"
    return "" if state == "running" else "the process died before its turn came"


def _names(views: Iterable[StepView], full: bool) -> list[str]:
    """Return names by step: ``"report"``, ``"district: all 25"``, ``"district/110_2016 종로구, 140_2016 중구"``."""
    told = []
    for group in grouped(views):
        if not group.is_matrix:
            told.append(group.step)
            continue
        shown = listed((glued(view.short_title) for view in group.views), shown=len(group.views) if full else 12)
        number = f" ({len(group.views):,})" if len(group.views) > 1 else ""
        told.append(f"{group.step}/{shown}{number}")
    return told


def _tell_why(sheet: Sheet, run: RunView, full: bool) -> None:
    """Tell why notebooks ran: each stands once, with all of its reasons."""
    reasons = shared_reasons((view, view.why) for view in run.steps)
    if not reasons:
        return
    sheet.heading("Why they ran")
    sizes = {group.step: len(group.views) for group in run.groups}
    for why, views in reasons if full else reasons[:REASONS]:
        who = "; ".join(_share(group.step, group.views, sizes[group.step]) for group in grouped(views))
        sheet.write(f"{spelt_reasons(why, full=full)}: {who}", indent=2)
    rest = sum(len(views) for _, views in reasons[REASONS:])
    if rest and not full:
        sheet.write(f"and {counted(rest, 'further notebook')} for other reasons", indent=2)


def _share(step: str, views: Sequence[StepView], all_of_it: int) -> str:
    if all_of_it == 1:
        return views[0].title
    if len(views) == all_of_it:
        return f"{step} (all {all_of_it:,})"
    if len(views) == 1:
        return views[0].title
    return f"{step} ({len(views):,} of {all_of_it:,})"


def _tell_warnings(sheet: Sheet, run: RunView, full: bool) -> None:
    kinds: dict[tuple[str, str], list[tuple[StepView, int]]] = {}
    for view in run.steps:
        for warning in view.warnings:
            kinds.setdefault((warning.category, warning.message), []).append((view, warning.cell))
    if kinds:
        sheet.heading(f"Warnings ({sum(len(places) for places in kinds.values()):,})")
    ordered = sorted(kinds.items(), key=lambda item: -len(item[1]))
    for (category, message), places in ordered if full else ordered[:WARNINGS]:
        view, cell = places[0]
        more = len(places) - 1
        where = f"{view.title}, cell [{cell}]" + (f" and {counted(more, 'more place')}" if more else "")
        sheet.write(f"{category}: {message} ({where})", indent=2)
    if len(ordered) > WARNINGS and not full:
        sheet.write(f"and {counted(len(ordered) - WARNINGS, 'further kind')} of warnings", indent=2)
    if run.notes:
        sheet.heading("Notes")
        for note in dict.fromkeys(run.notes):
            sheet.write(note, indent=2)


def _tell_cost(sheet: Sheet, run: RunView) -> None:
    ran = sorted((view for view in run.steps if view.ran), key=lambda view: -view.seconds)
    if len(ran) > 2:
        sheet.heading("Slowest")
        for view in ran[:SLOWEST]:
            memory = f", {size(view.memory)} of memory" if view.memory else ""
            sheet.write(f"{view.title}: {duration(view.seconds)}{memory}", indent=2)
    if run.disk:
        sheet.blank()
        used = ", ".join(f"{name} {size(number)}" for name, number in run.disk.items())
        sheet.write(f"Disk used: {used}")


def _tell_next(sheet: Sheet, run: RunView) -> None:
    if run.state == "running":
        sheet.write(f"{run.study}: running; to stop it: Ctrl-C in its terminal, or kill -TERM {run.pid}")
        return
    if run.state not in ("ok", "skipped"):
        good = sum(view.state in GOOD for view in run.steps)
        kept = f", {counted(good, 'notebook')} that ended well {'is' if good == 1 else 'are'} kept" if good else ""
        mend = "mend what failed, then run again" if run.state == "failed" else "run again"
        sheet.write(f"Next: {mend}{kept}:")
        sheet.path(f"evaluation run {run.study} {run.options}".rstrip(), indent=2)
    sheet.write(where_it_lies(run), style="bold red" if run.state in ("failed", "dead") else "")


def one_line(run: RunView) -> str:
    """Return how a run stands in one line, for an overview of several studies."""
    name = f"{run.study}, run {run.number}" if run.number else run.study
    after = f" after {duration(run.elapsed)}" if run.elapsed else ""
    part = "" if run.complete else ", only a part of the study"
    total = f"{len(run.steps):,} of {counted(len(run.steps), 'notebook')}{part}: {spelt_counts(run.steps)}"
    return f"{name}: {run.state}{after}, {total}; {run.page or run.folder}"


def where_it_lies(run: RunView) -> str:
    """Return the last line of the page: how the run ended, and where to look."""
    if run.state == "ok":
        part = "" if run.complete else " (only a part of the study)"
        return f"{run.study}: ok, {run.page or run.folder}{part}"
    if run.state == "skipped":
        return f"{run.study}: skipped, {run.page} says why; outputs/{run.study} was not touched"
    if run.state == "dead":
        return f"{run.study}: dead; what it left is in {run.folder}, outputs/{run.study} was not touched"
    return f"{run.study}: {run.state}; this run is kept in {run.folder}, outputs/{run.study} was not touched"
