"""Sensitivity: how strong something unobserved would have to be to explain a difference away."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from evaluation import project
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import ADJUSTED, evidence_of
from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import EstimationError, ProjectError
from evaluation.estimation.counterfactual import (
    GroupMeans,
    Groups,
    Tilt,
    groups_of,
    potential_outcome_means,
    tilt_of,
)
from evaluation.results import Estimates, Provenance, plain

Floats = NDArray[np.float64]
Scale = Literal["risk_ratio", "odds_ratio", "odds_ratio_rare", "smd"]

#: Values of Lambda that are shown besides the one that is asked for.
GRID = (1.0, 1.5, 2.0)
#: Where the search for the Lambda that explains a difference away ends.
LARGEST = 1000.0

#: How an approximate risk ratio follows from a standardised mean difference, and its limits from the error.
SMD_TO_LOG_RATIO, SMD_ERROR_TO_LOG_RATIO = 0.91, 1.78


@dataclass(frozen=True)
class EValue:
    """How strongly an unobserved trait must go with both participation and outcome to explain a ratio away.

    Attributes
    ----------
    point : float
        For the estimate; risk-ratio scale, 1 and above.
    limit : float
        For the interval's limit nearest the null; 1 where the interval holds the null, NaN without one.
    risk_ratio, low, high : float
        The risk ratio, exact or approximate, and its limits.
    null : float
        The risk ratio to which it is to be moved.
    scale : str
        What was given: ``risk_ratio``, ``odds_ratio``, ``odds_ratio_rare`` or ``smd``.
    provenance : Provenance
        For captions and manifests.
    """

    point: float
    limit: float
    risk_ratio: float
    low: float
    high: float
    null: float
    scale: Scale
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row: the two E-values and the ratio with its limits."""
        names = ("point", "limit", "risk_ratio", "low", "high", "null", "scale")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in self.tidy().iloc[0].items()}]
        return {"verb": "e_value", "provenance": self.provenance.to_dict(), "rows": rows}

    def text(self, lang: str | None = None) -> str:
        """Say what the E-values mean, in Korean or English."""
        chosen = project.language() if lang is None else lang
        if chosen not in project.LANGUAGES:
            raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
        if chosen == "ko":
            limit = "" if np.isnan(self.limit) else f", 신뢰한계까지 옮기려면 {self.limit:.2f}배"
            return (
                f"비율비 {self.risk_ratio:.2f}: 관측되지 않은 특성이 참여와 결과 양쪽에 각각 {self.point:.2f}배 이상 "
                f"관련되면 설명될 수 있음{limit}."
            )
        limit = "" if np.isnan(self.limit) else f"; {self.limit:.2f} would do to move the interval's limit"
        return (
            f"Risk ratio {self.risk_ratio:.2f}: an unobserved trait associated with both participation and outcome by "
            f"risk ratios of {self.point:.2f} each could explain it{limit}."
        )

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


def e_value(
    estimate: Estimates | float,
    *,
    scale: Scale = "risk_ratio",
    low: float | None = None,
    high: float | None = None,
    std_error: float | None = None,
    null: float = 1.0,
) -> EValue:
    """Compute the E-value of a ratio and of its interval.

    Parameters
    ----------
    estimate : Estimates or float
        A difference estimated with ``measure="log_risk_ratio"`` or ``"log_odds_ratio"`` (row 0 is
        taken, limits and scale with it), or a number on ``scale``.
    scale : {"risk_ratio", "odds_ratio", "odds_ratio_rare", "smd"}, default "risk_ratio"
        "odds_ratio" is of a common outcome (15 % and more) and enters by its square root; "smd" is a
        standardised mean difference and enters as ``exp(0.91 d)``.
    low, high : float, optional
        Limits of a ratio.
    std_error : float, optional
        Of a standardised mean difference.
    null : float, default 1.0
        Risk ratio to which the estimate would have to be moved.

    Returns
    -------
    EValue

    Raises
    ------
    EstimationError
        A ratio that is not positive, limits that do not hold the estimate, or a plain difference.

    Notes
    -----
    :math:`E = R + \\sqrt{R (R - 1)}` with :math:`R` the ratio of the estimate to ``null``, inverted below 1.

    References
    ----------
    VanderWeele and Ding (2017), Annals of Internal Medicine 167, 268-274. R twin: ``EValue::evalues.RR``.

    Examples
    --------
    >>> result = e_value(0.847 / 0.594)
    >>> round(result.point, 2)
    2.21
    >>> print(e_value(1.2, low=0.95, high=1.5).text("en"))
    Risk ratio 1.20: an unobserved trait associated with both participation and outcome by risk ratios of 1.69 each
    could explain it; 1.00 would do to move the interval's limit.
    """
    provenance = Provenance()
    if isinstance(estimate, Estimates):
        provenance = estimate.provenance
        estimate, low, high, scale = _of_estimates(estimate)
    if scale not in ("risk_ratio", "odds_ratio", "odds_ratio_rare", "smd"):
        raise EstimationError(f"scale must be 'risk_ratio', 'odds_ratio', 'odds_ratio_rare' or 'smd', got {scale!r}.")
    ratio, lower, upper = _risk_ratios(float(estimate), low, high, std_error, scale)
    _refuse_impossible(ratio, lower, upper, null)
    point = _bound(ratio, null)
    nearest = lower if ratio > null else upper
    crossed = lower <= null <= upper
    limit = 1.0 if crossed else (np.nan if np.isnan(nearest) else _bound(nearest, null))
    return EValue(point, float(limit), ratio, lower, upper, null, scale, provenance)


