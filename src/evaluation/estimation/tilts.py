"""Compositions to which two groups are brought, and the weights that bring them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.estimation.balance_equations import Coefficients, arm_weights, covariate_balancing_score, told
from evaluation.estimation.groups import Groups
from evaluation.regression.families import inverse_link
from evaluation.regression.fitting import fit, mean_and_information
from evaluation.weighting.newton import inverse

Floats = NDArray[np.float64]
Estimand = Literal["ATT", "ATE", "ATC", "ATO", "ATM"]
Balancing = Literal["propensity", "entropy", "cbps"]
Target = Literal["observed", "fitted"]

ESTIMANDS = ("ATT", "ATE", "ATC", "ATO", "ATM")
#: Those whose target population is seen without a propensity score.
OBSERVED = ("ATT", "ATE", "ATC")
BALANCING = ("propensity", "entropy", "cbps")
TARGETS = ("observed", "fitted")
#: Which group is the target itself.
_TARGET_GROUP = {"ATT": 1, "ATC": 0}


@dataclass(frozen=True, eq=False)
class Tilt:
    """The composition to which both groups are brought, and by which weights.

    Attributes
    ----------
    share : ndarray, shape (n,)
        h, the part of each respondent in the target population.
    slope : ndarray, shape (n,)
        Its derivative in the linear predictor of ``share_behind``; zero where it does not depend on one.
    balancing : ndarray, shape (n, 2)
        W, what brings the comparison group and participants to the target; zero outside the group.
    balancing_slope : ndarray, shape (n, 2)
        Its derivative in the linear predictor of the group's ``behind``.
    share_behind : Coefficients or None
        What the share depends on.
    behind : pair of Coefficients or None
        What each group's weights depend on; one and the same where a propensity score makes both.
    scores : ndarray, shape (n,), or None
        Fitted probability of participation, where there is one.
    """

    share: Floats
    slope: Floats
    balancing: Floats
    balancing_slope: Floats
    share_behind: Coefficients | None = None
    behind: tuple[Coefficients | None, Coefficients | None] = (None, None)
    scores: Floats | None = None

    @property
    def start(self) -> tuple[Floats | None, Floats | None]:
        """Coefficients of each group, from which a fit to other weights starts."""
        others, participants = self.behind
        return (
            None if others is None else others.values,
            None if participants is None else participants.values,
        )


Start = tuple[Floats | None, Floats | None]


def tilt_of(
    groups: Groups, weights: Floats, estimand: Estimand, balancing: Balancing = "propensity", start: Start | None = None
) -> Tilt:
    """Return the target composition of an estimand and the weights that bring both groups there.

    Parameters
    ----------
    groups : Groups
    weights : ndarray, shape (n,)
        Survey weights.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}
        The last two need a propensity score.
    balancing : {"propensity", "entropy", "cbps"}
        By a logit of participation; by exponential weights that meet the target's means; by a propensity score that
        meets them.
    start : pair of ndarray, optional
        ``Tilt.start`` of similar weights.
    """
    require_estimand(estimand, balancing)
    first = start or (None, None)
    if balancing == "propensity":
        return propensity_tilt(groups, fitted_propensity(groups, weights, first[0])[1], estimand)
    if balancing == "cbps" and estimand == "ATE":
        score = covariate_balancing_score(groups, weights, first[0])
        return propensity_tilt(groups, score, estimand)
    return _exponential_tilt(groups, weights, estimand, balancing, first)


def require_estimand(estimand: str, balancing: str = "propensity") -> None:
    """Raise an EstimationError for an unknown estimand, an unknown way to balance, or two that do not go together."""
    if estimand not in ESTIMANDS:
        raise EstimationError(f"estimand must be one of {list(ESTIMANDS)}, got {estimand!r}.")
    if balancing not in BALANCING:
        raise EstimationError(f"balancing must be one of {list(BALANCING)}, got {balancing!r}.")
    if balancing != "propensity" and estimand not in OBSERVED:
        raise EstimationError(
            f"estimand '{estimand}' is defined by the propensity score, but balancing is '{balancing}'. Use "
            f"balancing='propensity' for it, or one of the estimands {list(OBSERVED)}."
        )


def fitted_propensity(groups: Groups, weights: Floats, start: Floats | None = None) -> tuple[Floats, Coefficients]:
    """Return the fitted probability of participation, shape (n,), and the coefficients of its weighted logit."""
    model = groups.participation
    values = told(groups, lambda: fit(model, weights, "binomial", start))
    chance, information = mean_and_information(model, weights, values, "binomial")
    score = np.where(groups.used, model.y - chance, 0.0)
    return chance, Coefficients(values, model.x, score, inverse(information))


def propensity_tilt(groups: Groups, behind: Coefficients, estimand: Estimand) -> Tilt:
    """Return the composition and weights that a propensity score makes."""
    e = inverse_link(behind.x @ behind.values, "binomial")
    used = groups.used.astype(float)
    one = np.ones_like(e)
    share = {"ATE": one, "ATT": e, "ATC": 1 - e, "ATO": e * (1 - e), "ATM": np.minimum(e, 1 - e)}[estimand] * used
    relative = {
        "ATE": np.zeros_like(e),
        "ATT": 1 - e,
        "ATC": -e,
        "ATO": 1 - 2 * e,
        "ATM": np.where(e < 0.5, 1 - e, -e),
    }[estimand]
    own = _own(groups)
    balancing = np.divide(own * share[:, None], np.column_stack([1 - e, e]), out=np.zeros_like(own), where=own > 0)
    slope = balancing * np.column_stack([relative + e, relative - (1 - e)])
    return Tilt(share, share * relative, balancing, slope, behind, (behind, behind), e)


def observed_tilt(groups: Groups, estimand: Estimand) -> Tilt:
    """Return the target composition that needs no model: everybody, participants, or others."""
    if estimand not in OBSERVED:
        raise EstimationError(
            f"estimand '{estimand}' is defined by the propensity score. Use ipw, aipw or ipwra for it."
        )
    target = {"ATE": groups.used, "ATT": groups.members(1), "ATC": groups.members(0)}[estimand].astype(float)
    n = len(target)
    return Tilt(target, np.zeros(n), _own(groups), np.zeros((n, 2)))


def at_observed_target(groups: Groups, tilt: Tilt, estimand: Estimand) -> Tilt:
    """Return the tilt with predictions averaged over the target group itself, where a group is the target.

    Averaged over everybody by their fitted scores they would follow a wrong score to another population.
    """
    if estimand not in _TARGET_GROUP:
        return tilt
    share = groups.members(_TARGET_GROUP[estimand]).astype(float)
    return replace(tilt, share=share, slope=np.zeros_like(share), share_behind=None)


def _own(groups: Groups) -> Floats:
    return np.column_stack([groups.members(0), groups.members(1)]).astype(float)


def _exponential_tilt(
    groups: Groups, weights: Floats, estimand: Estimand, balancing: Balancing, start: Sequence[Floats | None]
) -> Tilt:
    """Bring each group that is not the target itself there by weights that are exponential in the covariates."""
    plain = observed_tilt(groups, estimand)
    factors, slopes = plain.balancing.copy(), np.zeros_like(plain.balancing)
    behind: list[Coefficients | None] = [None, None]
    for group in (0, 1):
        if _TARGET_GROUP.get(estimand) == group:
            continue
        own, factor = arm_weights(groups, weights, group, plain.share, start[group])
        factors[:, group] = slopes[:, group] = factor
        behind[group] = own
    scores = None
    if balancing == "cbps":
        (own,) = [one for one in behind if one is not None]
        sign = 1.0 if estimand == "ATT" else -1.0
        scores = inverse_link(own.x @ (sign * own.values), "binomial")
    return Tilt(plain.share, plain.slope, factors, slopes, None, (behind[0], behind[1]), scores)
