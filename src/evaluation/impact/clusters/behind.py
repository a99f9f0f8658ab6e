"""Which clusters carry each row of a result, and how few stand beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def clusters_behind(cluster: Codes, cohort: Codes, period: Codes, cells: Mask, serves: Mask) -> dict[str, list[int]]:
    """Count for each row the clusters of its cohorts, and those that its barest comparison has.

    Parameters
    ----------
    cluster, cohort, period : ndarray of int, shape (m,)
        Of every observation.
    cells : ndarray of bool, shape (r, C, T)
        Cohorts and waves that each row averages.
    serves : ndarray of bool, shape (C, T, C)
        Which cohorts a cohort is compared with in a wave.

    Returns
    -------
    dict
        ``treated_clusters`` and ``control_clusters``, r numbers each: entries of ``fit``.

    Examples
    --------
    Three clusters, the first treated from the second wave on:

    >>> cluster, period = np.repeat([0, 1, 2], 2), np.tile([0, 1], 3)
    >>> cells, serves = np.zeros((1, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)
    >>> cells[0, 0, 1] = serves[0, 1, 1] = True
    >>> clusters_behind(cluster, (cluster > 0).astype(int), period, cells, serves)
    {'treated_clusters': [1], 'control_clusters': [2]}
    """
    c, t = cells.shape[1:]
    g = int(cluster.max(initial=-1)) + 1
    there = np.bincount((cluster * c + cohort) * t + period, minlength=g * c * t).reshape(g, c, t) > 0
    beside = np.stack([(there[:, :, wave] @ serves[:, wave].T).sum(axis=0) for wave in range(t)], axis=1)
    carried = there.any(axis=0)
    treated, control = [], []
    for row in cells:
        own = row & carried
        treated.append(int((there & own).any(axis=(1, 2)).sum()))
        control.append(int(beside[own].min(initial=g)) if own.any() else 0)
    return {"treated_clusters": treated, "control_clusters": control}


def not_treated_yet(cohorts: Floats, times: Floats, *, anticipation: float = 0.0, never: bool = False) -> Mask:
    """Return which other cohorts are not treated yet in a wave, shape (C, T, C).

    Parameters
    ----------
    cohorts : ndarray, shape (C,)
        First treated period, infinite for never.
    times : ndarray, shape (T,)
    anticipation : float
        So long before treatment a cohort no longer counts as untreated.
    never : bool
        Only those never treated.
    """
    free = np.isinf(cohorts)[None, :] | ((cohorts[None, :] - anticipation > times[:, None]) & (not never))
    return np.asarray(free[None, :, :] & ~np.eye(len(cohorts), dtype=bool)[:, None, :])


def compared_places(pairs: Sequence[Sequence[tuple[Codes, Codes]]]) -> dict[str, list[int]]:
    """Count the clusters of each row's comparisons, told as the clusters of places that move and that stay.

    Examples
    --------
    >>> compared_places([[(np.array([0, 0, 1]), np.array([2, 3, 3])), (np.array([1]), np.array([3]))]])
    {'treated_clusters': [2], 'control_clusters': [1]}
    """
    treated = [len({int(g) for moved, _ in row for g in moved}) for row in pairs]
    control = [min((len(np.unique(stayed)) for _, stayed in row), default=0) for row in pairs]
    return {"treated_clusters": treated, "control_clusters": control}
