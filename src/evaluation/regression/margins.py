"""Average marginal effects and predictive margins, with errors that know the covariates were sampled too."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.regression.formula import Encoding
from evaluation.regression.formula_errors import names_given
from evaluation.regression.glm import Regression, survey_glm
from evaluation.regression.predictions import AnyRegression, matrix_of, replicate_coefficients, require_whole
from evaluation.regression.values_set import given_values
from evaluation.results import TIDY_COLUMNS, Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Rows whose gradients are held at once.
ROWS = 1 << 14
#: Imaginary part by which derivatives are taken: exact to the last digit, since nothing is subtracted.
STEP = 1e-30
#: Step, relative to the value, by which the model matrix is differentiated where a variable is transformed.
RELATIVE_STEP = 1e-3
#: A numeric variable with more values than this needs ``at`` in predictive margins.
MAXIMUM_VALUES = 20


def marginal_effects(
    fit: AnyRegression,
    variables: str | Sequence[str] | None = None,
    *,
    by: str | Sequence[str] | None = None,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate by how much the mean of the outcome changes with each covariate, on average over the population.

    Parameters
    ----------
    fit : Regression, OrdinalRegression or MultinomialRegression
        From ``survey_glm``, ``survey_ordinal`` or ``survey_multinomial``.
    variables : str or list of str, optional
        Columns in the regression. Default: all of them.
    by : str or list of str, optional
        Columns whose crossed levels are the subpopulations to average over. Default: all in the regression.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable and ``contrast``: "dY/dX" for numbers, "b - a" for each level against the first; with
        ``level`` per category of an ordinal or multinomial outcome, and the ``by`` columns.

    Raises
    ------
    ColumnError
        A variable is not in the regression, or a ``by`` column does not exist.
    EstimationError
        ``fit`` is no regression, or rows were taken from it.

    Notes
    -----
    With :math:`m_i(\\beta)` the respondent's own derivative or difference, the estimate is
    :math:`\\sum w_i m_i / \\sum w_i`. Its influence is :math:`(m_i - \\bar m) / \\sum w` plus that of the coefficients
    times :math:`\\sum w_i \\partial m_i / \\partial \\beta / \\sum w`: who was sampled, how well the coefficients
    are known, and the covariance between the two.

    References
    ----------
    Graubard and Korn (1999), Biometrics 55, 652-659. Twins: R ``marginaleffects::avg_slopes``, Stata
    ``margins, dydx() vce(unconditional)``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> line = survey_glm(survey_design(respondents), outcome="y", covariates="~ x")
    >>> marginal_effects(line).tidy()[["term", "contrast", "estimate"]].to_numpy().tolist()
    [['x', 'dY/dX', 1.4]]
    """
    encoding = require_whole(fit, "marginal_effects")
    sample = _sample(fit, encoding, by, "marginal_effects")
    effects = [
        effect for name in _named(encoding, variables, "marginal_effects") for effect in _effects_of(sample, name)
    ]
    if not effects:
        raise EstimationError("marginal_effects: the regression has no covariates, so there is nothing to vary.")
    return _averaged(sample, effects, "marginal_effects", conf_level)


