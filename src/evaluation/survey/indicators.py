"""Administrative figures as an input of their own: dated stocks and flows, plans and actual values, each with source.

They are real figures as published, whatever the survey beside them is. Arithmetic on them is exact and
says which dates it used; none of it is an effect.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from evaluation import project, wording
from evaluation.errors import IndicatorError, SourceError, did_you_mean
from evaluation.results import Provenance, frame_html, plain
from evaluation.survey.formats import TEXT, read_table

Measure = Literal["stock", "flow"]
Status = Literal["actual", "plan"]

INDICATOR_COLUMNS = (
    *("series", "label_ko", "label_en", "period_from", "period_to", "value", "unit", "measure", "status", "area"),
    *("source", "note_ko", "note_en"),
)
#: Units that have words in both languages; another is written with a slash, such as ``billion_krw/centers``.
UNITS = (
    *("persons", "households", "districts", "dongs", "centers", "organizations", "projects", "plans", "shops"),
    *("sessions", "gatherings", "participations", "percent", "billion_krw", "recipients_per_worker"),
    "persons_per_center",
)
#: What must be the same in every row of a series.
CONSTANT = ("label_ko", "label_en", "unit", "measure", "area")

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_TITLE = {"ko": "공표된 행정 수치", "en": "Published administrative figures"}
_NOTICE = {
    "ko": "합성 자료가 아니라 공표된 그대로의 실제 수치임",
    "en": "Real figures as published, not synthetic",
}
_REMARKS = {
    "change": {
        "ko": "전후 비교이며 비교집단이 없으므로 효과가 아님",
        "en": "Before and after without a comparison: no effect",
    },
    "cost": {
        "ko": "한 해의 금액을 표시한 날의 수로 나눔. 그해에 문을 연 곳도 한 해 전체로 셈",
        "en": "A year's money over the number on the date shown; what opened within the year counts in full",
    },
    "coverage": {
        "ko": "닿을 수 있었던 범위이며 달라진 것이 아님",
        "en": "Whom a service could reach, not what it changed",
    },
}


@dataclass(frozen=True)
class IndicatorLabels:
    """Words for series, units and notes, in both languages.

    Attributes
    ----------
    series, notes : mapping of str to (Korean, English)
        Series by id, notes by their English text.
    """

    series: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    notes: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a series or column."""
        korean, english = self.series.get(name, (name, name))
        return korean if lang == "ko" else english

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the word for a unit, a measure, a status or a note; other text stands for itself."""
        text = str(value)
        if name == "unit":
            return " / ".join(wording.term(f"unit_{part}", lang) for part in text.split("/"))
        if name in ("measure", "status", "status_from", "status_to"):
            return wording.term(f"{name.split('_')[0]}_{text}", lang)
        korean, english = self.notes.get(text, (text, text)) if name == "note" else (text, text)
        return korean if lang == "ko" else english


@dataclass(frozen=True, eq=False)
class Indicators:
    """Dated administrative figures.

    Attributes
    ----------
    rows : pandas.DataFrame
        One row per figure with the columns of ``indicators.csv``, sorted by series and date; ``value`` is a
        number, per cents stand as published (0 to 100).
    survey : str
        Id of the survey beside which they lie.
    """

    rows: pd.DataFrame
    survey: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of the series, in the order of the file."""
        return tuple(dict.fromkeys(self.rows["series"]))

    @property
    def provenance(self) -> Provenance:
        """Where the figures come from; the notice says that they are real."""
        return self.provenance_with()

    def provenance_with(self, remark: str = "") -> Provenance:
        """Return the provenance with one more remark: ``change``, ``cost`` or ``coverage``."""
        more = _REMARKS.get(remark, {})
        notice = {lang: ". ".join(filter(None, (text, more.get(lang)))) for lang, text in _NOTICE.items()}
        rows = self.rows.to_dict("records")
        labels = IndicatorLabels(
            {row["series"]: (row["label_ko"], row["label_en"]) for row in rows},
            {row["note_en"]: (row["note_ko"], row["note_en"]) for row in rows},
        )
        return Provenance(survey=self.survey or "indicators", title=_TITLE, notice=notice, labels=labels)

    def series(self, name: str) -> Indicators:
        """Return one series; an IndicatorError names the nearest where there is none."""
        return self.take([name])

    def take(self, names: Iterable[str]) -> Indicators:
        """Return the named series, in that order."""
        chosen = [names] if isinstance(names, str) else list(names)
        for name in chosen:
            if name not in self.names:
                raise IndicatorError(f"no series '{name}' among the indicators. {did_you_mean(name, self.names)}")
        parts = [self.rows[self.rows["series"] == name] for name in dict.fromkeys(chosen)]
        return Indicators(pd.concat(parts, ignore_index=True) if parts else self.rows.iloc[:0], self.survey)

    def tidy(self) -> pd.DataFrame:
        """Return one row per figure: term, period, value, unit, measure, status, source, note (in English)."""
        kept = self.rows.rename(columns={"series": "term", "note_en": "note"})
        kept = kept.assign(period=[when(row) for row in _records(self.rows)])
        return kept[["term", "period", "value", "unit", "measure", "status", "source", "note"]].reset_index(drop=True)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return _record("indicators", self.rows, self.provenance)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        head = f"indicators: {self.survey}, {len(self.names)} series, {len(self)} figures. {_NOTICE['en']}."
        lines = [
            f"{name}: " + ", ".join(f"{row['value']:.10g} ({when(row)}{_planned(row)})" for row in _records(part))
            for name, part in self.rows.groupby("series", sort=False)
        ]
        return "\n".join([head, *lines])

    def _repr_html_(self) -> str:
        return frame_html(self.tidy())


