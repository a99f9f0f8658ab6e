"""How a run stands at one moment: every planned notebook with its state, in flight, finished or still to come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from evaluation.study.states import GOOD, CellWarning, Failure, State, StepOutcome
from evaluation.terminal.spelling import short_name

#: Beside the states of a finished step: not started yet, under way, and under way when the runner died.
Standing = State | Literal["waiting", "running", "interrupted"]

#: The order in which counts are told, so that they always add up to the whole plan.
ORDER: tuple[Standing, ...] = (
    *("ok", "cached", "running", "failed", "timed-out", "died", "stopped-early", "interrupted"),
    *("cancelled", "blocked", "skipped", "waiting"),
)
#: States of a notebook that went wrong by itself.
BROKEN: tuple[Standing, ...] = ("failed", "timed-out", "died", "stopped-early")
STYLES: Mapping[str, str] = {
    **dict.fromkeys(GOOD, "green"),
    **dict.fromkeys(("blocked", "cancelled", "skipped", "interrupted"), "yellow"),
    **dict.fromkeys(BROKEN, "bold red"),
    "running": "cyan",
    "waiting": "dim",
}


@dataclass(frozen=True)
class StepView:
    """One notebook of a run as it stands.

    Attributes
    ----------
    name : str
        Name of the step, such as ``"district/110_2016"``.
    state : Standing
        A final state, or ``"waiting"``, ``"running"``, ``"interrupted"``.
    done, cells : int
        Code cells that have run, and code cells there are.
    seconds : float
        How long it ran, or has been running.
    notebook : str
        Stem below ``notebooks/`` of the run folder.
    place : str
        What the codes in its name stand for, such as ``"종로구 (Jongno-gu)"``; else empty.
    why : tuple of str
        Why it had to run.
    failure, warnings, blocked_by, skipped_because, memory
        As in ``StepOutcome``.
    """

    name: str
    state: Standing
    done: int = 0
    cells: int = 0
    seconds: float = 0.0
    notebook: str = ""
    place: str = ""
    why: tuple[str, ...] = ()
    failure: Failure | None = None
    warnings: tuple[CellWarning, ...] = ()
    blocked_by: tuple[str, ...] = ()
    skipped_because: str = ""
    memory: int = 0

    @classmethod
    def of(cls, outcome: StepOutcome, *, place: str = "", why: Sequence[str] = ()) -> StepView:
        """Return how a step stands that has ended."""
        return cls(
            outcome.step,
            outcome.state,
            outcome.done,
            outcome.cells,
            outcome.seconds,
            outcome.notebook,
            place,
            tuple(why),
            outcome.failure,
            outcome.warnings,
            outcome.blocked_by,
            outcome.skipped_because,
            outcome.peak_memory_bytes,
        )

    @property
    def step(self) -> str:
        """The step without the instance: ``"district"``."""
        return self.name.partition("/")[0]

    @property
    def label(self) -> str:
        """The instance without the step: ``"110_2016"``; the name where the step has but one notebook."""
        return self.name.partition("/")[2] or self.name

    @property
    def short_place(self) -> str:
        """The place for tables: ``"종로구"``, of an English study ``"Jongno-gu 종로구"``."""
        return short_name(self.place)

    @property
    def title(self) -> str:
        """Name and place, for tables: ``"district/110_2016 종로구"``."""
        return f"{self.name} {self.short_place}".rstrip()

    @property
    def short_title(self) -> str:
        """Instance and place: ``"110_2016 종로구"``."""
        return f"{self.label} {self.short_place}".rstrip()

    @property
    def long_title(self) -> str:
        """Name and place in both languages: ``"district/110_2016, 종로구 (Jongno-gu)"``, or the other way round."""
        return f"{self.name}, {self.place}" if self.place else self.name

    @property
    def file(self) -> str:
        """The executed notebook, relative to the run folder."""
        return f"notebooks/{self.notebook}.ipynb"

    @property
    def ran(self) -> bool:
        """Whether cells of it ran in this run, and for how long is known."""
        return self.seconds > 0 and self.state != "cached"

    @property
    def never_ran(self) -> bool:
        """Whether no cell of it was ever started in this run."""
        unstarted = self.state == "cancelled" and not self.done and (self.failure is None or self.failure.cell == 0)
        return self.state in ("blocked", "skipped", "waiting") or unstarted


@dataclass(frozen=True)
class Group:
    """All notebooks of one step: one, or the instances of a matrix."""

    step: str
    views: tuple[StepView, ...]

    @property
    def is_matrix(self) -> bool:
        """Whether the step fans out."""
        return len(self.views) > 1 or "/" in self.views[0].name

    @property
    def counts(self) -> dict[str, int]:
        """How many notebooks there are in each state, in a fixed order; they add up to all."""
        return counts(self.views)

    @property
    def finished(self) -> int:
        """How many have ended, in whatever way."""
        return sum(view.state not in ("waiting", "running", "interrupted") for view in self.views)


@dataclass(frozen=True)
class RunView:
    """A run as it stands.

    Attributes
    ----------
    study : str
        Id of the study.
    state : str
        ``"running"``, ``"dead"``, or how it ended: ``"ok"``, ``"failed"``, ``"cancelled"``, ``"skipped"``.
    steps : tuple of StepView
        Every planned notebook, in the order of the plan.
    number : int
        Which run of the study; 0 where that is not known.
    elapsed : float
        Seconds since it began.
    folder : str
        Where it lies, relative to the project; empty where nothing was kept.
    pid : int
        The process that runs it; 0 where that is not known.
    complete : bool
        Whether these are all steps of the study.
    problem : str
        What went wrong beside the notebooks, such as a report that could not be built.
    notes : tuple of str
        What the runner noted: a damaged cache entry, plain kernels instead of forked ones.
    disk : mapping of str to int
        Bytes of ``"run"`` and ``"cache"``.
    page : str
        The report to open, relative to the project.
    silence : float
        Seconds since a running one last gave a sign of life.
    commit : str
        Commit of the project it ran at; empty where that is not known.
    options : str
        What the command named beside the study, as it is typed: ``"--only districts -p lang=ko"``.
    """

    study: str
    state: str
    steps: tuple[StepView, ...]
    number: int = 0
    elapsed: float = 0.0
    folder: str = ""
    pid: int = 0
    complete: bool = True
    problem: str = ""
    notes: tuple[str, ...] = ()
    disk: Mapping[str, int] = field(default_factory=dict)
    page: str = ""
    silence: float = 0.0
    commit: str = ""
    options: str = ""

    @property
    def groups(self) -> list[Group]:
        """The steps, matrix steps with all their instances, in the order of the plan."""
        return grouped(self.steps)


def grouped(views: Iterable[StepView]) -> list[Group]:
    """Put the instances of each step together, in the order in which the steps first come."""
    by_step: dict[str, list[StepView]] = {}
    for view in views:
        by_step.setdefault(view.step, []).append(view)
    return [Group(step, tuple(members)) for step, members in by_step.items()]


def counts(views: Iterable[StepView]) -> dict[str, int]:
    """Return how many notebooks there are in each state; the numbers add up to all.

    Examples
    --------
    >>> counts([StepView("a", "failed"), StepView("b", "ok"), StepView("c", "ok")])
    {'ok': 2, 'failed': 1}
    """
    found = Counter(view.state for view in views)
    return {state: found[state] for state in ORDER if found[state]}


def spelt_counts(views: Iterable[StepView]) -> str:
    """Return the counts as words: ``"61 ok, 12 cached, 2 failed"``.

    Examples
    --------
    >>> spelt_counts([StepView("a", "waiting"), StepView("b", "ok")])
    '1 ok, 1 waiting'
    """
    return ", ".join(f"{number:,} {state}" for state, number in counts(views).items())
