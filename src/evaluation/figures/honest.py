"""Effects under violations of parallel trends, and the trends that a test of the leads would have found."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator

from evaluation import wording
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, WIDTH, Figure, Sheet, inches, theme, upright
from evaluation.results import Provenance

#: Height of the panel, in inches.
_HEIGHT = 2.6
_LEFT = 0.9
_ORIGINAL: dict[str, Any] = {"color": ORANGE, "linewidth": 3.0, "linestyle": "-"}
_ROBUST: dict[str, Any] = {"color": BLUE, "linewidth": 3.0, "linestyle": "-"}
_BREAKDOWN: dict[str, Any] = {"color": INK, "linewidth": 1.2, "linestyle": DASHED}
_LEAD: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": BLUE, "markersize": 6.5}
_EFFECT: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 6.5}
_BASE: dict[str, Any] = {"marker": "x", "color": INK, "markersize": 7, "markeredgewidth": 1.8}
_TREND: dict[str, Any] = {"color": ORANGE, "linewidth": 1.8, "linestyle": "-"}
_PASSED: dict[str, Any] = {"color": ORANGE, "linewidth": 1.5, "linestyle": (0, (2, 2))}


def is_honest(result: Any) -> bool:
    """Tell whether a result is drawn by this module."""
    return _has_sets(result) or all(hasattr(result, name) for name in ("events", "alpha", "path", "provenance"))


def _has_sets(result: Any) -> bool:
    return all(hasattr(result, name) for name in ("breakdown", "assumption", "size_name", "path"))


def draw_honest(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw robust sets over the size of violations, or trends against an event study; parameters as in ``plot``.

    Raises
    ------
    PublishError
        The effects rest on too few respondents to be shown.
    """
    if result.path.mark:
        raise PublishError("these effects rest on too few respondents, so there is nothing that may be drawn.")
    draw = draw_sets if _has_sets(result) else draw_pretrend_power
    return draw(result, title=title, lang=lang)


def draw_sets(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the original interval, and beside it the set at each size of violations.

    Parameters
    ----------
    result : RobustSets
        From ``honest_did``.
    title : str, optional
        Default: what the sets are of.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A dashed line marks the breakdown value where it lies among the sizes that are drawn. An empty set has no bar.
    """
    frame, lang = result.tidy(), wording.language_of(lang)
    sizes = frame[result.size_name].to_numpy(dtype=float)
    robust = sizes[1:]
    gap = float(max(np.diff(robust).min() if len(robust) > 1 else 0.0, 0.18 * max(np.ptp(robust), 1e-12)))
    x = np.append(robust[0] - gap, robust)
    name = title or f"{wording.term('RobustSets', lang)}: {_outcome(result, lang)}"
    labels = next(iter(result.layout(lang)[0].values()))
    marks = {wording.term("original_interval", lang): _ORIGINAL, wording.term("robust_set", lang): _ROBUST}
    found = np.nan if result.breakdown is None else float(result.breakdown.value)
    drawn = bool(x[0] < found <= robust[-1] + gap / 2) and found > 0
    if drawn:
        marks[wording.term("breakdown_at", lang).format(value=result.breakdown.shown())] = _BREAKDOWN
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=result.notes(lang))
    with theme():
        sheet = Sheet(name, caption, [_HEIGHT], marks, [""], wording.term(f"{result.size_name}_axis", lang), left=_LEFT)
        axes = sheet.axes[0]
        axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
        for place, row, style in zip(x, frame.itertuples(), [_ORIGINAL, *[_ROBUST] * len(robust)], strict=True):
            axes.vlines([place], [row.conf_low], [row.conf_high], zorder=3, **style)
        if drawn:
            axes.axvline(found, zorder=2, **_BREAKDOWN)
        _furnish_sizes(axes, x, gap, labels)
        axes.set_ylabel(wording.term("effect", lang))
    return Figure(sheet.canvas, frame.assign(x=x), name, caption)


def _furnish_sizes(axes: Axes, x: Any, gap: float, labels: list[str]) -> None:
    """Mark each size below its set, those that have room, and zero always in the panel."""
    axes.set_xlim(x[0] - 0.6 * gap, x[-1] + 0.6 * gap)
    axes.grid(visible=False, axis="x")
    width = axes.get_position().width * WIDTH / (x[-1] - x[0] + 1.2 * gap)
    kept: list[int] = []
    for i in [0, len(x) - 1, *range(1, len(x) - 1)]:
        room = [(inches(labels[i], "label") + inches(labels[j], "label")) / 2 + 0.08 for j in kept]
        if all(abs(x[i] - x[j]) * width >= needed for j, needed in zip(kept, room, strict=True)):
            kept.append(i)
    kept.sort()
    axes.xaxis.set_major_locator(FixedLocator([float(x[i]) for i in kept]))
    axes.xaxis.set_major_formatter(FixedFormatter([labels[i] for i in kept]))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


def draw_pretrend_power(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw an event study, the trend that a test of each lead would find, and its mean where the test passes.

    Parameters
    ----------
    result : PretrendPower
        From ``pretrend_power``; the last trend of the tests of single leads is drawn.
    title : str, optional
        Default: what the trends are of.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        ``data`` holds the trends of both tests.
    """
    lang = wording.language_of(lang)
    own = result.tidy().query("pretest == 'individual'").iloc[-1]
    events = result.events[(result.events["pretest"] == "individual") & (result.events["slope"] == own["slope"])]
    reference, x = result.path.reference, events["event_time"]
    scale = "event_time" if reference < 0 else "time"
    name = title or f"{wording.term('PretrendPower', lang)}: {_outcome(result, lang)}"
    notes = [wording.term("pretrend_power_note", lang), result.text(lang)]
    caption = wording.caption(result.provenance, result.path.conf_level, lang, notes=notes)
    marks = {
        wording.term("before_start", lang): _LEAD,
        wording.term("since_start", lang): _EFFECT,
        wording.term("reference_period", lang): _BASE,
        wording.term("violation_line", lang).format(power=f"{100 * float(own['power']):.0f}%"): _TREND,
        wording.term("passing_line", lang): _PASSED,
    }
    with theme():
        sheet = Sheet(name, caption, [_HEIGHT], marks, [""], wording.term(scale, lang), left=_LEFT)
        axes = sheet.axes[0]
        axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
        axes.axvline(reference + 0.5 * float(np.diff(np.sort(x)).min()), color=GREY, linewidth=1.0, linestyle=DASHED)
        axes.vlines(x, events["conf_low"], events["conf_high"], color=BLUE, linewidth=2, zorder=2)
        for mask, style in ((x < reference, _LEAD), (x > reference, _EFFECT), (x == reference, _BASE)):
            axes.plot(x[mask], events["estimate"][mask], linestyle="none", zorder=4, **style)
        axes.plot(x, events["violation"], zorder=3, **_TREND)
        axes.plot(x, events["mean_after_passing"], zorder=3, **_PASSED)
        axes.set_ylabel(wording.term("effect", lang))
        upright(axes, (float(x.min()) - 0.5, float(x.max()) + 0.5))
    return Figure(sheet.canvas, result.events, name, caption)


def _outcome(result: Any, lang: str) -> str:
    where: Provenance = result.provenance
    return wording.term_label(result.path.outcome, where.labels, lang)
