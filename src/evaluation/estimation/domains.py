"""Domains and outcomes: which respondents belong to which cell, and what they answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import MAXIMUM_MARKS, compact
from evaluation.design.design import Design
from evaluation.design.sampling import Stage
from evaluation.errors import ColumnError, EstimationError, require_flag
from evaluation.estimation.arguments import column_names
from evaluation.results import TIDY_COLUMNS
from evaluation.survey.values import distinct, strays

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A column with more levels than this is refused as a category.
MAXIMUM_LEVELS = 200


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

    @cached_property
    def n_groups(self) -> int:
        """Number of domains, and one more where some respondents are in none."""
        return len(self.keys) + int((self.code < 0).any())

    @cached_property
    def group(self) -> Codes:
        """Domain of each respondent, those in none last, shape (n,)."""
        return self.code if self.n_groups == len(self.keys) else np.where(self.code < 0, len(self.keys), self.code)

    def name(self, d: int) -> str:
        """Return what domain ``d`` is, e.g. ``"sex=f, age=old"``; empty where there is one domain."""
        return ", ".join(f"{column}={value}" for column, value in self.keys.iloc[d].items())


def cells_by(design: Design, by: str | Sequence[str] | None, *, taken: Sequence[str] = ()) -> Cells:
    """Code the domains that ``by`` spans: every combination of levels that has a respondent who counts.

    ``taken`` are further columns of the results, which no column of the data may be called.
    """
    names = list(column_names(by, "by"))
    present = design.present
    if not names:
        return Cells(np.where(present, 0, -1), pd.DataFrame(index=range(1)))
    _refuse_unusable(names, taken)
    _refuse_weightless(design, names)
    coded = [code_levels(design.column(name), present) for name in names]
    complete = np.logical_and.reduce([code >= 0 for _, code in coded])
    if not complete.any():
        raise EstimationError(f"by={names}: no respondent with a weight other than zero has a value in every column.")
    key = np.zeros(len(design), dtype=np.int64)
    for levels, code in coded:
        key = key * len(levels) + code
    sizes = [len(levels) for levels, _ in coded]
    if complete.all():
        whole, found = compact(key, math.prod(sizes))
    else:
        code, found = compact(key[complete], math.prod(sizes))
        whole = np.full(len(design), -1, dtype=np.int64)
        whole[complete] = code
    index = np.unravel_index(found, sizes)
    keys = {name: [levels[i] for i in at] for name, (levels, _), at in zip(names, coded, index, strict=True)}
    return Cells(whole, pd.DataFrame(keys))


def _refuse_unusable(names: Sequence[str], taken: Sequence[str]) -> None:
    clash = [name for name in names if name in ("term", "level", *TIDY_COLUMNS, *taken)]
    if clash:
        raise ColumnError(f"by: a column of results is called '{clash[0]}' already. Rename the column of the data.")


def _refuse_weightless(design: Design, names: Sequence[str]) -> None:
    """Raise an EstimationError where every respondent of a domain has weight zero: it would vanish without a word."""
    inside = np.ones(len(design), dtype=bool) if design.inside is None else design.inside
    if not (inside & (design.weights == 0)).any():
        return
    table = pd.DataFrame({name: design.column(name) for name in names})[inside]
    code = table.groupby(list(names), observed=True, sort=False).ngroup().fillna(-1).to_numpy(dtype=np.int64)
    weighs = np.bincount(code[code >= 0], weights=(design.weights[inside] != 0)[code >= 0])
    empty = (code >= 0) & (weighs[code] == 0)
    if empty.any() and (weighs > 0).any():
        first = ", ".join(f"{name}={value}" for name, value in table[empty].iloc[0].items())
        raise EstimationError(
            f"by={list(names)}: all respondents of {int((weighs == 0).sum())} domains have weight zero (first: "
            f"{first}), so there is nothing to estimate. Correct the weights, or choose the others with ev.domain.",
            failures=design.data.loc[table.index[empty]],
        )


def code_levels(column: pd.Series, counted: Mask) -> tuple[list[Any], Codes]:
    """Return the levels that ``counted`` rows have, and each row's place among them (-1 where none), shape (n,).

    Levels come in the order of their categories, else sorted; text after numbers where a column mixes them.
    """
    code, found = distinct(column)
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
    columns : tuple of ndarray, each shape (n,)
        Zero where missing.
    masks : tuple of ndarray of bool, each shape (n,), or None
        False where missing; None where nothing is.
    """

    names: tuple[str, ...]
    columns: tuple[Floats, ...]
    masks: tuple[Mask | None, ...]

    @cached_property
    def values(self) -> Floats:
        """The columns side by side, shape (n, p)."""
        return np.column_stack(self.columns)

    @cached_property
    def answered(self) -> Mask:
        """Who answered each variable, shape (n, p)."""
        everybody = np.ones(len(self.columns[0]), dtype=bool)
        return np.column_stack([everybody if mask is None else mask for mask in self.masks])


