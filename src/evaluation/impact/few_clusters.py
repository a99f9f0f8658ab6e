"""Inference with few clusters: leave each cluster out once, and look how far the estimate moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.sampling import Sampling, Stage
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import EstimationError, IdentificationError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Centre = Literal["estimate", "mean"]

#: Name of the rule by what the leave-one-out estimates are centred at.
RULES = {"estimate": "CV3", "mean": "CV3J"}


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
    """

    cluster: str = ""
    centre: Centre = "estimate"

    @property
    def method(self) -> str:
        """Name of the rule, number of clusters and their column."""
        return f"{RULES[self.centre]} jackknife, {self.sampling.n_units} clusters ({self.cluster})"

    def covariance(self, contributions: Floats) -> Floats:
        """Return the ``(k, k)`` covariance of ``(G, k)`` leave-one-out deviations."""
        return _covariance(np.asarray(contributions, dtype=float), self.centre)


def cluster_jackknife(
    data: pd.DataFrame, cluster: str, codes: Codes, n_clusters: int, *, centre: Centre = "estimate"
) -> ClusterJackknife:
    """Return the engine that turns leave-one-cluster-out deviations into a covariance.

    Parameters
    ----------
    data : pandas.DataFrame, n rows
        The respondents, by whom results of two samples are told apart.
    cluster : str
        Column of the clusters.
    codes : ndarray of int, shape (n,)
        Cluster of each respondent, 0 to ``n_clusters - 1``.
    n_clusters : int
        Number of clusters, G.
    centre : {"estimate", "mean"}
        CV3 or CV3J.

    Examples
    --------
    >>> respondents = pd.DataFrame({"district": ["a", "b", "c"]})
    >>> engine = cluster_jackknife(respondents, "district", np.arange(3), 3)
    >>> engine.method, engine.covariance(np.array([[-2.0], [-1.0], [3.0]])).round(3).tolist()
    ('CV3 jackknife, 3 clusters (district)', [[9.333]])
    """
    stage = Stage(codes, np.zeros(n_clusters, dtype=np.int64), 1, np.zeros(1))
    sampling = Sampling((stage,), data, psu=(cluster,))
    scale = (n_clusters - 1) / n_clusters
    return ClusterJackknife(RULES[centre], scale, np.ones(n_clusters), sampling, cluster=cluster, centre=centre)
