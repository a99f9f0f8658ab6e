"""Influence of group-time effects and of cohort sizes, summed per sampling unit or per place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.impact.effects import errors_of
from evaluation.impact.staggered.fitted import Fitted
from evaluation.results import VarianceEngine

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Influence columns made at once where a weighting chain needs every row; bounds the memory of large tables.
BLOCK = 4


def engine_of(fitted: Fitted) -> VarianceEngine:
    """Return what turns sums into a covariance."""
    return _carried(fitted, np.zeros((len(fitted.table.records.cohort), 0)))[0]


def effect_sums(fitted: Fitted) -> Floats:
    """Return the weighted influence of every effect, shape (units, k).

    Notes
    -----
    Without a weighting chain a respondent contributes weight times influence, so those an effect does not compare
    are left alone, and a row of the table stands for all who share it.
    """
    unit, n_units = _unit_of_rows(fitted)
    if unit is None:
        each = np.eye(len(fitted.cells))
        blocks = [each[first : first + BLOCK] for first in range(0, len(each), BLOCK)]
        return np.hstack([_carried(fitted, fitted.influence(block))[1] for block in blocks])
    table, sums = fitted.table, np.zeros((n_units, len(fitted.cells)))
    for column, (cell, made) in enumerate(zip(fitted.cells, fitted.effects, strict=True)):
        if made is not None:
            at, effect = made
            y = table.outcome[at]
            y = y[:, cell.time] - y[:, cell.base] if table.records.is_panel else y
            sums[:, column] = mass_by(unit[at], n_units, table.weight[at] * (effect.constant + effect.slope * y))
    return sums


def size_sums(fitted: Fitted, counted: NDArray[np.bool_]) -> Floats:
    """Return the weighted influence of the size of every cohort among some records, (m,), shape (units, C)."""
    records, n_cohorts = fitted.table.records, len(fitted.cohorts.values)
    design = fitted.over_time.design
    if not design.steps:
        unit, n_units = _unit_of_records(fitted)
        key, own = unit[counted] * n_cohorts + records.cohort[counted], records.weights(design.domain_weights)
        return mass_by(key, n_units * n_cohorts, own[counted]).reshape(n_units, n_cohorts)
    cohorts = [counted & (records.cohort == cohort) for cohort in range(n_cohorts)]
    return np.hstack([_carried(fitted, own[:, None].astype(float))[1] for own in cohorts])


def _carried(fitted: Fitted, z: Floats) -> tuple[VarianceEngine, Floats]:
    """Carry influence per record, shape (m, k), through the weighting chain and sum it."""
    spread = fitted.table.records.spread
    return errors_of(replace(fitted.refit(), influence=lambda: spread(z)), fitted.vcov)


def _unit_of_records(fitted: Fitted) -> tuple[Codes, int]:
    records, clusters = fitted.table.records, fitted.clusters
    if fitted.vcov != "design" and clusters is not None:
        return records.cluster, len(clusters)
    design = fitted.over_time.design
    rows = records.rows[:, 0] if records.is_panel else records.rows
    return design.sampling.unit[rows], design.n_contributions


def _unit_of_rows(fitted: Fitted) -> tuple[Codes | None, int]:
    """Return the unit of each row of the table; None where a chain, or a row of several units, needs respondents."""
    unit, n_units = _unit_of_records(fitted)
    if fitted.over_time.design.steps:
        return None, n_units
    if fitted.vcov != "design":
        return fitted.table.cluster, n_units
    return (unit, n_units) if fitted.table.is_by_record else (None, n_units)
