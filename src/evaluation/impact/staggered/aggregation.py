"""Group-time effects summed up: overall, by cohort, by time since treatment, by time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import each_replicate
from evaluation.errors import EstimationError
from evaluation.impact.identification import BasePeriod, ControlGroup
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.difference import Estimator
from evaluation.impact.staggered.group_time import (
    Fitted,
    GroupTimeEffects,
    Vcov,
    att_gt,
    covariance,
)
from evaluation.results import Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Kind = Literal["simple", "group", "dynamic", "calendar"]
Weights = Literal["sample", "population_pre", "clusters"]

#: Key column of the rows of each kind.
KEY = {"simple": None, "group": "cohort", "dynamic": "event_time", "calendar": "time"}
WEIGHTS = ("sample", "population_pre", "clusters")


def aggregate(
    effects: GroupTimeEffects,
    *,
    type: Kind = "simple",
    balance_e: float | None = None,
    min_e: float | None = None,
    max_e: float | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
) -> Estimates:
    """Sum up group-time effects: overall, then by cohort, time since treatment, or time.

    Parameters
    ----------
    effects : GroupTimeEffects
        From ``ev.att_gt``.
    type : {"simple", "group", "dynamic", "calendar"}
        ``simple``: all effects after treatment, by cohort size. ``group``: mean per cohort, then by size. ``dynamic``:
        by periods since treatment, then their plain mean from 0 on. ``calendar``: by time, then their plain mean.
    balance_e : float, optional
        Dynamic only: cohorts observed for at least so long, and event times up to it.
    min_e, max_e : float, optional
        Shortest and longest time since treatment that counts (``min_e`` for "dynamic" only).
    weights : {"sample", "population_pre", "clusters"}
        Size of a cohort: sum of weights over all waves used (R ``did``), over the waves before the first treatment,
        or number of clusters. The first two are estimated, which is part of the error.
    supported_only : bool, default False
        True leaves out effects that have no jackknife error, because they hang on a single cluster.

    Returns
    -------
    Estimates
        Row 0 is ``overall``; then one row (term: the outcome) per ``cohort``, ``event_time`` or ``time``.
        ``fit["cell_weights"]`` holds the weight of every effect in every row.

    Raises
    ------
    EstimationError
        An option is unknown, or nothing is left to sum up.

    Notes
    -----
    With cluster jackknife, every leave-one-out set is summed up with its own cohort sizes. A row that does not exist
    without some cluster has no error (NaN).

    References
    ----------
    Callaway and Sant'Anna (2021), section 3. R twin: ``did::aggte``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.impact.panel import panel
    >>> answers = pd.DataFrame({
    ...     "year": [2015] * 4 + [2016] * 4, "first": [2016, 2016, 0, 0] * 2, "y": [1.0, 3, 2, 4, 5, 7, 3, 5],
    ... })
    >>> effects = att_gt(panel(survey_design(answers), time="year"), outcome="y", cohort="first")
    >>> aggregate(effects, type="dynamic").tidy()[["term", "event_time", "estimate"]].values.tolist()
    [['overall', None, 3.0], ['y', 0, 3.0]]
    """
    if not isinstance(effects, GroupTimeEffects):
        raise EstimationError(f"aggregate needs the effects of ev.att_gt, got {effects.__class__.__name__}.")
    if type not in KEY:
        raise EstimationError(f"aggregate: type must be one of {list(KEY)}, got {type!r}.")
    if weights not in WEIGHTS:
        raise EstimationError(f"aggregate: weights must be one of {list(WEIGHTS)}, got {weights!r}.")
    if weights == "clusters" and effects.fitted.clusters is None:
        raise EstimationError("aggregate: weights='clusters' needs effects of ev.att_gt(..., cluster=...).")
    scheme = _scheme(effects, type, (balance_e, min_e, max_e), supported_only)
    return _aggregated(effects, scheme, weights)


@dataclass(frozen=True, eq=False)
class _Scheme:
    """What is summed up: rows of cells, and how they make the overall row.

    Attributes
    ----------
    kind : str
    keys : list
        Value of each row.
    rows : list of int arrays
        Cells of each row, into the fitted cells.
    counted : int array
        Rows that enter the overall.
    cohort : ndarray of int, shape (k,)
        Cohort of each fitted cell.
    """

    kind: Kind
    keys: list[float]
    rows: list[Codes]
    counted: Codes
    cohort: Codes

    def overall_cells(self) -> Codes:
        """Return every cell of the overall row."""
        return np.unique(np.concatenate([self.rows[i] for i in self.counted]))


def _scheme(
    effects: GroupTimeEffects, kind: Kind, window: tuple[float | None, float | None, float | None], supported: bool
) -> _Scheme:
    fitted = effects.fitted
    first, time = _dates(fitted)
    kept = np.isin(
        _pairs(first, time), _pairs(effects.keys["cohort"].to_numpy(float), effects.keys["time"].to_numpy(float))
    )
    if supported and fitted.resampled is not None:
        kept &= np.isfinite(fitted.resampled).all(axis=0)
    since = time - first
    balance_e, min_e, max_e = window
    upper = np.inf if max_e is None else max_e
    if kind == "dynamic":
        kept &= (since >= (-np.inf if min_e is None else min_e)) & (since <= upper)
        if balance_e is not None:
            last = _last_compared(fitted)
            kept &= (
                (last - first >= balance_e)
                & (since <= balance_e)
                & (since >= balance_e - last + fitted.over_time.times[0])
            )
    else:
        kept &= (since >= 0) & (since <= upper)
    by = {"simple": np.zeros_like(since), "group": first, "dynamic": since, "calendar": time}[kind]
    keys = [float(value) for value in np.unique(by[kept])]
    rows = [np.flatnonzero(kept & (by == value)) for value in keys]
    counted = np.array([i for i, value in enumerate(keys) if kind != "dynamic" or value >= 0], dtype=np.int64)
    if not len(counted):
        raise EstimationError(
            "aggregate: no effect after treatment is left to sum up. Widen balance_e, min_e or max_e."
        )
    return _Scheme(kind, keys, rows, counted, np.array([cell.cohort for cell in fitted.cells]))


def _dates(fitted: Fitted) -> tuple[Floats, Floats]:
    first = fitted.cohorts.values[[cell.cohort for cell in fitted.cells]]
    return first, fitted.over_time.times[[cell.time for cell in fitted.cells]]


def _pairs(first: Floats, time: Floats) -> Floats:
    return np.asarray(first + 1j * time)


def _last_compared(fitted: Fitted) -> float:
    return float(fitted.over_time.times[max(cell.time for cell in fitted.cells)])


def _sums(scheme: _Scheme, effect: Floats, size: Floats) -> tuple[Floats, Floats, Floats]:
    """Return overall and rows, (r,), weights of the cells, (r, k), and derivative in the cohort sizes, (r, C)."""
    k = len(effect)
    value, share = np.zeros(len(scheme.rows)), np.zeros((len(scheme.rows), k))
    by_size = np.zeros((len(scheme.rows), len(size)))
    for i, cells in enumerate(scheme.rows):
        own = np.ones(len(cells)) if scheme.kind == "group" else size[scheme.cohort[cells]]
        share[i, cells] = own / own.sum()
        value[i] = share[i, cells] @ effect[cells]
        if scheme.kind != "group":
            np.add.at(by_size[i], scheme.cohort[cells], (effect[cells] - value[i]) / own.sum())
    if scheme.kind == "simple":
        return value, share, by_size
    part, by_part = np.full(len(scheme.counted), 1 / len(scheme.counted)), np.zeros(len(size))
    overall = float(part @ value[scheme.counted])
    if scheme.kind == "group":
        cohort = np.array([scheme.cohort[scheme.rows[i][0]] for i in scheme.counted])
        part = size[cohort] / size[cohort].sum()
        overall = float(part @ value[scheme.counted])
        by_part[cohort] = (value[scheme.counted] - overall) / size[cohort].sum()
    return (
        np.concatenate([[overall], value]),
        np.vstack([part @ share[scheme.counted], share]),
        np.vstack([part @ by_size[scheme.counted] + by_part, by_size]),
    )


@dataclass(frozen=True, eq=False)
class _Sizes:
    """Cohort sizes, (C,), the records they are summed over, (m,), and sizes in every resample, (R, C)."""

    full: Floats
    counted: NDArray[np.bool_]
    resampled: Floats


def _sizes(fitted: Fitted, weights: Weights) -> _Sizes:
    records, n_cohorts = fitted.table.records, len(fitted.cohorts.values)
    m = len(records.cohort)
    counted = np.ones(m, dtype=bool)
    if not records.is_panel:
        times = fitted.over_time.times
        until = _last_compared(fitted)
        if weights == "population_pre":
            until = float(times[times < fitted.cohorts.values[0]][-1]) if times[0] < fitted.cohorts.values[0] else until
        counted = times[records.period] <= until
    if weights == "clusters":
        return _cluster_sizes(fitted, n_cohorts, np.zeros(m, dtype=bool))

    def summed(by_row: Floats) -> Floats:
        return mass_by(records.cohort[counted], n_cohorts, records.weights(by_row)[counted])

    design = fitted.over_time.design
    own = records.weights(design.domain_weights)
    full, resampled = summed(design.domain_weights), np.zeros((0, n_cohorts))
    if fitted.vcov == "jackknife" and fitted.clusters is not None:
        cell = records.cluster[counted] * n_cohorts + records.cohort[counted]
        by_cluster = mass_by(cell, len(fitted.clusters) * n_cohorts, own[counted]).reshape(-1, n_cohorts)
        resampled = np.maximum(full - by_cluster, 0.0)
    elif fitted.resampled is not None:
        resampled = each_replicate(design, summed)
    return _Sizes(full, counted, resampled)


def _cluster_sizes(fitted: Fitted, n_cohorts: int, counted: NDArray[np.bool_]) -> _Sizes:
    table = fitted.table
    cohort = np.repeat(np.arange(n_cohorts * table.n_times) // table.n_times, np.diff(table.bounds))
    there = np.zeros((len(fitted.clusters or ()), n_cohorts))
    there[table.cluster, cohort] = 1.0
    full = there.sum(axis=0)
    rows = 0 if fitted.resampled is None else len(fitted.resampled)
    return _Sizes(full, counted, full - there if fitted.vcov == "jackknife" else np.tile(full, (rows, 1)))


def _aggregated(effects: GroupTimeEffects, scheme: _Scheme, weights: Weights) -> Estimates:
    fitted = effects.fitted
    sizes = _sizes(fitted, weights)
    estimate = np.array([0.0 if made is None else made[1].estimate for made in fitted.effects])
    value, share, by_size = _sums(scheme, estimate, sizes.full)
    groups = [scheme.overall_cells(), *(scheme.rows if scheme.kind != "simple" else [])]
    n_obs, df = fitted.sizes(groups)

    def influence() -> Floats:
        z = fitted.influence(share)
        return z + sizes.counted[:, None] * by_size.T[fitted.table.records.cohort]

    design, engine = fitted.over_time.design, fitted.engine()
    if fitted.resampled is not None:
        with np.errstate(invalid="ignore", divide="ignore"):
            again = [_sums(scheme, b, n)[0] for b, n in zip(fitted.resampled, sizes.resampled, strict=True)]
        contributions = np.array(again) - (value if fitted.vcov == "jackknife" else 0.0)
    else:
        contributions = fitted.contributions(influence())
    return Estimates(
        verb="aggregate",
        keys=_keys(scheme, str(effects.fit["outcome"])),
        estimate=value,
        vcov=covariance(engine, contributions),
        df=df,
        n_obs=n_obs,
        provenance=effects.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: design.influence(fitted.table.records.spread(influence())),
        conf_level=effects.conf_level,
        fit=_fit_record(effects, scheme, weights, sizes.full, share),
    )


def _keys(scheme: _Scheme, outcome: str) -> pd.DataFrame:
    name = KEY[scheme.kind]
    if name is None:
        return pd.DataFrame({"term": ["overall"]})
    values = pd.Series([None, *(exact(value) for value in scheme.keys)], dtype=object)
    return pd.DataFrame({"term": ["overall"] + [outcome] * len(scheme.keys), name: values})


def _fit_record(
    effects: GroupTimeEffects, scheme: _Scheme, weights: Weights, size: Floats, share: Floats
) -> dict[str, Any]:
    fitted = effects.fitted
    first, time = _dates(fitted)
    names = [f"{exact(g)},{exact(t)}" for g, t in zip(first, time, strict=True)]
    labels = ["overall", *(str(exact(key)) for key in scheme.keys)] if scheme.kind != "simple" else ["overall"]
    used = [i for i, value in enumerate(fitted.cohorts.values) if np.isfinite(value)]
    return {
        **{name: value for name, value in effects.fit.items() if name != "n_table_rows"},
        "type": scheme.kind,
        "weights": weights,
        "cohort_weights": {str(exact(fitted.cohorts.values[i])): float(size[i]) for i in used},
        "cell_weights": {
            label: {names[j]: float(row[j]) for j in np.flatnonzero(row)}
            for label, row in zip(labels, share, strict=True)
        },
    }


def event_study(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    estimator: Estimator = "dr",
    control_group: ControlGroup = "notyettreated",
    base_period: BasePeriod = "universal",
    anticipation: float = 0,
    cluster: str | None = None,
    vcov: Vcov | None = None,
    balance_e: float | None = None,
    min_e: float | None = None,
    max_e: float | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate effects by time since treatment, with the leads before it.

    Parameters
    ----------
    panel, outcome, cohort, covariates, estimator, control_group, anticipation, cluster, vcov, conf_level
        As in ``ev.att_gt``.
    base_period : {"varying", "universal"}, default "universal"
        Universal: every row against the last period untreated, as event-study figures are read. It is then 0.
    balance_e, min_e, max_e, weights, supported_only
        As in ``ev.aggregate``.

    Returns
    -------
    Estimates
        As ``ev.aggregate(type="dynamic")``: row 0 overall, then one row per ``event_time``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ev.att_gt`` and ``ev.aggregate``.

    References
    ----------
    Callaway and Sant'Anna (2021), equation 3.4. R twin: ``did::aggte(type = "dynamic")``.
    """
    effects = att_gt(
        panel,
        outcome=outcome,
        cohort=cohort,
        covariates=covariates,
        estimator=estimator,
        control_group=control_group,
        base_period=base_period,
        anticipation=anticipation,
        cluster=cluster,
        vcov=vcov,
        conf_level=conf_level,
    )
    made = aggregate(
        effects,
        type="dynamic",
        balance_e=balance_e,
        min_e=min_e,
        max_e=max_e,
        weights=weights,
        supported_only=supported_only,
    )
    return replace(made, verb="event_study")
