"""One treated place, or few, beside weighted donors: paths, gaps, weights, and donors in their place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation import wording
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DASHED, DISTRIBUTION, GREY, INK, ORANGE, Figure, Sheet, theme, upright
from evaluation.results import Estimates

PLACEBO_COLUMNS = ("places", "is_treated", "rmspe_before", "rmspe_after", "ratio")
KINDS = ("path", "weights")
_HEIGHT = 2.1
_LEFT = 0.9
#: Weights below this are not drawn.
_SMALL = 5e-4
#: Most placebos that stand as a row each.
_MOST_ROWS = 20
#: Longest name of a set of places, in letters.
_LONGEST = 60
_OWN: dict[str, Any] = {"color": BLUE, "linewidth": 2.2, "linestyle": "-"}
_OTHER: dict[str, Any] = {"color": ORANGE, "linewidth": 1.9, "linestyle": (0, (4, 2))}
_PLACEBO: dict[str, Any] = {"color": "#B9B9B9", "linewidth": 0.7, "linestyle": "-"}


def is_synthetic(result: Any) -> bool:
    """Tell whether a result is a synthetic control."""
    return isinstance(result, Estimates) and all(callable(getattr(result, name, None)) for name in ("paths", "weights"))


def draw_synthetic(
    result: Any, *, kind: str | None = None, title: str | None = None, lang: str | None = None
) -> Figure:
    """Draw treated places beside their synthetic counterpart, and the gap; or the weights.

    Parameters
    ----------
    result : SyntheticEffects
        With placebo errors, the gaps of placebos are drawn in grey.
    kind : {"path", "weights"}, optional
    title, lang
        As in ``plot``.

    Returns
    -------
    Figure

    Raises
    ------
    PublishError
        An unknown kind.
    """
    if kind not in (None, *KINDS):
        raise PublishError(f"a synthetic control is drawn with kind 'path' or 'weights', got {kind!r}.")
    lang = wording.language_of(lang)
    draw = _draw_weights if kind == "weights" else _draw_paths
    return draw(result, title, lang)


def _draw_paths(result: Any, title: str | None, lang: str) -> Figure:
    paths = result.paths()
    gaps = _gaps(result)
    outcome = wording.term_label(str(result.fit["outcome"]), result.provenance.labels, lang)
    name = title or f"{wording.term('paths_title', lang)}: {outcome}"
    marks = {wording.term("treated_place", lang): _OWN, wording.term("synthetic_place", lang): _OTHER}
    if (gaps["set"] > 0).any():
        marks[wording.term("placebo_gap", lang)] = _PLACEBO
    panels = [part for _, part in paths.groupby("cohort", sort=True)]
    started = wording.term("started_in", lang)
    titles = [started.format(year=f"{part['cohort'].iloc[0]:g}") if len(panels) > 1 else "" for part in panels]
    level = result.conf_level if result.fit.get("vcov") == "jackknife" else None
    caption = wording.caption(result.provenance, level, lang, marks="shading", notes=_notes(result, lang))
    with theme():
        heights = [_HEIGHT] * (len(panels) + 1)
        scale = wording.term("event_time", lang)
        sheet = Sheet(name, caption, heights, marks, [*titles, wording.term("synthetic_gap", lang)], scale, left=_LEFT)
        for axes, part in zip(sheet.axes, panels, strict=False):
            x = part["time"].astype(float)
            axes.plot(x, part["synthetic"], **_OTHER)
            axes.plot(x, part["treated"], **_OWN)
            _mark_start(axes, float(part.loc[part["event_time"] >= 0, "time"].iloc[0]), x)
        _draw_gaps(sheet.axes[-1], result, gaps)
    return Figure(sheet.canvas, _data(paths, gaps), name, caption)


def _gaps(result: Any) -> pd.DataFrame:
    """Return gaps by time since the start: set 0 the treated, then placebos."""
    since = result.keys["event_time"].notna().to_numpy()
    times = result.keys["event_time"][since].astype(float).to_numpy()
    drawn = [result.estimate[since]]
    if result.fit.get("vcov") == "placebo" and result.contributions is not None:
        drawn += list(result.contributions[:-1][:, since])
    return pd.DataFrame(
        {
            "set": np.repeat(np.arange(len(drawn)), len(times)),
            "event_time": np.tile(times, len(drawn)),
            "gap": np.concatenate(drawn),
        }
    )


def _draw_gaps(axes: Axes, result: Any, gaps: pd.DataFrame) -> None:
    for number, part in gaps.groupby("set"):
        style = _OWN if number == 0 else _PLACEBO
        axes.plot(part["event_time"], part["gap"], zorder=3 if number == 0 else 2, **style)
    if result.fit.get("vcov") == "jackknife":
        rows = result.tidy().dropna(subset=["event_time"])
        x = rows["event_time"].astype(float)
        axes.fill_between(x, rows["conf_low"], rows["conf_high"], color=BLUE, alpha=0.16, linewidth=0, zorder=1)
    axes.axhline(0, color=INK, linewidth=0.9, zorder=1)
    _mark_start(axes, 0.0, gaps["event_time"])


def _mark_start(axes: Axes, start: float, x: pd.Series[Any]) -> None:
    axes.axvline(start - 0.5, color=GREY, linewidth=1.0, linestyle=DASHED, zorder=1)
    upright(axes, (float(x.min()) - 0.5, float(x.max()) + 0.5))


def _notes(result: Any, lang: str) -> list[str]:
    error = float(result.std_error[0])
    places = wording.decimals(error) if np.isfinite(error) and error > 0 else 3
    shown = wording.number(float(result.estimate[0]), places)
    method = wording.verb_name(result.verb, lang)
    did = wording.number(float(result.estimate[1]), places)
    notes = [
        wording.term("synthetic_effect", lang).format(estimate=shown, method=method),
        wording.term("synthetic_effect", lang).format(estimate=did, method=wording.term("did", lang)),
    ]
    if result.verb == "synthetic_did":
        notes.append(wording.term("synthetic_moved", lang))
    if result.fit.get("of_respondents"):
        notes.append(wording.term("synthetic_sampling", lang))
    return notes


def _data(paths: pd.DataFrame, gaps: pd.DataFrame) -> pd.DataFrame:
    """Return paths, then gaps of placebos."""
    own = paths.assign(set=0)
    others = gaps[gaps["set"] > 0]
    return pd.concat([own, others], ignore_index=True) if len(others) else own


def _draw_weights(result: Any, title: str | None, lang: str) -> Figure:
    weights = result.weights()
    labels, place = result.provenance.labels, str(result.fit["cluster"])
    shown = weights[weights["weight"] >= _SMALL].copy()
    shown["label"] = [
        wording.value_label(place, name, labels, lang) if part == "donor" else
        wording.term_label(name, labels, lang) if part == "predictor" else name
        for part, name in zip(shown["part"], shown["name"], strict=True)
    ]  # fmt: skip
    ordered = shown["part"] == "wave"
    key = np.where(ordered, 0.0, -shown["weight"])
    shown = shown.assign(key=key).sort_values(["cohort", "part", "key"], kind="stable", ignore_index=True)
    several = shown["cohort"].nunique() > 1
    panels = [part for _, part in shown.groupby(["cohort", "part"], sort=False)]
    started = wording.term("started_in", lang)
    titles = []
    for part in panels:
        words = wording.term(f"{part['part'].iloc[0]}_weights", lang)
        titles.append(f"{started.format(year=format(part['cohort'].iloc[0], 'g'))}: {words}" if several else words)
    name = title or wording.term("synthetic_weights_title", lang)
    hidden = int((weights.loc[weights["part"] == "donor", "weight"] < _SMALL).sum())
    notes = [wording.term("zero_weights", lang).format(n=hidden)] if hidden else []
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    with theme():
        sheet = Sheet(name, caption, [list(map(str, part["label"])) for part in panels], {}, titles, "")
        for axes, part in zip(sheet.axes, panels, strict=True):
            at = np.arange(len(part))
            axes.hlines(at, 0, part["weight"], color=BLUE, linewidth=2.2)
            axes.plot(part["weight"], at, linestyle="none", marker="o", color=BLUE, markersize=6)
            axes.set_xlim(0, 1.08 * float(part["weight"].max()))
    return Figure(sheet.canvas, shown.drop(columns="key"), name, caption)


def draw_donor_placebos(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the gaps of the treated and of placebos, and the ratio of each.

    Parameters
    ----------
    result : DonorPlacebos
    title, lang
        As in ``plot``.

    Returns
    -------
    Figure
        Ratios stand as a row each where there are few placebos, else as bars of how many have which.
    """
    lang = wording.language_of(lang)
    rows = result.tidy().sort_values("ratio", ascending=False, kind="stable", ignore_index=True)
    name = title or wording.term("placebos_title", lang)
    p = wording.probability(float(result.p_value))
    notes = (f"{wording.term('p_value', lang)} {p if p.startswith('<') else '= ' + p}",)
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    labels: list[str] | float = DISTRIBUTION
    if len(rows) <= _MOST_ROWS:
        own, named = wording.term("treated_place", lang), zip(rows["places"], rows["is_treated"], strict=True)
        labels = [text if len(text) <= _LONGEST else own if treated else "…" for text, treated in named]
    as_bars = isinstance(labels, float)
    marks = {wording.term("treated_place", lang): _OWN, wording.term("placebo_gap", lang): _PLACEBO}
    with theme():
        titles = [wording.term("synthetic_gap", lang), wording.term("ratio", lang)]
        sheet = Sheet(name, caption, [_HEIGHT, labels], marks, titles, "", left=_LEFT if as_bars else None)
        for own, part in result.gaps.groupby("is_treated", sort=True):
            for _, line in part.groupby("places"):
                x = line["event_time"].astype(float)
                sheet.axes[0].plot(x, line["gap"], zorder=3 if own else 2, **(_OWN if own else _PLACEBO))
        sheet.axes[0].axhline(0, color=INK, linewidth=0.9, zorder=1)
        _mark_start(sheet.axes[0], 0.0, result.gaps["event_time"].astype(float))
        _draw_ratios(sheet.axes[1], rows, as_rows=isinstance(labels, list))
    return Figure(sheet.canvas, rows, name, caption)


def _draw_ratios(axes: Axes, rows: pd.DataFrame, *, as_rows: bool) -> None:
    own = rows["is_treated"].to_numpy()
    if as_rows:
        colours = [BLUE if treated else GREY for treated in own]
        axes.scatter(rows["ratio"], np.arange(len(rows)), color=colours, s=34, zorder=3)
    else:
        finite = rows["ratio"][np.isfinite(rows["ratio"])]
        axes.hist(finite[~own[finite.index]], bins=30, range=(0, float(finite.max())), color="#C9C9C9", zorder=2)
        if finite[own[finite.index]].size:
            axes.axvline(float(rows["ratio"][own].iloc[0]), color=BLUE, linewidth=2.2, zorder=3)
    axes.set_xlim(left=0)
