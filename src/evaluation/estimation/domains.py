"""Domains and outcomes: which respondents belong to which cell, and what they answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Cells:
    """The domains of an estimate.

    Attributes
    ----------
    code : ndarray of int, shape (n,)
        Domain of each respondent; -1 where in none.
    keys : pandas.DataFrame, D rows
        The ``by`` values of each domain; no columns where there is one domain.
    """

    code: Codes
    keys: pd.DataFrame

    def __len__(self) -> int:
        return len(self.keys)


def cells_by(design: Design, by: str | Sequence[str] | None) -> Cells:
    """Code the domains that ``by`` spans: every combination of levels that has a respondent who counts."""
    names = [by] if isinstance(by, str) else list(by or [])
    present = design.present
    if not names:
        return Cells(np.where(present, 0, -1), pd.DataFrame(index=range(1)))
    columns = pd.concat([design.column(name) for name in names], axis=1)
    complete = columns.notna().all(axis=1).to_numpy() & present
    if not complete.any():
        raise EstimationError(f"by={names}: no respondent with a weight above zero has a value in every column.")
    levels = [sorted(columns.loc[complete, name].unique().tolist()) for name in names]
    key = np.zeros(len(design), dtype=np.int64)
    for name, known in zip(names, levels, strict=True):
        position = pd.Index(known).get_indexer(pd.Index(columns[name]))
        key = key * len(known) + position
    found, code = np.unique(key[complete], return_inverse=True)
    whole = np.full(len(design), -1, dtype=np.int64)
    whole[complete] = code
    index = np.unravel_index(found, [len(known) for known in levels])
    keys = {name: [known[i] for i in at] for name, known, at in zip(names, levels, index, strict=True)}
    return Cells(whole, pd.DataFrame(keys))


@dataclass(frozen=True, eq=False)
class Outcomes:
    """Numeric outcomes with what is missing told apart.

    Attributes
    ----------
    names : tuple of str
        The p variables.
    values : ndarray, shape (n, p)
        Zero where missing.
    answered : ndarray of bool, shape (n, p)
        False where missing.
    """

    names: tuple[str, ...]
    values: Floats
    answered: Mask


def outcomes_of(design: Design, variables: str | Sequence[str], *, listwise: bool, verb: str) -> Outcomes:
    """Read numeric outcomes; each variable's missing values are its own, unless ``listwise``."""
    names = (variables,) if isinstance(variables, str) else tuple(variables)
    if not names:
        raise EstimationError(f"{verb} needs at least one variable; none was given.")
    columns = np.column_stack([_numeric(design, name, verb) for name in names])
    answered = ~np.isnan(columns)
    if listwise:
        answered = np.repeat(answered.all(axis=1, keepdims=True), len(names), axis=1)
    for j, name in enumerate(names):
        if not (answered[:, j] & design.present).any():
            raise EstimationError(f"'{name}' is missing for every respondent who counts; there is nothing to estimate.")
    return Outcomes(names, np.where(answered, columns, 0.0), answered)


def _numeric(design: Design, name: str, verb: str) -> Floats:
    column = design.column(name)
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return column.to_numpy(dtype=float, na_value=np.nan)
    levels = ", ".join(map(repr, sorted(map(str, column.dropna().unique()))[:4]))
    raise ColumnError(
        f"{verb}: '{name}' is text ({levels}), expected numbers. Use ev.survey_prop for shares of its levels, "
        f"or ev.survey_total for their counts."
    )


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds levels rather than numbers."""
    return not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def levels_of(design: Design, name: str) -> list[Any]:
    """Return the levels of a column among all respondents, in category order or else sorted."""
    column = design.column(name)
    if isinstance(column.dtype, pd.CategoricalDtype):
        used = set(column.dropna().unique())
        return [level for level in column.cat.categories if level in used]
    return sorted(column.dropna().unique().tolist())


def indicators_of(design: Design, name: str, verb: str) -> tuple[list[Any], Floats, Mask]:
    """Return levels, indicator columns of shape (n, L) and the mask of those who answered, shape (n,)."""
    levels = levels_of(design, name)
    column = design.column(name)
    answered = column.notna().to_numpy(dtype=bool)
    if not (answered & design.present).any():
        raise EstimationError(f"{verb}: '{name}' is missing for every respondent who counts.")
    if len(levels) > 200:
        raise ColumnError(f"{verb}: '{name}' has {len(levels)} levels, so it is hardly a category. Group it first.")
    code = pd.Index(levels).get_indexer(pd.Index(column))
    return levels, (code[:, None] == np.arange(len(levels))[None, :]).astype(float), answered


def degrees_of_freedom(design: Design, cells: Cells, counted: Mask) -> NDArray[np.int64]:
    """Return the design degrees of freedom of each domain, shape (D,), from the units that have a counted row."""
    rows = counted & design.present & (cells.code >= 0)
    if design.replicates is not None:
        return np.array([design.degrees_of_freedom(rows & (cells.code == d)) for d in range(len(cells))])
    first = design.sampling.stages[0]
    code, unit = cells.code[rows], first.unit[rows]
    units = np.unique(code * first.n_units + unit) // first.n_units
    strata = np.unique(code * first.n_strata + first.stratum[unit]) // first.n_strata
    return np.bincount(units, minlength=len(cells)) - np.bincount(strata, minlength=len(cells))


def counts(design: Design, cells: Cells, counted: Mask) -> NDArray[np.int64]:
    """Return the number of respondents behind each domain, shape (D,)."""
    rows = counted & design.present & (cells.code >= 0)
    return np.bincount(cells.code[rows], minlength=len(cells))
