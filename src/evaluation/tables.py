"""Results as tables for a publication: labels, units, source and notes are parts of the table.

A table shows rounded numbers, and shares as per cent; its CSV holds codes, labels in both languages
and numbers in full. Nothing is computed here.
"""

from __future__ import annotations

import codecs
import html
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from unicodedata import east_asian_width

import numpy as np
import pandas as pd

from evaluation import disclosure, project, typesetting, wording
from evaluation.errors import PublishError
from evaluation.results import (
    REFUSED_IN_CLAIMS,
    SAMPLING_ALONE,
    TIDY_COLUMNS,
    Estimates,
    Labels,
    PlainLabels,
    Provenance,
    TestResult,
    holds_records,
)
from evaluation.specification import Text

#: Columns of plain frames that hold shares of a population, 0 to 1.
SHARES = frozenset({"target", "before", "after"})
#: Verbs whose estimates are shares, 0 to 1.
SHARE_VERBS = wording.SHARE_VERBS

_HIDDEN = frozenset({"statistic", "df", "mark", "band_low", "band_high"})
#: Further columns that are p-values.
_PROBABILITIES = frozenset(
    {"p_holm", "p_hochberg", "p_hommel", "p_bonferroni", "p_sidak", "p_holm_sidak", "p_bh", "p_by", "p_romano_wolf"}
    | {
        "p_jackknife",
        "p_randomization",
        "p_wild",
        "p_heterogeneity",
        "p_value",
        "p_lower",
        "p_upper",
        "p_low",
        "p_high",
    }
)
#: Columns of effective numbers of respondents, which are shown whole as numbers of respondents are.
_WHOLE = frozenset({"n_effective", "ess", "ess_raw", "ess_participants", "ess_comparison"})
#: Columns of plain frames that hold keys, and appear in the CSV with labels in both languages.
_KEYS = ("margin", "variable", "covariate", "level", "term", "reason", "step")
#: Columns of plain frames whose cells are words of the workbench.
_OWN_WORDS = frozenset({"reason", "refused_because", "step", "denominator", "is_covered", "conclusion", "bound"})
#: Columns of plain frames that tell the rows of one result apart, as the results themselves have them.
_ROW_KEYS = frozenset({"method", "part", "quantity"})
#: Columns of plain frames that go into the CSV only, where another column says the same in short.
_CSV_ONLY = {"arguments": "step", "source": "measure"} | dict.fromkeys(
    (
        *("mean_participants_weighted", "mean_comparison_weighted", "variance_ratio_raw", "variance_ratio_weighted"),
        *("ks_raw", "ks_weighted"),
    ),
    "smd_weighted",
)
#: Columns of plain frames that are shown to three decimals, whatever their size.
_THREE_PLACES = frozenset({"mean_participants_raw", "mean_comparison_raw", "smd_raw", "smd_weighted", "missed_by"})


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


@runtime_checkable
class Tabular(Protocol):
    """A result that lays itself out, because its rows are more than numbers."""

    def as_table(self, lang: str) -> Table:
        """Return the table."""
        ...


