"""Funnel plots: areas against the limits that sampling alone would keep them in, and the same on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import StrMethodFormatter

from evaluation import wording
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, SIZES, Figure, Sheet, inches, theme
from evaluation.figures.tiles import short_name

#: Inches of a panel.
PANEL = 1.75
INNER: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": DASHED}
OUTER: dict[str, Any] = {"color": GREY, "linewidth": 1.4, "linestyle": "-."}
TARGET: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": "-"}
#: How a point is drawn, by how many limits it lies beyond.
POINTS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": GREY, "markersize": 4.5, "markeredgecolor": "white", "markeredgewidth": 0.4},
    {"marker": "o", "color": BLUE, "markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.4},
    {"marker": "D", "color": ORANGE, "markersize": 5.5, "markeredgecolor": "white", "markeredgewidth": 0.4},
)
_NAMES = ("funnel_inside", "funnel_outside_inner", "funnel_outside_outer")


def is_funnel(result: Any) -> bool:
    """Tell whether a result holds areas against limits."""
    return all(hasattr(result, name) for name in ("points", "limits", "spread", "levels", "overdispersion"))


def is_per_cent(estimate: Any) -> bool:
    """Tell whether all numbers lie between 0 and 1, and are written as per cent."""
    known = np.asarray(estimate, dtype=float)
    known = known[np.isfinite(known)]
    return bool(len(known)) and bool(((known >= 0) & (known <= 1)).all())


def reached(beyond: Any, levels: tuple[float, float]) -> np.ndarray[Any, Any]:
    """Return how many of the two limits each point lies beyond."""
    places = {"": 0, **{str(level): number for number, level in enumerate(levels, start=1)}}
    return np.array([places[str(text).removeprefix("-")] for text in beyond])


def draw_funnel(funnel: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw each area over its effective sample size, with limits round the city's value; a panel for each term.

    Parameters
    ----------
    funnel : Funnel
        From ``ev.funnel``.
    title : str, optional
        Default: "Districts round the city's value, by effective sample size".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Only areas beyond a limit are named.
    """
    lang = wording.language_of(lang)
    labels = funnel.provenance.labels
    points = funnel.points.assign(reached=reached(funnel.points["beyond"], funnel.levels))
    points["name"] = [short_name_of(funnel.area, code, labels, lang) for code in points[funnel.area]]
    scale = 100.0 if is_per_cent(points["estimate"]) else 1.0
    terms = list(dict.fromkeys(points["term"]))
    name = title or wording.term("funnel_title", lang)
    caption = wording.caption(funnel.provenance, None, lang, notes=_notes(funnel, lang))
    marks = {
        **{wording.term(key, lang): POINTS[place] for place, key in enumerate(_NAMES)},
        wording.term("funnel_target", lang): TARGET,
        wording.term("funnel_inner", lang): INNER,
        wording.term("funnel_outer", lang): OUTER,
    }
    titles = [wording.term_label(term, labels, lang) + (" (%)" if scale == 100 else "") for term in terms]
    with theme():
        sheet = Sheet(name, caption, [PANEL] * len(terms), marks, titles, wording.term("funnel_scale", lang), left=0.55)
        for axes, term in zip(sheet.axes, terms, strict=True):
            limits = funnel.limits[funnel.limits["term"] == term]
            _draw_panel(axes, points[points["term"] == term], limits, funnel.levels, scale)
    return Figure(sheet.canvas, points.drop(columns="reached"), name, caption)


def short_name_of(column: str, code: Any, labels: Any, lang: str) -> str:
    """Return an area's name as a point or a tile can bear it."""
    return short_name(labels, code, lang) if column == "district" else wording.value_label(column, code, labels, lang)


def _notes(funnel: Any, lang: str) -> list[str]:
    notes = [wording.term("funnel_note", lang)]
    if funnel.overdispersion == "additive":
        notes.append(wording.term("funnel_note_additive", lang))
    if left := funnel.fit.get("left_out"):
        notes.append(wording.term("funnel_left_out", lang).format(n=len(left)))
    return notes


def _draw_panel(
    axes: Axes, points: pd.DataFrame, limits: pd.DataFrame, levels: tuple[float, float], scale: float
) -> None:
    for level, style in zip(levels, (INNER, OUTER), strict=True):
        own = limits[limits["level"] == level]
        for side in ("low", "high"):
            axes.plot(own["n_effective"], scale * own[side], zorder=1, **style)
    axes.axhline(scale * float(points["target_value"].iloc[0]), zorder=1, **TARGET)
    for place, style in enumerate(POINTS):
        own = points[points["reached"] == place]
        axes.plot(own["n_effective"], scale * own["estimate"], linestyle="none", zorder=3 + place, **style)
    low, high = limits["n_effective"].min(), limits["n_effective"].max()
    axes.set_xlim(low, high)
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(lowest, 0.0) if limits["low"].min() < 0 <= points["estimate"].min() else lowest, highest)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    _name_points(axes, points[points["reached"] > 0], scale, (low + high) / 2)


def _name_points(axes: Axes, outside: pd.DataFrame, scale: float, middle: float) -> None:
    """Write the names of points beyond a limit beside them, where neither a point nor another name stands."""
    halo = [withStroke(linewidth=2.2, foreground="white")]
    per_x, per_y = _inches_per_unit(axes)
    at = [(row["n_effective"] * per_x, scale * row["estimate"] * per_y) for row in outside.to_dict("records")]
    taken = [(x - 0.05, x + 0.05, y - 0.05, y + 0.05) for x, y in at]
    for row, (x, y) in zip(outside.to_dict("records"), at, strict=True):
        width, height = inches(str(row["name"]), "caption"), 0.14
        sides = [("left", 0.08, 0.0), ("right", -0.08, 0.0), ("center", 0.0, 0.14), ("center", 0.0, -0.14)]
        sides = [sides[1], sides[0], *sides[2:]] if row["n_effective"] > middle else sides
        boxes = [(_box(side, x + dx, y + dy, width, height), side, dx, dy) for side, dx, dy in sides]
        free = [found for found in boxes if not any(_overlap(found[0], other) for other in taken)]
        box, side, dx, dy = (free or boxes)[0]
        taken.append(box)
        axes.annotate(
            str(row["name"]), (row["n_effective"], scale * row["estimate"]), xytext=(72 * dx, 72 * dy),
            textcoords="offset points", fontsize=SIZES["caption"], ha=side, va="center_baseline", color=INK,
            path_effects=halo, zorder=6, annotation_clip=False,
        )  # fmt: skip


def _inches_per_unit(axes: Axes) -> tuple[float, float]:
    place, size = axes.get_position(), axes.get_figure(root=True).get_size_inches()  # type: ignore[union-attr]
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    return place.width * size[0] / (right - left), place.height * size[1] / (high - low)


def _box(side: str, x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    left = {"left": x, "right": x - width, "center": x - width / 2}[side]
    return left, left + width, y - height / 2, y + height / 2


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
