"""Vcov with few clusters: leave each cluster out once, and look how far the estimate moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.contributions import DomainContributions
from evaluation.design.sampling import Sampling, Stage
from evaluation.design.variance import ReplicateEngine, TaylorEngine
from evaluation.errors import EstimationError, IdentificationError
from evaluation.regression.absorb import TwoWay, cell_sums, from_mass, pseudo_inverse, small_system
from evaluation.results import Estimates, Provenance
from evaluation.wording import heading

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Centre = Literal["estimate", "mean"]

#: Name of the rule by what the leave-one-out estimates are centred at.
RULES = {"estimate": "CV3", "mean": "CV3J"}
#: Below this share of its own variation a column does not exist without a cluster.
NOTHING_LEFT = 1e-9


def jackknife_covariance(leave_one_out: Floats, estimate: Floats, *, centre: Centre = "estimate") -> Floats:
    """Return the cluster jackknife covariance of ``k`` estimates.

    Parameters
    ----------
    leave_one_out : ndarray, shape (G, k)
        Estimates without each of the G clusters.
    estimate : ndarray, shape (k,)
        Estimates from all clusters.
    centre : {"estimate", "mean"}, default "estimate"
        CV3 centres the leave-one-out estimates at the full estimate, CV3J at their own mean.

    Returns
    -------
    ndarray, shape (k, k)

    Raises
    ------
    EstimationError
        Shapes that do not fit, fewer than two clusters, or an unknown centre.
    IdentificationError
        An estimate does not exist without some cluster (a leave-one-out value is not a number).

    Notes
    -----
    .. math:: V = \\frac{G - 1}{G} \\sum_g (b_{(g)} - b)(b_{(g)} - b)'

    to be used with t on G - 1 degrees of freedom.

    References
    ----------
    MacKinnon, Nielsen and Webb (2023), Journal of Applied Econometrics 38, 671-694.
    R twin: ``summclust::vcov_CR3J`` (``"CRV3"``, ``"CRV3J"``).

    Examples
    --------
    >>> jackknife_covariance(np.array([[1.0], [2.0], [6.0]]), np.array([3.0]))
    array([[9.33333333]])
    """
    loo, b = np.asarray(leave_one_out, dtype=float), np.asarray(estimate, dtype=float)
    if loo.ndim != 2 or b.shape != (loo.shape[1],):
        raise EstimationError(
            f"jackknife: leave-one-out estimates of shape (clusters, k) and k estimates are needed, got {loo.shape} "
            f"and {b.shape}."
        )
    return _covariance(loo - b, centre)


def _covariance(deviations: Floats, centre: Centre) -> Floats:
    g = len(deviations)
    if centre not in RULES:
        raise EstimationError(f"jackknife: centre must be 'estimate' or 'mean', got {centre!r}.")
    if g < 2:
        raise EstimationError(f"jackknife: leaving one cluster out needs two clusters, got {g}.")
    gone = ~np.isfinite(deviations).all(axis=1)
    if gone.any():
        raise IdentificationError(
            f"jackknife: the estimate does not exist without some clusters ({int(gone.sum())} of {g}, first: number "
            f"{int(np.flatnonzero(gone)[0]) + 1}), so leaving one out gives no error. Leave those estimates out."
        )
    centred = deviations - deviations.mean(axis=0) if centre == "mean" else deviations
    return np.asarray((g - 1) / g * centred.T @ centred)


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What each of G clusters does to k coefficients.

    Attributes
    ----------
    coefficients : ndarray, shape (G, k)
        Without each cluster.
    identified : ndarray of bool, shape (G, k)
        Whether they exist without it.
    partial_leverage : ndarray, shape (G, k)
        Share of each cluster in what a coefficient rests on; columns add up to 1.
    leverage : ndarray, shape (G,)
        Share of the hat matrix's trace, effects of time included and those within clusters taken out first; NaN
        where units are not nested in clusters.
    """

    coefficients: Floats
    identified: NDArray[np.bool_]
    partial_leverage: Floats
    leverage: Floats


