"""Marginal sensitivity model: how far the odds of taking part may be off before nothing is left of a difference."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from evaluation import wording
from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, evidence_of
from evaluation.comparison.spoken import Spoken, spoken, written
from evaluation.design.design import Design, each_replicate, require_design
from evaluation.design.replication import as_replicates
from evaluation.errors import EstimationError, ReplicateWarning
from evaluation.estimation.arguments import require_numbers
from evaluation.estimation.balance_equations import Coefficients
from evaluation.estimation.counterfactual import GroupMeans, potential_outcome_means
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of
from evaluation.estimation.tilts import Estimand, Tilt, fitted_propensity, require_estimand
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Interval = Literal["linearised", "bootstrap"]

#: Values of Lambda that are shown besides the one that is asked for.
GRID = (1.0, 1.5, 2.0)
#: Where the search for the Lambda that explains a difference away ends.
LARGEST = 1000.0
#: Bootstrap samples unless said otherwise.
REPLICATES = 500


@dataclass(frozen=True, eq=False, repr=False)
class SensitivityBounds(Spoken):
    """Lower and upper bound at each Lambda."""

    estimated = ("breakdown_lambda", "breakdown_lambda_interval")

    def _said(self, lang: str) -> str:
        value = float(self.keys["lambda"].max())
        rows = np.flatnonzero((self.keys["lambda"] == value).to_numpy())
        limits, error = self.confidence_interval(), float(self.std_error[rows].max())
        low, high, *ends = written([*self.estimate[rows], limits[rows[0], 0], limits[rows[1], 1]], error)
        interval = wording.interval_name(self.conf_level, lang)
        own, by_interval = (float(self.fit.get(f"breakdown_lambda{end}", np.nan)) for end in ("", "_interval"))
        if lang == "ko":
            text = (
                f"관측되지 않은 특성이 참여 승산을 공변량으로 알 수 있는 것의 {value:.4g}배까지 바꿀 수 있다면, "
                f"보정한 차이는 {low}에서 {high} 사이에 있다 ({interval} {ends[0]}에서 {ends[1]}). "
            )
            return text + breakdown_text(own, by_interval, lang)
        text = (
            f"If something unobserved may move the odds of taking part by a factor of {value:.4g} from what the "
            f"covariates give, the adjusted difference lies between {low} and {high} ({interval} {ends[0]} to "
            f"{ends[1]}). "
        )
        return text + breakdown_text(own, by_interval, lang)


def breakdown_text(own: float, by_interval: float, lang: str) -> str:
    """Say at which Lambda the bounds and their interval reach zero, in a language that is known."""
    if lang == "ko":
        first = (
            f"범위는 {own:.2f}배에서 0에 닿는다" if np.isfinite(own) else f"범위는 {LARGEST:g}배까지도 0에 닿지 않는다"
        )
        if np.isnan(by_interval):
            return f"{first}."
        if by_interval == 1:
            return f"{first}. 신뢰구간은 처음부터 0을 담는다."
        second = f"{by_interval:.2f}배에서 0에 닿는다" if np.isfinite(by_interval) else "0에 닿지 않는다"
        return f"{first}. 신뢰구간은 {second}."
    first = f"The bounds reach zero at {own:.2f}" if np.isfinite(own) else f"The bounds stay off zero up to {LARGEST:g}"
    if np.isnan(by_interval):
        return f"{first}."
    if by_interval == 1:
        return f"{first}; the interval holds zero to begin with."
    return f"{first}, their interval " + (f"at {by_interval:.2f}." if np.isfinite(by_interval) else "does not.")


def sensitivity_bounds(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    lambda_: float | Sequence[float] = GRID,
    estimand: Estimand = "ATT",
    missing: Missing = "refuse",
    interval: Interval = "linearised",
    replicates: int = REPLICATES,
    seed: int | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> SensitivityBounds:
    """Estimate between which bounds an adjusted difference lies if something unobserved moves participation.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, covariates, missing
        As in ``ipw``.
    lambda_ : float or sequence of float, default (1, 1.5, 2)
        By how much, either way, a person's odds of taking part may differ from those that the
        covariates give; 1 and above. A single value is shown after 1, 1.5 and 2.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        Whose composition; for "ATO" and "ATM" the overlap is that of the odds as they may be.
    interval : {"linearised", "bootstrap"}, default "linearised"
        t intervals of each bound, or percentiles of bootstrap samples of PSUs in which everything is fitted anew.
    replicates, seed : int
        Of the bootstrap; ``seed`` is needed for it.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the intervals of each bound.

    Returns
    -------
    SensitivityBounds
        Keys ``term, quantity, lambda``; ``quantity`` is ``bound_low`` or ``bound_high``. At ``lambda`` 1 both are the
        estimate of ``ipw``. ``fit["breakdown_lambda"]`` is the smallest Lambda at which the bounds hold zero,
        ``fit["breakdown_lambda_interval"]`` the smallest at which the bounds' intervals do (missing with
        replicates, unless they are a bootstrap's and ``interval="bootstrap"``); infinite where none does.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``; also a Lambda below 1, or a bootstrap without seed.

    Notes
    -----
    Marginal sensitivity model: each person's odds of taking part, given covariates and whatever is not observed, are
    those of the fitted model times a factor in :math:`[1/\\Lambda, \\Lambda]`. With odds q against a person's own
    group, balancing weights are 1 + q (ATE), q or 1 (ATT, ATC), q/(1 + q) (ATO), min(1, q) (ATM); each rises in q.
    A group's normalised mean is largest where answers above some value get the largest weight and the rest the
    smallest; the value is found by sorting. The error is that of ``ipw`` with these factors: at an extreme, moving
    the value changes nothing to first order. From the low end of the lower bound's interval to the high end of the
    upper one is an interval that holds the effect at least as often as it says, if Lambda is right.

    References
    ----------
    Tan (2006), JASA 101, 1619-1637; Zhao, Small and Bhattacharya (2019), JRSS B 81, 735-761.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [0.0, 1, 0, 1, 1, 1, 1, 0], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": list("ffmmfmfm")})
    >>> bounds = sensitivity_bounds(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"],
    ...                             lambda_=2.0)
    >>> bounds.tidy()[["quantity", "lambda", "estimate"]].round(3).iloc[[0, 1, 4, 5]].values.tolist()
    [['bound_low', 1.0, 0.25], ['bound_high', 1.0, 0.25], ['bound_low', 2.0, -0.05], ['bound_high', 2.0, 0.55]]
    """
    require_design(design, "sensitivity_bounds")
    evidence = evidence_of(comparability, ADJUSTED, "sensitivity_bounds", outcome, design)
    lambdas = _lambdas(lambda_)
    drawn = _drawn(design, interval, replicates, seed)
    model = marginal_model(design, outcome, treatment, covariates, estimand, "sensitivity_bounds", missing)
    made = bounds_of(design, model, lambdas, outcome, conf_level)
    if drawn is None:
        by_interval = _breakdown_of_interval(design, model, conf_level)
    else:
        limits, by_interval = _percentiles(drawn, model, lambdas, conf_level)
        made = replace(made, interval=limits, interval_method=f"percentile {_kind(drawn)}")
    return replace(
        made,
        fit={
            "treatment": treatment,
            "participants": model.groups.levels[1],
            "comparison": model.groups.levels[0],
            "estimand": estimand,
            "formula": model.groups.participation.formula,
            "n_left_out": model.groups.n_left_out,
            "breakdown_lambda": model.breakdown(),
            "breakdown_lambda_interval": by_interval,
            **evidence,
        },
    )


@dataclass(frozen=True, eq=False)
class MarginalModel:
    """Both groups under one set of weights, with the fitted odds of each person's being in the other group.

    Attributes
    ----------
    groups : Groups
    estimand : str
    weights : ndarray, shape (n,)
    odds : ndarray, shape (n, 2)
        Of taking part for the others (column 0), of not taking part for participants (column 1); 0 for the rest.
    behind : Coefficients
        Of the participation model.
    order : tuple of two ndarrays of int
        Members of each group by their answer, largest first; it does not depend on the weights.
    """

    groups: Groups
    estimand: Estimand
    weights: Floats
    odds: Floats
    behind: Coefficients
    order: tuple[Codes, Codes]

    def under(self, weights: Floats) -> MarginalModel:
        """Return the model fitted anew under other weights."""
        odds, behind = fitted_odds(self.groups, weights, self.behind.values)
        return replace(self, weights=weights, odds=odds, behind=behind)

    @cached_property
    def _sorted(self) -> tuple[tuple[Floats, Floats, Floats], ...]:
        """Answers, weights and odds of each group, by answer."""
        return tuple(
            (self.groups.outcome[rows], self.weights[rows], self.odds[rows, group])
            for group, rows in enumerate(self.order)
        )

    def extreme(self, group: int, value: float, largest: bool) -> tuple[float, int]:
        """Return a group's largest or smallest mean, and how many, from that end, get the largest weight."""
        y, w, q = self._sorted[group]
        high, low = w * balancing(q * value, self.estimand, group), w * balancing(q / value, self.estimand, group)
        if not largest:
            y, high, low = y[::-1], high[::-1], low[::-1]
        return extreme_mean(y, high, low, largest)

    def bounds(self, value: float) -> tuple[float, float]:
        """Return the lower and the upper bound of the difference at one Lambda."""
        (low1, high1), (low0, high0) = (
            (self.extreme(group, value, False)[0], self.extreme(group, value, True)[0]) for group in (1, 0)
        )
        return low1 - high0, high1 - low0

    def breakdown(self) -> float:
        """Return the smallest Lambda at which the bounds hold zero; infinite where none does."""
        return breakdown_of(lambda value: nearest(self.bounds(value)))

    def means(self, value: float, *, upper: bool) -> GroupMeans:
        """Return both groups' means at one bound, with their influence."""
        own = np.zeros_like(self.odds)
        slope = np.zeros_like(self.odds)
        for group, rows in enumerate(self.order):
            largest = upper == (group == 1)
            count = self.extreme(group, value, largest)[1]
            raised = rows[:count] if largest else rows[len(rows) - count :]
            factor = np.full(len(self.odds), 1 / value)
            factor[raised] = value
            q = (self.odds[:, group] * factor)[rows]
            own[rows, group] = balancing(q, self.estimand, group)
            slope[rows, group] = (1 if group == 0 else -1) * balancing_slope(q, self.estimand, group)
        nothing = np.zeros(len(self.weights))
        tilt = Tilt(nothing, nothing, own, slope, behind=(self.behind, self.behind))
        return potential_outcome_means(self.groups, self.weights, "ipw", self.estimand, tilt)


