"""Coefficient stability: how much stronger than the observed what is not observed must select to leave nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, evidence_of
from evaluation.comparison.linear_parts import linear_parts
from evaluation.comparison.outcomes.influences import estimates_of_weights, gradient
from evaluation.comparison.sensitivity.omitted_covariates import columns_by_covariate, named_covariates
from evaluation.comparison.spoken import Spoken, shown_number, spoken, written
from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.arguments import require_number
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: R2 of a regression with everything in it, as a multiple of the one with what was observed.
USUAL_MULTIPLE = 1.3
#: Two solutions are one where their distances from the controlled coefficient differ by less.
ALIKE = 1e-9
#: What the rows are, besides the two coefficients.
QUANTITIES = ("oster_delta", "oster_beta", "difference_adjusted", "difference_uncontrolled")


@dataclass(frozen=True, eq=False, repr=False)
class CoefficientStability(Spoken):
    """Oster's delta and bias-adjusted coefficient, beside the coefficients with and without covariates."""

    estimated = ("r2_uncontrolled", "r2_controlled", "solutions")

    def _said(self, lang: str) -> str:
        delta, beta, own, raw = (
            written([value], float(error))[0] for value, error in zip(self.estimate, self.std_error, strict=True)
        )
        aim = f"{self.fit['beta']:g}"
        most, level = shown_number(float(self.fit["r2_max"])), float(self.fit["delta"])
        if lang == "ko":
            return (
                f"공변량 없이 {raw}, 공변량을 넣으면 {own}. 모든 것을 넣은 회귀의 R²가 {most}이라면, 관측되지 않은 "
                f"것의 선택이 관측된 것의 {delta}배일 때 (음수면 반대 방향) {aim}만 남고, {level:g}배일 때의 계수는 "
                f"{beta}이다. 두 선택이 비례한다는 것은 가정이다."
            )
        return (
            f"Without covariates {raw}, with them {own}. If a regression with everything had an R² of {most}, "
            f"selection by what is not observed would have to be {delta} times that by what is (negative: the other "
            f"way) to leave {aim}; at {level:g} times the coefficient is {beta}. That both are proportional is assumed."
        )


