"""Corrections of published numbers: ``errata.csv``, dated, the old number kept, only ever appended to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: File in a run folder and in the published one.
ERRATA = "errata.csv"
COLUMNS = ("date", "address", "old", "new", "reason", "by")


@dataclass(frozen=True)
class Erratum:
    """One correction: ``new`` is empty where the number is no longer published."""

    date: str
    address: str
    old: str
    new: str
    reason: str
    by: str


def read_errata(run: Path) -> tuple[Erratum, ...]:
    """Return the corrections that a run folder holds, in the order in which they were made."""
    raise NotImplementedError
