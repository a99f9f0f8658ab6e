"""Tests of moment inequalities with nuisance parameters, and the set of values that they do not reject.

All corners of the dual linear programme are enumerated once, since they depend neither on the tested value nor on the
data: a test is then a few products, and no programme is solved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from evaluation.errors import EstimationError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Accepts = Callable[[Floats], Mask]

#: Points at which a range is searched, and how often it is doubled before we give up.
POINTS, DOUBLINGS = 801, 16
#: Half the first range, in standard errors of the target.
REACH = 20.0
#: Ends are found to this many standard errors.
PRECISION = 1e-7
#: Draws of a Sobol sequence behind the critical value of the least favourable case, as a power of two; each mirrored.
DRAWS = 14
#: Most corners that are enumerated.
MOST_CORNERS = 1_000
_TINY = 1e-10


@dataclass(frozen=True, eq=False)
class Inequalities:
    """Moment inequalities about a target, ready for tests: one row per corner.

    Attributes
    ----------
    level : ndarray, shape (v,)
        Studentised violation at target 0.
    slope : ndarray, shape (v,)
        By how much it falls with the target.
    covariance : ndarray, shape (v, v)
    critical : float
        Of the first stage; infinite without one.
    alpha : float
        Level of the second stage.
    """

    level: Floats
    slope: Floats
    covariance: Floats
    critical: float
    alpha: float

    def accepts(self, target: Floats) -> Mask:
        """Return which values of the target are not rejected, shape (t,)."""
        values = self.level[:, None] - self.slope[:, None] * target
        best = values.argmax(axis=0)
        top = values[best, np.arange(len(target))]
        variance = np.diag(self.covariance)[best]
        certain = variance <= _TINY**2
        spread = np.sqrt(np.where(certain, 1.0, variance))
        share = self.covariance[:, best] / spread**2
        room = 1 - share
        with np.errstate(divide="ignore", invalid="ignore"):
            edge = (values - share * top) / room
        low = np.where(room > _TINY, edge, -np.inf).max(axis=0)
        high = np.where(room < -_TINY, edge, np.inf).min(axis=0)
        bound = truncated_quantile(1 - self.alpha, low / spread, np.minimum(high, self.critical) / spread)
        kept = top / spread <= np.maximum(bound, 0.0)
        return np.asarray(np.where(certain, top <= _TINY, kept) & (top <= self.critical))


def inequalities(
    estimate: Floats,
    vcov: Floats,
    matrix: Floats,
    bound: Floats,
    weights: Floats,
    *,
    alpha: float,
    first_stage: float,
    seed: int,
    corners: Floats | None = None,
) -> Inequalities:
    """Return the inequalities that a set of violations puts on a target.

    Parameters
    ----------
    estimate, vcov : ndarray, shapes (k,) and (k, k)
    matrix, bound : ndarray, shapes (m, k) and (m,)
        Violations delta with ``matrix @ delta <= bound``.
    weights : ndarray, shape (p,)
        Of the last p effects in the target.
    alpha : float
        Level of the test.
    first_stage : float
        Part of it spent on the least favourable test; 0 for none.
    seed : int
        Of the draws behind the first stage.
    corners : ndarray, optional
        From ``dual_corners``, where they are known.

    References
    ----------
    Andrews, Roth and Pakes (2023), Review of Economic Studies 90, 2763-2791, sections 4 and 5.
    """
    rays = dual_corners(matrix[:, -len(weights) :], weights) if corners is None else corners
    spread = np.sqrt(np.clip(np.einsum("ij,jk,ik->i", matrix, vcov, matrix), 0.0, None))
    rays = rays / (rays @ spread)[:, None]
    combined = rays @ matrix
    level = combined @ estimate - rays @ bound
    slope = combined[:, -len(weights) :] @ weights / (weights @ weights)
    covariance = combined @ vcov @ combined.T
    critical = np.inf
    if first_stage > 0:
        critical = _least_favourable(combined @ np.linalg.cholesky(vcov), first_stage, seed)
        alpha = (alpha - first_stage) / (1 - first_stage)
    return Inequalities(level, slope, covariance, critical, alpha)


def dual_corners(effects: Floats, weights: Floats) -> Floats:
    """Return the extreme rays of ``g >= 0`` that leave nothing but the target, shape (v, m).

    Parameters
    ----------
    effects : ndarray, shape (m, p)
        Inequalities' coefficients on the effects.
    weights : ndarray, shape (p,)
        Of the effects in the target.

    Raises
    ------
    EstimationError
        There are too many of them.

    Notes
    -----
    Double description: one equation after another, each new ray a combination of two neighbours on either side of it.
    """
    nuisance = np.linalg.svd(weights[None, :])[2][1:].T
    rays = np.eye(len(effects))
    for equation in (effects @ nuisance).T:
        value = rays @ equation
        value[np.abs(value) <= _TINY * np.abs(equation).max(initial=1.0)] = 0.0
        above, below = np.flatnonzero(value > 0), np.flatnonzero(value < 0)
        support = rays > _TINY
        made = [rays[value == 0]]
        for one in above:
            union = support[one] | support[below]
            inside = (~union).astype(np.float64) @ support.T.astype(np.float64) == 0
            for other in below[inside.sum(axis=1) == 2]:
                made.append((value[one] * rays[other] - value[other] * rays[one])[None, :])
        rays = np.vstack(made)
        rays /= rays.max(axis=1, keepdims=True)
        if len(rays) > MOST_CORNERS:
            raise EstimationError(
                f"honest_did: {len(weights)} effects with an assumed sign or shape of the bias make more than "
                f"{MOST_CORNERS:,} corners to test. Use target='first', cut effects with max_e, or assume only one."
            )
    return rays


def truncated_quantile(probability: float, low: Floats, high: Floats) -> Floats:
    """Return the quantile of a standard normal that is known to lie between two limits.

    Notes
    -----
    On the side where both limits have a small distribution function, in logarithms, so that far tails do not round.
    """
    flip = low > 0
    a, b = np.where(flip, -high, low), np.where(flip, -low, high)
    share = np.where(flip, 1 - probability, probability)
    mixed = np.logaddexp(np.log1p(-share) + special.log_ndtr(a), np.log(share) + special.log_ndtr(b))
    value = special.ndtri_exp(np.minimum(mixed, 0.0))
    return np.asarray(np.where(flip, -value, value))


@lru_cache(maxsize=8)
def _normal_draws(dimension: int, seed: int) -> Floats:
    drawn = stats.qmc.Sobol(dimension, rng=np.random.default_rng(seed)).random_base2(DRAWS)
    normal = special.ndtri(np.clip(drawn, 1e-12, 1 - 1e-12)).T
    return np.ascontiguousarray(np.hstack([normal, -normal]))


def _least_favourable(factors: Floats, alpha: float, seed: int) -> float:
    """Return the 1 - alpha quantile of the largest of normal variables, (v,), with these factors, (v, k)."""
    return _quantile_of_largest(factors.tobytes(), factors.shape[1], alpha, seed)


@lru_cache(maxsize=4096)
def _quantile_of_largest(factors: bytes, dimension: int, alpha: float, seed: int) -> float:
    matrix = np.frombuffer(factors).reshape(-1, dimension)
    draws = _normal_draws(dimension, seed)
    parts = np.array_split(matrix, 1 + len(matrix) // 64)
    largest = np.maximum.reduce([(part @ draws).max(axis=0) for part in parts])
    return float(np.quantile(largest, 1 - alpha))


@dataclass(frozen=True)
class Accepted:
    """What a test does not reject: lowest and highest value, and of how many intervals it consists."""

    low: float
    high: float
    parts: int


def accepted_set(tests: Sequence[Inequalities], centre: float, error: float) -> Accepted:
    """Return the values that at least one of several tests does not reject.

    Parameters
    ----------
    tests : sequence of Inequalities
        One for each polyhedron of a union.
    centre, error : float
        Estimate of the target and its standard error: where the search begins, and its unit.

    Returns
    -------
    Accepted
        Hull of the set; NaN where every value is rejected.

    Raises
    ------
    EstimationError
        The set reaches beyond any range that was searched.
    """

    def accepts(target: Floats) -> Mask:
        return np.asarray(np.logical_or.reduce([test.accepts(target) for test in tests]))

    half = REACH * error
    for _ in range(DOUBLINGS):
        grid = centre + np.linspace(-half, half, POINTS)
        kept = accepts(grid)
        if kept[: POINTS // 20].any() or kept[-(POINTS // 20) :].any():
            half *= 2
            continue
        if not kept.any():
            return Accepted(np.nan, np.nan, 0)
        return _refined(accepts, grid, kept, error)
    raise EstimationError(
        f"honest_did: the set reaches beyond {half:.3g} on either side of the estimate, so that no interval can be "
        f"shown. Use a smaller bound, or effects with smaller errors."
    )


def _refined(accepts: Accepts, grid: Floats, kept: Mask, error: float) -> Accepted:
    """Look again between the ends, count the intervals, and halve each end's cell until it is small."""
    first, last = np.flatnonzero(kept)[[0, -1]]
    fine = np.linspace(grid[first - 1], grid[last + 1], POINTS)
    inside = accepts(fine)
    inside[[0, -1]] = False
    if not inside.any():
        fine, inside = grid[first - 1 : last + 2], kept[first - 1 : last + 2]
    first, last = np.flatnonzero(inside)[[0, -1]]
    parts = int((inside[1:] & ~inside[:-1]).sum())
    outer, inner = fine[[first - 1, last + 1]], fine[[first, last]]
    while np.abs(outer - inner).max() > PRECISION * error:
        middle = (outer + inner) / 2
        good = accepts(middle)
        outer, inner = np.where(good, outer, middle), np.where(good, middle, inner)
    return Accepted(float(inner[0]), float(inner[1]), parts)