@runtime_checkable
class Laid(Tidy, Protocol):
    """A result whose table has other rows than its numbers: it says what each cell reads."""

    def layout(self, lang: str) -> tuple[dict[str, list[str]], list[str]]:
        """Return columns of text, the first one names of rows, and notes."""
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
    groups : tuple of (str, int)
        Headings of groups of rows, each with its number of rows, in order; empty for one group without a heading.
    is_refused : bool
        The errors may not be published (``refused_in_claims``).
    """

    title: str
    frame: pd.DataFrame
    data: pd.DataFrame
    source: str
    notes: tuple[str, ...]
    lang: str
    numeric: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    is_refused: bool = False

    @property
    def caption(self) -> str:
        """Source and notes as one text, as they stand below the table."""
        return "\n".join(self._foot())

    def to_csv(self, path: str | Path) -> None:
        """Write the long form: comma, one row per number, full precision, UTF-8 with the mark that Excel needs."""
        Path(path).write_bytes(codecs.BOM_UTF8 + csv_bytes(self.data))

    def to_html(self, path: str | Path) -> None:
        """Write the table as it is displayed, as a part of an HTML page."""
        Path(path).write_text(self._repr_html_() + "\n", encoding="utf-8", newline="\n")

    def to_latex(self, path: str | Path) -> None:
        """Write LaTeX source (booktabs, threeparttable; Korean needs XeLaTeX or LuaLaTeX)."""
        text = typesetting.latex(self.title, self._grouped(), self.numeric, self._foot())
        Path(path).write_text(text, encoding="utf-8", newline="\n")

    def to_word(self, path: str | Path) -> None:
        """Write a Word document (docx) with title, table, source and notes; the same table is the same file."""
        made = typesetting.word(self.title, self._grouped(), self.numeric, self._foot(), lang=self.lang)
        Path(path).write_bytes(made)

    def _foot(self) -> list[str]:
        source = [f"{wording.term('source', self.lang)}: {self.source}"] if self.source else []
        notes = " ".join(note if note.endswith(".") else f"{note}." for note in self.notes)
        return source + ([f"{wording.term('note', self.lang)}: {notes}"] if notes else [])

    def _grouped(self) -> list[tuple[str, pd.DataFrame]]:
        """Return the rows of each group with its heading."""
        parts, start = [], 0
        for heading, rows in self.groups or (("", len(self.frame)),):
            parts.append((heading, self.frame.iloc[start : start + rows]))
            start += rows
        return parts

    def __repr__(self) -> str:
        body = self.frame
        if body.empty:
            return "\n".join([self.title, wording.term("no_rows", self.lang), *self._foot()])
        if self.groups:
            first = str(body.columns[0])
            blank = dict.fromkeys(map(str, body.columns), "")
            rows = [
                row
                for heading, part in self._grouped()
                for row in ({**blank, first: heading}, *_indented(part, first).to_dict("records"))
            ]
            body = pd.DataFrame(rows, columns=body.columns, dtype=object)
            body[first] = _flush_left(body[first])
        with pd.option_context("display.unicode.east_asian_width", True, "display.max_colwidth", None):
            text = body.to_string(index=False)
        return "\n".join([self.title, *(line.rstrip() for line in text.split("\n")), *self._foot()])

    def _repr_html_(self) -> str:
        columns = list(self.frame.columns)
        sides = ["right" if column in self.numeric else "left" for column in columns]
        head = "".join(_cell("th", column, side, ' scope="col"') for column, side in zip(columns, sides, strict=True))
        lines = [
            '<table class="evaluation-table">',
            f'<caption style="text-align: left"><strong>{html.escape(self.title)}</strong></caption>',
            f"<thead><tr>{head}</tr></thead>",
        ]
        for heading, part in self._grouped():
            spanning = _cell("th", heading, "left", f' class="group" scope="rowgroup" colspan="{len(columns)}"')
            rows = [
                "<tr>" + "".join(_cell("td", cell, side) for cell, side in zip(row, sides, strict=True)) + "</tr>"
                for row in part.itertuples(index=False, name=None)
            ]
            lines += ["<tbody>", *([f"<tr>{spanning}</tr>"] if heading else []), *rows, "</tbody>"]
        if self.frame.empty:
            blank = _cell("td", wording.term("no_rows", self.lang), "left", f' colspan="{len(columns)}"')
            lines.append(f"<tbody><tr>{blank}</tr></tbody>")
        foot = "<br>".join(html.escape(line) for line in self._foot())
        if foot:
            wide = f'colspan="{len(columns)}" style="text-align: left"'
            lines.append(f"<tfoot><tr><td {wide}><div>{foot}</div></td></tr></tfoot>")
        return "\n".join([*lines, "</table>"])


def _indented(part: pd.DataFrame, first: str) -> pd.DataFrame:
    return part.assign(**{first: "  " + part[first]})


def _flush_left(cells: pd.Series[Any]) -> list[str]:
    widths = [sum(2 if east_asian_width(letter) in "WF" else 1 for letter in cell) for cell in cells]
    return [cell + " " * (max(widths) - width) for cell, width in zip(cells, widths, strict=True)]


def _cell(tag: str, text: object, side: str, attributes: str = "") -> str:
    return f'<{tag}{attributes} style="text-align: {side}">{html.escape(str(text))}</{tag}>'


def table(
    result: Estimates | Mapping[str, Estimates] | Tabular | Tidy | pd.DataFrame,
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
    result : Estimates, mapping of name to Estimates, another result, or pandas.DataFrame
        The groups of a mapping stand one under another, each under its own title (``titles[name]``, where the
        mapping has such). Other results have ``tidy()`` and ``provenance``, or lay themselves out. A plain
        frame is shown as it is, with our words for the columns we know.
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
    if isinstance(result, Mapping):
        return _group_table(result, title, lang, source, tuple(notes))
    if isinstance(result, Tabular):
        made = result.as_table(lang)
        return replace(made, title=wording.term(title, lang) if title else made.title, notes=(*made.notes, *notes))
    if isinstance(result, pd.DataFrame):
        _refuse_records(result)
        if not title:
            raise PublishError("a table of a plain frame needs a title: ev.table(frame, title=...).")
        return _plain_table(result, wording.term(title, lang), lang, labels or PlainLabels(), source, tuple(notes))
    if isinstance(result, Laid):
        return _laid_table(result, title, lang, source, tuple(notes))
    if isinstance(result, TestResult):
        return _test_table(result, title, lang, source, tuple(notes))
    if isinstance(result, Tidy):
        frame, where = result.tidy(), result.provenance
        _refuse_records(frame)
        line = source or wording.caption(where, None, lang)
        name = _title_of(result, title, lang)
        marks = dict.fromkeys(filter(None, frame.get("mark", ())))
        said = [disclosure.meaning_of(mark, where, lang) for mark in marks]
        return _plain_table(frame, name, lang, labels or where.labels, line, (*said, *notes))
    raise PublishError(
        f"expected estimates, another result or a DataFrame to make a table of, got {type(result).__name__}. "
        "Pass what an estimating verb returned."
    )


def _title_of(result: Tidy, title: str | None, lang: str) -> str:
    """Return the title given, or the name of the kind of result with what it is of, where it says that."""
    subject = getattr(result, "subject", None)
    of = subject(lang) if title is None and subject is not None else ""
    return wording.term(title or type(result).__name__, lang) + (f": {of}" if of else "")


def _refuse_records(frame: pd.DataFrame) -> None:
    if holds_records(frame):
        raise PublishError(
            "a table of respondents' records would show them in the notebook. Make a table of what an estimating "
            "verb returned."
        )


def long_frame(result: Estimates) -> pd.DataFrame:
    """Return estimates as they go into a CSV: every key as code and as label in both languages.

    Columns: for each key ``<key>, <key>_label_ko, <key>_label_en``, then those of ``tidy()``; where numbers may
    not be shown they are empty, and a last column ``mark`` says why.
    """
    tidy = disclosure.shown(result).tidy()
    return _labelled(tidy, list(result.keys.columns), {lang: wording.result_keys(result, lang) for lang in _BOTH})


_BOTH = ("ko", "en")


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
    lines += map(wording.capital, wording.families_note(result, lang))
    if result.verb == "fay_herriot" and result.fit.get("model_variance") == 0:
        lines.append(wording.term("model_variance_zero", lang))
    lines += [wording.term(SAMPLING_ALONE, lang)] if result.fit.get(SAMPLING_ALONE) else []
    remarks = getattr(result, "remarks", None)
    lines += [] if remarks is None else remarks(lang)
    return Table(
        title=title or wording.estimates_title(result, lang),
        frame=_frame(keys | numbers),
        data=long_frame(result),
        source=wording.caption(result.provenance, result.conf_level, lang, marks=""),
        notes=(*lines, *disclosure.meanings([result], lang), *notes),
        lang=lang,
        numeric=tuple(name for name in numbers if name not in _texts(result, lang)),
        is_refused=bool(result.fit.get(REFUSED_IN_CLAIMS)),
    )


def _texts(result: Estimates, lang: str) -> set[str]:
    """Return the headings of further columns that hold words."""
    worded = [name for name, values in result.columns.items() if not all(_is_number(value) for value in values)]
    return {_plain_heading(name, result.provenance.labels, lang) for name in worded}


def _key_columns(result: Estimates, lang: str) -> dict[str, list[str]]:
    words = wording.result_keys(result, lang)
    by = [str(column) for column in words if column not in {"term", "level"}]
    is_effect = result.verb == "marginal_effects"
    ordered = [
        column for column in (("term", *by, "level") if is_effect else (*by, "term", "level")) if column in words
    ]
    if result.verb == "subgroup_effects":
        ordered = [str(column) for column in words]
    filled = [column for column in ordered if (words[column] != "").any()]
    if result.verb in wording.ABOUT_AREAS:
        filled = [column for column in filled if column == "term" or words[column].nunique() > 1]
    own = is_effect or result.verb == "negative_controls"  # a difference that does not name its outcome says nothing
    if not own and len(filled) > 1 and words.get("term", pd.Series(dtype=object)).nunique() == 1:
        filled.remove("term")
    if (row := _overall_row(result, filled)) is not None:
        words.loc[row, filled[0]] = wording.term("overall", lang)
        filled.remove("term")
    if "term" in filled:
        variance = wording.verb_name("survey_variance", lang)
        words["term"] = [
            f"{name} ({variance})" if wording.is_variance(result.verb, own) else name
            for name, own in zip(words["term"], result.keys["term"], strict=True)
        ]
    labels = result.provenance.labels
    columns: dict[str, list[str]] = {}
    for column in filled:
        name = "quantile" if column == "level" and result.verb == "survey_quantile" else column
        heading = wording.heading(name, labels, lang)
        if column == "value" and result.verb == "predictive_margins":
            heading = wording.term_label(result.keys["term"].iloc[0], labels, lang)
        columns[_free(columns, heading, column)] = words[column].tolist()
    return columns


def _overall_row(result: Estimates, filled: list[str]) -> int | None:
    """Return the row of all, where the others are of one outcome and one key tells them apart, so that it names all."""
    if len(filled) != 2 or filled[1] != "term" or len(result) < 2:
        return None
    is_overall = (result.keys["term"] == "overall").to_numpy()
    rows = np.flatnonzero(is_overall)
    blank = [wording.is_absent(value) for value in result.keys[filled[0]]]
    alone = len(rows) == 1 and result.keys["term"][~is_overall].nunique() == 1
    return int(rows[0]) if alone and np.array_equal(blank, is_overall) else None


def _number_columns(result: Estimates, lang: str) -> dict[str, list[str]]:
    estimates, errors, intervals = _numbers(result, lang)
    share = result.verb in SHARE_VERBS
    per_cent, points = (" (%)", f" ({wording.percentage_point_unit(lang)})") if share else ("", "")
    shown = "aggregate" if result.verb == "impact_table" else result.verb
    columns = {
        _capital(wording.verb_name(shown, lang)) + per_cent: estimates,
        wording.term("root_mse" if result.verb == "fay_herriot" else "std_error", lang) + points: errors,
        wording.interval_name(result.conf_level, lang): intervals,
    }
    if result.verb in wording.AGAINST_ZERO:
        probabilities = [wording.probability(value) for value in result.tidy()["p_value"]]
        columns[wording.term("p_value", lang)] = _marked(result, probabilities)
    columns[wording.term("n_model" if "n_area" in result.columns else "n_obs", lang)] = disclosure.counts(result)
    for name, values in disclosure.shown(result).columns.items():
        said = not (name == "segment" and len(set(values)) == 1)
        said = said and not (name in {"reason", "refused_because"} and not any(values))
        if name == "band_low" and "band_high" in result.columns:
            columns[wording.term("band", lang)] = _bands(result)
        elif name not in _HIDDEN | getattr(result, "in_remarks", frozenset()) and said:
            own = _free(columns, _plain_heading(name, result.provenance.labels, lang), name)
            columns[own] = [
                _number_cell(name, float(value)) if _is_number(value) else wording.term(str(value), lang)
                for value in values
            ]
    return columns


def _bands(result: Estimates) -> list[str]:
    """Return simultaneous bands as intervals are printed."""
    shown = disclosure.shown(result)
    places = _places(shown.keys["term"], shown.estimate, shown.std_error)
    ends = zip(shown.columns["band_low"], shown.columns["band_high"], places, strict=True)
    return _marked(result, [_interval(float(low), float(high), digits) for low, high, digits in ends])


def _marked(result: Estimates, cells: Iterable[str]) -> list[str]:
    """Return the cells with the mark in place of what may not be shown."""
    return [mark or cell for mark, cell in zip(disclosure.marks(result), cells, strict=True)]


def _numbers(result: Estimates, lang: str) -> tuple[list[str], list[str], list[str]]:
    """Return estimates, errors and intervals as they are printed; shares in per cent, marks for what is not shown."""
    whole, result = result, disclosure.shown(result)
    scale = 100.0 if result.verb in SHARE_VERBS else 1.0
    estimate, error, limits = (
        scale * values for values in (result.estimate, result.std_error, result.confidence_interval())
    )
    places = _places(result.keys["term"], estimate, error)
    intervals = [_interval(low, high, digits) for (low, high), digits in zip(limits, places, strict=True)]
    estimates, errors = list(map(wording.number, estimate, places)), list(map(wording.number, error, places))
    for row in np.flatnonzero((result.n_obs == 0) & (error == 0)):
        errors[row] = intervals[row] = wording.ABSENT  # a published figure whose error nobody published
    for row in np.flatnonzero(wording.is_reference(result)):
        estimates[row], errors[row], intervals[row] = "0", wording.ABSENT, wording.term("reference_period", lang)
    return _marked(whole, estimates), _marked(whole, errors), _marked(whole, intervals)


def _group_table(
    items: Mapping[str, Estimates], title: str | None, lang: str, source: str, notes: tuple[str, ...]
) -> Table:
    """Lay several results out one under another: what, estimate, error, interval, n."""
    strange = [name for name, item in items.items() if not isinstance(item, Estimates)]
    if strange:
        raise PublishError(f"a table of several results holds estimates only; {strange} are none.")
    levels = {item.conf_level for item in items.values()}
    one_level = len(levels) == 1
    headings = ("term", "estimate", "std_error", "interval", "n_obs")
    names = [wording.term(heading, lang) for heading in headings]
    if one_level:
        names[3] = wording.interval_name(max(levels), lang)
    cells: list[list[str]] = [[] for _ in headings]
    for item in items.values():
        parts = (row_labels(item, lang), *_numbers(item, lang), disclosure.counts(item))
        for column, part in zip(cells, parts, strict=True):
            column += part
    return Table(
        title=wording.term(title or type(items).__name__, lang),
        frame=_frame(dict(zip(names, cells, strict=True))),
        data=group_frame(items),
        source=source or wording.caption(common_provenance(items), max(levels) if one_level else None, lang, marks=""),
        notes=(
            *([wording.term("rounding", lang)] if items else []),
            *disclosure.meanings(items.values(), lang),
            *notes,
        ),
        lang=lang,
        numeric=tuple(names[1:]),
        groups=tuple((_group_heading(items, name, lang), len(item)) for name, item in items.items()),
    )


def _group_heading(items: Mapping[str, Estimates], name: str, lang: str) -> str:
    """Return the title, with the weight where the results do not share it."""
    weight = items[name].provenance.weight
    title = group_title(items, name, lang) + (" (%)" if items[name].verb in SHARE_VERBS else "")
    if not weight or len({item.provenance.weight for item in items.values()}) == 1:
        return title
    return f"{title} · {wording.term('weight', lang)}: {wording.weight_name(weight, lang)}"


def group_title(items: Mapping[str, Estimates], name: str, lang: str) -> str:
    """Return the title of one of several results: the one it was given, or one made of its parts."""
    given = getattr(items, "titles", {}).get(name)
    title = given.in_language(lang) if isinstance(given, Text) else given
    return title or wording.estimates_title(items[name], lang)


def group_frame(items: Mapping[str, Estimates]) -> pd.DataFrame:
    """Return several results under one another: name, row as address and in words, then the numbers of ``tidy()``.

    Where a number may not be shown, a last column ``mark`` says why.
    """
    parts = []
    shown = {name: disclosure.shown(item) for name, item in items.items()}
    is_marked = any("mark" in item.columns for item in shown.values())
    for name, item in shown.items():
        words = {f"row_label_{lang}": row_labels(item, lang) for lang in _BOTH}
        keys = pd.DataFrame({"name": name, "row": item.addresses(), **words})
        numbers = item.tidy()[list(TIDY_COLUMNS)]
        if is_marked:
            numbers = numbers.assign(mark=disclosure.marks(item))
        parts.append(pd.concat([keys, numbers], axis=1))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=["name", "row", *TIDY_COLUMNS])


def row_labels(result: Estimates, lang: str) -> list[str]:
    """Return each row of a result in words, such as "English learners · Elementary school"."""
    columns = _key_columns(result, lang)
    if result.verb == "survey_quantile":
        name = wording.term("quantile", lang)
        columns[name] = [f"{name} {cell}" for cell in columns[name]]
    return [" · ".join(filter(None, cells)) for cells in zip(*columns.values(), strict=True)]


def common_provenance(items: Mapping[str, Estimates]) -> Provenance:
    """Return what several results have in common for a caption: survey, and n and weight where they share them."""
    each = [item.provenance for item in items.values()] or [Provenance(survey="")]
    sizes, weights = {one.n for one in each}, {one.weight for one in each}
    return replace(
        each[0],
        title=each[0].title if len(sizes) == 1 else {},
        n=each[0].n if len(sizes) == 1 else 0,
        weight=each[0].weight if len(weights) == 1 else "",
    )


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
    low, high = (int(np.floor(np.log10(value))) for value in (np.abs(finite).min(), np.abs(finite).max()))
    wanted = 3 - low if finite.size == 1 else max(2 - high, 1 - low)
    return max(0, min(wanted, wording.MOST_DECIMALS))


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
        if _CSV_ONLY.get(str(column)) in frame.columns or (column == "code" and _is_blank(frame[column])):
            continue
        name = _free(cells, _plain_heading(str(column), labels, lang), str(column))
        values = frame[column]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if is_number and not _is_coded(str(column), values, labels, lang):
            numeric.append(name)
        cells[name] = _plain_cells(frame, str(column), values, labels, lang)
    keys = [column for column in _KEYS if column in frame]
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


def _laid_table(result: Laid, title: str | None, lang: str, source: str, notes: tuple[str, ...]) -> Table:
    """Return a table as the result lays it out; the file holds its numbers with labels in both languages."""
    columns, own = result.layout(lang)
    marks = dict.fromkeys(filter(None, result.tidy().get("mark", ())))
    own += [disclosure.meaning_of(mark, result.provenance, lang) for mark in marks]
    plain = _plain_table(result.tidy(), "", lang, result.provenance.labels, "", ())
    return Table(
        title=_title_of(result, title, lang),
        frame=_frame(columns),
        data=plain.data,
        source=source or wording.caption(result.provenance, None, lang),
        notes=(*own, *notes),
        lang=lang,
        numeric=tuple(columns)[1:],
    )


def _test_table(result: TestResult, title: str | None, lang: str, source: str, notes: tuple[str, ...]) -> Table:
    """Return a test with its hypothesis in words; the file holds it in both languages."""
    frame = result.tidy()
    shown = frame.assign(term=wording.hypothesis(result, lang)).rename(columns={"term": "hypothesis"})
    made = _plain_table(
        shown,
        _capital(wording.term(title or result.test, lang)),
        lang,
        result.provenance.labels,
        source or wording.caption(result.provenance, None, lang),
        (*((disclosure.meaning_of(result.mark, result.provenance, lang),) if "mark" in frame else ()), *notes),
    )
    words = {tongue: pd.DataFrame({"term": [wording.hypothesis(result, tongue)]}) for tongue in _BOTH}
    return replace(made, data=_labelled(frame, ["term"], words))


def _is_blank(values: pd.Series[Any]) -> bool:
    return all(wording.is_absent(value) or value == "" for value in values)


def _free(taken: dict[str, list[str]], heading: str, column: str) -> str:
    """Return a heading that no other column bears."""
    return f"{heading} ({column})" if heading in taken else heading


def _plain_heading(column: str, labels: Labels, lang: str) -> str:
    if column == "group" and labels.variable(column, lang) == column:
        return wording.term("by", lang)
    name = wording.term(column, lang) if wording.knows(column) else labels.variable(column, lang)
    return f"{name} (%)" if column in SHARES else name


def _plain_words(frame: pd.DataFrame, keys: list[str], labels: Labels, lang: str) -> pd.DataFrame:
    return pd.DataFrame({key: _plain_cells(frame, key, frame[key], labels, lang) for key in keys}, dtype=object)


def _plain_cells(frame: pd.DataFrame, column: str, values: Any, labels: Labels, lang: str) -> list[str]:
    if column in SHARES:
        return [wording.number(100 * value, 1) for value in values]
    if column in _OWN_WORDS:
        return [wording.term(str(value), lang) for value in values]
    if column == "distribution":
        return [wording.distribution_name(str(value), lang) for value in values]
    if column in _ROW_KEYS:
        return wording.label_keys(frame[[column]], labels, lang)[column].tolist()
    if column in _THREE_PLACES:
        return [wording.number(value, 3) for value in values]
    if column in {"term", "margin", "variable", "covariate", "subgroup"}:
        return [wording.term_label(value, labels, lang) for value in values]
    if column == "level":
        owners = next(
            (frame[name] for name in ("margin", "covariate", "subgroup", "term") if name in frame), [""] * len(frame)
        )
        pairs = zip(values, owners, strict=True)
        return [
            "" if wording.is_absent(value) else wording.value_label(owner, value, labels, lang)
            for value, owner in pairs
        ]
    if column in _PROBABILITIES | _WHOLE:
        return [_number_cell(column, float(value)) for value in values]
    if column == "group" and {"group", "n_obs", "ess"} <= set(frame):
        return [wording.term(name, lang) for name in ("participants", "others")][: len(frame)]
    if pd.api.types.is_bool_dtype(values):
        return [wording.term("true" if value else "false", lang) for value in values]
    if pd.api.types.is_numeric_dtype(values) and not _is_coded(column, values, labels, lang):
        return [_plain_cell(value) for value in values]
    return ["" if wording.is_absent(value) else wording.value_label(column, value, labels, lang) for value in values]


def _is_coded(column: str, values: pd.Series[Any], labels: Labels, lang: str) -> bool:
    """Tell whether the numbers of a column are codes of a variable of the survey, each with a label."""
    found = values.dropna().unique()
    return (
        not wording.knows(column)
        and len(found) > 0
        and all(wording.value_label(column, value, labels, lang) not in (str(value), f"{value:g}") for value in found)
    )


def with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose named index, if it has one, has become columns."""
    return frame.reset_index(drop=all(name is None for name in frame.index.names))


def _plain_cell(value: Any) -> str:
    return wording.plain_number(float(value)) if _is_number(value) else str(value)


def _number_cell(column: str, value: float) -> str:
    """Write a number as its column wants it: a probability, a whole number, or four digits."""
    if column in _PROBABILITIES:
        return wording.probability(value)
    return wording.number(value) if column in _WHOLE else wording.plain_number(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number))


def _frame(columns: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype=object)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
