"""A regression with two sets of fixed effects: its columns read from a design, its effects taken out, solved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.regression.absorb import TwoWay, two_way
from evaluation.regression.model import read_model, read_outcome

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Below this share of its own variation a column is a combination of effects and other columns.
NOTHING_LEFT = 1e-11


@dataclass(frozen=True, eq=False)
class Regression:
    """Rows that are used, ordered by cluster, and their columns; ``columns[0]`` is the outcome."""

    outcome: str
    terms: list[str]
    n_treatments: int
    rows: Codes
    columns: Floats
    weights: Floats
    levels: dict[str, Codes]
    names: dict[str, str]
    labels: dict[str, pd.Index[Any]]
    trend: Floats | None

    @property
    def unit_first(self) -> bool:
        """Whether units are eliminated first and times solved for: always with trends or units within clusters."""
        more_units = len(self.labels["unit"]) >= len(self.labels["time"])
        return more_units or self.trend is not None or self.is_nested("unit")

    def is_nested(self, effect: str) -> bool:
        """Tell whether each level of an effect lies in one cluster."""
        if "cluster" not in self.levels:
            return False
        cluster, level = self.levels["cluster"], self.levels[effect]
        one = np.zeros(len(self.labels[effect]), dtype=np.int64)
        one[level] = cluster
        return bool((one[level] == cluster).all())

    def effects(self, weights: Floats) -> TwoWay:
        """Return the two sets of effects under these weights."""
        unit, time = self.levels["unit"], self.levels["time"]
        return two_way(unit, time, weights, self.trend) if self.unit_first else two_way(time, unit, weights)


@dataclass(frozen=True, eq=False)
class Solved:
    """Residuals of all columns from the effects, and what follows from them."""

    effects: TwoWay
    within: Floats
    gram: Floats
    coefficients: Floats
    residual: Floats

    @property
    def inverse(self) -> Floats:
        """Inverse of the regressors' weighted squares, shape (k, k)."""
        return np.asarray(np.linalg.inv(self.gram[1:, 1:]))


def read_regression(
    design: Design,
    outcome: str,
    treatment: str | Sequence[str],
    covariates: str | Sequence[str],
    unit: str,
    time: str,
    cluster: str | None,
    trends: bool,
) -> Regression:
    """Return the rows and columns of a regression with two sets of effects; arguments as of ``twfe``."""
    names = {"unit": unit, "time": time} | ({} if cluster is None else {"cluster": cluster})
    coded = {role: pd.factorize(design.column(name), sort=True) for role, name in names.items()}
    treatments = [treatment] if isinstance(treatment, str) else list(treatment)
    if not treatments:
        raise ColumnError("no treatment was named. Name a numeric column, such as treatment='district_dose'.")
    y, _ = read_outcome(design, outcome, "gaussian")
    columns = {outcome: y} | {f"{name}": product(design, name) for name in treatments}
    used = design.present & np.logical_and.reduce([codes >= 0 for codes, _ in coded.values()])
    used &= np.logical_and.reduce([~np.isnan(values) for values in columns.values()])
    more, used = _covariates(design, outcome, covariates, used)
    twice = [name for name in more if name in columns]
    if twice or len(columns) != len(treatments) + 1:
        raise ColumnError(f"a column was named twice among outcome, treatment and covariates: {twice or treatments}.")
    if not used.any():
        raise EstimationError(f"no respondent has a value of '{outcome}', the treatment and all covariates.")
    rows = np.flatnonzero(used)
    if cluster is not None:
        rows = rows[np.argsort(coded["cluster"][0][rows], kind="stable")]
    found = {role: pd.factorize(codes[rows], sort=True) for role, (codes, _) in coded.items()}
    labels = {role: pd.Index(coded[role][1])[seen] for role, (_, seen) in found.items()}
    return Regression(
        outcome,
        [*treatments, *more],
        len(treatments),
        rows,
        np.stack([values[rows] for values in (columns | more).values()]),
        design.weights[rows],
        {role: np.asarray(codes, dtype=np.int64) for role, (codes, _) in found.items()},
        names,
        labels,
        _times(labels["time"], time) if trends else None,
    )


