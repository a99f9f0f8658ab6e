"""Bounds of one difference at one Lambda, of groups that were read already: a row beside other estimates of them."""

from __future__ import annotations

import numpy as np

from evaluation.comparison.sensitivity.marginal_sensitivity import LARGEST, MarginalModel, bounds_of, fitted_odds
from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_number
from evaluation.estimation.groups import Groups
from evaluation.estimation.tilts import Estimand
from evaluation.results import Estimates


def bounds_at(
    design: Design,
    groups: Groups,
    lambda_: float,
    *,
    outcome: str,
    verb: str,
    estimand: Estimand = "ATT",
    conf_level: float = 0.95,
) -> Estimates:
    """Return the lower and the upper bound of a difference in the marginal sensitivity model, with their influence.

    Parameters
    ----------
    design : Design
        Its weights and variance.
    groups : Groups
        From ``groups_of``, with their outcome.
    lambda_ : float
        By which factor the odds of taking part may be off, 1 and above.
    outcome, verb : str
        For keys and messages.
    estimand, conf_level
        As in ``sensitivity_bounds``.

    Raises
    ------
    EstimationError
        Lambda is no number of 1 or more.
    IdentificationError
        The groups do not overlap.
    """
    require_number(lambda_, f"{verb}: lambda_")
    if not 1 <= lambda_ <= LARGEST:
        raise EstimationError(
            f"{verb}: lambda_ multiplies odds, so it is 1 or more (up to {LARGEST:g}), got {lambda_!r}. Nothing "
            f"unobserved is lambda_=1."
        )
    weights = design.domain_weights
    odds, behind = fitted_odds(groups, weights)
    members = (np.flatnonzero(groups.members(group)) for group in (0, 1))
    first, second = (rows[np.argsort(-groups.outcome[rows], kind="stable")] for rows in members)
    model = MarginalModel(groups, estimand, weights, odds, behind, (first, second))
    return bounds_of(design, model, [float(lambda_)], outcome, conf_level)
