"""Matrices with a row per respondent, kept as what they are made of: cell codes with a small table, and columns."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from evaluation.design.collapse import Codes, Floats, sum_by

#: Rows worked on at once: few enough for a block to stay in the processor's cache, and no power of two, which would
#: put all its columns in one place of it.
ROWS = 4_000
#: Rows that are sorted by group at once.
SORTED_ROWS = 1 << 16
#: Largest table of two codes that is summed densely.
MAXIMUM_TABLE = 1 << 24


@dataclass(frozen=True, eq=False)
class Columns:
    """A matrix of shape (n, q): row i is ``scale[i] * [table[code[i]], dense[0][i], dense[1][i], ...]``.

    Attributes
    ----------
    n : int
        Rows.
    code : ndarray of int, shape (n,), or None
        Cell of each row, never negative; rows that lie in no cell have ``scale`` 0.
    table : ndarray, shape (n_cells, q1)
        What each cell contributes; shape (0, 0) without ``code``.
    dense : tuple of ndarray, each shape (n,)
        Further columns, q2 of them.
    scale : ndarray, shape (n,), or None
        Factor of each row; None means 1.
    """

    n: int
    code: Codes | None = None
    table: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    dense: tuple[Floats, ...] = ()
    scale: Floats | None = None

    @property
    def width(self) -> int:
        """Number of columns q."""
        return int(self.table.shape[1]) + len(self.dense)

    @property
    def n_cells(self) -> int:
        """Number of cells of the categorical part."""
        return len(self.table)

    def scaled(self, factor: Floats) -> Columns:
        """Return the matrix with each row multiplied by ``factor``, shape (n,)."""
        return replace(self, scale=factor if self.scale is None else self.scale * factor)

    def blocks(self, size: int = ROWS) -> Iterator[tuple[slice, Floats]]:
        """Yield row blocks of the dense part, each with its rows, unscaled; a block is overwritten by the next."""
        buffer = np.empty((len(self.dense), min(size, self.n)))
        for start in range(0, self.n, size):
            rows = slice(start, min(start + size, self.n))
            block = buffer[:, : rows.stop - start]
            for place, column in enumerate(self.dense):
                block[place] = column[rows]
            yield rows, block.T

    def times(self, coefficients: Floats) -> Floats:
        """Return the matrix times coefficients of shape (q, k), shape (n, k)."""
        q1 = self.table.shape[1]
        if self.code is None:
            product = np.zeros((self.n, coefficients.shape[1]))
        else:
            product = (self.table @ coefficients[:q1])[self.code]
        if self.dense:
            for rows, block in self.blocks():
                product[rows] += block @ coefficients[q1:]
        return product if self.scale is None else product * self.scale[:, None]

    def moments(self, z: Floats) -> Floats:
        """Return the transposed matrix times ``z`` of shape (n, k), shape (q, k)."""
        scaled = z if self.scale is None else z * self.scale[:, None]
        found = np.empty((self.width, z.shape[1]))
        q1 = self.table.shape[1]
        if self.code is not None:
            sums = scaled.sum(axis=0, keepdims=True) if self.n_cells == 1 else sum_by(self.code, self.n_cells, scaled)
            found[:q1] = self.table.T @ sums
        if self.dense:
            found[q1:] = sum(block.T @ scaled[rows] for rows, block in self.blocks())
        return found

    def gram(self, weights: Floats) -> Floats:
        """Return the weighted squares and products, shape (q, q)."""
        if not self.dense or (self.code is not None and self.n_cells > 1):
            return self.cross(self, weights)
        weight = _product(self.scale, self.scale, weights, self.n)
        inner = _among_columns(self, weight)
        corner = np.eye(len(self.dense) + 1)[:, :-1]
        whole = corner if self.code is None else np.hstack([np.outer(np.eye(len(corner))[-1], self.table), corner])
        return np.asarray(whole.T @ inner @ whole)

    def cross(self, other: Columns, weights: Floats | None = None) -> Floats:
        """Return products with another matrix of the same rows, weighted, shape (q, other.q)."""
        weight = _product(self.scale, other.scale, weights, self.n)
        q1, p1 = self.table.shape[1], other.table.shape[1]
        found = np.zeros((self.width, other.width))
        if self.code is not None and other.code is not None:
            found[:q1, :p1] = _between_cells(self, other, weight)
        if self.code is not None and other.dense:
            found[:q1, p1:] = self.table.T @ _cell_sums(self, other, weight)
        if self is other:
            found[q1:, :p1] = found[:q1, p1:].T
        elif self.dense and other.code is not None:
            found[q1:, :p1] = _cell_sums(other, self, weight).T @ other.table
        if self.dense and all(map(operator.is_, self.dense, other.dense)) and len(self.dense) == len(other.dense):
            found[q1:, p1:] = _among_columns(self, weight)[:-1, :-1]
        elif self.dense and other.dense:
            for (rows, mine), (_, theirs) in zip(self.blocks(), other.blocks(), strict=True):
                found[q1:, p1:] += mine.T @ (weight[rows, None] * theirs)
        return found

    def sums_by(self, group: Codes, n_groups: int) -> Floats:
        """Return the sums of each column by group, shape (n_groups, q)."""
        q1 = self.table.shape[1]
        found = np.empty((n_groups, self.width))
        scale = np.ones(self.n) if self.scale is None else self.scale
        if self.code is not None:
            found[:, :q1] = _grouped(group, n_groups, self.code, scale, self.table)
        for place, column in enumerate(self.dense):
            found[:, q1 + place] = np.bincount(group, column * scale, minlength=n_groups)
        return found

    def moments_by(self, values: Sequence[Floats], group: Codes, n_groups: int) -> Floats:
        """Return the transposed matrix times each column of values within each group, shape (q, n_groups, k).

        Parameters
        ----------
        values : sequence of k ndarray, each shape (n,)
        group : ndarray of int, shape (n,)
            0 to ``n_groups - 1``, never negative.
        n_groups : int
        """
        q1 = self.table.shape[1]
        found = np.zeros((self.width, n_groups, len(values)))
        for k, column in enumerate(values):
            scaled = column if self.scale is None else column * self.scale
            if self.code is not None:
                found[:q1, :, k] = _grouped(group, n_groups, self.code, scaled, self.table).T
        if self.dense:
            found[q1:] = self._dense_moments_by(values, group, n_groups)
        return found

    def _dense_moments_by(self, values: Sequence[Floats], group: Codes, n_groups: int) -> Floats:
        found = np.zeros((n_groups, len(self.dense), len(values)))
        alone = group.min(initial=0) == group.max(initial=0)
        for rows, block in self.blocks(ROWS if alone else SORTED_ROWS):
            if alone:
                right = np.column_stack([column[rows] for column in values])
                found[group[0]] += block.T @ (right if self.scale is None else right * self.scale[rows, None])
                continue
            here = group[rows]
            order = np.argsort(here, kind="stable")
            here, left = group[rows][order], block[order]
            right = np.column_stack([column[rows] for column in values])[order]
            if self.scale is not None:
                right = right * self.scale[rows][order][:, None]
            starts = np.flatnonzero(np.diff(here, prepend=-1))
            for start, stop in zip(starts, [*starts[1:], len(here)], strict=True):
                found[here[start]] += left[start:stop].T @ right[start:stop]
        return found.transpose(1, 0, 2)

    @cached_property
    def matrix(self) -> Floats:
        """The whole matrix, shape (n, q); for small samples and checks."""
        return self.times(np.eye(self.width))


def _product(one: Floats | None, other: Floats | None, weights: Floats | None, n: int) -> Floats:
    present = [factor for factor in (one, other, weights) if factor is not None]
    result = np.ones(n) if not present else present[0]
    for factor in present[1:]:
        result = result * factor
    return result


def _between_cells(one: Columns, other: Columns, weight: Floats) -> Floats:
    if one.code is None or other.code is None:
        return np.zeros((0, 0))
    if one.code is other.code:
        mass = np.bincount(one.code, weight, minlength=one.n_cells)
        return np.asarray(one.table.T @ (mass[:, None] * other.table))
    return np.asarray(one.table.T @ _grouped(one.code, one.n_cells, other.code, weight, other.table))


def _among_columns(one: Columns, weight: Floats) -> Floats:
    """Return weighted products of the dense part with a column of ones behind it, shape (q2 + 1, q2 + 1)."""
    q = len(one.dense) + 1
    found = np.zeros((q, q))
    positive = weight.min(initial=0.0) >= 0
    extended = replace(one, dense=(*one.dense, np.broadcast_to(1.0, one.n)))
    for rows, block in extended.blocks():
        if positive:
            block *= np.sqrt(weight[rows])[:, None]
            found += block.T @ block
        else:
            found += block.T @ (weight[rows, None] * block)
    return found


def _grouped(group: Codes, n_groups: int, code: Codes, weight: Floats, table: Floats) -> Floats:
    """Return sums by group of ``weight * table[code]``, shape (n_groups, q)."""
    if n_groups * len(table) <= MAXIMUM_TABLE:
        key = group * len(table) + code
        return np.asarray(np.bincount(key, weight, minlength=n_groups * len(table)).reshape(n_groups, -1) @ table)
    found = np.zeros((n_groups, table.shape[1]))
    for column in range(table.shape[1]):
        found[:, column] = np.bincount(group, weight * table[code, column], minlength=n_groups)
    return found


def _cell_sums(cells: Columns, dense: Columns, weight: Floats) -> Floats:
    code = np.zeros(cells.n, dtype=np.int64) if cells.code is None else cells.code
    found = np.empty((cells.n_cells, len(dense.dense)))
    for place, column in enumerate(dense.dense):
        if cells.n_cells == 1:
            found[0, place] = column @ weight
            continue
        found[:, place] = np.bincount(code, column * weight, minlength=cells.n_cells)
    return found
