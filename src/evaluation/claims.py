"""Printed number against computed number: one verdict per claim.

A register, ``params/claims/<study>.csv``, holds each number as it was printed, where it was
printed, and the address of the estimate that reproduces it. The tolerance is half a unit of the
last printed place, nothing else.
"""

from __future__ import annotations

import csv
import json
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import dropwhile
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from evaluation import project
from evaluation.errors import ClaimError, did_you_mean
from evaluation.results import TIDY_COLUMNS, frame_html

Unit = Literal["number", "percent", "points"]
Verdict = Literal["reproduced", "last digit differs", "differs", "not computable", "not marked reproducible"]

#: Columns of a register, all of them required.
REGISTER_COLUMNS = ("claim_id", "printed", "unit", "where", "name", "term", "by", "column", "reproducible", "note")

#: Units of the last printed place: up to here a claim is reproduced, up to there only its last digit differs.
REPRODUCED_WITHIN = 0.5
LAST_DIGIT_WITHIN = 1.5
#: Floating point noise that is forgiven on top, relative to the number.
ROUNDING_NOISE = 1e-12

_NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d{1,3}(?:,\d{3})+|\d+)?(?:\.(?P<decimals>\d+))?(?:e(?P<power>[-+]?\d+))?"
)
_MYRIADS = {"천": 3, "만": 4, "억": 8, "조": 12}
_KOREAN = re.compile(r"[-+]?(?:[\d,.]+[천만억조]\s*)+(?:[\d,.]+)?")
_POINTS = re.compile(r"\s*(?:%\s*(?:p|points?|포인트)|pp|percentage points?|points?)$", re.IGNORECASE)
_COUNTED = re.compile(r"\s*(?:명|원|건|가구|개|호)$")
_STARS = re.compile(r"\s*[*†‡]+$")


@dataclass(frozen=True)
class Printed:
    """A number as it stands in print.

    Attributes
    ----------
    value : Decimal
        The number, in its printed unit: ``84.7`` for "84.7%".
    unit_in_last_place : Decimal
        What one step of the last printed digit is worth: ``0.1`` for "84.7%".
    unit : {"number", "percent", "points"}
        What the print itself says.
    """

    value: Decimal
    unit_in_last_place: Decimal
    unit: Unit


def parse_printed(text: str) -> Printed:
    """Read a number the way it is printed, and how precisely it is printed.

    Understood are thousands commas, the minus U+2212, the per cent sign, percentage points ("%p",
    "pp", "points", "%포인트"), a standard error in parentheses (its value is positive), significance
    stars, exponents, and Korean myriads ("3억 4,049만", "412만 명").

    Parameters
    ----------
    text : str
        One printed number.

    Returns
    -------
    Printed
        Value, unit in the last place, unit.

    Raises
    ------
    ClaimError
        Where the text is not exactly one number: a bound ("<0.001"), a range, a misplaced comma.

    Examples
    --------
    >>> parse_printed("−0.42")
    Printed(value=Decimal('-0.42'), unit_in_last_place=Decimal('0.01'), unit='number')
    >>> parse_printed("84.7%").unit, parse_printed("25.3%p").unit, parse_printed("3억 4,049만").value
    ('percent', 'points', Decimal('340490000'))
    >>> parse_printed("1,20")
    Traceback (most recent call last):
    evaluation.errors.ClaimError: '1,20' is not one printed number: ... Write it as it stands in print, e.g. 1,204.5.
    """
    unit: Unit = "number"
    rest = unicodedata.normalize("NFKC", str(text)).replace("\N{MINUS SIGN}", "-").replace("\N{EN DASH}", "-").strip()
    rest = _STARS.sub("", rest)
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].strip()
    if _POINTS.search(rest):
        unit, rest = "points", _POINTS.sub("", rest)
    elif rest.endswith("%"):
        unit, rest = "percent", rest[:-1].rstrip()
    rest = _COUNTED.sub("", rest)
    value, last_place = _myriads(rest) if _KOREAN.fullmatch(rest) else _decimal(rest, text)
    return Printed(value, last_place, unit)


def _decimal(text: str, printed: str) -> tuple[Decimal, Decimal]:
    match = _NUMBER.fullmatch(text.strip().lower())
    if match is None or not (match["digits"] or match["decimals"]):
        raise ClaimError(f"'{printed}' is not one printed number: {_reason(text)}. "
                         "Write it as it stands in print, e.g. 1,204.5.")  # fmt: skip
    exponent = int(match["power"] or 0) - len(match["decimals"] or "")
    digits = int(f"{match['digits'] or 0}".replace(",", "") + (match["decimals"] or ""))
    sign = -1 if match["sign"] == "-" else 1
    return _scaled(sign * digits, exponent), _scaled(1, exponent)


