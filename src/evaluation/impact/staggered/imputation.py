"""Effects by imputation: each treated outcome less what the untreated observations say it would have been."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import ImpactEffects
from evaluation.impact.panel import Panel
from evaluation.impact.staggered.imputed_effects import Imputed, Kind, impute, imputed_result
from evaluation.impact.staggered.observations import read_observations

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def imputation_did(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    type: Kind = "simple",
    pretrends: int | Sequence[int] | None = None,
    place: str | None = None,
    anticipation: float = 0,
    cluster: str | None = None,
    supported_only: bool = False,
    vcov: Literal["design", "cluster", "jackknife", "bjs"] | None = None,
    conf_level: float = 0.95,
) -> ImpactEffects:
    """Estimate effects by imputing the outcomes without treatment.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: units that come again, or repeated cross-sections.
    outcome : str
        Numeric column.
    cohort : str
        Column of the first treated period; 0 or missing means never.
    covariates : str or list of str
        Columns with one coefficient each among the untreated, as in ``survey_glm``.
    type : {"simple", "dynamic", "group", "calendar"}
        What follows the overall row: nothing, rows by time since treatment, by cohort, by time.
    pretrends : int or list of int, optional
        Dynamic only: leads to test, the last so many waves before treatment or those listed (negative). Each is
        compared with all earlier waves and the never treated, on untreated observations alone.
    place : str, optional
        Column of the places with an effect each. Default: the unit of a panel; of cross-sections the cluster, else
        the cohort.
    anticipation : float, default 0
        By how much the policy acts ahead of its date; these waves are imputed as well, outside the overall row.
    cluster : str, optional
        Column of the places that were treated as wholes; at least three.
    supported_only : bool, default False
        The jackknife is refused for rows that hold a cohort and wave of a single cluster, which would not be there
        without it. True leaves such cohorts and waves out instead, and names them.
    vcov : {"design", "cluster", "jackknife", "bjs"}, optional
        As in ``ev.att_gt``; "bjs" is the authors' conservative variance, with effects centred at their mean by
        cohort and time, and normal-theory leads with fixest's factor; here with t(G - 1).
    conf_level : float, default 0.95

    Returns
    -------
    ImpactEffects
        Row 0 ``overall``: mean over all treated observations whose outcome can be imputed, by weight. Others have the
        key ``event_time`` (leads first), ``cohort`` or ``time``. ``fit["not_identified"]`` names cells that cannot be
        imputed and why, ``fit["n_not_imputed"]`` their observations and ``fit["n_places_without_untreated"]`` the
        places that were treated in all their waves.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve.
    EstimationError
        An option is unknown, or fewer than three clusters.
    IdentificationError
        Nobody treated or untreated, or a covariate that the effects make up.

    Notes
    -----
    On untreated observations :math:`y_{it} = \\alpha_p + \\gamma_t + x_{it}'\\beta + e_{it}`; the effect of a treated
    one is :math:`y_{it}` less its prediction. The influence function is the exact derivative in the weights: own effect
    less the mean, and what the untreated contribute through the prediction. The overall row weighs every treated
    observation alike, ``ev.aggregate(type="dynamic")`` every period since treatment.

    References
    ----------
    Borusyak, Jaravel and Spiess (2024), Review of Economic Studies 91, 3253-3285, equations 5 and 7. R twin:
    ``didimputation::did_imputation`` (``vcov="bjs"``), Stata: ``did_imputation``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({
    ...     "year": [2015] * 4 + [2016] * 4, "first": [2016, 2016, 0, 0] * 2, "y": [1.0, 3, 2, 4, 5, 7, 3, 5],
    ... })
    >>> effects = imputation_did(panel(survey_design(answers), time="year"), outcome="y", cohort="first")
    >>> effects.estimate.round(9).tolist()
    [3.0]
    """
    require_arguments(imputation_did, locals())
    leads = _leads(type, pretrends, anticipation)
    seen = read_observations(
        panel, "imputation_did", outcome=outcome, cohort=cohort, covariates=covariates, place=place, cluster=cluster
    )
    if vcov == "bjs" and cluster is None:
        raise EstimationError("imputation_did: vcov='bjs' needs cluster=..., the column of the treated places.")
    imputed = impute(
        seen,
        "imputation_did",
        kind=type,
        anticipation=anticipation,
        leads=leads,
        residual_leads=False,
        supported_only=supported_only,
    )
    own = vcov == "bjs"
    return imputed_result(
        imputed,
        "imputation_did",
        vcov="cluster" if own else vcov,
        conf_level=conf_level,
        fit={"outcome": outcome, "cohort": cohort, "covariates": list(seen.terms)},
        contributions=_conservative if own else None,
        method="BJS" if own else "",
    )


def _leads(kind: str, pretrends: int | Sequence[int] | None, anticipation: float) -> Floats:
    if pretrends is None:
        return np.zeros(0)
    if kind != "dynamic":
        raise EstimationError(f"imputation_did: pretrends need type='dynamic', got type={kind!r}.")
    early = -anticipation
    is_count = isinstance(pretrends, int) and not isinstance(pretrends, bool)
    wanted = [early - 1 - i for i in range(pretrends)] if isinstance(pretrends, int) and is_count else pretrends
    if (
        not isinstance(wanted, Sequence)
        or isinstance(wanted, str)
        or not wanted
        or any(value >= early for value in wanted)
    ):
        raise EstimationError(
            f"imputation_did: pretrends is a number of waves (3) or a list of event times before {early:g} "
            f"([-3, -2, -1]), got {pretrends!r}."
        )
    return np.unique(np.asarray(list(wanted), dtype=float))


def _conservative(imputed: Imputed) -> Floats:
    """Return the authors' scores per cluster, shape (G, k): effects less their mean by cohort and time."""
    seen, cells = imputed.seen, imputed.cells
    own, other, residual = imputed.loadings()
    w, effect = seen.weights()[:, None], imputed.model.residual(seen)
    scores = w * other * residual
    _, kind = np.unique(np.column_stack([cells.first, cells.period]), axis=0, return_inverse=True)
    kind = kind.ravel()[cells.row_of]
    v = w * own
    for row in range(v.shape[1]):
        if not v[:, row].any():
            continue
        square = v[:, row] ** 2
        sums = sum_by(kind, int(kind.max()) + 1, np.column_stack([square, square * effect]))
        with np.errstate(invalid="ignore"):
            mean = sums[:, 1] / sums[:, 0]
        scores[:, row] += np.where(v[:, row] != 0, v[:, row] * (effect - mean[kind]), 0.0)
    g = seen.n_clusters
    summed = sum_by(seen.cluster, g, scores)
    h = len(imputed.question.leads)
    summed[:, 1 : 1 + h] *= np.sqrt(_small_sample(imputed, g))
    return summed


def _small_sample(imputed: Imputed, g: int) -> float:
    """Return fixest's factor of the regression with leads: effects of places within a cluster do not count."""
    seen, cells = imputed.seen, imputed.cells
    at: Mask = imputed.model.untreated[cells.row_of]
    n, place = int(at.sum()), seen.place[at]
    home = np.full(seen.n_places, -1)
    home[place] = seen.cluster[at]
    nested = bool((home[place] == seen.cluster[at]).all())
    effects = len(np.unique(seen.period[at])) + (0 if nested else len(np.unique(place)) - 1)
    k = effects + seen.x.shape[1] + len(imputed.question.leads)
    return float((n - 1) / (n - k) * g / (g - 1))
