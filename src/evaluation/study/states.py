"""What can become of a step, and what is told about it while it runs and afterwards."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

State = Literal["ok", "cached", "failed", "timed-out", "died", "stopped-early", "blocked", "cancelled", "skipped"]
STATES: tuple[State, ...] = get_args(State)
#: States of a step whose results may be used.
GOOD: tuple[State, ...] = ("ok", "cached")


#: What to do about errors of the computer whose own words do not say it.
_MOVES = {
    errno.ENOSPC: "The disk is full: free some space, then run again; what is finished is not done again.",
    errno.EDQUOT: "Your share of the disk is used up: free some space, then run again.",
    errno.EROFS: "The disk can only be read: make it writable, then run again.",
    errno.EACCES: "Make that file or folder accessible to whoever runs the study, then run again.",
    errno.EMFILE: "Too many files are open at once: run fewer notebooks at the same time (--jobs 1).",
}
_NUMBER = re.compile(r"\[Errno (\d+)\]")
_SHORT_OF_MEMORY = (
    "There is not enough memory. Run fewer notebooks at the same time (--jobs 1), or read fewer variables "
    "(ev.read_survey(..., variables=[...]))."
)


def explained(error: str, message: str) -> str:
    """Return an error's message, with the next move where the computer ran short of something.

    Examples
    --------
    >>> explained("OSError", "[Errno 28] No space left on device").split(": ")[0]
    '[Errno 28] No space left on device. The disk is full'
    >>> explained("ValueError", "no number")
    'no number'
    """
    if error.endswith("MemoryError"):
        return f"{message}. {_SHORT_OF_MEMORY}" if message else _SHORT_OF_MEMORY
    found = _NUMBER.match(message)
    move = _MOVES.get(int(found[1])) if found else None
    return f"{message}. {move}" if move else message


@dataclass(frozen=True)
class Progress:
    """One sign of life of a run.

    Attributes
    ----------
    step : str
        Name of the step.
    done, cells : int
        Code cells that have run, and code cells there are.
    state : State or "running"
        ``"running"`` until the step has ended.
    why : tuple of str
        With the first sign of a step: why it has to run; empty where nobody asked the cache.
    failure : Failure or None
        With the last sign of a step that is not ok: where it stopped.
    """

    step: str
    done: int
    cells: int
    state: State | Literal["running"] = "running"
    why: tuple[str, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Failure:
    """Where and why a step stopped.

    Attributes
    ----------
    cell : int
        Number of the code cell as the executed notebook shows it, ``In [cell]``; 0 where no cell is to blame.
    error : str
        Class of the error.
    message : str
        Its message, free of absolute paths.
    """

    cell: int
    error: str
    message: str

    @property
    def line(self) -> str:
        """The error in one line.

        Examples
        --------
        >>> Failure(7, "MarginError", "margin 'age' has no 80+\\n  Merge it.").line
        "MarginError: margin 'age' has no 80+"
        """
        return self.text.split("\n", 1)[0]

    @property
    def text(self) -> str:
        """The error with all lines of its message: the next move often stands in the last."""
        return f"{self.error}: {self.message.strip()}".removesuffix(": ")


@dataclass(frozen=True)
class CellWarning:
    """A warning that a notebook printed: its class, its first line, the code cell it came from."""

    category: str
    message: str
    cell: int


@dataclass(frozen=True)
class StepOutcome:
    """What became of one step.

    Attributes
    ----------
    step, notebook : str
        Name, and stem of the notebook.
    state : State
        ``"ok"`` only where every cell ran without an error; ``"cached"`` where nothing it depends on had changed since
        it was ok, so that its results were taken from then; ``"skipped"`` where data that the user brings are absent.
    done, cells : int
        Code cells that ran, and code cells there are.
    seconds : float
        How long it ran; 0 for a step that did not start.
    failure : Failure or None
        Where it stopped.
    warnings : tuple of CellWarning
        In the order of the cells.
    blocked_by : tuple of str
        Steps that had to be ok first and were not.
    skipped_because : str
        Where to get the data that are absent, and where to put them; empty where the step was not skipped.
    peak_memory_bytes : int
        The most memory its kernel held; 0 where that is not known.
    """

    step: str
    notebook: str
    state: State
    done: int = 0
    cells: int = 0
    seconds: float = 0.0
    failure: Failure | None = None
    warnings: tuple[CellWarning, ...] = ()
    blocked_by: tuple[str, ...] = ()
    skipped_because: str = ""
    peak_memory_bytes: int = 0

    @property
    def is_good(self) -> bool:
        """Whether its results may be used: it is ok, now or when it last ran."""
        return self.state in GOOD

    @property
    def reason(self) -> str:
        """Why the step is not ok, in one line; empty where it is."""
        if self.failure is not None:
            return self.failure.line
        return f"needs {', '.join(self.blocked_by)}" if self.blocked_by else self.skipped_because

    def to_dict(self) -> dict[str, Any]:
        """Return the record of the step that goes into the manifest: no times, and cached is ok."""
        failure = None if self.failure is None else dict(vars(self.failure))
        return {
            "state": "ok" if self.is_good else self.state,
            "notebook": f"notebooks/{self.notebook}.ipynb",
            "cells": self.cells,
            "cells_run": self.done,
            "failure": failure,
            "blocked_by": list(self.blocked_by),
            "warnings": [dict(vars(warning)) for warning in self.warnings],
            **({"skipped_because": self.skipped_because} if self.skipped_because else {}),
        }

    @classmethod
    def from_dict(cls, step: str, record: Mapping[str, Any]) -> StepOutcome:
        """Return the outcome that a manifest recorded."""
        return cls(
            step=step,
            notebook=record["notebook"].removeprefix("notebooks/").removesuffix(".ipynb"),
            state=record["state"],
            done=record["cells_run"],
            cells=record["cells"],
            failure=Failure(**record["failure"]) if record["failure"] else None,
            warnings=tuple(CellWarning(**warning) for warning in record["warnings"]),
            blocked_by=tuple(record["blocked_by"]),
            skipped_because=record.get("skipped_because", ""),
        )
