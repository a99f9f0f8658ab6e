"""Means that two groups would have with one composition: estimate and influence, the one kernel for adjusted gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.families import Family, curvature, inverse_link
from evaluation.regression.fitting import fit, influence, mean_and_information
from evaluation.regression.formula import variables_of
from evaluation.regression.model import Model, read_model, read_outcome, refuse_collinear
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Estimand = Literal["ATT", "ATE", "ATC", "ATO"]
Method = Literal["difference", "difference_from_all", "ipw", "g_computation", "regression_adjusted", "aipw", "ipwra"]

ESTIMANDS = ("ATT", "ATE", "ATC", "ATO")
WITH_PROPENSITY = frozenset({"ipw", "aipw", "ipwra"})
WITH_OUTCOME_MODEL = frozenset({"g_computation", "regression_adjusted", "aipw", "ipwra"})


@dataclass(frozen=True, eq=False)
class Groups:
    """Participants and others, with what they answered and what they are like.

    Attributes
    ----------
    participation : Model
        Model matrix of the covariates, shape (n, p), standardised, and participation as its outcome.
    outcome : ndarray, shape (n,)
        Zero where not used.
    family : {"gaussian", "binomial"}
        Of the outcome models.
    levels : tuple of str
        Value of the treatment column among others, and among participants.
    n_left_out : int
        Respondents who count but miss treatment, outcome or a covariate.
    """

    participation: Model
    outcome: Floats
    family: Family
    levels: tuple[str, str]
    n_left_out: int

    @property
    def used(self) -> Mask:
        """Respondents with every value, shape (n,)."""
        return self.participation.used

    def members(self, group: int) -> Mask:
        """Return who is in the comparison group (0) or a participant (1), shape (n,)."""
        mask: Mask = self.used & (self.participation.y == group)
        return mask

    def counts(self) -> tuple[int, int]:
        """Return the number of others and of participants."""
        return int(self.members(0).sum()), int(self.members(1).sum())


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
    """

    mean: Floats
    influence: Floats
    balancing: Floats


def groups_of(
    design: Design,
    *,
    treatment: str,
    covariates: str | Sequence[str] = (),
    outcome: str | None = None,
    family: Family | None = None,
    verb: str,
) -> Groups:
    """Read the two groups among respondents who count.

    Parameters
    ----------
    design : Design
        Its domain is where the groups are compared.
    treatment : str
        Column with two values: 0/1, boolean, or text of which the second level stands for participants.
    covariates : str or list of str
        Names or a one-sided formula; none means no adjustment.
    outcome : str, optional
        Without it only participation is modelled.
    family : {"gaussian", "binomial"}, optional
        Default: binomial where the outcome has two levels.
    verb : str
        For messages.

    Raises
    ------
    ColumnError
        An unknown column, a treatment with other than two values, one column in two roles.
    EstimationError
        A group has nobody with every value, or weights are negative.
    IdentificationError
        Covariates are collinear, or the codebook says of one that it was measured after participation.
    """
    design.require_no_negative_weights(verb)
    _refuse_two_roles(treatment, covariates, outcome, verb)
    _refuse_later(design, covariates, verb)
    t, levels = _treatment(design, treatment, verb)
    y, family = _outcome(design, outcome, family)
    complete = ~np.isnan(t) & ~np.isnan(y) & design.present
    _refuse_empty(t, complete, levels, treatment, f"'{outcome}'", verb, design)
    plain = isinstance(covariates, str) or len(covariates) > 0
    model = read_model(design, treatment, covariates if plain else "~ 1", "binomial", among=complete)
    _refuse_empty(t, model.used, levels, treatment, f"all of {model.formula}", verb, design)
    model = model.changed(_standardised(model), y=np.where(model.used, t, 0.0))
    left_out = int(design.present.sum()) - int(model.used.sum())
    return Groups(model, np.where(model.used, y, 0.0), family, levels, left_out)


