"""Estimates as points with intervals, one row each, and known values beside them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation import project, wording
from evaluation.disclosure import meanings
from evaluation.errors import ColumnError, did_you_mean
from evaluation.figures.canvas import BLUE, DIAMOND, INK, Figure, Sheet, same_scale, theme
from evaluation.results import Estimates, Floats

#: Columns of a reference frame that may hold the known value.
_KNOWN = ("truth", "reference", "estimate", "value")


def draw_estimates(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Mapping[Any, float] | pd.DataFrame | None = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw estimates as points with their intervals; parameters as in ``plot``."""
    name = title or wording.estimates_title(result, lang)
    if wording.place_of(result, lang):
        result = replace(result, keys=result.keys[["term"]])  # the title says where
    alone = _apart_from_means(result)
    if alone and reference is None:
        result = result.take(np.array([0]))
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    rows = _arranged(result, lang).assign(reference=known)
    caption = wording.caption(result.provenance, result.conf_level, lang)
    caption = "; ".join((caption, *meanings([result], lang or project.language())))
    if alone and reference is None:
        caption += f"; {wording.term('means_not_drawn', lang)}"
    if result.verb == "oster_delta" and not (result.keys["quantity"] == "oster_delta").any():
        caption += f"; {wording.term('delta_not_drawn', lang)}"
    if (rows["estimate"].notna() & rows["conf_low"].isna()).any():
        caption += f"; {wording.term('no_bar', lang)}"
    if result.verb in _MODELS and not rows["is_intercept"].all():
        rows, dropped = rows[~rows["is_intercept"]], int(rows["is_intercept"].sum())
        caption += f"; {wording.term(_MODELS[result.verb], lang)}" if dropped else ""
    rows = rows.drop(columns="is_intercept").reset_index(drop=True)
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    marks = {diamond_name(reference, reference_label, lang): DIAMOND} if np.isfinite(known).any() else {}
    with theme():
        scale = wording.term(alone, lang) if alone else _scale_name(result, panels, lang)
        sheet = Sheet(name, caption, [_panel_labels(panel) for panel in panels], marks, _panel_titles(panels), scale)
        for axes, panel in zip(sheet.axes, panels, strict=True):
            _draw_intervals(axes, panel, zero=_is_against_zero(result))
        if result.verb in _SHARES | _BY_QUANTITY or _is_of_categories(result):
            same_scale(sheet.axes)
    return Figure(sheet.canvas, rows.drop(columns="is_single"), name, caption)


#: Measures of a comparison that are not on the scale of the means beside them.
_OTHER_SCALES = frozenset({"log_risk_ratio", "log_odds_ratio", "smd"})


def _apart_from_means(result: Estimates) -> str:
    """Return the measure of a comparison whose means cannot stand on its axis; else empty."""
    kinds = result.keys["quantity"].astype(str).tolist() if "quantity" in result.keys else []
    is_apart = len(kinds) == 3 and kinds[0] in _OTHER_SCALES and kinds[1:] == ["mean_participants", "mean_comparison"]
    return kinds[0] if is_apart else ""


#: Regressions, and what the caption says of the constants that are not drawn.
_MODELS = {"survey_glm": "no_intercept", "survey_multinomial": "no_intercept", "survey_ordinal": "no_thresholds"}
_SHARES = frozenset({"survey_prop"})
#: A panel for each quantity, in which variables and their categories are compared.
_BY_QUANTITY = frozenset({"partial_r_indicators", "cronbach_alpha"})


def _is_of_categories(result: Estimates) -> bool:
    """Tell whether the rows are probabilities of a regression's categories, to be compared with each other."""
    return result.verb in {"predictions", "predictive_margins"} and "level" in result.keys


def _is_against_zero(result: Estimates) -> bool:
    """Tell whether every estimate is a difference or a logarithm of a ratio."""
    differences = {"difference", "log_risk_ratio", "log_odds_ratio", "smd"}
    return result.verb in wording.AGAINST_ZERO or (
        "quantity" in result.keys and bool(result.keys["quantity"].isin(differences).all())
    )


def _arranged(result: Estimates, lang: str | None) -> pd.DataFrame:
    """Return ``tidy()`` with the panel and the row in which each estimate is drawn."""
    keys = result.keys.reset_index(drop=True)
    words = wording.result_keys(result, lang)
    if "strength" in words:
        words["strength"] = wording.term("strength", lang) + ": " + words["strength"]
    by = [column for column in words if column not in {"term", "level"} and (words[column] != "").any()]
    by = [column for column in by if column != "quantity" or words[column].nunique() > 1]
    level = words["level"] if "level" in words else pd.Series([""] * len(words))
    tidy = result.tidy().reset_index(drop=True)
    if result.verb == "predictive_margins" and "outcome" in result.fit:
        # The panel is what is predicted; what the covariate was set to stands in the rows.
        words["term"] = wording.term_label(result.fit["outcome"], result.provenance.labels, lang)
    if result.verb in _BY_QUANTITY:
        row, panel = _by_quantity(words.assign(level=level))
    elif result.verb == "marginal_effects":
        row, panel = _by_effect(words, level)
    elif by:
        row = words[by].apply(lambda cells: " · ".join(filter(None, cells)), axis=1)
        panel = words["term"].where(level == "", words["term"] + ": " + level)
    elif (level != "").any():
        row, panel = level.where(level != "", words["term"]), words["term"]
    else:
        row = words["term"]
        panel = pd.Series([""] * len(words)) if _one_scale(tidy) else words["term"]
    intercept = [_is_constant(result.verb, str(term)) for term in keys["term"]]
    single = not by and not (level != "").any()
    if "overall" in set(keys["term"]) and result.verb == "aggregate":
        overall = keys["term"] == "overall"
        row = row.mask(overall, wording.term("overall", lang))
        panel = panel.mask(overall, next(iter(panel[~overall]), ""))
    if "mark" in tidy:
        row = (row + " " + tidy["mark"]).str.rstrip()
    return tidy.assign(panel=panel, row=row, is_intercept=intercept, is_single=single)


