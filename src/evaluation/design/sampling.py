"""How the respondents were drawn: strata, sampling units of each stage, and finite populations.

Every column is coded once into integers here; the variance engines work on the codes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation import wording
from evaluation.errors import ColumnError, DesignError, did_you_mean

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Stage:
    """One stage of selection.

    Attributes
    ----------
    unit : ndarray of int, shape (n,)
        Sampling unit of each respondent, 0 to ``n_units - 1``.
    stratum : ndarray of int, shape (n_units,)
        Stratum of each unit; at later stages the unit of the stage before.
    n_strata : int
        Number of strata.
    fraction : ndarray, shape (n_strata,)
        Sampling fraction n/N in each stratum; 0 where units count as drawn with replacement.
    """

    unit: Codes
    stratum: Codes
    n_strata: int
    fraction: Floats

    @property
    def n_units(self) -> int:
        """Number of units in the sample."""
        return len(self.stratum)

    @property
    def units_per_stratum(self) -> Codes:
        """Number of sampled units in each stratum, shape (n_strata,)."""
        return np.bincount(self.stratum, minlength=self.n_strata)


@dataclass(frozen=True, eq=False)
class Sampling:
    """The stages that bear variance, first stage first, and what they were called.

    A later stage bears variance only where the first was drawn without replacement; where it was
    not, the first stage's units carry all of it.

    Attributes
    ----------
    stages : tuple of Stage
    data : pandas.DataFrame, n rows
        The respondents, by whom two samplings are told apart.
    strata, psu, fpc
        As they were named.
    """

    stages: tuple[Stage, ...]
    data: pd.DataFrame
    strata: str | None = None
    psu: tuple[str, ...] = ()
    fpc: tuple[str | float, ...] = ()

    @property
    def unit(self) -> Codes:
        """Unit of the last variance-bearing stage of each respondent, shape (n,)."""
        return self.stages[-1].unit

    @property
    def n_units(self) -> int:
        """Number of units at the last variance-bearing stage."""
        return self.stages[-1].n_units

    def degrees_of_freedom(self, present: NDArray[np.bool_] | None = None) -> int:
        """Return PSUs minus strata, counting only those with a respondent in ``present`` (shape (n,))."""
        first = self.stages[0]
        if present is None:
            return first.n_units - first.n_strata
        units = np.zeros(first.n_units, dtype=bool)
        units[first.unit[present]] = True
        return int(units.sum()) - len(np.unique(first.stratum[units]))

    def is_same_sample(self, other: Sampling) -> bool:
        """Tell whether both are the same units of the same respondents, so that contributions can be added up."""
        if self is other:
            return True
        return np.array_equal(self.unit, other.unit) and self.data.equals(other.data)

    def text(self) -> str:
        """Return the design in one line, in the project's language."""
        first = self.stages[0]
        units = ", ".join(self.psu) or wording.term("one_respondent_each")
        parts = [wording.counted("psu", first.n_units) + f" ({units})"]
        if self.strata:
            parts.append(wording.counted("stratum", first.n_strata) + f" ({self.strata})")
        if self.fpc:
            parts.append(f"fpc ({', '.join(map(str, self.fpc))})")
        return ", ".join(parts)


def code_sampling(
    data: pd.DataFrame, *, strata: str | None, psu: Sequence[str], fpc: Sequence[str | float], nested: bool
) -> Sampling:
    """Code the design columns of ``data``.

    Parameters
    ----------
    data : pandas.DataFrame, n rows
        One row per respondent.
    strata : str or None
        Column of first-stage strata; None means one stratum.
    psu : sequence of str
        Columns of the sampling units, first stage first; empty means each respondent is one.
    fpc : sequence of str or float
        Per stage, the column with population counts or sampling fractions, or one number for all.
    nested : bool
        True where PSU ids start afresh in every stratum.

    Returns
    -------
    Sampling

    Raises
    ------
    ColumnError
        A column is absent or holds missing values.
    DesignError
        A PSU stands in two strata, an fpc contradicts the sample, a stratum has one PSU.
    """
    if len(fpc) > max(len(psu), 1):
        raise DesignError(
            f"fpc names {len(fpc)} stages ({', '.join(map(str, fpc))}) but psu names {max(len(psu), 1)}. "
            "Give one fpc per stage."
        )
    for named in [*([strata] if strata else []), *psu, *(name for name in fpc if isinstance(name, str))]:
        require_column(data, named)
        _require_complete(data, named)
    parent = _codes(data[strata]) if strata else np.zeros(len(data), dtype=np.int64)
    stages: list[Stage] = []
    units: Sequence[str | None] = psu or [None]
    for number, column in enumerate(units):
        if number and not fpc:
            break
        stage = _code_stage(data, parent, column, fpc[number] if number < len(fpc) else None, number, nested, strata)
        stages.append(stage)
        parent = stage.unit
    return Sampling(tuple(stages), data, strata, tuple(psu), tuple(fpc))


