"""E-values: how strong something unobserved would have to be to explain a ratio or a difference away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq

from evaluation import project, wording
from evaluation.errors import EstimationError, ProjectError
from evaluation.estimation.arguments import came, is_number, require_number
from evaluation.estimation.contrasts import joined
from evaluation.results import Estimates, Provenance, plain

Floats = NDArray[np.float64]
Scale = Literal["risk_ratio", "odds_ratio", "odds_ratio_rare", "smd", "risk_difference"]

SCALES = ("risk_ratio", "odds_ratio", "odds_ratio_rare", "smd", "risk_difference")
#: What an estimated measure is on these scales.
_SCALE_OF: dict[str, Scale] = {"log_risk_ratio": "risk_ratio", "log_odds_ratio": "odds_ratio", "smd": "smd"}
#: Share of participants in the population that an estimand is about, where it is known beforehand.
_SHARE_OF = {"ATT": 1.0, "ATC": 0.0}

#: Ratios beyond this, either way up, are slips of the hand.
LARGEST_RATIO = 1e6

#: How an approximate risk ratio follows from a standardised mean difference, and its limits from the error.
SMD_TO_LOG_RATIO, SMD_ERROR_TO_LOG_RATIO = 0.91, 1.78


@dataclass(frozen=True)
class EValue:
    """How strongly an unobserved trait must go with both participation and outcome to explain a number away.

    Attributes
    ----------
    point : float
        For the estimate; risk-ratio scale, 1 and above.
    limit : float
        For the interval's limit nearest the null; 1 where the interval holds the null, NaN without one.
    risk_ratio, low, high : float
        The risk ratio, exact or approximate, and its limits (NaN for a risk difference).
    null : float
        The risk ratio, or the risk difference, to which it is to be moved.
    scale : str
        What was given: ``risk_ratio``, ``odds_ratio``, ``odds_ratio_rare``, ``smd`` or ``risk_difference``.
    provenance : Provenance
        For captions and manifests.
    difference, difference_low, difference_high : float
        The risk difference and its limits; NaN for a ratio.
    mark : str
        Why no number is shown: the estimates rest on too few respondents. Empty where they do not.
    outcome : str
        Column of the estimates, empty for a number.
    """

    point: float
    limit: float
    risk_ratio: float
    low: float
    high: float
    null: float
    scale: Scale
    provenance: Provenance
    difference: float = np.nan
    difference_low: float = np.nan
    difference_high: float = np.nan
    mark: str = ""
    outcome: str = ""

    @property
    def given(self) -> float:
        """What stands on ``scale``, before it was converted to a risk ratio."""
        if self.scale == "risk_difference":
            return self.difference
        if self.scale == "smd":
            return float(np.log(self.risk_ratio) / SMD_TO_LOG_RATIO)
        return self.risk_ratio**2 if self.scale == "odds_ratio" else self.risk_ratio

    def tidy(self) -> pd.DataFrame:
        """Return one row: the two E-values and the ratio with its limits, of a difference also that with its own."""
        names = ["point", "limit", "risk_ratio", "low", "high", "null", "scale"]
        if self.scale == "risk_difference":
            names += ["difference", "difference_low", "difference_high"]
        row = {name: getattr(self, name) for name in names}
        if self.mark:
            row = {name: value if name in ("null", "scale") else np.nan for name, value in row.items()}
            row |= {"mark": self.mark}
        return pd.DataFrame([row])

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        rows = [{str(name): plain(value) for name, value in self.tidy().iloc[0].items()}]
        return {"verb": "e_value", "provenance": self.provenance.to_dict(), "rows": rows}

    def text(self, lang: str | None = None) -> str:
        """Say what the E-values mean, in Korean or English."""
        chosen = project.language() if lang is None else lang
        if chosen not in project.LANGUAGES:
            raise ProjectError(f"lang must be 'ko' or 'en', got {lang!r}.")
        if self.mark:
            return f"{wording.term('EValue', chosen)}: {wording.ABSENT} {self.mark}"
        what = self._converted(chosen)
        if chosen == "ko":
            limit = "" if np.isnan(self.limit) else f", 신뢰한계까지 옮기려면 {self.limit:.2f}배"
            return (
                f"{what}: 관측되지 않은 특성이 참여와 결과 양쪽에 각각 {self.point:.2f}배 이상 "
                f"관련되면 설명될 수 있음{limit}."
            )
        limit = "" if np.isnan(self.limit) else f"; {self.limit:.2f} would do to move the interval's limit"
        return (
            f"{what}: an unobserved trait associated with both participation and outcome by "
            f"risk ratios of {self.point:.2f} each could explain it{limit}."
        )

    def _converted(self, lang: str) -> str:
        """Return the outcome and the ratio in words, and from what the ratio was converted."""
        form = {"risk_difference": ".3f"}.get(self.scale, ".2f")
        given = wording.term(f"e_value_of_{self.scale}", lang)
        said = given.format(given=format(self.given, form), ratio=f"{self.risk_ratio:.2f}", factor=SMD_TO_LOG_RATIO)
        name = wording.term_label(self.outcome, self.provenance.labels, lang) if self.outcome else ""
        return wording.capital(f"{name}, {said}" if name else said)

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return the E-values as a row of text, with the ratio they rest on, and what they say as a note."""
        is_difference = self.scale == "risk_difference"
        ends = (self.difference_low, self.difference_high) if is_difference else (self.low, self.high)
        form = ".3f" if is_difference else ".2f"
        shown = [self.difference if is_difference else self.risk_ratio, *ends]
        numbers = [wording.ABSENT if np.isnan(value) else format(value, form) for value in shown]
        name = wording.term_label(self.outcome, self.provenance.labels, lang) if self.outcome else wording.ABSENT
        ratio = wording.term("risk_difference" if is_difference else "risk_ratio", lang)
        cells = {
            "outcome": name,
            "scale": wording.term(self.scale, lang),
            "ratio": numbers[0] if np.isnan(ends).any() else f"{numbers[0]} [{numbers[1]}, {numbers[2]}]",
            "EValue": f"{self.point:.2f}",
            "e_value_limit": wording.ABSENT if np.isnan(self.limit) else f"{self.limit:.2f}",
            "e_value_null": f"{self.null:g}",
        }
        if self.mark:
            cells |= dict.fromkeys(("ratio", "EValue", "e_value_limit"), self.mark)
        heads = {"outcome": wording.term("term", lang), "scale": wording.term("e_value_scale", lang), "ratio": ratio}
        return {heads.get(key, wording.term(key, lang)): [cell] for key, cell in cells.items()}, [self.text(lang)]

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text())}</p>"


