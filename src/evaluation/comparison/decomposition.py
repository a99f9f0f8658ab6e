"""A published gap taken apart: another question, another population, who takes part, and what then remains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability, Measurement, require_comparability
from evaluation.comparison.effects import ADJUSTED, UNADJUSTED, estimate_difference, evidence_of, group_difference
from evaluation.comparison.oaxaca import EXPLAINED_BY, decompose_linearly
from evaluation.comparison.sensitivity.bounded import bounds_at
from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError, require_flag
from evaluation.estimation.arguments import column_name, require_choice, require_number
from evaluation.estimation.contrasts import contrast
from evaluation.estimation.domains import is_text
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.means import survey_mean
from evaluation.estimation.missing_covariates import Missing
from evaluation.regression.families import Family
from evaluation.results import NOISE, Estimates, PlainLabels, Provenance

Floats = NDArray[np.float64]
Estimator = Literal["aipw", "ipwra", "ipw", "g_computation", "regression_adjusted"]

ESTIMATORS = ("aipw", "ipwra", "ipw", "g_computation", "regression_adjusted")
IDENTIFIED = "yes"
ASSUMED = "assumed: nothing unobserved moves both participation and the answer"
NOT_IDENTIFIED = "not identified: the two items were never asked of the same people"
#: Parts of a gap, and what lets each be known where the same people answered both items.
PARTS: Mapping[str, str] = {
    "gap": IDENTIFIED,
    "item_mismatch": IDENTIFIED,
    "others_against_all": IDENTIFIED,
    "selection_and_effect": IDENTIFIED,
    "selection": ASSUMED,
    "effect": ASSUMED,
    "remainder": IDENTIFIED,
}
#: By how much the odds of taking part may be off where selection and effect are given bounds.
LAMBDA = 1.5
#: Ends of the bounds, and of what they are.
BOUNDS = ("selection_low", "selection_high", "effect_low", "effect_high")

_GAP = {"answered 1": 1.0, "everybody 0": -1.0}
_ITEM = {"both 0": 1.0, "both 1": -1.0}
_OTHERS = {"from_all 0": 1.0, "answered 0": -1.0}
_RAW = {"complete 0": 1.0}
_ADJUSTED = {"adjusted 0": 1.0}


def decompose_gap(
    design: Design,
    *,
    outcome: str,
    comparator_outcome: str,
    treatment: str,
    covariates: str | Sequence[str],
    estimator: Estimator = "aipw",
    family: Family | None = None,
    by_covariate: bool = True,
    lambda_: float | None = LAMBDA,
    missing: Missing = "refuse",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the parts of a gap between participants' answers to one item and everybody's to another.

    Parameters
    ----------
    design : Design
        The same people were asked both items.
    outcome : str
        Item of the participants' figure; numeric or 0/1.
    comparator_outcome : str
        Item of the figure for everybody.
    treatment : str
        Two values, as in ``group_difference``.
    covariates : str or list of str
        Names or a one-sided formula; only what was fixed before participation.
    estimator : {"aipw", "ipwra", "ipw", "g_computation", "regression_adjusted"}, default "aipw"
        Of the effect, which is that on participants (ATT).
    family : {"gaussian", "binomial"}, optional
        Of the outcome models; default: binomial where the outcome has two values.
    by_covariate : bool, default True
        Add what composition explains of ``selection_and_effect`` in a linear regression among the others, and the
        share of each covariate in it.
    lambda_ : float or None, default 1.5
        Add bounds of selection and effect if something unobserved moves the odds of taking part by at most this
        factor, 1 and above; None adds none.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What missing covariates mean, as in ``aipw``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    Estimates
        Keys ``term, part``. ``gap = item_mismatch + others_against_all + selection_and_effect + remainder`` and
        ``selection_and_effect = selection + effect``. Then, outside these sums, ``explained`` with
        ``explained:<covariate>`` (observed selection as ``oaxaca_blinder`` has it, which is close to ``selection``
        where regressions are linear), and ``selection_low``, ``selection_high``, ``effect_low``, ``effect_high``.
        Column ``identified``: "yes", the assumption without which selection and effect cannot be told apart, or
        the Lambda of the bounds.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError, WeightingError
        As ``aipw``; a design that was balanced already; where an item is text, or a Lambda below 1.

    Notes
    -----
    With participants T, others O, everybody A, answers y and comparator answers c:
    gap :math:`\\bar y_T - \\bar c_A`; item mismatch :math:`\\bar y_A - \\bar c_A` among those who answered
    both; others against all :math:`\\bar y_O - \\bar y_A`; selection and effect :math:`\\bar y_T - \\bar y_O` among
    those with every covariate, of which the adjusted difference is the effect and what it takes away the
    selection. Each part rests on those who answered what it needs, so missing answers leave a remainder; it is
    printed, not absorbed. All parts are linear in influence functions of one design: one joint covariance. The bounds
    are those of ``sensitivity_bounds`` (marginal sensitivity model); a selection bound is what an effect bound leaves.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"stay": [1.0, 1, 0, 1, 1, 0, 1, 0], "city": [0.0, 1, 0, 1, 0, 0, 1, 0],
    ...                             "joined": [1, 1, 1, 1, 0, 0, 0, 0], "sex": list("ffmmfmmm")})
    >>> parts = decompose_gap(survey_design(respondents), outcome="stay", comparator_outcome="city",
    ...                       treatment="joined", covariates=["sex"], estimator="ipw",
    ...                       by_covariate=False, lambda_=None)
    >>> dict(zip(parts.keys["part"], parts.estimate.round(3).tolist()))
    {'gap': 0.375, 'item_mismatch': 0.25, 'others_against_all': -0.125, 'selection_and_effect': 0.25, \
'selection': 0.167, 'effect': 0.083, 'remainder': 0.0}
    """
    require_design(design, "decompose_gap")
    refuse_balanced(design, treatment, "decompose_gap")
    require_choice(estimator, ESTIMATORS, "decompose_gap: estimator")
    require_flag(by_covariate, "decompose_gap: by_covariate", EstimationError)
    _refuse_comparator(design, outcome, comparator_outcome, treatment)
    complete = groups_of(
        design,
        treatment=treatment,
        covariates=covariates,
        outcome=outcome,
        family=family,
        verb="decompose_gap",
        missing=missing,
    )
    parts = _ingredients(design, complete, outcome, comparator_outcome, treatment, estimator, conf_level)
    remainder = _minus(_minus(_minus(_GAP, _ITEM), _OTHERS), _RAW)
    rows: dict[str, Mapping[str, float]] = {
        "gap": _GAP,
        "item_mismatch": _ITEM,
        "others_against_all": _OTHERS,
        "selection_and_effect": _RAW,
        "selection": _minus(_RAW, _ADJUSTED),
        "effect": _ADJUSTED,
        "remainder": remainder,
    }
    identified = dict(PARTS)
    if by_covariate:
        parts["linear"] = _explained(design, complete, outcome, treatment, conf_level)
        rows |= {part: {f"linear {row}": 1.0} for row, part in enumerate(parts["linear"].keys["part"])}
    if lambda_ is not None:
        parts["bounds"] = _bounds(design, complete, outcome, lambda_, conf_level)
        low, high = {"bounds 0": 1.0}, {"bounds 1": 1.0}
        rows |= dict(zip(BOUNDS, (_minus(_RAW, high), _minus(_RAW, low), low, high), strict=True))
        identified |= dict.fromkeys(BOUNDS, f"Λ = {lambda_:g}")
    made = contrast([_labelled(part, name) for name, part in parts.items()], rows)
    fit = {name: value for name, value in parts["adjusted"].fit.items() if name != "comparison"}
    return _without_noise(
        replace(
            made,
            verb="decompose_gap",
            keys=pd.DataFrame({"term": outcome, "part": list(rows)}),
            conf_level=conf_level,
            columns={"identified": np.array([identified.get(part, IDENTIFIED) for part in rows], dtype=object)},
            fit={
                **fit,
                "comparator_outcome": comparator_outcome,
                "estimator": estimator,
                "estimand": "ATT",
                "n_participants": int(parts["complete"].n_obs[1]),
                "n_others": int(parts["complete"].n_obs[2]),
                **({} if lambda_ is None else {"lambda": float(lambda_)}),
                "evidence_grade": ADJUSTED,
            },
        )
    )


