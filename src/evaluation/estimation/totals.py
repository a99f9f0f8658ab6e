"""The kernel of means, totals, shares and ratios: sums by unit and domain, and ratios of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by, sum_by_unit_and_cell
from evaluation.design.design import BLOCK, Design, each_replicate
from evaluation.estimation.domains import Cells

Floats = NDArray[np.float64]
Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DomainTotals:
    """Weighted totals of columns by domain, with what their covariance is made of.

    Attributes
    ----------
    design, cells, columns
        What they were made from; ``columns`` has shape (n, q).
    estimate : ndarray, shape (D * q,)
        Totals, domain by domain.
    contributions : ndarray, shape (units or R, D * q)
        Influence summed per sampling unit, or the totals of each replicate.
    """

    design: Design
    cells: Cells
    columns: Floats
    estimate: Floats
    contributions: Floats

    def influence(self, at: Index) -> Floats:
        """Return the influence of the totals at positions ``at``, shape (n, len(at))."""
        return self.design.influence(_spread(self.columns, self.cells, at))


def domain_totals(design: Design, columns: Floats, cells: Cells) -> DomainTotals:
    """Sum weighted columns by domain, under the design and the whole weighting chain.

    Without a chain everything comes from one pass of sums per unit and domain; with one, each
    column is carried back through it first, a block at a time.
    """
    n_cells, q = len(cells), columns.shape[1]
    weighted = columns * design.domain_weights[:, None]
    if design.replicates is not None:
        return _replicated(design, columns, cells, weighted)
    sampling = design.sampling
    if not design.steps:
        sums = sum_by_unit_and_cell(sampling.unit, sampling.n_units, cells.code, n_cells, weighted)
        contributions = sums.reshape(sampling.n_units, n_cells * q)
        return DomainTotals(design, cells, columns, contributions.sum(axis=0), contributions)
    contributions = np.empty((sampling.n_units, n_cells * q))
    for start in range(0, n_cells * q, BLOCK):
        at = np.arange(start, min(start + BLOCK, n_cells * q))
        contributions[:, at] = design.contributions(_spread(columns, cells, at))
    return DomainTotals(design, cells, columns, _by_cell(weighted, cells).ravel(), contributions)


def _replicated(design: Design, columns: Floats, cells: Cells, weighted: Floats) -> DomainTotals:
    replicates = design.replicates
    if replicates is not None and not design.steps:
        sums = sum_by_unit_and_cell(replicates.unit, len(replicates.factors), cells.code, len(cells), weighted)
        by_unit = sums.reshape(len(replicates.factors), -1)
        estimates = np.vstack([replicates.factors.T @ by_unit, by_unit.sum(axis=0)])
    else:
        estimates = each_replicate(design, lambda weights: _by_cell(columns * weights[:, None], cells).ravel())
    return DomainTotals(design, cells, columns, _by_cell(weighted, cells).ravel(), estimates)


def _by_cell(weighted: Floats, cells: Cells) -> Floats:
    inside = cells.code >= 0
    return sum_by(cells.code[inside], len(cells), weighted[inside])


def _spread(columns: Floats, cells: Cells, at: Index) -> Floats:
    q = columns.shape[1]
    return np.asarray(np.where(cells.code[:, None] == at[None, :] // q, columns[:, at % q], 0.0))


@dataclass(frozen=True, eq=False)
class Ratios:
    """Estimates of the form ``offset + total / total`` (or a total alone), with their contributions.

    Attributes
    ----------
    estimate : ndarray, shape (k,)
    contributions : ndarray, shape (units or R, k)
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
    if denominator is None:
        estimate, contributions = totals.estimate[numerator], totals.contributions[:, numerator]
        return Ratios(totals, under, numerator, None, shift, estimate, contributions)
    divisor, divided = under.estimate[denominator], under.contributions[:, denominator]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = totals.estimate[numerator] / divisor
        if totals.design.replicates is not None:
            spread = shift + totals.contributions[:, numerator] / divided
        else:
            spread = (totals.contributions[:, numerator] - slope * divided) / divisor
    return Ratios(totals, under, numerator, denominator, shift, shift + slope, spread)
