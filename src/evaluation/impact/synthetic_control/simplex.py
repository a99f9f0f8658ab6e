"""Least squares under weights that are not negative and sum to one: solved exactly, or by Frank and Wolfe's steps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError

Floats = NDArray[np.float64]

#: A column enters only where it lowers the squares by more than this share of them.
_GAIN = 1e-10
#: Gradients below this share of the squares of the columns are rounding.
_ROUNDING = 1e-14
#: Weights up to this are zero.
_ZERO = 1e-14
#: Steps before and after weights up to this share of the largest are set to zero.
FIRST_STEPS, STEPS, SMALL_SHARE = 100, 10_000, 0.25


def simplex_least_squares(columns: Floats, target: Floats) -> Floats:
    """Return the weights that minimise the squares of ``columns @ weights - target``; exact up to rounding.

    Parameters
    ----------
    columns : ndarray, shape (m, n)
    target : ndarray, shape (m,)

    Returns
    -------
    ndarray, shape (n,)
        Not negative, summing to 1. Where several minimise, one with few weights above zero.

    Raises
    ------
    EstimationError
        No minimum was reached, as with values that are not finite.

    Notes
    -----
    An active set: least squares among the columns in use, differences from one of them, so that the sum is kept;
    steps stop where a weight would turn negative. A column joins where its reduced gradient is negative.

    References
    ----------
    Wolfe (1976), Mathematical Programming 11, 128-149; Lawson and Hanson (1974), chapter 23.

    Examples
    --------
    >>> simplex_least_squares(np.array([[0.0, 4.0]]), np.array([1.0])).tolist()
    [0.75, 0.25]
    """
    if not (np.isfinite(columns).all() and np.isfinite(target).all()):
        raise EstimationError("weights of a synthetic control need finite values.")
    n = columns.shape[1]
    x = np.zeros(n)
    x[np.argmin(((columns - target[:, None]) ** 2).sum(axis=0))] = 1.0
    scale = max(float((target**2).sum()), float((columns**2).sum(axis=0).max()), 1e-300)
    for _ in range(50 * n + 50):
        x = _least_squares_among(columns, target, x)
        error = columns @ x - target
        reduced = columns.T @ error - float(x @ (columns.T @ error))
        joining = int(np.argmin(reduced))
        if reduced[joining] >= -max(_GAIN * np.sqrt(scale * float(error @ error)), _ROUNDING * scale):
            return np.asarray(x / x.sum())
        x = _step_towards(columns, error, x, joining)
    raise EstimationError("weights of a synthetic control: no minimum after many steps. Look for outliers.")


def _step_towards(columns: Floats, error: Floats, x: Floats, joining: int) -> Floats:
    """Move as far towards one column as lowers the squares."""
    direction = -x
    direction[joining] += 1.0
    change = columns @ direction
    length = float(np.clip(-(error @ change) / max(float(change @ change), 1e-300), 0.0, 1.0))
    return np.asarray(x + length * direction)


def _least_squares_among(columns: Floats, target: Floats, x: Floats) -> Floats:
    """Minimise among the columns in use; those whose weight reaches zero leave."""
    x = np.where(x > _ZERO, x, 0.0)
    while (used := np.flatnonzero(x)).size > 1:
        base, others = used[np.argmax(x[used])], used[used != used[np.argmax(x[used])]]
        differences = columns[:, others] - columns[:, [base]]
        solved = np.linalg.lstsq(differences, target - columns[:, base], rcond=1e-13)[0]
        move = np.zeros(len(x))
        move[others] = solved - x[others]
        move[base] = (1.0 - solved.sum()) - x[base]
        falling = move < 0
        limits = np.full(len(x), np.inf)
        limits[falling] = x[falling] / -move[falling]
        length = min(1.0, float(limits.min()))
        x = x + length * move
        if length >= 1.0:
            return np.asarray(np.where(x > _ZERO, x, 0.0))
        x[np.argmin(limits)] = 0.0
        x = np.where(x > _ZERO, x, 0.0)
    return x


def ridge_on_simplex(columns: Floats, target: Floats, zeta: float) -> Floats:
    """Return the weights that minimise mean squares plus ``zeta`` squared times the squares of the weights, exactly."""
    m, n = columns.shape
    penalty = np.sqrt(m) * zeta * np.eye(n)
    return simplex_least_squares(np.vstack([columns, penalty]), np.r_[target, np.zeros(n)])


def frank_wolfe(columns: Floats, target: Floats, zeta: float, least_gain: float, *, sparsify: bool = True) -> Floats:
    """Return what Frank and Wolfe's steps reach from equal weights: the arithmetic of R's ``synthdid``.

    Parameters
    ----------
    columns : ndarray, shape (m, n)
    target : ndarray, shape (m,)
    zeta : float
        As in ``ridge_on_simplex``.
    least_gain : float
        Steps end where the objective falls by no more than its square.
    sparsify : bool, default True
        After 100 steps, weights up to a quarter of the largest are set to zero, and the steps begin anew.
    """
    equal = np.full(columns.shape[1], 1 / columns.shape[1])
    if not sparsify:
        return _steps(columns, target, zeta, least_gain, equal, STEPS)
    first = _steps(columns, target, zeta, least_gain, equal, FIRST_STEPS)
    kept = np.where(first > SMALL_SHARE * first.max(), first, 0.0)
    return _steps(columns, target, zeta, least_gain, kept / kept.sum(), STEPS)


def _steps(columns: Floats, target: Floats, zeta: float, least_gain: float, x: Floats, most: int) -> Floats:
    m = len(target)
    ridge, error, before = m * zeta**2, columns @ x - target, np.inf
    for step in range(most):
        gradient = error @ columns + ridge * x
        direction = -x
        direction[np.argmin(gradient)] += 1.0
        change = columns @ direction
        curvature = float(change @ change + ridge * (direction @ direction))
        if curvature > 0:
            length = float(np.clip(-(gradient @ direction) / curvature, 0.0, 1.0))
            x, error = x + length * direction, error + length * change
        value = zeta**2 * float(x @ x) + float(error @ error) / m
        if step > 0 and before - value <= least_gain**2:
            break
        before = value
    return np.asarray(x)