@dataclass(frozen=True, eq=False)
class IndicatorResult:
    """What exact arithmetic makes of administrative figures.

    Attributes
    ----------
    verb : str
        ``indicator_change``, ``unit_cost`` or ``coverage``.
    rows : pandas.DataFrame
        One row per result, with the dates and values it was made of.
    provenance : Provenance
        Says that the figures are real, and what the result is not.
    """

    verb: str
    rows: pd.DataFrame
    provenance: Provenance

    def tidy(self) -> pd.DataFrame:
        """Return one row per result."""
        return self.rows.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-ready record."""
        return _record(self.verb, self.rows, self.provenance)

    def __repr__(self) -> str:
        body = self.rows.to_string(index=False, float_format=lambda value: f"{value:.6g}")
        return f"{self.verb}: {self.provenance.survey}. {self.provenance.notice['en']}.\n{body}"

    def _repr_html_(self) -> str:
        return frame_html(self.rows)


def _record(verb: str, rows: pd.DataFrame, provenance: Provenance) -> dict[str, Any]:
    records = [{str(name): plain(value) for name, value in row.items()} for row in rows.to_dict("records")]
    return {"verb": verb, "provenance": provenance.to_dict(), "rows": records}


def read_indicators(survey_id: str) -> Indicators:
    """Read and check ``surveys/<survey_id>/indicators.csv``.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``.

    Returns
    -------
    Indicators
        From the columns ``series, label_ko, label_en, period_from, period_to, value, unit, measure, status,
        area, source, note_ko, note_en``. Dates are ``2016``, ``2016-07`` or ``2016-07-01``, as precise as the
        source. A ``stock`` has one date, in ``period_to``; a ``flow`` has both. ``status`` is ``actual`` or
        ``plan``: the two may stand for one date as two rows, never as one.

    Raises
    ------
    IndicatorError
        All faults at once, each with its line: unknown unit, measure or status, a flow without a period, a
        stock with one, a value that is no number, a date that is none or a period that ends before it begins,
        a figure without source, doubled rows, a series with two units or labels.
    SourceError
        There is no such file, or it cannot be read.

    Examples
    --------
    >>> read_indicators("seoul_2016").series("caseload")
    indicators: seoul_2016, 1 series, 2 figures. Real figures as published, not synthetic.
    caseload: 170 (2015-06), 115 (2016-06)
    """
    path = project.survey_folder(survey_id) / "indicators.csv"
    place = f"surveys/{survey_id}/indicators.csv"
    if not path.is_file():
        raise SourceError(f"{place} is not there. Write one row per figure: {', '.join(INDICATOR_COLUMNS)}.")
    return _from_file(path, place, survey_id)


def _from_file(path: Path, place: str, survey_id: str) -> Indicators:
    frame = read_table(path).frame
    absent = [column for column in INDICATOR_COLUMNS if column not in frame]
    if absent:
        raise IndicatorError(f"{place}: expected the columns {list(INDICATOR_COLUMNS)}, missing {absent}. Add them.")
    texts = frame.reindex(columns=list(INDICATOR_COLUMNS)).astype(TEXT).fillna("")
    rows = [{name: str(cell).strip() for name, cell in row.items()} for row in _records(texts)]
    faults = [(line, fault) for line, row in enumerate(rows, start=2) for fault in _faults_of(row)]
    faults += _faults_between(rows)
    if not rows:
        faults.append((1, "there is no figure"))
    if faults:
        told = "; ".join(f"line {line}: {fault}" for line, fault in sorted(faults)[:12])
        more = f"; and {len(faults) - 12} more" if len(faults) > 12 else ""
        raise IndicatorError(
            f"{place}: {told}{more}. Correct the file.",
            failures=pd.DataFrame(sorted(faults), columns=["line", "fault"]),
        )
    order = {name: place for place, name in enumerate(dict.fromkeys(row["series"] for row in rows))}
    rows.sort(key=lambda row: (order[row["series"]], begin(row), end(row), row["status"]))
    table = pd.DataFrame(rows)
    return Indicators(table.assign(value=table["value"].astype(float)), survey_id)


def _faults_of(row: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with one row on its own."""
    for name in ("series", "label_ko", "label_en", "area", "source"):
        if not row[name]:
            yield f"no {name}"
    for name, known in (("unit", UNITS), ("measure", get_args(Measure)), ("status", get_args(Status))):
        if row[name] not in known:
            yield f"unknown {name} '{row[name]}'. {did_you_mean(row[name], known)}".rstrip(".")
    try:
        is_number = bool(np.isfinite(float(row["value"])))
    except ValueError:
        is_number = False
    if not is_number:
        yield f"expected a number as value, got '{row['value']}' (write 1941, not 1,941)"
    wrong = [row[name] for name in ("period_from", "period_to") if row[name] and _bounds(row[name]) is None]
    if wrong:
        yield f"'{wrong[0]}' is no date (2016, 2016-07 or 2016-07-01)"
    elif not row["period_to"]:
        yield "no period_to: a stock has its date there, a flow the end of its period"
    elif row["measure"] == "flow" and not row["period_from"]:
        yield "a flow needs a period: period_from is empty"
    elif row["measure"] == "stock" and row["period_from"]:
        yield "a stock has one date, in period_to: leave period_from empty, or call it a flow"
    elif row["period_from"] and begin(row) > end(row):
        yield f"the period ends ({row['period_to']}) before it begins ({row['period_from']})"
    if bool(row["note_ko"]) != bool(row["note_en"]):
        yield "a note stands in one language only"


