"""One row per step: its state, its cells, how long it took; the instances of a matrix in one row with counts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from evaluation.terminal.sheet import joined
from evaluation.terminal.snapshot import STYLES, Group, StepView, grouped
from evaluation.terminal.spelling import duration

#: Columns that a table of outcomes may take, however wide the terminal.
WIDEST = 110


def outcome_table(steps: Sequence[StepView], *, width: int = 80) -> Table:
    """Return a table of what became of each step.

    Parameters
    ----------
    steps : sequence of StepView
        Every planned notebook.
    width : int
        Columns of the terminal.

    Returns
    -------
    rich.table.Table
        One row per step in the order of the plan; a step with a matrix takes one row, in which the
        counts of its states add up to its instances.
    """
    table = Table(box=None, pad_edge=False, show_edge=False, width=None, padding=(0, 2, 0, 0))
    table.add_column("step", no_wrap=True, overflow="ellipsis", max_width=max(10, min(width, WIDEST) // 3))
    table.add_column("state", no_wrap=False, overflow="fold")
    table.add_column("cells", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for group in grouped(steps):
        table.add_row(*_row(group))
    return table


def _row(group: Group) -> tuple[Text, Text, str, str]:
    ran = [view for view in group.views if view.ran]
    took = duration(sum(view.seconds for view in ran)) if ran else ""
    cells = f"{sum(view.done for view in group.views):,}/{sum(view.cells for view in group.views):,}"
    if len(group.views) == 1:
        view = group.views[0]
        return Text(view.title), Text(view.state, style=STYLES.get(view.state, "")), cells, took
    states = [(f"{number:,} {state}", STYLES.get(state, "")) for state, number in group.counts.items()]
    return Text(f"{group.step} ({len(group.views):,})"), joined(states), cells, took
