"""Bounds without a model: what the answers alone say of an effect, and what weak assumptions add."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
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
from evaluation.comparison.outcomes.influences import estimates_of_weights
from evaluation.comparison.spoken import Spoken, spoken, written
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import came, require_number
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.small_counts import rarer_of
from evaluation.results import Estimates
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Response = Literal["increasing", "decreasing"]
Selection = Literal["positive", "negative"]
BoundedEstimand = Literal["ATT", "ATE", "ATC"]

#: Shares of participants and others in the population that each estimand is about.
_WEIGHT = {"ATT": (1.0, 0.0), "ATC": (0.0, 1.0)}


@dataclass(frozen=True, eq=False, repr=False)
class ManskiBounds(Spoken):
    """Lower and upper bound, each with the interval that holds the effect as often as it says."""

    def _said(self, lang: str) -> str:
        limits, error = self.confidence_interval(), float(self.std_error.max())
        low, high, *ends = written([*self.estimate, limits[0, 0], limits[1, 1]], error)
        interval = wording.interval_name(self.conf_level, lang)
        assumed = [
            wording.term(f"assumed_{self.fit[name]}", lang) for name in ("response", "selection") if self.fit[name]
        ]
        holds_zero = bool(self.estimate[0] <= 0 <= self.estimate[1])
        if lang == "ko":
            given = f"가정({', '.join(assumed)}) 아래" if assumed else "아무 가정 없이"
            zero = "0을 배제하지 못한다" if holds_zero else "0을 담지 않는다"
            crossed = " 두 끝은 표본오차 안에서 엇갈려 가운데 하나로 적는다." if "crossed_by" in self.fit else ""
            return (
                f"{given}, 같은 사람이 참여할 때와 참여하지 않을 때의 평균 차이는 {low}에서 {high} 사이이다 "
                f"({interval} {ends[0]}에서 {ends[1]}). 이 범위는 {zero}.{crossed}"
            )
        given = f"Assuming that {' and that '.join(assumed)}" if assumed else "Without any assumption"
        zero = "do not rule out zero" if holds_zero else "do not hold zero"
        crossed = " The two cross by less than sampling error and stand as one." if "crossed_by" in self.fit else ""
        return (
            f"{given}, the mean difference between the same people's taking part and not lies between {low} and {high} "
            f"({interval} {ends[0]} to {ends[1]}). These bounds {zero}.{crossed}"
        )


def manski_bounds(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    estimand: BoundedEstimand = "ATE",
    bounds: tuple[float, float] | None = None,
    response: Response | None = None,
    selection: Selection | None = None,
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> ManskiBounds:
    """Estimate the worst-case bounds of an effect, with no assumption about who takes part.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, missing
        As in ``ipw``; without covariates only the treatment can be missing.
    estimand : {"ATE", "ATT", "ATC"}, default "ATE"
        For everybody, participants, or others.
    bounds : (float, float), optional
        Smallest and largest possible answer; default 0 and 1 of answers 0 and 1, else the codes of the codebook.
    response : {"increasing", "decreasing"}, optional
        Assume that taking part raises (lowers) nobody's answer but in that direction: monotone treatment response.
    selection : {"positive", "negative"}, optional
        Assume that participants would answer higher (lower) on average than others, both having taken part or both
        not: monotone treatment selection.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Share of samples in which the interval holds the effect (not the bounds).

    Returns
    -------
    ManskiBounds
        Keys ``term, quantity``: ``bound_low``, ``bound_high``. The interval of the effect goes from the first row's
        ``conf_low`` to the second one's ``conf_high``.

    Raises
    ------
    EstimationError
        An outcome without bounds, or answers beyond them (``failures``).
    IdentificationError
        Assumptions that the data contradict.
    ColumnError, EstimationError
        As ``group_difference``.

    Notes
    -----
    Of participants the mean without taking part is not seen; it lies between the bounds of the answer, or as the
    assumptions narrow it, and likewise of the others with taking part. Each bound is a mean of what is seen and of
    the bounds, with its influence. The interval widens both bounds by c times their errors, where
    :math:`F(c + \\Delta / \\max(s_l, s_u)) - F(-c)` is the level, F that of t with the design's degrees of freedom
    and :math:`\\Delta` the width. Respondents without an answer are left out, not bounded.

    References
    ----------
    Manski (1990), American Economic Review 80, 319-323; Manski (1997), Econometrica 65, 1311-1334; Manski and
    Pepper (2000), Econometrica 68, 997-1010; Imbens and Manski (2004), Econometrica 72, 1845-1857.
    Stata twin: ``tebounds``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [0.0, 1, 0, 1, 1, 1, 1, 0], "joined": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> manski_bounds(survey_design(respondents), outcome="y", treatment="joined").estimate.tolist()
    [-0.375, 0.625]
    >>> manski_bounds(survey_design(respondents), outcome="y", treatment="joined", estimand="ATT",
    ...               response="increasing", selection="positive").estimate.tolist()
    [0.0, 0.25]
    """
    require_design(design, "manski_bounds")
    _refuse_words(estimand, response, selection)
    refuse_balanced(design, treatment, "manski_bounds")
    evidence = evidence_of(comparability, ADJUSTED, "manski_bounds", outcome, design)
    groups = groups_of(design, treatment=treatment, outcome=outcome, verb="manski_bounds", missing=missing)
    least, most = _possible(design, groups, outcome, bounds)

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        return _bounds(groups, weights, estimand, (least, most), response, selection)

    counts = groups.counts()
    made = estimates_of_weights(
        design,
        evaluate,
        verb="manski_bounds",
        keys=pd.DataFrame({"term": outcome, "quantity": ["bound_low", "bound_high"]}),
        n_obs=np.full(2, sum(counts)),
        df=float(design.degrees_of_freedom(groups.used)),
    )
    made = replace(made, conf_level=conf_level, bases=np.full(2, min(counts)), cell_counts=np.full(2, rarer_of(groups)))
    made, crossed = _met_in_the_middle(made, groups, outcome)
    return spoken(
        ManskiBounds,
        made,
        interval=interval_of_bounded(made),
        interval_method="Imbens-Manski",
        fit={
            "treatment": treatment,
            "participants": groups.levels[1],
            "comparison": groups.levels[0],
            "estimand": estimand,
            "least": least,
            "most": most,
            "response": response or "",
            "selection": selection or "",
            **({"crossed_by": crossed} if crossed > 0 else {}),
            "n_left_out": groups.n_left_out,
            **evidence,
        },
    )


def _refuse_words(estimand: object, response: object, selection: object) -> None:
    for name, value, known in (
        ("estimand", estimand, ("ATE", "ATT", "ATC")),
        ("response", response, ("increasing", "decreasing", None)),
        ("selection", selection, ("positive", "negative", None)),
    ):
        if value not in known:
            options = ", ".join(repr(option) for option in known)
            raise EstimationError(f"manski_bounds: {name} must be one of {options}, got {value!r}.")


def _possible(design: Design, groups: Groups, outcome: str, given: Sequence[float] | None) -> tuple[float, float]:
    """Return the smallest and the largest possible answer; an error where none is known or an answer lies beyond."""
    answers = groups.outcome[groups.used]
    if given is not None:
        if not isinstance(given, (list, tuple, np.ndarray)) or len(given) != 2:
            raise EstimationError(
                f"manski_bounds: bounds are the smallest and largest possible answer, got {came(given)}. Write "
                f"bounds=(1, 5)."
            )
        least, most = (require_number(value, "manski_bounds: bounds") for value in given)
    elif groups.family == "binomial" or set(np.unique(answers)) <= {0.0, 1.0}:
        least, most = 0.0, 1.0
    else:
        known = _of_codebook(design, outcome)
        if known is None:
            raise EstimationError(
                f"manski_bounds: '{outcome}' has no bounds that are known (answers from {answers.min():g} to "
                f"{answers.max():g}). Say what the smallest and largest possible answers are: bounds=(1, 5)."
            )
        least, most = known
    beyond = groups.used & ((groups.outcome < least) | (groups.outcome > most))
    if not least < most or beyond.any():
        raise EstimationError(
            f"manski_bounds: bounds ({least:g}, {most:g}) must hold every answer of '{outcome}', but "
            f"{int(beyond.sum())} of {len(answers)} lie beyond (answers from {answers.min():g} to {answers.max():g}).",
            failures=pd.DataFrame(design.data.loc[beyond]),
        )
    return float(least), float(most)


def _of_codebook(design: Design, outcome: str) -> tuple[float, float] | None:
    book = design.provenance.labels
    if not isinstance(book, Codebook) or outcome not in book:
        return None
    variable = book[outcome]
    if variable.is_coded and variable.numeric_codes:
        return float(min(variable.numeric_codes)), float(max(variable.numeric_codes))
    if variable.minimum is not None and variable.maximum is not None:
        return variable.minimum, variable.maximum
    return None


def _bounds(
    groups: Groups,
    weights: Floats,
    estimand: BoundedEstimand,
    possible: tuple[float, float],
    response: Response | None,
    selection: Selection | None,
) -> tuple[Floats, Floats]:
    """Return both bounds and their derivative in each respondent's weight, shape (n, 2)."""
    own = np.column_stack([groups.members(0), groups.members(1)]).astype(float)
    mass = weights @ own
    means = (weights * groups.outcome) @ own / mass
    moved = own * (groups.outcome[:, None] - means) / mass
    share = float(mass[1] / mass.sum())
    share_moved = (own[:, 1] - share * own.sum(axis=1)) / mass.sum()
    values, columns = [], []
    for upper in (False, True):
        participants, others = _parts(means, possible, response, selection, upper=upper)
        # Each part is a constant plus multiples of both means.
        z_parts = [moved @ np.array(part[1:]) for part in (participants, others)]
        levels = [part[0] + np.array(part[1:]) @ means for part in (participants, others)]
        if estimand == "ATE":
            values.append(share * levels[0] + (1 - share) * levels[1])
            columns.append(share * z_parts[0] + (1 - share) * z_parts[1] + share_moved * (levels[0] - levels[1]))
        else:
            values.append(levels[0 if estimand == "ATT" else 1])
            columns.append(z_parts[0 if estimand == "ATT" else 1])
    return np.array(values, dtype=float), np.column_stack(columns)


