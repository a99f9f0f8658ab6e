"""Results as tables for a publication: labels, units, source and notes are parts of the table.

A table shows rounded numbers, and shares as per cent; its CSV holds codes, labels in both languages
and numbers in full. Nothing is computed here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from evaluation import project, wording
from evaluation.errors import PublishError
from evaluation.results import Estimates, Labels, PlainLabels, Provenance

#: Columns of plain frames that hold shares of a population, 0 to 1.
SHARES = frozenset({"target", "before", "after"})
#: Verbs whose estimates are shares, 0 to 1.
SHARE_VERBS = frozenset({"survey_prop"})

_HIDDEN = frozenset({"statistic", "df"})


@runtime_checkable
class Tidy(Protocol):
    """A result that has a tidy frame and knows where it comes from."""

    @property
    def provenance(self) -> Provenance:
        """Where the numbers come from."""
        ...

    def tidy(self) -> pd.DataFrame:
        """Return one row per number."""
        ...


@dataclass(frozen=True, eq=False)
class Table:
    """A table with its title, source and notes.

    Attributes
    ----------
    title : str
        What the table shows.
    frame : pandas.DataFrame of str
        What is displayed: headings and labels in the language, rounded numbers.
    data : pandas.DataFrame
        What goes into the CSV: codes, labels in both languages, numbers in full.
    source : str
        Survey, n, weight and interval, as below every figure; may be empty.
    notes : tuple of str
        Further lines below the table.
    lang : {"ko", "en"}
        Language of headings, labels and notes.
    numeric : tuple of str
        Columns of ``frame`` that are numbers and stand flush right.
    """

    title: str
    frame: pd.DataFrame
    data: pd.DataFrame
    source: str
    notes: tuple[str, ...]
    lang: str
    numeric: tuple[str, ...] = ()

    @property
    def caption(self) -> str:
        """Source and notes as one text, as they stand below the table."""
        return "\n".join(self._foot())

    def to_csv(self, path: str | Path) -> None:
        """Write the long form: UTF-8, comma, one row per number, full precision."""
        Path(path).write_bytes(csv_bytes(self.data))

    def _foot(self) -> list[str]:
        source = [f"{wording.term('source', self.lang)}: {self.source}"] if self.source else []
        notes = " ".join(note if note.endswith(".") else f"{note}." for note in self.notes)
        return source + ([f"{wording.term('note', self.lang)}: {notes}"] if notes else [])

    def __repr__(self) -> str:
        with pd.option_context("display.unicode.east_asian_width", True):
            body = self.frame.to_string(index=False)
        return "\n".join([self.title, body, *self._foot()])

    def _repr_html_(self) -> str:
        columns = list(self.frame.columns)
        sides = ["right" if column in self.numeric else "left" for column in columns]
        head = "".join(_cell("th", column, side, ' scope="col"') for column, side in zip(columns, sides, strict=True))
        rows = [
            "<tr>" + "".join(_cell("td", cell, side) for cell, side in zip(row, sides, strict=True)) + "</tr>"
            for row in self.frame.itertuples(index=False, name=None)
        ]
        foot = "<br>".join(html.escape(line) for line in self._foot())
        lines = [
            '<table class="evaluation-table">',
            f'<caption style="text-align: left"><strong>{html.escape(self.title)}</strong></caption>',
            f"<thead><tr>{head}</tr></thead>",
            "<tbody>",
            *rows,
            "</tbody>",
        ]
        if foot:
            wide = f'colspan="{len(columns)}" style="text-align: left"'
            lines.append(f"<tfoot><tr><td {wide}><div>{foot}</div></td></tr></tfoot>")
        return "\n".join([*lines, "</table>"])


def _cell(tag: str, text: object, side: str, attributes: str = "") -> str:
    return f'<{tag}{attributes} style="text-align: {side}">{html.escape(str(text))}</{tag}>'


def table(
    result: Tidy | pd.DataFrame,
    *,
    title: str | None = None,
    lang: str | None = None,
    labels: Labels | None = None,
    source: str = "",
    notes: Iterable[str] = (),
) -> Table:
    """Lay a result out as a table that can be published.

    Parameters
    ----------
    result : Estimates, another result with ``tidy()`` and ``provenance``, or pandas.DataFrame
        A plain frame is shown as it is, with our words for the columns we know.
    title : str, optional
        What the table shows, or a key of the workbench's own words, such as "missing_values"; made from
        verb, terms and groups for estimates, needed for a frame.
    lang : {"ko", "en"}, optional
        Default: the language of the project.
    labels : Labels, optional
        Words for columns and codes of a plain frame; results bring their own.
    source : str
        Source line of a plain frame; results bring their own.
    notes : iterable of str
        Further lines below the table.

    Returns
    -------
    Table

    Raises
    ------
    PublishError
        For a frame without a title, or something that is no result.

    Examples
    --------
    >>> cells = pd.DataFrame({"level": ["E", "H"], "n_obs": [144, 14]})
    >>> table(cells, title="Schools by type", lang="en", source="apiclus1")
    Schools by type
    category   n
           E 144
           H  14
    Source: apiclus1
    """
    lang = project.language() if lang is None else lang
    if isinstance(result, Estimates):
        return _estimates_table(result, title, lang, tuple(notes))
    if isinstance(result, pd.DataFrame):
        if not title:
            raise PublishError("a table of a plain frame needs a title: ev.table(frame, title=...).")
        return _plain_table(result, wording.term(title, lang), lang, labels or PlainLabels(), source, tuple(notes))
    if isinstance(result, Tidy):
        frame, where = result.tidy(), result.provenance
        line = source or wording.caption(where, None, lang)
        name = wording.term(title or type(result).__name__, lang)
        return _plain_table(frame, name, lang, labels or where.labels, line, tuple(notes))
    raise PublishError(
        f"expected estimates, another result or a DataFrame to make a table of, got {type(result).__name__}. "
        "Pass what an estimating verb returned."
    )


def long_frame(result: Estimates) -> pd.DataFrame:
    """Return estimates as they go into a CSV: every key as code and as label in both languages.

    Columns: for each key ``<key>, <key>_label_ko, <key>_label_en``, then those of ``tidy()``.
    """
    tidy, labels = result.tidy(), result.provenance.labels
    return _labelled(tidy, list(result.keys.columns), {lang: _key_words(result.keys, labels, lang) for lang in _BOTH})


_BOTH = ("ko", "en")


def _key_words(keys: pd.DataFrame, labels: Labels, lang: str) -> pd.DataFrame:
    return wording.label_keys(keys.reset_index(drop=True), labels, lang)


def _labelled(frame: pd.DataFrame, keys: list[Any], words: dict[str, pd.DataFrame]) -> pd.DataFrame:
    columns: dict[str, Any] = {}
    for column in frame.columns:
        columns[str(column)] = frame[column].to_numpy()
        if column in keys:
            columns |= {f"{column}_label_{lang}": words[lang][str(column)].to_numpy() for lang in _BOTH}
    return pd.DataFrame(columns)


def csv_bytes(frame: pd.DataFrame) -> bytes:
    """Return a frame as CSV: UTF-8, ``\\n`` line ends, shortest text that gives the same number back."""
    return str(frame.to_csv(index=False, lineterminator="\n")).encode("utf-8")


def _estimates_table(result: Estimates, title: str | None, lang: str, notes: tuple[str, ...]) -> Table:
    keys = _key_columns(result, lang)
    numbers = {_free(keys, name, "n"): cells for name, cells in _number_columns(result, lang).items()}
    population = result.provenance.population.get(lang, "")
    lines = [f"{wording.term('population', lang)}: {population}"] if population else []
    if (result.std_error > 0).any():
        lines.append(wording.term("rounding", lang))
    return Table(
        title=title or wording.estimates_title(result, lang),
        frame=_frame(keys | numbers),
        data=long_frame(result),
        source=wording.caption(result.provenance, result.conf_level, lang, marks=""),
        notes=(*lines, *notes),
        lang=lang,
        numeric=tuple(numbers),
    )


def _key_columns(result: Estimates, lang: str) -> dict[str, list[str]]:
    words = _key_words(result.keys, result.provenance.labels, lang)
    by = [str(column) for column in words if column not in {"term", "level"}]
    ordered = [column for column in (*by, "term", "level") if column in words]
    filled = [column for column in ordered if (words[column] != "").any()]
    if len(filled) > 1 and words.get("term", pd.Series(dtype=object)).nunique() == 1:
        filled.remove("term")
    labels = result.provenance.labels
    columns: dict[str, list[str]] = {}
    for column in filled:
        name = "quantile" if column == "level" and result.verb == "survey_quantile" else column
        columns[_free(columns, wording.heading(name, labels, lang), column)] = words[column].tolist()
    return columns


def _number_columns(result: Estimates, lang: str) -> dict[str, list[str]]:
    share = result.verb in SHARE_VERBS
    scale = 100.0 if share else 1.0
    tidy = result.tidy()
    estimate, error = scale * tidy["estimate"].to_numpy(), scale * tidy["std_error"].to_numpy()
    places = _places(result.keys["term"], estimate, error)
    low, high = scale * tidy["conf_low"].to_numpy(), scale * tidy["conf_high"].to_numpy()
    per_cent, points = (" (%)", f" ({wording.percentage_point_unit(lang)})") if share else ("", "")
    columns = {
        _capital(wording.verb_name(result.verb, lang)) + per_cent: list(map(wording.number, estimate, places)),
        wording.term("std_error", lang) + points: list(map(wording.number, error, places)),
        wording.interval_name(result.conf_level, lang): [
            _interval(lower, upper, digits) for lower, upper, digits in zip(low, high, places, strict=True)
        ],
    }
    if result.verb in wording.AGAINST_ZERO:
        columns[wording.term("p_value", lang)] = [wording.probability(value) for value in tidy["p_value"]]
    columns[wording.term("n_obs", lang)] = [wording.number(value) for value in tidy["n_obs"]]
    for name, values in result.columns.items():
        if name not in _HIDDEN:
            own = _free(columns, _plain_heading(name, result.provenance.labels, lang), name)
            columns[own] = [_plain_cell(value) for value in values]
    return columns


def _places(terms: pd.Series[Any], estimate: Any, error: Any) -> list[int]:
    """Decimals of each row, common to all rows of one term."""
    places = {}
    for name in dict.fromkeys(terms):
        rows = (terms == name).to_numpy()
        common = wording.common_decimals(error[rows])
        places[name] = common if common is not None else _places_without_error(estimate[rows])
    return [places[name] for name in terms]


def _places_without_error(estimate: Any) -> int:
    finite = estimate[np.isfinite(estimate) & (estimate != 0)]
    if not finite.size or np.all(finite == np.round(finite)):
        return 0
    return max(0, min(3 - int(np.floor(np.log10(np.abs(finite).min()))), wording.MOST_DECIMALS))


def _interval(low: float, high: float, places: int) -> str:
    if np.isnan(low) and np.isnan(high):
        return wording.ABSENT
    return f"[{wording.number(low, places)}, {wording.number(high, places)}]"


def _plain_table(
    frame: pd.DataFrame, title: str, lang: str, labels: Labels, source: str, notes: tuple[str, ...]
) -> Table:
    frame = with_index(frame)
    cells: dict[str, list[str]] = {}
    numeric: list[str] = []
    for column in frame.columns:
        name = _free(cells, _plain_heading(str(column), labels, lang), str(column))
        values = frame[column]
        if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values):
            numeric.append(name)
        cells[name] = _plain_cells(frame, str(column), values, labels, lang)
    keys = [column for column in ("margin", "level", "term") if column in frame]
    words = {tongue: _plain_words(frame, keys, labels, tongue) for tongue in _BOTH}
    known = not isinstance(labels, PlainLabels)
    return Table(
        title=title,
        frame=_frame(cells),
        data=_labelled(frame, keys if known else [], words),
        source=source,
        notes=notes,
        lang=lang,
        numeric=tuple(numeric),
    )


def _free(taken: dict[str, list[str]], heading: str, column: str) -> str:
    """Return a heading that no other column bears."""
    return f"{heading} ({column})" if heading in taken else heading


def _plain_heading(column: str, labels: Labels, lang: str) -> str:
    name = wording.term(column, lang) if wording.knows(column) else labels.variable(column, lang)
    return f"{name} (%)" if column in SHARES else name


def _plain_words(frame: pd.DataFrame, keys: list[str], labels: Labels, lang: str) -> pd.DataFrame:
    return pd.DataFrame({key: _plain_cells(frame, key, frame[key], labels, lang) for key in keys}, dtype=object)


def _plain_cells(frame: pd.DataFrame, column: str, values: Any, labels: Labels, lang: str) -> list[str]:
    if column in SHARES:
        return [wording.number(100 * value, 1) for value in values]
    if column in {"term", "margin"}:
        return [wording.term_label(value, labels, lang) for value in values]
    if column == "level":
        owners = frame["margin"] if "margin" in frame else frame.get("term", [""] * len(frame))
        pairs = zip(values, owners, strict=True)
        return ["" if wording.is_absent(value) else labels.value(str(owner), value, lang) for value, owner in pairs]
    if column == "p_value":
        return [wording.probability(value) for value in values]
    if pd.api.types.is_bool_dtype(values):
        return [wording.term("true" if value else "false", lang) for value in values]
    if pd.api.types.is_numeric_dtype(values):
        return [_plain_cell(value) for value in values]
    return ["" if wording.is_absent(value) else labels.value(column, value, lang) for value in values]


def with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose named index, if it has one, has become columns."""
    return frame.reset_index(drop=all(name is None for name in frame.index.names))


def _plain_cell(value: Any) -> str:
    return wording.plain_number(float(value)) if isinstance(value, (int, float, np.number)) else str(value)


def _frame(columns: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
