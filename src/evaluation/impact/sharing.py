"""Whether respondents who were treated together count as independent of one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.impact.effects import Clusters
from evaluation.impact.panel import Panel
from evaluation.results import SAMPLING_ALONE

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


def sampling_units(design: Design) -> Codes:
    """Return the sampling unit of each row that the design's errors take as independent, shape (n,).

    Parameters
    ----------
    design : Design
        Of replicates: rows whose factors are equal are of one unit.
    """
    return design.sampling.stages[0].unit if design.replicates is None else design.replicates.unit


def holds_several(group: Codes, piece: Codes) -> bool:
    """Tell whether some group has rows of several pieces.

    Parameters
    ----------
    group, piece : ndarray of int, shape (m,)

    Examples
    --------
    >>> holds_several(np.array([0, 0, 1]), np.array([4, 4, 5])), holds_several(np.array([0, 0]), np.array([4, 5]))
    (False, True)
    """
    first = np.zeros(int(group.max(initial=-1)) + 1, dtype=np.int64)
    first[group] = piece
    return bool((first[group] != piece).any())


def is_same_within(values: Floats, group: Codes) -> bool:
    """Tell whether all rows of each group have the same value.

    Parameters
    ----------
    values : ndarray, shape (m,)
    group : ndarray of int, shape (m,)
    """
    first = np.zeros(int(group.max(initial=-1)) + 1)
    first[group] = values
    return bool((first[group] == values).all())


def stays_on(values: Floats, unit: Codes, wave: Codes) -> bool:
    """Tell whether a treatment that is zero somewhere is on in one stretch of waves, or none, in every unit.

    Parameters
    ----------
    values : ndarray, shape (m,)
    unit, wave : ndarray of int, shape (m,)
        Rows of one unit and wave must have the same value.

    Examples
    --------
    >>> unit, wave = np.repeat([0, 1], 3), np.tile([0, 1, 2], 2)
    >>> stays_on(np.array([0, 0, 1.0, 0, 0, 0]), unit, wave), stays_on(np.array([1, 0, 1.0, 0, 0, 0]), unit, wave)
    (True, False)
    """
    if not is_same_within(values, unit * (int(wave.max(initial=0)) + 1) + wave):
        return False
    order = np.lexsort((wave, unit))
    own, on = unit[order], values[order] != 0
    before = np.concatenate([[False], on[:-1] & (own[1:] == own[:-1])])
    starts = np.bincount(own[on & ~before], minlength=1)
    return bool(on.any() and not on.all() and starts.max() <= 1)


def told_of_sampling(
    panel: Panel,
    vcov: str,
    *,
    clusters: Clusters | None = None,
    cohort: Floats | None = None,
    place: Codes | None = None,
) -> dict[str, Any]:
    """Return what ``fit`` says of errors of the sampling design alone: an entry where they hold no shocks of places.

    Parameters
    ----------
    panel : Panel
    vcov : str
        Rule of the errors; nothing is said of others than "design".
    clusters : Clusters, optional
        Places treated as wholes.
    cohort : ndarray, shape (n,), optional
        First treated period of each row, infinite for never.
    place : ndarray of int, shape (n,), optional
        Place of each row, -1 where not counted.

    Notes
    -----
    Sampling units drawn afresh in every wave cannot carry what happens to a place over time. Those that come again
    carry it up to their own size: they are too small where the cluster, the place or the stratum that starts as a
    whole holds several.
    """
    if vcov != "design":
        return {}
    counted = panel.period >= 0
    unit, wave = sampling_units(panel.design)[counted], panel.period[counted]
    if not holds_several(unit, wave):
        return {SAMPLING_ALONE: True}
    groups = [] if clusters is None else [clusters.code[counted]]
    groups += [] if place is None else [place[counted]]
    if cohort is not None:
        start = np.unique(cohort[counted], return_inverse=True)[1].astype(np.int64)
        first = panel.design.sampling.stages[0]
        groups.append(first.stratum[first.unit[counted]])
        # No more groups than cohorts: these are the cohorts themselves, not places.
        groups = [each for each in groups if len(np.unique(each)) > start.max() + 1 and not _holds_several(each, start)]
    return {SAMPLING_ALONE: True} if any(_holds_several(each, unit) for each in groups) else {}


def _holds_several(group: Codes, piece: Codes) -> bool:
    """Tell whether some group has rows of several pieces; rows of no group (-1) do not count."""
    return holds_several(group[group >= 0], piece[group >= 0])
