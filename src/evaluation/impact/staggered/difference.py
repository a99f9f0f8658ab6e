"""One group-time effect on arrays: estimate and influence under outcome models, propensity weights, or both."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from evaluation.errors import EstimationError, IdentificationError
from evaluation.regression.families import inverse_link
from evaluation.regression.fitting import fit
from evaluation.regression.matrix import Dense
from evaluation.regression.model import Model

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Estimator = Literal["dr", "ipw", "reg"]

ESTIMATORS = ("dr", "ipw", "reg")
#: Directions of the covariates with less than this share of the largest information are not there.
RANK = 1e-11
#: A prediction reaches outside what was observed where this much of a covariate row is not explained.
REACH = 1e-6

#: Odds beyond this tell that covariates separate the groups.
LARGEST_LOG_ODDS = 30

NO_OVERLAP = "no_overlap"
NO_MODEL = "no_model"
NOBODY = "no_answers"


class CellError(IdentificationError):
    """One group-time effect does not exist for these weights; ``reason`` is a code that ``wording`` knows."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, eq=False)
class Comparison:
    """Those treated and those they are compared with, in rows that share covariates, group and period.

    Attributes
    ----------
    weight : ndarray, shape (J,)
        Sum of weights, positive.
    outcome : ndarray, shape (J,)
        Weighted mean outcome; of a panel, of its change.
    treated : ndarray of bool, shape (J,)
        False for comparison.
    after : ndarray of bool, shape (J,), or None
        Period; None for a panel, whose outcome is a change.
    x : ndarray, shape (J, p)
        Covariates, the first column constant.
    """

    weight: Floats
    outcome: Floats
    treated: Mask
    after: Mask | None
    x: Floats

    def periods(self) -> list[tuple[float, Mask]]:
        """Return sign and rows of the later and the earlier period, or of the change."""
        if self.after is None:
            return [(1.0, np.ones(len(self.weight), dtype=bool))]
        return [(1.0, self.after), (-1.0, ~self.after)]


@dataclass(frozen=True, eq=False)
class Effect:
    """An effect and how it moves with the weight of a respondent in row j who answered y: by ``constant + slope y``.

    ``log_odds`` are the coefficients of the propensity, where there is one; ``dropped`` are places of covariates that
    combine others among those compared.
    """

    estimate: float
    constant: Floats
    slope: Floats
    log_odds: Floats | None = None
    dropped: tuple[int, ...] = ()


def effect(
    comparison: Comparison, estimator: Estimator, *, with_influence: bool = True, start: Floats | None = None
) -> Effect:
    """Return the average effect on the treated between two periods.

    Parameters
    ----------
    comparison : Comparison
    estimator : {"dr", "ipw", "reg"}
        Doubly robust, inverse-probability weighted (Hajek), or outcome regression.
    with_influence : bool, default True
        False skips the influence (zeros).
    start : ndarray, shape (p,), optional
        Coefficients near those of the propensity.

    Raises
    ------
    CellError
        A group is empty in a period, a covariate separates the groups, or the comparison group's answers do not
        reach the covariates of the treated.

    Notes
    -----
    For arm a and period s let :math:`m_{as}` be the weighted least squares prediction, :math:`r_{1s}=D 1[s]`,
    :math:`r_{0s}=(1-D) 1[s] e/(1-e)`, and :math:`\\bar z(r)=\\sum w r z/\\sum w r`. The value of an arm is ``ipw``
    :math:`\\bar y(r_{as})`; ``reg`` :math:`\\bar y(r_{1s})` and :math:`\\bar m_{0s}(D)`; ``dr``
    :math:`\\bar m_{as}(D) + \\overline{(y - m_{as})}(r_{as})`. The effect is the treated arm less the other, later
    less earlier period. Influence stacks the estimating equations of means, regressions and logit.

    References
    ----------
    Sant'Anna and Zhao (2020), Journal of Econometrics 219, 101-122, equations 2.1-2.6, 3.1 and 3.4.
    """
    for _, inside in comparison.periods():
        if not (inside & comparison.treated).any() or not (inside & ~comparison.treated).any():
            raise CellError(NOBODY)
    comparison, dropped = _without_redundant(comparison)
    tally = _Tally(comparison, with_influence)
    propensity = None if estimator == "reg" else _propensity(comparison, start)
    for sign, inside in comparison.periods():
        _add_treated(tally, sign, inside, estimator)
        _add_comparison(tally, -sign, inside, estimator, propensity)
    log_odds = None if propensity is None else propensity.coefficients
    return Effect(tally.estimate, tally.constant, tally.slope, log_odds, dropped)


def _without_redundant(comparison: Comparison) -> tuple[Comparison, tuple[int, ...]]:
    """Drop covariate columns that are combinations of others among those compared, which changes no prediction."""
    x = comparison.x
    if x.shape[1] == 1:
        return comparison, ()
    gram = x.T @ x
    size = np.linalg.eigvalsh(gram)
    if size[0] > RANK * size[-1]:
        return comparison, ()
    triangle, order = linalg.qr(x, mode="r", pivoting=True)
    diagonal = np.abs(np.diag(triangle))
    kept = np.sort(order[: int((diagonal > 1e-9 * diagonal[0]).sum())])
    apart = np.abs(np.diag(np.linalg.qr(x, mode="r")))
    first = np.flatnonzero(apart > 1e-9 * np.linalg.norm(x, axis=0))
    if len(first) == len(kept):
        kept = first
    dropped = tuple(int(j) for j in np.setdiff1d(np.arange(x.shape[1]), kept))
    return replace(comparison, x=np.ascontiguousarray(x[:, kept])), dropped


