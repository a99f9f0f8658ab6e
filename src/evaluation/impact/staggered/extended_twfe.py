"""Two-way regression with a treatment effect for each cohort and time, linear or for counts and yes/no answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects
from evaluation.impact.identification import LAST_COHORT
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.cohort_errors import Vcov, result_of
from evaluation.impact.staggered.cohort_moments import CohortRows, read_rows
from evaluation.impact.staggered.cohort_regression import (
    CohortFit,
    Kind,
    answered,
    averages,
    check_kind,
    columns_of,
)
from evaluation.impact.staggered.extended_glm import GlmFit
from evaluation.impact.staggered.sun_abraham import last_before

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
ControlGroup = Literal["notyettreated", "nevertreated"]

VERB = "extended_twfe"
FAMILIES = ("gaussian", "poisson", "binomial")


def extended_twfe(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    control_group: ControlGroup = "notyettreated",
    type: Kind = "simple",
    family: Literal["gaussian", "poisson", "binomial"] = "gaussian",
    place: str | None = None,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate an effect for each cohort and time in one regression, and average them over treated observations.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: the same units again, or repeated cross-sections.
    outcome : str
        Numeric column: any number, a count for "poisson", 0 or 1 for "binomial".
    cohort : str
        Column of the first treated period; 0 or missing means never.
    covariates : str or list of str
        Columns as in ``survey_glm``, best measured before treatment. Each has slopes by cohort and by time, and its
        own effect in every treated cell.
    control_group : {"notyettreated", "nevertreated"}
        "notyettreated" has effects since treatment only; "nevertreated" also before it, but for the last wave, and so
        compares with those never treated alone.
    type : {"simple", "dynamic", "group", "calendar", "cells"}
        Rows beside the overall: none, by time since treatment, by cohort, by time, or by both.
    family : {"gaussian", "poisson", "binomial"}
        Least squares, log-linear, or logit; effects are differences of means (shares) in all of them.
    place : str, optional
        Column whose levels have an effect each, linear only. Default: cohorts have effects, which in balanced panels
        gives the same estimates as effects of units.
    cluster : str, optional
        Column of the treated places.
    vcov : {"jackknife", "cluster", "design", "CR0", "CR1", "CR2", "CR3", "CV3J"}, optional
        As of ``ev.att_gt``; the others as of ``ev.fe_regression`` with the delta method, which take the
        rows that are averaged as known.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 is the mean over all treated observations; every row is a mean over the observations of its cells.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve, or the outcome does not fit the family.
    IdentificationError
        Nobody is treated or left to compare with, effects are made up by covariates, or a covariate separates answers.
    EstimationError
        An option is unknown, or fewer than three clusters.

    Notes
    -----
    :math:`E[y] = G(\\alpha_g + \\lambda_t + x(\\beta_g + \\theta_t) + \\delta_{gt} + x \\xi_{gt})`, and the
    effect on a row is this less the same without :math:`\\delta` and :math:`\\xi`. Centring covariates within
    cohorts changes coefficients but none of these effects. Counts and shares assume parallel trends of logs or log
    odds. Without anybody never treated, waves from the last cohort's treatment on are left out.

    References
    ----------
    Wooldridge (2025), Empirical Economics 69, 2545-2587 (working paper 2021); Wooldridge (2023), Econometrics Journal
    26, C31-C66. R twin: ``etwfe::etwfe`` and ``emfx``, which may count a collinear slope for CR1.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({
    ...     "gu": [1, 1, 1, 2, 2, 2], "year": [2014, 2015, 2016] * 2, "first": [2016] * 3 + [0] * 3,
    ...     "y": [1.0, 2, 7, 1, 1, 3],
    ... })
    >>> waves = panel(survey_design(answers, psu="gu"), unit="gu", time="year")
    >>> extended_twfe(waves, outcome="y", cohort="first").estimate.round(6).tolist()
    [3.5]
    """
    require_arguments(extended_twfe, locals())
    check_kind(VERB, type)
    if control_group not in ("notyettreated", "nevertreated"):
        raise EstimationError(f"control_group must be 'notyettreated' or 'nevertreated', got {control_group!r}.")
    if family not in FAMILIES:
        raise EstimationError(f"{VERB}: family must be one of {list(FAMILIES)}, got {family!r}.")
    if family != "gaussian" and place is not None:
        raise EstimationError(
            f"{VERB}: effects of '{place}' bias a {family} regression with few rows each. Leave place out: cohorts "
            f"have effects."
        )
    rows = read_rows(
        panel, VERB, outcome=outcome, cohort=cohort, covariates=covariates, cluster=cluster, place=place, by_cohort=True
    )
    there, reference = treated_cells(rows, control_group)
    columns = columns_of(rows, _effects(rows, there), _slopes(rows))
    rows_of = averages(rows, type, there, reference)
    fit = CohortFit(rows, columns, rows_of) if family == "gaussian" else GlmFit(rows, columns, rows_of, family)
    record = {
        "type": type,
        "control_group": control_group,
        "family": family,
        "overall": "mean over treated observations",
    }
    return result_of(fit, VERB, vcov, conf_level, record)


def treated_cells(rows: CohortRows, control_group: str) -> tuple[Mask, Mask]:
    """Return the cohorts and waves with an effect, and those they are measured against, shape (C, T)."""
    there = answered(rows) & np.isfinite(rows.cohorts)[:, None]
    if control_group == "notyettreated":
        return there & (rows.since >= 0), np.zeros_like(there)
    if any(row["reason"] == LAST_COHORT for row in rows.not_identified):
        raise IdentificationError(
            f"{VERB}: control_group='nevertreated', but all are treated by the last wave. Use "
            f"control_group='notyettreated', which compares with the last cohort until its date."
        )
    reference = last_before(rows)
    return there & ~reference, reference


def _effects(rows: CohortRows, there: Mask) -> list[tuple[str, Floats, int]]:
    made: list[tuple[str, Floats, int]] = []
    for j, term in enumerate(["", *rows.terms]):
        for g, t in np.argwhere(there):
            table = np.zeros(there.shape)
            table[g, t] = 1.0
            of = f" by {term}" if term else ""
            made.append((f"cohort {exact(rows.cohorts[g])} in {exact(rows.times[t])}{of}", table, j))
    return made


def _slopes(rows: CohortRows) -> list[tuple[str, Floats, int]]:
    made: list[tuple[str, Floats, int]] = []
    shape = (len(rows.cohorts), len(rows.times))
    for j, term in enumerate(rows.terms, start=1):
        for g, first in enumerate(rows.cohorts):
            own = np.arange(shape[0])[:, None] == g
            made.append(
                (
                    f"{term} of {'those never treated' if np.isinf(first) else f'cohort {first:g}'}",
                    np.broadcast_to(own, shape).astype(float),
                    j,
                )
            )
        for t in range(1, shape[1]):
            own = np.arange(shape[1])[None, :] == t
            made.append((f"{term} in {exact(rows.times[t])}", np.broadcast_to(own, shape).astype(float), j))
    return made
