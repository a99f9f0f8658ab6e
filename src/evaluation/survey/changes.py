"""What a wave changed against the one before: columns renamed, items asked in new words, numbers revised.

``surveys/<id>/changes.csv`` has one row per change:

==================== ==================================================================================
since                year of the first wave, or of the publication, that has the change
variable             name used in the workbench; stands in the survey's codebook
kind                 renamed, reworded or revised
previous             renamed: what earlier files call the column; reworded, revised: id of the survey that
                     holds the former wording, or the number first published
period               revised: the year whose numbers changed; empty otherwise
reason_ko, reason_en what happened, for whoever reads a difference between two years
==================== ==================================================================================

A survey without such a file declares no change.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

import pandas as pd

from evaluation import project
from evaluation.errors import ProjectError, SurveyError, did_you_mean
from evaluation.specification import Text
from evaluation.survey.codebook import Codebook, read_codebook
from evaluation.survey.formats import TEXT, read_table

ChangeKind = Literal["renamed", "reworded", "revised"]

KINDS: tuple[ChangeKind, ...] = get_args(ChangeKind)
CHANGE_COLUMNS = ("since", "variable", "kind", "previous", "period", "reason_ko", "reason_en")


@dataclass(frozen=True)
class Change:
    """One change of a survey against earlier ones.

    Attributes
    ----------
    since : int
        Year of the first wave, or of the publication, that has it.
    variable : str
        Name in the codebook.
    kind : {"renamed", "reworded", "revised"}
        A column with another name in the file; an item asked in new words, whose level is another one; numbers of
        an earlier year published anew.
    previous : str
        Renamed: the column's former name. Else the id of the survey with the former wording or number.
    period : int or None
        Revised: the year whose numbers changed.
    reason : Text
        What happened, in Korean and English.
    """

    since: int
    variable: str
    kind: ChangeKind
    previous: str
    period: int | None
    reason: Text


def read_changes(survey_id: str) -> list[Change]:
    """Read ``surveys/<survey_id>/changes.csv``.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``.

    Returns
    -------
    list of Change
        In the order of the file; empty where the survey has none.

    Raises
    ------
    SurveyError
        Every fault of the file at once, each with its line; ``failures`` has the rows at fault. A change must
        hold: a renamed column differs from what the codebook reads now, and the survey named as the former one
        knows the variable.

    Examples
    --------
    >>> for change in read_changes("seoul_2017"):
    ...     print(change.since, change.variable, change.kind, change.previous, change.period)
    2017 happy renamed happy None
    2017 rely reworded seoul_2016 None
    2017 stay revised seoul_2016 2016
    """
    path, place = project.survey_folder(survey_id) / "changes.csv", f"surveys/{survey_id}/changes.csv"
    if not path.is_file():
        return []
    frame = read_table(path, encoding="utf-8").frame
    _check_columns([str(name) for name in frame.columns], place)
    frame = frame.reindex(columns=list(CHANGE_COLUMNS)).astype(TEXT).fillna("")
    rows = [{str(key): str(value).strip() for key, value in row.items()} for row in frame.to_dict("records")]
    codebooks = {survey_id: read_codebook(path.with_name("codebook.csv"), place=f"surveys/{survey_id}/codebook.csv")}
    seen: dict[tuple[str, ...], int] = {}
    faults = [
        (line, fault)
        for line, row in enumerate(rows, start=2)
        for fault in _faults(row, line, survey_id, codebooks, seen)
    ]
    if faults:
        told = "; ".join(f"line {line}: {fault}" for line, fault in faults[:8])
        raise SurveyError(
            f"{place}: {told}. Correct the rows named.",
            failures=pd.DataFrame([{"line": line, **rows[line - 2], "fault": fault} for line, fault in faults]),
        )
    return [_change(row) for row in rows]


def declared_breaks(survey_id: str) -> dict[str, dict[int, Text]]:
    """Return the breaks in wording that a survey declares, as ``survey_trend`` takes them.

    Parameters
    ----------
    survey_id : str
        Folder in ``surveys/``.

    Returns
    -------
    dict of str to dict of int to Text
        Variable to the first wave of a new wording to what changed; empty where nothing was reworded.

    Raises
    ------
    SurveyError
        As ``read_changes``.

    Examples
    --------
    >>> [(variable, list(waves)) for variable, waves in declared_breaks("seoul_2017").items()]
    [('rely', [2017])]
    """
    breaks: dict[str, dict[int, Text]] = {}
    for change in read_changes(survey_id):
        if change.kind == "reworded":
            breaks.setdefault(change.variable, {})[change.since] = change.reason
    return breaks


def _check_columns(columns: list[str], place: str) -> None:
    for name in columns:
        if name not in CHANGE_COLUMNS:
            raise SurveyError(f"{place}: unknown column '{name}'. {did_you_mean(name, CHANGE_COLUMNS)}")
    missing = [name for name in CHANGE_COLUMNS if name not in columns]
    if missing:
        raise SurveyError(f"{place}: expected the columns {list(CHANGE_COLUMNS)}, missing {missing}. Add them.")


def _faults(
    row: Mapping[str, str], line: int, survey_id: str, codebooks: dict[str, Codebook], seen: dict[tuple[str, ...], int]
) -> Iterator[str]:
    """Yield what is wrong with one row; codebooks that had to be read and rows seen are kept for the next."""
    variable, kind, own = row["variable"], row["kind"], codebooks[survey_id]
    if not _is_year(row["since"]):
        yield f"since must be a year such as 2017, got '{row['since']}'"
    for name in ("previous", "reason_ko", "reason_en"):
        if not row[name]:
            yield f"'{name}' is empty"
    if variable not in own.variables:
        yield f"no variable '{variable}' in the codebook. {did_you_mean(variable, own.variables)}"
    key = (row["since"], variable, kind, row["period"])
    if seen.setdefault(key, line) != line:
        yield f"the change stands in line {seen[key]}, too"
    if kind not in KINDS:
        yield f"kind '{kind}'. {did_you_mean(kind, KINDS)}"
        return
    yield from _period_faults(row)
    if variable in own.variables and row["previous"]:
        yield from _previous_faults(row, survey_id, codebooks)


def _period_faults(row: Mapping[str, str]) -> Iterator[str]:
    if row["kind"] != "revised":
        if row["period"]:
            yield f"a column or item is {row['kind']} since a year and has no period, got '{row['period']}'"
    elif not _is_year(row["period"]):
        yield f"a revised number has as its period the year whose numbers changed, got '{row['period']}'"
    elif _is_year(row["since"]) and int(row["period"]) >= int(row["since"]):
        yield f"a number of {row['period']} cannot be revised since {row['since']}: the period is the earlier year"


def _previous_faults(row: Mapping[str, str], survey_id: str, codebooks: dict[str, Codebook]) -> Iterator[str]:
    """Hold what was before against the codebooks, which say what a column is called and which items there are."""
    variable, previous = row["variable"], row["previous"]
    if row["kind"] == "renamed":
        if codebooks[survey_id].variables[variable].column == previous:
            yield f"'{variable}' is read from the column '{previous}', so it was not renamed. Name its former column"
        return
    if previous == survey_id:
        yield f"previous is this survey itself. Name the one before {survey_id}"
        return
    try:
        if previous not in codebooks:
            codebooks[previous] = read_codebook(
                project.survey_folder(previous), place=f"surveys/{previous}/codebook.csv"
            )
    except ProjectError as error:
        yield f"previous must be the id of the survey before: {str(error).rstrip('.')}"
        return
    if variable not in codebooks[previous].variables:
        hint = did_you_mean(variable, codebooks[previous].variables)
        yield f"survey '{previous}' has no variable '{variable}' to have been {row['kind']}. {hint}"


def _is_year(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) == 4


def _change(row: Mapping[str, str]) -> Change:
    period = int(row["period"]) if row["period"] else None
    reason = Text(ko=row["reason_ko"], en=row["reason_en"])
    return Change(int(row["since"]), row["variable"], cast(ChangeKind, row["kind"]), row["previous"], period, reason)
