"""Auxiliaries of calibration: what the weights have to add up to, read from margins and the respondents' columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from evaluation.design.collapse import Codes, Floats, crossed
from evaluation.design.columns import Columns
from evaluation.design.design import Design
from evaluation.errors import CalibrationError, ColumnError, WeightingError, did_you_mean
from evaluation.survey.margins import TOTAL, Margins
from evaluation.weighting.programme import columns_at
from evaluation.weighting.raking import MarginCodes, code_margins

#: Share of a numeric column's square sum that must be its own, not a combination of the columns before it.
REDUNDANT = 1e-12


class Auxiliaries(NamedTuple):
    """Auxiliaries of respondents with their population totals.

    Attributes
    ----------
    x : Columns, n rows, q columns
        Indicators of levels, kept as codes of cells; then numeric columns.
    totals : ndarray, shape (q,)
    names : tuple of str
        ``"margin=level"``, or the numeric column; ``"total"`` is the population size.
    """

    x: Columns
    totals: Floats
    names: tuple[str, ...]

    def only(self, kept: Codes) -> Auxiliaries:
        """Return the auxiliaries at the places ``kept``, ascending."""
        return Auxiliaries(columns_at(self.x, kept), self.totals[kept], tuple(self.names[j] for j in kept))

    def places(self, name: str, argument: str) -> list[int]:
        """Return the places of a total, or of all levels of a margin; WeightingError where there is none."""
        found = [j for j, own in enumerate(self.names) if own == name]
        found = found or [j for j, own in enumerate(self.names) if own.startswith(f"{name}=")]
        if not found:
            raise WeightingError(f"{argument}: '{name}' is none of the totals. {did_you_mean(name, self.names)}")
        return found


def auxiliaries_of(design: Design, margins: Margins) -> Auxiliaries:
    """Return a column per level of each categorical margin and per numeric total, with what each must add up to.

    Raises
    ------
    WeightingError
        There is no margin.
    ColumnError, MarginError
        As ``calibrate``.
    """
    coded = code_margins(design, margins, counted=design.weights != 0)
    sized = TOTAL in margins.totals
    if not coded and not margins.totals:
        raise WeightingError("calibrate needs at least one margin or total; none was given.")
    code, table = _cells(coded, len(design), sized)
    numeric = [name for name in margins.totals if name != TOTAL]
    dense = tuple(numeric_column(design, name, "calibration total") for name in numeric)
    names = [f"{margin.name}={level}" for margin in coded for level in margin.levels]
    totals = [target for margin in coded for target in margin.targets]
    sizes = [margins.totals[TOTAL]] if sized else []
    return Auxiliaries(
        Columns(len(design), code, table, dense),
        np.array([*totals, *sizes, *(margins.totals[name] for name in numeric)], dtype=float),
        (*names, *([TOTAL] if sized else []), *numeric),
    )


def _cells(coded: tuple[MarginCodes, ...], n: int, sized: bool) -> tuple[Codes | None, Floats]:
    if not coded:
        return (np.zeros(n, dtype=np.int64), np.ones((1, 1))) if sized else (None, np.zeros((0, 0)))
    code, levels = crossed([margin.codes for margin in coded], [len(margin.targets) for margin in coded])
    parts = [np.eye(len(margin.targets))[levels[:, j]] for j, margin in enumerate(coded)]
    return code, np.hstack([*parts, np.ones((len(levels), 1))] if sized else parts)


def refuse_redundant(auxiliaries: Auxiliaries, gram: Floats | None, weights: Floats) -> None:
    """Raise a CalibrationError where a numeric total is a combination of the totals before it.

    Margins share their grand total, so counts of levels, by hand as columns of 0 and 1 too, are redundant by their
    nature; a number is not.
    """
    names = auxiliaries.names
    matrix = auxiliaries.x.gram(np.abs(weights)) if gram is None else gram
    length = np.sqrt(np.diag(matrix))
    length[length == 0] = 1.0
    scaled = matrix / np.outer(length, length)
    for j in range(len(names) - len(auxiliaries.x.dense), len(names)):
        before, own = scaled[:j, :j], scaled[:j, j]
        shares = np.linalg.pinv(before, hermitian=True) @ own
        left = scaled[j, j] - own @ shares
        if scaled[j, j] > 0 and left < REDUNDANT and not np.isin(auxiliaries.x.dense[j - len(names)], (0, 1)).all():
            made_of = [f"'{names[i]}'" for i in np.flatnonzero(np.abs(shares) > 1e-6)]
            told = ", ".join(made_of[:4]) + (", ..." if len(made_of) > 4 else "")
            raise CalibrationError(
                f"calibrate: '{names[j]}' is a combination of {told} in every respondent, so its total says nothing "
                f"that those do not, expected totals that are not collinear. Leave '{names[j]}' out of the margins.",
                failures=pd.DataFrame({"total": [names[j]], "combination_of": [told]}),
            )


def numeric_column(design: Design, name: str, role: str) -> Floats:
    """Return a numeric column that every respondent has, shape (n,); a ColumnError names the rows that lack it.

    Who has no weight (a nonrespondent) needs no value: it is that of the first who counts.
    """
    column = design.column(name)
    if not pd.api.types.is_numeric_dtype(column):
        raise ColumnError(f"{role} '{name}': the column is text, expected numbers. Give counts of its levels.")
    values = column.to_numpy(dtype=float, na_value=np.nan)
    if not np.isfinite(values.sum()):
        counted = design.weights != 0
        missing = ~np.isfinite(values) & counted
        if missing.any():
            raise ColumnError(
                f"{role} '{name}' is {'missing' if np.isnan(values).any() else 'infinite'} for {int(missing.sum())} of "
                f"{len(values)} respondents; the whole sample must have it. Impute it, or choose one that everybody "
                f"answered.",
                failures=design.data.loc[missing],
            )
        values = np.where(np.isfinite(values), values, values[int(np.argmax(counted))])
    return values


def spread_of(design: Design, variance: str | None) -> Floats | None:
    """Return one over the residual variance of each respondent, shape (n,); None where it is the same for all."""
    if variance is None:
        return None
    values = numeric_column(design, variance, "variance")
    wrong = values <= 0
    if wrong.any():
        raise ColumnError(
            f"variance '{variance}' must be above zero, but is not for {int(wrong.sum())} of {len(values)} "
            f"respondents. A variance says how much an outcome scatters around its prediction, up to a factor.",
            failures=design.data.loc[wrong],
        )
    return np.asarray(1 / values)


def give_of(auxiliaries: Auxiliaries, weights: Floats, ridge: Mapping[str, Any] | float | None) -> Floats | None:
    """Return what each total gives way per unit of its multiplier, shape (q,); zero where it is exact.

    Raises
    ------
    WeightingError
        A cost is not above zero, or belongs to no total.
    """
    if ridge is None:
        return None
    costs = np.full(len(auxiliaries.names), np.inf)
    if isinstance(ridge, Mapping):
        for name, cost in ridge.items():
            costs[auxiliaries.places(str(name), "ridge")] = _cost(cost)
    else:
        costs[:] = _cost(ridge)
    unit = np.abs(auxiliaries.totals)
    typical = np.sqrt(np.diag(auxiliaries.x.gram(np.abs(weights))) * np.abs(weights).sum())
    unit = np.where(unit > 0, unit, typical)
    return np.asarray(unit**2 / (float(weights.sum()) * costs))


def _cost(cost: Any) -> float:
    if isinstance(cost, (bool, str)) or not isinstance(cost, (int, float, np.number)) or not cost > 0:
        raise WeightingError(
            f"ridge: a cost must be a number above zero, got {cost!r}. Infinity makes a total exact; a total that may "
            f"be missed altogether does not belong in the margins."
        )
    return float(cost)


def by_cluster(
    design: Design, auxiliaries: Auxiliaries, spread: Floats | None, cluster: str
) -> tuple[Auxiliaries, Floats | None]:
    """Give all members of a cluster (a household) its mean auxiliaries, so that they share one factor.

    Raises
    ------
    ColumnError
        Somebody has no cluster.
    WeightingError
        Members of one cluster have different weights.
    """
    column = design.column(cluster)
    missing = column.isna().to_numpy()
    if missing.any():
        raise ColumnError(
            f"cluster '{cluster}' is missing for {int(missing.sum())} of {len(column)} respondents. Give each a "
            f"cluster, if need be of its own.",
            failures=design.data.loc[missing],
        )
    code = pd.factorize(column)[0].astype(np.int64)
    n_clusters = int(code.max()) + 1
    weighted = design.weights != 0
    _refuse_unequal(design, code, n_clusters, weighted, cluster)
    members = np.bincount(code, weighted, minlength=n_clusters)
    share = weighted / np.maximum(members, 1)[code]
    means = auxiliaries.x.scaled(share).sums_by(code, n_clusters)
    if spread is not None:
        variance = np.bincount(code, share / spread, minlength=n_clusters)
        spread = 1 / np.where(members > 0, variance, 1.0)[code]
    return auxiliaries._replace(x=Columns(len(code), code, means)), spread


def _refuse_unequal(design: Design, code: Codes, n_clusters: int, weighted: Any, cluster: str) -> None:
    rows = np.flatnonzero(weighted)
    own = design.weights[rows]
    first = np.zeros(n_clusters)
    first[code[rows][::-1]] = own[::-1]
    unequal = np.abs(own - first[code[rows]]) > 1e-9 * np.abs(own)
    if unequal.any():
        apart = np.isin(code, code[rows][unequal])
        raise WeightingError(
            f"cluster '{cluster}': members of {len(np.unique(code[rows][unequal]))} clusters have different weights, "
            f"first '{design.data[cluster].iloc[rows[unequal][0]]}'. One weight per cluster needs equal weights to "
            f"start from. Calibrate within clusters before adjusting single members.",
            failures=design.data.loc[apart],
        )
