"""Replicate weights that came with the data: read, checked, and brought into factor form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.design.replicates import Replicates, is_rho
from evaluation.design.sampling import Sampling, Stage, require_column
from evaluation.design.variance import ReplicateEngine
from evaluation.errors import ColumnError, DesignError, did_you_mean, require_flag
from evaluation.survey.values import strays

Floats = NDArray[np.float64]
GivenKind = Literal["BRR", "Fay", "JK1", "JKn", "JK2", "bootstrap", "SDR", "ACS", "successive-difference", "other"]
ReplicateColumns = str | Sequence[str] | pd.DataFrame | NDArray[np.float64]

#: Rows that are looked at together.
BLOCK = 16_384

#: Replicate weights sum to about what the weights do, factors to about one per row: within this multiple either way.
ABOUT = 2.0
#: Where sums fit both readings, one is taken for wrong whose rows are this many times as far off as the other's.
CLEARLY = 2.0


@dataclass(frozen=True, eq=False)
class GivenSampling(Sampling):
    """What is known of a sampling that only replicate weights tell of: which rows share their factors.

    Attributes
    ----------
    factors : ndarray, shape (n_units, R)
        By which two such samplings are told apart.
    """

    factors: Floats = field(default_factory=lambda: np.empty((0, 0)), kw_only=True)

    def is_same_sample(self, other: Sampling) -> bool:
        """Tell whether both are the same replicates of the same respondents."""
        if self is other:
            return True
        alike = isinstance(other, GivenSampling) and np.array_equal(self.factors, other.factors)
        return alike and super().is_same_sample(other)

    def text(self, lang: str | None = None) -> str:
        """Return what is known in one line, in a language or in the project's."""
        units, replicates = self.factors.shape
        return f"{wording.counted('given_replicate', replicates, lang)}, {wording.counted('given_unit', units, lang)}"


def given_replicates(
    data: pd.DataFrame,
    weights: str,
    replicate_weights: ReplicateColumns,
    kind: GivenKind,
    *,
    combined: bool,
    scale: float | None,
    rscales: Sequence[float] | Floats | None,
    rho: float | None,
    mse: bool,
) -> Replicates:
    """Bring given replicate weights into factor form; parameters as in ``replicate_design``.

    Rows whose factors are equal share a unit. A row whose weight is zero in the sample and in every replicate
    shares that of the first row: it counts nowhere.
    """
    if not isinstance(kind, str) or kind not in get_args(GivenKind):
        known = get_args(GivenKind)
        raise DesignError(f"kind must be one of {', '.join(known)}, got {kind!r}. {did_you_mean(kind, known)}")
    require_flag(combined, "replicate_design: combined", DesignError)
    require_flag(mse, "replicate_design: mse", DesignError)
    values = _values(data, weights, replicate_weights)
    full = data[weights].to_numpy(dtype=float)
    _refuse_confusion(values, full, weights, combined)
    factors, unit = _shared(*_factors(data, values, full, weights, combined))
    scaled = _scales(kind, values.shape[1], scale, rscales, rho)
    stage = Stage(unit, np.zeros(len(factors), dtype=np.int64), 1, np.zeros(1))
    sampling = GivenSampling((stage,), data, factors=factors)
    note = f"given, {values.shape[1]}"
    return Replicates(factors, unit, ReplicateEngine(kind, *scaled, sampling, mse=mse, note=note))


def _values(data: pd.DataFrame, weights: str, given: ReplicateColumns) -> Floats:
    table = _table(data, weights, given)
    if len(table) != len(data):
        raise DesignError(f"replicate_weights have {len(table):,} rows, the data {len(data):,}. Give one row for each.")
    if table.shape[1] < 2:
        raise DesignError(
            f"a variance needs at least 2 replicates, got {table.shape[1]}. Name all columns of replicate weights."
        )
    for name in table.columns:
        _require_numbers(data, table[name], name)
    values = table.to_numpy(dtype=float, na_value=np.nan, copy=True)
    wrong = ~np.isfinite(values) | (values < 0)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DesignError(
            f"replicate weights are missing, negative or not finite in {int(wrong.any(axis=1).sum())} of {len(values)} "
            f"rows and {int(wrong.any(axis=0).sum())} of {values.shape[1]} columns (first: column "
            f"'{table.columns[column]}', data row {row + 1:,}, {values[row, column]:g}). Every respondent needs one in "
            f"each replicate; zero is allowed.",
            failures=data.loc[wrong.any(axis=1)],
        )
    _refuse_empty_or_alike(values, table.columns)
    return values


