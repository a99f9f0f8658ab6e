"""Fits of regressions with absorbed effects: linear at once, Poisson and logit by weighted steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError, IdentificationError
from evaluation.impact.absorbed.fixed_effects import (
    Regression,
    Solved,
    coefficients_of,
    own_variation,
    part_of,
    solve,
    swept,
)
from evaluation.regression.families import Kind

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Steps end when no linear predictor moves by more than this, and at the latest after so many.
MOVES, STEPS = 1e-11, 60
#: Beyond this a linear predictor runs off to infinity.
FAR = 30.0
KINDS = {"poisson": Kind("poisson", "log"), "binomial": Kind("binomial", "logit")}


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fit.

    Attributes
    ----------
    regression : Regression
        Rows that take part; with working outcome and weights where the family is not gaussian.
    solved : Solved
    told : dict
        What the fit says of itself: ``deviance``, ``n_steps``, ``n_separated`` and ``separated`` by effect.
    """

    regression: Regression
    solved: Solved
    told: dict[str, Any] = field(default_factory=dict)


def fit(regression: Regression) -> Fitted:
    """Fit a regression of any family.

    Raises
    ------
    IdentificationError
        A column is not identified, or columns separate the outcome's levels.
    EstimationError
        The steps do not converge, or no row is left.
    """
    if regression.family == "gaussian":
        return Fitted(regression, solve(regression))
    kept, separated = informative(regression)
    if not kept.any():
        raise EstimationError(
            f"outcome '{regression.outcome}' does not vary within any level of {regression.described_effects()}, so "
            f"nothing is left to explain. Take fewer effects."
        )
    whole = regression if kept.all() else part_of(regression, kept)
    working, n_steps, deviance = _stepped(whole, tolerant=False)
    told = {"deviance": deviance, "n_steps": n_steps, "n_separated": int((~kept).sum()), "separated": separated}
    return Fitted(working, solve(working), told)


def informative(regression: Regression) -> tuple[Mask, dict[str, int]]:
    """Return the rows of levels in which the outcome varies, and how many levels of each effect are left out.

    A level whose outcomes are all zero (or, of a logit, all one) has an infinite effect: it says nothing of the
    coefficients. Leaving rows out may leave others alone, so this is repeated.
    """
    y, kept, lost = (
        regression.columns[0],
        np.ones(len(regression.rows), dtype=bool),
        dict.fromkeys(regression.absorbed, 0),
    )
    certain = [y == 0] + ([y == 1] if regression.family == "binomial" else [])
    again = True
    while again:
        again = False
        for role in regression.absorbed:
            code, n_levels = regression.levels[role], len(regression.labels[role])
            rows = mass_by(code, n_levels, kept.astype(float))
            gone = np.zeros(n_levels, dtype=bool)
            for each in certain:
                gone |= (mass_by(code, n_levels, (kept & each).astype(float)) == rows) & (rows > 0)
            if gone.any():
                again, lost[role] = True, lost[role] + int(gone.sum())
                kept &= ~gone[code]
    return kept, {regression.names[role]: number for role, number in lost.items() if number}


def _stepped(regression: Regression, *, tolerant: bool) -> tuple[Regression, int, float]:
    """Return the regression with the working outcome and weights of the last step, the steps, and the deviance."""
    kind, y, prior = KINDS[regression.family], regression.columns[0].copy(), regression.weights
    columns = regression.columns.copy()
    working = replace(regression, columns=columns, prior=prior, response=y)
    eta = _first_predictor(regression) if regression.predictor is None else regression.predictor
    mean = kind.mean(eta)
    step = 0
    for step in range(1, STEPS + 1):  # noqa: B007 - the number of steps is told
        slope = np.maximum(kind.slope(mean), 1e-14)
        columns[0] = eta + (y - mean) / slope
        working = replace(working, weights=prior * slope)
        residual = _tolerant_residual(working) if tolerant else solve(working).residual
        new = columns[0] - residual
        moved = float(np.abs(new - eta).max())
        eta = np.clip(new, -FAR, FAR)
        mean = kind.mean(eta)
        if moved <= MOVES * max(1.0, float(np.abs(eta).max())):
            break
    else:
        if not tolerant:
            _refuse_runaway(regression, eta)
    slope = np.maximum(kind.slope(mean), 1e-14)
    columns[0] = eta + (y - mean) / slope
    last = replace(working, weights=prior * slope, predictor=eta)
    return last, step, float(prior @ kind.deviance(y, mean))


def _first_predictor(regression: Regression) -> Floats:
    y, prior = regression.columns[0], regression.weights
    if regression.family == "poisson":
        return np.asarray(np.log((y + (prior @ y) / prior.sum()) / 2))
    mean = (y + 0.5) / 2
    return np.asarray(np.log(mean / (1 - mean)))


def _tolerant_residual(working: Regression) -> Floats:
    _, within, gram = swept(working, working.weights)
    coefficients = coefficients_of(gram, np.sqrt(np.diag(gram)[1:]))
    return np.asarray(within[0] - np.nan_to_num(coefficients) @ within[1:])


def _refuse_runaway(regression: Regression, eta: Floats) -> None:
    far = float(np.abs(eta).max())
    if far >= FAR - 1:
        raise IdentificationError(
            f"the {regression.family} regression of '{regression.outcome}' has no finite coefficients: "
            f"{', '.join(regression.terms)} with {regression.described_effects()} tell some outcomes for certain. "
            f"Leave out the column that does, or merge its levels."
        )
    raise EstimationError(
        f"the {regression.family} regression of '{regression.outcome}' did not converge in {STEPS} steps. Scale the "
        f"columns, or take fewer effects."
    )


def refitted(regression: Regression, weights: Floats) -> Floats:
    """Return the coefficients under other final weights of all respondents, shape (k,); NaN where one does not exist.

    Parameters
    ----------
    regression : Regression
        As fitted.
    weights : ndarray, shape (n of the design,)
        Zeros among them.
    """
    own = weights[regression.rows] * (1.0 if regression.multiplier is None else regression.multiplier)
    kept = own != 0
    if not kept.any():
        return np.full(len(regression.terms), np.nan)
    return fitted_again(regression, None, kept, own[kept])


def fitted_again(
    regression: Regression, regressors: Floats | None, kept: Mask | None = None, weights: Floats | None = None
) -> Floats:
    """Return the coefficients of other regressors, or of some rows under other weights; NaN where one does not exist.

    Parameters
    ----------
    regression : Regression
        As fitted.
    regressors : ndarray, shape (k, n), or None
        None for its own.
    kept : ndarray of bool, shape (n,), optional
    weights : ndarray, shape (number kept,), optional
        Default those before working weights.
    """
    plain, gaussian = regression, regression.family == "gaussian"
    if not gaussian or regressors is not None:
        response = regression.columns[0] if regression.response is None else regression.response
        prior = regression.weights if regression.prior is None else regression.prior
        columns = np.vstack([response[None, :], regression.columns[1:] if regressors is None else regressors])
        plain = replace(regression, columns=columns, weights=prior, prior=None, response=None)
    part = plain if kept is None else part_of(plain, kept, weights)
    if gaussian:
        return _determined(part)
    there, _ = informative(part)
    if not there.any():
        return np.full(len(regression.terms), np.nan)
    working, _, _ = _stepped(part_of(part, there), tolerant=True)
    return _determined(working)


def _determined(regression: Regression) -> Floats:
    _, _, gram = swept(regression, regression.weights)
    own = own_variation(regression.columns[1:], regression.weights)
    return coefficients_of(gram, np.sqrt(np.where(own > 0, own, 1.0)))
