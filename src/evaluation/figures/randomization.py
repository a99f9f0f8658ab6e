"""An estimate beside what it would have been: in other orders of the roll-out, and without each cluster."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from evaluation import wording
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, Figure, Sheet, theme
from evaluation.impact.clusters.resampled import named

#: Height of the histogram, in inches, and its bins.
HISTOGRAM, BINS = 2.3, 41
#: What leave-one-out estimates must have.
LEFT_OUT_COLUMNS = ("estimate", "change")
_BARS: dict[str, Any] = {"color": "#BDBDBD"}
_BEYOND: dict[str, Any] = {"color": BLUE}
_OBSERVED: dict[str, Any] = {"color": ORANGE, "linewidth": 1.8, "linestyle": "-"}
_MIRRORED: dict[str, Any] = {"color": ORANGE, "linewidth": 1.2, "linestyle": DASHED}
_DOT: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 6}
_FAR: dict[str, Any] = {"marker": "o", "color": ORANGE, "markersize": 6.5}
_WHOLE: dict[str, Any] = {"color": GREY, "linewidth": 1.2, "linestyle": "-"}
_ZERO: dict[str, Any] = {"color": INK, "linewidth": 0.9, "linestyle": DASHED}


def is_resampled(result: Any) -> bool:
    """Tell whether a result is a test against draws."""
    return all(hasattr(result, name) for name in ("distribution", "p_strict", "p_weak", "convention"))


def is_left_out(result: Any) -> bool:
    """Tell whether a result shows estimates without each cluster."""
    frame = getattr(result, "frame", None)
    return isinstance(frame, pd.DataFrame) and set(LEFT_OUT_COLUMNS) <= set(frame.columns)


def draw_resampled(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the statistic in every draw or order of the roll-out, and the observed one.

    Parameters
    ----------
    result : ResampledTest
        From ``randomization_inference`` or ``wild_cluster_bootstrap``.
    title : str, optional
        Default: what was done, of what.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Draws as far from zero as the observed one stand in colour; ``data`` holds the counts per bin.

    Raises
    ------
    PublishError
        The estimate rests on too few respondents to be shown.
    """
    if result.mark:
        raise PublishError("the estimate rests on too few respondents, so there is nothing that may be drawn.")
    drawn, observed = result.distribution[np.isfinite(result.distribution)] / _unit(result), float(result.statistic)
    edges = _edges(drawn, observed)
    limit = float(edges[-1])
    clipped = np.clip(drawn, -limit, limit)
    far = np.abs(drawn) >= abs(observed) * (1 - 1e-9)
    counts = {"beyond": np.histogram(clipped[far], edges)[0], "all": np.histogram(clipped, edges)[0]}
    data = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "n": counts["all"], "n_beyond": counts["beyond"]})
    kind = "orders" if result.verb == "randomization_inference" else "redraws"
    name = title or wording.term(f"{kind}_title", lang).format(term=result.subject(wording.language_of(lang)))
    words = {"p": wording.probability(result.p_value), "n": f"{result.n_draws:,}"}
    notes = [wording.term(f"{kind}_note", lang).format(**words).replace("p = ", "p\u00a0=\u00a0")]
    if np.abs(drawn).max() > limit:
        notes.append(wording.term("draws_at_ends", lang))
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    square = {"marker": "s", "markersize": 9}
    marks = {
        wording.term(f"{kind}_all", lang): {**square, **_BARS},
        wording.term(f"{kind}_beyond", lang): {**square, **_BEYOND},
        wording.term("observed", lang): _OBSERVED,
    }
    scale = "estimate" if result.facts.get("statistic") == "coefficient" else "statistic"
    with theme():
        sheet = Sheet(name, caption, [HISTOGRAM], marks, [""], wording.capital(wording.term(scale, lang)))
        axes = sheet.axes[0]
        axes.stairs(counts["all"], edges, fill=True, zorder=2, **_BARS)
        axes.stairs(counts["beyond"], edges, fill=True, zorder=3, **_BEYOND)
        axes.axvline(observed, zorder=4, **_OBSERVED)
        axes.axvline(-observed, zorder=4, **_MIRRORED)
        axes.set_ylabel(wording.term(f"{kind}_count", lang))
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_ylim(0, 1.06 * max(1, counts["all"].max()))
        axes.set_xlim(-limit, limit)
    return Figure(sheet.canvas, data, name, caption)


