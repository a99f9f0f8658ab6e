"""Trends: means of each wave as lines that stop where the wording changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from evaluation import wording
from evaluation.disclosure import meanings
from evaluation.errors import ColumnError, PublishError, did_you_mean
from evaluation.figures.canvas import (
    BLUE,
    DASHED,
    DIAMOND,
    INK,
    ORANGE,
    SIZES,
    Figure,
    Sheet,
    height_of,
    inches,
    theme,
    upright,
    wrapped,
)
from evaluation.figures.intervals import diamond_name, reference_values
from evaluation.results import Estimates

#: Colour, dashes and marker of each line: told apart by any of the three.
LINES: tuple[tuple[str, Any, str], ...] = (
    (BLUE, "-", "o"),
    (ORANGE, (0, (5, 2)), "s"),
    (INK, (0, (1.5, 1.5)), "^"),
    ("#009E73", (0, (6, 2, 1.5, 2)), "D"),
    ("#CC79A7", (0, (8, 3)), "v"),
    ("#56B4E9", (0, (3, 1, 1, 1, 1, 1)), "P"),
    ("#8A6D00", (0, (1, 3)), "X"),
)
_HEIGHT = 2.2
_LEFT, _RIGHT = 0.82, 0.3
_LABEL_WIDTH = 1.35
_BREAK_WIDTH = 1.7
#: Share of the time between two waves by which the lines of groups stand beside each other.
_BESIDE = 0.3

Breaks = Mapping[Any, str]


def draw_trend(
    result: Estimates,
    *,
    time: str,
    breaks: Breaks | None = None,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw estimates over waves, a panel per item and a line per group.

    Parameters
    ----------
    result : Estimates
        Keys ``term``, the time column, and columns of groups; at most seven groups.
    time : str
        Key column of the waves, numbers.
    breaks : mapping of wave to str, optional
        First wave of a new wording to what changed. Default: the breaks that ``survey_trend`` was told.
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
        ``data`` has ``segment``: points of different segments are not one series and no line joins them.

    Raises
    ------
    ColumnError
        ``time`` is no numeric key column.
    PublishError
        More groups than lines that can be told apart, or a break outside the waves.
    """
    rows = _arranged(result, time, lang)
    if reference is not None:
        rows["reference"] = reference_values(result, reference)
    told = _breaks(result, rows, breaks, lang)
    rows["segment"] = [
        sum(wave >= start for start in told.get(term, {})) for term, wave in zip(rows["term"], rows["x"], strict=True)
    ]
    groups = list(dict.fromkeys(rows["group"]))
    if len(groups) > len(LINES):
        raise PublishError(
            f"a trend shows at most {len(LINES)} lines that can be told apart, got {len(groups)} groups. Restrict them "
            "with ev.domain, or show them with ev.table."
        )
    name = title or wording.estimates_title(result, lang)
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=_notes(result, told, lang))
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    titles = [str(panel["panel"].iloc[0]) for panel in panels]
    marks = {diamond_name(reference, reference_label, lang): DIAMOND} if rows["reference"].notna().any() else {}
    with theme():
        labels = {group: wrapped(group, _LABEL_WIDTH, "label") if group else [] for group in groups}
        right = _RIGHT + max([0.0, *(inches(line, "label") for lines in labels.values() for line in lines)])
        scale = wording.heading(time, result.provenance.labels, lang)
        sheet = Sheet(name, caption, [_HEIGHT] * len(panels), marks, titles, scale, left=_LEFT, right=right)
        for axes, panel in zip(sheet.axes, panels, strict=True):
            _draw_lines(axes, panel, labels, (rows["x"].min(), rows["x"].max()))
            _draw_breaks(axes, told.get(panel["term"].iloc[0], {}), _waves(rows))
            axes.set_ylabel(wording.verb_name("survey_mean" if result.verb == "survey_trend" else result.verb, lang))
    return Figure(sheet.canvas, rows.drop(columns="x"), name, caption)


def _arranged(result: Estimates, time: str, lang: str | None) -> pd.DataFrame:
    if time not in result.keys.columns:
        raise ColumnError(f"no key column '{time}' in these estimates. {did_you_mean(time, result.keys.columns)}")
    rows = result.tidy().reset_index(drop=True)
    waves = pd.to_numeric(rows[time], errors="coerce")
    if waves.isna().any():
        raise ColumnError(f"'{time}' holds {rows[time][waves.isna()].iloc[0]!r}; a trend needs waves that are numbers.")
    words = wording.result_keys(result, lang)
    others = [column for column in words if column not in {"term", time}]
    group = [" · ".join(filter(None, cells)) for cells in words[others].itertuples(index=False, name=None)]
    return rows.assign(panel=words["term"], group=group, reference=np.nan, x=waves.astype(float))


def _waves(rows: pd.DataFrame) -> list[float]:
    return sorted(rows["x"].unique().tolist())