def _faults_between(rows: Sequence[Mapping[str, str]]) -> list[tuple[int, str]]:
    """Return what is wrong between rows: doubled figures, series that are not one."""
    faults: list[tuple[int, str]] = []
    first: dict[tuple[str, ...], int] = {}
    opened: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        key = tuple(row[name] for name in ("series", "period_from", "period_to", "status"))
        if key in first:
            faults.append((line, f"the same series, dates and status as line {first[key]}; keep one of the two"))
        first.setdefault(key, line)
        head = opened.setdefault(row["series"], line)
        for name in CONSTANT:
            if row[name] != rows[head - 2][name]:
                told = f"'{row[name]}' here and '{rows[head - 2][name]}' in line {head}"
                faults.append((line, f"series '{row['series']}' has two values of {name}: {told}"))
    return faults


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def _bounds(text: str) -> tuple[date, date] | None:
    """Return the first and last day that a date of any precision may mean."""
    found = _DATE.fullmatch(text)
    if found is None:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    first, last = month or 1, month or 12
    try:
        days = calendar.monthrange(int(year or 0), last)[1]
        return date(int(year or 0), first, day or 1), date(int(year or 0), last, day or days)
    except (ValueError, calendar.IllegalMonthError):
        return None


def begin(row: Mapping[str, Any]) -> date:
    """Return the first day of a figure's period, or the earliest its date may mean."""
    bounds = _bounds(row["period_from"] or row["period_to"])
    return bounds[0] if bounds else date.min


def end(row: Mapping[str, Any]) -> date:
    """Return the last day of a figure's period, or the latest its date may mean."""
    bounds = _bounds(row["period_to"])
    return bounds[1] if bounds else date.max


def when(row: Mapping[str, Any]) -> str:
    """Return the date of a stock, or the period of a flow: whole years as years, else with a slash.

    Examples
    --------
    >>> when({"period_from": "2015-01-01", "period_to": "2015-12-31"}), when({"period_from": "", "period_to": "2016"})
    ('2015', '2016')
    >>> when({"period_from": "2015-07-01", "period_to": "2016-06-30"})
    '2015-07-01/2016-06-30'
    """
    if not row["period_from"]:
        return str(row["period_to"])
    first, last = begin(row), end(row)
    if (first.month, first.day, last.month, last.day) == (1, 1, 12, 31):
        return f"{first.year}" if first.year == last.year else f"{first.year}/{last.year}"
    return f"{row['period_from']}/{row['period_to']}"


def _planned(row: Mapping[str, Any]) -> str:
    return ", plan" if row["status"] == "plan" else ""
