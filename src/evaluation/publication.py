"""The one door by which a number, a table or a figure leaves a notebook.

Estimates become ``estimates/<name>.json`` and ``tables/<name>.csv``, tables ``tables/<name>.csv``,
figures ``figures/<name>.png``, ``.svg`` and ``.csv``, all in the run folder; each file appears whole
or not at all. What a step published stands in ``published/<step>.jsonl``, one line per name.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from evaluation import project
from evaluation.errors import PublishError
from evaluation.figures import Figure
from evaluation.results import Estimates
from evaluation.tables import Table, Tidy, csv_bytes, long_frame, table, with_index

#: Environment variable in which the runner names the step that runs.
STEP_VARIABLE = "EVALUATION_STEP"
#: Step of a notebook that no runner started.
INTERACTIVE = "interactive"
#: Folder of a run that holds the logs.
LOG = "published"
#: A table or a figure's data with more rows is taken for respondent records.
MOST_ROWS = 2000

_NAME = re.compile(r"[A-Za-z0-9_]+")

#: What this kernel published: run folder and file, to the hash of its content.
_by_this_kernel: dict[tuple[str, str], str] = {}

Files = dict[str, bytes]


@dataclass(frozen=True)
class Published:
    """What was published: shown as names and files, never as a place on somebody's disk.

    Attributes
    ----------
    names : tuple of str
        Names in the order given.
    files : tuple of str
        Files, relative to the run folder.
    of_record : bool
        Whether a runner made it; by hand it goes to a scratch folder.
    """

    names: tuple[str, ...]
    files: tuple[str, ...]
    of_record: bool

    def __repr__(self) -> str:
        lines = [f"published {name}: {', '.join(self._kinds(name))}" for name in self.names]
        mark = [] if self.of_record else ["not of record (scratch folder); 'evaluation run' makes the record"]
        return "\n".join([*lines, *mark])

    def _kinds(self, name: str) -> list[str]:
        """The files of one name, those in one folder together: ``figures/name.png .svg .csv``."""
        kinds: dict[str, list[str]] = {}
        for file in self.files:
            stem, _, ending = file.rpartition(".")
            if stem.rpartition("/")[2] == name:
                kinds.setdefault(stem, []).append(f".{ending}")
        return [stem + " ".join(endings) for stem, endings in kinds.items()]


def publish(name: str, item: Any, *, title: str | None = None) -> Published:
    """Write a result into the run folder under a name that claims and readers can refer to.

    Parameters
    ----------
    name : str
        Lower-case letters, digits and underscores. Of a group: its label only, the members bring
        their own names.
    item : Estimates, Table, Figure, another result with ``tidy()``, DataFrame, or mapping of name to any of these
        What is published.
    title : str, optional
        For the report's list; a table or figure brings its own.

    Returns
    -------
    Published

    Raises
    ------
    PublishError
        A name that is none, is taken by another step of the run, or is used twice by one notebook of
        a run for different things; something that cannot leave; more than 2,000 rows.
    ProjectError
        Where no study is open and no run is named.
    """
    _check_name(name)
    if isinstance(item, Mapping):
        return _publish_group(name, item)
    files = _files_of(name, item, title)
    run = project.run_folder(project.current_study())
    _check_free(run, name, files)
    for path, content in files.items():
        _write(run / path, content)
    _log(run, name, list(files), title or getattr(item, "title", None))
    _by_this_kernel.update({(str(run), path): _hash(content) for path, content in files.items()})
    return Published((name,), tuple(files), project.is_of_record())


def _publish_group(name: str, items: Mapping[Any, Any]) -> Published:
    if not items:
        raise PublishError(f"'{name}' is an empty group, so there is nothing to publish.")
    for member, item in items.items():
        _check_name(member)
        _files_of(member, item, None)  # all must be able to leave before the first one does
    parts = [publish(str(member), item) for member, item in items.items()]
    files = tuple(file for part in parts for file in part.files)
    return Published(tuple(map(str, items)), files, project.is_of_record())


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        hint = re.sub(r"[^A-Za-z0-9_]+", "_", str(name)).strip("_")
        raise PublishError(
            f"a published name has letters a to z, digits and underscores only, got {name!r}."
            + (f" Use '{hint}'?" if hint else "")
        )


def _files_of(name: str, item: Any, title: str | None) -> Files:
    """Return the files that ``item`` becomes, by path in the run folder."""
    if isinstance(item, Estimates):
        record = json.dumps({"name": name, **item.to_dict()}, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
        rows = _frame_bytes(name, long_frame(item))
        return {f"estimates/{name}.json": record.encode("utf-8"), f"tables/{name}.csv": rows}
    if isinstance(item, Figure):
        return {
            f"figures/{name}.png": item.png(),
            f"figures/{name}.svg": item.svg(),
            f"figures/{name}.csv": _frame_bytes(name, item.data),
        }
    if isinstance(item, Table):
        return {f"tables/{name}.csv": _frame_bytes(name, item.data)}
    if isinstance(item, pd.DataFrame):
        return {f"tables/{name}.csv": _frame_bytes(name, with_index(item))}
    if isinstance(item, Tidy):
        return {f"tables/{name}.csv": _frame_bytes(name, table(item, title=title or name).data)}
    raise PublishError(
        f"'{name}': {type(item).__name__} cannot be published. Publish estimates, ev.table(...), ev.plot(...), "
        "a DataFrame of aggregates, or a mapping of names to these."
    )


def _frame_bytes(name: str, frame: pd.DataFrame) -> bytes:
    if len(frame) > MOST_ROWS:
        raise PublishError(
            f"'{name}' has {len(frame):,} rows; more than {MOST_ROWS:,} are taken for respondent records, which never "
            "leave a notebook. Publish an aggregate of them."
        )
    return csv_bytes(frame)


def _check_free(run: Path, name: str, files: Files) -> None:
    """Refuse a file that something else in this run has; by hand, a cell may be run again.

    Names that differ only in upper and lower case count as one, as they do on Windows and macOS.
    """
    own = {path.lower() for path in files}
    step = os.environ.get(STEP_VARIABLE, INTERACTIVE)
    if step != INTERACTIVE:
        for log in sorted((run / LOG).glob("*.jsonl")):
            if log.stem not in {step, INTERACTIVE} and any(own & _lowered(entry) for entry in _entries(log)):
                raise PublishError(
                    f"'{name}' was already published by step '{log.stem}' of this run. Publish under another name."
                )
    changed = [path for path, content in files.items() if _other_content(run, path, content)]
    alike = [path for folder, path in _by_this_kernel if folder == str(run) and path.lower() in own - set(files)]
    if project.is_of_record() and (changed or alike):
        raise PublishError(
            f"'{name}' was already published by this notebook, as something else. Publish under another name."
        )


def _lowered(entry: Mapping[str, Any]) -> set[str]:
    return {str(path).lower() for path in entry["files"]}


def _other_content(run: Path, path: str, content: bytes) -> bool:
    return _by_this_kernel.get((str(run), path), _hash(content)) != _hash(content)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _log(run: Path, name: str, files: list[str], title: str | None) -> None:
    log = run / LOG / f"{os.environ.get(STEP_VARIABLE, INTERACTIVE)}.jsonl"
    entry = {"name": name, "files": files} | ({"title": title} if title else {})
    kept = [earlier for earlier in _entries(log) if not set(earlier["files"]) & set(files)]
    lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in (*kept, entry)]
    _write(log, "".join(lines).encode("utf-8"))


def _entries(log: Path) -> list[dict[str, Any]]:
    if not log.is_file():
        return []
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]


def _write(path: Path, content: bytes) -> None:
    """Write a file whole: beside its place first, then moved over it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        beside.write_bytes(content)
        os.replace(beside, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()