@dataclass(frozen=True, eq=False)
class _Propensity:
    """Coefficients of the log odds, (p,), the odds, (J,), and treatment less its probability, (J,)."""

    coefficients: Floats
    odds: Floats
    residual: Floats

    def movement(self, comparison: Comparison, direction: Floats) -> Floats:
        """Return the influence of the coefficients, shape (J, p), times a direction, shape (p,)."""
        chance = self.odds / (1 + self.odds)
        information = comparison.x.T @ ((comparison.weight * chance * (1 - chance))[:, None] * comparison.x)
        return np.asarray(self.residual * (comparison.x @ np.linalg.solve(information, direction)))


def _propensity(comparison: Comparison, start: Floats | None) -> _Propensity:
    x, weight, d = comparison.x, comparison.weight, comparison.treated.astype(float)
    if start is not None and len(start) != x.shape[1]:
        start = None
    model = Model(Dense(x), d, np.ones(len(d), dtype=bool), [str(j) for j in range(x.shape[1])], "", "")
    try:
        coefficients = fit(model, weight / weight.mean(), "binomial", start)
    except (IdentificationError, EstimationError):
        raise CellError(NO_OVERLAP) from None
    log_odds = x @ coefficients
    e = inverse_link(log_odds, "binomial")
    if log_odds.max() > LARGEST_LOG_ODDS or not (e < 1).all():
        raise CellError(NO_OVERLAP)
    return _Propensity(coefficients, np.exp(log_odds), d - e)


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Predicted outcomes, (J,), from the rows in ``fitted``, and the inverse information, (p, p)."""

    mean: Floats
    fitted: Mask
    inverse: Floats


def _prediction(comparison: Comparison, fitted: Mask, needed: Mask) -> _Prediction:
    x, weight = comparison.x[fitted], comparison.weight[fitted]
    weighted = weight[:, None] * x
    size, direction = np.linalg.eigh(x.T @ weighted)
    there = size > RANK * size[-1]
    known = direction[:, there]
    inverse = (known / size[there]) @ known.T
    if not there.all():
        rows = comparison.x[needed]
        if np.abs(rows - (rows @ known) @ known.T).max() > REACH * max(1.0, float(np.abs(rows).max())):
            raise CellError(NO_MODEL)
    coefficients = inverse @ (weighted.T @ comparison.outcome[fitted])
    return _Prediction(comparison.x @ coefficients, fitted, inverse)


@dataclass(eq=False)
class _Tally:
    """Sums signed means and their influence."""

    comparison: Comparison
    with_influence: bool
    estimate: float = 0.0
    constant: Floats = field(init=False)
    slope: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.constant = np.zeros(len(self.comparison.weight))
        self.slope = np.zeros(len(self.comparison.weight))

    def add_mean(
        self, sign: float, share: Floats, prediction: _Prediction | None = None, through: _Propensity | None = None
    ) -> None:
        """Add the mean of outcomes, or of their residuals, weighted by ``share``."""
        at, x = self.comparison, self.comparison.x
        weighted = at.weight * share
        size = float(weighted.sum())
        residual = at.outcome if prediction is None else at.outcome - prediction.mean
        mean = float(weighted @ residual) / size
        self.estimate += sign * mean
        if not self.with_influence:
            return
        self.constant -= sign * share * mean / size
        self.slope += sign * share / size
        if prediction is not None:
            self.constant -= sign * share * prediction.mean / size
            self._move(-sign, weighted @ x / size, prediction)
        if through is not None:
            self.constant += sign * through.movement(at, (weighted * (residual - mean)) @ x / size)

    def add_prediction(self, sign: float, prediction: _Prediction) -> None:
        """Add the mean prediction over the treated of both periods."""
        at = self.comparison
        weighted = at.weight * at.treated
        size = float(weighted.sum())
        mean = float(weighted @ prediction.mean) / size
        self.estimate += sign * mean
        if self.with_influence:
            self.constant += sign * at.treated * (prediction.mean - mean) / size
            self._move(sign, weighted @ at.x / size, prediction)

    def _move(self, sign: float, direction: Floats, prediction: _Prediction) -> None:
        lever = sign * prediction.fitted * (self.comparison.x @ (prediction.inverse @ direction))
        self.slope += lever
        self.constant -= lever * prediction.mean


def _add_treated(tally: _Tally, sign: float, inside: Mask, estimator: Estimator) -> None:
    at = tally.comparison
    own = at.treated & inside
    if estimator == "dr" and at.after is not None:
        prediction = _prediction(at, own, at.treated)
        tally.add_prediction(sign, prediction)
        tally.add_mean(sign, own.astype(float), prediction)
    else:
        tally.add_mean(sign, own.astype(float))


def _add_comparison(
    tally: _Tally, sign: float, inside: Mask, estimator: Estimator, propensity: _Propensity | None
) -> None:
    at = tally.comparison
    own = ~at.treated & inside
    prediction = None
    if estimator != "ipw":
        prediction = _prediction(at, own, at.treated)
        tally.add_prediction(sign, prediction)
    if propensity is not None:
        tally.add_mean(sign, own * propensity.odds, prediction, propensity)
