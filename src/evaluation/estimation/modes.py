"""Modes of interview: who was asked how, and whether answers differ by it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import ColumnError, did_you_mean
from evaluation.estimation.contrasts import joined
from evaluation.estimation.counterfactual import Method, groups_of, potential_outcome_means
from evaluation.estimation.domains import code_levels
from evaluation.estimation.means import survey_prop
from evaluation.regression.formula import variables_of
from evaluation.results import Estimates

Names = str | Sequence[str]

#: Column that stands in for the one mode against the reference.
_OTHER_MODE = "evaluation_other_mode"


def mode_distribution(
    design: Design, *, mode: str = "mode", by: str | None = None, conf_level: float = 0.95
) -> Estimates:
    """Estimate the shares of the modes of interview, such as by district.

    Parameters
    ----------
    design : Design
        Respondents.
    mode : str, default "mode"
        Column of the mode.
    by : str, optional
        Column of groups.
    conf_level : float, default 0.95
        Of the logit interval.

    Returns
    -------
    Estimates
        One row per group and mode, as ``survey_prop``; column ``n_mode`` counts the respondents of each.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"mode": ["web", "visit", "web", "web"]})
    >>> mode_distribution(survey_design(answers)).tidy()[["level", "estimate", "n_mode"]].to_numpy().tolist()
    [['visit', 0.25, 1], ['web', 0.75, 3]]
    """
    shares = survey_prop(design, mode, by=by, conf_level=conf_level)
    present = design.data.loc[design.present, [mode, *([by] if by else [])]]
    names = ["level", *([by] if by else [])]
    counted = present.groupby([mode, *([by] if by else [])], observed=True).size().to_dict()
    keys = shares.keys[names].itertuples(index=False, name=None)
    n_mode = np.array([counted.get(key if by else key[0], 0) for key in keys], dtype=np.int64)
    return replace(shares, columns={"n_mode": n_mode})


def mode_contrast(
    design: Design,
    outcome: str,
    *,
    mode: str = "mode",
    covariates: Names = (),
    reference: Any = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate how answers differ between modes of interview, with people brought to one composition if asked.

    Parameters
    ----------
    design : Design
        Respondents of a survey with two modes or more.
    outcome : str
        Numeric, 0/1, or text with two levels.
    mode : str, default "mode"
        Column of the mode.
    covariates : str or list of str, optional
        Names or a one-sided formula. Without any the difference is that of whoever answered in each mode; with
        them it is doubly robust, at the composition of both modes together.
    reference : value of ``mode``, optional
        With which the others are compared; default the first level.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        For each other mode: the difference, its mean and that of the reference (column ``quantity``).

    Raises
    ------
    ColumnError
        An unknown column or reference, or a single mode.
    EstimationError, IdentificationError
        As ``aipw``.

    Notes
    -----
    A difference between modes is one of measurement only as far as people of both are alike: choosing a mode is no
    lottery, unless the survey made it one.

    References
    ----------
    Vannieuwenhuyze, Loosveldt and Molenberghs (2010), Public Opinion Quarterly 74, 1027-1045.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [0, 1, 1, 1], "mode": ["visit", "visit", "web", "web"]})
    >>> mode_contrast(survey_design(answers), "y").estimate.tolist()
    [0.5, 1.0, 0.5]
    """
    require_design(design, "mode_contrast")
    column = design.column(mode)
    levels, _ = code_levels(column, design.present)
    reference = levels[0] if reference is None and levels else reference
    if len(levels) < 2 or reference not in levels:
        known = f"'{mode}' has {', '.join(map(str, levels)) or 'no mode'}"
        hint = "There is nothing to compare." if len(levels) < 2 else did_you_mean(reference, levels)
        raise ColumnError(f"mode_contrast: {known}. {hint}")
    parts = [
        _between(design, outcome, mode, level, reference, covariates, conf_level)
        for level in levels
        if level != reference
    ]
    return joined(parts)


def _between(
    design: Design, outcome: str, mode: str, level: Any, reference: Any, covariates: Names, conf_level: float
) -> Estimates:
    column = design.column(mode)
    flag = np.where(column == level, 1.0, np.where(column == reference, 0.0, np.nan))
    flagged = replace(design, data=design.data.assign(**{_OTHER_MODE: flag}))
    adjusted = len(variables_of(covariates)) > 0
    groups = groups_of(
        flagged,
        treatment=_OTHER_MODE,
        covariates=covariates if adjusted else False,
        outcome=outcome,
        verb="mode_contrast",
    )
    method: Method = "aipw" if adjusted else "difference"
    slope = np.array([[-1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
    made = potential_outcome_means(groups, design.domain_weights, method, "ATE")
    z = made.influence @ slope.T
    contributions = design.contributions(z) if design.replicates is None else each_replicate(
        design, lambda weights: slope @ potential_outcome_means(groups, weights, method, "ATE").mean
    )  # fmt: skip
    n_reference, n_own = groups.counts()
    return Estimates(
        verb="mode_contrast",
        keys=pd.DataFrame({"term": outcome, mode: level, "quantity": ["difference", "mean_mode", "mean_reference"]}),
        estimate=slope @ made.mean,
        vcov=design.engine.covariance(contributions),
        df=np.full(3, float(design.degrees_of_freedom(groups.used))),
        n_obs=np.array([n_reference + n_own, n_own, n_reference]),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
        bases=np.array([min(n_reference, n_own), n_own, n_reference]),
        fit={"reference": str(reference), "formula": groups.participation.formula, "n_left_out": groups.n_left_out},
    )
