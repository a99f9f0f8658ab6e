"""Tail probabilities of weighted sums of chi-squared variables: what Rao-Scott tests are really distributed as."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]

#: Step and reach of the trapezoidal rule, in a variable in which the integrand falls off exponentially.
STEP, REACH = 1 / 64, 45.0
#: Saddlepoints closer to the mean than this, in standard deviations, are taken at the mean.
NEAR_MEAN = 1e-4
#: Statistics below this multiple of their mean are exceeded for sure, to all digits.
NOTHING = 1e-33


def sum_exceeds(x: float, coefficients: Floats, df: float = np.inf) -> float:
    """Return the probability that a weighted sum of chi-squared variables exceeds ``x``, by numerical inversion.

    Parameters
    ----------
    x : float
        Zero or more.
    coefficients : ndarray, shape (k,)
        Positive weights of k independent chi-squared variables with one degree of freedom.
    df : float, default inf
        Degrees of freedom of the variance estimate that ``x`` was scaled by: the sum is then compared with
        ``x`` times an independent chi-squared variable over its degrees of freedom.

    Returns
    -------
    float
        Accurate to 1e-9, relatively, far into the tail; NaN for a ``df`` of 0 or below.

    Notes
    -----
    The moment generating function is inverted along a path through the saddlepoint of the integrand, on which it
    does not oscillate, so that small probabilities keep their digits.

    References
    ----------
    Imhof (1961), Biometrika 48, 419-426; Davies (1980), Applied Statistics 29, 323-333 (R: ``CompQuadForm::davies``).
    Rice (1980), SIAM Journal on Scientific and Statistical Computing 1, 438-448: the path.

    Examples
    --------
    >>> round(sum_exceeds(5.991464547107979, np.array([1.0, 1.0])), 10)
    0.05
    """
    if df <= 0 or not np.isfinite(x):
        return np.nan
    if x <= NOTHING * coefficients.sum():
        return 1.0
    weights, degrees, bound = _terms(x, coefficients, df)
    highest = 1 / (2 * coefficients.max())

    def slope(t: float) -> float:
        return float(_derivative(t, weights, degrees) - bound - 1 / t)

    t = float(optimize.brentq(slope, highest * 1e-12, highest * (1 - 1e-13), xtol=highest * 1e-15))
    curvature = float((2 * degrees * weights**2 / (1 - 2 * weights * t) ** 2).sum() + 1 / t**2)
    scale = 1 / np.sqrt(curvature)
    bend = 0.25 / scale
    v = np.arange(0.0, REACH, STEP)
    u = scale * np.sinh(v)
    s = t + bend * u**2 + 1j * u
    exponent = _cumulant(s, weights, degrees) - s * bound - np.log(s)
    with np.errstate(over="ignore", invalid="ignore"):
        path = (1 - 2j * bend * u) * scale * np.cosh(v)
        values = np.where(exponent.real < -745, 0.0, np.real(np.exp(exponent) * path))
    values[0] /= 2
    return float(np.clip(values.sum() * STEP / np.pi, 0.0, 1.0))


def saddlepoint_exceeds(x: float, coefficients: Floats, df: float = np.inf, *, whole_df: bool = False) -> float:
    """Return Kuonen's saddlepoint approximation of the same probability as :func:`sum_exceeds`.

    Parameters
    ----------
    x, coefficients, df
        As there.
    whole_df : bool, default False
        Count only the whole ``df`` chi-squared terms, while ``x`` is still divided by all of ``df``: R's convention.

    References
    ----------
    Kuonen (1999), Biometrika 86, 929-935. R twin: ``survey::pFsum(method = "saddlepoint")``.

    Examples
    --------
    >>> round(saddlepoint_exceeds(5.991464547107979, np.array([1.0, 1.0])), 4)
    0.0508
    """
    if df <= 0 or not np.isfinite(x):
        return np.nan
    if x <= NOTHING * coefficients.sum():
        return 1.0
    weights, degrees, bound = _terms(x, coefficients, df)
    if whole_df and np.isfinite(df):
        degrees[-1] = max(np.floor(df), 1.0)
    highest = 1 / (2 * coefficients.max())
    lowest = -df / (2 * x) if np.isfinite(df) else -len(coefficients) / (2 * x) - 1 / coefficients.min()
    mean, spread = float(weights @ degrees), float(np.sqrt(2 * (weights**2) @ degrees))
    if abs(bound - mean) < NEAR_MEAN * spread:
        skewness = 8 * float((weights**3) @ degrees) / spread**3
        return float(stats.norm.sf((bound - mean) / spread) - skewness / (6 * np.sqrt(2 * np.pi)))
    t = float(
        optimize.brentq(
            lambda at: float(_derivative(at, weights, degrees) - bound),
            lowest * (1 - 1e-12),
            highest * (1 - 1e-13),
            xtol=highest * 1e-15,
        )
    )
    w = np.sign(t) * np.sqrt(2 * (t * bound - float(_cumulant(np.array(t), weights, degrees))))
    v = t * np.sqrt(float((2 * degrees * weights**2 / (1 - 2 * weights * t) ** 2).sum()))
    return float(special.ndtr(-(w + np.log(v / w) / w)))


def _terms(x: float, coefficients: Floats, df: float) -> tuple[Floats, Floats, float]:
    """Return weights and degrees of freedom of all terms, and the bound that their sum is to exceed."""
    weights, degrees = np.asarray(coefficients, dtype=float), np.ones(len(coefficients))
    if np.isinf(df):
        return weights, degrees, x
    return np.append(weights, -x / df), np.append(degrees, df), 0.0


def _cumulant(s: NDArray[Any], weights: Floats, degrees: Floats) -> NDArray[Any]:
    return np.asarray(-0.5 * (degrees * np.log1p(-2 * weights * s[..., None])).sum(axis=-1))


def _derivative(t: float, weights: Floats, degrees: Floats) -> float:
    return float((degrees * weights / (1 - 2 * weights * t)).sum())
