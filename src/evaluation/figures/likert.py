"""Answers to ordered items as diverging bars: what stands for less to the left, for more to the right of zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.ticker import FuncFormatter, MaxNLocator

from evaluation import wording
from evaluation.disclosure import meanings, shown
from evaluation.errors import PublishError
from evaluation.figures.canvas import BLUE, INK, ORANGE, WIDTH, Figure, Sheet, inches, theme
from evaluation.results import Estimates, Floats

#: Colour of the middle answer, and of what the outer ones fade to.
_MIDDLE, _PALE = "#DADADA", 0.72
#: Height of a bar in rows, and inches between a bar and a number beside it.
_BAR, _BESIDE = 0.62, 0.04
#: Shares that differ by less are those of one group.
_SAME = 1e-9


def draw_likert(
    results: Estimates | Mapping[str, Estimates], *, title: str | None = None, lang: str | None = None
) -> Figure:
    """Draw the answers of participants and others, raw and adjusted, as bars that meet at the middle of the scale.

    Parameters
    ----------
    results : LikertDifference, or mapping of name to LikertDifference
        Names are ours ("raw", "adjusted", or what ``declared_scales`` calls them) or words. Several items stand in
        panels of their own, which follow the order in which they come.
    title : str, optional
        Default: "Answers of participants and others", with the item where it is one.
    lang : {"ko", "en"}, optional
        Default: the language of the project.

    Returns
    -------
    Figure
        Per cent stands in every part of a bar that has room for it, and at the ends beside it. Bars of a group in
        which an answer may not be shown are left out. ``data`` holds one row per part.
    """
    given = dict(results) if isinstance(results, Mapping) else {"": results}
    named = _without_items(given)
    strange = [name for name, result in named if getattr(result, "verb", "") != "likert_difference"]
    if strange or not named:
        raise PublishError("diverging bars show what ev.likert_difference returned, or a mapping of name to such.")
    masked = [(name, shown(result)) for name, result in named]
    first = masked[0][1]
    labels = first.provenance.labels
    rows = pd.concat([_rows_of(name, result, lang) for name, result in masked], ignore_index=True)
    rows = _without_repeats(rows, lang)
    outcomes = list(dict.fromkeys(rows["outcome"]))
    if len({tuple(result.fit["levels"]) for _, result in masked}) > 1:
        raise PublishError("these items have different answers, which one legend cannot name. Draw them one by one.")
    items = [wording.term_label(outcome, labels, lang) for outcome in outcomes]
    name = title or wording.term("likert_title", lang) + (f": {items[0]}" if len(items) == 1 else "")
    caption = _caption(masked, lang)
    answers = [str(level) for level in first.fit["levels"]]
    colours = _colours(len(answers))
    words = [wording.value_label(outcomes[0], level, labels, lang) for level in answers]
    marks: dict[str, dict[str, Any]] = {
        word: {"marker": "s", "markersize": 9, "color": colour} for word, colour in zip(words, colours, strict=True)
    }
    panels = [rows[rows["outcome"] == outcome] for outcome in outcomes]
    with theme():
        bars = [panel.drop_duplicates("bar")["bar"].tolist() for panel in panels]
        titles = items if len(items) > 1 else [""]
        sheet = Sheet(name, caption, bars, marks, titles, wording.term("likert_scale", lang))
        low, high = _reach(rows)
        for axes, panel, names in zip(sheet.axes, panels, bars, strict=True):
            axes.set_xlim(low, high)
            _draw_bars(axes, panel, names, colours)
    return Figure(sheet.canvas, rows.reset_index(drop=True), name, caption)


def _rows_of(name: str, result: Estimates, lang: str | None) -> pd.DataFrame:
    """Return the parts of the two bars of a result, from the left: share, where it starts and ends."""
    tidy, fit = result.tidy(), result.fit
    parts = []
    for group in ("participants", "comparison"):
        own = tidy[tidy["quantity"] == f"share_{group}"].reset_index(drop=True)
        share = own["estimate"].to_numpy(dtype=float)
        edges = np.concatenate([[0.0], np.cumsum(share)])
        middle = len(share) // 2
        centre = edges[middle] + share[middle] / 2 if len(share) % 2 else edges[middle]
        who = {"participants": "participants", "comparison": "everybody" if fit["comparison"] == "all" else "others"}
        count = own["n_obs"].max()
        size = "" if pd.isna(count) else f" (n = {int(count):,})"
        part = pd.DataFrame(
            {
                "outcome": str(fit["outcome"]),
                "group": group,
                "series": name,
                "bar": wording.term(who[group], lang),
                "size": size,
                "level": own["level"],
                "share": share,
                "start": edges[:-1] - centre,
                "end": edges[1:] - centre,
            }
        )
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _without_repeats(rows: pd.DataFrame, lang: str | None) -> pd.DataFrame:
    """Leave out a group's bar that is the same under every name, and call the others by theirs."""
    kept, seen = [], list[tuple[str, str, Floats]]()
    for (outcome, group, series), part in rows.groupby(["outcome", "group", "series"], sort=False):
        shares = part["share"].to_numpy(dtype=float)
        same = [
            known
            for where, who, known in seen
            if (where, who) == (outcome, group) and np.allclose(known, shares, rtol=0, atol=_SAME, equal_nan=True)
        ]
        if same:
            continue
        again = any((where, who) == (outcome, group) for where, who, _ in seen)
        seen.append((str(outcome), str(group), shares))
        several = rows.loc[rows["outcome"] == outcome, "series"].nunique() > 1
        named = several and (group == "comparison" or again)
        suffix = f", {wording.term(str(series), lang)}" if named else ""
        kept.append(part.assign(bar=part["bar"] + suffix + part["size"]))
    whole = pd.concat(kept, ignore_index=True).drop(columns="size")
    order = whole["group"].map({"participants": 0, "comparison": 1})
    return whole.assign(order=order).sort_values(["order"], kind="stable").drop(columns="order").reset_index(drop=True)