def _is_constant(verb: str, name: str) -> bool:
    """Tell whether a coefficient is an intercept or a threshold."""
    is_threshold = verb == "survey_ordinal" and "|" in name
    return is_threshold or name.strip("()").lower() in {"intercept", "const"}


def _by_effect(words: pd.DataFrame, level: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return a panel for each effect, with a row for each category of the outcome; or a row for each effect."""
    groups = [column for column in words if column not in {"term", "level", "contrast"}]
    effect = words["term"] + ": " + words["contrast"]
    is_split = bool((level != "").any())
    rows = words[groups].assign(named=level if is_split else effect)[["named", *groups]]
    row = rows.apply(lambda cells: " · ".join(filter(None, cells)), axis=1)
    return row, effect if is_split else words["term"]


def _by_quantity(words: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Return rows named by variable and category (and groups), and panels named by quantity."""
    groups = [column for column in words if column not in {"term", "level", "quantity"}]
    named = words["term"].where(words["level"] == "", words["term"] + ": " + words["level"])
    rows = words[groups].assign(named=named)[["named", *groups]]
    return rows.apply(lambda cells: " · ".join(filter(None, cells)), axis=1), words["quantity"]


def _one_scale(tidy: pd.DataFrame) -> bool:
    """Tell whether every interval is wide enough to be seen on one common axis."""
    low = tidy["conf_low"].fillna(tidy["estimate"])
    high = tidy["conf_high"].fillna(tidy["estimate"])
    widths, span = (high - low).to_numpy(), float(high.max() - low.min())
    return len(tidy) == 1 or not span > 0 or bool(np.nanmin(widths) > 0.04 * span)


def reference_values(result: Estimates, reference: Mapping[Any, float] | pd.DataFrame) -> Floats:
    """Return the known value of each estimate, NaN where there is none, shape (k,).

    Raises
    ------
    ColumnError
        Where a named row does not exist, or a frame cannot be matched.
    """
    if isinstance(reference, pd.DataFrame):
        return _reference_from_frame(result.keys, reference)
    addresses = result.addresses()
    for address in reference:
        if address not in addresses:
            raise ColumnError(
                f"reference names '{address}', which is no row of the estimates. {did_you_mean(address, addresses)}"
            )
    return np.array([reference.get(address, math.nan) for address in addresses], dtype=float)


def diamond_name(reference: Mapping[Any, float] | pd.DataFrame | None, label: str | None, lang: str | None) -> str:
    """Return what the diamonds of known values are called in the legend."""
    truth = isinstance(reference, pd.DataFrame) and "truth" in reference
    return label or wording.term("truth" if truth else "reference", lang)


def _reference_from_frame(keys: pd.DataFrame, frame: pd.DataFrame) -> Floats:
    shared = [column for column in keys.columns if column in frame.columns]
    values = [column for column in _KNOWN if column in frame.columns]
    if not shared or not values:
        raise ColumnError(
            f"reference has the columns {list(map(str, frame.columns))}; expected "
            f"some of {list(map(str, keys.columns))} and one of {', '.join(_KNOWN)}."
        )
    if frame.duplicated(shared).any():
        twice = frame[frame.duplicated(shared, keep=False)]
        raise ColumnError(
            f"reference gives several values for the same {', '.join(map(str, shared))}; keep one.", failures=twice
        )
    right = frame[[*shared, values[0]]].rename(columns={values[0]: "_known"})
    left = keys[shared].astype(object).reset_index(drop=True)
    found = left.merge(right.astype(dict.fromkeys(shared, object)), on=shared, how="left")["_known"]
    if found.isna().all():
        raise ColumnError(
            f"reference has no value for any estimate; rows are matched by {', '.join(map(str, shared))}."
        )
    return found.to_numpy(dtype=float)


def _panel_labels(panel: pd.DataFrame) -> list[str]:
    return [str(label) for label in panel["row"]]


def _panel_titles(panels: list[pd.DataFrame]) -> list[str]:
    """One panel is named by its axis; a panel of one row by the row."""
    if len(panels) == 1 or all(panel["is_single"].all() for panel in panels):
        return [""] * len(panels)
    return [str(panel["panel"].iloc[0]) for panel in panels]


def _scale_name(result: Estimates, panels: list[pd.DataFrame], lang: str | None) -> str:
    what = wording.term("share", lang) if result.verb in _SHARES else wording.verb_name(result.verb, lang)
    subject = str(panels[0]["panel"].iloc[0]) if len(panels) == 1 else ""
    return f"{subject}: {what}" if subject else what


def _draw_intervals(axes: Axes, panel: pd.DataFrame, *, zero: bool) -> None:
    places = np.arange(len(panel))
    if zero:
        axes.axvline(0, color=INK, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
        axes.plot([0.0], [0.0], linestyle="none")  # keeps the line off the edge
    axes.hlines(places, panel["conf_low"], panel["conf_high"], color=BLUE, linewidth=2.2, zorder=2)
    axes.plot(panel["estimate"], places, linestyle="none", marker="o", markersize=6.5, color=BLUE, zorder=3)
    axes.plot(panel["reference"], places, linestyle="none", markersize=7, zorder=4, **DIAMOND)
