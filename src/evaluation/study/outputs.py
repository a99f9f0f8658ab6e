"""What the steps of one run left there, and that no step changes or takes away what another one published."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from evaluation.study.hashes import FileHashes
from evaluation.study.manifest import files_left, log_fault
from evaluation.study.plan import PlannedStep
from evaluation.study.states import Failure


class Outputs:
    """The files of one run by the step that owns them: its notebook, what it published, the log of that.

    Safe for threads.

    Parameters
    ----------
    run : Path
        The run folder.
    hashes : FileHashes
        By which files are held against what they were when their step had ended.
    """

    def __init__(self, run: Path, hashes: FileHashes) -> None:
        self.run, self.hashes = run, hashes
        self._lock = threading.Lock()
        self._owners: dict[str, list[str]] = {}
        self._digests: dict[str, str | None] = {}
        self._wrote: dict[str, tuple[str, ...]] = {}

    def ended(self, step: PlannedStep, wrote: Iterable[str]) -> None:
        """Take down what a step left that is ok.

        Parameters
        ----------
        step : PlannedStep
        wrote : iterable of str
            Files of the run folder that it is known to have written, whosever they are.
        """
        digests = {file: self.hashes.of(str(self.run / file)) for file in self._own(step)}
        with self._lock:
            self._wrote[step.name] = tuple(wrote)
            for file, digest in digests.items():
                self._owners.setdefault(file, []).append(step.name)
                self._digests.setdefault(file, digest)

    def fault(self, step: PlannedStep, record: Mapping[str, Any] | None, upstream: Mapping[str, str]) -> Failure | None:
        """Return what a step did to the files of others, or others to those it rests on; None where all is well.

        Parameters
        ----------
        step : PlannedStep
            It has run to its end.
        record : mapping or None
            What its kernel noted.
        upstream : mapping of str to str
            Files that its needs published, with their SHA-256 when it began.
        """
        if damaged := log_fault(self.run, step.name):
            return _failure(damaged)
        noted = record or {}
        if told := self._taken(step.name, noted.get("taken", ())) or self._over(step, noted.get("left", ())):
            return _failure(told)
        changed = [file for file, digest in upstream.items() if self.hashes.of(str(self.run / file)) != digest]
        if not changed:
            return None
        return _failure(
            f"{changed[0]}, on which this step rests, changed while it ran: another step wrote over it or removed it. "
            "Let each step write files of its own, then run again"
        )

    def faults(self, steps: Collection[PlannedStep]) -> dict[str, Failure]:
        """Return, now that all have ended, the steps whose results cannot be taken for good, and why."""
        found: dict[str, Failure] = {}
        for step in steps:
            # The last word of a step is known only now: what it wrote may be published by one that ended later.
            if told := self._over(step, self._wrote.get(step.name, ())):
                found[step.name] = _failure(told)
        named = {file for name in found for file in self._wrote[name]}
        for file, digest in self._digests.items():
            owners = self._owners[file]
            if len(owners) == 1 and file not in named and self.hashes.of(str(self.run / file)) != digest:
                fault = f"{file} is not what it was when this step ended: another step or a program changed it"
                found.setdefault(owners[0], _failure(f"{fault}. Let each step write files of its own, then run again"))
        return found

    def _own(self, step: PlannedStep) -> list[str]:
        return [f"notebooks/{step.output}.ipynb", *files_left(self.run, step.name)]

    def _over(self, step: PlannedStep, wrote: Iterable[str]) -> str:
        """Say which file of another step a step wrote; where both published it, the run tells of that."""
        with self._lock:
            foreign = {file: self._owners.get(file, (step.name,)) for file in wrote}
        foreign = {file: owners for file, owners in foreign.items() if step.name not in owners}
        own = set(self._own(step)) if foreign else set()
        for file, owners in foreign.items():
            if file not in own:
                return f"step '{step.name}' wrote over {file} of step '{owners[0]}'. Give the file another name"
        return ""

    def _taken(self, step: str, places: Iterable[str]) -> str:
        """Say which file of another step a step removed or moved away, by itself or with its folder."""
        with self._lock:
            for place in places:
                for file, owners in self._owners.items():
                    if step not in owners and (file == place or file.startswith(f"{place}/") or not place):
                        return f"step '{step}' removed {file} of step '{owners[0]}'. Let it stand"
        return ""


def _failure(message: str) -> Failure:
    return Failure(0, "PublishError", message)
