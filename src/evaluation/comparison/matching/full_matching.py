"""Optimal full matching on a score: everybody in a set of one and several, at the least total distance."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from evaluation.comparison.matching.nearest import Candidates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Run:
    """Neighbours on the line who are of one group: ``rows`` and ``scores``, shape (m,), ascending."""

    rows: Codes
    scores: Floats

    def __len__(self) -> int:
        return len(self.rows)

    def cost_upward(self) -> Floats:
        """Return what the k highest are away from the highest, k from 1 to m."""
        return np.cumsum(self.scores[-1] - self.scores[::-1])

    def cost_downward(self) -> Floats:
        """Return what the k lowest are away from the lowest, k from 1 to m."""
        return np.cumsum(self.scores - self.scores[0])


def full_sets(candidates: Candidates, score: Floats) -> Codes:
    """Return the matched set of each row, -1 where a cell holds one group alone, shape (n,).

    Parameters
    ----------
    candidates : Candidates
        The two groups and the cells within which sets are formed.
    score : ndarray, shape (n,)

    Notes
    -----
    A set holds one member of one group and one or more of the other, and everybody is in one: the links are an edge
    cover of the two groups of least total length. On a line nobody is linked past a neighbouring run of the other
    group, so that each run splits into a lower part linked downward and an upper part linked upward; s of one run
    and t of the next, apart by a gap g, cost their distances to the gap and max(s, t) g. The best split of each run
    follows from that of the run before, in steps proportional to their length: after sorting, the whole takes time
    proportional to n.

    References
    ----------
    Rosenbaum (1991), JRSS B 53, 597-610; Hansen (2004), JASA 99, 609-618. Colannino et al. (2007), Computing
    Research Repository: many-to-many matching on a line. R twin: ``optmatch::fullmatch``.
    """
    sets = np.full(len(score), -1, dtype=np.int64)
    both = np.sort(np.concatenate([candidates.focal, candidates.others]))
    is_focal = np.zeros(len(score), dtype=bool)
    is_focal[candidates.focal] = True
    order = both[np.lexsort((both, score[both], candidates.cell[both]))]
    starts = np.flatnonzero(np.diff(candidates.cell[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        changes = np.flatnonzero(np.diff(is_focal[rows])) + 1
        runs = [_Run(part, score[part]) for part in np.split(rows, changes)]
        if len(runs) > 1:
            links = _links(runs, _splits(runs))
            sets[rows] = rows[_stars(links, rows, is_focal)]
    return _numbered(sets)


def _splits(runs: list[_Run]) -> list[tuple[int, int]]:
    """Return, for each gap between runs, how many of the run below and of the run above are linked across it."""
    # linked[t]: least cost of everything up to a run whose t lowest are linked downward.
    linked = np.concatenate([[0.0], np.full(len(runs[0]), np.inf)])
    choices: list[Codes] = []
    bests: list[Codes] = []
    for lower, upper in pairwise(runs):
        gap = upper.scores[0] - lower.scores[-1]
        before, best = _before(linked)
        bests.append(best)
        before[1:] += lower.cost_upward()
        linked, choice = _across(before, len(upper), gap)
        linked[1:] += upper.cost_downward()
        choices.append(choice)
    return _traced(choices, bests, [len(run) for run in runs])


def _before(linked: Floats) -> tuple[Floats, Codes]:
    """Return the cost of linking the s highest of a run upward, and how many of its lowest are linked downward.

    Who is alone in a run may be linked both ways.
    """
    m = len(linked) - 1
    best = m - np.arange(m + 1)
    if m == 1 and linked[1] < linked[0]:
        best[1] = 1
    return linked[best], best


def _across(before: Floats, m: int, gap: float) -> tuple[Floats, Codes]:
    """Return the cost of linking the t lowest of the next run, t from 0 to m, and the number linked below."""
    n = len(before) - 1
    costs, choice = np.empty(m + 1), np.zeros(m + 1, dtype=np.int64)
    costs[0] = before[0]
    few, many = before[1:], before[1:] + np.arange(1, n + 1) * gap
    low, at_low = _running_least(few)
    high, at_high = (part[::-1] for part in _running_least(many[::-1]))
    at_high = n - 1 - at_high
    t = np.arange(1, m + 1)
    upto = np.minimum(t, n) - 1
    first = low[upto] + t * gap
    second = np.where(t < n, high[np.minimum(t, n - 1)], np.inf)
    costs[1:] = np.minimum(first, second)
    choice[1:] = 1 + np.where(first <= second, at_low[upto], at_high[np.minimum(t, n - 1)])
    return costs, choice


def _running_least(values: Floats) -> tuple[Floats, Codes]:
    """Return the least value so far and where it first stood."""
    least = np.minimum.accumulate(values)
    fresh = np.concatenate([[True], values[1:] < least[:-1]])
    return least, np.maximum.accumulate(np.where(fresh, np.arange(len(values)), 0))


def _traced(choices: list[Codes], bests: list[Codes], sizes: list[int]) -> list[tuple[int, int]]:
    taken: list[tuple[int, int]] = []
    downward = sizes[-1]
    for choice, best in zip(choices[::-1], bests[::-1], strict=True):
        upward = int(choice[downward])
        taken.append((upward, downward))
        downward = int(best[upward])
    return taken[::-1]


def _links(runs: list[_Run], splits: list[tuple[int, int]]) -> list[tuple[Codes, Codes]]:
    """Return the rows linked across each gap; those beyond the smaller part are linked to its nearest member."""
    links = []
    for (lower, upper), (s, t) in zip(pairwise(runs), splits, strict=True):
        if s and t:
            below, above = lower.rows[len(lower) - s :][::-1], upper.rows[:t]
            k = max(s, t)
            # The far ones of the smaller part go with the near ones of the larger, the rest with the nearest.
            place = np.concatenate([np.arange(min(s, t))[:0:-1], np.zeros(k - min(s, t) + 1, dtype=np.int64)])
            links.append((below, above[place]) if s >= t else (below[place], above))
    return links


def _stars(links: list[tuple[Codes, Codes]], rows: Codes, is_focal: NDArray[np.bool_]) -> Codes:
    """Return the place of the centre of each row's set; a link between two who both have others is dropped."""
    place = np.zeros(int(rows.max()) + 1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    one, other = (place[np.concatenate([link[k] for link in links])] for k in (0, 1))
    degree = np.bincount(one, minlength=len(rows)) + np.bincount(other, minlength=len(rows))
    kept = np.ones(len(one), dtype=bool)
    for link in np.flatnonzero((degree[one] > 1) & (degree[other] > 1)):
        if degree[one[link]] > 1 and degree[other[link]] > 1:
            kept[link] = False
            degree[[one[link], other[link]]] -= 1
    one, other = one[kept], other[kept]
    centre = np.arange(len(rows))
    is_leaf = degree[one] == 1
    centre[one[is_leaf]] = other[is_leaf]
    centre[other[~is_leaf]] = one[~is_leaf]
    return centre


def _numbered(sets: Codes) -> Codes:
    """Return sets numbered from 0 in the order of their first row."""
    found = np.flatnonzero(sets >= 0)
    _, first, code = np.unique(sets[found], return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    made = sets.copy()
    made[found] = rank[code]
    return made
