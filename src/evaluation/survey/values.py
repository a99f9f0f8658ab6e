"""Raw columns as codes or as numbers, whatever type the file gave them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from evaluation.survey.codebook import code_text
from evaluation.survey.formats import TEXT

Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Whole numbers within this range are coded by counting instead of hashing.
MAXIMUM_RANGE = 1_000_000

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def distinct(column: pd.Series) -> tuple[Codes, pd.Index]:
    """Return each row's place among the distinct values (-1 where missing), and these values.

    Categories and small whole numbers are counted, others hashed. Categories that nobody has are among the values.

    Examples
    --------
    >>> codes, values = distinct(pd.Series([7, 5, 7]))
    >>> codes.tolist(), values.tolist()
    ([1, 0, 1], [5, 7])
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy().astype(np.int64), column.cat.categories
    if isinstance(column.dtype, np.dtype) and column.dtype.kind in "iu" and len(column):
        whole = column.to_numpy()
        low, high = int(whole.min()), int(whole.max())
        if high - low <= min(MAXIMUM_RANGE, 4 * len(whole)):
            place = whole.astype(np.int64) - low
            occurs = np.zeros(high - low + 1, dtype=bool)
            occurs[place] = True
            return (np.cumsum(occurs) - 1)[place], pd.Index(np.flatnonzero(occurs) + low)
    codes, values = pd.factorize(column)
    return codes.astype(np.int64), pd.Index(values)


def code_levels(raw: pd.Series) -> tuple[Codes, list[str]]:
    """Return each row's place among the distinct codes (-1 where blank), and these codes as text."""
    codes, uniques = distinct(raw)
    texts = [code_text(value) for value in uniques]
    blank = np.array([not text for text in texts] + [False])
    return np.where(blank[codes], -1, codes).astype(np.int64), texts


def parsed(raw: pd.Series) -> tuple[Floats, Mask]:
    """Values as numbers, NaN where blank or no number, and which of them are no numbers."""
    if pd.api.types.is_numeric_dtype(raw):
        return raw.to_numpy(dtype=np.float64, na_value=np.nan), np.zeros(len(raw), dtype=bool)
    text = pa.array(raw.astype(TEXT).str.strip(), type=pa.large_string(), from_pandas=True)
    text = pc.if_else(pc.equal(text, ""), None, text)
    is_number = pc.fill_null(pc.match_substring_regex(text, _NUMBER), False)
    values = pc.cast(pc.if_else(is_number, text, None), pa.float64()).to_numpy(zero_copy_only=False)
    strange = pc.and_(pc.is_valid(text), pc.invert(is_number)).to_numpy(zero_copy_only=False)
    return np.array(values, dtype=np.float64), np.asarray(strange, dtype=bool)


def strays(raw: pd.Series) -> tuple[Mask, str]:
    """Find what keeps a column of text from being numbers, where at least half of what stands in it are numbers.

    Returns
    -------
    rows : ndarray of bool, shape (n,)
        Values that are no numbers; all False where the column is not one of numbers at all.
    told : str
        The first of them and its data row, for an error; empty where there are none.

    Examples
    --------
    >>> strays(pd.Series(["300", "150", "20만원"]))[1]
    "1 of 3 values is no number (first: '20만원' in data row 3)"
    """
    values, strange = parsed(raw.map(code_text, na_action="ignore"))
    numbers, found = int((~np.isnan(values)).sum()), int(strange.sum())
    if not found or numbers < found:
        return np.zeros(len(raw), dtype=bool), ""
    row = int(np.flatnonzero(strange)[0])
    verb = "is no number" if found == 1 else "are no numbers"
    return strange, f"{found:,} of {numbers + found:,} values {verb} (first: {raw.iloc[row]!r} in data row {row + 1:,})"


def number_of(code: str) -> float | None:
    """Return a code as a number, None where it is none."""
    try:
        return float(code)
    except ValueError:
        return None


def as_numbers(values: Floats) -> pd.Series:
    """Return int64 where all values are whole and none is missing, else float64."""
    whole = len(values) > 0 and bool(np.isfinite(values).all()) and bool((values == np.floor(values)).all())
    return pd.Series(values.astype(np.int64) if whole and np.abs(values).max() < 2**53 else values)


def all_numbers(raw: pd.Series) -> bool:
    """Tell whether a column is one of numbers: no text, no ``007``, no identifier beyond 15 digits."""
    if pd.api.types.is_numeric_dtype(raw):
        return True
    values, strange = parsed(raw)
    text = raw.astype(TEXT).str.strip()
    with_zero = text.str.match(r"^[+-]?0\d", na=False).any()
    long = text.str.match(r"^\d{16,}$", na=False).any()
    return not strange.any() and not with_zero and not long and not bool(np.isnan(values).all())


def guessed(raw: pd.Series) -> pd.Series:
    """Return a column without codebook: numbers where all are numbers (``007`` is none), else text.

    Blanks around text are cut off, so that ``여`` and ``여 `` are one code, in estimates as in margins.

    Examples
    --------
    >>> guessed(pd.Series(["1", "2", None])).tolist(), guessed(pd.Series(["007", "12"])).tolist()
    ([1.0, 2.0, nan], ['007', '12'])
    >>> guessed(pd.Series(["f ", "m", "  "])).tolist()
    ['f', 'm', nan]
    """
    if all_numbers(raw):
        return as_numbers(parsed(raw)[0])
    text = raw.astype(TEXT).str.strip().reset_index(drop=True)
    return text.mask(text == "")
