"""The main table: one policy, one row per estimator, errors that districts would recognise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, EvaluationError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.twfe import twfe
from evaluation.impact.clusters.jackknife import ClusterJackknife
from evaluation.impact.clusters.randomization import randomization_inference
from evaluation.impact.clusters.wild_bootstrap import wild_cluster_bootstrap
from evaluation.impact.effects import ImpactEffects, covariance
from evaluation.impact.identification import ControlGroup
from evaluation.impact.panel import Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.impact.staggered.aggregation import aggregate
from evaluation.impact.staggered.efficient import efficient_did
from evaluation.impact.staggered.extended_twfe import extended_twfe
from evaluation.impact.staggered.group_time import att_gt
from evaluation.impact.staggered.imputation import imputation_did
from evaluation.impact.staggered.stacked import stacked_did
from evaluation.impact.staggered.sun_abraham import sun_abraham
from evaluation.impact.staggered.two_stage import two_stage_did
from evaluation.impact.synthetic_control.estimators import synthetic_did
from evaluation.impact.waves import comparable_waves
from evaluation.results import Estimates

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Asked:
    """What all estimators are asked: arguments of ``impact_table``."""

    panel: Panel
    outcome: str
    cohort: str
    covariates: str | Sequence[str]
    cluster: str
    place: str | None
    control_group: ControlGroup
    anticipation: float
    conf_level: float

    @property
    def common(self) -> dict[str, Any]:
        """Arguments that every staggered estimator takes."""
        return {
            "outcome": self.outcome,
            "cohort": self.cohort,
            "cluster": self.cluster,
            "conf_level": self.conf_level,
        }

    @property
    def placed(self) -> dict[str, Any]:
        """Those of estimators with effects of places."""
        return {**self.common, "covariates": self.covariates, "place": self.place}


def _group_time(asked: Asked) -> ImpactEffects:
    effects = att_gt(
        asked.panel,
        **asked.common,
        covariates=asked.covariates,
        control_group=asked.control_group,
        anticipation=asked.anticipation,
    )
    overall = aggregate(effects)
    return overall if np.isfinite(overall.std_error[0]) else aggregate(effects, supported_only=True)


def _twfe(asked: Asked) -> ImpactEffects:
    design, reached = asked.panel.design, f"{asked.cohort}_reached"
    first, time = read_cohorts(asked.panel, asked.cohort), design.data[asked.panel.time].to_numpy(dtype=float)
    start = np.where(first.code >= 0, first.values[np.maximum(first.code, 0)], np.inf)
    with_treatment = replace(design, data=design.data.assign(**{reached: (time >= start).astype(float)}))
    return twfe(
        with_treatment,
        outcome=asked.outcome,
        treatment=reached,
        unit=asked.panel.unit or asked.place or asked.cluster,
        time=asked.panel.time,
        covariates=asked.covariates,
        cluster=asked.cluster,
        conf_level=asked.conf_level,
    )


def _synthetic(asked: Asked) -> ImpactEffects:
    place = asked.place if asked.panel.unit is None else None
    return synthetic_did(
        asked.panel, outcome=asked.outcome, cohort=asked.cohort, place=place, conf_level=asked.conf_level
    )


def _stacked(asked: Asked) -> ImpactEffects:
    """Stack the longest window that fits every cohort's waves, up to three before and two after the start."""
    times, cohorts = asked.panel.times, read_cohorts(asked.panel, asked.cohort).values
    started = cohorts[(cohorts > times[0]) & (cohorts <= times[-1])]
    before = min(3.0, float(started.min() - times[0])) if len(started) else 1.0
    return stacked_did(
        asked.panel,
        **asked.common,
        covariates=asked.covariates,
        window=(before, min(2.0, float(times[-1] - started.max())) if len(started) else 0.0),
        control_group=asked.control_group,
    )


#: Estimators of the main table, the one in charge first, the two-way regression last.
ESTIMATORS: Mapping[str, Callable[[Asked], ImpactEffects]] = {
    "group_time": _group_time,
    "imputation": lambda asked: imputation_did(asked.panel, **asked.placed, anticipation=asked.anticipation),
    "two_stage": lambda asked: two_stage_did(asked.panel, **asked.placed, anticipation=asked.anticipation),
    "sun_abraham": lambda asked: sun_abraham(asked.panel, **asked.placed, type="simple"),
    "extended_twfe": lambda asked: extended_twfe(asked.panel, **asked.placed, type="simple"),
    "stacked": _stacked,
    "efficient": lambda asked: efficient_did(asked.panel, **asked.common, vcov="jackknife"),
    "synthetic_did": _synthetic,
    "twfe": _twfe,
}


