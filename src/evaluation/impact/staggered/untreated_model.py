"""Outcomes without treatment: effects of places and waves and covariates, fitted where nobody is treated yet."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import compact, crossed, mass_by, sum_by
from evaluation.impact.staggered.observations import Observations

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Directions with less of the scaled squares than this are not identified.
NOTHING_LEFT = 1e-10
#: Share of a row that may lie in directions that are not identified.
OUTSIDE = 1e-6


@dataclass(frozen=True, eq=False)
class CellSums:
    """Observations summed by place, wave, cohort and cluster.

    Attributes
    ----------
    place, period, cluster : ndarray of int, shape (Q,)
    first : ndarray, shape (Q,)
    times : ndarray, shape (T,)
    n_places : int
    row_of : ndarray of int, shape (m,)
        Cell of each observation.
    mass : ndarray, shape (Q,)
        Sum of weights.
    sums : ndarray, shape (Q, 1 + p)
        Weighted sums of outcome and covariates.
    block : ndarray of int, shape (Q,)
        Cells that are treated together whatever the order of the roll-out: cluster, wave and cohort.
    squares : ndarray, shape (B, 1 + p, 1 + p)
        Weighted squares of outcome and covariates by block; empty without covariates.
    """

    place: Codes
    period: Codes
    cluster: Codes
    first: Floats
    times: Floats
    n_places: int
    row_of: Codes
    mass: Floats
    sums: Floats
    block: Codes
    squares: Floats

    @cached_property
    def since(self) -> Floats:
        """Time since treatment of each cell, shape (Q,); minus infinity for the never treated."""
        return np.asarray(self.times[self.period] - self.first)

    def without(self, cluster: int) -> CellSums:
        """Return the sums without one cluster."""
        kept = self.cluster != cluster
        squares = self.squares
        if len(squares):
            squares = squares * mass_by(self.block, len(squares), kept.astype(float))[:, None, None].astype(bool)
        return replace(
            self,
            mass=np.where(kept, self.mass, 0.0),
            sums=np.where(kept[:, None], self.sums, 0.0),
            squares=squares,
        )


def sum_cells(seen: Observations, weights: Floats | None = None, *, merged: bool = False) -> CellSums:
    """Sum observations by cell.

    Parameters
    ----------
    seen : Observations
    weights : ndarray, shape (n,), optional
        Default: those of the design.
    merged : bool, default False
        Take places of one cluster and cohort together, which changes nothing where ``can_merge`` says so.
    """
    _, group = np.unique(seen.first, return_inverse=True)
    n_groups, n_clusters = int(group.max(initial=0)) + 1, seen.n_clusters
    place, n_places = seen.place, seen.n_places
    if merged:
        place, found = compact(seen.cluster * n_groups + group, n_clusters * n_groups)
        n_places = len(found)
    n_times = len(seen.over_time.times)
    row_of, cell = crossed([place, seen.period, group, seen.cluster], [n_places, n_times, n_groups, n_clusters])
    first = np.unique(seen.first)[cell[:, 2]]
    block, blocks = crossed([cell[:, 3], cell[:, 1], cell[:, 2]], [n_clusters, n_times, n_groups])
    w = seen.weights(weights)
    columns = np.column_stack([seen.outcome, seen.x])
    squares = np.zeros((0, *(columns.shape[1],) * 2))
    if seen.x.shape[1]:
        squares = _squares(block[row_of], len(blocks), columns, w)
    return CellSums(
        cell[:, 0],
        cell[:, 1],
        cell[:, 3],
        first,
        seen.over_time.times,
        n_places,
        row_of,
        mass_by(row_of, len(cell), w),
        sum_by(row_of, len(cell), columns * w[:, None]),
        block,
        squares,
    )


def _squares(block: Codes, n_blocks: int, columns: Floats, w: Floats) -> Floats:
    k = columns.shape[1]
    squares = np.zeros((n_blocks, k, k))
    for i in range(k):
        for j in range(i, k):
            squares[:, i, j] = squares[:, j, i] = mass_by(block, n_blocks, w * columns[:, i] * columns[:, j])
    return squares


def can_merge(seen: Observations) -> bool:
    """Tell whether places of one cluster and cohort may be taken together: a whole panel, steady weights, no x."""
    return seen.is_whole_panel and not seen.x.shape[1]


@dataclass(frozen=True, eq=False)
class UntreatedModel:
    """Effects of places and waves, coefficients of covariates and leads.

    Attributes
    ----------
    cells : CellSums
    untreated : ndarray of bool, shape (Q,)
        Cells that were fitted.
    leads : ndarray, shape (Q, h)
        Dummies of waves before treatment that were fitted besides.
    place_mass : ndarray, shape (P,)
    by_place : ndarray, shape (P, s)
        Sums of waves, covariates and leads by place.
    solver : ndarray, shape (s, s)
        Generalised inverse of their squares once places are taken out.
    blind : ndarray, shape (s, q)
        Directions that the data do not identify, their largest entry one.
    place_effect : ndarray, shape (P,)
    coefficient : ndarray, shape (s,)
        Of waves, covariates, leads.
    """

    cells: CellSums
    untreated: Mask
    leads: Floats
    place_mass: Floats
    by_place: Floats
    solver: Floats
    blind: Floats
    place_effect: Floats
    coefficient: Floats

    @property
    def n_times(self) -> int:
        """Number of waves."""
        return len(self.cells.times)

    @property
    def n_covariates(self) -> int:
        """Number of covariates."""
        return int(self.cells.sums.shape[1]) - 1

    @property
    def identified(self) -> Mask:
        """Cells whose outcome without treatment is identified, shape (Q,)."""
        cells, t, p = self.cells, self.n_times, self.n_covariates
        average = self.by_place / np.where(self.place_mass > 0, self.place_mass, 1.0)[:, None]
        own = self.blind[:t][cells.period] - (average @ self.blind)[cells.place]
        if p:
            own += cells.sums[:, 1:] @ self.blind[t : t + p] / np.where(cells.mass > 0, cells.mass, 1.0)[:, None]
        if self.leads.shape[1]:
            own += self.leads @ self.blind[t + p :]
        off = np.abs(own).max(axis=1, initial=0.0)
        return np.asarray((self.place_mass[cells.place] > 0) & (off < OUTSIDE))

    @property
    def blind_covariates(self) -> Codes:
        """Covariates that the effects or other covariates make up."""
        weight = np.abs(self.blind[self.n_times : self.n_times + self.n_covariates]).max(axis=1, initial=0.0)
        return np.flatnonzero(weight > 1e-4)

    def unexplained(self) -> Floats:
        """Return weighted sums of outcomes less outcomes without treatment, by cell, shape (Q,)."""
        cells, t = self.cells, self.n_times
        level = self.place_effect[cells.place] + self.coefficient[cells.period]
        return np.asarray(
            cells.sums[:, 0] - cells.mass * level - cells.sums[:, 1:] @ self.coefficient[t : t + self.n_covariates]
        )

    def residual(self, seen: Observations) -> Floats:
        """Return each observation's outcome less its outcome without treatment (and leads), shape (m,)."""
        cells, t, p = self.cells, self.n_times, self.n_covariates
        level = self.place_effect[cells.place] + self.coefficient[cells.period] + self.leads @ self.coefficient[t + p :]
        return np.asarray(seen.outcome - level[cells.row_of] - seen.x @ self.coefficient[t : t + p])

    def loading(self, seen: Observations, of_places: Floats, of_others: Floats) -> Floats:
        """Return how much a sum of effects owes to each observation's residual, shape (m,); zero if treated.

        Parameters
        ----------
        seen : Observations
        of_places, of_others : ndarray, shapes (P,) and (s,)
            The sum.
        """
        inverse = np.where(self.place_mass > 0, 1 / np.where(self.place_mass > 0, self.place_mass, 1.0), 0.0)
        others = self.solver @ (of_others - self.by_place.T @ (inverse * of_places))
        places = inverse * (of_places - self.by_place @ others)
        cells, t, p = self.cells, self.n_times, self.n_covariates
        level = places[cells.place] + others[cells.period] + self.leads @ others[t + p :]
        own = level[cells.row_of] + seen.x @ others[t : t + p]
        return np.where(self.untreated[cells.row_of], own, 0.0)


