"""Model matrices: dense, or kept as cell codes with a small table beside numeric columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, sum_by
from evaluation.design.columns import ROWS, Columns

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


#: Rows of a block, and how many of them there must be for each cell of a table that is gone through per block.
BLOCK, ROWS_PER_CELL = 1 << 15, 8
#: Up to this many numeric columns, their products are taken pair by pair.
FEW_COLUMNS = 8


def _slices(n: int, n_cells: int) -> Iterator[slice]:
    size = max(BLOCK, ROWS_PER_CELL * n_cells)
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


class Matrix(Protocol):
    """A matrix X of shape (n, p); values given with it must be zero where a row is not used."""

    @property
    def dense(self) -> Floats:
        """X itself, shape (n, p), zero in rows that are not used."""
        ...

    def each_column(self) -> Iterator[Floats]:
        """Yield the columns of X, shape (n,) each, one at a time; rows that are not used hold anything finite."""
        ...

    def times(self, coefficients: Floats) -> Floats:
        """Return X times coefficients of shape (p,), shape (n,)."""
        ...

    def moments(self, values: Floats) -> Floats:
        """Return X' times values of shape (n,), shape (p,)."""
        ...

    def gram(self, values: Floats) -> Floats:
        """Return X' diag(values) X, shape (p, p)."""
        ...

    def sums_by(self, group: Codes, n_groups: int, values: Floats) -> Floats:
        """Return the sums by group of X's rows times ``values``, shape (n_groups, p)."""
        ...

    def keep(self, columns: Codes) -> Matrix:
        """Return the matrix with some of its columns only."""
        ...

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Yield blocks of rows, small enough that what is computed of them stays in the processor's cache."""
        ...


@dataclass(frozen=True, eq=False)
class Dense:
    """A model matrix in full.

    Attributes
    ----------
    dense : ndarray, shape (n, p)
        Zero in rows that are not used.
    """

    dense: Floats

    def each_column(self) -> Iterator[Floats]:
        """Yield the columns of X, shape (n,) each."""
        yield from self.dense.T

    def times(self, coefficients: Floats) -> Floats:
        """Return X times coefficients of shape (p,), shape (n,)."""
        return np.asarray(self.dense @ coefficients)

    def moments(self, values: Floats) -> Floats:
        """Return X' times values of shape (n,), shape (p,)."""
        return np.asarray(self.dense.T @ values)

    def gram(self, values: Floats) -> Floats:
        """Return X' diag(values) X, shape (p, p), a block of rows at a time."""
        found = np.zeros((self.dense.shape[1],) * 2)
        for start in range(0, len(self.dense), ROWS):
            block = self.dense[start : start + ROWS]
            found += block.T @ (values[start : start + ROWS, None] * block)
        return found

    def sums_by(self, group: Codes, n_groups: int, values: Floats) -> Floats:
        """Return the sums by group of X's rows times ``values``, shape (n_groups, p)."""
        return sum_by(group, n_groups, self.dense * values[:, None])

    def keep(self, columns: Codes) -> Matrix:
        """Return the matrix with some of its columns only."""
        return Dense(np.ascontiguousarray(self.dense[:, columns]))

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Yield blocks of rows."""
        for rows in _slices(len(self.dense), 1):
            yield rows, Dense(self.dense[rows])


@dataclass(frozen=True, eq=False)
class Coded:
    """A model matrix that is never built: the categorical part by cell, numeric columns as they are.

    Attributes
    ----------
    columns : Columns
        Categorical part first; rows that are not used hold anything finite.
    order : ndarray of int, shape (p,)
        Where each coefficient stands among the columns.
    used : ndarray of bool, shape (n,)
        Rows in the regression.
    """

    columns: Columns
    order: Codes
    used: Mask

    @cached_property
    def dense(self) -> Floats:
        """X itself, shape (n, p), zero in rows that are not used."""
        columns = self.columns
        padded = np.hstack([columns.table, np.zeros((columns.n_cells, len(columns.dense)))])[:, self.order]
        x = np.asarray(padded[self._code])
        for place, at in enumerate(self.order - columns.table.shape[1]):
            if at >= 0:
                x[:, place] = columns.dense[at]
        x[~self.used] = 0.0
        return x

    def each_column(self) -> Iterator[Floats]:
        """Yield the columns of X, shape (n,) each; rows that are not used hold anything finite."""
        q1 = self.columns.table.shape[1]
        for at in self.order:
            yield self.columns.dense[at - q1] if at >= q1 else np.asarray(self.columns.table[:, at][self._code])

    def times(self, coefficients: Floats) -> Floats:
        """Return X times coefficients of shape (p,), shape (n,)."""
        placed = np.zeros(self.columns.width)
        placed[self.order] = coefficients
        q1 = self.columns.table.shape[1]
        product = (self.columns.table @ placed[:q1])[self.columns.code]
        for column, slope in zip(self.columns.dense, placed[q1:], strict=True):
            product += column * slope
        return np.asarray(product)

    def moments(self, values: Floats) -> Floats:
        """Return X' times values of shape (n,), shape (p,)."""
        sums = np.bincount(self._code, values, minlength=self.columns.n_cells)
        numeric = [column @ values for column in self.columns.dense]
        return np.concatenate([self.columns.table.T @ sums, numeric])[self.order]

    def gram(self, values: Floats) -> Floats:
        """Return X' diag(values) X, shape (p, p)."""
        columns, q1 = self.columns, self.columns.table.shape[1]
        if len(columns.dense) > FEW_COLUMNS:
            return columns.gram(values)[np.ix_(self.order, self.order)]
        found = np.empty((columns.width, columns.width))
        mass = np.bincount(self._code, values, minlength=columns.n_cells)
        found[:q1, :q1] = columns.table.T @ (mass[:, None] * columns.table)
        for j, column in enumerate(columns.dense):
            weighted = column * values
            sums = np.bincount(self._code, weighted, minlength=columns.n_cells)
            found[q1 + j, :q1] = found[:q1, q1 + j] = sums @ columns.table
            for k, other in enumerate(columns.dense[: j + 1]):
                found[q1 + j, q1 + k] = found[q1 + k, q1 + j] = weighted @ other
        return found[np.ix_(self.order, self.order)]

    def sums_by(self, group: Codes, n_groups: int, values: Floats) -> Floats:
        """Return the sums by group of X's rows times ``values``, shape (n_groups, p)."""
        return self.columns.scaled(values).sums_by(group, n_groups)[:, self.order]

    def keep(self, columns: Codes) -> Matrix:
        """Return the matrix with some of its columns only."""
        return Coded(self.columns, self.order[columns], self.used)

    def blocks(self) -> Iterator[tuple[slice, Matrix]]:
        """Yield blocks of rows."""
        columns, code = self.columns, self._code
        for rows in _slices(columns.n, columns.n_cells):
            dense = tuple(column[rows] for column in columns.dense)
            yield (
                rows,
                Coded(Columns(rows.stop - rows.start, code[rows], columns.table, dense), self.order, self.used[rows]),
            )

    @property
    def _code(self) -> Codes:
        return np.zeros(self.columns.n, dtype=np.int64) if self.columns.code is None else self.columns.code
