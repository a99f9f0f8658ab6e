"""Results as figures: one idea each, its caption inside the picture, the data behind it beside it.

Figures draw and never compute. They are made without pyplot, so a notebook shows each once, and the
same figure is the same bytes on every run. Importing this module changes no setting of matplotlib.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from evaluation import wording
from evaluation.errors import ColumnError, ProjectError, PublishError, did_you_mean
from evaluation.results import Estimates, Floats, Provenance

#: Width in inches: 560 pixels on a screen at 100 pixels an inch; still legible when a phone shows it at 360.
WIDTH = 5.6
#: Pixels an inch in the PNG; shown at half that, so that it stays sharp.
DPI = 200
#: Our own name for NanumGothic, so that another copy on the machine does not change the pictures;
#: DejaVu Sans, which comes with matplotlib, lends what it lacks, such as the minus sign U+2212.
FONTS = ("NanumGothic of the workbench", "DejaVu Sans")
FONT_PACKAGE = "koreanize_matplotlib"
FONT_FILES = ("NanumGothic.ttf", "NanumGothicBold.ttf")

#: Colours that people with any common colour blindness tell apart, and grey.
BLUE, ORANGE = "#0072B2", "#D55E00"
GREY, INK = "#8A8A8A", "#222222"

_SIZES = {"title": 12, "label": 10, "caption": 9}
_EDGE = 0.08
_RIGHT = 0.42
_TICKS = 0.26
_LABEL_WIDTH = 1.9
_LINE = 1.35 / 72


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure with its data, title and caption.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        For further work with matplotlib; not registered with pyplot.
    data : pandas.DataFrame
        The numbers that are drawn, with codes and the words used.
    title, caption : str
        As they stand in the picture.
    """

    figure: Canvas
    data: pd.DataFrame
    title: str
    caption: str

    def png(self) -> bytes:
        """Return the picture as PNG; the same bytes for the same result."""
        return _render(self.figure, "png", {"Software": None, "Title": self.title, "Description": self.caption})

    def svg(self) -> bytes:
        """Return the picture as SVG with letters as outlines; the same bytes for the same result."""
        return _render(self.figure, "svg", {"Date": None, "Creator": None, "Title": self.title})

    def _repr_png_(self) -> bytes:
        return self.png()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
        width, height = (round(100 * inches) for inches in self.figure.get_size_inches())
        size = {"width": width, "height": height, "alt": f"{self.title}. {self.caption}"}
        return {"image/png": self.png(), "text/plain": repr(self)}, {"image/png": size}

    def __repr__(self) -> str:
        return f"Figure: {self.title} ({len(self.data)} rows). {self.caption}"


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
        return draw_estimates(result, title=title, lang=lang, reference=known, reference_label=reference_label)
    if reference is not None and limit is None:
        raise PublishError("known values can be drawn beside estimates only; leave reference out here.")
    if all(hasattr(result, name) for name in ("weights_before", "weights_after", "provenance")):
        before, after = result.weights_before, result.weights_after
        return draw_weights(before, after, result.provenance, upper=limit, title=title, lang=lang)
    frame = result.tidy() if hasattr(result, "tidy") and hasattr(result, "provenance") else pd.DataFrame()
    if set(_MARGIN_COLUMNS) <= set(frame.columns):
        return draw_margins(frame, result.provenance, title=title, lang=lang)
    raise PublishError(
        f"expected estimates, a weight summary or a margin comparison to draw, got {type(result).__name__}. "
        "Draw what an estimating verb returned; ev.table shows any frame."
    )


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
    known = np.full(len(result), np.nan) if reference is None else reference_values(result, reference)
    rows = _arranged(result, lang).assign(reference=known)
    caption = wording.caption(result.provenance, result.conf_level, lang)
    if result.verb in _MODELS:
        rows, dropped = rows[~rows["is_intercept"]], int(rows["is_intercept"].sum())
        caption += f"; {wording.term('no_intercept', lang)}" if dropped else ""
    rows = rows.drop(columns="is_intercept").reset_index(drop=True)
    panels = [panel for _, panel in rows.groupby("panel", sort=False)]
    truth = isinstance(reference, pd.DataFrame) and "truth" in reference
    diamond = reference_label or wording.term("truth" if truth else "reference", lang)
    marks = {diamond: _DIAMOND} if np.isfinite(known).any() else {}
    with theme():
        scale = _scale_name(result, panels, lang)
        sheet = _Sheet(name, caption, [_panel_labels(panel) for panel in panels], marks, _panel_titles(panels), scale)
        for axes, panel in zip(sheet.axes, panels, strict=True):
            _draw_intervals(axes, panel, zero=result.verb in wording.AGAINST_ZERO)
        if result.verb in _SHARES:
            _same_scale(sheet.axes)
    return Figure(sheet.canvas, rows.drop(columns="is_single"), name, caption)


