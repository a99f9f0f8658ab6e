"""A regression with fixed effects: its columns read from a design, its effects taken out, solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import compact
from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.estimation.arguments import column_names
from evaluation.estimation.domains import is_text
from evaluation.impact.absorbed.many_effects import ManyWay, NoConvergence, many_way
from evaluation.regression.absorb import TwoWay, two_way
from evaluation.regression.families import Family
from evaluation.regression.model import read_model, read_outcome

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]

#: Below this share of its own variation a column is a combination of effects and other columns.
NOTHING_LEFT = 1e-11
#: Two classifications are taken out in one pass through their table up to this size.
TABLE_CELLS, TABLE_LEVELS = 50_000_000, 1_500
#: Rows are multiplied in pieces of this length, so that no second copy of the columns is made.
PIECE = 65_536
#: Fewer levels than this fit into two bytes.
SHORT = 32_000


@dataclass(frozen=True, eq=False)
class Regression:
    """Rows that are used, ordered by cluster, and their columns; ``columns[0]`` is the outcome.

    Attributes
    ----------
    outcome : str
    terms : list of str, k
        Treatments, then covariates.
    n_treatments : int
    rows : ndarray of int, shape (n,)
        Place of each in the design.
    columns : ndarray, shape (1 + k, n)
    weights : ndarray, shape (n,)
        Final weights; of other families than gaussian those of the last step, see ``prior``.
    levels, names, labels : dict by role
        Codes, column and values of every effect, and of ``"cluster"`` where there is one.
    trend : ndarray, shape (T,), or None
        Centred time at each level of the role "time", on which levels of ``sloped`` have slopes of their own.
    sloped : str
        Role of the effect that has the slopes.
    family : {"gaussian", "poisson", "binomial"}
    prior, response, predictor : ndarray, shape (n,), or None
        Weights and outcome before the working ones of another family took their place, and the linear predictor.
    beside : dict by role
        Further codes of the rows: "time" and "unit" where they are no effects, "cluster 2".
    beside_labels : dict by role
        Their values.
    multiplier : ndarray, shape (n,), or None
        By what final weights are multiplied, row by row: of stacked rows, where a respondent stands several times.
    """

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
    sloped: str = "unit"
    family: Family = "gaussian"
    prior: Floats | None = None
    response: Floats | None = None
    predictor: Floats | None = None
    beside: Mapping[str, Codes] = field(default_factory=dict)
    beside_labels: Mapping[str, pd.Index[Any]] = field(default_factory=dict)
    multiplier: Floats | None = None

    @property
    def absorbed(self) -> list[str]:
        """Roles whose levels have an effect each."""
        return [role for role in self.levels if role != "cluster"]

    @property
    def unit_first(self) -> bool:
        """Whether the first of two effects is eliminated: always with trends, or where it lies within clusters."""
        first, second = self.absorbed
        more_units = len(self.labels[first]) >= len(self.labels[second])
        return more_units or self.trend is not None or self.is_nested(first)

    @property
    def ratio(self) -> Floats | float:
        """Weights of the rows over final weights, shape (n,); 1 for a linear regression of rows as they are."""
        own = 1.0 if self.multiplier is None else self.multiplier
        return own if self.prior is None else own * self.weights / self.prior

    @property
    def n_respondents(self) -> int:
        """Number of respondents behind the rows; fewer than rows where some stand several times."""
        seen = np.zeros(int(self.rows.max(initial=-1)) + 1, dtype=bool)
        seen[self.rows] = True
        return int(seen.sum())

    def codes(self, role: str) -> tuple[Codes, pd.Index[Any]] | None:
        """Return codes and values of a role, whether it is an effect or not; None where it was not named."""
        if role in self.levels:
            return self.levels[role], self.labels[role]
        return (self.beside[role], self.beside_labels[role]) if role in self.beside else None

    def is_nested(self, effect: str, within: Codes | None = None) -> bool:
        """Tell whether each level of an effect lies in one cluster (or in one of ``within``)."""
        if within is None and "cluster" not in self.levels:
            return False
        cluster, level = self.levels["cluster"] if within is None else within, self.levels[effect]
        one = np.zeros(len(self.labels[effect]), dtype=np.int64)
        one[level] = cluster
        return bool((one[level] == cluster).all())

    def effects(self, weights: Floats) -> TwoWay | ManyWay:
        """Return the effects under these weights: two in one pass over their table, else as ``many_way``."""
        roles = self.absorbed
        sizes = [len(self.labels[role]) for role in roles]
        small = len(roles) == 2 and min(sizes) <= TABLE_LEVELS and sizes[0] * sizes[1] <= TABLE_CELLS
        if small and self.trend is not None and roles == [self.sloped, "time"]:
            return two_way(self.levels[self.sloped], self.levels["time"], weights, self.trend)
        if small and self.trend is None:
            first, second = roles if self.unit_first else roles[::-1]
            return two_way(self.levels[first], self.levels[second], weights)
        found = None if self.trend is None else self.codes("time")
        slope = None if found is None or self.trend is None else self.trend[found[0]]
        sloped = None if slope is None else roles.index(self.sloped)
        return many_way([self.levels[role] for role in roles], sizes, weights, slope, sloped)

    def described_effects(self) -> str:
        """Return the effects in words, for messages."""
        named = " and ".join(self.names[role] for role in self.absorbed if role != "constant")
        slopes = (
            " and a trend of each unit" if self.sloped == "unit" else f" and a trend of each {self.names[self.sloped]}"
        )
        return (f"effects of {named}" if named else "the constant") + (slopes if self.trend is not None else "")


@dataclass(frozen=True, eq=False)
class Solved:
    """Residuals of all columns from the effects, and what follows from them."""

    effects: TwoWay | ManyWay
    within: Floats
    gram: Floats
    coefficients: Floats
    residual: Floats

    @property
    def inverse(self) -> Floats:
        """Inverse of the regressors' weighted squares, shape (k, k)."""
        return np.asarray(np.linalg.inv(self.gram[1:, 1:]))


