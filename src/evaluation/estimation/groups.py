"""Two groups among respondents who count: who took part, what they answered and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError, did_you_mean
from evaluation.estimation.arguments import came, column_name
from evaluation.estimation.domains import code_levels, is_text
from evaluation.estimation.group_checks import (
    FIRST,
    covariates_named,
    refuse_constant,
    refuse_empty,
    refuse_few,
    refuse_later,
    refuse_telling,
    refuse_two_roles,
    refuse_unclear_levels,
)
from evaluation.estimation.missing_covariates import (
    Missing,
    any_missing,
    refuse_missing_covariates,
    refuse_missing_treatment,
    require_missing,
    with_indicators,
)
from evaluation.regression.families import Family
from evaluation.regression.formula import variables_of
from evaluation.regression.formula_errors import names_given
from evaluation.regression.model import Model, read_model, read_outcome, refuse_collinear

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]


@dataclass(frozen=True, eq=False)
class Groups:
    """Participants and others, with what they answered and what they are like.

    Attributes
    ----------
    participation : Model
        Model matrix of the covariates, shape (n, p), standardised, and participation as its outcome.
    outcome : ndarray, shape (n,)
        Zero where not used.
    family : {"gaussian", "binomial", "poisson"}
        Of the outcome models.
    levels : tuple of str
        Value of the treatment column among others, and among participants.
    n_left_out : int
        Respondents who count but miss treatment, outcome or a covariate.
    centre, spread : ndarray, shape (p,)
        What standardised the model matrix: it is ``(x - centre) / spread`` of the covariates.
    source : Design
        Whose data they were read from; missing covariates are filled in there, where that was asked for.
    verb : str
        Who asked, for messages.
    """

    participation: Model
    outcome: Floats
    family: Family
    levels: tuple[str, str]
    n_left_out: int
    centre: Floats
    spread: Floats
    source: Design
    verb: str

    @property
    def used(self) -> Mask:
        """Respondents with every value, shape (n,)."""
        return self.participation.used

    def members(self, group: int) -> Mask:
        """Return who is in the comparison group (0) or a participant (1), shape (n,)."""
        mask: Mask = self.used & (self.participation.y == group)
        return mask

    def name_of(self, group: int) -> str:
        """Return what messages call a group, with its value of the treatment column."""
        return f"{('comparison group', 'participants')[group]} ({self.levels[group]})"

    def counts(self) -> tuple[int, int]:
        """Return the number of others and of participants."""
        return int(self.members(0).sum()), int(self.members(1).sum())

    @property
    def has_intercept(self) -> bool:
        """Whether the model matrix begins with a column of ones."""
        return self.participation.terms[0] == "(Intercept)"

    @cached_property
    def balanced(self) -> Floats:
        """The model matrix with a column of ones in front, shape (n, q): what balancing weights make equal."""
        x = self.participation.x
        return x if self.has_intercept else np.column_stack([self.used.astype(float), x])

    @property
    def balanced_terms(self) -> list[str]:
        """Names of the columns of ``balanced``."""
        terms = list(self.participation.terms)
        return terms if self.has_intercept else ["(Intercept)", *terms]

    def in_units(self) -> Floats:
        """Return ``balanced`` in the units of the covariates, shape (n, q)."""
        raw = np.where(self.used[:, None], self.participation.x * self.spread + self.centre, 0.0)
        return raw if self.has_intercept else np.column_stack([self.used.astype(float), raw])


def groups_of(
    design: Design,
    *,
    treatment: str,
    covariates: Names | Literal[False] = False,
    outcome: str | Literal[False] = False,
    family: Family | None = None,
    verb: str,
    missing: Missing = "complete_cases",
) -> Groups:
    """Read the two groups among respondents who count.

    Parameters
    ----------
    design : Design
        Its domain is where the groups are compared.
    treatment : str
        Column with two values: 0/1, boolean, or text of which the second level stands for participants.
    covariates : str or list of str, or False
        Names or a one-sided formula; False means no adjustment, an empty list is an error.
    outcome : str or False
        False: only participation is modelled.
    family : {"gaussian", "binomial", "poisson"}, optional
        Default: binomial where the outcome has two levels.
    verb : str
        For messages.
    missing : {"complete_cases", "refuse", "indicator"}
        What missing covariates mean. With the last two a missing treatment is an error; a missing outcome never is.

    Raises
    ------
    ColumnError
        An unknown column, a treatment with other than two values, one column in two roles, missing values that are
        refused.
    EstimationError
        A group has nobody with every value, or weights are negative.
    IdentificationError
        Covariates are collinear, constant, more than a group has respondents, or the treatment in disguise; or the
        codebook says of one that it was measured after participation.
    """
    require_design(design, verb)
    require_missing(missing, verb)
    design.require_no_negative_weights(verb)
    treatment = column_name(treatment, f"{verb}: treatment", "'participated'")
    outcome = False if outcome is False else column_name(outcome, f"{verb}: outcome")
    plain, covariates = covariates is not False, () if covariates is False else covariates_named(covariates, verb)
    refuse_two_roles(treatment, covariates, outcome, verb)
    refuse_later(design, covariates, verb)
    t, levels = _treatment(design, treatment, verb)
    y, family = _outcome(design, outcome, family)
    asked = ~np.isnan(y) & design.present
    complete = ~np.isnan(t) & asked
    refuse_empty(t, complete, levels, treatment, f"'{outcome}'", verb, design)
    if missing != "complete_cases":
        refuse_missing_treatment(design, treatment, ~np.isnan(t), asked, verb)
    if missing == "refuse":
        refuse_missing_covariates(design, covariates, complete, verb)
    if missing == "indicator":
        data, covariates = with_indicators(design, covariates, complete)
        design = replace(design, data=data)
    known = complete & ~any_missing(design, covariates, complete)
    if outcome is not False:
        refuse_constant(y, known, outcome, verb)
    refuse_empty(t, known, levels, treatment, f"all of {', '.join(variables_of(covariates))}", verb, design)
    refuse_telling(design, covariates, t, known, levels, treatment, verb)
    try:
        model = read_model(design, treatment, covariates if plain else "~ 1", "binomial", among=known)
    except IdentificationError as error:
        raise type(error)(f"{verb}: {error}", failures=error.failures) from None
    refuse_few(design, t, model.used, model.terms, levels, verb)
    standardised, centre, spread = _standardised(model)
    model = model.changed(standardised, y=np.where(model.used, t, 0.0))
    left_out = int(design.present.sum()) - int(model.used.sum())
    return Groups(model, np.where(model.used, y, 0.0), family, levels, left_out, centre, spread, design, verb)


def with_squares(groups: Groups, covariates: Names, moments: int, squares: Sequence[str] | None, verb: str) -> Groups:
    """Return the groups with squares of numeric covariates beside the covariates, for balancing second moments.

    Parameters
    ----------
    groups : Groups
    covariates : str or list of str
        As they were read.
    moments : {1, 2}
        1 adds nothing.
    squares : list of str or None
        Which covariates; None means all numeric ones with more than two values.
    verb : str
        For messages.

    Raises
    ------
    ColumnError
        A square of what is no numeric covariate.
    EstimationError
        ``moments`` is neither 1 nor 2, or squares are named without ``moments=2``.
    """
    if moments not in (1, 2) or isinstance(moments, bool):
        raise EstimationError(f"{verb}: moments must be 1 (means) or 2 (means and squares), got {came(moments)}.")
    if moments == 1:
        if squares is not None:
            raise EstimationError(f"{verb}: squares={came(squares)} goes with moments=2, but moments is 1.")
        return groups
    named, model, columns = variables_of(covariates), groups.participation, []
    numeric = {name: _numbers(groups.source.column(name), groups.used) for name in named}
    many = [name for name, values in numeric.items() if values is not None and len(np.unique(values)) > 2]
    chosen = many if squares is None else names_given(squares, "squares", once=True)
    for name in chosen:
        values = numeric.get(name)
        if values is None:
            raise ColumnError(
                f"{verb}: squares names '{name}', which is no numeric covariate. {did_you_mean(name, many)}"
            )
        square = (values - values.mean()) ** 2
        columns.append(square - square.mean())
    if not columns:
        return groups
    added = np.zeros((len(groups.used), len(columns)))
    added[groups.used] = np.column_stack(columns)
    spread = added[groups.used].std(axis=0)
    terms = [*model.terms, *(f"{name}\u00b2" for name in chosen)]
    x = np.column_stack([model.x, added / spread])
    refuse_collinear(x[groups.used], terms)
    return replace(
        groups,
        participation=model.changed(x, terms=terms),
        centre=np.concatenate([groups.centre, np.zeros(len(spread))]),
        spread=np.concatenate([groups.spread, spread]),
    )


def _numbers(column: pd.Series, used: Mask) -> Floats | None:
    return None if is_text(column) else column[used].to_numpy(dtype=float, na_value=np.nan)


def _treatment(design: Design, name: str, verb: str) -> tuple[Floats, tuple[str, str]]:
    column = design.column(name)
    levels, _ = code_levels(column, design.present)
    shown = ", ".join(map(str, levels[:5])) + (", ..." if len(levels) > 5 else "")
    if len(levels) != 2:
        raise ColumnError(
            f"{verb}: treatment '{name}' must have two values among respondents who count, has {len(levels)} "
            f"({shown or 'all missing'}). Recode it to 1 for participants and 0 for others, or take a domain first."
        )
    if not is_text(column) and {float(level) for level in levels} != {0.0, 1.0}:
        raise ColumnError(
            f"{verb}: treatment '{name}' holds {shown}. Recode it to 1 for participants and 0 for others."
        )
    refuse_unclear_levels(column, levels, name, verb)
    values, _ = read_outcome(design, name, "binomial")
    return values, (str(levels[0]), str(levels[1]))


def _outcome(design: Design, name: str | Literal[False], family: Family | None) -> tuple[Floats, Family]:
    if name is False:
        return np.zeros(len(design)), "gaussian"
    if family is None:
        column = design.column(name)
        family = "binomial" if _has_two_levels(column, design.present) else "gaussian"
    elif family not in ("gaussian", "binomial", "poisson"):
        raise EstimationError(f"family must be 'gaussian', 'binomial' or 'poisson', got {family!r}.")
    return read_outcome(design, name, family)[0], family


def _has_two_levels(column: pd.Series, present: Mask) -> bool:
    """Tell whether a column is text with two levels, or holds 0 and 1 alone, among those who count."""
    if is_text(column):
        return len(code_levels(column, present)[0]) == 2
    values = column.to_numpy(dtype=float, na_value=np.nan)[present]
    for some in (values[:FIRST], values):
        known = some[~np.isnan(some)]
        if not ((known == 0) | (known == 1)).all():
            return False
    return bool((known == 0).any() and (known == 1).any())


def _standardised(model: Model) -> tuple[Floats, Floats, Floats]:
    """Centre and scale the columns, which changes no fitted value and keeps the equations well conditioned.

    Columns lie one behind the other in memory, as the sums over respondents that follow need them.
    """
    p, n, unused = len(model.terms), int(model.used.sum()), np.flatnonzero(~model.used)
    centred = model.terms[0] == "(Intercept)"
    centre, spread, moved = np.zeros(p), np.ones(p), np.empty((len(model.used), p), order="F")
    for j, (column, given) in enumerate(zip(moved.T, model.matrix.each_column(), strict=True)):
        column[:] = given
        column[unused] = 0.0
        around = float(column.sum()) / n
        column -= around
        column[unused] = 0.0
        deviation = float(np.sqrt(column @ column / n))
        is_constant = deviation <= 1e-12 * max(abs(around), 1e-300)
        if is_constant or not centred:
            column[:] = given
            column[unused] = 0.0
        if not is_constant:
            centre[j], spread[j] = around if centred else 0.0, deviation
            column /= deviation
    return moved, centre, spread