def marginal_model(
    design: Design,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    estimand: Estimand,
    verb: str,
    missing: Missing = "refuse",
) -> MarginalModel:
    """Read the groups of a comparison and fit the odds; errors as those of ``ipw``."""
    require_estimand(estimand)
    refuse_balanced(design, treatment, verb)
    groups = groups_of(design, treatment=treatment, covariates=covariates, outcome=outcome, verb=verb, missing=missing)
    members = [np.flatnonzero(groups.members(group)) for group in (0, 1)]
    first, second = (rows[np.argsort(-groups.outcome[rows], kind="stable")] for rows in members)
    odds, behind = fitted_odds(groups, design.domain_weights)
    return MarginalModel(groups, estimand, design.domain_weights, odds, behind, (first, second))


def fitted_odds(groups: Groups, weights: Floats, start: Floats | None = None) -> tuple[Floats, Coefficients]:
    """Return each person's fitted odds of the other group, shape (n, 2), and the coefficients behind them."""
    e, behind = fitted_propensity(groups, weights, start)
    chances, own = np.column_stack([e, 1 - e]), np.column_stack([groups.members(0), groups.members(1)])
    return np.divide(chances, chances[:, ::-1], out=np.zeros_like(chances), where=own), behind


def balancing(q: Floats, estimand: Estimand, group: int) -> Floats:
    """Return the weight that brings a person with odds q of the other group to the estimand's composition."""
    if estimand == "ATE":
        return 1 + q
    if estimand == "ATO":
        return q / (1 + q)
    if estimand == "ATM":
        return np.minimum(1.0, q)
    return q if (estimand == "ATT") == (group == 0) else np.ones_like(q)


