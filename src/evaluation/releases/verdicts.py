"""What became of each cell of two rows that answer to each other: its kind, the difference and that one's error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from evaluation.releases.cells import (
    NOT_COMPARED,
    PublishedTable,
    Release,
    is_empty,
    is_label,
    is_same,
    key_text,
    number,
)
from evaluation.releases.changes import KnownChanges, variables_of
from evaluation.releases.matching import PERIOD_KEYS, Pair, Row, matched
from evaluation.releases.waves import rests_on_others, shared_factor
from evaluation.results import TIDY_COLUMNS
from evaluation.specification import Text

_ESTIMATE, _ERROR, _DF, _BASE = "estimate", "std_error", "df", "n_obs"
#: What columns begin with that go along with a number: intervals, p-values, effective sizes.
_ALONG = ("conf_", "std_error", "p_", "ess", "band_", "sd_")
#: Kinds that are told once for a row, and not again for each of its columns.
_OF_ROWS = frozenset({"gone", "new", "suppressed", "wording"})
#: Differences of these kinds are explained or not; the others are told.
_EXPLAINED = frozenset({"gone", "revised", "changed"})
#: Columns that are no shares, however small their numbers.
_NEVER_SHARES = ("p_value", "df", "statistic", "n_")
#: A number of respondents that fell below this share of the other year's is told by itself.
_LESS = 2 / 3


@dataclass(frozen=True)
class Cell:
    """One published cell of the old study, of the new one, or of both.

    Attributes
    ----------
    pair : Pair
        The rows it stands in.
    column : str
        Its column.
    kind : str
        A key of ``words.KINDS``.
    note : str
        A key of ``words.NOTES``.
    old, new : str
        As they were published; empty where nothing was, or where it may not be shown.
    difference, std_error, df : float
        New less old, its standard error as of two independent samples (waves that both rest on reckoned in), and
        that one's degrees of freedom; NaN where there is none.
    is_along : bool
        It goes along with another cell of its row that is told: an interval, a p-value, a count that hardly changed.
    is_unexplained : bool
        It must be explained and is not.
    reason : Text or None
        What explains it, or what is known of it.
    """

    pair: Pair
    column: str
    kind: str
    note: str = ""
    old: str = ""
    new: str = ""
    difference: float = math.nan
    std_error: float = math.nan
    df: float = math.nan
    is_along: bool = False
    is_unexplained: bool = False
    reason: Text | None = None

    @property
    def row(self) -> Row:
        """The row of the new study, or of the old one where there is none."""
        row = self.pair.new or self.pair.old
        if row is None:
            raise ValueError("a pair without rows")
        return row

    @property
    def in_errors(self) -> float:
        """How many standard errors the difference measures; infinite where the error is zero."""
        if math.isnan(self.difference) or math.isnan(self.std_error):
            return math.nan
        return abs(self.difference) / self.std_error if self.std_error else math.inf

    @property
    def address(self) -> str:
        """Its address in the new study; empty where it is gone."""
        return self.pair.new.address(self.column) if self.pair.new else ""

    @property
    def old_address(self) -> str:
        """Its address in the old study; empty where it is new."""
        return self.pair.old.address(self.column) if self.pair.old else ""


def judged(old: Release, new: Release, known: KnownChanges) -> Iterator[Cell]:
    """Yield every cell of two releases with its verdict, in the order of the new one.

    Parameters
    ----------
    old, new : Release
        The releases.
    known : KnownChanges
        What is known to have changed.
    """
    others = {
        side: frozenset(table.template for table in release.tables.values())
        for side, release in (("old", old), ("new", new))
    }
    pairs = list(matched(old, new, known.renamed))
    scaled = _scaled(pairs)
    for pair in pairs:
        cells = [_cell(pair, column, known, others, scaled) for column in _columns(pair)]
        yield from (_explained(cell, known) for cell in _told_once(cells))


def _columns(pair: Pair) -> list[str]:
    keys = {*(pair.old.key_columns if pair.old else ()), *(pair.new.key_columns if pair.new else ())}
    columns = [*(pair.new.table.columns if pair.new else ()), *(pair.old.table.columns if pair.old else ())]
    return [
        column
        for column in dict.fromkeys(columns)
        if not (column in keys or column in NOT_COMPARED or is_label(column) or _is_period(pair, column))
    ]


def _is_period(pair: Pair, column: str) -> bool:
    """Tell whether a column only says which year its rows are of, which is no number to be compared."""
    if column not in PERIOD_KEYS:
        return False
    rows = [row for row in (pair.old, pair.new) if row is not None and column in row.table.columns]
    return all(row.period and key_text(row.line[column]) == row.period for row in rows)


def _cell(
    pair: Pair,
    column: str,
    known: KnownChanges,
    others: Mapping[str, frozenset[str]],
    scaled: frozenset[tuple[str, str]],
) -> Cell:
    old, new = (row.line.get(column, "") if row else "" for row in (pair.old, pair.new))
    if pair.since is not None and pair.since.mark and is_empty(pair.since.line.get(column, "")) and not is_empty(old):
        return Cell(pair, column, "suppressed", "suppressed_since", "", new)
    cell = Cell(pair, column, "same", "", old, new)
    if pair.old is None or pair.new is None:
        return _of_one_side(cell, others)
    hidden = [bool(row.mark) and is_empty(text) for row, text in ((pair.old, old), (pair.new, new))]
    if any(hidden):
        return _suppressed(cell, *hidden)
    if is_empty(old) and is_empty(new):
        return cell
    if not pair.is_one_period and (reason := _wording(pair, known)):
        return replace(cell, kind="wording", note="wording", reason=reason)
    if is_empty(old) or is_empty(new):
        return replace(cell, kind="new" if is_empty(old) else "gone", note=_why_empty(pair, column, is_empty(old)))
    return _of_both(cell, scaled)


def _of_one_side(cell: Cell, others: Mapping[str, frozenset[str]]) -> Cell:
    pair = cell.pair
    side, kind = ("then", "new") if pair.old is None else ("now", "gone")
    is_there = cell.row.table.template in others["old" if pair.old is None else "new"]
    note = "no_own_year" if pair.is_year_missing else f"no_row_{side}" if is_there else f"no_table_{side}"
    return replace(cell, kind=kind, note=note)


def _suppressed(cell: Cell, then: bool, now: bool) -> Cell:
    """Return a cell that is hidden on a side: of one period the other side is hidden too, since it gives it away."""
    pair = cell.pair
    if then and now:
        is_alike = pair.old is not None and pair.new is not None and pair.old.mark == pair.new.mark
        return replace(cell, kind="same" if is_alike else "suppressed", note="" if is_alike else "suppressed_both")
    note = "suppressed_then" if then else "suppressed_now"
    if pair.is_one_period:
        return replace(cell, kind="suppressed", note="same_period_hidden", old="", new="")
    return replace(cell, kind="suppressed", note=note)


def _why_empty(pair: Pair, column: str, is_new: bool) -> str:
    row = pair.old if is_new else pair.new
    if row is not None and column not in row.table.columns:
        return "no_column_then" if is_new else "no_column_now"
    return "no_value_then" if is_new else "no_value_now"


def _of_both(cell: Cell, scaled: frozenset[tuple[str, str]]) -> Cell:
    pair, old, new = cell.pair, number(cell.old), number(cell.new)
    if pair.old is None or pair.new is None:
        return cell
    kind = "revised" if pair.is_one_period else "changed"
    if old is None or new is None:
        return cell if cell.old == cell.new else replace(cell, kind=kind, note="text")
    if rests_on_others(pair.old, pair.new, pair.is_one_period):
        return replace(cell, kind="changed", note="other_waves")
    if note := _other_quantity(pair.old, pair.new, cell.column, scaled):
        return replace(cell, kind=kind, note=note)
    if is_same(old, new):
        return cell
    found = replace(cell, kind=kind, difference=new - old if math.isfinite(new - old) else math.nan)
    if kind == "revised":
        return found
    if cell.column != _ESTIMATE:
        return replace(found, note=_note_of_base(old, new) if cell.column == _BASE else "no_error")
    error, df = _error(pair.old, pair.new)
    factor = shared_factor(pair.old, pair.new)
    note = "no_error" if math.isnan(error) else "shared_waves" if factor != 1 else ""
    return replace(found, std_error=error * factor, df=df, note=note)


def _note_of_base(old: float, new: float) -> str:
    low, high = sorted((old, new))
    is_other = low < _LESS * high and high - low > 3 * math.sqrt(low + high)  # as counts that differ by chance do not
    return "other_size" if is_other else "no_error"


def _wording(pair: Pair, known: KnownChanges) -> Text | None:
    if pair.new is None or not known.reworded:
        return None
    found = variables_of(pair.new.table, pair.new.keys) & set(known.reworded)
    return known.reworded[min(found)] if found else None


def _other_quantity(old: Row, new: Row, column: str, scaled: frozenset[tuple[str, str]]) -> str:
    """Return why two numbers are no values of one quantity; empty where they are."""
    if old.table.verb and new.table.verb and old.table.verb != new.table.verb:
        return "other_verb"
    if old.table.base and new.table.base and old.table.base != new.table.base:
        return "other_base"
    if old.line.get("unit", "") != new.line.get("unit", ""):
        return "other_unit"
    return "other_scale" if (new.table.name, column) in scaled else ""


def _error(old: Row, new: Row) -> tuple[float, float]:
    """Return the standard error of a difference of two independent samples, and its degrees of freedom."""
    errors = [number(row.line.get(_ERROR, "")) for row in (old, new)]
    if errors[0] is None or errors[1] is None:
        return math.nan, math.nan
    variances = [error**2 for error in errors if error is not None]
    total = sum(variances)
    degrees = [number(row.line.get(_DF, "")) for row in (old, new)]
    if total == 0 or any(df is None or df <= 0 for df in degrees):
        return math.sqrt(total), math.nan
    spread = sum(variance**2 / df for variance, df in zip(variances, degrees, strict=True) if df is not None)
    return math.sqrt(total), total**2 / spread if spread else math.inf


def _scaled(pairs: list[Pair]) -> frozenset[tuple[str, str]]:
    """Return the tables and columns of which one side holds shares up to 1 and the other about a hundred times that."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for pair in pairs:
        if pair.old is None or pair.new is None:
            continue
        for column in _columns(pair):
            old, new = (number(row.line.get(column, "")) for row in (pair.old, pair.new))
            if column.startswith(_NEVER_SHARES):
                continue
            if old and new and math.isfinite(old) and math.isfinite(new):
                found.setdefault((pair.new.table.name, column), []).append((abs(old), abs(new)))
    return frozenset(place for place, both in found.items() if _is_scaled(both))


