"""Rows of a staged roll-out summed to second moments by cluster and cohort, on which all its regressions rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import crossed, mass_by, sum_by
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.impact.effects import Clusters, cohort_by_cluster
from evaluation.impact.identification import LAST_COHORT, NO_PERIOD_BEFORE
from evaluation.impact.panel import Panel, cluster_codes, exact, read_cohorts, require_panel
from evaluation.regression.model import read_model

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Fewest clusters that an error by clusters may rest on.
FEWEST = 3


@dataclass(frozen=True, eq=False)
class CohortRows:
    """Rows that a regression by cohort uses.

    Attributes
    ----------
    over_time : Panel
    names : dict of str to str
        Columns by role: ``outcome``, ``cohort``, ``place`` (what has an effect of its own).
    at : ndarray of int, shape (m,)
        Rows of the design.
    times : ndarray, shape (T,)
        Waves used.
    cohorts : ndarray, shape (C,)
        First treated periods, ascending; infinite, last, for those not treated in these waves.
    period, cohort, block : ndarray of int, shape (m,)
        Wave, cohort, and block: the rows of one cluster and cohort.
    place : ndarray of int, shape (m,), or None
        Level with an effect of its own, nested in blocks; None where cohorts have effects.
    u : ndarray, shape (1 + p, m)
        A constant and the covariates, less their means.
    y : ndarray, shape (m,)
        Outcome, less its mean.
    terms : tuple of str
        Covariates.
    block_cohort, block_cluster : ndarray of int, shape (B,)
    clusters : Clusters or None
    not_identified : tuple of dict
        Cohorts and periods that were left out, and why.
    """

    over_time: Panel
    names: dict[str, str]
    at: Codes
    times: Floats
    cohorts: Floats
    period: Codes
    cohort: Codes
    block: Codes
    place: Codes | None
    u: Floats
    y: Floats
    terms: tuple[str, ...]
    block_cohort: Codes
    block_cluster: Codes
    clusters: Clusters | None
    not_identified: tuple[dict[str, Any], ...] = ()

    @property
    def width(self) -> int:
        """Number of moments of a block beside the outcome: waves times a constant and the covariates."""
        return len(self.times) * len(self.u)

    @property
    def has_never(self) -> bool:
        """Whether somebody is not treated in these waves."""
        return bool(np.isinf(self.cohorts[-1]))

    @property
    def since(self) -> Floats:
        """Time since treatment by cohort and wave, shape (C, T); minus infinity for those not treated."""
        return np.asarray(self.times[None, :] - self.cohorts[:, None])


def read_rows(
    panel: Panel,
    verb: str,
    *,
    outcome: str,
    cohort: str,
    covariates: str | Sequence[str] = (),
    cluster: str | None = None,
    place: str | None = None,
    by_cohort: bool = False,
    needs_comparison: bool = True,
    needs_start: bool = True,
) -> CohortRows:
    """Read the rows of a regression by cohort.

    Parameters
    ----------
    panel, outcome, cohort, covariates, cluster
        As of the verbs.
    verb : str
        For messages.
    place : str, optional
        Column whose levels have an effect each; default the unit of a panel, else the cohort.
    by_cohort : bool
        Cohorts have effects unless ``place`` was named, in panels too.
    needs_comparison : bool
        Without anybody untreated, end before the last cohort is treated, which then serves for comparison.
    needs_start : bool
        Leave out cohorts that are treated from the first wave on.
    """
    require_panel(panel, verb)
    cohorts = read_cohorts(panel, cohort)
    model = read_model(panel.design, outcome, covariates, "gaussian", among=panel.period >= 0)
    first = np.where(cohorts.code >= 0, cohorts.values[cohorts.code], np.inf)
    first = np.where(first > panel.times[-1], np.inf, first)
    used, told = _identified_rows(panel, verb, cohort, first, model.used, needs_comparison, needs_start)
    times = panel.times[: int(panel.period[used].max()) + 1]
    first = np.where(first > times[-1], np.inf, first)
    at = np.flatnonzero(used)
    values, code = np.unique(first[at], return_inverse=True)
    clusters = None if cluster is None else read_clusters(panel, cluster, used, first, verb)
    block, keys = _blocks(code, len(values), None if clusters is None else clusters.code[at], clusters)
    named = place or (None if by_cohort else panel.unit)
    where = None if named is None else _places(panel, named, at, block, keys, cohort, cluster)
    weights = panel.design.domain_weights[at]
    terms = [term for term in model.terms if term != "(Intercept)"]
    u = np.ones((1 + len(terms), len(at)))
    for term, column in zip(model.terms, model.matrix.each_column(), strict=True):
        if term != "(Intercept)":
            own = u[1 + terms.index(term)]
            own[:] = column[at]
            own -= own @ weights / weights.sum()
    y = model.y[at] - float(model.y[at] @ weights) / weights.sum()
    return CohortRows(
        panel,
        {"outcome": outcome, "cohort": cohort, "place": named or cohort},
        at,
        times,
        values,
        panel.period[at],
        code.astype(np.int64),
        block,
        where,
        u,
        y,
        tuple(terms),
        keys[:, 0],
        keys[:, 1],
        clusters,
        tuple(told),
    )


def _identified_rows(
    panel: Panel, verb: str, cohort: str, first: Floats, used: Mask, needs_comparison: bool, needs_start: bool
) -> tuple[Mask, list[dict[str, Any]]]:
    """Return the rows that stay, and cohorts and periods that go with the reason."""
    times, told = panel.times, []
    dates = np.unique(first[used])
    finite = dates[np.isfinite(dates)]
    if not len(finite):
        raise IdentificationError(f"{verb}: cohort '{cohort}' is 0, missing or after the last wave in every row.")
    if needs_start:
        early = finite[finite <= times[0]]
        used = used & ~np.isin(first, early)
        told += [{"cohort": exact(g), "time": exact(t), "reason": NO_PERIOD_BEFORE} for g in early for t in times]
        finite = finite[finite > times[0]]
        if not len(finite):
            raise IdentificationError(
                f"{verb}: every cohort in '{cohort}' is treated from the first wave ({times[0]:g}) on, so none has a "
                f"wave before treatment. Add earlier waves."
            )
    if needs_comparison and np.isfinite(dates).all():
        if len(finite) < 2:
            raise IdentificationError(
                f"{verb}: all are treated at one date ({finite[-1]:g}), and nobody is left to compare with. Add places "
                f"that were never treated, or treated later."
            )
        late = times >= finite[-1]
        used = used & ~(late[np.maximum(panel.period, 0)] & (panel.period >= 0))
        told += [{"cohort": exact(g), "time": exact(t), "reason": LAST_COHORT} for g in finite for t in times[late]]
    if not used.any():
        raise EstimationError(f"{verb}: no row is left with an outcome, all covariates and a wave before treatment.")
    return used, told


def read_clusters(panel: Panel, name: str, used: Mask, first: Floats, verb: str) -> Clusters:
    """Return the clusters of the rows used, renumbered, with their first treated period where they share one."""
    levels, code = cluster_codes(panel, name)
    kept = np.unique(code[used])
    if len(kept) < FEWEST:
        shown = ", ".join(str(levels[i]) for i in kept)
        raise EstimationError(
            f"{verb}: cluster '{name}' has {len(kept)} values among the rows used ({shown}); at least {FEWEST} are "
            f"needed for an error. Name smaller places as clusters, or leave cluster out and say that errors are those "
            f"of sampling alone."
        )
    place = np.full(len(levels), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    whole = np.where(used, place[code], -1)
    return Clusters(name, tuple(levels[i] for i in kept), whole, cohort_by_cluster(first, whole, len(kept)))


def _blocks(code: Codes, n_cohorts: int, cluster: Codes | None, clusters: Clusters | None) -> tuple[Codes, Codes]:
    """Return the block of each row, and cohort and cluster of each block."""
    if cluster is None or clusters is None:
        return code.astype(np.int64), np.column_stack([np.arange(n_cohorts), np.zeros(n_cohorts, dtype=np.int64)])
    block, keys = crossed([cluster, code.astype(np.int64)], [len(clusters), n_cohorts])
    return block, keys[:, ::-1]


def _places(
    panel: Panel, name: str, at: Codes, block: Codes, keys: Codes, cohort: str, cluster: str | None
) -> Codes | None:
    """Return the place of each row; None where places are the cohorts themselves."""
    if name == cohort:
        return None
    column = panel.design.column(name)
    code, found = pd.factorize(column.iloc[at])
    if (code < 0).any():
        raise ColumnError(
            f"place '{name}' is missing in {int((code < 0).sum())} rows that count.",
            failures=panel.design.data.iloc[at[code < 0]],
        )
    home = np.zeros(len(found), dtype=np.int64)
    home[code] = block
    astray = home[code] != block
    if astray.any():
        row = int(np.flatnonzero(astray)[0])
        cohorts_differ = keys[home[code[row]], 0] != keys[block[row], 0]
        what = f"several values of cohort '{cohort}'" if cohorts_differ else f"several clusters '{cluster}'"
        raise ColumnError(
            f"place '{name}' {column.iloc[at[row]]} has rows with {what}. Name a smaller place, such as the one where "
            f"treatment was assigned, or leave place out to give each cohort an effect.",
            failures=panel.design.data.iloc[at[astray]],
        )
    return np.asarray(code, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Moments:
    """Weighted second moments.

    Attributes
    ----------
    products : ndarray, shape (B, q + 1, q + 1)
        Per block, of constant and covariates in each wave (wave by wave) and, last, the outcome; less what effects of
        places take up.
    sums : ndarray, shape (B, T, 1 + p)
        Sums of weights and of weighted covariates.
    squares : ndarray, shape (B, T, 1 + p)
        Sums of weighted squares, places not taken out.
    """

    products: Floats
    sums: Floats
    squares: Floats

    def by_cohort(self, cohort: Codes, n_cohorts: int) -> Moments:
        """Return the moments summed over the blocks of each cohort."""
        made = []
        for part in (self.products, self.sums, self.squares):
            whole = np.zeros((n_cohorts, *part.shape[1:]))
            np.add.at(whole, cohort, part)
            made.append(whole)
        return Moments(*made)


def raw_moments(rows: CohortRows, weights: Floats) -> Floats:
    """Return moments of constant, covariates and outcome in each block and wave, shape (B, T, p + 2, p + 2)."""
    b, t = len(rows.block_cohort), len(rows.times)
    cell, columns = rows.block * t + rows.period, [*rows.u, rows.y]
    moments = np.empty((len(columns), len(columns), b * t))
    for i, left in enumerate(columns):
        product = weights * left
        for j, right in enumerate(columns[: i + 1]):
            moments[i, j] = moments[j, i] = mass_by(cell, b * t, product * right if j else product)
    return np.asarray(moments.transpose(2, 0, 1).reshape(b, t, len(columns), len(columns)))


def moments_of(rows: CohortRows, weights: Floats) -> Moments:
    """Return the moments of rows under final weights of the whole design, shape (n,)."""
    own = weights[rows.at]
    raw = raw_moments(rows, own)
    products = arranged(raw)
    if rows.place is not None:
        _take_places_out(rows, own, products)
    n = len(rows.u)
    return Moments(products, raw[:, :, :n, 0].copy(), np.diagonal(raw, axis1=2, axis2=3)[:, :, :n].copy())


def arranged(raw: Floats) -> Floats:
    """Return moments by block and wave, shape (B, T, p + 2, p + 2), as products of each block, (B, q + 1, q + 1)."""
    b, t, size = raw.shape[:3]
    n = size - 1
    products = np.zeros((b, t * n + 1, t * n + 1))
    for s in range(t):
        own = slice(s * n, (s + 1) * n)
        products[:, own, own] = raw[:, s, :n, :n]
        products[:, own, -1] = products[:, -1, own] = raw[:, s, :n, n]
    products[:, -1, -1] = raw[:, :, n, n].sum(axis=1)
    return products


def _take_places_out(rows: CohortRows, weights: Floats, products: Floats) -> None:
    place, t, n = rows.place, len(rows.times), len(rows.u)
    if place is None:
        return
    count = int(place.max()) + 1
    sums = np.zeros((count, t * n + 1))
    for j, column in enumerate(rows.u):
        sums[:, j:-1:n] = mass_by(place * t + rows.period, count * t, weights * column).reshape(count, t)
    sums[:, -1] = mass_by(place, count, weights * rows.y)
    mass = mass_by(place, count, weights)
    scaled = sums / np.sqrt(np.where(mass > 0, mass, 1.0))[:, None]
    home = np.zeros(count, dtype=np.int64)
    home[place] = rows.block
    order = np.argsort(home, kind="stable")
    ends = np.searchsorted(home[order], np.arange(len(products) + 1))
    for b in range(len(products)):
        own = scaled[order[ends[b] : ends[b + 1]]]
        products[b] -= own.T @ own


def memberships(rows: CohortRows, cohorts: Floats) -> tuple[Floats, Mask]:
    """Return which cluster joins which cohort under other orders of the roll-out.

    Parameters
    ----------
    rows : CohortRows
        With clusters of one cohort each.
    cohorts : ndarray, shape (D, G)
        First treated period of each cluster; infinite for never.

    Returns
    -------
    belongs : ndarray, shape (F, C, G)
        0 or 1, of the orders that know the cohorts of the data only.
    fits : ndarray of bool, shape (D,)
        Which these are.
    """
    known, given = rows.cohorts, np.asarray(cohorts, dtype=float)
    first = np.where((given > rows.times[-1]) | (given == 0) | np.isnan(given), np.inf, given)
    code = np.minimum(np.searchsorted(known, first), len(known) - 1)
    fits = (known[code] == first).all(axis=1)
    return (code[fits][:, None, :] == np.arange(len(known))[None, :, None]).astype(float), fits


def scores_by_cluster(rows: CohortRows, influence: Floats) -> Floats:
    """Return weighted influence, shape (n, r), summed per cluster, shape (G, r)."""
    clusters = rows.clusters
    if clusters is None:
        raise EstimationError("scores by cluster need cluster=..., the column of the treated places.")
    z = influence[rows.at] * rows.over_time.design.domain_weights[rows.at][:, None]
    return sum_by(clusters.code[rows.at], len(clusters), z)
