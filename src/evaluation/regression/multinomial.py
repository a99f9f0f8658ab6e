"""Multinomial (baseline-category) logit regression with design-based standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import ColumnError, did_you_mean
from evaluation.regression.categories import CategoryRegression, read_categories, seen_levels, title_of
from evaluation.regression.fitting import climb
from evaluation.regression.model import Model, model_of, require_degrees, require_errors, require_other_columns
from evaluation.regression.separation import SEPARATION, refuse_direction

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class MultinomialRegression(CategoryRegression):
    """Coefficients of each category against the reference, which stands first in ``levels``."""

    def respond(self, x: NDArray[Any], coefficients: Floats, offset: Floats | float = 0.0) -> NDArray[Any]:
        """Return the chance of each category, shape (m, L), at rows of the model matrix, shape (m, p)."""
        return _chances(x, coefficients)

    def gradient(self, x: NDArray[Any], coefficients: Floats, offset: Floats | float = 0.0) -> NDArray[Any]:
        """Return the derivative of ``respond`` in the coefficients, shape (m, L, k)."""
        chance = _chances(x, coefficients)
        others = chance[:, 1:]
        by_predictor = chance[:, :, None] * (np.eye(chance.shape[1])[:, 1:] - others[:, None, :])
        return np.asarray((by_predictor[:, :, :, None] * x[:, None, None, :]).reshape(len(x), chance.shape[1], -1))


def _chances(x: NDArray[Any], coefficients: Floats) -> NDArray[Any]:
    eta = x @ coefficients.reshape(-1, x.shape[1]).T
    eta = np.hstack([np.zeros_like(eta[:, :1]), eta])
    raised = np.exp(eta - eta.real.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def survey_multinomial(
    design: Design,
    *,
    outcome: str,
    covariates: str | Sequence[str],
    reference: Any | None = None,
    conf_level: float = 0.95,
) -> MultinomialRegression:
    """Estimate a multinomial logit regression of an outcome with unordered categories in the population.

    Parameters
    ----------
    design : Design
        Any design; a domain restricts the regression, not the design.
    outcome : str
        Column with at least three categories.
    covariates : str or list of str
        Column names or a one-sided formula, as in ``survey_glm``.
    reference : optional
        Category that the others are held against. Default: the first of the categories in their order, else sorted.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    MultinomialRegression
        One row per category but the reference and coefficient: ``term`` is the coefficient, ``level`` the category.
        Degrees of freedom are the design's plus one minus the number of coefficients of one category.

    Raises
    ------
    ColumnError
        A column or the reference does not exist, or the outcome has fewer than three categories.
    EstimationError
        Nobody answered, weights are negative, or the iteration does not converge.
    IdentificationError
        Covariates are collinear, or one separates the outcome's categories.

    Notes
    -----
    :math:`P(y = k | x) = \\exp(x'\\beta_k) / \\sum_l \\exp(x'\\beta_l)` with :math:`\\beta = 0` for the reference.
    The weighted log likelihood is maximised; the influence is the inverse of the information times the score.

    References
    ----------
    Agresti (2013), Categorical Data Analysis, section 8.1. R twin: ``svyVGAM::svy_vglm(family = multinomial)``;
    Stata: ``svy: mlogit``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": list("abcabcab"), "x": [0.0, 1, 1, 2, 2, 3, 2, 1]})
    >>> survey_multinomial(survey_design(answers), outcome="y", covariates="x").keys["level"].tolist()
    ['b', 'b', 'c', 'c']
    """
    verb = "survey_multinomial"
    require_design(design, verb)
    design.require_no_negative_weights(verb)
    y, titles = read_categories(design, outcome, None, ordered=False, verb=verb)
    require_other_columns(outcome, covariates)
    y, titles = _referred(y, titles, reference, outcome)
    model, titles = seen_levels(model_of(design, y, outcome, covariates), titles, outcome, verb)
    df = require_degrees(design, model, len(model.terms), verb)
    weights, others = design.domain_weights, len(titles) - 1
    coefficients = fit_multinomial(model, weights, others)
    if design.replicates is None:
        contributions = design.contributions(_derivative(model, weights, coefficients))
    else:
        contributions = each_replicate(design, lambda w: fit_multinomial(model, w, others, coefficients))
    p, k, n_used = len(model.terms), len(coefficients), int(model.used.sum())
    vcov = design.engine.covariance(contributions)
    require_errors(df, p, vcov, verb)
    return MultinomialRegression(
        verb=verb,
        keys=pd.DataFrame({"term": model.terms * others, "level": np.repeat(titles[1:], p).astype(object)}),
        estimate=coefficients,
        vcov=vcov,
        df=np.full(k, float(df)),
        n_obs=np.full(k, n_used),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(_derivative(model, weights, coefficients)),
        conf_level=conf_level,
        fit={
            "outcome": outcome,
            "formula": model.formula,
            "reference": titles[0],
            "n_used": n_used,
            "n_left_out": int(design.present.sum()) - n_used,
            "df_residual": df,
        },
        design=design,
        model=model,
        levels=titles,
        coefficients=coefficients,
    )


def _referred(
    y: Floats, titles: tuple[str, ...], reference: Any | None, outcome: str
) -> tuple[Floats, tuple[str, ...]]:
    """Put the reference first."""
    if reference is None:
        return y, titles
    named = title_of(reference)
    if named not in titles:
        raise ColumnError(
            f"survey_multinomial: reference {named!r} is no category of '{outcome}'. {did_you_mean(named, titles)}"
        )
    at = titles.index(named)
    moved = np.where(y == at, 0.0, np.where(y < at, y + 1, y))
    return moved, (titles[at], *titles[:at], *titles[at + 1 :])


def _score_and_information(model: Model, weights: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    chance, p = _fitted(model, coefficients), len(model.terms)
    others = chance.shape[1]
    gradient, information = np.empty(others * p), np.empty((others * p, others * p))
    for a in range(others):
        mine = slice(a * p, (a + 1) * p)
        gradient[mine] = model.matrix.moments(weights * ((model.y == a + 1) - chance[:, a]))
        for b in range(a + 1):
            theirs = slice(b * p, (b + 1) * p)
            block = model.matrix.gram(weights * chance[:, a] * ((a == b) - chance[:, b]))
            information[mine, theirs], information[theirs, mine] = block, block.T
    return gradient, information


def _fitted(model: Model, coefficients: Floats) -> Floats:
    """Return the chance of each category but the reference, shape (n, L - 1)."""
    eta = np.column_stack([model.predictor(own) for own in coefficients.reshape(-1, len(model.terms))])
    top = np.maximum(eta.max(axis=1, keepdims=True), 0.0)
    raised = np.exp(eta - top)
    return np.asarray(raised / (raised.sum(axis=1, keepdims=True) + np.exp(-top)))


def fit_multinomial(model: Model, weights: Floats, others: int, start: Floats | None = None) -> Floats:
    """Return the coefficients of each category but the reference that maximise the weighted likelihood, flat."""
    weights = np.where(model.used, weights, 0.0)
    return climb(
        lambda coefficients, _: _score_and_information(model, weights, coefficients),
        np.zeros(others * len(model.terms)) if start is None else start,
        lambda coefficients: _refuse_separation(model, coefficients, others),
        float(weights.sum()),
    )


def _refuse_separation(model: Model, coefficients: Floats, others: int) -> None:
    x, y = np.asarray(model.x[model.used]), model.y[model.used].astype(np.int64)
    joined, place = np.unique(np.column_stack([x, y]), axis=0), len(model.terms)
    x, y = joined[:, :-1], joined[:, -1].astype(np.int64)
    blocks = np.eye(others + 1)[:, 1:]
    rows = np.vstack(
        [
            ((blocks[y] - blocks[k])[:, :, None] * x[:, None, :]).reshape(len(x), others * place)[y != k]
            for k in range(others + 1)
        ]
    )
    far = bool(np.abs(x @ coefficients.reshape(others, place).T).max() > SEPARATION)
    refuse_direction(
        rows, np.ones(len(rows), dtype=bool), far, coefficients, model.terms * others, "the outcome's categories"
    )


def _derivative(model: Model, weights: Floats, coefficients: Floats) -> Floats:
    """Return the coefficients' derivative in each respondent's final weight, shape (n, k)."""
    used = model.used
    _, information = _score_and_information(model, np.where(used, weights, 0.0), coefficients)
    chance = _fitted(model, coefficients)
    residual = np.column_stack([(model.y == a + 1) - chance[:, a] for a in range(chance.shape[1])])
    scores = (residual[:, :, None] * model.x[:, None, :]).reshape(len(used), -1)
    return np.asarray(np.linalg.solve(information, scores.T).T)
