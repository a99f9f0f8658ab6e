"""Coefficients of an absorbed regression without each cluster: from sums where two linear effects allow it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.impact.absorbed.fixed_effects import Regression, Solved
from evaluation.impact.absorbed.iteration import refitted
from evaluation.impact.clusters.jackknife import LeftOut, leave_out_clusters, partial_leverage
from evaluation.regression.absorb import TwoWay

Floats = NDArray[np.float64]


def clusters_left_out(regression: Regression, solved: Solved) -> LeftOut:
    """Return the coefficients without each cluster.

    Parameters
    ----------
    regression : Regression
        With a cluster.
    solved : Solved

    Notes
    -----
    Two effects of a linear regression need only sums per cluster; other regressions are fitted again, once per
    cluster.
    """
    codes, g = regression.levels["cluster"], len(regression.labels["cluster"])
    if isinstance(solved.effects, TwoWay) and regression.family == "gaussian":
        weights, trend = regression.weights, regression.trend
        return leave_out_clusters(solved.within, weights, solved.effects, codes, g, trend, solved.gram)
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
