"""Respondents of a panel collapsed once: sums by cluster, cohort, wave and covariate pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.errors import ColumnError
from evaluation.estimation.arguments import names_any
from evaluation.estimation.domains import outcomes_of
from evaluation.impact.identification import Cell
from evaluation.impact.panel import Cohorts, Panel
from evaluation.impact.staggered.difference import Comparison, Effect
from evaluation.regression.matrix import Matrix
from evaluation.regression.model import read_model

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Covariates are collapsed where there are at least this many respondents per pattern.
ROWS_PER_PATTERN = 4


@dataclass(frozen=True, eq=False)
class Records:
    """Who enters the estimates: respondents of cross-sections, or units of a panel.

    Attributes
    ----------
    over_time : Panel
    rows : ndarray of int, shape (m,) or (m, T)
        Row of each record, of a panel in each wave.
    outcome : ndarray, shape as ``rows``
    cohort : ndarray of int, shape (m,)
    period : ndarray of int, shape (m,)
        Wave; zero in a panel.
    cluster : ndarray of int, shape (m,)
        Zero where no cluster was named.
    pattern : ndarray of int, shape as ``rows``
        Row of ``x``.
    x : ndarray, shape (P, p)
        Distinct covariates, a constant first.
    formula : str
        Right-hand side; empty without covariates.
    n_left_out : int
        Records without outcome or covariates.
    terms : tuple of str, p
        Names of the columns of ``x``.
    early : ndarray of int
        Cohorts of the records left out because they were treated from the first wave on.
    """

    over_time: Panel
    rows: Codes
    outcome: Floats
    cohort: Codes
    period: Codes
    cluster: Codes
    pattern: Codes
    x: Floats
    formula: str
    n_left_out: int
    terms: tuple[str, ...] = ("(Intercept)",)
    early: Codes = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    @property
    def is_panel(self) -> bool:
        """Whether units come again."""
        return self.rows.ndim == 2

    def weights(self, weights: Floats) -> Floats:
        """Return the weight of each record, shape (m,): its own, or of a unit the mean over its waves."""
        own = weights[self.rows]
        return own.mean(axis=1) if self.is_panel else own

    def spread(self, z: Floats) -> Floats:
        """Return influence per row, shape (n, k), from influence per record, shape (m, k)."""
        whole = np.zeros((len(self.over_time.design), z.shape[1]))
        if self.is_panel:
            whole[self.rows] = z[:, None, :] / self.rows.shape[1]
        else:
            whole[self.rows] = z
        return whole


def read_records(
    over_time: Panel, outcome: str, covariates: str | Sequence[str], cohorts: Cohorts, cluster: Codes | None
) -> Records:
    """Read outcome and covariates; a record that misses one is left out, of a panel the whole unit.

    Records stand by cohort, wave and cluster, so that those who are compared lie side by side.
    """
    design = over_time.design
    answers = outcomes_of(design, outcome, listwise=False, verb="att_gt")
    complete = answers.answered[:, 0] & (over_time.period >= 0)
    model = None
    if names_any(covariates):
        model = read_model(design, outcome, covariates, "gaussian", among=complete)
        if model.terms[0] != "(Intercept)":
            raise ColumnError(f"att_gt: the formula '~ {model.formula}' drops the intercept, which the models need.")
        complete = model.used
    candidates = np.flatnonzero(over_time.period >= 0) if over_time.rows is None else over_time.rows
    usable = complete[candidates] if candidates.ndim == 1 else complete[candidates].all(axis=1)
    own = cohorts.code[candidates if candidates.ndim == 1 else candidates[:, 0]]
    is_early = usable & (cohorts.values[own] <= over_time.times[0])
    # Without a wave before their treatment they are in no comparison, but their places would count as clusters.
    early, usable_later = own[is_early], usable & ~is_early
    rows = candidates if usable_later.all() else candidates[usable_later]
    first = rows if rows.ndim == 1 else rows[:, 0]
    place = np.zeros(len(design), dtype=np.int64) if cluster is None else cluster
    period = over_time.period if rows.ndim == 1 else np.zeros(len(design), dtype=np.int64)
    key = (cohorts.code[first] * len(over_time.times) + period[first]) * (int(place.max()) + 1) + place[first]
    rows = rows[_ascending(key)]
    first = rows if rows.ndim == 1 else rows[:, 0]
    pattern, distinct = _patterns(None if model is None else model.matrix, complete, rows)
    return Records(
        over_time,
        rows,
        answers.values[:, 0][rows],
        cohorts.code[first],
        period[first],
        place[first],
        pattern,
        distinct,
        "" if model is None else model.formula,
        int((~usable).sum()),
        ("(Intercept)",) if model is None else tuple(model.terms),
        early,
    )


def _ascending(key: Codes) -> Codes:
    """Return the stable order of codes, which small integers reach without comparing."""
    small = len(key) > 0 and int(key.max()) < np.iinfo(np.int16).max
    return np.argsort(key.astype(np.int16) if small else key, kind="stable")


def _patterns(matrix: Matrix | None, used: Mask, rows: Codes) -> tuple[Codes, Floats]:
    """Number the distinct covariate rows; each record its own pattern where hardly any two are alike."""
    flat = rows.ravel()
    if matrix is None:
        return np.zeros_like(rows), np.ones((1, 1))
    code = _distinct(matrix, flat)
    if code is None:
        return np.arange(len(flat)).reshape(rows.shape), _standardised(matrix, used, flat)
    n_patterns = int(code.max()) + 1
    example = np.empty(n_patterns, dtype=np.int64)
    example[code[::-1]] = flat[::-1]
    return code.reshape(rows.shape), _standardised(matrix, used, example)


def _distinct(matrix: Matrix, flat: Codes) -> Codes | None:
    """Return the pattern of each of some rows; None where hardly any two are alike."""
    code = np.zeros(len(flat), dtype=np.int64)
    for column in islice(matrix.each_column(), 1, None):
        own, levels = pd.factorize(column[flat])
        code, found = pd.factorize(code * len(levels) + own)
        if len(found) * ROWS_PER_PATTERN > len(flat):
            return None
    return code


def _standardised(matrix: Matrix, used: Mask, rows: Codes) -> Floats:
    """Return some rows of the covariates in units of their spread, a column at a time."""
    columns = list(matrix.each_column())
    x = np.empty((len(rows), len(columns)))
    for place, column in enumerate(columns):
        own = column if used.all() else column[used]
        centre, spread = (float(own.mean()), float(own.std())) if place else (0.0, 1.0)
        x[:, place] = (column[rows] - centre) / (spread if spread > 0 else 1.0)
    return x


@dataclass(frozen=True, eq=False)
class CellTable:
    """Sums of weights and outcomes, in rows ordered by cohort and wave.

    Attributes
    ----------
    records : Records
    row_of : ndarray of int, shape (m,)
        Row of each record.
    bounds : ndarray of int, shape (C * T + 1,)
        Where the rows of each cohort and wave begin.
    n_times : int
        Waves told apart; 1 in a panel.
    cluster : ndarray of int, shape (J,)
    pattern : ndarray of int, shape (J,) or (J, T)
    weight : ndarray, shape (J,)
    outcome : ndarray, shape (J,) or (J, T)
        Weighted means.
    """

    records: Records
    row_of: Codes
    bounds: Codes
    n_times: int
    cluster: Codes
    pattern: Codes
    weight: Floats
    outcome: Floats

    @cached_property
    def period(self) -> Codes:
        """Wave of each row, shape (J,); zero in a panel."""
        return np.asarray(np.repeat(np.arange(len(self.bounds) - 1) % self.n_times, np.diff(self.bounds)))

    @cached_property
    def is_by_record(self) -> bool:
        """Whether every record is a row of its own, in the order of the records."""
        return len(self.weight) == len(self.row_of) and bool((self.row_of == np.arange(len(self.row_of))).all())

    def rows(self, cohorts: Sequence[int], period: int) -> Codes:
        """Return the rows of some cohorts in one wave."""
        at = [cohort * self.n_times + period for cohort in cohorts]
        parts = [np.arange(self.bounds[i], self.bounds[i + 1]) for i in at]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def comparison(self, cell: Cell, without: int = -1) -> tuple[Codes, Comparison]:
        """Return the rows of a cell and what is compared in them, without one cluster."""
        waves = [0] if self.records.is_panel else [cell.time, cell.base]
        parts = [self.rows(group, wave) for wave in waves for group in ([cell.cohort], cell.controls)]
        at = np.concatenate(parts)
        treated = np.repeat([True, False] * len(waves), [len(part) for part in parts])
        after = np.repeat([True, True, False, False][: len(parts)], [len(part) for part in parts])
        kept = (self.weight[at] > 0) & (self.cluster[at] != without)
        if not kept.all():
            at, treated, after = at[kept], treated[kept], after[kept]
        x = self.records.x
        if self.records.is_panel:
            change = self.outcome[at, cell.time] - self.outcome[at, cell.base]
            return at, Comparison(self.weight[at], change, treated, None, x[self.pattern[at, cell.base]])
        return at, Comparison(self.weight[at], self.outcome[at], treated, after, x[self.pattern[at]])

    def influence(self, cell: Cell, at: Codes, made: Effect) -> Floats:
        """Return the influence of an effect per record, shape (m,)."""
        constant, slope = np.zeros(len(self.weight)), np.zeros(len(self.weight))
        constant[at], slope[at] = made.constant, made.slope
        y = self.records.outcome
        answered = y[:, cell.time] - y[:, cell.base] if self.records.is_panel else y
        return np.asarray(constant[self.row_of] + slope[self.row_of] * answered)

    def reweighted(self, weights: Floats) -> CellTable:
        """Return the table under other weights, shape (n,)."""
        weight, outcome = _sums(self.records, self.row_of, len(self.weight), weights)
        return replace(self, weight=weight, outcome=outcome)

    def relabelled(self, cohort: Codes, n_cohorts: int) -> CellTable:
        """Return the table had the clusters other cohorts, shape (G,); ``row_of`` is not kept."""
        cohort_wave = cohort[self.cluster] * self.n_times + self.period
        order = _ascending(cohort_wave)
        size = np.bincount(cohort_wave, minlength=n_cohorts * self.n_times)
        return CellTable(
            self.records,
            np.zeros(0, dtype=np.int64),
            np.concatenate([[0], np.cumsum(size)]).astype(np.int64),
            self.n_times,
            self.cluster[order],
            self.pattern[order],
            self.weight[order],
            self.outcome[order],
        )


def collapse(records: Records, n_cohorts: int) -> CellTable:
    """Sum the records by cohort, wave, cluster and covariate pattern; without repeated patterns each is a row."""
    n_times = 1 if records.is_panel else len(records.over_time.times)
    cohort_wave = records.cohort * n_times + records.period
    pattern = records.pattern
    if len(records.x) == pattern.size and pattern.size > 1:
        example = row_of = np.arange(len(cohort_wave))
    else:
        path = pattern if pattern.ndim == 1 else _paths(pattern)
        n_clusters, n_paths = int(records.cluster.max()) + 1, int(path.max()) + 1
        key = (cohort_wave * n_clusters + records.cluster) * n_paths + path
        _, example, row_of = np.unique(key, return_index=True, return_inverse=True)
    size = np.bincount(cohort_wave[example], minlength=n_cohorts * n_times)
    bounds = np.concatenate([[0], np.cumsum(size)]).astype(np.int64)
    weight, outcome = _sums(records, row_of, len(example), records.over_time.design.domain_weights)
    return CellTable(records, row_of, bounds, n_times, records.cluster[example], pattern[example], weight, outcome)


def _paths(pattern: Codes) -> Codes:
    if (pattern == pattern[:, :1]).all():
        return pattern[:, 0]
    return np.asarray(np.unique(pattern, axis=0, return_inverse=True)[1].ravel())


def _sums(records: Records, row_of: Codes, n_rows: int, weights: Floats) -> tuple[Floats, Floats]:
    own = records.weights(weights)
    weight = mass_by(row_of, n_rows, own)
    columns = records.outcome.T if records.is_panel else records.outcome[None]
    total = np.stack([mass_by(row_of, n_rows, own * column) for column in columns], axis=1)
    mean = total / np.where(weight > 0, weight, 1.0)[:, None]
    return weight, mean if records.is_panel else mean[:, 0]
