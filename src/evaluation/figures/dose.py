"""Dose and response: each class of participation against none, dots with intervals in the order of the classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.disclosure import meanings, shown
from evaluation.figures.canvas import BLUE, DASHED, INK, Figure, Sheet, theme
from evaluation.results import Estimates


def draw_dose(result: Estimates, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw how each class of participation differs from none; parameters as in ``plot``.

    Parameters
    ----------
    result : DoseResponse
    title : str, optional
        Default: "Difference by how often people took part", with the outcome.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        The caption tells the slope of the trend and the test that all classes are alike. A class too small to be
        shown keeps its row, with its mark.
    """
    masked, fit, labels = shown(result), result.fit, result.provenance.labels
    dose, outcome = str(fit["dose"]), str(fit["outcome"])
    tidy = masked.tidy()
    measure = str(tidy["quantity"].iloc[0])
    rows = tidy[tidy["quantity"] == measure].reset_index(drop=True)
    means = tidy[tidy["quantity"] == "mean_participants"].reset_index(drop=True)
    words = [wording.value_label(dose, value, labels, lang) for value in rows[dose]]
    marks = [str(mark) for mark in rows["mark"]] if "mark" in rows else [""] * len(rows)
    sizes = ["" if pd.isna(n) or mark else f" (n = {int(n):,})" for n, mark in zip(means["n_obs"], marks, strict=True)]
    names = [f"{word}{size} {mark}".strip() for word, size, mark in zip(words, sizes, marks, strict=True)]
    reference = wording.term("dose_none", lang)
    item = wording.term_label(outcome, labels, lang)
    name = title or f"{wording.term('dose_title', lang)}: {item}"
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=_notes(result, masked, lang))
    data = rows.assign(row=names)
    scale = f"{wording.term_label(dose, labels, lang)}: {wording.term(measure, lang)}"
    dot: dict[str, Any] = {"linestyle": "none", "marker": "o", "markersize": 6.5, "zorder": 3}
    with theme():
        sheet = Sheet(name, caption, [[reference, *names]], {}, [""], scale)
        axes, places = sheet.axes[0], np.arange(1, len(rows) + 1)
        axes.axvline(0, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
        axes.plot([0.0], [0.0], **dot, markerfacecolor="white", markeredgecolor=INK)
        axes.hlines(places, rows["conf_low"], rows["conf_high"], color=BLUE, linewidth=2.2, zorder=2)
        axes.plot(rows["estimate"], places, **dot, color=BLUE)
    return Figure(sheet.canvas, data, name, caption)


def _notes(result: Estimates, masked: Estimates, lang: str | None) -> list[str]:
    """Return estimand, trend, equality and the meaning of marks."""
    fit, notes = masked.fit, []
    if "estimand" in fit:
        notes.append(f"{wording.term('estimand', lang)}: {fit['estimand']}")
    trend = getattr(result, "trend", None)
    places = 3 if trend is None else wording.decimals(float(trend.std_error[0]))
    if np.isnan(float(fit["trend"])):
        return [*notes, *meanings([masked], wording.language_of(lang))]
    slope, p = wording.number(float(fit["trend"]), places), wording.probability(float(fit["p_trend"]))
    notes.append(wording.term("dose_trend_note", lang).format(slope=slope, p=_p(p)))
    notes.append(wording.term("dose_equality_note", lang).format(p=_p(wording.probability(float(fit["p_equality"])))))
    return [*notes, *meanings([masked], wording.language_of(lang))]


def _p(text: str) -> str:
    return text if text.startswith("<") else f"= {text}"
