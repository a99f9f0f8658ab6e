"""The one door by which a number, a table or a figure leaves a notebook, and by which later steps read it again.

Estimates become ``estimates/<name>.json`` and ``tables/<name>.csv``, tables ``tables/<name>.csv``,
figures ``figures/<name>.png``, ``.svg`` and ``.csv``, all in the run folder; each file appears whole
or not at all. What a step published stands in ``published/<step>.jsonl``, one line per name, until the
run's manifest takes it over. Where a matrix fans a step out, names end in the instance, ``items__110_2016``,
and the log is that of the instance, ``published/district/110_2016.jsonl``.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation import project, wording
from evaluation.deliverables import Files, files_of
from evaluation.errors import ClaimError, EvaluationError, PublishError, did_you_mean
from evaluation.instances import Instance, instances_of, is_device, reached
from evaluation.project import INSTANCE_VARIABLE, LOG, MANIFEST, STEP_VARIABLE
from evaluation.results import TIDY_COLUMNS, Estimates, Provenance
from evaluation.specification import RESOLVED, StudySpecification
from evaluation.tables import common_provenance, group_frame, group_title, table

#: Step of a notebook that no runner started.
INTERACTIVE = "interactive"
#: What stands between a published name and the label of the instance that published it.
INSTANCE_MARK = "__"

#: Letters of a name; the label of an instance comes on top, and file systems end at 255.
LONGEST_NAME = 100
_NAME = re.compile(r"[A-Za-z0-9_]+")

#: What this kernel published: run folder and file, to the hash of its content.
_by_this_kernel: dict[tuple[str, str], str] = {}


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
        mark = [] if self.of_record else [wording.term("not_of_record", "en")]
        return "\n".join([*lines, *mark])

    def _repr_html_(self) -> str:
        """One small line: a reader looks for numbers, not for files."""
        endings = ", ".join(dict.fromkeys(file.rpartition(".")[2] for file in self.files))
        mark = "" if self.of_record else f"; {wording.term('not_of_record')}"
        text = f"{wording.term('published')}: {', '.join(self.names)} ({endings}){mark}"
        return f'<div class="published" style="color: #767676; font-size: 0.8em">{html.escape(text)}</div>'

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
        Letters A to Z and a to z, digits and underscores. Of a group: its label only, the members bring
        their own names. One instance of a matrix publishes under the name, two underscores, and its label:
        ``items__110_2016``.
    item : Estimates, Table, Figure, another result with ``tidy()``, DataFrame, or mapping of name to any of these
        What is published.
    title : str, optional
        For the report's list; default: that of the table or figure, or what is estimated, of what, by what.

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
    name = instance_name(name)
    files = files_of(name, item, title)
    run = project.run_folder(project.current_study())
    _check_free(run, name, files)
    for path, content in files.items():
        _write(run / path, content)
    _log(run, name, list(files), title or _title_of(item))
    _by_this_kernel.update({(str(run), path): _hash(content) for path, content in files.items()})
    return Published((name,), tuple(files), project.is_of_record())


def _title_of(item: Any) -> str | None:
    if isinstance(item, Estimates):
        return wording.estimates_title(item)
    return getattr(item, "title", None)


def _publish_group(name: str, items: Mapping[Any, Any]) -> Published:
    if not items:
        raise PublishError(f"'{name}' is an empty group, so there is nothing to publish.")
    for member, item in items.items():
        _check_name(member)
        files_of(member, item, None)  # all must be able to leave before the first one does
    titled = {name: group_title(items, name, project.language()) for name in getattr(items, "titles", {})}
    parts = [publish(str(member), item, title=titled.get(member)) for member, item in items.items()]
    files = tuple(file for part in parts for file in part.files)
    return Published(tuple(name for part in parts for name in part.names), files, project.is_of_record())


def instance_name(name: str) -> str:
    """Return the name under which the instance that runs publishes; the name itself without a matrix.

    Examples
    --------
    >>> instance_name("items")
    'items'
    """
    label = os.environ.get(INSTANCE_VARIABLE, "")
    return f"{name}{INSTANCE_MARK}{label}" if label else name


def _check_name(name: object) -> None:
    if isinstance(name, str) and (is_device(name) or len(name) > LONGEST_NAME):
        fault = "cannot name a file on Windows" if is_device(name) else f"has more than {LONGEST_NAME} letters"
        raise PublishError(f"a published name becomes the name of files; '{name[:40]}' {fault}. Use another.")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        hint = re.sub(r"[^A-Za-z0-9_]+", "_", str(name)).strip("_")
        raise PublishError(
            f"a published name has unaccented letters, digits and underscores only, got {name!r}."
            + (f" Use '{hint}'?" if hint else "")
        )


def _check_free(run: Path, name: str, files: Files) -> None:
    """Refuse a file that something else in this run has; by hand, a cell may be run again.

    Names that differ only in upper and lower case count as one, as they do on Windows and macOS.
    """
    own = {path.lower() for path in files}
    step = os.environ.get(STEP_VARIABLE, INTERACTIVE)
    if step != INTERACTIVE and not own.isdisjoint(_present(run, files)):
        for other, log in _logs(run).items():
            if other not in {step, INTERACTIVE} and any(own & _lowered(entry) for entry in _entries(log)):
                raise PublishError(
                    f"'{name}' was already published by step '{other}' of this run. Publish under another name."
                )
    changed = [path for path, content in files.items() if _other_content(run, path, content)]
    alike = [path for folder, path in _by_this_kernel if folder == str(run) and path.lower() in own - set(files)]
    if project.is_of_record() and (changed or alike):
        raise PublishError(
            f"'{name}' was already published by this notebook, as something else. Publish under another name."
        )


def _present(run: Path, files: Iterable[str]) -> set[str]:
    """Return the files of the same folders that are there, in lower case: one look, however many steps have a log."""
    folders = {file.rpartition("/")[0] for file in files}
    return {
        f"{folder}/{name}".lower() for folder in folders if (run / folder).is_dir() for name in os.listdir(run / folder)
    }


def _logs(run: Path) -> dict[str, Path]:
    """Return the notes of the kernels of a run by step; those of instances lie in a folder of their step."""
    folder = run / LOG
    logs = {log.relative_to(folder).with_suffix("").as_posix(): log for log in folder.rglob("*.jsonl")}
    return dict(sorted(logs.items()))


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


@dataclass(frozen=True)
class Item:
    """One published name.

    Attributes
    ----------
    name, step, title : str
        Name, the step that published it, and what it shows in the language of the run.
    files : tuple of str
        Files, relative to the run folder.
    """

    name: str
    step: str
    title: str
    files: tuple[str, ...]


def read_items(run: Path) -> tuple[Item, ...]:
    """Return what a run published, step by step, in the order in which it was published.

    In a notebook of that run: what the step published itself, and the steps that it needs, directly or
    through others. So a result never rests on what else happens to be finished.

    Parameters
    ----------
    run : Path
        A run folder: its manifest is read, or, while it runs, the notes of its kernels.
    """
    manifest, instances = _content(run / MANIFEST), _instances(run)
    visible = _visible(run, instances)
    logs = _logs(run)
    items = []
    planned = instances or _content(run / RESOLVED).get("steps", {})
    for step in dict.fromkeys([*manifest.get("steps", planned), *logs]):
        if visible is not None and step not in visible:
            continue
        outputs = manifest.get("steps", {}).get(step, {}).get("outputs", [])
        notes = [{**output, "files": [output["file"]]} for output in outputs]
        entries = notes or (_entries(logs[step]) if step in logs else [])
        files: dict[str, list[str]] = {}
        titles: dict[str, str] = {}
        for entry in entries:
            files.setdefault(entry["name"], []).extend(entry["files"])
            titles.setdefault(entry["name"], entry.get("title") or entry["name"])
        items += [Item(name, step, titles[name], tuple(paths)) for name, paths in files.items()]
    return tuple(items)


def _instances(run: Path) -> dict[str, Instance]:
    """Return what the steps of a run come to; none where its study is not to be read."""
    file = run / RESOLVED
    if not file.is_file():
        return {}
    with contextlib.suppress(ValueError, EvaluationError):
        return instances_of(StudySpecification.model_validate_json(file.read_text(encoding="utf-8")).steps)
    return {}


def _visible(run: Path, instances: Mapping[str, Instance]) -> set[str] | None:
    """Return the steps whose publications a notebook of the run may read; None where it may read all."""
    step = os.environ.get(STEP_VARIABLE, "")
    inside = project.is_of_record() and project.run_folder().resolve() == run.resolve()
    return reached(instances, [step]) if inside and step in instances else None


def _content(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def read_estimates(run_folder: Path) -> dict[str, dict[str, Any]]:
    """Return the content of every ``estimates/<name>.json`` of a run by name, in the order of publication.

    In a notebook of that run, only what its step and those it needs published (see ``read_items``).

    Raises
    ------
    ClaimError
        Where a file is not what a run writes.
    """
    run = Path(run_folder)
    items = read_items(run)
    order = {file: place for place, file in enumerate(file for item in items for file in item.files)}
    paths = sorted((run / "estimates").glob("*.json"))
    if _visible(run, _instances(run)) is not None:
        paths = [path for path in paths if f"estimates/{path.name}" in order]
    estimates: dict[str, dict[str, Any]] = {}
    for path in sorted(paths, key=lambda path: order.get(f"estimates/{path.name}", len(order))):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = content["rows"]
        except (ValueError, KeyError, TypeError):
            raise ClaimError(f"estimates/{path.name} holds no 'rows' of estimates. Run the study again.") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ClaimError(f"estimates/{path.name}: 'rows' must be a list of records. Run the study again.")
        estimates[path.stem] = content
    return estimates


@dataclass(frozen=True, eq=False)
class PublishedEstimates(Mapping[str, Estimates]):
    """Estimates that earlier steps published, read again: by name, in the order of publication.

    They hold what their files hold: numbers, covariances and labels, but no influence.

    Attributes
    ----------
    estimates : dict of str to Estimates
    titles : dict of str to str
        Titles by name, in the language of the run.
    """

    estimates: Mapping[str, Estimates]
    titles: Mapping[str, str]

    @property
    def provenance(self) -> Provenance:
        """The survey, with n and weight where all estimates share them."""
        return common_provenance(self.estimates)

    def __getitem__(self, name: str) -> Estimates:
        if name not in self.estimates:
            hint = did_you_mean(name, self.estimates) if self.estimates else "Run the steps before this one first."
            raise PublishError(f"no step published an estimate '{name}'. {hint}")
        return self.estimates[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.estimates)

    def __len__(self) -> int:
        return len(self.estimates)

    def part(self, *beginnings: str) -> PublishedEstimates:
        """Return the estimates whose names begin so, in their order; a PublishError where there is none."""
        chosen = {name: item for name, item in self.estimates.items() if name.startswith(beginnings)}
        if not chosen:
            raise PublishError(
                f"no step published an estimate that begins with {' or '.join(map(repr, beginnings))}; "
                f"published are {', '.join(self.estimates) or 'none'}."
            )
        return PublishedEstimates(chosen, {name: title for name, title in self.titles.items() if name in chosen})

    def tidy(self) -> pd.DataFrame:
        """Return all rows under each other: name, row as address and in words, numbers."""
        return group_frame(self.estimates)

    def __repr__(self) -> str:
        return repr(table(self, title="published_estimates"))

    def _repr_html_(self) -> str:
        return table(self, title="published_estimates")._repr_html_()


def read_published(run_folder: Path) -> PublishedEstimates:
    """Read the estimates of a run as results again, with the labels that their tables hold.

    Raises
    ------
    ClaimError
        Where a file is not what a run writes.
    """
    run = Path(run_folder)
    titles = {path: item.title for item in read_items(run) for path in item.files}
    estimates = {}
    for name, content in read_estimates(run).items():
        try:
            estimates[name] = _restored(content, run / "tables" / f"{name}.csv")
        except (KeyError, ValueError, TypeError, IndexError):
            raise ClaimError(f"estimates/{name}.json is no complete record. Run the study again.") from None
    return PublishedEstimates(
        estimates, {name: titles[path] for name in estimates if (path := f"estimates/{name}.json") in titles}
    )


def _restored(content: Mapping[str, Any], words: Path) -> Estimates:
    rows = content["rows"]
    columns = list(rows[0])
    first = columns.index(TIDY_COLUMNS[0])
    keys = pd.DataFrame([{name: row[name] for name in columns[:first]} for row in rows])
    numbers = {name: np.array([_float(row[name]) for row in rows]) for name in TIDY_COLUMNS}
    return Estimates(
        content["verb"],
        keys,
        numbers["estimate"],
        np.array([[_float(value) for value in row] for row in content["vcov"]]),
        numbers["df"],
        np.nan_to_num(numbers["n_obs"]).astype(np.int64),
        Provenance(**content["provenance"], labels=_recorded_labels(keys, words, of=_outcome(content))),
        conf_level=content["conf_level"],
        interval=np.column_stack([numbers["conf_low"], numbers["conf_high"]]),
        interval_method=content["interval_method"],
        method=content["variance_method"],
        columns={name: _column([row[name] for row in rows]) for name in columns[first + len(TIDY_COLUMNS) :]},
        fit=content["fit"],
    )


def _column(values: list[Any]) -> np.ndarray[Any, Any]:
    """Return a further column: numbers with NaN where JSON has none, anything else as it is."""
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values) and all(isinstance(value, (int, float)) for value in numbers):
        return np.array([_float(value) for value in values])
    return np.array(values)


def _float(value: Any) -> float:
    return np.nan if value is None else float(value)


class RecordedLabels:
    """Labels as a published table holds them: of the keys of its rows, in both languages."""

    def __init__(self, words: Mapping[tuple[str, str, str], str]) -> None:
        self.words = words

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column or term."""
        return self.words.get(("term", str(name), lang), str(name))

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code of a column."""
        return self.words.get((str(name), str(value), lang), str(value))


def _outcome(content: Mapping[str, Any]) -> str:
    """Return the variable whose codes the levels are, where they are not those of the term."""
    return str(content["fit"].get("outcome", "")) if content["verb"] in wording.OF_OUTCOME else ""


def _recorded_labels(keys: pd.DataFrame, file: Path, of: str) -> RecordedLabels:
    words: dict[tuple[str, str, str], str] = {}
    rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines())) if file.is_file() else []
    if len(rows) != len(keys):
        return RecordedLabels(words)
    for key, row in zip(keys.to_dict("records"), rows, strict=True):
        for column, value in key.items():
            owner = str(column)
            if column == "level":
                owner = str(of or key.get("subgroup", key["term"]))
            elif column == "subgroup":
                owner = "term"
            elif of and column in ("value", "contrast"):
                owner = str(key["term"])
            words |= {
                (owner, str(value), lang): row.get(f"{column}_label_{lang}", str(value)) for lang in project.LANGUAGES
            }
    return RecordedLabels(words)
