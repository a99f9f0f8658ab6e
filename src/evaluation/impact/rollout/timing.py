"""Which survey wave is the first to count what started on a date: a rule that is written down, never implied."""

from __future__ import annotations

from typing import Any, Literal

import pandas as pd

from evaluation.errors import EstimationError

#: "october_wave", "half_year", or ("month", m): see ``wave_of``.
Timing = Literal["october_wave", "half_year"] | tuple[Literal["month"], int]
OCTOBER: Timing = "october_wave"
_OCTOBER = 10


def require_timing(timing: object) -> None:
    """Raise an EstimationError unless a timing rule is known."""
    if isinstance(timing, str) and timing in ("october_wave", "half_year"):
        return
    if isinstance(timing, tuple) and len(timing) == 2 and timing[0] == "month" and _is_month(timing[1]):
        return
    raise EstimationError(
        f"timing must be 'october_wave', 'half_year' or ('month', m) with m from 1 to 12, got {timing!r}. It says "
        f"which yearly wave is the first to count what started on a date."
    )


def _is_month(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 12


def wave_of(date: pd.Timestamp, timing: Timing = OCTOBER) -> int:
    """Return the first yearly wave that counts what started on a date.

    Parameters
    ----------
    date : pandas.Timestamp
    timing : {"october_wave", "half_year"} or ("month", m)
        ``("month", m)``: the survey is in the field in month m, and counts what has started by the first of it; the
        October wave is month 10. ``"half_year"``: the survey is in the field between July and December, and the year
        of the start is the first treated one, whenever in it the start lay.

    Examples
    --------
    >>> wave_of(pd.Timestamp("2017-07-18")), wave_of(pd.Timestamp("2017-10-02"))
    (2017, 2018)
    >>> wave_of(pd.Timestamp("2017-10-02"), "half_year"), wave_of(pd.Timestamp("2017-07-18"), ("month", 6))
    (2017, 2018)
    """
    if timing == "half_year":
        return int(date.year)
    month = timing[1] if isinstance(timing, tuple) else _OCTOBER
    return int(date.year) + int((date.month, date.day) > (month, 1))


def wave_of_interviews(dates: pd.Series[Any], timing: Timing = OCTOBER) -> pd.Series[Any]:
    """Return the yearly wave to which interviews belong: their year, or the one before where it had not begun yet.

    Notes
    -----
    A wave begins with the first of July under ``"half_year"``, else with the first of the month of the survey, so an
    interview in spring belongs to the wave of the year before. Missing where the date is.

    Examples
    --------
    >>> wave_of_interviews(pd.Series(pd.to_datetime(["2015-06-30", "2015-07-01"])), "half_year").tolist()
    [2014.0, 2015.0]
    """
    begins = 7 if timing == "half_year" else timing[1] if isinstance(timing, tuple) else _OCTOBER
    early = (dates.dt.month < begins).to_numpy()
    return pd.Series(dates.dt.year.to_numpy(dtype=float) - early, index=dates.index).where(dates.notna())


def told(timing: Timing, lang: str) -> str:
    """Return the rule in words."""
    month = timing[1] if isinstance(timing, tuple) else _OCTOBER
    if timing == "half_year":
        return (
            "시작한 해의 하반기(7–12월) 조사를 첫 시행 조사로 봄"
            if lang == "ko"
            else "surveys taken from July to December belong to the first treated year, the year of the start"
        )
    if lang == "ko":
        return f"{month}월 1일까지 시작한 곳을 그해 조사에서 시행된 것으로 봄"
    name = pd.Timestamp(2000, month, 1).month_name()
    return f"counts in a year's wave what has started by the first of {name}"