@dataclass(frozen=True, eq=False)
class Roles:
    """Which column plays which part.

    Attributes
    ----------
    effects : dict of role to column
        ``"a:b"`` is the crossing of two columns; none for a constant alone.
    cluster : tuple of str
        None, one or two columns.
    beside : dict of role to column
        "unit" and "time" where they have no effects.
    sloped : str or None
        Role of the effect whose levels have a linear trend each in the role "time".
    """

    effects: dict[str, str]
    cluster: tuple[str, ...] = ()
    beside: dict[str, str] = field(default_factory=dict)
    sloped: str | None = None


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
    named = () if cluster is None else (cluster,)
    roles = Roles({"unit": unit, "time": time}, named, {}, "unit" if trends else None)
    return read_columns(design, outcome, treatment, covariates, roles)


def read_columns(
    design: Design,
    outcome: str,
    treatment: str | Sequence[str],
    covariates: str | Sequence[str],
    roles: Roles,
    family: Family = "gaussian",
) -> Regression:
    """Return the rows and columns of a regression; who has weight zero or a missing value is left out.

    Parameters
    ----------
    design : Design
    outcome : str
    treatment, covariates : str or list of str
        As of ``twfe``.
    roles : Roles
    family : {"gaussian", "poisson", "binomial"}
    """
    treatments = [treatment] if isinstance(treatment, (str, int)) else list(treatment)
    if not treatments:
        raise ColumnError("no treatment was named. Name a numeric column, such as treatment='district_dose'.")
    columns = dict(zip(["cluster", "cluster 2"], roles.cluster, strict=False))
    every = {role: name for role, name in (roles.effects | columns | roles.beside).items() if role != "constant"}
    coded = {role: _coded(design, name) for role, name in every.items()}
    y, _ = read_outcome(design, outcome, family)
    used = design.present & (design.weights != 0) & ~np.isnan(y)
    for codes, _ in coded.values():
        used &= codes >= 0
    values: dict[str, Floats] = {outcome: y} | {name: product(design, name) for name in treatments}
    for name in treatments:
        used &= ~np.isnan(values[name])
    more, used = _covariates(design, outcome, covariates, used)
    twice = [name for name in more if name in values]
    if twice or len(values) != len(treatments) + 1:
        raise ColumnError(f"a column was named twice among outcome, treatment and covariates: {twice or treatments}.")
    if not used.any():
        raise EstimationError(f"no respondent has a value of '{outcome}', the treatment and all covariates.")
    rows = np.flatnonzero(used)
    if roles.cluster:
        home = coded["cluster"][0][rows]
        # Short integers are sorted by counting.
        rows = rows[np.argsort(home.astype(np.int16) if len(coded["cluster"][1]) < SHORT else home, kind="stable")]
    table = np.empty((1 + len(treatments) + len(more), len(rows)))
    for place, column in enumerate([*values.values(), *more.values()]):
        np.take(column, rows, out=table[place])
    found = {role: compact(codes[rows], len(levels)) for role, (codes, levels) in coded.items()}
    labels = {role: pd.Index(coded[role][1])[seen] for role, (_, seen) in found.items()}
    level = {role: np.asarray(codes, dtype=np.int64) for role, (codes, _) in found.items()}
    if "constant" in roles.effects:
        level["constant"], labels["constant"] = np.zeros(len(rows), dtype=np.int64), pd.Index([""])
    own = [*roles.effects, *(["cluster"] if roles.cluster else [])]
    return Regression(
        outcome,
        [*treatments, *more],
        len(treatments),
        rows,
        table,
        design.weights[rows],
        {role: level[role] for role in own},
        {"constant": ""} | every if "constant" in roles.effects else every,
        {role: labels[role] for role in own},
        None if roles.sloped is None else _times(labels["time"], every["time"]),
        roles.sloped or "unit",
        family,
        beside={role: level[role] for role in level if role not in own},
        beside_labels={role: labels[role] for role in level if role not in own},
    )


