"""An absorbed regression had places been treated in another order: from sums per place and time, for many orders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.impact.absorbed.fixed_effects import Regression, Solved
from evaluation.impact.absorbed.iteration import fitted_again
from evaluation.impact.absorbed.many_effects import ManyWay
from evaluation.impact.effects import Clusters
from evaluation.regression.absorb import TwoWay

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

#: A treatment with less than this share of its variation left has no coefficient.
NOTHING_LEFT = 1e-9


@dataclass(frozen=True, eq=False)
class Paths:
    """Treatment of each cluster over time.

    Attributes
    ----------
    values : ndarray, shape (P, T, J)
        Of J treatment columns on P different paths; NaN where no cluster of a path was asked at a time.
    cohort : ndarray, shape (G,)
        First treated time of each cluster, infinite for never, where the treatment starts once and stays; else the
        number of its path, 0 to P - 1.
    times : ndarray, shape (T,), or None
        Times in order, where the treatment starts once and stays.
    """

    values: Floats
    cohort: Floats
    times: Floats | None

    def at(self, cohorts: Floats) -> Floats:
        """Return the treatment had clusters these cohorts, (B, G), as shape (B, G, T, J)."""
        if self.times is not None:
            return (self.times >= cohorts[:, :, None])[..., None].astype(float)
        number = cohorts.astype(np.int64)
        if (number != cohorts).any() or (number < 0).any() or (number >= len(self.values)).any():
            raise EstimationError(
                f"this treatment is no start date: orders are numbers of paths, 0 to {len(self.values) - 1}."
            )
        return np.asarray(self.values[number])


def paths_of(regression: Regression) -> Paths | None:
    """Return the treatment of each cluster over time; None where it differs within a cluster at a time.

    Parameters
    ----------
    regression : Regression
        With a cluster and a time.
    """
    found = regression.codes("time")
    if "cluster" not in regression.levels or found is None:
        return None
    time, labels = found
    g, t = len(regression.labels["cluster"]), len(labels)
    cell = regression.levels["cluster"] * t + time
    first = np.full(g * t, -1, dtype=np.int64)
    first[cell[::-1]] = np.arange(len(cell))[::-1]
    treated = regression.columns[1 : 1 + regression.n_treatments]
    for column in treated:
        if (column != column[first[cell]]).any():
            return None
    values = np.where(first >= 0, treated[:, first], np.nan).T.reshape(g, t, len(treated))
    return _as_starts(values, labels) or _as_numbers(values)


def _as_starts(values: Floats, labels: pd.Index[Any]) -> Paths | None:
    if values.shape[2] != 1 or not pd.api.types.is_numeric_dtype(labels):
        return None
    on, times = values[:, :, 0], np.asarray(labels, dtype=float)
    start = np.where((on == 1).any(axis=1), times[np.argmax(on == 1, axis=1)], np.inf)
    known = ~np.isnan(on)
    if (on[known] != (times >= start[:, None])[known]).any():
        return None
    return Paths(np.empty((0, len(times), 1)), start, times)


def _as_numbers(values: Floats) -> Paths:
    flat = values.reshape(len(values), -1)
    paths: list[Floats] = []
    number = np.empty(len(flat))
    for place, row in enumerate(flat):
        for known, path in enumerate(paths):
            both = ~np.isnan(row) & ~np.isnan(path)
            if (row[both] == path[both]).all():
                paths[known] = np.where(np.isnan(path), row, path)
                number[place] = known
                break
        else:
            number[place] = len(paths)
            paths.append(row)
    return Paths(np.stack(paths).reshape(len(paths), *values.shape[1:]), number, None)


def clusters_of(design: Design, regression: Regression) -> Clusters | None:
    """Return the places of a regression that are treated as wholes; None where no cluster was named.

    Their ``cohort`` is the first treated time where the treatment starts once and stays, the same for all of a
    cluster; for another treatment that is the same for all of a cluster at a time (a dose, dummies of event time)
    it is the number of the cluster's path, to be exchanged among clusters; else None.
    """
    if "cluster" not in regression.levels:
        return None
    code = np.full(len(design), -1, dtype=np.int64)
    code[regression.rows] = regression.levels["cluster"]
    paths = paths_of(regression)
    labels = tuple(regression.labels["cluster"].tolist())
    return Clusters(regression.names["cluster"], labels, code, None if paths is None else paths.cohort)


def reordering(regression: Regression, solved: Solved) -> Callable[[Floats], Floats]:
    """Return what gives the coefficients, shape (B, k), had the clusters cohorts of shape (B, G).

    Parameters
    ----------
    regression : Regression
    solved : Solved

    Notes
    -----
    A treatment that is the same in a cluster at a time is a combination of dummies of cluster and time. Once
    effects and covariates are taken out of these (which needs their sums only), each order is a quadratic form.
    Counts and shares, and effects that are solved by steps, are fitted once per order.
    """
    paths, found = paths_of(regression), regression.codes("time")
    if paths is None or found is None:
        raise EstimationError("the treatment differs within a cluster at a time, so clusters cannot exchange it.")
    t = len(found[1])
    cell, size = regression.levels["cluster"] * t + found[0], len(regression.labels["cluster"]) * t
    if regression.family != "gaussian" or solved.effects.solver is None:
        return lambda cohorts: np.stack([_fitted(regression, paths, cell, row) for row in np.asarray(cohorts, float)])
    mass = mass_by(cell, size, regression.weights)
    products, squares, crossed, plain = _cells(regression, solved, cell, size)

    def coefficients(cohorts: Floats) -> Floats:
        treated = paths.at(np.asarray(cohorts, dtype=float)).reshape(len(cohorts), size, -1)
        lost = np.asarray(np.isnan(treated).any(axis=(1, 2)))
        treated = np.nan_to_num(treated)
        normal = np.einsum("bcj,cd,bdl->bjl", treated, squares, treated, optimize=True)
        target = np.einsum("bcj,c->bj", treated, products)
        own = np.einsum("bcj,c->bj", treated**2, mass)
        rows = [_solved(left, right, size) for left, right, size in zip(normal, target, own, strict=True)]
        first = np.where(lost[:, None], np.nan, np.stack(rows))
        others = plain - np.einsum("kc,bcj,bj->bk", crossed, treated, first, optimize=True)
        return np.hstack([first, others])

    return coefficients


def _fitted(regression: Regression, paths: Paths, cell: Codes, cohorts: Floats) -> Floats:
    """Return the coefficients of one order, shape (k,), by a fit of it."""
    treated = paths.at(cohorts[None])[0].reshape(-1, regression.n_treatments)
    if np.isnan(treated).any():
        return np.full(len(regression.terms), np.nan)
    return fitted_again(regression, np.vstack([treated[cell].T, regression.columns[1 + regression.n_treatments :]]))


def _cells(regression: Regression, solved: Solved, cell: Codes, size: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Return what dummies of cluster and time have to do with the outcome and each other, all else taken out.

    Their products with the outcome, (C,), their squares, (C, C), the coefficients of covariates on them, (k_c, C),
    and of the outcome on covariates alone, (k_c,).
    """
    first, weights = 1 + regression.n_treatments, regression.weights
    controls = solved.within[first:]
    inverse = np.linalg.inv(solved.gram[first:, first:]) if len(controls) else np.zeros((0, 0))
    plain = inverse @ solved.gram[first:, 0]
    outcome = solved.within[0] - plain @ controls if len(controls) else solved.within[0]
    products = mass_by(cell, size, weights * outcome)
    sums = (
        np.stack([mass_by(cell, size, weights * column) for column in controls])
        if len(controls)
        else np.zeros((0, size))
    )
    crossed = inverse @ sums
    squares = np.diag(mass_by(cell, size, weights)) - _taken(solved.effects, weights, cell, size) - sums.T @ crossed
    return products, squares, crossed, plain


