"""How often people took part, as classes: none, and one class for each number or range of participations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.comparison.outcomes.scales import MAXIMUM_ANSWERS
from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.arguments import is_number
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.categories import title_of

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DoseClasses:
    """Classes of participation.

    Attributes
    ----------
    none : str
        What those without participation are called.
    titles : list of str
        The D classes, rising.
    scores : ndarray, shape (D,)
        What the trend counts by; none counts zero.
    place : ndarray of int, shape (n,)
        0 for none, 1 to D for the classes, -1 for who is in neither.
    n_unknown : int
        Participants whose dose is missing.
    """

    none: str
    titles: list[str]
    scores: Floats
    place: Codes
    n_unknown: int

    def members(self, at: int) -> Mask:
        """Return who is in a class, 0 for none, shape (n,)."""
        mask: Mask = self.place == at
        return mask


def read_dose(
    design: Design,
    dose: str,
    treatment: str | None,
    breaks: Sequence[float] | None,
    scores: Sequence[float] | None,
    verb: str,
) -> DoseClasses:
    """Read classes of participation among respondents who count.

    Parameters
    ----------
    design : Design
    dose : str
        Numbers or ordered categories.
    treatment : str, optional
        Column with two values; who has the first is in no class, whatever ``dose`` says or does not say. Without it
        the lowest value of ``dose`` stands for none.
    breaks : sequence of numbers, optional
        Where each class begins.
    scores : sequence of numbers, optional
        One for each class.
    verb : str
        For messages.

    Raises
    ------
    ColumnError
        Text without an order, too many values, others with a dose, breaks that are none.
    EstimationError
        Fewer than two classes, or nobody without participation.
    """
    column = design.column(dose)
    if is_text(column) and not (isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered):
        raise ColumnError(
            f"{verb}: '{dose}' is text, whose order is not known. Make it an ordered pandas.Categorical, or number it."
        )
    none, took_part = _participation(design, dose, column, treatment, verb)
    asked = design.present & took_part & column.notna().to_numpy()
    levels, place, numbers = _cut(column, asked, breaks, dose, verb)
    if len(levels) < 2:
        raise EstimationError(
            f"{verb}: '{dose}' has {len(levels)} class beside none ({', '.join(levels) or 'nobody'}), so there is no "
            f"dose to respond to. Give other breaks, or compare participants with others: ev.aipw."
        )
    without = design.present & ~took_part & (column.notna().to_numpy() | (treatment is not None))
    if not without.any():
        raise EstimationError(f"{verb}: nobody has no dose of '{dose}', so there is no group to compare with.")
    at = np.where(without, 0, np.where(place >= 0, place + 1, -1))
    unknown = int((design.present & took_part & column.isna().to_numpy()).sum())
    return DoseClasses(none, levels, _scores(scores, numbers, verb), at, unknown if treatment is not None else 0)


def _participation(design: Design, dose: str, column: pd.Series, treatment: str | None, verb: str) -> tuple[str, Mask]:
    """Return what no participation is called, and who took part."""
    if treatment is None:
        levels, code = code_levels(column, design.present)
        if not levels:
            raise EstimationError(f"{verb}: '{dose}' is missing for every respondent who counts.")
        return title_of(levels[0]), code != 0
    own = design.column(treatment)
    levels, code = code_levels(own, design.present)
    if len(levels) != 2:
        raise ColumnError(
            f"{verb}: treatment '{treatment}' must have two values among respondents who count, has {len(levels)}. "
            f"Recode it to 1 for participants and 0 for others."
        )
    others = design.present & (code == 0)
    dosed = others & column.notna().to_numpy()
    if pd.api.types.is_numeric_dtype(column):
        dosed &= column.to_numpy(dtype=float, na_value=np.nan) != 0
    if dosed.any():
        raise ColumnError(
            f"{verb}: {int(dosed.sum())} respondents with {treatment} = {levels[0]} have a value of '{dose}'. One of "
            f"the two is wrong: correct it, or leave treatment out and let the lowest value of '{dose}' mean none.",
            failures=pd.DataFrame(design.data.loc[dosed, [treatment, dose]]),
        )
    return title_of(levels[0]), code == 1


def _cut(
    column: pd.Series, asked: Mask, breaks: Sequence[float] | None, dose: str, verb: str
) -> tuple[list[str], Codes, list[Any]]:
    """Return the classes, each respondent's place among them (-1 where in none), and what they count by."""
    if breaks is None:
        levels, place = code_levels(column, asked)
        if len(levels) > MAXIMUM_ANSWERS:
            raise ColumnError(
                f"{verb}: '{dose}' has {len(levels)} values, too many for classes. Say where each begins: "
                f"breaks=[1, 2, 3, 5] makes 1, 2, 3-4 and 5+."
            )
        return [title_of(level) for level in levels], place, levels
    bounds = list(breaks) if isinstance(breaks, (list, tuple, range, np.ndarray)) else []
    whole = all(isinstance(bound, (int, np.integer)) and not isinstance(bound, bool) for bound in bounds)
    if not bounds or not whole or sorted(set(bounds)) != bounds or not pd.api.types.is_numeric_dtype(column):
        raise ColumnError(
            f"{verb}: breaks must be rising whole numbers at which a class of a numeric dose begins, got {breaks!r} "
            f"for '{dose}' ({column.dtype}). Write breaks=[1, 2, 3, 5]."
        )
    values = column.to_numpy(dtype=float, na_value=np.nan)
    place = np.where(asked, np.searchsorted(np.array(bounds, dtype=float), values, side="right") - 1, -1)
    below = asked & (place < 0)
    if below.any():
        raise ColumnError(
            f"{verb}: {int(below.sum())} participants have '{dose}' below the first break {bounds[0]}. Begin lower, or "
            f"correct them.",
            failures=pd.DataFrame({dose: column[below]}),
        )
    upper = [*bounds[1:], np.inf]
    titles = [_range(low, high) for low, high in zip(bounds, upper, strict=True)]
    seen = [at for at in range(len(bounds)) if (place == at).any()]
    renumbered = np.full(len(bounds) + 1, -1)
    renumbered[seen] = np.arange(len(seen))
    return [titles[at] for at in seen], renumbered[place].astype(np.int64), [bounds[at] for at in seen]


def _range(low: float, high: float) -> str:
    if np.isinf(high):
        return f"{low}+"
    return f"{low}" if high - low == 1 else f"{low}-{high - 1}"


def _scores(scores: Sequence[float] | None, levels: list[Any], verb: str) -> Floats:
    if scores is None:
        numbers = all(isinstance(level, (int, float, np.number)) for level in levels)
        return np.array(levels, dtype=float) if numbers else np.arange(1.0, len(levels) + 1)
    listed = list(scores) if isinstance(scores, (list, tuple, range, np.ndarray)) else []
    numbers = all(is_number(score) for score in listed)
    given = np.array(listed if numbers else [], dtype=float)
    if given.shape != (len(levels),) or not np.isfinite(given).all() or (np.diff(given) <= 0).any() or given[0] <= 0:
        raise EstimationError(
            f"{verb}: scores must be {len(levels)} rising numbers above zero, one for each class, got {scores!r}."
        )
    return given
