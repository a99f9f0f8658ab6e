"""Group-time effects summed up: overall, by cohort, by time since treatment, by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import called_as, require_arguments
from evaluation.impact.effects import ImpactEffects, Refit, Vcov, covariance
from evaluation.impact.identification import BasePeriod, ControlGroup
from evaluation.impact.panel import Panel, exact
from evaluation.impact.staggered.cohort_sizes import WEIGHTS, CohortSizes, Weights, last_compared
from evaluation.impact.staggered.difference import Estimator
from evaluation.impact.staggered.fitted import Fitted
from evaluation.impact.staggered.group_time import GroupTimeEffects, att_gt
from evaluation.impact.staggered.influence_sums import size_sums
from evaluation.impact.staggered.remarks import moves, remarks

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]
Kind = Literal["simple", "group", "dynamic", "calendar"]

#: Key column of the rows of each kind.
KEY = {"simple": None, "group": "cohort", "dynamic": "event_time", "calendar": "time"}


@dataclass(frozen=True, eq=False, repr=False)
class SummedEffects(ImpactEffects):
    """Group-time effects summed up."""

    def remarks(self, lang: str | None = None) -> tuple[str, ...]:
        """Return what the numbers do not show: weights, what leads are against, rows without an error."""
        return remarks(self, lang)

    def _groups_told(self) -> list[str]:
        return [*super()._groups_told(), *self.remarks(), *moves(self)]


def aggregate(
    effects: GroupTimeEffects,
    *,
    type: Kind = "simple",
    balance_e: float | None = None,
    min_e: float | None = None,
    max_e: float | None = None,
    weights: Weights = "sample",
    supported_only: bool = False,
) -> SummedEffects:
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
    SummedEffects
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
    require_arguments(aggregate, locals())
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
    if supported and fitted.vcov == "jackknife":
        kept &= np.isfinite(fitted.left_out).all(axis=0)
    elif supported and fitted.vcov == "design" and fitted.over_time.design.replicates is not None:
        kept &= np.isfinite(fitted.replicated).all(axis=0)
    since = time - first
    balance_e, min_e, max_e = window
    upper = np.inf if max_e is None else max_e
    if kind == "dynamic":
        kept &= (since >= (-np.inf if min_e is None else min_e)) & (since <= upper)
        if balance_e is not None:
            last = last_compared(fitted)
            kept &= (
                (last - first >= balance_e)
                & (since <= balance_e)
                & (since >= balance_e - last + fitted.over_time.times[0])
            )
    else:
        kept &= (since >= 0) & (since <= upper)
    by = {"simple": np.zeros_like(since), "group": first, "dynamic": since, "calendar": time}[kind]
    keys = [float(value) for value in np.unique(by[kept])]
    reference = np.array([cell.is_reference for cell in fitted.cells])
    rows = [_without_references(np.flatnonzero(kept & (by == value)), reference) for value in keys]
    counted = np.array([i for i, value in enumerate(keys) if kind != "dynamic" or value >= 0], dtype=np.int64)
    if not len(counted):
        raise EstimationError(
            "aggregate: no effect after treatment is left to sum up. Widen balance_e, min_e or max_e."
        )
    return _Scheme(kind, keys, rows, counted, np.array([cell.cohort for cell in fitted.cells]))


def _without_references(cells: Codes, reference: Mask) -> Codes:
    """Return the cells of a row; zeros by construction stay out where they would water other cells down."""
    own = reference[cells]
    return cells if own.all() else cells[~own]


def _dates(fitted: Fitted) -> tuple[Floats, Floats]:
    first = fitted.cohorts.values[[cell.cohort for cell in fitted.cells]]
    return first, fitted.over_time.times[[cell.time for cell in fitted.cells]]


def _pairs(first: Floats, time: Floats) -> Floats:
    return np.asarray(first + 1j * time)


def _shares(scheme: _Scheme, size: Floats) -> tuple[Floats, Floats]:
    """Return the weight of every cell in every row, (B, r, k), and of every row in the overall, (B, r)."""
    share = np.zeros((len(size), len(scheme.rows), len(scheme.cohort)))
    for i, cells in enumerate(scheme.rows):
        own = np.ones((len(size), len(cells))) if scheme.kind == "group" else size[:, scheme.cohort[cells]]
        share[:, i, cells] = own / own.sum(axis=1, keepdims=True)
    part = np.zeros((len(size), len(scheme.rows)))
    part[:, scheme.counted] = 1.0
    if scheme.kind == "group":
        part[:, scheme.counted] = size[:, [scheme.cohort[scheme.rows[i][0]] for i in scheme.counted]]
    return share, part / part.sum(axis=1, keepdims=True)


def _values(scheme: _Scheme, effect: Floats, size: Floats) -> Floats:
    """Return overall and rows, shape (B, r), from effects, (B, k), and cohort sizes, (B, C)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share, part = _shares(scheme, size)
        rows = [(share[:, i, cells] * effect[:, cells]).sum(axis=1) for i, cells in enumerate(scheme.rows)]
        value = np.stack(rows, axis=1)
        if scheme.kind == "simple":
            return value
        overall = (part[:, scheme.counted] * value[:, scheme.counted]).sum(axis=1)
    return np.column_stack([overall, value])