_MODELS = frozenset({"survey_glm"})
_SHARES = frozenset({"survey_prop"})
_DIAMOND: dict[str, Any] = {"marker": "D", "markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.2}


def _arranged(result: Estimates, lang: str | None) -> pd.DataFrame:
    """Return ``tidy()`` with the panel and the row in which each estimate is drawn."""
    keys = result.keys.reset_index(drop=True)
    words = wording.label_keys(keys, result.provenance.labels, lang)
    by = [column for column in words if column not in {"term", "level"} and (words[column] != "").any()]
    level = words["level"] if "level" in words else pd.Series([""] * len(words))
    tidy = result.tidy().reset_index(drop=True)
    if by:
        row = words[by].apply(lambda cells: " · ".join(filter(None, cells)), axis=1)
        panel = words["term"].where(level == "", words["term"] + ": " + level)
    elif (level != "").any():
        row, panel = level.where(level != "", words["term"]), words["term"]
    else:
        row = words["term"]
        panel = pd.Series([""] * len(words)) if _one_scale(tidy) else words["term"]
    intercept = [str(term).strip("()").lower() in {"intercept", "const"} for term in keys["term"]]
    single = not by and not (level != "").any()
    return tidy.assign(panel=panel, row=row, is_intercept=intercept, is_single=single)


def _one_scale(tidy: pd.DataFrame) -> bool:
    """Tell whether every interval is wide enough to be seen on one common axis."""
    low = tidy["conf_low"].fillna(tidy["estimate"])
    high = tidy["conf_high"].fillna(tidy["estimate"])
    widths, span = (high - low).to_numpy(), float(high.max() - low.min())
    return len(tidy) == 1 or not span > 0 or bool(widths.min() > 0.04 * span)


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
    axes.plot(panel["reference"], places, linestyle="none", markersize=7, zorder=4, **_DIAMOND)


def _same_scale(panels: Sequence[Axes]) -> None:
    limits = [axes.get_xlim() for axes in panels]
    for axes in panels:
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


_MARGIN_COLUMNS = ("margin", "level", "target", "before", "after")
#: Shares that differ by less were not changed by weighting.
_SAME_SHARE = 1e-9


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
        sheet = _Sheet(name, caption, [None, None], marks, list(stages), wording.term("weight_scale", lang))
        for axes, (stage, (_, colour)) in zip(sheet.axes, stages.items(), strict=True):
            axes.stairs(counts[stage], edges, fill=True, color=colour)
            axes.set_ylabel(wording.term("respondents", lang))
            axes.set_ylim(0, 1.06 * max(1, counts[stage].max()))
            if upper is not None:
                axes.axvline(upper, **line)
        _same_scale(sheet.axes)
    return Figure(sheet.canvas, pd.concat(frames, ignore_index=True), name, caption)


def _bins(before: Floats, after: Floats) -> Floats:
    both = np.concatenate([before, after])
    low, high = min(0.0, float(both.min())), float(both.max())
    return np.linspace(low, high * 1.02 if high > low else low + 1.0, 41)


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
    """
    missing = [column for column in _MARGIN_COLUMNS if column not in frame.columns]
    if missing:
        raise ColumnError(f"a margin figure needs the columns {', '.join(_MARGIN_COLUMNS)}; missing: {missing}.")
    one = bool(np.allclose(frame["before"], frame["after"], rtol=0, atol=_SAME_SHARE))
    name = title or wording.term("sample_title" if one else "margins_title", lang)
    caption = wording.caption(provenance, None, lang)
    keys = frame[["margin", "level"]].rename(columns={"margin": "term"}).reset_index(drop=True)
    words = wording.label_keys(keys, provenance.labels, lang)
    data = frame.reset_index(drop=True).assign(panel=words["term"], row=words["level"])
    panels = [panel for _, panel in data.groupby("panel", sort=False)]
    dots: dict[str, dict[str, Any]] = {
        **({} if one else {"before": {"marker": "o", "color": GREY, "markersize": 6}}),
        "after": {"marker": "o", "color": BLUE, "markersize": 6},
        "target": {"markersize": 9, **_DIAMOND},
    }
    words_of = {"after": "sample"} if one else {}
    marks = {wording.term(words_of.get(column, column), lang): style for column, style in dots.items()}
    with theme():
        titles = [str(panel["panel"].iloc[0]) for panel in panels]
        labels = [_panel_labels(panel) for panel in panels]
        sheet = _Sheet(name, caption, labels, marks, titles, wording.term("share", lang))
        for axes, panel in zip(sheet.axes, panels, strict=True):
            places = np.arange(len(panel))
            axes.hlines(places, panel["before"], panel["after"], color=GREY, linewidth=1.2, zorder=1)
            for column, style in dots.items():
                axes.plot(panel[column], places, linestyle="none", zorder=3, **style)
        _same_scale(sheet.axes)
    return Figure(sheet.canvas, data, name, caption)


class _Sheet:
    """A canvas on which every text was measured before anything was placed, so that nothing is cut off.

    Places are added up and not solved for: a solver's last digits differ from run to run, and the
    bytes with them.
    """

    def __init__(
        self,
        title: str,
        caption: str,
        rows: Sequence[list[str] | None],
        marks: Mapping[str, Mapping[str, Any]],
        panel_titles: Sequence[str],
        scale: str,
    ) -> None:
        labels = [[_wrapped(label, _LABEL_WIDTH, "label") for label in panel] if panel else None for panel in rows]
        lines = [line for panel in labels if panel for label in panel for line in label]
        left = _EDGE + (max([0.42, *(_inches(line, "label") for line in lines)]) + 0.1 if lines else 0.75)
        width = WIDTH - left - _RIGHT
        head, foot = _wrapped(title, WIDTH - 2 * _EDGE, "title"), _wrapped(caption, WIDTH - 2 * _EDGE, "caption")
        names = [_wrapped(name, width, "label") if name else [] for name in panel_titles]
        scale_lines = _wrapped(scale, width, "label")
        title_height, name_heights = _height(head, "title") + 0.08, [_height(name, "label") + 0.12 for name in names]
        panel_heights = [_panel_height(panel) for panel in labels]
        top = _EDGE + title_height + (0.28 if marks else 0.0)
        bottom = 0.12 + _height(scale_lines, "label") + 0.1 + _height(foot, "caption") + _EDGE
        height = top + sum(name_heights) + sum(panel_heights) + _TICKS * len(rows) + bottom
        self.canvas = Canvas(figsize=(WIDTH, height), dpi=DPI)
        FigureCanvasAgg(self.canvas)
        self._write(head, 1 - _EDGE / height, "top", "title", weight="bold", color=INK)
        self._write(foot, _EDGE / height, "bottom", "caption", color="#555555")
        if marks:
            self._legend(marks, 1 - (_EDGE + title_height) / height)
        self.axes, y = [], height - top
        for panel, name, above, tall in zip(labels, names, name_heights, panel_heights, strict=True):
            y -= above + tall
            axes = self.canvas.add_axes((left / WIDTH, y / height, width / WIDTH, tall / height))
            y -= _TICKS
            _furnish(axes, panel, name)
            self.axes.append(axes)
        self.axes[-1].set_xlabel("\n".join(scale_lines))

    def _write(self, lines: list[str], y: float, side: Literal["top", "bottom"], kind: str, **style: Any) -> None:
        size = _SIZES[kind]
        self.canvas.text(_EDGE / WIDTH, y, "\n".join(lines), va=side, fontsize=size, linespacing=1.3, **style)

    def _legend(self, marks: Mapping[str, Mapping[str, Any]], y: float) -> None:
        handles = [Line2D([], [], **{"linestyle": "none", **style}, label=label) for label, style in marks.items()]
        self.canvas.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(_EDGE / WIDTH, y), ncol=len(handles), frameon=False,
            borderpad=0.1, borderaxespad=0.0, handletextpad=0.4, columnspacing=1.4, fontsize=_SIZES["label"],
        )  # fmt: skip


def _height(lines: Sequence[str], kind: str) -> float:
    return len(lines) * _SIZES[kind] * _LINE


def _panel_height(labels: list[list[str]] | None) -> float:
    """Inches of a panel: rows as high as their labels, or a distribution."""
    return 1.4 if labels is None else sum(0.16 + _height(label, "label") for label in labels) + 0.06


def _furnish(axes: Axes, labels: list[list[str]] | None, name: list[str]) -> None:
    if name:
        axes.set_title("\n".join(name), loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    seaborn.despine(ax=axes, left=labels is not None)
    if labels is None:
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        return
    axes.grid(visible=False, axis="y")
    axes.set_yticks(np.arange(len(labels)), ["\n".join(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.45, -0.55)


def _wrapped(text: str, width: float, kind: str) -> list[str]:
    """Break a text into lines of at most ``width`` inches; between words, inside one only at need."""
    lines, line = [], ""
    for word in text.replace("n = ", "n\u00a0=\u00a0").split(" "):
        longer = f"{line} {word}" if line else word
        if _inches(longer, kind) <= width:
            line = longer
            continue
        lines += [line] if line else []
        while _inches(word, kind) > width:
            cut = max(1, next(end for end in range(len(word), 0, -1) if end == 1 or _inches(word[:end], kind) <= width))
            lines, word = [*lines, word[:cut]], word[cut:]
        line = word
    return [kept.replace("\u00a0", " ") for kept in (*lines, line)]


@functools.lru_cache(maxsize=4096)
def _inches(text: str, kind: str) -> float:
    """Measure a text; inside ``theme`` only."""
    canvas = Canvas(dpi=DPI)
    renderer = FigureCanvasAgg(canvas).get_renderer()  # type: ignore[no-untyped-call]
    written = canvas.text(0, 0, text, fontsize=_SIZES[kind], weight="bold" if kind == "title" else "normal")
    return float(written.get_window_extent(renderer).width) / DPI


@contextmanager
def theme() -> Iterator[None]:
    """Draw in the workbench's style inside the block, and leave matplotlib's settings as they were.

    It starts from matplotlib's defaults: neither a notebook's backend nor a reader's matplotlibrc
    changes a picture.
    """
    register_fonts()
    settings: dict[str, Any] = {
        **seaborn.axes_style("whitegrid"),
        "font.family": list(FONTS),
        "axes.unicode_minus": True,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.labelsize": _SIZES["label"],
        "axes.titlesize": _SIZES["label"],
        "axes.titleweight": "bold",
        "axes.titlecolor": INK,
        "grid.color": "#E4E4E4",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": _SIZES["label"],
        "ytick.labelsize": _SIZES["label"],
        "svg.hashsalt": "evaluation",
        "svg.fonttype": "path",
        "savefig.bbox": None,
        "text.parse_math": False,
    }
    with matplotlib.style.context(["default", settings]):
        yield


@functools.cache
def font_files() -> tuple[Path, ...]:
    """Return the files of the Korean font, regular and bold; found without importing their package.

    Raises
    ------
    ProjectError
        Where the package is not installed.
    """
    found = importlib.util.find_spec(FONT_PACKAGE)
    folder = Path(found.origin).parent / "fonts" if found is not None and found.origin else None
    files = tuple(folder / name for name in FONT_FILES) if folder is not None else ()
    if not files or not all(file.is_file() for file in files):
        raise ProjectError(f"the font files {', '.join(FONT_FILES)} are not installed. Set up again: python3 run.py")
    return files


@functools.cache
def register_fonts() -> None:
    """Make the Korean font known to matplotlib in this process; changes no setting."""
    for file, weight in zip(font_files(), (400, 700), strict=True):
        entry = font_manager.FontEntry(fname=str(file), name=FONTS[0], weight=weight, size="scalable")
        font_manager.fontManager.ttflist.append(entry)


def _render(canvas: Canvas, kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with theme():
        canvas.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