def impact_table(
    panel: Panel,
    *,
    outcome: str,
    cohort: str,
    cluster: str,
    covariates: str | Sequence[str] = (),
    place: str | None = None,
    control_group: ControlGroup = "notyettreated",
    anticipation: float = 0,
    estimators: Sequence[str] = tuple(ESTIMATORS),
    until: float | None = None,
    counted: Sequence[str] = (),
    draws: int = 999,
    seed: int = 1,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the overall effect of a staged policy by every estimator, all with the errors of left-out clusters.

    Parameters
    ----------
    panel : Panel
        From ``ev.panel``.
    outcome, cohort, cluster, covariates, control_group, anticipation, conf_level
        As in ``ev.att_gt``.
    place : str, optional
        Column of the effects that regressions take out of repeated cross-sections; default the cluster.
    estimators : sequence of str
        Rows, among "group_time", "imputation", "two_stage", "sun_abraham", "extended_twfe", "stacked", "efficient",
        "synthetic_did", "twfe".
    until : float, optional
        Last wave that counts. Default: the last one that still has two clusters to compare with, so that none of them
        carries the result alone.
    counted : sequence of str
        Columns whose distinct values are counted, e.g. ``["dong"]``.
    draws : int, default 999
        Of orders of the roll-out and of the wild bootstrap, enumerated where there are fewer.
    seed : int, default 1

    Returns
    -------
    Estimates
        Keys ``term method``; columns ``p_jackknife`` (t with clusters less 1), ``p_randomization`` (under exchangeable
        roll-out order), ``p_wild`` (restricted wild cluster bootstrap; of scores, where there is no regression),
        ``n_<counted>``, ``n_clusters n_treated_clusters n_control_clusters``, ``effective_clusters`` where the
        estimator knows them, ``until``, and ``reason`` where there is no estimate, no error, or another error.

    Raises
    ------
    EstimationError
        An estimator is unknown, or none of them has an estimate.

    Notes
    -----
    The estimators answer the same question only where effects do not differ: their overall rows weigh cohorts and years
    differently, and the two-way regression in ways nobody chose. Rows share clusters, so that differences between them
    can be contrasted.
    """
    require_arguments(impact_table, locals())
    require_panel(panel, "impact_table")
    unknown = [name for name in estimators if name not in ESTIMATORS]
    if unknown or not estimators:
        raise EstimationError(
            f"impact_table: no estimator {unknown[0]!r}. {did_you_mean(unknown[0], ESTIMATORS)}"
            if unknown
            else "impact_table: name at least one estimator."
        )
    panel = comparable_waves(panel, cohort=cohort, cluster=cluster, until=until)
    asked = Asked(
        panel,
        outcome,
        cohort,
        covariates,
        cluster,
        place if place is not None or panel.unit is not None else cluster,
        control_group,
        anticipation,
        conf_level,
    )
    found = {name: _estimated(asked, name) for name in estimators}
    if not any(isinstance(one, ImpactEffects) for one in found.values()):
        told = "; ".join(f"{name}: {reason}" for name, reason in found.items())
        raise EstimationError(f"impact_table: no estimator has an estimate. {told}")
    return _table(asked, found, list(counted or ()), draws, seed)


def _estimated(asked: Asked, name: str) -> ImpactEffects | str:
    """Return an estimator's result, or in its own words why it has none."""
    try:
        return ESTIMATORS[name](asked)
    except EvaluationError as error:
        return str(error)


def _table(
    asked: Asked, found: Mapping[str, ImpactEffects | str], counted: list[str], draws: int, seed: int
) -> Estimates:
    results = [one if isinstance(one, ImpactEffects) else None for one in found.values()]
    first = next(one for one in results if one is not None)
    engine = next((one.engine for one in results if one and isinstance(one.engine, ClusterJackknife)), None)
    levels, code = cluster_codes(asked.panel, asked.cluster)
    contributions = np.column_stack([_contributions(one, engine, len(levels)) for one in results])
    matrix = np.full((len(results),) * 2, np.nan) if engine is None else covariance(engine, contributions)
    own = np.array([np.nan if one is None else one.std_error[0] for one in results])
    np.fill_diagonal(matrix, np.where(np.isnan(np.diag(matrix)), own**2, np.diag(matrix)))
    places = _places(asked, code, len(levels))
    error = np.sqrt(np.diag(matrix))
    columns: dict[str, NDArray[Any]] = {
        "p_jackknife": 2 * stats.t.sf(np.abs(_over(results, error)), len(levels) - 1),
        "p_randomization": np.array([_reordered(one, draws, seed) for one in results]),
        "p_wild": np.array([_wild(one, draws, seed) for one in results]),
        **{f"n_{name}": np.full(len(results), places[name]) for name in _counts(asked, counted, places)},
        **{name: np.full(len(results), places[name]) for name in _CLUSTERS},
        "effective_clusters": np.array([_effective(one) for one in results]),
        "until": np.full(len(results), str(exact(float(asked.panel.times[-1]))), dtype=object),
        "reason": np.array([_reason(name, one) for name, one in found.items()], dtype=object),
    }
    return Estimates(
        verb="impact_table",
        keys=pd.DataFrame({"term": asked.outcome, "method": list(found)}),
        estimate=np.array([np.nan if one is None else one.estimate[0] for one in results]),
        vcov=matrix,
        df=np.full(len(results), len(levels) - 1.0),
        n_obs=np.array([0 if one is None else one.n_obs[0] for one in results], dtype=np.int64),
        provenance=first.provenance,
        engine=engine,
        contributions=contributions if engine is not None else None,
        conf_level=asked.conf_level,
        method="" if engine is not None else "none",
        columns=columns,
        fit={
            "outcome": asked.outcome,
            "cohort": asked.cohort,
            "cluster": asked.cluster,
            "control_group": asked.control_group,
            "draws": draws,
            "seed": seed,
            "not_available": {name: one for name, one in found.items() if isinstance(one, str)},
        },
    )


_CLUSTERS = ("n_clusters", "n_treated_clusters", "n_control_clusters")


def _over(results: Sequence[ImpactEffects | None], error: Floats) -> Floats:
    """Return each estimate over its error, shape (r,); NaN where one of them is not there."""
    return np.array([np.nan if one is None else one.estimate[0] for one in results]) / error


def _contributions(one: ImpactEffects | None, engine: Any, n_clusters: int) -> Floats:
    """Return the leave-one-out deviations of row 0, shape (G,); NaN where there are none."""
    nothing = np.full(n_clusters, np.nan)
    if one is None or one.contributions is None or not isinstance(one.engine, type(engine)):
        return nothing
    own = np.asarray(one.contributions)[:, 0]
    return own if len(own) == n_clusters else nothing


def _places(asked: Asked, code: NDArray[np.int64], n_clusters: int) -> dict[str, Any]:
    cohorts = read_cohorts(asked.panel, asked.cohort)
    counted, times = asked.panel.period >= 0, asked.panel.times
    start = np.where(cohorts.code >= 0, cohorts.values[np.maximum(cohorts.code, 0)], np.inf)
    treated = np.zeros(n_clusters, dtype=bool)
    treated[code[counted & (start <= times[-1])]] = True
    return {
        "n_clusters": n_clusters,
        "n_treated_clusters": int(treated.sum()),
        "n_control_clusters": int(n_clusters - treated.sum()),
    }


def _counts(asked: Asked, counted: Sequence[str], places: dict[str, Any]) -> list[str]:
    """Add the number of distinct values of each counted column, and return the columns."""
    used = asked.panel.period >= 0
    for name in counted:
        places[name] = int(asked.panel.design.column(name)[used].nunique())
    return list(counted)


def _reordered(one: ImpactEffects | None, draws: int, seed: int) -> float:
    if one is None:
        return np.nan
    try:
        return float(randomization_inference(one, draws=draws, seed=seed).p_value)
    except EvaluationError:
        return np.nan


def _wild(one: ImpactEffects | None, draws: int, seed: int) -> float:
    if one is None:
        return np.nan
    try:
        return float(wild_cluster_bootstrap(one, draws=draws, seed=seed).p_value)
    except EvaluationError:
        return np.nan


def _effective(one: ImpactEffects | None) -> float:
    return (
        np.nan
        if one is None or "effective_clusters" not in one.columns
        else float(one.columns["effective_clusters"][0])
    )


def _reason(name: str, one: ImpactEffects | str) -> str:
    if isinstance(one, str):
        return "not_available"
    if not np.isfinite(one.std_error[0]):
        return "no_jackknife"
    return "" if isinstance(one.engine, ClusterJackknife) else "placebo_error"
