"""Errors of an absorbed regression by the rule that was asked for."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, each_replicate
from evaluation.errors import EstimationError
from evaluation.impact.absorbed.bias_reduced import corrected
from evaluation.impact.absorbed.fixed_effects import Regression, Solved
from evaluation.impact.absorbed.iteration import refitted
from evaluation.impact.absorbed.kernels import serial, spatial, two_way_clusters
from evaluation.impact.absorbed.leaving_out import clusters_left_out
from evaluation.impact.absorbed.rules import Rule, Uncertainty, constant, parameters, require_clusters
from evaluation.impact.clusters.jackknife import ClusterSums, cluster_jackknife, cluster_sampling
from evaluation.impact.effects import covariance

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def uncertainty(verb: str, design: Design, regression: Regression, solved: Solved, rule: Rule) -> Uncertainty:
    """Return covariance, engine, contributions and degrees of freedom of the coefficients under a rule.

    Parameters
    ----------
    verb : str
        For messages.
    design : Design
    regression : Regression
    solved : Solved
    rule : Rule
    """
    left = float(len(regression.rows) - len(regression.terms) - solved.effects.rank)
    if rule.kind == "design":
        return _by_design(design, regression, solved, rule, left)
    if rule.kind in ("iid", "HC1"):
        return _independent(verb, regression, solved, rule, left)
    if rule.kind in ("conley", "newey_west", "driscoll_kraay") or len(rule.clusters) == 2:
        scores = (solved.inverse @ (solved.within[1:] * (regression.weights * solved.residual))).T
        rules = {"conley": spatial, "newey_west": serial, "driscoll_kraay": serial}
        return rules.get(rule.kind, two_way_clusters)(verb, design, regression, scores, rule, left)
    require_clusters(verb, rule.clusters[0], regression.labels["cluster"])
    if rule.kind in ("jackknife", "CV3J"):
        return _left_out(design, regression, solved, rule, left)
    return _clustered(verb, design, regression, solved, rule, left)


def influence_of(design: Design, regression: Regression, solved: Solved, combine: Floats) -> Floats:
    """Return the derivative of combinations of coefficients in each final weight, shape (n of the design, r)."""
    z = np.zeros((len(design), len(combine)))
    values = combine @ solved.inverse @ (solved.within[1:] * (solved.residual * regression.ratio))
    if regression.n_respondents == len(regression.rows):
        z[regression.rows] = values.T
    else:
        np.add.at(z, regression.rows, values.T)
    return z


def _by_design(design: Design, regression: Regression, solved: Solved, rule: Rule, left: float) -> Uncertainty:
    if design.replicates is None:
        influence = influence_of(design, regression, solved, np.eye(len(regression.terms)))
        contributions = design.contributions(influence)
    else:
        contributions = each_replicate(design, lambda weights: refitted(regression, weights))
    used = np.zeros(len(design), dtype=bool)
    used[regression.rows] = True
    usual = float(design.degrees_of_freedom(used) + 1 - len(regression.terms) - solved.effects.rank)
    df = {"design": usual, "residual": left, "normal": np.inf}[rule.df]
    engine = design.engine
    vcov = engine.covariance(contributions)
    return Uncertainty(vcov, engine, contributions, constant(df), told={"small_sample": "of the sampling design"})


def _independent(verb: str, regression: Regression, solved: Solved, rule: Rule, left: float) -> Uncertainty:
    n, weights = len(regression.rows), regression.weights
    if left <= 0:
        raise EstimationError(f"{verb}: {n} rows leave no degrees of freedom beside the effects and coefficients.")
    if rule.kind == "iid":
        # The dispersion of counts and shares follows from their mean.
        spread = float(weights @ solved.residual**2) / left if regression.family == "gaussian" else 1.0
        vcov, small = solved.inverse * spread, f"1/(n-{n - int(left)})"
    else:
        scores = solved.inverse @ (solved.within[1:] * (weights * solved.residual))
        vcov, small = n / left * scores @ scores.T, f"n/(n-{n - int(left)})"
    df = np.inf if rule.df == "normal" else left
    return Uncertainty(vcov, None, None, constant(df), rule.kind, {"small_sample": f"{small}, all effects counted"})


def _left_out(design: Design, regression: Regression, solved: Solved, rule: Rule, left: float) -> Uncertainty:
    cluster, labels = rule.clusters[0], regression.labels["cluster"]
    g, out = len(labels), clusters_left_out(regression, solved)
    centre: Literal["estimate", "mean"] = "mean" if rule.kind == "CV3J" else "estimate"
    every = _everyone(design, regression)
    engine = cluster_jackknife(design.data, cluster, every, g, centre=centre, labels=list(labels), left_out=out)
    contributions = np.where(out.identified, out.coefficients, np.nan) - solved.coefficients
    df = {"clusters": g - 1.0, "residual": left, "normal": np.inf}[rule.df]
    vcov = covariance(engine, contributions)
    return Uncertainty(vcov, engine, contributions, constant(df), told={"small_sample": "(G-1)/G"})


def _everyone(design: Design, regression: Regression) -> Codes:
    """Return the cluster of every respondent, used or not, so that results of other outcomes can be joined."""
    name = regression.names["cluster"]
    if name in design.data.columns:
        found = regression.labels["cluster"].get_indexer(pd.Index(design.data[name]))
        return np.asarray(found, dtype=np.int64)
    every = np.full(len(design), -1, dtype=np.int64)
    every[regression.rows] = regression.levels["cluster"]
    return every


def _clustered(
    verb: str, design: Design, regression: Regression, solved: Solved, rule: Rule, left: float
) -> Uncertainty:
    g, cluster = len(regression.labels["cluster"]), rule.clusters[0]
    fix = None
    if rule.kind in ("CR2", "CR3") or rule.df == "satterthwaite":
        fix = corrected(verb, regression, solved.residual, rule.kind, rule.small_sample)
    factor, small = _factor(verb, regression, rule, g)
    sums = fix.scores if fix is not None else cluster_scores(regression, solved)
    engine = ClusterSums(
        cluster_sampling(design.data, cluster, _everyone(design, regression), g), rule=rule.kind, cluster=cluster
    )
    contributions = sums * np.sqrt(factor)
    df = (
        fix.degrees_of_freedom
        if fix is not None and rule.df == "satterthwaite"
        else constant({"clusters": g - 1.0, "residual": left, "normal": np.inf}[rule.df])
    )
    return Uncertainty(engine.covariance(contributions), engine, contributions, df, told={"small_sample": small})


def cluster_scores(regression: Regression, solved: Solved) -> Floats:
    """Return the weighted scores of each cluster in units of the coefficients, shape (G, k)."""
    codes, g = regression.levels["cluster"], len(regression.labels["cluster"])
    ends, weighted = np.searchsorted(codes, np.arange(g + 1)), regression.weights * solved.residual
    sums = np.stack([solved.within[1:, a:b] @ weighted[a:b] for a, b in pairwise(ends)])
    return np.asarray(sums @ solved.inverse)


def _factor(verb: str, regression: Regression, rule: Rule, g: int) -> tuple[float, str]:
    """Return the factor of a sandwich and its words: of CR1 fixest's, which leaves out nested effects."""
    if rule.kind in ("CR2", "CR3"):
        projected = (
            "all effects as columns" if rule.small_sample == "all" else "effects nested in the cluster projected out"
        )
        return 1.0, f"leverage of clusters, {projected}"
    if rule.kind == "CR0":
        return 1.0, "none"
    if rule.small_sample == "clusters":
        return g / (g - 1), "G/(G-1)"
    n, k = len(regression.rows), parameters(regression, rule.small_sample, [regression.levels["cluster"]])
    if n <= k:
        raise EstimationError(f"{verb}: {n} rows leave no degrees of freedom for CR1 beside {k} parameters.")
    counted = "all effects counted" if rule.small_sample == "all" else "effects nested in the cluster not counted"
    return (n - 1) / (n - k) * g / (g - 1), f"(n-1)/(n-{k}) G/(G-1), {counted}"
