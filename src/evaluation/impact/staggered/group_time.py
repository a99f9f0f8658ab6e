"""Effects of a staged policy by cohort and time: those treated then, against those not treated yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as entry
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.effects import (
    Clusters,
    ImpactEffects,
    Vcov,
    chosen_vcov,
    cohort_by_cluster,
    covariance,
    errors_of,
)
from evaluation.impact.identification import (
    BasePeriod,
    Cell,
    ControlGroup,
    IdentifiedCells,
    cell_frame,
    cells_of,
    check_options,
)
from evaluation.impact.panel import Cohorts, Panel, cluster_codes, exact, require_panel
from evaluation.impact.sharing import told_of_sampling
from evaluation.impact.staggered.cell_table import CellTable, Records, collapse, read_records
from evaluation.impact.staggered.difference import ESTIMATORS, CellError, Estimator, effect
from evaluation.impact.staggered.fitted import Fitted
from evaluation.impact.staggered.influence_sums import effect_sums, engine_of
from evaluation.impact.staggered.remarks import moves, remarks
from evaluation.results import VarianceEngine
from evaluation.wording import term as word

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: What effects before treatment are measured against, as codes that ``wording`` knows.
LEADS_AGAINST = {"varying": "leads_varying", "universal": "leads_universal"}
#: With fewer clusters no error by cluster says anything.
FEWEST_CLUSTERS = 3


@dataclass(frozen=True, eq=False, repr=False)
class GroupTimeEffects(ImpactEffects):
    """Effects by cohort and time.

    Attributes
    ----------
    identified : IdentifiedCells
        Every cohort and time, with the reason where there is no estimate.
    fitted : Fitted
        What ``ev.aggregate`` needs.
    sums : ndarray, shape (units, k)
        Contributions of all fitted effects, in their order.
    """

    identified: IdentifiedCells = entry(kw_only=True)
    fitted: Fitted = entry(kw_only=True)
    sums: Floats = entry(kw_only=True)

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return what the numbers do not show: what is not identified, has no error, or was left out."""
        return remarks(self, lang)

    def _groups_told(self) -> list[str]:
        return [*super()._groups_told(), *self.remarks(), *moves(self)]


def att_gt(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    estimator: Estimator = "dr",
    control_group: ControlGroup = "notyettreated",
    base_period: BasePeriod = "varying",
    anticipation: float = 0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    conf_level: float = 0.95,
) -> GroupTimeEffects:
    """Estimate the average effect on those treated, by the period they were treated from and by time.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``: units that come again, or repeated cross-sections.
    outcome : str
        Numeric or 0/1. A missing answer leaves out the respondent, in a panel the unit.
    cohort : str
        Column of the first treated period; 0, missing or a period beyond the last wave means never.
    covariates : str or list of str
        Names or a one-sided formula, as in ``ev.survey_glm``; in a panel their values in the base period count.
    estimator : {"dr", "ipw", "reg"}, default "dr"
        Doubly robust (logit and one linear regression per group and period), normalised inverse-probability
        weighting, or outcome regression. Without covariates they are one.
    control_group : {"notyettreated", "nevertreated"}
        Who serves for comparison.
    base_period : {"varying", "universal"}
        What periods before treatment are compared with: the period before, or always the last one untreated.
    anticipation : float, default 0
        By how much the policy acts ahead of its date, in the unit of time.
    cluster : str, optional
        Column of the places that were treated as wholes, e.g. districts.
    vcov : {"design", "cluster", "jackknife"}, optional
        ``design``: strata, sampling units and weighting chain of the design. ``jackknife``: every cluster left out
        once, CV3, t with G - 1 degrees of freedom. ``cluster``: influence summed per cluster as R ``did`` does, without
        G/(G-1), here with t(G - 1). Default: "jackknife" where a cluster is named, else "design".
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    GroupTimeEffects
        Keys ``term cohort time``, one row per identified cohort and time; reference periods are 0 with error 0.
        With a cluster, columns ``n_treated_clusters n_control_clusters`` say on how many places each rests.
        ``identified`` and ``fit["not_identified"]`` list the rest with the reason. An effect that does not exist
        without some cluster has no jackknife error: NaN, and named in ``fit["without_error"]`` with what it hangs on.
        ``fit`` names cohorts ``treated_throughout`` (left out) and ``treated_later`` (counted as never), covariates
        ``collinear`` within a cell, and what ``leads_against`` are measured; ``remarks`` says all that in words.
        ``refit`` asks again under other weights, without clusters, or for another order of the roll-out.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve, the cohort varies within a unit.
    EstimationError
        An option is unknown, weights are negative, the vcov needs a cluster, or there are fewer than three.
    IdentificationError
        No effect after treatment is identified.

    Notes
    -----
    A unit's weight in a panel is the mean over its waves. Repeated cross-sections need a stable mix of covariates
    over the waves. The jackknife keeps the final weights of those who stay. Propensities are not trimmed: where
    covariates separate the groups the cell is not identified. With anticipation a, long differences start at g - a
    (in R ``did`` at g, which differs for a of two periods and more).

    References
    ----------
    Callaway and Sant'Anna (2021), Journal of Econometrics 225, 200-230; Sant'Anna and Zhao (2020), Journal of
    Econometrics 219, 101-122. R twin: ``did::att_gt`` (``panel``, ``est_method``).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({
    ...     "year": [2015] * 4 + [2016] * 4, "first": [2016, 2016, 0, 0] * 2, "y": [1.0, 3, 2, 4, 5, 7, 3, 5],
    ... })
    >>> att_gt(panel(survey_design(answers), time="year"), outcome="y", cohort="first").estimate.tolist()
    [3.0]
    """
    require_arguments(att_gt, locals())
    require_panel(panel, "att_gt")
    check_options(control_group, base_period, anticipation)
    if estimator not in ESTIMATORS:
        raise EstimationError(f"att_gt: estimator must be 'dr', 'ipw' or 'reg', got {estimator!r}.")
    chosen = chosen_vcov("att_gt", panel.design, vcov, cluster)
    cohorts, cells = cells_of(panel, cohort, control_group, base_period, anticipation)
    clusters = None if cluster is None else _clusters(panel, cohorts, cluster, chosen)
    records = read_records(panel, outcome, covariates, cohorts, None if clusters is None else clusters.code)
    if clusters is not None:
        clusters, records = _compared(clusters, records, chosen)
    fitted, reasons = _fit(collapse(records, len(cohorts.values)), cohorts, cells, estimator, clusters, chosen)
    frame = cell_frame(panel, cohorts, cells, None if clusters is None else clusters.code)
    frame = frame.assign(reason=reasons, is_identified=[not reason for reason in reasons])
    identified = IdentifiedCells(frame, panel.design.provenance)
    options = {
        "outcome": outcome,
        "cohort": cohort,
        "estimator": estimator,
        "control_group": control_group,
        "base_period": base_period,
        "anticipation": anticipation,
    }
    return _estimates(fitted, identified, options, conf_level)


