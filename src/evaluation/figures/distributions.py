"""Distributions: weights before and after adjustment, propensity scores of two groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation import wording
from evaluation.comparison.adjustment.propensity import LEAST
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DISTRIBUTION, GREY, INK, ORANGE, Figure, Sheet, same_scale, theme
from evaluation.results import Floats, Provenance


def draw_weights(
    before: Floats,
    after: Floats,
    provenance: Provenance,
    *,
    upper: float | None = None,
    title: str | None = None,
    lang: str | None = None,
) -> Figure:
    """Draw the distribution of weights before and after adjustment, one above the other.

    Parameters
    ----------
    before, after : ndarray, shape (n,)
        Weights of each respondent.
    provenance : Provenance
        For the caption.
    upper : float, optional
        Weight above which weights were trimmed, drawn as a line.
    title : str, optional
        Default: "Weights before and after adjustment".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        ``data`` holds the counts per bin, never a respondent's weight.
    """
    name = title or wording.term("weights_title", lang)
    caption = wording.caption(provenance, None, lang)
    edges = _bins(before, after)
    stages = {wording.term("before", lang): (before, GREY), wording.term("after", lang): (after, BLUE)}
    counts = {stage: np.histogram(weights, bins=edges)[0] for stage, (weights, _) in stages.items()}
    frames = [
        pd.DataFrame({"stage": stage, "bin_low": edges[:-1], "bin_high": edges[1:], "n": count})
        for stage, count in zip(("before", "after"), counts.values(), strict=True)
    ]
    line: dict[str, Any] = {"color": ORANGE, "linestyle": (0, (4, 2)), "linewidth": 1.6}
    marks = {f"{wording.term('limit', lang)}: {wording.plain_number(upper)}": line} if upper is not None else {}
    with theme():
        sheet = Sheet(
            name, caption, [DISTRIBUTION, DISTRIBUTION], marks, list(stages), wording.term("weight_scale", lang)
        )
        for axes, (stage, (_, colour)) in zip(sheet.axes, stages.items(), strict=True):
            axes.stairs(counts[stage], edges, fill=True, color=colour)
            axes.set_ylabel(wording.term("respondents", lang))
            axes.set_ylim(0, 1.06 * max(1, counts[stage].max()))
            if upper is not None:
                axes.axvline(upper, **line)
        same_scale(sheet.axes)
    return Figure(sheet.canvas, pd.concat(frames, ignore_index=True), name, caption)


def _bins(before: Floats, after: Floats) -> Floats:
    both = np.concatenate([before, after])
    low, high = min(0.0, float(both.min())), float(both.max())
    return np.linspace(low, high * 1.02 if high > low else low + 1.0, 41)


#: What the histogram of an overlap must have.
OVERLAP_COLUMNS = ("group", "score_low", "score_high", "n_obs", "share", "share_balanced")
_MIRRORED = 2.8


def draw_overlap(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw the propensity scores of participants upwards and of the others downwards, weighted.

    Parameters
    ----------
    result : Overlap
        Its ``histogram`` has the columns of ``OVERLAP_COLUMNS``, its ``groups`` participants first.
    title : str, optional
        Default: "Overlap of propensity scores: participants and others".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        ``data`` holds shares per bin of five or more respondents, never anyone's score. A merged bin is
        drawn as high as its mean, so that areas are shares.

    Raises
    ------
    PublishError
        A group is too small to be shown.
    """
    groups, bins = result.tidy(), result.histogram
    if "mark" in groups:
        raise PublishError("the scores of a group rest on too few respondents, so there is nothing that may be drawn.")
    data = bins.assign(role=np.where(bins["group"] == groups["group"].iloc[0], "participants", "others"))
    unit = float((data["score_high"] - data["score_low"]).min())
    name = title or wording.term("overlap_title", lang)
    notes = [f"{wording.term('estimand', lang)}: {result.estimand}", _effective(groups, lang)]
    notes += _support(groups, lang)
    notes.append(wording.term("least_bin", lang).format(least=LEAST))
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    fills: dict[str, dict[str, Any]] = {"participants": {"color": BLUE}, "others": {"color": "#BDBDBD"}}
    outline: dict[str, Any] = {"color": ORANGE, "linewidth": 1.6}
    changed = [role for role in fills if _is_changed(data[data["role"] == role])]
    marks = {wording.term(role, lang): {"marker": "s", "markersize": 9, **style} for role, style in fills.items()}
    marks |= {
        f"{wording.term(role, lang)}, {wording.term('balanced', lang)}": {"linestyle": "-", **outline}
        for role in changed[-1:]
    }
    with theme():
        sheet = Sheet(name, caption, [_MIRRORED], marks, [""], wording.term("propensity", lang))
        axes = sheet.axes[0]
        for role, sign in (("participants", 1), ("others", -1)):
            own = data[data["role"] == role]
            width = (own["score_high"] - own["score_low"]).to_numpy()
            edges = [*own["score_low"], own["score_high"].iloc[-1]]
            axes.stairs(sign * own["share"].to_numpy() * unit / width, edges, fill=True, zorder=2, **fills[role])
            if role in changed:
                axes.stairs(sign * own["share_balanced"].to_numpy() * unit / width, edges, zorder=3, **outline)
        axes.axhline(0, color=INK, linewidth=0.9, zorder=4)
        axes.set_ylabel(wording.term("group_share", lang))
        axes.yaxis.set_major_locator(MaxNLocator(6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(value):.10g}"))
        axes.set_xlim(0, float(data.loc[data["n_obs"] > 0, "score_high"].max()))
    return Figure(sheet.canvas, data.reset_index(drop=True), name, caption)


def _effective(groups: pd.DataFrame, lang: str | None) -> str:
    """Return the effective numbers under balancing weights in words."""
    counts = [
        f"{wording.term(role, lang)} {wording.number(ess)} / {wording.number(n)}"
        for role, ess, n in zip(("participants", "others"), groups["ess"], groups["n_obs"], strict=True)
    ]
    return f"{wording.term('ess', lang)} / n: {', '.join(counts)}"


def _support(groups: pd.DataFrame, lang: str | None) -> list[str]:
    """Return how many of each group have no counterpart, and the largest share of a weight, in words."""
    notes = []
    for key, column in (("outside_support", "share_outside"), ("largest_weight_share", "largest_weight_share")):
        if column in groups:
            few = groups["n_outside"] if column == "share_outside" else [""] * len(groups)
            shares = zip(("participants", "others"), groups[column], few, strict=True)
            told = [f"{wording.term(role, lang)} {_share_or_few(share, n)}" for role, share, n in shares]
            notes.append(f"{wording.term(key, lang)}: {', '.join(told)}")
    return notes


def _share_or_few(share: float, n: object) -> str:
    """Return a share in per cent, or that its respondents are few."""
    if np.isnan(share):
        return f"n {n}" if isinstance(n, str) and n else wording.ABSENT
    return f"{wording.number(100 * share, 1)}%"


def _is_changed(bins: pd.DataFrame) -> bool:
    return not np.allclose(bins["share"], bins["share_balanced"], rtol=0, atol=1e-9)
