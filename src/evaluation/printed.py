"""A number as it stands in print: its value, how precisely it is printed, and in which unit."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from evaluation.errors import ClaimError

Unit = Literal["number", "percent", "points"]

_NUMBER = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d{1,3}(?:,\d{3})+|\d+)?(?:\.(?P<decimals>\d+))?(?:e(?P<power>[-+]?\d+))?"
)
_MYRIADS = {"천": 3, "만": 4, "억": 8, "조": 12}
_KOREAN = re.compile(r"[-+]?(?:[\d,.]+[천만억조]\s*)+(?:[\d,.]+)?")
_POINTS = re.compile(r"\s*(?:%\s*(?:p|points?|포인트)|pp|percentage points?|points?)$", re.IGNORECASE)
_COUNTED = re.compile(r"\s*(?:명|원|건|가구|개|호)$")
_LARGE = {"thousand": 3, "million": 6, "billion": 9}
_IN_WORDS = re.compile(r"(?P<digits>[-+]?[\d.,]+)\s*(?P<word>thousand|million|billion)$", re.IGNORECASE)
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
    stars, exponents, English "thousand", "million" and "billion", and Korean myriads ("3억 4,049만", "412만 명").

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
    value, last_place = _myriads(rest) if _KOREAN.fullmatch(rest) else _worded(rest, text)
    return Printed(value, last_place, unit)


def _worded(text: str, printed: str) -> tuple[Decimal, Decimal]:
    """Read "10 million": ten, printed to the million."""
    match = _IN_WORDS.fullmatch(text)
    if match is None:
        return _decimal(text, printed)
    value, place = _decimal(match["digits"], printed)
    scale = 10 ** _LARGE[match["word"].lower()]
    return value * scale, place * scale


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
