"""Power: how the probability to find a difference grows with the difference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.figures.canvas import BLUE, DASHED, INK, Figure, Sheet, theme

#: Height of the panel, in inches.
CURVE = 2.3
_FOUND: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 6.5}
_LINE: dict[str, Any] = {"color": BLUE, "linewidth": 2.0, "linestyle": "-"}


def draw_power(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the probability to find a difference over its size, and the point that was asked for.

    Parameters
    ----------
    result : PowerAnalysis
        From ``minimum_detectable_effect``, ``power_of_difference`` or ``sample_size_of_difference``.
    title : str, optional
        Default: "Power of differences".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Shares differ in percentage points.
    """
    is_share = not np.isnan(result.mean_comparison)
    scale = 100.0 if is_share else 1.0
    data = pd.concat([result.curve.assign(point=False), result.tidy()[["effect", "power"]].assign(point=True)])
    name = title or wording.term("power_title", lang)
    unit = f" ({wording.percentage_point_unit(lang)})" if is_share else ""
    counts = wording.term("power_counts", lang).format(
        n1=wording.number(np.ceil(result.n_participants - 1e-9)),
        n0=wording.number(np.ceil(result.n_comparison - 1e-9)),
        alpha=f"{100 * result.alpha:g}%",
        sides=wording.term("two_sided" if result.two_sided else "one_sided", lang),
    )
    deff = result.design_effects()
    notes = [counts, *([f"{wording.term('deff', lang)} {deff}"] if deff else []), wording.term("power_note", lang)]
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    marks = {wording.term("power_curve", lang): _LINE, wording.term(f"point_{result.solved_for}", lang): _FOUND}
    with theme():
        sheet = Sheet(name, caption, [CURVE], marks, [""], wording.term("difference", lang) + unit)
        axes = sheet.axes[0]
        axes.axhline(result.power, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
        axes.axvline(scale * result.effect, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
        axes.plot(scale * result.curve["effect"], result.curve["power"], zorder=2, **_LINE)
        axes.plot([scale * result.effect], [result.power], linestyle="none", zorder=3, **_FOUND)
        axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_ylim(0.0, 1.03)
        ends = sorted(scale * result.curve["effect"].iloc[[0, -1]])
        axes.set_xlim(*ends)
        axes.set_ylabel(wording.term("power", lang))
    return Figure(sheet.canvas, data.reset_index(drop=True), name, caption)
