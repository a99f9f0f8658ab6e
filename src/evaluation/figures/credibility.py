"""What an effect rests on: layers of its variance, and limits under missing answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from evaluation import wording
from evaluation.figures.canvas import BLUE, DASHED, INK, ORANGE, Figure, Sheet, theme

#: Height of the panel of layers, in inches.
LAYERS = 2.1
_SAMPLING: dict[str, Any] = {"marker": "s", "color": BLUE, "markersize": 8.0}
_SHOCKS: dict[str, Any] = {"marker": "s", "color": ORANGE, "markersize": 8.0}
_BOUND: dict[str, Any] = {"color": BLUE, "linewidth": 5.0, "solid_capstyle": "butt", "linestyle": "-"}
_REACH: dict[str, Any] = {"color": BLUE, "linewidth": 1.3, "linestyle": "-"}


def draw_layers(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the variance of the first effect under samples of several sizes: sampling upon shocks of places.

    Parameters
    ----------
    result : VarianceLayers
        From ``variance_layers``.
    title : str, optional
        Default: "Two layers of the variance: sampling and shocks of places".
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    first = result.frame.iloc[: len(result.frame) // int((result.frame["layer"] == "total").sum())]
    by = first.set_index("layer")["variance"]
    larger = first[first["layer"] == "larger"]
    sizes = [1.0, *larger["sample"]]
    shocks = float(by["shocks"])
    sampling = [float(by["sampling"]) / size if np.isfinite(size) else 0.0 for size in sizes]
    names = [
        wording.term("layer_infinite_short" if np.isinf(size) else "layer_times_short", lang).format(times=f"{size:g}")
        if size != 1
        else wording.term("layer_today_short", lang)
        for size in sizes
    ]
    name = title or wording.term("VarianceLayers", lang)
    caption = wording.caption(result.provenance, None, lang, notes=replace(result, frame=first).notes(lang))
    marks = {wording.term(f"layer_{key}", lang): style for key, style in (("sampling", _SAMPLING), ("shocks", _SHOCKS))}
    with theme():
        sheet = Sheet(name, caption, [LAYERS], marks, [""], wording.term("sample_size", lang))
        axes, x = sheet.axes[0], np.arange(len(sizes))
        axes.bar(x, [shocks] * len(sizes), width=0.55, color=ORANGE, zorder=2)
        axes.bar(x, sampling, width=0.55, bottom=max(shocks, 0.0), color=BLUE, zorder=2)
        axes.axhline(0, color=INK, linewidth=0.9, zorder=3)
        axes.set_xticks(x, names)
        axes.grid(visible=False, axis="x")
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.set_ylabel(wording.term("component", lang))
    return Figure(sheet.canvas, first.reset_index(drop=True), name, caption)


def draw_missing(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the limits of an effect under each assumption on missing answers, with the interval around them.

    Parameters
    ----------
    result : MissingOutcomeBounds
        From ``missing_outcome_bounds``.
    title : str, optional
        Default: "Bounds of the effect under missing answers".
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    columns, notes = result.layout(wording.language_of(lang))
    labels = next(iter(columns.values()))
    name = title or wording.term("MissingOutcomeBounds", lang)
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    marks = {
        wording.term("bounds_of_missing", lang): _BOUND,
        wording.interval_name(result.conf_level, lang): _REACH,
    }
    with theme():
        sheet = Sheet(name, caption, [labels], marks, [""], wording.term("effect", lang))
        axes = sheet.axes[0]
        axes.axvline(0, color=INK, linewidth=1.0, linestyle=DASHED, zorder=1)
        for y, row in enumerate(result.frame.itertuples()):
            axes.plot([row.conf_low, row.conf_high], [y, y], zorder=2, **_REACH)
            axes.plot([row.lower, row.upper], [y, y], zorder=3, **_BOUND)
            if row.lower == row.upper:
                axes.plot([row.lower], [y], marker="o", color=BLUE, markersize=6.5, zorder=3)
    return Figure(sheet.canvas, result.tidy().assign(label=labels), name, caption)
