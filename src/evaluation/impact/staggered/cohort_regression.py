"""Least squares with a coefficient for each cohort and time, or time since treatment, and averages of these effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by, sum_by
from evaluation.errors import EstimationError, IdentificationError, did_you_mean
from evaluation.impact.clusters.behind import not_treated_yet
from evaluation.impact.effects import Refit
from evaluation.impact.panel import exact
from evaluation.impact.staggered.cohort_effects import LinearForm
from evaluation.impact.staggered.cohort_moments import CohortRows, Moments, memberships, moments_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Kind = Literal["dynamic", "group", "calendar", "simple", "cells"]

KINDS = ("dynamic", "group", "calendar", "simple", "cells")
#: Eigenvalues of the scaled squares below this are zero: what they carry is a combination of other columns.
NOTHING_LEFT = 1e-10
#: A coefficient is determined where the projection on what is left returns it up to this.
DETERMINED = 1e-6


@dataclass(frozen=True, eq=False)
class Columns:
    """Columns of a regression, each a table by cohort and wave that multiplies the constant or a covariate.

    Attributes
    ----------
    effects : ndarray, shape (k, C, T, 1 + p)
        Whose coefficients add up to the effect on a respondent.
    covariates : ndarray, shape (m, C, T, 1 + p)
        Further columns.
    absorbed : ndarray, shape (a, C, T, 1 + p)
        Dummies of waves and, where places have no effects, of cohorts.
    labels : tuple of str
        Of effects and covariates, k + m.
    required : tuple of int
        Places among the covariates whose coefficients must exist.
    n_effects_of_places : int
        Constants that places take up, counted as one parameter.
    """

    effects: Floats
    covariates: Floats
    absorbed: Floats
    labels: tuple[str, ...]
    required: tuple[int, ...] = ()
    n_effects_of_places: int = 0

    @cached_property
    def table(self) -> Floats:
        """All columns, shape (K, C, q)."""
        every = np.concatenate([self.effects, self.covariates, self.absorbed])
        return np.asarray(every.reshape(len(every), every.shape[1], -1))


def columns_of(
    rows: CohortRows, effects: Sequence[tuple[str, Floats, int]], slopes: Sequence[tuple[str, Floats, int]] = ()
) -> Columns:
    """Return the columns of a regression: effects, covariates, waves and cohorts.

    Parameters
    ----------
    rows : CohortRows
    effects, slopes : sequence of (label, table, place)
        Table of shape (C, T) and what it multiplies: 0 the constant, j the j-th covariate. Without slopes the
        covariates themselves are columns.
    """
    shape = (len(rows.cohorts), len(rows.times), len(rows.u))

    def table(values: Floats, place: int) -> Floats:
        made = np.zeros(shape)
        made[:, :, place] = values
        return made

    ones = np.ones(shape[:2])
    plain = [(term, ones, 1 + j) for j, term in enumerate(rows.terms)]
    covariates = list(slopes) if slopes else plain
    by_time = [table(ones * (np.arange(shape[1]) == t), 0) for t in range(1, shape[1])]
    by_cohort = [table(ones * (np.arange(shape[0])[:, None] == g), 0) for g in range(shape[0])]
    empty = np.zeros((0, *shape))
    return Columns(
        np.stack([table(values, place) for _, values, place in effects]),
        np.stack([table(values, place) for _, values, place in covariates]) if covariates else empty,
        np.stack(by_time + ([] if rows.place is not None else by_cohort)),
        tuple(label for label, _, _ in [*effects, *covariates]),
        () if slopes else tuple(range(len(plain))),
        int(rows.place is not None),
    )


@dataclass(frozen=True, eq=False)
class Averages:
    """Rows of a result: averages of the effects over cells.

    Attributes
    ----------
    keys : pandas.DataFrame, r rows
    cells : ndarray of bool, shape (r, C, T)
    """

    keys: pd.DataFrame
    cells: Mask

    def count(self, rows: CohortRows) -> Codes:
        """Return how many rows each average is over, shape (r,)."""
        return np.asarray((self.cells * counts(rows)).sum(axis=(1, 2)), dtype=np.int64)


def averages(rows: CohortRows, kind: Kind, estimated: Mask, reference: Mask) -> Averages:
    """Return which cells each row of a result averages over, the overall effect first.

    Parameters
    ----------
    rows : CohortRows
    kind : {"dynamic", "group", "calendar", "simple", "cells"}
    estimated, reference : ndarray of bool, shape (C, T)
        Cells with an effect, and those that others are measured against.
    """
    since, outcome = rows.since, rows.names["outcome"]
    after = estimated & (since >= 0)
    if not after.any():
        raise IdentificationError("no effect after treatment is identified: no cohort has an answer since its start.")
    masks = [after]
    keys: dict[str, list[Any]] = {"term": ["overall"]}
    found: list[tuple[tuple[int | float, ...], Mask]] = []
    names: list[str] = []
    if kind == "dynamic":
        names = ["event_time"]
        found = [((exact(e),), since == e) for e in np.unique(since[estimated | reference])]
        found = [(key, mask & (estimated if (mask & estimated).any() else reference)) for key, mask in found]
    elif kind == "group":
        names = ["cohort"]
        found = [((exact(rows.cohorts[g]),), _at(after, int(g), None)) for g in np.flatnonzero(after.any(axis=1))]
    elif kind == "calendar":
        names = ["time"]
        found = [((exact(rows.times[t]),), _at(after, None, int(t))) for t in np.flatnonzero(after.any(axis=0))]
    elif kind == "cells":
        names = ["cohort", "time"]
        found = [
            ((exact(rows.cohorts[g]), exact(rows.times[t])), _at(estimated | reference, int(g), int(t)))
            for g, t in np.argwhere(estimated | reference)
        ]
    for name in names:
        keys[name] = [None]
    for values, mask in found:
        keys["term"].append(outcome)
        masks.append(mask)
        for name, value in zip(names, values, strict=True):
            keys[name].append(value)
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name, values in keys.items()})
    return Averages(frame.assign(term=frame["term"].astype(str)), np.stack(masks))


def _at(mask: Mask, g: int | None, t: int | None) -> Mask:
    own = np.zeros_like(mask)
    place = (slice(None) if g is None else g, slice(None) if t is None else t)
    own[place] = mask[place]
    return own


def counts(rows: CohortRows) -> Codes:
    """Return the number of rows by cohort and wave, shape (C, T)."""
    t = len(rows.times)
    return np.bincount(rows.cohort * t + rows.period, minlength=len(rows.cohorts) * t).reshape(-1, t)


def answered(rows: CohortRows) -> Mask:
    """Return the cohorts and waves with rows, shape (C, T)."""
    return counts(rows) > 0


def check_kind(verb: str, kind: str) -> None:
    """Raise an EstimationError for an aggregation that does not exist."""
    if kind not in KINDS:
        raise EstimationError(f"{verb}: no type {kind!r}. {did_you_mean(kind, KINDS)}")


@dataclass(frozen=True, eq=False)
class AveragedFit:
    """Rows of a regression by cohort, its columns, and the averages asked of it."""

    rows: CohortRows
    columns: Columns
    averages: Averages

    @property
    def cells(self) -> Mask:
        """Cohorts and waves that each row averages, shape (r, C, T)."""
        return self.averages.cells

    def serves(self, never: bool) -> Mask:
        """Return which cohorts a cohort is compared with in a wave, shape (C, T, C)."""
        return not_treated_yet(self.rows.cohorts, self.rows.times, never=never)

    @property
    def keys(self) -> pd.DataFrame:
        """What each average is of, r rows."""
        return self.averages.keys

    @property
    def n_rows(self) -> int:
        """Rows of the regression."""
        return len(self.rows.at)

    @property
    def bases(self) -> Codes:
        """Rows in the cells of each average, shape (r,)."""
        return self.averages.count(self.rows)


@dataclass(frozen=True, eq=False)
class CohortFit(AveragedFit):
    """A linear regression by cohort, fitted."""

    @cached_property
    def moments(self) -> Moments:
        """Moments by block under the final weights."""
        return moments_of(self.rows, self.rows.over_time.design.domain_weights)

    @cached_property
    def summed(self) -> Moments:
        """Moments by cohort."""
        return self.moments.by_cohort(self.rows.block_cohort, len(self.rows.cohorts))

    @cached_property
    def least(self) -> Floats:
        """What weighted squares of a column must exceed once effects of places are out, shape (K,)."""
        squares = self.summed.squares.reshape(len(self.rows.cohorts), -1)
        return np.asarray(NOTHING_LEFT * np.einsum("kgq,gq->k", self.columns.table**2, squares))

    @cached_property
    def system(self) -> tuple[Floats, Floats]:
        """Pseudo-inverse of all columns' weighted squares, shape (K, K), and coefficients, shape (K,)."""
        solver, coefficients, determined, _ = solved(self.columns.table, self.summed.products[None], self.least)
        self._refuse_undetermined(determined[0])
        return solver[0], coefficients[0]

    @cached_property
    def weights(self) -> Floats:
        """Weight of each coefficient in each average, shape (r, K)."""
        return np.asarray(self.combine(self.summed.sums[None])[0])

    @cached_property
    def estimate(self) -> Floats:
        """Averages, shape (r,)."""
        return np.asarray(self.weights @ self.system[1])

    @property
    def n_parameters(self) -> int:
        """Parameters that count for CR1: independent columns; effects of places nested in clusters do not."""
        gram = gram_of(self.columns.table, self.summed.products[None])[0]
        scale = np.sqrt(np.where(np.diag(gram) > 0, np.diag(gram), 1.0))
        values = np.linalg.eigvalsh(gram / np.outer(scale, scale))
        return int((values > NOTHING_LEFT * values.max()).sum()) + self.columns.n_effects_of_places

    def combine(self, sums: Floats) -> Floats:
        """Return the weight of each coefficient in each average, shape (D, r, K), for sums of shape (D, C, T, 1 + p).

        NaN where a cell that the full sample averages over is empty.
        """
        effects, cells = self.columns.effects, self.averages.cells.astype(float)
        mass = np.einsum("rgt,dgt->dr", cells, sums[..., 0])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.einsum("rgt,kgtu,dgtu->drk", cells, effects, sums, optimize=True) / mass[:, :, None]
        there = self.summed.sums[..., 0] > 0
        gone = np.einsum("rgt,dgt->dr", cells, (there & (sums[..., 0] <= 1e-12 * self.summed.sums[..., 0])) * 1.0) > 0
        share = np.where(gone[:, :, None], np.nan, share)
        whole = np.zeros((*share.shape[:2], len(self.columns.table)))
        whole[:, :, : len(effects)] = share
        return whole

    def estimates(self, products: Floats, sums: Floats) -> Floats:
        """Return the averages for several sets of moments by cohort, shape (D, r); NaN where one does not exist."""
        _, coefficients, determined, _ = solved(self.columns.table, products, self.least)
        weights = self.combine(sums)
        hangs = np.einsum("rk,dk->dr", (self.weights != 0) * 1.0, (~determined) * 1.0) > 0
        return np.where(hangs, np.nan, np.einsum("drk,dk->dr", weights, coefficients))

    def again(self, weights: Floats) -> Floats:
        """Return the averages under other final weights, shape (r,)."""
        made = moments_of(self.rows, weights).by_cohort(self.rows.block_cohort, len(self.rows.cohorts))
        return np.asarray(self.estimates(made.products[None], made.sums[None])[0])

    def without(self) -> Floats:
        """Return the averages without each cluster, shape (G, r)."""
        g = 0 if self.rows.clusters is None else len(self.rows.clusters)
        place = (self.rows.block_cluster, self.rows.block_cohort)
        products = np.tile(self.summed.products, (g, 1, 1, 1))
        sums = np.tile(self.summed.sums, (g, 1, 1, 1))
        np.subtract.at(products, place, self.moments.products)
        np.subtract.at(sums, place, self.moments.sums)
        return self.estimates(products, sums)

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the averages had the clusters been treated from these periods on, shape (B, r)."""
        belongs, fits = memberships(self.rows, cohorts)
        made, kept = np.full((len(fits), len(self.keys)), np.nan), np.flatnonzero(fits)
        order = np.argsort(self.rows.block_cluster)
        step = max(1, int(4e6 // self.summed.products.size))
        for start in range(0, len(kept), step):
            part = slice(start, start + step)
            products = np.tensordot(belongs[part], self.moments.products[order], axes=(2, 0))
            sums = np.tensordot(belongs[part], self.moments.sums[order], axes=(2, 0))
            made[kept[part]] = self.estimates(products, sums)
        return made

    def influence(self, *, fixed: bool = False) -> Floats:
        """Return the averages' derivative in each final weight, shape (n, r); ``fixed`` holds the cells' shares."""
        rows, (solver, beta) = self.rows, self.system
        shape = (len(rows.cohorts), len(rows.times), len(rows.u))
        cell = (rows.cohort, rows.period)
        table = self.columns.table.reshape(-1, *shape)
        residual = self._within(rows.y - self._fitted(np.tensordot(beta, table, axes=1), cell))
        loads = np.tensordot(self.weights @ solver, table, axes=1)
        k = len(self.columns.effects)
        own = self._fitted(np.tensordot(beta[:k], self.columns.effects, axes=1), cell)
        z = np.zeros((len(rows.over_time.design), len(self.averages.keys)))
        for r, load in enumerate(loads):
            column = self._within(self._fitted(load, cell)) * residual
            counted = self.averages.cells[r][cell]
            if not fixed and counted.any():
                mass = float((self.summed.sums[..., 0] * self.averages.cells[r]).sum())
                column = column + np.where(counted, own - self.estimate[r], 0.0) / mass
            z[rows.at, r] = column
        return z

    def _fitted(self, table: Floats, cell: tuple[Codes, Codes]) -> Floats:
        """Return what a table by cohort, wave and column, shape (C, T, 1 + p), gives each row."""
        parts = (table[(*cell, np.full(1, j))] * column for j, column in enumerate(self.rows.u))
        return np.asarray(sum(parts, np.zeros(len(self.rows.at))))

    def _within(self, values: Floats) -> Floats:
        place = self.rows.place
        if place is None:
            return values
        weights = self.rows.over_time.design.domain_weights[self.rows.at]
        count = int(place.max()) + 1
        return np.asarray(values - (mass_by(place, count, weights * values) / mass_by(place, count, weights))[place])

    def scores(self) -> Floats:
        """Return weighted influence summed per cluster, shares of cells held, shape (G, r)."""
        rows, table = self.rows, self.columns.table
        if rows.clusters is None:
            raise EstimationError("scores by cluster need cluster=..., the column of the treated places.")
        solver, beta = self.system
        own, loads = self.moments.products, np.tensordot(self.weights @ solver, table, axes=1)
        fitted = np.tensordot(beta, table, axes=1)[rows.block_cohort]
        left = own[:, :-1, -1] - np.einsum("bqs,bs->bq", own[:, :-1, :-1], fitted)
        by_block = np.einsum("rbq,bq->br", loads[:, rows.block_cohort], left)
        return sum_by(rows.block_cluster, len(rows.clusters), by_block)

    @cached_property
    def effective_clusters(self) -> Floats | None:
        """One over the sum of squared shares of the clusters in what each average rests on, shape (r,)."""
        rows = self.rows
        if rows.clusters is None:
            return None
        loads = np.tensordot(self.weights @ self.system[0], self.columns.table, axes=1)[:, rows.block_cohort]
        own = np.einsum("rbq,bqs,rbs->br", loads, self.moments.products[:, :-1, :-1], loads, optimize=True)
        return effective(sum_by(rows.block_cluster, len(rows.clusters), own))

    @property
    def has_known_weights(self) -> bool:
        """Yes."""
        return True

    def form(self) -> LinearForm:
        """Return the regression row by row."""
        rows, k = self.rows, len(self.columns.effects)
        gram = gram_of(self.columns.table, self.summed.products[None])[0]
        count = k + len(self.columns.covariates)
        kept = [j for j in independent(gram, self.least, [*range(count, len(gram)), *range(k, count), *range(k)])
                if j < count]  # fmt: skip
        shape = (len(rows.cohorts), len(rows.times), len(rows.u))
        cell = (rows.cohort, rows.period)
        place = rows.cohort if rows.place is None else rows.place
        return LinearForm(
            rows,
            np.arange(len(rows.at)),
            lambda: np.stack([self._fitted(self.columns.table[j].reshape(shape), cell) for j in kept]),
            tuple(self.columns.labels[j] for j in kept),
            k,
            (place, rows.names["place"]),
            (rows.period, rows.over_time.time),
            None,
            self.weights[:, kept],
        )

    def refit(self) -> Refit:
        """Return the means to ask the estimator again."""
        clusters = self.rows.clusters
        can_move = clusters is not None and clusters.cohort is not None
        return Refit(
            self.rows.over_time.design,
            clusters,
            self.estimate,
            self.influence,
            self.again,
            None if clusters is None else self.without,
            self.reordered if can_move else None,
        )

    def _refuse_undetermined(self, determined: Mask) -> None:
        k = len(self.columns.effects)
        lost = [j for j in self.columns.required if not determined[k + j]]
        if lost:
            raise IdentificationError(
                f"the coefficient of covariate '{self.columns.labels[k + lost[0]]}' is not identified: effects of "
                f"{self.rows.names['place']} and time, and the columns before it, take up all its variation. Leave it "
                f"out."
            )
        gone = np.flatnonzero(~determined[:k])
        if len(gone):
            shown = ", ".join(self.columns.labels[j] for j in gone[:4]) + (", ..." if len(gone) > 4 else "")
            raise IdentificationError(
                f"{len(gone)} of {k} effects are not identified ({shown}): other effects and those of "
                f"{self.rows.names['place']} and time make them up. Without anybody never treated, name a second "
                f"reference period, or add places to compare with."
            )


def gram_of(table: Floats, products: Floats) -> Floats:
    """Return weighted squares of columns, shape (D, K, K), for products by cohort of shape (D, C, q + 1, q + 1)."""
    gram = np.zeros((len(products), len(table), len(table)))
    for g in range(table.shape[1]):
        gram += table[:, g] @ products[:, g, :-1, :-1] @ table[:, g].T
    return gram


def solved(table: Floats, products: Floats, least: Floats | None = None) -> tuple[Floats, Floats, Mask, Floats]:
    """Solve normal equations, several at once.

    Parameters
    ----------
    table : ndarray, shape (K, C, q)
    products : ndarray, shape (D, C, q + 1, q + 1)
    least : ndarray, shape (K,), optional
        Columns with smaller squares are not there. Default: a share of the largest over all systems.

    Returns
    -------
    solver : ndarray, shape (D, K, K)
        Pseudo-inverse.
    coefficients : ndarray, shape (D, K)
    determined : ndarray of bool, shape (D, K)
    gram : ndarray, shape (D, K, K)
    """
    gram = gram_of(table, products)
    cross = np.einsum("kgq,dgq->dk", table, products[:, :, :-1, -1])
    squares = np.diagonal(gram, axis1=1, axis2=2)
    there = squares > (NOTHING_LEFT * squares.max(axis=0).clip(min=1e-300) if least is None else least)
    scale = np.sqrt(np.where(there, squares, 1.0))
    scaled = gram / (scale[:, :, None] * scale[:, None, :]) * (there[:, :, None] & there[:, None, :])
    solver = np.linalg.pinv(scaled, rcond=NOTHING_LEFT, hermitian=True)
    kept = np.einsum("dij,dji->di", solver, scaled)
    solver = solver / (scale[:, :, None] * scale[:, None, :])
    coefficients = np.einsum("dij,dj->di", solver, cross)
    coefficients = coefficients + np.einsum("dij,dj->di", solver, cross - np.einsum("dij,dj->di", gram, coefficients))
    return solver, coefficients, np.abs(kept - 1) < DETERMINED, gram


def effective(squares: Floats) -> Floats:
    """Return one over the sum of squared shares of clusters, shape (r,), NaN where nothing is estimated."""
    total = squares.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(total > 0, total**2 / (squares**2).sum(axis=0), np.nan))


def independent(gram: Floats, least: Floats, order: Sequence[int]) -> list[int]:
    """Return the columns that are no combination of those before them in an order, ascending."""
    left, kept = gram.copy(), []
    for j in order:
        if left[j, j] > max(least[j], NOTHING_LEFT * gram[j, j]):
            kept.append(j)
            left = left - np.outer(left[:, j], left[j]) / left[j, j]
    return sorted(kept)
