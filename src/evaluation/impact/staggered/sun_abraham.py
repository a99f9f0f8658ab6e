"""Effects by cohort and time since treatment in one regression, averaged by cohort shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects
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

Mask = NDArray[np.bool_]

VERB = "sun_abraham"


def sun_abraham(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    type: Kind = "dynamic",
    covariates: str | Sequence[str] = (),
    place: str | None = None,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects by cohort and time, each cohort against those never treated, and average by cohort shares.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: the same units again, or repeated cross-sections.
    outcome : str
        Numeric column.
    cohort : str
        Column of the first treated period; 0 or missing means never.
    type : {"dynamic", "group", "calendar", "simple", "cells"}
        Rows by time since treatment, by cohort, by time, none but the overall, or one per cohort and time.
    covariates : str or list of str
        Further columns, as in ``survey_glm``, with one coefficient each.
    place : str, optional
        Column whose levels have an effect each. Default: the unit of a panel; in repeated cross-sections the cohort.
    cluster : str, optional
        Column of the treated places.
    vcov : {"jackknife", "cluster", "design", "CR0", "CR1", "CR2", "CR3", "CV3J"}, optional
        As of ``ev.att_gt``; the others as of ``ev.fe_regression``, which take the shares as known.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 is the mean over all treated observations; every row is a mean over observations of its cells. The last
        wave before treatment of each cohort is the reference, 0.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    IdentificationError
        Nobody is treated or left to compare with, or a covariate is a combination of the effects.
    EstimationError
        An option is unknown, or fewer than three clusters.

    Notes
    -----
    Without anybody never treated, the last cohort is the reference and the waves from its treatment on are left out.
    Cohorts treated from the first wave on are left out. ``fit["not_identified"]`` lists both.

    References
    ----------
    Sun and Abraham (2021), Journal of Econometrics 225, 175-199, section 4. R twin: ``fixest::sunab``.

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
    >>> sun_abraham(waves, outcome="y", cohort="first", type="cells").estimate.round(6).tolist()
    [3.0, -1.0, 0.0, 3.0]
    """
    require_arguments(sun_abraham, locals())
    check_kind(VERB, type)
    rows = read_rows(panel, VERB, outcome=outcome, cohort=cohort, covariates=covariates, cluster=cluster, place=place)
    reference = last_before(rows)
    there = answered(rows) & np.isfinite(rows.cohorts)[:, None] & ~reference
    effects = [
        (f"cohort {exact(rows.cohorts[g])} in {exact(rows.times[t])}", _one(there, g, t), 0)
        for g, t in np.argwhere(there)
    ]
    fit = CohortFit(rows, columns_of(rows, effects), averages(rows, type, there, reference))
    record = {
        "type": type,
        "compared_with": "never treated" if rows.over_time.times[-1] == rows.times[-1] else "last cohort",
        "overall": "mean over treated observations",
    }
    return result_of(fit, VERB, vcov, conf_level, record)


def last_before(rows: CohortRows) -> Mask:
    """Return the last wave with answers before each cohort's treatment, shape (C, T)."""
    there = answered(rows) & np.isfinite(rows.cohorts)[:, None] & (rows.since < 0)
    last = np.zeros_like(there)
    for g in np.flatnonzero(there.any(axis=1)):
        last[g, np.flatnonzero(there[g])[-1]] = True
    return last


def _one(mask: Mask, g: int, t: int) -> NDArray[np.float64]:
    table = np.zeros(mask.shape)
    table[g, t] = 1.0
    return table
