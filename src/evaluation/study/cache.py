"""What a step needs not do again: results kept by what they were made from, each file with its SHA-256."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from evaluation.study.entries import Entry
from evaluation.study.hashes import Inputs
from evaluation.study.plan import Plan, PlannedStep
from evaluation.study.states import StepOutcome


@dataclass(frozen=True)
class Verdict:
    """Whether a step need not run.

    Attributes
    ----------
    entry : Entry or None
        The kept result that may stand for a run.
    why : tuple of str
        What makes the step run, in words; empty where there is an entry.
    """

    entry: Entry | None
    why: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """What would become of a step.

    Attributes
    ----------
    step : str
        Name of the step.
    state : {"run", "cached", "depends"}
        ``"depends"``: nothing of the step changed, but a step that it needs runs; where that one
        publishes the same bytes again, this one is not run.
    why : tuple of str
        In words; empty for a step that is cached.
    """

    step: str
    state: Literal["run", "cached", "depends"]
    why: tuple[str, ...] = ()


class Cache:
    """The kept results of one study.

    Parameters
    ----------
    folder : Path
        ``outputs/.cache/<study>``; made when the first result is kept.
    plan : Plan
        The study with its steps.
    inputs : Inputs, optional
        What the run read so far; without it, a new one.
    """

    def __init__(self, folder: Path, plan: Plan, inputs: Inputs | None = None) -> None:
        self.folder, self.plan = folder, plan
        self.inputs = inputs or Inputs()

    def upstream(self, step: PlannedStep, run: Path) -> dict[str, str]:
        """Return the files that a step's needs published in a run, their logs too, each with its SHA-256."""
        raise NotImplementedError

    def look_up(self, step: PlannedStep, upstream: Mapping[str, str]) -> Verdict:
        """Return the kept result of a step, or why there is none that holds."""
        raise NotImplementedError

    def keep(
        self,
        step: PlannedStep,
        upstream: Mapping[str, str],
        run: Path,
        outcome: StepOutcome,
        record: Mapping[str, Any] | None,
    ) -> str:
        """Keep what a step left in a run; return why it was not kept, empty where it was."""
        raise NotImplementedError

    def restore(self, entry: Entry, run: Path) -> StepOutcome:
        """Put a kept result into a run; its state is ``"cached"``.

        Raises
        ------
        CacheDamage
            A file is not what was kept; the entry is removed, nothing is put into the run.
        """
        raise NotImplementedError

    def preview(self) -> list[Preview]:
        """Return, step by step, what would run and why."""
        raise NotImplementedError
