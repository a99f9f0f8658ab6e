"""Two groups' means under other weights: every model fitted again, from where it ended with the weights at hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from evaluation.estimation.balance_equations import Coefficients, told
from evaluation.estimation.counterfactual import (
    DOUBLY_ROBUST,
    WITH_OUTCOME_MODEL,
    WITH_PROPENSITY,
    WITH_RESIDUALS,
    GroupMeans,
    Method,
    arm_of,
    joint_model,
)
from evaluation.estimation.groups import Groups
from evaluation.estimation.tilts import Balancing, Estimand, Target, Tilt, at_observed_target, propensity_tilt, tilt_of
from evaluation.regression.families import inverse_link
from evaluation.regression.fitting import fit

Floats = NDArray[np.float64]


def refitted_means(
    groups: Groups,
    made: GroupMeans,
    method: Method,
    estimand: Estimand,
    balancing: Balancing,
    target: Target = "observed",
) -> Callable[[Floats], Floats]:
    """Return what makes both means, shape (2,), of other weights, shape (n,).

    Parameters
    ----------
    groups : Groups
    made : GroupMeans
        With the weights of the full sample; its coefficients are where each fit starts.
    method, estimand, balancing, target
        As in ``potential_outcome_means``, whose means these are. Influence, which replicates have no use for, is left
        out, and model matrices of the groups are laid out once for all replicates.
    """
    predictions = _predictions(groups, made, method)

    def means(weights: Floats) -> Floats:
        tilt = _tilt(groups, made, method, estimand, balancing, weights)
        if method in DOUBLY_ROBUST and target == "observed":
            tilt = at_observed_target(groups, tilt, estimand)
        found = np.zeros(2)
        mass = weights * tilt.share
        for group, predicted in enumerate(predictions(weights, tilt)):
            residual = groups.outcome if predicted is None else groups.outcome - predicted
            if predicted is not None:
                found[group] += mass @ predicted / mass.sum()
            if method in WITH_RESIDUALS:
                own = weights * tilt.balancing[:, group]
                found[group] += own @ residual / own.sum()
        return found

    return means


def _tilt(
    groups: Groups, made: GroupMeans, method: Method, estimand: Estimand, balancing: Balancing, weights: Floats
) -> Tilt:
    start = made.tilt.start
    if method not in WITH_PROPENSITY:
        return made.tilt
    if balancing != "propensity":
        return tilt_of(groups, weights, estimand, balancing, start)
    model = groups.participation
    values = told(groups, lambda: fit(model, weights, "binomial", start[0]))
    unknown = np.zeros(0)
    return propensity_tilt(groups, Coefficients(values, model.x, unknown, unknown), estimand)


Predictions = Callable[[Floats, Tilt], tuple[Floats | None, Floats | None]]


def _predictions(groups: Groups, made: GroupMeans, method: Method) -> Predictions:
    """Return what predicts everybody's outcome in the comparison group and among participants, (n,) each."""
    family, x, (first, second) = groups.family, groups.participation.x, made.outcome_models
    if method not in WITH_OUTCOME_MODEL:
        return lambda weights, tilt: (None, None)
    if method == "regression_adjusted":
        joint, used = joint_model(groups), groups.used.astype(float)

        def together(weights: Floats, tilt: Tilt) -> tuple[Floats, Floats]:
            values = fit(joint, weights, family, first)
            others = x @ values[:-1]
            return inverse_link(others, family), inverse_link(others + used * values[-1], family)

        return together
    arms = [(group, *arm_of(groups, group), start) for group, start in enumerate((first, second))]

    def apart(weights: Floats, tilt: Tilt) -> tuple[Floats, Floats]:
        found = []
        for group, own, model, start in arms:
            mass = weights[own] * tilt.balancing[own, group] if method == "ipwra" else weights[own]
            found.append(inverse_link(x @ fit(model, mass, family, start), family))
        return found[0], found[1]

    return apart