def oster_delta(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    r2_max: float | None = None,
    beta: float = 0.0,
    delta: float = 1.0,
    always: str | Sequence[str] = (),
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> CoefficientStability:
    """Estimate how selection by what is unobserved must compare with that by what is observed to leave ``beta``.

    Parameters
    ----------
    design : Design
        Any design; survey weights enter both regressions and all variances.
    outcome, treatment, covariates, missing
        As in ``ipw``; the regressions are linear.
    r2_max : float, optional
        R2 of the regression with everything observed and not, above that with the covariates and up to 1; default
        1.3 times that one, 1 at most.
    beta : float, default 0
        Coefficient that ``oster_delta`` is to reach.
    delta : float, default 1
        Proportion of selection at which ``oster_beta`` is computed.
    always : str or list of str, optional
        Covariates that stand in both regressions, such as strata: their selection tells nothing.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    CoefficientStability
        Rows ``oster_delta``, ``oster_beta``, ``difference_adjusted``, ``difference_uncontrolled``. Where
        several coefficients solve for ``oster_beta``, the nearest to ``difference_adjusted``; all are in
        ``fit["solutions"]``.

    Raises
    ------
    EstimationError
        An R2 that is none, or not above that with the covariates.
    ColumnError, EstimationError, IdentificationError
        As ``ipw``; a name in ``always`` that is no covariate, or all of them.

    Notes
    -----
    With uncontrolled and controlled coefficients :math:`b_0, b_1` and :math:`R_0, R_1`, variances
    :math:`\\sigma_y, \\sigma_x` and :math:`\\tau` (of participation beside the covariates),
    :math:`\\nu = b_1 - \\beta` and :math:`\\delta` satisfy

    .. math:: \\delta [r \\sigma_x g + \\nu r (\\sigma_x - \\tau) + \\nu^2 \\tau g \\sigma_x
              + \\nu^3 \\tau (\\sigma_x - \\tau)] = \\nu t \\tau + \\nu \\sigma_x \\tau g^2
              + 2 \\nu^2 \\tau g \\sigma_x + \\nu^3 \\tau (\\sigma_x - \\tau)

    with :math:`g = b_0 - b_1, r = (R_{max} - R_1) \\sigma_y, t = (R_1 - R_0) \\sigma_y`. What ``always`` names is
    taken out of outcome, participation and covariates first. The influence goes through all of these; where
    ``r2_max`` is a multiple, through it too.

    References
    ----------
    Oster (2019), Journal of Business & Economic Statistics 37, 187-204, propositions 2 and 3. Twins:
    ``robomit::o_delta``, ``o_beta``; Stata ``psacalc``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "age": [20.0, 31, 45, 52, 33, 47, 58, 62]})
    >>> found = oster_delta(survey_design(respondents), outcome="y", treatment="joined", covariates=["age"], r2_max=1.0)
    >>> found.estimate.round(3).tolist()
    [3.442, 1.222, 1.392, 2.75]
    """
    require_design(design, "oster_delta")
    require_number(beta, "oster_delta: beta")
    require_number(delta, "oster_delta: delta")
    refuse_balanced(design, treatment, "oster_delta")
    evidence = evidence_of(comparability, ADJUSTED, "oster_delta", outcome, design)
    groups = groups_of(
        design, treatment=treatment, covariates=covariates, outcome=outcome, verb="oster_delta", missing=missing
    )
    kept = _always(design, groups, treatment, covariates, always, missing)
    facts = _facts(groups, design.domain_weights, kept)[0]
    _refuse_r2(r2_max, facts)

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        values, movement = _facts(groups, weights, kept)

        def derived(numbers: NDArray[Any]) -> NDArray[Any]:
            return _derived(numbers, r2_max, float(beta), float(delta), values)

        return np.real(derived(values)), movement @ gradient(derived, values).T

    made = estimates_of_weights(
        design,
        evaluate,
        verb="oster_delta",
        keys=pd.DataFrame({"term": outcome, "quantity": QUANTITIES}),
        n_obs=np.full(len(QUANTITIES), int(groups.used.sum())),
        df=float(design.degrees_of_freedom(groups.used)),
    )
    record = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": groups.levels[0],
        "formula": groups.participation.formula,
        "n_left_out": groups.n_left_out,
        "r2_uncontrolled": float(_r2(facts)[0]),
        "r2_controlled": float(_r2(facts)[1]),
        "r2_max": float(np.real(_r2_max(facts, r2_max))),
        "beta": float(beta),
        "delta": float(delta),
        "solutions": [float(facts[0] - root) for root in _roots(facts, r2_max, float(delta))],
    }
    k = len(QUANTITIES)
    bases, cells = np.full(k, min(groups.counts())), np.full(k, rarer_of(groups))
    made = replace(made, conf_level=conf_level, bases=bases, cell_counts=cells)
    return spoken(CoefficientStability, made, fit=record | evidence)


def _always(
    design: Design,
    groups: Groups,
    treatment: str,
    covariates: str | Sequence[str],
    always: str | Sequence[str],
    missing: Missing,
) -> Mask:
    """Return which columns stand in the regression without covariates too: the constant, and what is named."""
    columns = columns_by_covariate(design, groups, treatment, covariates, missing)
    named = [always] if isinstance(always, str) else list(always)
    if named:
        named_covariates(named, list(columns), "oster_delta")
    left = [name for name in columns if name not in named]
    if not left:
        raise ColumnError(
            "oster_delta: with every covariate in always, nothing observed is left to be compared with. Leave one out."
        )
    added = np.logical_or.reduce([columns[name] for name in left])
    kept: Mask = ~added
    return kept


