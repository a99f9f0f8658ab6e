"""Outcomes with several categories: their levels in order, and what regressions of them have in common."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError
from evaluation.regression.model import Model
from evaluation.results import Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: An outcome with more levels than this is a number, not a category.
MAXIMUM_LEVELS = 50


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class CategoryRegression(Estimates):
    """Coefficients of a regression of categories, with what it takes to predict from it.

    Attributes
    ----------
    design : Design
        Whose respondents were asked.
    model : Model
        Place of each answer among ``levels`` as outcome, model matrix, and who is in the regression.
    levels : tuple of str
        Categories of the outcome, in order.
    coefficients : ndarray, shape (k,)
        All of them, whatever rows were taken since.
    """

    design: Design
    model: Model
    levels: tuple[str, ...]
    coefficients: Floats


def read_categories(
    design: Design, outcome: str, levels: Sequence[Any] | None, *, ordered: bool, verb: str
) -> tuple[Floats, tuple[str, ...]]:
    """Return each respondent's place among the levels, shape (n,), NaN where missing, and the levels in order.

    Levels come as given, else in the order of the categories, else sorted; only those that respondents who count have.

    Raises
    ------
    ColumnError
        A level is unknown, there are fewer than three or too many, or text has no order.
    """
    column = design.column(outcome)
    answered = column[design.present].dropna()
    if answered.empty:
        raise EstimationError(f"{verb}: '{outcome}' is missing for every respondent who counts.")
    found = _order(column, answered, outcome, levels, ordered, verb)
    if len(found) > MAXIMUM_LEVELS:
        raise ColumnError(
            f"{verb}: '{outcome}' has {len(found)} different values, expected at most {MAXIMUM_LEVELS} categories. "
            f"Group it first, or use ev.survey_glm."
        )
    if len(found) == 1:
        raise EstimationError(
            f"{verb}: outcome '{outcome}' is constant ({title_of(found[0])}) for all {len(answered)} respondents who "
            f"count."
        )
    if len(found) < 3:
        raise ColumnError(
            f"{verb}: '{outcome}' has {len(found)} categories among respondents who count "
            f"({', '.join(map(title_of, found))}), expected at least three. "
            f"For two, use ev.survey_glm(..., family='binomial')."
        )
    code = _codes(column, found)
    return np.where(code < 0, np.nan, code), tuple(title_of(level) for level in found)


def _order(
    column: pd.Series, answered: pd.Series, outcome: str, levels: Sequence[Any] | None, ordered: bool, verb: str
) -> list[Any]:
    seen = set(answered.unique())
    if any(isinstance(level, (float, np.floating)) and np.isinf(level) for level in seen):
        infinite = answered.isin([np.inf, -np.inf])
        raise ColumnError(
            f"{verb}: '{outcome}' is infinite for {int(infinite.sum())} respondents, which is no category. Set it to "
            f"missing, or recode it.",
            failures=answered[infinite].to_frame(),
        )
    if levels is not None:
        _refuse_levels(column, seen, outcome, _listed(levels, verb), verb)
        return [level for level in levels if level in seen]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [level for level in column.cat.categories if level in seen]
    if ordered and not pd.api.types.is_numeric_dtype(column):
        shown = ", ".join(map(repr, sorted(map(str, seen))[:4]))
        raise ColumnError(
            f"{verb}: '{outcome}' is text ({shown}), whose order is not known. Give it: levels=['lowest', ..., "
            f"'highest'], or make the column an ordered pandas.Categorical."
        )
    return sorted(seen, key=lambda level: (isinstance(level, str), level))


def _codes(column: pd.Series, levels: list[Any]) -> Floats:
    """Return each respondent's place among the levels, -1 where the answer is none of them, shape (n,)."""
    known = pd.Index(levels, dtype=object)
    if isinstance(column.dtype, pd.CategoricalDtype):
        places = np.append(known.get_indexer(pd.Index(column.cat.categories, dtype=object)), -1)
        return np.asarray(places[column.cat.codes.to_numpy()], dtype=float)
    return np.asarray(known.get_indexer(pd.Index(column, dtype=object)), dtype=float)


def _listed(levels: object, verb: str) -> list[Any]:
    """Return levels as a list; a ColumnError where they are no list, or name one twice."""
    if isinstance(levels, (str, bytes, Mapping, Set)) or not isinstance(levels, Iterable):
        raise ColumnError(
            f"{verb}: levels must list the outcome's values from lowest to highest, got {levels!r}. Write "
            f"levels=['lowest', ..., 'highest']."
        )
    listed = list(levels)
    wrong = next((level for level in listed if not isinstance(level, Hashable)), None)
    if wrong is not None:
        raise ColumnError(f"{verb}: levels must list single values, got {wrong!r} among them.")
    twice = next((level for place, level in enumerate(listed) if level in listed[:place]), None)
    if twice is not None:
        raise ColumnError(
            f"{verb}: levels names {title_of(twice)!r} twice, which leaves its place in the order open. Name each once."
        )
    return listed


def _refuse_levels(column: pd.Series, seen: set[Any], outcome: str, levels: list[Any], verb: str) -> None:
    missing = sorted(
        (level for level in seen if level not in levels), key=lambda level: (isinstance(level, str), level)
    )
    if not missing:
        return
    shown = [level if isinstance(level, str) else title_of(level) for level in levels]
    numbers = not any(isinstance(level, str) for level in seen) and all(isinstance(level, str) for level in levels)
    move = (
        f"The column holds numbers, levels texts: write them without quotes, levels=[{', '.join(shown)}]."
        if numbers and {title_of(level) for level in seen} <= set(shown)
        else "Put it at its place in the order, or leave those respondents out with ev.domain."
    )
    raise ColumnError(
        f"{verb}: '{outcome}' holds {', '.join(map(_quoted, missing[:4]))}, which is not among levels "
        f"({', '.join(map(_quoted, levels))}). {move}",
        failures=column[column.isin(missing)].to_frame(),
    )


def _quoted(level: Any) -> str:
    return repr(level) if isinstance(level, str) else title_of(level)


def title_of(level: Any) -> str:
    """Return a level as it stands in results."""
    return f"{level:g}" if isinstance(level, float) else str(level)


def without_intercept(model: Model, verb: str) -> Model:
    """Return the regression without its intercept, whose place the thresholds take."""
    if "(Intercept)" not in model.terms:
        raise EstimationError(f"{verb}: thresholds take the place of the intercept. Leave '0 +' out of the formula.")
    kept = np.array([place for place, term in enumerate(model.terms) if term != "(Intercept)"], dtype=np.int64)
    return replace(model, matrix=model.matrix.keep(kept), terms=[model.terms[place] for place in kept])


def seen_levels(model: Model, levels: tuple[str, ...], outcome: str, verb: str) -> tuple[Model, tuple[str, ...]]:
    """Leave out levels that nobody in the regression has, because a covariate is missing whenever they occur."""
    code = model.y[model.used].astype(np.int64)
    seen = np.flatnonzero(np.bincount(code, minlength=len(levels)))
    if len(seen) < 2:
        raise EstimationError(
            f"{verb}: outcome '{outcome}' is constant ({levels[seen[0]]}) for all {len(code)} respondents used."
        )
    place = np.zeros(len(levels))
    place[seen] = np.arange(len(seen))
    y = np.where(model.used, place[np.where(model.used, model.y, 0.0).astype(np.int64)], 0.0)
    return replace(model, y=y), tuple(levels[place] for place in seen)