def _refuse_comparator(design: Design, outcome: str, comparator_outcome: str, treatment: str) -> None:
    """Refuse a comparator's item that is none, or one in another unit than the participants' item."""
    verb = "decompose_gap"
    named = column_name(comparator_outcome, f"{verb}: comparator_outcome", "'live_in_seoul'")
    if named == treatment:
        raise ColumnError(
            f"{verb}: comparator_outcome '{named}' is the treatment too. Name the item that everybody's "
            f"figure is about."
        )
    first, second = (design.column(column_name(name, f"{verb}: outcome")) for name in (outcome, named))
    if any(map(is_text, (first, second))):
        return
    ours, theirs = (float(column[design.present].max()) for column in (first, second))
    low, high = sorted([ours, theirs])
    if 0 < low <= 1 and high > 10:
        raise EstimationError(
            f"{verb}: '{outcome}' goes up to {ours:g} and '{named}' up to {theirs:g}, so their gap would mix a share "
            f"with per cent or points. Bring both to one unit first, data.assign({named}=...)."
        )


def _explained(design: Design, complete: Groups, outcome: str, treatment: str, conf_level: float) -> Estimates:
    """Return what composition explains of the difference of those with every covariate, in all and by covariate."""

    def make() -> Estimates:
        linear = decompose_linearly(design, complete, outcome=outcome, treatment=treatment)
        parts = ["explained", *(EXPLAINED_BY + name for name in linear.names)]
        return linear.estimates(parts, "decompose_gap", conf_level, {})

    return _or_leave_out(make, "by_covariate=False", "explained part")