def _compared(clusters: Clusters, records: Records, vcov: Vcov) -> tuple[Clusters, Records]:
    """Return the clusters that have records, renumbered: others would only add degrees of freedom."""
    kept = np.unique(records.cluster)
    if len(kept) == len(clusters):
        return clusters, records
    if vcov != "design" and len(kept) < FEWEST_CLUSTERS:
        raise EstimationError(
            f"att_gt: cluster '{clusters.name}' has {len(kept)} values among those with an outcome and a wave before "
            f"treatment, and errors of clusters need at least {FEWEST_CLUSTERS}. Take vcov='design'."
        )
    place = np.full(len(clusters), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    code = np.full(len(clusters.code), -1, dtype=np.int64)
    code[records.rows] = place[clusters.code[records.rows]]
    levels = tuple(clusters.levels[g] for g in kept)
    own = None if clusters.cohort is None else clusters.cohort[kept]
    return Clusters(clusters.name, levels, code, own), replace(records, cluster=place[records.cluster])


def _clusters(panel: Panel, cohorts: Cohorts, name: str, vcov: Vcov) -> Clusters:
    levels, code = cluster_codes(panel, name)
    if vcov != "design" and len(levels) < FEWEST_CLUSTERS:
        raise EstimationError(
            f"att_gt: cluster '{name}' has {len(levels)} values ({', '.join(map(str, levels))}), and errors of "
            f"clusters need at least {FEWEST_CLUSTERS}. Cluster at a finer level, take vcov='design', or compare "
            f"single places with ev.synthetic_control."
        )
    return Clusters(name, tuple(levels), code, cohort_by_cluster(cohorts.values[cohorts.code], code, len(levels)))


def _fit(
    table: CellTable,
    cohorts: Cohorts,
    cells: Sequence[Cell],
    estimator: Estimator,
    clusters: Clusters | None,
    vcov: Vcov,
) -> tuple[Fitted, list[str]]:
    kept, effects, reasons = [], [], []
    for cell in cells:
        reason, made = cell.reason, None
        if not reason and not cell.is_reference:
            at, comparison = table.comparison(cell)
            try:
                made = (at, effect(comparison, estimator))
            except CellError as error:
                reason = error.reason
        reasons.append(reason)
        if not reason:
            kept.append(cell)
            effects.append(made)
    if not any(made is not None for made in effects):
        told = sorted({word(reason, "en") for reason in reasons if reason})
        adjusted = f" Use fewer covariates than {table.records.formula}." if table.records.formula else ""
        raise IdentificationError(f"att_gt: no effect could be estimated ({'; '.join(told)}).{adjusted}")
    return Fitted(table, cohorts, tuple(kept), tuple(effects), estimator, clusters, vcov), reasons


def _errors(fitted: Fitted) -> tuple[VarianceEngine, Floats]:
    design = fitted.over_time.design
    if fitted.vcov == "jackknife":
        return errors_of(fitted.refit(), "jackknife")
    if design.replicates is not None:
        return design.engine, fitted.replicated
    return engine_of(fitted), effect_sums(fitted)


def _estimates(
    fitted: Fitted, identified: IdentifiedCells, options: dict[str, Any], conf_level: float
) -> GroupTimeEffects:
    design, refit = fitted.over_time.design, fitted.refit()
    engine, contributions = _errors(fitted)
    vcov = covariance(engine, contributions)
    n_obs, df = fitted.sizes([[i] for i in range(len(fitted.cells))])
    values, times = fitted.cohorts.values, fitted.over_time.times
    keys = pd.DataFrame(
        {
            "term": options["outcome"],
            "cohort": [exact(values[cell.cohort]) for cell in fitted.cells],
            "time": [exact(times[cell.time]) for cell in fitted.cells],
        }
    )
    return GroupTimeEffects(
        verb="att_gt",
        keys=keys,
        estimate=fitted.estimate,
        vcov=vcov,
        df=df,
        n_obs=n_obs,
        provenance=design.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: design.influence(fitted.table.records.spread(fitted.influence())),
        refit=refit,
        conf_level=conf_level,
        columns=_cluster_counts(identified),
        fit=_fit_record(fitted, identified, options, keys, vcov),
        identified=identified,
        fitted=fitted,
        sums=contributions,
        bases=fitted.bases([[i] for i in range(len(fitted.cells))]),
    )


def _cluster_counts(identified: IdentifiedCells) -> dict[str, NDArray[Any]]:
    frame = identified.frame
    names = [name for name in ("n_treated_clusters", "n_control_clusters") if name in frame]
    return {name: frame.loc[frame["is_identified"], name].to_numpy() for name in names}


def _fit_record(
    fitted: Fitted, identified: IdentifiedCells, options: dict[str, Any], keys: pd.DataFrame, vcov: Floats
) -> dict[str, Any]:
    records, values, times = fitted.table.records, fitted.cohorts.values, fitted.over_time.times
    size = np.bincount(records.cohort, minlength=len(values)) + np.bincount(records.early, minlength=len(values))
    named = {"never" if np.isinf(value) else str(exact(value)): int(n) for value, n in zip(values, size, strict=True)}
    leads = bool((identified.frame["time"] < identified.frame["cohort"] - options["anticipation"]).any())
    record = {
        **options,
        "formula": records.formula,
        "vcov": fitted.vcov,
        "cohort_sizes": named,
        "treated_throughout": [exact(value) for value in values[values <= times[0]]],
        "treated_later": [exact(value) for value in values[np.isfinite(values) & (values > times[-1])]],
        **_uneven_bases(fitted),
        "leads_against": LEADS_AGAINST[options["base_period"]] if leads else "",
        "not_identified": identified.frame.loc[
            ~identified.frame["is_identified"], ["cohort", "time", "reason"]
        ].to_dict("records"),
        "collinear": _collinear(fitted, keys),
        "n_left_out": records.n_left_out + fitted.over_time.n_left_out,
        "n_table_rows": len(fitted.table.weight),
    }
    record |= told_of_sampling(
        fitted.over_time, fitted.vcov, clusters=fitted.clusters, cohort=fitted.cohorts.values[fitted.cohorts.code]
    )
    if fitted.clusters is not None:
        record |= {"cluster": fitted.clusters.name, "n_clusters": len(fitted.clusters)}
    if fitted.vcov == "jackknife":
        lost = np.flatnonzero(np.isnan(np.diag(vcov)))
        record["without_error"] = [
            {**_cell_key(keys, int(row)), "hangs_on": _hangs_on(fitted, int(row))} for row in lost
        ]
    return record


def _uneven_bases(fitted: Fitted) -> dict[str, Any]:
    """Return the times since the start that effects are measured from, where cohorts differ in them."""
    values, times = fitted.cohorts.values, fitted.over_time.times
    after = [cell for cell in fitted.cells if times[cell.time] >= values[cell.cohort]]
    bases = sorted({exact(times[cell.base] - values[cell.cohort]) for cell in after})
    return {"uneven_bases": bases} if len(bases) > 1 else {}


def _cell_key(keys: pd.DataFrame, row: int) -> dict[str, Any]:
    return {name: exact(float(keys[name].iloc[row])) for name in ("cohort", "time")}


def _collinear(fitted: Fitted, keys: pd.DataFrame) -> list[dict[str, Any]]:
    """Name the cells in which covariates are combinations of others, and which were left out there."""
    terms = fitted.table.records.terms
    return [
        {**_cell_key(keys, row), "covariates": [terms[j] for j in made[1].dropped]}
        for row, made in enumerate(fitted.effects)
        if made is not None and made[1].dropped
    ]


def _hangs_on(fitted: Fitted, row: int) -> list[str]:
    """Name the clusters without which an effect does not exist."""
    levels = fitted.clusters.levels if fitted.clusters is not None else ()
    return [str(levels[place]) for place in np.flatnonzero(np.isnan(fitted.left_out[:, row]))]
