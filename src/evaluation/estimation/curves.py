"""Weighted distribution functions: one variable sorted once within every domain, and inverted at will."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_choice
from evaluation.estimation.domains import Cells

Floats = NDArray[np.float64]
Index = NDArray[np.int64]
Rule = Literal["math", "school", "shahvaish", "hf1", "hf2", "hf3", "hf4", "hf5", "hf6", "hf7", "hf8", "hf9"]

#: Cumulated weights this close to a probability, relative to their sum, count as equal to it.
EQUAL = 1e-12
#: Rows that one replicate is searched in one by one, once the block of rows is known.
BLOCK_ROWS = 256
#: Largest table of sums per sampling unit and block of rows.
LARGEST_TABLE = 4_000_000


@dataclass(frozen=True, eq=False)
class Curve:
    """The weighted distribution function of one variable in one domain.

    Attributes
    ----------
    values : ndarray, shape (m,)
        Answers in ascending order; ties keep the order of their rows.
    weights : ndarray, shape (m,)
        Their weights, none of them zero.
    """

    values: Floats
    weights: Floats

    @classmethod
    def of(cls, values: Floats, weights: Floats) -> Curve:
        """Return the curve of sorted answers, those without weight left out (NaN: there are no such weights)."""
        counted = (weights != 0) & ~np.isnan(weights)
        return cls(values, weights) if counted.all() else cls(values[counted], weights[counted])

    @cached_property
    def cumulated(self) -> Floats:
        """Sums of the weights up to each answer, shape (m,)."""
        return np.cumsum(self.weights)

    @cached_property
    def _distinct(self) -> Curve:
        values, start = np.unique(self.values, return_index=True)
        return Curve(values, np.add.reduceat(self.weights, start))

    def quantiles(self, probabilities: Floats, rule: str = "math") -> Floats:
        """Return quantiles by a rule of ``RULES``; NaN at probabilities outside 0 to 1, and where nobody answered."""
        found = np.full(np.shape(probabilities), np.nan)
        asked = (probabilities >= 0) & (probabilities <= 1)
        if self.values.size and asked.any():
            found[asked] = RULES[rule](self, probabilities[asked])
        return found


def require_rule(rule: str) -> None:
    """Raise an EstimationError unless ``rule`` is a rule for quantiles."""
    require_choice(rule, tuple(RULES), "rule")


@dataclass(frozen=True, eq=False)
class _Place:
    """Where probabilities fall on a curve: the answers below and above, and whether the lower one is hit exactly."""

    low: Floats
    high: Floats
    number: Index
    exact: NDArray[np.bool_]


def _place(curve: Curve, p: Floats) -> _Place:
    cumulated, last = curve.cumulated, len(curve.values) - 1
    target, slack = p * cumulated[-1], EQUAL * cumulated[-1]
    at = np.searchsorted(cumulated, target + slack, side="right") - 1
    low = np.maximum(at, 0)
    high = np.where(at < 0, 0, np.minimum(at + 1, last))
    exact = (at >= 0) & (np.abs(cumulated[low] - target) <= slack)
    return _Place(curve.values[low], curve.values[high], at + 1, exact)


def _math(curve: Curve, p: Floats) -> Floats:
    place = _place(curve, p)
    return np.where(place.exact, place.low, place.high)


def _school(curve: Curve, p: Floats) -> Floats:
    place = _place(curve, p)
    return np.where(place.exact, (place.low + place.high) / 2, place.high)


def _hf3(curve: Curve, p: Floats) -> Floats:
    place = _place(curve._distinct, p)
    return np.where(place.exact & (place.number % 2 == 0), place.low, place.high)


def _shahvaish(curve: Curve, p: Floats) -> Floats:
    weights, n = curve.weights, len(curve.weights)
    at = (curve.cumulated / weights.mean() + 0.5 - weights / 2) / (n + 1)
    order = np.argsort(at, kind="stable")
    step = np.clip(np.searchsorted(at[order], p, side="right") - 1, 0, n - 1)
    return np.asarray(curve.values[order][step])


def _between(below: float, above: float, beyond: float) -> Callable[[Curve, Floats], Floats]:
    """Return interpolation between answers k that stand at below C(k-1) + above C(k), out of C(n) + beyond w(n)."""

    def rule(curve: Curve, p: Floats) -> Floats:
        if len(curve.values) == 1:
            return np.full(p.shape, curve.values[0])
        cumulated = curve.cumulated
        at = below * (cumulated - curve.weights) + above * cumulated
        return np.interp(p, at / (cumulated[-1] + beyond * curve.weights[-1]), curve.values)

    return rule


#: Inverses of the distribution function: R's names, of which hf1 to hf9 are those of Hyndman and Fan.
RULES: dict[str, Callable[[Curve, Floats], Floats]] = {
    "math": _math,
    "school": _school,
    "shahvaish": _shahvaish,
    "hf1": _math,
    "hf2": _school,
    "hf3": _hf3,
    "hf4": _between(0, 1, 0),
    "hf5": _between(1 / 2, 1 / 2, 0),
    "hf6": _between(0, 1, 1),
    "hf7": _between(1, 0, -1),
    "hf8": _between(1 / 3, 2 / 3, 1 / 3),
    "hf9": _between(3 / 8, 5 / 8, 1 / 4),
}


@dataclass(frozen=True, eq=False)
class SortedAnswers:
    """One variable's answers sorted within every domain.

    Attributes
    ----------
    design : Design
        Whose rows they are.
    rows : ndarray of int, shape (m,)
        Rows of the design, domain by domain, by value within each; those who count and answered.
    values : ndarray, shape (m,)
        Their answers.
    starts : ndarray of int, shape (D + 1,)
        Where each domain begins in ``rows``.
    """

    design: Design
    rows: Index
    values: Floats
    starts: Index

    @classmethod
    def of(cls, design: Design, values: Floats, answered: NDArray[np.bool_], cells: Cells) -> SortedAnswers:
        """Sort the answers of those who count, stably, so that ties keep the order of the rows."""
        rows = np.flatnonzero(answered & design.present & (cells.code >= 0))
        rows = rows[np.argsort(values[rows], kind="stable")]
        code = cells.code[rows].astype(np.min_scalar_type(len(cells)))
        rows = rows[np.argsort(code, kind="stable")]
        sizes = np.bincount(cells.code[rows], minlength=len(cells))
        return cls(design, rows, values[rows], np.concatenate([[0], np.cumsum(sizes)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def slices(self) -> Iterator[slice]:
        """Yield where the answers of each domain stand."""
        for start, end in zip(self.starts[:-1], self.starts[1:], strict=True):
            yield slice(int(start), int(end))

    @cached_property
    def weights(self) -> Floats:
        """Their final weights, shape (m,)."""
        return self.design.weights[self.rows]

    def replicated_weights(self) -> Iterator[Floats]:
        """Yield their weights under each replicate, shape (m,), the whole chain repeated on each."""
        replicates = self.design.replicates
        if replicates is None or self.design.steps:
            yield from (weights[self.rows] for weights in self.design.replicate_weights())
            return
        unit, base = replicates.unit[self.rows], self.design.base_weights[self.rows]
        yield from (base * replicates.factors[:, r][unit] for r in range(replicates.count))

    def curves(self, weights: Floats) -> list[Curve]:
        """Return the curve of each domain under ``weights`` of the sorted answers, shape (m,)."""
        return [Curve.of(self.values[part], weights[part]) for part in self.slices()]

    def quantiles(self, probabilities: Floats, rule: str) -> Floats:
        """Return the quantiles of each domain, shape (P, D)."""
        return np.column_stack([curve.quantiles(probabilities, rule) for curve in self.curves(self.weights)])

    def replicated_quantiles(self, probabilities: Floats, rule: str) -> Floats:
        """Return the quantiles under each replicate and, last, the full sample, shape (R + 1, P, D)."""
        design = self.design
        if design.replicates is not None and not design.steps and rule in ("math", "hf1"):
            replicated = np.stack([self._by_blocks(part, probabilities) for part in self.slices()], axis=-1)
        else:
            each = (self.curves(weights) for weights in self.replicated_weights())
            replicated = np.stack(
                [np.column_stack([curve.quantiles(probabilities, rule) for curve in curves]) for curves in each]
            )
        return np.concatenate([replicated, self.quantiles(probabilities, rule)[None]])

    def _by_blocks(self, part: slice, probabilities: Floats) -> Floats:
        """Return quantiles of one domain under each replicate, shape (R, P), from sums per sampling unit and block.

        Each replicate finds the block of neighbouring answers in which it reaches the probability, then the answer
        in it, so that no replicate runs over all rows.
        """
        replicates = self.design.replicates
        if replicates is None:
            raise EstimationError("this design has no replicates. Make them with ev.as_replicates(design, kind=...).")
        factors, rows = replicates.factors, self.rows[part]
        unit, base, values = replicates.unit[rows], self.design.base_weights[rows], self.values[part]
        if not rows.size:
            return np.full((factors.shape[1], len(probabilities)), np.nan)
        length = max(BLOCK_ROWS, int(np.ceil(len(rows) * len(factors) / LARGEST_TABLE)))
        n_blocks = -(-len(rows) // length)
        key = unit * n_blocks + np.arange(len(rows)) // length
        table = np.bincount(key, weights=base, minlength=len(factors) * n_blocks).reshape(len(factors), n_blocks)
        reached = np.cumsum(table.T @ factors, axis=0)
        found = np.full((factors.shape[1], len(probabilities)), np.nan)
        for column, p in enumerate(probabilities):
            target = p * reached[-1] * (1 - EQUAL)
            block = np.minimum((reached < target).sum(axis=0), n_blocks - 1)
            for b in np.unique(block):
                own = np.flatnonzero((block == b) & (reached[-1] > 0))
                inside = slice(b * length, (b + 1) * length)
                before = reached[b - 1, own] if b else np.zeros(len(own))
                mass = np.cumsum(base[inside, None] * factors[np.ix_(unit[inside], own)], axis=0) + before
                step = (mass < target[own] * (1 - EQUAL)).sum(axis=0)
                found[own, column] = values[inside][np.minimum(step, mass.shape[0] - 1)]
        return found
