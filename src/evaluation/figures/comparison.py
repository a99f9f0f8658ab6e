"""Two groups side by side: a sample and its population, participants and others."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from evaluation import wording
from evaluation.comparison.adjustment.balance import SMD_LIMIT, SURVEY, UNWEIGHTED
from evaluation.comparison.adjustment.balance_layout import method_name, row_name
from evaluation.errors import ColumnError
from evaluation.figures.canvas import BLUE, DASHED, DIAMOND, GREY, INK, ORANGE, Figure, Sheet, same_scale, theme
from evaluation.results import Provenance

MARGIN_COLUMNS = ("margin", "level", "target", "before", "after")
#: Shares that differ by less were not changed by weighting.
_SAME_SHARE = 1e-9
#: A margin of more levels is no picture any more; the caption names it.
MOST_LEVELS = 40


def draw_margins(
    frame: pd.DataFrame, provenance: Provenance, *, title: str | None = None, lang: str | None = None
) -> Figure:
    """Draw each level's share under the first and the final weights beside its share in the population.

    Parameters
    ----------
    frame : pandas.DataFrame
        Columns ``margin``, ``level``, ``target``, ``before``, ``after``; shares 0 to 1.
    provenance : Provenance
        For caption and labels.
    title : str, optional
        Default: "Sample before and after weighting, and population"; where weighting changed nothing,
        "Sample under design weights, and population", with one mark for the sample.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        A margin of more than 40 levels is not drawn, unless it is the only one; the caption names it and ``data``
        holds it.
    """
    missing = [column for column in MARGIN_COLUMNS if column not in frame.columns]
    if missing:
        raise ColumnError(f"a margin figure needs the columns {', '.join(MARGIN_COLUMNS)}; missing: {missing}.")
    one = bool(np.allclose(frame["before"], frame["after"], rtol=0, atol=_SAME_SHARE))
    name = title or wording.term("sample_title" if one else "margins_title", lang)
    keys = frame[["margin", "level"]].rename(columns={"margin": "term"}).reset_index(drop=True)
    words = wording.label_keys(keys, provenance.labels, lang)
    data = frame.reset_index(drop=True).assign(panel=words["term"], row=words["level"])
    every = [panel for _, panel in data.groupby("panel", sort=False)]
    panels = [panel for panel in every if len(panel) <= MOST_LEVELS] or every
    left_out = [str(panel["panel"].iloc[0]) for panel in every if not any(panel is drawn for drawn in panels)]
    notes = [f"{wording.term('not_drawn', lang)}: {', '.join(left_out)}"] if left_out else []
    caption = wording.caption(provenance, None, lang, notes=notes)
    dots: dict[str, dict[str, Any]] = {
        **({} if one else {"before": {"marker": "o", "color": GREY, "markersize": 6}}),
        "after": {"marker": "o", "color": BLUE, "markersize": 6},
        "target": {"markersize": 9, **DIAMOND},
    }
    words_of = {"after": "sample"} if one else {}
    marks = {wording.term(words_of.get(column, column), lang): style for column, style in dots.items()}
    with theme():
        titles = [str(panel["panel"].iloc[0]) for panel in panels]
        labels = [panel["row"].astype(str).tolist() for panel in panels]
        sheet = Sheet(name, caption, labels, marks, titles, wording.term("share", lang))
        for axes, panel in zip(sheet.axes, panels, strict=True):
            places = np.arange(len(panel))
            axes.hlines(places, panel["before"], panel["after"], color=GREY, linewidth=1.2, zorder=1)
            for column, style in dots.items():
                axes.plot(panel[column], places, linestyle="none", zorder=3, **style)
        same_scale(sheet.axes)
    return Figure(sheet.canvas, data, name, caption)


BALANCE_COLUMNS = ("covariate", "level", "smd_raw", "smd_weighted", "denominator")


def draw_balance(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw how far participants and others, or sample and population, differ before and after weighting (love plot).

    Parameters
    ----------
    result : BalanceTable or SampleBalance
        Its ``tidy()`` has the columns ``covariate, level, smd_raw, smd_weighted, denominator``; what has no
        ``estimand`` compares a sample with its population.
    title : str, optional
        Default: "Differences in covariates before and after weighting", or "Sample less population before and after
        weighting".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        The caption names the standard deviation that divides the differences. Of a sample and its population,
        variables of more than 40 levels are not drawn, unless there are no others; the caption names them.
    """
    frame = result.tidy()[list(BALANCE_COLUMNS)].reset_index(drop=True)
    of_groups = hasattr(result, "estimand")
    frame, notes = (
        (frame, [f"{wording.term('estimand', lang)}: {result.estimand}"])
        if of_groups
        else _drawable(frame, result.provenance, lang)
    )
    name = title or wording.term("love_title" if of_groups else "sample_love_title", lang)
    notes += [wording.term(f"denominator_{divisor}", lang) for divisor in frame["denominator"].unique()]
    caption = wording.caption(result.provenance, None, lang, notes=notes)
    keys = frame[["covariate", "level"]].rename(columns={"covariate": "term"})
    words = wording.label_keys(keys, result.provenance.labels, lang)
    rows = [f"{term}: {level}" if level else term for term, level in zip(words["term"], words["level"], strict=True)]
    data = frame.assign(row=rows, abs_smd_raw=frame["smd_raw"].abs(), abs_smd_weighted=frame["smd_weighted"].abs())
    limit: dict[str, Any] = {"color": INK, "linestyle": DASHED, "linewidth": 1.0}
    dots: dict[str, dict[str, Any]] = {
        "raw": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 6.5},
        "weighted": {"marker": "o", "color": BLUE, "markersize": 6.5},
    }
    marks = {
        wording.term("raw" if of_groups else "before", lang): dots["raw"],
        wording.term("balanced" if of_groups else "after", lang): dots["weighted"],
        wording.term("smd_limit", lang): limit,
    }
    with theme():
        sheet = Sheet(name, caption, [rows], marks, [""], wording.term("abs_smd", lang))
        axes, places = sheet.axes[0], np.arange(len(data))
        axes.axvline(SMD_LIMIT, zorder=1, **limit)
        axes.hlines(places, data["abs_smd_raw"], data["abs_smd_weighted"], color=GREY, linewidth=1.2, zorder=2)
        for column, style in dots.items():
            axes.plot(data[f"abs_smd_{column}"], places, linestyle="none", zorder=3, **style)
        widest = max(1.2 * SMD_LIMIT, float(np.nanmax(data[["abs_smd_raw", "abs_smd_weighted"]])))
        axes.set_xlim(-0.04 * widest, 1.06 * widest)
    return Figure(sheet.canvas, data, name, caption)


