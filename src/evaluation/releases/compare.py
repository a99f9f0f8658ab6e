"""Holds the published tables of one study against those of another, cell by cell.

Of two studies of different years each number is *changed*: the difference has a standard error as of two independent
samples, and must be explained where it is larger than a threshold that the newer study declares. Numbers of one and
the same period, published by both, ought to be equal: a difference is *revised* and must always be explained. The
reasons stand in the survey's ``changes.csv`` and in the study's ``compared_with``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from evaluation import project
from evaluation.releases.cells import Release, read_release
from evaluation.releases.changes import KnownChanges, fits_any, known_changes
from evaluation.releases.instances import row_words
from evaluation.releases.matching import Row
from evaluation.releases.page import Subject, compare_page
from evaluation.releases.replacing import replace_file
from evaluation.releases.verdicts import Cell, judged
from evaluation.releases.words import KINDS, NOTES
from evaluation.specification import read_study
from evaluation.survey.changes import Change, read_changes
from evaluation.tables import csv_bytes

#: Columns of ``compare.csv``.
COLUMNS = (
    *("kind", "is_unexplained", "table", "address", "old_address", "period", "row_label_ko", "row_label_en", "column"),
    *("old", "new", "difference", "std_error", "df", "in_std_errors", "goes_along"),
    *("note", "note_ko", "note_en", "reason_ko", "reason_en"),
    "notice",
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of each published number from one study to the next.

    Attributes
    ----------
    old, new : str
        Ids of the two studies.
    cells : pandas.DataFrame
        One row per cell, columns ``COLUMNS``: those of ``compare.csv``.
    threshold : float
        Standard errors beyond which a difference between two years must be explained.
    unused : tuple of str
        Addresses under ``compared_with.explained`` that fit no difference.
    places : tuple of str
        Where the two were read, relative to the project.
    folder : Path
        Holds ``compare.html`` and ``compare.csv``.
    """

    old: str
    new: str
    cells: pd.DataFrame = field(repr=False)
    threshold: float
    unused: tuple[str, ...]
    places: tuple[str, str]
    folder: Path = field(repr=False)

    @property
    def exit_code(self) -> int:
        """1 where a change is not explained, else 0."""
        return int(bool(self.cells["is_unexplained"].any()))

    def counts(self) -> dict[str, int]:
        """Return how many numbers are of each kind; intervals, p-values and counts beside them are left out."""
        kinds = self.cells.loc[~self.cells["goes_along"].astype(bool), "kind"]
        return {kind: int((kinds == kind).sum()) for kind in KINDS}

    def unmeasured(self) -> int:
        """Return how many numbers and texts of two years differ without an error to hold the difference against."""
        return unmeasured(self.cells)

    def summary(self) -> str:
        """Return the counts, and each change that is not explained, as plain text."""
        counts = ", ".join(f"{KINDS[kind].en} {count:,}" for kind, count in self.counts().items() if count) or "none"
        lines = [f"{self.places[0]} -> {self.places[1]}: {counts}."]
        open_cells = self.cells[self.cells["is_unexplained"]]
        if open_cells.empty:
            limits = (
                "within the threshold, or has no standard error" if self.unmeasured() else "or within the threshold"
            )
            lines.append(f"Every change is explained, {limits}.")
        else:
            lines.append(f"{len(open_cells):,} not explained (threshold {self.threshold:g} standard errors):")
        told = _open_lines(open_cells)
        lines += [f"  {line}" for line in told[:_SHOWN]]
        if len(told) > _SHOWN:
            lines.append(f"  ... and {len(told) - _SHOWN:,} more in compare.html")
        if count := self.unmeasured():
            those = "1 change has" if count == 1 else f"{count:,} changes have"
            lines.append(
                f"{those} no standard error: no threshold applies, and only reading shows whether it is large."
            )
        lines += [f"explained, but nothing differs there: {address}" for address in self.unused]
        return "\n".join(lines)


def unmeasured(cells: pd.DataFrame) -> int:
    """Count the cells of two years that differ and have neither a standard error nor a reason."""
    is_told = (cells["kind"] == "changed") & ~cells["goes_along"].astype(bool) & cells["in_std_errors"].isna()
    has_reason = cells["is_unexplained"].astype(bool) | (cells["reason_en"] != "")
    return int((is_told & ~has_reason).sum())


#: Unexplained changes that a summary names one by one.
_SHOWN = 20
_ROWS = ("rows", "row")


