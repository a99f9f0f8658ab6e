"""Participation that is misreported: what a difference could be, given how many say so who did, and no who did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import UNADJUSTED, evidence_of
from evaluation.comparison.outcomes.influences import estimates_of_weights, smooth_function
from evaluation.comparison.sensitivity.partial_identification import interval_of_bounded
from evaluation.comparison.spoken import Spoken, shown_number, spoken, written
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_number
from evaluation.estimation.groups import Groups, groups_of
from evaluation.estimation.small_counts import rarer_of
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Range = tuple[float, float]

VERB = "misclassification_bounds"


@dataclass(frozen=True, eq=False, repr=False)
class MisclassificationBounds(Spoken):
    """The difference between true participants and others, as far as the answers and the error rates tell."""

    def _said(self, lang: str) -> str:
        limits, error = self.confidence_interval(), float(self.std_error.max())
        low, high, reported, *outer = written([*self.estimate, limits[0, 0], limits[1, 1]], error)
        interval, ends = wording.interval_name(self.conf_level, lang), " – ".join(outer)
        se, sp = (_shown_range(self.fit[name]) for name in ("sensitivity", "specificity"))
        if lang == "ko":
            return (
                f"참여했다는 응답의 민감도가 {se}, 특이도가 {sp}이고 잘못 답하는 것이 결과와 무관하다면, 실제 참여자와 "
                f"비참여자의 차이는 {low}에서 {high} 사이이다 ({interval} {ends}). 응답대로 나눈 차이는 {reported}."
            )
        return (
            f"If {se} of those who took part say so, {sp} of those who did not say no, and who answers wrongly is "
            f"unrelated to the outcome, the difference between true participants and others lies between {low} and "
            f"{high} ({interval} {ends}). By the answers as they are it is {reported}."
        )


def misclassification_bounds(
    design: Design,
    *,
    outcome: str,
    reported: str,
    sensitivity: float | Range,
    specificity: float | Range,
    bounds: Range | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> MisclassificationBounds:
    """Estimate what the raw difference could be if some report their participation wrongly.

    Parameters
    ----------
    design : Design
        Any design.
    outcome : str
        Numeric, 0/1, or text with two levels.
    reported : str
        Participation as reported, two values.
    sensitivity, specificity : float or (float, float)
        Share of those who took part that say so, and of those who did not that say no: numbers, or the ranges in which
        they are believed to lie, such as the limits of ``participation_agreement``.
    bounds : (float, float), optional
        Smallest and largest possible answer, which exclude some error rates; default 0 and 1 for answers 0 and 1,
        else none.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 1 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Share of samples in which the interval holds the difference.

    Returns
    -------
    MisclassificationBounds
        Keys ``term, quantity``: ``bound_low``, ``bound_high`` (equal for known rates), ``difference_reported``. The
        interval goes from the first row's ``conf_low`` to the second one's ``conf_high`` (Imbens and Manski). ``fit``
        has the lowest and the highest share of true participants at rates that the answers allow, and
        says that misreporting is taken to be non-differential.

    Raises
    ------
    EstimationError
        Rates that are no shares, or whose sum is not above 1: such answers tell nothing.
    IdentificationError
        The answers contradict the rates: more say yes than the specificity allows, or fewer than the sensitivity.

    Notes
    -----
    With p the share that says yes, m the mean and c the covariance of answer and outcome, non-differential misreporting
    (given true participation the answer is unrelated to the outcome) gives, with :math:`a = Se - p` and
    :math:`b = Sp - (1 - p)`, the means :math:`m + c/b` of participants and :math:`m - c/a` of others, so that

    .. math:: \\Delta = c \\, (1/a + 1/b).

    It falls in both rates, so the ends of the ranges give the bounds, and possible answers between l and u require
    :math:`b \\ge c / (u - m)` and :math:`a \\ge c / (m - l)`. Nothing is assumed of how the rates vary together. Where
    misreporting depends on the outcome these bounds do not hold.

    References
    ----------
    Bollinger (1996), Journal of Econometrics 73, 387-399; Aigner (1973), Journal of Econometrics 1, 49-59.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"y": [0.0, 1, 0, 0, 1, 1, 1, 0], "said": [0, 0, 0, 0, 1, 1, 1, 1]})
    >>> found = misclassification_bounds(survey_design(people), outcome="y", reported="said",
    ...                                  sensitivity=(0.9, 1), specificity=1)
    >>> found.estimate.round(4).tolist()
    [0.5, 0.5625, 0.5]
    """
    require_design(design, VERB)
    refuse_balanced(design, reported, VERB)
    evidence = evidence_of(comparability, UNADJUSTED, VERB, outcome, design)
    rates = {name: _range(value, name) for name, value in (("sensitivity", sensitivity), ("specificity", specificity))}
    if rates["sensitivity"][0] + rates["specificity"][0] <= 1:
        raise EstimationError(
            f"{VERB}: sensitivity {rates['sensitivity'][0]:g} and specificity {rates['specificity'][0]:g} add up to no "
            f"more than 1, so a yes would be no likelier from a participant than from anybody. Give ranges above that."
        )
    groups = groups_of(design, treatment=reported, outcome=outcome, verb=VERB)
    possible = _possible(groups, bounds)
    moments = _moments(design, groups, outcome)
    ends = _feasible(moments.estimate, rates, possible, groups)
    made = smooth_function(
        moments,
        lambda x: np.array([_difference(x, *end) for end in ends] + [x[2] / x[0] - (x[1] - x[2]) / (1 - x[0])]),
        verb=VERB,
        keys=pd.DataFrame({"term": outcome, "quantity": ["bound_low", "bound_high", "difference_reported"]}),
    )
    counts = groups.counts()
    made = replace(made, conf_level=conf_level, bases=np.full(3, min(counts)), cell_counts=np.full(3, rarer_of(groups)))
    p = float(moments.estimate[0])
    return spoken(
        MisclassificationBounds,
        made,
        interval=np.vstack([interval_of_bounded(made.take(np.arange(2))), made.confidence_interval()[2]]),
        interval_method="Imbens-Manski",
        fit={
            "reported": reported,
            **{name: list(value) for name, value in rates.items()},
            "assumed": "non-differential misreporting",
            "share_reported": p,
            "share_of_participants": _shares(moments.estimate, rates, possible),
            "rates_at_bounds": [_rates_at(end, p) for end in ends],
            "n_left_out": groups.n_left_out,
            **evidence,
        },
    )


#: Sensitivity and specificity at a bound; where the answers allow no rate as low, None and the group's mean there.
End = tuple[tuple[float | None, float], tuple[float | None, float]]


def _range(value: float | Sequence[float], name: str) -> Range:
    given = list(value) if isinstance(value, (tuple, list)) else [value, value]
    if len(given) != 2:
        raise EstimationError(f"{VERB}: {name} is a share or a range (low, high), got {value!r}.")
    low, high = (require_number(each, f"{VERB}: {name}", above=0) for each in given)
    if not low <= high <= 1:
        raise EstimationError(f"{VERB}: {name} must run from a lower to a higher share of at most 1, got {value!r}.")
    return low, high


def _possible(groups: Groups, bounds: Sequence[float] | None) -> Range:
    """Return smallest and largest possible answer, infinite where nothing is known of them."""
    answers = groups.outcome[groups.used]
    if bounds is None:
        is_binary = bool(np.isin(answers, (0.0, 1.0)).all())
        return (0.0, 1.0) if is_binary else (-np.inf, np.inf)
    low, high = (require_number(value, f"{VERB}: bounds", infinite=True) for value in bounds)
    if not low <= answers.min() <= answers.max() <= high:
        raise EstimationError(
            f"{VERB}: bounds ({low:g}, {high:g}) must hold every answer, but answers run from {answers.min():g} to "
            f"{answers.max():g}."
        )
    return low, high


def _moments(design: Design, groups: Groups, outcome: str) -> Estimates:
    """Return the share that says yes, the mean, and the mean of outcome times answer, with their covariance."""
    used, says, y = groups.used.astype(float), groups.members(1).astype(float), groups.outcome
    columns = np.column_stack([says, y * used, y * says])

    def evaluate(weights: Floats) -> tuple[Floats, Floats]:
        size = float(weights @ used)
        means = weights @ columns / size
        return means, (columns - used[:, None] * means) / size

    return estimates_of_weights(
        design,
        evaluate,
        verb=VERB,
        keys=pd.DataFrame({"term": outcome, "quantity": ["share", "mean", "product"]}),
        n_obs=np.full(3, int(groups.used.sum())),
        df=float(design.degrees_of_freedom(groups.used)),
    )


def _feasible(moments: Floats, rates: dict[str, Range], possible: Range, groups: Groups) -> tuple[End, End]:
    """Return the rates at which the difference is lowest and highest among those that the answers allow."""
    p, m, product = map(float, moments)
    c = product - m * p
    outermost = possible if c >= 0 else possible[::-1]
    least, said = _least(moments, possible), {"sensitivity": p, "specificity": 1 - p}
    for name, (_, high) in rates.items():
        if high - said[name] <= 0 or high - said[name] < least[name] - 1e-12:
            answer = "yes" if name == "sensitivity" else "no"
            raise IdentificationError(
                f"{VERB}: {name} of at most {high:g} contradicts the answers: {said[name]:.4g} say {answer}, and the "
                f"outcome allows no {name} below {said[name] + max(least[name], 0.0):.4g}. Check the rates, or whether "
                f"misreporting depends on the outcome."
            )
    widest = tuple(
        (low, 0.0) if low - said[name] > max(least[name], 0.0) else (None, mean)
        for (name, (low, _)), mean in zip(rates.items(), outermost, strict=True)
    )
    if any(rate is None and not np.isfinite(mean) for rate, mean in widest):
        raise IdentificationError(
            f"{VERB}: at the lowest rates everybody who says {'yes' if widest[0][0] is None else 'no'} could be "
            f"misreporting, so the difference has no bound. Raise the lower end, or give bounds= of the outcome."
        )
    narrowest = ((rates["sensitivity"][1], 0.0), (rates["specificity"][1], 0.0))
    far: End = (widest[0], widest[1])
    return (narrowest, far) if c >= 0 else (far, narrowest)


def _least(moments: Floats, possible: Range) -> dict[str, float]:
    """Return how far each rate must lie above the share that answers so, given the possible answers."""
    p, m, product = map(float, moments)
    c = product - m * p
    low, high = possible if c >= 0 else possible[::-1]
    return {"sensitivity": c / (m - low) if c else 0.0, "specificity": c / (high - m) if c else 0.0}


def _shares(moments: Floats, rates: dict[str, Range], possible: Range) -> list[float]:
    """Return the lowest and the highest share of true participants among the rates that the answers allow."""
    p, least = float(moments[0]), _least(moments, possible)
    yes, no = (
        [max(rate - said, least[name], 0.0) for rate in rates[name]]
        for name, said in (("sensitivity", p), ("specificity", 1 - p))
    )
    return [no[0] / (yes[1] + no[0]), no[1] / (yes[0] + no[1])]


def _difference(x: NDArray[Any], first: tuple[float | None, float], second: tuple[float | None, float]) -> Any:
    """Return the difference at given rates, or where the mean of a group is the outermost possible answer."""
    p, m, product = x
    c = product - m * p
    others = m - first[1] if first[0] is None else c / (first[0] - p)
    participants = second[1] - m if second[0] is None else c / (second[0] - 1 + p)
    return others + participants


def _rates_at(end: End, p: float) -> list[float | None]:
    return [None if rate is None else float(rate) for rate, _ in end]


def _shown_range(rates: Sequence[float]) -> str:
    low, high = (shown_number(float(rate)) for rate in rates)
    return low if low == high else f"{low}–{high}"