def balancing_slope(q: Floats, estimand: Estimand, group: int) -> Floats:
    """Return the derivative of ``balancing`` in the logarithm of q."""
    if estimand == "ATO":
        return q / (1 + q) ** 2
    if estimand == "ATM":
        return np.where(q < 1, q, 0.0)
    return q if estimand == "ATE" or (estimand == "ATT") == (group == 0) else np.zeros_like(q)


def extreme_mean(answers: Floats, high: Floats, low: Floats, largest: bool = True) -> tuple[float, int]:
    """Return the most extreme weighted mean whose weights lie between two, and how many first ones get the high one.

    Parameters
    ----------
    answers : ndarray, shape (m,)
        Largest first for the largest mean, smallest first for the smallest.
    high, low : ndarray, shape (m,)
        Bounds of each weight.

    Examples
    --------
    >>> extreme_mean(np.array([1.0, 1.0, 0.0]), np.full(3, 2.0), np.full(3, 0.5))
    (0.8888888888888888, 2)
    """
    above, size_above = np.cumsum(high * answers), np.cumsum(high)
    below, size_below = np.cumsum(low * answers), np.cumsum(low)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (above + (below[-1] - below)) / (size_above + (size_below[-1] - size_below))
    means = np.where(np.isfinite(means), means, -np.inf if largest else np.inf)
    last = int(np.argmax(means) if largest else np.argmin(means))
    return float(means[last]), last + 1


