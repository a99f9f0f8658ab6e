"""What makes a comparison of two groups impossible, said before any equation is solved."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.arguments import came
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.formula import variables_of
from evaluation.regression.formula_errors import names_given
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]
Names = str | Sequence[str]

#: Respondents who are looked at first: two groups that meet among them, or two values, need no more.
FIRST = 4_096

#: What stands before a word to deny it, and what those are called who did not take part.
DENIALS = frozenset({"non", "un", "비", "미", "안", "불"})
DENIED = re.compile(r"\b(not|no|non|never|none|without|nobody)\b|n['’]t\b|안\s?[함했]|못\s?[함했]|않|없|아니|아님")
OTHERS = frozenset(
    {
        "control",
        "controls",
        "comparison",
        "other",
        "others",
        "none",
        "no",
        "false",
        "never",
        "비참여",
        "비참여자",
        "없음",
    }
    | {"untreated", "unexposed", "nonparticipant", "nonparticipants", "non-participant", "non-participants"}
    | {"아니요", "아니오", "미참여", "미참여자"}
)


def covariates_named(covariates: object, verb: str) -> str | list[str]:
    """Return covariates as a formula or a list of names; a ColumnError where they are neither, or name none.

    Examples
    --------
    >>> covariates_named(pd.Index(["age", "sex"]), "aipw"), covariates_named("~ age", "aipw")
    (['age', 'sex'], '~ age')
    """
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        return covariates
    try:
        named = names_given(covariates, "covariates", once=True)
    except ColumnError as error:
        raise ColumnError(f"{verb}: {error}", failures=error.failures) from None
    if not named:
        raise ColumnError(
            f"{verb}: covariates must name at least one column, got {came(covariates)}: that adjusts for nothing. Name "
            f"what was fixed before participation, covariates=['age']; ev.group_difference gives the raw difference."
        )
    return named


def refuse_unclear_levels(column: pd.Series, levels: Sequence[object], treatment: str, verb: str) -> None:
    """Raise a ColumnError where sorted text would take those who do not take part for the participants.

    The second level stands for participants; text in no declared order is sorted, and "not attended" comes second.
    """
    first, second = (str(level).strip().casefold() for level in levels)
    if isinstance(column.dtype, pd.CategoricalDtype) or not isinstance(levels[1], str):
        return
    denied = second.endswith(first) and second.removesuffix(first).strip(" -_") in DENIALS
    negated = DENIED.search(second) is not None and DENIED.search(first) is None
    if denied or negated or (second in OTHERS and first not in OTHERS):
        raise ColumnError(
            f"{verb}: treatment '{treatment}' holds '{levels[0]}' and '{levels[1]}'; the second in sorted order would "
            f"count as participants, and '{levels[1]}' does not look like them. Say who takes part: make it 1 for "
            f"participants and 0 for others, or order it, pd.Categorical(values, ['{levels[1]}', '{levels[0]}'])."
        )


def refuse_constant(y: Floats, used: Mask, outcome: str, verb: str) -> None:
    """Raise an EstimationError where everybody who is compared gave one answer: what is left is rounding."""
    seen = y[used]
    if len(seen) and seen.min() == seen.max():
        raise EstimationError(
            f"{verb}: outcome '{outcome}' does not vary: it is {seen[0]:g} for all {len(seen):,} respondents who are "
            f"compared, so there is no difference to estimate. Look at how it was coded, or compare in a wider domain."
        )


def refuse_two_roles(treatment: str, covariates: Names, outcome: str | Literal[False], verb: str) -> None:
    """Raise a ColumnError where one column is named in two roles."""
    named = variables_of(covariates)
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if name in named:
            raise ColumnError(
                f"{verb}: '{name}' is the {role} and cannot be a covariate too. Leave it out of covariates."
            )
    if treatment == outcome:
        raise ColumnError(f"{verb}: '{treatment}' is named as treatment and as outcome. They are two columns.")


def refuse_later(design: Design, covariates: Names, verb: str) -> None:
    """Refuse covariates that participation may have moved: adjusting for them takes away what is looked for."""
    book = design.provenance.labels
    if not isinstance(book, Codebook):
        return
    named = variables_of(covariates)
    later = [name for name in named if name in book and book[name].timing == "after"]
    if later:
        left = [name for name in named if name not in later]
        raise IdentificationError(
            f"{verb}: covariates must be fixed before participation, but {book.place} says timing 'after' of "
            f"{', '.join(map(repr, later))}. "
            + (
                f"Leave out what participation may have moved: covariates={left}."
                if left
                else "Name covariates that were fixed before it; ev.group_difference gives the difference as it is."
            )
        )


def refuse_empty(
    t: Floats, complete: Mask, levels: tuple[str, str], treatment: str, what: str, verb: str, design: Design
) -> None:
    """Raise an EstimationError where a group has nobody with every value."""
    for value, level in enumerate(levels):
        if not (complete & (t == value)).any():
            raise EstimationError(
                f"{verb}: nobody with {treatment} = {level} has a value of {what}, so there are no two groups to "
                f"compare. Was the question asked of one group only?",
                failures=pd.DataFrame(design.data.loc[design.present & (t == value)]),
            )


def refuse_telling(
    design: Design, covariates: Names, t: Floats, used: Mask, levels: tuple[str, str], treatment: str, verb: str
) -> None:
    """Refuse covariates with one value only, and those that are the treatment in disguise, alone or nearly so.

    Parameters
    ----------
    design : Design
    covariates : str or list of str
        Names, or a formula whose variables are looked at.
    t : ndarray, shape (n,)
        0 and 1.
    used : ndarray of bool, shape (n,)
    levels : pair of str
        What the two groups are called.
    treatment, verb : str
        For messages.
    """
    rows = np.flatnonzero(used)
    for name in variables_of(covariates):
        column = design.column(name)
        if pd.api.types.is_datetime64_any_dtype(column):
            raise ColumnError(
                f"{verb}: covariate '{name}' holds dates, which would each be a level of their own. Make a number of "
                f"them first, data['{name}'].dt.year or days since a day, or a few periods."
            )
        read = _levels_of if is_text(column) else _numbers_of
        if not any(read(column, rows[:FIRST], t)[:2]):
            continue
        is_alone, is_apart, values, shown = read(column, rows, t)
        if is_alone:
            raise IdentificationError(
                f"{verb}: '{name}' is {shown} for all {len(rows):,} respondents in the comparison, so there is "
                f"nothing to adjust for. Leave it out of covariates, or compare in a wider domain."
            )
        if is_apart:
            raise _disguised(name, values, t[rows], levels, treatment, verb)


def _levels_of(column: pd.Series, rows: Codes, t: Floats) -> tuple[bool, bool, Floats, str]:
    """Tell of a text column in some rows: whether one level, whether no level in both groups; codes, first level."""
    known, code = code_levels(column.iloc[rows], np.ones(len(rows), dtype=bool))
    counts = [np.bincount(code[t[rows] == group], minlength=len(known)) for group in (0, 1)]
    return len(known) == 1, not (counts[0] * counts[1]).any(), code.astype(float), str(known[0]) if known else ""


def _numbers_of(column: pd.Series, rows: Codes, t: Floats) -> tuple[bool, bool, Floats, str]:
    """Tell of numbers in some rows: whether one value, whether all of one group lie below all of the other."""
    values = column.iloc[rows].to_numpy(dtype=float, na_value=np.nan)
    others, participants = values[t[rows] == 0], values[t[rows] == 1]
    is_alone = bool(np.nanmin(values) == np.nanmax(values))
    if not len(others) or not len(participants):
        return is_alone, True, values, f"{values[0]:g}"
    is_apart = bool(others.max() < participants.min() or participants.max() < others.min())
    return is_alone, is_apart, values, f"{values[0]:g}"


def _disguised(
    name: str, values: Floats, t: Floats, levels: tuple[str, str], treatment: str, verb: str
) -> IdentificationError:
    others, participants = values[t == 0], values[t == 1]
    same = len(np.unique(others)) == 1 and len(np.unique(participants)) == 1
    what = "is the treatment in disguise" if same else "tells for certain who participates"
    return IdentificationError(
        f"{verb}: covariate '{name}' {what}: no value of it occurs both with {treatment} = {levels[0]} and with "
        f"{treatment} = {levels[1]}. Nobody in one group has a counterpart in the other. Leave it out, or take "
        f"something that was fixed before participation."
    )


def refuse_few(design: Design, t: Floats, used: Mask, terms: Sequence[str], levels: tuple[str, str], verb: str) -> None:
    """Raise an IdentificationError where a group has fewer respondents than there are columns to adjust for."""
    for value, (who, level) in enumerate(zip(("comparison group", "participants"), levels, strict=True)):
        own = used & (t == value)
        if own.sum() < len(terms):
            raise IdentificationError(
                f"{verb}: the {who} ({level}) {'are' if value else 'is'} {int(own.sum())} respondents, but there are "
                f"{len(terms)} coefficients to adjust for ({', '.join(terms[:4])}{', ...' if len(terms) > 4 else ''}). "
                f"Use fewer covariates, or merge levels.",
                failures=pd.DataFrame(design.data.loc[own]),
            )