def _coded(design: Design, name: str) -> tuple[Codes, Any]:
    """Return codes and values of a column, or of the crossing of several (``"a:b"``)."""
    parts = [name] if name in design.data.columns else str(name).split(":")
    if len(parts) == 1:
        codes, levels = pd.factorize(design.column(name), sort=True)
        return np.asarray(codes), levels
    each = [pd.factorize(design.column(part), sort=True) for part in parts]
    key, there = np.zeros(len(design), dtype=np.int64), np.ones(len(design), dtype=bool)
    for codes, levels in each:
        key, there = key * len(levels) + codes, there & (codes >= 0)
    crossing, seen = pd.factorize(np.where(there, key, -1), sort=True)
    first = int(seen[0] == -1)
    texts = []
    for value in seen[first:]:
        shown = []
        for _, levels in reversed(each):
            value, place = divmod(value, len(levels))
            shown.append(str(levels[place]))
        texts.append(":".join(reversed(shown)))
    return np.asarray(crossing - first), pd.Index(texts)


def product(design: Design, name: str) -> Floats:
    """Return a numeric column, or the product of several (``"a:b"``), shape (n,), NaN where missing."""
    parts = [name] if name in design.data.columns else str(name).split(":")
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
        return {term: column for term, column in pairs if term != "(Intercept)"}, model.used & used
    columns: dict[str, Floats] = {}
    for name in column_names(covariates, "covariates", "'age'"):
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
    if is_text(labels.to_series()) or not pd.api.types.is_numeric_dtype(labels):
        shown = ", ".join(map(repr, map(str, labels[:3])))
        raise ColumnError(
            f"trends needs a numeric time, but '{time}' is not ({shown}): a trend is linear in it. Use the year as a "
            f"number, such as pandas.to_numeric(...)."
        )
    values = np.asarray(labels, dtype=float)
    return np.asarray(values - values.mean())


def solve(regression: Regression, weights: Floats | None = None) -> Solved:
    """Take the effects out of every column and solve for the coefficients.

    Raises
    ------
    IdentificationError
        A column does not vary once the effects are taken out, or is a combination of others.
    EstimationError
        The effects of three or more classifications could not be taken out to 1e-10; the columns are named.
    """
    weights = regression.weights if weights is None else weights
    effects, within, gram = swept(regression, weights)
    _refuse_unidentified(regression, weights, gram)
    coefficients = np.asarray(np.linalg.solve(gram[1:, 1:], gram[1:, 0]), dtype=np.float64)
    return Solved(effects, within, gram, coefficients, _residual(within, coefficients))


def _residual(within: Floats, coefficients: Floats) -> Floats:
    left = within[0].copy()
    for coefficient, column in zip(coefficients, within[1:], strict=True):
        left -= coefficient * column
    return np.asarray(left)


