"""The main table: one policy, one row per estimator, errors that districts would recognise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, EvaluationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import require_arguments
from evaluation.impact.absorbed.twfe import twfe
from evaluation.impact.clusters.jackknife import ClusterJackknife
from evaluation.impact.clusters.randomization import randomization_inference
from evaluation.impact.clusters.sides import sides_of
from evaluation.impact.clusters.wild_bootstrap import wild_cluster_bootstrap
from evaluation.impact.effects import ImpactEffects, covariance
from evaluation.impact.estimator_rows import EstimatorTable
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
    def numbers(self) -> list[str]:
        """The covariates as a list of columns."""
        return [self.covariates] if isinstance(self.covariates, str) else list(self.covariates)

    @property
    def has_numbers_alone(self) -> bool:
        """Whether every covariate is a column of numbers."""
        data = self.panel.design.data
        return all(name in data.columns and pd.api.types.is_numeric_dtype(data[name]) for name in self.numbers)

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
    if np.isfinite(overall.std_error[0]):
        return overall
    try:
        supported = aggregate(effects, supported_only=True)
    except EstimationError:
        return overall
    return replace(supported, fit={**supported.fit, _PART: True}) if len(supported) else overall


def _imputed(verb: Callable[..., ImpactEffects], asked: Asked) -> ImpactEffects:
    """Sum up all effects, or where these hang on a single cluster those that do not."""
    arguments = {**asked.placed, "anticipation": asked.anticipation}
    overall = verb(asked.panel, **arguments)
    if np.isfinite(overall.std_error[0]):
        return overall
    try:
        supported = verb(asked.panel, **arguments, supported_only=True)
    except EstimationError:
        return overall
    return replace(supported, fit={**supported.fit, _PART: True})


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
        asked.panel,
        outcome=asked.outcome,
        cohort=asked.cohort,
        place=place,
        covariates=asked.numbers if asked.has_numbers_alone else (),
        conf_level=asked.conf_level,
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
    "imputation": lambda asked: _imputed(imputation_did, asked),
    "two_stage": lambda asked: _imputed(two_stage_did, asked),
    "sun_abraham": lambda asked: sun_abraham(asked.panel, **asked.placed, type="simple"),
    "extended_twfe": lambda asked: extended_twfe(
        asked.panel, **asked.placed, type="simple", control_group=asked.control_group
    ),
    "stacked": _stacked,
    "efficient": lambda asked: efficient_did(asked.panel, **asked.common, vcov="jackknife"),
    "synthetic_did": _synthetic,
    "twfe": _twfe,
}
#: Estimators that can let a policy act ahead of its date, that adjust for covariates, that choose who is compared.
AHEAD = frozenset({"group_time", "imputation", "two_stage"})
ADJUSTED = frozenset(ESTIMATORS) - {"efficient"}
CHOOSING = frozenset({"group_time", "extended_twfe", "stacked", "sun_abraham", "synthetic_did"})
#: Entry of ``fit`` where only those effects are summed up that have an error.
_PART = "supported_part"


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
) -> EstimatorTable:
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
    EstimatorTable
        Keys ``term method``; columns ``p_jackknife`` (t with clusters less 1), ``p_randomization`` (under exchangeable
        roll-out order), ``p_wild`` (restricted wild cluster bootstrap; of scores, where there is no regression),
        ``n_<counted>``, ``n_clusters``, ``n_treated_clusters n_control_clusters`` behind the row,
        ``effective_clusters`` where the estimator knows them, ``until``, ``reason`` where there is no estimate, no
        error, another error or part of the effects only, and ``without`` where a row takes no covariates or no choice
        of who is compared.
        ``n_obs`` counts observations, in a panel places by waves. A row that cannot let the policy act ahead of its
        date has no estimate where it should.

    Raises
    ------
    EstimationError
        An estimator is unknown, none of them has an estimate, or the covariates suit none.
    IdentificationError
        ``control_group="nevertreated"`` and everybody is treated in the end.

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
    if place is not None:
        panel.design.column(place)
    if anticipation < 0 or draws < 1:
        raise EstimationError(
            f"impact_table: anticipation is 0 or more and draws 1 or more, got {anticipation}, {draws}."
        )
    _require_never(panel, cohort, control_group)
    n_waves = len(panel.times)
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
        told = " ".join(f"{name}: {reason}" for name, reason in found.items())
        raise EstimationError(f"impact_table: no estimator has an estimate. {told}")
    adjusted = [found[name] for name in found if name in ADJUSTED and found[name] != _NOT_AHEAD]
    if asked.covariates and adjusted and all(isinstance(one, str) for one in adjusted):
        raise EstimationError(f"impact_table: no estimator takes these covariates. {adjusted[0]}")
    made = _table(asked, found, [] if counted is None else list(counted), draws, seed)
    return replace(made, fit={**made.fit, "n_waves_left_out": n_waves - len(panel.times)})


_NOT_AHEAD = "it cannot let the policy act ahead of its date."


def _require_never(panel: Panel, cohort: str, control_group: ControlGroup) -> None:
    cohorts = read_cohorts(panel, cohort)
    used = cohorts.code[(panel.period >= 0) & (cohorts.code >= 0)]
    if control_group == "nevertreated" and len(used) and bool((cohorts.values[used] <= panel.times[-1]).all()):
        raise IdentificationError(
            f'impact_table: control_group="nevertreated", but everybody is treated by {panel.times[-1]:g} '
            f'({cohort}). Take "notyettreated".'
        )


def _estimated(asked: Asked, name: str) -> ImpactEffects | str:
    """Return an estimator's result, or in its own words why it has none."""
    if asked.anticipation and name not in AHEAD:
        return _NOT_AHEAD
    try:
        return ESTIMATORS[name](asked)
    except EvaluationError as error:
        return str(error)


