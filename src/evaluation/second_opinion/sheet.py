"""The columns that a script needs, under names that R takes as they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.estimation.domains import code_levels
from evaluation.survey.codebook import code_text

Floats = NDArray[np.float64]

_WORDS = frozenset({"if", "else", "repeat", "while", "function", "for", "next", "break", "TRUE", "FALSE", "NULL"})


def quoted(text: object) -> str:
    """Return text as an R string.

    Examples
    --------
    >>> print(quoted('say "yes"'), quoted("a\\\\b"))
    "say \\"yes\\"" "a\\\\b"
    """
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def number(value: float) -> str:
    """Return a number as R reads it, with every digit.

    Examples
    --------
    >>> number(4421.0), number(0.1), number(float("inf"))
    ('4421', '0.1', 'Inf')
    """
    value = float(value)
    if not np.isfinite(value):
        return "NA" if np.isnan(value) else "Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def vector(values: Sequence[float] | Floats) -> str:
    """Return numbers as ``c(1, 2)``."""
    return f"c({', '.join(number(value) for value in values)})"


def texts(values: Sequence[object]) -> str:
    """Return texts as ``c("a", "b")``."""
    return f"c({', '.join(quoted(value) for value in values)})"


def level_text(value: object) -> str:
    """Return a level as it stands in the data file and in R's names.

    Examples
    --------
    >>> level_text(1.0), level_text("Yes"), level_text(True)
    ('1', 'Yes', 'True')
    """
    return code_text(value)


@dataclass
class Sheet:
    """Columns of ``data.csv``, gathered while a script is written.

    Attributes
    ----------
    design : Design
        Whose respondents they are of.
    columns : dict of str to Series
        By the names that they bear in R.
    levels : dict of str to tuple of str
        Levels of those that are factors, in order.
    origins : dict of str to str
        What a column is, where its name does not say so.
    """

    design: Design
    columns: dict[str, pd.Series] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, str] = field(default_factory=dict)
    _categories: dict[str, str] = field(default_factory=dict)

    def number(self, name: str) -> str:
        """Return the R name of a numeric column of the data."""
        if name not in self._numbers:
            values = self.design.column(name).to_numpy(dtype=np.float64, na_value=np.nan)
            self._numbers[name] = self.add(name, pd.Series(values), name)
        return self._numbers[name]

    def category(self, name: str) -> str:
        """Return the R name of a column of the data whose values are levels."""
        if name not in self._categories:
            column = self.design.column(name)
            levels, code = code_levels(column, np.ones(len(column), dtype=bool))
            self._categories[name] = self.factor(name, [level_text(level) for level in levels], code, name)
        return self._categories[name]

    def factor(self, name: str, levels: Sequence[str], code: NDArray[np.int64], origin: str) -> str:
        """Add a column of levels by each respondent's place among them (-1 where missing), shape (n,)."""
        values = np.array([*levels, None], dtype=object)[code]
        made = self.add(name, pd.Series(values, dtype=object), origin)
        self.levels[made] = tuple(levels)
        return made

    def add(self, name: str, values: pd.Series, origin: str) -> str:
        """Add a column under the name, or under one like it that R takes and that is free; return that."""
        plain = bool(re.fullmatch(r"[A-Za-z][A-Za-z0-9._]*", name)) and name not in _WORDS
        stem = name if plain else f"column_{len(self.columns) + 1}"
        made, count = stem, 1
        while made in self.columns:
            count += 1
            made = f"{stem}_{count}"
        self.columns[made] = values.reset_index(drop=True)
        if made != origin:
            self.origins[made] = origin
        return made

    def frame(self) -> pd.DataFrame:
        """Return what becomes ``data.csv``."""
        return pd.DataFrame(self.columns)

    def reading(self) -> list[str]:
        """Return the lines that read ``data.csv`` in R."""
        lines = ['people <- read.csv("data.csv", encoding = "UTF-8", check.names = FALSE, na.strings = "")']
        for name, levels in self.levels.items():
            lines.append(f"people${name} <- factor(as.character(people${name}), levels = {texts(levels)})")
        return [*(f"# {name}: {origin}" for name, origin in self.origins.items()), *lines]
