"""Event-time dummies in a two-way regression: the event study that is often run, and what it averages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.cohort_errors import Vcov, result_of
from evaluation.impact.staggered.cohort_moments import read_rows
from evaluation.impact.staggered.cohort_regression import (
    CohortFit,
    answered,
    averages,
    columns_of,
)

VERB = "event_study_twfe"


def event_study_twfe(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    place: str | None = None,
    reference: float | Sequence[float] = -1,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate a dummy for each time since treatment in a regression with place and time effects.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: the same units again, or repeated cross-sections.
    outcome : str
        Numeric column.
    cohort : str
        Column of the first treated period; 0 or missing means never.
    covariates : str or list of str
        Further columns, as in ``survey_glm``.
    place : str, optional
        Column whose levels have an effect each. Default: the unit of a panel; in repeated cross-sections the cohort.
    reference : float or list of float, default -1
        Times since treatment that the others are measured against, besides those never treated. Where nobody is
        never treated two are needed, such as ``(-4, -1)``.
    cluster : str, optional
        Column of the treated places.
    vcov : {"jackknife", "cluster", "design", "CR0", "CR1", "CR2", "CR3", "CV3J"}, optional
        As of ``ev.att_gt``; the others as of ``ev.fe_regression``.
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 is the mean over all treated observations; then one row per ``event_time``, 0 at the reference.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    IdentificationError
        Nobody is treated, an effect is made up by others, or a covariate by the effects.
    EstimationError
        No wave lies at the reference, or fewer than three clusters.

    Notes
    -----
    A coefficient is contaminated where effects differ by cohort: it holds effects of other times since treatment with
    weights that add up to zero, the leads as well. ``fit["contaminated"]`` says so; ``ev.sun_abraham`` is free of it.
    Cohorts treated from the first wave on are left out, and listed.

    References
    ----------
    Sun and Abraham (2021), Journal of Econometrics 225, 175-199, proposition 3. R twin:
    ``fixest::feols(y ~ i(since, ref = c(-1, -1000)) | unit + time)``.

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
    >>> event_study_twfe(waves, outcome="y", cohort="first").tidy()[["event_time", "estimate"]].round(6).values.tolist()
    [[None, 3.0], [-2, -1.0], [-1, 0.0], [0, 3.0]]
    """
    require_arguments(event_study_twfe, locals())
    rows = read_rows(
        panel, VERB, outcome=outcome, cohort=cohort, covariates=covariates, cluster=cluster, place=place,
        needs_comparison=False,
    )  # fmt: skip
    against = np.atleast_1d(np.asarray(reference, dtype=float)).tolist()
    since, there = rows.since, answered(rows) & np.isfinite(rows.cohorts)[:, None]
    found = np.unique(since[there])
    _refuse_absent(against, [float(e) for e in found])
    held = there & np.isin(since, against)
    effects = [(f"event time {e:g}", ((since == e) & there).astype(float), 0) for e in found if e not in against]
    fit = CohortFit(rows, columns_of(rows, effects), averages(rows, "dynamic", there & ~held, held))
    record = {
        "type": "dynamic",
        "reference": [exact(e) for e in against],
        "overall": "mean over treated observations",
        "contaminated": "where effects differ by cohort, each row also holds effects at other times since treatment",
    }
    return result_of(fit, VERB, vcov, conf_level, record)


def _refuse_absent(against: list[float], found: list[float]) -> None:
    absent = [e for e in against if e not in found]
    if absent or not against:
        shown = ", ".join(f"{e:g}" for e in found)
        raise EstimationError(
            f"{VERB}: no cohort has a wave at reference {', '.join(f'{e:g}' for e in absent) or '(none)'}. Times since "
            f"treatment in the data: {shown}. Name one or several of those before 0."
        )
