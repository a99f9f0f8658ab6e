"""Where the command writes: a live table on a terminal, plain lines elsewhere, pages on both."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from rich.console import Console, RenderableType

from evaluation.study.plan import Plan
from evaluation.terminal.lines import PlainLines
from evaluation.terminal.live import LiveTable


def console() -> Console:
    """Return the console of the command: colours only on a terminal, and none where ``NO_COLOR`` is set."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)


def is_terminal() -> bool:
    """Tell whether somebody looks on, on a terminal that can be drawn on."""
    try:
        return sys.stdout.isatty() and not console().is_dumb_terminal
    except ValueError:
        return False


def width() -> int | None:
    """Return the columns of the terminal; None where the output goes to a file or another program."""
    return console().width if is_terminal() else None


def show(*parts: RenderableType) -> None:
    """Print pages or lines; a reader who went away (``| head``) is no error."""
    try:
        console().print(*parts, sep="\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # What Python still holds for that reader must not make it complain at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def progress_of(plan: Plan, places: Mapping[str, str] | None = None) -> LiveTable | PlainLines:
    """Return what shows a run while it goes."""
    return LiveTable(plan, console(), places) if is_terminal() else PlainLines(plan, sys.stdout, places)
