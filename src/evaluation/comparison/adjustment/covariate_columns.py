"""Covariates as balance looks at them: numbers and levels, and how two groups differ in them under any weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError
from evaluation.estimation.diagnostic_frames import marks_of_parts
from evaluation.estimation.domains import MAXIMUM_LEVELS, code_levels, is_text
from evaluation.estimation.small_counts import fewest
from evaluation.regression.model import read_model
from evaluation.results import Provenance

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]

#: What the row of missing values is called.
MISSING = "missing"
#: Bins in which numbers are counted; whole numbers within so many of each other need no sorting at all.
_BINS = 4096


@dataclass(frozen=True, eq=False)
class CovariateColumn:
    """One covariate of the respondents in use.

    Attributes
    ----------
    name : str
        Column, or term of a model.
    known : ndarray of bool, shape (m,), or None
        Who has a value; None where everybody has.
    values : ndarray, shape (m,), or None
        Numbers, zero where missing; None for levels.
    code : ndarray of int, shape (m,), or None
        Level of each respondent, -1 where missing; None for numbers.
    levels : tuple of str
        Empty for numbers.
    is_made : bool
        Whether it is a square or a product.
    """

    name: str
    known: Mask | None
    values: Floats | None = None
    code: Codes | None = None
    levels: tuple[str, ...] = ()
    is_made: bool = False

    @property
    def is_binary(self) -> bool:
        """Whether a number is 0 or 1 wherever it is known."""
        return self.values is not None and bool(((self.values == 0) | (self.values == 1)).all())


@dataclass(frozen=True)
class GroupGap:
    """Two groups in one number or level: others first.

    Attributes
    ----------
    mean : (float, float)
        Of others and of participants; of a level its share.
    variance : (float, float)
        Weighted variance; of a yes-or-no column ``p (1 - p)``.
    ks : float
        Largest distance of the two distribution functions.
    is_binary : bool
        Yes-or-no, or a level.
    """

    mean: tuple[float, float]
    variance: tuple[float, float]
    ks: float
    is_binary: bool

    @property
    def gap(self) -> float:
        """Mean of participants less that of others."""
        return self.mean[1] - self.mean[0]

    @property
    def variance_ratio(self) -> float:
        """Variance of participants over that of others; missing for a yes-or-no column."""
        return float("nan") if self.is_binary or not self.variance[0] > 0 else self.variance[1] / self.variance[0]

    def standardised(self, spread: float) -> float:
        """Return the gap over the root of a variance; zero where both groups are constant and alike."""
        if spread > 0:
            return self.gap / float(np.sqrt(spread))
        return 0.0 if self.gap == 0 else float("nan")


def by_group(members: tuple[Mask, Mask]) -> tuple[NDArray[np.int64], int]:
    """Return the rows of others, then of participants, and how many others there are."""
    others, participants = (np.flatnonzero(mask) for mask in members)
    return np.concatenate([others, participants]), len(others)


def covariate_columns(
    design: Design,
    treatment: str,
    covariates: Names,
    at: NDArray[np.int64],
    *,
    squares: bool = False,
    interactions: bool = False,
) -> list[CovariateColumn]:
    """Return the covariates of the respondents in use, m of n.

    Parameters
    ----------
    design : Design
        Its data.
    treatment : str
        Outcome of the participation model, for a formula.
    covariates : str or list of str
        Names, of which text columns become levels; or a one-sided formula: the columns of its model matrix.
    at : ndarray of int, shape (m,)
        Their rows.
    squares, interactions : bool
        Also squares of numbers, and products of every two columns of different covariates.

    Raises
    ------
    ColumnError
        A column does not exist, or has so many levels that it is no category.
    """
    used = np.zeros(len(design), dtype=bool)
    used[at] = True
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        model = read_model(design, treatment, covariates, "binomial", among=used)
        return [
            CovariateColumn(term, None, values[at])
            for term, values in zip(model.terms, model.x.T, strict=True)
            if term != "(Intercept)"
        ]
    names = [covariates] if isinstance(covariates, str) else list(covariates)
    found = [_read(design, name, at, used) for name in names]
    numbers = [column for column in found if column.values is not None and not column.is_binary]
    squared = [_product(column, column, f"{column.name}:{column.name}") for column in numbers] if squares else []
    return [*found, *squared, *(_products(found) if interactions else ())]


def _read(design: Design, name: str, at: NDArray[np.int64], used: Mask) -> CovariateColumn:
    column = design.column(name)
    if not is_text(column):
        numbers = pd.to_numeric(column.astype("boolean") if column.dtype == object else column)
        values = numbers.to_numpy(dtype=float, na_value=np.nan)[at]
        known = ~np.isnan(values)
        _refuse_unusable(name, known, np.isinf(values), design, at)
        return CovariateColumn(name, None, values) if known.all() else CovariateColumn(
            name, known, np.where(known, values, 0.0)
        )  # fmt: skip
    levels, code = code_levels(column, used)
    if len(levels) > MAXIMUM_LEVELS:
        raise ColumnError(f"covariate '{name}' has {len(levels)} levels, so it is hardly a category. Group it first.")
    code = code[at]
    known = code >= 0
    _refuse_unusable(name, known, np.zeros(len(at), dtype=bool), design, at)
    return CovariateColumn(name, None if known.all() else known, None, code, tuple(map(str, levels)))


def _refuse_unusable(name: str, known: Mask, infinite: Mask, design: Design, at: NDArray[np.int64]) -> None:
    if not known.any():
        raise ColumnError(
            f"covariate '{name}' is missing for all {len(at):,} respondents in the two groups, so there is nothing to "
            f"compare. Leave it out."
        )
    if infinite.any():
        raise ColumnError(
            f"covariate '{name}' is infinite in {int(infinite.sum())} rows. Make them missing.",
            failures=design.data.iloc[at[infinite]],
        )


def _products(columns: Sequence[CovariateColumn]) -> Iterator[CovariateColumn]:
    for one, other in combinations(columns, 2):
        for first in _numbers(one):
            for second in _numbers(other):
                yield _product(first, second, f"{first.name}:{second.name}")


def _numbers(column: CovariateColumn) -> Iterator[CovariateColumn]:
    """Yield a number as it is, levels as one column each."""
    if column.code is None:
        yield column
        return
    for place, level in enumerate(column.levels):
        yield CovariateColumn(f"{column.name}[{level}]", column.known, (column.code == place).astype(float))


def _product(one: CovariateColumn, other: CovariateColumn, name: str) -> CovariateColumn:
    masks = [column.known for column in (one, other) if column.known is not None]
    first, second = (column.values for column in (one, other))
    product = None if first is None or second is None else first * second
    return CovariateColumn(name, np.logical_and.reduce(masks) if masks else None, product, is_made=True)


def without_missing(column: CovariateColumn) -> CovariateColumn:
    """Return who misses the covariate as a yes-or-no column of its own."""
    known = column.known
    return CovariateColumn(column.name, None, np.zeros(0) if known is None else (~known).astype(float))


def gaps(column: CovariateColumn, split: int, weightings: Floats) -> list[list[GroupGap]]:
    """Compare two groups in one covariate under several weights at once.

    Parameters
    ----------
    column : CovariateColumn
        Of m respondents, others first.
    split : int
        How many of them are others.
    weightings : ndarray, shape (k, m)
        Weights; who misses the covariate counts in none.

    Returns
    -------
    list of list of GroupGap
        For each weighting one entry per level, or one for a number.
    """
    if column.known is not None:
        weightings = np.where(column.known, weightings, 0.0)
    if column.code is not None:
        return [_level_gaps(column, split, weights) for weights in weightings]
    x = np.asarray(column.values)
    moments = _moments(x, split, weightings)
    if column.is_binary:
        return [[_of_shares(others[0], participants[0])] for others, participants in moments]
    return [[_of_numbers(pair, ks)] for pair, ks in zip(moments, _distances(x, split, weightings), strict=True)]


def _groups(split: int) -> tuple[slice, slice]:
    return slice(None, split), slice(split, None)


def _level_gaps(column: CovariateColumn, split: int, weights: Floats) -> list[GroupGap]:
    size, code = len(column.levels), np.asarray(column.code)
    code = np.where(code < 0, size, code)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [
            np.bincount(code[own], weights=weights[own], minlength=size)[:size] / weights[own].sum()
            for own in _groups(split)
        ]
    return [_of_shares(float(others), float(participants)) for others, participants in zip(*shares, strict=True)]


def _moments(x: Floats, split: int, weightings: Floats) -> list[list[tuple[float, float]]]:
    """Return weighted mean and variance of each group under each weighting; not a number without weight."""
    centre = float(x.mean())
    moved = x - centre
    powers = np.vstack([moved, moved**2])
    by_group = []
    for own in _groups(split):
        weights = weightings[:, own]
        with np.errstate(invalid="ignore", divide="ignore"):
            total = weights.sum(axis=1)
            first, second = powers[:, own] @ weights.T
            size = total - np.einsum("km,km->k", weights, weights) / total
            scatter = np.where(size > 0, (second - first**2 / total) / size, np.nan)
            means = centre + first / total
        by_group.append(list(zip(means.tolist(), np.maximum(scatter, 0.0).tolist(), strict=True)))
    return [list(pair) for pair in zip(*by_group, strict=True)]


def _of_shares(others: float, participants: float) -> GroupGap:
    return GroupGap(
        (others, participants), (_spread_of(others), _spread_of(participants)), abs(participants - others), True
    )


def _spread_of(share: float) -> float:
    """Return ``p (1 - p)``, zero where rounding puts a share just above 1."""
    return max(share * (1 - share), 0.0) if share == share else share


def _of_numbers(moments: list[tuple[float, float]], ks: float) -> GroupGap:
    others, participants = moments
    return GroupGap((others[0], participants[0]), (others[1], participants[1]), ks, False)


def _distances(x: Floats, split: int, weightings: Floats) -> list[float]:
    """Return the largest distance of the two distribution functions under each weighting.

    Numbers are counted in bins; only the bins within which the distance may be larger than at all edges are sorted.
    """
    low, high = float(x.min()), float(x.max())
    scaled = x - low
    code = scaled.astype(np.int64) if high - low < _BINS else np.zeros(0, dtype=np.int64)
    exact = len(code) == len(x) and bool((code == scaled).all())
    if not exact:
        scaled *= _BINS / (high - low)
        code = np.minimum(scaled.astype(np.int64), _BINS - 1)
    return [_distance(x, code, exact, split, weights) for weights in weightings]


def _distance(x: Floats, code: Codes, exact: bool, split: int, weights: Floats) -> float:
    totals = [float(weights[own].sum()) for own in _groups(split)]
    if not min(totals) > 0:
        return float("nan")
    others, participants = (
        np.bincount(code[own], weights=weights[own], minlength=_BINS) / total
        for own, total in zip(_groups(split), totals, strict=True)
    )
    right = np.cumsum(participants - others)
    left = right - (participants - others)
    best = float(np.abs(right).max())
    reach = np.maximum(np.abs(left + participants), np.abs(left - others))
    doubtful = (reach > best) & (participants > 0) & (others > 0)
    if exact or not doubtful.any():
        return best
    rows = np.flatnonzero(doubtful[code])
    rows = rows[np.argsort(x[rows])]
    values, bins = x[rows], code[rows]
    signed = np.where(rows < split, -weights[rows] / totals[0], weights[rows] / totals[1])
    steps = np.cumsum(signed)
    first = np.flatnonzero(np.diff(bins, prepend=-1))
    start = np.repeat(left[bins[first]] - (steps[first] - signed[first]), np.diff([*first, len(bins)]))
    last_of_tie = np.append(values[1:] != values[:-1], True)
    return max(best, float(np.abs(start + steps)[last_of_tie].max()))


def weighted_mean(column: CovariateColumn, weights: Floats) -> list[float]:
    """Return everybody's mean, one share per level or one number, of those who have the covariate."""
    weights = weights if column.known is None else np.where(column.known, weights, 0.0)
    if column.code is not None:
        mass = np.bincount(np.where(column.code < 0, len(column.levels), column.code), weights=weights)
        return list(map(float, mass[: len(column.levels)] / weights.sum()))
    return [float(weights @ np.asarray(column.values) / weights.sum())]


