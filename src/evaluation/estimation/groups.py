"""Two groups among respondents who count: who took part, what they answered and what they are like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.domains import code_levels, is_text
from evaluation.regression.families import Family
from evaluation.regression.formula import variables_of
from evaluation.regression.model import Model, read_model, read_outcome
from evaluation.survey.codebook import Codebook

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


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
    """

    participation: Model
    outcome: Floats
    family: Family
    levels: tuple[str, str]
    n_left_out: int
    centre: Floats
    spread: Floats

    @property
    def used(self) -> Mask:
        """Respondents with every value, shape (n,)."""
        return self.participation.used

    def members(self, group: int) -> Mask:
        """Return who is in the comparison group (0) or a participant (1), shape (n,)."""
        mask: Mask = self.used & (self.participation.y == group)
        return mask

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
    covariates: str | Sequence[str] = (),
    outcome: str | None = None,
    family: Family | None = None,
    verb: str,
) -> Groups:
    """Read the two groups among respondents who count.

    Parameters
    ----------
    design : Design
        Its domain is where the groups are compared.
    treatment : str
        Column with two values: 0/1, boolean, or text of which the second level stands for participants.
    covariates : str or list of str
        Names or a one-sided formula; none means no adjustment.
    outcome : str, optional
        Without it only participation is modelled.
    family : {"gaussian", "binomial", "poisson"}, optional
        Default: binomial where the outcome has two levels.
    verb : str
        For messages.

    Raises
    ------
    ColumnError
        An unknown column, a treatment with other than two values, one column in two roles.
    EstimationError
        A group has nobody with every value, or weights are negative.
    IdentificationError
        Covariates are collinear, or the codebook says of one that it was measured after participation.
    """
    design.require_no_negative_weights(verb)
    _refuse_two_roles(treatment, covariates, outcome, verb)
    _refuse_later(design, covariates, verb)
    t, levels = _treatment(design, treatment, verb)
    y, family = _outcome(design, outcome, family)
    complete = ~np.isnan(t) & ~np.isnan(y) & design.present
    _refuse_empty(t, complete, levels, treatment, f"'{outcome}'", verb, design)
    plain = isinstance(covariates, str) or len(covariates) > 0
    model = read_model(design, treatment, covariates if plain else "~ 1", "binomial", among=complete)
    _refuse_empty(t, model.used, levels, treatment, f"all of {model.formula}", verb, design)
    standardised, centre, spread = _standardised(model)
    model = model.changed(standardised, y=np.where(model.used, t, 0.0))
    left_out = int(design.present.sum()) - int(model.used.sum())
    return Groups(model, np.where(model.used, y, 0.0), family, levels, left_out, centre, spread)


def _refuse_two_roles(treatment: str, covariates: str | Sequence[str], outcome: str | None, verb: str) -> None:
    names = [] if isinstance(covariates, str) and covariates.lstrip().startswith("~") else covariates
    listed = [names] if isinstance(names, str) else list(names)
    for role, name in (("treatment", treatment), ("outcome", outcome)):
        if name in listed:
            raise ColumnError(
                f"{verb}: '{name}' is the {role} and cannot be a covariate too. Leave it out of covariates."
            )
    if treatment == outcome:
        raise ColumnError(f"{verb}: '{treatment}' is named as treatment and as outcome. They are two columns.")


def _refuse_later(design: Design, covariates: str | Sequence[str], verb: str) -> None:
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
    values, _ = read_outcome(design, name, "binomial")
    return values, (str(levels[0]), str(levels[1]))


def _outcome(design: Design, name: str | None, family: Family | None) -> tuple[Floats, Family]:
    if name is None:
        return np.zeros(len(design)), "gaussian"
    if family is None:
        column = design.column(name)
        seen, _ = code_levels(column, design.present)
        two = len(seen) == 2 and (is_text(column) or {float(level) for level in seen} == {0.0, 1.0})
        family = "binomial" if two else "gaussian"
    elif family not in ("gaussian", "binomial", "poisson"):
        raise EstimationError(f"family must be 'gaussian', 'binomial' or 'poisson', got {family!r}.")
    return read_outcome(design, name, family)[0], family


def _refuse_empty(
    t: Floats, complete: Mask, levels: tuple[str, str], treatment: str, what: str, verb: str, design: Design
) -> None:
    for value, level in enumerate(levels):
        if not (complete & (t == value)).any():
            raise EstimationError(
                f"{verb}: nobody with {treatment} = {level} has a value of {what}, so there are no two groups to "
                f"compare. Was the question asked of one group only?",
                failures=pd.DataFrame(design.data.loc[design.present & (t == value)]),
            )


def _standardised(model: Model) -> tuple[Floats, Floats, Floats]:
    """Centre and scale the columns, which changes no fitted value and keeps the equations well conditioned."""
    rows = model.x[model.used]
    centre = rows.mean(axis=0) if model.terms[0] == "(Intercept)" else np.zeros(rows.shape[1])
    spread = rows.std(axis=0)
    constant = spread <= 1e-12 * np.abs(rows).max(axis=0)
    centre[constant], spread[constant] = 0.0, 1.0
    return np.where(model.used[:, None], (model.x - centre) / spread, 0.0), centre, spread
