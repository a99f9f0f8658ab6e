"""A frame of diagnostic numbers that knows where it comes from, and hides what rests on too few respondents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError
from evaluation.results import SMALL_BASE, SMALL_CELL, Provenance, frame_html, plain


@dataclass(frozen=True, eq=False)
class DiagnosticFrame:
    """Diagnostic numbers that are no estimates with errors.

    Attributes
    ----------
    verb : str
        Public verb that made it.
    frame : pandas.DataFrame
        One row per number or group.
    provenance : Provenance
        For captions and manifests.
    """

    verb: str
    frame: pd.DataFrame
    provenance: Provenance

    def __post_init__(self) -> None:
        twice = self.frame.columns[self.frame.columns.duplicated()]
        if len(twice):
            raise ColumnError(
                f"{self.verb}: a column of results is called '{twice[0]}' already. Rename the column of the data."
            )

    def tidy(self) -> pd.DataFrame:
        """Return the rows."""
        return self.frame.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in row.items()} for row in self.frame.to_dict("records")]
        return {"verb": self.verb, "provenance": self.provenance.to_dict(), "rows": rows}

    def summary(self) -> str:
        """Return the rows as text, six significant digits."""
        body = self.frame.to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"{self.verb}: {self.provenance.survey}, n = {self.provenance.n:,}\n{body}"

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return frame_html(self.frame)


def marks_of(n_obs: NDArray[np.int64], provenance: Provenance, *, bases: bool = True) -> list[str]:
    """Return why each row may not be shown, empty where it may; without ``bases`` the limit of cells alone holds.

    Examples
    --------
    >>> marks_of(np.array([40, 9, 2]), Provenance(min_cell=5, min_base=30))
    ['', '[u]', '[c]']
    """
    cells = (n_obs > 0) & (n_obs < provenance.min_cell)
    few = (n_obs > 0) & (n_obs < provenance.min_base) & bases
    return [SMALL_CELL if cell else SMALL_BASE if base else "" for cell, base in zip(cells, few, strict=True)]


def marks_of_parts(n_obs: NDArray[np.int64], provenance: Provenance) -> list[str]:
    """Return why levels that make up a whole may not be shown; one alone takes the next smallest with it.

    Examples
    --------
    >>> marks_of_parts(np.array([40, 9, 2]), Provenance(min_cell=5))
    ['', '[c]', '[c]']
    """
    marks = marks_of(n_obs, provenance, bases=False)
    few = [place for place, mark in enumerate(marks) if mark]
    if len(few) == 1 and len(marks) > 1:
        others = [place for place in range(len(marks)) if place != few[0]]
        marks[min(others, key=lambda place: int(n_obs[place]))] = marks[few[0]]
    return marks


def hidden(frame: pd.DataFrame, keys: Sequence[str], marks: Sequence[str]) -> pd.DataFrame:
    """Return a frame of which marked rows show their keys alone, and a last column ``mark``; as it is without marks.

    Where a row is marked for its small cell, the counts of all marked rows go too: one would be what the others leave.

    Examples
    --------
    >>> rows = pd.DataFrame({"area": ["a", "b"], "n_obs": [9, 2], "deff": [1.5, 1.1]})
    >>> hidden(rows, ["area"], ["", "[c]"]).to_numpy().tolist()
    [['a', 9.0, 1.5, ''], ['b', nan, nan, '[c]']]
    """
    marked = np.array([bool(mark) for mark in marks])
    if not marked.any():
        return frame
    shown = {}
    for name in frame:
        kept = name in keys or (name == "n_obs" and SMALL_CELL not in marks)
        blank: Any = np.nan if pd.api.types.is_numeric_dtype(frame[name]) else ""
        shown[name] = frame[name] if kept else frame[name].where(~marked, blank)
    return pd.DataFrame(shown).assign(mark=np.array(marks, dtype=object))
