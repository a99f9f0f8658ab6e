"""The published tables of a study's good run, as they stand in its files: texts, marks and what was estimated."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from evaluation import project
from evaluation.errors import ProjectError
from evaluation.project import MANIFEST
from evaluation.publication import INSTANCE_MARK, read_estimates, read_items
from evaluation.results import TIDY_COLUMNS
from evaluation.specification import RESOLVED, StudySpecification
from evaluation.study.manifest import read_manifest

#: Two numbers of two runs that differ by less are the same number.
SAME_NUMBER = 1e-9
#: Columns of a table that are no number of their own.
NOT_COMPARED = ("mark", "notice")

_YEAR = re.compile(r"(?<!\d)((?:19|20)\d\d)(?!\d)")
_WHOLE = re.compile(r"(-?\d+)\.0+")
_LABEL = re.compile(r"_label_(?:ko|en)$")


@dataclass(frozen=True)
class PublishedTable:
    """One file ``tables/<name>.csv``.

    Attributes
    ----------
    name : str
        Stem of the file.
    template, instance, year : str
        The name without its instance; the instance without its year, and that year; empty where there is none.
    title : str
        As it was published, in the language of the run.
    columns : tuple of str
        All columns of the file.
    lines : tuple of dict
        One per row, texts as they stand there.
    keys : tuple of str or None
        Key columns, where ``estimates/<name>.json`` names them.
    record : dict
        What that file says of the estimates: verb, provenance, fit; empty where there is none.
    """

    name: str
    template: str
    instance: str
    year: str
    title: str
    columns: tuple[str, ...]
    lines: tuple[Mapping[str, str], ...] = field(repr=False)
    keys: tuple[str, ...] | None
    record: Mapping[str, Any] = field(repr=False)

    @property
    def verb(self) -> str:
        """The verb that estimated it; empty for other tables."""
        return str(self.record.get("verb", ""))

    @property
    def base(self) -> str:
        """Whom the numbers are about, in English, less what is said of a year: text in brackets and years."""
        population = str(self.record.get("provenance", {}).get("population", {}).get("en", ""))
        return " ".join(_YEAR.sub("", re.sub(r"\([^()]*\)", "", population)).split())

    def notice(self, line: Mapping[str, str]) -> str:
        """Return what is to be said of a row's numbers, in both languages: its own cell, else what its record says."""
        said = self.record.get("provenance", {}).get("notice") or {}
        return line.get("notice") or " / ".join(filter(None, (str(said.get(lang, "")) for lang in project.LANGUAGES)))

    def words(self, line: Mapping[str, str], keys: tuple[str, ...], lang: str) -> str:
        """Return the keys of a row in words, as the file holds them."""
        parts = (line.get(f"{key}_label_{lang}", line.get(f"row_label_{lang}") or line[key]) for key in keys)
        return " · ".join(dict.fromkeys(filter(None, parts)))


@dataclass(frozen=True)
class Release:
    """The tables of one study.

    Attributes
    ----------
    study, survey : str
        Ids.
    year : str
        The year the study is about; empty where neither survey nor study names one.
    place : str
        Where it was read, relative to the project.
    tables : dict of str to PublishedTable
        By name, in the order of publication.
    manifest : dict
        Of the run.
    specification : StudySpecification or None
        As it was resolved for the run; None where the folder does not hold it in today's form.
    """

    study: str
    survey: str
    year: str
    place: str
    tables: Mapping[str, PublishedTable] = field(repr=False)
    manifest: Mapping[str, Any] = field(repr=False)
    specification: StudySpecification | None = field(repr=False)

    def notice(self, lang: str) -> str:
        """Return what is said below most of its tables, such as that nobody answered; empty where nothing is."""
        records = (table.record.get("provenance", {}) for table in self.tables.values())
        said = Counter(str((record.get("notice") or {}).get(lang, "")) for record in records if record)
        return max(filter(None, said), key=lambda text: said[text], default="")


def folders_of(study: str, run: Path) -> list[Path]:
    """Return where sign-offs and corrections of a study are kept: published, in the last good run, in a run folder."""
    outputs = project.project_root() / "outputs"
    return [outputs / "reference" / study, outputs / study, run]


def good_run(study: str) -> Path:
    """Return the folder of the last good run of a study, else of the published one.

    Raises
    ------
    ProjectError
        Where there is no such study, or neither.
    """
    project.study_file(study)
    outputs = project.project_root() / "outputs"
    run, published = outputs / study, outputs / "reference" / study
    if (run / MANIFEST).is_file():
        manifest = read_manifest(run)
        if manifest.get("state") == "ok" and manifest.get("complete"):
            return run
    if (published / MANIFEST).is_file():
        return published
    raise ProjectError(
        f"'{study}' has no good run to read: neither outputs/{study} nor outputs/reference/{study} holds one. "
        f"Run it first: evaluation run {study}"
    )


def read_release(study: str) -> Release:
    """Read the published tables of a study's last good run, else of the published one.

    Parameters
    ----------
    study : str
        Stem of a file in ``params/``.

    Raises
    ------
    ProjectError
        Where there is no good run, or a table of it is no UTF-8 CSV with one header line.
    """
    return release_in(good_run(study), study)


