"""Variables made from others, answer by answer, as the codebook declares it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from evaluation.survey.codebook import Part, Variable
from evaluation.survey.findings import Findings
from evaluation.survey.formats import TEXT
from evaluation.survey.values import code_levels, number_of


def derived_codes(source: pd.Series, variable: Variable, findings: Findings) -> pd.Series:
    """Return the code that each answer of the source becomes, as text; missing where the source is.

    An answer that stands in no part of the derivation, or in two that differ, is a fault: it is never guessed.

    Parameters
    ----------
    source : Series, n rows
        The variable it is made from, as the codebook left it.
    variable : Variable
        Has a ``derived``.
    findings : Findings
        Receives the faults.

    Examples
    --------
    >>> from evaluation.survey.codebook import Derivation
    >>> parts = (Part((), ((1, 3),), "1"), Part(("4", "5"), (), "0"))
    >>> agree = Variable("agree", "binary", derived=Derivation("q1", parts))
    >>> findings = Findings(lambda rows: "", declared=True)
    >>> derived_codes(pd.Series([2.0, 5.0, np.nan]), agree, findings).tolist(), findings.messages
    (['1', '0', nan], [])
    """
    parts = variable.derived.parts if variable.derived is not None else ()
    name = variable.derived.source if variable.derived is not None else ""
    codes, levels = code_levels(source)
    made: list[str | None] = []
    for number, level in enumerate(levels):
        found = dict.fromkeys(part.value for part in parts if _holds(part, level))
        if level and len(found) != 1:
            told = f"several parts ({', '.join(found)})" if found else "no part"
            findings.fault(
                variable.name,
                level,
                codes == number,
                f"is derived from '{name}', whose answer {level} ({{rows}}) stands in {told} of the derivation. "
                "Correct derived in codebook.csv",
            )
        made.append(next(iter(found), None))
    return pd.Series(np.array([*made, None], dtype=object)[codes], dtype=TEXT)


def _holds(part: Part, level: str) -> bool:
    number = number_of(level)
    return level in part.codes or (number is not None and any(low <= number <= high for low, high in part.ranges))
