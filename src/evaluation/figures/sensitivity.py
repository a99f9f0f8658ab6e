"""What it takes to explain a difference away: bounds over Lambda, and contours over a hidden trait's strength."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator, StrMethodFormatter

from evaluation import wording
from evaluation.disclosure import shown
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, WIDTH, Figure, Sheet, inches, theme, wrapped
from evaluation.figures.intervals import draw_estimates
from evaluation.results import Estimates

#: Covariates whose hidden likenesses are drawn: the strongest.
MOST_TRAITS = 4
#: Height of a panel with a vertical scale, in inches.
CURVE, CONTOURS = 2.3, 3.4
#: Widest label of a covariate, in inches, as canvas breaks them.
_LABEL = 1.9
_BAND: dict[str, Any] = {"color": BLUE, "alpha": 0.25, "linewidth": 7, "linestyle": "-", "solid_capstyle": "butt"}
_LIMIT: dict[str, Any] = {"color": BLUE, "linewidth": 1.0, "linestyle": (0, (2, 2))}
_ZERO: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": "-"}
_STAR: dict[str, Any] = {"color": ORANGE, "linewidth": 1.5, "linestyle": "-"}
_STAR_INTERVAL: dict[str, Any] = {"color": ORANGE, "linewidth": 1.2, "linestyle": DASHED}
_QUANTILE: dict[str, Any] = {"marker": "o", "color": INK, "markersize": 5.5}
_LARGEST: dict[str, Any] = {"marker": "|", "color": INK, "markersize": 9, "markeredgewidth": 1.4}
_LEVEL: dict[str, Any] = {"color": GREY, "linewidth": 1.0, "linestyle": "-"}
_MARKERS = ("o", "s", "^", "D")
_SHADES = (ORANGE, "#009E73", "#CC79A7", "#56B4E9")
#: What a reader may want to mark on an axis of odds.
_ODDS = (1.0, 1.05, 1.1, 1.2, 1.3, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 20.0, 50.0, 100.0, 300.0, 1000.0)


def draw_lambda_curve(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw bounds and their interval over Lambda, and below what leaving out each covariate does to the odds.

    Parameters
    ----------
    result : LambdaCurve
        From ``sensitivity_curve``.
    title : str, optional
        Default: what is bounded, of what.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A line marks where the bounds, and one where their interval, reach zero. A dot is what most of the population
        stays below when a covariate is left out, a tick the largest of anybody, an arrow a tick beyond the axis.

    Raises
    ------
    PublishError
        The comparison rests on too few respondents to be shown.
    """
    frame, where = result.tidy(), result.provenance
    if frame["bound_low"].isna().all():
        raise PublishError("the curve rests on too few respondents, so there is nothing that may be drawn.")
    beside = pd.DataFrame() if result.benchmarks is None else result.benchmarks.tidy()
    first, last = float(frame["lambda"].min()), float(frame["lambda"].max())
    name = title or wording.estimates_title(result.bounds, lang)
    notes = [f"{wording.term('estimand', lang)}: {result.bounds.fit['estimand']}"]
    if len(beside) and (beside["lambda_max"] > last).any():
        notes.append(wording.term("beyond_axis", lang))
    caption = wording.caption(where, result.bounds.conf_level, lang, marks="", notes=notes)
    marks = _curve_marks(result, last, lang)
    labels = [wording.term_label(covariate, where.labels, lang) for covariate in beside.get("covariate", [])]
    axis = wording.term("lambda_axis", lang)
    with theme():
        rows: list[list[str] | float] = [CURVE, *([labels] if labels else [])]
        titles = [
            wording.capital(wording.term(key, lang)) for key in ("difference", *(["left_out_one"] if labels else []))
        ]
        sheet = Sheet(name, caption, rows, marks, titles, axis, left=_room(labels, frame))
        _draw_bounds(sheet.axes[0], frame)
        if labels:
            _draw_covariates(sheet.axes[1], beside, last)
        for axes in sheet.axes:
            _odds_axis(axes, first, last)
            for value, style in ((result.breakdown, _STAR), (result.breakdown_of_interval, _STAR_INTERVAL)):
                if 1 < value <= last:
                    axes.axvline(value, zorder=1.5, **style)
    data = pd.concat([frame.assign(row="bounds"), beside.assign(row=labels)] if labels else [frame], ignore_index=True)
    return Figure(sheet.canvas, data, name, caption)


def _curve_marks(result: Any, last: float, lang: str | None) -> dict[str, dict[str, Any]]:
    marks: dict[str, dict[str, Any]] = {
        wording.term("bounds_of_lambda", lang): _BAND,
        wording.interval_name(result.bounds.conf_level, lang): _LIMIT,
    }
    for key, value, style in (
        ("breakdown_of_bounds", result.breakdown, _STAR),
        ("breakdown_of_interval", result.breakdown_of_interval, _STAR_INTERVAL),
    ):
        if 1 < value <= last:
            marks[wording.term(key, lang).format(value=f"{value:.2f}")] = style
    if result.benchmarks is not None:
        share = f"{100 * result.benchmarks.quantile:g}"
        marks[wording.term("most_of_population", lang).format(share=share)] = _QUANTILE
        marks[wording.term("most_of_anybody", lang)] = _LARGEST
    return marks