def _breaks(
    result: Estimates, rows: pd.DataFrame, breaks: Breaks | None, lang: str | None
) -> dict[str, dict[float, str]]:
    """Return for each item the waves from which a new wording holds, and what changed."""
    terms = list(dict.fromkeys(rows["term"]))
    told: dict[str, dict[float, str]] = {}
    if breaks is None:
        language = wording.language_of(lang)
        for entry in result.fit.get("breaks", ()):
            told.setdefault(entry["term"], {})[float(entry["time"])] = str(entry[language])
        return told
    waves = _waves(rows)
    for wave in breaks:
        if not waves[0] < float(wave) <= waves[-1]:
            raise PublishError(f"a break at {wave} lies outside the waves {waves[0]:g} to {waves[-1]:g}.")
    return {term: {float(wave): str(text) for wave, text in sorted(breaks.items())} for term in terms}


def _notes(result: Estimates, told: Mapping[str, Mapping[float, str]], lang: str | None) -> list[str]:
    broken = [wording.term("line_broken", lang)] if any(told.values()) else []
    return [*broken, *meanings([result], wording.language_of(lang))]


def _draw_lines(axes: Axes, panel: pd.DataFrame, labels: Mapping[str, list[str]], span: tuple[float, float]) -> None:
    groups = [group for group in labels if (panel["group"] == group).any()]
    beside = np.linspace(-0.5, 0.5, len(groups)) * _BESIDE if len(groups) > 1 else np.zeros(1)
    ends: list[tuple[float, str, str]] = []
    for group, aside in zip(groups, beside, strict=True):
        colour, dashes, marker = LINES[list(labels).index(group)]
        own = panel[panel["group"] == group].sort_values("x")
        x = own["x"] + aside
        axes.vlines(x, own["conf_low"], own["conf_high"], color=colour, linewidth=1.4, zorder=2)
        for _, part in own.groupby("segment"):
            axes.plot(
                part["x"] + aside, part["estimate"], color=colour, linestyle=dashes, linewidth=1.6, zorder=3,
                marker=marker, markersize=5.5,
            )  # fmt: skip
        axes.plot(x, own["reference"], linestyle="none", markersize=8, zorder=4, **DIAMOND)
        values = own["estimate"].dropna()
        ends += [(float(values.iloc[-1]), group, colour)] if len(values) else []
    upright(axes, (span[0] - 0.5, span[1] + 0.5))
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    _write_ends(axes, ends, labels)


def _write_ends(axes: Axes, ends: Sequence[tuple[float, str, str]], labels: Mapping[str, list[str]]) -> None:
    """Write each group's name beside the end of its line, moved apart where two would touch."""
    low, high = axes.get_ylim()
    per_inch = (high - low) / _HEIGHT
    heights = [height_of(labels[group], "label") * per_inch for _, group, _ in ends]
    order = sorted(range(len(ends)), key=lambda at: ends[at][0])
    places: dict[int, float] = {}
    floor = low
    for at in order:
        places[at] = max(ends[at][0], floor + heights[at] / 2)
        floor = places[at] + heights[at] / 2
    ceiling = high
    for at in reversed(order):
        places[at] = min(places[at], ceiling - heights[at] / 2)
        ceiling = places[at] - heights[at] / 2
    for at, (_, group, colour) in enumerate(ends):
        axes.annotate(
            "\n".join(labels[group]), (1.0, places[at]), xycoords=("axes fraction", "data"), xytext=(4, 0),
            textcoords="offset points", va="center", color=colour, fontsize=SIZES["label"], annotation_clip=False,
        )  # fmt: skip


def _draw_breaks(axes: Axes, told: Mapping[float, str], waves: Sequence[float]) -> None:
    """Mark each break between two waves by a dashed line, and write above the points what changed."""
    if not told:
        return
    texts = [wrapped(f"{wave:g}: {text}", _BREAK_WIDTH, "caption") for wave, text in sorted(told.items())]
    needed = sum(height_of(lines, "caption") + 0.06 for lines in texts)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + (high - low) * needed / (_HEIGHT - needed))
    left, right = axes.get_xlim()
    above = 0.02
    for wave, lines in zip(sorted(told), texts, strict=True):
        before = max(other for other in waves if other < wave)
        place = (before + wave) / 2
        axes.axvline(place, color=INK, linewidth=1.0, linestyle=DASHED, zorder=1)
        side = "left" if place < (left + right) / 2 else "right"
        axes.annotate(
            "\n".join(lines), (place, 1.0), xycoords=("data", "axes fraction"), va="top", ha=side, linespacing=1.25,
            xytext=(4 if side == "left" else -4, -72 * above), textcoords="offset points", fontsize=SIZES["caption"],
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )  # fmt: skip
        above += height_of(lines, "caption") + 0.06
