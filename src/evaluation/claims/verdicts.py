"""One verdict per claim: the printed number against the run's, or against whatever else it can be held against.

The tolerance is half a unit of the last printed place, nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal

from evaluation.claims.expressions import Names
from evaluation.claims.facts import Fact
from evaluation.claims.findings import Finding, Gap, findings, gap_of
from evaluation.claims.numbers import look_up
from evaluation.claims.register import Claim
from evaluation.printed import Printed, parse_printed

Verdict = Literal["reproduced", "last digit differs", "differs", "not computable", "not marked reproducible"]

#: Units of the last printed place: up to here a claim is reproduced, up to there only its last digit differs.
REPRODUCED_WITHIN = 0.5
LAST_DIGIT_WITHIN = 1.5
#: Floating point noise that is forgiven on top, relative to the number.
ROUNDING_NOISE = 1e-12


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
    tolerance : float or None
        Half a unit of the last printed place, in the printed unit; None where no number was printed.
    verdict : str
        "reproduced", "last digit differs", "differs by k printed units", "not computable" or "not
        marked reproducible"; of a judged claim the declared verdict, or else what was found.
    reason : str
        Why there is no number, or the register's note.
    found : tuple of Finding
        What was computed about a judged claim, the gravest first.
    gap : Gap or None
        The two shares that the claim sets side by side.
    reproduction : str
        Of a judged claim that has an address: how the run's number compares.
    """

    claim: Claim
    value: float | None
    reproduced: str
    difference: float | None
    tolerance: float | None
    verdict: str
    reason: str
    found: tuple[Finding, ...] = ()
    gap: Gap | None = None
    reproduction: str = ""

    @property
    def computed(self) -> str:
        """What recomputing found, as a key of ``words.FOUND``; empty for a claim that is not judged."""
        return self.found[0].key if self.found else ""

    @property
    def is_open(self) -> bool:
        """Whether the claim is marked as reproducible and was not, or a finding differs from what the register says."""
        if self.claim.judged is None:
            return self.claim.reproducible and self.verdict != "reproduced"
        missed = self.claim.reproducible and self.reproduction != "reproduced"
        return missed or self.computed != self.claim.judged.expected


def check_claim(
    claim: Claim, estimates: Mapping[str, Mapping[str, Any]], names: Names, facts: Mapping[str, Fact]
) -> ClaimCheck:
    """Return the verdict on one claim.

    Parameters
    ----------
    claim : Claim
        What was printed.
    estimates : mapping
        Contents of the run's ``estimates/*.json``, by name.
    names, facts : mapping
        What a judged claim is held against.
    """
    held = _against_run(claim, estimates)
    if claim.judged is None:
        return held
    found = findings(claim, names, facts)
    verdict = claim.judged.declared or found[0].key
    gap, reproduction = gap_of(claim, names, facts), held.verdict if claim.reproducible else ""
    return replace(held, verdict=verdict, reason=held.reason, found=found, gap=gap, reproduction=reproduction)


def _against_run(claim: Claim, estimates: Mapping[str, Mapping[str, Any]]) -> ClaimCheck:
    if claim.address is None:
        return ClaimCheck(claim, None, "", None, _tolerance(claim), "not marked reproducible", claim.note)
    printed = parse_printed(claim.printed)
    tolerance = float(printed.unit_in_last_place) * REPRODUCED_WITHIN
    found, reason = look_up(claim.address, estimates)
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


def _tolerance(claim: Claim) -> float | None:
    text = claim.printed.strip("[]")
    return float(parse_printed(text).unit_in_last_place) * REPRODUCED_WITHIN if text else None
