"""What every impact estimator returns: effects with their errors, and the means to ask the estimator again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as entry
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.design.design import Design, each_replicate
from evaluation.errors import EstimationError
from evaluation.impact.clusters.jackknife import ClusterSums, cluster_jackknife, cluster_sampling
from evaluation.results import SAMPLING_ALONE, Estimates, VarianceEngine
from evaluation.wording import term

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Vcov = Literal["design", "cluster", "jackknife"]
VCOV = ("design", "cluster", "jackknife")
#: Fewer clusters carry no error.
FEWEST_CLUSTERS = 3
#: Entries of ``fit`` with a count for each row.
COUNTED = ("treated_clusters", "control_clusters")


@dataclass(frozen=True, eq=False)
class Clusters:
    """Places that are treated as wholes: column, values, and the place of each row (-1 where not counted).

    Attributes
    ----------
    name : str
    levels : tuple, G
    code : ndarray of int, shape (n,)
    cohort : ndarray, shape (G,), or None
        First treated period of each, infinite for never; None where it differs within a place.
    """

    name: str
    levels: tuple[Any, ...]
    code: Codes
    cohort: Floats | None = None

    def __len__(self) -> int:
        return len(self.levels)


def cohort_by_cluster(cohort: Floats, code: Codes, n_clusters: int) -> Floats | None:
    """Return the first treated period of each cluster, shape (G,); None where rows of a cluster differ.

    Parameters
    ----------
    cohort : ndarray, shape (n,)
        Infinite for never.
    code : ndarray of int, shape (n,)
        -1 where not counted.
    n_clusters : int
    """
    counted = code >= 0
    first = np.full(n_clusters, np.nan)
    first[code[counted]] = cohort[counted]
    return first if bool((first[code[counted]] == cohort[counted]).all()) else None


@dataclass(frozen=True, eq=False)
class Refit:
    """An estimator with its data, to be asked again.

    Attributes
    ----------
    design : Design
    clusters : Clusters or None
    estimate : ndarray, shape (k,)
    influence : callable or None
        Returns the derivative of the estimates in the final weights, shape (n, k); None where there is none.
    again : callable
        ``again(weights)``, shape (n,), returns the estimates under other final weights, zeros among them, shape (k,);
        NaN where one does not exist.
    without : callable or None
        Returns the estimates without each cluster, shape (G, k), faster than ``again`` would.
    reordered : callable or None
        ``reordered(cohorts)``, shape (B, G): the estimates had the clusters been treated from these periods on
        (infinite: never), shape (B, k); NaN where one does not exist.
    """

    design: Design
    clusters: Clusters | None
    estimate: Floats
    influence: Callable[[], Floats] | None
    again: Callable[[Floats], Floats]
    without: Callable[[], Floats] | None = None
    reordered: Callable[[Floats], Floats] | None = None

    def left_out(self) -> Floats:
        """Return the estimates without each cluster, shape (G, k); NaN where one does not exist."""
        if self.clusters is None:
            raise EstimationError("leaving clusters out needs cluster=..., the column of the treated places.")
        if self.without is not None:
            return self.without()
        weights = self.design.domain_weights
        rows = []
        for place in range(len(self.clusters)):
            try:
                rows.append(self.again(np.where(self.clusters.code == place, 0.0, weights)))
            except EstimationError:
                rows.append(np.full(len(self.estimate), np.nan))
        return np.stack(rows)


@dataclass(frozen=True, eq=False, repr=False)
class ImpactEffects(Estimates):
    """Effects of a policy.

    Keys: ``term`` ("overall" in row 0 where there is one) and one of ``event_time``, ``cohort``, ``time``, or both of
    the last.

    Attributes
    ----------
    refit : Refit or None
        Estimates of the same rows under other weights, without a cluster, or for another order of the roll-out.
    """

    refit: Refit | None = entry(default=None, kw_only=True)

    def take(self, rows: NDArray[np.int64]) -> ImpactEffects:
        """Return the estimates at ``rows``, in that order, with their covariances and the means to refit them."""
        taken, fit = super().take(rows), dict(self.fit)
        for name in COUNTED:
            if len(fit.get(name, ())) == len(self):
                fit[name] = [fit[name][row] for row in np.arange(len(self))[rows]]
        # Results put side by side have more rows than any one estimator can be asked for.
        can_ask = self.refit is not None and len(self.refit.estimate) == len(self)
        refit = part_of(self.refit, rows) if self.refit is not None and can_ask else None
        return replace(taken, fit=fit, refit=refit)  # type: ignore[return-value, call-arg]

    def _groups_told(self) -> list[str]:
        """Return besides what every result tells that shocks of places are not in the errors, where they are not."""
        return [*super()._groups_told(), *([term(SAMPLING_ALONE)] if self.fit.get(SAMPLING_ALONE) else [])]


def part_of(refit: Refit, rows: NDArray[np.int64]) -> Refit:
    """Return the means to ask some rows of an estimator again."""
    influence, without, reordered = refit.influence, refit.without, refit.reordered
    return replace(
        refit,
        estimate=refit.estimate[rows],
        influence=None if influence is None else lambda: influence()[:, rows],
        again=lambda weights: refit.again(weights)[rows],
        without=None if without is None else lambda: without()[:, rows],
        reordered=None if reordered is None else lambda cohorts: reordered(cohorts)[:, rows],
    )


def among_used(refit: Refit, used: Mask, verb: str) -> Refit:
    """Return the means to ask again with the clusters alone that have respondents behind some row.

    Others, such as places treated since before the first wave, change no estimate when they are left out: as clusters
    they would only add degrees of freedom.

    Parameters
    ----------
    refit : Refit
    used : ndarray of bool, shape (n,) or (n, k)
    verb : str

    Raises
    ------
    EstimationError
        Fewer than three clusters are left.
    """
    clusters = refit.clusters
    if clusters is None:
        return refit
    behind = (used if used.ndim == 1 else used.any(axis=1)) & (clusters.code >= 0)
    kept = np.flatnonzero(np.bincount(clusters.code[behind], minlength=len(clusters)) > 0)
    if len(kept) == len(clusters):
        return refit
    if len(kept) < FEWEST_CLUSTERS:
        raise EstimationError(
            f"{verb}: only {len(kept)} of {len(clusters)} values of cluster '{clusters.name}' are compared, and an "
            f"error needs at least {FEWEST_CLUSTERS}. Leave cluster out for the sampling error alone."
        )
    place = np.full(len(clusters) + 1, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    every, without, reordered = clusters.cohort, refit.without, refit.reordered

    def moved(cohorts: Floats) -> Floats:
        whole = np.tile(np.asarray(every, dtype=float), (len(cohorts), 1))
        whole[:, kept] = cohorts
        return reordered(whole)  # type: ignore[misc]

    levels = tuple(clusters.levels[g] for g in kept)
    return replace(
        refit,
        clusters=Clusters(clusters.name, levels, place[clusters.code], None if every is None else every[kept]),
        without=None if without is None else lambda: without()[kept],
        reordered=None if reordered is None or every is None else moved,
    )


def chosen_vcov(verb: str, design: Design, vcov: str | None, cluster: str | None) -> Vcov:
    """Return the rule of the errors: the jackknife where a cluster is named, else the sampling design.

    Raises
    ------
    EstimationError
        The rule is unknown, needs a cluster, or needs influence where the design has replicates.
    """
    chosen = vcov if vcov is not None else ("design" if cluster is None else "jackknife")
    if chosen not in VCOV:
        raise EstimationError(f"{verb}: vcov must be 'design', 'cluster' or 'jackknife', got {vcov!r}.")
    if chosen != "design" and cluster is None:
        raise EstimationError(f"{verb}: vcov='{chosen}' needs cluster=..., the column of the treated places.")
    if chosen == "cluster" and design.replicates is not None:
        raise EstimationError(f"{verb}: a design of replicates has no influence to sum. Use vcov='jackknife'.")
    return chosen  # type: ignore[return-value]


def errors_of(refit: Refit, vcov: Vcov) -> tuple[VarianceEngine, Floats]:
    """Return the variance engine of a rule and the contributions of the estimates, shape (units, k).

    Notes
    -----
    ``design``: influence summed per sampling unit, or every replicate asked again. ``cluster``: influence carried
    through the weighting chain, summed per cluster without a small-sample factor. ``jackknife``: the estimates
    without each cluster less the full ones (CV3); weights of those who stay are kept.
    """
    design, clusters = refit.design, refit.clusters
    if vcov == "design" or clusters is None:
        if design.replicates is not None:
            return design.engine, each_replicate(design, refit.again)
        return design.engine, design.contributions(_influence(refit))
    g, counted = len(clusters), clusters.code >= 0
    if vcov == "jackknife":
        engine = cluster_jackknife(design.data, clusters.name, clusters.code, g, labels=clusters.levels)
        return engine, refit.left_out() - refit.estimate
    sums = sum_by(clusters.code[counted], g, design.influence(_influence(refit))[counted])
    sampling = cluster_sampling(design.data, clusters.name, clusters.code, g)
    return ClusterSums(sampling, rule="CR0", cluster=clusters.name), sums


def _influence(refit: Refit) -> Floats:
    if refit.influence is None:
        raise EstimationError("these estimates have no influence function. Name a cluster and use vcov='jackknife'.")
    return refit.influence()


def covariance(engine: VarianceEngine, contributions: Floats) -> Floats:
    """Return the covariance of the estimates that exist in every resample, shape (k, k); NaN for the others."""
    there = np.flatnonzero(np.isfinite(contributions).all(axis=0))
    whole = np.full((contributions.shape[1],) * 2, np.nan)
    if len(there):
        whole[np.ix_(there, there)] = engine.covariance(contributions[:, there])
    return whole


def effects_of(
    refit: Refit,
    vcov: Vcov,
    *,
    verb: str,
    keys: pd.DataFrame,
    used: Mask,
    conf_level: float = 0.95,
    columns: Mapping[str, NDArray[Any]] | None = None,
    fit: Mapping[str, Any] | None = None,
) -> ImpactEffects:
    """Return estimates with the errors of a rule.

    Parameters
    ----------
    refit : Refit
    vcov : {"design", "cluster", "jackknife"}
    verb : str
    keys : pandas.DataFrame, k rows
    used : ndarray of bool, shape (n,) or (n, k)
        Respondents behind all rows, or behind each.
    conf_level : float
    columns, fit : mapping
        As of ``Estimates``; ``fit`` gains ``vcov``, ``cluster``, ``n_clusters`` and, for the jackknife, the rows
        ``without_error`` because they do not exist without some cluster.
    """
    refit = refit if vcov == "design" else among_used(refit, used, verb)
    engine, contributions = errors_of(refit, vcov)
    matrix, design = covariance(engine, contributions), refit.design
    masks = np.broadcast_to(used[:, None] if used.ndim == 1 else used, (len(design), len(keys)))
    clusters, record = refit.clusters, {**(fit or {}), "vcov": vcov}
    if clusters is not None:
        record |= {"cluster": clusters.name, "n_clusters": len(clusters)}
    if vcov == "jackknife":
        record["without_error"] = keys.loc[np.isnan(np.diag(matrix))].to_dict("records")
    if vcov == "design" or clusters is None:
        df = np.array([design.degrees_of_freedom(mask) for mask in masks.T], dtype=float)
    else:
        df = np.full(len(keys), len(clusters) - 1.0)
    influence = refit.influence
    return ImpactEffects(
        verb=verb,
        keys=keys,
        estimate=refit.estimate,
        vcov=matrix,
        df=df,
        n_obs=masks.sum(axis=0),
        provenance=design.provenance,
        engine=engine,
        contributions=contributions,
        influence_of=None if influence is None else (lambda: design.influence(influence())),
        conf_level=conf_level,
        columns=columns or {},
        fit=record,
        refit=refit,
    )
