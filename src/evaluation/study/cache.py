"""What a step needs not do again: results kept by what they were made from, each file with its SHA-256."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import nbformat

from evaluation.errors import CacheDamage
from evaluation.instances import reached
from evaluation.project import LOG, MANIFEST
from evaluation.specification import RESOLVED
from evaluation.study import entries, key
from evaluation.study.entries import Entry
from evaluation.study.events import known_runs
from evaluation.study.hashes import FileHashes, Inputs, Moment
from evaluation.study.manifest import files_left, log_fault
from evaluation.study.parameters import read_template
from evaluation.study.plan import Plan, PlannedStep
from evaluation.study.sources import Sources, sources_of, upstream_differences
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
    """The kept results of one study, for one run of it. Safe for threads.

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
        self._templates: dict[tuple[str, str], tuple[str | None, key.Parts]] = {}
        self._published: dict[tuple[Path, str], dict[str, str]] = {}
        self._owners: dict[str, str] = {}

    def upstream(self, step: PlannedStep, run: Path) -> dict[str, str]:
        """Return the files that a step's needs published in a run, their logs too, each with its SHA-256.

        Parameters
        ----------
        step : PlannedStep
            All that it needs, through however many others, must have ended.
        run : Path
            The run folder.
        """
        files: dict[str, str] = {}
        for need in self._needs(step):
            known = self._published.get((run, need))
            if known is None:
                names = files_left(run, need)
                known = {file: digest for file in names if (digest := self.inputs.of(str(run / file))) is not None}
                self._published[run, need] = known
            self._owners.update(dict.fromkeys(known, need))
            files.update(known)
        return files

    def look_up(self, step: PlannedStep, upstream: Mapping[str, str]) -> Verdict:
        """Return the kept result of a step, or why there is none that holds.

        The newest five are tried. What makes a step run is said by what differs from the one that is nearest.

        Parameters
        ----------
        step : PlannedStep
            A step of the plan.
        upstream : mapping of str to str
            As ``upstream`` returns it.
        """
        return self._look_up(step, upstream, self.inputs)

    def _look_up(self, step: PlannedStep, upstream: Mapping[str, str] | None, hashes: FileHashes) -> Verdict:
        folders = entries.entry_folders(self.folder, step.name)
        if not folders:
            return Verdict(None, (self._without_result.get(step.name, "never run"),))
        now = self._parts(step)
        nearest, other, damaged = None, False, False
        for _, folder in folders:
            try:
                entry = entries.load_entry(step.name, folder)
            except CacheDamage:
                damaged = True
                if hashes is self.inputs:
                    entries.remove_entry(folder)
                continue
            if entry.version != key.KEY_VERSION:
                other = True
                continue
            why = self._differences(entry, now, upstream, hashes)
            if not why:
                return Verdict(entry)
            nearest = why if nearest is None or len(why) < len(nearest) else nearest
        if nearest is None:
            nearest = ["kept by another version of the workbench"] if other else []
        return Verdict(None, tuple(dict.fromkeys(nearest)) or (("what was kept of it is damaged",) if damaged else ()))

    def _differences(
        self, entry: Entry, now: key.Parts, upstream: Mapping[str, str] | None, hashes: FileHashes
    ) -> list[str]:
        then = entry.parts
        told = key.differences(dict(then), now, self.plan.study)
        told += Sources(**then["sources"]).differences(hashes)
        if upstream is not None:
            told += upstream_differences(then["upstream"], upstream, self._owners)
        return told + key.machine_differences(then["machine"], now["machine"])

    def keep(
        self,
        step: PlannedStep,
        upstream: Mapping[str, str],
        run: Path,
        outcome: StepOutcome,
        record: Mapping[str, Any] | None,
    ) -> str:
        """Keep what a step left in a run; return why it was not kept, empty where it was.

        Parameters
        ----------
        step, upstream
            As for ``look_up``, before the step ran.
        run : Path
            The run folder with the executed notebook and what was published.
        outcome : StepOutcome
            Only what is ok is kept.
        record : mapping or None
            What the kernel noted (``evaluation.recording``).
        """
        if outcome.state != "ok":
            return f"it is {outcome.state}"
        if record is None:
            return "its kernel gave no record of what it read"
        try:
            parts = self._parts(step, executed=run / "notebooks" / f"{step.output}.ipynb")
            if parts["notebook"] != self._parts(step)["notebook"]:
                return "its notebook changed while it ran"
            own = self._own_files(step, run, record)
            if fault := _unknown(record, {*upstream, *own}) or self._changed(record):
                return fault
            parts["sources"] = vars(sources_of(record, self.inputs))
            parts["upstream"] = {file: [digest, self._owners.get(file, "")] for file, digest in upstream.items()}
            kept = {"parts": parts, "outcome": replace(outcome, seconds=0.0).to_dict()}
            entries.write_entry(self.folder, step.name, key.KEY_VERSION, run, own, kept)
            entries.prune(self.folder, step.name)
        except CacheDamage as damage:
            return str(damage).partition(": ")[2].partition(". ")[0]
        except (OSError, ValueError) as error:
            return str(getattr(error, "strerror", None) or error)
        return ""

    def restore(self, entry: Entry, run: Path) -> StepOutcome:
        """Put a kept result into a run; its state is ``"cached"``.

        Parameters
        ----------
        entry : Entry
            From ``look_up``.
        run : Path
            The run folder.

        Raises
        ------
        CacheDamage
            A file is not what was kept; the entry is removed, nothing is put into the run.
        OSError
            The run folder cannot be written.
        """
        try:
            outcome = StepOutcome.from_dict(entry.step, entry.outcome)
            entries.restore_entry(entry, run)
            if fault := log_fault(run, entry.step):
                raise CacheDamage(f"what was kept of step '{entry.step}' is no result: {fault}")
        except CacheDamage:
            entries.remove_entry(entry.folder)
            raise
        sources = Sources(**entry.parts["sources"])
        self.inputs.saw(entry.step, sources.inputs, sources.modules)
        entries.make_newest(self.folder, entry)
        return replace(outcome, state="cached", done=outcome.cells)

    def preview(self) -> list[Preview]:
        """Return, step by step, what would run and why; nothing is written or removed."""
        found: dict[str, Preview] = {}
        hashes = Moment(self.inputs)
        kept: dict[str, dict[str, str]] = {}
        for step in self.plan.steps:
            waiting = [need for need in step.needs if found[need].state != "cached"]
            verdict = self._look_up(step, None if waiting else self._kept_upstream(step, kept), hashes)
            if verdict.entry is None:
                found[step.name] = Preview(step.name, "run", verdict.why)
            elif waiting:
                found[step.name] = Preview(step.name, "depends", (_depends(waiting),))
            else:
                found[step.name] = Preview(step.name, "cached")
                names = files_left(verdict.entry.folder / entries.FILES, step.name)
                kept[step.name] = {file: verdict.entry.files[file] for file in names if file in verdict.entry.files}
        return list(found.values())

    def _kept_upstream(self, step: PlannedStep, kept: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
        files: dict[str, str] = {}
        for need in self._needs(step):
            self._owners.update(dict.fromkeys(kept[need], need))
            files.update(kept[need])
        return files

    def _needs(self, step: PlannedStep) -> list[str]:
        """Return all that a step needs, through however many others, in the order of the plan."""
        return sorted(reached(self.plan.by_name, step.needs), key=self._order.__getitem__)

    @cached_property
    def _without_result(self) -> dict[str, str]:
        """Return what to say of steps that ran before and of which nothing is kept."""
        told: dict[str, str] = {}
        for run in sorted(known_runs(self.plan.study), key=lambda run: run.number):
            for outcome in run.outcomes:
                if outcome.is_good:
                    told[outcome.step] = "nothing is kept of it"
                elif outcome.state not in ("blocked", "skipped"):
                    told.setdefault(outcome.step, "never ended well")
        return told

    @cached_property
    def _order(self) -> dict[str, int]:
        return {step.name: place for place, step in enumerate(self.plan.steps)}

    @cached_property
    def _of_study(self) -> key.Parts:
        return key.study_parts(self.plan.specification)

    @cached_property
    def _machine(self) -> key.Parts:
        return key.machine_parts(self.inputs)

    def _parts(self, step: PlannedStep, executed: Path | None = None) -> key.Parts:
        """Return what a step's result rests on beside what its kernel reads, as JSON gives it back."""
        parts = {
            "notebook": self._notebook(step, executed),
            **self._of_study,
            **key.step_parts(step, self.plan, self._needs(step)),
        }
        return {**json.loads(json.dumps(parts)), "machine": self._machine}

    def _notebook(self, step: PlannedStep, executed: Path | None) -> key.Parts:
        sections, language = self.plan.specification.sections, str(step.parameters["lang"])
        if executed is not None:
            node = nbformat.reads(executed.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
            return key.notebook_parts(node, sections, language)
        digest = self.inputs.of(f"notebooks/{step.notebook}.ipynb")
        known = self._templates.get((step.notebook, language))
        if known is None or known[0] != digest:
            known = digest, key.notebook_parts(read_template(step.notebook), sections, language)
            self._templates[step.notebook, language] = known
        return known[1]

    def _own_files(self, step: PlannedStep, run: Path, record: Mapping[str, Any]) -> dict[str, str]:
        """Return what a step left in a run: its notebook, what it published, what else its kernel wrote there."""
        names = [f"notebooks/{step.output}.ipynb", *files_left(run, step.name), *record["left"]]
        present = [file for file in dict.fromkeys(names) if (run / file).is_file()]
        return {file: digest for file in present if (digest := self.inputs.of(str(run / file))) is not None}

    def _changed(self, record: Mapping[str, Any]) -> str:
        code = self.inputs.changed_code(record)
        written = set(record["written"])
        data = [
            file
            for file, read in record["inputs"].items()
            if file not in written and self.inputs.content_read(file, read, now := self.inputs.of(file)) != now
        ]
        return f"{(code + data)[0]} changed while it ran" if code or data else ""


def _unknown(record: Mapping[str, Any], known: Iterable[str]) -> str:
    """Say what a step rests on that nobody can hold against a later run; empty where there is nothing."""
    if record["beyond"]:
        return (
            f"it reaches for other processes or the network ({', '.join(record['beyond'])}), whose answers may differ"
        )
    if record["removed"]:
        return f"it removed {record['removed'][0]}, which a later run would find removed already"
    foreign = set(record["of_run"]) - set(known) - {RESOLVED, MANIFEST}
    strange = sorted(file for file in foreign if not file.startswith(f"{LOG}/"))
    return f"it read {strange[0]}, which nothing that it needs published" if strange else ""


def _depends(waiting: list[str]) -> str:
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    return f"depends on {waiting[0]}{more}"
