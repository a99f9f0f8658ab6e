"""Finite populations: what an fpc says, read as a count or as a fraction, and checked against the sample."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.sampling import Stage, require_column
from evaluation.errors import ColumnError, DesignError

Fractions = NDArray[np.float64]

#: Relative difference below which two population counts are one.
SAME = 1e-9


def sampling_fractions(
    data: pd.DataFrame, stage: Stage, fpc: str | float | None, number: int, strata: str | None
) -> Fractions:
    """Return the sampling fraction of each stratum of a stage, shape (n_strata,).

    All values up to 1 are fractions, all from 1 on are counts. 1 alone says the same either way where one unit
    was sampled: the only unit there is, or all of them. An infinite count, like no fpc at all, is 0: with
    replacement.

    Parameters
    ----------
    data : pandas.DataFrame, n rows
        One row per respondent.
    stage : Stage
        Units and strata.
    fpc : str, float or None
        Column, or one number for every stratum; None draws with replacement.
    number : int
        0 for the first stage.
    strata : str or None
        Column of the first stage's strata, for messages.

    Raises
    ------
    ColumnError, DesignError
        A value is missing, not positive, text; counts and fractions are mixed; a stratum has two; fewer units in
        the population than in the sample.
    """
    if fpc is None:
        return np.zeros(stage.n_strata)
    values = _values(data, fpc)
    if values.min() < 1 < values.max():
        rows = values < 1 if (values < 1).sum() <= (values > 1).sum() else values > 1
        raise DesignError(
            f"fpc '{fpc}' mixes values below 1 (fractions?) and above 1 (counts?): "
            f"{values.min():g} to {values.max():g}. "
            "Give population counts in every row, or sampling fractions in every row.",
            failures=data.loc[rows],
        )
    parent = stage.stratum[stage.unit]
    each = _one_each(data, values, parent, stage.n_strata, fpc, number, strata)
    if values.max() <= 1:
        return each
    sampled = stage.units_per_stratum
    short = sampled > each * (1 + SAME)
    if short.any():
        place = "strata" if number == 0 else f"units of stage {number}"
        one = " 1 is read as a count, since others are above 1." if (each[short] == 1).any() else ""
        raise DesignError(
            f"fpc '{fpc}' is smaller than the sample in {int(short.sum())} {place} (population "
            f"{each[short][0]:g}, sampled {sampled[short][0]}).{one} Correct the population count.",
            failures=data.loc[short[parent]],
        )
    return np.asarray(sampled / each)


def refuse_ones(data: pd.DataFrame, stage: Stage, fpc: str | float) -> None:
    """Refuse an only fpc of 1 for several units: a count contradicts the sample, a fraction takes all variance away."""
    sampled = stage.units_per_stratum
    if sampled.max() <= 1 or (stage.fraction != 1).any() or (_values(data, fpc) != 1).any():
        return
    rows = (sampled > 1)[stage.stratum[stage.unit]]
    most = ", ".join(str(count) for count in sampled[:3]) + (", ..." if len(sampled) > 3 else "")
    raise DesignError(
        f"fpc '{fpc}' is 1 everywhere, but strata hold several sampled units ({most}): a population of one unit "
        f"contradicts the sample, and a fraction of 1, a census, leaves no sampling error. For a census write the "
        f"population count ({int(sampled[0]):,}), for a sample its real count or fraction, or leave fpc out.",
        failures=data.loc[rows],
    )


def inclusion_of_units(data: pd.DataFrame, stage: Stage, fpc: str | float | None) -> Fractions:
    """Return the inclusion probability of each unit of a first stage, shape (n_units,); a DesignError without one."""
    if fpc is None:
        raise DesignError(
            "pps: a first stage with unequal probabilities needs them: name their column as the first fpc, or pass "
            "the matrix of joint probabilities as pps."
        )
    values = _values(data, fpc)
    if (values > 1).any():
        raise DesignError(
            f"fpc '{fpc}' holds values above 1 ({values.max():g}) in {int((values > 1).sum())} rows, but pps needs the "
            f"inclusion probability of each first-stage unit. Divide the expected draws by the population's size.",
            failures=data.loc[values > 1],
        )
    return _one_each(data, values, stage.unit, stage.n_units, fpc, -1, None)


def _values(data: pd.DataFrame, fpc: str | float) -> Fractions:
    if isinstance(fpc, bool) or not isinstance(fpc, (str, int, float, np.integer, np.floating)):
        came = repr(fpc) if fpc is None or isinstance(fpc, bool) else type(fpc).__name__
        raise DesignError(
            f"fpc must be a column, or one number for every stratum, got {came}. Put several values into a column of "
            f"the data and name it."
        )
    if not isinstance(fpc, str):
        if not fpc > 0:
            raise DesignError(f"fpc must be a positive population count or sampling fraction, got {fpc!r}.")
        return np.full(len(data), float(fpc))
    require_column(data, fpc)
    column = data[fpc]
    if column.hasnans:
        missing = column.isna().to_numpy()
        raise ColumnError(
            f"design column '{fpc}' is missing in {int(missing.sum())} of {len(data)} rows. "
            f"Every respondent needs one: fill it in, or leave those rows out before making the design.",
            failures=data.loc[missing],
        )
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    wrong = ~(values > 0)
    if wrong.any():
        raise DesignError(
            f"fpc '{fpc}' must hold positive population counts or fractions, but {int(wrong.sum())} of {len(values)} "
            f"rows do not (first: data row {int(np.flatnonzero(wrong)[0]) + 1:,}, {column[wrong].tolist()[0]!r}). "
            f"Correct them; where units were drawn with replacement, leave fpc out or give an infinite count.",
            failures=data.loc[wrong],
        )
    return np.asarray(values)


def _one_each(
    data: pd.DataFrame,
    values: Fractions,
    group: NDArray[np.int64],
    n_groups: int,
    fpc: str | float,
    number: int,
    strata: str | None,
) -> Fractions:
    """Return the value of each group; a DesignError where a group has two."""
    each = np.full(n_groups, np.nan)
    each[group] = values
    first = each[group]
    varies = values != first
    if varies.any():
        varies &= ~np.isclose(values, first, rtol=SAME, atol=0)
    if varies.any():
        found = np.unique(group[varies])
        kinds = {-1: ("first-stage units", "unit"), 0: ("strata", "stratum")}
        places, place = kinds.get(number, (f"units of stage {number}", "unit of the stage before"))
        named = f" ({', '.join(map(str, data.loc[varies, strata].unique()[:5]))})" if strata and number == 0 else ""
        hint = " Units drawn with probabilities of their own need pps, e.g. pps='brewer'." if number == 0 else ""
        raise DesignError(
            f"fpc '{fpc}' differs within {len(found)} {places}{named}; it must be one number per {place}.{hint}",
            failures=data.loc[np.isin(group, found)],
        )
    return each