#: More rows than these are no picture; those that differ most under some method are drawn.
MOST_ROWS = 40
#: How each method is drawn, in order; the first two are for what stands before balancing.
_BEFORE: dict[str, dict[str, Any]] = {
    UNWEIGHTED: {"marker": "o", "markerfacecolor": "white", "markeredgecolor": GREY, "markersize": 6},
    SURVEY: {"marker": "o", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 6},
}
_METHODS: tuple[dict[str, Any], ...] = (
    {"marker": "o", "color": BLUE},
    {"marker": "s", "color": ORANGE},
    {"marker": "^", "color": "#009E73"},
    {"marker": "D", "color": "#CC79A7"},
    {"marker": "v", "color": "#56B4E9"},
    {"marker": "P", "color": "#B8860B"},
    {"marker": "X", "color": "#6A3D9A"},
    {"marker": "*", "color": INK},
)


def draw_methods(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw how far participants and others differ before balancing and under every method (love plot).

    Parameters
    ----------
    result : BalanceComparison
        Its ``by_method`` has ``covariate, level, method, smd, denominator``, its ``verdicts`` a row per method.
    title : str, optional
        Default: "Differences in covariates before and after weighting".
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        The caption names what divides the differences and how many respondents each method leaves. Of more than 40
        rows those are drawn that differ most under some method, and the caption counts the others; ``data`` holds
        all.
    """
    labels = result.provenance.labels
    data = result.by_method.reset_index(drop=True)
    data = data.assign(
        row=[row_name(*pair, labels, lang) for pair in zip(data["covariate"], data["level"], strict=True)],
        abs_smd=data["smd"].abs(),
    )
    styles = _styles([str(name) for name in result.verdicts["method"]])
    drawn, left_out = _most_different(data)
    notes = _balance_notes(result, data, lang)
    notes += [wording.term("not_drawn_rows", lang).format(n=left_out)] if left_out else []
    name, caption = (
        title or wording.term("love_title", lang),
        wording.caption(result.provenance, None, lang, notes=notes),
    )
    limit: dict[str, Any] = {"color": INK, "linestyle": DASHED, "linewidth": 1.0}
    marks = {method_name(method, lang): style for method, style in styles.items()}
    rows = drawn["row"].drop_duplicates().tolist()
    with theme():
        sheet = Sheet(
            name, caption, [rows], {**marks, wording.term("smd_limit", lang): limit}, [""],
            wording.term("abs_smd", lang),
        )  # fmt: skip
        axes, places = sheet.axes[0], np.arange(len(rows))
        axes.axvline(SMD_LIMIT, zorder=1, **limit)
        axes.hlines(
            places, 0, drawn.groupby("row", sort=False)["abs_smd"].max(), color="#E4E4E4", linewidth=1, zorder=1
        )
        shifts = _shifts(list(styles))
        for method, style in styles.items():
            own = drawn[drawn["method"] == method]
            axes.plot(own["abs_smd"], places + shifts[method], linestyle="none", zorder=3, **style)
        widest = max(1.2 * SMD_LIMIT, float(np.nanmax(drawn["abs_smd"])))
        axes.set_xlim(-0.04 * widest, 1.06 * widest)
    return Figure(sheet.canvas, data, name, caption)


def _styles(methods: list[str]) -> dict[str, dict[str, Any]]:
    balanced = [method for method in methods if method not in _BEFORE]
    own = {method: {"markersize": 6, **_METHODS[at % len(_METHODS)]} for at, method in enumerate(balanced)}
    return {method: _BEFORE.get(method) or own[method] for method in methods}


def _shifts(methods: list[str]) -> dict[str, float]:
    """Return how far each method's marks stand above or below the row, so that equal ones can be told apart."""
    balanced = [method for method in methods if method not in _BEFORE]
    step = min(0.16, 0.5 / max(len(balanced), 1))
    places = {method: step * (at - (len(balanced) - 1) / 2) for at, method in enumerate(balanced)}
    return {method: places.get(method, 0.0) for method in methods}


def _most_different(data: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Return the rows that are drawn, and how many are not."""
    size = data["abs_smd"].groupby(data["row"], sort=False).max()
    if len(size) <= MOST_ROWS:
        return data, 0
    kept = size.fillna(np.inf).sort_values(ascending=False, kind="stable").index[:MOST_ROWS]
    return data[data["row"].isin(kept)], len(size) - MOST_ROWS


def _balance_notes(result: Any, data: pd.DataFrame, lang: str | None) -> list[str]:
    estimands = ", ".join(dict.fromkeys(result.estimands.values()))
    divisors = [wording.term(f"denominator_{divisor}", lang) for divisor in data["denominator"].unique()]
    left = [
        f"{method_name(str(row['method']), lang)} {wording.number(row['ess_participants'])} / "
        f"{wording.number(row['ess_comparison'])}"
        for row in result.verdicts.to_dict("records")
    ]
    both = f"{wording.term('participants', lang)} / {wording.term('others', lang)}"
    return [
        f"{wording.term('estimand', lang)}: {estimands}", *divisors,
        f"{wording.term('ess', lang)}, {both}: {', '.join(left)}",
    ]  # fmt: skip


def _drawable(frame: pd.DataFrame, provenance: Provenance, lang: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of variables with few enough levels, and a note that names the others."""
    levels = frame.groupby("covariate", sort=False)["level"].transform("size")
    many = levels > MOST_LEVELS
    if many.all() or not many.any():
        return frame, []
    left_out = [wording.term_label(name, provenance.labels, lang) for name in frame.loc[many, "covariate"].unique()]
    return frame[~many].reset_index(drop=True), [f"{wording.term('not_drawn', lang)}: {', '.join(left_out)}"]
