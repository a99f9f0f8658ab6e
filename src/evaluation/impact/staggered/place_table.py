"""Means by place and wave, changes of places that move against places that stay, and how both follow the weights."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import ColumnError
from evaluation.impact.staggered.observations import Observations

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: A treatment that differs by no more within a place and wave counts as one.
ALIKE = 1e-9


@dataclass(frozen=True, eq=False)
class PlaceTable:
    """Weights and mean outcomes by place and wave.

    Attributes
    ----------
    seen : Observations
    mass : ndarray, shape (P, T)
        Sum of weights; zero where nobody answered.
    mean : ndarray, shape (P, T)
        Weighted mean outcomes; zero where nobody answered.
    """

    seen: Observations
    mass: Floats
    mean: Floats

    @cached_property
    def cluster(self) -> Codes:
        """Cluster of each place, shape (P,)."""
        home = np.zeros(self.seen.n_places, dtype=np.int64)
        home[self.seen.place] = self.seen.cluster
        return home

    @property
    def cell(self) -> Codes:
        """Place in the flattened table of each observation, shape (m,)."""
        return np.asarray(self.seen.place * self.mass.shape[1] + self.seen.period)

    def reweighted(self, weights: Floats) -> PlaceTable:
        """Return the table under other weights, shape (n,)."""
        return place_table(self.seen, weights)

    def without(self, cluster: int) -> PlaceTable:
        """Return the table without one cluster."""
        return replace(self, mass=np.where((self.cluster == cluster)[:, None], 0.0, self.mass))

    def spread(self, by_mean: Floats, by_mass: Floats) -> Floats:
        """Return derivatives in the weights, shape (n, k), from those in means and masses, shape (k, P, T)."""
        seen, cell = self.seen, self.cell
        off = (seen.outcome - self.mean.ravel()[cell]) / np.where(self.mass > 0, self.mass, 1.0).ravel()[cell]
        k = len(by_mean)
        z = by_mean.reshape(k, -1)[:, cell] * off + by_mass.reshape(k, -1)[:, cell]
        return seen.spread(z.T)


def place_table(seen: Observations, weights: Floats | None = None) -> PlaceTable:
    """Sum observations by place and wave; ``weights`` of all respondents, shape (n,), default those of the design."""
    shape = (seen.n_places, len(seen.over_time.times))
    cell, w = seen.place * shape[1] + seen.period, seen.weights(weights)
    mass = mass_by(cell, shape[0] * shape[1], w).reshape(shape)
    sums = mass_by(cell, shape[0] * shape[1], w * seen.outcome).reshape(shape)
    return PlaceTable(seen, mass, np.where(mass > 0, sums / np.where(mass > 0, mass, 1.0), 0.0))


def require_nested(seen: Observations, verb: str) -> None:
    """Raise a ColumnError where a place lies in several clusters."""
    if seen.clusters is None:
        return
    home = np.full(seen.n_places, -1, dtype=np.int64)
    home[seen.place] = seen.cluster
    stray = home[seen.place] != seen.cluster
    if stray.any():
        names = list(dict.fromkeys([seen.places, seen.clusters.name, seen.over_time.time]))
        raise ColumnError(
            f"{verb}: {len(np.unique(seen.place[stray]))} places ({seen.places}) lie in several clusters "
            f"({seen.clusters.name}). Name a place within the cluster, or a cluster that holds whole places.",
            failures=seen.over_time.design.data.iloc[seen.rows[stray]][names],
        )


def read_path(seen: Observations, name: str, role: str, verb: str) -> Floats:
    """Return a treatment or dose by place and wave, shape (P, T); waves without answers take that of the wave before.

    Raises
    ------
    ColumnError
        The column is text, missing, or differs within a place and wave.
    """
    data, design = seen.over_time.design.data, seen.over_time.design
    column = design.column(name)
    if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
        raise ColumnError(f"{verb}: {role} '{name}' is {column.dtype}, expected numbers. Make a numeric column of it.")
    values = column.to_numpy(dtype=float, na_value=np.nan)[seen.rows]
    gone = ~np.isfinite(values)
    if gone.any():
        raise ColumnError(
            f"{verb}: {role} '{name}' is missing in {int(gone.sum())} rows that count. Not treated is 0.",
            failures=data.iloc[seen.rows[gone]],
        )
    n_times = len(seen.over_time.times)
    cell = seen.place * n_times + seen.period
    path = np.full(seen.n_places * n_times, np.nan)
    path[cell] = values
    differs = np.abs(path[cell] - values) > ALIKE
    if differs.any():
        columns = list(dict.fromkeys([seen.places, seen.over_time.time, name]))
        raise ColumnError(
            f"{verb}: {role} '{name}' differs among respondents of one {seen.places} and {seen.over_time.time} "
            f"({len(np.unique(cell[differs]))} cells). Name a smaller place=..., or use the place's mean, such as the "
            f"share of residents covered.",
            failures=data.iloc[seen.rows[differs]][columns],
        )
    filled = pd.DataFrame(path.reshape(-1, n_times)).ffill(axis=1).bfill(axis=1)
    return filled.to_numpy(dtype=float)


def merge_alike(seen: Observations, path: Floats) -> tuple[Observations, Floats, Codes]:
    """Take units of one cluster and treatment path together, where that changes no estimate (a whole panel).

    Returns
    -------
    tuple of Observations, ndarray, ndarray
        The observations with fewer places, the paths of these, shape (P, T), and how many units each holds.
    """
    if not seen.is_whole_panel:
        return seen, path, np.ones(len(path), dtype=np.int64)
    home = np.zeros(seen.n_places, dtype=np.int64)
    home[seen.place] = seen.cluster
    _, first, code, size = np.unique(
        np.column_stack([home, path]), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    return replace(seen, place=code.ravel()[seen.place], n_places=len(first)), path[first], size


@dataclass(frozen=True, eq=False)
class Comparison:
    """Places that move and places that stay, over one stretch of time.

    Attributes
    ----------
    movers, stayers : ndarray of int
        Places.
    weigh, after, before : int
        Waves: of the weights, of the later and the earlier mean.
    """

    movers: Codes
    stayers: Codes
    weigh: int
    after: int
    before: int


@dataclass(frozen=True, eq=False)
class Change:
    """How much more places that move changed than those that stay.

    Attributes
    ----------
    comparison : Comparison
        Places with answers in all three waves.
    kept : ndarray of bool
        Which of the movers these are.
    size : ndarray
        Weight of each mover.
    effect : ndarray
        Change of each mover less the mean change of stayers; NaN where none stays.
    share, off : ndarray
        Of the stayers: share in their mean change, and how much each differs from it.
    """

    comparison: Comparison
    kept: Mask
    size: Floats
    effect: Floats
    share: Floats
    off: Floats
    stayers_mass: float

    def add_gradient(self, slope: Floats, own: Floats, by_mean: Floats, by_mass: Floats) -> None:
        """Add the derivative of a sum of effects to tables of shape (P, T).

        Parameters
        ----------
        slope : ndarray
            Derivative of the sum in the effect of each mover.
        own : ndarray
            Derivative in each mover's weight, its effect held.
        by_mean, by_mass : ndarray, shape (P, T)
            Changed in place.
        """
        at = self.comparison
        by_mean[at.movers, at.after] += slope
        by_mean[at.movers, at.before] += -slope
        by_mean[at.stayers, at.after] += -slope.sum() * self.share
        by_mean[at.stayers, at.before] += slope.sum() * self.share
        by_mass[at.movers, at.weigh] += own
        by_mass[at.stayers, at.weigh] += -slope.sum() * self.off / self.stayers_mass


def change(table: PlaceTable, asked: Comparison) -> Change:
    """Return the change of movers against stayers."""
    mass, mean = table.mass, table.mean

    def there(places: Codes) -> Mask:
        waves = [asked.weigh, asked.after, asked.before]
        return np.asarray((mass[places][:, waves] > 0).all(axis=1))

    kept, stays = there(asked.movers), there(asked.stayers)
    at = replace(asked, movers=asked.movers[kept], stayers=asked.stayers[stays])
    moved = mean[at.movers, at.after] - mean[at.movers, at.before]
    stayed = mean[at.stayers, at.after] - mean[at.stayers, at.before]
    weight = mass[at.stayers, at.weigh]
    total = float(weight.sum())
    average = float(weight @ stayed) / total if total > 0 else np.nan
    share = weight / total if total > 0 else weight
    return Change(at, kept, mass[at.movers, at.weigh], moved - average, share, stayed - average, total)
