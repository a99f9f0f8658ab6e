"""What a reader of a run must know beside its numbers: who signed it off, which numbers were corrected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from evaluation.errors import EvaluationError
from evaluation.releases.cells import folders_of, number, release_in
from evaluation.releases.errata import WITHHELD, Erratum, read_errata
from evaluation.releases.instances import row_words
from evaluation.releases.matching import rows_by_address, without_column
from evaluation.releases.signoff import SignOff, Standing, read_signoffs

Read = TypeVar("Read", SignOff, Erratum)


@dataclass(frozen=True)
class CorrectedNumber:
    """One corrected number: in words, its address, and what was printed and is now."""

    words: str
    address: str
    old: str
    new: str


@dataclass(frozen=True)
class Correction:
    """Numbers that were corrected on one day for one reason.

    Attributes
    ----------
    date, reason, by : str
        When, why, and who says so.
    numbers : tuple of CorrectedNumber
        One for each row of a table: its estimate, or what else was corrected there.
    count : int
        All corrected numbers, those that go along with another included.
    """

    date: str
    reason: str
    by: str
    numbers: tuple[CorrectedNumber, ...]
    count: int


@dataclass(frozen=True)
class Record:
    """Sign-offs and corrections of a run.

    Attributes
    ----------
    signoffs : tuple of (SignOff, Standing)
        The newest first; each with what it is worth for this run.
    corrections : tuple of Correction
        The newest first.
    problems : tuple of str
        Why a file that was edited by hand cannot be read.
    """

    signoffs: tuple[tuple[SignOff, Standing], ...]
    corrections: tuple[Correction, ...]
    problems: tuple[str, ...]

    @property
    def is_signed(self) -> bool:
        """Whether somebody signed this very run off."""
        return any(standing == "this" for _, standing in self.signoffs)


def record_of(study: str, run: Path, manifest: Mapping[str, Any], lang: str) -> Record:
    """Return who signed a run off and which of the study's published numbers were corrected.

    Read are the run folder, the last good run and the published one, since a run that is just finishing does not hold
    these files yet. A file that cannot be read is a problem to be shown, and stops nothing.

    Parameters
    ----------
    study : str
        Id of the study.
    run : Path
        The run folder.
    manifest : mapping
        Its manifest; may be empty.
    lang : {"ko", "en"}
        Language of the words for corrected numbers.
    """
    problems: dict[str, None] = {}
    folders = _folders(study, run)
    signoffs = _all(read_signoffs, folders, problems)
    errata = _all(read_errata, folders, problems)
    stands = [(sign, sign.standing(manifest)) for sign in signoffs] if manifest else []
    words = _words(study, run, lang) if errata else lambda address: address
    return Record(tuple(reversed(stands)), _grouped(errata, words), tuple(problems))


def _folders(study: str, run: Path) -> list[Path]:
    try:
        return folders_of(study, run)
    except EvaluationError:
        return [run]


def _all(read: Callable[[Path], tuple[Read, ...]], folders: Iterable[Path], problems: dict[str, None]) -> list[Read]:
    found: dict[Read, None] = {}
    for folder in folders:
        try:
            found.update(dict.fromkeys(read(folder)))
        except EvaluationError as error:
            problems[str(error)] = None
    return list(found)


def _words(study: str, run: Path, lang: str) -> Callable[[str], str]:
    try:
        release = release_in(run, study)
    except EvaluationError:
        return lambda address: address
    rows, say = rows_by_address(release), row_words(release, lang)

    def words(address: str) -> str:
        row = rows.get(without_column(address))
        return " · ".join(dict.fromkeys(filter(None, (row.table.title, say(row))))) if row else address

    return words


def _grouped(errata: Iterable[Erratum], words: Callable[[str], str]) -> tuple[Correction, ...]:
    groups: dict[tuple[str, str, str], list[Erratum]] = {}
    for entry in errata:
        groups.setdefault((entry.date, entry.reason, entry.by), []).append(entry)
    newest = list(groups.items())
    newest.reverse()
    newest.sort(key=lambda item: item[0][0], reverse=True)
    return tuple(Correction(*about, _told(entries, words), len(entries)) for about, entries in newest)


def _told(entries: Iterable[Erratum], words: Callable[[str], str]) -> tuple[CorrectedNumber, ...]:
    """Return one number for each row: the estimate where that was corrected, else the first one."""
    rows: dict[str, Erratum] = {}
    for entry in entries:
        place = without_column(entry.address)
        if place not in rows or entry.address.endswith("| estimate"):
            rows[place] = entry
    return tuple(CorrectedNumber(words(e.address), e.address, *_digits(e.old, e.new)) for e in rows.values())


def _digits(old: str, new: str) -> tuple[str, str]:
    """Return two numbers with as many digits as tell them apart, four at least.

    Examples
    --------
    >>> _digits("0.7524333236479357", "0.7524019"), _digits("12", ""), _digits("withheld", "[u]")
    (('0.75243', '0.75240'), ('12', ''), ('withheld', '[u]'))
    """
    first, second = number(old), number(new)
    if old == WITHHELD or first is None or second is None:
        return old, new
    for digits in range(4, 17):
        short = f"{first:.{digits}g}", f"{second:.{digits}g}"
        if short[0] != short[1]:
            places = max(len(text.partition(".")[2]) for text in short)
            plain = not any("e" in text for text in short)
            return (f"{first:.{places}f}", f"{second:.{places}f}") if plain else short
    return old, new