def _open_lines(cells: pd.DataFrame) -> list[str]:
    """Return a line for each cell; a table that is gone has one line for all its rows."""
    whole = cells["note"].isin(["no_table_now"])
    gone = cells.loc[whole, "table"].value_counts(sort=False)
    lines = [f"gone: {name} | *: the whole table, {rows:,} {_ROWS[rows == 1]}" for name, rows in gone.items()]
    return [*lines, *(_line(row) for row in cells[~whole].to_dict("records"))]


def _line(row: Mapping[object, object]) -> str:
    values = f"{row['old'] or 'none'} -> {row['new'] or 'none'}"
    ratio = row["in_std_errors"]
    size = f", {ratio:.1f} standard errors" if isinstance(ratio, float) and math.isfinite(ratio) else ""
    note = f" ({row['note_en']})" if row["note_en"] else ""
    return f"{row['kind']}: {row['address'] or row['old_address']}: {values}{size}{note}"


def compare_studies(old: str, new: str, *, out: Path | None = None) -> Comparison:
    """Hold the published tables of two studies against each other and write what differs as HTML and CSV.

    Parameters
    ----------
    old, new : str
        Stems of files in ``params/``. Of each the last good run is read, else the published one.
    out : Path, optional
        Folder for ``compare.html`` and ``compare.csv``; by default ``outputs/compare/<old>--<new>``.

    Returns
    -------
    Comparison
        ``exit_code`` is 1 where something must be explained and is not.

    Raises
    ------
    ProjectError
        Where a study has no good run, a table is damaged, or the folder cannot be written.
    SurveyError
        Where the new survey's ``changes.csv`` is wrong.
    StudyError
        Where the new study's file is wrong.
    """
    before, now = read_release(old), read_release(new)
    declared = read_study(new, resolved=False).compared_with
    known = known_changes(before, now, _lines(before, now), declared)
    cells = list(judged(before, now, known))
    folder = project.project_root() / "outputs" / "compare" / f"{old}--{new}" if out is None else Path(out)
    words: dict[str, Callable[[Row], str]] = {lang: row_words(now, lang) for lang in project.LANGUAGES}
    made = Comparison(
        old, new, _frame(cells, words), known.threshold, _unused(cells, known), (before.place, now.place), folder
    )
    about = Subject(before, now, known, made.counts(), made.unused, words, made.unmeasured())
    page = compare_page(cells, about)
    replace_file(folder / "compare.html", page.encode("utf-8"))
    replace_file(folder / "compare.csv", csv_bytes(made.cells))
    return made


def _lines(old: Release, new: Release) -> list[Change]:
    return read_changes(new.survey) if new.survey and new.study != old.study else []


def _unused(cells: list[Cell], known: KnownChanges) -> tuple[str, ...]:
    """Return the declared addresses that fit no cell that differs."""
    addresses = [(cell.address, cell.old_address) for cell in cells if cell.kind != "same"]
    return tuple(entry.address for entry in known.declared.explained if not fits_any(entry.address, addresses))


def _notice(cell: Cell) -> str:
    """Return what the published tables say below their numbers, such as that nobody answered; once where alike."""
    rows = (cell.pair.old, cell.pair.new)
    return " | ".join(dict.fromkeys(filter(None, (row.table.notice(row.line) for row in rows if row))))


def _frame(cells: list[Cell], words: Mapping[str, Callable[[Row], str]]) -> pd.DataFrame:
    rows = [
        {
            "kind": cell.kind,
            "is_unexplained": cell.is_unexplained,
            "table": cell.row.table.name,
            "address": cell.address,
            "old_address": cell.old_address,
            "period": cell.pair.period,
            "row_label_ko": words["ko"](cell.row),
            "row_label_en": words["en"](cell.row),
            "column": cell.column,
            "old": cell.old,
            "new": cell.new,
            "difference": cell.difference,
            "std_error": cell.std_error,
            "df": cell.df,
            "in_std_errors": cell.in_errors,
            "goes_along": cell.is_along,
            "note": cell.note,
            "note_ko": NOTES[cell.note].ko,
            "note_en": NOTES[cell.note].en,
            "reason_ko": cell.reason.ko if cell.reason else "",
            "reason_en": cell.reason.en if cell.reason else "",
            "notice": _notice(cell),
        }
        for cell in cells
    ]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    return frame.astype({"is_unexplained": bool, "goes_along": bool})
