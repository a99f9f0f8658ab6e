"""Printed number against computed number: one verdict per claim.

A register, ``params/claims/<study>.csv``, holds each number as it was printed, where it was
printed, and the address of the estimate that reproduces it. The tolerance is half a unit of the
last printed place, nothing else.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import dropwhile
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from evaluation import project, wording
from evaluation.errors import ClaimError, did_you_mean
from evaluation.printed import Printed, Unit, parse_printed
from evaluation.publication import PublishedEstimates, read_estimates, read_published
from evaluation.results import TIDY_COLUMNS
from evaluation.tables import Table

Verdict = Literal["reproduced", "last digit differs", "differs", "not computable", "not marked reproducible"]

#: Columns of a register, all of them required.
REGISTER_COLUMNS = ("claim_id", "printed", "unit", "where", "name", "term", "by", "column", "reproducible", "note")

#: Units of the last printed place: up to here a claim is reproduced, up to there only its last digit differs.
REPRODUCED_WITHIN = 0.5
LAST_DIGIT_WITHIN = 1.5
#: Floating point noise that is forgiven on top, relative to the number.
ROUNDING_NOISE = 1e-12

_DIFFERS_BY = re.compile(r"differs by (?P<units>\S+) printed units")


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
class Claim:
    """One line of a register."""

    claim_id: str
    printed: str
    unit: Unit
    where: str
    address: Address
    reproducible: bool
    note: str


def claims_file(study: str) -> Path:
    """Return ``params/claims/<study>.csv``; a ClaimError names the nearest register where there is none."""
    path = project.project_root() / "params" / "claims" / f"{study}.csv"
    if not path.is_file():
        known = sorted(file.stem for file in path.parent.glob("*.csv"))
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
        ``failures`` holds them as a frame.
    """
    path = claims_file(study)
    place = f"params/claims/{path.name}"
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in REGISTER_COLUMNS if name not in (reader.fieldnames or [])]
        if missing:
            raise ClaimError(f"{place}: columns {missing} are missing; it has {list(reader.fieldnames or [])}.")
        lines = [(reader.line_num, row) for row in reader]
    faults = [(number, fault) for number, row in lines for fault in _faults(row)]
    faults += _repeated(lines)
    if not lines:
        raise ClaimError(f"{place} holds no claim. Write one line per printed number.")
    if faults:
        failures = pd.DataFrame(sorted(faults), columns=["line", "fault"])
        told = "; ".join(f"line {number}: {fault}" for number, fault in sorted(faults)[:8])
        more = f"; {len(faults) - 8} more in error.failures" if len(faults) > 8 else ""
        raise ClaimError(f"{place}: {told}{more}.", failures=failures)
    return tuple(_claim(row) for _, row in lines)


def _faults(row: Mapping[str, Any]) -> list[str]:
    faults = [f"'{name}' is empty" for name in ("claim_id", "where", "name", "term", "column") if not row[name]]
    if row["unit"] not in get_args(Unit):
        faults.append(f"unit '{row['unit']}'. {did_you_mean(row['unit'], get_args(Unit)).rstrip('.')}")
    if row["reproducible"] not in ("yes", "no"):
        faults.append(f"reproducible must be yes or no, got '{row['reproducible']}'")
    if row["reproducible"] == "no" and not row["note"]:
        faults.append("reproducible is no, and the note does not say why")
    faults += [f"by '{part}' is not 'column=value'" for part in _parts(row["by"]) if "=" not in part]
    try:
        printed = parse_printed(row["printed"] or "")
    except ClaimError as error:
        return [*faults, str(error).rstrip(".")]
    if printed.unit not in ("number", row["unit"]):
        faults.append(f"'{row['printed']}' is printed in {printed.unit}, the register says {row['unit']}")
    return faults


