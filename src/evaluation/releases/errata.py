"""Corrections of published numbers: ``errata.csv``, dated, the old number kept, only ever appended to."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import pandas as pd

from evaluation.errors import ProjectError, did_you_mean
from evaluation.project import MANIFEST
from evaluation.releases.cells import folders_of, number, release_in
from evaluation.releases.changes import known_changes
from evaluation.releases.matching import without_column
from evaluation.releases.replacing import replace_file
from evaluation.releases.verdicts import Cell, judged

#: File in a run folder and in the published one.
ERRATA = "errata.csv"
COLUMNS = ("date", "address", "old", "new", "reason", "by")
#: Stands for a number that was published and may no longer be shown.
WITHHELD = "withheld"

_SHOWN = 8


@dataclass(frozen=True)
class Erratum:
    """One correction.

    Attributes
    ----------
    date : str
        ISO date.
    address : str
        ``<name> | term | by | column``.
    old, new : str
        The numbers in full; ``new`` is empty where the number is no longer published, or a mark such as ``[u]``
        where it may not be shown any more: then ``old`` is ``withheld``.
    reason, by : str
        Why, and who says so; ``by`` may be empty.
    """

    date: str
    address: str
    old: str
    new: str
    reason: str
    by: str


def corrections(study: str, published: Path, run: Path) -> list[Cell]:
    """Return the published numbers that a run changes or no longer has.

    Parameters
    ----------
    study : str
        Id of both.
    published, run : Path
        The folder that is published, and the one that is to take its place.
    """
    if not (published / MANIFEST).is_file():
        return []
    old, new = release_in(published, study), release_in(run, study)
    cells = judged(old, new, known_changes(old, new, (), None))
    return [cell for cell in cells if _is_correction(cell)]


def _is_correction(cell: Cell) -> bool:
    if cell.kind == "suppressed":
        return cell.pair.new is not None and cell.pair.new.mark != "" and _was_shown(cell)
    return cell.kind in ("revised", "gone") and number(cell.old) is not None


def _was_shown(cell: Cell) -> bool:
    return cell.pair.old is not None and number(cell.pair.old.line.get(cell.column, "")) is not None


def require_reason(study: str, found: Sequence[Cell], reason: str) -> None:
    """Refuse to replace published numbers without saying why.

    Raises
    ------
    ProjectError
        Names the numbers; ``failures`` holds all of them.
    """
    if not found or reason.strip():
        return
    told = list({without_column(cell.old_address): cell for cell in reversed(found)}.values())[::-1]
    lines = [f"  {cell.old_address}: {_shown(cell)}" for cell in told[:_SHOWN]]
    lines += [f"  ... and {len(told) - _SHOWN:,} more"] if len(told) > _SHOWN else []
    failures = pd.DataFrame([{"address": cell.old_address, "old": _old(cell), "new": _new(cell)} for cell in found])
    said, what = "\n".join(lines), "number changes or goes" if len(found) == 1 else "numbers change or go"
    raise ProjectError(
        f"{len(found):,} published {what} in '{study}', and no reason is given:\n{said}\n"
        f"The published run is as it was. Say why, and the old numbers are kept in {ERRATA}: "
        f"evaluation accept {study} --reason TEXT",
        failures=failures,
    )


def _shown(cell: Cell) -> str:
    return f"{_old(cell)} -> {_new(cell) or 'none'}"


def _old(cell: Cell) -> str:
    return WITHHELD if cell.kind == "suppressed" else cell.old


def _new(cell: Cell) -> str:
    return cell.pair.new.mark if cell.kind == "suppressed" and cell.pair.new is not None else cell.new


def errata_of(found: Iterable[Cell], reason: str, by: str, on: datetime.date | None = None) -> list[Erratum]:
    """Return corrections as lines of ``errata.csv``; dated today where no day is given."""
    when = (on or datetime.date.today()).isoformat()
    said, who = (" ".join(text.split()) for text in (reason, by))
    return [Erratum(when, cell.old_address, _old(cell), _new(cell), said, who) for cell in found]


def append_errata(folder: Path, entries: Iterable[Erratum]) -> None:
    """Append corrections that a folder does not hold yet; what stands there stays as it is, to the letter.

    Raises
    ------
    ProjectError
        Where the file that is there cannot be read, or the folder cannot be written.
    """
    there = set(read_errata(folder))
    lines = [astuple(entry) for entry in entries if entry not in there]
    if not lines:
        return
    file = folder / ERRATA
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    before = file.read_bytes() if file.is_file() else b""
    if not before:
        writer.writerow(COLUMNS)
    writer.writerows(lines)
    gap = b"" if not before or before.endswith(b"\n") else b"\n"
    replace_file(file, before + gap + text.getvalue().encode("utf-8"))


def read_errata(run: Path) -> tuple[Erratum, ...]:
    """Return the corrections that a folder holds, in the order in which they were made; none without a file.

    Raises
    ------
    ProjectError
        Every fault of a file that was edited by hand, with its line; ``failures`` holds them.
    """
    file = Path(run) / ERRATA
    if not file.is_file():
        return ()
    place = f"{ERRATA} of '{file.parent.name}'"
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, strict=True)
            columns = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except UnicodeDecodeError as error:
        raise ProjectError(f"{place} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except csv.Error as error:
        raise ProjectError(f"{place} is no CSV ({error}). Correct it there.") from None
    if tuple(columns) != COLUMNS:
        strange = next((name for name in columns if name not in COLUMNS), "")
        hint = f" {did_you_mean(strange, COLUMNS)}" if strange else ""
        raise ProjectError(f"{place}: expected the columns {', '.join(COLUMNS)}, got {', '.join(columns)}.{hint}")
    faults = [(line, fault) for line, row in rows for fault in _faults(row)]
    if faults:
        told = "; ".join(f"line {line}: {fault}" for line, fault in faults[:_SHOWN])
        raise ProjectError(
            f"{place}: {told}. Correct these lines; a correction is never taken away.",
            failures=pd.DataFrame(faults, columns=["line", "fault"]),
        )
    return tuple(Erratum(*(row[name] for name in COLUMNS)) for _, row in rows)


def _faults(row: dict[str | None, str | None]) -> list[str]:
    if None in row or None in row.values():
        return [f"expected {len(COLUMNS)} cells"]
    faults = [f"'{name}' is empty" for name in ("date", "address", "old", "reason") if not str(row[name]).strip()]
    try:
        datetime.date.fromisoformat(str(row["date"]))
    except ValueError:
        faults.append(f"date must be like 2017-12-01, got '{row['date']}'")
    if str(row["address"]).count("|") < 3:
        faults.append(f"address must be 'name | term | by | column', got '{row['address']}'")
    return faults


def recorded_errata(study: str, run: Path) -> tuple[Erratum, ...]:
    """Return the corrections of a study that a run folder, the last good run or the published one holds."""
    return tuple(dict.fromkeys(entry for folder in folders_of(study, run) for entry in read_errata(folder)))
