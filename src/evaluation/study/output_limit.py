"""Runs in the kernel: a notebook that puts out more than it may is stopped in the cell that does."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

#: Characters that one notebook may put out: 50 MB of ASCII.
LIMIT = 50_000_000

#: Characters of an error's message, and of its traceback, that are kept.
ERROR_LIMIT = 100_000

#: Calls at the beginning and at the end of an endless recursion that its traceback shows.
_CALLS = 20

_SHOWN = ("display_data", "execute_result", "update_display_data", "comm_open", "comm_msg")
#: Characters that a number, a truth value or nothing is taken to have.
_OTHER = 6


class OutputLimit(Exception):
    """A notebook put out more than it may."""


class _Counter:
    """What may still be put out; streams and displays draw on the same amount."""

    def __init__(self, limit: int) -> None:
        self.limit = self.left = limit
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """Return how much of ``wanted`` may be put out."""
        with self._lock:
            given = min(wanted, self.left)
            self.left -= given
        return given

    def refuse(self) -> None:
        """Stop the cell; what other threads or programs put out is dropped without a word."""
        if threading.current_thread() is threading.main_thread():
            raise OutputLimit(message(self.limit))


def weight(shown: object) -> int:
    """Return about how many characters a value takes up as JSON, without writing it out.

    Examples
    --------
    >>> weight({"text/plain": "abc", "application/json": {"x": ["de", 1.5, None]}})
    47
    """
    total = 0
    waiting = [shown]
    # Nobody asks how much more than too much it is; a list that holds itself never ends.
    while waiting and total < 2 * LIMIT:
        value = waiting.pop()
        if isinstance(value, (str, bytes, bytearray, memoryview)):
            total += len(value)
        elif isinstance(value, Mapping):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, (list, tuple)):
            total += len(value)
            waiting.extend(value)
        else:
            total += _OTHER
    return total


def message(limit: int) -> str:
    """Return what is told about a notebook that was stopped, with the next move."""
    amount = f"{limit / 1e6:g} MB" if limit >= 1_000_000 else f"{limit:,} characters"
    return (
        f"the notebook put out more than {amount}. Print less of it, or publish it as a table: ev.publish(name, table)"
    )


def install(limit: int = LIMIT) -> None:
    """Count what the notebook of this kernel puts out from now on.

    Parameters
    ----------
    limit : int
        Characters.

    Raises
    ------
    OutputLimit
        Later, in the cell that goes beyond.
    """
    counter = _Counter(limit)
    for stream in (sys.stdout, sys.stderr):
        stream.write = _counted_write(stream.write, counter)  # type: ignore[method-assign]
    session = get_session()
    if session is not None:
        session.send = _counted_send(session.send, counter)
    _shorten_recursions()


def _shorten_recursions() -> None:
    """Show a few calls of an endless recursion: to look up the source of 3,000 takes a minute and more."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None:
        shell.set_custom_exc((RecursionError,), _show_recursion)


def _show_recursion(shell: Any, kind: Any, error: Any, trace: TracebackType | None, tb_offset: Any = None) -> None:
    short = ends_of(trace)
    error.__traceback__ = short
    shell.showtraceback((kind, error, short), tb_offset=tb_offset)


def ends_of(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback with its first and its last calls only."""
    calls = []
    while trace is not None:
        calls.append(trace)
        trace = trace.tb_next
    kept = calls if len(calls) <= 2 * _CALLS else calls[:_CALLS] + calls[-_CALLS:]
    short = None
    for call in reversed(kept):
        short = TracebackType(short, call.tb_frame, call.tb_lasti, call.tb_lineno)
    return short


def get_session() -> Any:
    """Return the session by which this kernel sends what it displays; None outside a kernel."""
    from IPython import get_ipython

    return getattr(getattr(get_ipython(), "kernel", None), "session", None)


def _counted_write(write: Callable[[str], int], counter: _Counter) -> Callable[[str], int]:
    def counted(text: str) -> int:
        allowed = counter.take(len(text))
        if allowed == len(text):
            return write(text)
        if allowed:
            write(text[:allowed])
        counter.refuse()
        return len(text)

    return counted


def _counted_send(send: Callable[..., Any], counter: _Counter) -> Callable[..., Any]:
    def counted(stream: Any, kind: Any, content: Any = None, *others: Any, **more: Any) -> Any:
        said = kind.get("content") if isinstance(kind, Mapping) else content
        name = kind.get("msg_type") if isinstance(kind, Mapping) else kind
        if name in _SHOWN:
            size = weight([said, more.get("buffers")])
            if counter.take(size) < size:
                return counter.refuse()
        if isinstance(said, dict) and "traceback" in said:
            said["evalue"] = str(said.get("evalue", ""))[:ERROR_LIMIT]
            said["traceback"] = list(_beginning(said["traceback"]))
        return send(stream, kind, content, *others, **more)

    return counted


def _beginning(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a traceback as far as they are kept."""
    left = ERROR_LIMIT
    for line in lines:
        if left <= 0:
            yield "[... cut here]"
            return
        yield line[:left]
        left -= len(line)
