"""Diagnostics of a design: what weights and clusters cost each outcome."""

from __future__ import annotations

from typing import Any

import numpy as np

from evaluation import wording
from evaluation.disclosure import meaning_of
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, Figure, Sheet, theme

#: What design effects must have to be drawn.
DESIGN_EFFECT_COLUMNS = ("term", "deff", "deff_kish", "deff_clustering")


def draw_design_effects(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the design effect of each outcome, beside what unequal weights alone would cost.

    Parameters
    ----------
    result : DesignEffects
        Its ``tidy()`` has the columns of ``DESIGN_EFFECT_COLUMNS``; what stands before ``n_obs`` names the rows.
    title : str, optional
        Default: "Design effects by outcome".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A dashed line marks a simple random sample; outcomes that may not be shown have a mark and no dots.
    """
    frame = result.tidy().reset_index(drop=True)
    keys = frame[list(frame.columns[: frame.columns.get_loc("n_obs")])]
    words = wording.label_keys(keys, result.provenance.labels, lang)
    rows = words.apply(lambda cells: " · ".join(filter(None, cells)), axis=1)
    marks = frame.get("mark")
    data = frame.assign(row=rows if marks is None else (rows + " " + marks).str.rstrip())
    name = title or wording.term("DesignEffects", lang)
    notes = [] if marks is None else [meaning_of(mark, result.provenance, lang) for mark in sorted(set(marks) - {""})]
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    simple: dict[str, Any] = {"color": INK, "linestyle": DASHED, "linewidth": 1.0}
    dots: dict[str, dict[str, Any]] = {
        "deff_kish": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 6.5},
        "deff": {"marker": "o", "color": BLUE, "markersize": 6.5},
    }
    legend = {wording.term(column, lang): style for column, style in dots.items()}
    with theme():
        sheet = Sheet(
            name,
            caption,
            [data["row"].astype(str).tolist()],
            legend | {wording.term("simple_sample", lang): simple},
            [""],
            wording.term("deff", lang),
        )
        axes, places = sheet.axes[0], np.arange(len(data))
        axes.axvline(1.0, zorder=1, **simple)
        axes.hlines(places, data["deff_kish"], data["deff"], color=GREY, linewidth=1.2, zorder=2)
        for column, style in dots.items():
            axes.plot(data[column], places, linestyle="none", zorder=3, **style)
    return Figure(sheet.canvas, data, name, caption)
