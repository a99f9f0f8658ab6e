"""Collapse once: sums per sampling unit, so that all later work is on a small table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Up to this many keys, distinct ones are found by marks instead of sorting.
MAXIMUM_MARKS = 50_000_000


def sum_by(codes: Codes, n_groups: int, columns: Floats) -> Floats:
    """Return the sums of each column by group.

    Parameters
    ----------
    codes : ndarray of int, shape (n,)
        Group of each row, 0 to ``n_groups - 1``.
    n_groups : int
        Number of groups.
    columns : ndarray, shape (n, k)
        Values.

    Returns
    -------
    ndarray, shape (n_groups, k)
        Rows are added in their order, so equal input gives equal bytes.

    Examples
    --------
    >>> sum_by(np.array([0, 1, 0]), 2, np.array([[1.0], [2.0], [3.0]]))
    array([[4.],
           [2.]])
    """
    sums = np.empty((n_groups, columns.shape[1]))
    for k in range(columns.shape[1]):
        sums[:, k] = mass_by(codes, n_groups, columns[:, k])
    return sums


def mass_by(codes: Codes, n_groups: int, weights: Floats) -> Floats:
    """Return the sum of ``weights``, shape (n,), in each group, shape (n_groups,).

    Examples
    --------
    >>> mass_by(np.array([0, 1, 0]), 3, np.array([1.0, 2.0, 3.0]))
    array([4., 2., 0.])
    """
    return np.asarray(np.bincount(codes, weights=weights, minlength=n_groups), dtype=np.float64)


def compact(key: Codes, size: int) -> tuple[Codes, Codes]:
    """Return keys renumbered from 0 without gaps, shape (n,), and the keys that occur, sorted.

    Parameters
    ----------
    key : ndarray of int, shape (n,)
        From 0 to ``size - 1``.
    size : int
        Small ranges are counted, large ones sorted.

    Examples
    --------
    >>> compact(np.array([7, 2, 7]), 8)
    (array([1, 0, 1]), array([2, 7]))
    """
    if size > max(MAXIMUM_MARKS, 4 * len(key)):
        found, code = np.unique(key, return_inverse=True)
        return code, found
    occurs = np.zeros(size, dtype=bool)
    occurs[key] = True
    place = np.cumsum(occurs) - 1
    return place[key], np.flatnonzero(occurs)


def crossed(codes: Sequence[Codes], sizes: Sequence[int]) -> tuple[Codes, Codes]:
    """Return the crossing of several codes: cell of each row, shape (n,), and each cell's codes, shape (n_cells, m).

    Examples
    --------
    >>> crossed([np.array([0, 1, 0]), np.array([2, 0, 2])], [2, 3])
    (array([0, 1, 0]), array([[0, 2],
           [1, 0]]))
    """
    key, size = codes[0], sizes[0]
    levels = np.arange(size)[:, None]
    if len(codes) == 1:
        code, found = compact(key, size)
        return code, levels[found]
    key, found = compact(key, size)
    levels = levels[found]
    for code, own in zip(codes[1:], sizes[1:], strict=True):
        key, found = compact(key * own + code, len(levels) * own)
        levels = np.column_stack([levels[found // own], found % own])
    return key, levels