def _facts(groups: Groups, weights: Floats, kept: Mask) -> tuple[Floats, Floats]:
    """Return b1, b0, what is left of the outcome after both regressions, the variances; and their movement (n, 7).

    In the order controlled and uncontrolled coefficient, residual sums of squares of the outcome with and without
    the covariates, total of the outcome, total of participation, participation beside the covariates.
    """
    long = linear_parts(groups, weights, verb="oster_delta")
    short = linear_parts(groups, weights, kept, verb="oster_delta")
    values = np.array(
        [
            *(long.coefficient, short.coefficient, long.left, short.left),
            *(short.left_of_outcome, short.left_of_participation, long.left_of_participation),
        ]
    )
    movement = np.column_stack(
        [
            *(long.movement, short.movement, long.residual**2, short.residual**2),
            *(short.outcome**2, short.participation**2, long.participation**2),
        ]
    )
    return values, movement


def _r2(facts: NDArray[Any]) -> tuple[Any, Any]:
    """Return R2 without and with the covariates."""
    return 1 - facts[3] / facts[4], 1 - facts[2] / facts[4]


def _r2_max(facts: NDArray[Any], given: float | None) -> Any:
    if given is not None:
        return given
    controlled = _r2(facts)[1]
    return USUAL_MULTIPLE * controlled if np.real(USUAL_MULTIPLE * controlled) < 1 else 1.0


def _refuse_r2(given: float | None, facts: Floats) -> None:
    controlled = float(_r2(facts)[1])
    if given is None:
        return
    require_number(given, "oster_delta: r2_max")
    if not 0 < given <= 1:
        raise EstimationError(f"oster_delta: r2_max is a share of variance above 0 and up to 1, got {given!r}.")
    if given <= controlled:
        raise EstimationError(
            f"oster_delta: r2_max must be above the R2 of the regression with the covariates, {controlled:.4g}, got "
            f"{given:g}. The usual choice is 1.3 times that: r2_max={min(1.0, USUAL_MULTIPLE * controlled):.4g}."
        )


def _pieces(facts: NDArray[Any], given: float | None) -> tuple[Any, Any, Any, Any, Any]:
    """Return g, r, t, the variance of participation and what the covariates leave of it."""
    _, _, _, _, total, spread, left = facts
    uncontrolled, controlled = _r2(facts)
    return (
        facts[1] - facts[0],
        (_r2_max(facts, given) - controlled) * total,
        (controlled - uncontrolled) * total,
        spread,
        left,
    )


def _polynomials(facts: NDArray[Any], given: float | None) -> tuple[list[Any], list[Any]]:
    """Return what delta multiplies and what it is to equal, as coefficients of nu, highest power first."""
    g, r, t, spread, left = _pieces(facts, given)
    cube = left * (spread - left)
    return (
        [cube, left * g * spread, r * (spread - left), r * spread * g],
        [cube, 2 * left * g * spread, t * left + spread * left * g**2, 0.0],
    )


def _roots(facts: Floats, given: float | None, delta: float) -> list[float]:
    """Return every real nu that solves for a delta, nearest to zero first."""
    times, equal = (np.array(part, dtype=float) for part in _polynomials(facts, given))
    polynomial = delta * times - equal
    if delta == 1:
        polynomial = polynomial[1:]
    roots = np.roots(polynomial)
    real = np.real(roots[np.abs(np.imag(roots)) <= ALIKE * np.maximum(np.abs(roots), 1e-300)])
    if not len(real):
        raise IdentificationError(
            f"oster_delta: no coefficient solves for delta={delta:g} and r2_max={_r2_max(facts, given):.4g}. Take a "
            f"smaller r2_max, or a delta nearer to 0."
        )
    return sorted(map(float, real), key=abs)


def _derived(facts: NDArray[Any], given: float | None, beta: float, delta: float, values: Floats) -> NDArray[Any]:
    """Return the four numbers; the root by one step of Newton's from the real one, which carries the derivative."""
    times, equal = _polynomials(facts, given)
    nu = facts[0] - beta
    own = np.polyval(equal, nu) / np.polyval(times, nu)
    polynomial = [delta * a - b for a, b in zip(times, equal, strict=True)]
    root = _roots(values, given, delta)[0]
    root = root - np.polyval(polynomial, root) / np.polyval(np.polyder(np.real(polynomial)), root)
    return np.array([own, facts[0] - root, facts[0], facts[1]])
