"""The register of a study's printed numbers: ``params/claims/<study>.csv``, read and checked line by line.

A register of numbers that a run can recompute gives each the address of its estimate. A judged register says more: the
quote, what the number can be checked against, what is expected to come out, and what is a judgement, with its reason.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from evaluation import project
from evaluation.claims.expressions import Named, Names, evaluate
from evaluation.claims.facts import Fact, facts_file, read_facts, two_tongues
from evaluation.claims.words import DECLARED, FOUND, MISSING
from evaluation.errors import ClaimError, did_you_mean
from evaluation.printed import Unit, parse_printed

Relation = Literal["same", "other", "outcome", "gap"]
Kind = Literal["gap", "attribution", "effect", "plan", "count"]

#: Columns of a register, all of them required.
REGISTER_COLUMNS = ("claim_id", "printed", "unit", "where", "name", "term", "by", "column", "reproducible", "note")
#: Columns of a judged register, beside those; it is one where the column ``expected`` stands.
JUDGED_COLUMNS = (
    *("kind", "quote", "further", "period", "base", "check", "against", "expected", "verdict", "missing"),
    *("reason_ko", "reason_en", "short_ko", "short_en", "source"),
)

_RELATION = re.compile(r"(?P<relation>\w+)\s*:\s*(?:(?P<left>[^=:]+?)\s*=\s*)?(?P<right>[^=:]+)")
_IDENTIFIER = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True)
class Address:
    """Where a number lies in a run: ``<name> | term | by | column``.

    Attributes
    ----------
    name : str
        Stem of ``estimates/<name>.json``.
    term : str
        What is estimated.
    by : tuple of (str, str)
        Level and domain, e.g. ``(("stype", "H"),)``; empty for the whole.
    column : str
        Column of ``tidy()``, e.g. ``"std_error"``.
    """

    name: str
    term: str
    by: tuple[tuple[str, str], ...]
    column: str

    def __str__(self) -> str:
        by = ",".join(f"{key}={value}" for key, value in self.by)
        return f"{self.name} | {self.term} | {by} | {self.column}"


@dataclass(frozen=True)
class Against:
    """What a printed number is held against.

    Attributes
    ----------
    relation : {"same", "other", "outcome", "gap"}
        "same": both sources speak of one thing, and a difference is a contradiction. "other": they speak of two
        things, and equality is suspicious. "outcome": the right side is what became of a plan. "gap": two shares that
        were printed side by side, as facts that say what was asked of whom.
    left, right : str
        Expressions; ``left`` is the claim itself where the register gives none.
    """

    relation: Relation
    left: str
    right: str


@dataclass(frozen=True)
class Judged:
    """What a judged register says of a claim, beside its number.

    Attributes
    ----------
    kind : {"gap", "attribution", "effect", "plan", "count"}
        What sort of claim it is.
    quote : str
        The words as they were printed.
    further : tuple of str
        Further numbers of the quote, in the order in which ``D1[1]``, ``D1[2]`` name them.
    period : str
        What the number is about.
    base : str
        Of how many items a share is one, with "?" behind it where the print does not say; of a gap, which parts of
        the population took part, as expressions.
    checks : tuple of str
        Expressions, see ``expressions``.
    against : tuple of Against
        Other claims and facts.
    expected : str
        What recomputing must find: a key of ``words.FOUND``.
    declared : str
        A judgement that no computation can give: a key of ``words.DECLARED``; empty where there is none.
    missing : tuple of str
        Which facts would settle the claim: keys of ``words.MISSING``.
    reason, short : tuple of (str, str)
        Why, and where it was printed in a few words; Korean and English.
    source : str
        Where the reason comes from.
    """

    kind: Kind
    quote: str
    further: tuple[str, ...]
    period: str
    base: str
    checks: tuple[str, ...]
    against: tuple[Against, ...]
    expected: str
    declared: str
    missing: tuple[str, ...]
    reason: tuple[str, str]
    short: tuple[str, str]
    source: str


@dataclass(frozen=True)
class Claim:
    """One line of a register; ``address`` and ``judged`` are None where the register gives none."""

    claim_id: str
    printed: str
    unit: Unit
    where: str
    address: Address | None
    reproducible: bool
    note: str
    judged: Judged | None = field(default=None)


def claims_file(study: str) -> Path:
    """Return ``params/claims/<study>.csv``; a ClaimError names the nearest register where there is none."""
    path = project.project_root() / "params" / "claims" / f"{study}.csv"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.csv") if not file.stem.endswith("_facts"))
        raise ClaimError(f"study '{study}' has no register of claims: params/claims/{study}.csv does not exist. "
                         f"{did_you_mean(study, known)}".rstrip())  # fmt: skip
    return path


def read_claims(study: str) -> tuple[Claim, ...]:
    """Read the printed numbers of a study.

    Parameters
    ----------
    study : str
        Id of the study; the register is ``params/claims/<study>.csv``.

    Returns
    -------
    tuple of Claim
        In the order of the file.

    Raises
    ------
    ClaimError
        Where there is no register, or it holds faults: every one of them is named with its line, and
        ``failures`` holds them as a frame. Checks that name an unknown claim, divide by zero or are no
        arithmetic are faults.
    """
    path = claims_file(study)
    place = f"params/claims/{path.name}"
    lines, is_judged = _lines(path, place)
    faults = [(number, fault) for number, row in lines for fault in _faults(row, is_judged)]
    faults += _repeated(lines)
    if not lines:
        raise ClaimError(f"{place} holds no claim. Write one line per printed number.")
    _refuse(place, faults)
    claims = tuple(_claim(row, is_judged) for _, row in lines)
    if is_judged:
        names = named_numbers(claims, read_facts(facts_file(study)))
        numbered = zip((number for number, _ in lines), claims, strict=True)
        _refuse(place, [(number, fault) for number, claim in numbered for fault in _wrong_checks(claim, names)])
    return claims


def _lines(path: Path, place: str) -> tuple[list[tuple[int, dict[str, str]]], bool]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        is_judged = "expected" in columns
        wanted = (*REGISTER_COLUMNS, *(JUDGED_COLUMNS if is_judged else ()))
        missing = [name for name in wanted if name not in columns]
        if missing:
            raise ClaimError(f"{place}: columns {missing} are missing; it has {columns}.")
        return [(reader.line_num, {key: row[key] or "" for key in wanted}) for row in reader], is_judged


def _refuse(place: str, faults: list[tuple[int, str]]) -> None:
    if not faults:
        return
    failures = pd.DataFrame(sorted(faults), columns=["line", "fault"])
    told = "; ".join(f"line {number}: {fault.rstrip('.')}" for number, fault in sorted(faults)[:8])
    more = f"; {len(faults) - 8} more in error.failures" if len(faults) > 8 else ""
    raise ClaimError(f"{place}: {told}{more}.", failures=failures)


def _faults(row: Mapping[str, str], is_judged: bool) -> list[str]:
    addressed = ("name", "term", "column")
    wants = ("claim_id", "where", *(addressed if not is_judged or any(row[name] for name in addressed) else ()))
    faults = [f"'{name}' is empty" for name in wants if not row[name]]
    if row["unit"] not in get_args(Unit):
        faults.append(f"unit '{row['unit']}'. {did_you_mean(row['unit'], get_args(Unit)).rstrip('.')}")
    if row["reproducible"] not in ("yes", "no"):
        faults.append(f"reproducible must be yes or no, got '{row['reproducible']}'")
    if row["reproducible"] == "no" and not is_judged and not row["note"]:
        faults.append("reproducible is no, and the note does not say why")
    if row["reproducible"] == "yes" and is_judged and not row["name"]:
        faults.append("reproducible is yes, and no address says where the number lies")
    faults += [f"by '{part}' is not 'column=value'" for part in _parts(row["by"]) if "=" not in part]
    return [*faults, *_print_faults(row, is_judged), *(_judged_faults(row) if is_judged else [])]


def _print_faults(row: Mapping[str, str], is_judged: bool) -> list[str]:
    if is_judged and not row["printed"]:
        return [] if not row["name"] else ["'printed' is empty, so nothing can be recomputed"]
    try:
        printed = parse_printed(_bare(row["printed"]) if is_judged else row["printed"])
    except ClaimError as error:
        return [str(error).rstrip(".")]
    if printed.unit not in ("number", row["unit"]):
        return [f"'{row['printed']}' is printed in {printed.unit}, the register says {row['unit']}"]
    return []


def _judged_faults(row: Mapping[str, str]) -> list[str]:
    faults = [] if _IDENTIFIER.fullmatch(row["claim_id"]) else [f"claim_id '{row['claim_id']}' is no name for a check"]
    allowed: dict[str, Iterable[str]] = {"kind": get_args(Kind), "expected": FOUND}
    allowed |= {"verdict": ("", *DECLARED)}
    for column, options in allowed.items():
        if row[column] not in options:
            known = [option for option in options if option]
            faults.append(f"{column} '{row[column]}'. {did_you_mean(row[column], known).rstrip('.')}")
    faults += [
        f"missing '{item}'. {did_you_mean(item, MISSING)}" for item in _items(row["missing"]) if item not in MISSING
    ]
    faults += [f"'{name}' is empty" for name in ("quote", "short_ko", "short_en") if not row[name]]
    if row["verdict"]:
        faults += [f"a declared verdict needs its '{name}'" for name in ("reason_ko", "reason_en") if not row[name]]
    if row["base"] and "gap:" not in row["against"] and not re.fullmatch(r"[1-9]\d*\??", row["base"]):
        faults.append(f"base '{row['base']}' is no count of items, like 235, or 235? where it was not printed")
    return faults + _quote_faults(row) + _against_faults(row)


def _quote_faults(row: Mapping[str, str]) -> list[str]:
    """Return the printed numbers that do not stand in the quote; one in [brackets] is said in words or beside it."""
    faults = []
    for text in filter(None, (row["printed"], *_items(row["further"]))):
        try:
            parse_printed(_bare(text))
        except ClaimError as error:
            faults.append(str(error))
            continue
        if not text.startswith("[") and not re.search(rf"(?<![\d.,]){re.escape(text)}(?![.,]?\d)", row["quote"]):
            faults.append(f"'{text}' does not stand in the quote “{row['quote']}”")
    return faults


def _against_faults(row: Mapping[str, str]) -> list[str]:
    faults = []
    for item in _items(row["against"]):
        found = _RELATION.fullmatch(item)
        if found is None or found["relation"] not in get_args(Relation):
            faults.append(f"against '{item}' is not '{'|'.join(get_args(Relation))}: number'")
        elif found["relation"] == "gap" and not found["left"]:
            faults.append(f"against '{item}': a gap has two sides, like gap: one = other")
        elif not found["left"] and not row["printed"]:
            faults.append(f"against '{item}': the claim has no printed number to hold against it")
    return faults


def _repeated(lines: Iterable[tuple[int, Mapping[str, str]]]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    again = [(number, name) for number, row in lines if first.setdefault(name := row["claim_id"], number) != number]
    return [(number, f"claim_id '{name}' stands already in line {first[name]}") for number, name in again]


def _claim(row: Mapping[str, str], is_judged: bool) -> Claim:
    by = tuple((key.strip(), value.strip()) for key, _, value in (part.partition("=") for part in _parts(row["by"])))
    address = Address(row["name"], row["term"], by, row["column"]) if row["name"] else None
    judged = _judged(row) if is_judged else None
    yes, unit = row["reproducible"] == "yes", row["unit"]
    return Claim(row["claim_id"], row["printed"], unit, row["where"], address, yes, row["note"], judged)  # type: ignore[arg-type]


def _judged(row: Mapping[str, str]) -> Judged:
    found = [_RELATION.fullmatch(item) for item in _items(row["against"])]
    against = tuple(
        Against(match["relation"], match["left"] or row["claim_id"], match["right"])  # type: ignore[arg-type]
        for match in found
        if match is not None
    )
    return Judged(
        kind=row["kind"],  # type: ignore[arg-type]
        quote=row["quote"],
        further=_items(row["further"]),
        period=row["period"],
        base=row["base"],
        checks=_items(row["check"]),
        against=against,
        expected=row["expected"],
        declared=row["verdict"],
        missing=_items(row["missing"]),
        reason=(row["reason_ko"], row["reason_en"]),
        short=(row["short_ko"], row["short_en"]),
        source=row["source"],
    )


def named_numbers(claims: Iterable[Claim], facts: Mapping[str, Fact]) -> dict[str, tuple[Named, ...]]:
    """Return every number that a check may name: claims with their further numbers, and facts.

    Raises
    ------
    ClaimError
        Where a claim and a fact share a name.
    """
    names: dict[str, tuple[Named, ...]] = {name: (fact.named,) for name, fact in facts.items()}
    for claim in claims:
        if claim.judged is None:
            continue
        if claim.claim_id in facts:
            raise ClaimError(f"'{claim.claim_id}' names a claim and a fact. Rename the fact.")
        texts = [_bare(text) for text in (claim.printed, *claim.judged.further) if text]
        names[claim.claim_id] = tuple(_named(text, claim.judged.short) for text in texts)
    return names


def _named(text: str, source: tuple[str, str]) -> Named:
    printed = parse_printed(text)
    return Named(Fraction(printed.value), text.rstrip("%"), Fraction(printed.unit_in_last_place), source)


def _wrong_checks(claim: Claim, names: Names) -> list[str]:
    """Return what is wrong with the expressions of a claim, once every name is known."""
    judged = claim.judged
    if judged is None:
        return []
    sides = [side for against in judged.against for side in (against.left, against.right)]
    parts = _items(judged.base) if any(against.relation == "gap" for against in judged.against) else ()
    faults = []
    for expression in (*judged.checks, *sides, *parts):
        try:
            checked = evaluate(expression, names)
        except ClaimError as error:
            faults.append(str(error))
        else:
            if checked.value is None and expression not in judged.checks:
                faults.append(f"against '{expression}' compares; it must be one number")
    return faults + two_tongues(claim.claim_id, judged.reason)


def _bare(text: str) -> str:
    return text.strip().removeprefix("[").removesuffix("]")


def _parts(by: str) -> list[str]:
    return [part for part in by.split(",") if part.strip()]


def _items(cell: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in cell.split(";") if item.strip())
