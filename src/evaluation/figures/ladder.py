"""Steps side by side: one difference by several methods, or a gap and the parts it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation import wording
from evaluation.disclosure import meanings
from evaluation.figures.canvas import BLUE, DASHED, DIAMOND, INK, Figure, Sheet, same_scale, theme
from evaluation.figures.intervals import diamond_name, reference_values
from evaluation.results import Estimates

#: Methods that take no difference in composition into account.
UNADJUSTED = frozenset({"benchmark", "unweighted", "raw"})
#: Panels share a scale where the widest is at most so many times as wide as the narrowest.
_ALIKE = 2.0
_STYLES: dict[str, dict[str, Any]] = {
    "unadjusted": {"marker": "s", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 6.5, "color": INK},
    "adjusted": {"marker": "o", "markersize": 6.5, "color": BLUE},
}


def draw_ladder(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw naive, adjusted and known differences one below the other, a panel per outcome.

    Parameters
    ----------
    result : Estimates
        Keys ``term`` and ``method`` (``effect_ladder``), or ``term`` and ``part`` (``decompose_gap``).
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
        What is not identified keeps its row and says so.
    """
    column = "method" if "method" in result.keys else "part"
    words = wording.label_keys(result.keys.reset_index(drop=True), result.provenance.labels, lang)
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    tidy = result.tidy().reset_index(drop=True)
    naive = tidy["method"].isin(UNADJUSTED) if column == "method" else ~tidy["part"].isin({"selection", "effect"})
    rows = tidy.assign(
        panel=words["term"],
        row=[_with_note(row, label, lang) for row, label in zip(tidy.to_dict("records"), words[column], strict=True)],
        stage=np.where(naive, "unadjusted", "adjusted"),
        reference=known,
    )
    name = title or wording.estimates_title(result, lang)
    notes = [f"{wording.term('estimand', lang)}: {result.fit['estimand']}"] if "estimand" in result.fit else []
    caption = wording.caption(
        result.provenance, result.conf_level, lang, notes=[*notes, *meanings([result], wording.language_of(lang))]
    )
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    stages = [stage for stage in _STYLES if (rows["stage"] == stage).any()] if column == "method" else []
    marks: dict[str, dict[str, Any]] = {wording.term(stage, lang): _STYLES[stage] for stage in stages}
    marks |= {diamond_name(reference, reference_label, lang): DIAMOND} if np.isfinite(known).any() else {}
    titles = [str(panel["panel"].iloc[0]) for panel in panels] if len(panels) > 1 else [""]
    with theme():
        labels = [panel["row"].tolist() for panel in panels]
        sheet = Sheet(name, caption, labels, marks, titles, wording.term("difference", lang))
        for axes, panel in zip(sheet.axes, panels, strict=True):
            _draw_steps(axes, panel)
        widths = [high - low for low, high in (axes.get_xlim() for axes in sheet.axes)]
        if max(widths) <= _ALIKE * min(widths):
            same_scale(sheet.axes)
    return Figure(sheet.canvas, rows, name, caption)


def _with_note(row: Mapping[Any, Any], label: str, lang: str | None) -> str:
    if row.get("mark"):
        return f"{label} {row['mark']}"
    if np.isnan(row["estimate"]):
        return f"{label} ({wording.term('identified_not', lang)})"
    if str(row.get("identified", "")).startswith("assumed"):
        return f"{label} ({wording.term('identified_assumed', lang)})"
    return label


def _draw_steps(axes: Axes, panel: pd.DataFrame) -> None:
    places = np.arange(len(panel))
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
    axes.plot([0.0], [0.0], linestyle="none")  # keeps the line off the edge
    for stage, style in _STYLES.items():
        own = (panel["stage"] == stage).to_numpy()
        axes.hlines(
            places[own], panel["conf_low"][own], panel["conf_high"][own], color=style["color"], linewidth=2.0, zorder=2
        )
        axes.plot(panel["estimate"][own], places[own], linestyle="none", zorder=3, **style)
    axes.plot(panel["reference"], places, linestyle="none", markersize=8, zorder=4, **DIAMOND)
