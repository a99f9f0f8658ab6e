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
    Target,
    Tilt,
    at_observed_target,
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
Codes = NDArray[np.int64]
Method = Literal["difference", "difference_from_all", "ipw", "g_computation", "regression_adjusted", "aipw", "ipwra"]

WITH_PROPENSITY = frozenset({"ipw", "aipw", "ipwra"})
DOUBLY_ROBUST = frozenset({"aipw", "ipwra"})
WITH_OUTCOME_MODEL = frozenset({"g_computation", "regression_adjusted", "aipw", "ipwra"})
#: Whose means are, or are completed by, weighted means of what each group itself answered.
WITH_RESIDUALS = frozenset({"difference", "difference_from_all", "ipw", "aipw"})


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
    outcome_models : pair of ndarray or None
        Coefficients of the comparison group's and of the participants' outcome model.
    """

    mean: Floats
    influence: Floats
    balancing: Floats
    tilt: Tilt
    outcome_models: tuple[Floats | None, Floats | None] = (None, None)


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
    target: Target = "observed",
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
    target : {"observed", "fitted"}
        Of ``aipw`` and ``ipwra`` for "ATT" and "ATC": predictions are averaged over the group whose composition it is,
        or over everybody by the fitted propensity score.
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
    if method in DOUBLY_ROBUST and target == "observed":
        tilt = at_observed_target(groups, tilt, estimand)
    if method == "difference_from_all":
        tilt = replace(tilt, balancing=np.column_stack([groups.used, groups.members(1)]).astype(float))
    joint = _joint_fit(groups, weights) if method == "regression_adjusted" else None
    means, columns, models = np.empty(2), [], []
    for group in (0, 1):
        prediction = _prediction(groups, weights, method, tilt, group, joint)
        mean, z = 0.0, np.zeros(len(weights))
        if prediction is not None:
            mean, z = _tilted_mean(prediction, weights, tilt)
        if method in WITH_RESIDUALS:
            added, more = _weighted_residual(groups, prediction, weights, tilt, group)
            mean, z = mean + added, z + more
        means[group] = mean
        columns.append(z)
        models.append(None if prediction is None else prediction.behind.values)
    factor = tilt.balancing.sum(axis=1) if method in WITH_PROPENSITY else np.ones(len(weights))
    return GroupMeans(means, np.column_stack(columns), factor, tilt, (models[0], models[1]))


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
    own, model = arm_of(groups, group)
    behind, is_weighted = tilt.behind[group], method == "ipwra"
    mass = weights[own] * tilt.balancing[own, group] if is_weighted else weights[own]
    values = _fitted(model, mass, groups, f"the outcome in the {groups.name_of(group)}", own)
    mean, information = mean_and_information(model, mass, values, groups.family)
    residual = np.zeros(len(weights))
    residual[own] = model.y - mean
    through = None
    if is_weighted and behind is not None:
        through = (weights * tilt.balancing_slope[:, group] * residual, behind)
    score = tilt.balancing[:, group] * residual if is_weighted else residual
    fitted = Coefficients(values, x, score, np.asarray(np.linalg.inv(information)), through)
    return _predicted(x, fitted, groups.family)


def arm_of(groups: Groups, group: int) -> tuple[Codes, Model]:
    """Return the rows of a group, shape (m,), and the regression of the outcome among them, on m rows."""
    whole = groups.participation
    own = np.flatnonzero(groups.members(group))
    x = np.empty((len(own), whole.x.shape[1]), order="F")
    for place, column in enumerate(whole.x.T):
        x[:, place] = column[own]
    return own, whole.changed(x, y=groups.outcome[own], used=np.ones(len(own), dtype=bool))


def joint_model(groups: Groups) -> Model:
    """Return one regression of the outcome with participation as its last column, on n rows."""
    model = groups.participation
    x = np.empty((len(model.y), len(model.terms) + 1), order="F")
    x[:, :-1], x[:, -1] = model.x, model.y
    return model.changed(x, y=groups.outcome, terms=[*model.terms, "participation"])


def _joint_fit(groups: Groups, weights: Floats) -> Coefficients:
    joint = joint_model(groups)
    values = _fitted(joint, weights, groups, "the outcome", np.arange(len(weights)))
    mean, information = mean_and_information(joint, weights, values, groups.family)
    residual = np.where(groups.used, joint.y - mean, 0.0)
    return Coefficients(values, joint.x, residual, np.asarray(np.linalg.inv(information)))


def _fitted(model: Model, weights: Floats, groups: Groups, what: str, rows: Codes) -> Floats:
    """Fit an outcome model to some ``rows`` of the data; its errors say which group's it is, and who separates it."""
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
        beyond = beyond_the_other_side(model, groups.source.data.iloc[rows], str(error))
        raise type(error)(f"{groups.verb}: model of {what}: {error}{other}", failures=beyond) from None
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