def predictive_margins(
    fit: AnyRegression, variable: str, *, at: Sequence[Any] | None = None, conf_level: float = 0.95
) -> Estimates:
    """Estimate the mean outcome if everybody had one level of a variable and kept all other covariates.

    Parameters
    ----------
    fit : Regression, OrdinalRegression or MultinomialRegression
        A variable that is not in it is added first (``survey_glm`` only), as R does.
    variable : str
        Column of the data.
    at : sequence, optional
        Levels or numbers to set it to. Default: every level, or every number where there are at most 20.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per value: ``term`` is the variable, ``value`` what it is set to; with ``level`` per category of an
        ordinal or multinomial outcome.

    Raises
    ------
    ColumnError
        The variable does not exist, or ``at`` names a level that nobody in the regression has.
    EstimationError
        ``fit`` is no regression, rows were taken from it, or the variable is numeric and has many values.

    Notes
    -----
    The influence is that of ``marginal_effects``. R adds the variance of the coefficients to that of the mean and
    leaves their covariance out; designs with ``linearization="r"`` do the same, and their margins have no influence.

    References
    ----------
    Graubard and Korn (1999), Biometrics 55, 652-659. R twin: ``survey::svypredmeans``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> people = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "g": list("abab"), "x": [0.0, 1.0, 1.0, 0.0]})
    >>> additive = survey_glm(survey_design(people), outcome="y", covariates=["g", "x"])
    >>> predictive_margins(additive, "g").estimate.round(6).tolist()
    [2.5, 3.5]
    """
    encoding = require_whole(fit, "predictive_margins")
    if variable not in _columns(encoding):
        fit = _with_variable(fit, variable)
        encoding = require_whole(fit, "predictive_margins")
    sample = _sample(fit, encoding, None, "predictive_margins")
    values = _values(sample, variable, at)
    effects = [_level_set(sample, variable, value) for value in values]
    return _averaged(sample, effects, "predictive_margins", conf_level)


@dataclass(frozen=True, eq=False)
class _Sample:
    """The respondents in a regression: their rows, data, weights and cells."""

    fit: AnyRegression
    encoding: Encoding
    rows: Codes
    data: pd.DataFrame
    weights: Floats
    offset: Floats | float
    cell: Codes
    keys: pd.DataFrame


@dataclass(frozen=True, eq=False)
class _Effect:
    """What is averaged: the response at one model matrix, less that at another, or its slope along one."""

    keys: dict[str, Any]
    upper: Callable[[pd.DataFrame], Floats]
    lower: Callable[[pd.DataFrame], Floats] | None
    slope: bool
    groups: tuple[NDArray[np.bool_], ...] = ()

    def parts(self, data: pd.DataFrame) -> tuple[Floats, Floats | None]:
        """Return the two model matrices, each shape (m, p)."""
        return self.upper(data), None if self.lower is None else self.lower(data)


def _sample(fit: AnyRegression, encoding: Encoding, by: str | Sequence[str] | None, verb: str) -> _Sample:
    design, model = fit.design, fit.model
    names = [] if by is None else names_given(by, "by", once=True)
    for name in names:
        design.column(name)
        if name in ("term", "level", "contrast", *TIDY_COLUMNS):
            raise ColumnError(f"{verb}: a column of results is called '{name}' already. Rename the column of the data.")
    rows = np.flatnonzero(model.used).astype(np.int64)
    columns = list(dict.fromkeys([*_columns(encoding), *names]))
    data = design.data[columns].iloc[rows].reset_index(drop=True)
    cell: Codes = np.zeros(len(rows), dtype=np.int64)
    keys = pd.DataFrame(index=range(1))
    if names:
        grouped = data.groupby(names, observed=True, sort=True)
        cell = np.asarray(grouped.ngroup(), dtype=np.int64)
        keys = grouped.size().index.to_frame(index=False)
        if not len(keys):
            raise EstimationError(f"{verb}: nobody in the regression has a value in every column of by={names}.")
    offset = 0.0 if model.offset is None else model.offset[rows]
    return _Sample(fit, encoding, rows, data, design.domain_weights[rows], offset, cell, keys)


def _columns(encoding: Encoding) -> list[str]:
    return [encoding.formula.column_of(name) for name in encoding.formula.names]


def _named(encoding: Encoding, variables: str | Sequence[str] | None, verb: str) -> list[str]:
    known = _columns(encoding)
    if variables is None:
        return known
    names = names_given(variables, "variables", once=True)
    if not names:
        raise EstimationError(f"{verb}: variables=[] names no covariate. Leave it out for all: {', '.join(known)}.")
    for name in names:
        if name not in known:
            raise ColumnError(f"{verb}: '{name}' is not in the regression. {did_you_mean(name, known)}")
    return names


