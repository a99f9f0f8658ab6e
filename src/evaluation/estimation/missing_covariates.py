"""Covariates with missing values: refused, or made into levels and indicators, never left out in silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.formula import variables_of

Mask = NDArray[np.bool_]
Names = str | Sequence[str]
Missing = Literal["refuse", "complete_cases", "indicator"]

#: The level of who has no value, and what the name of an indicator ends in.
LEVEL, SUFFIX = "(missing)", " missing"
#: Covariates that a message spells out.
SHOWN = 4


def require_missing(missing: str, verb: str) -> None:
    """Raise an EstimationError unless ``missing`` is one of the three ways to treat missing covariates."""
    if missing not in get_args(Missing):
        raise EstimationError(
            f"{verb}: missing must be one of {list(get_args(Missing))}, got {missing!r}. "
            f"{did_you_mean(missing, get_args(Missing))}"
        )


def refuse_missing_treatment(design: Design, treatment: str, known: Mask, asked: Mask, verb: str) -> None:
    """Raise a ColumnError where some who are asked about, shape (n,), are in neither group."""
    lost = asked & ~known
    if lost.any():
        raise ColumnError(
            f"{verb}: treatment '{treatment}' is missing for {_share(lost, asked)} who count (first: data row "
            f"{int(np.flatnonzero(lost)[0]) + 1:,}), so they are in neither group. Find out who they are; or take the "
            f"domain of those who are known, or missing='complete_cases', which leaves them out and counts them.",
            failures=design.data.loc[lost],
        )


def refuse_missing_covariates(design: Design, covariates: Names, asked: Mask, verb: str) -> None:
    """Raise a ColumnError where covariates are missing for some who are asked about, shape (n,)."""
    missing = missing_masks(design, covariates, asked)
    if not missing:
        return
    anywhere = np.logical_or.reduce(list(missing.values()))
    told = [f"'{name}' for {int(own.sum()):,}" for name, own in missing.items()]
    rest = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    raise ColumnError(
        f"{verb}: covariates are missing for {_share(anywhere, asked)} respondents ({', '.join(told[:SHOWN])}{rest}; "
        f"first: data row {int(np.flatnonzero(anywhere)[0]) + 1:,}). Say what that means: missing='indicator' gives "
        f"them a level of their own (numbers: the mean, with an indicator beside it); missing='complete_cases' leaves "
        f"them out and counts them; or impute them first and combine (ev.with_imputations).",
        failures=design.data.loc[anywhere],
    )


def missing_masks(design: Design, covariates: Names, asked: Mask) -> dict[str, Mask]:
    """Return who of ``asked``, shape (n,), misses each covariate, for those that somebody misses."""
    found = {}
    for name in variables_of(covariates):
        lost = design.column(name).isna().to_numpy() & asked
        if lost.any():
            found[name] = lost
    return found


def any_missing(design: Design, covariates: Names, asked: Mask) -> Mask:
    """Return who of ``asked`` misses a covariate, shape (n,)."""
    found = missing_masks(design, covariates, asked)
    anybody: Mask = np.logical_or.reduce([np.zeros(len(asked), dtype=bool), *found.values()])
    return anybody


def with_indicators(design: Design, covariates: Names, asked: Mask) -> tuple[pd.DataFrame, Names]:
    """Return data without missing covariates among ``asked``, and the covariates with indicators added.

    Notes
    -----
    Text gets a last level. Numbers get the mean of those who have one, and a column ``<name> missing`` of 0 and 1.
    Covariates that the same respondents miss share one indicator, so that none is a copy of another.
    """
    changed: dict[str, pd.Series] = {}
    seen: list[Mask] = []
    added: list[str] = []
    for name, lost in missing_masks(design, covariates, asked).items():
        column = design.column(name)
        told = any(np.array_equal(lost, other) for other in seen)
        seen.append(lost)
        if is_text(column):
            changed[name] = _levelled(column, asked, told)
            continue
        numbers = pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
        changed[name] = numbers.fillna(float(numbers[asked].mean()))
        if not told:
            changed[name + SUFFIX] = pd.Series(column.isna().to_numpy(dtype=float), index=column.index)
            added.append(name + SUFFIX)
    return design.data.assign(**changed), _extended(covariates, added)


def _levelled(column: pd.Series, asked: Mask, told: bool) -> pd.Series:
    levels = [str(level) for level in code_levels(column, asked)[0]]
    filled = column.astype(object).where(column.notna(), None).map(str, na_action="ignore")
    if told:
        return pd.Series(pd.Categorical(filled.fillna(levels[0]), categories=levels), index=column.index)
    return pd.Series(pd.Categorical(filled.fillna(LEVEL), categories=[*levels, LEVEL]), index=column.index)


def _extended(covariates: Names, added: Sequence[str]) -> Names:
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        return " + ".join([covariates, *(f"`{name}`" for name in added)])
    return [*([covariates] if isinstance(covariates, str) else covariates), *added]


def _share(lost: Mask, asked: Mask) -> str:
    return f"{int(lost.sum()):,} of {int(asked.sum()):,} ({100 * lost.sum() / asked.sum():.1f} %)"
