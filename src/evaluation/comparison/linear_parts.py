"""One linear regression of two groups taken apart: what is left of outcome and participation beside the covariates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import IdentificationError
from evaluation.estimation.groups import Groups
from evaluation.regression.model import refuse_collinear

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Participation is told by the covariates where less than this share of its variance is left beside them.
NOTHING_LEFT = 1e-10
#: Times that residuals are taken, by which normal equations lose no digit.
REFINED = 2


@dataclass(frozen=True, eq=False)
class LinearParts:
    """Weighted least squares of an outcome on participation and covariates.

    Attributes
    ----------
    coefficient : float
        Of participation.
    participation, outcome : ndarray, shape (n,)
        Residuals of both on the covariates; zero where not used.
    residual : ndarray, shape (n,)
        Of the outcome on participation and covariates.
    left_of_participation, left_of_outcome, left : float
        Their weighted sums of squares, in this order.
    """

    coefficient: float
    participation: Floats
    outcome: Floats
    residual: Floats
    left_of_participation: float
    left_of_outcome: float
    left: float

    @property
    def movement(self) -> Floats:
        """Derivative of the coefficient in each respondent's weight, shape (n,)."""
        return self.participation * self.residual / self.left_of_participation

    @property
    def partial_r2(self) -> float:
        """Share of what the covariates leave of the outcome that participation explains."""
        return 1 - self.left / self.left_of_outcome

    @property
    def partial_r2_movement(self) -> Floats:
        """Derivative of the partial R2 in each respondent's weight, shape (n,)."""
        whole = self.left_of_outcome
        return self.left * self.outcome**2 / whole**2 - self.residual**2 / whole

    @property
    def ratio(self) -> float:
        """Standard deviation left of the outcome by participation and covariates, over that left of participation."""
        return float(np.sqrt(self.left / self.left_of_participation))


def linear_parts(groups: Groups, weights: Floats, kept: Mask | None = None, *, verb: str) -> LinearParts:
    """Fit the regression, with all columns of the covariates or those that are ``kept``, shape (p,).

    Raises
    ------
    IdentificationError
        The covariates tell who takes part, are collinear, or the regression leaves nothing of the outcome.
    """
    x = groups.participation.x if kept is None else groups.participation.x[:, kept]
    if kept is None:
        refuse_collinear(x[groups.used], groups.participation.terms)
    mass = np.where(groups.used, weights, 0.0)
    d, y = (residual_of(column, x, mass) for column in (groups.participation.y, groups.outcome))
    d, y = np.where(groups.used, d, 0.0), np.where(groups.used, y, 0.0)
    left_d, left_y = float(mass @ d**2), float(mass @ y**2)
    if not left_d > NOTHING_LEFT * float(mass @ groups.participation.y):
        raise IdentificationError(
            f"{verb}: the covariates tell exactly who takes part, so nothing of participation is left to explain an "
            f"answer. Leave out the covariate that does so."
        )
    coefficient = float((mass * d) @ y) / left_d
    residual = y - coefficient * d
    left = float(mass @ residual**2)
    if not left > NOTHING_LEFT * left_y:
        raise IdentificationError(
            f"{verb}: participation and covariates explain the outcome completely, so nothing unobserved can move it. "
            f"Is the outcome one of the covariates in other words?"
        )
    return LinearParts(coefficient, d, y, residual, left_d, left_y, left)


def residual_of(column: Floats, x: Floats, weights: Floats) -> Floats:
    """Return what weighted least squares on ``x`` leaves of a column, shape (n,)."""
    weighted = x * weights[:, None]
    gram, left = x.T @ weighted, column
    for _ in range(REFINED):
        left = left - x @ np.linalg.solve(gram, weighted.T @ left)
    return np.asarray(left)


def shares_of(groups: Groups, weights: Floats, parts: LinearParts, columns: Mapping[str, Mask]) -> list[Floats]:
    """Return for each covariate its partial R2 with participation and with the outcome, both beside all others.

    Parameters
    ----------
    groups : Groups
    weights : ndarray, shape (n,)
    parts : LinearParts
        Of these groups and weights, with all covariates.
    columns : mapping of name to ndarray of bool, shape (p,)
        Which columns of the model matrix each covariate stands behind.

    Notes
    -----
    Left out, columns J add :math:`b_J' (G^{-1})_{JJ}^{-1} b_J` to the residual sum of squares, with their coefficients
    b and the Gram matrix G; so no two sums that are nearly the same are subtracted.
    """
    mass = np.where(groups.used, weights, 0.0)
    d, x = groups.participation.y, groups.participation.x
    pairs = (
        (x, d, parts.left_of_participation),
        (np.column_stack([x, d]), groups.outcome, parts.left),
    )
    found = [np.zeros(2) for _ in columns]
    for place, (matrix, column, left) in enumerate(pairs):
        weighted = matrix * mass[:, None]
        inverse = np.linalg.inv(matrix.T @ weighted)
        coefficients = inverse @ (weighted.T @ column)
        for row, own in zip(found, columns.values(), strict=True):
            at = np.flatnonzero(own)
            added = float(coefficients[at] @ np.linalg.solve(inverse[np.ix_(at, at)], coefficients[at]))
            row[place] = added / (left + added)
    return found
