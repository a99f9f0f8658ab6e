"""Differences between participants and others: raw, and between groups brought to one composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.comparability import Comparability
from evaluation.design.design import Design, each_replicate
from evaluation.errors import EstimationError
from evaluation.estimation.counterfactual import (
    WITH_PROPENSITY,
    Estimand,
    GroupMeans,
    Groups,
    Method,
    groups_of,
    potential_outcome_means,
)
from evaluation.regression.families import Family
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Names = str | Sequence[str]
Measure = Literal["difference", "log_risk_ratio", "log_odds_ratio"]

#: The highest evidence grade of a difference as it is, and of one between groups made alike in what was observed.
UNADJUSTED, ADJUSTED = 1, 2


def group_difference(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    against: Literal["others", "all"] = "others",
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between participants and others as they are, nothing adjusted.

    Parameters
    ----------
    design : Design
        Any design; its domain is where the groups are compared.
    outcome : str
        Numeric, 0/1, or text with two levels.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    against : {"others", "all"}, default "others"
        Compare with those who do not participate, or with everybody, participants included, as
        published figures for a whole population do; what the two share is counted once.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio"}
        Scale of row 0; the logarithms are tested against zero.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 1 here, and what differs stand in ``fit``.
    conf_level : float, default 0.95
        Of the t interval on the design degrees of freedom.

    Returns
    -------
    Estimates
        Row 0 is the difference; then the mean of participants and of the comparison group
        (column ``quantity``).

    Raises
    ------
    ColumnError
        An unknown column, or a treatment without exactly two values.
    EstimationError
        A group has nobody who answered.
    IdentificationError
        The item asks about a change.

    References
    ----------
    R twin: ``survey::svyglm(outcome ~ treatment)`` or ``svyby`` with ``svycontrast``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "joined": [0, 0, 1, 1]})
    >>> group_difference(survey_design(respondents), outcome="y", treatment="joined").estimate.tolist()
    [4.0, 6.0, 2.0]
    """
    if against not in ("others", "all"):
        raise EstimationError(f"against must be 'others' or 'all', got {against!r}.")
    evidence = evidence_of(comparability, UNADJUSTED)
    groups = groups_of(design, treatment=treatment, outcome=outcome, verb="group_difference")
    made = estimate_difference(
        design,
        groups,
        verb="group_difference",
        method="difference" if against == "others" else "difference_from_all",
        measure=measure,
        outcome=outcome,
        treatment=treatment,
        conf_level=conf_level,
    )
    return replace(made, fit={**made.fit, **evidence})