def _effects_of(sample: _Sample, name: str) -> list[_Effect]:
    column = sample.data[name]
    alias = next(alias for alias in sample.encoding.formula.names if sample.encoding.formula.column_of(alias) == name)
    levels = sample.encoding.levels.get(alias)
    if levels is None and (pd.api.types.is_bool_dtype(column) or column.dtype == object):
        levels = [False, True]
    if levels is None:
        keys = {"term": name, "contrast": "dY/dX"}
        return [_Effect(keys, lambda data: _matrix(sample, data), lambda data: _slope(sample, data, alias, name), True)]
    members = [(column == level).to_numpy() for level in levels]
    return [
        _Effect(
            {"term": name, "contrast": f"{level} - {levels[0]}"},
            _setting(sample, name, level),
            _setting(sample, name, levels[0]),
            False,
            (members[0], own),
        )
        for level, own in zip(levels[1:], members[1:], strict=True)
    ]


def _matrix(sample: _Sample, data: pd.DataFrame) -> Floats:
    return matrix_of(sample.fit, sample.encoding, data, "the data")


def _setting(sample: _Sample, name: str, value: Any) -> Callable[[pd.DataFrame], Floats]:
    dtype = sample.data[name].dtype

    def build(data: pd.DataFrame) -> Floats:
        return _matrix(sample, data.assign(**{name: pd.Series(value, dtype=dtype, index=data.index)}))

    return build


def _slope(sample: _Sample, data: pd.DataFrame, alias: str, name: str) -> Floats:
    """Return the derivative of the model matrix in a numeric variable, shape (m, p)."""
    value = data[name].to_numpy(dtype=float)

    def at(values: Floats | float) -> Floats:
        return _matrix(sample, data.assign(**{name: values}))

    if _is_linear(sample.encoding, alias):
        return at(1.0) - at(0.0)
    step = RELATIVE_STEP * np.where(value != 0, np.abs(value), float(np.std(value)) or 1.0)
    near, far = at(value + step) - at(value - step), at(value + 2 * step) - at(value - 2 * step)
    return (8 * near - far) / (12 * step[:, None])


def _is_linear(encoding: Encoding, alias: str) -> bool:
    """Tell whether a variable enters every term as it is, at most once."""
    for term in encoding.formula.parsed:
        mentions = [str(factor.expr) for factor in term.factors if re.search(rf"\b{alias}\b", str(factor.expr))]
        if mentions and mentions != [alias]:
            return False
    return True


def _level_set(sample: _Sample, name: str, value: Any) -> _Effect:
    members = (sample.data[name] == value).to_numpy()
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    groups = (members,) if members.any() else ()
    return _Effect({"term": name, "value": shown}, _setting(sample, name, value), None, False, groups)


def _values(sample: _Sample, name: str, at: Sequence[Any] | None) -> list[Any]:
    formula = sample.encoding.formula
    alias = next(alias for alias in formula.names if formula.column_of(alias) == name)
    known = sample.encoding.levels.get(alias)
    if at is not None:
        return given_values(name, at, known)
    if known is not None:
        return list(known)
    found = sorted(sample.data[name].unique().tolist())
    if len(found) > MAXIMUM_VALUES:
        raise EstimationError(
            f"predictive_margins: '{name}' has {len(found)} different numbers, expected at most {MAXIMUM_VALUES}. "
            f"Say which to set it to: at=[{found[0]:g}, {found[-1]:g}]."
        )
    return found


def _with_variable(fit: AnyRegression, variable: str) -> AnyRegression:
    """Return the regression with one more covariate."""
    design = fit.design
    design.column(variable)
    if not isinstance(fit, Regression):
        raise ColumnError(
            f"predictive_margins: '{variable}' is not in the regression. Add it to the covariates of {fit.verb}."
        )
    return survey_glm(
        design,
        outcome=str(fit.fit["outcome"]),
        covariates=f"~ {fit.model.formula} + `{variable}`",
        family=fit.family,
        link=fit.link,
        offset=fit.model.offset_name or None,
        conf_level=fit.conf_level,
    )


@dataclass(frozen=True, eq=False)
class _Average:
    """Averages of one effect: estimates (D, L), each respondent's own (m, L), gradients (D, L, k), replicates."""

    estimate: Floats
    own: Floats
    gradient: Floats
    each: list[Floats]


