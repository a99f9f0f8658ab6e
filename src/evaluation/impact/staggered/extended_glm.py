"""Extended two-way regression of counts and yes/no answers: effects on the scale of the answers, by cohort and time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import crossed, mass_by
from evaluation.errors import EstimationError, IdentificationError
from evaluation.impact.effects import Refit
from evaluation.impact.staggered.cohort_effects import LinearForm
from evaluation.impact.staggered.cohort_moments import memberships, scores_by_cluster
from evaluation.impact.staggered.cohort_regression import AveragedFit, answered, independent
from evaluation.regression.families import curvature, inverse_link
from evaluation.regression.fitting import fit
from evaluation.regression.matrix import Dense
from evaluation.regression.model import Model, read_outcome

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Family = Literal["poisson", "binomial"]


@dataclass(frozen=True, eq=False)
class _Solution:
    """Columns kept, their coefficients, and every row's linear predictor with and without the effects."""

    kept: Codes
    coefficients: Floats
    x: Floats
    untreated: Floats
    with_effect: Floats
    without_effect: Floats


@dataclass(frozen=True, eq=False)
class GlmFit(AveragedFit):
    """A generalized linear regression by cohort on distinct rows, and the averages asked of it.

    Attributes
    ----------
    rows : CohortRows
        Without effects of places.
    columns : Columns
    averages : Averages
    family : {"poisson", "binomial"}
    """

    family: Family

    @property
    def n_parameters(self) -> int:
        """Independent columns."""
        return len(self.solution.kept)

    @cached_property
    def y(self) -> Floats:
        """Outcome of each row used, shape (m,)."""
        design, outcome = self.rows.over_time.design, self.rows.names["outcome"]
        return read_outcome(design, outcome, self.family)[0][self.rows.at]

    @cached_property
    def distinct(self) -> tuple[Codes, Codes]:
        """Distinct row of each row, shape (m,), and the first row of each distinct one, shape (J,)."""
        rows = self.rows
        values = [np.unique(column, return_inverse=True)[1] for column in rows.u[1:]]
        sizes = [len(rows.block_cohort), len(rows.times), *(int(code.max()) + 1 for code in values)]
        code, found = crossed([rows.block, rows.period, *values], sizes)
        first = np.zeros(len(found), dtype=np.int64)
        first[code[::-1]] = np.arange(len(code))[::-1]
        return code, first

    def collapsed(self, weights: Floats) -> tuple[Floats, Floats]:
        """Return sums of weights and mean outcomes of distinct rows under final weights, shape (J,) each."""
        (code, first), own = self.distinct, weights[self.rows.at]
        mass = mass_by(code, len(first), own)
        return mass, mass_by(code, len(first), own * self.y) / np.where(mass > 0, mass, 1.0)

    @cached_property
    def full(self) -> tuple[Floats, Floats]:
        """Sums of weights and mean outcomes of distinct rows, shape (J,) each."""
        return self.collapsed(self.rows.over_time.design.domain_weights)

    @cached_property
    def solution(self) -> _Solution:
        """The regression of all rows."""
        made = self._solve(self.rows.block_cohort, *self.full, None)
        k = len(self.columns.effects)
        gone = np.setdiff1d(np.arange(k), made.kept)
        if len(gone):
            shown = ", ".join(self.columns.labels[j] for j in gone[:4]) + (", ..." if len(gone) > 4 else "")
            raise IdentificationError(
                f"{len(gone)} of {k} effects are not identified ({shown}): effects of cohorts and time, and "
                f"covariates, make them up. Use fewer covariates, or merge cohorts."
            )
        return made

    def _matrix(self, block_cohort: Codes) -> Floats:
        """Return all columns of distinct rows, shape (J, K), were the blocks of these cohorts."""
        rows, (_, first) = self.rows, self.distinct
        table = self.columns.table.reshape(len(self.columns.table), -1, len(rows.times), len(rows.u))
        cell = table[:, block_cohort[rows.block[first]], rows.period[first]]
        return np.asarray(np.einsum("kju,uj->jk", cell, rows.u[:, first]))

    def _solve(self, block_cohort: Codes, mass: Floats, mean: Floats, start: Floats | None) -> _Solution:
        x, k = self._matrix(block_cohort), len(self.columns.effects)
        kept = _independent(x, mass, k)
        there = mass > 0
        model = Model(
            Dense(x[there][:, kept]), mean[there], np.ones(int(there.sum()), bool), list(map(str, kept)), "", ""
        )
        guess = None if start is None else start[kept]
        beta = fit(model, mass[there] / mass[there].mean(), self.family, guess)
        whole = np.zeros(x.shape[1])
        whole[kept] = beta
        untreated = x.copy()
        untreated[:, :k] = 0.0
        return _Solution(kept, whole, x, untreated, x @ whole, untreated @ whole)

    def _cells(self, block_cohort: Codes) -> Mask:
        """Return which distinct rows each average counts, shape (r, J)."""
        rows, (_, first) = self.rows, self.distinct
        return self.averages.cells[:, block_cohort[rows.block[first]], rows.period[first]]

    def _averaged(self, block_cohort: Codes, made: _Solution, mass: Floats) -> Floats:
        cells = self._cells(block_cohort)
        change = inverse_link(made.with_effect, self.family) - inverse_link(made.without_effect, self.family)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((cells * mass) @ change / (cells @ mass))

    @cached_property
    def estimate(self) -> Floats:
        """Averages, shape (r,)."""
        return self._averaged(self.rows.block_cohort, self.solution, self.full[0])

    def _asked(self, block_cohort: Codes, mass: Floats, mean: Floats) -> Floats:
        """Return the averages under other weights or cohorts; NaN where one does not exist."""
        t, c = len(self.rows.times), len(self.rows.cohorts)
        first = self.distinct[1]
        cell = block_cohort[self.rows.block[first]] * t + self.rows.period[first]
        empty = (mass_by(cell, c * t, mass) <= 0).reshape(c, t)
        hangs = (self.averages.cells & empty & answered(self.rows)).any(axis=(1, 2))
        try:
            made = self._solve(block_cohort, mass, mean, self.solution.coefficients)
        except EstimationError:
            return np.full(len(self.keys), np.nan)
        gone = np.setdiff1d(np.arange(len(self.columns.effects)), made.kept)
        lost = (self.columns.effects[gone] != 0).any(axis=(0, 3)) & ~empty
        hangs |= (self.averages.cells & lost).any(axis=(1, 2))
        return np.where(hangs, np.nan, self._averaged(block_cohort, made, mass))

    def again(self, weights: Floats) -> Floats:
        """Return the averages under other final weights, shape (r,)."""
        return self._asked(self.rows.block_cohort, *self.collapsed(weights))

    def without(self) -> Floats:
        """Return the averages without each cluster, shape (G, r)."""
        (mass, mean), first = self.full, self.distinct[1]
        home = self.rows.block_cluster[self.rows.block[first]]
        g = 0 if self.rows.clusters is None else len(self.rows.clusters)
        return np.stack([self._asked(self.rows.block_cohort, np.where(home == j, 0.0, mass), mean) for j in range(g)])

    def reordered(self, cohorts: Floats) -> Floats:
        """Return the averages had the clusters been treated from these periods on, shape (B, r)."""
        belongs, fits = memberships(self.rows, cohorts)
        made = np.full((len(fits), len(self.keys)), np.nan)
        for place, code in zip(np.flatnonzero(fits), belongs.argmax(axis=1), strict=True):
            made[place] = self._asked(code[self.rows.block_cluster], *self.full)
        return made

    def influence(self, *, fixed: bool = False) -> Floats:
        """Return the averages' derivative in each final weight, shape (n, r); ``fixed`` holds the cells' shares."""
        rows, made, mass, code = self.rows, self.solution, self.full[0], self.distinct[0]
        kept = made.kept
        on, off = inverse_link(made.with_effect, self.family), inverse_link(made.without_effect, self.family)
        x, x0 = made.x[:, kept], made.untreated[:, kept]
        information = (x * (mass * curvature(on, self.family))[:, None]).T @ x
        cells = self._cells(rows.block_cohort) * 1.0
        total = cells @ mass
        slope = curvature(on, self.family)[:, None] * x - curvature(off, self.family)[:, None] * x0
        gradient = (cells * mass) @ slope / total[:, None]
        loads = x @ np.linalg.solve(information, gradient.T)
        z = np.zeros((len(rows.over_time.design), len(self.keys)))
        z[rows.at] = loads[code] * (self.y - on[code])[:, None]
        if not fixed:
            z[rows.at] += ((cells * (on - off - self.estimate[:, None])) / total[:, None]).T[code]
        return z

    def scores(self) -> Floats:
        """Return weighted influence summed per cluster, shares of cells held, shape (G, r)."""
        return scores_by_cluster(self.rows, self.influence(fixed=True))

    @cached_property
    def effective_clusters(self) -> Floats | None:
        """Not told: what an average rests on changes with the means."""
        return None

    @property
    def has_known_weights(self) -> bool:
        """Yes."""
        return True

    def form(self) -> LinearForm | None:
        """Return None: this is no linear regression."""
        return None

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


def _independent(x: Floats, mass: Floats, k: int) -> Codes:
    """Return the columns that are no combination of those before them, dummies and covariates before the k effects."""
    gram = (x * mass[:, None]).T @ x
    order = [*range(x.shape[1] - 1, k - 1, -1), *range(k)]
    return np.array(independent(gram, np.zeros(len(gram)), order), dtype=np.int64)
