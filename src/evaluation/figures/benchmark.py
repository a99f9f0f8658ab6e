"""Participants beside figures published elsewhere: each with its error, and the one at which nothing is left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from scipy import stats

from evaluation import wording
from evaluation.disclosure import meanings, shown
from evaluation.figures.canvas import BLUE, GREY, ORANGE, Figure, Sheet, theme
from evaluation.results import Estimates
from evaluation.specification import Text

#: Rows apart that a result's own marks and those of its figure stand.
_APART = 0.17
_STYLES: dict[str, dict[str, Any]] = {
    "participants": {"marker": "o", "color": BLUE, "markersize": 6.5},
    "implied_others": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": GREY, "markersize": 6},
    "figure_with_error": {"marker": "D", "color": ORANGE, "markersize": 6},
    "figure_as_exact": {"marker": "D", "markerfacecolor": "white", "markeredgecolor": ORANGE, "markersize": 6.5},
    "break_even": {"linestyle": "-", "color": GREY, "linewidth": 1.2, "marker": "|", "markersize": 9},
}


def draw_benchmark(
    results: Estimates | Mapping[str, Estimates], *, title: str | None = None, lang: str | None = None
) -> Figure:
    """Draw estimates beside the figures they are held against, a row each.

    Parameters
    ----------
    results : Estimates or mapping of name to Estimates
        From ``benchmark_difference``; the names stand beside the rows (``titles[name]``, where the mapping has such).
    title : str, optional
        Default: "Participants and figures published elsewhere".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A figure with an error has its interval; one that is taken as exact is an open diamond. The grey line is how
        wide the interval of the figure would have to be for the difference to reach zero; where the difference is not
        told from zero as it is, there is none. ``data`` holds a row per result.
    """
    named = {"": results} if isinstance(results, Estimates) else dict(results)
    data = pd.DataFrame([_row(name, result, results, lang) for name, result in named.items()])
    first = next(iter(named.values()))
    caption = _caption(list(named.values()), data, lang)
    name = title or wording.term("benchmark_title", lang)
    marks = {wording.term(f"benchmark_{key}", lang): _STYLES[key] for key in _kinds(data)}
    numbers = data[["estimate", "benchmark"]].to_numpy(dtype=float)
    is_share = bool(((numbers >= 0) & (numbers <= 1) | np.isnan(numbers)).all())
    scale = wording.term("share", lang) if is_share else wording.term_label(first.keys["term"].iloc[0],
                                                                           first.provenance.labels, lang)  # fmt: skip
    with theme():
        sheet = Sheet(name, caption, [data["row"].tolist()], marks, [""], scale)
        _draw(sheet.axes[0], data)
    return Figure(sheet.canvas, data, name, caption)


def _row(name: str, result: Estimates, results: Any, lang: str | None) -> dict[str, Any]:
    """Return what is drawn of one result; nothing of one that may not be shown."""
    result = shown(result)
    tidy, fit = result.tidy(), result.fit
    figure, error = float(fit["benchmark"]), fit.get("benchmark_std_error")
    quantile = float(stats.norm.ppf((1 + result.conf_level) / 2))
    reach = quantile * float(error) if error is not None else np.nan
    row: dict[str, Any] = {
        "name": name,
        "term": tidy["term"].iloc[0],
        "estimate": tidy["estimate"].iloc[1],
        "conf_low": tidy["conf_low"].iloc[1],
        "conf_high": tidy["conf_high"].iloc[1],
        "benchmark": figure,
        "benchmark_low": figure - reach,
        "benchmark_high": figure + reach,
        "difference": tidy["estimate"].iloc[0],
        "difference_low": tidy["conf_low"].iloc[0],
        "difference_high": tidy["conf_high"].iloc[0],
        "break_even_std_error": _number(fit.get("break_even_std_error")),
        "break_even_n": _number(fit.get("break_even_n")),
        "implied_others": _number(fit.get("implied_mean_of_others")) if fit.get("implied_is_possible") else np.nan,
        "implied_is_possible": bool(fit.get("implied_is_possible", True)),
        "conditional": error is None,
        "evidence_grade": fit.get("evidence_grade"),
    }
    even = quantile * row["break_even_std_error"]
    row |= {"break_even_low": figure - even, "break_even_high": figure + even}
    if np.isnan(row["estimate"]):
        row |= dict.fromkeys(("break_even_low", "break_even_high", "implied_others"), np.nan)
    return row | {"row": _label(row, name, results, result, lang)}


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _label(row: Mapping[str, Any], name: str, results: Any, result: Estimates, lang: str | None) -> str:
    given = getattr(results, "titles", {}).get(name)
    text = given.in_language(wording.language_of(lang)) if isinstance(given, Text) else given
    label = text or name or wording.term_label(row["term"], result.provenance.labels, lang)
    if np.isnan(row["difference"]):
        return f"{label} {next(filter(None, result.marks), '')}".rstrip()
    share = 0 <= row["estimate"] <= 1 and 0 <= row["benchmark"] <= 1
    points = wording.percentage_point_unit(lang)
    scale, unit = (100.0, points if points.startswith("%") else f" {points}") if share else (1.0, "")
    places = wording.common_decimals([scale * float(result.std_error[0])]) or 1
    gap = wording.number(scale * row["difference"], max(0, min(places, 1 if share else places)))
    sign = "+" if row["difference"] > 0 else ""
    return f"{label} ({sign}{gap}{unit})"


def _kinds(data: pd.DataFrame) -> list[str]:
    there = {
        "participants": True,
        "implied_others": bool(data["implied_others"].notna().any()),
        "figure_with_error": bool((~data["conditional"]).any()),
        "figure_as_exact": bool(data["conditional"].any()),
        "break_even": bool(data["break_even_low"].notna().any()),
    }
    return [kind for kind, is_there in there.items() if is_there]


def _caption(results: list[Estimates], data: pd.DataFrame, lang: str | None) -> str:
    notes = []
    if data["break_even_low"].notna().any():
        notes.append(wording.term("benchmark_break_even_note", lang))
    if data["conditional"].any():
        notes.append(wording.term("benchmark_conditional_note", lang))
    if not data["implied_is_possible"].all():
        notes.append(wording.term("benchmark_impossible_note", lang))
    levels = {result.conf_level for result in results}
    notes += meanings(results, wording.language_of(lang))
    first = results[0]
    return wording.caption(first.provenance, max(levels) if len(levels) == 1 else None, lang, notes=notes)


def _draw(axes: Axes, data: pd.DataFrame) -> None:
    places = np.arange(len(data))
    above, below = places - _APART, places + _APART
    even = data["break_even_low"].notna().to_numpy()
    for place, low, high in zip(below[even], data["break_even_low"][even], data["break_even_high"][even], strict=True):
        axes.plot([low, high], [place, place], zorder=1, **_STYLES["break_even"])
    axes.hlines(below, data["benchmark_low"], data["benchmark_high"], color=ORANGE, linewidth=2.2, zorder=2)
    for kind, own in (("figure_with_error", ~data["conditional"]), ("figure_as_exact", data["conditional"])):
        axes.plot(data["benchmark"][own], below[own.to_numpy()], zorder=3, **{"linestyle": "none", **_STYLES[kind]})
    axes.hlines(above, data["conf_low"], data["conf_high"], color=BLUE, linewidth=2.2, zorder=2)
    axes.plot(data["implied_others"], above, linestyle="none", zorder=3, **_STYLES["implied_others"])
    axes.plot(data["estimate"], above, linestyle="none", zorder=4, **_STYLES["participants"])
