"""Which columns of a participation model a covariate stands behind, so that it can be left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.groups import Groups
from evaluation.estimation.missing_covariates import SUFFIX, Missing, with_indicators
from evaluation.regression.formula import Encoding, variables_of
from evaluation.regression.model import read_model

Mask = NDArray[np.bool_]


def columns_by_covariate(
    design: Design, groups: Groups, treatment: str, covariates: str | Sequence[str], missing: Missing
) -> dict[str, Mask]:
    """Return for each covariate which columns of the model matrix hold it, interactions among them, shape (p,)."""
    names = variables_of(covariates)
    if missing == "indicator":
        covariates = with_indicators(design, covariates, groups.used)[1]
    model = read_model(groups.source, treatment, covariates, "binomial", among=groups.used)
    if model.encoding is None:
        raise EstimationError(f"the covariates of {model.formula} cannot be told apart, so none can be left out.")
    by_owner = _variables(model.encoding)
    holds = [by_owner.get(owner, set()) for owner in model.encoding.owners]
    return {name: np.array([bool(own & {name, name + SUFFIX}) for own in holds]) for name in names}


def _variables(encoding: Encoding) -> dict[str, set[str]]:
    """Return the columns of the data that each term of a formula is made of."""
    columns = encoding.formula.columns
    return {
        str(term): {columns[str(variable)] for variable in variables if str(variable) in columns}
        for term, variables in encoding.spec.term_variables.items()
    }


def named_covariates(named: Sequence[str] | str | None, known: Sequence[str], verb: str) -> list[str]:
    """Return the covariates that are to be left out, default all; a ColumnError where one is not in the model."""
    wanted = list(known) if named is None else [named] if isinstance(named, str) else list(named)
    for name in wanted:
        if name not in known:
            raise ColumnError(
                f"{verb}: benchmark '{name}' is no covariate of the model, so it cannot be left out of it. "
                f"{did_you_mean(name, known)}"
            )
    if not wanted:
        raise ColumnError(f"{verb}: there is no covariate to serve as a benchmark. Name at least one in covariates.")
    return wanted


def without(groups: Groups, left_out: Mask) -> Groups:
    """Return the groups with some columns of the participation model left out."""
    kept = ~left_out
    model = groups.participation
    terms = [term for term, keep in zip(model.terms, kept, strict=True) if keep]
    return replace(
        groups,
        participation=model.changed(model.x[:, kept], terms=terms),
        centre=groups.centre[kept],
        spread=groups.spread[kept],
    )