def leave_out_clusters(
    within: Floats,
    weights: Floats,
    effects: TwoWay,
    cluster: Codes,
    n_clusters: int,
    trend: Floats | None,
    gram: Floats,
) -> LeftOut:
    """Return the coefficients of an absorbed regression without each cluster, from sums per cluster.

    Parameters
    ----------
    within : ndarray, shape (1 + k, n)
        Outcome and regressors less all effects, rows ordered by cluster.
    weights : ndarray, shape (n,)
    effects : TwoWay
        What was taken out.
    cluster : ndarray of int, shape (n,)
        Ascending.
    n_clusters : int
        G.
    trend : ndarray or None
        As in ``two_way``.
    gram : ndarray, shape (1 + k, 1 + k)
        Weighted squares of ``within``.

    Returns
    -------
    LeftOut

    Notes
    -----
    Residuals from the full sample's effects differ from those of a part only by effects, so the part's squares
    are those of the residuals less what its own effects would still take up: sums per cluster are enough.
    """
    slices, own = _own_squares(within, weights, cluster, n_clusters)
    large = effects.cell // effects.shape[1]
    home = np.zeros(effects.shape[0], dtype=np.int64)
    home[large] = cluster
    if (home[large] == cluster).all():
        taken, shares = _nested(within, weights, effects, cluster, home, n_clusters)
    else:
        taken, shares = _crossed(within, weights, effects, slices, trend), np.full(n_clusters, np.nan)
    solved = [_coefficients(gram - mine - effect, gram) for mine, effect in zip(own, taken, strict=True)]
    return LeftOut(
        np.stack([b for b, _ in solved]),
        np.stack([exists for _, exists in solved]),
        _partial_leverage(own, gram),
        shares + np.einsum("ij,gji->g", np.linalg.inv(gram[1:, 1:]), own[:, 1:, 1:]),
    )


def partial_leverage(
    within: Floats, weights: Floats, cluster: Codes, n_clusters: int, gram: Floats, combine: Floats | None = None
) -> Floats:
    """Return the share of each cluster in what a coefficient rests on, shape (G, k); arguments as before.

    ``combine``, shape (r, k), asks for combinations of coefficients instead: then the shape is (G, r).
    """
    return _partial_leverage(_own_squares(within, weights, cluster, n_clusters)[1], gram, combine)


def _own_squares(within: Floats, weights: Floats, cluster: Codes, n_clusters: int) -> tuple[list[slice], Floats]:
    """Rows of each cluster, and the weighted squares of its columns, shape (G, 1 + k, 1 + k)."""
    ends = np.searchsorted(cluster, np.arange(n_clusters + 1))
    slices = [slice(start, end) for start, end in pairwise(ends)]
    return slices, np.stack([(within[:, part] * weights[part]) @ within[:, part].T for part in slices])


def _partial_leverage(own: Floats, gram: Floats, combine: Floats | None = None) -> Floats:
    rows = np.eye(len(gram) - 1) if combine is None else combine
    rests = rows @ np.linalg.inv(gram[1:, 1:])
    share = np.einsum("ij,gjk,ik->gi", rests, own[:, 1:, 1:], rests, optimize=True)
    return np.asarray(share / (rests * rows).sum(axis=1))


def _nested(
    within: Floats, weights: Floats, effects: TwoWay, cluster: Codes, home: Codes, n_clusters: int
) -> tuple[Floats, Floats]:
    """What effects of the smaller classification take up without each cluster, and their leverage."""
    s = effects.shape[1]
    place = cluster * s + effects.cell % s
    sums = np.stack([cell_sums(place, weights * column, (n_clusters, s)) for column in within], axis=2)
    mass = cell_sums(place, weights, (n_clusters, s))
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(n_clusters + 1))
    taken, shares = np.empty((n_clusters, len(within), len(within))), np.empty(n_clusters)
    for g in range(n_clusters):
        members = order[ends[g] : ends[g + 1]]
        system = small_system(effects.table[:, members], effects.inverse[:, members], mass[g])
        taken[g] = sums[g].T @ pseudo_inverse(effects.small_system - system) @ sums[g]
        shares[g] = np.trace(effects.solver @ system)
    return taken, shares


