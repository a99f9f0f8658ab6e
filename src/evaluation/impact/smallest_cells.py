"""How few respondents stand in the smallest group and wave that an effect rests on: what may not be shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.impact.identification import Cell

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


def counts_of(cohort: Codes, period: Codes, shape: tuple[int, int]) -> Codes:
    """Return the respondents of each cohort and wave, shape (C, T).

    Examples
    --------
    >>> counts_of(np.array([0, 0, 1]), np.array([0, 1, 1]), (2, 2)).tolist()
    [[1, 1], [0, 1]]
    """
    counted = np.bincount(cohort * shape[1] + period, minlength=shape[0] * shape[1])
    return np.asarray(counted.reshape(shape), dtype=np.int64)


def smallest_compared(counts: Codes, cells: Sequence[Cell], groups: Sequence[Sequence[int] | Codes]) -> Codes:
    """Return the smallest of treated and comparison, now and at the base, over the cells of each group.

    An aggregate takes the smallest of its cells: beside the other cells and their weights it would give it away.

    Parameters
    ----------
    counts : ndarray of int, shape (C, T)
        Of a panel of units, those of the cohort in every wave.
    cells : sequence of Cell
    groups : sequence of r sequences of int
        Cells behind each row; a reference cell counts only where a row has nothing else.

    Examples
    --------
    >>> counts = np.array([[40, 3], [60, 70]])
    >>> smallest_compared(counts, [Cell(0, 1, 0, (1,))], [[0]]).tolist()
    [3]
    """
    own = []
    for cell in cells:
        waves = [cell.time, cell.base]
        own.append(min(counts[cell.cohort, waves].min(), counts[list(cell.controls)][:, waves].sum(axis=0).min()))
    least = np.array(own, dtype=np.int64)
    compared = np.array([not cell.is_reference for cell in cells], dtype=bool)
    made = []
    for rows in groups:
        used = np.asarray(rows, dtype=np.int64)
        used = used[compared[used]] if compared[used].any() else used
        made.append(int(least[used].min()) if len(used) else 0)
    return np.array(made, dtype=np.int64)


def smallest_averaged(counts: Codes, cells: Mask, serves: Mask, base: Mask) -> Codes:
    """Return the smallest group behind averages of a regression, shape (r,).

    Parameters
    ----------
    counts : ndarray of int, shape (C, T)
    cells : ndarray of bool, shape (r, C, T)
        Cohorts and waves that each row averages; those without respondents carry nothing.
    serves : ndarray of bool, shape (C, T, C)
        Which cohorts a cohort is compared with in a wave.
    base : ndarray of bool, shape (C, T)
        Waves that a cohort is measured against, taken together.

    Examples
    --------
    >>> counts, base = np.array([[40, 3], [60, 70]]), np.array([[True, False], [False, False]])
    >>> cells, serves = np.zeros((1, 2, 2), dtype=bool), np.zeros((2, 2, 2), dtype=bool)
    >>> cells[0, 0, 1] = serves[0, 1, 1] = True
    >>> smallest_averaged(counts, cells, serves, base).tolist()
    [3]
    """
    before = (counts * base).sum(axis=1)
    beside = np.einsum("ctd,dt->ct", serves.astype(np.int64), counts)
    beside_before = np.einsum("ctd,ds,cs->ct", serves.astype(np.int64), counts, base.astype(np.int64))
    each = np.stack([counts, np.broadcast_to(before[:, None], counts.shape), beside, beside_before])
    least = np.where(each > 0, each, np.iinfo(np.int64).max).min(axis=0)
    carried = cells & (counts > 0)
    return np.array([int(least[row].min()) if row.any() else 0 for row in carried], dtype=np.int64)


def last_of(waves: Mask) -> Mask:
    """Return the last of the waves marked for each cohort, shape (C, T).

    Examples
    --------
    >>> last_of(np.array([[True, True, False], [False, False, False]])).tolist()
    [[False, True, False], [False, False, False]]
    """
    later: Codes = np.cumsum(waves[:, ::-1], axis=1)[:, ::-1] - waves
    return np.asarray(waves & (later == 0))
