"""One verb that draws any result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import pandas as pd

from evaluation.disclosure import shown
from evaluation.errors import ColumnError, PublishError
from evaluation.figures.area_map import draw_area_map
from evaluation.figures.bacon import draw_bacon, is_bacon
from evaluation.figures.benchmark import draw_benchmark
from evaluation.figures.canvas import Figure
from evaluation.figures.comparison import BALANCE_COLUMNS, MARGIN_COLUMNS, draw_balance, draw_margins, draw_methods
from evaluation.figures.credibility import draw_layers, draw_missing
from evaluation.figures.decomposition import draw_decomposition
from evaluation.figures.diagnostics import DESIGN_EFFECT_COLUMNS, draw_design_effects
from evaluation.figures.distributions import OVERLAP_COLUMNS, draw_overlap, draw_weights
from evaluation.figures.dose import draw_dose
from evaluation.figures.dose_curve import draw_dose_curve
from evaluation.figures.events import draw_events, draw_group_time
from evaluation.figures.forest import MARGIN_TEST_COLUMNS, draw_margin_test, draw_subgroups
from evaluation.figures.funnel import draw_funnel, is_funnel
from evaluation.figures.honest import draw_honest, is_honest
from evaluation.figures.intervals import draw_estimates
from evaluation.figures.ladder import draw_ladder
from evaluation.figures.likert import draw_likert
from evaluation.figures.planning import draw_rollout_mde, draw_rollout_power
from evaluation.figures.power import draw_power
from evaluation.figures.randomization import draw_left_out, draw_resampled, is_left_out, is_resampled
from evaluation.figures.rollout import (
    CELL_COLUMNS,
    STAGE_COLUMNS,
    draw_rollout_heatmap,
    draw_rollout_map,
    draw_rollout_timeline,
)
from evaluation.figures.sensitivity import draw_sensitivity, is_sensitivity
from evaluation.figures.synthetic_control import (
    PLACEBO_COLUMNS,
    draw_donor_placebos,
    draw_synthetic,
    is_synthetic,
)
from evaluation.figures.trends import draw_trend
from evaluation.results import REFUSED_IN_CLAIMS, Estimates


def plot(
    result: Any,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | float | None = None,
    reference_label: str | None = None,
    time: str | None = None,
    breaks: Mapping[Any, str] | None = None,
    kind: Literal["map", "timeline", "heatmap", "path", "weights"] | None = None,
) -> Figure:
    """Draw a result, by what it is: one figure for each kind of result.

    Estimates are points with intervals: a row each, or a ladder (key ``method`` or ``part``), an event study
    (``event_time``), a panel per cohort (``cohort`` and ``time``), a trend (``survey_trend``, or ``time=``). Weights
    and propensity scores are distributions, margins and covariates dots. Answers to an ordered item are diverging bars:
    of one ``likert_difference``, or of a mapping such as ``{"raw": ..., "adjusted": ...}``.

    Parameters
    ----------
    result : Estimates, WeightSummary, MarginComparison, SampleBalance, DesignEffects, BalanceTable, Overlap, and others
        What is drawn.
    title : str, optional
        Default: what is estimated, of what, by what.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    reference : mapping, pandas.DataFrame or float, optional
        Beside weights a number: the limit at which they were trimmed. Beside estimates known
        values, drawn as open diamonds: a mapping goes from a row's address
        (``Estimates.addresses()``, e.g. ``"api00 | stype=H"``) to a number; a frame has some of the
        key columns and one column ``reference``, ``estimate`` or ``value``.
    reference_label : str, optional
        What the diamonds are, for the legend.
    time : str, optional
        Key column of the waves: draws estimates as a trend. Known already of what ``survey_trend`` returned.
    breaks : mapping of wave to str, optional
        Beside ``time``: first wave of a new wording to what changed.
    kind : {"map", "timeline", "heatmap", "path", "weights"}, optional
        Of a roll-out: where it had come by each date (default), plan against outcome over time, or districts by
        waves. Of a synthetic control: its path (default), or its weights. Of estimates by district, or of a funnel,
        "map" draws a tile per district.

    Returns
    -------
    Figure

    Raises
    ------
    PublishError
        For something that cannot be drawn.
    ColumnError
        Where ``reference`` names nothing that is estimated.
    """
    is_rollout = all(hasattr(result, name) for name in ("cells", "stages", "provenance"))
    if is_synthetic(result):
        return draw_synthetic(result, kind=kind, title=title, lang=lang)
    if kind == "map" and (is_funnel(result) or (isinstance(result, Estimates) and "district" in result.keys)):
        return draw_area_map(result, title=title, lang=lang)
    if kind is not None and not is_rollout:
        raise PublishError(
            f"kind belongs to a roll-out, and kind='map' to estimates by 'district' too, got {type(result).__name__}; "
            "leave it out here."
        )
    limit = float(reference) if isinstance(reference, (int, float)) else None
    if _is_of_benchmarks(result):
        return draw_benchmark(result, title=title, lang=lang)
    if is_funnel(result):
        return draw_funnel(result, title=title, lang=lang)
    if is_bacon(result):
        return draw_bacon(result, title=title, lang=lang)
    if is_honest(result):
        return draw_honest(result, title=title, lang=lang)
    if is_resampled(result):
        return draw_resampled(result, title=title, lang=lang)
    if is_left_out(result):
        return draw_left_out(result, title=title, lang=lang)
    if is_sensitivity(result):
        return draw_sensitivity(result, title=title, lang=lang)
    several = list(result.values()) if isinstance(result, Mapping) else [result]
    if any(getattr(one, "verb", "") == "likert_difference" for one in several):
        return draw_likert(result, title=title, lang=lang)
    if isinstance(result, Mapping) and len(several) == 1:
        result = several[0]
    if isinstance(result, Estimates) and result.verb == "dose_response":
        return draw_dose(result, title=title, lang=lang)
    if isinstance(result, Estimates):
        result = shown(result)
        known = None if isinstance(reference, (int, float)) else reference
        if limit is not None:
            raise PublishError("beside estimates, reference is a mapping of rows to values or a frame, not one number.")
        over_time = time or (str(result.fit["time"]) if result.verb == "survey_trend" else None)
        if over_time is not None:
            return draw_trend(
                result, time=over_time, breaks=breaks, title=title, lang=lang, reference=known,
                reference_label=reference_label,
            )  # fmt: skip
        draw = _drawn_by(set(map(str, result.keys.columns)))
        drawn = draw(result, title=title, lang=lang, reference=known, reference_label=reference_label)
        return replace(drawn, is_refused=True) if result.fit.get(REFUSED_IN_CLAIMS) else drawn
    if is_rollout:
        return _draw_rollout(result, kind, title, lang)
    if time is not None or breaks is not None:
        raise PublishError("time and breaks belong to a trend of estimates; leave them out here.")
    if reference is not None and limit is None:
        raise PublishError("known values can be drawn beside estimates only; leave reference out here.")
    if all(hasattr(result, name) for name in ("weights_before", "weights_after", "provenance")):
        before, after = result.weights_before, result.weights_after
        return draw_weights(before, after, result.provenance, upper=limit, title=title, lang=lang)
    if set(OVERLAP_COLUMNS) <= set(getattr(getattr(result, "histogram", None), "columns", ())):
        return draw_overlap(result, title=title, lang=lang)
    frame = result.tidy() if hasattr(result, "tidy") and hasattr(result, "provenance") else pd.DataFrame()
    if set(PLACEBO_COLUMNS) <= set(frame.columns):
        return draw_donor_placebos(result, title=title, lang=lang)
    if set(MARGIN_COLUMNS) <= set(frame.columns):
        return draw_margins(frame, result.provenance, title=title, lang=lang)
    if all(hasattr(result, name) for name in ("by_method", "verdicts", "estimands")):
        return draw_methods(result, title=title, lang=lang)
    if set(BALANCE_COLUMNS) <= set(frame.columns):
        return draw_balance(result, title=title, lang=lang)
    if {"layer", "sample", "variance"} <= set(frame.columns):
        return draw_layers(result, title=title, lang=lang)
    if all(hasattr(result, name) for name in ("response", "breakdown", "lowest")):
        return draw_missing(result, title=title, lang=lang)
    if all(hasattr(result, name) for name in ("power_curve", "correlations", "frame")):
        return draw_rollout_mde(result, title=title, lang=lang)
    if all(hasattr(result, name) for name in ("permutations", "correlations", "frame")):
        return draw_rollout_power(result, title=title, lang=lang)
    if all(hasattr(result, name) for name in ("curve", "power", "solved_for")):
        return draw_power(result, title=title, lang=lang)
    if set(MARGIN_TEST_COLUMNS) <= set(frame.columns):
        return draw_margin_test(result, title=title, lang=lang)
    if set(DESIGN_EFFECT_COLUMNS) <= set(frame.columns):
        return draw_design_effects(result, title=title, lang=lang)
    raise PublishError(
        f"expected estimates, a weight summary or a margin comparison to draw, got {type(result).__name__}. "
        "Draw what an estimating verb returned; ev.table shows any frame."
    )


def _is_of_benchmarks(result: Any) -> bool:
    """Tell whether a result, or each of several, holds an estimate against a published figure."""
    several = list(result.values()) if isinstance(result, Mapping) else [result]
    return bool(several) and all(
        isinstance(one, Estimates) and one.verb == "benchmark_difference" and "benchmark" in one.fit for one in several
    )


def _draw_rollout(rollout: Any, kind: str | None, title: str | None, lang: str | None) -> Figure:
    for frame, needed in ((rollout.cells, CELL_COLUMNS), (rollout.stages, STAGE_COLUMNS)):
        absent = [name for name in needed if name not in frame.columns]
        if absent:
            raise ColumnError(f"a roll-out needs the columns {', '.join(needed)}; missing: {', '.join(absent)}.")
    drawings = {None: draw_rollout_map, "map": draw_rollout_map, "timeline": draw_rollout_timeline}
    drawings["heatmap"] = draw_rollout_heatmap
    if kind not in drawings:
        raise PublishError(f"kind must be 'map' or 'timeline', or 'heatmap', got {kind!r}.")
    draw = drawings[kind]
    return draw(rollout, title=title, lang=lang)


def _drawn_by(keys: set[str]) -> Callable[..., Figure]:
    """Return who draws estimates with these key columns."""
    if {"subgroup", "level", "method"} <= keys:
        return draw_subgroups
    if keys == {"term", "dose"}:
        return draw_dose_curve
    if "event_time" in keys:
        return draw_events
    if {"cohort", "time"} <= keys:
        return draw_group_time
    if {"term", "part"} <= keys:
        return draw_decomposition
    if {"term", "method"} <= keys:
        return draw_ladder
    return draw_estimates