def _colours(k: int) -> list[str]:
    """Return k colours from less to more: orange, paler towards the middle, grey where there is one, to blue."""
    half = k // 2

    def shades(colour: str) -> list[str]:
        full, white = np.array(to_rgb(colour)), np.ones(3)
        return [to_hex(tuple(full + (white - full) * _PALE * step / half)) for step in range(half)]

    return [*shades(ORANGE), *([_MIDDLE] if k % 2 else []), *reversed(shades(BLUE))]


def _reach(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the ends of the scale: those of the bars, with room for a number beside them."""
    low, high = float(rows["start"].min()), float(rows["end"].max())
    room = 0.09 * (high - low)
    return (low - room, high + room) if np.isfinite(room) else (-1.0, 1.0)


def _draw_bars(axes: Axes, panel: pd.DataFrame, names: list[str], colours: list[str]) -> None:
    low, high = axes.get_xlim()
    width = axes.get_position().width * WIDTH / (high - low)
    for place, name in enumerate(names):
        own = panel[panel["bar"] == name]
        if own["share"].isna().any():
            continue
        for (_, part), colour in zip(own.iterrows(), colours, strict=True):
            axes.barh(place, part["share"], _BAR, left=part["start"], color=colour, edgecolor="white", linewidth=0.6)
        _write_shares(axes, own, place, width, colours)
    axes.axvline(0, color=INK, linewidth=0.7, zorder=0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{abs(100 * value):.10g}"))


def _write_shares(axes: Axes, own: pd.DataFrame, place: int, width: float, colours: list[str]) -> None:
    """Write per cent into the parts that have room for it, and those of the ends beside the bar."""
    last = len(own) - 1
    for at, (_, part) in enumerate(own.iterrows()):
        text = f"{100 * part['share']:.0f}"
        needed = inches(text, "caption") + 0.05
        style: dict[str, Any] = {"va": "center", "fontsize": 9}
        if part["share"] * width >= needed:
            dark = sum(to_rgb(colours[at])) < 1.55
            middle = (part["start"] + part["end"]) / 2
            axes.text(middle, place, text, ha="center", color="white" if dark else INK, zorder=4, **style)
        elif at in (0, last):
            side = "right" if at == 0 else "left"
            beside = part["start"] - _BESIDE / width if at == 0 else part["end"] + _BESIDE / width
            axes.text(beside, place, text, ha=side, color=INK, **style)


def _without_items(results: Mapping[str, Estimates]) -> list[tuple[str, Estimates]]:
    """Return names with results, ``raw_trust`` being raw: the item has a panel of its own."""
    ours = {f"{kind}_": kind for kind in ("raw", "adjusted")}
    return [
        (next((kind for start, kind in ours.items() if name.startswith(start)), name), result)
        for name, result in results.items()
    ]


def _caption(results: Sequence[tuple[str, Estimates]], lang: str | None) -> str:
    """Return survey, n, weight, and the difference in the top box with its interval under every name."""
    first = results[0][1]
    several = len({str(result.keys["term"].iloc[0]) for _, result in results}) > 1
    notes = []
    for name, result in results:
        row = result.tidy().iloc[0]
        adjusted = str(result.fit.get("adjusted_by", ""))
        how = f"{wording.term(adjusted, lang)}, {result.fit['estimand']}" if adjusted else ""
        head = wording.term(name, lang) if name else how
        head += f" ({how})" if name and how else ""
        if several:
            item = wording.term_label(result.keys["term"].iloc[0], result.provenance.labels, lang)
            head = f"{item}, {head}" if head else item
        if np.isfinite(row["estimate"]):
            notes.append(f"{head}: {_points(row, lang)}" if head else _points(row, lang))
    top = wording.term("likert_top", lang).format(top=first.fit["top"])
    interval = wording.interval_name(first.conf_level, lang)
    told = [f"{top} ({interval}): {', '.join(notes)}"] if notes else []
    hidden = any(np.isnan(result.estimate).any() for _, result in results)
    told += [wording.term("likert_hidden", lang)] if hidden else []
    marks = meanings([result for _, result in results], wording.language_of(lang))
    return wording.caption(first.provenance, None, lang, notes=[*told, *marks])


def _points(row: pd.Series, lang: str | None) -> str:
    unit = wording.percentage_point_unit(lang)
    space = "" if wording.language_of(lang) == "ko" else " "
    value, low, high = (100 * row[name] for name in ("estimate", "conf_low", "conf_high"))
    return f"{value:+.1f}{space}{unit} [{low:.1f}, {high:.1f}]".replace("-", "−")