def swept(regression: Regression, weights: Floats) -> tuple[TwoWay | ManyWay, Floats, Floats]:
    """Return the effects under these weights, all columns less them, and their weighted squares."""
    effects = regression.effects(weights)
    within, failed = np.empty_like(regression.columns), []
    for place, column in enumerate(regression.columns):
        try:
            within[place] = effects.sweep(column)
        except NoConvergence as trouble:
            failed.append(([regression.outcome, *regression.terms][place], trouble))
    if failed:
        raise EstimationError(
            f"{regression.described_effects()} could not be taken out of "
            f"{', '.join(repr(name) for name, _ in failed)}: "
            f"{failed[0][1]} Levels that hang together by few rows do that: merge small levels, or leave one effect "
            f"out."
        )
    gram = np.zeros((len(within), len(within)))
    for start in range(0, len(weights), PIECE):
        piece = within[:, start : start + PIECE]
        gram += (piece * weights[start : start + PIECE]) @ piece.T
    return effects, within, gram


def own_variation(columns: Floats, weights: Floats) -> Floats:
    """Return the weighted squares of columns, shape (k, n), about their means, shape (k,)."""
    squares, sums = np.zeros(len(columns)), np.zeros(len(columns))
    for start in range(0, len(weights), PIECE):
        piece = columns[:, start : start + PIECE]
        heavy = piece * weights[start : start + PIECE]
        squares += np.einsum("ij,ij->i", heavy, piece)
        sums += heavy.sum(axis=1)
    return np.asarray(squares - sums**2 / weights.sum())


def part_of(regression: Regression, kept: Mask, weights: Floats | None = None) -> Regression:
    """Return the regression of some of its rows, levels renumbered; with other weights of the kept where given."""
    sizes = {role: len(values) for role, values in (regression.labels | dict(regression.beside_labels)).items()}
    codes = {role: compact(codes[kept], sizes[role]) for role, codes in regression.levels.items()}
    beside = {role: compact(codes[kept], sizes[role]) for role, codes in regression.beside.items()}
    labels = {role: regression.labels[role][seen] for role, (_, seen) in codes.items()}
    more = {role: regression.beside_labels[role][seen] for role, (_, seen) in beside.items()}
    times = (codes | beside).get("time")
    return replace(
        regression,
        rows=regression.rows[kept],
        columns=regression.columns[:, kept],
        weights=regression.weights[kept] if weights is None else weights,
        levels={role: np.asarray(code, dtype=np.int64) for role, (code, _) in codes.items()},
        labels=labels,
        trend=None if regression.trend is None or times is None else regression.trend[times[1]],
        prior=None if regression.prior is None else regression.prior[kept],
        response=None if regression.response is None else regression.response[kept],
        predictor=None if regression.predictor is None else regression.predictor[kept],
        beside={role: np.asarray(code, dtype=np.int64) for role, (code, _) in beside.items()},
        beside_labels=more,
        multiplier=None if regression.multiplier is None else regression.multiplier[kept],
    )


def coefficients_of(gram: Floats, scale: Floats) -> Floats:
    """Return the coefficients that weighted squares determine, shape (k,); NaN for the others.

    Parameters
    ----------
    gram : ndarray, shape (1 + k, 1 + k)
    scale : ndarray, shape (k,)
        Roots of the squares in the full sample, or of the columns' own.
    """
    scaled = gram[1:, 1:] / np.outer(scale, scale)
    solver = np.linalg.pinv(scaled, rcond=1e-9, hermitian=True)
    determined = np.abs(np.diag(solver @ scaled) - 1) < 1e-6
    return np.asarray(np.where(determined, solver @ (gram[1:, 0] / scale) / scale, np.nan))


def _refuse_unidentified(regression: Regression, weights: Floats, gram: Floats) -> None:
    left, variation = gram[1:, 1:].copy(), own_variation(regression.columns[1:], weights)
    for j, (term, own) in enumerate(zip(regression.terms, variation, strict=True)):
        if left[j, j] <= NOTHING_LEFT * max(own, gram[1 + j, 1 + j]) or gram[1 + j, 1 + j] <= NOTHING_LEFT * own:
            effects = regression.described_effects()
            alone = gram[1 + j, 1 + j] <= NOTHING_LEFT * own
            why = f"{effects} take up all its variation" if alone else f"{effects} and the columns before it make it up"
            raise IdentificationError(
                f"the coefficient of '{term}' is not identified, because {why}. Leave it out, or use a "
                f"treatment that starts at different times in different units."
            )
        left = left - np.outer(left[:, j], left[j]) / left[j, j]
