"""Reading the design columns: each is coded once into integers, and what contradicts itself is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from evaluation.design.fractions import Fractions, inclusion_of_units, refuse_ones, sampling_fractions
from evaluation.design.pps import HartleyRao, PairForm, joint_form, joint_probabilities
from evaluation.design.sampling import Codes, Floats, Sampling, Stage, VarianceRules, require_column
from evaluation.errors import ColumnError, DesignError

#: Up to this many keys per row, distinct ones are found by marks instead of sorting.
MARKS_PER_ROW = 4
#: Text columns with more levels than this keep the order in which levels first appear.
SORTED_LEVELS = 50_000


@dataclass(frozen=True)
class DesignColumns:
    """Which columns say how respondents were drawn.

    Attributes
    ----------
    strata : str or None
        Column of first-stage strata; None means one stratum.
    psu : tuple of str
        Columns of the sampling units, first stage first; empty means each respondent is one.
    fpc : tuple of str or float
        Per stage, the column with population counts or sampling fractions, or one number for all.
    nested : bool
        True where PSU ids start afresh in every stratum.
    """

    strata: str | None = None
    psu: tuple[str, ...] = ()
    fpc: tuple[str | float, ...] = ()
    nested: bool = False


def code_sampling(
    data: pd.DataFrame, columns: DesignColumns, rules: VarianceRules, joint: pd.DataFrame | Floats | None = None
) -> Sampling:
    """Code the design columns of ``data``.

    Parameters
    ----------
    data : pandas.DataFrame, n rows
        One row per respondent.
    columns : DesignColumns
        Their names.
    rules : VarianceRules
        For lonely PSUs and unequal probabilities.
    joint : pandas.DataFrame or ndarray, shape (n_psu, n_psu), optional
        Joint probabilities of the first stage's units.

    Returns
    -------
    Sampling

    Raises
    ------
    ColumnError
        A column is absent or holds missing values.
    DesignError
        A PSU stands in two strata, an fpc or a probability contradicts the sample, a stratum has one PSU.
    """
    psu, fpc = columns.psu, columns.fpc
    if len(fpc) > max(len(psu), 1):
        raise DesignError(
            f"fpc names {len(fpc)} stages ({', '.join(map(str, fpc))}) but psu names {max(len(psu), 1)}. "
            "Give one fpc per stage."
        )
    parent, n_strata = (
        _coded(data, columns.strata) if columns.strata is not None else (np.zeros(len(data), dtype=np.int64), 1)
    )
    stages: list[Stage] = []
    units: Sequence[str | None] = psu or [None]
    for number, column in enumerate(units):
        if number and not fpc and joint is None:
            break
        drawn = _units(data, parent, n_strata, column, number, columns)
        given = fpc[number] if number < len(fpc) else None
        if number == 0 and rules.pps is not None:
            stage = _with_probabilities(data, drawn, given, columns, rules, joint)
        else:
            stage = replace(drawn, fraction=sampling_fractions(data, drawn, given, number, columns.strata))
            if given is not None and len(fpc) == 1:
                refuse_ones(data, stage, given)
        if rules.lonely_psu == "fail" and not (number == 0 and rules.pps == "joint"):
            _refuse_lonely(data, stage, number, columns.strata)
        stages.append(stage)
        parent, n_strata = stage.unit, stage.n_units
    return Sampling(tuple(stages), data, columns.strata, psu, fpc, rules=rules)


def _coded(data: pd.DataFrame, name: str) -> tuple[Codes, int]:
    require_column(data, name)
    codes, n_levels = code_column(data[name])
    missing = codes < 0
    if missing.any():
        raise ColumnError(
            f"design column '{name}' is missing in {int(missing.sum())} of {len(data)} rows. "
            f"Every respondent needs one: fill it in, or leave those rows out before making the design.",
            failures=data.loc[missing],
        )
    return codes, n_levels


def code_column(column: pd.Series) -> tuple[Codes, int]:
    """Return the place of each value among the sorted distinct ones (-1 where missing), and their number.

    Examples
    --------
    >>> code_column(pd.Series([30, 10, 30])), code_column(pd.Series(["b", None, "a"]))
    ((array([1, 0, 1]), 2), (array([ 1, -1,  0]), 2))
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return _packed(column.cat.codes.to_numpy().astype(np.int64), len(column.cat.categories))
    values = column.to_numpy() if isinstance(column.dtype, np.dtype) else None
    if values is not None and values.dtype.kind in "iub" and len(values):
        low, high = int(values.min()), int(values.max())
        if high - low < MARKS_PER_ROW * len(values):
            return _packed(values.astype(np.int64) - low, high - low + 1)
    codes, levels = pd.factorize(column)
    found: Codes = np.asarray(codes, dtype=np.int64)
    if len(levels) > SORTED_LEVELS and not pd.api.types.is_numeric_dtype(column.dtype):
        return found, len(levels)
    place = np.append(pd.factorize(levels, sort=True)[0], -1)
    return place[found], len(levels)


