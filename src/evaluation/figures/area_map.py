"""Areas on a map of tiles: how large an estimate is, or where it lies against the limits round the city's value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from evaluation import wording
from evaluation.disclosure import marks, meanings, shown
from evaluation.errors import PublishError
from evaluation.figures.canvas import EDGE, INK, SIZES, WIDTH, Figure, Sheet, inches, theme
from evaluation.figures.funnel import is_per_cent, reached
from evaluation.figures.tiles import RIVER_COLOUR, Layout, placed, read_layout, short_name
from evaluation.results import Estimates

_SPACE = WIDTH - 2 * EDGE
_TILE, _HEAD, _KEY = 0.4, 0.3, 0.32
_MARGIN = 0.02
#: Classes of an estimate, from low to high; and where an area lies against limits, from below to above.
_SEQUENCE = ("#EAF1F8", "#C3DAEE", "#8FBBDF", "#6BA6D6", "#1E5A96")
_AGAINST = {-2: "#D55E00", -1: "#F3C9A5", 0: "#F4F4F4", 1: "#A9CBE6", 2: "#0072B2"}
_AGAINST_WORDS = {-2: "below_outer", -1: "below_inner", 0: "within_limits", 1: "above_inner", 2: "above_outer"}
_NONE, _HATCH = "#FFFFFF", "#B4BEC6"


@dataclass(frozen=True)
class _Key:
    """The classes of a map: a fill and words for each."""

    fills: tuple[str, ...]
    words: tuple[str, ...]


def draw_area_map(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw estimates by district on tiles, a map for each term.

    Parameters
    ----------
    result : Estimates or Funnel
        One row per district and term. Of a funnel the colour says on which side of which limit a district lies.
    title : str, optional
        Default: what is estimated, on a tile map.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Districts without a number, or whose number may not be shown, are hatched.

    Raises
    ------
    PublishError
        No districts, several rows of one district for one term.
    SourceError
        The survey has no ``tiles.csv``.
    """
    lang = wording.language_of(lang)
    cells = _cells(result)
    layout = read_layout(result.provenance.survey)
    cells = placed(layout, cells)
    cells["name"] = [short_name(result.provenance.labels, code, lang) for code in cells["district"]]
    terms = list(dict.fromkeys(cells["term"]))
    scale = 100.0 if is_per_cent(cells["estimate"]) else 1.0
    of_estimates = isinstance(result, Estimates)
    what = wording.verb_name(result.verb, lang) if isinstance(result, Estimates) else wording.term("Funnel", lang)
    name = title or wording.capital(wording.term("area_map_title", lang).format(what=what))
    notes = [wording.term("area_map_note", lang)]
    if not of_estimates:
        notes.append(wording.term("funnel_note", lang))
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    if isinstance(result, Estimates):
        caption = "; ".join((caption, *meanings([result], lang)))
    height = _HEAD + _TILE * layout.rows + _KEY
    with theme():
        sheet = Sheet(name, caption, [height * len(terms)], {}, [""], "", left=0.0, right=EDGE)
        axes = sheet.axes[0]
        axes.set_xlim(0, _SPACE)
        axes.set_ylim(height * len(terms), 0)
        axes.set_axis_off()
        for number, term in enumerate(terms):
            own = cells[cells["term"] == term]
            unit = " (%)" if scale == 100 else ""
            heading = wording.term_label(term, result.provenance.labels, lang) + unit
            _draw_map(axes, layout, own, height * number, heading, scale, lang)
    columns = [column for column in cells if column not in ("column", "row")]
    return Figure(sheet.canvas, cells[columns], name, caption)


def _cells(result: Any) -> pd.DataFrame:
    """Return term, district, estimate, mark, and for a funnel the side and the limit beyond which a district lies."""
    if isinstance(result, Estimates):
        if "district" not in result.keys:
            raise PublishError("a map needs estimates by 'district'. Give the verb by='district'.")
        visible = shown(result)
        frame = visible.keys.reset_index(drop=True).assign(estimate=visible.estimate, mark=marks(result))
    else:
        frame = result.points.drop(columns=["std_error", "n_obs", "n_effective", "target_value", "statistic"])
        side = np.where(frame["beyond"].astype(str).str.startswith("-"), -1, 1)
        frame = frame.assign(side=side * reached(frame["beyond"], result.levels), mark="")
    twice = frame.duplicated(["term", "district"], keep=False)
    if twice.any():
        others = [str(name) for name in frame if name not in ("term", "district", "estimate", "mark", "side", "beyond")]
        raise PublishError(
            f"a map shows one number per district and item, but rows differ in {', '.join(others)}. Take one value of "
            f"it: ev.gather(..., where={{'{others[0] if others else 'year'}': ...}}).",
            failures=frame[twice],
        )
    return frame