def _refuse_two_roles(treatment: str, covariates: str | Sequence[str], outcome: str | None, verb: str) -> None:
    names = [] if isinstance(covariates, str) and covariates.lstrip().startswith("~") else covariates
    listed = [names] if isinstance(names, str) else list(names)
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if name in listed:
            raise ColumnError(
                f"{verb}: '{name}' is the {role} and cannot be a covariate too. Leave it out of covariates."
            )
    if treatment == outcome:
        raise ColumnError(f"{verb}: '{treatment}' is named as treatment and as outcome. They are two columns.")


def _refuse_later(design: Design, covariates: str | Sequence[str], verb: str) -> None:
    """Refuse covariates that participation may have moved: adjusting for them takes away what is looked for."""
    book = design.provenance.labels
    if not isinstance(book, Codebook):
        return
    named = variables_of(covariates)
    later = [name for name in named if name in book and book[name].timing == "after"]
    if later:
        left = [name for name in named if name not in later]
        raise IdentificationError(
            f"{verb}: covariates must be fixed before participation, but {book.place} says timing 'after' of "
            f"{', '.join(map(repr, later))}. Leave out what participation may have moved: covariates={left}."
        )


def _treatment(design: Design, name: str, verb: str) -> tuple[Floats, tuple[str, str]]:
    column = design.column(name)
    levels, _ = code_levels(column, design.present)
    shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
    if len(levels) != 2:
        raise ColumnError(
            f"{verb}: treatment '{name}' must have two values among respondents who count, has {len(levels)} "
            f"({shown or 'all missing'}). Recode it to 1 for participants and 0 for others, or take a domain first."
        )
    if not is_text(column) and {float(level) for level in levels} != {0.0, 1.0}:
        raise ColumnError(
            f"{verb}: treatment '{name}' holds {shown}. Recode it to 1 for participants and 0 for others."
        )
    values, _ = read_outcome(design, name, "binomial")
    return values, (str(levels[0]), str(levels[1]))


def _outcome(design: Design, name: str | None, family: Family | None) -> tuple[Floats, Family]:
    if name is None:
        return np.zeros(len(design)), "gaussian"
    if family is None:
        column = design.column(name)
        seen, _ = code_levels(column, design.present)
        two = len(seen) == 2 and (is_text(column) or {float(level) for level in seen} == {0.0, 1.0})
        family = "binomial" if two else "gaussian"
    elif family not in ("gaussian", "binomial"):
        raise EstimationError(f"family must be 'gaussian' or 'binomial', got {family!r}.")
    return read_outcome(design, name, family)[0], family


def _refuse_empty(
    t: Floats, complete: Mask, levels: tuple[str, str], treatment: str, what: str, verb: str, design: Design
) -> None:
    for value, level in enumerate(levels):
        if not (complete & (t == value)).any():
            raise EstimationError(
                f"{verb}: nobody with {treatment} = {level} has a value of {what}, so there are no two groups to "
                f"compare. Was the question asked of one group only?",
                failures=pd.DataFrame(design.data.loc[design.present & (t == value)]),
            )


def _standardised(model: Model) -> Floats:
    """Centre and scale the columns, which changes no fitted value and keeps the equations well conditioned."""
    rows = model.x[model.used]
    centre = rows.mean(axis=0) if model.terms[0] == "(Intercept)" else np.zeros(rows.shape[1])
    spread = rows.std(axis=0)
    constant = spread <= 1e-12 * np.abs(rows).max(axis=0)
    centre[constant] = 0.0
    return np.where(model.used[:, None], (model.x - centre) / np.where(constant, 1.0, spread), 0.0)


@dataclass(frozen=True, eq=False)
class Tilt:
    """The composition to which both groups are brought.

    Attributes
    ----------
    share : ndarray, shape (n,)
        h, the part of each respondent in the target population.
    slope : ndarray, shape (n,)
        Its derivative in the log odds of participation; zero where it does not depend on them.
    balancing : ndarray, shape (n, 2)
        W, what brings each group to the target; zero outside the group.
    balancing_slope : ndarray, shape (n, 2)
        Its derivative in the log odds.
    x : ndarray, shape (n, p)
        Derivative of the log odds in the participation model's coefficients; no columns without a model.
    movement : ndarray, shape (n, p)
        Influence of those coefficients.
    """

    share: Floats
    slope: Floats
    balancing: Floats
    balancing_slope: Floats
    x: Floats
    movement: Floats


