"""What failed: in which notebook, cell and place, with the lines of the error; the same failure told once."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.terminal.sheet import Sheet, glued
from evaluation.terminal.snapshot import BROKEN, RunView, StepView
from evaluation.terminal.spelling import duration, listed

#: Lines of an error that are told; an executed notebook holds them all.
LINES = 25
#: Lines of each where more than this many different failures are told.
MANY, FEWER_LINES = 3, 6
#: Notebooks of one kind of failure that get a line of their own.
_OWN_LINE = 5

#: What became of a step, in words.
_VERBS = {"failed": "failed", "timed-out": "timed out", "died": "died", "stopped-early": "stopped early"}


def tell_failures(sheet: Sheet, run: RunView, *, full: bool = False) -> None:
    """Write every notebook that failed, and nothing where none did.

    Parameters
    ----------
    sheet : Sheet
    run : RunView
    full : bool
        Fold nothing.

    Notes
    -----
    Notebooks of one step that stopped in the same cell with the same class of error are told together:
    the first with its lines, the others with what is different, all of them by name.
    """
    kinds: dict[tuple[str, ...], list[StepView]] = {}
    broken = [view for view in run.steps if view.state in BROKEN]
    for view in broken:
        failure = view.failure
        key = (view.step, view.state, failure.error, str(failure.cell)) if failure else (view.step, view.state)
        kinds.setdefault(key, []).append(view)
    if not broken:
        return
    sheet.heading(f"What failed ({len(broken):,})")
    lines = 10_000 if full else LINES if len(kinds) <= MANY else FEWER_LINES
    told: dict[str, str] = {}
    for number, views in enumerate(kinds.values()):
        if number:
            sheet.blank()
        _tell_kind(sheet, run.folder, views, told, lines, full)


def _tell_kind(
    sheet: Sheet, folder: str, views: Sequence[StepView], told: dict[str, str], lines: int, full: bool
) -> None:
    first = views[0]
    sheet.write(f"{first.long_title}: {_how(first)}", indent=2, style="bold red")
    cell = f", cell [{first.failure.cell}]" if first.failure and first.failure.cell else ""
    sheet.path(f"{folder}/{first.file}{cell}", indent=4)
    text = first.failure.text if first.failure else ""
    earlier = told.setdefault(text, first.name)
    if text and earlier != first.name:
        sheet.write(f"the same as in {earlier}", indent=4)
    else:
        sheet.write(clipped(text, lines), indent=4)
    _tell_others(sheet, views, full)


def _tell_others(sheet: Sheet, views: Sequence[StepView], full: bool) -> None:
    """Tell the other notebooks with the same kind of failure: by name where the text is the same, else with theirs."""
    first = views[0].failure.text if views[0].failure else ""
    same = [view for view in views[1:] if (view.failure.text if view.failure else "") == first]
    other = [view for view in views[1:] if view not in same]
    if same:
        names = listed((glued(view.short_title) for view in same), shown=len(same) if full else 60)
        sheet.write(f"the same in {len(same):,} more: {names}", indent=4)
    for view in other if full else other[:_OWN_LINE]:
        sheet.write(f"{view.short_title}: {view.failure.line if view.failure else view.state}", indent=4)
    rest = [] if full else other[_OWN_LINE:]
    if rest:
        names = listed((glued(view.short_title) for view in rest), shown=60)
        sheet.write(f"a like failure in {len(rest):,} more: {names}", indent=4)


def _how(view: StepView) -> str:
    where = f" in cell [{view.failure.cell}] of {view.cells}" if view.failure and view.failure.cell else ""
    spent = f" after {duration(view.seconds)}" if view.seconds else ""
    return f"{_VERBS.get(view.state, view.state)}{where}{spent}"


def clipped(text: str, lines: int) -> str:
    """Return a text cut to so many lines: the first ones and the last, in which the next move often stands.

    Examples
    --------
    >>> print(clipped("a\\nb\\nc\\nd\\ne\\nf", 4))
    a
    b
    ... (3 further lines in that notebook)
    f
    >>> clipped("a\\nb", 4)
    'a\\nb'
    """
    every = text.splitlines()
    if len(every) <= lines:
        return text
    kept = [*every[: lines - 2], f"... ({len(every) - lines + 1} further lines in that notebook)", every[-1]]
    return "\n".join(kept)