def _is_scaled(both: list[tuple[float, float]]) -> bool:
    low, high = ([pair[side] for pair in both] for side in (0, 1))
    if max(low) > max(high):
        low, high = high, low
    is_fraction = any(value != round(value) for value in low)
    ratio = sum(high) / sum(low)
    is_everywhere = all(10 <= large / small <= 1000 for small, large in zip(low, high, strict=True))
    return is_fraction and max(low) <= 1 and 50 <= ratio <= 200 and max(high) <= 100 and is_everywhere


def _told_once(cells: list[Cell]) -> Iterator[Cell]:
    """Mark the cells that go along with another of their row, so that a row is told once and not nine times."""
    along = [_goes_along(cell.column, cell.row.table) for cell in cells]
    main = [cell.kind for cell, goes in zip(cells, along, strict=True) if not goes and cell.kind != "same"]
    told: set[str] = set()
    for cell, goes in zip(cells, along, strict=True):
        if cell.kind == "same":
            yield replace(cell, is_along=goes)
            continue
        is_told = bool(main or told) if goes else cell.kind in _OF_ROWS and cell.kind in told
        is_told &= cell.note != "other_size" or any(kind in _OF_ROWS for kind in main)
        told.add(cell.kind)
        yield replace(cell, is_along=is_told)


def _goes_along(column: str, table: PublishedTable) -> bool:
    if column == _ESTIMATE:
        return False
    if _ESTIMATE in table.columns and table.verb:
        return True
    return column in TIDY_COLUMNS or column.startswith(_ALONG)


def _explained(cell: Cell, known: KnownChanges) -> Cell:
    """Return a cell with what explains it, or marked where nothing does."""
    if cell.kind == "same" or (cell.kind not in _EXPLAINED and cell.reason is not None):
        return cell
    reason = cell.reason or known.declared_reason((cell.address, cell.old_address))
    if reason is None and cell.kind == "revised":
        reason = known.revision(variables_of(cell.row.table, cell.row.keys), cell.pair.period)
    must = cell.kind in _EXPLAINED and not cell.is_along and reason is None and _is_beyond(cell, known.threshold)
    return replace(cell, reason=reason, is_unexplained=must)


def _is_beyond(cell: Cell, threshold: float) -> bool:
    """Tell whether a cell must be explained: of numbers of two years only beyond the threshold."""
    if cell.kind != "changed":
        return True
    if cell.note.startswith("other_"):
        return not cell.is_along
    return cell.in_errors > threshold