def release_in(run: Path, study: str) -> Release:
    """Read the published tables of a run folder; what lies in ``restricted/`` is never opened.

    Raises
    ------
    ProjectError
        Where the folder has no manifest, or a table is no UTF-8 CSV with one header line.
    """
    root = project.project_root()
    survey, specification = _resolved(run / RESOLVED)
    place = run.relative_to(root).as_posix() if run.is_relative_to(root) else run.name
    year = year_of(survey) or year_of(study)
    return Release(study, survey, year, place, _tables(run), read_manifest(run), specification)


def _resolved(file: Path) -> tuple[str, StudySpecification | None]:
    """Return the survey of a run and its study; no study where an old run's file is not of today's form."""
    if not file.is_file():
        return "", None
    text = file.read_text(encoding="utf-8")
    try:
        specification = StudySpecification.model_validate_json(text)
    except ValidationError:
        content = json.loads(text)
        return str(content.get("survey", "")) if isinstance(content, dict) else "", None
    return specification.survey, specification


def _tables(run: Path) -> dict[str, PublishedTable]:
    records = read_estimates(run)
    titles = {file: item.title for item in read_items(run) for file in item.files}
    order = {file: place for place, file in enumerate(titles)}
    files = sorted((run / "tables").glob("*.csv"))
    files.sort(key=lambda file: order.get(f"tables/{file.name}", len(order)))
    return {
        file.stem: _table(file, titles.get(f"tables/{file.name}", file.stem), records.get(file.stem, {}))
        for file in files
    }


def _table(file: Path, title: str, record: Mapping[str, Any]) -> PublishedTable:
    columns, lines = _read(file)
    template, _, label = file.stem.partition(INSTANCE_MARK)
    instance, year = _instance(label)
    rows = record.get("rows") or []
    keys = tuple(_key_columns(rows[0])) if rows else None
    if keys is not None and not set(keys) <= set(columns):
        keys = None
    about = {name: record[name] for name in ("verb", "provenance", "fit") if name in record}
    return PublishedTable(file.stem, template, instance, year, title, columns, lines, keys, about)


def _key_columns(row: Mapping[str, Any]) -> list[str]:
    """Return the names of the key columns of a row of estimates: those before the first of ``TIDY_COLUMNS``."""
    names = list(row)
    first = next((place for place, name in enumerate(names) if name in TIDY_COLUMNS), len(names))
    return names[:first]


def _read(file: Path) -> tuple[tuple[str, ...], tuple[dict[str, str], ...]]:
    place = f"{file.parent.name}/{file.name}"
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = tuple(reader.fieldnames or ())
            lines = tuple(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ProjectError(f"{place} is no table that a run writes ({error}). Run the study again.") from None
    ragged = [number for number, line in enumerate(lines, start=2) if None in line or None in line.values()]
    if len(set(columns)) < len(columns) or ragged:
        where = f"line {ragged[0]} has another number of cells" if ragged else "a column stands there twice"
        raise ProjectError(f"{place} is no table that a run writes: {where}. Run the study again.")
    return columns, lines


def _instance(label: str) -> tuple[str, str]:
    """Return the label of an instance without its year, and the year: ``110_2016`` is ("110", "2016").

    Examples
    --------
    >>> _instance("110_2016"), _instance("ko"), _instance("")
    (('110', '2016'), ('ko', ''), ('', ''))
    """
    parts = label.split("_")
    years = [place for place, part in enumerate(parts) if _YEAR.fullmatch(part)]
    if not years:
        return label, ""
    place = years[-1]
    return "_".join([*parts[:place], *parts[place + 1 :]]), parts[place]


def year_of(text: str) -> str:
    """Return the last year that an id or date names; empty where it names none.

    Examples
    --------
    >>> year_of("seoul_2016"), year_of("2017-10"), year_of("castle_doctrine")
    ('2016', '2017', '')
    """
    found = _YEAR.findall(text)
    return found[-1] if found else ""


def is_label(column: str) -> bool:
    """Tell whether a column only says another one in words."""
    return bool(_LABEL.search(column))


def key_text(text: str) -> str:
    """Return a key as an address has it: a whole number without decimals.

    Examples
    --------
    >>> key_text("2015.0"), key_text("0.5"), key_text("종로구")
    ('2015', '0.5', '종로구')
    """
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def number(text: str) -> float | None:
    """Return the number that a cell holds; None for text and for an empty cell.

    Examples
    --------
    >>> number("0.5"), number(""), number("nan"), number("110_2016")
    (0.5, None, None, None)
    """
    try:
        value = float(text.replace("_", "?"))  # Python reads 110_2016 as a number
    except ValueError:
        return None
    return None if math.isnan(value) else value


def is_empty(text: str) -> bool:
    """Tell whether a cell holds nothing: no text, or not-a-number."""
    return text.strip().lower() in ("", "nan", "none", "null")


def is_same(old: float | None, new: float | None) -> bool:
    """Tell whether two numbers of two runs are the same number; None is the same as None only.

    Examples
    --------
    >>> is_same(0.1 + 0.2, 0.3), is_same(None, 0.3), is_same(None, None)
    (True, False, True)
    """
    if old is None or new is None:
        return old is new
    return math.isclose(old, new, rel_tol=SAME_NUMBER, abs_tol=1e-12)
