"""What a regression predicts for given covariates, with design-based standard errors."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from formulaic.parser.types import Term
from numpy.typing import NDArray

from evaluation.design.variance import ReplicateEngine
from evaluation.errors import ColumnError, EstimationError
from evaluation.regression.categories import CategoryRegression
from evaluation.regression.formula import Encoding, columns_of
from evaluation.regression.glm import Regression
from evaluation.regression.model import read_offset
from evaluation.regression.multinomial import MultinomialRegression
from evaluation.regression.ordinal import OrdinalRegression
from evaluation.results import TIDY_COLUMNS, Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
AnyRegression = Regression | OrdinalRegression | MultinomialRegression
Scale = Literal["response", "link"]

#: Predictions come with their covariance, whose size is the square of this.
MAXIMUM_ROWS = 5_000


def predictions(
    fit: AnyRegression,
    new_data: pd.DataFrame | None = None,
    *,
    type: Scale = "response",
    conf_level: float = 0.95,
) -> Estimates:
    """Predict the mean of the outcome (or the chance of each category) for given covariates.

    Parameters
    ----------
    fit : Regression, OrdinalRegression or MultinomialRegression
        From ``survey_glm``, ``survey_ordinal`` or ``survey_multinomial``.
    new_data : pandas.DataFrame, optional
        One row per prediction, with every covariate (and the offset's column). Default: each respondent in the
        regression, up to 5,000.
    type : {"response", "link"}, default "response"
        The mean itself, or the linear predictor (``survey_glm`` only).
    conf_level : float, default 0.95
        Of the t interval, which is made on the scale of the linear predictor and carried to that of the response.

    Returns
    -------
    Estimates
        One row per prediction, with ``level`` per category where there are several. The covariates stand in the key
        columns, and ``row`` where rows are alike; of respondents only the data row, counted from 1. A prediction is
        masked where too few respondents have its levels in a term of the formula: in one that holds all levels at
        once it would be their own mean.

    Raises
    ------
    ColumnError
        ``new_data`` lacks a covariate, misses values, or has a level that nobody in the regression has; a covariate
        is called like a column of results.
    EstimationError
        Rows were taken from the regression, or there are too many predictions.

    Notes
    -----
    Predictions are functions of the coefficients: their influence is the gradient times that of the coefficients.
    What the covariates' distribution adds is in ``marginal_effects`` and ``predictive_margins``.

    References
    ----------
    R twin: ``survey:::predict.svyglm``, whose interval on the response scale is symmetric.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.regression.glm import survey_glm
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> line = survey_glm(survey_design(respondents), outcome="y", covariates="~ x")
    >>> predictions(line, pd.DataFrame({"x": [0.5, 4.0]})).tidy()["estimate"].round(6).tolist()
    [1.6, 6.5]
    """
    encoding = require_whole(fit, "predictions")
    if type not in ("response", "link"):
        raise EstimationError(f"predictions: type must be 'response' or 'link', got {type!r}.")
    if type == "link" and not isinstance(fit, Regression):
        raise EstimationError("predictions: type='link' exists for survey_glm only; categories have type='response'.")
    x, offset, keys, data = _rows(fit, encoding, new_data)
    behind = bases(fit, encoding, data)
    if isinstance(fit, Regression):
        linear = replace(_linear(fit, x, offset, keys, conf_level), bases=behind)
        return linear if type == "link" else replace(_on_response_scale(fit, linear, x, offset), bases=behind)
    levels = fit.levels
    keys = keys.loc[np.repeat(np.arange(len(keys)), len(levels))].reset_index(drop=True)
    keys.insert(1, "level", list(levels) * len(x))
    estimate, jacobian = fit.respond(x, fit.coefficients), fit.gradient(x, fit.coefficients)
    each = [fit.respond(x, own).ravel() for own in replicate_coefficients(fit)]
    made = transformed(
        fit, keys, estimate.ravel(), jacobian.reshape(len(keys), -1), each, verb="predictions", conf_level=conf_level
    )
    return replace(made, bases=np.repeat(behind, len(levels)))


def bases(fit: AnyRegression, encoding: Encoding, data: pd.DataFrame) -> Codes:
    """Return how many respondents each prediction rests on at the least, shape (m,).

    The respondents in the regression who have the row's levels in a term of the formula, where fewest have: with
    ``"~ area * sex"`` those of its area and sex, with ``"~ area + sex"`` the smaller of the two groups. Numbers with
    two values are levels; of others a line is estimated, which rests on everybody.
    """
    rows = np.flatnonzero(fit.model.used)
    columns = encoding.formula.columns
    asked, own = columns_of(encoding.formula, data), columns_of(encoding.formula, fit.design.data.iloc[rows])
    coded = {name for name in columns if name in encoding.levels or _is_binary(own[name])}
    smallest = np.full(len(data), len(rows), dtype=np.int64)
    for variables in {_variables_of(term, columns) & coded for term in encoding.formula.parsed}:
        if variables:
            names = sorted(variables)
            sizes = pd.DataFrame({name: np.asarray(own[name], dtype=object) for name in names}).value_counts(names)
            keys = pd.MultiIndex.from_arrays([np.asarray(asked[name], dtype=object) for name in names], names=names)
            found = sizes.reindex(keys, fill_value=0).to_numpy(dtype=np.int64)
            smallest = np.where(found > 0, np.minimum(smallest, found), smallest)
    return smallest


def _is_binary(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column) and column.nunique() == 2)


def _variables_of(term: Term, names: Iterable[str]) -> frozenset[str]:
    words = {word for factor in term.factors for word in re.findall(r"\w+", str(factor.expr))}
    return frozenset(words & set(names))


def require_whole(fit: object, verb: str) -> Encoding:
    """Return how the model matrix was made; refuse what is no regression, or only some of its rows."""
    if not isinstance(fit, (Regression, CategoryRegression)):
        raise EstimationError(
            f"{verb} needs a regression, got {_name(fit)}. Fit one first: ev.survey_glm(design, outcome=..., "
            f"covariates=...)."
        )
    if len(fit.coefficients) != len(fit) or fit.contributions is None or fit.model.encoding is None:
        raise EstimationError(
            f"{verb} needs the whole regression, but rows were taken from it, joined to it or suppressed in it. Use "
            f"the result as {fit.verb} returned it."
        )
    return fit.model.encoding


def _name(thing: object) -> str:
    return thing.verb if isinstance(thing, Estimates) else type(thing).__name__


def replicate_coefficients(fit: AnyRegression) -> list[Floats]:
    """Return the coefficients of each replicate and, last, of the full sample; none where errors are linearized."""
    if not isinstance(fit.engine, ReplicateEngine) or fit.contributions is None:
        return []
    return list(fit.contributions)


def transformed(
    fit: AnyRegression,
    keys: pd.DataFrame,
    estimate: Floats,
    jacobian: Floats,
    each: list[Floats],
    *,
    verb: str,
    conf_level: float,
) -> Estimates:
    """Return functions of a regression's coefficients.

    Parameters
    ----------
    fit : Regression or CategoryRegression
        With p coefficients.
    keys : pandas.DataFrame, k rows
    estimate : ndarray, shape (k,)
    jacobian : ndarray, shape (k, p)
        Derivative of the functions in the coefficients.
    each : list of ndarray, each shape (k,)
        The functions at each replicate's coefficients; empty where errors are linearized.
    verb : str
    conf_level : float
    """
    if fit.engine is None or fit.contributions is None:
        raise EstimationError(f"{verb}: the regression has no standard errors to carry over.")
    contributions = np.vstack(each) if each else fit.contributions @ jacobian.T
    k, inner = len(estimate), fit.influence_of
    return Estimates(
        verb=verb,
        keys=keys,
        estimate=estimate,
        vcov=fit.engine.covariance(contributions),
        df=np.full(k, fit.df[0]),
        n_obs=np.full(k, fit.n_obs[0]),
        provenance=fit.provenance,
        engine=fit.engine,
        contributions=contributions,
        influence_of=None if inner is None else lambda: inner() @ jacobian.T,
        conf_level=conf_level,
        fit={name: fit.fit[name] for name in ("outcome", "family", "formula") if name in fit.fit},
    )


def _rows(
    fit: AnyRegression, encoding: Encoding, new_data: pd.DataFrame | None
) -> tuple[Floats, Floats | float, pd.DataFrame, pd.DataFrame]:
    """Return model matrix and offset of the predictions, their keys, and the rows they are made for."""
    model = fit.model
    if new_data is None:
        rows = np.flatnonzero(model.used)
        _refuse_too_many(len(rows), "respondents in the regression")
        keys = pd.DataFrame({"term": "prediction", "row": rows + 1})
        offset = 0.0 if model.offset is None else model.offset[rows]
        return model.x[rows], offset, keys, fit.design.data.iloc[rows]
    if not isinstance(new_data, pd.DataFrame):
        raise EstimationError(
            f"predictions: new_data must be a DataFrame with one row per prediction, got {type(new_data).__name__}."
        )
    _refuse_too_many(len(new_data), "rows of new_data")
    new_data = new_data.reset_index(drop=True)
    x, offset = matrix_of(fit, encoding, new_data), offset_of(fit, new_data)
    return x, offset, _keys(encoding, new_data), new_data


def _keys(encoding: Encoding, new_data: pd.DataFrame) -> pd.DataFrame:
    """Return one row per prediction: its covariates, and the row's number where these do not tell it from others."""
    names = list(encoding.formula.columns.values())
    taken = [name for name in names if name in ("term", "level", *TIDY_COLUMNS)]
    if taken:
        raise ColumnError(
            f"predictions: a column of results is called '{taken[0]}' already. Rename the column of the data, and fit "
            f"the regression again."
        )
    keys = pd.DataFrame({"term": "prediction", **{name: new_data[name] for name in names}}, index=new_data.index)
    if keys.astype(str).duplicated().any():
        if "row" in names:
            raise ColumnError(
                "predictions: some rows of new_data are alike, so that each needs its number in a column 'row', which "
                "is a covariate already. Rename that, or leave out the rows that repeat others."
            )
        keys.insert(1, "row", np.arange(len(keys)) + 1)
    return keys


def _refuse_too_many(count: int, what: str) -> None:
    if not 0 < count <= MAXIMUM_ROWS:
        raise EstimationError(
            f"predictions: {count:,} {what}, expected 1 to {MAXIMUM_ROWS:,}, since each pair has a covariance. Predict "
            f"for chosen covariates with new_data=..., or use ev.marginal_effects or ev.predictive_margins."
        )


def matrix_of(fit: AnyRegression, encoding: Encoding, data: pd.DataFrame, where: str = "new_data") -> Floats:
    """Return the regression's model matrix of other data, shape (m, p)."""
    x = encoding.matrix(data, where)
    if isinstance(fit, OrdinalRegression):
        x = x[:, [place for place, term in enumerate(encoding.terms) if term != "(Intercept)"]]
    return x


def offset_of(fit: AnyRegression, data: pd.DataFrame) -> Floats | float:
    """Return the offset of other data, shape (m,); zero without one."""
    name = fit.model.offset_name
    if not name:
        return 0.0
    values = read_offset(data, name, np.ones(len(data), dtype=bool))
    if np.isnan(values).any():
        raise EstimationError(
            f"offset '{name}' is missing in {int(np.isnan(values).sum())} of {len(data)} rows of new_data. Fill it in, "
            f"or leave those rows out.",
            failures=data.loc[np.isnan(values)],
        )
    return values


def _linear(fit: Regression, x: Floats, offset: Floats | float, keys: pd.DataFrame, conf_level: float) -> Estimates:
    each = [x @ own + offset for own in replicate_coefficients(fit)]
    return transformed(fit, keys, x @ fit.coefficients + offset, x, each, verb="predictions", conf_level=conf_level)


def _on_response_scale(fit: Regression, linear: Estimates, x: Floats, offset: Floats | float) -> Estimates:
    if fit.link == "identity":
        return linear
    jacobian = fit.gradient(x, fit.coefficients, offset)[:, 0, :]
    each = [fit.respond(x, own, offset)[:, 0] for own in replicate_coefficients(fit)]
    mean = fit.kind.mean(linear.estimate)
    made = transformed(fit, linear.keys, mean, jacobian, each, verb="predictions", conf_level=linear.conf_level)
    limits = np.sort(_means(fit, linear.confidence_interval()), axis=1)
    return replace(made, interval=limits, interval_method=f"t on the {fit.link} scale")


def _means(fit: Regression, eta: NDArray[Any]) -> Floats:
    """Return the means at the limits of a linear predictor; no limit where the inverse link has no mean."""
    if fit.link != "inverse":
        return fit.kind.mean(eta)
    return np.where(eta > 0, 1 / np.where(eta > 0, eta, 1.0), np.inf)