def e_value(
    estimate: Estimates | float | None = None,
    *,
    scale: Scale | None = None,
    low: float | None = None,
    high: float | None = None,
    std_error: float | None = None,
    null: float | None = None,
    means: Sequence[float] | None = None,
    covariance: Any = None,
    participant_share: Estimates | float | None = None,
    conf_level: float = 0.95,
) -> EValue:
    """Compute the E-value of a ratio or a difference of shares, and of its interval.

    Parameters
    ----------
    estimate : Estimates or float
        A difference estimated with ``measure="log_risk_ratio"``, ``"log_odds_ratio"`` or ``"smd"`` (row 0 is
        taken, limits and scale with it), a difference of shares together with ``scale="risk_difference"``, or a
        number on ``scale``.
    scale : {"risk_ratio", "odds_ratio", "odds_ratio_rare", "smd", "risk_difference"}, optional
        Default: of estimates that of their measure, of numbers "risk_ratio". "odds_ratio" is of a common outcome
        (15 % and more) and enters by its square root, "odds_ratio_rare" as it is; "smd" is a standardised mean
        difference and enters as ``exp(0.91 d)``.
    low, high : float, optional
        Limits of a ratio.
    std_error : float, optional
        Of a standardised mean difference.
    null : float, optional
        Risk ratio to which the estimate would have to be moved, default 1; of a risk difference the difference,
        default 0.
    means : (float, float), optional
        Of a risk difference without estimates: share among participants, share in comparison.
    covariance : array, shape (2, 2) or (3, 3), optional
        Of ``means``, or of them and ``participant_share``; without it the interval is left out.
    participant_share : Estimates or float, optional
        Part of the population that takes part, of a risk difference: an estimate from ``survey_mean`` of the same
        design brings its covariance. Known of the estimands "ATT" (1) and "ATC" (0); needed otherwise.
    conf_level : float, default 0.95
        Of a risk difference given by ``means``.

    Returns
    -------
    EValue

    Raises
    ------
    EstimationError
        A ratio that is not positive, limits that do not hold the estimate, means that are no shares, a plain
        difference without ``scale="risk_difference"``, or a null on the far side of the estimate.

    Notes
    -----
    :math:`E = B + \\sqrt{B (B - 1)}` with :math:`B` the ratio of the estimate to ``null``, inverted below 1. For a
    risk difference :math:`B` solves :math:`(p_1 - p_0 B)(f + (1 - f) / B) = \\delta` with the share :math:`f` of
    participants and the null :math:`\\delta`; its limit is the smallest :math:`B` at which the interval of the left
    side, by the delta method with the covariance of :math:`p_1, p_0, f`, reaches :math:`\\delta`. A negative
    difference exchanges the groups. R looks for it on a grid of 0.0001 and takes the three as independent.

    References
    ----------
    VanderWeele and Ding (2017), Annals of Internal Medicine 167, 268-274; Ding and VanderWeele (2016), Epidemiology
    27, 368-377. R twins: ``EValue::evalues.RR``, ``evalues.OR``, ``evalues.OLS`` and ``evalues.RD``.

    Examples
    --------
    >>> result = e_value(0.847 / 0.594)
    >>> round(result.point, 2)
    2.21
    >>> print(e_value(1.2, low=0.95, high=1.5).text("en"))
    Risk ratio 1.20: an unobserved trait associated with both participation and outcome by risk ratios of 1.69 each
    could explain it; 1.00 would do to move the interval's limit.
    """
    provenance = estimate.provenance if isinstance(estimate, Estimates) else Provenance()
    scale = _scale(estimate, scale)
    if scale == "risk_difference":
        _refuse_given(low=low, high=high, std_error=std_error, scale=scale)
        shares = _shares(estimate, means, covariance, participant_share, conf_level)
        made = _of_difference(shares, 0.0 if null is None else require_number(null, "e_value: null"), provenance)
        return replace(made, mark=_mark_of(estimate), outcome=_outcome_of(estimate))
    _refuse_given(means=means, covariance=covariance, participant_share=participant_share, scale=scale)
    null = 1.0 if null is None else require_number(null, "e_value: null", above=0)
    low, high, std_error = (
        None if value is None else require_number(value, f"e_value: {name}")
        for name, value in (("low", low), ("high", high), ("std_error", std_error))
    )
    if isinstance(estimate, Estimates):
        ratio, lower, upper = _of_estimates(estimate, scale)
    else:
        ratio, lower, upper = _risk_ratios(_number(estimate), low, high, std_error, scale)
    _refuse_impossible(ratio, lower, upper, null)
    point = _bound(ratio, null)
    nearest = lower if ratio > null else upper
    crossed = lower <= null <= upper
    limit = 1.0 if crossed else (np.nan if np.isnan(nearest) else _bound(nearest, null))
    made = EValue(point, float(limit), ratio, lower, upper, null, scale, provenance)
    return replace(made, mark=_mark_of(estimate), outcome=_outcome_of(estimate))