def _bounds(design: Design, complete: Groups, outcome: str, lambda_: float, conf_level: float) -> Estimates:
    """Return the bounds of the effect at one Lambda."""
    return _or_leave_out(
        lambda: bounds_at(design, complete, lambda_, outcome=outcome, verb="decompose_gap", conf_level=conf_level),
        "lambda_=None",
        "bounds",
    )


def _or_leave_out(make: Callable[[], Estimates], option: str, what: str) -> Estimates:
    """Say which option leaves a part out that the data do not identify."""
    try:
        return make()
    except IdentificationError as error:
        raise IdentificationError(
            f"decompose_gap, {what}: {error} Or leave this part out: {option}.", failures=error.failures
        ) from None


def _ingredients(
    design: Design,
    complete: Groups,
    outcome: str,
    comparator_outcome: str,
    treatment: str,
    estimator: Estimator,
    conf_level: float,
) -> dict[str, Estimates]:
    """Return what the parts are made of, each on those who answered what it needs."""
    given: dict[str, Any] = {"outcome": outcome, "treatment": treatment, "conf_level": conf_level}
    return {
        "everybody": survey_mean(design, comparator_outcome, conf_level=conf_level),
        "both": survey_mean(
            design, list(dict.fromkeys([outcome, comparator_outcome])), listwise=True, conf_level=conf_level
        ).take(np.array([0, int(outcome != comparator_outcome)])),
        "answered": group_difference(design, **given),
        "from_all": group_difference(design, against="all", **given),
        "complete": estimate_difference(design, complete, verb="decompose_gap", method="difference", **given),
        "adjusted": estimate_difference(design, complete, verb="decompose_gap", method=estimator, **given),
    }


def _labelled(part: Estimates, name: str) -> Estimates:
    rows = [f"{name} {row}" for row in range(len(part))]
    return replace(part, keys=pd.DataFrame({"term": rows}), columns={})


def _minus(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) - other.get(name, 0.0) for name in {**one, **other}}


