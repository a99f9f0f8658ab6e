"""Arithmetic on administrative figures: changes, cost per unit, coverage; exact, dated, and never an effect."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation.errors import IndicatorError, did_you_mean
from evaluation.survey.indicators import IndicatorResult, Indicators, Status, begin, end, when

Row = dict[str, Any]
Which = Literal["actual", "plan", "both"]

#: Flows are compared over periods that differ by a leap day at most.
LEAP = 1


def indicator_change(
    indicators: Indicators, series: str | Sequence[str], *, status: Which = "actual"
) -> IndicatorResult:
    """Compute how administrative figures changed from date to date; it is no effect of anything.

    Parameters
    ----------
    indicators : Indicators
        From ``read_indicators``.
    series : str or list of str
        Each with at least two dates.
    status : {"actual", "plan", "both"}, default "actual"
        A plan is not compared with what happened unless "both" asks for it; each end then says which it is.

    Returns
    -------
    IndicatorResult
        One row per two neighbouring dates, then first against last of what was compared where there are more
        than two: ``term, from, to, status_from, status_to, value_from, value_to, change, relative_change, unit``.
        ``relative_change`` is a proportion (-0.3235 for 32.35 % less); missing where the first value is zero.

    Raises
    ------
    IndicatorError
        An unknown series, one date only, a plan against an actual value, flows over periods that differ or overlap.

    Notes
    -----
    Differences and quotients are formed of the printed decimals as fractions and rounded once, at the end.

    Examples
    --------
    >>> from evaluation.survey.indicators import read_indicators
    >>> change = indicator_change(read_indicators("seoul_2016"), "caseload").tidy()
    >>> change[["value_from", "value_to", "change", "relative_change"]].round(3).to_numpy().tolist()
    [[170.0, 115.0, -55.0, -0.324]]
    """
    rows = []
    names = [series] if isinstance(series, str) else list(series)
    for name in names:
        figures = _chosen(indicators, name, status, "indicator_change")
        if len(figures) < 2:
            raise IndicatorError(_too_few(indicators, name, figures, status))
        _refuse_unlike_periods(name, figures)
        pairs = list(pairwise(figures))
        if len(figures) > 2 and figures[0]["status"] == figures[-1]["status"]:
            pairs.append((figures[0], figures[-1]))
        rows += [_change(name, one, other) for one, other in pairs]
    return _result("indicator_change", indicators, names, rows, "change")


def _change(name: str, one: Row, other: Row) -> Row:
    before, after = _exact(one["value"]), _exact(other["value"])
    return {
        "term": name,
        "from": when(one),
        "to": when(other),
        "status_from": one["status"],
        "status_to": other["status"],
        "value_from": one["value"],
        "value_to": other["value"],
        "change": float(after - before),
        "relative_change": float((after - before) / before) if before else np.nan,
        "unit": one["unit"],
    }


def unit_cost(
    indicators: Indicators,
    cost: str,
    per: str,
    *,
    at: Literal["end", "start"] = "end",
    status: Status = "actual",
) -> IndicatorResult:
    """Compute the money of a period per unit that stood at a stated date.

    Parameters
    ----------
    indicators : Indicators
        From ``read_indicators``.
    cost : str
        A flow, such as a yearly budget.
    per : str
        A stock, such as centers.
    at : {"end", "start"}, default "end"
        The stock in force on the last, or the first, day of each period of the flow.
    status : {"actual", "plan"}, default "actual"
        Of money and units alike.

    Returns
    -------
    IndicatorResult
        One row per period: ``term`` (``cost/per``), ``period``, ``cost``, ``units``, ``units_date`` (that of the
        stock), ``unit_cost`` and its ``unit``.

    Raises
    ------
    IndicatorError
        An unknown series, a cost that is no flow, units that are no stock or zero, a period before any stock.

    Notes
    -----
    What opened within the period counts in full, so a year of growth looks cheaper per unit than it was.

    Examples
    --------
    >>> from evaluation.survey.indicators import read_indicators
    >>> unit_cost(read_indicators("seoul_2016"), "budget", "centers").tidy()["unit_cost"].round(3).tolist()
    [0.234, 0.192, 0.211]
    """
    if at not in ("end", "start"):
        raise IndicatorError(f"unit_cost: at must be 'end' or 'start' of the period, got {at!r}.")
    if status not in get_args(Status):
        raise IndicatorError(f"unit_cost: status must be 'actual' or 'plan' for money and units alike, got {status!r}.")
    money, stocks = (_chosen(indicators, name, status, "unit_cost") for name in (cost, per))
    for name, figures, wanted in ((cost, money, "flow"), (per, stocks, "stock")):
        if figures[0]["measure"] != wanted:
            raise IndicatorError(
                f"unit_cost divides a flow by a stock, but '{name}' is a {figures[0]['measure']}. "
                f"Name a {wanted} there."
            )
    rows = []
    for figure in money:
        day = end(figure) if at == "end" else begin(figure)
        stock = _in_force(stocks, day, per, f"{at} of {when(figure)}")
        if not stock["value"]:
            raise IndicatorError(f"unit_cost: '{per}' is zero on {when(stock)}, so there is no cost of one.")
        rows.append(
            {
                "term": f"{cost}/{per}",
                "period": when(figure),
                "cost": figure["value"],
                "units": stock["value"],
                "units_date": when(stock),
                "unit_cost": float(_exact(figure["value"]) / _exact(stock["value"])),
                "unit": f"{figure['unit']}/{stock['unit']}",
            }
        )
    return _result("unit_cost", indicators, [cost, per], rows, "cost")


def coverage(
    indicators: Indicators,
    covered: str | Sequence[str],
    population: str,
    *,
    at: str | None = None,
    status: Which = "actual",
) -> IndicatorResult:
    """Compute the share of a population that is covered, or takes part.

    Parameters
    ----------
    indicators : Indicators
        From ``read_indicators``.
    covered : str or list of str
        What is covered, in the unit of the population: dongs of dongs, persons of persons. A flow counts
        persons of a whole period, perhaps more than once.
    population : str
        A stock.
    at : str, optional
        Date of the population as the file writes it; else the one in force at the end of what is covered.
    status : {"actual", "plan", "both"}, default "actual"
        Of what is covered; the population is always actual.

    Returns
    -------
    IndicatorResult
        One row per figure: ``term`` (``covered/population``), ``period``, ``status``, ``covered``, ``population``,
        ``population_date``, ``share`` (0 to 1).

    Raises
    ------
    IndicatorError
        An unknown series or date, other units, a population that is no stock, a part larger than the whole.

    Examples
    --------
    >>> from evaluation.survey.indicators import read_indicators
    >>> figures = read_indicators("seoul_2016")
    >>> coverage(figures, "residents_covered", "population").tidy()["share"].round(3).tolist()
    [0.691]
    """
    whole = _chosen(indicators, population, "actual", "coverage")
    if whole[0]["measure"] != "stock":
        raise IndicatorError(f"coverage: the population '{population}' is a flow. Name a stock.")
    if at is not None and at not in [when(row) for row in whole]:
        known = [when(row) for row in whole]
        raise IndicatorError(f"coverage: '{population}' has no figure dated '{at}'. {did_you_mean(at, known)}")
    names = [covered] if isinstance(covered, str) else list(covered)
    rows = []
    for name in names:
        for figure in _chosen(indicators, name, status, "coverage"):
            base = next((row for row in whole if when(row) == at), None)
            base = base or _in_force(whole, end(figure), population, f"end of {when(figure)}")
            rows.append(_share(name, population, figure, base))
    return _result("coverage", indicators, [*names, population], rows, "coverage")


def _share(name: str, population: str, figure: Row, base: Row) -> Row:
    if figure["unit"] != base["unit"]:
        raise IndicatorError(
            f"coverage: '{name}' counts {figure['unit']} and '{population}' counts {base['unit']}, so one is no part "
            f"of the other. Name two series of one unit."
        )
    if not 0 <= figure["value"] <= base["value"]:
        raise IndicatorError(
            f"coverage: '{name}' is {figure['value']:,.10g} ({when(figure)}) of {base['value']:,.10g} '{population}' "
            f"({when(base)}): a part cannot be larger than the whole. Check both sources."
        )
    return {
        "term": f"{name}/{population}",
        "period": when(figure),
        "status": figure["status"],
        "covered": figure["value"],
        "population": base["value"],
        "population_date": when(base),
        "share": float(_exact(figure["value"]) / _exact(base["value"])),
    }


def _exact(value: float) -> Fraction:
    """Return the decimal that was printed, as a fraction."""
    return Fraction(repr(float(value)))


def _chosen(indicators: Indicators, name: str, status: Which, verb: str) -> list[Row]:
    if status not in get_args(Which):
        raise IndicatorError(f"{verb}: status must be one of {list(get_args(Which))}, got {status!r}.")
    rows = [{str(key): value for key, value in row.items()} for row in indicators.series(name).rows.to_dict("records")]
    kept = [row for row in rows if status in ("both", row["status"])]
    if not kept:
        other = "a plan" if status == "actual" else "what happened"
        raise IndicatorError(
            f"{verb}: '{name}' is {other} only ({_listed(rows)}), and a plan is no outcome. Ask for it with status="
            f"'{rows[0]['status']}', and say so."
        )
    return kept


def _too_few(indicators: Indicators, name: str, figures: list[Row], status: str) -> str:
    others = [row for row in indicators.series(name).rows.to_dict("records") if row["status"] not in (status, "both")]
    message = f"indicator_change: '{name}' has one date ({_listed(figures)}), so nothing changed."
    if others and status != "both":
        plan = f"Its {others[0]['status']} value ({_listed([{str(k): v for k, v in row.items()} for row in others])})"
        return f"{message} {plan} is another kind of figure: compare the two with status='both', which says so."
    return f"{message} Name a series with two dates."


def _listed(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row['value']:,.10g} in {when(row)}" for row in rows)


def _refuse_unlike_periods(name: str, figures: list[Row]) -> None:
    if figures[0]["measure"] == "stock":
        return
    for one, other in pairwise(figures):
        days = [(end(row) - begin(row)).days + 1 for row in (one, other)]
        overlap = begin(other) <= end(one) and one["status"] == other["status"]
        if overlap or abs(days[0] - days[1]) > LEAP:
            raise IndicatorError(
                f"indicator_change: '{name}' counts over {when(one)} ({days[0]:,} days) and {when(other)} ({days[1]:,} "
                f"days){', which overlap' if overlap else ''}. Flows compare over equal periods, one after another."
            )


def _in_force(stocks: Sequence[Row], day: Any, name: str, what: str) -> Row:
    """Return the latest stock that is not later than a day."""
    earlier = [row for row in stocks if begin(row) <= day]
    if not earlier:
        raise IndicatorError(
            f"'{name}' is known from {when(stocks[0])} on, but the {what} is asked for. Take another date, or add an "
            f"earlier figure."
        )
    return earlier[-1]


def _result(verb: str, indicators: Indicators, names: list[str], rows: list[Row], remark: str) -> IndicatorResult:
    return IndicatorResult(verb, pd.DataFrame(rows), indicators.take(names).provenance_with(remark))
