"""Where the command writes: a live table on a terminal, plain lines elsewhere, pages on both."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

from rich.console import Console, RenderableType

from evaluation.study.plan import Plan
from evaluation.terminal.lines import PlainLines
from evaluation.terminal.live import LiveTable


class _Forgiving:
    """A stream that goes silent when its reader went away (``| head``, a closed window): the run goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_heard = True

    def write(self, text: str) -> int:
        if self._is_heard:
            try:
                return self._stream.write(text)
            except (OSError, ValueError):
                self._fall_silent()
        return len(text)

    def flush(self) -> None:
        if self._is_heard:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._fall_silent()

    def _fall_silent(self) -> None:
        self._is_heard = False
        # What Python still holds for that reader would make it complain when it ends.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def console() -> Console:
    """Return the console of the command: colours only on a terminal, and none where ``NO_COLOR`` is set."""
    return Console(file=_stream(), soft_wrap=True, highlight=False, markup=False, emoji=False)


def _stream() -> TextIO:
    return cast("TextIO", _Forgiving(sys.stdout))


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
    """Print pages or lines."""
    target = console()
    for part in parts:
        target.print(part)
    target.file.flush()


def progress_of(plan: Plan, places: Mapping[str, str] | None = None) -> LiveTable | PlainLines:
    """Return what shows a run while it goes."""
    return LiveTable(plan, console(), places) if is_terminal() else PlainLines(plan, _stream(), places)
