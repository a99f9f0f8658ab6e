"""Errors of regressions by cohort: design, clusters, leaving clusters out, or the sandwiches of regressions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import EstimationError, did_you_mean
from evaluation.impact.absorbed.coefficients import weighted
from evaluation.impact.absorbed.rules import USUAL, Rule
from evaluation.impact.clusters.behind import clusters_behind
from evaluation.impact.clusters.jackknife import ClusterSums, cluster_sampling
from evaluation.impact.effects import ImpactEffects, Refit, chosen_vcov, covariance, effects_of
from evaluation.impact.identification import NO_ANSWERS
from evaluation.impact.panel import exact
from evaluation.impact.sharing import told_of_sampling
from evaluation.impact.smallest_cells import last_of, smallest_averaged
from evaluation.impact.staggered.cohort_effects import CohortEffects, LinearForm, averaged_effects, cohort_effects
from evaluation.impact.staggered.cohort_moments import CohortRows
from evaluation.impact.staggered.cohort_regression import answered, counts

Floats = NDArray[np.float64]
Vcov = Literal["design", "cluster", "jackknife", "CR0", "CR1", "CR2", "CR3", "CV3J"]

SANDWICHES = ("CR0", "CR1")
#: Rules that need the regression row by row.
CORRECTED = ("CR2", "CR3", "CV3J")
RULES = ("jackknife", "cluster", "design", *SANDWICHES, *CORRECTED)


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

    @property
    def effective_clusters(self) -> Floats | None:
        """On how many clusters each estimate rests, shape (r,)."""
        ...

    @property
    def has_known_weights(self) -> bool:
        """Whether rows weigh what their final weights say, so that the regression tells how sure estimates are."""
        ...

    @property
    def cells(self) -> NDArray[np.bool_]:
        """Cohorts and waves that each estimate averages, shape (r, C, T)."""
        ...

    def serves(self, never: bool) -> NDArray[np.bool_]:
        """Return which cohorts a cohort is compared with in a wave, shape (C, T, C)."""
        ...

    def form(self) -> LinearForm | None:
        """Return the regression row by row, where it is linear."""
        ...

    def refit(self) -> Refit:
        """Return the means to ask the estimator again."""
        ...

    def scores(self) -> Floats:
        """Return weighted influence summed per cluster, weights of averages held, shape (G, r)."""
        ...


def read_vcov(verb: str, fit: Fit, vcov: str | None) -> str:
    """Return the rule of the errors.

    Raises
    ------
    EstimationError
        The rule is unknown, needs a cluster, or a linear regression.
    """
    rows = fit.rows
    cluster = None if rows.clusters is None else rows.clusters.name
    if vcov not in (*SANDWICHES, *CORRECTED):
        if vcov not in (None, "design", "cluster", "jackknife"):
            raise EstimationError(f"{verb}: no vcov {vcov!r}. {did_you_mean(vcov, RULES)}")
        return chosen_vcov(verb, rows.over_time.design, vcov, cluster)
    if cluster is None:
        raise EstimationError(f"{verb}: vcov='{vcov}' needs cluster=..., the column of the treated places.")
    if vcov in CORRECTED and fit.form() is None:
        raise EstimationError(f"{verb}: vcov='{vcov}' rests on the linear model. Use vcov='jackknife'.")
    return str(vcov)


def result_of(fit: Fit, verb: str, vcov: str | None, conf_level: float, record: dict[str, Any]) -> ImpactEffects:
    """Return the averages with errors by a rule; ``record`` adds to ``fit``."""
    rows, rule = fit.rows, read_vcov(verb, fit, vcov)
    used = np.zeros(len(rows.over_time.design), dtype=bool)
    used[rows.at] = True
    whole = {
        **{role: rows.names[role] for role in ("outcome", "cohort", "place")},
        "anticipation": 0,
        "covariates": list(rows.terms),
        "not_identified": [*rows.not_identified, *_empty(rows)],
        **record,
        **_behind(fit, record),
        **_told_of_sampling(rows, rule),
        **_uneven_bases(rows),
        "n_used": len(rows.at),
        "n_left_out": int((rows.over_time.design.present).sum()) - len(rows.at),
    }
    options: dict[str, Any] = {"keys": fit.keys, "used": used, "conf_level": conf_level, "fit": whole}
    own = rule not in (*SANDWICHES, *CORRECTED)
    refit = fit.refit()
    asked = refit if own else replace(refit, clusters=None)
    made = effects_of(asked, rule if own else "design", verb=verb, **options)  # type: ignore[arg-type]
    shares = fit.effective_clusters
    columns = {} if shares is None else {"effective_clusters": shares}
    made = replace(made, bases=_smallest(fit, whole), columns=columns, refit=refit)
    if rule in SANDWICHES:
        made = _with_sandwich(fit, made, rule)
    form = fit.form()
    if form is None or (own and not fit.has_known_weights):
        return averaged_effects(made)
    cluster = () if rows.clusters is None else (rows.clusters.name,)
    kind = "CR0" if rule == "cluster" else rule
    written = cohort_effects(made, form, Rule(kind, () if kind == "design" else cluster, df=USUAL[kind]))
    return _corrected(written, rule) if rule in CORRECTED else written


def _smallest(fit: Fit, record: dict[str, Any]) -> NDArray[np.int64]:
    """Return respondents in the smallest cohort and wave behind each row, on either side, now and before."""
    rows = fit.rows
    before = answered(rows) & (rows.since < -float(record["anticipation"] or 0)) & np.isfinite(rows.cohorts)[:, None]
    base = last_of(before)
    if record.get("reference"):
        named = before & np.isin(rows.since, record["reference"])
        base = np.where(named.any(axis=1, keepdims=True), named, base)
    elif "family" in record and record.get("control_group") == "notyettreated":
        base = before
    never = "compared_with" in record or record.get("control_group") == "nevertreated"
    return np.minimum(fit.bases, smallest_averaged(counts(rows), fit.cells, fit.serves(never), base))


def _behind(fit: Fit, record: dict[str, Any]) -> dict[str, list[int]]:
    """Count the clusters behind each row; nothing where none were named."""
    rows = fit.rows
    if rows.clusters is None:
        return {}
    never = "compared_with" in record or record.get("control_group") == "nevertreated"
    return clusters_behind(rows.clusters.code[rows.at], rows.cohort, rows.period, fit.cells, fit.serves(never))


def _uneven_bases(rows: CohortRows) -> dict[str, Any]:
    """Return the times since the start that effects are measured from, where cohorts differ in them."""
    starts = rows.cohorts[np.isfinite(rows.cohorts) & (rows.cohorts > rows.times[0])]
    bases = sorted({exact(rows.times[rows.times < start].max() - start) for start in starts})
    return {"uneven_bases": bases} if len(bases) > 1 else {}


def _told_of_sampling(rows: CohortRows, rule: str) -> dict[str, Any]:
    """Return what ``fit`` says of errors of the sampling design alone."""
    n = len(rows.over_time.design)
    cohort, place = np.full(n, np.inf), np.full(n, -1, dtype=np.int64)
    cohort[rows.at] = rows.cohorts[rows.cohort]
    if rows.place is not None:
        place[rows.at] = rows.place
    return told_of_sampling(rows.over_time, rule, clusters=rows.clusters, cohort=cohort, place=place)


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
    )


def _corrected(made: CohortEffects, rule: str) -> ImpactEffects:
    """Return the averages with errors of a rule that needs the regression row by row; shares of cells are held."""
    uncertain, combine, regression = made.uncertain, made.combine, made.regression
    contributions, engine = uncertain.contributions, uncertain.engine
    if contributions is not None:
        contributions = weighted(combine, contributions.T).T
    exists = (combine != 0).any(axis=1)
    df = np.full(len(made), np.nan)
    df[exists] = uncertain.df(combine[exists])
    df[~exists] = len(regression.labels["cluster"]) - 1.0
    record = {"vcov": rule, "cluster": regression.names["cluster"], "n_clusters": len(regression.labels["cluster"])}
    return replace(
        made,
        vcov=weighted(combine, weighted(combine, uncertain.vcov).T),
        df=df,
        engine=engine,
        contributions=contributions,
        method=uncertain.method,
        fit={**made.fit, **record, **uncertain.told},
    )


def _empty(rows: CohortRows) -> list[dict[str, Any]]:
    return [
        {"cohort": exact(rows.cohorts[g]), "time": exact(rows.times[t]), "reason": NO_ANSWERS}
        for g, t in np.argwhere(~answered(rows))
        if np.isfinite(rows.cohorts[g])
    ]