def _averaged(sample: _Sample, effects: list[_Effect], verb: str, conf_level: float) -> Estimates:
    made = [_average(sample, effect) for effect in effects]
    fit, design = sample.fit, sample.fit.design
    keys = pd.concat([_keys(sample, effect) for effect in effects], ignore_index=True)
    gradient = np.vstack([one.gradient.reshape(-1, len(fit.coefficients)) for one in made])
    parts = _contributions(sample, made, gradient)
    apart = verb == "predictive_margins" and design.linearization == "r" and len(parts) == 2
    engine, covariance = design.engine, design.engine.covariance
    contributions = np.asarray(sum(parts))
    inner = fit.influence_of
    linear = len(parts) == 2 and not apart
    counts, bases, df = _counts(sample, effects)
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=np.concatenate([one.estimate.ravel() for one in made]),
        vcov=covariance(parts[0]) + covariance(parts[1]) if apart else covariance(contributions),
        df=df,
        n_obs=counts,
        provenance=fit.provenance,
        engine=None if apart else engine,
        contributions=None if apart else contributions,
        influence_of=(lambda: design.influence(_spread(sample, made)) + inner() @ gradient.T)
        if linear and inner is not None
        else None,
        conf_level=conf_level,
        method=engine.method if apart else "",
        fit={name: fit.fit[name] for name in ("outcome", "family", "formula", "n_used") if name in fit.fit},
        bases=bases,
    )


def _contributions(sample: _Sample, made: list[_Average], gradient: Floats) -> list[Floats]:
    """Return what the engine takes: of the averages and of the coefficients, or the replicates' estimates."""
    if sample.fit.contributions is None or sample.fit.design.replicates is not None:
        return [np.column_stack([np.vstack(one.each) for one in made])]
    return [sample.fit.design.contributions(_spread(sample, made)), sample.fit.contributions @ gradient.T]


def _average(sample: _Sample, effect: _Effect) -> _Average:
    """Average an effect over each cell, with its gradient in the coefficients."""
    fit = sample.fit
    upper, lower = effect.parts(sample.data)
    own = _response(sample, effect, upper, lower, fit.coefficients, slice(None))
    shares = _shares(sample, sample.weights)
    gradient = _gradients(sample, effect, upper, lower, shares)
    each = []
    coefficients = replicate_coefficients(fit)
    if coefficients:
        weights = [*fit.design.replicate_weights(), fit.design.domain_weights]
        for w, b in zip(weights, coefficients, strict=True):
            responses = _response(sample, effect, upper, lower, b, slice(None))
            each.append((_shares(sample, w[sample.rows]).T @ responses).ravel())
    return _Average(shares.T @ own, own, gradient.reshape(len(sample.keys), own.shape[1], -1), each)


def _shares(sample: _Sample, weights: Floats) -> Floats:
    """Return each respondent's share of the weight of its cell, shape (m, D)."""
    inside = (sample.cell[:, None] == np.arange(len(sample.keys))) * weights[:, None]
    return np.asarray(inside / inside.sum(axis=0))


def _response(
    sample: _Sample, effect: _Effect, upper: Floats, lower: Floats | None, coefficients: Floats, rows: slice
) -> Floats:
    fit, offset = sample.fit, _at(sample.offset, rows)
    if effect.slope and lower is not None and isinstance(fit, Regression):
        slope = fit.kind.slope(fit.kind.mean(upper[rows] @ coefficients + offset))
        return np.asarray((slope * (lower[rows] @ coefficients))[:, None])
    if effect.slope and lower is not None:
        moved = upper[rows] + 1j * STEP * lower[rows]
        return np.asarray(fit.respond(moved, coefficients, offset).imag / STEP)
    found = fit.respond(upper[rows], coefficients, offset)
    return np.asarray(found if lower is None else found - fit.respond(lower[rows], coefficients, offset))


