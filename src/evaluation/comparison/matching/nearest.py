"""Nearest neighbours: who of the other group is closest, by a score on a line or by several covariates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from evaluation.errors import EstimationError

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Order = Literal["largest", "smallest", "data", "random"]

ORDERS = ("largest", "smallest", "data", "random")
#: Scores closer than this share of their range count as equal: identical people get scores that differ by rounding.
TIED = 1e-12
#: Neighbours that are asked for at first where several covariates make the distance and each serves once.
FIRST_NEIGHBOURS = 8


@dataclass(frozen=True, eq=False)
class Pairing:
    """Who was paired with whom, one entry per pair.

    Attributes
    ----------
    focal, partner : ndarray of int, shape (m,)
        Row positions: a member of the target group, and the partner from the other one.
    share : ndarray, shape (m,)
        Part of the member's comparison that the partner makes up; sums to one for each member.
    distance : ndarray, shape (m,)
        Between the two.
    """

    focal: Codes
    partner: Codes
    share: Floats
    distance: Floats


@dataclass(frozen=True, eq=False)
class Candidates:
    """Both groups, ready to be paired.

    Attributes
    ----------
    focal, others : ndarray of int
        Row positions of those who look for partners, and of those among whom they look, ascending.
    cell : ndarray of int, shape (n,)
        Partners come from the same cell.
    """

    focal: Codes
    others: Codes
    cell: Codes


def tied_scores(score: Floats, used: Mask) -> Floats:
    """Return scores with those that differ by rounding alone made equal, shape (n,).

    Examples
    --------
    >>> tied_scores(np.array([0.3, 0.1 + 0.2, 0.9]), np.ones(3, dtype=bool)).tolist()
    [0.3, 0.3, 0.9]
    """
    rows = np.flatnonzero(used)
    if not len(rows):
        return score
    order = rows[np.argsort(score[rows], kind="stable")]
    ordered = score[order]
    first = np.concatenate([[True], np.diff(ordered) > TIED * (ordered[-1] - ordered[0])])
    made = score.copy()
    made[order] = ordered[np.flatnonzero(first)[np.cumsum(first) - 1]]
    return made


@dataclass(frozen=True, eq=False)
class _Line:
    """The others in order of cell, score and row, and where each member of the target group stands among them.

    ``rows`` and ``scores``, shape (m,), belong to the others; ``at``, ``low`` and ``high`` to the members of the
    target group: how many of the others stand before, and where their cell begins and ends.
    """

    rows: Codes
    scores: Floats
    at: Codes
    low: Codes
    high: Codes


def _line(candidates: Candidates, score: Floats) -> _Line:
    both = np.concatenate([candidates.focal, candidates.others])
    is_other = np.zeros(len(score), dtype=bool)
    is_other[candidates.others] = True
    both.sort()
    by_score = both[np.argsort(score[both], kind="stable")]
    order = by_score[np.argsort(candidates.cell[by_score], kind="stable")] if candidates.cell.any() else by_score
    others = is_other[order]
    before = np.cumsum(others)
    at = np.zeros(len(score), dtype=np.int64)
    at[order] = before
    rows = order[others]
    per_cell = np.bincount(candidates.cell[rows], minlength=int(candidates.cell[both].max()) + 1)
    ends = np.cumsum(per_cell)
    own = candidates.cell[candidates.focal]
    return _Line(rows, score[rows], at[candidates.focal], (ends - per_cell)[own], ends[own])


def nearest_with_replacement(
    candidates: Candidates, score: Floats, *, ratio: int, caliper: float, average_ties: bool
) -> Pairing:
    """Pair each member of the target group with the nearest of the others; who is near to several serves several.

    Parameters
    ----------
    candidates : Candidates
    score : ndarray, shape (n,)
    ratio : int
        Partners for each member, fewer where the caliper or the cell leaves fewer.
    caliper : float
        Largest distance; infinite for none.
    average_ties : bool
        Whether all who are as near as the last partner are taken too, with equal shares. Otherwise the lower score,
        then the row next to the member's in the order of scores is.
    """
    line = _line(candidates, score)
    left, right = line.at.copy(), line.at.copy()
    farthest = np.full(len(left), -np.inf)
    for _ in range(ratio):
        below, above = _gaps(line, score[candidates.focal], left, right)
        nearer = np.minimum(below, above)
        taken = np.isfinite(nearer) & (nearer <= caliper)
        downward = taken & (below <= above)
        left -= downward
        right += taken & ~downward
        farthest = np.where(taken, nearer, farthest)
    if average_ties:
        left, right = _with_ties(line, score[candidates.focal], farthest, TIED * np.ptp(line.scores))
    count = right - left
    which = np.repeat(np.arange(len(count)), count)
    place = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + left[which]
    focal, partner = candidates.focal[which], line.rows[place]
    return Pairing(focal, partner, 1.0 / count[which], np.abs(score[focal] - score[partner]))


def _gaps(line: _Line, own: Floats, left: Codes, right: Codes) -> tuple[Floats, Floats]:
    """Return the distances to the next lower and the next higher of the others; infinite at the end of the cell."""
    last = len(line.scores) - 1
    below = np.where(left > line.low, own - line.scores[np.maximum(left - 1, 0)], np.inf)
    above = np.where(right < line.high, line.scores[np.minimum(right, last)] - own, np.inf)
    return below, above


def _with_ties(line: _Line, own: Floats, farthest: Floats, tolerance: float) -> tuple[Codes, Codes]:
    left, right = line.at.copy(), line.at.copy()
    found = np.isfinite(farthest)
    reach = farthest + tolerance
    starts, cell = np.unique(line.low[found], return_inverse=True)
    members = np.flatnonzero(found)[np.argsort(cell, kind="stable")]
    for rows in np.split(members, np.cumsum(np.bincount(cell, minlength=len(starts)))[:-1]):
        if len(rows):
            low, high = line.low[rows[0]], line.high[rows[0]]
            scores = line.scores[low:high]
            left[rows] = low + np.searchsorted(scores, own[rows] - reach[rows], side="left")
            right[rows] = low + np.searchsorted(scores, own[rows] + reach[rows], side="right")
    return left, right


def nearest_without_replacement(
    candidates: Candidates, score: Floats, *, ratio: int, caliper: float, order: Order, seed: int | None
) -> Pairing:
    """Pair one after the other with the nearest who is still free, all with a first partner before a second.

    Parameters
    ----------
    candidates, score, ratio, caliper
        As in ``nearest_with_replacement``.
    order : {"largest", "smallest", "data", "random"}
        Who chooses first: by score, by row, or by lot.
    seed : int, optional
        Of the lot.

    Notes
    -----
    The others stand in order of their scores. From each place two links lead to the next free place below and
    above; a place that is taken is linked past, and links are shortened when they are followed (union-find), so that
    n pairs take about n log n steps.
    """
    line = _line(candidates, score)
    own = score[candidates.focal]
    queue = in_order(own, order, seed)
    # NaN and infinity both fail this comparison, so an unlimited caliper is the largest finite distance.
    reach = min(caliper, float(np.finfo(float).max))
    pairs = _taken_in_turn(line, own, queue, ratio, reach)
    focal = candidates.focal[pairs[0]]
    partner = line.rows[pairs[1]]
    by_focal = np.argsort(focal, kind="stable")
    focal, partner = focal[by_focal], partner[by_focal]
    count = np.bincount(focal, minlength=len(score))
    return Pairing(focal, partner, 1.0 / count[focal], np.abs(score[focal] - score[partner]))


def in_order(own: Floats, order: Order, seed: int | None) -> Codes:
    """Return the places of the target group in the order in which they choose."""
    if order == "data":
        return np.arange(len(own))
    if order == "random":
        return np.random.default_rng(seed).permutation(len(own))
    return np.argsort(-own if order == "largest" else own, kind="stable")


def _taken_in_turn(line: _Line, own: Floats, queue: Codes, ratio: int, reach: float) -> tuple[Codes, Codes]:
    """Return places of both sides of each pair, in the order in which they were made."""
    scores = line.scores.tolist()
    # Place k of ``below`` stands for the other before place k, its 0 for nobody; of ``above`` for the other there.
    below, above = list(range(len(scores) + 1)), list(range(len(scores) + 1))
    members, partners = [], []
    turn = queue
    for _ in range(ratio):
        served = []
        rows = zip(*(part[turn].tolist() for part in (own, line.at, line.low, line.high)), strict=True)
        for member, (value, at, low, high) in zip(turn.tolist(), rows, strict=True):
            down = up = at
            while below[down] != down:
                below[down] = down = below[below[down]]
            while above[up] != up:
                above[up] = up = above[above[up]]
            gap_down = value - scores[down - 1] if down > low else np.inf
            gap_up = scores[up] - value if up < high else np.inf
            if gap_down <= gap_up:
                gap, place = gap_down, down - 1
            else:
                gap, place = gap_up, up
            if gap <= reach:
                below[place + 1] = place
                above[place] = place + 1
                served.append(member)
                partners.append(place)
        members += served
        turn = np.array(served, dtype=np.int64)
    return np.array(members, dtype=np.int64), np.array(partners, dtype=np.int64)


def nearest_by_covariates(
    candidates: Candidates,
    points: Floats,
    *,
    ratio: int,
    caliper: float,
    replacement: bool,
    average_ties: bool,
    order: Order,
    seed: int | None,
) -> Pairing:
    """Pair by the distance of points, shape (n, p), found by a tree of the others in each cell.

    Parameters
    ----------
    candidates, ratio, caliper, average_ties, seed
        As with a score.
    points : ndarray, shape (n, p)
        Covariates in units in which their distance counts.
    order : {"data", "random"}
        There is no largest point.
    """
    if not replacement and order not in ("data", "random"):
        raise EstimationError(
            f"match: order={order!r} sorts by a score, which distance='mahalanobis' does not have. Use order='data' or "
            f"order='random' with a seed."
        )
    found: list[tuple[Codes, Codes, Floats]] = []
    for focal, others in _by_cell(candidates):
        tree = cKDTree(points[others])
        if replacement:
            which, near, far = _of_all(tree, points[focal], ratio, caliper, average_ties)
        else:
            queue = in_order(np.zeros(len(focal)), order, seed)
            which, near, far = _of_free(tree, points[focal], queue, ratio, caliper)
        found.append((focal[which], others[near], far))
    focal, partner, distance = (
        np.concatenate([part[k] for part in found]) if found else np.array([], dtype=kind)
        for k, kind in enumerate((np.int64, np.int64, float))
    )
    by_focal = np.argsort(focal, kind="stable")
    count = np.bincount(focal, minlength=len(points))
    return Pairing(focal[by_focal], partner[by_focal], 1.0 / count[focal[by_focal]], distance[by_focal])


def _by_cell(candidates: Candidates) -> Iterator[tuple[Codes, Codes]]:
    """Yield the members of both groups, cell by cell, where a cell holds both."""
    sides = []
    for rows in (candidates.focal, candidates.others):
        cell = candidates.cell[rows]
        order = np.argsort(cell, kind="stable")
        levels, starts = np.unique(cell[order], return_index=True)
        sides.append(dict(zip(levels.tolist(), np.split(rows[order], starts[1:]), strict=True)))
    for cell, focal in sides[0].items():
        if cell in sides[1]:
            yield focal, sides[1][cell]


def _of_all(
    tree: cKDTree, points: Floats, ratio: int, caliper: float, average_ties: bool
) -> tuple[Codes, Codes, Floats]:
    wanted = min(ratio, tree.n)
    distance, near = _queried(tree, points, wanted, _just_above(caliper))
    which, column = np.nonzero(np.isfinite(distance))
    if not average_ties:
        return which, near[which, column], distance[which, column]
    farthest = np.where(np.isfinite(distance), distance, -np.inf).max(axis=1)
    members = np.flatnonzero(np.isfinite(farthest))
    reach = farthest[members] * (1 + 1e-9) + 1e-12
    balls = tree.query_ball_point(points[members], reach, return_sorted=True)
    which = np.repeat(members, [len(ball) for ball in balls])
    near = np.concatenate([np.asarray(ball, dtype=np.int64) for ball in balls] or [np.array([], dtype=np.int64)])
    return which, near, np.linalg.norm(points[which] - np.asarray(tree.data)[near], axis=1)


def _queried(tree: cKDTree, points: Floats, k: int, limit: float) -> tuple[Floats, Codes]:
    """Return distances and places of the k nearest, infinite where there are fewer within the limit."""
    distance, near = tree.query(points, k=list(range(1, k + 1)), distance_upper_bound=limit)
    return np.asarray(distance), np.asarray(near)


def _just_above(caliper: float) -> float:
    """Return a bound that a distance equal to the caliper stays below."""
    return float(np.nextafter(caliper, np.inf)) if np.isfinite(caliper) else np.inf


def _of_free(tree: cKDTree, points: Floats, queue: Codes, ratio: int, caliper: float) -> tuple[Codes, Codes, Floats]:
    """Return pairs made in turn; each looks along a list of neighbours that is lengthened where all in it are taken."""
    limit, free = _just_above(caliper), np.ones(tree.n, dtype=bool)
    width = min(FIRST_NEIGHBOURS, tree.n)
    distances, neighbours = _queried(tree, points, width, limit)
    made: list[tuple[int, int, float]] = []
    for _ in range(ratio):
        served = []
        for member in queue.tolist():
            far, near, k = distances[member], neighbours[member], width
            while True:
                known = np.isfinite(far)
                open_ = np.flatnonzero(known)[free[near[known]]]
                if len(open_) or k == tree.n or not known.all():
                    break
                k = min(4 * k, tree.n)
                far, near = _queried(tree, points[member], k, limit)
            if len(open_):
                free[near[open_[0]]] = False
                made.append((member, int(near[open_[0]]), float(far[open_[0]])))
                served.append(member)
        queue = np.array(served, dtype=np.int64)
    members, partners, gaps = zip(*made, strict=True) if made else ((), (), ())
    return np.array(members, dtype=np.int64), np.array(partners, dtype=np.int64), np.array(gaps, dtype=float)
