"""Unequal probabilities without replacement: the variance as a quadratic form in the units' contributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.errors import DesignError, EstimationError

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
PairVariance = Literal["horvitz_thompson", "yates_grundy"]

#: How far joint probabilities may stray from what is possible before they are refused.
TOLERANCE = 1e-6
#: A variance below minus this share of its own diagonal part is negative, not rounding.
ROUNDING = 1e-9
NAMES: dict[str, str] = {"horvitz_thompson": "Horvitz-Thompson", "yates_grundy": "Yates-Grundy"}


class PairForm(Protocol):
    """Variance of the first stage where pairs of units have joint probabilities."""

    @property
    def variance(self) -> PairVariance:
        """Which of the two estimators it is."""
        ...

    def covariance(self, totals: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of weighted unit totals, shape ``(n_units, k)``."""
        ...


@dataclass(frozen=True, eq=False)
class HartleyRao:
    """Joint probabilities approximated from the sample, never written out as a matrix.

    Attributes
    ----------
    inclusion : ndarray, shape (n_units,)
        Inclusion probability of each unit.
    stratum : ndarray of int, shape (n_units,)
        Stratum of each unit.
    n_strata : int
        Number of strata.
    variance : {"horvitz_thompson", "yates_grundy"}
        Estimator.

    Notes
    -----
    With :math:`n` units in the stratum, :math:`\\pi_{ij} = \\pi_i \\pi_j (n - 1) /
    (n - \\pi_i - \\pi_j + \\bar\\pi)`, where the mean of the sampled probabilities stands for
    :math:`\\sum_U \\pi_k^2 / n`. Then :math:`(\\pi_{ij} - \\pi_i \\pi_j) / \\pi_{ij}` is a sum of a part of
    i and a part of j, so that sums per stratum are enough. Units taken with certainty stand apart.

    References
    ----------
    Hartley and Rao (1962), Annals of Mathematical Statistics 33, equation 5.15, to the first order.
    R twin: ``survey::svydesign(pps = HR())``, except for units taken with certainty.
    """

    inclusion: Floats
    stratum: Codes
    n_strata: int
    variance: PairVariance

    def covariance(self, totals: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of weighted unit totals, shape ``(n_units, k)``."""
        drawn = (self.inclusion < 1)[:, None]
        x = np.where(drawn, totals, 0.0)
        n, mean = self._sizes()
        share = np.divide(1.0, n - 1, out=np.zeros_like(n), where=n > 1)[:, None]
        plain = sum_by(self.stratum, self.n_strata, x)
        sized = sum_by(self.stratum, self.n_strata, x * self.inclusion[:, None])
        cross = (plain * share).T @ sized
        form = cross + cross.T - (plain * share * (1 + mean)[:, None]).T @ plain
        diagonal = self._diagonal(n, mean, share[:, 0])
        covariance = np.asarray(form + (x * diagonal[:, None]).T @ x)
        return not_negative(covariance, (1 - self.inclusion) @ x**2, self.variance)

    def _sizes(self) -> tuple[Floats, Floats]:
        drawn = (self.inclusion < 1).astype(float)
        sums = sum_by(self.stratum, self.n_strata, np.column_stack([drawn, drawn * self.inclusion]))
        return sums[:, 0], sums[:, 1] / np.maximum(sums[:, 0], 1)

    def _diagonal(self, n: Floats, mean: Floats, share: Floats) -> Floats:
        """Return what each unit's square takes beside the part that stratum sums carry."""
        if self.variance == "yates_grundy":
            return np.asarray((n * share)[self.stratum] * (1 - self.inclusion))
        carried = (2 * self.inclusion - 1 - mean[self.stratum]) * share[self.stratum]
        return np.asarray(1 - self.inclusion - carried)


@dataclass(frozen=True, eq=False)
class JointForm:
    """Joint probabilities as they were given.

    Attributes
    ----------
    matrix : ndarray, shape (n_units, n_units)
        What stands between weighted totals: the variance is ``x' matrix x``.
    size : ndarray, shape (n_units,)
        Each unit's own part, 1 less its inclusion probability.
    variance : {"horvitz_thompson", "yates_grundy"}
        Estimator.

    References
    ----------
    Horvitz and Thompson (1952), Journal of the American Statistical Association 47; Yates and Grundy (1953),
    Journal of the Royal Statistical Society B 15; Sen (1953). R twin: ``survey::svydesign(pps = ppsmat())``.
    """

    matrix: Floats
    size: Floats
    variance: PairVariance

    def covariance(self, totals: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of weighted unit totals, shape ``(n_units, k)``."""
        covariance = totals.T @ (self.matrix @ totals)
        return not_negative((covariance + covariance.T) / 2, self.size @ totals**2, self.variance)


def not_negative(covariance: Floats, size: Floats, variance: PairVariance) -> Floats:
    """Return the covariance; an EstimationError where a variance is below zero by more than rounding.

    Parameters
    ----------
    covariance : ndarray, shape (k, k)
        From a quadratic form.
    size : ndarray, shape (k,)
        Its diagonal part, which says what rounding is.
    variance : {"horvitz_thompson", "yates_grundy"}
        Estimator, for the message.
    """
    diagonal = np.diag(covariance)
    negative = diagonal < -ROUNDING * size
    if not negative.any():
        return covariance
    other = "horvitz_thompson" if variance == "yates_grundy" else "yates_grundy"
    raise EstimationError(
        f"the {NAMES[variance]} variance is negative for {int(negative.sum())} of {len(diagonal)} estimates (lowest "
        f"{diagonal.min():.4g}), which joint probabilities can do: there is no standard error. Declare the design "
        f"with pps_variance='{other}', or with pps='brewer', whose variance is never negative."
    )


def joint_probabilities(given: pd.DataFrame | Floats, units: pd.Index) -> Floats:
    """Return the joint probabilities of the sampled units in the order of ``units``.

    Parameters
    ----------
    given : pandas.DataFrame or ndarray, shape (n_units, n_units)
        A DataFrame carries the units' ids as index and columns, in any order; an array is taken in the
        order in which the units first appear in the data, which is that of ``units``.
    units : pandas.Index, n_units entries
        Ids of the sampled units.

    Raises
    ------
    DesignError
        The matrix has another shape or other ids, or holds what joint probabilities cannot be.
    """
    if isinstance(given, pd.DataFrame):
        given = _in_order(given, units)
    matrix = np.asarray(given)
    if matrix.shape != (len(units), len(units)):
        raise DesignError(
            f"pps: expected a {len(units)} by {len(units)} matrix of joint probabilities, one row and column for each "
            f"sampled unit, got shape {matrix.shape}. Leave units out that are not in the data."
        )
    if not np.issubdtype(matrix.dtype, np.number):
        raise DesignError(f"pps: joint probabilities must be numbers, got {matrix.dtype}.")
    matrix = matrix.astype(float)
    _refuse_impossible(matrix, units)
    return matrix


def _in_order(given: pd.DataFrame, units: pd.Index) -> pd.DataFrame:
    for axis, labels in (("rows", given.index), ("columns", given.columns)):
        absent = [unit for unit in units if unit not in labels]
        if absent or labels.has_duplicates:
            told = f"lack {len(absent)} sampled units (first: {absent[:3]})" if absent else "name a unit twice"
            raise DesignError(
                f"pps: the {axis} of the joint probabilities {told}. Index rows and columns by the ids of the units."
            )
    return given.loc[list(units), list(units)]


def _refuse_impossible(matrix: Floats, units: pd.Index) -> None:
    single = np.diag(matrix)
    least = np.maximum(single[:, None] + single[None, :] - 1, 0)
    most = np.minimum(single[:, None], single[None, :])
    with np.errstate(invalid="ignore"):
        fine = (matrix > 0) & (matrix >= least - TOLERANCE) & (matrix <= most + TOLERANCE) & (single <= 1 + TOLERANCE)
        fine &= np.abs(matrix - matrix.T) <= TOLERANCE * most
    if fine.all():
        return
    i, j = (int(at[0]) for at in np.nonzero(~fine))
    names = units.tolist()
    raise DesignError(
        f"pps: {int((~fine).sum())} joint probabilities cannot be (first: units {names[i]!r} and {names[j]!r}, "
        f"{matrix[i, j]:.6g} with {single[i]:.6g} and {single[j]:.6g} alone). Each must be above 0, symmetric, at most "
        f"the smaller of the two probabilities and at least their sum less 1. Units that can never be drawn together "
        f"leave no unbiased variance: use pps='brewer' then.",
        failures=pd.DataFrame({"unit": units[np.unique(np.nonzero(~fine)[0])]}),
    )


def joint_form(matrix: Floats, variance: PairVariance) -> JointForm:
    """Return the quadratic form of joint probabilities, shape (n_units, n_units)."""
    single = np.diag(matrix)
    form = (matrix - np.outer(single, single)) / matrix
    np.fill_diagonal(form, 1 - single)
    form[np.abs(form) < np.finfo(float).eps * 8] = 0.0
    if variance == "yates_grundy":
        form[np.diag_indices_from(form)] -= form.sum(axis=1)
    return JointForm(form, 1 - single, variance)