def _of_estimates(result: Estimates) -> tuple[float, float, float, Scale]:
    quantity = str(result.keys["quantity"].iloc[0]) if "quantity" in result.keys else ""
    scales: dict[str, Scale] = {"log_risk_ratio": "risk_ratio", "log_odds_ratio": "odds_ratio"}
    if quantity not in scales:
        raise EstimationError(
            f"e_value: row 0 of {result.verb} is {quantity or 'no ratio'}, expected a ratio. "
            f"Estimate it with measure='log_risk_ratio'."
        )
    low, high = np.exp(result.confidence_interval()[0])
    return float(np.exp(result.estimate[0])), float(low), float(high), scales[quantity]


def _risk_ratios(
    estimate: float, low: float | None, high: float | None, std_error: float | None, scale: Scale
) -> tuple[float, float, float]:
    if scale == "smd":
        centre = SMD_TO_LOG_RATIO * estimate
        half = np.nan if std_error is None else SMD_ERROR_TO_LOG_RATIO * std_error
        return float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half))
    values = [estimate, np.nan if low is None else low, np.nan if high is None else high]
    if any(value <= 0 for value in values):
        raise EstimationError(
            f"e_value: a ratio and its limits are above 0, got {values}. Is it a difference, or a log?"
        )
    if scale == "odds_ratio":
        values = [float(np.sqrt(value)) for value in values]
    return values[0], values[1], values[2]


def _refuse_impossible(ratio: float, low: float, high: float, null: float) -> None:
    if not np.isfinite(ratio) or not null > 0:
        raise EstimationError(f"e_value: estimate and null must be finite and above 0, got {ratio} and {null}.")
    if low > ratio or high < ratio:
        raise EstimationError(
            f"e_value: the limits {low:g} to {high:g} do not hold the estimate {ratio:g}. Were they exchanged?"
        )


def _bound(ratio: float, null: float) -> float:
    relative = max(ratio / null, null / ratio)
    return float(relative + np.sqrt(relative * (relative - 1)))


def sensitivity_bounds(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    lambda_: float | Sequence[float] = GRID,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate between which bounds the effect on participants lies if something unobserved moves participation.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, covariates
        As in ``ipw``.
    lambda_ : float or sequence of float, default (1, 1.5, 2)
        By how much, either way, a person's odds of taking part may differ from those that the
        covariates give; 1 and above. A single value is shown after 1, 1.5 and 2.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals of each bound.

    Returns
    -------
    Estimates
        Keys ``term, quantity, lambda``; ``quantity`` is ``bound_low`` or ``bound_high``. At ``lambda`` 1 both are the
        estimate of ``ipw`` for "ATT". ``fit["breakdown_lambda"]`` is the smallest Lambda at which the bounds hold zero,
        ``fit["breakdown_lambda_interval"]`` the smallest at which the bounds' intervals do (missing with
        replicates); infinite where none does.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``; also a Lambda below 1.

    Notes
    -----
    Marginal sensitivity model: the odds of the others are multiplied by factors in
    :math:`[1/\\Lambda, \\Lambda]`. Their normalised mean is largest where answers above some value get
    :math:`\\Lambda` and the rest :math:`1/\\Lambda`; the value is found by sorting. The error is that of ``ipw``
    with these factors: at an extreme, moving the value changes nothing to first order. From the low end of the
    lower bound's interval to the high end of the upper one is an interval that holds the effect at least as often
    as it says, if Lambda is right.

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
    evidence = evidence_of(comparability, ADJUSTED)
    lambdas = _lambdas(lambda_)
    groups = groups_of(design, treatment=treatment, covariates=covariates, outcome=outcome, verb="sensitivity_bounds")
    model = _Model(groups, design.domain_weights, tilt_of(groups, design.domain_weights, "ATT"))
    made = _bounds(design, model, lambdas, outcome, conf_level)
    return replace(
        made,
        fit={
            "treatment": treatment,
            "participants": groups.levels[1],
            "comparison": groups.levels[0],
            "estimand": "ATT",
            "formula": groups.participation.formula,
            "n_left_out": groups.n_left_out,
            "breakdown_lambda": _breakdown(lambda value: _nearest(model.effects([value]))),
            "breakdown_lambda_interval": _breakdown_of_interval(design, model, outcome, conf_level),
            **evidence,
        },
    )


