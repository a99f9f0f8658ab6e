"""A staged roll-out: where it had come by each date and wave, and plan against outcome over time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
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
_NAMES, _CELL, _LEGEND = 1.0, 0.2, 0.68
#: Classes of a share, in per cent.
_BOUNDS = ("0", "1–25", "26–50", "51–75", "76–99", "100")
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


def draw_rollout_heatmap(
    rollout: Any, *, dose_of: str = "dongs", title: str | None = None, lang: str | None = None
) -> Figure:
    """Draw districts by waves, shaded by the share covered, in the order in which they started.

    Parameters
    ----------
    rollout : Rollout
        ``dose``, ``districts`` and ``provenance``.
    dose_of : {"dongs", "residents"}, default "dongs"
        What the share is of.
    title : str, optional
        Default: "Share of dongs covered, by district and wave".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Cells in which the plan was further than what happened have an orange frame; districts whose number of dongs
        is not verified are hatched.
    """
    lang = wording.language_of(lang)
    realised, planned = (rollout.dose(kind, dose_of) for kind in ("realised", "planned"))
    started = (realised > 0).to_numpy()
    first = np.where(started.any(axis=1), started.argmax(axis=1), started.shape[1])
    order = np.lexsort((realised.index, -realised.mean(axis=1).to_numpy(), first))
    names = [short_name(rollout.provenance.labels, code, lang) for code in realised.index]
    split = rollout.districts.set_index("district")["split"].loc[realised.index]
    name = title or wording.term("heatmap_title" if dose_of == "dongs" else "heatmap_title_residents", lang)
    caption = wording.caption(rollout.provenance, None, lang, notes=(wording.term("heatmap_note", lang),))
    size = ((_SPACE - _NAMES) / max(realised.shape[1], 5), _CELL)
    height = _HEAD + _CELL * len(realised) + 0.12 + _LEGEND
    with theme():
        sheet = Sheet(name, caption, [height], {}, [""], "", left=0.0, right=EDGE)
        axes = sheet.axes[0]
        _in_inches(axes, height)
        for number, wave in enumerate(realised.columns):
            x = _NAMES + (number + 0.5) * size[0]
            axes.text(x, _HEAD - 0.08, str(wave), fontsize=SIZES["label"], weight="bold", ha="center", color=INK)
        for line, row in enumerate(order):
            y = _HEAD + line * _CELL
            axes.text(
                _NAMES - 0.08, y + _CELL / 2, names[row], fontsize=SIZES["caption"], ha="right", va="center_baseline"
            )
            for number in range(realised.shape[1]):
                share, plan = float(realised.iloc[row, number]), float(planned.iloc[row, number])
                corner = (_NAMES + number * size[0], y)
                draw_tile(axes, corner, size, share, str(split.iloc[row]), f"{100 * share:.0f}")
                if plan > share + 1e-9:
                    _frame_tile(axes, corner, size)
        _write_heat_legend(axes, _HEAD + _CELL * len(realised) + 0.1, lang)
    return Figure(sheet.canvas, _heat_data(realised, planned, split, names, order), name, caption)


def _frame_tile(axes: Axes, corner: tuple[float, float], size: tuple[float, float]) -> None:
    inner: dict[str, Any] = {"fill": False, "edgecolor": ORANGE, "linewidth": 1.6, "zorder": 5}
    axes.add_patch(Rectangle((corner[0] + 0.03, corner[1] + 0.03), size[0] - 0.06, size[1] - 0.06, **inner))


def _write_heat_legend(axes: Axes, top: float, lang: str) -> None:
    tile, step = (0.3, 0.18), _SPACE / 6
    for number, (shade, words) in enumerate(zip(SHADES, _BOUNDS, strict=True)):
        draw_tile(axes, (number * step, top), tile, shade.upper, "verified", "")
        place = (number * step + tile[0] + 0.06, top + tile[1] / 2)
        axes.text(*place, f"{words}%", fontsize=SIZES["caption"], va="center_baseline")
    top += tile[1] + 0.08
    kinds = [(split, wording.term(f"split_{split}", lang)) for split in HATCHES]
    for number, (split, words) in enumerate([*kinds, ("", wording.term("heatmap_planned", lang))]):
        corner = ((number % 2) * _SPACE / 2, top + (number // 2) * (tile[1] + 0.06))
        draw_tile(axes, corner, tile, 0.2 if split else 0.0, split or "verified", "")
        if not split:
            _frame_tile(axes, corner, tile)
        axes.text(
            corner[0] + tile[0] + 0.06, corner[1] + tile[1] / 2, words, fontsize=SIZES["caption"], va="center_baseline"
        )  # fmt: skip


def _heat_data(
    realised: pd.DataFrame, planned: pd.DataFrame, split: pd.Series[Any], names: list[str], order: Any
) -> pd.DataFrame:
    rows = [
        {
            "district": realised.index[row],
            "name": names[row],
            "wave": int(wave),
            "share": float(realised.loc[realised.index[row], wave]),
            "share_planned": float(planned.loc[realised.index[row], wave]),
            "split": split.iloc[row],
        }
        for row in order
        for wave in realised.columns
    ]
    return pd.DataFrame(rows)


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
    for number, (shade, words) in enumerate(zip(SHADES, _BOUNDS, strict=True)):
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
