"""Gate questions: who was asked, and what a blank means for those who were not."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from evaluation.survey.codebook import BLANK, Condition, Variable
from evaluation.survey.findings import Findings
from evaluation.survey.formats import TEXT
from evaluation.survey.values import Codes, Floats, Mask, code_levels, number_of, parsed

#: Reason for a blank off the gate.
NOT_ASKED = "not_asked"


def gated_numbers(
    values: Floats,
    missing: Mapping[str, Mask],
    variable: Variable,
    earlier: Mapping[str, pd.Series],
    findings: Findings,
) -> Floats:
    """Return numbers as the variable's gate leaves them."""
    code = number_of(variable.gate_blank) if variable.gate_blank else None
    fits = np.isnan(values) if code is None else np.isnan(values) | (values == code)
    filled = _through_gate(fits, missing, variable, earlier, findings)
    return values if code is None else np.where(filled, code, values)


def gated(
    target: Codes,
    place: Mapping[str, int],
    missing: Mapping[str, Mask],
    variable: Variable,
    earlier: Mapping[str, pd.Series],
    findings: Findings,
) -> Codes:
    """Return codes as the variable's gate leaves them; ``place`` gives the number of each code."""
    code = place.get(variable.gate_blank, -1) if variable.gate_blank else -1
    filled = _through_gate((target == -1) | (target == code), missing, variable, earlier, findings)
    return np.where(filled, code, target)


def _through_gate(
    fits_off: Mask,
    missing: Mapping[str, Mask],
    variable: Variable,
    earlier: Mapping[str, pd.Series],
    findings: Findings,
) -> Mask:
    """Hold a column against its gate; return the rows whose blank becomes the code under gate_blank."""
    blank = missing[BLANK]
    asked, not_asked = _gate_rows(variable, earlier, len(blank))
    if variable.gate:
        _check_gate(asked, not_asked & ~fits_off, missing, variable, findings)
    filled = blank & not_asked if variable.gate else blank
    if not variable.gate_blank:
        findings.lost(variable.name, "", NOT_ASKED, blank & not_asked)
        filled = np.zeros(len(blank), dtype=bool)
        blank = blank & ~not_asked
    else:
        blank = blank & ~filled
    findings.lost(variable.name, "", variable.missing.get(BLANK, BLANK), blank)
    return filled


def _gate_rows(variable: Variable, earlier: Mapping[str, pd.Series], n: int) -> tuple[Mask, Mask]:
    """Rows that were asked and rows that were not; neither where the gate itself has no answer."""
    if not variable.gate:
        return np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    asked, closed = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    for condition in variable.gate:
        values = earlier.get(condition.variable)
        if values is None:
            return np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        holds = _holds(values, condition)
        known = values.notna().to_numpy()
        asked &= holds & known
        closed |= ~holds & known
    return asked, closed


_COMPARISONS: Mapping[str, Callable[[Floats, float], Mask]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _holds(values: pd.Series, condition: Condition) -> Mask:
    if condition.operator in _COMPARISONS:
        numbers, _ = parsed(values.astype(TEXT) if values.dtype == "category" else values)
        bound = number_of(condition.values[0])
        with np.errstate(invalid="ignore"):
            return np.asarray(_COMPARISONS[condition.operator](numbers, np.nan if bound is None else bound), dtype=bool)
    codes, texts = code_levels(values)
    among = np.isin(codes, [place for place, level in enumerate(texts) if level in condition.values])
    return ~among if condition.operator == "!=" else among


def _check_gate(
    asked: Mask, answered_off: Mask, missing: Mapping[str, Mask], variable: Variable, findings: Findings
) -> None:
    unanswered = asked & missing[BLANK]
    if unanswered.any() and BLANK not in variable.missing:
        findings.fault(
            variable.name,
            "",
            unanswered,
            f"is blank ({{rows}}) where its gate '{variable.gate_text}' says it was asked: a refusal, or does the "
            "blank mean 'no'? Code it in the file, correct the gate, or list blank=no_answer under missing_codes",
        )
    skipped = asked & missing.get("not_applicable", np.zeros(len(asked), dtype=bool))
    if skipped.any():
        code = next(code for code, reason in variable.missing.items() if reason == "not_applicable")
        findings.fault(
            variable.name,
            code,
            skipped,
            f"is 'not applicable' ({{rows}}) where its gate '{variable.gate_text}' says it was asked. "
            "Correct the gate or the reason",
        )
    if answered_off.any():
        findings.fault(
            variable.name,
            "",
            answered_off,
            f"holds values ({{rows}}) where its gate '{variable.gate_text}' says it was not asked. Correct the gate",
        )
