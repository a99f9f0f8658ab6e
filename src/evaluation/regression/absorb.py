"""Two sets of fixed effects swept out in one pass: group sums and a small linear system, no dummies, no iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Eigenvalues of the small system below this, relative to the largest, are zero.
RANK_TOLERANCE = 1e-10


@dataclass(frozen=True, eq=False)
class TwoWay:
    """Fixed effects of two classifications, with the larger one eliminated first.

    Attributes
    ----------
    weights : ndarray, shape (n,)
        Of the rows.
    cell : ndarray of int, shape (n,)
        ``large * S + small``: where each row stands in tables of shape (L, S).
    basis : ndarray, shape (q, L, S) or (1, 1, 1)
        Per level of the larger classification a constant and, with trends, centred time.
    table : ndarray, shape (q, L, S)
        Weight in each cell times ``basis``.
    inverse : ndarray, shape (q, L)
        One over the weighted sum of squares of ``basis`` in each level; 0 where there is nothing.
    small_system, solver : ndarray, shape (S, S)
        Weighted squares of the smaller classification's dummies after elimination, and its pseudo-inverse.
    """

    weights: Floats
    cell: Codes
    basis: Floats
    table: Floats
    inverse: Floats
    small_system: Floats
    solver: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of levels (L, S)."""
        return self.table.shape[1], self.table.shape[2]

    @property
    def rank(self) -> int:
        """Number of linearly independent effects."""
        return int((self.inverse > 0).sum()) + int(np.linalg.matrix_rank(self.small_system, hermitian=True))

    def reduce(self, sums: Floats) -> tuple[Floats, Floats]:
        """Return weighted sums (cells of shape (L, S)) at the larger levels, and at the smaller after elimination."""
        large = (self.basis * sums).sum(axis=2)
        return large, sums.sum(axis=0) - np.einsum("qls,ql->s", self.table, self.inverse * large)

    def sweep(self, column: Floats) -> Floats:
        """Return a column, shape (n,), less its weighted projection on the effects."""
        large, rest = self.reduce(cell_sums(self.cell, self.weights * column, self.shape))
        small = self.solver @ rest
        large = self.inverse * (large - self.table @ small)
        fitted = small + (large[:, :, None] * self.basis).sum(axis=0)
        return np.asarray(column - fitted.ravel()[self.cell])


def two_way(large: Codes, small: Codes, weights: Floats, trend: Floats | None = None) -> TwoWay:
    """Prepare two sets of fixed effects.

    Parameters
    ----------
    large, small : ndarray of int, shape (n,)
        Levels of each row, all of 0 to the greatest occurring. The second should have fewer levels: a system
        of its size is solved.
    weights : ndarray, shape (n,)
        Positive.
    trend : ndarray, shape (S,), optional
        Value of time at each level of ``small``: each level of ``large`` then has its own linear trend.

    Returns
    -------
    TwoWay

    Notes
    -----
    With D the dummies of the larger and E those of the smaller classification, the normal equations of both are
    reduced to :math:`E'WE - E'WD (D'WD)^{-1} D'WE`, of which one direction per connected component is free.

    References
    ----------
    Guimarães and Portugal (2010), Stata Journal 10, 628-649. R twin: ``fixest::demean``.

    Examples
    --------
    >>> unit, year = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    >>> two_way(unit, year, np.ones(4)).sweep(np.array([1.0, 2.0, 3.0, 8.0])).round(6).tolist()
    [1.0, -1.0, -1.0, 1.0]
    """
    shape = (int(large.max()) + 1, int(small.max()) + 1)
    cell = large * shape[1] + small
    return from_mass(cell_sums(cell, weights, shape), cell, weights, trend)


def from_mass(mass: Floats, cell: Codes, weights: Floats, trend: Floats | None) -> TwoWay:
    """Prepare fixed effects from the weight in each cell, ``mass`` of shape (L, S); otherwise as ``two_way``."""
    basis = np.ones((1, 1, 1)) if trend is None else _with_trend(mass, trend)
    table = basis * mass
    squares = (basis * table).sum(axis=2)
    counted = squares > RANK_TOLERANCE * squares.max(axis=1, keepdims=True)
    inverse = np.where(counted, 1 / np.where(counted, squares, 1.0), 0.0)
    system = small_system(table, inverse, mass.sum(axis=0))
    return TwoWay(weights, cell, basis, table, inverse, system, pseudo_inverse(system))


def cell_sums(cell: Codes, values: Floats, shape: tuple[int, int]) -> Floats:
    """Return the sum of ``values``, shape (n,), in each cell of a table of this shape."""
    return np.asarray(np.bincount(cell, values, minlength=shape[0] * shape[1]).reshape(shape), dtype=np.float64)


def _with_trend(mass: Floats, trend: Floats) -> Floats:
    total = mass.sum(axis=1)
    centre = (mass @ trend) / np.where(total > 0, total, 1.0)
    return np.stack([np.ones(mass.shape), trend - centre[:, None]])


def small_system(table: Floats, inverse: Floats, mass: Floats) -> Floats:
    """Return the weighted squares of the smaller dummies once the larger classification is eliminated, (S, S).

    Parameters
    ----------
    table : ndarray, shape (q, L, S)
    inverse : ndarray, shape (q, L)
    mass : ndarray, shape (S,)
        Weight at each level of the smaller classification.
    """
    eliminated = np.einsum("qls,ql,qlt->st", table, inverse, table, optimize=True)
    return np.asarray(np.diag(mass) - eliminated)


def pseudo_inverse(system: Floats) -> Floats:
    """Return the pseudo-inverse of a symmetric matrix; directions that carry nothing stay zero."""
    return np.asarray(np.linalg.pinv(system, rcond=RANK_TOLERANCE, hermitian=True))
