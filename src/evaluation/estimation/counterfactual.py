"""Means that two groups would have with one composition: estimate and influence, the one kernel for adjusted gaps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.balance_equations import Coefficients, beyond_the_other_side
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.tilts import (
    ESTIMANDS,
    Balancing,
    Estimand,
    Start,
    Tilt,
    fitted_propensity,
    observed_tilt,
    require_estimand,
    tilt_of,
)
from evaluation.regression.families import Family, curvature, inverse_link
from evaluation.regression.fitting import fit, mean_and_information
from evaluation.regression.model import CLEARLY_APART, Model, refuse_collinear

__all__ = [
    "ESTIMANDS",
    "WITH_OUTCOME_MODEL",
    "WITH_PROPENSITY",
    "Balancing",
    "Estimand",
    "GroupMeans",
    "Groups",
    "Method",
    "Tilt",
    "fitted_propensity",
    "groups_of",
    "observed_tilt",
    "potential_outcome_means",
    "tilt_of",
]

Floats = NDArray[np.float64]
Method = Literal["difference", "difference_from_all", "ipw", "g_computation", "regression_adjusted", "aipw", "ipwra"]

WITH_PROPENSITY = frozenset({"ipw", "aipw", "ipwra"})
WITH_OUTCOME_MODEL = frozenset({"g_computation", "regression_adjusted", "aipw", "ipwra"})


@dataclass(frozen=True, eq=False)
class GroupMeans:
    """Two means and how each respondent moves them.

    Attributes
    ----------
    mean : ndarray, shape (2,)
        Comparison group, participants.
    influence : ndarray, shape (n, 2)
        Derivative of the means in the final weights, estimated models included.
    balancing : ndarray, shape (n,)
        What each respondent's survey weight is multiplied by; ones where nothing is.
    tilt : Tilt
        The composition they were brought to.
    """

    mean: Floats
    influence: Floats
    balancing: Floats
    tilt: Tilt


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Predicted outcomes of everybody, (n,), their slope in a linear predictor, and what that depends on."""

    mean: Floats
    slope: Floats
    x: Floats
    behind: Coefficients

    def moved(self, values: Floats) -> Floats:
        """Return the derivative, in each respondent's weight, of ``values @ mean``, shape (n,)."""
        return self.behind.moved_along((values * self.slope) @ self.x)


def potential_outcome_means(
    groups: Groups,
    weights: Floats,
    method: Method,
    estimand: Estimand,
    tilt: Tilt | None = None,
    *,
    balancing: Balancing = "propensity",
    start: Start | None = None,
) -> GroupMeans:
    """Return the two groups' means at the composition of the estimand, with their influence.

    Parameters
    ----------
    groups : Groups
        From ``groups_of``.
    weights : ndarray, shape (n,)
        Survey weights, zero outside the domain.
    method : str
        ``difference`` (no adjustment), ``difference_from_all`` (participants against everybody), ``ipw``,
        ``g_computation`` (one outcome model per group), ``regression_adjusted`` (one outcome model with
        participation in it), ``aipw``, ``ipwra``.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}
        Target composition.
    tilt : Tilt, optional
        Of these weights, where the caller has it already, as it is or changed.
    balancing : {"propensity", "entropy", "cbps"}
        What makes the balancing weights of ``ipw``, ``aipw`` and ``ipwra``.
    start : pair of ndarray, optional
        ``Tilt.start`` of similar weights, from which the search begins.

    Notes
    -----
    With tilt :math:`h`, group weights :math:`W_a = 1[t=a] h / P(t=a|x)` and predictions :math:`m_a`:
    ``ipw`` :math:`\\sum w W_a y / \\sum w W_a`; models alone :math:`\\sum w h m_a / \\sum w h`; ``aipw`` the
    latter plus :math:`\\sum w W_a (y - m_a) / \\sum w W_a`; ``ipwra`` fits :math:`m_a` with :math:`w W_a`.
    The influence stacks the estimating equations of participation and outcome models with those of the means.
    """
    require_estimand(estimand)
    if tilt is None:
        tilt = (
            tilt_of(groups, weights, estimand, balancing, start)
            if method in WITH_PROPENSITY
            else observed_tilt(groups, estimand)
        )
    if method == "difference_from_all":
        tilt = replace(tilt, balancing=np.column_stack([groups.used, groups.members(1)]).astype(float))
    joint = _joint_fit(groups, weights) if method == "regression_adjusted" else None
    means, columns = np.empty(2), []
    for group in (0, 1):
        prediction = _prediction(groups, weights, method, tilt, group, joint)
        mean, z = 0.0, np.zeros(len(weights))
        if prediction is not None:
            mean, z = _tilted_mean(prediction, weights, tilt)
        if method in ("difference", "difference_from_all", "ipw", "aipw"):
            added, more = _weighted_residual(groups, prediction, weights, tilt, group)
            mean, z = mean + added, z + more
        means[group] = mean
        columns.append(z)
    factor = tilt.balancing.sum(axis=1) if method in WITH_PROPENSITY else np.ones(len(weights))
    return GroupMeans(means, np.column_stack(columns), factor, tilt)


