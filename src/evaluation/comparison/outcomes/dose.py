"""Dose and response: each class of participation against none, a trend over classes, a test that they are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.adjustment.balancing import balancing_of, refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.effects import (
    Measure,
    aipw,
    g_computation,
    group_difference,
    ipw,
    ipwra,
    regression_adjusted,
)
from evaluation.comparison.outcomes.dose_classes import DoseClasses, read_dose
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError, EvaluationError, did_you_mean
from evaluation.estimation.arguments import came, require_choice, require_number
from evaluation.estimation.contrasts import combined, joined
from evaluation.estimation.small_counts import companion_of, fewest
from evaluation.estimation.term_tests import term_test
from evaluation.estimation.tilts import Estimand
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates, TestResult

Floats = NDArray[np.float64]
DoseMethod = Literal["difference", "aipw", "ipw", "ipwra", "g_computation", "regression_adjusted"]

_VERBS: dict[str, Callable[..., Estimates]] = {
    "difference": group_difference,
    "aipw": aipw,
    "ipw": ipw,
    "ipwra": ipwra,
    "g_computation": g_computation,
    "regression_adjusted": regression_adjusted,
}


@dataclass(frozen=True, eq=False, repr=False)
class DoseResponse(Estimates):
    """Differences of each class of participation from none.

    Attributes
    ----------
    trend : Estimates
        Slope of the differences per unit of the classes' scores, none counting zero.
    equality : TestResult
        F test that all classes differ from none by the same.
    """

    trend: Estimates | None = field(default=None, kw_only=True)
    equality: TestResult | None = field(default=None, kw_only=True)

    def masked(self) -> Estimates:
        """Return the classes with what may not be shown blanked, and the trend where it would give one away."""
        made = super().masked()
        if made is self or self.trend is None or not any(self.trend.marks):
            return made
        hidden = dict.fromkeys(("trend", "p_trend", "p_equality"), np.nan)
        return replace(cast(DoseResponse, made), trend=self.trend.masked(), equality=None, fit={**made.fit, **hidden})


def dose_response(
    design: Design,
    *,
    outcome: str,
    dose: str,
    covariates: str | Sequence[str] = (),
    treatment: str | None = None,
    breaks: Sequence[int] | None = None,
    method: DoseMethod | None = None,
    estimand: Estimand = "ATT",
    measure: Measure = "difference",
    scores: Sequence[float] | None = None,
    least: int | None = None,
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
    **options: Any,
) -> DoseResponse:
    """Estimate how the outcome differs from that of those who never took part, class by class of participation.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the classes are compared.
    outcome : str
        Numeric, 0/1, or text with two levels.
    dose : str
        How often: numbers, or ordered categories.
    covariates : str or list of str
        Names or a one-sided formula, fixed before participation; none: differences as they are.
    treatment : str, optional
        Two values; who has the first never took part, also where ``dose`` was not asked of them. Without it the lowest
        value of ``dose`` stands for none.
    breaks : sequence of int, optional
        Where each class begins: ``[1, 2, 3, 5]`` makes 1, 2, 3-4 and 5+. Default: each value is a class.
    method : {"aipw", "ipw", "ipwra", "g_computation", "regression_adjusted", "difference"}, optional
        Verb that compares a class with none. Default: "aipw" with covariates, else "difference".
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        "ATT": each class is compared at its own composition. "ATC": every class at the composition of those who never
        took part, so that classes can be compared with each other without comparing different people.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio"}
        Scale of the differences, trend and test.
    scores : sequence of float, optional
        What the trend counts each class by. Default: its number (the lower end of a range), or its place.
    least : int, optional
        Fewest respondents of a class that is estimated; a smaller one keeps its rows, without a number and marked.
        Default: the survey's ``min_base``, below which it could not be shown; 1 where there is none.
    comparability : Comparability, optional
        Declared comparison; a refused one raises.
    conf_level : float, default 0.95
        Of the t intervals.
    **options
        Passed to the verb, such as ``family`` or ``missing``.

    Returns
    -------
    DoseResponse
        For each class (column named ``dose``) the difference from none, the mean of the class and the mean of those
        without participation at its composition; with the covariance between classes, which share the comparison
        group. ``trend`` and ``equality`` rest on it. Classes too small to be shown are marked, not merged.

    Raises
    ------
    ColumnError
        A dose without order, others with a dose, an unknown column.
    EstimationError, IdentificationError
        A class is empty or cannot be compared: the message says which.

    Notes
    -----
    The trend is the least-squares slope of the differences :math:`\\theta_d` on the scores, with
    :math:`\\theta_0 = 0` at score 0: a fixed linear combination, so its error is that of a contrast. Who took part
    more often chose so: a trend is no proof of an effect.

    References
    ----------
    Imbens (2000), Biometrika 87, 706-710.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 5, 6, 7, 6], "times": [0, 0, 1, 1, 2, 2, 2, 0]})
    >>> made = dose_response(survey_design(respondents), outcome="y", dose="times")
    >>> made.tidy().loc[[0, 3], "estimate"].tolist(), made.trend.estimate.tolist()
    ([0.5, 3.0], [1.5])
    """
    verb = "dose_response"
    require_design(design, verb)
    balanced = balancing_of(design)
    if balanced is not None:
        refuse_balanced(design, balanced.treatment, verb)
    if dose in (outcome, treatment):
        raise EstimationError(f"{verb}: dose '{dose}' is the outcome or the treatment too. They are different columns.")
    adjusts = len(variables_of(covariates)) > 0
    chosen = method or ("aipw" if adjusts else "difference")
    require_choice(chosen, tuple(_VERBS), f"{verb}: method")
    if (chosen == "difference") == adjusts:
        move = "Leave covariates out" if chosen == "difference" else "Name covariates"
        raise EstimationError(
            f"{verb}: method='{chosen}' and covariates={came(covariates)} do not go together. {move}."
        )
    known = set(signature(_VERBS[chosen]).parameters) - {"design", "treatment"}
    for name in options:
        if name not in known:
            raise EstimationError(f"{verb}: {chosen} has no argument '{name}'. {did_you_mean(name, known)}")
    classes = read_dose(design, dose, treatment, breaks, scores, verb)
    asked: dict[str, Any] = {"outcome": outcome, "measure": measure, "comparability": comparability, **options}
    if chosen != "difference":
        asked |= {"covariates": covariates, "estimand": estimand}
    least = design.provenance.min_base if least is None else int(require_number(least, f"{verb}: least", least=1))
    sizes = [int(classes.members(at).sum()) for at in range(1, len(classes.titles) + 1)]
    large = np.array([place for place, size in enumerate(sizes) if size >= least])
    if len(large) < 2:
        raise EstimationError(
            f"{verb}: fewer than two classes of '{dose}' hold {least} respondents or more, so there is no dose to "
            f"respond to. Merge classes with breaks=[...], or compare participants with others: ev.aipw."
        )
    found = {place: _of_class(design, classes, place + 1, dose, chosen, asked) for place in large}
    first = found[large[0]]
    parts = [
        found.get(place) or _blank(first, dose, classes.titles[place], sizes[place]) for place in range(len(sizes))
    ]
    plain = joined([replace(part, fit={}) for part in parts])
    rows = _with_companion(plain, sizes)
    fields = {name: getattr(rows, name) for name in Estimates.__dataclass_fields__}
    effects = plain.take(3 * large)
    trend, equality = _trend(effects, classes, large, outcome), _equality(effects, dose, outcome)
    left_out = [classes.titles[place] for place in range(len(sizes)) if place not in found]
    record: dict[str, object] = {"outcome": outcome, "dose": dose, "method": chosen, "not_estimated": left_out}
    record |= _record(design, classes, first, trend, equality)
    made = {**fields, "verb": verb, "conf_level": conf_level, "fit": record}
    return DoseResponse(**made, trend=replace(trend, conf_level=conf_level), equality=equality)


def _of_class(
    design: Design, classes: DoseClasses, at: int, dose: str, method: str, asked: dict[str, Any]
) -> Estimates:
    """Compare one class with none."""
    title = classes.titles[at - 1]
    inside = classes.members(0) | classes.members(at)
    name = f"{dose} = {title}"
    own = replace(design, data=design.data.assign(**{name: classes.members(at).astype(float)}), inside=inside)
    try:
        made = _VERBS[method](own, treatment=name, **asked)
    except EvaluationError as error:
        raise type(error)(
            f"dose_response, class {title} of '{dose}' against {classes.none} ({int(classes.members(at).sum())} and "
            f"{int(classes.members(0).sum())} respondents): {error} If the class is too small, merge it: breaks=[...].",
            failures=error.failures,
        ) from error
    keys = made.keys.copy()
    keys.insert(1, dose, title)
    return replace(made, keys=keys)


def _record(
    design: Design, classes: DoseClasses, first: Estimates, trend: Estimates, equality: TestResult
) -> dict[str, object]:
    """Return what the verbs that compared the classes, the trend and the test add to ``fit``."""
    shared = ("estimand", "formula", "family", "evidence_grade", "differs_in")
    return {
        "none": classes.none,
        "classes": classes.titles,
        "scores": classes.scores.tolist(),
        "n_left_out": int(design.present.sum()) - int((classes.place >= 0).sum()),
        "n_dose_unknown": classes.n_unknown,
        "trend": float(trend.estimate[0]),
        "p_trend": float(trend.tidy()["p_value"].iloc[0]),
        "p_equality": equality.p_value,
        **{name: first.fit[name] for name in shared if name in first.fit},
    }


def _blank(like: Estimates, dose: str, title: str, size: int) -> Estimates:
    """Return the rows of a class that is too small to be estimated."""
    contributions = like.contributions
    blank = None if contributions is None else np.full(contributions.shape, np.nan)
    return replace(
        like,
        keys=like.keys.assign(**{dose: title}),
        estimate=np.full(3, np.nan),
        vcov=np.full((3, 3), np.nan),
        n_obs=np.array([size, size, 0]),
        bases=np.array([size, size, size]),
        contributions=blank,
        influence_of=None,
        cell_counts=None,
    )


def _with_companion(rows: Estimates, sizes: Sequence[int]) -> Estimates:
    """Hide a second class beside the only one that is small: everybody less the other classes tell it."""
    place = companion_of(sizes, rows.provenance)
    if place is None:
        return rows
    cells = np.zeros(len(rows), dtype=np.int64) if rows.cell_counts is None else rows.cell_counts.copy()
    cells[3 * place : 3 * place + 3] = fewest(sizes)
    return replace(rows, cell_counts=cells)


def _trend(effects: Estimates, classes: DoseClasses, large: NDArray[np.int64], outcome: str) -> Estimates:
    """Return the slope of the differences over the scores, none at zero."""
    centred = np.concatenate([[0.0], classes.scores[large]])
    centred = centred - centred.mean()
    slope = combined(effects, centred[None, 1:] / (centred @ centred), ["trend"])
    return replace(
        slope,
        verb="dose_trend",
        keys=pd.DataFrame({"term": [outcome], "quantity": ["trend"]}),
        n_obs=np.array([int((classes.place >= 0).sum())]),
    )


def _equality(effects: Estimates, dose: str, outcome: str) -> TestResult:
    """Test that all classes differ from none by the same."""
    k = len(effects)
    labels = [f"class {at + 1} less class 1" for at in range(1, k)]
    apart = combined(effects, np.hstack([-np.ones((k - 1, 1)), np.eye(k - 1)]), labels)
    found = term_test(apart, labels)
    return replace(
        found,
        test="Wald test of equal classes",
        hypothesis=f"{outcome} differs from none by the same in every class of {dose}",
        n_obs=int(effects.n_obs.max()),
        facts={"kind": "same_in_classes", "variables": [outcome], "by": dose},
    )
