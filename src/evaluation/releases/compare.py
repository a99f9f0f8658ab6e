"""Holds the published tables of one study against those of another, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of each published number from one study to the next.

    Attributes
    ----------
    old, new : str
        Ids of the two studies.
    cells : pandas.DataFrame
        One row per cell; the columns are those of ``compare.csv``.
    folder : Path
        Holds ``compare.html`` and ``compare.csv``.
    """

    old: str
    new: str
    cells: pd.DataFrame = field(repr=False)
    folder: Path = field(repr=False)

    @property
    def exit_code(self) -> int:
        """1 where a change is not explained, else 0."""
        return int(bool(self.cells["is_unexplained"].any()))

    def summary(self) -> str:
        """Return the counts, and each change that is not explained, as plain text."""
        return ""


def compare_studies(old: str, new: str, *, out: Path | None = None) -> Comparison:
    """Hold the published tables of two studies against each other and write what differs as HTML and CSV."""
    raise NotImplementedError
