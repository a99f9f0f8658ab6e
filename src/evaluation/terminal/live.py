"""The live table: one row per step while a batch runs on a terminal, with what is running and what failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from evaluation.study.interrupts import stop_requested
from evaluation.study.plan import Plan
from evaluation.study.states import GOOD, Progress
from evaluation.terminal.sheet import joined
from evaluation.terminal.snapshot import BROKEN, STYLES, Group, RunView, StepView, spelt_counts
from evaluation.terminal.spelling import counted, duration, listed, padded, widest
from evaluation.terminal.tally import Tally

#: Notebooks of one step that are shown while they run, and that are shown failed.
RUNNING, FAILED = 8, 5
#: How often the table is drawn anew, so that the clock in it goes on.
PER_SECOND = 4

_BAR = 20
#: What is shown from the first Ctrl-C on.
STOPPING = "stopping: nothing new starts, what runs is being ended (Ctrl-C again: at once)"


class LiveTable:
    """Shows a run as it goes, drawn over itself; when it ends the table makes room for the report.

    Parameters
    ----------
    plan : Plan
        What is to run.
    console : rich.console.Console
        A terminal.
    places : mapping of str to str, optional
        Words for instances.
    """

    def __init__(self, plan: Plan, console: Console, places: Mapping[str, str] | None = None) -> None:
        self.tally = Tally(plan, places)
        self._note = ""
        self._live = Live(self, console=console, refresh_per_second=PER_SECOND, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Progress) -> None:
        """Take one sign of life in; the next drawing shows it."""
        self.tally.take(event)

    def note(self, text: str) -> None:
        """Show what is done beside the notebooks, below the table."""
        self._note = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        height = options.height or console.size.height
        is_stopping = stop_requested()
        note = STOPPING if is_stopping else self._note
        yield from live_lines(self.tally.view(), width=options.max_width, height=height - bool(note))
        if note:
            yield Text(note, style="yellow" if is_stopping else "dim", no_wrap=True, overflow="ellipsis")


@dataclass(frozen=True)
class _Row:
    """Lines about one step, and how little is lost when they are folded: 0 is kept longest."""

    lines: tuple[Text, ...]
    worth: int
    name: str


def live_lines(run: RunView, *, width: int = 80, height: int = 24) -> list[Text]:
    """Return the lines of the live table.

    Parameters
    ----------
    run : RunView
        A run as it stands.
    width, height : int
        Columns and rows of the terminal. What does not fit is folded: steps that are done first,
        then those that wait; running and failed ones last. The first line always counts every notebook.
    """
    head = _head(run, width)
    room = max(3, height - 1)
    names = widest([_name(group) for group in run.groups], max(8, width // 3))
    rows = [_row(group, width, names) for group in run.groups]
    for worth, word in ((2, "done"), (1, "waiting")):
        if _height(rows) + len(head) > room:
            rows = _folded(rows, worth, word)
    lines = [line for row in rows for line in row.lines]
    if len(lines) + len(head) > room:
        kept = max(0, room - 1 - len(head))
        hidden = len(lines) - kept
        lines = [*lines[:kept], Text(f"  ... {counted(hidden, 'further line')}", style="dim")]
    return [_fitted(line, width) for line in [*head, *lines][:room]]


def _height(rows: list[_Row]) -> int:
    return sum(len(row.lines) for row in rows)


def _folded(rows: list[_Row], worth: int, word: str) -> list[_Row]:
    folded = [row for row in rows if row.worth == worth]
    if len(folded) < 2:
        return rows
    line = Text(f"  {word}: {listed((row.name for row in folded), shown=5)}", style="dim")
    kept = [row for row in rows if row.worth != worth]
    new = _Row((line,), 0, word)
    return [new, *kept] if worth == 2 else [*kept, new]


def _head(run: RunView, width: int) -> list[Text]:
    """Return the count of every notebook, on a second line where one is too short."""
    ended = sum(group.finished for group in run.groups)
    first = Text(f"{run.study}: {ended:,} of {len(run.steps):,} done in {duration(run.elapsed)}", style="bold")
    second = Text(spelt_counts(run.steps))
    if first.cell_len + second.cell_len + 2 < width:
        return [Text.assemble(first, ": ", second)]
    return [first, *(Text("  ") + line for line in second.wrap(Console(), max(1, width - 3), overflow="fold"))]


def _name(group: Group) -> str:
    return f"{group.step} ({len(group.views):,})" if group.is_matrix else group.step


def _row(group: Group, width: int, names: int) -> _Row:
    worth = 0
    if set(group.counts) <= set(GOOD):
        worth = 2
    elif set(group.counts) <= {"waiting", "blocked"}:
        worth = 1
    lead = f"  {padded(_name(group), names)}  "
    if not group.is_matrix:
        return _Row((Text.assemble(lead, _one(group.views[0])),), worth, group.step)
    states = joined((f"{number:,} {state}", STYLES.get(state, "")) for state, number in group.counts.items())
    bar = Text.assemble(_bar(group), "  ") if width >= 70 else ""
    lines = [Text.assemble(lead, bar, states)]
    for state, limit in (("running", RUNNING), ("broken", FAILED)):
        chosen = [view for view in group.views if view.state == state or (state == "broken" and view.state in BROKEN)]
        titles = widest([view.short_title for view in chosen[:limit]], max(12, width * 9 // 20))
        lines += [Text.assemble(f"    {padded(view.short_title, titles)}  ", _one(view)) for view in chosen[:limit]]
        if len(chosen) > limit:
            word = "running" if state == "running" else "failed"
            lines.append(Text(f"    and {len(chosen) - limit:,} more {word}", style="dim"))
    return _Row(tuple(lines), worth, group.step)


def _one(view: StepView) -> Text:
    """Return how one notebook stands: its cell and time while it runs, place and error where it failed."""
    return Text.assemble((view.state, STYLES.get(view.state, "")), _details(view))


def _details(view: StepView) -> str:
    if view.state == "running":
        return f" cell {min(view.done + 1, view.cells)} of {view.cells}, {duration(view.seconds)}"
    if view.failure is not None and view.state in BROKEN:
        cell = f" in cell [{view.failure.cell}]" if view.failure.cell else ""
        return f"{cell}: {view.failure.line}"
    if view.blocked_by:
        return f", needs {listed(view.blocked_by, shown=3)}"
    return f"  {duration(view.seconds)}" if view.state == "ok" else ""


def _bar(group: Group) -> Text:
    """Return a bar of the notebooks that have ended; heavy where ended, light where not, also without colours."""
    good = sum(view.state in GOOD for view in group.views)
    ended = group.finished
    first = _BAR * good // len(group.views)
    second = _BAR * ended // len(group.views) - first
    return Text.assemble(("━" * first, "green"), ("━" * second, "red"), ("─" * (_BAR - first - second), "dim"))


def _fitted(line: Text, width: int) -> Text:
    line.truncate(max(1, width - 1), overflow="ellipsis")
    line.no_wrap = True
    return line
