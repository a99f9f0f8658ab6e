"""Steps side by side: one difference by several methods, from the answers as they came to what bounds it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from evaluation import wording
from evaluation.amounts import scale_of_differences
from evaluation.disclosure import meanings
from evaluation.figures.canvas import BLUE, DASHED, DIAMOND, GREY, INK, Figure, Sheet, same_scale, theme
from evaluation.figures.intervals import diamond_name, reference_values
from evaluation.results import Estimates

#: Methods that take no difference in composition into account.
UNADJUSTED = frozenset({"benchmark", "unweighted", "raw"})
#: Ends of an open bar.
LOW, HIGH = "_low", "_high"
#: Panels share a scale where the widest is at most so many times as wide as the narrowest.
_ALIKE = 2.0
#: An open bar as a marker, for the legend.
_BAR = [(-1.0, -0.42), (1.0, -0.42), (1.0, 0.42), (-1.0, 0.42), (-1.0, -0.42)]
OPEN_BAR: dict[str, Any] = {
    "marker": _BAR,
    "markerfacecolor": "white",
    "markeredgecolor": BLUE,
    "markersize": 12,
    "color": BLUE,
}
STYLES: dict[str, dict[str, Any]] = {
    "unadjusted": {"marker": "s", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 6.5, "color": INK},
    "explained": {"marker": "s", "markersize": 6, "color": GREY},
    "adjusted": {"marker": "o", "markersize": 6.5, "color": BLUE},
    "other_people": {
        "marker": "o",
        "markerfacecolor": "white",
        "markeredgecolor": BLUE,
        "markersize": 6.5,
        "color": BLUE,
    },
    "bounds": OPEN_BAR,
}


def draw_ladder(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw naive, adjusted and known differences one below the other, a panel per outcome; bounds as an open bar.

    Parameters
    ----------
    result : Estimates
        Keys ``term`` and ``method`` (``effect_ladder``).
    title, lang, reference, reference_label
        As in ``plot``.
    """
    words = wording.result_keys(result, lang)
    methods = result.keys["method"].astype(str)
    rows = arranged(
        result,
        words,
        labels=[_label(method, word, lang) for method, word in zip(methods, words["method"], strict=True)],
        stages=[_stage(method) for method in methods],
        reference=reference,
        lang=lang,
    )
    notes = [f"{wording.term('estimand', lang)}: {result.fit['estimand']}"] if "estimand" in result.fit else []
    return drawn(result, rows, notes=notes, title=title, lang=lang, known=(reference, reference_label))


def _stage(method: str) -> str:
    if method.endswith((LOW, HIGH)):
        return "bounds"
    if method in UNADJUSTED:
        return "unadjusted"
    return {"explained": "explained", "overlap": "other_people"}.get(method, "adjusted")


def _label(method: str, word: str, lang: str | None) -> str:
    return wording.term("method_bounds", lang) if _stage(method) == "bounds" else word


def arranged(
    result: Estimates,
    words: pd.DataFrame,
    *,
    labels: Sequence[str],
    stages: Sequence[str],
    reference: Mapping[Any, float] | pd.DataFrame | None,
    lang: str | None,
) -> pd.DataFrame:
    """Return ``tidy()`` with panel, row, stage and known value of each estimate."""
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    tidy = result.tidy().reset_index(drop=True)
    return tidy.assign(
        panel=words["term"],
        row=[_with_note(row, label, lang) for row, label in zip(tidy.to_dict("records"), labels, strict=True)],
        stage=list(stages),
        reference=known,
    )


def drawn(
    result: Estimates,
    rows: pd.DataFrame,
    *,
    notes: Iterable[str],
    title: str | None,
    lang: str | None,
    known: tuple[Mapping[Any, float] | pd.DataFrame | None, str | None],
    one_scale: bool = True,
) -> Figure:
    """Return the figure of rows that were arranged: those of one label in a panel are one open bar."""
    name = title or wording.estimates_title(result, lang)
    meaning = meanings([result], wording.language_of(lang))
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=[*notes, *meaning])
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    stages = [stage for stage in STYLES if (rows["stage"] == stage).any()]
    marks = {_stage_name(stage, result, lang): STYLES[stage] for stage in stages if len(stages) > 1}
    marks |= {diamond_name(*known, lang): DIAMOND} if np.isfinite(rows["reference"]).any() else {}
    titles = [str(panel["panel"].iloc[0]) for panel in panels] if len(panels) > 1 else [""]
    with theme():
        labels = [list(dict.fromkeys(panel["row"])) for panel in panels]
        sheet = Sheet(name, caption, labels, marks, titles, scale_of_differences(result, lang))
        for axes, panel in zip(sheet.axes, panels, strict=True):
            _draw_steps(axes, panel)
        widths = [high - low for low, high in (axes.get_xlim() for axes in sheet.axes)]
        if one_scale and max(widths) <= _ALIKE * min(widths):
            same_scale(sheet.axes)
    return Figure(sheet.canvas, rows, name, caption)


def _stage_name(stage: str, result: Estimates, lang: str | None) -> str:
    word = wording.term(stage, lang)
    return f"{word}, Λ = {result.fit['lambda']:.4g}" if stage == "bounds" and "lambda" in result.fit else word


def _with_note(row: Mapping[Any, Any], label: str, lang: str | None) -> str:
    if row.get("mark"):
        return f"{label} {row['mark']}"
    if np.isnan(row["estimate"]):
        return f"{label} ({wording.term('identified_not', lang)})"
    if str(row.get("identified", "")).startswith("assumed"):
        return f"{label} ({wording.term('identified_assumed', lang)})"
    return label


def _draw_steps(axes: Axes, panel: pd.DataFrame) -> None:
    order = list(dict.fromkeys(panel["row"]))
    places = np.array([order.index(row) for row in panel["row"]])
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
    axes.plot([0.0], [0.0], linestyle="none")  # keeps the line off the edge
    for stage, style in STYLES.items():
        own = (panel["stage"] == stage).to_numpy()
        if stage == "bounds":
            for place in dict.fromkeys(places[own]):
                draw_open_bar(axes, int(place), panel[own & (places == place)])
            continue
        axes.hlines(
            places[own], panel["conf_low"][own], panel["conf_high"][own], color=style["color"], linewidth=2.0, zorder=2
        )
        axes.plot(panel["estimate"][own], places[own], linestyle="none", zorder=3, **style)
    axes.plot(panel["reference"], places, linestyle="none", markersize=8, zorder=4, **DIAMOND)


def draw_open_bar(axes: Axes, place: int, ends: pd.DataFrame) -> None:
    """Draw a lower and an upper bound, two rows, as an open bar with a line to the outer limits of their intervals."""
    low, high = (float(value) for value in ends["estimate"])
    outer = float(ends["conf_low"].iloc[0]), float(ends["conf_high"].iloc[1])
    if not np.isfinite([low, high]).all():
        return
    axes.plot([outer[0], outer[1]], [place, place], color=BLUE, linewidth=2.0, zorder=1.6)
    bar = Rectangle((low, place - 0.2), high - low, 0.4, facecolor="white", edgecolor=BLUE, linewidth=1.4, zorder=1.8)
    axes.add_patch(bar)
    axes.plot([low, high], [place, place], linestyle="none")  # an area alone would not widen the scale
