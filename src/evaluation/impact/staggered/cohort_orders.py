"""Group-time effects had the places been treated in another order: sums per place, no row read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import EstimationError
from evaluation.impact.identification import Cell
from evaluation.impact.staggered.cell_table import CellTable

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PlaceSums:
    """Weights and weighted outcomes of every place in every wave.

    Attributes
    ----------
    weight, total : ndarray, shape (G, T)
    """

    weight: Floats
    total: Floats

    def effects(self, member: Floats, cells: Sequence[Cell]) -> Floats:
        """Return differences of differences of means for many allocations of places to cohorts.

        Parameters
        ----------
        member : ndarray, shape (B, G, C)
            Share of a place in a cohort: 0 or 1.
        cells : sequence of Cell, k

        Returns
        -------
        ndarray, shape (B, k)
            NaN where a group is empty in a wave.
        """
        weight, total = (np.einsum("bgc,gt->bct", member, part, optimize=True) for part in (self.weight, self.total))
        made = np.zeros((len(member), len(cells)))
        with np.errstate(invalid="ignore", divide="ignore"):
            for column, cell in enumerate(cells):
                if cell.is_reference:
                    continue
                waves, others = [cell.time, cell.base], list(cell.controls)
                own = total[:, cell.cohort, waves] / weight[:, cell.cohort, waves]
                rest = total[:, others][:, :, waves].sum(axis=1) / weight[:, others][:, :, waves].sum(axis=1)
                made[:, column] = (own[:, 0] - own[:, 1]) - (rest[:, 0] - rest[:, 1])
        return made


def place_sums(table: CellTable, n_places: int) -> PlaceSums:
    """Sum a table per place and wave; of a panel, a unit's weight is the same in every wave."""
    records = table.records
    n_waves = len(records.over_time.times)
    if records.is_panel:
        weight = np.repeat(mass_by(table.cluster, n_places, table.weight)[:, None], n_waves, axis=1)
        columns = (table.weight[:, None] * table.outcome).T
        return PlaceSums(weight, np.stack([mass_by(table.cluster, n_places, own) for own in columns], axis=1))
    key, size = table.cluster * n_waves + table.period, n_places * n_waves
    sums = [mass_by(key, size, own).reshape(n_places, n_waves) for own in (table.weight, table.weight * table.outcome)]
    return PlaceSums(*sums)


def membership(code: Codes, n_cohorts: int) -> Floats:
    """Return which places belong to which cohort, shape (B, G, C), from cohort codes, shape (B, G)."""
    return np.asarray(code[:, :, None] == np.arange(n_cohorts), dtype=np.float64)


def cohort_codes(cohorts: Floats, values: Floats) -> Codes:
    """Return the cohort of each place in each order, shape (B, G).

    Parameters
    ----------
    cohorts : ndarray, shape (B, G)
        First treated periods; infinite, zero or missing for never.
    values : ndarray, shape (C,)
        Cohorts of the roll-out, ascending.

    Raises
    ------
    EstimationError
        An order has a first treated period that the roll-out has not.
    """
    asked = np.atleast_2d(np.asarray(cohorts, dtype=float))
    asked = np.where(np.isnan(asked) | (asked == 0), np.inf, asked)
    code = np.minimum(np.searchsorted(values, asked), len(values) - 1)
    strange = asked[values[code] != asked]
    if len(strange):
        shown = ", ".join(f"{value:g}" for value in values)
        raise EstimationError(
            f"an order of the roll-out treats places from {strange[0]:g}, but its cohorts are {shown}. Hand the same "
            f"dates to other places."
        )
    return np.asarray(code, dtype=np.int64)