def _unit(result: Any) -> float:
    """Return by what the draws are divided to stand beside the statistic as it is printed."""
    return float(np.sqrt(result.facts["factor"])) if result.facts.get("small_sample") == "both" else 1.0


def _edges(drawn: Any, observed: float) -> Any:
    """Return edges of bins that hold all but a few far draws; the observed statistic and its mirror are edges."""
    most = float(np.quantile(np.abs(drawn), 0.995)) if len(drawn) > 200 else float(np.abs(drawn).max())
    limit, size = 1.08 * max(most, abs(observed), 1e-12), abs(observed) * (1 - 1e-9)
    inner = max(1, round(BINS / 2 * size / limit))
    step = size / inner if size > limit / BINS else 2 * limit / BINS
    return step * np.arange(-np.ceil(limit / step), np.ceil(limit / step) + 1)


def draw_left_out(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the first estimate of a result without each cluster, from the smallest to the largest.

    Parameters
    ----------
    result : LeaveOneOut
        From ``leave_one_out``.
    title : str, optional
        Default: "Without each cluster", of what.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A line marks the estimate from all clusters; the dot farthest from it stands in colour.

    Raises
    ------
    PublishError
        No estimate exists without a cluster.
    """
    frame = result.frame
    cluster = str(frame.columns[list(frame.columns).index("estimate") - 1])
    keys = [str(column) for column in frame.columns[: list(frame.columns).index(cluster)]]
    labels, first = result.provenance.labels, frame[keys].iloc[0].to_dict()
    rows = frame.iloc[: _rows_alike(frame[keys])]
    there = rows["estimate"].notna()
    if not there.any():
        raise PublishError("no estimate exists without any one of the clusters, so there is nothing to draw.")
    shown = rows[there].sort_values(["estimate", cluster], ignore_index=True)
    whole = float((shown["estimate"] - shown["change"]).iloc[0])
    name = title or wording.term("left_out_title", lang).format(
        term=named(first, result.provenance, wording.language_of(lang), result.outcome)
    )
    notes = [wording.term("left_out_note", lang).format(all=f"{whole:.4g}", n=len(shown))]
    if not there.all():
        gone = ", ".join(wording.value_label(cluster, own, labels, lang) for own in rows.loc[~there, cluster])
        notes.append(wording.term("left_out_gone", lang).format(clusters=gone))
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    words = [wording.value_label(cluster, own, labels, lang) for own in shown[cluster]]
    marks = {
        wording.term("without_cluster", lang).format(cluster=wording.heading(cluster, labels, lang)): _DOT,
        wording.term("farthest", lang): _FAR,
        wording.term("from_all", lang): _WHOLE,
    }
    with theme():
        sheet = Sheet(name, caption, [words], marks, [""], wording.capital(wording.term("estimate", lang)))
        axes, places = sheet.axes[0], np.arange(len(shown))
        far = int(np.argmax(shown["change"].abs()))
        axes.hlines(places, whole, shown["estimate"], color=GREY, linewidth=0.9, zorder=2)
        axes.plot(shown["estimate"], places, linestyle="none", zorder=3, **_DOT)
        axes.plot(shown["estimate"].iloc[[far]], [far], linestyle="none", zorder=4, **_FAR)
        axes.axvline(whole, zorder=1.5, **_WHOLE)
        low, high = axes.get_xlim()
        if low - (high - low) / 2 < 0 < high + (high - low) / 2:
            axes.axvline(0, zorder=1, **_ZERO)
    return Figure(sheet.canvas, shown.assign(row=words), name, caption)


def _rows_alike(keys: pd.DataFrame) -> int:
    """Return how many rows, from the first on, have the keys of the first."""
    text = [tuple(map(str, row)) for row in keys.itertuples(index=False, name=None)]
    return next((place for place, row in enumerate(text) if row != text[0]), len(text))
