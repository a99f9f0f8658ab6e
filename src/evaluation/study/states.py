"""What can become of a step, and what is told about it while it runs and afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

State = Literal["ok", "failed", "timed-out", "died", "stopped-early", "blocked", "cancelled", "skipped"]
STATES: tuple[State, ...] = get_args(State)


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
    """

    step: str
    done: int
    cells: int
    state: State | Literal["running"] = "running"


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
        ``"ok"`` only where every cell ran without an error; ``"skipped"`` where data that the user brings are absent.
    done, cells : int
        Code cells that ran, and code cells there are.
    seconds : float
        Wall time; 0 for a step that did not start.
    failure : Failure or None
        Where it stopped.
    warnings : tuple of CellWarning
        In the order of the cells.
    blocked_by : tuple of str
        Steps that had to be ok first and were not.
    skipped_because : str
        Where to get the data that are absent, and where to put them; empty where the step was not skipped.
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

    @property
    def reason(self) -> str:
        """Why the step is not ok, in one line; empty where it is."""
        if self.failure is not None:
            return self.failure.line
        return f"needs {', '.join(self.blocked_by)}" if self.blocked_by else self.skipped_because

    def to_dict(self) -> dict[str, Any]:
        """Return the record of the step that goes into the manifest."""
        failure = None if self.failure is None else vars(self.failure)
        return {
            "state": self.state,
            "notebook": f"notebooks/{self.notebook}.ipynb",
            "cells": self.cells,
            "cells_run": self.done,
            "duration_seconds": round(self.seconds, 3),
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
            seconds=record["duration_seconds"],
            failure=Failure(**record["failure"]) if record["failure"] else None,
            warnings=tuple(CellWarning(**warning) for warning in record["warnings"]),
            blocked_by=tuple(record["blocked_by"]),
            skipped_because=record.get("skipped_because", ""),
        )
