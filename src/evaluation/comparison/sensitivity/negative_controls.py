"""Negative controls: differences in outcomes that the programme cannot move, and what they say of the adjustment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.comparison.adjustment.balancing import refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, estimate_difference, evidence_of
from evaluation.comparison.spoken import Spoken, shown_number, spoken
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_number
from evaluation.estimation.contrasts import joined
from evaluation.estimation.groups import groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.term_tests import term_test
from evaluation.estimation.tilts import Estimand
from evaluation.results import Estimates

Estimator = Literal["aipw", "ipw", "ipwra", "g_computation", "regression_adjusted", "difference"]
ESTIMATORS = ("aipw", "ipw", "ipwra", "g_computation", "regression_adjusted", "difference")


@dataclass(frozen=True, eq=False, repr=False)
class NegativeControls(Spoken):
    """Differences that should be zero, with their joint test in ``fit``."""

    estimated = ("statistic", "p_value", "largest_limit")

    @property
    def passes(self) -> bool:
        """Whether the joint test finds nothing (and, with a margin, every interval lies within it)."""
        return bool(self.fit["passes"])

    def _said(self, lang: str) -> str:
        p, limit = wording.probability(float(self.fit["p_value"])), shown_number(float(self.fit["largest_limit"]))
        p = f"p {p}" if p.startswith("<") else f"p = {p}"
        interval, k = wording.interval_name(self.conf_level, lang), len(self)
        if lang == "ko":
            what = f"결과 {k}개의 보정한 차이가 모두" if k > 1 else "결과의 보정한 차이가"
            start = f"사업이 움직일 수 없는 {what} 0이라는 가설: {p}. "
            if self.passes:
                return (
                    start + f"차이가 드러나지 않았으나 없다는 증거는 아니다. {interval} 안에 {limit}까지의 차이가 있다."
                )
            return start + "보정한 뒤에도 두 집단이 다르므로, 관심 있는 결과의 차이도 사업의 몫이라 할 수 없다."
        start = (
            f"{k} outcomes that the programme cannot move, hypothesis that all adjusted differences are zero: {p}. "
            if k > 1
            else f"One outcome that the programme cannot move, hypothesis that its adjusted difference is zero: {p}. "
        )
        if self.passes:
            return start + (
                f"No difference was found, which does not show that there is none: differences of up to {limit} lie "
                f"within the {interval}s."
            )
        return start + (
            "The groups still differ after adjustment, so a difference in the outcome of interest cannot be ascribed "
            "to the programme either."
        )


def negative_controls(
    design: Design,
    *,
    outcomes: Sequence[str],
    treatment: str,
    covariates: str | Sequence[str],
    estimator: Estimator = "aipw",
    estimand: Estimand = "ATT",
    alpha: float = 0.05,
    margin: float | None = None,
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> NegativeControls:
    """Estimate adjusted differences in outcomes that taking part cannot have moved, and test them together.

    Parameters
    ----------
    design : Design
        Any design.
    outcomes : list of str
        What the programme cannot move: fixed before, or out of its reach. They must share their unit where
        ``margin`` is given.
    treatment, covariates, estimand, missing
        As in ``ipw``.
    estimator : {"aipw", "ipw", "ipwra", "g_computation", "regression_adjusted", "difference"}, default "aipw"
        That of the outcome of interest; "difference" adjusts for nothing
        and is the one for a balanced design.
    alpha : float, default 0.05
        Level of the joint test.
    margin : float, optional
        Largest difference that does no harm; every interval must then lie within it for a pass.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t intervals.

    Returns
    -------
    NegativeControls
        Keys ``term, quantity`` with one row ``difference`` per outcome and their joint covariance. ``fit`` has
        ``passes`` (bool), ``statistic``, ``ndf``, ``ddf``, ``p_value``, ``largest_limit``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As the estimator; no outcome, one named twice, or a covariance without inverse.

    Notes
    -----
    The joint test is a Wald F with the design's covariance between the outcomes. A pass says that this test with
    these outcomes found nothing; it shows up confounding only by traits that move the controls too.

    References
    ----------
    Lipsitch, Tchetgen Tchetgen and Cohen (2010), Epidemiology 21, 383-388.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"height": [1.0, 2, 3, 4, 2, 3, 4, 2], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": list("ffmmfmfm")})
    >>> found = negative_controls(survey_design(respondents), outcomes=["height"], treatment="joined",
    ...                           covariates=["sex"], estimator="ipw")
    >>> found.passes, found.fit["ndf"]
    (True, 1.0)
    """
    require_design(design, "negative_controls")
    names = _names(outcomes)
    _refuse_options(estimator, alpha, margin)
    if estimator != "difference":
        refuse_balanced(design, treatment, "negative_controls")
    evidence = evidence_of(comparability, ADJUSTED, "negative_controls", names, design)
    rows = []
    for name in names:
        groups = groups_of(
            design,
            treatment=treatment,
            covariates=False if estimator == "difference" else covariates,
            outcome=name,
            verb="negative_controls",
            missing=missing,
        )
        made = estimate_difference(
            design, groups, verb="negative_controls", method=estimator, estimand=estimand, outcome=name,
            treatment=treatment, conf_level=conf_level,
        )  # fmt: skip
        rows.append(made.take(np.array([0])))
    together = replace(joined(rows), verb="negative_controls", keys=_keys(names), fit={})
    record = _tested(together, names, alpha, margin)
    common = {
        "treatment": treatment,
        "estimator": estimator,
        "estimand": estimand,
        "n_left_out": {name: int(row.fit["n_left_out"]) for name, row in zip(names, rows, strict=True)},
    }
    return spoken(NegativeControls, together, fit=common | record | evidence)


def _names(outcomes: object) -> list[str]:
    names = [outcomes] if isinstance(outcomes, str) else list(outcomes) if isinstance(outcomes, (list, tuple)) else []
    if not names:
        raise EstimationError(
            f"negative_controls: outcomes must name what the programme cannot move, at least one, got {outcomes!r}."
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise EstimationError(f"negative_controls: '{twice[0]}' is named twice in outcomes. Name it once.")
    return names


def _refuse_options(estimator: object, alpha: object, margin: object) -> None:
    if estimator not in ESTIMATORS:
        raise EstimationError(f"negative_controls: estimator must be one of {list(ESTIMATORS)}, got {estimator!r}.")
    level = require_number(alpha, "negative_controls: alpha", above=0)
    if not level < 1:
        raise EstimationError(f"negative_controls: alpha lies between 0 and 1, got {alpha!r}. 5 % is alpha=0.05.")
    if margin is not None:
        require_number(margin, "negative_controls: margin", above=0)


def _keys(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"term": names, "quantity": "difference"})


def _tested(result: Estimates, names: Sequence[str], alpha: float, margin: float | None) -> dict[str, object]:
    test = term_test(result, list(names))
    largest = float(np.abs(result.confidence_interval()).max())
    if np.isnan(test.p_value):
        raise EstimationError(
            "negative_controls: the design leaves no degrees of freedom, so nothing can be tested. Collapse strata, or "
            "declare sampling units that are more than one to a stratum."
        )
    return {
        "passes": bool(test.p_value > alpha and (margin is None or largest < margin)),
        "statistic": test.statistic,
        "ndf": test.ndf,
        "ddf": test.ddf,
        "p_value": test.p_value,
        "alpha": float(alpha),
        "largest_limit": largest,
        "margin": None if margin is None else float(margin),
    }
