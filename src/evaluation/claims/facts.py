"""Published facts that claims are held against: ``params/claims/<study>_facts.csv``, each with its date and source."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from evaluation import project
from evaluation.claims.expressions import Named
from evaluation.errors import ClaimError
from evaluation.printed import parse_printed

#: Columns of a file of facts, all of them required.
FACT_COLUMNS = (
    *("fact", "value", "unit", "period", "question", "population"),
    *("what_ko", "what_en", "whom_ko", "whom_en", "short_ko", "short_en", "source"),
)

_HANGUL = re.compile(r"[가-힣]")


@dataclass(frozen=True)
class Fact:
    """A number that somebody else published.

    Attributes
    ----------
    name : str
        What checks call it.
    named : Named
        The number, how it was printed and by whom.
    unit, period, source : str
        Unit, date, and where it stands.
    question, population : str
        Of a share: keys of what was asked and of whom. Two shares with the same keys may be compared.
    what, whom : tuple of (str, str)
        What it counts or asks, and of whom; Korean and English.
    """

    name: str
    named: Named
    unit: str
    period: str
    question: str
    population: str
    what: tuple[str, str]
    whom: tuple[str, str]
    source: str


def facts_file(study: str) -> Path:
    """Return where the facts of a study stand."""
    return project.project_root() / "params" / "claims" / f"{study}_facts.csv"


def read_facts(path: Path) -> dict[str, Fact]:
    """Read published facts; a study without such a file has none.

    Raises
    ------
    ClaimError
        Where a column is missing, a value is no number, or a fact stands twice, lacks its source or one of its
        languages; the line is named.
    """
    if not path.is_file():
        return {}
    place = f"params/claims/{path.name}"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in FACT_COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ClaimError(f"{place}: columns {missing} are missing; it has {list(reader.fieldnames or [])}.")
        lines = [(reader.line_num, {name: row[name] or "" for name in FACT_COLUMNS}) for row in reader]
    facts: dict[str, Fact] = {}
    for number, row in lines:
        where = f"{place}, line {number}, fact '{row['fact']}'"
        fault = _fault(row, facts)
        if fault:
            raise ClaimError(f"{where}: {fault}.")
        try:
            facts[row["fact"]] = _fact(row)
        except ClaimError as error:
            raise ClaimError(f"{where}: {error}") from None
    return facts


def _fault(row: dict[str, str], known: dict[str, Fact]) -> str:
    if row["fact"] in known:
        return "stands twice"
    empty = [
        name
        for name in ("fact", "value", "unit", "what_ko", "what_en", "short_ko", "short_en", "source")
        if not row[name]
    ]
    if empty:
        return f"{empty} are empty"
    if bool(row["question"]) != bool(row["population"]):
        return "question and population belong together"
    return "; ".join(two_tongues(row["fact"], (row["what_ko"], row["what_en"])))


def two_tongues(name: str, texts: tuple[str, str]) -> list[str]:
    """Return what is wrong with a text that must stand in Korean and in English."""
    korean, english = texts
    if bool(korean) != bool(english):
        return [f"'{name}' says something in one language only"]
    if korean and not _HANGUL.search(korean):
        return [f"'{name}' has no Korean in its Korean text"]
    return [f"'{name}' has Korean in its English text"] if _HANGUL.search(english) else []


def _fact(row: dict[str, str]) -> Fact:
    printed = parse_printed(row["value"])
    short = (row["short_ko"], row["short_en"])
    named = Named(Fraction(printed.value), row["value"].rstrip("%"), Fraction(printed.unit_in_last_place), short)
    what, whom = (row["what_ko"], row["what_en"]), (row["whom_ko"], row["whom_en"])
    return Fact(
        row["fact"], named, row["unit"], row["period"], row["question"], row["population"], what, whom, row["source"]
    )
