"""The arithmetic of the Fay-Herriot model: variance between areas, predictions, and their mean squared error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]
AreaMethod = Literal["REML", "ML", "FH", "AREML"]

#: Points at which the likelihood is looked at before the nearest root of its slope is taken; it may have several.
GRID = 120


@dataclass(frozen=True, eq=False)
class AreaModel:
    """A fitted area-level model.

    Attributes
    ----------
    variance : float
        Of areas around the regression, zero or above.
    coefficients : ndarray, shape (p,)
    covariance : ndarray, shape (p, p)
        Of the coefficients, the variance taken as known.
    uncertainty : float
        Large-sample variance of ``variance``.
    bias : float
        Large-sample bias of ``variance``; zero for REML.
    """

    variance: float
    coefficients: Floats
    covariance: Floats
    uncertainty: float
    bias: float

    def shrinkage(self, sampling: Floats) -> Floats:
        """Return the weight of each direct estimate, 0 to 1, given sampling variances of shape (m,)."""
        return np.asarray(self.variance / (self.variance + sampling))

    def predicted(self, direct: Floats, x: Floats, sampling: Floats) -> tuple[Floats, Floats]:
        """Return predictions and their mean squared errors, shape (m,), of areas with direct estimates."""
        kept = self.shrinkage(sampling)
        synthetic = x @ self.coefficients
        share = 1 - kept
        known = self.variance * share
        fixed = share**2 * np.einsum("ij,jk,ik->i", x, self.covariance, x)
        learnt = share**2 / (self.variance + sampling) * self.uncertainty
        error = known + fixed + 2 * learnt
        corrected = error - self.bias * share**2
        return kept * direct + share * synthetic, np.where(corrected > 0, corrected, error)

    def synthetic(self, x: Floats) -> tuple[Floats, Floats]:
        """Return predictions and their mean squared errors, shape (m,), of areas without direct estimates."""
        return x @ self.coefficients, self.variance + np.einsum("ij,jk,ik->i", x, self.covariance, x)


def fit_area_model(direct: Floats, x: Floats, sampling: Floats, method: AreaMethod) -> AreaModel:
    """Fit the model :math:`y_d = x_d' \\beta + u_d + e_d` with known sampling variances.

    Parameters
    ----------
    direct : ndarray, shape (m,)
    x : ndarray, shape (m, p)
    sampling : ndarray, shape (m,)
        Above zero.
    method : {"REML", "ML", "FH", "AREML"}
        Residual or full maximum likelihood, Fay and Herriot's moment equation, or the residual likelihood times the
        variance, which is never largest at zero.

    References
    ----------
    Fay and Herriot (1979), JASA 74, 269-277; Datta, Rao and Smith (2005), Biometrika 92, 183-196; Li and Lahiri
    (2010), Journal of Multivariate Analysis 101, 882-892.

    Examples
    --------
    >>> y, x = np.array([1.0, 4.0, 2.0, 7.0]), np.ones((4, 1))
    >>> round(fit_area_model(y, x, np.full(4, 0.5), "REML").variance, 6)
    6.5
    """
    variance = _moment(direct, x, sampling) if method == "FH" else _likeliest(direct, x, sampling, method)
    total = variance + sampling
    covariance = np.asarray(np.linalg.inv(x.T @ (x / total[:, None])), dtype=np.float64)
    coefficients = covariance @ (x.T @ (direct / total))
    first, second, m = float((1 / total).sum()), float((1 / total**2).sum()), len(direct)
    if method == "FH":
        return AreaModel(variance, coefficients, covariance, 2 * m / first**2, 2 * (m * second - first**2) / first**3)
    bias = 0.0
    if method == "AREML":
        bias = 2 / (variance * second)
    if method == "ML":
        bias = -float(np.trace(covariance @ (x.T @ (x / total[:, None] ** 2)))) / second
    return AreaModel(variance, coefficients, covariance, 2 / second, bias)


def _residuals(variance: float, direct: Floats, x: Floats, sampling: Floats) -> tuple[Floats, Floats, Floats]:
    """Return total variances, residuals of the weighted regression, and the weighted cross-products of x."""
    total = variance + sampling
    weighted = x / total[:, None]
    cross = x.T @ weighted
    return total, direct - x @ np.linalg.solve(cross, weighted.T @ direct), cross


def _moment(direct: Floats, x: Floats, sampling: Floats) -> float:
    left = float(len(direct) - x.shape[1])

    def excess(variance: float) -> float:
        total, residual, _ = _residuals(variance, direct, x, sampling)
        return float((residual**2 / total).sum()) - left

    return _root(excess, 0.0, _ceiling(direct, x, sampling)) if excess(0.0) > 0 else 0.0


def _ceiling(direct: Floats, x: Floats, sampling: Floats) -> float:
    """Return a variance that the estimate cannot exceed by much: that of plain residuals, many times."""
    residual = direct - x @ np.linalg.lstsq(x, direct, rcond=None)[0]
    return float(10 * (residual**2).sum() / max(len(direct) - x.shape[1], 1) + 10 * sampling.max())


def _likeliest(direct: Floats, x: Floats, sampling: Floats, method: AreaMethod) -> float:
    residual, adjusted = method != "ML", method == "AREML"

    def likelihood(variance: float) -> float:
        total, left, cross = _residuals(variance, direct, x, sampling)
        value = float(np.log(total).sum() + (left**2 / total).sum())
        made = -0.5 * (value + (float(np.linalg.slogdet(cross)[1]) if residual else 0.0))
        return made + float(np.log(variance)) if adjusted else made

    def slope(variance: float) -> float:
        total, left, cross = _residuals(variance, direct, x, sampling)
        trace = float((1 / total).sum())
        if residual:
            trace -= float(np.trace(np.linalg.solve(cross, x.T @ (x / total[:, None] ** 2))))
        return 0.5 * (float((left**2 / total**2).sum()) - trace) + (1 / variance if adjusted else 0.0)

    ceiling = _ceiling(direct, x, sampling)
    least = 1e-6 * min(float(sampling.min()), ceiling)
    grid = np.concatenate([[1e-6 * least if adjusted else 0.0], np.geomspace(least, ceiling, GRID)])
    best = int(np.argmax([likelihood(float(value)) for value in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID)])
    if slope(low) <= 0:
        return low if low == 0.0 else float(grid[best])
    return _root(slope, low, high)


def _root(function: Callable[[float], float], low: float, high: float) -> float:
    return float(optimize.brentq(function, low, high, xtol=1e-14 * high, rtol=8.9e-16))