def _crossed(within: Floats, weights: Floats, effects: TwoWay, slices: list[slice], trend: Floats | None) -> Floats:
    """What both sets of effects take up without each cluster, where clusters cut across their levels."""
    mass, taken = cell_sums(effects.cell, weights, effects.shape), []
    for part in slices:
        cell = effects.cell[part]
        rest = mass - cell_sums(cell, weights[part], effects.shape)
        without = from_mass(np.where(rest > 1e-9 * mass, rest, 0.0), cell, weights[part], trend)
        pairs = [without.reduce(cell_sums(cell, weights[part] * column, effects.shape)) for column in within[:, part]]
        large = np.stack([pair[0].ravel() for pair in pairs], axis=1)
        small = np.stack([pair[1] for pair in pairs], axis=1)
        taken.append(large.T @ (without.inverse.ravel()[:, None] * large) + small.T @ without.solver @ small)
    return np.stack(taken)


def _coefficients(left: Floats, gram: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Solve the normal equations of what is left; say which coefficients they determine."""
    scale = np.sqrt(np.diag(gram)[1:])
    scaled = left[1:, 1:] / np.outer(scale, scale)
    solver = np.linalg.pinv(scaled, rcond=NOTHING_LEFT, hermitian=True)
    determined = np.abs(np.diag(solver @ scaled) - 1) < 1e-6
    return np.asarray(solver @ (left[1:, 0] / scale) / scale), np.asarray(determined)


@dataclass(frozen=True, eq=False)
class ClusterJackknife(ReplicateEngine):
    """Variance engine whose contributions are leave-one-cluster-out estimates less the full estimate, shape (G, k).

    Contributions of one clustering add up, so contrasts of such estimates (also of several results) keep
    their covariance.

    Attributes
    ----------
    cluster : str
        Column whose values are the clusters.
    centre : {"estimate", "mean"}
        CV3 or CV3J.
    labels : tuple
        Value of each cluster, in the order of the contributions.
    left_out : LeftOut or None
        Leverage, where the estimator knows it.
    """

    cluster: str = ""
    centre: Centre = "estimate"
    labels: tuple[Any, ...] = field(default=(), repr=False)
    left_out: LeftOut | None = field(default=None, repr=False)

    @property
    def method(self) -> str:
        """Name of the rule, number of clusters and their column."""
        return f"{RULES[self.centre]} jackknife, {self.sampling.n_units} clusters ({self.cluster})"

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of ``(G, k)`` leave-one-out deviations."""
        return _covariance(np.asarray(contributions, dtype=float), self.centre)


def cluster_jackknife(
    data: pd.DataFrame,
    cluster: str,
    codes: Codes,
    n_clusters: int,
    *,
    centre: Centre = "estimate",
    labels: Sequence[Any] = (),
    left_out: LeftOut | None = None,
) -> ClusterJackknife:
    """Return the engine that turns leave-one-cluster-out deviations into a covariance.

    Parameters
    ----------
    data : pandas.DataFrame, n rows
        The respondents, by whom results of two samples are told apart.
    cluster : str
        Column of the clusters.
    codes : ndarray of int, shape (n,)
        Cluster of each respondent, 0 to ``n_clusters - 1``; -1 for those left out.
    n_clusters : int
        Number of clusters, G.
    centre : {"estimate", "mean"}
        CV3 or CV3J.
    labels : sequence, optional
        Value of each cluster, for ``leave_one_out``.
    left_out : LeftOut, optional
        Leverage of each cluster.

    Examples
    --------
    >>> respondents = pd.DataFrame({"district": ["a", "b", "c"]})
    >>> engine = cluster_jackknife(respondents, "district", np.arange(3), 3)
    >>> engine.method, engine.covariance(np.array([[-2.0], [-1.0], [3.0]])).round(3).tolist()
    ('CV3 jackknife, 3 clusters (district)', [[9.333]])
    """
    sampling, scale = cluster_sampling(data, cluster, codes, n_clusters), (n_clusters - 1) / n_clusters
    ones = np.ones(n_clusters)
    return ClusterJackknife(RULES[centre], scale, ones, sampling, cluster, centre, tuple(labels), left_out)


def cluster_sampling(data: pd.DataFrame, cluster: str, codes: Codes, n_clusters: int) -> Sampling:
    """Return clusters as if they were the sampling units; ``codes`` as in ``cluster_jackknife``."""
    stage = Stage(codes, np.zeros(n_clusters, dtype=np.int64), 1, np.zeros(1))
    return Sampling((stage,), data, psu=(cluster,))


@dataclass(frozen=True, eq=False)
class ClusterSums(TaylorEngine):
    """Variance engine of the sandwich: contributions are scores per cluster with their small-sample factor in them.

    Attributes
    ----------
    rule : {"CR1", "CR0"}
        With or without small-sample factor.
    cluster : str
        Column whose values are the clusters.
    """

    rule: str = "CR1"
    cluster: str = ""

    @property
    def method(self) -> str:
        """Name of the rule, number of clusters and their column."""
        return f"{self.rule}, {self.sampling.n_units} clusters ({self.cluster})"

    def covariance(self, contributions: Floats | DomainContributions) -> Floats:
        """Return the ``(k, k)`` covariance of ``(G, k)`` scores."""
        sums = np.asarray(contributions)
        return np.asarray(sums.T @ sums)


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """What each cluster does to an estimate.

    Attributes
    ----------
    frame : pandas.DataFrame
        One row per term and cluster.
    provenance : Provenance
        Of the estimate.
    outcome : str
        Column of the outcome, for titles; empty where it is not known.
    """

    frame: pd.DataFrame
    provenance: Provenance
    outcome: str = ""

    def subject(self, lang: str) -> str:
        """Return what the estimates are of, for a title."""
        return heading(self.outcome, self.provenance.labels, lang) if self.outcome else ""

    def tidy(self) -> pd.DataFrame:
        """Return ``term``, the cluster, ``estimate`` without it, ``change`` against all, ``partial_leverage``."""
        return self.frame.copy()

    def __repr__(self) -> str:
        return str(self.frame.to_string(index=False, float_format=lambda value: f"{value:.6g}"))


def leave_one_out(result: Estimates) -> LeaveOneOut:
    """Show an estimate without each cluster: whether one district carries the result.

    Parameters
    ----------
    result : Estimates
        Made with ``vcov="jackknife"``.

    Returns
    -------
    LeaveOneOut
        One row per key and cluster: keys, the cluster (text) under its column's name, ``estimate`` without it,
        ``change`` (that less the estimate from all), ``leverage`` and ``partial_leverage`` where the estimator
        knows them.

    Raises
    ------
    EstimationError
        The result was not made by leaving out clusters.

    References
    ----------
    R twin: ``summclust::summclust``.
    """
    engine = result.engine if isinstance(result, Estimates) else None
    if not isinstance(engine, ClusterJackknife) or result.contributions is None:
        raise EstimationError(
            "leave_one_out needs estimates made by leaving out clusters. Name a cluster, and leave vcov at 'jackknife'."
        )
    g = engine.sampling.n_units
    labels = list(map(str, engine.labels or range(1, g + 1)))
    parts = []
    for row in range(len(result)):
        keys = {str(name): [value] * g for name, value in result.keys.iloc[row].items()}
        change = result.contributions[:, row]
        columns: dict[str, Any] = {**keys, engine.cluster: labels, "estimate": result.estimate[row] + change}
        columns["change"] = change
        if engine.left_out is not None and engine.left_out.coefficients.shape == result.contributions.shape:
            columns["leverage"] = engine.left_out.leverage
            columns["partial_leverage"] = engine.left_out.partial_leverage[:, row]
        parts.append(_without_small(result, engine, pd.DataFrame(columns)))
    outcome = str(result.fit.get("outcome", ""))
    return LeaveOneOut(pd.concat(parts, ignore_index=True), result.provenance, outcome)


def _without_small(result: Estimates, engine: ClusterJackknife, frame: pd.DataFrame) -> pd.DataFrame:
    """Return what each cluster does without numbers of those with fewer than ``min_base`` respondents in the data."""
    least = max(result.provenance.min_base, result.provenance.min_cell)
    codes = engine.sampling.stages[0].unit
    few = np.bincount(codes[codes >= 0], minlength=engine.sampling.n_units) < least
    hidden = [name for name in ("estimate", "change", "leverage", "partial_leverage") if name in frame]
    frame.loc[few, hidden] = np.nan
    return frame