def _gradients(sample: _Sample, effect: _Effect, upper: Floats, lower: Floats | None, shares: Floats) -> Floats:
    """Return the averages' derivative in the coefficients, shape (D, L * k), from shares of shape (m, D)."""
    fit = sample.fit
    if isinstance(fit, Regression):
        return _of_means(sample, fit, effect, upper, lower, shares)
    found = np.zeros((shares.shape[1], len(fit.levels) * len(fit.coefficients)))
    for start in range(0, len(shares), ROWS):
        rows = slice(start, start + ROWS)
        block = _gradient(sample, effect, upper, lower, rows)
        found += shares[rows].T @ block.reshape(len(block), -1)
    return found


def _of_means(
    sample: _Sample, fit: Regression, effect: _Effect, upper: Floats, lower: Floats | None, shares: Floats
) -> Floats:
    """Return the derivative in the coefficients of averages of one mean, without a gradient per respondent."""
    kind, b = fit.kind, fit.coefficients
    mean = kind.mean(upper @ b + sample.offset)
    if lower is None:
        return np.asarray((shares * kind.slope(mean)[:, None]).T @ upper)
    if effect.slope:
        bent = kind.bend(mean) * (lower @ b)
        return np.asarray((shares * bent[:, None]).T @ upper + (shares * kind.slope(mean)[:, None]).T @ lower)
    below = kind.mean(lower @ b + sample.offset)
    return np.asarray((shares * kind.slope(mean)[:, None]).T @ upper - (shares * kind.slope(below)[:, None]).T @ lower)


def _gradient(sample: _Sample, effect: _Effect, upper: Floats, lower: Floats | None, rows: slice) -> Floats:
    fit, offset = sample.fit, _at(sample.offset, rows)
    if effect.slope and lower is not None:
        moved = upper[rows] + 1j * STEP * lower[rows]
        return np.asarray(fit.gradient(moved, fit.coefficients, offset).imag / STEP)
    found = fit.gradient(upper[rows], fit.coefficients, offset)
    return np.asarray(found if lower is None else found - fit.gradient(lower[rows], fit.coefficients, offset))


def _at(offset: Floats | float, rows: slice) -> Floats | float:
    return offset if isinstance(offset, float) else offset[rows]


def _spread(sample: _Sample, made: list[_Average]) -> Floats:
    """Return the averages' derivative in each respondent's final weight at fixed coefficients, shape (n, k)."""
    design: Design = sample.fit.design
    inside = sample.cell[:, None] == np.arange(len(sample.keys))
    share = inside / (inside * sample.weights[:, None]).sum(axis=0)
    columns = [(share[:, :, None] * (one.own[:, None, :] - one.estimate)).reshape(len(share), -1) for one in made]
    z = np.zeros((len(design), sum(column.shape[1] for column in columns)))
    z[sample.rows] = np.hstack(columns)
    return z


def _keys(sample: _Sample, effect: _Effect) -> pd.DataFrame:
    levels = sample.fit.levels or ("",)
    keys = sample.keys.loc[np.repeat(np.arange(len(sample.keys)), len(levels))].reset_index(drop=True)
    named = pd.DataFrame(effect.keys, index=keys.index)
    if sample.fit.levels:
        named["level"] = list(levels) * len(sample.keys)
    return pd.concat([named, keys], axis=1)


def _counts(sample: _Sample, effects: list[_Effect]) -> tuple[Codes, Codes, Floats]:
    """Return the respondents behind each row, those in the smallest group behind it, and degrees of freedom."""
    fit, design, cells = sample.fit, sample.fit.design, range(len(sample.keys))
    repeat = max(1, len(fit.levels))
    counts = [int((sample.cell == d).sum()) for d in cells]
    bases, df = [], []
    for d in cells:
        rows = np.zeros(len(design), dtype=bool)
        rows[sample.rows[sample.cell == d]] = True
        df.append(min(float(fit.df[0]), float(design.degrees_of_freedom(rows))))
    for effect in effects:
        for d in cells:
            smallest = [int((group & (sample.cell == d)).sum()) for group in effect.groups]
            bases.append(min([counts[d], *[size for size in smallest if size]]))
    return (
        np.repeat(np.tile(counts, len(effects)), repeat).astype(np.int64),
        np.repeat(bases, repeat).astype(np.int64),
        np.repeat(np.tile(df, len(effects)), repeat),
    )