def _room(labels: list[str], frame: pd.DataFrame) -> float:
    """Return the inches that the widest covariate or number beside the panels takes."""
    lowest, highest = min(0.0, float(frame["conf_low"].min())), max(0.0, float(frame["conf_high"].max()))
    numbers = [f"{tick:,.10g}" for tick in _vertical().tick_values(lowest, highest)]
    lines = [line for label in labels for line in wrapped(label, _LABEL, "label")]
    return max(inches(text, "label") for text in [*lines, *numbers]) + 0.14


def _vertical() -> MaxNLocator:
    """Return where a vertical scale has its marks."""
    return MaxNLocator(5, steps=[1, 2, 2.5, 5, 10])


def _draw_bounds(axes: Axes, frame: pd.DataFrame) -> None:
    x = frame["lambda"]
    axes.fill_between(x, frame["bound_low"], frame["bound_high"], color=BLUE, alpha=0.25, linewidth=0, zorder=1)
    for column in ("conf_low", "conf_high"):
        axes.plot(x, frame[column], zorder=2, **_LIMIT)
    axes.axhline(0, zorder=2, **_ZERO)
    axes.yaxis.set_major_locator(_vertical())


def _draw_covariates(axes: Axes, beside: pd.DataFrame, last: float) -> None:
    places = np.arange(len(beside))
    most = np.minimum(beside["lambda_max"], last)
    axes.hlines(places, 1.0, most, color=GREY, linewidth=1.2, zorder=2)
    inside = (beside["lambda_max"] <= last).to_numpy()
    axes.plot(most[inside], places[inside], linestyle="none", zorder=3, **_LARGEST)
    axes.plot(most[~inside], places[~inside], linestyle="none", marker=">", color=INK, markersize=6, clip_on=False)
    shown = (beside["lambda_quantile"] <= last).to_numpy()
    axes.plot(beside["lambda_quantile"][shown], places[shown], linestyle="none", zorder=4, **_QUANTILE)


def _odds_axis(axes: Axes, first: float, last: float) -> None:
    """Mark values of Lambda on a logarithmic scale, as many as have room."""
    axes.set_xscale("log")
    axes.set_xlim(first / (last / first) ** 0.015, last * (last / first) ** 0.015)
    candidates = [value for value in _ODDS if first <= value <= last]
    width = axes.get_position().width * WIDTH
    kept: list[float] = []
    for value in sorted(candidates, key=lambda one: (one not in (1.0, 2.0, 5.0, 10.0, 1.5, 1.2), one)):
        place = width * np.log(value / first) / np.log(last / first)
        room = inches(f"{value:g}", "label") + 0.14
        if all(abs(place - width * np.log(one / first) / np.log(last / first)) >= room for one in kept):
            kept.append(value)
    kept.sort()
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FixedFormatter([f"{value:g}" for value in kept]))


