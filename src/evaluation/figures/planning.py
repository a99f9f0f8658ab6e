"""A roll-out that is planned: which effect a survey of some size can find, and what no size can."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evaluation import wording
from evaluation.figures.canvas import BLUE, DASHED, INK, ORANGE, Figure, Sheet, theme

#: Height of the panel, in inches.
CURVE = 2.3
_LINE: dict[str, Any] = {"color": BLUE, "linewidth": 2.0, "linestyle": "-"}
_ASKED: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 6.5, "linestyle": "none"}
_FLOOR: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": DASHED}
_TESTS: dict[str, dict[str, Any]] = {
    "jackknife": {"color": BLUE, "linewidth": 2.0, "linestyle": "-", "marker": "o", "markersize": 5.0},
    "randomization": {"color": ORANGE, "linewidth": 1.6, "linestyle": "-", "marker": "s", "markersize": 4.5},
}
#: Round numbers of persons.
_ROUND = [base * 10**power for power in range(7) for base in (1, 2, 5)]


def draw_rollout_mde(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the smallest detectable effect over persons per place and wave, and what no number of persons goes below.

    Parameters
    ----------
    result : RolloutPower
        From ``rollout_mde``.
    title : str, optional
        Default: "Minimum detectable effect and sample size".
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    asked = result.frame[np.isfinite(result.frame["persons"])]
    floor = float(result.frame["effect"].iloc[-1])
    name = title or wording.term("mde_title", lang)
    caption = wording.caption(result.provenance, None, lang, notes=[result.setting_text(lang)])
    marks = {
        wording.term("mde_curve", lang): _LINE,
        wording.term("mde_asked", lang): _ASKED,
        wording.term("mde_floor", lang): _FLOOR,
    }
    with theme():
        sheet = Sheet(name, caption, [CURVE], marks, [""], wording.term("persons_per_cell", lang))
        axes = sheet.axes[0]
        axes.set_xscale("log")
        axes.axhline(floor, zorder=1, **_FLOOR)
        axes.plot(result.curve["persons"], result.curve["effect"], zorder=2, **_LINE)
        axes.plot(asked["persons"], asked["effect"], zorder=3, **_ASKED)
        low, high = result.curve["persons"].iloc[[0, -1]]
        axes.set_xlim(low, high)
        axes.xaxis.set_major_locator(FixedLocator([value for value in _ROUND if low <= value <= high]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: wording.number(value)))
        axes.set_ylim(0.0, 1.05 * float(result.curve["effect"].max()))
        axes.set_ylabel(wording.term("effect", lang))
    data = pd.concat([result.curve.assign(point=False), asked[["persons", "effect"]].assign(point=True)])
    return Figure(sheet.canvas, data.reset_index(drop=True), name, caption)


def draw_rollout_power(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw how often simulated effects are found, by test.

    Parameters
    ----------
    result : RolloutSimulation
        From ``rollout_power``.
    title : str, optional
        Default: "Power and size of the roll-out by simulation".
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    """
    frame = result.frame[result.frame["reason"] == ""].sort_values("effect")
    refused = result.frame[result.frame["reason"] != ""].drop_duplicates("test")
    name = title or wording.term("RolloutSimulation", lang)
    notes = [
        f"{wording.term(f'test_{row.test}', lang)}: {wording.term(str(row.reason), lang)}"
        for row in refused.itertuples(index=False)
    ]
    caption = wording.caption(result.provenance, None, lang, notes=[result.setting_text(lang), *notes])
    tests = [test for test in _TESTS if (frame["test"] == test).any()]
    marks = {wording.term(f"test_{test}", lang): _TESTS[test] for test in tests}
    with theme():
        sheet = Sheet(name, caption, [CURVE], marks, [""], wording.term("effect", lang))
        axes = sheet.axes[0]
        axes.axhline(result.alpha, zorder=1, **_FLOOR)
        for test in tests:
            own = frame[frame["test"] == test]
            axes.plot(own["effect"], own["rejected"], zorder=2, **_TESTS[test])
        axes.set_yticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], ["0", "0.2", "0.4", "0.6", "0.8", "1"])
        axes.set_ylim(0.0, 1.03)
        axes.set_ylabel(wording.term("rejected_share", lang))
    return Figure(sheet.canvas, frame.reset_index(drop=True), name, caption)