def fitted_propensity(groups: Groups, weights: Floats) -> tuple[Floats, Floats]:
    """Return the fitted probability of participation, shape (n,), and the coefficients' influence, shape (n, p)."""
    model = groups.participation
    try:
        coefficients = fit(model, weights, "binomial")
    except IdentificationError as error:
        raise IdentificationError(
            f"participation: {error} Participants and others do not overlap there, so there is nobody to compare with."
        ) from None
    return inverse_link(model.x @ coefficients, "binomial"), influence(model, weights, coefficients, "binomial")


def tilt_of(groups: Groups, weights: Floats, estimand: Estimand) -> Tilt:
    """Return the target composition of an estimand under the fitted participation model."""
    e, movement = fitted_propensity(groups, weights)
    used = groups.used.astype(float)
    share = {"ATE": np.ones_like(e), "ATT": e, "ATC": 1 - e, "ATO": e * (1 - e)}[estimand] * used
    relative = {"ATE": np.zeros_like(e), "ATT": 1 - e, "ATC": -e, "ATO": 1 - 2 * e}[estimand]
    own = np.column_stack([groups.members(0), groups.members(1)]).astype(float)
    balancing = own * share[:, None] / np.column_stack([1 - e, e])
    slope = balancing * np.column_stack([relative + e, relative - (1 - e)])
    return Tilt(share, share * relative, balancing, slope, groups.participation.x, movement)


def observed_tilt(groups: Groups, estimand: Estimand) -> Tilt:
    """Return the target composition that needs no model: everybody, participants, or others."""
    if estimand == "ATO":
        raise EstimationError("estimand 'ATO' is defined by the propensity score. Use ipw, aipw or ipwra for it.")
    target = {"ATE": groups.used, "ATT": groups.members(1), "ATC": groups.members(0)}[estimand].astype(float)
    own = np.column_stack([groups.members(0), groups.members(1)]).astype(float)
    n = len(target)
    none = np.zeros((n, 0))
    return Tilt(target, np.zeros(n), own, np.zeros((n, 2)), none, none)


@dataclass(frozen=True, eq=False)
class _Prediction:
    """Predicted outcomes of everybody, (n,), their slope, the model matrix (n, q) and its coefficients' influence."""

    mean: Floats
    slope: Floats
    x: Floats
    movement: Floats


