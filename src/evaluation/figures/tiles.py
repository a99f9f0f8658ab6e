"""Maps of districts as tiles of one size: a layout of our own that keeps neighbours together, no boundary file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from evaluation import project
from evaluation.errors import ColumnError, SourceError
from evaluation.figures.canvas import INK, SIZES
from evaluation.results import Labels
from evaluation.survey.formats import read_table

FILE = "tiles.csv"
RIVER = "river"
RIVER_COLOUR = "#CFE3EE"


@dataclass(frozen=True)
class Shade:
    """How a class of shares is drawn: its upper limit, fill, hatching on it, words on it."""

    upper: float
    fill: str
    hatch: str
    ink: str


#: Classes of a share; nothing and all have one of their own.
SHADES = (
    Shade(0.0, "#FFFFFF", "#B4BEC6", INK),
    Shade(0.25, "#DCE9F5", "#A3B8CA", INK),
    Shade(0.5, "#A9CBE6", "#7599B8", INK),
    Shade(0.75, "#6BA3D0", "#3F7099", INK),
    Shade(0.9999, "#2F74B0", "#7FA9D0", "#FFFFFF"),
    Shade(1.0, "#0B3C6F", "#4A79A8", "#FFFFFF"),
)
#: How tiles are hatched whose value is not verified.
HATCHES = {"verified": "", "stage_verified": "....", "illustrative": "////"}
_MARGIN = 0.02


@dataclass(frozen=True, eq=False)
class Layout:
    """Where each district's tile lies.

    Attributes
    ----------
    tiles : pandas.DataFrame
        ``district, column, row``: upper left corner, in tiles from the upper left.
    river : pandas.DataFrame
        ``column, row``: course of the river; may be empty.
    """

    tiles: pd.DataFrame
    river: pd.DataFrame

    @property
    def columns(self) -> float:
        """Width in tiles."""
        return float(self.tiles["column"].max() - self.tiles["column"].min() + 1)

    @property
    def rows(self) -> float:
        """Height in tiles."""
        return float(self.tiles["row"].max() - self.tiles["row"].min() + 1)


def read_layout(survey_id: str) -> Layout:
    """Read ``tiles.csv`` of a survey: ``district, column, row``; rows called "river" are the river's course.

    Raises
    ------
    SourceError
        There is no such file, it lacks a column, or two tiles lie on each other.

    Examples
    --------
    >>> layout = read_layout("seoul_2016")
    >>> len(layout.tiles), layout.columns, layout.rows
    (25, 7.0, 7.5)
    """
    path = project.survey_folder(survey_id) / FILE
    if not path.is_file():
        raise SourceError(
            f"surveys/{survey_id}/{FILE} is not there, so districts have no place on a map. Write it with the columns "
            "district, column, row; or use kind='timeline'."
        )
    frame = read_table(path).frame
    absent = [name for name in ("district", "column", "row") if name not in frame]
    if absent:
        raise SourceError(f"surveys/{survey_id}/{FILE}: expected the columns district, column, row; missing {absent}.")
    place = frame[["column", "row"]].apply(pd.to_numeric, errors="coerce")
    if place.isna().any(axis=None):
        raise SourceError(
            f"surveys/{survey_id}/{FILE}: column and row are numbers.", failures=frame[place.isna().any(axis=1)]
        )
    frame = frame.assign(district=frame["district"].astype(str), **place)
    is_river = frame["district"] == RIVER
    tiles = frame.loc[~is_river, ["district", "column", "row"]].reset_index(drop=True)
    twice = tiles.duplicated("district", keep=False) | tiles.duplicated(["column", "row"], keep=False)
    if twice.any():
        raise SourceError(f"surveys/{survey_id}/{FILE}: a district or a place stands twice.", failures=tiles[twice])
    return Layout(tiles, frame.loc[is_river, ["column", "row"]].reset_index(drop=True))


def placed(layout: Layout, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with each district's ``column`` and ``row``.

    Raises
    ------
    ColumnError
        A district has no tile.
    """
    with_code = frame.assign(district=frame["district"].astype(str))
    unknown = sorted(set(with_code["district"]) - set(layout.tiles["district"]))
    if unknown:
        raise ColumnError(
            f"no tile for the districts {unknown}. Add them to {FILE}.",
            failures=with_code[with_code["district"].isin(unknown)],
        )
    return with_code.merge(layout.tiles, on="district", how="left", validate="m:1")


