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
from evaluation.results import TIDY_COLUMNS
from evaluation.survey.values import strays

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A column with more levels than this is refused as a category.
MAXIMUM_LEVELS = 200
#: Up to this many keys, distinct ones are found by marks instead of sorting.
MAXIMUM_MARKS = 50_000_000


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

    def name(self, d: int) -> str:
        """Return what domain ``d`` is, e.g. ``"sex=f, age=old"``; empty where there is one domain."""
        return ", ".join(f"{column}={value}" for column, value in self.keys.iloc[d].items())


def cells_by(design: Design, by: str | Sequence[str] | None) -> Cells:
    """Code the domains that ``by`` spans: every combination of levels that has a respondent who counts."""
    names = [by] if isinstance(by, str) else list(by or [])
    present = design.present
    if not names:
        return Cells(np.where(present, 0, -1), pd.DataFrame(index=range(1)))
    _refuse_unusable(names)
    coded = [code_levels(design.column(name), present) for name in names]
    complete = np.logical_and.reduce([code >= 0 for _, code in coded])
    if not complete.any():
        raise EstimationError(f"by={names}: no respondent with a weight other than zero has a value in every column.")
    key = np.zeros(len(design), dtype=np.int64)
    for levels, code in coded:
        key = key * len(levels) + code
    found, code = np.unique(key[complete], return_inverse=True)
    whole = np.full(len(design), -1, dtype=np.int64)
    whole[complete] = code
    index = np.unravel_index(found, [len(levels) for levels, _ in coded])
    keys = {name: [levels[i] for i in at] for name, (levels, _), at in zip(names, coded, index, strict=True)}
    return Cells(whole, pd.DataFrame(keys))


def _refuse_unusable(names: Sequence[str]) -> None:
    taken = [name for name in names if name in ("term", "level", *TIDY_COLUMNS)]
    if taken:
        raise ColumnError(f"by: a column of results is called '{taken[0]}' already. Rename the column of the data.")
    if len(set(names)) < len(names):
        raise ColumnError(f"by={list(names)} names a column twice. Name each once.")


def code_levels(column: pd.Series, counted: Mask) -> tuple[list[Any], Codes]:
    """Return the levels that ``counted`` rows have, and each row's place among them (-1 where none), shape (n,).

    Levels come in the order of their categories, else sorted; text after numbers where a column mixes them.
    """
    code, found = pd.factorize(column)
    seen = np.bincount(code[counted & (code >= 0)], minlength=len(found)) > 0
    values = pd.Index(found).tolist()
    if isinstance(column.dtype, pd.CategoricalDtype):
        rank = {level: place for place, level in enumerate(column.cat.categories)}
        order = sorted(np.flatnonzero(seen), key=lambda i: rank[values[i]])
    else:
        order = sorted(np.flatnonzero(seen), key=lambda i: (isinstance(values[i], str), values[i]))
    place = np.full(len(found) + 1, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    return [values[i] for i in order], np.where(counted, place[code], -1)


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


def names_of(variables: str | Sequence[str], verb: str) -> tuple[str, ...]:
    """Return the columns that were asked for; an EstimationError where there are none."""
    names = (variables,) if isinstance(variables, str) else tuple(variables or ())
    if not names:
        raise EstimationError(f"{verb} needs at least one variable; none was given.")
    return names


def outcomes_of(design: Design, variables: str | Sequence[str], *, listwise: bool, verb: str) -> Outcomes:
    """Read numeric outcomes; each variable's missing values are its own, unless ``listwise``."""
    names = names_of(variables, verb)
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
    if is_text(column):
        rows, told = strays(column)
        if told:
            raise ColumnError(
                f"{verb}: '{name}' is read as text, expected numbers: {told}. Correct these values or make them "
                f"missing, then convert the column with pandas.to_numeric.",
                failures=design.data.loc[rows],
            )
        levels = ", ".join(map(repr, sorted(map(str, column.dropna().unique()))[:4]))
        kind = "text" if column.dtype == object or isinstance(column.dtype, pd.StringDtype) else str(column.dtype)
        raise ColumnError(
            f"{verb}: '{name}' is {kind} ({levels}), expected numbers. Use ev.survey_prop for shares of its levels, "
            f"or ev.survey_total for their counts."
        )
    if column.dtype == object:
        column = column.astype("boolean")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if np.isinf(values).any():
        raise ColumnError(f"{verb}: '{name}' is infinite in {int(np.isinf(values).sum())} rows. Make them missing.")
    return values


def is_text(column: pd.Series) -> bool:
    """Tell whether a column holds levels rather than numbers or yes and no."""
    plain = pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)
    return not plain and pd.api.types.infer_dtype(column, skipna=True) != "boolean"


def levels_of(design: Design, name: str, verb: str) -> tuple[list[Any], Codes]:
    """Return the levels of a column among all respondents, and each one's place among them (-1 where missing)."""
    levels, code = code_levels(design.column(name), np.ones(len(design), dtype=bool))
    if not (design.present & (code >= 0)).any():
        raise EstimationError(f"{verb}: '{name}' is missing for every respondent who counts.")
    if len(levels) > MAXIMUM_LEVELS:
        raise ColumnError(f"{verb}: '{name}' has {len(levels)} levels, so it is hardly a category. Group it first.")
    return levels, code


def degrees_of_freedom(design: Design, cells: Cells, counted: Mask) -> NDArray[np.int64]:
    """Return the design degrees of freedom of each domain, shape (D,), from the units that have a counted row."""
    rows = counted & design.present & (cells.code >= 0)
    if design.replicates is not None:
        return np.array([design.degrees_of_freedom(rows & (cells.code == d)) for d in range(len(cells))])
    first = design.sampling.stages[0]
    code, unit = cells.code[rows], first.unit[rows]
    domain, unit = np.divmod(_distinct(code * first.n_units + unit, len(cells) * first.n_units), first.n_units)
    strata = _distinct(domain * first.n_strata + first.stratum[unit], len(cells) * first.n_strata) // first.n_strata
    return np.bincount(domain, minlength=len(cells)) - np.bincount(strata, minlength=len(cells))


def _distinct(keys: Codes, size: int) -> Codes:
    if size > MAXIMUM_MARKS:
        return np.unique(keys)
    marks = np.zeros(size, dtype=bool)
    marks[keys] = True
    return np.flatnonzero(marks)


def counts(design: Design, cells: Cells, counted: Mask) -> NDArray[np.int64]:
    """Return the number of respondents behind each domain, shape (D,)."""
    rows = counted & design.present & (cells.code >= 0)
    return np.bincount(cells.code[rows], minlength=len(cells))
