"""Effects of a staged policy by cohort and time: those treated then, against those not treated yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from dataclasses import field as entry
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.design.contributions import DomainContributions
from evaluation.design.design import each_replicate
from evaluation.design.sampling import Sampling, Stage
from evaluation.design.variance import TaylorEngine
from evaluation.errors import EstimationError, IdentificationError
from evaluation.impact.clusters.jackknife import cluster_jackknife
from evaluation.impact.identification import (
    BasePeriod,
    Cell,
    ControlGroup,
    IdentifiedCells,
    cell_frame,
    check_options,
    plan_cells,
    refuse_none_identified,
)
from evaluation.impact.panel import Cohorts, Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.impact.staggered.cell_table import CellTable, collapse, read_records
from evaluation.impact.staggered.difference import ESTIMATORS, CellError, Effect, Estimator, effect
from evaluation.results import Estimates, VarianceEngine
from evaluation.wording import term as word

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Vcov = Literal["design", "cluster", "jackknife"]

#: Influence columns made at once; bounds the memory of large tables.
BLOCK = 8


@dataclass(frozen=True, eq=False)
class ClusterSums(TaylorEngine):
    """Variance engine of influence summed per cluster, nothing centred and no small-sample factor.

    Attributes
    ----------
    cluster : str
        Column whose values are the clusters.
    """

    cluster: str = ""

    @property
    def method(self) -> str:
        """Name of the method, number of clusters and their column."""
        return f"cluster sums of influence, {self.sampling.n_units} clusters ({self.cluster}), no G/(G-1)"

    def covariance(self, contributions: Floats | DomainContributions) -> Floats:
        """Return the ``(k, k)`` covariance of ``(G, k)`` cluster sums."""
        sums = np.asarray(contributions)
        return np.asarray(sums.T @ sums)


@dataclass(frozen=True, eq=False)
class Clusters:
    """Places that are treated as wholes: column, values, and the place of each row (-1 where not counted)."""

    name: str
    levels: tuple[Any, ...]
    code: Codes

    def __len__(self) -> int:
        return len(self.levels)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What aggregation needs beyond the estimates.

    Attributes
    ----------
    table : CellTable
    cohorts : Cohorts
    cells : tuple of Cell, k
    effects : tuple, k
        Rows of the table and the fitted effect; None for a reference period.
    estimator : {"dr", "ipw", "reg"}
    clusters : Clusters or None
    vcov : {"design", "cluster", "jackknife"}
    resampled : ndarray, shape (G, k) or (R, k), or None
        Estimates without each cluster, or of each replicate.
    """

    table: CellTable
    cohorts: Cohorts
    cells: tuple[Cell, ...]
    effects: tuple[tuple[Codes, Effect] | None, ...]
    estimator: Estimator
    clusters: Clusters | None
    vcov: Vcov
    resampled: Floats | None = None

    @property
    def over_time(self) -> Panel:
        """The panel."""
        return self.table.records.over_time

    def influence(self, weights: Floats | None = None) -> Floats:
        """Return the influence per record, shape (m, k), or of combinations of cells given as (r, k)."""
        m = len(self.table.records.cohort)
        combine = np.eye(len(self.cells)) if weights is None else weights
        z = np.zeros((m, len(combine)))
        for cell, made, share in zip(self.cells, self.effects, combine.T, strict=True):
            if made is not None and share.any():
                own = self.table.influence(cell, *made)
                for row in np.flatnonzero(share):
                    z[:, row] += share[row] * own
        return z

    def estimates(self, table: CellTable) -> Floats:
        """Return the estimates under another table's weights, shape (k,); NaN where one does not exist."""
        return np.array([_estimate(table, cell, self.estimator) for cell in self.cells])

    def leave_one_out(self) -> Floats:
        """Return the estimates without each cluster, shape (G, k); NaN where one does not exist."""
        n_clusters = 0 if self.clusters is None else len(self.clusters)
        without = np.zeros((n_clusters, len(self.cells)))
        for column, (cell, made) in enumerate(zip(self.cells, self.effects, strict=True)):
            if made is None:
                continue
            without[:, column] = made[1].estimate
            for left_out in np.unique(self.table.cluster[made[0]]):
                without[left_out, column] = _estimate(self.table, cell, self.estimator, int(left_out), made[1].log_odds)
        return without

    def record_mask(self, pairs: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """Return which records lie in some (cohort, wave) pairs, shape (m,); of a panel, in the cohorts."""
        records, n_times = self.table.records, self.table.n_times
        marks = np.zeros(len(self.cohorts.values) * n_times, dtype=bool)
        for cohort, wave in pairs:
            marks[cohort * n_times + (0 if records.is_panel else wave)] = True
        return np.asarray(marks[records.cohort * n_times + records.period])

    def pairs(self, at: Sequence[int] | Codes) -> list[tuple[int, int]]:
        """Return the (cohort, wave) pairs that some cells compare."""
        cells = [self.cells[i] for i in at]
        return [(h, s) for c in cells for h in (c.cohort, *c.controls) for s in (c.time, c.base)]

    def sizes(self, groups: Sequence[Sequence[int] | Codes]) -> tuple[NDArray[np.int64], Floats]:
        """Return respondents and degrees of freedom behind groups of cells."""
        design, records = self.over_time.design, self.table.records
        n_obs, df = np.zeros(len(groups), dtype=np.int64), np.zeros(len(groups))
        for i, cells in enumerate(groups):
            mask = self.record_mask(self.pairs(cells))
            n_obs[i] = int(mask.sum())
            if self.vcov == "design":
                present = np.zeros(len(design), dtype=bool)
                present[records.rows[mask]] = True
                df[i] = design.degrees_of_freedom(present)
            else:
                df[i] = len(self.clusters or ()) - 1
        return n_obs, df

    def contributions(self, z: Floats) -> Floats:
        """Return influence per record, shape (m, k), summed per sampling unit or per cluster."""
        design, rows = self.over_time.design, self.table.records.spread(z)
        if self.vcov == "design" or self.clusters is None:
            return design.contributions(rows)
        counted = self.clusters.code >= 0
        return sum_by(self.clusters.code[counted], len(self.clusters), design.influence(rows)[counted])

    def engine(self) -> VarianceEngine:
        """Return what turns contributions into a covariance."""
        design = self.over_time.design
        if self.vcov == "design" or self.clusters is None:
            return design.engine
        clusters = self.clusters
        if self.vcov == "jackknife":
            return cluster_jackknife(design.data, clusters.name, clusters.code, len(clusters), labels=clusters.levels)
        stage = Stage(clusters.code, np.zeros(len(clusters), dtype=np.int64), 1, np.zeros(1))
        return ClusterSums(Sampling((stage,), design.data, psu=(clusters.name,)), cluster=clusters.name)


def _estimate(
    table: CellTable, cell: Cell, estimator: Estimator, without: int = -1, start: Floats | None = None
) -> float:
    if cell.is_reference:
        return 0.0
    try:
        return effect(table.comparison(cell, without)[1], estimator, with_influence=False, start=start).estimate
    except CellError:
        return float("nan")


@dataclass(frozen=True, eq=False, repr=False)
class GroupTimeEffects(Estimates):
    """Effects by cohort and time.

    Attributes
    ----------
    identified : IdentifiedCells
        Every cohort and time, with the reason where there is no estimate.
    fitted : Fitted
        What ``ev.aggregate`` needs.
    """

    identified: IdentifiedCells = entry(kw_only=True)
    fitted: Fitted = entry(kw_only=True)


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
        without some cluster has no jackknife error: NaN, and named in ``fit["without_error"]``.

    Raises
    ------
    ColumnError
        A column is absent or cannot serve, the cohort varies within a unit.
    EstimationError
        An option is unknown, weights are negative, or the vcov needs a cluster.
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
    require_panel(panel, "att_gt")
    check_options(control_group, base_period, anticipation)
    if estimator not in ESTIMATORS:
        raise EstimationError(f"att_gt: estimator must be 'dr', 'ipw' or 'reg', got {estimator!r}.")
    chosen = _vcov(panel, vcov, cluster)
    cohorts = read_cohorts(panel, cohort)
    cells = plan_cells(panel.times, cohorts.values, control_group, base_period, anticipation)
    refuse_none_identified(panel, cohorts, cells, control_group, anticipation)
    clusters = None
    if cluster is not None:
        levels, code = cluster_codes(panel, cluster)
        clusters = Clusters(cluster, tuple(levels), code)
    records = read_records(panel, outcome, covariates, cohorts, None if clusters is None else clusters.code)
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


def _vcov(panel: Panel, vcov: Vcov | None, cluster: str | None) -> Vcov:
    chosen: Vcov = vcov if vcov is not None else ("design" if cluster is None else "jackknife")
    if chosen not in ("design", "cluster", "jackknife"):
        raise EstimationError(f"att_gt: vcov must be 'design', 'cluster' or 'jackknife', got {vcov!r}.")
    if chosen != "design" and cluster is None:
        raise EstimationError(f"att_gt: vcov='{chosen}' needs cluster=..., the column of the treated places.")
    if chosen == "cluster" and panel.design.replicates is not None:
        raise EstimationError("att_gt: a design of replicates has no influence to sum. Use vcov='jackknife'.")
    return chosen


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
        raise IdentificationError(f"att_gt: no effect could be estimated ({'; '.join(told)}). Use fewer covariates.")
    return Fitted(table, cohorts, tuple(kept), tuple(effects), estimator, clusters, vcov), reasons


def _estimates(
    fitted: Fitted, identified: IdentifiedCells, options: dict[str, Any], conf_level: float
) -> GroupTimeEffects:
    design = fitted.over_time.design
    estimate = np.array([0.0 if made is None else made[1].estimate for made in fitted.effects])
    resampled, contributions = None, np.zeros((0, 0))
    if fitted.vcov == "jackknife":
        resampled = fitted.leave_one_out()
        contributions = resampled - estimate
    elif fitted.vcov == "design" and design.replicates is not None:
        resampled = each_replicate(design, lambda weights: fitted.estimates(fitted.table.reweighted(weights)))
        contributions = resampled
    else:
        each = np.eye(len(fitted.cells))
        blocks = [each[first : first + BLOCK] for first in range(0, len(each), BLOCK)]
        contributions = np.hstack([fitted.contributions(fitted.influence(block)) for block in blocks])
    fitted = replace(fitted, resampled=resampled)
    engine = fitted.engine()
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
        estimate=estimate,
        vcov=vcov,
        df=df,
        n_obs=n_obs,
        provenance=design.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: design.influence(fitted.table.records.spread(fitted.influence())),
        conf_level=conf_level,
        columns=_cluster_counts(identified),
        fit=_fit_record(fitted, identified, options, keys, vcov),
        identified=identified,
        fitted=fitted,
    )