def weighted_variance(column: CovariateColumn, weights: Floats) -> list[float]:
    """Return the weighted variance of everybody, one per level or one for a number; of yes-or-no ``p (1 - p)``."""
    weights = weights if column.known is None else np.where(column.known, weights, 0.0)
    means = weighted_mean(column, weights)
    if column.code is not None:
        return [_spread_of(mean) for mean in means]
    x, mean = np.asarray(column.values), means[0]
    if column.is_binary:
        return [_spread_of(mean)]
    size = float(weights.sum() - (weights**2).sum() / weights.sum())
    return [float(weights @ (x - mean) ** 2) / size if size > 0 else float("nan")]


def behind(column: CovariateColumn, place: int) -> Mask:
    """Return who stands behind a row, shape (m,): at the level, with a 1, or with a number."""
    if column.code is not None:
        return np.asarray(column.code == place)
    values = np.asarray(column.values)
    if column.is_binary:
        return np.asarray(values == 1)
    return np.ones(len(values), dtype=bool) if column.known is None else column.known


def fewest_behind(column: CovariateColumn, place: int, split: int) -> int:
    """Return the fewest respondents of a group that a row tells of: behind it, and of yes or no also behind the other.

    Parameters
    ----------
    column : CovariateColumn
        Rows in which one group ends at ``split``.
    place : int
        Of the level.
    split : int
        Where the second group begins.
    """
    told = [behind(column, place)]
    if column.code is None and column.is_binary:
        told.append((np.asarray(column.values) == 0) & (True if column.known is None else column.known))
    return fewest([int(count) for mask in told for count in (mask[:split].sum(), mask[split:].sum())])


def marks_of_covariates(covariates: pd.Series, counts: NDArray[np.int64], provenance: Provenance) -> list[str]:
    """Return why rows may not be shown, those of one covariate belonging together; empty where they may.

    Examples
    --------
    >>> marks_of_covariates(pd.Series(["age", "sex", "sex"]), np.array([90, 2, 80]), Provenance(min_cell=5))
    ['', '[c]', '[c]']
    """
    marks: list[str] = []
    for _, own in covariates.reset_index(drop=True).groupby(covariates.to_numpy(), sort=False):
        marks += marks_of_parts(counts[own.index.to_numpy()], provenance)
    return marks