def _draw_map(
    axes: Axes, layout: Layout, cells: pd.DataFrame, top: float, heading: str, scale: float, lang: str
) -> None:
    values = scale * cells["estimate"].to_numpy(dtype=float)
    classes, key = _against(cells, lang) if "side" in cells else _classes(values)
    axes.text(0, top + 0.2, heading, fontsize=SIZES["label"], weight="bold", va="baseline", color=INK)
    size = (_SPACE / layout.columns, _TILE)
    left, upper = layout.tiles["column"].min(), layout.tiles["row"].min()
    if len(layout.river):
        x = (layout.river["column"] - left) * size[0]
        y = top + _HEAD + (layout.river["row"] - upper) * size[1]
        axes.plot(x, y, color=RIVER_COLOUR, linewidth=0.3 * size[1] * 72, solid_joinstyle="round", zorder=1)
    places = _places(values)
    for row, value, chosen in zip(cells.to_dict("records"), values, classes, strict=True):
        corner = ((row["column"] - left) * size[0], top + _HEAD + (row["row"] - upper) * size[1])
        number = row["mark"] or wording.number(value, places)
        _draw_tile(axes, corner, size, None if chosen < 0 else key.fills[chosen], f"{row['name']}\n{number}")
    _draw_key(axes, top + _HEAD + layout.rows * size[1] + 0.06, key, bool((classes < 0).any()), lang)


def _places(values: np.ndarray[Any, Any]) -> int:
    known = values[np.isfinite(values)]
    spread = float(np.ptp(known)) if len(known) else 0.0
    return 1 if spread >= 5 else 2 if spread >= 0.5 else 3


def _against(cells: pd.DataFrame, lang: str) -> tuple[np.ndarray[Any, Any], _Key]:
    sides = list(_AGAINST)
    words = tuple(wording.term(_AGAINST_WORDS[side], lang) for side in sides)
    return np.array([sides.index(int(side)) for side in cells["side"]]), _Key(tuple(_AGAINST.values()), words)


def _classes(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], _Key]:
    """Return the class of each value among five of one width, -1 without a number."""
    known = values[np.isfinite(values)]
    if not len(known):
        return np.full(len(values), -1), _Key((), ())
    low, high = float(known.min()), float(known.max())
    bounds = np.linspace(low, high if high > low else low + 1, len(_SEQUENCE) + 1)
    places = _places(values)
    chosen = np.clip(np.searchsorted(bounds, values, side="right") - 1, 0, len(_SEQUENCE) - 1)
    ends = [wording.number(bound, places) for bound in bounds]
    words = tuple(f"{first}–{last}" for first, last in pairwise(ends))
    return np.where(np.isfinite(values), chosen, -1), _Key(_SEQUENCE, words)


def _draw_tile(axes: Axes, corner: tuple[float, float], size: tuple[float, float], fill: str | None, text: str) -> None:
    place = (corner[0] + _MARGIN / 2, corner[1] + _MARGIN / 2)
    width, height = size[0] - _MARGIN, size[1] - _MARGIN
    style: dict[str, Any] = {"edgecolor": "#6B6B6B", "linewidth": 0.7}
    if fill is None:
        hatch: dict[str, Any] = {"edgecolor": _HATCH, "hatch": "////", "linewidth": 0}
        axes.add_patch(Rectangle(place, width, height, facecolor=_NONE, zorder=2, **hatch))
        axes.add_patch(Rectangle(place, width, height, fill=False, zorder=3, **style))
    else:
        axes.add_patch(Rectangle(place, width, height, facecolor=fill, zorder=2, **style))
    axes.text(
        corner[0] + size[0] / 2, corner[1] + size[1] / 2, text, ha="center", va="center", color=_ink(fill),
        fontsize=SIZES["small"], linespacing=1.25, zorder=4,
        path_effects=[withStroke(linewidth=2.0, foreground=fill or _NONE)],
    )  # fmt: skip


def _ink(fill: str | None) -> str:
    """Return the colour of words that is read on a fill."""
    if fill is None:
        return INK
    red, green, blue = (int(fill[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return INK if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 else "#FFFFFF"


def _draw_key(axes: Axes, top: float, key: _Key, has_none: bool, lang: str) -> None:
    entries: list[tuple[str | None, str]] = list(zip(key.fills, key.words, strict=True))
    entries += [(None, wording.term("area_map_none", lang))] if has_none else []
    x = 0.0
    for fill, words in entries:
        _draw_tile(axes, (x, top), (0.2, 0.18), fill, "")
        axes.text(x + 0.25, top + 0.09, words, fontsize=SIZES["small"], va="center_baseline", color=INK)
        x += 0.25 + inches(words, "small") + 0.14
