"""Differences between participants and others: raw, and between groups brought to one composition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from evaluation.comparison.adjustment.balancing import balancing_of, refuse_balanced
from evaluation.comparison.comparability import Comparability
from evaluation.comparison.differences import ADJUSTED, UNADJUSTED, Measure, estimate_difference, evidence_of
from evaluation.design.design import Design, require_design
from evaluation.estimation.arguments import require_choice
from evaluation.estimation.counterfactual import Method
from evaluation.estimation.groups import groups_of
from evaluation.estimation.missing_covariates import Missing
from evaluation.estimation.tilts import TARGETS, Balancing, Estimand, Target, require_estimand
from evaluation.regression.families import Family
from evaluation.results import Estimates

__all__ = [
    "ADJUSTED",
    "UNADJUSTED",
    "Measure",
    "aipw",
    "estimate_difference",
    "evidence_of",
    "g_computation",
    "group_difference",
    "ipw",
    "ipwra",
    "regression_adjusted",
]

Names = str | Sequence[str]


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
        Any design; its domain is where the groups are compared. On one that was balanced (``entropy_balance``,
        ``propensity_weights``, ``cbps``) the difference is that of the balanced groups.
    outcome : str
        Numeric, 0/1, or text with two levels.
    treatment : str
        Two values: 0/1, boolean, or text whose second level stands for participants.
    against : {"others", "all"}, default "others"
        Compare with those who do not participate, or with everybody, participants included, as
        published figures for a whole population do; what the two share is counted once.
    measure : {"difference", "log_risk_ratio", "log_odds_ratio", "smd"}
        Scale of row 0; the logarithms are tested against zero. Of counts "log_risk_ratio" is the log of the rate
        ratio. "smd": in standard deviations of the sample before adjustment (``ev.standardised_difference``).
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
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "joined": [0, 0, 1, 1]})
    >>> group_difference(survey_design(respondents), outcome="y", treatment="joined").estimate.tolist()
    [4.0, 6.0, 2.0]
    """
    require_design(design, "group_difference")
    require_choice(against, ("others", "all"), "group_difference: against")
    if against == "all":
        refuse_balanced(design, treatment, "group_difference, against='all',")
    step = balancing_of(design)
    balanced = step is not None and step.treatment == treatment
    ceiling = ADJUSTED if balanced else UNADJUSTED
    evidence = evidence_of(comparability, ceiling, "group_difference", outcome, design)
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
    missing: Missing = "refuse",
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
    estimand : {"ATT", "ATE", "ATC", "ATO", "ATM"}, default "ATT"
        Composition of participants, of everybody, of the others, of those who overlap (smoothly, or as pairs would).
    measure : {"difference", "log_risk_ratio", "log_odds_ratio", "smd"}
        Scale of row 0, as in ``group_difference``.
    missing : {"refuse", "complete_cases", "indicator"}, default "refuse"
        What a missing covariate means: an error; the respondent is left out (``fit["n_left_out"]``); a level of its
        own, or the mean with an indicator beside it. Missing outcomes are left out.
    conf_level : float, default 0.95
        Of the t interval.
    comparability : Comparability, optional
        Declared comparison; a refused one raises. Its grade, at most 2 here, and what differs stand in ``fit``.

    Returns
    -------
    Estimates
        Row 0 is the adjusted difference; then the two means. ``fit["n_left_out"]`` counts who is left out.

    Raises
    ------
    ColumnError
        An unknown column, a treatment without exactly two values, a covariate that is missing for some.
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
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> ipw(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"]).estimate.round(6).tolist()
    [2.25, 5.25, 3.0]
    """
    names = (outcome, treatment, covariates)
    return _adjusted("ipw", design, names, estimand, None, measure, comparability, conf_level, missing)


def g_computation(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the difference between predictions of two outcome models, one per group, at one composition.

    Parameters
    ----------
    design : Design
        Any design.
    outcome, treatment, covariates, measure, missing, conf_level, comparability
        As in ``ipw``.
    estimand : {"ATT", "ATE", "ATC"}, default "ATT"
        Whose composition; "ATO" and "ATM" need a propensity score.
    family : {"gaussian", "binomial", "poisson"}, optional
        Default: binomial where the outcome has two values. Counts need "poisson" said.

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

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> found = g_computation(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> found.estimate.round(4).tolist()
    [2.25, 5.25, 3.0]
    """
    names = (outcome, treatment, covariates)
    return _adjusted("g_computation", design, names, estimand, family, measure, comparability, conf_level, missing)


def regression_adjusted(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the average marginal difference of participation in one regression without interactions.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, family, measure, missing, conf_level, comparability
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
    Graubard and Korn (1999), Biometrics 55, 652-659 (predictive margins). Stata twin: ``margins, dydx()
    vce(unconditional)``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> found = regression_adjusted(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> found.estimate.round(4).tolist()
    [2.1429, 5.25, 3.1071]
    """
    verb: Method = "regression_adjusted"
    names = (outcome, treatment, covariates)
    return _adjusted(verb, design, names, estimand, family, measure, comparability, conf_level, missing)


def aipw(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    balancing: Balancing = "propensity",
    target: Target = "observed",
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the adjusted difference by weighting and outcome models together; one of the two must be right.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, measure, missing, conf_level, comparability
        As in ``ipw``.
    family : {"gaussian", "binomial", "poisson"}, optional
        Of the outcome models; default: binomial where the outcome has two values.
    balancing : {"propensity", "entropy", "cbps"}, default "propensity"
        What makes the balancing weights: a logit of participation, or what ``entropy_balance`` and ``cbps`` do.
    target : {"observed", "fitted"}, default "observed"
        Of "ATT" and "ATC": predictions are averaged over the group itself, so that one right model is enough; or over
        everybody by the fitted propensity score, as ``PSweight`` does, which needs that score to be right.

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
    Mean of the predictions at the target's composition plus normalised weighted mean of the residuals, per group. Both
    models' estimation is part of the influence. "ATO" and "ATM" are defined by the propensity score, which must be
    right for them.

    References
    ----------
    Robins, Rotnitzky and Zhao (1994); Hahn (1998), Econometrica 66, 315-331; Li, Morgan and Zaslavsky (2018). R twin:
    ``PSweight(augmentation = TRUE)`` with ``target="fitted"``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> found = aipw(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> found.estimate.round(4).tolist()
    [2.25, 5.25, 3.0]
    """
    names = (outcome, treatment, covariates)
    kinds = (balancing, target)
    return _adjusted("aipw", design, names, estimand, family, measure, comparability, conf_level, missing, kinds)


def ipwra(
    design: Design,
    *,
    outcome: str,
    treatment: str,
    covariates: Names,
    estimand: Estimand = "ATT",
    family: Family | None = None,
    measure: Measure = "difference",
    balancing: Balancing = "propensity",
    target: Target = "observed",
    missing: Missing = "refuse",
    comparability: Comparability | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the adjusted difference by outcome models that are fitted with the balancing weights.

    Parameters
    ----------
    design, outcome, treatment, covariates, estimand, family, measure, balancing, target, missing, conf_level,
    comparability
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

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 3, 4, 3, 5, 7, 6], "joined": [0, 0, 0, 0, 1, 1, 1, 1],
    ...                             "sex": ["f", "f", "m", "m", "f", "m", "m", "m"]})
    >>> found = ipwra(survey_design(respondents), outcome="y", treatment="joined", covariates=["sex"])
    >>> found.estimate.round(4).tolist()
    [2.25, 5.25, 3.0]
    """
    names = (outcome, treatment, covariates)
    kinds = (balancing, target)
    return _adjusted("ipwra", design, names, estimand, family, measure, comparability, conf_level, missing, kinds)


def _adjusted(
    verb: Method,
    design: Design,
    names: tuple[str, str, Names],
    estimand: Estimand,
    family: Family | None,
    measure: Measure,
    comparability: Comparability | None,
    conf_level: float,
    missing: Missing,
    kinds: tuple[Balancing, Target] = ("propensity", "observed"),
) -> Estimates:
    outcome, treatment, covariates = names
    balancing, target = kinds
    require_design(design, verb)
    refuse_balanced(design, treatment, verb)
    evidence = evidence_of(comparability, ADJUSTED, verb, outcome, design)
    require_estimand(estimand, balancing)
    require_choice(target, TARGETS, f"{verb}: target")
    groups = groups_of(
        design,
        treatment=treatment,
        covariates=covariates,
        outcome=outcome,
        family=family,
        verb=verb,
        missing=missing,
    )
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
        balancing=balancing,
        target=target,
    )
    told = {} if missing == "refuse" else {"missing": missing}
    return replace(made, fit={**made.fit, **told, **evidence})
