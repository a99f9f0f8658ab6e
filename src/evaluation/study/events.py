"""``events.jsonl``: what happens in a run as it happens, one line each; the one file of a run that holds times.

It is written line by line, so that a run that was killed has told all but its last line, and read in the
order of ``seq``: clocks may be put back while a study runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Literal, Self, cast

import psutil  # type: ignore[import-untyped]

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.study import lock
from evaluation.study.states import CellWarning, Failure, Progress, StepOutcome

#: Name of the file in a run folder.
EVENTS = "events.jsonl"

RunState = Literal["running", "dead", "ok", "skipped", "failed", "cancelled"]


@dataclass(frozen=True)
class RunLog:
    """What a run told of itself.

    Attributes
    ----------
    folder : Path
        Where the run lies.
    study : str
        Id of the study.
    number : int
        Runs of a study are counted from 1.
    pid : int
        Process that ran or runs it.
    started : str
        By the clock of then, ISO 8601 in UTC. For people: order and durations never rest on it.
    state : {"running", "dead", "ok", "skipped", "failed", "cancelled"}
        ``"dead"`` for a run that was killed before it could end.
    exit_code : int or None
        None for a run that has not ended.
    jobs : int
        Notebooks that ran at the same time.
    kernel : str
        ``"forked"`` or ``"plain"``, as asked for; ``notes`` say where it could not be had.
    cells : dict of str to int
        Steps in the order of the plan, with their code cells.
    outcomes : tuple of StepOutcome
        Steps that have ended, in the order of the plan, with their durations and memory.
    running : dict of str to Progress
        Steps that had started and not ended when the run wrote its last line.
    why : dict of str to tuple of str
        Why a step had to run; empty for one that was cached or for which nobody asked.
    elapsed : float
        Seconds from the start of the run to its last line.
    notes : tuple of str
        What the run said beside its steps.
    disk : dict of str to int
        Bytes: ``"run"`` and ``"cache"``; empty for a run that has not ended.
    kernels : dict of int to float
        Processes that steps ran in, with the moment at which each was born.
    last : int
        ``seq`` of the last line.
    begun : dict of str to float
        When each running step began, in seconds from the start of the run.
    complete : bool
        Whether the run was to hold all steps of the study.
    only, given : tuple of str, dict of str to str
        Steps and parameters that the command named.
    """

    folder: Path = field(repr=False)
    study: str
    number: int
    pid: int
    started: str
    state: RunState
    exit_code: int | None
    jobs: int
    kernel: str
    cells: Mapping[str, int]
    outcomes: tuple[StepOutcome, ...]
    running: Mapping[str, Progress]
    why: Mapping[str, tuple[str, ...]]
    elapsed: float
    notes: tuple[str, ...]
    disk: Mapping[str, int]
    kernels: Mapping[int, float] = field(repr=False)
    last: int
    begun: Mapping[str, float] = field(default_factory=dict)
    complete: bool = True
    only: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)


class EventLog:
    """Writes the events of one run; callable from several threads.

    A log that cannot be written (a full disk) never stops a run: the event is lost, and the next one is
    tried again on a line of its own.

    Parameters
    ----------
    file : Path
        ``events.jsonl`` of the run.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._stream: IO[bytes] | None = None
        self._lock = threading.RLock()
        self._seq = 0
        self._torn = False
        self._begin = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the log was opened, by a clock that nobody can put back."""
        return round(time.monotonic() - self._begin, 3)

    def run(
        self,
        study: str,
        number: int,
        cells: Mapping[str, int],
        *,
        jobs: int,
        kernel: str,
        complete: bool = True,
        only: Sequence[str] = (),
        given: Mapping[str, str] | None = None,
    ) -> None:
        """Write that a run begins, with the code cells of each step and what the command named.

        Events of another run in the file go: at every moment it names one run or the other, so that no number
        is given twice.
        """
        steps = [{"step": step, "cells": count} for step, count in cells.items()]
        now = datetime.now(UTC).isoformat(timespec="seconds")
        words = {"run": number, "study": study, "pid": os.getpid(), "time": now, "jobs": jobs, "kernel": kernel}
        asked = {"complete": complete, "only": list(only), "given": dict(given or {})}
        self._write("run", {**words, **asked, "steps": steps})

    def started(self, step: str, cells: int, why: Sequence[str] = ()) -> None:
        """Write that a step begins, and why it has to run."""
        self._write("step", {"step": step, "state": "running", "done": 0, "cells": cells, "why": list(why)})

    def ended(self, outcome: StepOutcome) -> None:
        """Write what became of a step."""
        self._write("step", {"step": outcome.step, **_record(outcome)})

    def kernel(self, step: str, pid: int) -> None:
        """Write which process a step runs in, so that a run after a crash can see to it that it is gone."""
        self._write("kernel", {"step": step, "pid": pid, "born": born(pid)})

    def cell(self, step: str, done: int, cells: int) -> None:
        """Write that a code cell has run."""
        self._write("cell", {"step": step, "done": done, "cells": cells})

    def note(self, text: str) -> None:
        """Write what the user should know beside what becomes of the steps."""
        self._write("note", {"text": text})

    def end(self, state: str, exit_code: int, disk_bytes: Mapping[str, int]) -> None:
        """Write that the run is over; nothing is written after it."""
        self._write("end", {"state": state, "exit_code": exit_code, "disk_bytes": dict(disk_bytes)})

    def close(self) -> None:
        """Close the file, so that the folder it lies in can be moved."""
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def _write(self, event: str, words: Mapping[str, Any]) -> None:
        with self._lock:
            self._seq += 1
            entry = {"seq": self._seq, "event": event, **words, "elapsed": self.elapsed}
            line = json.dumps(entry, ensure_ascii=False).encode("utf-8") + b"\n"
            if event == "run" and self._stream is None:
                self._torn = not self._begun_anew(line)
                return
            try:
                if self._stream is None:
                    self._stream = self.file.open("ab", buffering=0)
                self._torn = self._stream.write(b"\n" + line if self._torn else line) < len(line)
            except OSError:
                self._torn = True

    def _begun_anew(self, line: bytes) -> bool:
        """Put a file with this line in the place of the one that is there."""
        beside = self.file.with_name(f"{self.file.name}.part")
        try:
            beside.write_bytes(line)
            os.replace(beside, self.file)
        except OSError:
            for file in (beside, self.file):
                with contextlib.suppress(OSError):
                    file.unlink()
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _record(outcome: StepOutcome) -> dict[str, Any]:
    return {
        **outcome.to_dict(),
        "state": outcome.state,
        "done": outcome.done,
        "seconds": round(outcome.seconds, 3),
        "peak_memory_bytes": outcome.peak_memory_bytes,
    }


def _outcome(entry: Mapping[str, Any]) -> StepOutcome:
    failure = entry.get("failure")
    return StepOutcome(
        step=entry["step"],
        notebook=str(entry.get("notebook", "")).removeprefix("notebooks/").removesuffix(".ipynb"),
        state=entry["state"],
        done=entry.get("done", 0),
        cells=entry.get("cells", 0),
        seconds=entry.get("seconds", 0.0),
        failure=Failure(**failure) if failure else None,
        warnings=tuple(CellWarning(**warning) for warning in entry.get("warnings", ())),
        blocked_by=tuple(entry.get("blocked_by", ())),
        skipped_because=entry.get("skipped_because", ""),
        peak_memory_bytes=entry.get("peak_memory_bytes", 0),
    )


def read_events(file: Path) -> RunLog:
    """Read the events of a run, running, dead or ended.

    Parameters
    ----------
    file : Path
        ``events.jsonl`` of a run folder. Lines that were torn when the run was killed are passed over.

    Returns
    -------
    RunLog

    Raises
    ------
    ProjectError
        Where there is no such file, or no line of it says which run it was.
    """
    try:
        entries = _entries(file)
    except OSError as error:
        raise ProjectError(f"no events of a run in {file.parent.name} ({error.strerror}: {file.name}).") from None
    begin = next((entry for entry in entries if entry["event"] == "run"), None)
    if begin is None:
        raise ProjectError(f"{file.parent.name}/{file.name} does not say which run it tells of. Run the study again.")
    end = next((entry for entry in entries if entry["event"] == "end"), {})
    cells = {step["step"]: step["cells"] for step in begin["steps"]}
    outcomes, running, why = _steps(entries)
    return RunLog(
        folder=file.parent,
        study=begin["study"],
        number=begin["run"],
        pid=begin["pid"],
        started=begin["time"],
        state=_state(file, begin["study"], end.get("state")),
        exit_code=end.get("exit_code"),
        jobs=begin["jobs"],
        kernel=begin["kernel"],
        cells=cells,
        outcomes=tuple(outcomes[step] for step in cells if step in outcomes),
        running=running,
        why=why,
        elapsed=max(entry.get("elapsed", 0.0) for entry in entries),
        notes=tuple(entry["text"] for entry in entries if entry["event"] == "note"),
        disk=end.get("disk_bytes", {}),
        kernels={entry["pid"]: entry["born"] for entry in entries if entry["event"] == "kernel"},
        last=entries[-1]["seq"],
        begun=_begun(entries, running),
        complete=begin.get("complete", True),
        only=tuple(begin.get("only", ())),
        given=begin.get("given", {}),
    )


def _begun(entries: Sequence[Mapping[str, Any]], running: Mapping[str, Progress]) -> dict[str, float]:
    return {
        entry["step"]: entry.get("elapsed", 0.0)
        for entry in entries
        if entry["event"] == "step" and entry["state"] == "running" and entry["step"] in running
    }


def _entries(file: Path) -> list[dict[str, Any]]:
    found = []
    for line in file.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and "seq" in entry and "event" in entry:
            found.append(entry)
    return sorted(found, key=lambda entry: int(entry["seq"]))


def _steps(
    entries: Sequence[Mapping[str, Any]],
) -> tuple[dict[str, StepOutcome], dict[str, Progress], dict[str, tuple[str, ...]]]:
    outcomes: dict[str, StepOutcome] = {}
    running: dict[str, Progress] = {}
    why: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        step = entry.get("step", "")
        if entry["event"] == "cell" and step in running:
            running[step] = Progress(step, entry["done"], entry["cells"], why=running[step].why)
        elif entry["event"] == "step" and entry["state"] == "running":
            why[step] = tuple(entry["why"])
            running[step] = Progress(step, 0, entry["cells"], why=why[step])
        elif entry["event"] == "step":
            running.pop(step, None)
            outcomes[step] = _outcome(entry)
    return outcomes, running, why


def _state(file: Path, study: str, ended: str | None) -> RunState:
    """Return the state of a run: one that lies in the staging folder has not taken its place, whatever it says."""
    if file.parent.parent == project.project_root() / "outputs" / ".staging":
        return "running" if lock.is_held(study) else "dead"
    return cast("RunState", ended) if ended else "dead"


def born(pid: int) -> float:
    """Return when a process was started, by the system's count; 0 where there is no such process."""
    try:
        return round(float(psutil.Process(pid).create_time()), 2)
    except psutil.Error:
        return 0.0


def places(study: str) -> list[Path]:
    """Return the folders in which a run of a study may lie."""
    outputs = project.project_root() / "outputs"
    return [outputs / study, *(outputs / kind / study for kind in ("failed", "partial", "skipped", ".staging"))]


def known_runs(study: str) -> list[RunLog]:
    """Return the runs of a study that have left something, in no order."""
    runs = []
    for folder in places(study):
        with contextlib.suppress(ProjectError):
            runs.append(read_events(folder / EVENTS))
    return runs


def latest_run(study: str) -> RunLog:
    """Return the newest run of a study, by its number: running, dead or ended.

    Parameters
    ----------
    study : str
        Id of the study.

    Raises
    ------
    ProjectError
        Where it never ran.
    """
    runs = known_runs(study)
    if not runs:
        raise ProjectError(f"no run of '{study}' yet. Make one: evaluation run {study}")
    return max(runs, key=lambda run: run.number)