def _scaled(digits: int, exponent: int) -> Decimal:
    return Decimal(digits * 10**exponent) if exponent >= 0 else Decimal(digits).scaleb(exponent)


def _reason(text: str) -> str:
    if not any(character.isdigit() for character in text):
        return "it holds no digit"
    if any(sign in text for sign in "<>≤≥≈~"):
        return "it is a bound or an approximation, and only a number can be reproduced"
    if "," in text:
        return "commas may only separate thousands"
    return "something stands beside the digits"


def _myriads(text: str) -> tuple[Decimal, Decimal]:
    """Add up "3억 4,049만": each part times its power of ten; the last part holds the last place."""
    total, last_place = Decimal(0), Decimal(1)
    for digits, myriad in re.findall(r"([\d,.]+)([천만억조]?)", text):
        value, place = _decimal(digits, text)
        scale = 10 ** _MYRIADS.get(myriad, 0)
        total, last_place = total + value * scale, place * scale
    return (-total if text.startswith("-") else total), last_place


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
        """Return the claims as a plain text table, below it the reasons and the counts."""
        table = self.tidy()[["claim_id", "printed", "reproduced", "verdict", "tolerance"]]
        text = table.assign(tolerance=[f"{value:g}" for value in table["tolerance"]]).to_string(index=False)
        reasons: dict[str, list[str]] = {}
        for check in self.checks:
            if check.reason and check.verdict != "reproduced":
                reasons.setdefault(check.reason, []).append(check.claim.claim_id)
        told = "\n".join(f"{shortened(ids)}: {reason}" for reason, ids in reasons.items())
        return "\n\n".join(part for part in (text, told, self.verdict()) if part)

    def verdict(self) -> str:
        """Return the counts as one sentence."""
        counts = ", ".join(f"{number} {verdict}" for verdict, number in self.counts().items())
        return f"{self.study}: {len(self.checks)} claims: {counts or 'none'}."

    def __repr__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        frame = self.tidy().drop(columns=["address"])
        frame["difference"] = ["" if math.isnan(value) else f"{value:+.1f}" for value in frame["difference"]]
        frame["tolerance"] = [f"{value:g}" for value in frame["tolerance"]]
        return f"{frame_html(frame)}\n<p>{self.verdict()}</p>"


def shortened(names: Sequence[str], most: int = 4) -> str:
    """Return the first names of a list and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


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


def published_estimates(study: str) -> pd.DataFrame:
    """Return every estimate that the steps before this one published.

    Parameters
    ----------
    study : str
        Id of the study.

    Returns
    -------
    pandas.DataFrame
        Columns name, term, by, estimate, std_error, conf_low, conf_high, n_obs; one row per number.
    """
    rows = []
    for name, content in _published(study).items():
        for row in content["rows"]:
            keys = _keys(row)
            by = ",".join(f"{key}={value}" for key, value in keys.items() if key != "term")
            numbers = {column: _number(row.get(column)) for column in _SHOWN}
            rows.append({"name": name, "term": keys.get("term", ""), "by": by, **numbers})
    frame = pd.DataFrame(rows, columns=["name", "term", "by", *_SHOWN])
    return frame.astype({"n_obs": "Int64"})


_SHOWN = ("estimate", "std_error", "conf_low", "conf_high", "n_obs")


def _published(study: str) -> dict[str, dict[str, Any]]:
    """Return what a notebook may read: the run's own estimates; by hand, also those of earlier runs."""
    run = project.run_folder(study)
    if project.is_of_record():
        return read_estimates(run)
    outputs = project.project_root() / "outputs"
    found: dict[str, dict[str, Any]] = {}
    for folder in (outputs / "reference" / study, outputs / study, run):
        found |= read_estimates(folder)
    return found


def read_estimates(run_folder: Path) -> dict[str, dict[str, Any]]:
    """Return the content of every ``estimates/<name>.json`` of a run, by name.

    Raises
    ------
    ClaimError
        Where a file is not what a run writes.
    """
    estimates: dict[str, dict[str, Any]] = {}
    for path in sorted((Path(run_folder) / "estimates").glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            rows = content["rows"]
        except (ValueError, KeyError, TypeError):
            raise ClaimError(f"estimates/{path.name} holds no 'rows' of estimates. Run the study again.") from None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ClaimError(f"estimates/{path.name}: 'rows' must be a list of records. Run the study again.")
        estimates[path.stem] = content
    return estimates


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
