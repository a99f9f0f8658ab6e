"""Shortest interval of fixed length around a linear estimator whose bias is bounded by smoothness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from evaluation.errors import EstimationError
from evaluation.impact.credibility.event_path import EventPath

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FixedLength:
    """An affine estimator and its interval.

    Attributes
    ----------
    estimate : float
    half_length : float
    bias : float
        Largest that smoothness allows.
    std_error : float
    weights : ndarray, shape (k,)
        Of leads and effects in the estimator.
    """

    estimate: float
    half_length: float
    bias: float
    std_error: float
    weights: Floats


def folded_quantile(shift: float, alpha: float) -> float:
    """Return the 1 - alpha quantile of the absolute value of a normal variable with mean ``shift`` and variance 1.

    Examples
    --------
    >>> round(folded_quantile(0.0, 0.05), 4), round(folded_quantile(3.0, 0.05), 4)
    (1.96, 4.6449)
    """
    low, high = abs(shift), abs(shift) + float(special.ndtri(1 - alpha / 2)) + 1e-9

    def missing(value: float) -> float:
        return float(special.ndtr(-value - abs(shift)) + special.ndtr(abs(shift) - value)) - alpha

    return float(optimize.brentq(missing, low, high, xtol=1e-14))


def _half_length(bias: float, error: float, alpha: float) -> tuple[float, float, float]:
    """Return the half-length and its derivatives in bias and error."""
    shift = bias / error
    value = folded_quantile(shift, alpha)
    near, far = stats.norm.pdf(value - shift), stats.norm.pdf(value + shift)
    steep = float((near - far) / (near + far))
    return error * value, steep, value - shift * steep


def fixed_length_interval(path: EventPath, weights: Floats, size: float, alpha: float) -> FixedLength:
    """Return the shortest interval of fixed length for a target under smoothness.

    Parameters
    ----------
    path : EventPath
    weights : ndarray, shape (n_post,)
        Of the effects in the target.
    size : float
        M: the slope of the violation changes by no more than this from period to period.
    alpha : float

    Returns
    -------
    FixedLength

    Raises
    ------
    EstimationError
        The search for it failed.

    Notes
    -----
    The estimator is the target less a combination of the leads that takes out any linear trend; its bias is at most
    M times the sum of absolute weights on changes of slope. Half-length :math:`\\sigma\\, cv(b / \\sigma)`, with cv the
    quantile of a folded normal, is convex in the combination, so a local minimum is the minimum. Any combination
    gives a valid interval; only its length depends on the search.

    References
    ----------
    Armstrong and Kolesar (2018), Econometrica 86, 655-683; Rambachan and Roth (2023), section 3.3.
    """
    n_pre = path.n_pre
    distance = np.arange(n_pre, 0.0, -1.0)
    change = np.clip(distance[None, :] - np.arange(n_pre)[:, None], 0.0, None)
    after = np.arange(1.0, path.n_post + 1)
    later = np.clip(after[None, :] - np.arange(1.0, path.n_post)[:, None], 0.0, None) @ weights
    fixed = float(np.abs(later).sum())
    trend = float(weights @ after)
    unit = float(np.sqrt(weights @ path.vcov[n_pre:, n_pre:] @ weights))
    scaled, m = path.vcov / unit**2, size / unit
    start = _least_variance(scaled, weights, distance, trend)
    v = (
        start
        if size == 0 or n_pre == 1
        else _shortest(scaled, weights, distance, change, (trend, fixed, m, alpha), start)
    )
    whole = np.concatenate([v, weights])
    bias = size * (fixed + float(np.abs(change @ v).sum()))
    error = float(np.sqrt(whole @ path.vcov @ whole))
    return FixedLength(float(whole @ path.estimate), _half_length(bias, error, alpha)[0], bias, error, whole)


def _least_variance(vcov: Floats, weights: Floats, distance: Floats, trend: float) -> Floats:
    """Return the combination of leads with the least variance that takes a linear trend out, shape (n_pre,)."""
    n = len(distance)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n], system[:n, n], system[n, :n] = vcov[:n, :n], distance, distance
    return np.asarray(np.linalg.solve(system, np.append(-vcov[:n, n:] @ weights, trend))[:n])


def _shortest(
    vcov: Floats,
    weights: Floats,
    distance: Floats,
    change: Floats,
    given: tuple[float, float, float, float],
    start: Floats,
) -> Floats:
    """Minimise the half-length over combinations of leads, with a slack for each absolute weight on a bend."""
    trend, fixed, m, alpha = given
    n = len(distance)

    def length(x: Floats) -> tuple[float, Floats]:
        whole = np.concatenate([x[:n], weights])
        moved = vcov @ whole
        error = float(np.sqrt(whole @ moved))
        value, by_bias, by_error = _half_length(m * (fixed + float(x[n:].sum())), error, alpha)
        return value, np.concatenate([by_error * moved[:n] / error, np.full(n, by_bias * m)])

    both = np.vstack([np.hstack([-change, np.eye(n)]), np.hstack([change, np.eye(n)])])
    constraints: list[Any] = [
        {"type": "eq", "fun": lambda x: distance @ x[:n] - trend, "jac": lambda x: np.append(distance, np.zeros(n))},
        {"type": "ineq", "fun": lambda x: both @ x, "jac": lambda x: both},
    ]
    least_bias = np.append(np.zeros(n - 1), trend)  # all weight on the last lead continues its slope
    found = []
    for first in (start, least_bias):
        begin = np.append(first, np.abs(change @ first))
        made = optimize.minimize(
            length, begin, jac=True, method="SLSQP", constraints=constraints, options={"ftol": 1e-13, "maxiter": 500}
        )
        v = made.x[:n] + distance * (trend - distance @ made.x[:n]) / (distance @ distance)
        found.append((length(np.append(v, np.abs(change @ v)))[0], v))
    best, v = min(found, key=lambda pair: pair[0])
    if not np.isfinite(best):
        raise EstimationError("honest_did: no shortest interval was found. Rescale the outcome, or use method='C-LF'.")
    return np.asarray(v)
