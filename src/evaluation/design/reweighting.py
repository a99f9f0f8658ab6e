"""Replicates weighted anew on cells: a chain of cell steps is repeated on sums by cell, never on rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from evaluation.design.collapse import Codes, Floats, compact, crossed
from evaluation.design.replicates import Replicates
from evaluation.design.steps import AppliedStep, CellStep
from evaluation.errors import EstimationError, EvaluationError, MarginError, WeightingError

#: What a step raises where weights or an estimate do not exist.
IMPOSSIBLE = (WeightingError, MarginError, EstimationError)
#: Tables of units and cells that are filled less than this are multiplied entry by entry.
SPARSE = 1 / 16
#: Cells worked on at once; bounds the memory of (R, cells) tables.
CELLS = 1 << 11


@dataclass(frozen=True, eq=False)
class CellMultipliers:
    """What the whole chain multiplies the weights of each cell by, in each replicate and last in the full sample.

    Attributes
    ----------
    code : ndarray of int, shape (n,)
        Cell of each respondent.
    multipliers : ndarray, shape (R + 1, n_cells)
    """

    code: Codes
    multipliers: Floats


def cell_multipliers(steps: Sequence[AppliedStep], weights: Floats, replicates: Replicates) -> CellMultipliers | None:
    """Repeat a chain on the cells of every replicate; None where a step is no cell step.

    Parameters
    ----------
    steps : sequence of AppliedStep
        The chain, at least one step.
    weights : ndarray, shape (n,)
        Design weights.
    replicates : Replicates
    """
    own = [applied.step for applied in steps if isinstance(applied.step, CellStep)]
    if len(own) < len(steps) or not own:
        return None
    cells = [step.cells for step in own]
    code, levels = crossed([codes for codes, _ in cells], [size for _, size in cells])
    factors = with_full_sample(replicates)
    masses = _cell_masses(replicates.unit, code, len(levels), weights, factors)
    multipliers = np.ones_like(masses)
    for place, (step, (_, size)) in enumerate(zip(own, cells, strict=True)):
        gather = sparse.csr_array(
            (np.ones(len(levels)), (np.arange(len(levels)), levels[:, place])), shape=(len(levels), size)
        )
        each = _replayed(step, np.asarray(masses @ gather), replicates)[:, levels[:, place]]
        multipliers *= each
        masses *= each
    return CellMultipliers(code, multipliers)


def _replayed(step: CellStep, masses: Floats, replicates: Replicates) -> Floats:
    """Return the multipliers of all replicates at once; one by one where a replicate cannot be weighted, NaN there."""
    whole = np.isfinite(masses).all(axis=1)
    if whole.all():
        try:
            return step.replay_cells(masses)
        except IMPOSSIBLE:
            pass
    found = np.full(masses.shape, np.nan)
    for r in np.flatnonzero(whole):
        try:
            found[r] = step.replay_cells(masses[r : r + 1])[0]
        except IMPOSSIBLE as error:
            if r == replicates.count:
                raise
            raise_of_jackknife(error, replicates.engine.kind, int(r), replicates.count)
    return found


def raise_of_jackknife(error: EvaluationError, kind: str, r: int, count: int) -> None:
    """Raise the error of a replicate that cannot be weighted, if it is a jackknife: it cannot do without any."""
    if kind.startswith("JK"):
        raise type(error)(
            f"replicate {r + 1} of {count} ({kind}), in which a sampling unit is left out: {error}",
            failures=error.failures,
        ) from None


def with_full_sample(replicates: Replicates) -> Floats:
    """Return the factors with those of the full sample, ones, as their last column, shape (n_units, R + 1)."""
    return np.column_stack([replicates.factors, np.ones(len(replicates.factors))])


def _cell_masses(unit: Codes, code: Codes, n_cells: int, weights: Floats, factors: Floats) -> Floats:
    key, found = compact(unit * n_cells + code, len(factors) * n_cells)
    table = sparse.csr_array(
        (np.bincount(key, weights, minlength=len(found)), (found // n_cells, found % n_cells)),
        shape=(len(factors), n_cells),
    )
    return np.asarray((table.T @ factors).T)


def replicate_totals(
    columns: Iterable[Floats], k: int, group: Codes, n_groups: int, replicates: Replicates, chain: CellMultipliers
) -> Floats:
    """Return totals by group under every replicate's weights, and last the full sample's, shape (R + 1, n_groups * k).

    Parameters
    ----------
    columns : iterable of k ndarray, each shape (n,)
        Values times the design weight; taken one after the other.
    k : int
    group : ndarray of int, shape (n,)
        0 to ``n_groups - 1``; rows of other groups are left out.
    n_groups : int
    replicates : Replicates
    chain : CellMultipliers

    Notes
    -----
    :math:`\\sum_u f_{ur} \\sum_c m_{rc} S_{ugc}` with S the sums by unit, group and cell: for each group one product
    of the factors with a table of its own units and cells.
    """
    factors, n_units = with_full_sample(replicates), len(replicates.factors)
    n_all = max(n_groups, int(group.max()) + 1)
    key, found = crossed([group, replicates.unit, chain.code], [n_all, n_units, chain.multipliers.shape[1]])
    sums = np.empty((len(found), k))
    for place, column in enumerate(columns):
        sums[:, place] = np.bincount(key, column, minlength=len(found))
    totals = np.zeros((factors.shape[1], n_groups, k))
    bounds = np.searchsorted(found[:, 0], np.arange(n_groups + 1))
    for place in range(n_groups):
        rows = slice(bounds[place], bounds[place + 1])
        if rows.stop > rows.start:
            totals[:, place] = _group_totals(found[rows, 1], found[rows, 2], sums[rows], factors, chain.multipliers)
    return totals.reshape(len(totals), -1)


def _group_totals(unit: Codes, cell: Codes, sums: Floats, factors: Floats, multipliers: Floats) -> Floats:
    units, row = np.unique(unit, return_inverse=True)
    cells, column = np.unique(cell, return_inverse=True)
    k = sums.shape[1]
    total = np.zeros((factors.shape[1], k))
    if len(sums) < SPARSE * len(units) * len(cells):
        for place in range(k):
            entries = sparse.csr_array((sums[:, place], (column, row)), shape=(len(cells), len(units)))
            resampled = np.asarray(entries @ factors[units], dtype=np.float64)
            total[:, place] = np.einsum("rc,cr->r", multipliers[:, cells], resampled)
        return total
    for start in range(0, len(cells), CELLS):
        inside = (column >= start) & (column < start + CELLS)
        width = min(CELLS, len(cells) - start)
        table = np.zeros((len(units), width, k))
        table[row[inside], column[inside] - start] = sums[inside]
        resampled = (factors[units].T @ table.reshape(len(units), -1)).reshape(-1, width, k)
        total += np.einsum("rc,rck->rk", multipliers[:, cells[start : start + width]], resampled)
    return total