def potential_outcome_means(
    groups: Groups, weights: Floats, method: Method, estimand: Estimand, tilt: Tilt | None = None
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
    estimand : {"ATT", "ATE", "ATC", "ATO"}
        Target composition.
    tilt : Tilt, optional
        Of these weights, where the caller has it already, as it is or changed.

    Notes
    -----
    With tilt :math:`h`, group weights :math:`W_a = 1[t=a] h / P(t=a|x)` and predictions :math:`m_a`:
    ``ipw`` :math:`\\sum w W_a y / \\sum w W_a`; models alone :math:`\\sum w h m_a / \\sum w h`; ``aipw`` the
    latter plus :math:`\\sum w W_a (y - m_a) / \\sum w W_a`; ``ipwra`` fits :math:`m_a` with :math:`w W_a`.
    The influence stacks the estimating equations of participation and outcome models with those of the means.
    """
    if estimand not in ESTIMANDS:
        raise EstimationError(f"estimand must be one of {list(ESTIMANDS)}, got {estimand!r}.")
    if tilt is None:
        tilt = tilt_of(groups, weights, estimand) if method in WITH_PROPENSITY else observed_tilt(groups, estimand)
    if method == "difference_from_all":
        tilt = replace(tilt, balancing=np.column_stack([groups.used, groups.members(1)]).astype(float))
    means, columns = np.empty(2), []
    for group in (0, 1):
        prediction = _prediction(groups, weights, method, tilt, group)
        mean, z = 0.0, np.zeros(len(weights))
        if prediction is not None:
            mean, z = _tilted_mean(prediction, weights, tilt)
        if method in ("difference", "difference_from_all", "ipw", "aipw"):
            added, more = _weighted_residual(groups, prediction, weights, tilt, group)
            mean, z = mean + added, z + more
        means[group] = mean
        columns.append(z)
    balancing = tilt.balancing.sum(axis=1)
    return GroupMeans(
        means, np.column_stack(columns), balancing if method in WITH_PROPENSITY else np.ones(len(weights))
    )


def _tilted_mean(prediction: _Prediction, weights: Floats, tilt: Tilt) -> tuple[float, Floats]:
    size = float(weights @ tilt.share)
    mean = float((weights * tilt.share) @ prediction.mean) / size
    deviation = prediction.mean - mean
    by_tilt = (weights * tilt.slope * deviation) @ tilt.x
    by_model = (weights * tilt.share * prediction.slope) @ prediction.x
    z = tilt.share * deviation + tilt.movement @ by_tilt + prediction.movement @ by_model
    return mean, z / size


def _weighted_residual(
    groups: Groups, prediction: _Prediction | None, weights: Floats, tilt: Tilt, group: int
) -> tuple[float, Floats]:
    own, slope = tilt.balancing[:, group], tilt.balancing_slope[:, group]
    residual = groups.outcome if prediction is None else groups.outcome - prediction.mean
    size = float(weights @ own)
    mean = float((weights * own) @ residual) / size
    deviation = residual - mean
    z = own * deviation + tilt.movement @ ((weights * slope * deviation) @ tilt.x)
    if prediction is not None:
        z -= prediction.movement @ ((weights * own * prediction.slope) @ prediction.x)
    return mean, z / size


def _prediction(groups: Groups, weights: Floats, method: Method, tilt: Tilt, group: int) -> _Prediction | None:
    if method not in WITH_OUTCOME_MODEL:
        return None
    if method == "regression_adjusted":
        return _joint_prediction(groups, weights, group)
    x, own = groups.participation.x, groups.members(group)
    model = groups.participation.changed(np.where(own[:, None], x, 0.0), y=groups.outcome * own, used=own)
    balancing, slope = tilt.balancing[:, group], tilt.balancing_slope[:, group]
    if method != "ipwra":
        balancing, slope = own.astype(float), np.zeros(len(own))
    coefficients = _fitted(model, weights * balancing, groups, f"the outcome among {groups.levels[group]}")
    mean, information = mean_and_information(model, weights * balancing, coefficients, groups.family)
    score = model.x * (model.y - mean)[:, None]
    through_tilt = (weights * slope * (model.y - mean))[:, None] * model.x
    moved = balancing[:, None] * score + tilt.movement @ (tilt.x.T @ through_tilt)
    return _predicted(x, coefficients, np.asarray(np.linalg.solve(information, moved.T).T), groups.family)


def _joint_prediction(groups: Groups, weights: Floats, group: int) -> _Prediction:
    model = groups.participation
    x = np.column_stack([model.x, model.y])
    joint = model.changed(x, y=groups.outcome, terms=[*model.terms, "participation"])
    coefficients = _fitted(joint, weights, groups, "the outcome")
    at = np.column_stack([model.x, group * groups.used])
    return _predicted(at, coefficients, influence(joint, weights, coefficients, groups.family), groups.family)


def _fitted(model: Model, weights: Floats, groups: Groups, what: str) -> Floats:
    answers = model.y[model.used]
    if groups.family == "binomial" and np.ptp(answers) == 0:
        raise IdentificationError(
            f"model of {what}: all {len(answers)} answers are {answers[0]:g}, so a logistic model does not exist. "
            f"Use family='gaussian', or ev.ipw, which needs no outcome model."
        )
    try:
        refuse_collinear(model.x[model.used], model.terms)
        return fit(model, weights, groups.family)
    except IdentificationError as error:
        other = " Or use family='gaussian', which always exists." if "separates" in str(error) else ""
        raise IdentificationError(f"model of {what}: {error}{other}") from None


def _predicted(x: Floats, coefficients: Floats, movement: Floats, family: Family) -> _Prediction:
    mean = inverse_link(x @ coefficients, family)
    return _Prediction(mean, curvature(mean, family), x, movement)
