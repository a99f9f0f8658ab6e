"""Sensitivity: how strong something unobserved would have to be to explain a difference away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from evaluation import project
from evaluation.errors import EstimationError, ProjectError
from evaluation.results import Estimates, Provenance, frame_html, plain

Scale = Literal["risk_ratio", "odds_ratio", "odds_ratio_rare", "smd"]

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
        return frame_html(self.tidy())


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
