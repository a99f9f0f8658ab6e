"""Whether slopes are the same at every threshold, as proportional odds take for granted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import each_replicate
from evaluation.errors import EstimationError, IdentificationError, SeparationError
from evaluation.regression.families import Kind
from evaluation.regression.fitting import solve
from evaluation.regression.glm import derivative
from evaluation.regression.model import Model, model_of
from evaluation.regression.ordinal import OrdinalRegression
from evaluation.results import TestResult

Floats = NDArray[np.float64]

LOGISTIC = Kind("binomial", "logit")


def parallel_slopes_test(fit: OrdinalRegression) -> TestResult:
    """Test whether a proportional-odds regression has the same slopes at every threshold.

    Parameters
    ----------
    fit : OrdinalRegression
        From ``survey_ordinal``.

    Returns
    -------
    TestResult
        F on (thresholds less one) times slopes, and the regression's degrees of freedom. A small p-value says that
        one slope does not tell the whole: see which, in logistic regressions of "above each threshold".

    Raises
    ------
    EstimationError
        ``fit`` is no ordinal regression, has no covariates, or too few sampling units.
    IdentificationError
        A covariate separates the answers at one threshold.

    Notes
    -----
    One logistic regression of being above each threshold; their joint covariance comes from their influence under the
    design, and the differences of slopes from those at the first threshold are tested by Wald's statistic.

    References
    ----------
    Brant (1990), Biometrics 46, 1171-1178.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.regression.ordinal import survey_ordinal
    >>> answers = pd.DataFrame({"y": [1, 2, 3, 1, 2, 3] * 5, "x": [0.0, 1, 2, 2, 1, 0, 1, 2, 2, 0] * 3})
    >>> parallel_slopes_test(survey_ordinal(survey_design(answers), outcome="y", covariates="x")).ndf
    1.0
    """
    if not isinstance(fit, OrdinalRegression):
        raise EstimationError("parallel_slopes_test needs a regression from ev.survey_ordinal.")
    if not fit.model.terms:
        raise EstimationError("parallel_slopes_test: the regression has no covariates, so there are no slopes.")
    if len(fit.levels) < 3:
        raise EstimationError("parallel_slopes_test: the regression has one threshold, so there is nothing to compare.")
    models = _models(fit)
    slopes, covariance = _joint_slopes(fit, models)
    p, ndf = slopes.shape[1], slopes[1:].size
    differences = np.hstack([np.tile(-np.eye(p), (len(slopes) - 1, 1)), np.eye(ndf)])
    apart, spread = differences @ slopes.ravel(), differences @ covariance @ differences.T
    ddf = float(fit.df[0])
    if ddf <= 0 or np.linalg.matrix_rank(spread, hermitian=True) < ndf:
        raise EstimationError(
            f"parallel_slopes_test compares {ndf} pairs of slopes, but the sampling units leave {ddf:g} degrees of "
            f"freedom. Test a regression with fewer covariates, or merge categories."
        )
    statistic = float(apart @ np.linalg.solve(spread, apart)) / ndf
    return TestResult(
        test="Wald test of parallel slopes",
        hypothesis=f"slopes are the same at all {len(slopes)} thresholds",
        statistic=statistic,
        ndf=float(ndf),
        ddf=ddf,
        p_value=float(stats.f.sf(statistic, ndf, ddf)),
        n_obs=int(fit.n_obs[0]),
        provenance=fit.provenance,
        facts={"kind": "parallel", "number": len(slopes)},
    )


def _models(fit: OrdinalRegression) -> list[Model]:
    """Return the logistic regression of being above each threshold, intercept included."""
    y = np.where(fit.model.used, fit.model.y, np.nan)
    whole = model_of(fit.design, y, str(fit.fit["outcome"]), f"~ {fit.model.formula}")
    cuts = range(len(fit.levels) - 1)
    return [replace(whole, y=np.where(whole.used, whole.y > cut, 0.0).astype(float)) for cut in cuts]


def _joint_slopes(fit: OrdinalRegression, models: list[Model]) -> tuple[Floats, Floats]:
    """Return the slopes at each threshold, shape (q, p), and their covariance, shape (q p, q p)."""
    design = fit.design

    def slopes(weights: Floats) -> Floats:
        return np.concatenate([_fitted(fit, cut, model, weights)[1:] for cut, model in enumerate(models)])

    if design.replicates is not None:
        contributions = each_replicate(design, slopes)
        return contributions[-1].reshape(len(models), -1), design.engine.covariance(contributions)
    coefficients = [_fitted(fit, cut, model, design.domain_weights) for cut, model in enumerate(models)]
    influence = [derivative(design, model, LOGISTIC, b)[:, 1:] for model, b in zip(models, coefficients, strict=True)]
    return np.vstack([b[1:] for b in coefficients]), design.engine.covariance(
        design.contributions(np.hstack(influence))
    )


def _fitted(fit: OrdinalRegression, cut: int, model: Model, weights: Floats) -> Floats:
    try:
        return solve(model, weights, LOGISTIC)
    except SeparationError as error:
        raise IdentificationError(
            f"parallel_slopes_test: above '{fit.levels[cut]}' against the rest: {error}"
        ) from None