def _refuse_empty_or_alike(values: Floats, names: pd.Index) -> None:
    """Refuse replicates in which nobody counts, and replicates that are all one."""
    empty = names[np.flatnonzero(~values.any(axis=0))].tolist()
    if empty:
        shown = ", ".join(f"'{name}'" for name in empty[:5]) + (", ..." if len(empty) > 5 else "")
        raise DesignError(
            f"{len(empty)} of {values.shape[1]} columns of replicate weights are zero for everybody ({shown}), so "
            f"nobody counts in them. Leave them out (and their rscales), or correct them."
        )
    if (values == values[:, :1]).all():
        raise DesignError(
            f"all {values.shape[1]} columns of replicate weights are the same, so no standard error could come from "
            f"them. Check that replicate_weights names the columns that the data's documentation does."
        )


def _table(data: pd.DataFrame, weights: str, given: ReplicateColumns) -> pd.DataFrame:
    if isinstance(given, pd.DataFrame):
        return given.reset_index(drop=True)
    if isinstance(given, np.ndarray) and given.ndim == 2:
        return pd.DataFrame(given, columns=[f"replicate {r + 1}" for r in range(given.shape[1])])
    if isinstance(given, str):
        return data[_matching(data, weights, given)]
    if not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise DesignError(
            f"replicate_weights must be column names, one pattern of them, a DataFrame or an array of shape (n, R), "
            f"got {type(given).__name__}."
        )
    for name in given:
        require_column(data, name)
    twice = sorted({name for name in given if list(given).count(name) > 1})
    if twice or weights in given:
        what = f"name columns twice: {twice}" if twice else f"include the full sample's weight '{weights}'"
        raise DesignError(f"replicate_weights {what}. Each replicate is named once, the weight as weights=...")
    return data[list(given)]


def _matching(data: pd.DataFrame, weights: str, pattern: str) -> list[str]:
    """Return the columns whose names start as a pattern says: a prefix as it stands, or a regular expression."""
    names = [name for name in data.columns if isinstance(name, str) and name != weights]
    found = [name for name in names if name.startswith(pattern)]
    if not found:
        try:
            found = [name for name in names if re.match(pattern, name)]
        except re.error as error:
            raise DesignError(
                f"no column starts with '{pattern}', and as a regular expression it cannot be read ({error}). Name a "
                f"prefix, a regular expression, or the columns themselves."
            ) from None
    if not found:
        raise ColumnError(
            f"no column starts as replicate_weights '{pattern}' says. Columns are: "
            f"{', '.join(map(str, data.columns[:12]))}{', ...' if data.shape[1] > 12 else ''}."
        )
    return found


def _require_numbers(data: pd.DataFrame, column: pd.Series, name: object) -> None:
    if pd.api.types.is_numeric_dtype(column):
        return
    rows, told = strays(column)
    raise ColumnError(
        f"replicate weights '{name}' are {column.dtype}, expected numbers{': ' if told else ''}{told}. Correct them, "
        f"or narrow replicate_weights to the columns that hold replicates.",
        failures=data.loc[np.asarray(rows)] if told else None,
    )


def _refuse_confusion(values: Floats, full: Floats, weights: str, combined: bool) -> None:
    total, rows = values.sum() / (values.shape[1] * full.sum()), values.mean()
    as_weights, as_factors = (1 / ABOUT < ratio < ABOUT for ratio in (total, rows))
    if as_weights and as_factors:
        as_weights, as_factors = _row_by_row(values, full)
    if combined and as_factors and not as_weights:
        raise DesignError(
            f"replicate weights average {rows:.3g} a row, the weight '{weights}' {full.mean():.3g}: they look like "
            f"factors, still to be multiplied by the weight. Pass combined=False."
        )
    if not combined and as_weights and not as_factors:
        raise DesignError(
            f"combined=False says that replicates are factors of about 1, but they average {rows:.3g} a row and sum to "
            f"{total:.3g} times the weight '{weights}': the weight is in them already. Pass combined=True."
        )
    if not as_weights and not as_factors:
        raise DesignError(
            f"replicate weights sum to {total:.3g} times the weight '{weights}' and average {rows:.3g} a row, expected "
            f"about once the weight (combined=True) or factors of about 1 (combined=False). Check that weights and "
            f"replicate_weights belong together."
        )


