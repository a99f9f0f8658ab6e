"""The sheet on which every figure is drawn: measured texts, one theme, the same bytes on every run."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib.style
import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from evaluation.figures.fonts import FONTS, register_fonts

#: Width in inches: 560 pixels on a screen at 100 pixels an inch; still legible when a phone shows it at 360.
WIDTH = 5.6
#: Pixels an inch in the PNG; shown at half that, so that it stays sharp.
DPI = 200
#: Colours that people with any common colour blindness tell apart, and grey.
BLUE, ORANGE = "#0072B2", "#D55E00"
GREY, INK = "#8A8A8A", "#222222"
#: How a known value is drawn.
DIAMOND: dict[str, Any] = {"marker": "D", "markerfacecolor": "none", "markeredgecolor": INK, "markeredgewidth": 1.2}
#: How a line at which something is measured is drawn.
DASHED = (0, (4, 3))
#: Inches of the panel of a distribution.
DISTRIBUTION = 1.4

SIZES: dict[str, float] = {"title": 12, "label": 10, "caption": 9, "small": 7.2}
EDGE = 0.08
_RIGHT = 0.42
TICKS = 0.26
_LABEL_WIDTH = 1.9
_LINE = 1.35 / 72
_LEGEND_ROW = 0.22
#: Inches of a legend entry besides its words: handle, pads and the space before the next.
_HANDLE = 0.28 + 0.06 + 0.2


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
    is_refused : bool
        The errors may not be published (``refused_in_claims``).
    """

    figure: Canvas
    data: pd.DataFrame
    title: str
    caption: str
    is_refused: bool = False

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


def same_scale(panels: Sequence[Axes]) -> None:
    """Give all panels the limits that hold what any of them shows."""
    limits = [axes.get_xlim() for axes in panels]
    for axes in panels:
        axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))


def upright(axes: Axes, limits: tuple[float, float]) -> None:
    """Furnish a panel over time: whole years below, no grid between them, numbers without commas."""
    axes.set_xlim(*limits)
    axes.grid(visible=False, axis="x")
    room = axes.get_position().width * WIDTH / (max(inches(f"{limit:.0f}", "label") for limit in limits) + 0.09)
    axes.xaxis.set_major_locator(MaxNLocator(max(2, min(12, int(room))), integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:.10g}"))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))


class Sheet:
    """A canvas on which every text was measured before anything was placed, so that nothing is cut off.

    Places are added up and not solved for: a solver's last digits differ from run to run, and the
    bytes with them.

    Parameters
    ----------
    title, caption : str
        Above and below the panels.
    rows : sequence
        Per panel the labels of its rows, or its height in inches.
    marks : mapping
        Legend: words to the style of a line or marker.
    panel_titles : sequence of str
        Above each panel; empty for none.
    scale : str
        Below the last panel; empty for none.
    left, right : float, optional
        Inches beside the panels.
    """

    def __init__(
        self,
        title: str,
        caption: str,
        rows: Sequence[list[str] | float],
        marks: Mapping[str, Mapping[str, Any]],
        panel_titles: Sequence[str],
        scale: str,
        *,
        left: float | None = None,
        right: float = _RIGHT,
    ) -> None:
        labels = [
            panel if isinstance(panel, float) else [wrapped(label, _LABEL_WIDTH, "label") for label in panel]
            for panel in rows
        ]
        left = EDGE + (_label_inches(labels) if left is None else left)
        width = WIDTH - left - right
        head, foot = wrapped(title, WIDTH - 2 * EDGE, "title"), wrapped(caption, WIDTH - 2 * EDGE, "caption")
        names = [wrapped(name, width, "label") if name else [] for name in panel_titles]
        scale_lines = wrapped(scale, width, "label") if scale else []
        entries = _legend_rows(marks)
        title_height, name_heights = (
            height_of(head, "title") + 0.08,
            [height_of(name, "label") + 0.12 for name in names],
        )
        panel_heights = [_panel_height(panel) for panel in labels]
        top = EDGE + title_height + (0.28 + _LEGEND_ROW * (len(entries) - 1) if entries else 0.0)
        bottom = 0.12 + height_of(scale_lines, "label") + 0.1 + height_of(foot, "caption") + EDGE
        height = top + sum(name_heights) + sum(panel_heights) + TICKS * len(rows) + bottom
        self.canvas = Canvas(figsize=(WIDTH, height), dpi=DPI)
        FigureCanvasAgg(self.canvas)
        self._write(head, 1 - EDGE / height, "top", "title", weight="bold", color=INK)
        self._write(foot, EDGE / height, "bottom", "caption", color="#555555")
        for number, entry in enumerate(entries):
            self._legend(entry, 1 - (EDGE + title_height + _LEGEND_ROW * number) / height)
        self.axes: list[Axes] = []
        y = height - top
        for panel, name, above, tall in zip(labels, names, name_heights, panel_heights, strict=True):
            y -= above + tall
            axes = self.canvas.add_axes((left / WIDTH, y / height, width / WIDTH, tall / height))
            y -= TICKS
            _furnish(axes, panel, name)
            self.axes.append(axes)
        self.axes[-1].set_xlabel("\n".join(scale_lines))

    def _write(self, lines: list[str], y: float, side: Literal["top", "bottom"], kind: str, **style: Any) -> None:
        size = SIZES[kind]
        self.canvas.text(EDGE / WIDTH, y, "\n".join(lines), va=side, fontsize=size, linespacing=1.3, **style)

    def _legend(self, marks: Mapping[str, Mapping[str, Any]], y: float) -> None:
        handles = [Line2D([], [], **{"linestyle": "none", **style}, label=label) for label, style in marks.items()]
        self.canvas.legend(
            handles=handles, loc="upper left", bbox_to_anchor=(EDGE / WIDTH, y), ncol=len(handles), frameon=False,
            borderpad=0.1, borderaxespad=0.0, handletextpad=0.4, columnspacing=1.4, fontsize=SIZES["label"],
        )  # fmt: skip


def height_of(lines: Sequence[str], kind: str) -> float:
    """Return the inches that lines of text take from top to bottom."""
    return len(lines) * SIZES[kind] * _LINE


def _panel_height(labels: list[list[str]] | float) -> float:
    """Inches of a panel: rows as high as their labels, or as high as it was said to be."""
    if isinstance(labels, float):
        return labels
    return sum(0.16 + height_of(label, "label") for label in labels) + 0.06


def _label_inches(labels: Sequence[list[list[str]] | float]) -> float:
    """Inches for the labels of the rows; without rows, for the numbers and the name of a vertical scale."""
    lines = [line for panel in labels if not isinstance(panel, float) for label in panel for line in label]
    return max([0.42, *(inches(line, "label") for line in lines)]) + 0.1 if lines else 0.75


def _legend_rows(marks: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Mapping[str, Any]]]:
    """Break a legend into rows that fit the width."""
    rows: list[dict[str, Mapping[str, Any]]] = []
    left = 0.0
    for label, style in marks.items():
        needed = _HANDLE + inches(label, "label")
        if not rows or left < needed:
            rows.append({})
            left = WIDTH - 2 * EDGE
        rows[-1][label] = style
        left -= needed
    return rows


