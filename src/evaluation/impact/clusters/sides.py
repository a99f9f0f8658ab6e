"""How many clusters are treated, and how many are there to compare them with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.impact.absorbed.coefficients import AbsorbedEffects
from evaluation.impact.absorbed.fixed_effects import Regression
from evaluation.impact.clusters.jackknife import partial_leverage
from evaluation.impact.effects import ImpactEffects
from evaluation.results import plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sides:
    """Clusters behind an effect.

    Attributes
    ----------
    clusters : int
    treated, control : int or None
        Clusters treated at some time, and clusters not treated at a time when others are; None where it is not known.
    effective : float
        One over the sum of squared shares of the clusters in what a regression's estimate rests on; NaN for others.
    largest : float
        The largest of those shares.
    largest_cluster : str
        Whose it is.
    """

    clusters: int
    treated: int | None
    control: int | None
    effective: float = float("nan")
    largest: float = float("nan")
    largest_cluster: str = ""

    @property
    def fewest(self) -> int | None:
        """Clusters on the smaller side; None where it is not known."""
        return None if self.treated is None or self.control is None else min(self.treated, self.control)


def sides_of(result: ImpactEffects, row: int) -> Sides:
    """Return the clusters behind a row of a result that names some.

    Parameters
    ----------
    result : ImpactEffects
    row : int
    """
    clusters = None if result.refit is None else result.refit.clusters
    g = 0 if clusters is None else len(clusters)
    sides: tuple[int | None, int | None]
    if len(result.fit.get("treated_clusters", ())) == len(result):
        sides = (int(result.fit["treated_clusters"][row]), int(result.fit["control_clusters"][row]))
    elif {"n_treated_clusters", "n_control_clusters"} <= set(result.columns):
        both = [result.columns[name][row] for name in ("n_treated_clusters", "n_control_clusters")]
        sides = (None if pd.isna(both[0]) else int(both[0]), None if pd.isna(both[1]) else int(both[1]))
    elif isinstance(result, AbsorbedEffects) and result.fit.get("cohort") is None:
        sides = _of_regression(result.regression)
    else:
        sides = _of_cohorts(result, row)
    if isinstance(result, AbsorbedEffects):
        effective, largest, cluster = _leverage(result, row)
        return Sides(g, *sides, effective, largest, cluster)
    return Sides(g, *sides)


def _of_regression(regression: Regression) -> tuple[int | None, int | None]:
    """Count by treatments that are not zero, at any time, and at a time when other clusters are treated."""
    found = regression.codes("time")
    if found is None:
        return None, None
    time, t = found[0], len(found[1])
    cluster, g = regression.levels["cluster"], len(regression.labels["cluster"])
    treated = (regression.columns[1 : 1 + regression.n_treatments] != 0).any(axis=0)
    cell = cluster * t + time
    on = np.bincount(cell, treated, minlength=g * t).reshape(g, t) > 0
    off = np.bincount(cell, ~treated, minlength=g * t).reshape(g, t) > 0
    elsewhere = on.sum(axis=0) - on > 0
    return int(on.any(axis=1).sum()), int((off & elsewhere).any(axis=1).sum())


def _leverage(result: AbsorbedEffects, row: int) -> tuple[float, float, str]:
    regression, solved = result.regression, result.solved
    codes, labels = regression.levels["cluster"], regression.labels["cluster"]
    combine = result.combine[[row]]
    if not combine.any():
        return float("nan"), float("nan"), ""
    share = partial_leverage(solved.within, regression.weights, codes, len(labels), solved.gram, combine)[:, 0]
    return float(1 / (share**2).sum()), float(share.max()), str(labels[int(np.argmax(share))])


def _of_cohorts(result: ImpactEffects, row: int) -> tuple[int | None, int | None]:
    refit = result.refit
    if refit is None or refit.clusters is None:
        return None, None
    first, last = _first_and_last(result)
    if first is None or last is None:
        return None, None
    own: Any = result.keys["cohort"].iloc[row] if "cohort" in result.keys else None
    start = np.nanmin(first) if own is None or pd.isna(own) else float(plain(own))
    treated = np.isfinite(first) if own is None or pd.isna(own) else first == start
    never = result.fit.get("control_group") == "nevertreated"
    return int(treated.sum()), int((np.isinf(last) if never else last > start).sum())


def _first_and_last(result: ImpactEffects) -> tuple[Floats | None, Floats | None]:
    """Return the first and the last date at which places of each cluster are treated, infinite for never."""
    clusters = result.refit.clusters if result.refit is not None else None
    name = result.fit.get("cohort")
    if clusters is None or result.refit is None:
        return None, None
    if clusters.cohort is not None:
        return clusters.cohort, clusters.cohort
    if name is None:
        return None, None
    data = result.refit.design.data
    if name not in data.columns:
        return None, None
    dates = pd.to_numeric(data[name], errors="coerce").to_numpy(float)
    dates = np.where(np.isnan(dates) | (dates == 0), np.inf, dates)
    counted = clusters.code >= 0
    first, last = np.full(len(clusters), np.inf), np.full(len(clusters), -np.inf)
    np.minimum.at(first, clusters.code[counted], dates[counted])
    np.maximum.at(last, clusters.code[counted], dates[counted])
    return first, last