def _cluster_counts(identified: IdentifiedCells) -> dict[str, NDArray[Any]]:
    frame = identified.frame
    names = [name for name in ("n_treated_clusters", "n_control_clusters") if name in frame]
    return {name: frame.loc[frame["is_identified"], name].to_numpy() for name in names}


def covariance(engine: VarianceEngine, contributions: Floats) -> Floats:
    """Return the covariance of the estimates that exist in every resample, shape (k, k); NaN for the others."""
    there = np.flatnonzero(np.isfinite(contributions).all(axis=0))
    whole = np.full((contributions.shape[1],) * 2, np.nan)
    if len(there):
        whole[np.ix_(there, there)] = engine.covariance(contributions[:, there])
    return whole


def _fit_record(
    fitted: Fitted, identified: IdentifiedCells, options: dict[str, Any], keys: pd.DataFrame, vcov: Floats
) -> dict[str, Any]:
    records = fitted.table.records
    size = np.bincount(records.cohort, minlength=len(fitted.cohorts.values))
    record = {
        **options,
        "formula": records.formula,
        "vcov": fitted.vcov,
        "cohort_sizes": {
            "never" if np.isinf(value) else str(exact(value)): int(n)
            for value, n in zip(fitted.cohorts.values, size, strict=True)
        },
        "not_identified": identified.frame.loc[
            ~identified.frame["is_identified"], ["cohort", "time", "reason"]
        ].to_dict("records"),
        "n_left_out": records.n_left_out + fitted.over_time.n_left_out,
        "n_table_rows": len(fitted.table.weight),
    }
    if fitted.clusters is not None:
        record |= {"cluster": fitted.clusters.name, "n_clusters": len(fitted.clusters)}
    if fitted.vcov == "jackknife":
        lost = np.isnan(np.diag(vcov))
        record["without_error"] = keys.loc[lost, ["cohort", "time"]].to_dict("records")
    return record
