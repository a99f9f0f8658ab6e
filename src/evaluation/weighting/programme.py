"""Linear programmes over all weights within bounds, exact for any number of respondents.

Respondents are put into groups that share one factor, which makes the programme small. Its dual solution is then
held against every single respondent: where it proves the optimum, that is the end; else groups are split where
respondents in them pull in different directions, and the programme is solved again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import optimize, sparse

from evaluation.design.collapse import Codes, Floats, compact, mass_by
from evaluation.design.columns import Columns

Bounds = tuple[float, float]
Index = list[int]

#: Up to this many respondents each is a group of its own.
ALONE = 2_000
MAXIMUM_ROUNDS = 40
#: Misses below this share of a total are the solver's own.
PRECISION = 1e-8
#: Nobody wants a factor above this.
SENSIBLE = 100.0


@dataclass(frozen=True, eq=False)
class Reach:
    """What the weighted totals of a sample can be when each weight is multiplied by a factor within bounds.

    Attributes
    ----------
    x : Columns, n rows, q columns
    weights : ndarray, shape (n,), not negative
    size : ndarray, shape (q,)
        Unit in which each total is measured.
    group : ndarray of int, shape (n,)
    mass : ndarray, shape (n_groups,)
        Sum of weights in each group.
    means : ndarray, shape (n_groups, q)
        Weighted mean of the auxiliaries of each group, in units of ``size``.
    """

    x: Columns
    weights: Floats
    size: Floats
    group: Codes
    mass: Floats
    means: Floats

    @classmethod
    def of(cls, x: Columns, weights: Floats, totals: Floats) -> Reach:
        """Group the respondents: by cell of the categorical part, or each alone where they are few."""
        reached = x.moments(weights[:, None])[:, 0]
        spread = np.sqrt(np.diag(x.gram(weights)) * weights.sum())
        size = np.maximum(np.maximum(np.abs(totals), np.abs(reached)), 1e-3 * spread)
        size[size == 0] = 1.0
        group = np.arange(x.n) if x.n <= ALONE or x.code is None else x.code
        if x.n > ALONE and x.code is None:
            group = np.zeros(x.n, dtype=np.int64)
        blank = cls(x, weights, size, group, np.zeros(0), np.zeros((0, 0)))
        return blank.regrouped(group)

    def regrouped(self, key: Codes) -> Reach:
        """Return the same with other groups."""
        group, found = compact(key, int(key.max()) + 1)
        mass = mass_by(group, len(found), self.weights)
        sums = self.x.scaled(self.weights).sums_by(group, len(found)) / self.size
        means = np.divide(sums, mass[:, None], out=np.zeros_like(sums), where=mass[:, None] > 0)
        return replace(self, group=group, mass=mass, means=means)

    @property
    def exact(self) -> bool:
        """Whether all members of each group are alike, so that groups lose nothing."""
        return len(self.mass) == self.x.n or (not self.x.dense and self.group is self.x.code)

    def split(self, price: Floats) -> Reach | None:
        """Split groups whose members have prices of either sign, shape (n,); None where there is no such group."""
        key = 2 * self.group + (price > 0)
        n_groups = len(np.unique(key))
        return None if n_groups == len(self.mass) else self.regrouped(key)


@dataclass(frozen=True, eq=False)
class Optimum:
    """The best value of a programme, what proves it, and the groups that it took.

    Attributes
    ----------
    value : float
        In units of the objective's total.
    multiplier : ndarray, shape (q,)
        Price of each total.
    reach : Reach
    """

    value: float
    multiplier: Floats
    reach: Reach


def columns_at(x: Columns, kept: Sequence[int] | Codes) -> Columns:
    """Return the columns at the places ``kept``, ascending."""
    q1 = x.table.shape[1]
    table = x.table[:, [j for j in kept if j < q1]]
    return replace(x, table=table, dense=tuple(x.dense[j - q1] for j in kept if j >= q1))


def least_miss(reach: Reach, totals: Floats, chosen: Index, bounds: Bounds) -> Optimum:
    """Return the smallest sum of relative misses of the chosen totals; zero where they can all be met."""
    return _refined(reach, totals, chosen, bounds, None, 1.0)


def extreme(reach: Reach, totals: Floats, given: Index, bounds: Bounds, at: int, sign: int) -> Optimum:
    """Return the lowest (``sign`` 1) or highest (-1) value of total ``at`` while the given totals are met."""
    found = _refined(reach, totals, given, bounds, at, float(sign))
    return replace(found, value=found.value * sign * float(reach.size[at]))


def _refined(reach: Reach, totals: Floats, chosen: Index, bounds: Bounds, at: int | None, sign: float) -> Optimum:
    found = Optimum(np.nan, np.zeros(len(totals)), reach)
    for _ in range(MAXIMUM_ROUNDS):
        found = _on_groups(reach, totals, chosen, bounds, at, sign)
        if reach.exact or not np.isfinite(found.value) or (at is None and found.value <= PRECISION):
            return found
        price = -found.multiplier / reach.size
        if at is not None:
            price[at] += sign / reach.size[at]
        price = reach.x.times(price[:, None])[:, 0]
        least = _least(price, reach.weights, bounds) + float(found.multiplier @ (totals / reach.size))
        if least >= found.value - PRECISION * (1 + abs(found.value)) or (at is None and least > PRECISION):
            return replace(found, value=least if at is None else found.value)
        finer = reach.split(price)
        if finer is None:
            return found
        reach = finer
    return found


def _least(price: Floats, weights: Floats, bounds: Bounds) -> float:
    low, high = bounds
    noise = 1e-9 * float(np.abs(price).max(initial=0.0))
    if (np.isinf(high) and (price < -noise).any()) or (np.isinf(low) and (price > noise).any()):
        return -np.inf
    most, fewest = (0.0 if np.isinf(bound) else bound for bound in (high, low))
    return float(weights @ (np.minimum(price, 0.0) * most + np.maximum(price, 0.0) * fewest))


def _on_groups(reach: Reach, totals: Floats, chosen: Index, bounds: Bounds, at: int | None, sign: float) -> Optimum:
    """Solve the programme for group sums ``y``: equalities, elastic where there is no total ``at`` to optimise."""
    m, k = len(reach.mass), len(chosen)
    equal = reach.means[:, chosen].T
    cost = np.zeros(m) if at is None else sign * reach.means[:, at]
    box = np.column_stack([_times(bounds[0], reach.mass), _times(bounds[1], reach.mass)])
    if at is None:
        equal = np.hstack([equal, np.eye(k), -np.eye(k)])
        cost = np.concatenate([cost, np.ones(2 * k)])
        box = np.vstack([box, np.tile([0.0, np.inf], (2 * k, 1))])
    solved = programme(cost, box, equal, (totals / reach.size)[chosen])
    multiplier = np.zeros(len(totals))
    if solved is None:
        return Optimum(-np.inf, multiplier, reach)
    value, price = solved
    multiplier[chosen] = price
    return Optimum(value, multiplier, reach)


def _times(bound: float, mass: Floats) -> Floats:
    return np.where(mass > 0, bound, 0.0) if np.isinf(bound) else bound * mass


def programme(
    cost: Floats, box: Floats, equal: Floats, right: Floats, below: Any = None
) -> tuple[float, Floats] | None:
    """Minimise ``cost @ y`` with ``equal @ y = right``, ``below @ y <= 0`` and y within ``box``, shape (m, 2).

    Returns
    -------
    (value, multiplier) or None
        The optimum and the price of each equality; None where there is no optimum.
    """
    minimise: Any = optimize.linprog
    solved = minimise(
        cost,
        A_ub=below,
        b_ub=None if below is None else np.zeros(below.shape[0]),
        A_eq=equal if len(right) else None,
        b_eq=right if len(right) else None,
        bounds=box,
        method="highs",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if solved.status != 0:
        return None
    price = np.asarray(solved.eqlin.marginals) if len(right) else np.zeros(0)
    return float(solved.fun), price


def smallest_high(reach: Reach, totals: Floats, low: float) -> float:
    """Return the smallest upper bound with which all totals can be met while the lower stays; inf above a hundred."""
    return _moved_bound(reach, totals, low, 1)


def largest_low(reach: Reach, totals: Floats, high: float) -> float:
    """Return the largest lower bound with which all totals can be met while the upper one stays; -inf below zero."""
    return -_moved_bound(reach, totals, high, -1)


def _moved_bound(reach: Reach, totals: Floats, fixed: float, sign: int) -> float:
    widest = (fixed, SENSIBLE) if sign > 0 else (0.0, fixed)
    possible = least_miss(reach, totals, list(range(len(totals))), widest)
    if possible.value > PRECISION:
        return np.inf
    reach = possible.reach
    for _ in range(MAXIMUM_ROUNDS):
        bound = _bound_on_groups(reach, totals, fixed, sign)
        if reach.exact or not np.isfinite(bound):
            return bound
        tried = sign * bound - sign * 1e-5 * max(abs(bound), 1e-3)
        tighter = (fixed, tried) if sign > 0 else (tried, fixed)
        missed = least_miss(reach, totals, list(range(len(totals))), tighter)
        if missed.value > PRECISION or missed.reach is reach:
            return bound
        reach = missed.reach
    return bound


def _bound_on_groups(reach: Reach, totals: Floats, fixed: float, sign: int) -> float:
    """Minimise ``sign`` times the free bound h: ``sign * y <= sign * h * mass`` for every group."""
    m = len(reach.mass)
    cost = np.concatenate([np.zeros(m), [float(sign)]])
    other = _times(fixed, reach.mass)
    free = np.full(m, np.inf)
    box = np.column_stack([other, free]) if sign > 0 else np.column_stack([-free, other])
    box = np.vstack([box, [-np.inf, np.inf]])
    equal = np.hstack([reach.means.T, np.zeros((len(totals), 1))])
    parts: Any = [sign * sparse.eye_array(m), sparse.csr_array(-sign * reach.mass[:, None])]
    below = sparse.csr_array(sparse.hstack(parts))
    solved = programme(cost, box, equal, totals / reach.size, below)
    return np.inf if solved is None else solved[0]


def smallest_ratio(reach: Reach, totals: Floats, start: float) -> float:
    """Return the smallest r such that factors from 1/r to r meet all totals, to four digits; inf above a hundred."""
    everything = list(range(len(totals)))

    def reaches(ratio: float) -> bool:
        nonlocal reach
        found = least_miss(reach, totals, everything, (1 / ratio, ratio))
        reach = found.reach
        return found.value <= PRECISION

    low, high = 1.0, min(max(start, 1.001), SENSIBLE)
    while not reaches(high):
        if high == SENSIBLE:
            return np.inf
        low, high = high, min(high**2, SENSIBLE)
    while high / low > (1.0001 if reach.exact else 1.02):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return high