def require_column(data: pd.DataFrame, column: str) -> None:
    """Raise a ColumnError with the nearest name unless ``column`` is in ``data``."""
    if not isinstance(column, Hashable):
        raise ColumnError(f"expected the name of one column, got {type(column).__name__}. Put it into the data first.")
    if column not in data.columns:
        raise ColumnError(f"no column '{column}' in the data. {did_you_mean(column, data.columns)}")


def _require_complete(data: pd.DataFrame, column: str) -> None:
    missing = data[column].isna()
    if missing.any():
        raise ColumnError(
            f"design column '{column}' is missing in {int(missing.sum())} of {len(data)} rows. "
            f"Every respondent needs one: fill it in, or leave those rows out before making the design.",
            failures=data.loc[missing],
        )


def _codes(column: pd.Series) -> Codes:
    return np.asarray(pd.factorize(column, sort=True)[0], dtype=np.int64)


def _code_stage(
    data: pd.DataFrame,
    parent: Codes,
    column: str | None,
    fpc: str | float | None,
    number: int,
    nested: bool,
    strata: str | None,
) -> Stage:
    n_strata = int(parent.max()) + 1
    if column is None:
        unit, stratum = np.arange(len(data)), parent
    else:
        raw = _codes(data[column])
        unit = np.asarray(pd.factorize(parent * (int(raw.max()) + 1) + raw, sort=True)[0], dtype=np.int64)
        stratum = np.empty(int(unit.max()) + 1, dtype=np.int64)
        stratum[unit] = parent
        if number == 0 and not nested and len(stratum) > int(raw.max()) + 1:
            _refuse_split_units(data, column, str(strata))
    sampled = np.bincount(stratum, minlength=n_strata)
    fraction = np.zeros(n_strata) if fpc is None else _fractions(data, parent, fpc, sampled)
    _refuse_lonely(data, parent, stratum, sampled, fraction, number, strata)
    return Stage(unit, stratum, n_strata, fraction)


def _refuse_split_units(data: pd.DataFrame, psu: str, strata: str) -> None:
    spread = data.groupby(psu, observed=True)[strata].nunique()
    split = spread[spread > 1].index
    raise DesignError(
        f"{len(split)} PSU ids of '{psu}' stand in more than one stratum of '{strata}' (first: {list(split[:3])}). "
        f"If ids start afresh in each stratum, pass nested=True; otherwise correct the ids.",
        failures=data.loc[data[psu].isin(split), [strata, psu]].drop_duplicates(),
    )


def _fractions(data: pd.DataFrame, parent: Codes, fpc: str | float, sampled: Codes) -> Floats:
    column = data[fpc] if isinstance(fpc, str) else pd.Series(float(fpc), index=data.index)
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float)
    if not np.isfinite(values).all() or (values <= 0).any():
        raise DesignError(f"fpc '{fpc}' must hold positive population counts or fractions; some rows do not.")
    if (values < 1).any() and (values > 1).any():
        raise DesignError(
            f"fpc '{fpc}' mixes values below 1 (fractions?) and above 1 (counts?): "
            f"{values.min():g} to {values.max():g}. "
            "Give population counts in every row, or sampling fractions in every row."
        )
    first = np.full(len(sampled), np.nan)
    first[parent[::-1]] = values[::-1]
    varies = np.abs(values - first[parent]) > 1e-9 * first[parent]
    if varies.any():
        raise DesignError(
            f"fpc '{fpc}' differs within {len(np.unique(parent[varies]))} strata; it must be one number per stratum "
            f"(at later stages: per unit of the stage before).",
            failures=data.loc[varies],
        )
    if (values <= 1).all():
        return first
    short = sampled > first * (1 + 1e-9)
    if short.any():
        rows = short[parent]
        raise DesignError(
            f"fpc '{fpc}' is smaller than the sample in {int(short.sum())} strata (population "
            f"{first[short][0]:g}, sampled {sampled[short][0]}). Correct the population count.",
            failures=data.loc[rows],
        )
    return np.asarray(sampled / first)


def _refuse_lonely(
    data: pd.DataFrame, parent: Codes, stratum: Codes, sampled: Codes, fraction: Floats, number: int, strata: str | None
) -> None:
    lonely = (sampled == 1) & (fraction < 1)
    if not lonely.any():
        return
    rows = data.loc[lonely[parent]]
    place = f"of '{strata}' " if strata and number == 0 else ""
    what = f"strata {place}have" if number == 0 else f"stage-{number} units have"
    names = f" ({', '.join(map(str, rows[strata].unique()[:5]))})" if strata and number == 0 else ""
    raise DesignError(
        f"{int(lonely.sum())} {what} a single sampled unit{names}, so their variance cannot be estimated. "
        f"Merge each with a similar one, or give an fpc that marks it as taken with certainty.",
        failures=rows,
    )