@dataclass(frozen=True, eq=False)
class _Model:
    """The two groups under one set of weights, with the fitted participation model."""

    groups: Groups
    weights: Floats
    tilt: Tilt

    def effects(self, lambdas: Sequence[float]) -> Floats:
        """Return lower and upper bound at each Lambda, shape (2 * len(lambdas),)."""
        return np.array([made.mean[1] - made.mean[0] for made in self.means(lambdas)])

    def means(self, lambdas: Sequence[float]) -> list[GroupMeans]:
        """Return both groups' means where the others' is largest, then smallest, at each Lambda."""
        own = self.groups.members(0)
        mass, answers = (self.weights * self.tilt.balancing[:, 0])[own], self.groups.outcome[own]
        found = []
        for value in lambdas:
            for sign in (1.0, -1.0):
                factors = np.ones((len(own), 2))
                factors[own, 0] = _extreme_factors(sign * answers, mass, value)
                tilt = replace(
                    self.tilt,
                    balancing=self.tilt.balancing * factors,
                    balancing_slope=self.tilt.balancing_slope * factors,
                )
                found.append(potential_outcome_means(self.groups, self.weights, "ipw", "ATT", tilt))
        return found


def _lambdas(given: float | Sequence[float]) -> list[float]:
    values = [float(value) for value in ([given] if isinstance(given, (int, float)) else given)]
    wrong = [value for value in values if not (np.isfinite(value) and 1 <= value <= LARGEST)]
    if wrong or not values:
        raise EstimationError(
            f"sensitivity_bounds: lambda_ multiplies odds, so it is 1 or more (up to {LARGEST:g}), got "
            f"{wrong or values}. Nothing unobserved is lambda_=1."
        )
    return sorted({*GRID, *values} if isinstance(given, (int, float)) else set(values))


def _bounds(design: Design, model: _Model, lambdas: Sequence[float], outcome: str, conf_level: float) -> Estimates:
    """Return lower and upper bound at each Lambda, with the influence of both."""
    groups, means = model.groups, model.means(lambdas)
    z = np.column_stack([made.influence @ np.array([-1.0, 1.0]) for made in means])
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(
            design, lambda weights: _Model(groups, weights, tilt_of(groups, weights, "ATT")).effects(lambdas)
        )
    k, n_used = 2 * len(lambdas), sum(groups.counts())
    return Estimates(
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
        df=np.full(k, float(design.degrees_of_freedom(groups.used))),
        n_obs=np.full(k, n_used),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
    )


def _extreme_factors(answers: Floats, mass: Floats, value: float) -> Floats:
    """Return the factors within 1/Lambda and Lambda at which the weighted mean of the answers is largest."""
    order = np.argsort(-answers, kind="stable")
    y, w = answers[order], mass[order]
    above, size_above = np.cumsum(w * y), np.cumsum(w)
    below, size_below = above[-1] - above, size_above[-1] - size_above
    means = (value * above + below / value) / (value * size_above + size_below / value)
    last = int(np.argmax(means))
    factors = np.empty(len(answers))
    factors[order] = np.where(np.arange(len(y)) <= last, value, 1 / value)
    return factors


def _nearest(bounds: Floats) -> float:
    """Return how far zero lies outside the bounds; not positive where they hold it."""
    return max(float(bounds[0]), -float(bounds[1]))


def _breakdown(outside: Callable[[float], float]) -> float:
    """Return the smallest Lambda at which nothing is left outside; infinite where there is none."""
    if outside(1.0) <= 0:
        return 1.0
    if outside(LARGEST) > 0:
        return np.inf
    root = brentq(lambda log: outside(float(np.exp(log))), 0.0, float(np.log(LARGEST)), xtol=1e-6)
    return float(np.exp(float(root)))


def _breakdown_of_interval(design: Design, model: _Model, outcome: str, conf_level: float) -> float:
    if design.replicates is not None:
        return np.nan

    def outside(value: float) -> float:
        limits = _bounds(design, model, [value], outcome, conf_level).confidence_interval()
        return _nearest(np.array([limits[0, 0], limits[1, 1]]))

    return _breakdown(outside)
