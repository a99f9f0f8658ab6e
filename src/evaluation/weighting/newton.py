"""The calibration equations, solved by Newton's method on their normal equations."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from evaluation.design.collapse import Floats, mass_by
from evaluation.design.columns import Columns
from evaluation.weighting.distances import Adjustment

#: Totals are met to this precision, relative to their size.
TOLERANCE = 1e-10
#: Newton goes on until this is reached, or until rounding lets it go no further.
GOAL = 1e-13
#: Columns are redundant where the scaled normal equations have an eigenvalue below this share of the largest.
REDUNDANT = 1e-12
#: Two ways to say one total may differ by this much, relative to its parts.
AGREEMENT = 1e-9
#: A total of values of either sign has no size of its own: this share of the largest it could have.
ROUNDING = 1e-2
MAXIMUM_STEPS = 80
MAXIMUM_HALVINGS = 50
#: The first step must turn the slope along its direction to at most this share of what it was.
OVERSHOOT = 0.5


@dataclass(frozen=True, eq=False)
class Equations:
    """Totals that weights have to meet, by a factor that is a function of their auxiliaries.

    Find b such that ``sum_i w_i F(x_i'b / v_i) x_i + give * b = totals``.

    Attributes
    ----------
    x : Columns, n rows, q columns
    weights : ndarray, shape (n,)
        Input weights.
    totals : ndarray, shape (q,)
    adjustment : Adjustment
        F.
    spread : ndarray, shape (n,), or None
        ``1 / v``; None means 1.
    give : ndarray, shape (q,), or None
        What each total gives way per unit of its multiplier; 0 is exact. None means 0.
    """

    x: Columns
    weights: Floats
    totals: Floats
    adjustment: Adjustment
    spread: Floats | None = None
    give: Floats | None = None


@dataclass(frozen=True, eq=False)
class Solution:
    """Factors of the weights, and how far Newton came.

    Attributes
    ----------
    factor : ndarray, shape (n,)
    multiplier : ndarray, shape (q,)
        b.
    short : ndarray, shape (q,)
        Totals less what the weights reach (and what they may give way).
    converged : bool
    redundant : ndarray, shape (q, m)
        Combinations of auxiliaries that are zero for every respondent, a column each.
    gram : ndarray, shape (q, q), or None
        Products of auxiliaries under the derivative weights, where they are known without further work: for the
        linear distance without bounds.
    """

    factor: Floats
    multiplier: Floats
    short: Floats
    converged: bool
    redundant: Floats
    gram: Floats | None = None


def solve(equations: Equations) -> Solution:
    """Solve calibration equations; whoever calls decides what a solution that did not converge means.

    Respondents who share all auxiliaries are one row: without numeric totals the work is on cells.
    """
    x = equations.x
    if x.code is None or x.dense or x.scale is not None or equations.spread is not None or len(x.table) >= x.n:
        return _solve(equations)
    masses = mass_by(x.code, x.n_cells, equations.weights)
    cells = Columns(x.n_cells, np.arange(x.n_cells), x.table)
    solved = _solve(Equations(cells, masses, equations.totals, equations.adjustment, None, equations.give))
    return replace(solved, factor=solved.factor[x.code])


def _solve(equations: Equations) -> Solution:
    state = _Newton.start(equations)
    for step in range(MAXIMUM_STEPS):
        if state.excess <= GOAL:
            break
        moved = state.moved()
        if moved is None or (state.excess <= TOLERANCE and moved.excess >= state.excess):
            break
        rounding = state.excess <= TOLERANCE and moved.excess > 0.5 * state.excess
        state = moved
        if rounding or (step > MAXIMUM_STEPS // 4 and state.proves_infeasible()):
            break
    return Solution(
        state.factor,
        state.multiplier / state.scale,
        state.short * state.scale,
        bool(state.excess <= TOLERANCE),
        state.null / state.scale[:, None],
        state.first * np.outer(state.scale, state.scale) if state.plain and not state.negative else None,
    )


@dataclass(frozen=True, eq=False)
class _Newton:
    """Where the iteration stands; auxiliaries are divided by ``scale``, for normal equations with a unit diagonal."""

    equations: Equations
    scale: Floats
    totals: Floats
    give: Floats
    size: Floats
    basis: Floats
    null: Floats
    multiplier: Floats
    factor: Floats
    short: Floats
    first: Floats

    @classmethod
    def start(cls, equations: Equations) -> _Newton:
        x, q = equations.x, len(equations.totals)
        gram = x.gram(_product(np.abs(equations.weights), equations.spread))
        scale = np.sqrt(np.diag(gram))
        scale[scale == 0] = 1.0
        give = (np.zeros(q) if equations.give is None else equations.give) / scale**2
        first = gram / np.outer(scale, scale)
        values, vectors = np.linalg.eigh(first + np.diag(np.minimum(give, 1.0)))
        kept = values > REDUNDANT * max(float(values[-1]), 1e-300)
        basis, null = vectors[:, kept], vectors[:, ~kept]
        totals = equations.totals / scale
        # What rounding leaves between two ways to say one total is nobody's to meet.
        totals = totals - null @ _below(null.T @ totals, AGREEMENT * (np.abs(null).T @ np.abs(totals)))
        ones = np.ones(x.n)
        reached = x.moments(equations.weights[:, None])[:, 0] / scale
        mass = float(np.sqrt(np.abs(equations.weights).sum()))
        size = np.maximum(np.maximum(np.abs(totals), np.abs(reached)), ROUNDING * mass)
        return cls(equations, scale, totals, give, size, basis, null, np.zeros(q), ones, totals - reached, first)

    @property
    def excess(self) -> float:
        """Largest miss of a total, relative to its size."""
        worst = float(np.max(np.abs(self.short) / self.size)) if len(self.short) else 0.0
        return worst if np.isfinite(worst) else np.inf

    @property
    def plain(self) -> bool:
        """Linear without bounds: one step, whatever the sign of the weights."""
        return self.equations.adjustment.distance == "linear" and self.equations.adjustment.bounds is None

    @property
    def negative(self) -> bool:
        """Whether some input weights are below zero."""
        return bool((self.equations.weights < 0).any())

    def at(self, multiplier: Floats) -> _Newton:
        """Return the state at another multiplier."""
        e = self.equations
        u = _product(e.x.times((multiplier / self.scale)[:, None])[:, 0], e.spread)
        factor = e.adjustment.factor(u)
        reached = e.x.moments((e.weights * factor)[:, None])[:, 0] / self.scale
        short = self.totals - reached - self.give * multiplier
        return replace(self, multiplier=multiplier, factor=factor, short=short)

    def moved(self) -> _Newton | None:
        """Return the state after one step, halved until it does not overshoot; None where no step is left."""
        direction = self._direction()
        if self.plain:
            return self.at(self.multiplier + direction)
        slope = float(self.short @ direction)
        if not np.isfinite(slope) or slope <= 0:
            return None
        length = 1.0
        for _ in range(MAXIMUM_HALVINGS):
            moved = self.at(self.multiplier + length * direction)
            if np.isfinite(moved.short).all() and -float(moved.short @ direction) <= OVERSHOOT * slope:
                return moved
            length /= 2
        return None

    def _direction(self) -> Floats:
        e = self.equations
        hessian = self.first
        if self.negative if self.plain else self.multiplier.any():
            weights = _product(e.weights * e.adjustment.slope(self.factor), e.spread)
            hessian = e.x.gram(weights) / np.outer(self.scale, self.scale)
        inner = self.basis.T @ (hessian + np.diag(self.give)) @ self.basis
        return np.asarray(self.basis @ _solved(inner, self.basis.T @ self.short))

    def proves_infeasible(self) -> bool:
        """Tell whether the multiplier is a certificate that no factors within the limits meet the totals."""
        e = self.equations
        low, high = e.adjustment.limits
        if self.give.any() or not np.isfinite([low, high]).all():
            return False
        value = e.x.times((self.multiplier / self.scale)[:, None])[:, 0]
        most = float(np.sum(e.weights * np.maximum(low * value, high * value)))
        wanted = float(self.totals @ self.multiplier)
        return wanted > most + 1e-9 * (abs(most) + abs(wanted))


def _product(values: Floats, spread: Floats | None) -> Floats:
    return values if spread is None else values * spread


def _below(values: Floats, limits: Floats) -> Floats:
    return np.where(np.abs(values) <= limits, values, 0.0)


def _solved(matrix: Floats, right: Floats) -> Floats:
    """Solve symmetric equations; where factors at their bounds leave them singular, with a growing ridge."""
    if np.isfinite(matrix).all():
        for ridge in (0.0, 1e-12, 1e-8, 1e-4):
            try:
                factored = linalg.cho_factor(matrix + ridge * np.eye(len(matrix)), check_finite=False)
            except linalg.LinAlgError:
                continue
            return np.asarray(linalg.cho_solve(factored, right, check_finite=False))
    return np.asarray(np.linalg.lstsq(np.nan_to_num(matrix), right, rcond=None)[0])


def inverse(gram: Floats, give: Floats | None = None) -> Floats:
    """Return the inverse of ``gram + diag(give)``, shape (q, q), redundant columns sharing what is theirs."""
    whole = gram if give is None else gram + np.diag(give)
    norm = np.sqrt(np.abs(np.diag(whole)))
    norm[norm == 0] = 1.0
    scaled = np.linalg.pinv(whole / np.outer(norm, norm), rcond=REDUNDANT, hermitian=True)
    return np.asarray(scaled / np.outer(norm, norm))
