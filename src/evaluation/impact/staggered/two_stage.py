"""Effects in two stages: outcomes less what the untreated observations explain, then averaged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects, Vcov
from evaluation.impact.panel import Panel
from evaluation.impact.staggered.imputed_effects import Kind, impute, imputed_result
from evaluation.impact.staggered.observations import read_observations


def two_stage_did(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    type: Kind = "simple",
    place: str | None = None,
    anticipation: float = 0,
    cluster: str | None = None,
    supported_only: bool = False,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects in two stages: untreated outcomes first, then means of what they leave over.

    Parameters
    ----------
    panel, outcome, cohort, covariates, type, place, anticipation, cluster, supported_only, conf_level
        As in ``ev.imputation_did``.
    vcov : {"design", "cluster", "jackknife"}, optional
        Default: "jackknife" where a cluster is named, else "design". "cluster" is the author's (both stages as one
        system of moments, summed per cluster without a small-sample factor), with t(G - 1).

    Returns
    -------
    ImpactEffects
        As ``ev.imputation_did``. Rows before treatment (``type="dynamic"``) are means of the first stage's residuals,
        all leads at once: they are fitted, so they lie closer to zero than leads of ``ev.imputation_did``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ev.imputation_did``.

    Notes
    -----
    Estimates after treatment equal those of ``ev.imputation_did``; the errors of "cluster" differ from its "bjs" in
    what effects are centred at: the row's mean. A place with one untreated observation is kept (its residual is zero);
    one without is left out and counted.

    References
    ----------
    Gardner (2022), arXiv:2207.05943. R twin: ``did2s::did2s``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({
    ...     "year": [2015] * 4 + [2016] * 4, "first": [2016, 2016, 0, 0] * 2, "y": [1.0, 3, 2, 4, 5, 7, 3, 5],
    ... })
    >>> effects = two_stage_did(panel(survey_design(answers), time="year"), outcome="y", cohort="first")
    >>> effects.estimate.round(9).tolist()
    [3.0]
    """
    require_arguments(two_stage_did, locals())
    seen = read_observations(
        panel, "two_stage_did", outcome=outcome, cohort=cohort, covariates=covariates, place=place, cluster=cluster
    )
    imputed = impute(
        seen,
        "two_stage_did",
        kind=type,
        anticipation=anticipation,
        leads=np.zeros(0),
        residual_leads=True,
        supported_only=supported_only,
    )
    return imputed_result(
        imputed,
        "two_stage_did",
        vcov=vcov,
        conf_level=conf_level,
        fit={"outcome": outcome, "cohort": cohort, "covariates": list(seen.terms)},
    )
