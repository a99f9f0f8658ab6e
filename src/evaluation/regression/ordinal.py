"""Proportional-odds regression with design-based standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from evaluation.design.design import Design, each_replicate, require_design
from evaluation.regression.categories import CategoryRegression, read_categories, seen_levels, without_intercept
from evaluation.regression.fitting import climb
from evaluation.regression.model import Model, model_of, require_degrees, require_other_columns
from evaluation.regression.separation import SEPARATION, refuse_direction

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class OrdinalRegression(CategoryRegression):
    """Slopes and thresholds of a proportional-odds regression."""

    def respond(self, x: NDArray[Any], coefficients: Floats, offset: Floats | float = 0.0) -> NDArray[Any]:
        """Return the chance of each category, shape (m, L), at rows of the model matrix, shape (m, p)."""
        below = _below(x, coefficients)
        return np.diff(below, axis=1, prepend=0.0, append=1.0)

    def gradient(self, x: NDArray[Any], coefficients: Floats, offset: Floats | float = 0.0) -> NDArray[Any]:
        """Return the derivative of ``respond`` in the coefficients, shape (m, L, k)."""
        below = _below(x, coefficients)
        density = below * (1 - below)
        q = density.shape[1]
        cumulative = np.concatenate([-density[:, :, None] * x[:, None, :], density[:, :, None] * np.eye(q)], axis=2)
        edge = np.zeros_like(cumulative[:, :1])
        return np.diff(cumulative, axis=1, prepend=edge, append=edge)


def _below(x: NDArray[Any], coefficients: Floats) -> NDArray[Any]:
    """Return the chance to lie at or below each threshold, shape (m, q); complex arguments are welcome."""
    p = x.shape[1]
    return np.asarray(1 / (1 + np.exp((x @ coefficients[:p])[:, None] - coefficients[p:])))


def survey_ordinal(
    design: Design,
    *,
    outcome: str,
    covariates: str | Sequence[str],
    levels: Sequence[Any] | None = None,
    conf_level: float = 0.95,
) -> OrdinalRegression:
    """Estimate a proportional-odds regression of an ordered outcome in the population.

    Parameters
    ----------
    design : Design
        Any design; a domain restricts the regression, not the design.
    outcome : str
        Numbers or a categorical column with at least three values; text needs ``levels``.
    covariates : str or list of str
        Column names or a one-sided formula, as in ``survey_glm``.
    levels : sequence, optional
        Values of the outcome from lowest to highest. Default: the order of the categories, else of the numbers.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    OrdinalRegression
        One row per slope, then one per threshold ("low|middle"). A positive slope means higher categories. Degrees of
        freedom are the design's plus one minus the number of coefficients.

    Raises
    ------
    ColumnError
        A column does not exist, or the outcome has no order or fewer than three categories.
    EstimationError
        Nobody answered, weights are negative, or the iteration does not converge.
    IdentificationError
        Covariates are collinear, or one separates the outcome's levels.

    Notes
    -----
    :math:`P(y \\le k | x) = 1 / (1 + \\exp(x'\\beta - \\zeta_k))`. The weighted log likelihood is maximised to full
    convergence (R stops earlier, at about five digits); the influence is the inverse of its second derivative times
    each respondent's score.

    References
    ----------
    McCullagh (1980), Journal of the Royal Statistical Society B 42, 109-142, equation 2.1. R twin: ``survey::svyolr``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> answers = pd.DataFrame({"y": [1, 1, 2, 2, 3, 3, 1, 3], "x": [0.0, 1, 1, 2, 2, 3, 2, 1]})
    >>> survey_ordinal(survey_design(answers), outcome="y", covariates="x").keys["term"].tolist()
    ['x', '1|2', '2|3']
    """
    verb = "survey_ordinal"
    require_design(design, verb)
    design.require_no_negative_weights(verb)
    y, titles = read_categories(design, outcome, levels, ordered=True, verb=verb)
    require_other_columns(outcome, covariates)
    model = without_intercept(model_of(design, y, outcome, covariates), verb)
    model, titles = seen_levels(model, titles, outcome, verb)
    df = require_degrees(design, model, len(model.terms) + len(titles) - 1, verb)
    weights = design.domain_weights
    coefficients = fit_ordinal(model, weights, len(titles) - 1)
    if design.replicates is None:
        contributions = design.contributions(_derivative(model, weights, coefficients))
    else:
        contributions = each_replicate(design, lambda w: fit_ordinal(model, w, len(titles) - 1, coefficients))
    terms = [*model.terms, *(f"{low}|{high}" for low, high in pairwise(titles))]
    k, n_used = len(terms), int(model.used.sum())
    return OrdinalRegression(
        verb=verb,
        keys=pd.DataFrame({"term": terms}),
        estimate=coefficients,
        vcov=design.engine.covariance(contributions),
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
            "levels": list(titles),
            "n_used": n_used,
            "n_left_out": int(design.present.sum()) - n_used,
            "df_residual": df,
        },
        design=design,
        model=model,
        levels=titles,
        coefficients=coefficients,
    )


@dataclass(frozen=True, eq=False)
class _Slopes:
    """Derivatives of each respondent's log likelihood in the upper and the lower edge of the answer, shape (n,)."""

    upper: Floats
    lower: Floats
    upper_twice: Floats
    lower_twice: Floats
    both: Floats


