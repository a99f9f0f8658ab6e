"""A staged roll-out: where it had come by each date, and plan against outcome over time."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MultipleLocator

from evaluation import wording
from evaluation.figures.canvas import (
    BLUE,
    EDGE,
    INK,
    ORANGE,
    SIZES,
    WIDTH,
    Figure,
    Sheet,
    theme,
    upright,
)
from evaluation.figures.tiles import HATCHES, SHADES, Layout, draw_tile, draw_tiles, placed, read_layout, short_name

CELL_COLUMNS = ("date", "district", "dongs_covered", "dongs_planned", "dongs", "split")
STAGE_COLUMNS = ("stage", "from", "to", "districts", "dongs", "status")
_SPACE = WIDTH - 2 * EDGE
_BETWEEN = 0.2
_KEY_TILE, _TILE = 0.36, 0.245
_HEAD = 0.3
_TIMELINE = 3.3
_HALO = [withStroke(linewidth=2.5, foreground="white")]


def draw_rollout_map(rollout: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the share of covered dongs in each district at each date, on tiles, with a key to the districts.

    Parameters
    ----------
    rollout : Rollout
        ``cells``: ``date, district, dongs_covered, dongs, split``.
    title : str, optional
        Default: "Share of dongs covered, by district and date".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Districts whose number of dongs is not verified are hatched.

    Raises
    ------
    SourceError
        The survey has no ``tiles.csv``.
    """
    lang = wording.language_of(lang)
    layout = read_layout(rollout.provenance.survey)
    cells = placed(layout, rollout.cells[list(CELL_COLUMNS)])
    cells = cells.assign(share=cells["dongs_covered"] / cells["dongs"])
    cells["name"] = [short_name(rollout.provenance.labels, code, lang) for code in cells["district"]]
    dates = sorted(cells["date"].unique())
    name = title or wording.term("map_title", lang)
    caption = wording.caption(rollout.provenance, None, lang, notes=(wording.term("tile_note", lang),))
    tile = ((_SPACE - _BETWEEN) / 2 / layout.columns, _TILE)
    key_tile = (_SPACE / layout.columns, _KEY_TILE)
    below = _HEAD + _KEY_TILE * layout.rows + 0.12
    step = _HEAD + _TILE * layout.rows + 0.1
    height = below + step * -(-(len(dates) + 1) // 2)
    with theme():
        sheet = Sheet(name, caption, [height], {}, [""], "", left=0.0, right=EDGE)
        axes = sheet.axes[0]
        _in_inches(axes, height)
        key = cells[cells["date"] == dates[-1]].assign(share=float("nan"))
        _head(axes, (0.0, 0.0), wording.term("map_key", lang))
        words = [f"{name}\n{dongs}" for name, dongs in zip(key["name"], key["dongs"], strict=True)]
        draw_tiles(axes, layout, key, origin=(0.0, _HEAD), size=key_tile, words=words)
        _write_river(axes, layout, key_tile, lang)
        for number, date in enumerate(dates):
            own = cells[cells["date"] == date]
            origin = ((number % 2) * (_SPACE + _BETWEEN) / 2, below + step * (number // 2))
            _head(axes, origin, f"{date:%Y-%m-%d}: {own['dongs_covered'].sum():,} / {own['dongs'].sum():,}")
            shares = [f"{100 * share:.0f}" for share in own["share"]]
            draw_tiles(axes, layout, own, origin=(origin[0], origin[1] + _HEAD), size=tile, words=shares)
        place = ((len(dates) % 2) * (_SPACE + _BETWEEN) / 2, below + step * (len(dates) // 2))
        _write_legend(axes, place, (tile[0], 0.2), lang)
    data = cells.assign(date=[f"{date:%Y-%m-%d}" for date in cells["date"]])
    columns = ["date", "district", "name", "dongs_covered", "dongs", "share", "split", "column", "row"]
    return Figure(sheet.canvas, data[columns], name, caption)


def _in_inches(axes: Axes, height: float) -> None:
    axes.set_xlim(0, _SPACE)
    axes.set_ylim(height, 0)
    axes.set_axis_off()


def _head(axes: Axes, origin: tuple[float, float], text: str) -> None:
    axes.text(origin[0], origin[1] + 0.2, text, fontsize=SIZES["label"], weight="bold", va="baseline", color=INK)


def _write_river(axes: Axes, layout: Layout, size: tuple[float, float], lang: str) -> None:
    if not len(layout.river):
        return
    end = layout.river.iloc[-1]
    x = (end["column"] - layout.tiles["column"].min()) * size[0]
    y = _HEAD + (end["row"] - layout.tiles["row"].min()) * size[1]
    axes.text(
        x, y - 0.08, wording.term("river", lang), fontsize=SIZES["small"], ha="right", va="bottom", color="#3F6E8A"
    )


def _write_legend(axes: Axes, origin: tuple[float, float], size: tuple[float, float], lang: str) -> None:
    x, y = origin[0], origin[1]
    _head(axes, origin, wording.term("map_share", lang))
    y += _HEAD
    bounds = ["0", "1–25", "26–50", "51–75", "76–99", "100"]
    for number, (shade, words) in enumerate(zip(SHADES, bounds, strict=True)):
        at = (x + (number % 2) * 1.2, y + (number // 2) * (size[1] + 0.04))
        draw_tile(axes, at, size, shade.upper, "verified", "")
        axes.text(at[0] + size[0] + 0.08, at[1] + size[1] / 2, words, fontsize=SIZES["caption"], va="center_baseline")
    y += 3 * (size[1] + 0.04) + 0.12
    for split in HATCHES:
        draw_tile(axes, (x, y), size, 0.2, split, "")
        words = wording.term(f"split_{split}", lang)
        axes.text(x + size[0] + 0.08, y + size[1] / 2, words, fontsize=SIZES["caption"], va="center_baseline")
        y += size[1] + 0.04


def draw_rollout_timeline(rollout: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw how many dongs were covered by when, beside the plan.

    Parameters
    ----------
    rollout : Rollout
        ``stages`` (published totals; ``status`` says what was planned and not realised) and ``cells``.
    title : str, optional
        Default: "Dongs covered: realised and planned".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
    """
    lang = wording.language_of(lang)
    points = _points(rollout)
    name = title or wording.term("timeline_title", lang)
    caption = wording.caption(rollout.provenance, None, lang)
    lines: dict[str, dict[str, Any]] = {
        "realised": {"color": BLUE, "linewidth": 2.4, "linestyle": "-"},
        "planned": {"color": ORANGE, "linewidth": 1.8, "linestyle": (0, (4, 2))},
    }
    marks = {wording.term(f"rollout_{series}", lang): style for series, style in lines.items()}
    with theme():
        sheet = Sheet(name, caption, [_TIMELINE], marks, [""], wording.term("time", lang), right=0.5)
        axes = sheet.axes[0]
        first, last = points["x"].min(), points["x"].max()
        end = float(int(last) + 1)
        for series, style in lines.items():
            own = points[points["series"] == series]
            axes.step([*own["x"], end], [*own["dongs"], own["dongs"].iloc[-1]], where="post", **style)
        upright(axes, (first - 0.75, end))
        axes.set_ylim(0, 1.13 * points["dongs"].max())
        axes.yaxis.set_major_locator(MultipleLocator(100))
        axes.set_ylabel(wording.term("dongs", lang))
        for row in points.to_dict("records"):
            _write_stage(axes, row, lang)
    return Figure(sheet.canvas, points.drop(columns="x"), name, caption)


def _points(rollout: Any) -> pd.DataFrame:
    """Return the dates at which either line rises: series, stage, date, dongs, districts."""
    stages = rollout.stages[list(STAGE_COLUMNS)]
    real = stages[stages["status"] == "real"]
    realised = pd.DataFrame(
        {
            "series": "realised",
            "stage": real["stage"],
            "date": real["from"],
            "dongs": real["dongs"],
            "districts": real["districts"],
        }
    )
    cells = rollout.cells.assign(is_reached=rollout.cells["dongs_planned"] > 0)
    by_date = cells.groupby("date", sort=True)
    planned = pd.DataFrame({"dongs": by_date["dongs_planned"].sum(), "districts": by_date["is_reached"].sum()})
    said = stages[stages["status"] != "real"].set_index("from")[["dongs", "districts"]]
    planned = pd.concat([planned, said]).sort_index(kind="stable").reset_index(names="date")
    planned = planned[planned["dongs"].diff() != 0].assign(series="planned", stage="")
    points = pd.concat([realised, planned], ignore_index=True).astype({"dongs": float})
    day = pd.to_datetime(points["date"])
    points["x"] = day.dt.year + (day.dt.day_of_year - 1) / 365
    points["date"] = [f"{date:%Y-%m-%d}" for date in day]
    columns = ["series", "stage", "date", "dongs", "districts", "x"]
    return pd.DataFrame(points[columns])


def _write_stage(axes: Axes, row: dict[Any, Any], lang: str) -> None:
    """Name a step: below the line what was realised, above it where the plan would have ended."""
    size = SIZES["caption"]
    if row["series"] == "planned":
        if row["dongs"] == axes.dataLim.y1:
            text = f"{wording.term('rollout_planned', lang)}: {row['dongs']:.0f} ({row['date']})"
            axes.annotate(
                text,
                (row["x"], row["dongs"]),
                xytext=(0, 5),
                textcoords="offset points",
                fontsize=size,
                color=ORANGE,
                path_effects=_HALO,
            )
        return
    if row["stage"] == "pilot":
        text = f"{wording.term('stage_pilot', lang)}\n{row['dongs']:.0f}"
        axes.annotate(
            text, (row["x"], row["dongs"]), xytext=(-4, 3), textcoords="offset points", fontsize=size, ha="right",
            linespacing=1.2, path_effects=_HALO,
        )  # fmt: skip
        return
    stage = wording.term("stage_final", lang) if row["stage"] == "final" else wording.term("stage_number", lang)
    districts = wording.term("district_count", lang).format(n=row["districts"])
    text = "\n".join([stage.format(stage=row["stage"]), f"{row['dongs']:.0f}", districts])
    axes.annotate(
        text, (row["x"], row["dongs"]), xytext=(4, -5), textcoords="offset points", fontsize=size, va="top",
        linespacing=1.2, annotation_clip=False, path_effects=_HALO,
    )  # fmt: skip
