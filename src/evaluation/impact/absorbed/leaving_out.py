"""Coefficients of an absorbed regression without each cluster: from sums where two linear effects allow it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.impact.absorbed.fixed_effects import Regression, Solved, coefficients_of
from evaluation.impact.absorbed.iteration import refitted
from evaluation.impact.absorbed.many_effects import ManyWay
from evaluation.impact.clusters.jackknife import LeftOut, leave_out_clusters, partial_leverage
from evaluation.regression.absorb import TwoWay, pseudo_inverse

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


def clusters_left_out(regression: Regression, solved: Solved) -> LeftOut:
    """Return the coefficients without each cluster.

    Parameters
    ----------
    regression : Regression
        With a cluster.
    solved : Solved

    Notes
    -----
    Effects of a linear regression need only sums per cluster, where the eliminated one lies within clusters; other
    regressions are fitted again, once per cluster.
    """
    codes, g = regression.levels["cluster"], len(regression.labels["cluster"])
    if isinstance(solved.effects, TwoWay) and regression.family == "gaussian":
        weights, trend = regression.weights, regression.trend
        return leave_out_clusters(solved.within, weights, solved.effects, codes, g, trend, solved.gram)
    if isinstance(solved.effects, ManyWay) and regression.family == "gaussian" and _lies_within(solved.effects, codes):
        return _from_sums(regression, solved, solved.effects, g)
    final = regression.weights if regression.prior is None else regression.prior
    alone = replace(regression, rows=np.arange(len(codes)), multiplier=None)
    rows = []
    for start, end in pairwise(np.searchsorted(codes, np.arange(g + 1))):
        weights = final.copy()
        weights[start:end] = 0.0
        rows.append(refitted(alone, weights))
    coefficients = np.stack(rows)
    share = partial_leverage(solved.within, regression.weights, codes, g, solved.gram)
    return LeftOut(np.nan_to_num(coefficients), ~np.isnan(coefficients), share, np.full(g, np.nan))


def _lies_within(effects: ManyWay, cluster: Codes) -> bool:
    """Tell whether each level of the eliminated effect lies in one cluster, and the others are solved at once."""
    home = np.zeros(effects.inverse.shape[1], dtype=np.int64)
    home[effects.large] = cluster
    return effects.solver is not None and bool((home[effects.large] == cluster).all())


def _from_sums(regression: Regression, solved: Solved, effects: ManyWay, g: int) -> LeftOut:
    """Return the coefficients without each cluster: its own squares go, and what the others' effects take up anew."""
    codes, weights, within = regression.levels["cluster"], regression.weights, solved.within
    home = np.zeros(effects.inverse.shape[1], dtype=np.int64)
    home[effects.large] = codes
    parts = [slice(int(a), int(b)) for a, b in pairwise(np.searchsorted(codes, np.arange(g + 1)))]
    systems = np.stack([_system(effects, weights, part, home == place) for place, part in enumerate(parts)])
    whole, scale = systems.sum(axis=0), np.sqrt(np.diag(solved.gram)[1:])
    rows, size = [], len(effects.scale)
    for part, system in zip(parts, systems, strict=True):
        heavy = within[:, part] * weights[part]
        sums = np.zeros((size, len(within)))
        for code in effects.small:
            sums += np.stack([mass_by(code[part], size, column) for column in heavy], axis=1)
        taken = sums.T @ pseudo_inverse(whole - system) @ sums if size else 0.0
        rows.append(coefficients_of(solved.gram - heavy @ within[:, part].T - taken, scale))
    coefficients = np.stack(rows)
    share = partial_leverage(within, weights, codes, g, solved.gram)
    return LeftOut(np.nan_to_num(coefficients), ~np.isnan(coefficients), share, np.full(g, np.nan))


def _system(effects: ManyWay, weights: Floats, part: slice, members: NDArray[np.bool_]) -> Floats:
    """Return a cluster's share of the system that elimination leaves, shape (S, S)."""
    size = len(effects.scale)
    total = np.zeros((size, size))
    for code in effects.small:
        for other in effects.small:
            total += mass_by(code[part] * size + other[part], size * size, weights[part]).reshape(size, size)
    for table, inverse in zip(effects.tables, effects.inverse, strict=True):
        own = table[members]
        total -= own.T @ (inverse[members, None] * own)
    return total
