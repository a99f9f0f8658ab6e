"""Effects over time: by years since the start, and by the year of the start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from evaluation import wording
from evaluation.disclosure import meanings
from evaluation.figures.canvas import BLUE, DIAMOND, GREY, INK, Figure, Sheet, theme, upright
from evaluation.figures.intervals import diamond_name, reference_values
from evaluation.results import Estimates

_EVENT_HEIGHT = 2.6
_COHORT_HEIGHT = 1.25
_LEFT = 0.9
_SHADE = "#F0F0F0"
_HOLLOW: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": BLUE, "markersize": 6.5}
_FILLED: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 6.5}
_BARE: dict[str, Any] = {"marker": "o", "color": GREY, "markersize": 3.5}
_BASE: dict[str, Any] = {"marker": "x", "color": INK, "markersize": 7, "markeredgewidth": 1.8}

Reference = Mapping[Any, float] | pd.DataFrame | None


def draw_events(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Reference = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw effects by years since the start: before it hollow on grey, since then filled.

    Parameters
    ----------
    result : Estimates
        Key ``event_time``; a row without it is the overall effect, named in the caption. A row of zero
        with error zero is the reference period. Columns ``band_low`` and ``band_high`` are drawn thin.
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
    """
    rows = _with_known(result, reference, lang)
    overall = rows[rows["event_time"].isna()]
    rows = rows[rows["event_time"].notna()].sort_values(["panel", "event_time"], kind="stable", ignore_index=True)
    rows["x"] = rows["event_time"].astype(float)
    rows["stage"] = _stages(rows, rows["x"] < 0)
    return _figure(result, rows, overall, title, lang, diamond_name(reference, reference_label, lang))


def draw_group_time(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Reference = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw effects by year, a panel for each year of the start.

    Parameters
    ----------
    result : Estimates
        Keys ``cohort`` and ``time``.
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
        Periods without an estimate are counted in the caption.
    """
    rows = _with_known(result, reference, lang)
    rows["x"] = rows["time"].astype(float)
    start = rows["cohort"].astype(float)
    rows["stage"] = _stages(rows, rows["x"] < start)
    started = [wording.term("started_in", lang).format(year=f"{year:g}") for year in start]
    several = rows["panel"].nunique() > 1
    rows["panel"] = [
        f"{panel}: {text}" if several else text for panel, text in zip(rows["panel"], started, strict=True)
    ]
    rows = rows.sort_values(["panel", "x"], kind="stable", ignore_index=True)
    return _figure(result, rows, rows.iloc[:0], title, lang, diamond_name(reference, reference_label, lang))


def _with_known(result: Estimates, reference: Reference, lang: str | None) -> pd.DataFrame:
    tidy = result.tidy().reset_index(drop=True)
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    words = wording.label_keys(result.keys.reset_index(drop=True), result.provenance.labels, lang)
    panel = words["term"] if "term" in words else pd.Series([""] * len(words))
    bands = {name: pd.to_numeric(tidy[name]) for name in ("band_low", "band_high") if name in tidy}
    return tidy.assign(panel=panel, reference=known, **bands)


def _stages(rows: pd.DataFrame, before: pd.Series[bool]) -> NDArray[Any]:
    """Tell the reference period, effects without an error, and those before and since the start."""
    base = (rows["estimate"] == 0) & (rows["std_error"] == 0)
    return np.select([base, rows["std_error"].isna(), before], ["reference", "bare", "before"], "since")


def _figure(
    result: Estimates,
    rows: pd.DataFrame,
    overall: pd.DataFrame,
    title: str | None,
    lang: str | None,
    diamond: str,
) -> Figure:
    cohorts = "cohort" in rows and "event_time" not in rows
    name = title or wording.estimates_title(result, lang)
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=_notes(result, rows, overall, lang))
    marks = _marks(rows, lang) | ({diamond: DIAMOND} if rows["reference"].notna().any() else {})
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    titles = [str(panel["panel"].iloc[0]) for panel in panels] if cohorts or len(panels) > 1 else [""] * len(panels)
    with theme():
        heights = [_COHORT_HEIGHT if cohorts else _EVENT_HEIGHT] * len(panels)
        scale = wording.term("time" if cohorts else "event_time", lang)
        sheet = Sheet(name, caption, heights, marks, titles, scale, left=_LEFT)
        for axes, panel in zip(sheet.axes, panels, strict=True):
            start = float(panel["cohort"].iloc[0]) if cohorts else 0.0
            _draw_points(axes, panel, start, (rows["x"].min(), rows["x"].max()))
            axes.set_ylabel(wording.term("effect", lang))
        limits = [axes.get_ylim() for axes in sheet.axes]
        for axes in sheet.axes if cohorts else []:
            axes.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    return Figure(sheet.canvas, rows.drop(columns="x"), name, caption)


def _marks(rows: pd.DataFrame, lang: str | None) -> dict[str, dict[str, Any]]:
    kinds = {
        "before": ("before_start", _HOLLOW),
        "since": ("since_start", _FILLED),
        "reference": ("reference_period", _BASE),
        "bare": ("no_standard_error", _BARE),
    }
    shown = set(rows["stage"])
    return {wording.term(word, lang): style for stage, (word, style) in kinds.items() if stage in shown}


def _notes(result: Estimates, rows: pd.DataFrame, overall: pd.DataFrame, lang: str | None) -> list[str]:
    """Return what the points do not show: the overall effect, bands, cells that are not identified."""
    notes = []
    for row in overall.to_dict("records"):
        places = wording.common_decimals([row["std_error"]]) or 3
        value, low, high = (wording.number(row[column], places) for column in ("estimate", "conf_low", "conf_high"))
        named = f"{row['panel']}, " if overall["panel"].nunique() > 1 else ""
        interval = wording.term("no_standard_error", lang) if np.isnan(row["std_error"]) else f"{low} – {high}"
        overall_word = str(result.fit.get("overall_is", "mean_since_start"))
        notes.append(f"{named}{wording.term(overall_word, lang)}: {value} ({interval})")
    if (rows["stage"] == "before").any() and result.fit.get("leads_against") == "leads_varying":
        notes.append(wording.term("leads_varying_drawn", lang))
    if "band_low" in rows:
        notes.append(wording.term("simultaneous_band", lang))
    absent = len(result.fit.get("not_identified", ()))
    if absent:
        notes.append(f"{wording.term('not_identified_cells', lang)}: {absent}")
    return [*notes, *meanings([result], wording.language_of(lang))]


def _draw_points(axes: Axes, panel: pd.DataFrame, start: float, span: tuple[float, float]) -> None:
    low, high = span[0] - 0.6, span[1] + 0.6
    axes.axvspan(low, start - 0.5, color=_SHADE, linewidth=0, zorder=0)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    axes.axvline(start - 0.5, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    if "band_low" in panel:
        axes.vlines(panel["x"], panel["band_low"], panel["band_high"], color=BLUE, linewidth=0.8, zorder=2)
    drawn = panel["stage"] != "reference"
    axes.vlines(
        panel["x"][drawn], panel["conf_low"][drawn], panel["conf_high"][drawn], color=BLUE, linewidth=2, zorder=2
    )
    for stage, style in (("before", _HOLLOW), ("since", _FILLED), ("reference", _BASE), ("bare", _BARE)):
        own = panel["stage"] == stage
        axes.plot(panel["x"][own], panel["estimate"][own], linestyle="none", zorder=3, **style)
    axes.plot(panel["x"], panel["reference"], linestyle="none", markersize=9, zorder=4, **DIAMOND)
    upright(axes, (low, high))