def ipw(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between groups weighted to one composition by inverse probability of participation.

    Parameters
    ----------
    design : Design
        Any design; survey weights enter the participation model and the means.
    outcome, treatment : str
        As in ``group_difference``.
    covariates : str or list of str
        Names or a one-sided formula; only what was fixed before participation.
    estimand : {"ATT", "ATE", "ATC", "ATO"}, default "ATT"
        Composition of participants, of everybody, of the others, of those who overlap.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio"}
        Scale of row 0.
    conf_level : float, default 0.95
        Of the t interval.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.

    Returns
    -------
    Estimates
        Row 0 is the adjusted difference; then the two means. A respondent who misses treatment, outcome or a
        covariate is left out (``fit["n_left_out"]``).

    Raises
    ------
    ColumnError
        An unknown column, or a treatment without exactly two values.
    EstimationError
        A group is empty.
    IdentificationError
        Covariates are collinear or tell the groups apart without overlap, or one was measured after participation.

    Notes
    -----
    Participation follows a survey-weighted logit. Its estimation is part of the influence (stacked estimating
    equations), so the standard error is not the one of weights taken as given.

    References
    ----------
    Lunceford and Davidian (2004), Statistics in Medicine 23, 2937-2960; Zeng, Li and Tong (2025). R twin:
    ``WeightIt::lm_weightit(vcov = "asympt")`` for simple random samples.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> ipw(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"]).estimate.round(6).tolist()
    [2.25, 5.25, 3.0]
    """
    names = (outcome, treatment, covariates)
    return _adjusted("ipw", design, names, estimand, None, measure, comparability, conf_level)


def g_computation(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between predictions of two outcome models, one per group, at one composition.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, covariates, measure, conf_level, comparability
        As in ``ipw``.
    estimand : {"ATT", "ATE", "ATC"}, default "ATT"
        Whose composition; "ATO" needs a propensity score.
    family : {"gaussian", "binomial"}, optional
        Default: binomial where the outcome has two values.

    Returns
    -------
    Estimates
        As ``ipw``. The error is unconditional: the sample of covariates is part of it.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``; also where a group cannot carry its own model.

    References
    ----------
    Hernán and Robins, What If, chapter 13. Stata twin: ``teffects ra``.
    """
    names = (outcome, treatment, covariates)
    return _adjusted("g_computation", design, names, estimand, family, measure, comparability, conf_level)


def regression_adjusted(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the average marginal difference of participation in one regression without interactions.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, family, measure, conf_level, comparability
        As in ``g_computation``.

    Returns
    -------
    Estimates
        As ``ipw``. The error is unconditional; that of R's ``margins`` and ``marginaleffects`` holds the
        covariates fixed and is smaller.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw``.

    References
    ----------
    Graubard and Korn (1999), Biometrics 55, 652-659 (predictive margins).
    """
    verb: Method = "regression_adjusted"
    names = (outcome, treatment, covariates)
    return _adjusted(verb, design, names, estimand, family, measure, comparability, conf_level)


def aipw(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the adjusted difference by weighting and outcome models together; one of the two must be right.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, measure, conf_level, comparability
        As in ``ipw``.
    family : {"gaussian", "binomial"}, optional
        Of the outcome models; default: binomial where the outcome has two values.

    Returns
    -------
    Estimates
        As ``ipw``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ipw`` and ``g_computation``.

    Notes
    -----
    Tilted mean of the predictions plus normalised weighted mean of the residuals, per group. Both models'
    estimation is part of the influence. For "ATT" everybody is tilted by the fitted probability of participation.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994); Li, Morgan and Zaslavsky (2018). R twin: ``PSweight(augmentation = TRUE)``.
    """
    names = (outcome, treatment, covariates)
    return _adjusted("aipw", design, names, estimand, family, measure, comparability, conf_level)


def ipwra(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the adjusted difference by outcome models that are fitted with the balancing weights.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, family, measure, conf_level, comparability
        As in ``aipw``.

    Returns
    -------
    Estimates
        As ``ipw``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``aipw``.

    References
    ----------
    Wooldridge (2007), Journal of Econometrics 141, 1281-1301. Stata twin: ``teffects ipwra``.
    """
    names = (outcome, treatment, covariates)
    return _adjusted("ipwra", design, names, estimand, family, measure, comparability, conf_level)


def _adjusted(
    verb: Method,
    design: Design,
    names: tuple[str, str, Names],
    estimand: Estimand,
    family: Family | None,
    measure: Measure,
    comparability: Comparability | None,
    conf_level: float,
) -> Estimates:
    outcome, treatment, covariates = names
    evidence = evidence_of(comparability, ADJUSTED)
    groups = groups_of(design, treatment=treatment, covariates=covariates, outcome=outcome, family=family, verb=verb)
    made = estimate_difference(
        design,
        groups,
        verb=verb,
        method=verb,
        estimand=estimand,
        measure=measure,
        outcome=outcome,
        treatment=treatment,
        conf_level=conf_level,
    )
    return replace(made, fit={**made.fit, **evidence})


def evidence_of(comparability: Comparability | None, ceiling: int) -> dict[str, object]:
    """Return what a declared comparison adds to ``fit``: its grade, at most ``ceiling``, and what differs.

    Raises
    ------
    IdentificationError
        The comparison is refused.
    """
    if comparability is None:
        return {}
    comparability.require()
    return {
        "evidence_grade": min(ceiling, comparability.grade),
        "differs_in": [difference.aspect for difference in comparability.differences],
    }


def estimate_difference(
    design: Design,
    groups: Groups,
    *,
    verb: str,
    method: Method,
    outcome: str,
    treatment: str,
    estimand: Estimand = "ATT",
    measure: Measure = "difference",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference of two groups that were read already, for verbs that take several of them.

    Parameters
    ----------
    design : Design
        Its weights and variance.
    groups : Groups
        From ``groups_of``, on this design or one that differs in its weights alone.
    verb : str
        What the result and messages call it.
    method, estimand
        As in ``potential_outcome_means``.
    outcome, treatment : str
        Names for keys and messages.
    measure, conf_level
        As in ``group_difference``.

    Returns
    -------
    Estimates
        Row 0 is the difference; then the means of participants and of the comparison group.
    """
    made = potential_outcome_means(groups, design.domain_weights, method, estimand)
    estimate, slope = _measured(made.mean, measure, outcome, verb)
    z = made.influence @ slope.T
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(
            design,
            lambda weights: _measured(
                potential_outcome_means(groups, weights, method, estimand).mean, measure, outcome, verb
            )[0],
        )
    n_others, n_participants = groups.counts()
    n_used = n_others + n_participants
    compared = n_used if method == "difference_from_all" else n_others
    return Estimates(
        verb=verb,
        keys=pd.DataFrame({"term": outcome, "quantity": [measure, "mean_participants", "mean_comparison"]}),
        estimate=estimate,
        vcov=design.engine.covariance(contributions),
        df=np.full(3, float(design.degrees_of_freedom(groups.used))),
        n_obs=np.array([n_used, n_participants, compared]),
        bases=np.array([min(n_participants, n_others), n_participants, compared]),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
        fit=_fit_record(design, groups, made, method, estimand, treatment),
    )


def _measured(mean: Floats, measure: Measure, outcome: str, verb: str) -> tuple[Floats, Floats]:
    """Return row 0 on its scale, then the two means, and their derivative in the means, shape (3, 2)."""
    others, participants = mean
    if measure == "difference":
        value, slope = participants - others, [-1.0, 1.0]
    elif measure == "log_risk_ratio":
        _refuse_outside(mean, np.inf, measure, outcome, verb)
        value, slope = np.log(participants / others), [-1 / others, 1 / participants]
    elif measure == "log_odds_ratio":
        _refuse_outside(mean, 1.0, measure, outcome, verb)
        odds = mean / (1 - mean)
        value, slope = (
            np.log(odds[1] / odds[0]),
            [-1 / (others * (1 - others)), 1 / (participants * (1 - participants))],
        )
    else:
        known = "'difference', 'log_risk_ratio' or 'log_odds_ratio'"
        raise EstimationError(f"{verb}: measure must be {known}, got {measure!r}.")
    return np.array([value, participants, others]), np.array([slope, [0.0, 1.0], [1.0, 0.0]])


def _refuse_outside(mean: Floats, upper: float, measure: str, outcome: str, verb: str) -> None:
    if (mean <= 0).any() or (mean >= upper).any():
        bounds = "above 0" if np.isinf(upper) else "between 0 and 1"
        raise EstimationError(
            f"{verb}: {measure} needs means {bounds}, but '{outcome}' has {mean[1]:.6g} among participants and "
            f"{mean[0]:.6g} in comparison. Use measure='difference'."
        )


def _fit_record(
    design: Design, groups: Groups, made: GroupMeans, method: Method, estimand: Estimand, treatment: str
) -> dict[str, object]:
    record: dict[str, object] = {
        "treatment": treatment,
        "participants": groups.levels[1],
        "comparison": "all" if method == "difference_from_all" else groups.levels[0],
        "n_left_out": groups.n_left_out,
    }
    if method in ("difference", "difference_from_all"):
        return record
    record |= {"estimand": estimand, "formula": groups.participation.formula}
    if method != "ipw":
        record["family"] = groups.family
    if method in WITH_PROPENSITY:
        weights = design.domain_weights * made.balancing
        for name, group in (("participants", 1), ("comparison", 0)):
            own = weights[groups.members(group)]
            record[f"ess_{name}"] = float(own.sum() ** 2 / (own**2).sum())
            record[f"largest_weight_share_{name}"] = float(own.max() / own.sum())
    return record
