"""Newton steps to the coefficients of a regression, and how each respondent moves them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.regression.families import LINKS, Family, Kind
from evaluation.regression.model import Model
from evaluation.regression.separation import refuse_separation

Floats = NDArray[np.float64]

#: Newton steps stop when the coefficients move by less than this, relative to their size.
TOLERANCE = 1e-9
MAXIMUM_STEPS = 100
#: After a step shorter than this, relative to the coefficients, the next one takes the same second derivative.
SHORT_STEP = 1e-4
#: From this step on, coefficients that still move are suspected of running away.
SUSPICIOUS_STEP = 12


def usual(family: Family) -> Kind:
    """Return a family with its usual link."""
    return Kind(family, LINKS[family][0])


def fit(model: Model, weights: Floats, family: Family, start: Floats | None = None) -> Floats:
    """Return the coefficients that solve the weighted score equations, shape (p,), sought from ``start``."""
    return solve(model, weights, usual(family), start)


def influence(model: Model, weights: Floats, coefficients: Floats, family: Family) -> Floats:
    """Return the coefficients' derivative in each respondent's weight, shape (n, p)."""
    mean, information = mean_and_information(model, weights, coefficients, family)
    return np.asarray(np.linalg.solve(information, (model.x * (model.y - mean)[:, None]).T).T)


def mean_and_information(model: Model, weights: Floats, coefficients: Floats, family: Family) -> tuple[Floats, Floats]:
    """Return the fitted means, shape (n,), and the information matrix, shape (p, p)."""
    kind = usual(family)
    mean = kind.mean(model.predictor(coefficients))
    return mean, model.matrix.gram(weights * kind.information(model.y, mean))


def solve(model: Model, weights: Floats, kind: Kind, start: Floats | None = None) -> Floats:
    """Return the coefficients that solve the weighted score equations, shape (p,), sought from ``start``.

    Raises
    ------
    IdentificationError
        Covariates are collinear, or one separates the outcome's levels.
    EstimationError
        The steps do not converge.
    """
    weights = np.where(model.used, weights, 0.0)
    return climb(
        lambda coefficients, known: _slopes(model, weights, kind, coefficients, known),
        first_coefficients(model, weights, kind) if start is None else start,
        lambda coefficients: refuse_separation(model, kind, coefficients),
        _mass(model, weights, kind),
    )


def _mass(model: Model, weights: Floats, kind: Kind) -> float:
    """Return the information on the linear predictor that respondents have at most, or nearly."""
    if kind.family == "gaussian":
        return float("inf")
    return float(weights @ np.maximum(model.y, 1.0) if kind.family == "poisson" else weights.sum())


def climb(
    slopes: Callable[[Floats, Floats | None], tuple[Floats, Floats]],
    start: Floats,
    suspect: Callable[[Floats], None],
    mass: float,
) -> Floats:
    """Return where a concave function has its maximum, shape (k,).

    Parameters
    ----------
    slopes : callable
        Gradient, shape (k,), NaN where the function does not exist, and minus its second derivative, shape (k, k),
        which is handed in again where steps have become so short that the last one will do.
    start : ndarray, shape (k,)
        Where it exists.
    suspect : callable
        Raises where coefficients that do not settle run away.
    mass : float
        Information on the linear predictor, by which a step's gain is made a mean square; infinite where it has units.

    Notes
    -----
    Steps end when they are short, in the coefficients and in the linear predictor. A step is halved until the slope
    along it is no steeper downhill at its end than it was uphill at its beginning.
    """
    here, before, move, climbed = start, start, np.zeros(len(start)), 0.0
    information, moved = np.eye(len(start)), np.inf
    for step in range(MAXIMUM_STEPS):
        short = moved < SHORT_STEP and climbed <= SHORT_STEP**2 * mass
        gradient, information = slopes(here, information if short else None)
        if step and not float(move @ gradient) >= -abs(climbed):
            if moved <= TOLERANCE:
                return before
            move, climbed = move / 2, climbed / 2
            here = before + move
            continue
        try:
            before, move = here, np.asarray(np.linalg.solve(information, gradient))
        except np.linalg.LinAlgError:
            suspect(here)
            raise IdentificationError("the information matrix is singular: covariates are collinear.") from None
        climbed = float(move @ gradient)
        here = before + move
        if not np.isfinite(here).all():
            break
        moved = float(np.max(np.abs(move), initial=0.0)) / max(1.0, float(np.max(np.abs(here), initial=0.0)))
        if moved <= TOLERANCE and climbed <= TOLERANCE**2 * mass:
            return here
        if step >= SUSPICIOUS_STEP and step % 6 == 0:
            suspect(here)
    raise EstimationError(
        f"the regression did not converge in {MAXIMUM_STEPS} steps; rescale covariates of very different size."
    )


def first_coefficients(model: Model, weights: Floats, kind: Kind) -> Floats:
    """Return coefficients from which Newton steps converge, shape (p,)."""
    p = len(model.terms)
    if kind.link in ("identity", "logit"):
        return np.zeros(p)
    y = np.where(model.used, model.y, 1.0)
    eta = kind.first_guess(y)
    mean = kind.mean(eta)
    working = weights * kind.information(y, mean)
    target = eta if model.offset is None else eta - model.offset
    information = model.matrix.gram(working)
    coefficients = np.asarray(np.linalg.lstsq(information, model.matrix.moments(working * target), rcond=None)[0])
    if kind.legitimate(model.predictor(coefficients)[model.used]) or "(Intercept)" not in model.terms:
        return coefficients
    level = float(weights.sum() / (weights @ model.y))
    return np.where(np.array(model.terms) == "(Intercept)", level, 0.0)


def _slopes(
    model: Model, weights: Floats, kind: Kind, coefficients: Floats, known: Floats | None
) -> tuple[Floats, Floats]:
    """Return the gradient, shape (p,), NaN where no means exist, and the information, shape (p, p), unless known."""
    p = len(coefficients)
    gradient, information = np.zeros(p), np.zeros((p, p))
    for rows, matrix in model.matrix.blocks():
        used, y = model.used[rows], model.y[rows]
        eta = matrix.times(coefficients)
        if model.offset is not None:
            eta += model.offset[rows]
        if not kind.legitimate(eta[used]):
            return np.full(p, np.nan), np.eye(p)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.where(used, kind.mean(eta), 1.0) if kind.family == "gamma" else kind.mean(eta)
            gradient += matrix.moments(weights[rows] * kind.score(y, mean))
            if known is None:
                information += matrix.gram(weights[rows] * kind.information(y, mean))
    return gradient, information if known is None else known