def fit_untreated(cells: CellSums, untreated: Mask, leads: Floats | None = None) -> UntreatedModel:
    """Fit the outcomes of cells without treatment.

    Parameters
    ----------
    cells : CellSums
    untreated : ndarray of bool, shape (Q,)
    leads : ndarray, shape (Q, h), optional
        Dummies to be fitted besides.
    """
    dummies = np.zeros((len(cells.mass), 0)) if leads is None else leads
    t, p, h = len(cells.times), cells.sums.shape[1] - 1, dummies.shape[1]
    mass, sums = np.where(untreated, cells.mass, 0.0), np.where(untreated[:, None], cells.sums, 0.0)
    place_mass = mass_by(cells.place, cells.n_places, mass)
    by_time = mass_by(cells.place * t + cells.period, cells.n_places * t, mass).reshape(-1, t)
    weighted = dummies * mass[:, None]
    by_place = np.hstack([by_time, sum_by(cells.place, cells.n_places, np.hstack([sums[:, 1:], weighted]))])
    squares = np.zeros((t + p + h, t + p + h))
    squares[np.arange(t), np.arange(t)] = by_time.sum(axis=0)
    squares[:t, t:] = sum_by(cells.period, t, np.hstack([sums[:, 1:], weighted]))
    squares[t : t + p, t + p :] = sums[:, 1:].T @ dummies
    squares += np.triu(squares, 1).T
    right = np.concatenate([mass_by(cells.period, t, sums[:, 0]), np.zeros(p), dummies.T @ sums[:, 0]])
    if p:
        among = cells.squares[mass_by(cells.block, len(cells.squares), untreated.astype(float)) > 0].sum(axis=0)
        squares[t : t + p, t : t + p], right[t : t + p] = among[1:, 1:], among[1:, 0]
    squares[t + p :, t + p :] = dummies.T @ weighted
    there = place_mass > 0
    inverse = np.where(there, 1 / np.where(there, place_mass, 1.0), 0.0)
    outcome = mass_by(cells.place, cells.n_places, sums[:, 0])
    left = squares - by_place.T @ (inverse[:, None] * by_place)
    solver, blind = _generalised_inverse(left, np.diag(squares))
    coefficient = solver @ (right - by_place.T @ (inverse * outcome))
    place_effect = inverse * (outcome - by_place @ coefficient)
    return UntreatedModel(cells, untreated, dummies, place_mass, by_place, solver, blind, place_effect, coefficient)


def _generalised_inverse(left: Floats, own: Floats) -> tuple[Floats, Floats]:
    """Return a generalised inverse, and the directions it does not see with their largest entry one."""
    usual = float(np.median(own[own > 0])) if (own > 0).any() else 1.0
    scale = 1 / np.sqrt(np.where(own > 0, own, usual))
    size, direction = np.linalg.eigh(left * np.outer(scale, scale))
    seen = size > NOTHING_LEFT * max(float(size.max(initial=0.0)), NOTHING_LEFT)
    good, blind = direction[:, seen] * scale[:, None], direction[:, ~seen] * scale[:, None]
    return np.asarray((good / size[seen]) @ good.T), np.asarray(blind / np.abs(blind).max(axis=0, initial=1e-300))
