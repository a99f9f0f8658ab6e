"""Errors of regressions by cohort: design, clusters, leaving clusters out, or the sandwiches of regressions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError
from evaluation.impact.clusters.jackknife import ClusterSums, cluster_sampling
from evaluation.impact.effects import ImpactEffects, Refit, chosen_vcov, covariance, effects_of
from evaluation.impact.identification import NO_ANSWERS
from evaluation.impact.panel import exact
from evaluation.impact.staggered.cohort_moments import CohortRows
from evaluation.impact.staggered.cohort_regression import answered

Floats = NDArray[np.float64]
Vcov = Literal["design", "cluster", "jackknife", "CR0", "CR1"]

SANDWICHES = ("CR0", "CR1")


class Fit(Protocol):
    """A regression by cohort that was fitted."""

    @property
    def rows(self) -> CohortRows:
        """Rows used."""
        ...

    @property
    def keys(self) -> pd.DataFrame:
        """What each estimate is of, r rows."""
        ...

    @property
    def n_rows(self) -> int:
        """Rows of the regression; stacks count a row as often as they hold it."""
        ...

    @property
    def n_parameters(self) -> int:
        """Parameters that count for CR1."""
        ...

    @property
    def bases(self) -> NDArray[np.int64]:
        """Rows whose effects each estimate averages, shape (r,)."""
        ...

    def refit(self) -> Refit:
        """Return the means to ask the estimator again."""
        ...

    def scores(self) -> Floats:
        """Return weighted influence summed per cluster, weights of averages held, shape (G, r)."""
        ...


def check_vcov(verb: str, rows: CohortRows, vcov: str | None) -> str:
    """Return the rule of the errors, the sandwiches of clusters among them."""
    cluster = None if rows.clusters is None else rows.clusters.name
    if vcov in SANDWICHES:
        if cluster is None:
            raise EstimationError(f"{verb}: vcov='{vcov}' needs cluster=..., the column of the treated places.")
        return str(vcov)
    return chosen_vcov(verb, rows.over_time.design, vcov, cluster)


def result_of(fit: Fit, verb: str, vcov: str | None, conf_level: float, record: dict[str, Any]) -> ImpactEffects:
    """Return the averages with errors by a rule; ``record`` adds to ``fit``."""
    rows, rule = fit.rows, check_vcov(verb, fit.rows, vcov)
    used = np.zeros(len(rows.over_time.design), dtype=bool)
    used[rows.at] = True
    whole = {
        **{role: rows.names[role] for role in ("outcome", "cohort", "place")},
        "anticipation": 0,
        "covariates": list(rows.terms),
        "not_identified": [*rows.not_identified, *_empty(rows)],
        **record,
        "n_used": len(rows.at),
        "n_left_out": int((rows.over_time.design.present).sum()) - len(rows.at),
    }
    options: dict[str, Any] = {"keys": fit.keys, "used": used, "conf_level": conf_level, "fit": whole}
    if rule not in SANDWICHES:
        made = effects_of(fit.refit(), rule, verb=verb, **options)  # type: ignore[arg-type]
        return replace(made, bases=fit.bases)
    plain = effects_of(replace(fit.refit(), clusters=None), "design", verb=verb, **options)
    return _with_sandwich(fit, plain, rule)


def _with_sandwich(fit: Fit, plain: ImpactEffects, rule: str) -> ImpactEffects:
    rows, clusters = fit.rows, fit.rows.clusters
    if clusters is None:
        raise EstimationError(f"vcov='{rule}' needs cluster=..., the column of the treated places.")
    g, n, k = len(clusters), fit.n_rows, fit.n_parameters
    if n <= k:
        raise EstimationError(f"{plain.verb}: {n} rows leave no degrees of freedom for {rule} beside {k} parameters.")
    factor = (n - 1) / (n - k) * g / (g - 1) if rule == "CR1" else 1.0
    small = f"(n-1)/(n-{k}) G/(G-1), effects nested in the cluster not counted" if rule == "CR1" else "none"
    sampling = cluster_sampling(rows.over_time.design.data, clusters.name, clusters.code, g)
    engine, contributions = ClusterSums(sampling, rule=rule, cluster=clusters.name), fit.scores() * np.sqrt(factor)
    record = {"vcov": rule, "cluster": clusters.name, "n_clusters": g, "small_sample": small}
    return replace(
        plain,
        vcov=covariance(engine, contributions),
        df=np.full(len(plain), g - 1.0),
        engine=engine,
        contributions=contributions,
        fit={**plain.fit, **record},
        refit=fit.refit(),
        bases=fit.bases,
    )


def _empty(rows: CohortRows) -> list[dict[str, Any]]:
    return [
        {"cohort": exact(rows.cohorts[g]), "time": exact(rows.times[t]), "reason": NO_ANSWERS}
        for g, t in np.argwhere(~answered(rows))
        if np.isfinite(rows.cohorts[g])
    ]