def _furnish(axes: Axes, labels: list[list[str]] | float, name: list[str]) -> None:
    if name:
        axes.set_title("\n".join(name), loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    seaborn.despine(ax=axes, left=not isinstance(labels, float))
    if isinstance(labels, float):
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
        return
    axes.grid(visible=False, axis="y")
    axes.set_yticks(np.arange(len(labels)), ["\n".join(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(labels) - 0.45, -0.55)


def wrapped(text: str, width: float, kind: str) -> list[str]:
    """Break a text into lines of at most ``width`` inches; between words, inside one only at need."""
    lines, line = [], ""
    for word in text.replace("n = ", "n\u00a0=\u00a0").split(" "):
        longer = f"{line} {word}" if line else word
        if inches(longer, kind) <= width:
            line = longer
            continue
        lines += [line] if line else []
        while inches(word, kind) > width:
            cut = max(1, next(end for end in range(len(word), 0, -1) if end == 1 or inches(word[:end], kind) <= width))
            lines, word = [*lines, word[:cut]], word[cut:]
        line = word
    return [kept.replace("\u00a0", " ") for kept in (*lines, line)]


@functools.lru_cache(maxsize=4096)
def inches(text: str, kind: str) -> float:
    """Measure a text; inside ``theme`` only."""
    canvas = Canvas(dpi=DPI)
    renderer = FigureCanvasAgg(canvas).get_renderer()  # type: ignore[no-untyped-call]
    written = canvas.text(0, 0, text, fontsize=SIZES[kind], weight="bold" if kind == "title" else "normal")
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
        "axes.labelsize": SIZES["label"],
        "axes.titlesize": SIZES["label"],
        "axes.titleweight": "bold",
        "axes.titlecolor": INK,
        "grid.color": "#E4E4E4",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": SIZES["label"],
        "ytick.labelsize": SIZES["label"],
        "svg.hashsalt": "evaluation",
        "svg.fonttype": "path",
        "savefig.bbox": None,
        "text.parse_math": False,
    }
    with matplotlib.style.context(["default", settings]):
        yield


def _render(canvas: Canvas, kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with theme():
        canvas.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
    return buffer.getvalue()