Part = tuple[float, float, float]


def _parts(
    means: Floats, possible: tuple[float, float], response: str | None, selection: str | None, *, upper: bool
) -> tuple[Part, Part]:
    """Return one bound for participants and for others: a constant, and multiples of the others' and own means.

    Of several bounds that hold, the tightest at these means.
    """
    least, most = possible
    gap: Part = (0.0, -1.0, 1.0)
    participants: list[Part] = [(-least if upper else -most, 0.0, 1.0)]
    others: list[Part] = [(most if upper else least, -1.0, 0.0)]
    if response is not None and upper != (response == "increasing"):
        participants.append((0.0, 0.0, 0.0))
        others.append((0.0, 0.0, 0.0))
    if selection is not None and upper == (selection == "positive"):
        participants.append(gap)
        others.append(gap)

    def level(part: Part) -> float:
        return float(part[0] + np.array(part[1:]) @ means)

    pick = min if upper else max
    return pick(participants, key=level), pick(others, key=level)


def _met_in_the_middle(made: Estimates, groups: Groups, outcome: str) -> tuple[Estimates, float]:
    """Return bounds that cross by less than sampling error as one number, and by how much they cross.

    Raises
    ------
    IdentificationError
        They cross by more, so that the assumptions are not those of the data.
    """
    low, high = made.estimate
    if low <= high + 1e-12:
        return made, 0.0
    apart = float(np.sqrt(max(np.array([1.0, -1.0]) @ made.vcov @ np.array([1.0, -1.0]), 0.0)))
    if not low - high <= made.critical_value[0] * apart:
        raise IdentificationError(
            f"manski_bounds: under these assumptions the bounds of '{outcome}' would run from {low:.4g} to {high:.4g}, "
            f"further apart than sampling error, so the data contradict them: {groups.levels[1]} and "
            f"{groups.levels[0]} differ the other way. Drop response= or selection=, or turn it round."
        )
    middle, influence_of = np.full((2, 2), 0.5), made.influence_of
    return (
        replace(
            made,
            estimate=middle @ made.estimate,
            vcov=middle @ made.vcov @ middle,
            contributions=None if made.contributions is None else made.contributions @ middle,
            influence_of=None if influence_of is None else lambda: influence_of() @ middle,
        ),
        float(low - high),
    )


def interval_of_bounded(result: Estimates) -> Floats:
    """Return limits of each bound, widened as far as the effect between them needs, shape (2, 2)."""
    low, high = result.estimate
    errors, df = result.std_error, float(result.df[0])
    largest = float(errors.max())
    if not df > 0:
        return np.full((2, 2), np.nan)
    c = float(stats.t.ppf((1 + result.conf_level) / 2, df))
    if largest > 0:
        width = float(high - low) / largest

        def missed(value: float) -> float:
            return float(stats.t.cdf(value + width, df) - stats.t.cdf(-value, df)) - result.conf_level

        root: Any = brentq(missed, 0.0, c + 1e-9) if missed(0.0) < 0 else 0.0
        c = float(root)
    return np.column_stack([result.estimate - c * errors, result.estimate + c * errors])
