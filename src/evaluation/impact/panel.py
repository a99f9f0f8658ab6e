"""People or places over time, the same in every wave or new ones, and from when each is treated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, DesignError, EstimationError
from evaluation.estimation.arguments import require_arguments
from evaluation.estimation.domains import code_levels, is_text
from evaluation.results import card_html

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Text that means to be a date.
DATE_LIKE = r"\s*\d{4}[-./]\d{1,2}([-./]\d{1,2})?\s*"


@dataclass(frozen=True, eq=False)
class Panel:
    """Respondents ordered in time.

    Attributes
    ----------
    design : Design
        Its domain is who counts.
    time : str
        Column of the waves.
    times : ndarray, shape (T,)
        Waves, ascending.
    period : ndarray of int, shape (n,)
        Wave of each respondent, 0 to T - 1; -1 where not counted.
    unit : str or None
        Column of those who come again; None for repeated cross-sections.
    rows : ndarray of int, shape (U, T), or None
        Row of each unit in each wave.
    n_left_out : int
        Units left out because a wave of theirs is missing.
    """

    design: Design
    time: str
    times: Floats
    period: Codes
    unit: str | None = None
    rows: Codes | None = None
    n_left_out: int = 0

    @cached_property
    def unit_of(self) -> Codes:
        """Unit of each row of a panel, shape (n,); -1 where in none."""
        code = np.full(len(self.design), -1, dtype=np.int64)
        if self.rows is not None:
            code[self.rows] = np.arange(len(self.rows))[:, None]
        return code

    def _card(self) -> list[tuple[str, str]]:
        shown = ", ".join(f"{time:g}" for time in self.times)
        kind = "repeated cross-sections" if self.rows is None else f"panel of {len(self.rows):,} ({self.unit})"
        lines = [("kind", kind), (self.time, shown), ("n", f"{int((self.period >= 0).sum()):,}")]
        return [*lines, ("incomplete units left out", f"{self.n_left_out:,}")] if self.n_left_out else lines

    def __repr__(self) -> str:
        return "\n".join(f"{head}: {text}" for head, text in self._card())

    def _repr_html_(self) -> str:
        return card_html(self._card())


def panel(
    design: Design,
    *,
    unit: str | None = None,
    time: str,
    incomplete: Literal["refuse", "restrict"] = "refuse",
) -> Panel:
    """Order respondents in time, as a panel of the same units or as repeated cross-sections.

    Parameters
    ----------
    design : Design
        Any design without negative weights; its domain is who counts.
    unit : str, optional
        Column of the persons or places that come again. None means new respondents in every wave.
    time : str
        Numeric column of the waves, e.g. the year.
    incomplete : {"refuse", "restrict"}, default "refuse"
        What to do with units that lack a wave: raise, or leave them out and say so.

    Returns
    -------
    Panel

    Raises
    ------
    ColumnError
        A column is absent, time is text or missing, a unit stands twice in a wave or lacks one.
    DesignError
        The rows of a unit lie in several sampling units, so their errors would count as independent.
    EstimationError
        There is a single wave, or weights are negative.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"year": [2015, 2015, 2016, 2016], "y": [1.0, 2.0, 2.0, 4.0]})
    >>> panel(survey_design(answers), time="year")
    kind: repeated cross-sections
    year: 2015, 2016
    n: 4
    """
    require_arguments(panel, locals())
    require_design(design, "panel")
    design.require_no_negative_weights("panel")
    if incomplete not in ("refuse", "restrict"):
        raise EstimationError(f"panel: incomplete must be 'refuse' or 'restrict', got {incomplete!r}.")
    values = _numeric(design, time, "time", missing=False)
    present = design.present
    times, code = np.unique(values[present], return_inverse=True)
    if len(times) < 2:
        raise EstimationError(
            f"panel: '{time}' has {len(times)} value among respondents who count; a change over time needs two waves."
        )
    period = np.full(len(design), -1, dtype=np.int64)
    period[present] = code
    made = Panel(design, time, times, period)
    return made if unit is None else _with_units(made, unit, incomplete)


def _numeric(design: Design, name: str, role: str, *, missing: bool) -> Floats:
    column = design.column(name)
    _refuse_no_period(column, name, role)
    values = column.to_numpy(dtype=float, na_value=np.nan)
    endless = np.isinf(values) & design.present
    if endless.any() and not missing:
        raise ColumnError(
            f"{role} '{name}' is infinite in {int(endless.sum())} rows that count; expected the wave as a number, such "
            f"as a year. Correct it, or take a domain without them.",
            failures=design.data.loc[endless, [name]],
        )
    gone = np.isnan(values) & design.present
    if gone.any() and not missing:
        raise ColumnError(
            f"{role} '{name}' is missing in {int(gone.sum())} rows that count. Fill it in, or take a domain without "
            f"them.",
            failures=design.data.loc[gone],
        )
    return values


def _refuse_no_period(column: pd.Series[Any], name: str, role: str) -> None:
    """Raise a ColumnError for dates, text, and yes or no, each with how to make periods of it."""
    wanted = f"expected the {'first treated period' if role == 'cohort' else 'wave'} as a number, such as a year"
    never = ", and 0 for never" if role == "cohort" else ""
    if pd.api.types.is_bool_dtype(column):
        raise ColumnError(f"{role} '{name}' is yes or no, {wanted}{never}.")
    if not is_text(column):
        return
    known = column.dropna()
    shown = ", ".join(str(value).removesuffix(" 00:00:00") for value in sorted(set(known), key=str)[:3])
    if isinstance(column.dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)) or column.dtype.kind == "M":
        raise ColumnError(
            f"{role} '{name}' holds dates ({shown}), {wanted}. Make one with data['{name}'].dt.year{never}; the middle "
            f"of a year may be 2015.5."
        )
    text = known.astype(str)
    if pd.to_numeric(text, errors="coerce").notna().all():
        raise ColumnError(
            f"{role} '{name}' is text ({shown}), {wanted}. Convert it with pandas.to_numeric(data['{name}'])."
        )
    dated = pd.to_datetime(text, errors="coerce", format="ISO8601").notna()
    if dated.any() or text.str.fullmatch(DATE_LIKE).any():
        wrong = text[~dated]
        told = f"; rows that hold no date: {len(wrong)} (first: {wrong.iloc[0]!r})" if len(wrong) else ""
        raise ColumnError(
            f"{role} '{name}' holds dates as text ({shown}), {wanted}{told}. Make one with "
            f"pandas.to_datetime(data['{name}']).dt.year{never}.",
            failures=wrong.to_frame(),
        )
    raise ColumnError(
        f"{role} '{name}' is text ({shown}), {wanted}{never}. Put the period that each stands for in a column of its "
        f"own."
    )


def _with_units(made: Panel, unit: str, incomplete: str) -> Panel:
    design, counted = made.design, made.period >= 0
    column = design.column(unit)
    gone = column.isna().to_numpy() & counted
    if gone.any():
        raise ColumnError(
            f"unit '{unit}' is missing in {int(gone.sum())} rows. Every row of a panel belongs to somebody.",
            failures=design.data.loc[gone],
        )
    code, found = pd.factorize(column[counted])
    at = np.flatnonzero(counted)
    n_times = len(made.times)
    cell = code * n_times + made.period[counted]
    often = np.bincount(cell, minlength=len(found) * n_times)
    if (often > 1).any():
        twice = counted.copy()
        twice[at] = often[cell] > 1
        raise ColumnError(
            f"unit '{unit}' × time '{made.time}' must be unique, but {int((often > 1).sum())} pairs stand more than "
            f"once (first: {column[twice].iloc[0]} in {made.times[made.period[twice][0]]:g}). For new respondents in "
            f"every wave, leave unit out.",
            failures=design.data.loc[twice, [unit, made.time]],
        )
    rows = np.full(len(found) * n_times, -1, dtype=np.int64)
    rows[cell] = at
    grid = rows.reshape(len(found), n_times)
    whole = (grid >= 0).all(axis=1)
    if incomplete == "refuse" and not whole.all():
        _refuse_unbalanced(made, unit, pd.Index(found), grid)
    if not whole.any():
        raise EstimationError(f"panel: no '{unit}' has a row in each of the {n_times} waves.")
    _refuse_spread_units(design, unit, grid[whole])
    period = np.full(len(design), -1, dtype=np.int64)
    period[grid[whole]] = np.arange(n_times)
    return replace(made, period=period, unit=unit, rows=grid[whole], n_left_out=int((~whole).sum()))


def _refuse_unbalanced(made: Panel, unit: str, found: pd.Index, grid: Codes) -> None:
    lacking, wave = np.nonzero(grid < 0)
    missing = pd.DataFrame({unit: found[lacking], made.time: made.times[wave]})
    raise ColumnError(
        f"a panel needs every '{unit}' in every '{made.time}', but {len(missing)} rows are missing, of "
        f"{missing[unit].nunique()} of {len(found)} units (first: {missing[unit].iloc[0]} in "
        f"{missing[made.time].iloc[0]:g}). Pass incomplete='restrict' to leave those units out, or leave unit out to "
        f"treat the waves as repeated cross-sections.",
        failures=missing,
    )


def _refuse_spread_units(design: Design, unit: str, grid: Codes) -> None:
    sampled = design.sampling.unit[grid]
    if (sampled != sampled[:, :1]).any():
        raise DesignError(
            f"the rows of one '{unit}' lie in several sampling units, so its waves would count as independent. "
            f"Declare the design with psu='{unit}', or with a unit that contains it."
        )


@dataclass(frozen=True, eq=False)
class Cohorts:
    """Who is treated from when.

    Attributes
    ----------
    name : str
        Column.
    values : ndarray, shape (C,)
        First treated period of each cohort, ascending; infinite, last, for the never treated where there are any.
    code : ndarray of int, shape (n,)
        Cohort of each counted row; -1 else.
    """

    name: str
    values: Floats
    code: Codes


def read_cohorts(over_time: Panel, name: str) -> Cohorts:
    """Read the first treated period of every row; zero, missing and infinite mean never.

    Raises
    ------
    ColumnError
        The column is absent, text or negative, or varies within a unit.
    """
    values = _numeric(over_time.design, name, "cohort", missing=True)
    values = np.where(np.isnan(values) | (values == 0), np.inf, values)
    counted = over_time.period >= 0
    wrong = counted & (values < 0)
    if wrong.any():
        raise ColumnError(
            f"cohort '{name}' is negative in {int(wrong.sum())} rows; expected the first treated period, 0 for never.",
            failures=over_time.design.data.loc[wrong],
        )
    _refuse_indicator(over_time, name, values[counted])
    _refuse_changing(over_time, name, values)
    found, code = np.unique(values[counted], return_inverse=True)
    whole = np.full(len(values), -1, dtype=np.int64)
    whole[counted] = code
    return Cohorts(name, found, whole)


def _refuse_indicator(over_time: Panel, name: str, values: Floats) -> None:
    """Raise a ColumnError for a column that tells whether, not when, somebody is treated."""
    times, finite = over_time.times, np.unique(values[np.isfinite(values)])
    misread = misread_cohort(finite, times)
    if misread == "indicator":
        raise ColumnError(
            f"cohort '{name}' holds 0 and 1 only, which tells whether somebody is treated, not from when; the waves "
            f"run from {times[0]:g} to {times[-1]:g}. Name a column of the first treated period, 0 for never."
        )
    if misread == "year_month":
        raise ColumnError(
            f"cohort '{name}' looks like year and month ({finite[0]:g}), but the waves run from {times[0]:g} to "
            f"{times[-1]:g}. Give the first treated wave in the unit of '{over_time.time}', such as "
            f"{finite[0] // 100:g}."
        )


def misread_cohort(finite: Floats, times: Floats) -> Literal["", "indicator", "year_month"]:
    """Tell what first treated periods really are where they are none: whether, not when, or year and month in one.

    Examples
    --------
    >>> waves = np.array([2014.0, 2015.0])
    >>> misread_cohort(np.array([1.0]), waves), misread_cohort(np.array([201507.0]), waves)
    ('indicator', 'year_month')
    """
    if list(finite) == [1.0] and times[0] > 1:
        return "indicator"
    year, month = finite // 100, finite % 100
    whole = (year >= times[0]) & (year <= times[-1]) & (month >= 1) & (month <= 12)
    return "year_month" if len(finite) and finite[0] > times[-1] and whole.all() else ""


def _refuse_changing(over_time: Panel, name: str, values: Floats) -> None:
    if over_time.rows is None:
        return
    own = values[over_time.rows]
    varies = (own != own[:, :1]).any(axis=1)
    if varies.any():
        rows = over_time.rows[varies].ravel()
        raise ColumnError(
            f"cohort '{name}' changes within {int(varies.sum())} of {len(own)} units of '{over_time.unit}'. It is "
            f"the first treated period and stays the same in every wave, also where a treatment ends: for one that "
            f"switches off and on, ask ev.switching_did.",
            failures=over_time.design.data.iloc[rows][[str(over_time.unit), over_time.time, name]],
        )


def require_panel(over_time: object, verb: str) -> None:
    """Raise an EstimationError unless a verb was given a panel."""
    if not isinstance(over_time, Panel):
        raise EstimationError(
            f"{verb} needs a panel, got {type(over_time).__name__}. Order the respondents in time first: "
            f"ev.panel(design, time=...)."
        )


def cluster_codes(over_time: Panel, name: str) -> tuple[list[Any], Codes]:
    """Return the clusters of the counted rows and each row's place among them (-1 where not counted).

    Raises
    ------
    ColumnError
        The column is absent or missing in counted rows, has a single value, or varies within a unit.
    """
    counted = over_time.period >= 0
    levels, code = code_levels(over_time.design.column(name), counted)
    gone = counted & (code < 0)
    if gone.any():
        raise ColumnError(
            f"cluster '{name}' is missing in {int(gone.sum())} rows that count.",
            failures=over_time.design.data.loc[gone],
        )
    if len(levels) < 2:
        raise ColumnError(f"cluster '{name}' has a single value ({levels[0]}); clusters are compared with each other.")
    if over_time.rows is not None:
        own = code[over_time.rows]
        moved = (own != own[:, :1]).any(axis=1)
        if moved.any():
            raise ColumnError(
                f"cluster '{name}' changes within {int(moved.sum())} units of '{over_time.unit}'. Name the cluster of "
                f"the first wave.",
                failures=over_time.design.data.iloc[over_time.rows[moved].ravel()],
            )
    return levels, code


def exact(value: float) -> int | float:
    """Return a period as an int where it is one.

    Examples
    --------
    >>> exact(2016.0), exact(2016.5)
    (2016, 2016.5)
    """
    return int(value) if float(value).is_integer() else float(value)