def names_of(variables: str | Sequence[str], verb: str) -> tuple[str, ...]:
    """Return the columns that were asked for; an EstimationError where there are none."""
    names = column_names(variables, f"{verb}: variables", "'income'")
    if not names:
        raise EstimationError(f"{verb} needs at least one variable; none was given.")
    return names


def outcomes_of(design: Design, variables: str | Sequence[str], *, listwise: bool, verb: str) -> Outcomes:
    """Read numeric outcomes; each variable's missing values are its own, unless ``listwise``."""
    names = names_of(variables, verb)
    require_flag(listwise, f"{verb}: listwise", EstimationError)
    columns = [_numeric(design, name, verb) for name in names]
    masks = [_answered(column) for column in columns]
    missing = [mask for mask in masks if mask is not None]
    if listwise and missing:
        masks = [np.logical_and.reduce(missing)] * len(names)
    for name, mask in zip(names, masks, strict=True):
        if not (design.present if mask is None else mask & design.present).any():
            raise EstimationError(f"'{name}' is missing for every respondent who counts; there is nothing to estimate.")
    filled = [
        column if mask is None else np.where(mask, column, 0.0) for column, mask in zip(columns, masks, strict=True)
    ]
    return Outcomes(names, tuple(filled), tuple(masks))


def _answered(column: Floats) -> Mask | None:
    missing = np.isnan(column)
    return ~missing if missing.any() else None


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


def degrees_of_freedom(design: Design, cells: Cells, counted: Mask | None = None) -> NDArray[np.int64]:
    """Return the design degrees of freedom of each domain, shape (D,), from the units that have a counted row."""
    rows = counting(design, cells, counted)
    if design.replicates is not None:
        replicates = design.replicates
        there = _occupied(replicates.unit, len(replicates.factors), cells, rows)
        return np.array([replicates.degrees_of_freedom_of_units(there[:, d]) for d in range(len(cells))])
    first = design.sampling.stages[0]
    if first.n_units == len(design):
        return _of_respondents(first, cells, rows)
    if first.n_units * cells.n_groups > MAXIMUM_MARKS:
        inside = (cells.code >= 0) if rows is None else rows
        domain, unit = np.divmod(np.unique(cells.code[inside] * first.n_units + first.unit[inside]), first.n_units)
        strata = np.unique(domain * first.n_strata + first.stratum[unit]) // first.n_strata
        return np.bincount(domain, minlength=len(cells)) - np.bincount(strata, minlength=len(cells))
    units = _occupied(first.unit, first.n_units, cells, rows)
    strata_marks = np.zeros((first.n_strata, len(cells)), dtype=bool)
    unit, domain = np.nonzero(units)
    strata_marks[first.stratum[unit], domain] = True
    return np.asarray(units.sum(axis=0) - strata_marks.sum(axis=0), dtype=np.int64)


def _of_respondents(first: Stage, cells: Cells, rows: Mask | None) -> NDArray[np.int64]:
    """Return respondents less strata by domain, where every respondent is a unit."""
    size = cells.n_groups
    key = first.stratum[first.unit] * size + cells.group
    found = np.bincount(key if rows is None else key[rows], minlength=first.n_strata * size).reshape(-1, size)
    return np.asarray((found.sum(axis=0) - (found > 0).sum(axis=0))[: len(cells)], dtype=np.int64)


def _occupied(unit: Codes, n_units: int, cells: Cells, rows: Mask | None) -> Mask:
    """Return which units have a row in which domain, shape (n_units, D)."""
    marks = np.zeros((n_units, cells.n_groups), dtype=bool)
    key = unit * cells.n_groups + cells.group
    marks.reshape(-1)[key if rows is None else key[rows]] = True
    return np.ascontiguousarray(marks[:, : len(cells)])


def counts(design: Design, cells: Cells, counted: Mask | None = None) -> NDArray[np.int64]:
    """Return the number of respondents behind each domain, shape (D,)."""
    rows = counting(design, cells, counted)
    group = cells.group if rows is None else cells.group[rows]
    return np.bincount(group, minlength=cells.n_groups)[: len(cells)]


def counting(design: Design, cells: Cells, counted: Mask | None) -> Mask | None:
    """Return the rows that count in some domain, shape (n,); None where all do. Domains hold present rows only."""
    if counted is None and cells.n_groups == len(cells):
        return None
    return (cells.code >= 0) if counted is None else counted & (cells.code >= 0) & design.present
