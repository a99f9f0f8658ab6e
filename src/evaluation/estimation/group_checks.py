"""What makes a comparison of two groups impossible, said before any equation is solved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.formula import variables_of
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]


def refuse_two_roles(treatment: str, covariates: Names, outcome: str | None, verb: str) -> None:
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
            f"{', '.join(map(repr, later))}. Leave out what participation may have moved: covariates={left}."
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
    for name in variables_of(covariates):
        column = design.column(name)
        if is_text(column):
            known, code = code_levels(column, used)
            values, alone = code[used].astype(float), len(known) == 1
            shown = str(known[0]) if known else ""
        else:
            values = column[used].to_numpy(dtype=float, na_value=np.nan)
            alone, shown = bool(np.nanmin(values) == np.nanmax(values)), f"{values[0]:g}"
        if alone:
            raise IdentificationError(
                f"{verb}: '{name}' is {shown} for all {int(used.sum()):,} respondents in the comparison, so there is "
                f"nothing to adjust for. Leave it out of covariates, or compare in a wider domain."
            )
        _refuse_disguise(name, values, t[used], is_text(column), levels, treatment, verb)


def _refuse_disguise(
    name: str, values: Floats, t: Floats, is_level: bool, levels: tuple[str, str], treatment: str, verb: str
) -> None:
    others, participants = values[t == 0], values[t == 1]
    if is_level:
        size = int(values.max()) + 1
        apart = not (np.bincount(others.astype(int), minlength=size) * np.bincount(
            participants.astype(int), minlength=size)).any()  # fmt: skip
    else:
        apart = bool(others.max() < participants.min() or participants.max() < others.min())
    if not apart:
        return
    same = len(np.unique(others)) == 1 and len(np.unique(participants)) == 1
    what = "is the treatment in disguise" if same else "tells for certain who participates"
    raise IdentificationError(
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