#: What every refusal of a Lambda ends in.
_NOTHING = "It multiplies odds, so it is 1 or more; nothing unobserved is lambda_=1."


def _lambdas(given: float | Sequence[float]) -> list[float]:
    values = require_numbers(given, "sensitivity_bounds: lambda_", least=1, move=_NOTHING)
    wrong = [value for value in values if value > LARGEST]
    if wrong:
        raise EstimationError(
            f"sensitivity_bounds: lambda_ multiplies odds, so it is 1 or more (up to {LARGEST:g}), got "
            f"{wrong}. {_NOTHING}"
        )
    return sorted({*GRID, *values} if np.isscalar(given) else set(values))


def bounds_of(
    design: Design, model: MarginalModel, lambdas: Sequence[float], outcome: str, conf_level: float
) -> SensitivityBounds:
    """Return lower and upper bound at each Lambda, with the influence of both."""
    means = [model.means(value, upper=upper) for value in lambdas for upper in (False, True)]
    z = np.column_stack([made.influence @ np.array([-1.0, 1.0]) for made in means])
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(design, lambda weights: _effects(model.under(weights), lambdas))
    k, (n_others, n_participants) = 2 * len(lambdas), model.groups.counts()
    made = Estimates(
        verb="sensitivity_bounds",
        keys=pd.DataFrame(
            {
                "term": outcome,
                "quantity": ["bound_low", "bound_high"] * len(lambdas),
                "lambda": np.repeat(np.array(lambdas, dtype=float), 2),
            }
        ),
        estimate=np.array([made.mean[1] - made.mean[0] for made in means]),
        vcov=design.engine.covariance(contributions),
        df=np.full(k, float(design.degrees_of_freedom(model.groups.used))),
        n_obs=np.full(k, n_others + n_participants),
        bases=np.full(k, min(n_others, n_participants)),
        cell_counts=np.full(k, rarer_of(model.groups)),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
    )
    return spoken(SensitivityBounds, made)


def _effects(model: MarginalModel, lambdas: Sequence[float]) -> Floats:
    return np.array([bound for value in lambdas for bound in model.bounds(value)])


def nearest(bounds: tuple[float, float] | Floats) -> float:
    """Return how far zero lies outside the bounds; not positive where they hold it."""
    return max(float(bounds[0]), -float(bounds[1]))