def _tilted_mean(prediction: _Prediction, weights: Floats, tilt: Tilt) -> tuple[float, Floats]:
    size = float(weights @ tilt.share)
    mean = float((weights * tilt.share) @ prediction.mean) / size
    deviation = prediction.mean - mean
    z = tilt.share * deviation + prediction.moved(weights * tilt.share)
    if tilt.share_behind is not None:
        z += tilt.share_behind.moved(weights * tilt.slope * deviation)
    return mean, z / size


def _weighted_residual(
    groups: Groups, prediction: _Prediction | None, weights: Floats, tilt: Tilt, group: int
) -> tuple[float, Floats]:
    own, slope, behind = tilt.balancing[:, group], tilt.balancing_slope[:, group], tilt.behind[group]
    residual = groups.outcome if prediction is None else groups.outcome - prediction.mean
    size = float(weights @ own)
    mean = float((weights * own) @ residual) / size
    deviation = residual - mean
    z = own * deviation
    if behind is not None:
        z += behind.moved(weights * slope * deviation)
    if prediction is not None:
        z -= prediction.moved(weights * own)
    return mean, z / size


def _prediction(
    groups: Groups, weights: Floats, method: Method, tilt: Tilt, group: int, joint: Coefficients | None
) -> _Prediction | None:
    if method not in WITH_OUTCOME_MODEL:
        return None
    x = groups.participation.x
    if joint is not None:
        return _predicted(np.column_stack([x, group * groups.used]), joint, groups.family)
    own = groups.members(group)
    model = groups.participation.changed(np.where(own[:, None], x, 0.0), y=groups.outcome * own, used=own)
    balancing, slope, behind = own.astype(float), np.zeros(len(own)), tilt.behind[group]
    if method == "ipwra":
        balancing, slope = tilt.balancing[:, group], tilt.balancing_slope[:, group]
    values = _fitted(model, weights * balancing, groups, f"the outcome in the {groups.name_of(group)}")
    mean, information = mean_and_information(model, weights * balancing, values, groups.family)
    residual = np.where(own, model.y - mean, 0.0)
    through = (weights * slope * residual, behind) if method == "ipwra" and behind is not None else None
    fitted = Coefficients(values, x, balancing * residual, np.asarray(np.linalg.inv(information)), through)
    return _predicted(x, fitted, groups.family)


def _joint_fit(groups: Groups, weights: Floats) -> Coefficients:
    model = groups.participation
    x = np.column_stack([model.x, model.y])
    joint = model.changed(x, y=groups.outcome, terms=[*model.terms, "participation"])
    values = _fitted(joint, weights, groups, "the outcome")
    mean, information = mean_and_information(joint, weights, values, groups.family)
    residual = np.where(groups.used, joint.y - mean, 0.0)
    return Coefficients(values, x, residual, np.asarray(np.linalg.inv(information)))


def _fitted(model: Model, weights: Floats, groups: Groups, what: str) -> Floats:
    answers = model.y[model.used]
    if groups.family == "binomial" and np.ptp(answers) == 0:
        raise IdentificationError(
            f"{groups.verb}: model of {what}: all {len(answers)} answers are {answers[0]:g}, so a logistic model does "
            f"not exist. Use family='gaussian', or ev.ipw, which needs no outcome model."
        )
    try:
        if not _clearly_apart(model):
            refuse_collinear(model.x[model.used], model.terms)
        return fit(model, weights, groups.family)
    except IdentificationError as error:
        other = " Or use family='gaussian', which always exists." if "separates" in str(error) else ""
        rows = beyond_the_other_side(model, groups.source.data, str(error))
        raise type(error)(f"{groups.verb}: model of {what}: {error}{other}", failures=rows) from None
    except EstimationError as error:
        raise type(error)(f"{groups.verb}: model of {what}: {error}", failures=error.failures) from None


def _clearly_apart(model: Model) -> bool:
    """Tell whether no column is nearly made of those before it, by squares and products alone."""
    squares = model.matrix.gram(model.used.astype(float))
    norm = np.sqrt(np.diag(squares))
    if not (norm > 0).all() or model.used.sum() < len(model.terms):
        return False
    try:
        apart = np.diag(np.linalg.cholesky(squares / np.outer(norm, norm))) ** 2
    except np.linalg.LinAlgError:
        return False
    return bool(apart.min() > CLEARLY_APART)


def _predicted(x: Floats, behind: Coefficients, family: Family) -> _Prediction:
    mean = inverse_link(x @ behind.values, family)
    return _Prediction(mean, curvature(mean, family), x, behind)
