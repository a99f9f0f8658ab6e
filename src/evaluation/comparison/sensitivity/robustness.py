"""Robustness value: how much of outcome and participation something unobserved would have to explain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, evidence_of
from evaluation.comparison.linear_parts import LinearParts, linear_parts, shares_of
from evaluation.comparison.outcomes.influences import estimates_of_weights
from evaluation.comparison.sensitivity.omitted_covariates import columns_by_covariate, named_covariates
from evaluation.comparison.spoken import Spoken, shown_number, spoken
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_number, require_numbers
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of, smallest_of
from evaluation.results import SMALL_BASE, SMALL_CELL, Provenance, frame_html

Floats = NDArray[np.float64]
ErrorKind = Literal["design", "model"]


@dataclass(frozen=True, eq=False)
class HiddenTraits:
    """What a hidden trait some times as strong as an observed covariate would leave of the estimate.

    Attributes
    ----------
    rows : pandas.DataFrame
        ``covariate``, ``times`` (0: no hidden trait), ``r2_treatment`` and ``r2_outcome`` (what the trait would
        explain of what is left of participation and outcome), ``estimate``, ``std_error``, ``statistic``,
        ``conf_low``, ``conf_high``, ``bound``: "impossible" where no trait can be so strong, "capped" where it would
        explain all that is left of the outcome.
    smallest_group : int
        Respondents in the smaller group, or who gave an answer that is rare in one; below the survey's minimum no
        number is shown.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    smallest_group: int
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per covariate and strength."""
        rows = self.rows.copy()
        if self.smallest_group < self.provenance.min_base:
            rows[[str(name) for name in rows if name not in ("covariate", "times", "bound")]] = np.nan
            rows["mark"] = SMALL_CELL if self.smallest_group < self.provenance.min_cell else SMALL_BASE
        return rows

    def __repr__(self) -> str:
        return self.tidy().to_string(index=False, float_format=lambda value: f"{value:.6g}")

    def _repr_html_(self) -> str:
        return frame_html(self.tidy())


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Robustness(Spoken):
    """Adjusted difference, partial R2 and robustness value, with what hidden traits would leave of the first.

    Attributes
    ----------
    traits : HiddenTraits
        One row per covariate and strength.
    ratio : float
        Standard deviation left of the outcome over that left of participation: bias per unit of bias factor.
    error, error_df : float
        Standard error and degrees of freedom of the first row that the traits' errors start from.
    error_factor : float
        By which a model-based error grows through one more covariate; 1 for a design's.
    """

    estimated = ("error", "statistic", "robustness_value_interval")

    traits: HiddenTraits
    ratio: float = field(default=np.nan)
    error: float = field(default=np.nan)
    error_df: float = field(default=np.nan)
    error_factor: float = field(default=1.0)

    def adjusted(self, r2_treatment: float, r2_outcome: float) -> tuple[float, float]:
        """Return estimate and standard error as they would be beside a hidden trait of some strength.

        Parameters
        ----------
        r2_treatment, r2_outcome : float
            What the trait explains of what covariates leave of participation (below 1), and of what participation
            and covariates leave of the outcome (up to 1).

        Raises
        ------
        EstimationError
            An R2 that is none.
        """
        for name, value, most in (("r2_treatment", r2_treatment, "below 1"), ("r2_outcome", r2_outcome, "up to 1")):
            require_number(value, f"robustness_value: {name}")
            if not 0 <= value <= 1 or (value == 1 and most == "below 1"):
                raise EstimationError(
                    f"robustness_value: {name} is a share of variance from 0 {most}, got {value!r}. 10 % is 0.1."
                )
        return _beside(self, r2_treatment, r2_outcome)

    def _said(self, lang: str) -> str:
        value = shown_number(100 * float(self.estimate[2]))
        by_interval = shown_number(100 * float(self.fit["robustness_value_interval"]))
        share, level = 100 * float(self.fit["q"]), f"{100 * self.conf_level:g}"
        part = "" if share == 100 else (f"의 {share:g}%" if lang == "ko" else f"{share:g}% of ")
        if lang == "ko":
            return (
                f"공변량이 남긴 참여의 변동과 결과의 변동을 각각 {value}% 넘게 설명하는 숨은 특성이라면 보정한 "
                f"차이{part}를 설명할 수 있다. {level}% 신뢰구간이 0을 담는 데는 {by_interval}%면 된다. 그런 특성이 "
                f"없다는 것은 이 수로 알 수 없다."
            )
        return (
            f"A hidden trait that explains more than {value}% of what the covariates leave both of participation and "
            f"of the outcome could account for {part}the adjusted difference; {by_interval}% would do for the "
            f"{level}% interval to hold zero. That there is no such trait cannot be read off these numbers."
        )


def robustness_value(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    benchmarks: str | Sequence[str] | None = None,
    times: Sequence[float] = (1, 2, 3),
    q: float = 1.0,
    std_error: ErrorKind = "design",
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Robustness:
    """Estimate how much of participation and outcome a hidden trait must explain to explain a difference away.

    Parameters
    ----------
    design : Design
        Any design; survey weights enter the regression.
    outcome, treatment, covariates, missing
        As in ``ipw``; the regression is linear, without interactions of participation.
    benchmarks : str or list of str, optional
        Covariates that hidden traits are likened to; default all. One that interacts goes with its interactions.
    times : sequence of float, default (1, 2, 3)
        How many times as strong as the covariate the trait is, for participation and for the outcome.
    q : float, default 1.0
        Part of the difference that is to be explained away.
    std_error : {"design", "model"}, default "design"
        Errors and intervals by the design, t with its degrees of freedom; or those of ordinary least squares.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the intervals.

    Returns
    -------
    Robustness
        Rows ``difference_adjusted``, ``partial_r2``, ``robustness_value``; ``traits`` has a row per covariate and
        strength; ``fit["robustness_value_interval"]`` is what the interval takes. ``ev.plot`` draws the contours.

    Raises
    ------
    ColumnError
        A benchmark that is not in the model; otherwise as ``ipw``.
    EstimationError, IdentificationError
        As ``ipw``; ``q`` or ``times`` that are not positive.

    Notes
    -----
    With :math:`s` the standard deviation that participation and covariates leave of the outcome over that which the
    covariates leave of participation, all weighted, a trait with partial :math:`R^2_{D}, R^2_{Y}` moves the
    coefficient by :math:`s \\sqrt{R^2_Y R^2_D / (1 - R^2_D)}`. The robustness value solves this for
    :math:`R^2_Y = R^2_D`; its influence is that of coefficient and residual variances. For the interval the
    difference is shortened by t times its error, which a trait multiplies by
    :math:`\\sqrt{(1 - R^2_Y)/(1 - R^2_D)}`; of a design's error this takes the design effect as unchanged.

    References
    ----------
    Cinelli and Hazlett (2020), JRSS B 82, 39-67. R twin: ``sensemakr::sensemakr`` (``std_error="model"``).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "age": [20.0, 31, 45, 52, 33, 47, 58, 62]})
    >>> found = robustness_value(survey_design(respondents), outcome="y", treatment="joined", covariates=["age"])
    >>> found.estimate.round(3).tolist()
    [1.392, 0.661, 0.728]
    """
    require_design(design, "robustness_value")
    q = require_number(q, "robustness_value: q", above=0)
    strengths = _times(times)
    if std_error not in ("design", "model"):
        raise EstimationError(f"std_error must be 'design' or 'model', got {std_error!r}.")
    refuse_balanced(design, treatment, "robustness_value")
    evidence = evidence_of(comparability, ADJUSTED, "robustness_value", outcome, design)
    groups = groups_of(
        design, treatment=treatment, covariates=covariates, outcome=outcome, verb="robustness_value", missing=missing
    )
    columns = columns_by_covariate(design, groups, treatment, covariates, missing)
    named = named_covariates(benchmarks, list(columns), "robustness_value")
    parts = linear_parts(groups, design.domain_weights, verb="robustness_value")
    rows = _estimated(design, groups, outcome, q, conf_level)
    n_used, p = int(groups.used.sum()), len(groups.participation.terms)
    left = n_used - p - 1
    is_model = std_error == "model"
    if is_model and left < 2:
        raise EstimationError(f"robustness_value: {n_used} respondents leave no error beside {p} covariates.")
    error = parts.ratio / np.sqrt(left) if is_model else float(rows.std_error[0])
    whole = spoken(
        Robustness,
        rows,
        traits=HiddenTraits(pd.DataFrame(), smallest_of(groups, design.provenance), design.provenance),
        ratio=parts.ratio,
        error=float(error),
        error_df=float(left - 1) if is_model else float(rows.df[0]),
        error_factor=float(np.sqrt(left / (left - 1))) if is_model else 1.0,
    )
    own = {name: columns[name] for name in named}
    traits = replace(whole.traits, rows=_traits(design, whole, groups, parts, own, strengths))
    return replace(whole, traits=traits, fit=_fit(whole, groups, treatment, q, std_error, left) | evidence)


def _times(times: Sequence[float]) -> list[float]:
    values = require_numbers(times, "robustness_value: times", move="How many times as strong as a covariate?")
    return [require_number(value, "robustness_value: times", above=0) for value in values]


def _estimated(design: Design, groups: Groups, outcome: str, q: float, conf_level: float) -> Any:
    """Return coefficient, partial R2 and robustness value with their joint covariance."""

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        parts = linear_parts(groups, weights, verb="robustness_value")
        value, slope = value_of(q**2 * parts.partial_r2 / (1 - parts.partial_r2))
        moved = parts.partial_r2_movement
        z = np.column_stack([parts.movement, moved, slope * q**2 * moved / (1 - parts.partial_r2) ** 2])
        return np.array([parts.coefficient, parts.partial_r2, value]), z

    made = estimates_of_weights(
        design,
        evaluate,
        verb="robustness_value",
        keys=pd.DataFrame({"term": outcome, "quantity": ["difference_adjusted", "partial_r2", "robustness_value"]}),
        n_obs=np.full(3, int(groups.used.sum())),
        df=float(design.degrees_of_freedom(groups.used)),
    )
    return replace(
        made, conf_level=conf_level, bases=np.full(3, min(groups.counts())), cell_counts=np.full(3, rarer_of(groups))
    )


def value_of(f2: float) -> tuple[float, float]:
    """Return the robustness value of a squared partial f, and its derivative in that.

    Examples
    --------
    >>> round(value_of(0.25)[0], 4)
    0.3904
    """
    if f2 <= 0:
        return 0.0, 0.0
    root = float(np.sqrt(f2**2 + 4 * f2))
    return (root - f2) / 2, ((f2 + 2) / root - 1) / 2


def _fit(
    whole: Robustness, groups: Groups, treatment: str, q: float, std_error: ErrorKind, left: int
) -> dict[str, object]:
    estimate = abs(float(whole.estimate[0]))
    quantile = float(stats.t.ppf((1 + whole.conf_level) / 2, whole.error_df)) if whole.error_df > 0 else np.nan
    needed = quantile * whole.error * whole.error_factor / whole.ratio
    own = q * estimate / whole.ratio
    by_interval = value_of(max(own - needed, 0.0) ** 2)[0] if np.isfinite(needed) else np.nan
    if own > needed and own * needed > 1:
        by_interval = (own**2 - needed**2) / (1 + own**2)
    return {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "formula": groups.participation.formula,
        "n_left_out": groups.n_left_out,
        "q": q,
        "std_error": std_error,
        "error": whole.error,
        "statistic": float(whole.estimate[0]) / whole.error if whole.error > 0 else np.nan,
        "df_residual": left,
        "robustness_value_interval": by_interval,
    }


def _beside(whole: Robustness, r2_treatment: float, r2_outcome: float) -> tuple[float, float]:
    estimate = float(whole.estimate[0])
    bias = whole.ratio * np.sqrt(r2_outcome * r2_treatment / (1 - r2_treatment))
    error = whole.error * whole.error_factor * np.sqrt((1 - r2_outcome) / (1 - r2_treatment))
    return float(np.sign(estimate) * (abs(estimate) - bias)), float(error)


def _traits(
    design: Design,
    whole: Robustness,
    groups: Groups,
    parts: LinearParts,
    columns: dict[str, NDArray[np.bool_]],
    strengths: Sequence[float],
) -> pd.DataFrame:
    quantile = float(stats.t.ppf((1 + whole.conf_level) / 2, whole.error_df)) if whole.error_df > 0 else np.nan
    rows = [_trait_row("", 0.0, 0.0, 0.0, "", (float(whole.estimate[0]), whole.error), quantile)]
    for name, (r2_d, r2_y) in zip(columns, shares_of(groups, design.domain_weights, parts, columns), strict=True):
        for k in strengths:
            on_d, on_y, bound = _strength(float(r2_d), float(r2_y), k)
            beside = (np.nan, np.nan) if bound == "impossible" else _beside(whole, on_d, on_y)
            rows.append(_trait_row(name, k, on_d, on_y, bound, beside, quantile))
    return pd.DataFrame(rows)


def _strength(r2_d: float, r2_y: float, k: float) -> tuple[float, float, str]:
    """Return what a trait k times as strong as a covariate explains of participation and outcome."""
    on_d = k * r2_d / (1 - r2_d) if r2_d < 1 else np.inf
    if on_d >= 1 or k * r2_d >= 1:
        return np.nan, np.nan, "impossible"
    shared = k * r2_d**2 / ((1 - k * r2_d) * (1 - r2_d))
    if shared >= 1:
        return np.nan, np.nan, "impossible"
    on_y = ((np.sqrt(k) + np.sqrt(shared)) / np.sqrt(1 - shared)) ** 2 * r2_y / (1 - r2_y)
    return float(on_d), float(min(on_y, 1.0)), "capped" if on_y > 1 else ""


def _trait_row(
    name: str, k: float, on_d: float, on_y: float, bound: str, beside: tuple[float, float], quantile: float
) -> dict[str, Any]:
    estimate, error = beside
    return {
        "covariate": name,
        "times": float(k),
        "r2_treatment": on_d,
        "r2_outcome": on_y,
        "estimate": estimate,
        "std_error": error,
        "statistic": estimate / error if error > 0 else np.nan,
        "conf_low": estimate - quantile * error,
        "conf_high": estimate + quantile * error,
        "bound": bound,
    }