def _table(
    asked: Asked, found: Mapping[str, ImpactEffects | str], counted: list[str], draws: int, seed: int
) -> EstimatorTable:
    results = [one if isinstance(one, ImpactEffects) else None for one in found.values()]
    first = next(one for one in results if one is not None)
    engine = next((one.engine for one in results if one and isinstance(one.engine, ClusterJackknife)), None)
    levels, _ = cluster_codes(asked.panel, asked.cluster)
    contributions = np.column_stack([_contributions(one, engine, len(levels)) for one in results])
    matrix = np.full((len(results),) * 2, np.nan) if engine is None else covariance(engine, contributions)
    own = np.array([np.nan if one is None else one.std_error[0] for one in results])
    np.fill_diagonal(matrix, np.where(np.isnan(np.diag(matrix)), own**2, np.diag(matrix)))
    left_out = np.array([one is not None and isinstance(one.engine, ClusterJackknife) for one in results])
    df = np.array([np.nan if one is None else one.df[0] for one in results])
    ratio = np.abs(_over(results, np.sqrt(np.diag(matrix))))
    sides, sizes, places = _sides(results), _sizes(results, asked), _counts(asked, counted)
    columns: dict[str, NDArray[Any]] = {
        "p_jackknife": np.where(left_out, 2 * stats.t.sf(ratio, len(levels) - 1), np.nan),
        "p_randomization": np.array([_reordered(one, draws, seed) for one in results]),
        "p_wild": np.array([_wild(one, draws, seed) for one in results]),
        **{f"n_{name}": np.full(len(results), n) for name, n in places.items()},
        "n_clusters": np.full(len(results), len(levels)),
        **sides,
        "effective_clusters": np.array([_effective(one) for one in results]),
        "until": np.full(len(results), str(exact(float(asked.panel.times[-1]))), dtype=object),
        "reason": np.array([_reason(one) for one in found.values()], dtype=object),
        "without": np.array([_without(asked, name, one) for name, one in found.items()], dtype=object),
    }
    return EstimatorTable(
        verb="impact_table",
        keys=pd.DataFrame({"term": asked.outcome, "method": list(found)}),
        estimate=np.array([np.nan if one is None else one.estimate[0] for one in results]),
        vcov=matrix,
        df=np.where(left_out | np.isnan(df), len(levels) - 1.0, df),
        n_obs=sizes,
        bases=np.array([0 if one is None else one.base_sizes[0] for one in results], dtype=np.int64),
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
            "anticipation": exact(float(asked.anticipation)),
            "is_panel": asked.panel.unit is not None,
            "draws": draws,
            "seed": seed,
            "counted": places,
            "not_available": {name: one for name, one in found.items() if isinstance(one, str)},
        },
    )


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


def _sides(results: Sequence[ImpactEffects | None]) -> dict[str, Floats]:
    """Return the clusters treated and compared behind every row; NaN where they are not known."""
    found = [None if one is None or not np.isfinite(one.estimate[0]) else sides_of(one, 0) for one in results]
    both = [(np.nan, np.nan) if own is None else (own.treated, own.control) for own in found]
    counts = np.array(both, dtype=float)
    return {"n_treated_clusters": counts[:, 0], "n_control_clusters": counts[:, 1]}


def _sizes(results: Sequence[ImpactEffects | None], asked: Asked) -> NDArray[np.int64]:
    """Return the observations of every row: group-time effects of a panel count units, which come in every wave."""
    waves = len(asked.panel.times) if asked.panel.unit is not None else 1
    sizes = [0 if one is None else one.n_obs[0] * (waves if one.verb == "aggregate" else 1) for one in results]
    return np.array(sizes, dtype=np.int64)


def _counts(asked: Asked, counted: Sequence[str]) -> dict[str, int]:
    """Return the number of distinct values of each counted column."""
    used = asked.panel.period >= 0
    return {name: int(asked.panel.design.column(name)[used].nunique()) for name in counted}


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


def _reason(one: ImpactEffects | str) -> str:
    if isinstance(one, str):
        return "takes_no_anticipation" if one == _NOT_AHEAD else "not_available"
    if not np.isfinite(one.estimate[0]):
        return "not_available"
    if not np.isfinite(one.std_error[0]):
        return "no_jackknife"
    if _PART in one.fit:
        return _PART
    return "" if isinstance(one.engine, ClusterJackknife) else "placebo_error"


def _without(asked: Asked, name: str, one: ImpactEffects | str) -> str:
    """Return what a row leaves aside that it was asked for."""
    if isinstance(one, str):
        return ""
    is_bare = name not in ADJUSTED or (name == "synthetic_did" and not asked.has_numbers_alone)
    if asked.covariates and is_bare:
        return "takes_no_covariates"
    return "compares_all_untreated" if asked.control_group == "nevertreated" and name not in CHOOSING else ""
