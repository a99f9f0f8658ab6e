"""Distributions: weights before and after adjustment, propensity scores of two groups."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.figures.canvas import BLUE, DISTRIBUTION, GREY, ORANGE, Figure, Sheet, same_scale, theme
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