def _without_noise(made: Estimates) -> Estimates:
    """Write zero for a part that is zero but for floating point, so that its digits do not depend on the machine."""
    scale = max(float(np.abs(made.estimate).max()), float(np.sqrt(np.diag(made.vcov).max())))
    nothing = (np.abs(made.estimate) <= NOISE * scale) & (np.sqrt(np.diag(made.vcov).clip(0)) <= NOISE * scale)
    kept = np.where(nothing, 0.0, 1.0)
    contributions, influence_of = made.contributions, made.influence_of
    return replace(
        made,
        estimate=made.estimate * kept + 0.0,
        vcov=made.vcov * np.outer(kept, kept),
        contributions=None if contributions is None else contributions * kept,
        influence_of=None if influence_of is None else lambda: influence_of() * kept,
    )


class _Asked(PlainLabels):
    """The question as it was put stands for the item."""

    def __init__(self, measurement: Measurement) -> None:
        self.measurement = measurement

    def variable(self, name: str, lang: str) -> str:
        """Return the wording of the item; any other name stands for itself."""
        return self.measurement.wording or name if name == self.measurement.item else name


def decompose_published(participants: float, comparator: float, *, comparability: Comparability) -> Estimates:
    """Lay out a gap between two published figures, of which the data identify no part.

    Parameters
    ----------
    participants, comparator : float
        The two figures, zero or above, in one unit: shares from 0 to 1, not per cent.
    comparability : Comparability
        What the two have in common; a refused comparison raises.

    Returns
    -------
    Estimates
        As ``decompose_gap``; the gap without standard error, every other part missing and
        ``identified`` saying why.

    Raises
    ------
    IdentificationError
        An item asks about a change.
    EstimationError
        A figure is no number, or one is a share and the other a per cent.

    Examples
    --------
    >>> from evaluation.comparison.comparability import Measurement, assess_comparability
    >>> stay = Measurement("stay_in_neighbourhood", "", "participants", "web", 2016)
    >>> seoul = Measurement("live_in_seoul_in_ten_years", "", "residents of Seoul, 15+", "face_to_face", 2016)
    >>> verdict = assess_comparability(stay, seoul, contains_participants=True)
    >>> decompose_published(0.847, 0.594, comparability=verdict).tidy()[["part", "estimate"]].head(2)
                part  estimate
    0            gap     0.253
    1  item_mismatch       NaN
    """
    comparability = require_comparability(comparability, "decompose_published")
    evidence = evidence_of(comparability, UNADJUSTED, "decompose_published")
    _refuse_figures(participants, comparator)
    k = len(PARTS)
    ours, theirs = comparability.participants, comparability.comparator
    return Estimates(
        verb="decompose_gap",
        keys=pd.DataFrame({"term": ours.item, "part": list(PARTS)}),
        estimate=np.array([participants - comparator, *[np.nan] * (k - 1)]),
        vcov=np.full((k, k), np.nan),
        df=np.full(k, np.nan),
        n_obs=np.zeros(k, dtype=np.int64),
        provenance=Provenance(
            survey="published",
            title={"ko": "공표된 두 수치", "en": "Two published figures"},
            labels=_Asked(comparability.participants),
        ),
        method="none (published figures)",
        columns={"identified": np.array([IDENTIFIED, *[NOT_IDENTIFIED] * (k - 1)], dtype=object)},
        fit={
            "participants_figure": participants,
            "comparator_figure": comparator,
            "comparator_outcome": theirs.item,
            **evidence,
        },
    )


def _refuse_figures(participants: float, comparator: float) -> None:
    for name, value in (("participants", participants), ("comparator", comparator)):
        require_number(value, f"decompose_published: {name}", least=0, move="It is the published figure.")
    if min(participants, comparator) > 10 and max(participants, comparator) <= 100:
        raise EstimationError(
            f"decompose_published: {participants:g} and {comparator:g} look like per cent, but shares run from 0 to 1 "
            f"here. Write {participants / 100:g} and {comparator / 100:g}, as parts of the whole scale."
        )
    small, large = sorted([participants, comparator])
    if 0 < small < 1 < large <= 100:
        raise EstimationError(
            f"decompose_published: {small:g} looks like a share and {large:g} like a per cent. Shares run from 0 to 1 "
            f"here: write {large / 100:g}."
        )
