"""One verb that draws any result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from evaluation.errors import PublishError
from evaluation.figures.canvas import Figure
from evaluation.figures.comparison import BALANCE_COLUMNS, MARGIN_COLUMNS, draw_balance, draw_margins
from evaluation.figures.distributions import OVERLAP_COLUMNS, draw_overlap, draw_weights
from evaluation.figures.events import draw_events, draw_group_time
from evaluation.figures.intervals import draw_estimates
from evaluation.figures.ladder import draw_ladder
from evaluation.results import Estimates


def plot(
    result: Any,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | float | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw a result: estimates as points with intervals, weights as distributions, margins as dots.

    Parameters
    ----------
    result : Estimates, or a summary of weights, or a comparison of margins
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
    limit = float(reference) if isinstance(reference, (int, float)) else None
    if isinstance(result, Estimates):
        known = None if isinstance(reference, (int, float)) else reference
        if limit is not None:
            raise PublishError("beside estimates, reference is a mapping of rows to values or a frame, not one number.")
        draw = _drawn_by(set(map(str, result.keys.columns)))
        return draw(result, title=title, lang=lang, reference=known, reference_label=reference_label)
    if reference is not None and limit is None:
        raise PublishError("known values can be drawn beside estimates only; leave reference out here.")
    if all(hasattr(result, name) for name in ("weights_before", "weights_after", "provenance")):
        before, after = result.weights_before, result.weights_after
        return draw_weights(before, after, result.provenance, upper=limit, title=title, lang=lang)
    if set(OVERLAP_COLUMNS) <= set(getattr(getattr(result, "histogram", None), "columns", ())):
        return draw_overlap(result, title=title, lang=lang)
    frame = result.tidy() if hasattr(result, "tidy") and hasattr(result, "provenance") else pd.DataFrame()
    if set(MARGIN_COLUMNS) <= set(frame.columns):
        return draw_margins(frame, result.provenance, title=title, lang=lang)
    if set(BALANCE_COLUMNS) <= set(frame.columns):
        return draw_balance(result, title=title, lang=lang)
    raise PublishError(
        f"expected estimates, a weight summary or a margin comparison to draw, got {type(result).__name__}. "
        "Draw what an estimating verb returned; ev.table shows any frame."
    )


def _drawn_by(keys: set[str]) -> Callable[..., Figure]:
    """Return who draws estimates with these key columns."""
    if "event_time" in keys:
        return draw_events
    if {"cohort", "time"} <= keys:
        return draw_group_time
    if {"term", "method"} <= keys or {"term", "part"} <= keys:
        return draw_ladder
    return draw_estimates