def _packed(codes: Codes, size: int) -> tuple[Codes, int]:
    """Close the gaps in codes from 0 to ``size - 1``, keeping their order; -1 stays."""
    seen = np.zeros(size + 1, dtype=bool)
    seen[codes] = True
    missing, seen = bool(seen[-1]), seen[:-1]
    if seen.all():
        return codes, size
    place = np.cumsum(seen) - 1
    packed = place[codes]
    return (np.where(codes < 0, -1, packed) if missing else packed), int(place[-1]) + 1 if size else 0


def _units(
    data: pd.DataFrame, parent: Codes, n_strata: int, column: str | None, number: int, columns: DesignColumns
) -> Stage:
    """Tell the units of one stage apart, within those of the stage before."""
    none = np.zeros(n_strata)
    if column is None:
        return Stage(np.arange(len(data)), parent, n_strata, none)
    raw, n_ids = _coded(data, column)
    if n_strata == 1:
        unit, n_units = raw, n_ids
    elif n_strata * n_ids <= MARKS_PER_ROW * max(len(data), SORTED_LEVELS):
        unit, n_units = _packed(parent * n_ids + raw, n_strata * n_ids)
    else:
        found, unit = np.unique(parent * n_ids + raw, return_inverse=True)
        n_units = len(found)
    stratum = np.empty(n_units, dtype=np.int64)
    stratum[unit] = parent
    if number == 0 and not columns.nested and n_units > n_ids:
        _refuse_split_units(data, column, str(columns.strata))
    return Stage(unit, stratum, n_strata, none)


def _refuse_split_units(data: pd.DataFrame, psu: str, strata: str) -> None:
    spread = data.groupby(psu, observed=True)[strata].nunique()
    split = spread[spread > 1].index
    raise DesignError(
        f"{len(split)} PSU ids of '{psu}' stand in more than one stratum of '{strata}' (first: {list(split[:3])}). "
        f"If ids start afresh in each stratum, pass nested=True; otherwise correct the ids.",
        failures=data.loc[data[psu].isin(split), [strata, psu]].drop_duplicates(),
    )


def _with_probabilities(
    data: pd.DataFrame,
    stage: Stage,
    fpc: str | float | None,
    columns: DesignColumns,
    rules: VarianceRules,
    joint: pd.DataFrame | Floats | None,
) -> Stage:
    """Give the first stage's units their inclusion probabilities and, with pairs, the form of their variance."""
    unknown: Fractions = np.full(stage.n_strata, np.nan)
    if rules.pps == "joint" and joint is not None:
        name = columns.psu[0] if columns.psu else None
        return _with_pairs(data, replace(stage, fraction=unknown), name, fpc, rules, joint)
    inclusion = inclusion_of_units(data, stage, fpc)
    pairs: PairForm | None = None
    if rules.pps == "hartley_rao":
        pairs = HartleyRao(inclusion, stage.stratum, stage.n_strata, rules.pps_variance)
    return replace(stage, fraction=unknown, inclusion=inclusion, pairs=pairs)


def _with_pairs(
    data: pd.DataFrame,
    stage: Stage,
    psu: str | None,
    fpc: str | float | None,
    rules: VarianceRules,
    joint: pd.DataFrame | Floats,
) -> Stage:
    first_row = np.full(stage.n_units, len(data))
    np.minimum.at(first_row, stage.unit, np.arange(len(data)))
    shown = np.argsort(first_row)
    ids = data.index if psu is None else pd.Index(data[psu].to_numpy()[first_row[shown]])
    if isinstance(joint, pd.DataFrame) and ids.has_duplicates:
        raise DesignError(
            f"pps: PSU ids of '{psu}' start afresh in every stratum, so a table of joint probabilities cannot be told "
            f"by them. Give the units ids of their own, or pass an array in the order in which they appear."
        )
    place = np.argsort(shown)
    matrix = joint_probabilities(joint, ids)[np.ix_(place, place)]
    inclusion = np.diag(matrix).copy()
    if fpc is not None:
        given = inclusion_of_units(data, stage, fpc)
        apart = np.abs(given - inclusion) > 1e-6 * inclusion
        if apart.any():
            raise DesignError(
                f"fpc '{fpc}' and the diagonal of the joint probabilities differ for {int(apart.sum())} of "
                f"{len(apart)} units (first: {given[apart][0]:.6g} and {inclusion[apart][0]:.6g}). Both are inclusion "
                f"probabilities: correct one, or leave fpc out.",
                failures=data.loc[apart[stage.unit]],
            )
    return replace(stage, inclusion=inclusion, pairs=joint_form(matrix, rules.pps_variance))


def _refuse_lonely(data: pd.DataFrame, stage: Stage, number: int, strata: str | None) -> None:
    lonely = stage.lonely
    if not lonely.any():
        return
    rows = data.loc[lonely[stage.stratum[stage.unit]]]
    place = f"of '{strata}' " if strata and number == 0 else ""
    what = f"strata {place}have" if number == 0 else f"stage-{number} units have"
    names = f" ({', '.join(map(str, rows[strata].unique()[:5]))})" if strata and number == 0 else ""
    raise DesignError(
        f"{int(lonely.sum())} {what} a single sampled unit{names}, so their variance cannot be estimated. "
        f"Merge each with a similar one, give an fpc that marks it as taken with certainty, or name a rule: "
        f"lonely_psu='remove', 'centre' or 'average'.",
        failures=rows,
    )
