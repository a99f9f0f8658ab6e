"""Model matrices: dense, or kept as cell codes with a small table beside numeric columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, sum_by
from evaluation.design.columns import ROWS, Columns

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Matrix(Protocol):
    """A matrix X of shape (n, p); values given with it must be zero where a row is not used."""

    @property
    def dense(self) -> Floats:
        """X itself, shape (n, p), zero in rows that are not used."""
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


@dataclass(frozen=True, eq=False)
class Dense:
    """A model matrix in full.

    Attributes
    ----------
    dense : ndarray, shape (n, p)
        Zero in rows that are not used.
    """

    dense: Floats

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
        return np.where(self.used[:, None], self.columns.matrix[:, self.order], 0.0)

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
        return self.columns.gram(values)[np.ix_(self.order, self.order)]

    def sums_by(self, group: Codes, n_groups: int, values: Floats) -> Floats:
        """Return the sums by group of X's rows times ``values``, shape (n_groups, p)."""
        return self.columns.scaled(values).sums_by(group, n_groups)[:, self.order]

    def keep(self, columns: Codes) -> Matrix:
        """Return the matrix with some of its columns only."""
        return Coded(self.columns, self.order[columns], self.used)

    @property
    def _code(self) -> Codes:
        return np.zeros(self.columns.n, dtype=np.int64) if self.columns.code is None else self.columns.code
