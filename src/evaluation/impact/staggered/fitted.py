"""Group-time effects with the table they were made from, to be made again under other weights, places or orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import each_replicate
from evaluation.impact.effects import Clusters, Refit, Vcov
from evaluation.impact.identification import Cell
from evaluation.impact.panel import Cohorts, Panel
from evaluation.impact.smallest_cells import counts_of, smallest_compared
from evaluation.impact.staggered.cell_table import CellTable
from evaluation.impact.staggered.cohort_orders import PlaceSums, cohort_codes, membership, place_sums
from evaluation.impact.staggered.difference import CellError, Effect, Estimator, effect
from evaluation.impact.staggered.left_out import effects_without
from evaluation.impact.staggered.profile_orders import ProfileSums, profile_sums

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Fitted:
    """Effects by cohort and time, and what it takes to ask for them again.

    Attributes
    ----------
    table : CellTable
    cohorts : Cohorts
    cells : tuple of Cell, k
    effects : tuple, k
        Rows of the table and the fitted effect; None for a reference period.
    estimator : {"dr", "ipw", "reg"}
    clusters : Clusters or None
    vcov : {"design", "cluster", "jackknife"}
    """

    table: CellTable
    cohorts: Cohorts
    cells: tuple[Cell, ...]
    effects: tuple[tuple[Codes, Effect] | None, ...]
    estimator: Estimator
    clusters: Clusters | None
    vcov: Vcov

    @property
    def over_time(self) -> Panel:
        """The panel."""
        return self.table.records.over_time

    @cached_property
    def estimate(self) -> Floats:
        """The effects, shape (k,)."""
        return np.array([0.0 if made is None else made[1].estimate for made in self.effects])

    @property
    def has_covariates(self) -> bool:
        """Whether anything is adjusted for."""
        return bool(self.table.records.x.shape[1] > 1)

    def influence(self, weights: Floats | None = None) -> Floats:
        """Return the influence per record, shape (m, k), or of combinations of cells given as (r, k)."""
        m = len(self.table.records.cohort)
        combine = np.eye(len(self.cells)) if weights is None else weights
        z = np.zeros((m, len(combine)))
        for cell, made, share in zip(self.cells, self.effects, combine.T, strict=True):
            if made is not None and share.any():
                own = self.table.influence(cell, *made)
                for row in np.flatnonzero(share):
                    z[:, row] += share[row] * own
        return z

    def again(self, weights: Floats) -> Floats:
        """Return the estimates under other final weights, shape (n,); NaN where one does not exist."""
        return self._estimates(self.table.reweighted(weights))

    def _estimates(self, table: CellTable) -> Floats:
        return np.array([_estimate(table, cell, self.estimator) for cell in self.cells])

    @cached_property
    def replicated(self) -> Floats:
        """Estimates of every replicate of the design, the full sample last, shape (R + 1, k)."""
        return each_replicate(self.over_time.design, self.again)

    @cached_property
    def places(self) -> PlaceSums:
        """Weights and outcomes of each cluster in each wave."""
        return place_sums(self.table, len(self.clusters or ()))

    @cached_property
    def profiles(self) -> ProfileSums | None:
        """Weights and outcomes of each cluster, wave and covariate profile; None where profiles are too many."""
        return profile_sums(self.table, len(self.clusters or ()))

    @cached_property
    def left_out(self) -> Floats:
        """Estimates without each cluster, shape (G, k); NaN where one does not exist."""
        without = np.tile(self.estimate, (len(self.clusters or ()), 1))
        for column, (cell, made) in enumerate(zip(self.cells, self.effects, strict=True)):
            if made is None:
                continue
            at, comparison = self.table.comparison(cell)
            start = made[1].log_odds
            places, quick = effects_without(comparison, self.table.cluster[at], self.estimator, start)
            without[places, column] = quick
            for place in places[np.isnan(quick)]:
                without[place, column] = _estimate(self.table, cell, self.estimator, int(place), start)
        return without

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the estimates had the clusters been treated from other periods on, shape (B, k) from (B, G)."""
        code = cohort_codes(cohorts, self.cohorts.values)
        n_cohorts = len(self.cohorts.values)
        if not self.has_covariates:
            return self.places.effects(membership(code, n_cohorts), self.cells)
        made = np.full((len(code), len(self.cells)), np.nan)
        if self.profiles is not None:
            made = self.profiles.effects(membership(code, n_cohorts), self.cells, self.estimator)
        for row in np.flatnonzero(np.isnan(made).any(axis=1)):
            table = self.table.relabelled(code[row], n_cohorts)
            for column in np.flatnonzero(np.isnan(made[row])):
                made[row, column] = _estimate(table, self.cells[column], self.estimator)
        return made

    def refit(self) -> Refit:
        """Return what asks for these effects again."""
        clusters = self.clusters
        return Refit(
            self.over_time.design,
            clusters,
            self.estimate,
            lambda: self.table.records.spread(self.influence()),
            self.again,
            None if clusters is None else (lambda: self.left_out),
            None if clusters is None or clusters.cohort is None else self.reordered,
        )

    def record_mask(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Return which records lie in some (cohort, wave) pairs, shape (m,); of a panel, in the cohorts."""
        records, n_times = self.table.records, self.table.n_times
        marks = np.zeros(len(self.cohorts.values) * n_times, dtype=bool)
        for cohort, wave in pairs:
            marks[cohort * n_times + (0 if records.is_panel else wave)] = True
        return np.asarray(marks[records.cohort * n_times + records.period])

    def pairs(self, at: Sequence[int] | Codes) -> list[tuple[int, int]]:
        """Return the (cohort, wave) pairs that some cells compare."""
        cells = [self.cells[i] for i in at]
        return [(h, s) for c in cells for h in (c.cohort, *c.controls) for s in (c.time, c.base)]

    def sizes(self, groups: Sequence[Sequence[int] | Codes]) -> tuple[NDArray[np.int64], Floats]:
        """Return respondents and degrees of freedom behind groups of cells."""
        design, records = self.over_time.design, self.table.records
        n_obs, df = np.zeros(len(groups), dtype=np.int64), np.zeros(len(groups))
        for i, cells in enumerate(groups):
            mask = self.record_mask(self.pairs(cells))
            n_obs[i] = int(mask.sum())
            if self.vcov == "design":
                present = np.zeros(len(design), dtype=bool)
                present[records.rows[mask]] = True
                df[i] = design.degrees_of_freedom(present)
            else:
                df[i] = len(self.clusters or ()) - 1
        return n_obs, df

    def bases(self, groups: Sequence[Sequence[int] | Codes]) -> Codes:
        """Return respondents in the smallest group and wave behind groups of cells, shape (r,)."""
        records, shape = self.table.records, (len(self.cohorts.values), len(self.over_time.times))
        counts = counts_of(records.cohort, records.period, shape)
        if records.is_panel:
            counts = np.repeat(counts[:, :1], shape[1], axis=1)
        return smallest_compared(counts, self.cells, groups)


def _estimate(
    table: CellTable, cell: Cell, estimator: Estimator, without: int = -1, start: Floats | None = None
) -> float:
    if cell.is_reference:
        return 0.0
    try:
        return effect(table.comparison(cell, without)[1], estimator, with_influence=False, start=start).estimate
    except CellError:
        return float("nan")
