"""Scores of an index and how they move with the weights: standardised, weighted together, rescaled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.comparison.outcomes.influences import gradient
from evaluation.comparison.outcomes.items import Items
from evaluation.errors import EstimationError, IdentificationError
from evaluation.estimation.small_counts import fewest, rarer_answers
from evaluation.results import NOISE

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Method = Literal["kling_liebman_katz", "anderson", "mean"]

#: Condition number above which items are collinear.
COLLINEAR = 1e10


@dataclass(frozen=True, eq=False)
class Moved:
    """Numbers and their derivative in the weights before and after balancing.

    Attributes
    ----------
    value : ndarray, shape (k,)
    before, after : ndarray, shape (n, k)
        Through the weights that standardise the items, and through those that take the groups' means.
    """

    value: Floats
    before: Floats
    after: Floats


@dataclass(frozen=True, eq=False)
class IndexScores:
    """An index to be scored, whatever the weights.

    Attributes
    ----------
    items : Items
        p of them.
    reference : ndarray of bool, shape (n,)
        The comparison group, by which items are standardised.
    used : ndarray of bool, shape (n,)
        Who has a score.
    method : {"kling_liebman_katz", "anderson", "mean"}
    is_rescaled : bool
        Whether the index has mean 0 and standard deviation 1 in the comparison group.
    """

    items: Items
    reference: Mask
    used: Mask
    method: Method
    is_rescaled: bool

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs of items whose covariance among everybody makes Anderson's weights."""
        p = len(self.items.names)
        return list(combinations_with_replacement(range(p), 2)) if self.method == "anderson" else []

    def moments(self, weights: Floats, *, derive: bool = False) -> tuple[Floats, Floats]:
        """Return what the scores are made with, and its derivative in the weights, shapes (q,) and (n, q).

        Means and variances of the items in the comparison group, then covariances among everybody. Each rests on
        those who answered what it is made of and have a score. The derivative has no columns unless it is asked for.
        """
        p = len(self.items.names) if self.method != "mean" else 0
        own = [((j,), self.reference) for j in range(p)] + [((j, j), self.reference) for j in range(p)]
        found, columns = [], []
        for places, group in [*own, *((pair, self.used) for pair in self.pairs)]:
            rows = group & self.used
            for j in set(places):
                rows = rows & self.items.answered[:, j]
            share = self._share(weights, rows)
            parts = [self.items.values[:, j] for j in places]
            value = parts[0] if len(parts) == 1 else (parts[0] - share @ parts[0]) * (parts[1] - share @ parts[1])
            found.append(share @ value)
            if derive:
                columns.append(self._of(weights, rows, value - found[-1]))
        return np.array(found), np.column_stack(columns) if columns else np.zeros((len(weights), 0))

    def rarest(self, groups: Sequence[Mask], place: int | None = None) -> int:
        """Return how many of a group gave the rarer of two answers to an item, the fewest of all items or of one.

        An index of few items and the means of the others give an item's mean back.
        """
        places = range(len(self.items.names)) if place is None else [place]
        found = []
        for j in places:
            rows = [group & self.used & self.items.answered[:, j] for group in groups]
            found += rarer_answers(self.items.values[:, j], rows)
        return fewest(found)

    def weights_of_items(self, moments: NDArray[Any]) -> NDArray[Any]:
        """Return the weight of each item in units of its standard deviation, shape (p,); they sum to one."""
        p = len(self.items.names)
        if self.method != "anderson":
            return np.full(p, 1 / p)
        covariance = np.zeros((p, p), dtype=moments.dtype)
        for (j, k), value in zip(self.pairs, moments[2 * p :], strict=True):
            covariance[j, k] = covariance[k, j] = value
        spread = np.sqrt(moments[p : 2 * p])
        standardised = covariance / np.outer(spread, spread)
        if np.linalg.cond(np.real(standardised)) > COLLINEAR:
            raise IdentificationError(
                f"outcome_index: the items {', '.join(self.items.names)} are collinear, so their covariances have no "
                f"inverse. Leave out an item that the others make up, or use method='kling_liebman_katz'."
            )
        sums = np.linalg.solve(standardised, np.ones(p))
        return np.asarray(sums / sums.sum())

    def lines(self, moments: NDArray[Any], pattern: NDArray[np.bool_]) -> tuple[NDArray[Any], Any]:
        """Return the slope in each item, shape (p,), and the constant of the score of those who answered some items."""
        p = len(self.items.names)
        weights = self.weights_of_items(moments) * pattern
        weights = weights / weights.sum()
        if self.method == "mean":
            return weights, 0.0
        slopes = weights / np.sqrt(moments[p : 2 * p])
        return slopes, -(slopes @ moments[:p])

    @cached_property
    def patterns(self) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
        """Which items are answered together, and the rows of those with a score who answered just them."""
        rows = np.flatnonzero(self.used)
        answered = self.items.answered[rows]
        if answered.all():
            return [(np.ones(answered.shape[1], dtype=bool), rows)]
        found, code = np.unique(answered, axis=0, return_inverse=True)
        return [(pattern, rows[code.ravel() == place]) for place, pattern in enumerate(found)]

    def scores(self, moments: Floats) -> Floats:
        """Return everybody's score before rescaling, shape (n,), zero for those without one."""
        found = np.zeros(len(self.used))
        for pattern, rows in self.patterns:
            slopes, constant = self.lines(moments, pattern)
            found[rows] = self.items.values[rows] @ slopes + constant
        return found

    def means(self, before: Floats, after: Floats, members: list[Mask], *, derive: bool) -> Moved:
        """Return the mean score of groups, and how it moves with both sets of weights.

        Parameters
        ----------
        before, after : ndarray, shape (n,)
            Weights that standardise, and weights of the means.
        members : list of ndarray of bool, shape (n,)
            Groups.
        derive : bool
            Without it the derivatives are left out, as on replicates.
        """
        moments, moved = self.moments(before, derive=derive)
        self._refuse_flat(moments)
        raw = self.scores(moments)
        shares = [self._share(before, self.reference & self.used)]
        shares += [self._share(after, rows & self.used) for rows in members]
        level = float(shares[0] @ raw)
        variance = float(shares[0] @ (raw - level) ** 2)
        means = np.array([share @ raw for share in shares[1:]])
        centre, unit = (level, float(np.sqrt(variance))) if self.is_rescaled else (0.0, 1.0)
        value = (means - centre) / unit
        if not derive:
            return Moved(value, np.zeros((0, 0)), np.zeros((0, 0)))
        lines = np.column_stack([shares[0], 2 * shares[0] * (raw - level), *shares[1:]])
        through = self._slopes(moments, lines)
        of_level = self._of(before, self.reference & self.used, raw - level) + moved @ through[0]
        of_variance = self._of(before, self.reference & self.used, (raw - level) ** 2 - variance) + moved @ through[1]
        first, last = [], []
        for group, rows in enumerate(members):
            own = moved @ through[2 + group]
            if self.is_rescaled:
                own = own - of_level - value[group] * of_variance / (2 * unit)
            first.append(own / unit)
            last.append(self._of(after, rows & self.used, raw - means[group]) / unit)
        return Moved(value, np.column_stack(first), np.column_stack(last))

    def _slopes(self, moments: Floats, lines: Floats) -> Floats:
        """Return the derivatives in the moments of sums of scores over rows, shape (m, q)."""
        if not len(moments):
            return np.zeros((lines.shape[1], 0))
        # Scores are linear in the answers of those who answered the same items: their sums are enough.
        sums = [
            (pattern, lines[rows].T @ self.items.values[rows], lines[rows].sum(axis=0))
            for pattern, rows in self.patterns
        ]

        def function(x: NDArray[Any]) -> NDArray[Any]:
            made = ((self.lines(x, pattern), by_item, size) for pattern, by_item, size in sums)
            return np.asarray(sum(by_item @ slopes + size * constant for (slopes, constant), by_item, size in made))

        return gradient(function, moments)

    def _share(self, weights: Floats, rows: Mask) -> Floats:
        own = np.where(rows, weights, 0.0)
        if not own.sum() > 0:
            raise EstimationError("outcome_index: nobody of one group has a score and a weight above zero.")
        return np.asarray(own / own.sum())

    def _of(self, weights: Floats, rows: Mask, deviation: Floats) -> Floats:
        """Return the derivative of a weighted mean in the weights."""
        return np.asarray(np.where(rows, deviation, 0.0) / weights[rows].sum())

    def _refuse_flat(self, moments: Floats) -> None:
        p = len(self.items.names)
        noise = (NOISE * np.abs(self.items.values).max(axis=0)) ** 2
        spread = moments[p : 2 * p] > noise[: len(moments[p : 2 * p])]
        flat = [name for name, varies in zip(self.items.names, spread, strict=False) if not varies]
        if flat:
            raise IdentificationError(
                f"outcome_index: {', '.join(map(repr, flat))} does not vary in the comparison group, so there is no "
                f"unit to standardise by. Leave it out, or use method='mean'."
            )