def _sums(scheme: _Scheme, effect: Floats, size: Floats) -> tuple[Floats, Floats]:
    """Return weights of the cells, (r, k), and the derivative of overall and rows in the cohort sizes, (r, C)."""
    share, part = (own[0] for own in _shares(scheme, size[None]))
    value, by_size = share @ effect, np.zeros((len(scheme.rows), len(size)))
    for i, cells in enumerate(scheme.rows):
        if scheme.kind != "group":
            weight = size[scheme.cohort[cells]].sum()
            np.add.at(by_size[i], scheme.cohort[cells], (effect[cells] - value[i]) / weight)
    if scheme.kind == "simple":
        return share, by_size
    by_part = np.zeros(len(size))
    if scheme.kind == "group":
        cohort = np.array([scheme.cohort[scheme.rows[i][0]] for i in scheme.counted])
        by_part[cohort] = (value[scheme.counted] - part @ value) / size[cohort].sum()
    return np.vstack([part @ share, share]), np.vstack([part @ by_size + by_part, by_size])


def _refit(scheme: _Scheme, sizes: CohortSizes, influence: Callable[[], Floats]) -> Refit:
    fitted, clusters = sizes.fitted, sizes.fitted.clusters
    return Refit(
        fitted.over_time.design,
        clusters,
        _values(scheme, fitted.estimate[None], sizes.full[None])[0],
        lambda: fitted.table.records.spread(influence()),
        lambda weights: _values(scheme, fitted.again(weights)[None], sizes.of(weights)[None])[0],
        None if clusters is None else (lambda: _values(scheme, fitted.left_out, sizes.left_out)),
        None
        if clusters is None or clusters.cohort is None
        else (lambda cohorts: _values(scheme, fitted.reordered(cohorts), sizes.reordered(cohorts))),
    )


def _contributions(effects: GroupTimeEffects, scheme: _Scheme, sizes: CohortSizes, refit: Refit) -> Floats:
    """Return leave-one-out deviations, estimates of replicates, or influence: sums are linear in that of the cells."""
    fitted = effects.fitted
    if fitted.vcov == "jackknife":
        return refit.left_out() - refit.estimate
    if fitted.over_time.design.replicates is not None:
        return _values(scheme, fitted.replicated, sizes.replicated)
    share, by_size = _sums(scheme, fitted.estimate, sizes.full)
    moved = effects.sums @ share.T
    return moved if sizes.weights == "clusters" else moved + size_sums(fitted, sizes.counted) @ by_size.T


def _aggregated(effects: GroupTimeEffects, scheme: _Scheme, weights: Weights) -> SummedEffects:
    fitted = effects.fitted
    sizes = CohortSizes(fitted, weights)
    share, by_size = _sums(scheme, fitted.estimate, sizes.full)

    def influence() -> Floats:
        return fitted.influence(share) + sizes.moved_by[:, None] * by_size.T[fitted.table.records.cohort]

    design, refit = fitted.over_time.design, _refit(scheme, sizes, influence)
    engine = effects.engine
    if engine is None:
        raise EstimationError("aggregate needs effects as ev.att_gt returned them.")
    contributions = _contributions(effects, scheme, sizes, refit)
    keys, vcov = _keys(scheme, str(effects.fit["outcome"])), covariance(engine, contributions)
    n_obs, df = fitted.sizes([scheme.overall_cells(), *(scheme.rows if scheme.kind != "simple" else [])])
    return SummedEffects(
        verb="aggregate",
        keys=keys,
        estimate=refit.estimate,
        vcov=vcov,
        df=df,
        n_obs=n_obs,
        provenance=effects.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=lambda: design.influence(fitted.table.records.spread(influence())),
        conf_level=effects.conf_level,
        fit=_fit_record(effects, scheme, weights, sizes.full, share)
        | _places_behind(effects, scheme)
        | {"rows_without_error": keys.loc[np.isnan(np.diag(vcov))].to_dict("records")},
        refit=refit,
        bases=fitted.bases([scheme.overall_cells(), *(scheme.rows if scheme.kind != "simple" else [])]),
    )


def _places_behind(effects: GroupTimeEffects, scheme: _Scheme) -> dict[str, Any]:
    """Count for each row the clusters of its cohorts, and those that its barest comparison has."""
    frame = effects.identified.frame
    if "n_treated_clusters" not in frame:
        return {}
    cells = frame[frame["is_identified"]].reset_index(drop=True)
    counts = []
    for rows in [scheme.overall_cells(), *(scheme.rows if scheme.kind != "simple" else [])]:
        used = cells.iloc[rows]
        used = used[used["base_time"] != used["time"]]
        treated = used.groupby("cohort")["n_treated_clusters"].max().sum()
        counts.append((int(treated), int(used["n_control_clusters"].min()) if len(used) else 0))
    return {"treated_clusters": [t for t, _ in counts], "control_clusters": [c for _, c in counts]}


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
) -> SummedEffects:
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
    SummedEffects
        As ``ev.aggregate(type="dynamic")``: row 0 overall, then one row per ``event_time``.

    Raises
    ------
    ColumnError, EstimationError, IdentificationError
        As ``ev.att_gt`` and ``ev.aggregate``.

    References
    ----------
    Callaway and Sant'Anna (2021), equation 3.4. R twin: ``did::aggte(type = "dynamic")``.
    """
    require_arguments(event_study, locals())
    with called_as("event_study", "att_gt", "aggregate"):
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
