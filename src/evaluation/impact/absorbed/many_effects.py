"""Any number of fixed effects taken out at once: the largest eliminated, the rest solved for, directly or by steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Eigenvalues of the scaled small system below this are zero.
RANK_TOLERANCE = 1e-10
#: Above this many levels beside the largest classification the system is solved by steps.
DENSE_LEVELS = 1_200
#: Above this many cells tables are sparse.
DENSE_CELLS = 20_000_000
#: Relative size of what is left of the equations when steps end; short of the first no answer is given.
ENOUGH, WANTED = 1e-10, 1e-13
STEPS = 5_000


class NoConvergence(EstimationError):
    """Effects could not be taken out of a column to the accuracy that is asked for."""


@dataclass(frozen=True, eq=False)
class ManyWay:
    """Fixed effects of several classifications, one of them eliminated first, which may have slopes besides.

    Attributes
    ----------
    weights : ndarray, shape (n,)
    large : ndarray of int, shape (n,)
        Level of the classification that is eliminated, L of them.
    small : tuple of ndarray of int, shape (n,)
        Place of each row among the S levels of all other classifications.
    basis : tuple of ndarray, shape (n,)
        What each eliminated level has: ones (None) and, with slopes, the value less its mean there.
    inverse : ndarray, shape (q, L)
        One over the weighted squares of ``basis`` in each level; 0 where there is nothing.
    tables : tuple of (L, S) arrays, dense or sparse
        Weight times ``basis`` in each crossing.
    squares : (S, S) array, dense or sparse
        Weighted squares of the dummies of all other classifications.
    scale : ndarray, shape (S,)
        Root of their diagonal.
    solver : ndarray, shape (S, S), or None
        Pseudo-inverse of the system that elimination leaves; None where it is solved by steps.
    rank : int
        Number of linearly independent effects; where solved by steps, at most as many.
    """

    weights: Floats
    large: Codes
    small: tuple[Codes, ...]
    basis: tuple[Floats | None, ...]
    inverse: Floats
    tables: tuple[Any, ...]
    squares: Any
    scale: Floats
    solver: Floats | None
    rank: int

    def reduce(self, column: Floats) -> tuple[Floats, Floats]:
        """Return weighted sums of a column at eliminated levels, (q, L), and at the others after elimination, (S,)."""
        values, n_large = self.weights * column, self.inverse.shape[1]
        sums = [mass_by(self.large, n_large, values if own is None else values * own) for own in self.basis]
        rest = np.zeros(len(self.scale))
        for code in self.small:
            rest += mass_by(code, len(rest), values)
        for table, inverse, own in zip(self.tables, self.inverse, sums, strict=True):
            rest -= table.T @ (inverse * own)
        return np.stack(sums), rest

    def sweep(self, column: Floats) -> Floats:
        """Return a column, shape (n,), less its weighted projection on the effects.

        Raises
        ------
        NoConvergence
            Steps did not reach the accuracy that is wanted.
        """
        large, rest = self.reduce(column)
        small = self._solved(rest)
        left = column.copy()
        for code in self.small:
            left -= small[code]
        for table, inverse, own, basis in zip(self.tables, self.inverse, large, self.basis, strict=True):
            fitted = (inverse * (own - table @ small))[self.large]
            left -= fitted if basis is None else fitted * basis
        return left

    def _solved(self, rest: Floats) -> Floats:
        if self.solver is not None:
            return self.solver @ rest
        return self.scale * _by_steps(lambda v: self.scale * self._times(self.scale * v), self.scale * rest)

    def _times(self, values: Floats) -> Floats:
        """Return the system that elimination leaves, times a vector."""
        product = self.squares @ values
        for table, inverse in zip(self.tables, self.inverse, strict=True):
            product = product - table.T @ (inverse * (table @ values))
        return np.asarray(product)


def _by_steps(times: Any, target: Floats) -> Floats:
    """Solve a symmetric system that may be singular but has a solution, by conjugate gradients."""
    x, left = np.zeros_like(target), target.copy()
    size = goal = float(left @ left)
    if size == 0:
        return x
    step, wanted = left.copy(), goal * WANTED**2
    for _ in range(STEPS):
        moved = times(step)
        along = float(step @ moved)
        if along <= 0:
            break
        x = x + (size / along) * step
        left = left - (size / along) * moved
        size, before = float(left @ left), size
        if size <= wanted:
            break
        step = left + (size / before) * step
    if size > goal * ENOUGH**2:
        raise NoConvergence(f"effects were taken out to {np.sqrt(size / goal):.1e} only, after {STEPS:,} steps.")
    return x


def many_way(
    levels: Sequence[Codes],
    sizes: Sequence[int],
    weights: Floats,
    slope: Floats | None = None,
    sloped: int | None = None,
) -> ManyWay:
    """Prepare any number of fixed effects.

    Parameters
    ----------
    levels : sequence of ndarray of int, shape (n,)
        Level of each row, one array per classification.
    sizes : sequence of int
        Number of levels of each.
    weights : ndarray, shape (n,)
        Positive.
    slope : ndarray, shape (n,), optional
        Value on which each level of classification ``sloped`` has a slope of its own.
    sloped : int, optional
        Number of that classification, which is eliminated first; else the largest is.

    Returns
    -------
    ManyWay

    Notes
    -----
    The classification eliminated first costs one division per level. The others' normal equations are solved
    exactly up to 1,200 levels, beyond by conjugate gradients on sparse tables.

    References
    ----------
    Guimarães and Portugal (2010), Stata Journal 10, 628-649; Correia (2017), ``reghdfe``.

    Examples
    --------
    >>> a, b, c = np.array([0, 0, 1, 1, 0, 1]), np.array([0, 1, 0, 1, 1, 0]), np.array([0, 0, 0, 1, 1, 1])
    >>> many_way([a, b, c], [2, 2, 2], np.ones(6)).rank
    4
    """
    first = int(np.argmax(sizes)) if sloped is None else sloped
    large, n_large = levels[first], sizes[first]
    others = [(code, size) for number, (code, size) in enumerate(zip(levels, sizes, strict=True)) if number != first]
    starts = np.cumsum([0, *(size for _, size in others)])
    small = tuple(code + start for (code, _), start in zip(others, starts, strict=False))
    n_small = int(starts[-1])
    basis: list[Floats | None] = [None]
    mass = mass_by(large, n_large, weights)
    squares = [mass]
    if slope is not None:
        centred = slope - (mass_by(large, n_large, weights * slope) / np.where(mass > 0, mass, 1.0))[large]
        basis.append(centred)
        squares.append(mass_by(large, n_large, weights * centred**2))
    least = RANK_TOLERANCE * np.array([each.max(initial=0.0) for each in squares])
    inverse = np.stack(
        [np.where(own > low, 1 / np.where(own > low, own, 1.0), 0.0) for own, low in zip(squares, least, strict=True)]
    )
    dense = n_small <= DENSE_LEVELS and n_large * max(n_small, 1) <= DENSE_CELLS
    crossing = _dense_crossing if dense else _sparse_crossing
    tables = tuple(
        _beside(
            [crossing(large, code, (n_large, n_small), weights if own is None else weights * own) for code in small],
            (n_large, n_small),
            dense,
        )
        for own in basis
    )
    rows = [
        _beside([crossing(code, other, (n_small, n_small), weights) for other in small], (n_small, n_small), dense)
        for code in small
    ]
    system_squares = _beside(rows, (n_small, n_small), dense)
    diagonal = np.asarray(system_squares.diagonal(), dtype=float)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    rank, solver = int((inverse > 0).sum()), None
    if dense:
        system = np.asarray(system_squares, dtype=float).copy()
        for table, own in zip(tables, inverse, strict=True):
            system -= table.T @ (own[:, None] * table)
        solver, more = _pseudo_inverse(system, scale)
        rank += more
    else:
        rank += n_small - len(small)
    return ManyWay(weights, large, small, tuple(basis), inverse, tables, system_squares, scale, solver, rank)


def _beside(parts: Sequence[Any], shape: tuple[int, int], dense: bool) -> Any:
    """Return the sum of tables that fill different places; an empty one where there are none."""
    if not parts:
        return np.zeros(shape) if dense else sparse.csr_array(shape)
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _dense_crossing(row: Codes, column: Codes, shape: tuple[int, int], values: Floats) -> Floats:
    return mass_by(row * shape[1] + column, shape[0] * shape[1], values).reshape(shape)


def _sparse_crossing(row: Codes, column: Codes, shape: tuple[int, int], values: Floats) -> Any:
    return sparse.coo_array((values, (row, column)), shape=shape).tocsr()


def _pseudo_inverse(system: Floats, scale: Floats) -> tuple[Floats, int]:
    """Return the pseudo-inverse of a scaled symmetric system, and its rank."""
    values, vectors = np.linalg.eigh(scale[:, None] * system * scale)
    there = values > RANK_TOLERANCE
    root = scale[:, None] * vectors[:, there]
    return np.asarray((root / values[there]) @ root.T), int(there.sum())
