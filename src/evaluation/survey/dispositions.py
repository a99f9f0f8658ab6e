"""Final dispositions: what became of everybody who was drawn, in the categories of AAPOR's Standard Definitions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.errors import ColumnError, did_you_mean
from evaluation.survey.codebook import code_text

Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]
Category = Literal["I", "P", "R", "NC", "O", "UH", "UO", "NE"]

#: Complete and partial interviews; refusals, non-contacts and other non-interviews of the eligible; households of
#: which, and others of whom, it is unknown whether they are eligible; those not eligible.
CATEGORIES: tuple[Category, ...] = get_args(Category)
#: Words that may stand for a category.
WORDS: dict[str, Category] = {
    "complete": "I",
    "partial": "P",
    "refusal": "R",
    "noncontact": "NC",
    "other": "O",
    "unknown": "UH",
    "unknown household": "UH",
    "unknown other": "UO",
    "ineligible": "NE",
    "not eligible": "NE",
}
#: Categories by the first two digits of a final disposition code: 2.12 (break-off) is a refusal as 2.10 is.
_BY_CODE: dict[int, Category] = {
    11: "I",
    12: "P",
    21: "R",
    22: "NC",
    23: "O",
    29: "O",
    31: "UH",
    **dict.fromkeys(range(32, 40), "UO"),
    **dict.fromkeys(range(40, 50), "NE"),
}
_DECIMAL = re.compile(r"\d\.\d{1,4}")


def aapor_category(code: object) -> Category | None:
    """Return the category of a final disposition code of AAPOR's, None where it is none.

    Parameters
    ----------
    code : object
        As number or text: 1.1, "2.10", 2.112, 4 ...; 3.10 and 3.1 are one.

    References
    ----------
    AAPOR (2016), Standard Definitions: Final Dispositions of Case Codes and Outcome Rates for Surveys, 9th edition,
    tables of final disposition codes.

    Examples
    --------
    >>> [aapor_category(code) for code in (1.1, "1.20", 2.12, "2.20", 3.1, 3.2, 4.0, 4.5, 2.7, 110)]
    ['I', 'P', 'R', 'NC', 'UH', 'UO', 'NE', 'NE', None, None]
    """
    text = code_text(code)
    if text == "4":
        return "NE"
    if not _DECIMAL.fullmatch(text):
        return None
    return _BY_CODE.get(int(text[0] + text[2]))


def read_dispositions(
    column: pd.Series,
    codes: Mapping[Any, str] | None,
    counted: Mask,
    verb: str,
    own: Mapping[str, str] | None = None,
) -> tuple[Codes, tuple[str, ...]]:
    """Return the place of each row's meaning, shape (n,), among meanings; rows that are not ``counted`` mean "".

    Parameters
    ----------
    column : pandas.Series, n rows
        Dispositions.
    codes : mapping of code to meaning, or None
        A meaning is a category (``CATEGORIES``), one of ``WORDS``, a code of AAPOR's, or one of ``own``. Without it
        the values themselves must be that.
    counted : ndarray of bool, shape (n,)
        Rows that need one.
    verb : str
        For errors.
    own : mapping of word to what is returned for it, optional
        Further words that this verb understands.

    Raises
    ------
    ColumnError
        A disposition is missing or has no meaning (the rows are in ``failures``), or ``codes`` gives a meaning that
        does not exist.
    """
    _refuse_missing(column, counted, verb)
    place, values = pd.factorize(column)
    explained = None if codes is None else _explained(codes, own or {}, verb)
    meanings: list[str | None] = []
    for value in values:
        if explained is None:
            meanings.append(_meaning(value, own or {}))
        else:
            meanings.append(explained.get(_same_code(value)))
    unexplained = np.array([meaning is None for meaning in [*meanings, None]])
    _refuse_unexplained(column, counted & unexplained[place], codes, verb)
    told = tuple(meaning or "" for meaning in meanings)
    return np.where(counted, place, len(told)).astype(np.int64), (*told, "")


def _same_code(value: object) -> str:
    """Return a code in the form in which 2.1, "2.10" and "2.1" are one, and yes and no as YAML and JSON write them."""
    text = code_text(value)
    if text.lower() in ("true", "false"):
        return text.lower()
    return text.rstrip("0") if _DECIMAL.fullmatch(text) else text


def _meaning(value: object, own: Mapping[str, str]) -> str | None:
    text = code_text(value)
    if text.lower() in own:
        return own[text.lower()]
    if text.upper() in CATEGORIES:
        return text.upper()
    return WORDS.get(text.lower().replace("_", " ").replace("-", "")) or aapor_category(value)


def _explained(codes: Mapping[Any, str], own: Mapping[str, str], verb: str) -> dict[str, str]:
    if not isinstance(codes, Mapping) or not codes:
        raise ColumnError(f"{verb}: codes must be a mapping of code to what it means, got {codes!r}.")
    found: dict[str, str] = {}
    for code, word in codes.items():
        meaning = _meaning(word, own)
        if meaning is None:
            known = list(dict.fromkeys([*own, *WORDS, *CATEGORIES]))
            raise ColumnError(f"{verb}: codes gives {code!r} the meaning {word!r}. {did_you_mean(word, known)}")
        if found.setdefault(_same_code(code), meaning) != meaning:
            raise ColumnError(f"{verb}: codes gives {code!r} two meanings. Keep one.")
    return found


def _refuse_missing(column: pd.Series, counted: Mask, verb: str) -> None:
    missing = column.isna().to_numpy() & counted
    if missing.any():
        raise ColumnError(
            f"{verb}: '{column.name}' is missing in {int(missing.sum()):,} of {int(counted.sum()):,} rows that have a "
            f"weight (first: data row {int(np.flatnonzero(missing)[0]) + 1:,}). Everybody who was drawn needs one: "
            f"write down what is not known as a code of its own.",
            failures=column[missing].to_frame(),
        )


def _refuse_unexplained(column: pd.Series, wrong: Mask, codes: Mapping[Any, str] | None, verb: str) -> None:
    if not wrong.any():
        return
    counts = column[wrong].value_counts(sort=False)
    told = ", ".join(f"{value!r} ({count:,} rows)" for value, count in list(counts.items())[:5])
    rows = ", ".join(str(row + 1) for row in np.flatnonzero(wrong)[:5])
    if codes is None:
        move = "Say what they mean: codes={value: 'complete', ...}."
    else:
        move = f"Add them to codes. {did_you_mean(counts.index[0], codes)}"
    raise ColumnError(
        f"{verb}: '{column.name}' holds dispositions without a meaning: {told}; first in data rows {rows}. {move}",
        failures=column[wrong].to_frame(),
    )