def draw_contours(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw what hidden traits of any strength would leave of a difference, with those like observed covariates.

    Parameters
    ----------
    result : Robustness
        From ``robustness_value``.
    title : str, optional
        Default: "Difference left beside a hidden trait", with the outcome.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Contours of the estimate over both partial R2; where it would be zero is dashed. Marks are traits some times
        as strong as a covariate, for the four that would move the estimate most; ``data`` holds all.

    Raises
    ------
    PublishError
        The comparison rests on too few respondents to be shown.
    """
    traits = result.traits.tidy()
    if traits["estimate"].isna().all():
        raise PublishError("the contours rest on too few respondents, so there is nothing that may be drawn.")
    where = result.provenance
    outcome = wording.term_label(result.keys["term"].iloc[0], where.labels, lang)
    name = title or f"{wording.term('robustness_title', lang)}: {outcome}"
    estimate = float(traits["estimate"].iloc[0])
    chosen = _strongest(traits, estimate)
    top = _edge(chosen["r2_outcome"], float(result.estimate[2]))
    right = _edge(chosen["r2_treatment"], float(result.estimate[2]))
    caption = wording.caption(where, result.conf_level, lang, marks="", notes=[_robustness_note(result, lang)])
    zero: dict[str, Any] = {"color": INK, "linewidth": 1.6, "linestyle": DASHED}
    marks: dict[str, dict[str, Any]] = {
        wording.term("contour_of", lang): {"color": GREY, "linewidth": 1.2, "linestyle": "-"},
        wording.term("contour_of_zero", lang): zero,
    }
    drawn = list(chosen.groupby("covariate", sort=False))
    for (covariate, own), marker, shade in zip(drawn, _MARKERS, _SHADES, strict=False):
        times = ", ".join(f"{value:g}" for value in own["times"])
        label = wording.term("as_strong_as", lang).format(
            name=wording.term_label(covariate, where.labels, lang), times=times
        )
        marks[label] = _point(marker, shade)
    with theme():
        sheet = Sheet(name, caption, [CONTOURS], marks, [""], wording.term("r2_treatment", lang), right=0.75)
        axes = sheet.axes[0]
        axes.set_xlim(0, right)
        axes.set_ylim(0, top)
        axes.set_ylabel(wording.term("r2_outcome", lang))
        axes.yaxis.set_major_locator(_vertical())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        _draw_levels(axes, estimate, float(result.ratio), zero)
        for (_, own), marker, shade in zip(drawn, _MARKERS, _SHADES, strict=False):
            axes.plot(own["r2_treatment"], own["r2_outcome"], color=shade, linewidth=0.8, zorder=4, clip_on=False)
            axes.plot(
                own["r2_treatment"], own["r2_outcome"], linestyle="none", zorder=5, clip_on=False,
                **_point(marker, shade),
            )  # fmt: skip
    return Figure(sheet.canvas, traits, name, caption)


def _robustness_note(result: Any, lang: str | None) -> str:
    values = {
        "value": f"{100 * float(result.estimate[2]):.3g}",
        "by_interval": f"{100 * float(result.fit['robustness_value_interval']):.3g}",
    }
    return wording.term("robustness_note", lang).format(**values)


def _point(marker: str, shade: str) -> dict[str, Any]:
    return {"marker": marker, "markerfacecolor": shade, "markeredgecolor": "white", "markersize": 7.5}


def _strongest(traits: pd.DataFrame, estimate: float) -> pd.DataFrame:
    """Return the traits like the covariates that would move the estimate most, strongest first."""
    own = traits[(traits["covariate"] != "") & traits["estimate"].notna()]
    moved = (own["estimate"] - estimate).abs().groupby(own["covariate"], sort=False).max()
    names = moved.sort_values(ascending=False, kind="stable").index[:MOST_TRAITS]
    return pd.concat([own[own["covariate"] == name] for name in names]) if len(names) else own


def _edge(values: pd.Series[float], robustness: float) -> float:
    """Return where an axis ends: beyond the strongest trait and the robustness value."""
    most = max([*values.dropna(), 1.25 * robustness, 0.02])
    return float(min(1.1 * most, 0.999))


def _draw_levels(axes: Axes, estimate: float, ratio: float, zero: dict[str, Any]) -> None:
    """Draw contours of the estimate, each with its value where it leaves the panel."""
    (_, right), (_, top) = axes.get_xlim(), axes.get_ylim()
    sign = 1.0 if estimate >= 0 else -1.0
    furthest = estimate - sign * ratio * float(np.sqrt(top * right / (1 - right)))
    levels = MaxNLocator(7, steps=[1, 2, 2.5, 5, 10]).tick_values(min(furthest, estimate), max(furthest, estimate))
    taken: list[tuple[float, float]] = []
    for level in sorted(levels, key=lambda one: (one != 0, abs(one))):
        share = sign * (estimate - level) / ratio
        if share <= 0:
            continue
        x = np.linspace(share**2 / (share**2 + top), right, 400)
        y = share**2 * (1 - x) / x
        if x[0] >= right:
            continue
        axes.plot(x, y, zorder=3 if level == 0 else 2, **(zero if level == 0 else _LEVEL))
        place = (1.0, float(y[-1] / top))
        if all(abs(place[1] - other[1]) > 0.042 for other in taken):
            taken.append(place)
            axes.annotate(
                f"{level:,.10g}".replace("-", "\u2212"), place, xycoords="axes fraction", xytext=(4, 0),
                textcoords="offset points", va="center", fontsize=9, color=INK,
                weight="bold" if level == 0 else "normal",
            )  # fmt: skip


_PARTS_OF_CURVE, _PARTS_OF_CONTOURS = ("bounds", "benchmarks", "breakdown"), ("traits", "ratio", "adjusted")


def is_sensitivity(result: Any) -> bool:
    """Tell whether a result is drawn by this module."""
    kinds = (_PARTS_OF_CURVE, _PARTS_OF_CONTOURS)
    return _is_of_stability(result) or any(all(hasattr(result, name) for name in parts) for parts in kinds)


def draw_sensitivity(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw a Lambda curve, contours over hidden traits, or coefficients; parameters as in ``plot``."""
    if _is_of_stability(result):
        whole = shown(result)
        coefficients = np.flatnonzero((whole.keys["quantity"] != "oster_delta").to_numpy())
        return draw_estimates(whole.take(coefficients), title=title, lang=lang)
    draw = draw_lambda_curve if hasattr(result, "breakdown") else draw_contours
    return draw(result, title=title, lang=lang)


def _is_of_stability(result: Any) -> bool:
    """Tell whether rows are coefficients beside a proportion, which has no place on their scale."""
    return isinstance(result, Estimates) and result.verb == "oster_delta"
