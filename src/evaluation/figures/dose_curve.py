"""Effects of a policy by its dose: the effect against none, and the response to a little more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation import wording
from evaluation.disclosure import meanings
from evaluation.figures.canvas import BLUE, DIAMOND, INK, Figure, Sheet, theme
from evaluation.figures.intervals import diamond_name, reference_values
from evaluation.results import Estimates

_HEIGHT = 2.2
_LEFT = 0.9
_LINE: dict[str, Any] = {"color": BLUE, "linewidth": 2.0}
_DOT: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 5.5}


def draw_dose_curve(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw the effect at each dose, and below it the response to more of it, with intervals at each dose.

    Parameters
    ----------
    result : Estimates
        From ``ev.dose_did``: keys ``term`` and ``dose``; rows without a dose are told in the caption.
    title, lang, reference, reference_label
        As in ``plot``.

    Returns
    -------
    Figure
        A spline is a line within its intervals, classes of dose are dots.
    """
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    rows = result.tidy().reset_index(drop=True).assign(reference=known)
    curve = rows[rows["dose"].notna()].copy()
    curve["x"] = curve["dose"].astype(float)
    is_line = str(result.fit.get("curve", "")).startswith("spline")
    name = title or wording.estimates_title(result, lang)
    caption = wording.caption(
        result.provenance,
        result.conf_level,
        lang,
        marks="shading" if is_line else "bars",
        notes=_notes(result, rows, lang),
    )
    titles = [wording.term(term, lang) for term in ("att_at_dose", "acrt_at_dose")]
    diamond = diamond_name(reference, reference_label, lang)
    marks = {diamond: DIAMOND} if curve["reference"].notna().any() else {}
    with theme():
        scale = wording.term_label(str(result.fit.get("dose", "dose")), result.provenance.labels, lang)
        sheet = Sheet(name, caption, [_HEIGHT, _HEIGHT], marks, titles, scale, left=_LEFT)
        for axes, term in zip(sheet.axes, ("att_at_dose", "acrt_at_dose"), strict=True):
            _draw(axes, curve[curve["term"] == term], is_line)
            axes.set_ylabel(wording.term("effect", lang))
    return Figure(sheet.canvas, curve.drop(columns="x"), name, caption)


def _draw(axes: Axes, rows: pd.DataFrame, is_line: bool) -> None:
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    if is_line and len(rows) > 1:
        axes.fill_between(rows["x"], rows["conf_low"], rows["conf_high"], color=BLUE, alpha=0.18, linewidth=0, zorder=2)
        axes.plot(rows["x"], rows["estimate"], zorder=3, **_LINE)
    else:
        axes.vlines(rows["x"], rows["conf_low"], rows["conf_high"], color=BLUE, linewidth=2, zorder=2)
    axes.plot(rows["x"], rows["estimate"], linestyle="none", zorder=3, **_DOT)
    axes.plot(rows["x"], rows["reference"], linestyle="none", markersize=9, zorder=4, **DIAMOND)


def _notes(result: Estimates, rows: pd.DataFrame, lang: str | None) -> list[str]:
    """Return the overall rows, the assumption of comparing doses, and what is not identified."""
    notes = []
    for row in rows[rows["dose"].isna()].to_dict("records"):
        places = wording.common_decimals([row["std_error"]]) or 3
        value, low, high = (wording.number(row[column], places) for column in ("estimate", "conf_low", "conf_high"))
        interval = wording.term("no_standard_error", lang) if np.isnan(row["std_error"]) else f"{low} – {high}"
        word = "dose_overall" if row["term"] == "overall" else str(row["term"])
        notes.append(f"{wording.term(word, lang)}: {value} ({interval})")
    notes.append(wording.term("dose_strong_trends", lang))
    if result.fit.get("dose_varies"):
        notes.append(wording.term("dose_varies_note", lang))
    absent = len(result.fit.get("not_identified", ()))
    if absent:
        notes.append(f"{wording.term('not_identified_cells', lang)}: {absent}")
    return [*notes, *meanings([result], wording.language_of(lang))]
