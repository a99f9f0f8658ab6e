"""Figures published elsewhere, to be held against a survey's own: value, population, wording, known error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from evaluation import project
from evaluation.errors import SourceError, did_you_mean
from evaluation.survey.formats import TEXT, read_table

BENCHMARK_COLUMNS = (
    *("benchmark", "item", "value", "unit", "period", "population_ko", "population_en", "wording_ko", "wording_en"),
    *("same_wording", "contains_participants", "n", "std_error", "precision_status", "source"),
)
_UNITS = {"percent": 100.0, "share": 1.0, "number": 1.0}
_YES_NO: Mapping[str, bool | None] = {"yes": True, "no": False, "": None, "unknown": None}


@dataclass(frozen=True)
class Benchmark:
    """One published figure.

    Attributes
    ----------
    name, item : str
        Its name, and the item of the survey that comes nearest.
    value : float
        In the survey's units: a share from 0 to 1.
    period : str
        Year, or years.
    population, wording : dict of str to str
        By language.
    contains_participants : bool or None
        Whether its population has participants in it; None where it is not known.
    n : int or None
        Respondents behind it, where published or assumed.
    std_error : float or None
        In the survey's units.
    precision : str
        Where ``n`` and ``std_error`` come from.
    source : str
        Where it was printed.
    """

    name: str
    item: str
    value: float
    period: str
    population: Mapping[str, str]
    wording: Mapping[str, str]
    contains_participants: bool | None
    n: int | None
    std_error: float | None
    precision: str
    source: str


def read_benchmarks(survey_id: str) -> dict[str, Benchmark]:
    """Read ``surveys/<survey_id>/benchmarks.csv``.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``.

    Returns
    -------
    dict of str to Benchmark
        By name, in the order of the file.

    Raises
    ------
    SourceError
        There is no such file, a column is missing, or a row is at fault: every fault with its line.

    Examples
    --------
    >>> round(read_benchmarks("seoul_2016")["seoul_live_in_ten_years"].value, 3)
    0.594
    """
    path = project.survey_folder(survey_id) / "benchmarks.csv"
    place = f"surveys/{survey_id}/benchmarks.csv"
    if not path.is_file():
        raise SourceError(f"{place} is not there: survey '{survey_id}' has no figures published elsewhere.")
    frame = read_table(path, encoding="utf-8").frame.astype(TEXT).fillna("")
    missing = [name for name in BENCHMARK_COLUMNS if name not in frame]
    if missing:
        raise SourceError(f"{place}: columns {missing} are missing. {did_you_mean(missing[0], list(frame.columns))}")
    faults = [f"line {line}: {fault}" for line, row in enumerate(_rows(frame), start=2) for fault in _faults(row)]
    if faults:
        raise SourceError(f"{place}: " + "; ".join(faults[:8]) + ".")
    return {row["benchmark"]: _benchmark(row) for row in _rows(frame)}


def _rows(frame: pd.DataFrame) -> list[dict[str, str]]:
    return [{str(key): str(value).strip() for key, value in row.items()} for row in frame.to_dict("records")]


def _faults(row: Mapping[str, str]) -> list[str]:
    faults = [f"'{name}' is empty" for name in ("benchmark", "item", "value", "source") if not row[name]]
    if row["unit"] not in _UNITS:
        faults.append(f"unit '{row['unit']}'. {did_you_mean(row['unit'], _UNITS)}")
    if row["contains_participants"] not in _YES_NO:
        faults.append(f"contains_participants must be yes, no or unknown, got '{row['contains_participants']}'")
    faults += [
        f"'{name}' is no number: {row[name]}" for name in ("value", "n", "std_error") if not _is_number(row[name])
    ]
    return faults


def _is_number(text: str) -> bool:
    return text == "" or not pd.isna(pd.to_numeric(text, errors="coerce"))


def _benchmark(row: Mapping[str, str]) -> Benchmark:
    scale = _UNITS[row["unit"]]
    return Benchmark(
        row["benchmark"],
        row["item"],
        float(row["value"]) / scale,
        row["period"],
        {lang: row[f"population_{lang}"] for lang in project.LANGUAGES},
        {lang: row[f"wording_{lang}"] for lang in project.LANGUAGES},
        _YES_NO[row["contains_participants"]],
        int(float(row["n"])) if row["n"] else None,
        float(row["std_error"]) / scale if row["std_error"] else None,
        row["precision_status"],
        row["source"],
    )
