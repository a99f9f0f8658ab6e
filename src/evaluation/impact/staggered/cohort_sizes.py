"""Sizes of the cohorts, by which group-time effects are averaged, under any weights, places or orders."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import each_replicate
from evaluation.impact.staggered.cohort_orders import cohort_codes, membership
from evaluation.impact.staggered.fitted import Fitted

Floats = NDArray[np.float64]
Weights = Literal["sample", "population_pre", "clusters"]
WEIGHTS = ("sample", "population_pre", "clusters")


def last_compared(fitted: Fitted) -> float:
    """Return the last wave in which some effect is identified."""
    return float(fitted.over_time.times[max(cell.time for cell in fitted.cells)])


@dataclass(frozen=True, eq=False)
class CohortSizes:
    """What makes a cohort large.

    Attributes
    ----------
    fitted : Fitted
    weights : {"sample", "population_pre", "clusters"}
        Sum of weights over the waves used, over those before the first treatment, or number of clusters.
    """

    fitted: Fitted
    weights: Weights

    @property
    def n_cohorts(self) -> int:
        """Cohorts, the never treated among them."""
        return len(self.fitted.cohorts.values)

    @cached_property
    def counted(self) -> NDArray[np.bool_]:
        """Records whose weights are summed, shape (m,)."""
        fitted, records = self.fitted, self.fitted.table.records
        if records.is_panel:
            return np.ones(len(records.cohort), dtype=bool)
        times, until = fitted.over_time.times, last_compared(fitted)
        if self.weights == "population_pre" and times[0] < fitted.cohorts.values[0]:
            until = float(times[times < fitted.cohorts.values[0]][-1])
        return np.asarray(times[records.period] <= until)

    @property
    def moved_by(self) -> NDArray[np.bool_]:
        """Records whose weight moves the sizes, shape (m,): none where clusters are counted."""
        return np.zeros_like(self.counted) if self.weights == "clusters" else self.counted

    def of(self, weights: Floats) -> Floats:
        """Return the sizes under final weights, shape (n,)."""
        records = self.fitted.table.records
        if self.weights == "clusters":
            return np.asarray((self._by_place(weights, self._everyone) > 0).sum(axis=0), dtype=np.float64)
        return mass_by(records.cohort[self.counted], self.n_cohorts, records.weights(weights)[self.counted])

    @property
    def _everyone(self) -> NDArray[np.bool_]:
        return np.ones_like(self.counted)

    def _by_place(self, weights: Floats, among: NDArray[np.bool_]) -> Floats:
        records = self.fitted.table.records
        n_places = len(self.fitted.clusters or ())
        cell = records.cluster[among] * self.n_cohorts + records.cohort[among]
        return mass_by(cell, n_places * self.n_cohorts, records.weights(weights)[among]).reshape(n_places, -1)

    @cached_property
    def full(self) -> Floats:
        """Sizes under the weights of the design, shape (C,)."""
        return self.of(self.fitted.over_time.design.domain_weights)

    @cached_property
    def by_place(self) -> Floats:
        """What each cluster adds to each cohort, shape (G, C)."""
        weights = self.fitted.over_time.design.domain_weights
        if self.weights == "clusters":
            return np.asarray(self._by_place(weights, self._everyone) > 0, dtype=np.float64)
        return self._by_place(weights, self.counted)

    @cached_property
    def left_out(self) -> Floats:
        """Sizes without each cluster, shape (G, C)."""
        others = 1.0 - np.eye(len(self.by_place))
        return np.asarray(others @ self.by_place)

    @cached_property
    def replicated(self) -> Floats:
        """Sizes in every replicate, the full sample last, shape (R + 1, C)."""
        return each_replicate(self.fitted.over_time.design, self.of)

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the sizes had the clusters been treated from other periods on, shape (B, C) from (B, G)."""
        member = membership(cohort_codes(cohorts, self.fitted.cohorts.values), self.n_cohorts)
        return np.asarray(np.einsum("bgc,g->bc", member, self.by_place.sum(axis=1)))
