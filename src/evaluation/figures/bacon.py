"""What a two-way fixed-effects coefficient averages: each two-by-two estimate over its weight."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.ticker import MaxNLocator

from evaluation import wording
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, Figure, Sheet, theme

COLUMNS = ("treated", "untreated", "type", "estimate", "weight")
_HEIGHT = 2.9
_POINT: dict[str, Any] = {"linestyle": "none", "markersize": 6.5, "markeredgewidth": 1.4}
_STYLES: dict[str, dict[str, Any]] = {
    "treated_vs_untreated": {**_POINT, "marker": "o", "color": BLUE},
    "earlier_vs_later": {**_POINT, "marker": "^", "color": BLUE},
    "later_vs_earlier": {**_POINT, "marker": "s", "markerfacecolor": "none", "markeredgecolor": ORANGE},
    "later_vs_always_treated": {**_POINT, "marker": "D", "markerfacecolor": "none", "markeredgecolor": ORANGE},
}
_LINE: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": DASHED}


def is_bacon(result: Any) -> bool:
    """Tell whether a result is a decomposition into two-by-two comparisons."""
    frame = getattr(result, "frame", None)
    return isinstance(frame, pd.DataFrame) and hasattr(result, "coefficient") and set(COLUMNS) <= set(frame.columns)


def draw_bacon(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw every two-by-two estimate over its weight, by kind, and their mean: the two-way coefficient.

    Parameters
    ----------
    result : BaconDecomposition
    title : str, optional
        Default: "Two-by-two comparisons in the two-way coefficient", with the outcome.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Comparisons with a group that is treated already are hollow.
    """
    rows = result.tidy()
    item = wording.term_label(result.outcome, result.provenance.labels, lang)
    name = title or f"{wording.term(type(result).__name__, lang)}: {item}"
    sums = result.by_type()
    kinds = {
        f"{wording.term(row['type'], lang)} ({100 * row['weight']:.1f}%)": _STYLES[row["type"]]
        for row in sums.to_dict("records")
    }
    line = f"{wording.term('bacon_twfe', lang)} {wording.number(result.coefficient, 3)}"
    caption = wording.caption(result.provenance, None, lang, notes=(wording.term("bacon_note", lang),))
    data = rows.assign(words=[wording.term(kind, lang) for kind in rows["type"]])
    with theme():
        scale = wording.term("bacon_weight", lang)
        sheet = Sheet(name, caption, [_HEIGHT], kinds | {line: _LINE}, [""], scale)
        axes = sheet.axes[0]
        axes.axhline(0, color=GREY, linewidth=0.9, zorder=1)
        axes.axhline(result.coefficient, zorder=2, **_LINE)
        for kind, style in _STYLES.items():
            own = rows[rows["type"] == kind]
            axes.plot(own["weight"], own["estimate"], zorder=3, clip_on=False, **style)
        axes.set_xlim(-0.03 * rows["weight"].max(), 1.04 * rows["weight"].max())
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.set_ylabel(wording.term("bacon_estimate", lang))
    return Figure(sheet.canvas, data, name, caption)