def product(design: Design, name: str) -> Floats:
    """Return a numeric column, or the product of several (``"a:b"``), shape (n,), NaN where missing."""
    parts = [name] if name in design.data.columns else name.split(":")
    values = np.ones(len(design))
    for part in parts:
        column = design.column(part)
        if not (pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column)):
            raise ColumnError(
                f"'{part}' is {column.dtype}, expected numbers (0/1, a dose). Make a 0/1 column of it first."
            )
        values = values * column.to_numpy(dtype=float, na_value=np.nan)
    return values


def _covariates(
    design: Design, outcome: str, covariates: str | Sequence[str], used: Mask
) -> tuple[dict[str, Floats], Mask]:
    """Return the columns of covariates by term, and who of ``used`` has them all."""
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        model = read_model(design, outcome, covariates, "gaussian", among=used)
        pairs = zip(model.terms, model.x.T, strict=True)
        return {term: column for term, column in pairs if term != "(Intercept)"}, model.used
    columns: dict[str, Floats] = {}
    for name in [covariates] if isinstance(covariates, str) else covariates:
        if name in design.data.columns and not _is_numeric(design.data[name]):
            columns |= _levels(design.data[name], name, used)
        else:
            columns[name] = product(design, name)
    for values in columns.values():
        used = used & ~np.isnan(values)
    return columns, used


def _is_numeric(column: pd.Series[Any]) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column))


def _levels(column: pd.Series[Any], name: str, used: Mask) -> dict[str, Floats]:
    codes, levels = pd.factorize(column, sort=True)
    seen = [code for code in range(len(levels)) if (codes[used] == code).any()]
    blank = np.where(codes < 0, np.nan, 0.0)
    return {f"{name}[T.{levels[code]}]": np.where(codes == code, 1.0, blank) for code in seen[1:]}


def _times(labels: pd.Index[Any], time: str) -> Floats:
    try:
        values = np.asarray(labels, dtype=float)
    except (TypeError, ValueError):
        raise ColumnError(f"trends=True needs a numeric time, but '{time}' is not. Use the year.") from None
    return np.asarray(values - values.mean())


def solve(regression: Regression, weights: Floats | None = None) -> Solved:
    """Take the effects out of every column and solve for the coefficients."""
    weights = regression.weights if weights is None else weights
    effects = regression.effects(weights)
    within = np.stack([effects.sweep(column) for column in regression.columns])
    gram = np.asarray((within * weights) @ within.T)
    _refuse_unidentified(regression, weights, gram)
    coefficients = np.asarray(np.linalg.solve(gram[1:, 1:], gram[1:, 0]), dtype=np.float64)
    return Solved(effects, within, gram, coefficients, within[0] - coefficients @ within[1:])


def refitted(regression: Regression, weights: Floats) -> Floats:
    """Return the coefficients under other final weights of all respondents, shape (n,), some of which are zero."""
    kept = weights[regression.rows] != 0
    rows = {role: pd.factorize(codes[kept], sort=True) for role, codes in regression.levels.items()}
    part = replace(
        regression,
        rows=regression.rows[kept],
        columns=regression.columns[:, kept],
        weights=weights[regression.rows[kept]],
        levels={role: np.asarray(codes, dtype=np.int64) for role, (codes, _) in rows.items()},
        labels={role: regression.labels[role][seen] for role, (_, seen) in rows.items()},
        trend=None if regression.trend is None else regression.trend[rows["time"][1]],
    )
    return solve(part).coefficients


def _refuse_unidentified(regression: Regression, weights: Floats, gram: Floats) -> None:
    columns = regression.columns[1:]
    centre = (columns @ weights) / weights.sum()
    own = (columns**2) @ weights - centre**2 * weights.sum()
    left, names = gram[1:, 1:].copy(), regression.names
    for j, term in enumerate(regression.terms):
        if left[j, j] <= NOTHING_LEFT * max(own[j], gram[1 + j, 1 + j]) or gram[1 + j, 1 + j] <= NOTHING_LEFT * own[j]:
            effects = f"effects of {names['unit']} and {names['time']}" + (
                " and a trend of each unit" if regression.trend is not None else ""
            )
            alone = gram[1 + j, 1 + j] <= NOTHING_LEFT * own[j]
            why = f"{effects} take up all its variation" if alone else f"{effects} and the columns before it make it up"
            raise IdentificationError(
                f"the coefficient of '{term}' is not identified, because {why}. Leave it out, or use a "
                f"treatment that starts at different times in different units."
            )
        left = left - np.outer(left[:, j], left[j]) / left[j, j]