def _row_by_row(values: Floats, full: Floats) -> tuple[bool, bool]:
    """Tell which reading fits where sums fit both: over replicates, rows average their weight, or 1."""
    counts = full != 0
    means = values[counts].mean(axis=1)
    from_weights, from_ones = np.abs(means / full[counts] - 1).mean(), np.abs(means - 1).mean()
    clear = max(from_weights, from_ones) > max(CLEARLY * min(from_weights, from_ones), 0.05)
    return not clear or bool(from_weights < from_ones), not clear or bool(from_ones < from_weights)


def _factors(
    data: pd.DataFrame, values: Floats, full: Floats, weights: str, combined: bool
) -> tuple[Floats, NDArray[np.bool_]]:
    counts = full != 0
    if not combined:
        return values, counts
    revived = ~counts & (values != 0).any(axis=1)
    if revived.any():
        raise DesignError(
            f"{int(revived.sum())} rows have weight zero in '{weights}' but not in every replicate, so no factor leads "
            f"from one to the other. Correct them, or leave them out.",
            failures=data.loc[revived],
        )
    values[counts] /= full[counts, None]
    return values, counts


def _shared(factors: Floats, counts: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.int64]]:
    """Return distinct rows of factors, shape (n_units, R), and the unit of each row, shape (n,)."""
    counted = np.flatnonzero(counts)
    key = np.concatenate([_keys(factors[counted[at : at + BLOCK]]) for at in range(0, len(counted), BLOCK)])
    code, _ = pd.factorize(key)
    first = np.full(int(code.max()) + 1, -1)
    first[code[::-1]] = counted[::-1]
    unit = np.zeros(len(factors), dtype=np.int64)
    unit[counted] = code
    return np.ascontiguousarray(factors[first]), unit


def _keys(factors: Floats) -> NDArray[np.uint64]:
    """Return a number for each row that is the same where factors agree to 40 bits, twelve digits, shape (n,)."""
    bits = (factors.view(np.uint64) + np.uint64(0x800)) >> np.uint64(12)
    bits *= np.uint64(0x9E3779B97F4A7C15)
    bits ^= bits >> np.uint64(32)
    odd = np.random.default_rng(0).integers(1, 2**63, factors.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return np.asarray((bits * odd).sum(axis=1, dtype=np.uint64))


def _scales(
    kind: str, replicates: int, scale: float | None, rscales: Sequence[float] | Floats | None, rho: float | None
) -> tuple[float, Floats]:
    """Return scale and rscales, R's defaults where none are given."""
    if kind == "Fay" and not is_rho(rho):
        raise DesignError(
            f"kind='Fay' needs the rho the replicates were made with, 0 to below 1 (often 0.3 or 0.5), got {rho!r}. "
            f"The survey's documentation gives it."
        )
    if kind != "Fay" and rho is not None:
        raise DesignError(f"rho belongs to kind='Fay'; kind='{kind}' has none. Leave it out, or use kind='Fay'.")
    if scale is None and kind == "other":
        raise DesignError(
            "kind='other' needs scale=..., the factor of the sum of squared deviations (and rscales=... where "
            "replicates differ). The survey's documentation gives it."
        )
    if rscales is None and kind == "JKn":
        raise DesignError(
            "kind='JKn' needs rscales=..., a factor for each replicate: (n - 1)/n of the stratum that lost a PSU in "
            "it, times 1 - n/N where PSUs were drawn without replacement."
        )
    defaults: Mapping[str, float] = {
        "BRR": 1 / replicates,
        "Fay": 1 / (replicates * (1 - (rho or 0.0)) ** 2),
        "JK1": (replicates - 1) / replicates,
        "JKn": 1.0,
        "JK2": 1.0,
        "bootstrap": 1 / (replicates - 1),
        "other": 1.0,
    }
    chosen = defaults.get(kind, 4 / replicates) if scale is None else scale
    if isinstance(chosen, bool) or not isinstance(chosen, (int, float, np.number)) or not 0 < chosen < np.inf:
        raise DesignError(f"scale must be a number above 0, got {scale!r}.")
    return float(chosen), _rscales(replicates, rscales)


def _rscales(replicates: int, given: Sequence[float] | Floats | None) -> Floats:
    if given is None:
        return np.ones(replicates)
    try:
        values = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise DesignError(f"rscales must be {replicates} numbers, one for each replicate, got {given!r}.") from None
    if values.ndim != 1 or len(values) != replicates:
        raise DesignError(
            f"rscales hold {values.size} numbers, but there are {replicates} replicates. Give one for each, in "
            f"their order."
        )
    if not np.isfinite(values).all() or (values < 0).any() or not values.any():
        raise DesignError("rscales must be finite, none below 0 and not all 0.")
    return values
