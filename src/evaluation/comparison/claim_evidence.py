"""The evidence of a comparison: each check with its number, from the question that was asked to what may be hidden."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.comparison.adjustment.balance import BalanceTable, balance_table
from evaluation.comparison.adjustment.balancing import propensity_weights
from evaluation.comparison.adjustment.propensity import overlap
from evaluation.comparison.claim_levels import GRADE_OF, Check, judged
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import group_difference
from evaluation.comparison.ladder import Rung, effect_ladder
from evaluation.comparison.outcomes.influences import estimates_of_weights
from evaluation.comparison.sensitivity.marginal_sensitivity import sensitivity_bounds
from evaluation.comparison.sensitivity.negative_controls import negative_controls
from evaluation.comparison.sensitivity.odds_benchmarks import OddsBenchmarks, sensitivity_benchmarks
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, IdentificationError, WeightingError
from evaluation.estimation.arguments import require_number
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import is_small
from evaluation.estimation.tilts import Estimand
from evaluation.regression.families import Family
from evaluation.regression.fitting import fit, influence
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates, Provenance

#: The method whose number is stated, and those it is held against: each rests on other assumptions.
HEADLINE: Rung = "aipw"
AGAINST: Mapping[str, tuple[Rung, ...]] = {
    "ATO": ("ipw",),
    "ATM": ("ipw",),
}
#: A model that has no solution in these data: separation, no overlap, no weights that balance.
UNFIT = (IdentificationError, WeightingError)
#: Below this a coefficient is told from zero.
TOLD_APART = 0.05
USUALLY: tuple[Rung, ...] = ("entropy", "regression_adjusted")
#: What each method takes for granted.
ASSUMES: Mapping[str, tuple[str, str]] = {
    "aipw": ("참여 모형과 결과 모형 가운데 하나가 맞음", "one of participation and outcome model is right"),
    "ipw": ("참여 모형이 맞음, 결과 모형 없음", "the participation model is right, no outcome model"),
    "entropy": (
        "가중만: 결과 모형 없이 공변량 평균을 맞춤",
        "weights alone: the means of the covariates made equal, no outcome model",
    ),
    "regression_adjusted": (
        "결과 모형 하나, 상호작용 없음, 가중 없음",
        "one outcome model without interactions, no weights",
    ),
}


@dataclass(frozen=True)
class Limits:
    """What a comparison must keep to before its claim may rise.

    Attributes
    ----------
    smd : float
        Largest standardised difference after weighting.
    variance_ratio : float
        Largest ratio of variances after weighting, either way up.
    share_outside : float
        Weighted share outside the other group's scores, of the group whose composition is kept (both, where none is).
    effective_share : float
        Least share of a group's effective number that the balancing weights must leave.
    largest_weight_share : float
        Largest share of a group's weight that one respondent may have.
    agreement : float
        Largest distance of another method from the headline, in standard errors of the headline.
    """

    smd: float = 0.1
    variance_ratio: float = 2.0
    share_outside: float = 0.05
    effective_share: float = 0.1
    largest_weight_share: float = 0.05
    agreement: float = 1.0

    def __post_init__(self) -> None:
        for name in ("smd", "variance_ratio", "share_outside", "effective_share", "largest_weight_share", "agreement"):
            require_number(getattr(self, name), f"Limits: {name}", above=0)


@runtime_checkable
class Declared(Protocol):
    """A comparison that was fixed beforehand, with its design and columns."""

    design: Design
    outcome: str
    treatment: str
    covariates: Any
    comparability: Comparability
    missing: Missing


@dataclass(frozen=True, eq=False)
class Case:
    """What is judged."""

    design: Design
    outcome: str
    treatment: str
    covariates: str | Sequence[str]
    missing: Missing
    comparability: Comparability | None
    estimand: Estimand = "ATT"
    family: Family | None = None
    limits: Limits = Limits()
    conf_level: float = 0.95

    @property
    def columns(self) -> dict[str, Any]:
        """Arguments of every verb that compares."""
        given = {"treatment": self.treatment, "covariates": self.covariates, "missing": self.missing}
        return {**given, "estimand": self.estimand}

    def groups(self) -> Groups:
        """Read participants and others; faults of the columns are errors here."""
        return groups_of(
            self.design,
            treatment=self.treatment,
            covariates=self.covariates if variables_of(self.covariates) else False,
            outcome=self.outcome,
            family=self.family,
            verb="judge_comparison",
            missing=self.missing,
        )


def asked_of(
    comparison: object, outcome: Any, treatment: Any, covariates: Any, missing: Any, comparability: Comparability | None
) -> Case:
    """Return what is judged: the columns of a declared comparison, or those given beside a design."""
    given = {"outcome": outcome, "treatment": treatment, "covariates": covariates}
    if isinstance(comparison, Declared) and not isinstance(comparison, Design):
        twice = [name for name, value in {**given, "comparability": comparability}.items() if value is not None]
        if twice:
            raise EstimationError(
                f"judge_comparison: the declared comparison brings {', '.join(twice)} of its own. Leave it out here, "
                f"or give its design instead."
            )
        return Case(
            comparison.design,
            comparison.outcome,
            comparison.treatment,
            comparison.covariates,
            comparison.missing if missing is None else missing,
            comparison.comparability,
        )
    require_design(comparison, "judge_comparison")
    absent = [name for name, value in given.items() if value is None]
    if absent:
        raise EstimationError(
            f"judge_comparison: a design needs {', '.join(given)}; {', '.join(absent)} is missing. Or give what "
            f"ev.declared_comparison returned, which brings all three."
        )
    return Case(cast(Design, comparison), outcome, treatment, covariates, missing or "refuse", comparability)


def gate(comparability: Comparability | None) -> list[Check]:
    """Judge what both sides were asked, before any number."""
    if comparability is None:
        return [Check("change"), Check("same_item"), Check("declared_design")]
    apart = ", ".join(found.aspect for found in comparability.differences if found.aspect in ("item", "wording"))
    same, graded = comparability.is_same_item, comparability.grade >= GRADE_OF["B"] or not comparability.is_same_item
    return [
        Check("change", verdict="fails" if comparability.is_refused else "passes"),
        Check("same_item", verdict="passes" if same else "fails", detail="" if same else apart),
        Check("declared_design", verdict="passes" if graded else "fails", detail=", ".join(comparability.failed)),
    ]


def alike(case: Case) -> tuple[list[Check], float]:
    """Judge whether the groups can be made alike in what was observed, and return their largest raw distance.

    The first check is whether they can be made alike at all. The distance is a standardised difference of means.
    """
    if not variables_of(case.covariates):
        return [Check("propensity")], 0.0
    try:
        weighted = propensity_weights(case.design, **case.columns)
    except UNFIT as error:
        return [Check("propensity", verdict="fails", detail=str(error).split(". ")[0])], np.inf
    table = cast(BalanceTable, balance_table(weighted))
    limits, found = case.limits, table.verdicts.iloc[-1]
    worst = str(found["covariate"]) + (f": {found['level']}" if found["level"] else "")
    ratios = [float(found["variance_ratio_low"]), float(found["variance_ratio_high"])]
    farthest = max([1.0, *(max(ratio, 1 / ratio) for ratio in ratios if ratio > 0)])
    by_group = overlap(weighted).groups
    rows = {"ATT": [0], "ATC": [1]}.get(case.estimand, [0, 1])
    kept = float((by_group["ess"] / by_group["ess_raw"]).min())
    made = [
        Check("propensity", verdict="passes"),
        judged("largest_smd", float(found["largest_smd"]), limits.smd, "below", detail=worst),
        judged("variance_ratio", farthest, limits.variance_ratio, "below"),
        _outside(by_group.iloc[rows], limits, case.design.provenance),
        judged("effective_share", kept, limits.effective_share, "above"),
        judged(
            "largest_weight_share",
            float(by_group["largest_weight_share"].max()),
            limits.largest_weight_share,
            "below",
        ),
    ]
    return made, float(table.rows["smd_raw"].abs().max())


def _outside(by_group: pd.DataFrame, limits: Limits, provenance: Provenance) -> Check:
    """Judge who has no counterpart in the other group; without the share where it would count few of them."""
    made = judged("share_outside", float(by_group["share_outside"].max()), limits.share_outside, "below")
    few = any(is_small(int(count), provenance) for count in by_group["n_outside"])
    return replace(made, value=np.nan) if few else made


def methods_side_by_side(case: Case, identified: bool) -> tuple[Estimates, Check]:
    """Return the raw difference and those of methods with different assumptions, and whether all could be fitted."""
    against = AGAINST.get(case.estimand, USUALLY)
    given: dict[str, Any] = {**case.columns, "outcome": case.outcome, "family": case.family}
    given["conf_level"] = case.conf_level
    if not variables_of(case.covariates):
        return _raw_alone(case), Check("methods")
    if not identified:
        return effect_ladder(case.design, **given, methods=["raw"]), Check("methods")
    wanted: list[Rung] = ["raw", *against, HEADLINE]
    try:
        return effect_ladder(case.design, **given, methods=wanted), Check("methods", verdict="passes")
    except UNFIT:
        fitted = [method for method in wanted if _fits(case.design, given, method)]
        unfit = [method for method in wanted if method not in fitted]
        ladder = effect_ladder(case.design, **given, methods=fitted)
        return ladder, Check("methods", verdict="fails", detail=", ".join(unfit))


def _raw_alone(case: Case) -> Estimates:
    """Return the difference as it is, as a ladder of one rung."""
    raw = group_difference(case.design, outcome=case.outcome, treatment=case.treatment, conf_level=case.conf_level)
    return replace(raw.take(np.array([0])), keys=pd.DataFrame({"term": [case.outcome], "method": ["raw"]}))


def _fits(design: Design, given: Mapping[str, Any], method: Rung) -> bool:
    try:
        effect_ladder(design, **given, methods=[method])
    except UNFIT:
        return False
    return True


def distances(ladder: Estimates) -> list[Check]:
    """Judge whether the raw and the adjusted difference are told apart from zero on the side of the adjusted one."""
    names = {"raw": "raw_difference", HEADLINE: "adjusted_difference"}
    methods = ladder.keys["method"].tolist()
    side = np.sign(ladder.estimate[methods.index(HEADLINE if HEADLINE in methods else "raw")]) or 1.0
    made = []
    for row, method in enumerate(methods):
        if method in names:
            error, needed = ladder.std_error[row], float(ladder.critical_value[row])
            if error > 0 and np.isfinite(needed):
                made.append(judged(names[method], side * float(ladder.estimate[row] / error), needed, "above"))
    return made


def agreement(ladder: Estimates, limits: Limits) -> list[Check]:
    """Judge whether methods with different assumptions come to the same, and name the one that is farthest off."""
    methods = ladder.keys["method"].tolist()
    own = [row for row, method in enumerate(methods) if method != "raw"]
    if HEADLINE not in methods or len(own) < 2:
        return []
    at = methods.index(HEADLINE)
    far = ladder.confidence_interval()[own]
    sides = np.where(far[:, 0] > 0, 1, np.where(far[:, 1] < 0, -1, 0))
    same = float((sides == (np.sign(ladder.estimate[at]) or 1)).mean())
    apart = np.abs(ladder.estimate[own] - ladder.estimate[at]) / ladder.std_error[at]
    worst = methods[own[int(np.argmax(apart))]]
    outside = [methods[row] for row, side in zip(own, sides, strict=True) if side != np.sign(ladder.estimate[at])]
    pair = f"{worst}, {HEADLINE}" if apart.max() > 0 else ""
    return [
        judged("same_side", same, 1.0, "above", detail=", ".join(outside)),
        judged("agreement", float(apart.max()), limits.agreement, "below", detail=pair),
    ]


def odds_of_covariates(case: Case) -> OddsBenchmarks:
    """Return what leaving out each covariate does to the odds of taking part."""
    return sensitivity_benchmarks(case.design, outcome=case.outcome, **case.columns)


def is_yardstick(case: Case, groups: Groups, apart: float) -> bool:
    """Tell whether observed covariates can say what a hidden trait could be like.

    One of them must differ between the groups by ``Limits.smd`` or more, and a coefficient of the participation model
    must be told from zero, its p-value times their number below 5 %: the odds that noise moves are no yardstick.
    """
    if not apart >= case.limits.smd:
        return False
    model = groups.participation
    slopes = np.array([term != "(Intercept)" for term in model.terms])

    def evaluate(weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        coefficients = fit(model, weights, "binomial")
        return coefficients, influence(model, weights, coefficients, "binomial")

    found = estimates_of_weights(
        case.design,
        evaluate,
        verb="judge_comparison",
        keys=pd.DataFrame({"term": model.terms}),
        n_obs=np.full(len(slopes), int(groups.used.sum())),
        df=float(case.design.degrees_of_freedom(groups.used)),
    )
    known = slopes & (found.std_error > 0) & (found.df > 0)
    statistic = np.abs(found.estimate[known]) / found.std_error[known]
    p = np.asarray(2 * stats.t.sf(statistic, found.df[known]))
    return bool(p.min(initial=1.0) * slopes.sum() < TOLD_APART)


def sensitivity(case: Case, beside: OddsBenchmarks | None, *, has_yardstick: bool) -> Check:
    """Judge whether a hidden trait would have to be stronger than every observed covariate."""
    if beside is None:
        return Check("sensitivity")
    bounds = sensitivity_bounds(
        case.design, outcome=case.outcome, **case.columns, lambda_=[1.0], conf_level=case.conf_level
    )
    own = float(bounds.fit["breakdown_lambda_interval"])
    strongest = str(beside.rows["covariate"].iloc[int(np.argmax(beside.rows["lambda_max"]))])
    if np.isnan(own) or not has_yardstick:
        note = "" if has_yardstick else "no_yardstick"
        return Check("sensitivity", own, beside.largest, "above", detail=strongest, note=note)
    return judged("sensitivity", own, beside.largest, "above", detail=strongest)


def controls_of(case: Case, controls: Sequence[str], ladder: Estimates, groups: Groups) -> Check:
    """Judge outcomes that the programme cannot move.

    Finding nothing counts only where something would have been found: the farthest limit of every control's interval,
    in standard deviations of its answers, must lie below the adjusted difference in those of the outcome.
    """
    if not controls:
        return Check("negative_controls")
    names = [controls] if isinstance(controls, str) else list(controls)
    if case.outcome in names:
        raise EstimationError(
            f"judge_comparison: '{case.outcome}' is the outcome and cannot be its own control. Name outcomes that the "
            f"programme cannot move."
        )
    listed = ", ".join(names)
    try:
        found = negative_controls(case.design, outcomes=names, **case.columns, conf_level=case.conf_level)
    except (EstimationError, WeightingError):
        return Check("negative_controls", detail=listed, note="not_fitted")
    p, alpha = float(found.fit["p_value"]), float(found.fit["alpha"])
    spreads = np.array([_spread(case, replace(case, outcome=name, family=None).groups()) for name in names])
    limit = float((np.abs(found.confidence_interval()).max(axis=1) / spreads).max())
    methods = ladder.keys["method"].tolist()
    stated = abs(ladder.estimate[methods.index(HEADLINE)]) / _spread(case, groups) if HEADLINE in methods else 0.0
    if found.passes and not limit < stated:
        return Check("negative_controls", p, alpha, "above", detail=listed, note="too_few_answers")
    return judged("negative_controls", p, alpha, "above", detail=listed, met=found.passes)


def _spread(case: Case, groups: Groups) -> float:
    """Return the weighted standard deviation of the answers of both groups together."""
    weights, answers = case.design.domain_weights[groups.used], groups.outcome[groups.used]
    return float(np.sqrt(np.average((answers - np.average(answers, weights=weights)) ** 2, weights=weights)))