def _repeated(lines: Iterable[tuple[int, Mapping[str, Any]]]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    again = [(number, name) for number, row in lines if first.setdefault(name := row["claim_id"], number) != number]
    return [(number, f"claim_id '{name}' stands already in line {first[name]}") for number, name in again]


def _claim(row: Mapping[str, Any]) -> Claim:
    by = tuple((key.strip(), value.strip()) for key, _, value in (part.partition("=") for part in _parts(row["by"])))
    address = Address(row["name"], row["term"], by, row["column"])
    yes = row["reproducible"] == "yes"
    return Claim(row["claim_id"], row["printed"], row["unit"], row["where"], address, yes, row["note"] or "")


def _parts(by: str | None) -> list[str]:
    return [part for part in (by or "").split(",") if part.strip()]


@dataclass(frozen=True)
class ClaimCheck:
    """One claim with what the run says about it.

    Attributes
    ----------
    claim : Claim
        What was printed.
    value : float or None
        What was computed, in the printed unit; None where nothing was found.
    reproduced : str
        The same, rounded and written like the print.
    difference : float or None
        Computed minus printed, in units of the last printed place, to two decimals.
    tolerance : float
        Half a unit of the last printed place, in the printed unit.
    verdict : str
        "reproduced", "last digit differs", "differs by k printed units", "not computable" or "not
        marked reproducible".
    reason : str
        Why there is no number, or the register's note.
    """

    claim: Claim
    value: float | None
    reproduced: str
    difference: float | None
    tolerance: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class ClaimsReport:
    """Every claim of a study with its verdict.

    Attributes
    ----------
    study : str
        Id of the study.
    checks : tuple of ClaimCheck
        In the order of the register.
    """

    study: str
    checks: tuple[ClaimCheck, ...]

    @property
    def all_reproduced(self) -> bool:
        """Whether every claim that the register marks as reproducible was reproduced."""
        return all(check.verdict == "reproduced" for check in self.checks if check.claim.reproducible)

    def counts(self) -> dict[str, int]:
        """Return how many claims got which verdict, in a fixed order; every "differs by" counts as "differs"."""
        kinds = ["differs" if check.verdict.startswith("differs") else check.verdict for check in self.checks]
        return {verdict: kinds.count(verdict) for verdict in get_args(Verdict) if verdict in kinds}

    def tidy(self) -> pd.DataFrame:
        """Return one row per claim: printed, reproduced, verdict, difference in printed units, tolerance, address."""
        rows = [
            {
                "claim_id": check.claim.claim_id,
                "where": check.claim.where,
                "printed": check.claim.printed,
                "reproduced": check.reproduced,
                "verdict": check.verdict,
                "difference": math.nan if check.difference is None else check.difference,
                "tolerance": check.tolerance,
                "address": str(check.claim.address),
                "reason": check.reason,
            }
            for check in self.checks
        ]
        return pd.DataFrame(rows)

    def summary(self) -> str:
        """Return the claims as a plain English text table, below it the reasons and the counts."""
        table = self.tidy()[["claim_id", "printed", "reproduced", "verdict", "tolerance"]]
        text = table.assign(tolerance=[f"{value:g}" for value in table["tolerance"]]).to_string(index=False)
        told = "\n".join(self._reasons("en"))
        return "\n\n".join(part for part in (text, told, str(self.verdict("en"))) if part)

    def verdict(self, lang: str | None = None) -> wording.Statement:
        """Say how many claims got which verdict, and which remain open.

        Parameters
        ----------
        lang : {"ko", "en"}, optional
            Default: the language of the project.
        """
        lang = project.language() if lang is None else lang
        counts = [(wording.term(kind, lang), number) for kind, number in self.counts().items()]
        open_ids = [check.claim.claim_id for check in self.checks if _is_open(check)]
        if lang == "ko":
            told = ", ".join(f"{kind} {number}건" for kind, number in counts)
            rest = f"남은 주장: {shortened(open_ids, lang=lang)}." if open_ids else "남은 주장 없음."
            return wording.Statement((f"주장 {len(self.checks)}건: {told or '없음'}. {rest}",))
        told = ", ".join(f"{number} {kind}" for kind, number in counts)
        rest = f"Open: {shortened(open_ids)}." if open_ids else "None remains open."
        return wording.Statement((f"{len(self.checks)} claims: {told or 'none'}. {rest}",))

    def as_table(self, lang: str) -> Table:
        """Return the claims as a table, grouped by where they were printed; what remains open comes first."""
        ordered = sorted(self.checks, key=lambda check: (not _is_open(check), check.verdict == "reproduced"))
        sections: dict[tuple[bool, str], list[ClaimCheck]] = {}
        for check in ordered:
            sections.setdefault((check.verdict == "reproduced", check.claim.where), []).append(check)
        checks = [check for section in sections.values() for check in section]
        cells = {
            "claim": [check.claim.claim_id for check in checks],
            "printed": [check.claim.printed for check in checks],
            "recomputed": [check.reproduced or wording.ABSENT for check in checks],
            "verdict": [_verdict_words(check, lang) for check in checks],
        }
        names = [wording.term(name, lang) for name in cells]
        return Table(
            title=wording.term("claims", lang),
            frame=pd.DataFrame(dict(zip(names, cells.values(), strict=True)), dtype=object),
            data=self.tidy(),
            source="",
            notes=(*self._reasons(lang), str(self.verdict(lang))),
            lang=lang,
            numeric=tuple(names[1:3]),
            groups=tuple((where, len(section)) for (_, where), section in sections.items()),
        )

    def _reasons(self, lang: str) -> list[str]:
        reasons: dict[str, list[str]] = {}
        for check in self.checks:
            if check.reason and check.verdict != "reproduced":
                reasons.setdefault(check.reason, []).append(check.claim.claim_id)
        return [f"{shortened(ids, lang=lang)}: {reason}" for reason, ids in reasons.items()]

    def __repr__(self) -> str:
        return repr(self.as_table(project.language()))

    def _repr_html_(self) -> str:
        return self.as_table(project.language())._repr_html_()


def _is_open(check: ClaimCheck) -> bool:
    return check.claim.reproducible and check.verdict != "reproduced"


def _verdict_words(check: ClaimCheck, lang: str) -> str:
    """Return the verdict in the language; how far off it is stands in its code."""
    found = _DIFFERS_BY.fullmatch(check.verdict)
    if found and lang == "ko":
        return f"인쇄 단위로 {found['units']}만큼 다름"
    return wording.term(check.verdict, lang)


def shortened(names: Sequence[str], most: int = 4, *, lang: str = "en") -> str:
    """Return the first names of a list and how many more there are."""
    rest = len(names) - most
    more = f" 외 {rest}건" if lang == "ko" else f" and {rest} more"
    return ", ".join(names[:most]) + (more if rest > 0 else "")


def check_claims(study: str, run_folder: Path | None = None) -> ClaimsReport:
    """Hold every printed number of a study against what a run published.

    Parameters
    ----------
    study : str
        Id of the study; the register is ``params/claims/<study>.csv``.
    run_folder : Path, optional
        Folder with ``estimates/``; without it the folder to which the current run publishes. A
        notebook opened by hand reads what it published itself, and for the rest the last good run or
        the published one.

    Returns
    -------
    ClaimsReport
        One verdict per claim; proportions are compared in per cent where the print is in per cent.

    Raises
    ------
    ClaimError
        Where the register is missing or at fault. A number that is absent from the run is no error:
        its verdict is "not computable", and the reason names the nearest.
    """
    claims = read_claims(study)
    estimates = _published(study) if run_folder is None else read_estimates(run_folder)
    return ClaimsReport(study, tuple(_check(claim, estimates) for claim in claims))


def published_estimates(study: str) -> PublishedEstimates:
    """Return every estimate that the steps before this one published.

    Parameters
    ----------
    study : str
        Id of the study.

    Returns
    -------
    PublishedEstimates
        A mapping of name to Estimates, in the order of publication. A notebook opened by hand reads what
        it published itself, and for the rest the last good run or the published one.
    """
    found = [read_published(folder) for folder in _readable(study)]
    estimates = {name: item for part in found for name, item in part.items()}
    return PublishedEstimates(estimates, {name: title for part in found for name, title in part.titles.items()})


def _readable(study: str) -> list[Path]:
    """Return where a notebook may read: in the run itself; by hand, also in earlier runs, the later the better."""
    run = project.run_folder(study)
    outputs = project.project_root() / "outputs"
    return [run] if project.is_of_record() else [outputs / "reference" / study, outputs / study, run]


def _published(study: str) -> dict[str, dict[str, Any]]:
    return {name: content for folder in _readable(study) for name, content in read_estimates(folder).items()}


def read_numbers(run_folder: Path) -> dict[Address, float | None]:
    """Return every number of a run by its address; None where the run holds no value there."""
    numbers: dict[Address, float | None] = {}
    for name, content in read_estimates(run_folder).items():
        for row in content["rows"]:
            keys = _keys(row)
            by = tuple((key, value) for key, value in keys.items() if key != "term")
            values = dropwhile(lambda item: item[0] not in TIDY_COLUMNS, row.items())
            numbers |= {Address(name, keys.get("term", ""), by, column): _number(value) for column, value in values}
    return numbers


def _keys(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the key columns of a row, those before the first column of ``TIDY_COLUMNS``, as text."""
    keys = {}
    for name, value in row.items():
        if name in TIDY_COLUMNS:
            break
        if value is not None:
            keys[name] = f"{value:g}" if isinstance(value, float) else str(value)
    return keys


def _number(value: object) -> float | None:
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if usable else None  # type: ignore[arg-type]


def _check(claim: Claim, estimates: Mapping[str, Mapping[str, Any]]) -> ClaimCheck:
    printed = parse_printed(claim.printed)
    tolerance = float(printed.unit_in_last_place) * REPRODUCED_WITHIN
    found, reason = _look_up(claim.address, estimates)
    if found is None:
        verdict = "not computable" if claim.reproducible else "not marked reproducible"
        return ClaimCheck(claim, None, "", None, tolerance, verdict, reason if claim.reproducible else claim.note)
    value = Decimal(found) * (1 if claim.unit == "number" else 100)
    difference = float((value - printed.value) / printed.unit_in_last_place)
    noise = ROUNDING_NOISE * float(abs(value) / printed.unit_in_last_place)
    verdict = _verdict(abs(difference) - noise) if claim.reproducible else "not marked reproducible"
    difference = round(difference, 2) + 0.0  # further digits are cancellation noise, and differ between machines
    return ClaimCheck(
        claim, float(value), _like(claim.printed, value, printed), difference, tolerance, verdict, claim.note
    )


def _verdict(units: float) -> str:
    if units <= REPRODUCED_WITHIN:
        return "reproduced"
    if units <= LAST_DIGIT_WITHIN:
        return "last digit differs"
    return f"differs by {units:{',.0f' if units < 1e6 else '.3g'}} printed units"


def _like(text: str, value: Decimal, printed: Printed) -> str:
    """Write a number with the digits, commas and sign of the print it is held against."""
    if abs(value / printed.unit_in_last_place) > 10**15:
        return f"{value:.6g}"
    rounded = (value / printed.unit_in_last_place).quantize(Decimal(1)) * printed.unit_in_last_place
    decimals = max(0, -int(printed.unit_in_last_place.as_tuple().exponent))
    if "e" in text.lower() and printed.value:
        mantissa = len(re.sub(r"[eE].*", "", text).partition(".")[2])
        return f"{value:.{mantissa}e}"
    body = f"{rounded:{',' if ',' in text else ''}.{decimals}f}"
    return body + {"number": "", "percent": "%", "points": "%p"}[printed.unit]


def _look_up(address: Address, estimates: Mapping[str, Mapping[str, Any]]) -> tuple[float | None, str]:
    """Return the number at an address, or None with the reason and the nearest name."""
    if address.name not in estimates:
        return None, f"the run published no estimate '{address.name}'. {did_you_mean(address.name, estimates)}".rstrip()
    rows = estimates[address.name]["rows"]
    of_term = [row for row in rows if _keys(row).get("term") == address.term]
    if not of_term:
        terms = dict.fromkeys(_keys(row).get("term", "") for row in rows)
        return None, f"'{address.name}' has no term '{address.term}'. {did_you_mean(address.term, terms)}"
    wanted = set(address.by)
    chosen = [row for row in of_term if wanted <= set(_keys(row).items())]
    if len(chosen) != 1:
        return None, _not_one_row(address, of_term, len(chosen))
    if address.column not in chosen[0]:
        return None, f"'{address.name}' has no column '{address.column}'. {did_you_mean(address.column, chosen[0])}"
    number = _number(chosen[0][address.column])
    return number, "" if number is not None else f"the run holds no value there (column '{address.column}' is empty)"


def _not_one_row(address: Address, rows: list[Mapping[str, Any]], found: int) -> str:
    by = [",".join(f"{key}={value}" for key, value in _keys(row).items() if key != "term") for row in rows]
    asked = ",".join(f"{key}={value}" for key, value in address.by)
    if found:
        return f"{found} rows of '{address.name}' fit '{asked}'; name one of: {', '.join(by)}."
    return f"'{address.name}' has no row '{asked}'. {did_you_mean(asked, by)}"
