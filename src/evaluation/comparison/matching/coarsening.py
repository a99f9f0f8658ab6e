"""Cells within which respondents are matched: equal values, or values that fall between the same cutpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import crossed
from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.domains import is_text
from evaluation.estimation.missing_covariates import refuse_missing_covariates

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rule = str | int | Sequence[float]
Cutpoints = Mapping[str, Rule]

#: Rules that choose the number of equally wide bins.
RULES = ("sturges", "scott", "fd")


@dataclass(frozen=True, eq=False)
class Cells:
    """Combinations of columns.

    Attributes
    ----------
    code : ndarray of int, shape (n,)
        Cell of each respondent; zero where not used.
    names : tuple of str
        The columns.
    cuts : dict of str to list of float
        Between which values numbers fall in, for the columns that were coarsened.
    """

    code: Codes
    names: tuple[str, ...] = ()
    cuts: Mapping[str, list[float]] | None = None


def exact_cells(design: Design, names: Sequence[str], used: Mask) -> Cells:
    """Return the combinations of equal values among the respondents used.

    Raises
    ------
    ColumnError
        A column does not exist, or is missing for somebody.
    """
    return _crossed([_exact(design, name, used) for name in names], names, used, {})


def coarsened_cells(
    design: Design, names: Sequence[str], used: Mask, cutpoints: Cutpoints | Rule | None, exact: Sequence[str]
) -> Cells:
    """Return the combinations of text and of numbers between cutpoints among the respondents used.

    Parameters
    ----------
    design : Design
    names : sequence of str
        Columns; text is taken as it is.
    used : ndarray of bool, shape (n,)
    cutpoints : mapping of column to rule, one rule for all numbers, or None
        A list of cutpoints, a number of equally wide bins, "sturges", "scott", "fd", or "q4" for quarters. A value
        on a cutpoint belongs to the higher bin. Default: "sturges".
    exact : sequence of str
        Columns that are not coarsened.

    Raises
    ------
    ColumnError
        A column does not exist, is missing for somebody, or is text and has cutpoints.
    EstimationError
        A rule that is not known.
    """
    rules = cutpoints if isinstance(cutpoints, Mapping) else {}
    general: Rule = "sturges" if cutpoints is None or isinstance(cutpoints, Mapping) else cutpoints
    for name in rules:
        if name not in names or name in exact:
            why = "is to be matched exactly" if name in exact else "is not among the covariates"
            raise ColumnError(f"match: cutpoints name '{name}', which {why}. {did_you_mean(name, names)}")
    codes, cuts = [], {}
    for name in names:
        if name in exact or is_text(design.column(name)):
            if name in rules:
                raise ColumnError(f"match: '{name}' is text and has no cutpoints. Leave it out of cutpoints.")
            codes.append(_exact(design, name, used))
            continue
        values = numbers_of(design, name, used)[used]
        cuts[name] = cutpoints_of(values, rules.get(name, general), name)
        codes.append(np.searchsorted(np.array(cuts[name]), values, side="right").astype(np.int64))
    return _crossed(codes, names, used, cuts)


def numbers_of(design: Design, name: str, used: Mask) -> Floats:
    """Return a numeric column, shape (n,); a ColumnError where it is text or missing for somebody used."""
    column = design.column(name)
    if is_text(column):
        raise ColumnError(f"match: '{name}' is text, expected numbers. Match on its levels with exact=['{name}'].")
    values = pd.to_numeric(column.astype("boolean") if column.dtype == object else column)
    numbers = values.to_numpy(dtype=float, na_value=np.nan)
    refuse_missing_covariates(design, [name], used, "match")
    return numbers


def cutpoints_of(values: Floats, rule: Rule, name: str) -> list[float]:
    """Return the inner cutpoints that a rule makes of values, ascending.

    Examples
    --------
    >>> cutpoints_of(np.arange(9.0), 4, "x"), cutpoints_of(np.arange(9.0), "q2", "x")
    ([2.0, 4.0, 6.0], [4.0])
    """
    if isinstance(rule, str):
        if rule.startswith("q") and rule[1:].isdigit() and int(rule[1:]) > 0:
            parts = int(rule[1:])
            return sorted(set(np.quantile(values, np.arange(1, parts) / parts).tolist()))
        if rule not in RULES:
            raise EstimationError(
                f"match: cutpoints of '{name}' must be a list of numbers, a number of bins, 'q4' for quarters, or one "
                f"of {list(RULES)}, got {rule!r}."
            )
        rule = _bins(values, rule)
    if isinstance(rule, (int, np.integer)) and not isinstance(rule, bool):
        if rule < 1:
            raise EstimationError(
                f"match: cutpoints of '{name}': a number of bins is 1 or more, got {rule}. To match it exactly, name "
                f"it in exact."
            )
        return [float(cut) for cut in np.linspace(values.min(), values.max(), int(rule) + 1)[1:-1]]
    given = np.asarray(rule, dtype=float)
    if given.ndim != 1 or not np.isfinite(given).all():
        raise EstimationError(f"match: cutpoints of '{name}' must be a list of finite numbers, got {rule!r}.")
    return sorted(set(given.tolist()))


def _bins(values: Floats, rule: str) -> int:
    """Return the number of bins of a rule: of Sturges, Scott, or Freedman and Diaconis."""
    n, spread = len(values), float(np.ptp(values))
    if rule == "sturges" or spread == 0:
        return int(np.ceil(np.log2(n) + 1))
    quarters = float(np.subtract(*np.quantile(values, [0.75, 0.25])))
    deviation = float(np.std(values, ddof=1))
    width = 3.5 * deviation / n ** (1 / 3) if rule == "scott" or quarters == 0 else 2 * quarters / n ** (1 / 3)
    return max(1, int(np.ceil(spread / width)))


def _exact(design: Design, name: str, used: Mask) -> Codes:
    refuse_missing_covariates(design, [name], used, "match")
    return np.asarray(pd.factorize(design.column(name)[used])[0], dtype=np.int64)


def _crossed(codes: Sequence[Codes], names: Sequence[str], used: Mask, cuts: dict[str, list[float]]) -> Cells:
    made = np.zeros(len(used), dtype=np.int64)
    if codes:
        made[used] = crossed(codes, [int(code.max(initial=0)) + 1 for code in codes])[0]
    return Cells(made, tuple(names), cuts)


def described(design: Design, cells: Cells, rows: Codes, limit: int = 5) -> str:
    """Return the values of the cells in which rows lie, e.g. ``"race=black, sex=1 (3 respondents); ..."``."""
    found: Any = pd.Series(cells.code[rows]).value_counts(sort=False)
    texts = []
    for code, count in list(found.items())[:limit]:
        row = rows[cells.code[rows] == code][0]
        values = ", ".join(f"{name}={design.column(name).iloc[row]}" for name in cells.names)
        texts.append(f"{values} ({count} respondents)")
    return "; ".join(texts) + (f"; ... ({len(found)} cells in all)" if len(found) > limit else "")