def _slopes(model: Model, coefficients: Floats) -> _Slopes | None:
    """Return the derivatives; None where thresholds are not in order."""
    p = len(model.terms)
    thresholds = coefficients[p:]
    if not (np.diff(thresholds) > 0).all():
        return None
    y, eta = model.y.astype(np.int64), model.predictor(coefficients[:p])
    edges = np.concatenate([[-np.inf], thresholds, [np.inf]])
    upper, lower = edges[y + 1] - eta, edges[y] - eta
    at_upper, at_lower = special.expit(upper), special.expit(lower)
    # Where both edges lie far up, the difference is taken from above, where it keeps its digits.
    above = special.expit(-lower) - special.expit(-upper)
    chance = np.where(lower > 0, above, at_upper - at_lower)
    if not (chance[model.used] > 0).all():
        return None
    chance = np.where(model.used, chance, 1.0)
    dense_upper, dense_lower = at_upper * special.expit(-upper), at_lower * special.expit(-lower)
    a, b = dense_upper / chance, dense_lower / chance
    return _Slopes(
        a,
        -b,
        a * (special.expit(-upper) - at_upper) - a**2,
        -b * (special.expit(-lower) - at_lower) - b**2,
        a * b,
    )


def _score_and_information(model: Model, weights: Floats, coefficients: Floats) -> tuple[Floats, Floats]:
    """Return the gradient, shape (k,), NaN where thresholds are not in order, and the information, shape (k, k)."""
    slopes = _slopes(model, coefficients)
    k, p = len(coefficients), len(model.terms)
    if slopes is None:
        return np.full(k, np.nan), np.eye(k)
    y, q = model.y.astype(np.int64), k - p
    at_upper, at_lower = [(y == j) * weights for j in range(q)], [(y == j + 1) * weights for j in range(q)]
    gradient = np.empty(k)
    gradient[:p] = -model.matrix.moments(weights * (slopes.upper + slopes.lower))
    information = np.zeros((k, k))
    information[:p, :p] = model.matrix.gram(-weights * (slopes.upper_twice + slopes.lower_twice + 2 * slopes.both))
    for j, (up, low) in enumerate(zip(at_upper, at_lower, strict=True)):
        gradient[p + j] = up @ slopes.upper + low @ slopes.lower
        mixed = up * (slopes.upper_twice + slopes.both) + low * (slopes.lower_twice + slopes.both)
        information[:p, p + j] = information[p + j, :p] = model.matrix.moments(mixed)
        information[p + j, p + j] = -(up @ slopes.upper_twice + low @ slopes.lower_twice)
        if j + 1 < q:
            information[p + j, p + j + 1] = information[p + j + 1, p + j] = -float(low @ slopes.both)
    return gradient, information


def fit_ordinal(model: Model, weights: Floats, q: int, start: Floats | None = None) -> Floats:
    """Return slopes and thresholds that maximise the weighted likelihood, shape (p + q,)."""
    weights = np.where(model.used, weights, 0.0)
    if start is None:
        counts = np.bincount(model.y.astype(np.int64), weights, minlength=q + 1)
        start = np.concatenate([np.zeros(len(model.terms)), special.logit(np.cumsum(counts)[:-1] / counts.sum())])
    return climb(
        lambda coefficients, _: _score_and_information(model, weights, coefficients),
        start,
        lambda coefficients: _refuse_separation(model, coefficients),
        float(weights.sum()),
    )


def _refuse_separation(model: Model, coefficients: Floats) -> None:
    used, p = model.used, len(model.terms)
    x, y, q = model.x[used], model.y[used].astype(np.int64), len(coefficients) - p
    edge = np.eye(q + 1)
    upper = np.hstack([-x, edge[y][:, :q]])[y < q]
    lower = np.hstack([x, -edge[y - 1][:, :q]])[y > 0]
    rows = np.unique(np.vstack([upper, lower]), axis=0)
    far = bool(np.abs(x @ coefficients[:p] - coefficients[p:].mean()).max() > SEPARATION)
    named = [*model.terms, *["(Intercept)"] * q]
    refuse_direction(rows, np.ones(len(rows), dtype=bool), far, coefficients, named, "the outcome's levels")


def _derivative(model: Model, weights: Floats, coefficients: Floats) -> Floats:
    """Return the coefficients' derivative in each respondent's final weight, shape (n, k)."""
    slopes = _slopes(model, coefficients)
    if slopes is None:
        return np.full((len(weights), len(coefficients)), np.nan)
    p, used = len(model.terms), model.used
    _, information = _score_and_information(model, np.where(used, weights, 0.0), coefficients)
    scores = np.zeros((len(weights), len(coefficients)))
    scores[:, :p] = -model.x * (slopes.upper + slopes.lower)[:, None]
    y = model.y.astype(np.int64)
    for j in range(len(coefficients) - p):
        scores[:, p + j] = ((y == j) * slopes.upper + (y == j + 1) * slopes.lower) * used
    return np.asarray(np.linalg.solve(information, scores.T).T)
