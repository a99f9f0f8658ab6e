"""What differs between something published and the same thing made again: text, values, tables, pictures, files."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

_NUMBER = re.compile(
    r"(?<![\w.#])[-+\u2212]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w)", re.ASCII
)
_TILE = 8


@dataclass(frozen=True)
class Tolerance:
    """How far a re-executed run may be from the published one.

    Attributes
    ----------
    rtol, atol : float
        Of numbers at full precision in estimates and tables. Whole numbers and text must be equal.
        A number in a notebook may also be off by one unit of its last displayed place.
    picture : float
        Root mean square over all pixels, 0 to 255.
    tile : float
        The same within any 8 x 8 pixels, so that one digit on an axis is not lost in a large picture.
    """

    rtol: float = 1e-9
    atol: float = 1e-12
    picture: float = 2.0
    tile: float = 20.0


def text_difference(published: str, now: str, tolerance: Tolerance) -> str:
    """Return what differs between two displayed texts; empty where nothing does.

    Text around numbers must be equal but for the width of blanks and rules. Numbers may differ by one
    unit of the last place that either text displays, or by ``rtol``; whole numbers must be equal.

    Examples
    --------
    >>> text_difference("mean  0.534 (n = 12)", "mean 0.535 (n = 12)", Tolerance())
    ''
    >>> text_difference("mean  0.534 (n = 12)", "mean 0.536 (n = 12)", Tolerance())
    "published 0.534, now 0.536, in line 1: 'mean  0.534 (n = 12)'"
    >>> text_difference("mean  0.534 (n = 12)", "mean 0.534 (n = 13)", Tolerance())
    "published 12, now 13, in line 1: 'mean  0.534 (n = 12)'"
    """
    if published == now:
        return ""
    lines, lines_now = published.splitlines(), now.splitlines()
    if len(lines) == len(lines_now):
        for number, (line, line_now) in enumerate(zip(lines, lines_now, strict=True), start=1):
            fault = _line_difference(line, line_now, tolerance)
            if fault:
                return f"{fault}, in line {number}: '{_shortened(line)}'"
        return ""
    for number, (line, line_now) in enumerate(zip_longest(lines, lines_now), start=1):
        if line is None or line_now is None or _line_difference(line, line_now, tolerance):
            return f"{len(lines)} lines published, now {len(lines_now)}; from line {number} on: {_both(line, line_now)}"
    return ""


def _line_difference(line: str, now: str, tolerance: Tolerance) -> str:
    if _skeleton(line) != _skeleton(now):
        return _both(line, now)
    pairs = zip(_NUMBER.findall(line), _NUMBER.findall(now), strict=True)
    return next((_both(a, b, quote="") for a, b in pairs if not _displayed_alike(a, b, tolerance)), "")


def _skeleton(line: str) -> str:
    text = re.sub(r"[-─=]{2,}", "--", _NUMBER.sub("\0", line))
    return re.sub(r"\s+", " ", text).strip()


def _displayed_alike(published: str, now: str, tolerance: Tolerance) -> bool:
    first, second = (Decimal(text.replace(",", "").replace("\u2212", "-")) for text in (published, now))
    gap = abs(first - second)
    if not re.search(r"[.eE]", published + now):
        return gap == 0
    last_place = min(int(first.as_tuple().exponent), int(second.as_tuple().exponent))
    return gap <= Decimal(1).scaleb(last_place) or gap <= Decimal(tolerance.rtol) * abs(first)


def _both(published: object, now: object, quote: str = "'") -> str:
    shown = [
        f"{quote}{_shortened(str(value))}{quote}" if value is not None else "nothing" for value in (published, now)
    ]
    return f"published {shown[0]}, now {shown[1]}"


def _shortened(text: str, width: int = 120) -> str:
    return text.strip() if len(text.strip()) <= width else f"{text.strip()[: width - 4]} ..."


def value_differences(published: Any, now: Any, tolerance: Tolerance, place: str = "") -> Iterator[str]:
    """Yield what differs between two JSON values, each with its place such as ``rows[2].std_error``.

    Keys, text, whole numbers and lengths must be equal; other numbers within ``rtol`` and ``atol``.
    A covariance is held to ``rtol`` times the two standard errors, since its zeros are rounding noise.
    """
    if isinstance(published, Mapping) and isinstance(now, Mapping):
        for key in [*published, *(key for key in now if key not in published)]:
            where = f"{place}.{key}" if place else str(key)
            if key not in now or key not in published:
                yield f"{where}: {'no longer there' if key in published else 'was not published'}"
            elif key == "vcov":
                yield from _matrix_differences(published[key], now[key], tolerance, where)
            else:
                yield from value_differences(published[key], now[key], tolerance, where)
    elif isinstance(published, list) and isinstance(now, list):
        if len(published) != len(now):
            yield f"{place}: {len(published)} entries published, now {len(now)}"
        for index, (first, second) in enumerate(zip(published, now, strict=False)):
            yield from value_differences(first, second, tolerance, f"{place}[{index}{_label(first)}]")
    elif not _close(published, now, tolerance):
        yield f"{place}: published {published!r}, now {now!r}"


def _label(row: object) -> str:
    """Name a row of estimates by its keys, so that a message can be read without counting rows."""
    if not isinstance(row, Mapping) or "estimate" not in row:
        return ""
    keys = list(row)[: list(row).index("estimate")]
    return ": " + ", ".join(str(row[key]) for key in keys)


def _close(published: object, now: object, tolerance: Tolerance, floor: float = 0.0) -> bool:
    if type(published) is float or type(now) is float:
        if (
            isinstance(published, (int, float))
            and isinstance(now, (int, float))
            and bool not in (type(published), type(now))
        ):
            return abs(published - now) <= max(tolerance.atol, tolerance.rtol * abs(published), floor)
        return False
    return type(published) is type(now) and published == now


def _matrix_differences(published: Any, now: Any, tolerance: Tolerance, place: str) -> Iterator[str]:
    try:
        first, second = np.asarray(published, dtype=float), np.asarray(now, dtype=float)
    except (TypeError, ValueError):
        first = second = np.zeros(0)
    if first.ndim != 2 or first.shape != second.shape or first.shape[0] != first.shape[1]:
        yield from value_differences(published, now, tolerance, place)
        return
    scale = np.sqrt(np.abs(np.nan_to_num(np.diag(first))))
    allowed = np.maximum(tolerance.rtol * np.outer(scale, scale), tolerance.atol)
    off = ~((np.abs(first - second) <= allowed) | (np.isnan(first) & np.isnan(second)))
    for row, column in np.argwhere(off):
        yield f"{place}[{row}][{column}]: published {published[row][column]!r}, now {now[row][column]!r}"


def table_differences(published: str, now: str, tolerance: Tolerance) -> Iterator[str]:
    """Yield what differs between two CSV texts, each with row and column.

    Examples
    --------
    >>> list(table_differences("level,estimate\\nE,0.5\\n", "level,estimate\\nE,0.500001\\n", Tolerance()))
    ["row 1, column 'estimate': published 0.5, now 0.500001"]
    """
    first, second = (list(csv.reader(io.StringIO(text))) for text in (published, now))
    head = first[0] if first else []
    if len(first) != len(second) or head != (second[0] if second else []):
        yield f"{len(first) - 1} rows under {head} published, now {len(second) - 1} under {second[0] if second else []}"
        return
    for number, (row, row_now) in enumerate(zip(first, second, strict=True)):
        for column, (cell, cell_now) in enumerate(zip_longest(row, row_now)):
            if cell != cell_now and not _cells_alike(cell, cell_now, tolerance):
                name = head[column] if column < len(head) else column + 1
                yield f"row {number}, column '{name}': {_both(cell, cell_now, quote='')}"


def _cells_alike(published: str | None, now: str | None, tolerance: Tolerance) -> bool:
    if not published or not now or not re.search(r"[.eE]", published + now):
        return False
    try:
        return _close(float(published), float(now), tolerance)
    except ValueError:
        return False


def picture_difference(published: bytes, now: bytes, tolerance: Tolerance) -> str:
    """Return how far two PNG pictures are apart; empty where they look the same."""
    if published == now:
        return ""
    try:
        first, second = _pixels(published), _pixels(now)
    except (OSError, SyntaxError) as error:
        return f"not a readable picture ({type(error).__name__})"
    if first.shape != second.shape:
        sizes = [f"{pixels.shape[1]} x {pixels.shape[0]}" for pixels in (first, second)]
        return f"published {sizes[0]} pixels, now {sizes[1]}"
    squares = ((first - second) ** 2).max(axis=2)
    rms = float(np.sqrt(squares.mean()))
    padded = np.pad(squares, [(0, -size % _TILE) for size in squares.shape])
    tiles = padded.reshape(padded.shape[0] // _TILE, _TILE, -1, _TILE).mean(axis=(1, 3))
    worst = float(np.sqrt(tiles.max()))
    if rms <= tolerance.picture and worst <= tolerance.tile:
        return ""
    row, column = np.unravel_index(int(tiles.argmax()), tiles.shape)
    return (
        f"the picture changed: RMS {rms:.2f} of 255 (allowed {tolerance.picture:g}), {worst:.1f} around pixel "
        f"({int(column) * _TILE}, {int(row) * _TILE}) (allowed {tolerance.tile:g})"
    )


def _pixels(png: bytes) -> np.ndarray[Any, np.dtype[np.float64]]:
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture.convert("RGBA"), dtype=float)


def file_differences(published: Path, now: Path, tolerance: Tolerance) -> list[str]:
    """Return what differs between a published file and the same file of another run.

    JSON is compared by keys, CSV by cells, PNG by pixels, SVG as text with numbers, all else by bytes.
    """
    if published.suffix == ".png":
        fault = picture_difference(published.read_bytes(), now.read_bytes(), tolerance)
        return [fault] if fault else []
    if published.suffix not in (".json", ".csv", ".svg"):
        return [] if published.read_bytes() == now.read_bytes() else ["the bytes differ"]
    first, second = (path.read_text(encoding="utf-8-sig") for path in (published, now))
    if published.suffix == ".json":
        try:
            return list(value_differences(json.loads(first), json.loads(second), tolerance))
        except ValueError as error:
            return [f"not valid JSON: {error}"]
    if published.suffix == ".csv":
        return list(table_differences(first, second, tolerance))
    fault = text_difference(first, second, tolerance)
    return [fault] if fault else []