def _mark_of(estimate: object) -> str:
    """Return why row 0 of estimates may not be shown; empty for numbers."""
    return estimate.marks[0] if isinstance(estimate, Estimates) else ""


def _outcome_of(estimate: object) -> str:
    """Return the column that estimates are about; empty for numbers."""
    return str(estimate.keys["term"].iloc[0]) if isinstance(estimate, Estimates) else ""


def _scale(estimate: object, scale: Scale | None) -> Scale:
    if scale is not None and scale not in SCALES:
        raise EstimationError(f"scale must be one of {', '.join(map(repr, SCALES))}, got {scale!r}.")
    if not isinstance(estimate, Estimates):
        return scale or "risk_ratio"
    quantity = str(estimate.keys["quantity"].iloc[0]) if "quantity" in estimate.keys else ""
    if quantity == "difference" and scale == "risk_difference":
        return scale
    own = _SCALE_OF.get(quantity)
    if own is None:
        shares = " Where the answers are 0 and 1, scale='risk_difference' takes the difference itself."
        raise EstimationError(
            f"e_value: row 0 of {estimate.verb} is {quantity or 'no ratio'}, expected a ratio. "
            f"Estimate it with measure='log_risk_ratio'.{shares if quantity == 'difference' else ''}"
        )
    if scale is not None and scale.removesuffix("_rare") != own:
        raise EstimationError(f"e_value: row 0 of {estimate.verb} is {quantity}, so scale cannot be {scale!r}.")
    return scale or own


