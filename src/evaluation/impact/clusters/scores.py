"""A regression with absorbed effects in sums per cluster: all that redrawing or reordering clusters needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression, Solved
from evaluation.impact.absorbed.rules import parameters

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: Directions that carry less than this share of the information are not there.
RANK = 1e-10
#: Numbers that sums per cluster may hold: 400 MB.
MOST_NUMBERS = 50_000_000
#: Effects of several kinds within one cluster that are solved for at once.
MOST_INSIDE = 4_000


@dataclass(frozen=True, eq=False)
class ClusterScores:
    """A regression on p columns, in sums per cluster.

    The first k columns are the regressors; then come effects that reach across clusters, such as those of time.
    Effects within clusters are taken out of all columns. Columns have length one over all clusters.

    Attributes
    ----------
    squares : ndarray, shape (G, p, p)
        Weighted squares and products of the columns.
    products : ndarray, shape (G, p)
        Weighted products of columns and outcome.
    scale : ndarray, shape (p,)
        Length that each column had.
    n_terms : int
        k.
    times : slice
        Columns of the effects of time; empty where those lie within clusters.
    """

    squares: Floats
    products: Floats
    scale: Floats
    n_terms: int
    times: slice

    def __len__(self) -> int:
        return len(self.squares)

    @property
    def inverse(self) -> Floats:
        """Pseudo-inverse of the squares over all clusters, shape (p, p)."""
        return pseudo_inverse(self.squares.sum(axis=0))

    @property
    def residual_scores(self) -> Floats:
        """Weighted products of columns and residuals, shape (G, p)."""
        return np.asarray(self.products - self.squares @ (self.inverse @ self.products.sum(axis=0)))

    def direction(self, combine: Floats) -> Floats:
        """Return weights of the k coefficients as weights of the p coefficients of columns of length one."""
        whole = np.zeros(self.squares.shape[1])
        whole[: self.n_terms] = combine / self.scale[: self.n_terms]
        return whole


def cr1_factor(regression: Regression, small_sample: str = "nonnested") -> tuple[float, int]:
    """Return the factor of CR1 and the parameters K it counts.

    Parameters
    ----------
    regression : Regression
        With a cluster.
    small_sample : {"nonnested", "all"}
        Whether effects within clusters count.

    Raises
    ------
    EstimationError
        No degrees of freedom are left.
    """
    n, g = len(regression.rows), len(regression.labels["cluster"])
    k = parameters(regression, small_sample, [regression.levels["cluster"]])
    if n <= k:
        raise EstimationError(f"{n} rows leave no degrees of freedom for CR1 beside {k} parameters.")
    return (n - 1) / (n - k) * g / (g - 1), k


def pseudo_inverse(squares: Floats) -> Floats:
    """Return the pseudo-inverse of symmetric matrices, shape (..., p, p)."""
    return np.asarray(np.linalg.pinv(squares, rcond=RANK, hermitian=True))


@dataclass(frozen=True, eq=False)
class _Dummies:
    """Columns of a classification: 1, or a slope in time, where a row has the level."""

    code: Codes
    size: int
    slope: Floats | None = None

    def part(self, rows: slice) -> _Dummies:
        """Return the columns in some rows, levels that do not occur there left out."""
        levels, code = np.unique(self.code[rows], return_inverse=True)
        return _Dummies(code, len(levels), None if self.slope is None else self.slope[rows])

    def at(self, rows: slice) -> _Dummies:
        """Return the columns in some rows."""
        return _Dummies(self.code[rows], self.size, None if self.slope is None else self.slope[rows])

    def products(self, values: Floats) -> Floats:
        """Return the sums of values, shape (n,), over each column."""
        return mass_by(self.code, self.size, values if self.slope is None else values * self.slope)

    def squares(self, other: _Dummies, weights: Floats) -> Floats:
        """Return weighted products with other columns."""
        values = weights if self.slope is None else weights * self.slope
        values = values if other.slope is None else values * other.slope
        cell = self.code * other.size + other.code
        return mass_by(cell, self.size * other.size, values).reshape(self.size, other.size)


def cluster_scores(regression: Regression, solved: Solved) -> ClusterScores:
    """Return a regression in sums per cluster, from one pass over its rows.

    Parameters
    ----------
    regression : Regression
        With a cluster; rows ordered by it.
    solved : Solved

    Raises
    ------
    EstimationError
        No cluster was named, or effects have too many levels.
    """
    if "cluster" not in regression.levels:
        raise EstimationError("this needs sums per cluster. Name cluster=..., the column of the treated places.")
    inside, across, times = _classified(regression)
    cluster, k = regression.levels["cluster"], len(solved.within) - 1
    g, p = len(regression.labels["cluster"]), k + sum(columns.size for columns in across)
    if g * p * p > MOST_NUMBERS:
        raise EstimationError(
            f"effects that reach across clusters have {p - k:,} levels; with {g} clusters of "
            f"'{regression.names['cluster']}' sums per cluster grow too large. Name a cluster in which units lie."
        )
    squares, products = np.zeros((g, p, p)), np.zeros((g, p))
    ends = np.searchsorted(cluster, np.arange(g + 1))
    for place in range(g):
        rows = slice(ends[place], ends[place + 1])
        own = [columns.part(rows) for columns in inside]
        both = [columns.at(rows) for columns in across]
        squares[place], products[place] = _sums(solved.within[:, rows], regression.weights[rows], own, both)
    return _of_length_one(squares, products, k, slice(k + times.start, k + times.stop))


def _classified(regression: Regression) -> tuple[list[_Dummies], list[_Dummies], slice]:
    """Return effects within clusters, effects across them, and which columns of the latter are those of time."""
    inside: list[_Dummies] = []
    across: list[_Dummies] = []
    times = slice(0, 0)
    for role in [role for role in regression.levels if role != "cluster"]:
        mine = [_Dummies(regression.levels[role], len(regression.labels[role]))]
        if regression.trend is not None and role == regression.sloped:
            found = regression.codes("time")
            if found is not None:
                mine.append(_Dummies(mine[0].code, mine[0].size, regression.trend[found[0]]))
        if regression.is_nested(role):
            inside += mine
            continue
        first = sum(columns.size for columns in across)
        times = slice(first, first + mine[0].size) if role == "time" else times
        across += mine
    return inside, across, times


def _sums(within: Floats, weights: Floats, inside: list[_Dummies], across: list[_Dummies]) -> tuple[Floats, Floats]:
    """Return squares, (p, p), and products, (p,), of one cluster."""
    weighted = within * weights
    own = weighted @ within.T
    if not across:
        return own[1:, 1:], own[1:, 0]
    mixed = np.stack([np.concatenate([columns.products(row) for columns in across]) for row in weighted])
    effects = np.block([[first.squares(second, weights) for second in across] for first in across])
    if inside:
        table = np.vstack([np.hstack([first.squares(second, weights) for second in across]) for first in inside])
        effects = effects - table.T @ _solved(inside, weights, table)
    squares = np.block([[own[1:, 1:], mixed[1:]], [mixed[1:].T, effects]])
    return squares, np.concatenate([own[1:, 0], mixed[0]])


def _solved(inside: list[_Dummies], weights: Floats, table: Floats) -> Floats:
    """Return the inverse squares of the effects within one cluster times a table."""
    if len(inside) == 1:
        mass = inside[0].products(weights)
        return np.asarray(table / np.where(mass > 0, mass, np.inf)[:, None])
    if len(table) > MOST_INSIDE:
        raise EstimationError(
            f"a cluster holds {len(table):,} effects of several kinds; more than {MOST_INSIDE:,} cannot be solved for "
            f"at once. Leave out trends, or one of the effects."
        )
    system = np.block([[first.squares(second, weights) for second in inside] for first in inside])
    return np.asarray(pseudo_inverse(system) @ table)


def _of_length_one(squares: Floats, products: Floats, n_terms: int, times: slice) -> ClusterScores:
    length = np.sqrt(np.maximum(np.diagonal(squares.sum(axis=0)), 0.0))
    scale = np.where(length > 0, length, 1.0)
    return ClusterScores(squares / np.outer(scale, scale), products / scale, scale, n_terms, times)
