"""The kernel of means, totals, shares and ratios: sums by unit and domain, and ratios of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from evaluation.design.columns import Columns
from evaluation.design.contributions import DomainContributions, keeps_factors
from evaluation.design.design import BLOCK, Design, each_replicate
from evaluation.design.reweighting import replicate_totals
from evaluation.estimation.domains import Cells

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Centred:
    """Values less a constant, zero where ``mask`` is False; made when it is needed, since it is as long as the data."""

    values: Floats
    centre: float
    mask: NDArray[np.bool_] | None = None

    def rows(self) -> Floats:
        """Return the column, shape (n,)."""
        shifted = self.values - self.centre
        return shifted if self.mask is None else np.where(self.mask, shifted, 0.0)

    def times(self, weights: Floats) -> Floats:
        """Return the column times weights, shape (n,)."""
        shifted = self.values - self.centre
        shifted *= weights
        if self.mask is not None:
            shifted *= self.mask
        return shifted


@dataclass(frozen=True, eq=False)
class Level:
    """Who has one level of a category; made when it is needed."""

    code: Index
    level: int

    def rows(self) -> Floats:
        """Return 1 in the rows of the level and 0 in others, shape (n,)."""
        return np.asarray(self.code == self.level, dtype=np.float64)

    def times(self, weights: Floats) -> Floats:
        """Return the weights of the rows of the level, 0 in others, shape (n,)."""
        return np.asarray(weights * (self.code == self.level))


#: A column of values, shape (n,); None stands for 1 in every row.
Column = Floats | Centred | Level | None


def _times(column: Column, weights: Floats) -> Floats:
    if column is None:
        return weights
    return column.times(weights) if isinstance(column, (Centred, Level)) else weights * column


def _rows(column: Column, n: int) -> Floats:
    if column is None:
        return np.ones(n)
    return column.rows() if isinstance(column, (Centred, Level)) else column


@dataclass(frozen=True, eq=False)
class DomainTotals:
    """Weighted totals of columns by domain, with what their covariance is made of.

    Attributes
    ----------
    design, cells, columns
        What they were made from; q columns.
    estimate : ndarray, shape (D * q,)
        Totals, domain by domain.
    contributions : ndarray, shape (units or R + 1, D * q)
        Influence summed per sampling unit, or the totals of each replicate.
    """

    design: Design
    cells: Cells
    columns: tuple[Column, ...]
    estimate: Floats
    contributions: Floats

    def influence(self, at: Index) -> Floats:
        """Return the influence of the totals at positions ``at``, shape (n, len(at))."""
        return self.design.influence(_spread(self.columns, self.cells, at))


def domain_totals(design: Design, columns: Floats | Sequence[Column], cells: Cells) -> DomainTotals:
    """Sum weighted columns by domain, under the design and the whole weighting chain.

    Parameters
    ----------
    design : Design
    columns : ndarray, shape (n, q), or sequence of q columns
    cells : Cells
        The D domains.

    Notes
    -----
    One pass of sums per unit and domain; what the chain takes off them hangs on sums per cell of each step
    and domain alone. Only R's convention carries every row through the chain.
    """
    listed = _listed(columns)
    if design.replicates is not None:
        replicated = _replicated(design, listed, cells)
        return DomainTotals(design, cells, listed, replicated[-1], replicated)
    if design.steps and not design.collapses:
        return _row_by_row(design, listed, cells)
    if keeps_factors(design.sampling, len(cells), len(listed)) and not design.sources[0]:
        return _in_factors(design, listed, cells)
    sampling, group, size = design.sampling, cells.group, cells.n_groups
    key, n_keys, d = sampling.unit * size + group, sampling.n_units * size, len(cells)
    factor = design.derivative.factor if design.steps else design.domain_weights
    contributions = np.zeros((design.n_contributions, d, len(listed)))
    estimate = np.empty((d, len(listed)))
    for place, column in enumerate(listed):
        sums = np.bincount(key, _times(column, factor), minlength=n_keys).reshape(sampling.n_units, size)
        contributions[: sampling.n_units, :, place] = sums[:, :d]
        if design.steps:
            weighted = _times(column, design.domain_weights)
            estimate[:, place] = np.bincount(group, weighted, minlength=size)[:d]
        else:
            estimate[:, place] = contributions[:, :, place].sum(axis=0)
    flat = contributions.reshape(len(contributions), -1)
    derivative = design.derivative
    if derivative.middle is not None:
        moments = np.vstack([_moments(part, listed, group, size)[:, :d] for part in derivative.right])
        flat -= design.chain_by_unit @ moments.reshape(len(moments), -1)
    return DomainTotals(design, cells, listed, estimate.ravel(), flat)


def _in_factors(design: Design, columns: tuple[Column, ...], cells: Cells) -> DomainTotals:
    """Sum columns by domain where every respondent is a unit: the contributions are the weighted columns themselves."""
    unit, group, d, q = design.sampling.unit, cells.group, len(cells), len(columns)
    values, estimate = np.empty((len(unit), q)), np.empty((d, q))
    in_order = np.array_equal(unit, np.arange(len(unit)))
    factor = design.derivative.factor if design.steps else design.domain_weights
    for place, column in enumerate(columns):
        own = _times(column, factor)
        weighted = _times(column, design.domain_weights) if design.steps else own
        estimate[:, place] = np.bincount(group, weighted, minlength=cells.n_groups)[:d]
        values[slice(None) if in_order else unit, place] = own
    code = group
    if not in_order:
        code = np.empty_like(group)
        code[unit] = group
    domain, slot = np.divmod(np.arange(d * q), q)
    made = DomainContributions(values, code, d, domain, slot)
    derivative = design.derivative if design.steps else None
    if derivative is not None and derivative.middle is not None:
        moments = np.vstack([_moments(part, columns, group, cells.n_groups)[:, :d] for part in derivative.right])
        made = replace(made, chain=design.chain_by_unit, taken=moments.reshape(len(moments), -1))
    return DomainTotals(design, cells, columns, estimate.ravel(), cast(Floats, made))


def _moments(part: Columns, columns: tuple[Column, ...], group: Index, size: int) -> Floats:
    if part.dense:
        return part.moments_by([_rows(column, part.n) for column in columns], group, size)
    each = [part.moments_by([_rows(column, part.n)], group, size) for column in columns]
    return np.concatenate(each, axis=2)


def _listed(columns: Floats | Sequence[Column]) -> tuple[Column, ...]:
    if isinstance(columns, np.ndarray):
        return tuple(np.asarray(columns[:, place], dtype=np.float64) for place in range(columns.shape[1]))
    return tuple(columns)


def _replicated(design: Design, columns: tuple[Column, ...], cells: Cells) -> Floats:
    replicates, group, size = design.replicates, cells.group, cells.n_groups
    base = design.base_weights
    if replicates is not None and not design.steps:
        n_units = len(replicates.factors)
        key = replicates.unit * size + group
        sums = np.empty((n_units, len(cells), len(columns)))
        for place, column in enumerate(columns):
            by_unit = np.bincount(key, _times(column, base), minlength=n_units * size).reshape(n_units, size)
            sums[:, :, place] = by_unit[:, : len(cells)]
        flat = sums.reshape(n_units, -1)
        return np.vstack([replicates.factors.T @ flat, flat.sum(axis=0)])
    chain = design.replicate_cells
    if replicates is not None and chain is not None:
        weighted = (_times(column, base) for column in columns)
        return replicate_totals(weighted, len(columns), group, len(cells), replicates, chain)
    return each_replicate(design, lambda weights: _by_cell(columns, weights, cells))


def _by_cell(columns: tuple[Column, ...], weights: Floats, cells: Cells) -> Floats:
    sums = np.empty((len(cells), len(columns)))
    for place, column in enumerate(columns):
        sums[:, place] = np.bincount(cells.group, _times(column, weights), minlength=cells.n_groups)[: len(cells)]
    return sums.ravel()


def _row_by_row(design: Design, columns: tuple[Column, ...], cells: Cells) -> DomainTotals:
    size = len(cells) * len(columns)
    contributions = np.empty((design.n_contributions, size))
    for start in range(0, size, BLOCK):
        at = np.arange(start, min(start + BLOCK, size))
        contributions[:, at] = design.contributions(_spread(columns, cells, at))
    return DomainTotals(design, cells, columns, _by_cell(columns, design.domain_weights, cells), contributions)


def _spread(columns: tuple[Column, ...], cells: Cells, at: Index) -> Floats:
    spread = np.empty((len(cells.code), len(at)))
    for place, position in enumerate(at):
        column, inside = columns[position % len(columns)], cells.code == position // len(columns)
        spread[:, place] = inside if column is None else np.where(inside, _rows(column, len(inside)), 0.0)
    return spread


@dataclass(frozen=True, eq=False)
class Ratios:
    """Estimates of the form ``offset + total / total`` (or a total alone), with their contributions.

    Attributes
    ----------
    estimate : ndarray, shape (k,)
    contributions : ndarray, shape (units or R + 1, k)
    """

    totals: DomainTotals
    below: DomainTotals
    numerator: Index
    denominator: Index | None
    offset: Floats
    estimate: Floats
    contributions: Floats

    def influence(self) -> Floats:
        """Return influence values, shape (n, k)."""
        upper = self.totals.influence(self.numerator)
        if self.denominator is None:
            return upper
        slope = self.estimate - self.offset
        return (upper - slope * self.below.influence(self.denominator)) / self.below.estimate[self.denominator]


def ratios(
    totals: DomainTotals,
    numerator: Index,
    denominator: Index | None,
    offset: Floats | float = 0.0,
    below: DomainTotals | None = None,
) -> Ratios:
    """Form ratios of totals by their positions.

    Parameters
    ----------
    totals : DomainTotals
        From :func:`domain_totals`.
    numerator, denominator : ndarray of int, shape (k,)
        Positions in ``totals.estimate`` and ``below.estimate``; no denominator means the totals themselves.
    offset : ndarray, shape (k,), or float
        Constant that was subtracted from the values before summing, so that large means lose no digits.
    below : DomainTotals, optional
        Where the denominators stand; default ``totals``.
    """
    under = totals if below is None else below
    shift = np.broadcast_to(np.asarray(offset, dtype=float), numerator.shape)
    upper, lower = _without_contributions(totals), _without_contributions(under)
    if denominator is None:
        own = totals.contributions[:, numerator]
        return Ratios(upper, lower, numerator, None, shift, totals.estimate[numerator], own)
    divisor = under.estimate[denominator]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = totals.estimate[numerator] / divisor
        if isinstance(totals.contributions, DomainContributions):
            made = _factored_ratios(totals, under, numerator, denominator, slope)
            return Ratios(upper, lower, numerator, denominator, shift, shift + slope, made)
        spread = totals.contributions[:, numerator]
        for start in range(0, len(numerator), BLOCK):
            block = slice(start, start + BLOCK)
            divided, own = under.contributions[:, denominator[block]], spread[:, block]
            if totals.design.replicates is not None:
                own /= divided
                own += shift[block]
            else:
                divided *= slope[block]
                own -= divided
                own /= divisor[block]
    return Ratios(upper, lower, numerator, denominator, shift, shift + slope, spread)


def _factored_ratios(
    totals: DomainTotals, under: DomainTotals, numerator: Index, denominator: Index, slope: Floats
) -> Floats:
    upper, lower, divisor = totals.contributions, under.contributions, under.estimate[denominator]
    if isinstance(upper, DomainContributions) and isinstance(lower, DomainContributions):
        made = upper.over(numerator, lower, denominator, slope, divisor)
        if made is not None:
            return cast(Floats, made)
    return np.asarray((np.asarray(upper)[:, numerator] - slope * np.asarray(lower)[:, denominator]) / divisor)


def _without_contributions(totals: DomainTotals) -> DomainTotals:
    """Return totals that can still make influence values, without the table that is as long as the units are many."""
    return replace(totals, contributions=np.empty((0, 0)))
