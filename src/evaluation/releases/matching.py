"""Which row of last year's tables answers to which row of this year's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from evaluation.releases.cells import NOT_COMPARED, PublishedTable, Release, is_label, key_text, number
from evaluation.releases.changes import new_names
from evaluation.results import TIDY_COLUMNS

#: Key columns that say which period a number is of.
PERIOD_KEYS = ("year", "wave", "period", "survey_year")
#: Columns that hold results: no key lies behind the first of them.
_RESULTS = frozenset({*TIDY_COLUMNS, *NOT_COMPARED, "value", "share"})

_FOUR_DIGITS = re.compile(r"(?:19|20)\d\d")
_DATE = re.compile(r"(?:19|20)\d\d(?:-\d\d){1,2}")

Keys = tuple[tuple[str, str], ...]
Identity = tuple[str, str, Keys, int]


@dataclass(frozen=True, eq=False)
class Row:
    """One row of a published table.

    Attributes
    ----------
    table : PublishedTable
        The table it stands in.
    line : dict of str to str
        Its cells.
    key_columns : tuple of str
        Its key columns.
    keys : tuple of (str, str)
        What the keys hold, as in an address; empty ones left out.
    period : str
        The year its numbers are of; empty where that is only known of the study.
    occurrence : int
        1, or which of several rows with these keys it is.
    """

    table: PublishedTable
    line: Mapping[str, str] = field(repr=False)
    key_columns: tuple[str, ...]
    keys: Keys
    period: str
    occurrence: int = 1

    @property
    def mark(self) -> str:
        """Why its numbers are not shown; empty where they are."""
        return self.line.get("mark", "")

    def words(self, lang: str) -> str:
        """Return the row in words."""
        return self.table.words(self.line, self.key_columns, lang)

    def address(self, column: str) -> str:
        """Return the address of one of its cells."""
        keys = dict(self.keys)
        term = keys.pop("term", "")
        by = ",".join(f"{key}={value}" for key, value in keys.items())
        by += f"{',' if by else ''}row={self.occurrence}" if self.occurrence > 1 else ""
        return f"{self.table.name} | {term} | {by} | {column}"


@dataclass(frozen=True, eq=False)
class Pair:
    """Two rows that answer to each other; one of them may be missing.

    Attributes
    ----------
    old, new : Row or None
        The rows.
    is_one_period : bool
        Whether both are of the same period, so that they ought to be the same.
    period : str
        That period, where it has a name.
    is_year_missing : bool
        The new study has the row of the earlier year, but none of its own year.
    since : Row or None
        Of rows of two years, the old one as the new study published it again: what it hides now stays hidden.
    """

    old: Row | None
    new: Row | None
    is_one_period: bool = False
    period: str = ""
    is_year_missing: bool = False
    since: Row | None = None


def matched(old: Release, new: Release, renamed: Mapping[str, str]) -> Iterator[Pair]:
    """Yield the pairs of rows, in the order of the new study.

    Rows of one period answer to each other. The row of the old study's own year answers to that of the new study's
    own year as well; an estimate is gone where there is none, though others of its table have one. Two studies of one
    survey are about the same period.

    Parameters
    ----------
    old, new : Release
        The releases.
    renamed : mapping of str to str
        New names of variables by old ones.
    """
    old_rows, new_rows = _rows(old, _key_columns(old, new), renamed), _rows(new, _key_columns(new, old), {})
    is_one_year = _is_one_year(old, new)
    has_own_years = bool(old.year and new.year and old.year != new.year)
    own_templates = {identity[0] for identity, period in new_rows if period == new.year}
    for identity, period in dict.fromkeys([*new_rows, *old_rows]):
        before, now = old_rows.get((identity, period)), new_rows.get((identity, period))
        if not period:
            yield Pair(before, now, is_one_year, new.year if is_one_year else "")
            continue
        if before is not None and now is not None:
            yield Pair(before, now, True, period)
        last = old_rows.get((identity, old.year)) if has_own_years and period == new.year else None
        if last is not None and now is not None:
            yield Pair(last, now, since=new_rows.get((identity, old.year)))
        elif now is not None and before is None:
            yield Pair(None, now)
        if before is None or (has_own_years and period == old.year and (identity, new.year) in new_rows):
            continue
        if now is None:
            yield Pair(before, None)
        elif has_own_years and period == old.year and before.table.verb and identity[0] in own_templates:
            yield Pair(before, None, is_year_missing=True, since=now)


def rows_by_address(release: Release) -> dict[str, Row]:
    """Return every row of a release by the address of its cells, less the column."""
    rows = _rows(release, _key_columns(release, release), {}).values()
    return {without_column(row.address("")): row for row in rows}


def without_column(address: str) -> str:
    """Return an address up to its column.

    Examples
    --------
    >>> without_column("trend | stay | year=2016 | estimate")
    'trend | stay | year=2016'
    """
    return address.rpartition("|")[0].rstrip()


def _is_one_year(old: Release, new: Release) -> bool:
    return old.study == new.study or (bool(old.survey) and old.survey == new.survey)


def _rows(
    release: Release, columns: Mapping[str, tuple[str, ...]], renamed: Mapping[str, str]
) -> dict[tuple[Identity, str], Row]:
    """Return the rows of a release by what they are about, in the words of the new study, and their period."""
    rows: dict[tuple[Identity, str], Row] = {}
    seen: Counter[tuple[str, str, Keys, str]] = Counter()
    for name, table in release.tables.items():
        for line in table.lines:
            keys = tuple((key, key_text(line[key])) for key in columns[name] if line[key] != "")
            others, period = _without_period(keys)
            period = period or table.year
            about = (table.template, table.instance, new_names(others, renamed))
            seen[*about, period] += 1
            count = seen[*about, period]
            rows[(*about, count), period] = Row(table, line, columns[name], keys, period, count)
    return rows


def _without_period(keys: Keys) -> tuple[Keys, str]:
    """Return the keys without the year they name, and that year; a date keeps its key and is a period of its own."""
    for place, (name, value) in enumerate(keys):
        if name in PERIOD_KEYS and _FOUR_DIGITS.fullmatch(value):
            return keys[:place] + keys[place + 1 :], value
        if name in PERIOD_KEYS and _DATE.fullmatch(value):
            return keys, value
    return keys, ""


def _key_columns(release: Release, other: Release) -> dict[str, tuple[str, ...]]:
    """Return the key columns of each table: those that tell the rows of all of its kind apart, in both releases."""
    kinds: dict[str, list[PublishedTable]] = {}
    for table in (*release.tables.values(), *other.tables.values()):
        kinds.setdefault(table.template, []).append(table)
    found: dict[tuple[str, tuple[str, ...]], tuple[str, ...]] = {}
    for table in release.tables.values():
        form = (table.template, table.columns)
        if table.keys is None and form not in found:
            found[form] = _keys_of(table, kinds[table.template])
    return {
        table.name: found[table.template, table.columns] if table.keys is None else table.keys
        for table in release.tables.values()
    }


def _keys_of(table: PublishedTable, alike: list[PublishedTable]) -> tuple[str, ...]:
    """Return the keys that the estimates of such a table have, else the first columns that tell its rows apart."""
    given = (other.keys for other in alike if other.keys is not None and set(other.keys) <= set(table.columns))
    for keys in given:
        return keys
    choices = _prefixes(table, alike)
    for columns in choices:
        having = [other for other in alike if set(columns) <= set(other.columns)]
        if all(_tells_apart(columns, other) for other in having):
            return columns
    return choices[-1]


def _tells_apart(columns: tuple[str, ...], table: PublishedTable) -> bool:
    return len({tuple(line[column] for column in columns) for line in table.lines}) == len(table.lines)


def _prefixes(table: PublishedTable, alike: list[PublishedTable]) -> list[tuple[str, ...]]:
    """Return the first, the first two, ... of the columns that can be keys: no results, no numbers with decimals."""
    names: list[str] = []
    for column in table.columns:
        if column in _RESULTS:
            break
        texts = [key_text(line.get(column, "")) for other in alike for line in other.lines]
        if not is_label(column) and not any("." in text and number(text) is not None for text in texts):
            names.append(column)
    return [tuple(names[: count + 1]) for count in range(len(names))] or [()]