def _refuse_given(*, scale: str, **given: object) -> None:
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise EstimationError(f"e_value: {', '.join(named)} has no meaning for scale '{scale}'. Leave it out.")


def _number(estimate: object) -> float:
    if not is_number(estimate):
        raise EstimationError(
            f"e_value: estimate must be a number or an estimated ratio, got {came(estimate)}. Write e_value(1.43), or "
            f"pass what ev.aipw(..., measure='log_risk_ratio') returned."
        )
    return require_number(estimate, "e_value: estimate")


def _of_estimates(result: Estimates, scale: Scale) -> tuple[float, float, float]:
    if scale == "smd":
        return _risk_ratios(float(result.estimate[0]), None, None, float(result.std_error[0]), "smd")
    low, high = np.exp(result.confidence_interval()[0])
    return _risk_ratios(float(np.exp(result.estimate[0])), float(low), float(high), None, scale)


def _risk_ratios(
    estimate: float, low: float | None, high: float | None, std_error: float | None, scale: Scale
) -> tuple[float, float, float]:
    if scale == "smd":
        if std_error is not None and not std_error >= 0:
            raise EstimationError(f"e_value: std_error must be 0 or more, got {std_error!r}.")
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
    if ratio > LARGEST_RATIO or 0 < ratio < 1 / LARGEST_RATIO:
        raise EstimationError(
            f"e_value: a ratio of {ratio:.3g} is no risk ratio that people have; expected {1 / LARGEST_RATIO:g} to "
            f"{LARGEST_RATIO:g}. Is it a count, a per cent or an exponent of something else?"
        )
    if not np.isfinite(ratio) or not null > 0:
        raise EstimationError(f"e_value: estimate and null must be finite and above 0, got {ratio} and {null}.")
    if low > ratio or high < ratio:
        raise EstimationError(
            f"e_value: the limits {low:g} to {high:g} do not hold the estimate {ratio:g}. Were they exchanged?"
        )


def _bound(ratio: float, null: float) -> float:
    relative = max(ratio / null, null / ratio)
    return float(relative + np.sqrt(relative * (relative - 1)))


@dataclass(frozen=True, eq=False)
class _Shares:
    """Share among participants, share in comparison, part that takes part; their covariance, and the quantile."""

    values: Floats
    covariance: Floats
    critical: float

    def exchanged(self) -> _Shares:
        """Return the same with the groups exchanged, by which a negative difference becomes positive."""
        turn = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, -1]])
        return _Shares(turn @ self.values + np.array([0.0, 0, 1]), turn @ self.covariance @ turn.T, self.critical)

    def moved(self, factor: float) -> tuple[float, Floats]:
        """Return the least difference that a trait of a bias factor leaves, and its derivative in the three."""
        p1, p0, f = self.values
        left, mixed = p1 - p0 * factor, f + (1 - f) / factor
        return float(left * mixed), np.array([mixed, -factor * mixed, left * (1 - 1 / factor)])

    def limit(self, factor: float) -> float:
        """Return the lower limit of that difference."""
        value, slope = self.moved(factor)
        variance = float(slope @ self.covariance @ slope)
        return value - self.critical * math.sqrt(max(variance, 0.0))