def _taken(effects: TwoWay | ManyWay, weights: Floats, cell: Codes, size: int) -> Floats:
    """Return what effects take up of the squares of dummies of cells, shape (C, C)."""
    if isinstance(effects, TwoWay):
        n_large, n_small = effects.shape
        large = effects.cell // n_small
        small: tuple[Codes, ...] = (effects.cell % n_small,)
        basis = [np.broadcast_to(each, (n_large, n_small)).ravel()[effects.cell] for each in effects.basis]
        tables: tuple[Any, ...] = tuple(effects.table)
    else:
        large, small, tables = effects.large, effects.small, effects.tables
        basis = [np.ones(len(cell)) if each is None else each for each in effects.basis]
        n_large, n_small = effects.inverse.shape[1], len(effects.scale)
    rest = np.zeros((n_small, size))
    for code in small:
        rest += sparse.coo_array((weights, (code, cell)), shape=(n_small, size)).toarray()
    taken = np.zeros((size, size))
    for own, table, inverse in zip(basis, tables, effects.inverse, strict=True):
        sums = sparse.coo_array((weights * own, (large, cell)), shape=(n_large, size)).tocsr()
        scaled = sparse.diags_array(inverse) @ sums
        taken += (sums.T @ scaled).toarray()
        rest -= (scaled.T @ table).T
    solver = np.zeros((n_small, n_small)) if effects.solver is None else effects.solver
    return np.asarray(taken + rest.T @ solver @ rest)


def _solved(left: Floats, right: Floats, own: Floats) -> Floats:
    """Solve for the treatments' coefficients; NaN where one is not determined."""
    scale = np.sqrt(np.maximum(np.diag(left), 0.0))
    if (scale**2 <= NOTHING_LEFT * own).any():
        return np.full(len(right), np.nan)
    scaled = left / np.outer(scale, scale)
    solver = np.linalg.pinv(scaled, rcond=NOTHING_LEFT, hermitian=True)
    determined = np.abs(np.diag(solver @ scaled) - 1) < 1e-6
    return np.where(determined, solver @ (right / scale) / scale, np.nan)