def breakdown_of(outside: Callable[[float], float]) -> float:
    """Return the smallest Lambda at which nothing is left outside; infinite where there is none."""
    if outside(1.0) <= 0:
        return 1.0
    if outside(LARGEST) > 0:
        return np.inf
    root: Any = brentq(lambda log: outside(float(np.exp(log))), 0.0, float(np.log(LARGEST)), xtol=1e-6)
    return float(np.exp(float(root)))


def _breakdown_of_interval(design: Design, model: MarginalModel, conf_level: float) -> float:
    if design.replicates is not None:
        return np.nan

    # Only the bound on the side of the estimate can be the last to hold out against zero.
    upper = sum(model.bounds(1.0)) < 0
    sign = -1.0 if upper else 1.0
    df = float(design.degrees_of_freedom(model.groups.used))
    quantile = float(stats.t.ppf((1 + conf_level) / 2, df)) if df > 0 else np.nan

    def outside(value: float) -> float:
        made = model.means(value, upper=upper)
        z = (made.influence @ np.array([-1.0, 1.0]))[:, None]
        error = math.sqrt(max(float(design.engine.covariance(design.contributions(z))[0, 0]), 0.0))
        return sign * float(made.mean[1] - made.mean[0]) - quantile * error

    return np.nan if np.isnan(quantile) else breakdown_of(outside)


def _drawn(design: Design, interval: str, replicates: int, seed: int | None) -> Design | None:
    """Return the design with bootstrap samples of its sampling units, where percentiles are asked for."""
    if interval not in ("linearised", "bootstrap"):
        raise EstimationError(f"interval must be 'linearised' or 'bootstrap', got {interval!r}.")
    if interval == "linearised":
        return None
    if design.replicates is not None:
        if design.replicates.engine.kind not in ("bootstrap", "preston"):
            raise EstimationError(
                f"sensitivity_bounds: percentiles need bootstrap samples, got {design.engine.method}. Use the design "
                f"before as_replicates, or interval='linearised'."
            )
        return design
    if seed is None:
        raise EstimationError("sensitivity_bounds: interval='bootstrap' draws by chance. Give it a seed, e.g. seed=1.")
    return as_replicates(design, kind="bootstrap", replicates=replicates, seed=seed)


def _kind(drawn: Design) -> str:
    return drawn.engine.method.removeprefix("replicates (").removesuffix(")")


def _percentiles(
    drawn: Design, model: MarginalModel, lambdas: Sequence[float], conf_level: float
) -> tuple[Floats, float]:
    """Return the percentile interval of each bound, shape (2k, 2), and the Lambda at which the outer end is zero.

    Each sample has its own Lambda at which its bound on the side of the estimate is zero; a share of them below
    some value is the share of samples whose bound has crossed zero there.
    """
    is_positive = sum(model.bounds(1.0)) >= 0

    def bounds(weights: Floats) -> Floats:
        own = model.under(weights)
        side = breakdown_of(lambda value: own.bounds(value)[0] if is_positive else -own.bounds(value)[1])
        return np.append(_effects(own, lambdas), side)

    rows = each_replicate(drawn, bounds)[:-1]
    exists = ~np.isnan(rows).any(axis=1)
    if not exists.all():
        warnings.warn(
            f"sensitivity_bounds: {int((~exists).sum())} of {len(rows)} bootstrap samples give no bounds (a group has "
            f"no overlap in them); percentiles rest on the others.",
            ReplicateWarning,
            stacklevel=4,
        )
    if exists.mean() <= 0.5:
        raise EstimationError(
            "sensitivity_bounds: no more than half of the bootstrap samples give bounds, so they have no percentiles. "
            "Use fewer covariates, or interval='linearised'."
        )
    tail = (1 - conf_level) / 2
    limits = np.quantile(rows[exists, :-1], [tail, 1 - tail], axis=0).T
    return limits, float(np.quantile(rows[exists, -1], tail, method="inverted_cdf"))
