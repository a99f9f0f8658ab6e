"""Differences one below the other: in subgroups with the p-values that many tests leave, and against margins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from evaluation import wording
from evaluation.amounts import scale_of_differences
from evaluation.disclosure import counts, meaning_of, meanings
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, DASHED, GREY, INK, ORANGE, SIZES, Figure, Sheet, inches, same_scale, theme
from evaluation.results import Estimates

RAW, OVERALL = "raw", "overall"
#: What a test against margins must have to be drawn.
MARGIN_TEST_COLUMNS = ("margin_low", "margin_high", "conclusion", "conf_low", "conf_high")
#: How far, in rows, the two marks of a subgroup lie from its middle.
_APART = 0.17
#: Outcomes share a scale where the widest is at most so many times as wide as the narrowest.
_ALIKE = 2.0
#: Inches between a panel and the numbers beside it, and between their columns.
_GAP = 0.12
_OPEN: dict[str, Any] = {"marker": "s", "markerfacecolor": "white", "markeredgecolor": INK, "markersize": 5.2}
_FULL: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 5.8}


def draw_subgroups(
    result: Estimates,
    *,
    title: str | None = None,
    lang: str | None = None,
    reference: Any = None,
    reference_label: str | None = None,
) -> Figure:
    """Draw the difference in every subgroup, as it is and adjusted, with respondents and adjusted p-values beside it.

    Parameters
    ----------
    result : Estimates
        From ``subgroup_effects``.
    title, lang
        As in ``plot``.
    reference, reference_label
        Refused: known values cannot be told apart beside two marks.

    Returns
    -------
    Figure
        A panel for everybody and one for each column of subgroups, by outcome; a thin line continues the overall
        adjusted difference. A subgroup without an estimate keeps its row and says why.

    Raises
    ------
    PublishError
        With ``reference``.
    """
    if reference is not None or reference_label is not None:
        raise PublishError("a forest of subgroups has no room for known values; leave reference out.")
    rows = _arranged(result, lang)
    methods = list(rows["method"].unique())
    leading = methods[-1]
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    labels = [panel.drop_duplicates("row")["row"].tolist() for panel in panels]
    styles = {method: _OPEN if method == RAW and len(methods) > 1 else _FULL for method in methods}
    named = {method: wording.rung_name(str(method), result.provenance, lang) for method in methods}
    marks: dict[str, dict[str, Any]] = {named[method]: styles[method] for method in methods}
    if leading in set(rows.loc[rows["subgroup"] == OVERALL, "method"]):
        marks[wording.term("overall", lang)] = {"color": GREY, "linestyle": ":", "linewidth": 1.2}
    name = title or wording.estimates_title(result, lang)
    caption = _caption(result, leading, lang)
    with theme():
        p_head = wording.term("p_holm_short", lang) if "p_holm" in rows else ""
        heads = (wording.term("n", lang).split(" (")[0], p_head)
        beside = [_beside(panel, leading) for panel in panels]
        widths = [
            _width(head, [cells[place] for panel in beside for cells in panel]) for place, head in enumerate(heads)
        ]
        titles = [_panel_title(panel, leading, lang) for panel in panels]
        right = sum(widths) + 2 * _GAP + 0.08
        sheet = Sheet(name, caption, labels, marks, titles, scale_of_differences(result, lang), right=right)
        for number, (axes, panel) in enumerate(zip(sheet.axes, panels, strict=True)):
            _draw_panel(axes, panel, _overall(rows, panel, leading), styles)
            _write_beside(axes, beside[number], widths, heads if panel["subgroup"].iloc[0] == OVERALL else None)
        spans = [high - low for low, high in (axes.get_xlim() for axes in sheet.axes)]
        if rows["term"].nunique() == 1 or max(spans) <= _ALIKE * min(spans):
            same_scale(sheet.axes)
    return Figure(sheet.canvas, rows, name, caption)


def _arranged(result: Estimates, lang: str | None) -> pd.DataFrame:
    """Return ``tidy()`` with the panel and row of each estimate."""
    words = wording.result_keys(result, lang)
    tidy = result.tidy().reset_index(drop=True)
    overall = (tidy["subgroup"] == OVERALL).to_numpy()
    label = words["level"].where(~overall, words["subgroup"]).astype(str)
    given = tidy["reason"] if "reason" in tidy else [""] * len(tidy)
    reasons = [wording.term(str(reason), lang) if reason else "" for reason in given]
    own = [f"{name} ({reason})" if reason else name for name, reason in zip(label, reasons, strict=True)]
    # The raw row of a subgroup may have an estimate where the adjusted one has none: they share one label.
    places = tidy.assign(own=own).groupby(["term", "subgroup", "level"], sort=False, dropna=False)["own"]
    row = places.transform(lambda cells: max(cells, key=len))
    if "mark" in tidy:
        said = tidy.groupby(["term", "subgroup", "level"], sort=False, dropna=False)["mark"].transform("max")
        row = (row + " " + said).str.rstrip()
    return tidy.assign(
        panel=words["term"] + " · " + words["subgroup"],
        outcome=words["term"],
        column=words["subgroup"],
        row=row,
        count=counts(result),
    )


def _overall(rows: pd.DataFrame, panel: pd.DataFrame, leading: str) -> float:
    own = rows[(rows["term"] == panel["term"].iloc[0]) & (rows["subgroup"] == OVERALL) & (rows["method"] == leading)]
    return float(own["estimate"].iloc[0]) if len(own) else np.nan


def _panel_title(panel: pd.DataFrame, leading: str, lang: str | None) -> str:
    """Return the outcome above everybody, and above a column of subgroups whether they differ."""
    if panel["subgroup"].iloc[0] == OVERALL:
        return str(panel["outcome"].iloc[0])
    known = panel.loc[panel["method"] == leading, "p_heterogeneity"] if "p_heterogeneity" in panel else [np.nan]
    p = float(next(iter(known)))
    told = "" if np.isnan(p) else f" ({wording.term('heterogeneity', lang)} {_p(p)})"
    return f"{panel['column'].iloc[0]}{told}"


def _p(value: float) -> str:
    text = wording.probability(value)
    return "p\u00a0" + (f"{text[0]}\u00a0{text[1:]}" if text.startswith("<") else f"=\u00a0{text}")


def _beside(panel: pd.DataFrame, leading: str) -> list[tuple[str, str]]:
    """Return respondents and adjusted p-value of each row."""
    own = panel[panel["method"] == leading]
    known = own["p_holm"] if "p_holm" in own else [np.nan] * len(own)
    p = [wording.probability(value) if not np.isnan(value) else "" for value in known]
    return list(zip(own["count"].astype(str), p, strict=True))


def _width(head: str, cells: Sequence[str]) -> float:
    return max(inches(text, "small") for text in (head, *cells))


def _write_beside(
    axes: Axes, cells: Sequence[tuple[str, str]], widths: Sequence[float], heads: tuple[str, str] | None
) -> None:
    """Write respondents and p-values to the right of a panel, their headings above the first."""
    box = axes.get_position()
    whole = axes.get_figure().get_size_inches()  # type: ignore[union-attr]
    wide, tall = box.width * whole[0], box.height * whole[1]
    right = 1.0
    for place, width in enumerate(widths):
        right += (_GAP + width) / wide
        style: dict[str, Any] = {"ha": "right", "fontsize": SIZES["small"], "color": INK}
        for row, cell in enumerate(cells):
            axes.text(right, row, cell[place], transform=axes.get_yaxis_transform(), va="center", **style)
        if heads is not None:
            axes.text(right, 1 + 0.05 / tall, heads[place], transform=axes.transAxes, va="bottom", **style)


def _draw_panel(axes: Axes, panel: pd.DataFrame, overall: float, styles: Mapping[str, Mapping[str, Any]]) -> None:
    order = {label: place for place, label in enumerate(panel["row"].drop_duplicates())}
    axes.axvline(0, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
    axes.plot([0.0], [0.0], linestyle="none")  # keeps the line off the edge
    if np.isfinite(overall):
        axes.axvline(overall, color=GREY, linewidth=1.2, linestyle=":", zorder=1)
    apart = np.linspace(-_APART, _APART, len(styles)) if len(styles) > 1 else [0.0]
    for shift, (method, style) in zip(apart, styles.items(), strict=True):
        own = panel[panel["method"] == method]
        places = own["row"].map(order) + shift
        color = style.get("color", INK)
        axes.hlines(places, own["conf_low"], own["conf_high"], color=color, linewidth=1.8, zorder=2)
        axes.plot(own["estimate"], places, linestyle="none", zorder=3, **style)


def _caption(result: Estimates, leading: str, lang: str | None) -> str:
    notes = [f"{wording.term('estimand', lang)}: {result.fit['estimand']}"] if "estimand" in result.fit else []
    method = wording.term(f"method_{leading}", lang)
    with_p = "p_holm" in result.columns
    notes.append(f"{wording.term('p_beside' if with_p else 'n_beside', lang)} ({method})")
    notes += wording.families_note(result, lang)[:1]
    notes += meanings([result], wording.language_of(lang))
    return wording.caption(result.provenance, result.conf_level, lang, notes=notes)


def draw_margin_test(result: Any, *, title: str | None = None, lang: str | None = None) -> Figure:
    """Draw differences with the interval of their tests, and the margins that they are held against.

    Parameters
    ----------
    result : MarginTest
        From ``equivalence_test``, ``superiority_test`` or ``non_inferiority_test``.
    title : str, optional
        Default: what was asked.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Where something is shown the mark is full, else open; between the margins of equivalence the ground is shaded.
    """
    frame = result.tidy().reset_index(drop=True)
    told = frame["mark"] if "mark" in frame else pd.Series([""] * len(frame))
    data = frame.assign(
        row=[f"{row} {mark}".rstrip() for row, mark in zip(result.names(lang, short=True), told, strict=True)]
    )
    name = title or _margin_title(result, frame, lang)
    language = wording.language_of(lang)
    notes = [meaning_of(mark, result.provenance, language) for mark in dict.fromkeys(told) if mark]
    caption = wording.caption(result.provenance, result.conf_level, lang, notes=notes)
    bounds = [value for value in frame[["margin_low", "margin_high"]].iloc[0] if not np.isnan(value)]
    line: dict[str, Any] = {"color": ORANGE, "linewidth": 1.3}
    styles: dict[str, dict[str, Any]] = {
        "shown": {"marker": "o", "color": BLUE, "markersize": 6},
        "not shown": {"marker": "o", "markerfacecolor": "white", "markeredgecolor": BLUE, "markersize": 6},
    }
    found = [conclusion for conclusion in styles if (frame["conclusion"] == conclusion).any()]
    marks = {wording.term(conclusion, lang): styles[conclusion] for conclusion in found}
    with theme():
        labels = data["row"].astype(str).tolist()
        marks |= {wording.term("margin_zone", lang): {**line, "linestyle": "-"}}
        sheet = Sheet(name, caption, [labels], marks, [""], wording.term("difference", lang))
        axes, places = sheet.axes[0], np.arange(len(data))
        axes.axvline(0, color=INK, linewidth=0.9, linestyle=DASHED, zorder=1)
        if len(bounds) == 2:
            axes.axvspan(*bounds, color=ORANGE, alpha=0.08, linewidth=0, zorder=0)
        for bound in bounds:
            axes.axvline(bound, zorder=1, **line)
        axes.hlines(places, data["conf_low"], data["conf_high"], color=BLUE, linewidth=2.0, zorder=2)
        for conclusion in found:
            own = (data["conclusion"] == conclusion).to_numpy()
            axes.plot(data["estimate"][own], places[own], linestyle="none", zorder=3, **styles[conclusion])
        axes.margins(x=0.08)
    return Figure(sheet.canvas, data, name, caption)


def _margin_title(result: Any, frame: pd.DataFrame, lang: str | None) -> str:
    """Return what was asked, and of which outcome where there is one."""
    what = wording.term(f"{result.question}_title", lang)
    terms = frame["term"].unique()
    return f"{what}: {wording.term_label(terms[0], result.provenance.labels, lang)}" if len(terms) == 1 else what
