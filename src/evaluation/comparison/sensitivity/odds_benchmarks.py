"""What observed covariates do to the odds of taking part, as a yardstick for what was not observed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.sensitivity.marginal_sensitivity import (
    REPLICATES,
    Interval,
    MarginalModel,
    SensitivityBounds,
    breakdown_text,
    fitted_odds,
    marginal_model,
    sensitivity_bounds,
)
from evaluation.comparison.sensitivity.omitted_covariates import columns_by_covariate, named_covariates, without
from evaluation.comparison.spoken import shown_number
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import smallest_of
from evaluation.estimation.tilts import Estimand
from evaluation.results import SMALL_BASE, SMALL_CELL, Provenance, frame_html, plain, shown_record

Floats = NDArray[np.float64]

#: Largest Lambda that a curve is drawn to unless said otherwise, and the smallest.
LONGEST, SHORTEST = 10.0, 1.5


@dataclass(frozen=True, eq=False)
class OddsBenchmarks:
    """By which factor the fitted odds of taking part change when a covariate is left out.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per covariate, strongest first: ``covariate``; ``lambda_max``, the largest factor of any respondent,
        either way; ``lambda_quantile``, which a share ``quantile`` of the population stays below;
        ``estimate_without``, the difference adjusted for the others; ``change`` from the full adjustment.
    quantile : float
        Share of the population.
    estimate : float
        The difference adjusted for all.
    estimand : str
        Whose composition.
    n_left_out : int
        Respondents who count but miss treatment, outcome or a covariate.
    smallest_group : int
        Respondents in the smaller group, or who gave an answer that is rare in one; below the survey's minimum no
        number is shown.
    provenance : Provenance
        For captions and manifests.
    """

    rows: pd.DataFrame
    quantile: float
    estimate: float
    estimand: Estimand
    n_left_out: int
    smallest_group: int
    provenance: Provenance

    @property
    def largest(self) -> float:
        """The largest factor of all covariates and respondents."""
        return float(self.rows["lambda_max"].max())

    def tidy(self) -> pd.DataFrame:
        """Return one row per covariate; blank, with a mark, where the survey's minimum base is not reached."""
        rows = self.rows.copy()
        if self.smallest_group < self.provenance.min_base:
            numbers = [column for column in rows.columns if column != "covariate"]
            rows[numbers] = np.nan
            rows["mark"] = SMALL_CELL if self.smallest_group < self.provenance.min_cell else SMALL_BASE
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            "verb": "sensitivity_benchmarks",
            "provenance": self.provenance.to_dict(),
            "fit": {"estimand": self.estimand, "quantile": self.quantile}
            | shown_record({"n_left_out": self.n_left_out}, self.provenance),
            "rows": [{str(k): plain(v) for k, v in row.items()} for row in self.tidy().to_dict("records")],
        }

    def text(self, lang: str | None = None) -> str:
        """Say how much the strongest covariate moves the odds, in Korean or English."""
        chosen, first = wording.language_of(lang), self.tidy().iloc[0]
        name = wording.term_label(first["covariate"], self.provenance.labels, chosen)
        most, usual, share = (first["lambda_max"], first["lambda_quantile"], 100 * self.quantile)
        if np.isnan(most):
            return f"{wording.term('OddsBenchmarks', chosen)}: {wording.ABSENT} {first['mark']}"
        if chosen == "ko":
            return (
                f"관측된 공변량 가운데 참여 승산을 가장 크게 바꾸는 것은 {name}이다. 이를 빼면 승산이 {most:.2f}배까지 "
                f"달라지고, 모집단의 {share:g}%에서는 {usual:.2f}배를 넘지 않는다. 관측되지 않은 특성이 더 강하지 "
                f"않다는 보장은 없다."
            )
        return (
            f"Among the observed covariates {name} moves the odds of taking part most: without it they differ by a "
            f"factor of up to {most:.2f}, and of {usual:.2f} or less for {share:g}% of the population. Nothing "
            f"guarantees that what was not observed is weaker."
        )

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return a row per covariate as text: factors to two decimals, differences to the digits of the whole one."""
        rows, labels = self.tidy(), self.provenance.labels
        places = max(2 - math.floor(math.log10(abs(self.estimate))), 0) if self.estimate else 3
        decimals = {"lambda_max": 2, "lambda_quantile": 2, "estimate_without": places, "change": places}
        columns = {"covariate": [wording.term_label(name, labels, lang) for name in rows["covariate"]]}
        marks = rows["mark"] if "mark" in rows else [""] * len(rows)
        for name, digits in decimals.items():
            cells = zip(rows[name], marks, strict=True)
            columns[name] = [mark or wording.number(float(value), digits) for value, mark in cells]
        return {wording.term(name, lang): cells for name, cells in columns.items()}, [self.text(lang)]

    def __repr__(self) -> str:
        head = f"sensitivity_benchmarks: {self.provenance.survey}, estimand {self.estimand}, quantile {self.quantile:g}"
        return f"{head}\n{self.tidy().to_string(index=False, float_format=lambda value: f'{value:.6g}')}"

    def _repr_html_(self) -> str:
        return frame_html(self.tidy())


def sensitivity_benchmarks(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    benchmarks: str | Sequence[str] | None = None,
    estimand: Estimand = "ATT",
    missing: Missing = "refuse",
    quantile: float = 0.95,
) -> OddsBenchmarks:
    """Leave each covariate out and see by which factor the odds of taking part change.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, covariates, missing
        As in ``ipw``.
    benchmarks : str or list of str, optional
        Covariates to leave out, one at a time; default all. One that interacts goes with its interactions.
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        Of the differences.
    quantile : float, default 0.95
        Share of the population whose odds change by less than ``lambda_quantile``.

    Returns
    -------
    OddsBenchmarks

    Raises
    ------
    ColumnError
        A benchmark that is not in the model; otherwise as ``ipw``.
    EstimationError, IdentificationError
        As ``ipw``; a quantile that is no share.

    Notes
    -----
    Of each respondent in use the larger of both ratios of the odds with and without the covariate. The largest
    rests on one respondent, so a quantile stands beside it.

    References
    ----------
    Zhao, Small and Bhattacharya (2019), JRSS B 81, 735-761, section 7.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [0.0, 1, 0, 1, 1, 1, 1, 0], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": list("fffmfmmm")})
    >>> found = sensitivity_benchmarks(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> found.tidy()[["covariate", "lambda_max"]].round(3).values.tolist()
    [['sex', 3.0]]
    """
    require_design(design, "sensitivity_benchmarks")
    if isinstance(quantile, bool) or not isinstance(quantile, (int, float)) or not 0 < quantile <= 1:
        raise EstimationError(f"sensitivity_benchmarks: quantile is a share above 0 and up to 1, got {quantile!r}.")
    model = marginal_model(design, outcome, treatment, covariates, estimand, "sensitivity_benchmarks", missing)
    columns = columns_by_covariate(design, model.groups, treatment, covariates, missing)
    named = named_covariates(benchmarks, list(columns), "sensitivity_benchmarks")
    whole = model.bounds(1.0)[0]
    rows = [_left_out(model, name, columns[name], whole, quantile) for name in named]
    frame = pd.DataFrame(rows).sort_values("lambda_max", ascending=False, kind="stable").reset_index(drop=True)
    return OddsBenchmarks(
        frame,
        float(quantile),
        whole,
        estimand,
        model.groups.n_left_out,
        smallest_of(model.groups, design.provenance),
        design.provenance,
    )


def _left_out(model: MarginalModel, name: str, columns: Any, whole: float, quantile: float) -> dict[str, Any]:
    groups = without(model.groups, columns)
    odds, behind = fitted_odds(groups, model.weights, model.behind.values[~columns])
    smaller = replace(model, groups=groups, odds=odds, behind=behind)
    used = groups.used & (model.weights > 0)
    ratio = model.behind.x @ model.behind.values - behind.x @ behind.values
    factor = np.exp(np.abs(ratio[used]))
    estimate = smaller.bounds(1.0)[0]
    return {
        "covariate": name,
        "lambda_max": float(factor.max()),
        "lambda_quantile": _quantile(factor, model.weights[used], quantile),
        "estimate_without": estimate,
        "change": estimate - whole,
    }


def _quantile(values: Floats, weights: Floats, share: float) -> float:
    """Return the smallest value that a share of the weight does not exceed."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= share * weights.sum() * (1 - 1e-12)
    return float(values[order][int(np.argmax(reached))])


@dataclass(frozen=True, eq=False)
class LambdaCurve:
    """Bounds and interval over a range of Lambda, with what the observed covariates do.

    Attributes
    ----------
    bounds : SensitivityBounds
        Two rows per Lambda.
    benchmarks : OddsBenchmarks or None
        One row per covariate.
    """

    bounds: SensitivityBounds
    benchmarks: OddsBenchmarks | None

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        return self.bounds.provenance

    @property
    def breakdown(self) -> float:
        """The smallest Lambda at which the bounds hold zero."""
        return float(self.bounds.fit["breakdown_lambda"])

    @property
    def breakdown_of_interval(self) -> float:
        """The smallest Lambda at which the bounds' interval holds zero."""
        return float(self.bounds.fit["breakdown_lambda_interval"])

    @property
    def exceeds_observed(self) -> bool:
        """Whether the interval holds zero only where something moves the odds more than any observed covariate."""
        return self.benchmarks is not None and self.breakdown_of_interval > self.benchmarks.largest

    def tidy(self) -> pd.DataFrame:
        """Return one row per Lambda: bounds, and the outer limits of their intervals."""
        shown = self.bounds.masked()
        limits = shown.confidence_interval()
        frame = pd.DataFrame(
            {
                "lambda": shown.keys["lambda"].to_numpy()[::2],
                "bound_low": shown.estimate[::2],
                "bound_high": shown.estimate[1::2],
                "conf_low": limits[::2, 0],
                "conf_high": limits[1::2, 1],
            }
        )
        return frame.assign(mark=shown.marks[::2]) if any(shown.marks) else frame

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return {
            **self.bounds.masked().to_dict(),
            "verb": "sensitivity_curve",
            "benchmarks": None if self.benchmarks is None else self.benchmarks.to_dict()["rows"],
        }

    def text(self, lang: str | None = None) -> str:
        """Say where nothing is left, and how that compares with the observed covariates, in Korean or English."""
        chosen = wording.language_of(lang)
        if any(self.bounds.marks):
            return self.bounds.text(chosen)
        said = breakdown_text(self.breakdown, self.breakdown_of_interval, chosen)
        if chosen == "ko":
            said = f"관측되지 않은 특성이 참여 승산을 공변량으로 알 수 있는 것에서 벗어나게 하는 배수로 볼 때, {said}"
        else:
            start = "By the factor by which something unobserved may move the odds of taking part, "
            said = start + said[0].lower() + said[1:]
        if self.benchmarks is None:
            return said
        most = shown_number(self.benchmarks.largest)
        if chosen == "ko":
            held = "넘는다" if self.exceeds_observed else "넘지 않는다"
            return f"{said} 신뢰구간의 배수는 관측된 공변량 하나가 승산을 바꾸는 최대 배수({most})를 {held}."
        held = "more" if self.exceeds_observed else "no more"
        return f"{said} The interval's is {held} than any one observed covariate moves them ({most} at most)."

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return a row per Lambda as text, with the digits that the bounds' errors bear."""
        rows, errors = self.tidy(), self.bounds.masked().std_error
        places = wording.common_decimals(errors.tolist())
        marks = rows["mark"] if "mark" in rows else [""] * len(rows)
        columns = {wording.term("lambda", lang): [wording.number(float(value), 2) for value in rows["lambda"]]}
        for name in ("bound_low", "bound_high", "conf_low", "conf_high"):
            cells = zip(rows[name], marks, strict=True)
            columns[wording.term(name, lang)] = [
                mark or wording.number(float(value), 3 if places is None else places) for value, mark in cells
            ]
        return columns, [self.text(lang)]

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


def sensitivity_curve(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    estimand: Estimand = "ATT",
    largest: float | None = None,
    points: int = 25,
    benchmarks: str | Sequence[str] | None = None,
    quantile: float = 0.95,
    missing: Missing = "refuse",
    interval: Interval = "linearised",
    replicates: int = REPLICATES,
    seed: int | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> LambdaCurve:
    """Estimate the bounds over a range of Lambda, and what each observed covariate does beside them.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, missing, interval, replicates, seed, comparability, conf_level
        As in ``sensitivity_bounds``.
    largest : float, optional
        Last Lambda; default far enough to show where zero is reached and what the covariates do, 10 at most.
    points : int, default 25
        Values of Lambda, evenly spread over its logarithm.
    benchmarks, quantile
        As in ``sensitivity_benchmarks``.

    Returns
    -------
    LambdaCurve
        ``ev.plot`` draws it.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``sensitivity_bounds`` and ``sensitivity_benchmarks``; a last Lambda of 1 or less, fewer than two points.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [0.0, 1, 0, 1, 1, 1, 1, 0], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": list("fffmfmmm")})
    >>> asked = {"outcome": "y", "treatment": "joined", "covariates": ["sex"]}
    >>> curve = sensitivity_curve(survey_design(respondents), **asked, largest=4, points=3)
    >>> curve.tidy()[["lambda", "bound_low", "bound_high"]].round(3).values.tolist()
    [[1.0, -0.083, -0.083], [2.0, -0.202, 0.194], [4.0, -0.238, 0.512]]
    """
    require_design(design, "sensitivity_curve")
    if not isinstance(points, int) or points < 2:
        raise EstimationError(f"sensitivity_curve: points must be 2 or more, got {points!r}.")
    if largest is not None and not largest > 1:
        raise EstimationError(f"sensitivity_curve: largest is the last Lambda and above 1, got {largest!r}.")
    beside = sensitivity_benchmarks(
        design, outcome=outcome, treatment=treatment, covariates=covariates, benchmarks=benchmarks, estimand=estimand,
        quantile=quantile, missing=missing,
    )  # fmt: skip
    if largest is None:
        own = marginal_model(design, outcome, treatment, covariates, estimand, "sensitivity_curve", missing).breakdown()
        largest = _last(own, beside.rows)
    bounds = sensitivity_bounds(
        design, outcome=outcome, treatment=treatment, covariates=covariates, estimand=estimand,
        lambda_=[float(value) for value in np.geomspace(1.0, largest, points)], interval=interval,
        missing=missing, replicates=replicates, seed=seed, comparability=comparability, conf_level=conf_level,
    )  # fmt: skip
    return LambdaCurve(bounds, beside)


def _last(breakdown: float, rows: pd.DataFrame) -> float:
    wanted = [SHORTEST, 1.1 * float(rows["lambda_quantile"].max()), 1.05 * float(rows["lambda_max"].max())]
    if np.isfinite(breakdown):
        wanted.append(1.3 * breakdown)
    return min(LONGEST, max(wanted))
