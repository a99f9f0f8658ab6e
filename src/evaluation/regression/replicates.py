"""Regressions refitted on every replicate, also on those that separate the outcome."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design, each_replicate
from evaluation.errors import IdentificationError, ReplicateWarning, SeparationError
from evaluation.regression.families import Kind
from evaluation.regression.fitting import MAXIMUM_STEPS, solve
from evaluation.regression.model import Model

Floats = NDArray[np.float64]

#: Log odds beyond which chances are held at what double precision tells from 0 and 1.
HELD = 30.0
PRECISION = float(np.finfo(float).eps)
#: Runaway coefficients are left where the deviance changes by less than this, relative to itself.
FLAT = 1e-14


def refit_replicates(design: Design, model: Model, kind: Kind, coefficients: Floats) -> Floats:
    """Return the coefficients of each replicate and, last, of the full sample, shape (R + 1, p).

    A replicate in which a covariate separates the outcome has no estimate: its coefficients run away. They are left
    where the likelihood stops rising, as R does, so that the standard error shows how little is known; a
    ReplicateWarning tells.
    """
    separated: list[str] = []

    def refit(weights: Floats) -> Floats:
        try:
            return solve(model, weights, kind, coefficients)
        except SeparationError as error:
            if kind.link != "logit":
                raise
            separated.append(str(error).split(" separates")[0])
            return flat_coefficients(model, weights, kind, coefficients)

    found = each_replicate(design, refit)
    if separated:
        warnings.warn(
            f"in {len(separated)} of {len(found) - 1} replicates {', '.join(sorted(set(separated)))} separates the "
            f"outcome's levels, so its coefficient has no bound there and its standard error is a matter of when the "
            f"search stops. Merge its levels, or take linearized errors.",
            ReplicateWarning,
            stacklevel=4,
        )
    return found


def flat_coefficients(model: Model, weights: Floats, kind: Kind, start: Floats) -> Floats:
    """Return coefficients of a separated logistic regression where the deviance no longer changes, shape (p,).

    Notes
    -----
    Newton steps from ``start``, weights summing to one, until the deviance changes by less than 1e-14 of itself plus
    a tenth. Beyond log odds of 30 chances are held at what double precision tells from 0 and 1. R twin: ``glm.fit``
    with ``glm.control(epsilon = 1e-14)``.
    """
    weights = np.where(model.used, weights, 0.0)
    weights = weights / weights.sum()
    coefficients, before = start, np.inf
    for _ in range(2 * MAXIMUM_STEPS):
        eta = model.predictor(coefficients)
        mean, slope = _held(eta)
        deviance = float(weights @ kind.deviance(model.y, mean))
        if abs(deviance - before) < FLAT * (abs(deviance) + 0.1):
            return coefficients
        gradient = model.matrix.moments(weights * (model.y - mean))
        try:
            coefficients = coefficients + np.linalg.solve(model.matrix.gram(weights * slope), gradient)
        except np.linalg.LinAlgError:
            raise IdentificationError("the information matrix of a replicate is singular.") from None
        before = deviance
    return coefficients


def _held(eta: Floats) -> tuple[Floats, Floats]:
    """Return chances and their slope in the log odds, both held where they can no longer be told from certainty."""
    odds = np.exp(np.clip(eta, -HELD, HELD))
    odds = np.where(eta > HELD, 1 / PRECISION, np.where(eta < -HELD, PRECISION, odds))
    return odds / (1 + odds), np.where(np.abs(eta) > HELD, PRECISION, odds / (1 + odds) ** 2)