def _shares(
    estimate: object, means: Sequence[float] | None, covariance: Any, share: Estimates | float | None, conf_level: float
) -> _Shares:
    if not isinstance(estimate, Estimates):
        return _given_shares(estimate, means, covariance, share, conf_level)
    _refuse_given(means=means, covariance=covariance, scale="risk_difference, once it is estimated")
    quantile = float(estimate.critical_value[0])
    rows = estimate.take(np.array([1, 2]))
    if isinstance(share, Estimates):
        if len(share) != 1:
            raise EstimationError(
                f"e_value: participant_share must be one number, got {len(share)} rows of {share.verb}. "
                f"Write participant_share=ev.survey_mean(design, treatment)."
            )
        together = joined([rows, share])
        return _checked(_Shares(together.estimate, together.vcov, quantile))
    known = _SHARE_OF.get(str(estimate.fit.get("estimand"))) if share is None else float(share)
    if known is None:
        raise EstimationError(
            f"e_value: a risk difference of {estimate.verb} is about a population of participants and others. Say "
            f"what part of it takes part: "
            f"participant_share=ev.survey_mean(design, '{estimate.fit.get('treatment', '...')}')."
        )
    return _checked(_Shares(np.append(rows.estimate, known), _padded(rows.vcov), quantile))


def _given_shares(
    estimate: object, means: Sequence[float] | None, covariance: Any, share: Estimates | float | None, conf_level: float
) -> _Shares:
    if estimate is not None or means is None or len(means) != 2 or isinstance(share, Estimates) or share is None:
        raise EstimationError(
            "e_value: a risk difference without estimates needs means=(share among participants, share in comparison) "
            "and participant_share=, and no estimate."
        )
    if not 0 < conf_level < 1:
        raise EstimationError(f"e_value: conf_level must lie between 0 and 1, got {conf_level!r}.")
    matrix = np.full((3, 3), np.nan) if covariance is None else np.asarray(covariance, dtype=float)
    if matrix.shape not in ((2, 2), (3, 3)):
        raise EstimationError(f"e_value: covariance must have shape (2, 2) or (3, 3), got {matrix.shape}.")
    quantile = float(stats.norm.ppf((1 + conf_level) / 2))
    return _checked(_Shares(np.array([*means, share], dtype=float), _padded(matrix), quantile))


def _padded(covariance: Floats) -> Floats:
    whole = np.zeros((3, 3))
    whole[: len(covariance), : len(covariance)] = covariance
    return whole


def _checked(shares: _Shares) -> _Shares:
    p1, p0, f = shares.values
    if not (0 <= p1 <= 1 and 0 <= p0 <= 1):
        raise EstimationError(
            f"e_value: a risk difference is one of shares between 0 and 1, got means of {p1:.6g} and {p0:.6g}. "
            f"For other outcomes estimate measure='smd'."
        )
    if not 0 <= f <= 1:
        raise EstimationError(f"e_value: participant_share is a part of 1, got {f:.6g}.")
    return shares


def _of_difference(shares: _Shares, null: float, provenance: Provenance) -> EValue:
    p1, p0 = shares.values[:2]
    difference, ratio = float(p1 - p0), float(p1 / p0) if p0 > 0 else np.inf
    half = difference - shares.limit(1.0)
    numbers = (difference, difference - half, difference + half)
    towards = shares if difference >= 0 else shares.exchanged()
    target = null if difference >= 0 else -null
    if not -1 <= null <= 1 or target > abs(difference):
        raise EstimationError(
            f"e_value: the difference is {difference:.4g}, and what is not observed may have made it too large; null "
            f"must lie between it and the other side, got {null:g}."
        )
    point = _reached(lambda factor: towards.moved(factor)[0], target)
    limit = np.nan if np.isnan(half) else _reached(towards.limit, target)
    return EValue(
        _bound(point, 1.0), limit if np.isnan(limit) else _bound(limit, 1.0), ratio, np.nan, np.nan, null,
        "risk_difference", provenance, *numbers,
    )  # fmt: skip


def _reached(value: Callable[[float], float], target: float) -> float:
    """Return the least bias factor at which a number has come down to the target; infinite where it never does."""
    if value(1.0) <= target:
        return 1.0
    highest = 2.0
    while value(highest) > target:
        highest *= 2
        if highest > 1e12:
            return np.inf
    return float(brentq(lambda factor: value(factor) - target, 1.0, highest, xtol=1e-13, rtol=1e-14))
