"""Collapse once: sums per sampling unit, so that all later work is on a small table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


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


def sum_by_unit_and_cell(unit: Codes, n_units: int, cell: Codes, n_cells: int, columns: Floats) -> Floats:
    """Return the sums of each column by sampling unit and cell, shape (n_units, n_cells, k).

    Parameters
    ----------
    unit, cell : ndarray of int, shape (n,)
        Sampling unit and cell (a domain) of each row; rows with a negative cell lie in none.
    n_units, n_cells : int
        Their numbers.
    columns : ndarray, shape (n, k)
        Values, already multiplied by the weight.
    """
    inside = cell >= 0
    if not inside.all():
        unit, cell, columns = unit[inside], cell[inside], columns[inside]
    sums = sum_by(unit * n_cells + cell, n_units * n_cells, columns)
    return sums.reshape(n_units, n_cells, columns.shape[1])