def short_name(labels: Labels, code: str, lang: str) -> str:
    """Return a district's name as it stands on a tile: without "구" or "-gu" where something is left."""
    name = labels.value("district", code, lang)
    if lang == "ko":
        return name.removesuffix("구") if len(name) > 2 else name
    return name.removesuffix("-gu")


def class_of(share: float) -> int:
    """Return the class of a share, 0 to 1.

    Examples
    --------
    >>> [class_of(share) for share in (0.0, 0.1, 0.25, 0.6, 0.99, 1.0)]
    [0, 1, 1, 3, 4, 5]
    """
    return next(number for number, shade in enumerate(SHADES) if share <= shade.upper + 1e-9)


def draw_tiles(
    axes: Axes,
    layout: Layout,
    cells: pd.DataFrame,
    *,
    origin: tuple[float, float],
    size: tuple[float, float],
    words: Sequence[str],
) -> None:
    """Draw one map on axes whose units are inches.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Vertical axis pointing down.
    layout : Layout
        Where tiles lie, and the river.
    cells : pandas.DataFrame
        ``column, row, share`` (0 to 1, missing for no fill) and ``split``, one row per district.
    origin, size : (float, float)
        Upper left corner of the map, and width and height of a tile, in inches.
    words : sequence of str
        What stands on each tile.
    """
    left, top = layout.tiles["column"].min(), layout.tiles["row"].min()
    if len(layout.river):
        x = origin[0] + (layout.river["column"] - left) * size[0]
        y = origin[1] + (layout.river["row"] - top) * size[1]
        axes.plot(x, y, color=RIVER_COLOUR, linewidth=0.3 * size[1] * 72, solid_joinstyle="round", zorder=1)
    for cell, text in zip(cells.to_dict("records"), words, strict=True):
        x, y = origin[0] + (cell["column"] - left) * size[0], origin[1] + (cell["row"] - top) * size[1]
        draw_tile(axes, (x, y), size, cell["share"], str(cell["split"]), text)


def draw_tile(
    axes: Axes, corner: tuple[float, float], size: tuple[float, float], share: float, split: str, text: str
) -> None:
    """Draw one tile: filled by its share, hatched where it is not verified, its words on top."""
    shade = SHADES[0 if pd.isna(share) else class_of(share)]
    place = (corner[0] + _MARGIN / 2, corner[1] + _MARGIN / 2)
    width, height = size[0] - _MARGIN, size[1] - _MARGIN
    frame: dict[str, Any] = {"edgecolor": "#6B6B6B", "linewidth": 0.7}
    if HATCHES.get(split):
        hatch: dict[str, Any] = {"edgecolor": shade.hatch, "hatch": HATCHES[split], "linewidth": 0}
        axes.add_patch(Rectangle(place, width, height, facecolor=shade.fill, zorder=2, **hatch))
        axes.add_patch(Rectangle(place, width, height, fill=False, zorder=3, **frame))
    else:
        axes.add_patch(Rectangle(place, width, height, facecolor=shade.fill, zorder=2, **frame))
    halo = withStroke(linewidth=2.2, foreground=shade.fill)
    axes.text(
        corner[0] + size[0] / 2, corner[1] + size[1] / 2, text, ha="center", va="center_baseline", color=shade.ink,
        fontsize=SIZES["small"], linespacing=1.15, zorder=4, path_effects=[halo],
    )  # fmt: skip
