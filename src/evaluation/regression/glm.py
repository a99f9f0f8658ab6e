"""Generalised linear models with design-based standard errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.regression.families import GlmFamily, Kind, Link, kind_of
from evaluation.regression.fitting import solve
from evaluation.regression.matrix import Coded
from evaluation.regression.model import Model, read_model, require_degrees, require_errors, require_other_columns
from evaluation.regression.replicates import refit_replicates
from evaluation.results import Estimates

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Regression(Estimates):
    """Coefficients of a regression, with what it takes to predict from it and to test it.

    Attributes
    ----------
    design : Design
        Whose respondents were asked.
    model : Model
        Outcome, model matrix, and who is in the regression.
    kind : Kind
        Family and link.
    coefficients : ndarray, shape (p,)
        All of them, whatever rows were taken since.
    """

    design: Design
    model: Model
    kind: Kind
    coefficients: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def family(self) -> GlmFamily:
        """Family of the outcome."""
        return self.kind.family

    @property
    def link(self) -> Link:
        """Function of the mean that is linear in the covariates."""
        return self.kind.link

    @cached_property
    def mean(self) -> Floats:
        """Fitted mean of each respondent, shape (n,); zero for those who are not in the regression."""
        eta = self.model.predictor(self.coefficients)
        return np.where(self.model.used, self.kind.mean(np.where(self.model.used, eta, 1.0)), 0.0)

    @property
    def levels(self) -> tuple[str, ...]:
        """No categories: one mean is predicted."""
        return ()

    def respond(self, x: Floats, coefficients: Floats, offset: Floats | float = 0.0) -> Floats:
        """Return the mean of the outcome, shape (m, 1), at rows of the model matrix, shape (m, p)."""
        return self.kind.mean(x @ coefficients + offset)[:, None]

    def gradient(self, x: Floats, coefficients: Floats, offset: Floats | float = 0.0) -> Floats:
        """Return the derivative of ``respond`` in the coefficients, shape (m, 1, p)."""
        slope = self.kind.slope(self.kind.mean(x @ coefficients + offset))
        return np.asarray((slope[:, None] * x)[:, None, :])

    def glance(self) -> pd.DataFrame:
        """Return one row about the fit: besides what every result tells, deviance and dispersion.

        Deviances are weighted sums with weights of mean one; dispersion is the variance of the Pearson residuals in
        the population.
        """
        return super().glance().assign(**_goodness(self))


def survey_glm(
    design: Design,
    *,
    outcome: str,
    covariates: str | Sequence[str],
    family: GlmFamily = "gaussian",
    link: Link | None = None,
    offset: str | None = None,
    conf_level: float = 0.95,
) -> Regression:
    """Estimate the coefficients of a linear, logistic, Poisson or gamma regression in the population.

    Parameters
    ----------
    design : Design
        Any design; a domain restricts the regression, not the design.
    outcome : str
        Numeric column. For "binomial" 0/1, boolean, a share between 0 and 1, or text with two levels of which the
        first (of categories in their order, else sorted) is the reference; for "poisson" zero and above, for
        "gamma" above zero.
    covariates : str or list of str
        Column names, or a one-sided formula such as ``"~ ell + meals"``; a name that is no
        plain identifier stands in backticks there. Text columns become
        levels, of which the first (of categories in their order, else sorted) is the reference; levels
        that nobody in the regression has are left out.
    family : {"gaussian", "binomial", "poisson", "gamma"}, default "gaussian"
        Only the mean need follow it: overdispersion enters the standard errors by itself.
    link : {"identity", "logit", "log", "inverse"}, optional
        Default: identity, logit, log and log; "inverse" is the other choice for "gamma", and what R takes there.
    offset : str, optional
        Column, or one-sided formula such as ``"~ log(enroll)"``, that enters the linear predictor with coefficient 1.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Regression
        One row per coefficient. Degrees of freedom are the design's plus one minus the number of
        coefficients, as in R.

    Raises
    ------
    ColumnError
        A column does not exist, or the outcome is not of the family's kind.
    EstimationError
        The outcome is constant, weights are negative, no degrees of freedom are left, or the iteration does not
        converge.
    IdentificationError
        Covariates are collinear, or one separates the outcome's levels.

    Notes
    -----
    Coefficients solve :math:`\\sum_i w_i x_i s_i = 0` with :math:`s_i = (y_i - \\mu_i) \\mu_i' / V(\\mu_i)`, which is
    :math:`y_i - \\mu_i` except for gamma; the influence is :math:`A^{-1} w_i x_i s_i` with
    :math:`A = -\\sum_i w_i x_i x_i' \\partial s_i / \\partial \\eta_i`. R takes the expectation of A, which is
    another number for gamma with log link only; so do designs with ``linearization="r"``. Respondents with a missing
    value are a domain left out.

    References
    ----------
    Binder (1983), International Statistical Review 51, 279-292. R twin: ``survey::svyglm``
    (``quasibinomial`` and ``quasipoisson``); Stata: ``svy: regress``, ``svy: logit``, ``svy: poisson``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> survey_glm(survey_design(respondents), outcome="y", covariates="~ x").estimate.round(6).tolist()
    [0.9, 1.4]
    """
    require_design(design, "survey_glm")
    kind = kind_of(family, link, "survey_glm")
    design.require_no_negative_weights("survey_glm")
    model = read_model(design, outcome, covariates, kind.family, offset=offset, shares=True)
    _refuse_constant(model, outcome)
    require_other_columns(outcome, covariates)
    coefficients = solve(model, design.domain_weights, kind)
    return _regression(design, model, kind, coefficients, outcome, conf_level)


def _regression(
    design: Design, model: Model, kind: Kind, coefficients: Floats, outcome: str, conf_level: float
) -> Regression:
    p, n_used = len(coefficients), int(model.used.sum())
    df = require_degrees(design, model, p, "survey_glm")
    if design.replicates is None:
        contributions = _contributions(design, model, kind, coefficients)
    else:
        contributions = refit_replicates(design, model, kind, coefficients)
    vcov = design.engine.covariance(contributions)
    require_errors(df, p, vcov, "survey_glm")
    return Regression(
        verb="survey_glm",
        keys=pd.DataFrame({"term": model.terms}),
        estimate=coefficients,
        vcov=vcov,
        df=np.full(p, float(df)),
        n_obs=np.full(p, n_used),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(derivative(design, model, kind, coefficients)),
        conf_level=conf_level,
        fit={
            "outcome": outcome,
            "family": kind.family,
            "formula": model.formula,
            "reference": model.reference,
            "n_used": n_used,
            "n_left_out": int(design.present.sum()) - n_used,
            "df_residual": df,
        },
        design=design,
        model=model,
        kind=kind,
        coefficients=coefficients,
    )


def scores_and_information(design: Design, model: Model, kind: Kind, coefficients: Floats) -> tuple[Floats, Floats]:
    """Return each respondent's score in the linear predictor, shape (n,), and the information, shape (p, p)."""
    eta = np.where(model.used, model.predictor(coefficients), 1.0)
    y, mean = np.where(model.used, model.y, 1.0), kind.mean(eta)
    scores = np.where(model.used, kind.score(y, mean), 0.0)
    weights = np.where(model.used, design.domain_weights, 0.0)
    information = kind.information(y, mean, expected=design.linearization == "r")
    return scores, model.matrix.gram(weights * information)


def derivative(design: Design, model: Model, kind: Kind, coefficients: Floats) -> Floats:
    """Return the coefficients' derivative in each respondent's final weight, shape (n, p)."""
    scores, information = scores_and_information(design, model, kind, coefficients)
    return np.asarray(np.linalg.solve(information, (model.x * scores[:, None]).T).T)


def _contributions(design: Design, model: Model, kind: Kind, coefficients: Floats) -> Floats:
    """Return the weighted influence per sampling unit, shape (n_contributions, p), without a row per respondent."""
    matrix = model.matrix
    if not design.collapses or not isinstance(matrix, Coded):
        return design.contributions(derivative(design, model, kind, coefficients))
    scores, information = scores_and_information(design, model, kind, coefficients)
    chain, sampling = design.derivative, design.sampling
    sums = np.zeros((design.n_contributions, len(coefficients)))
    sums[: sampling.n_units] = matrix.sums_by(sampling.unit, sampling.n_units, scores * chain.factor)
    if chain.middle is not None:
        scored = matrix.columns.scaled(scores)
        sums -= design.chain_by_unit @ np.vstack([part.cross(scored) for part in chain.right])[:, matrix.order]
    return np.asarray(np.linalg.solve(information, sums.T).T)


def _refuse_constant(model: Model, outcome: str) -> None:
    y = model.y[model.used]
    if np.ptp(y) == 0:
        raise EstimationError(
            f"outcome '{outcome}' is constant ({y[0]:g}) for all {len(y)} respondents used, so there is nothing to "
            f"explain. Choose another outcome, or a domain in which it varies."
        )


def _goodness(fit: Regression) -> dict[str, Any]:
    model, kind, used = fit.model, fit.kind, fit.model.used
    weights = fit.design.weights[used]
    scaled = weights / weights.mean()
    y, mean = model.y[used], fit.mean[used]
    pearson = (y - mean) / np.sqrt(kind.variance(mean))
    centred = pearson - np.average(pearson, weights=weights)
    return {
        "link": kind.link,
        "deviance": float(scaled @ kind.deviance(y, mean)),
        "null_deviance": float(scaled @ kind.deviance(y, _null_mean(fit)[used])),
        "dispersion": float(weights @ centred**2 / weights.sum() * len(y) / (len(y) - 1)),
    }


def _null_mean(fit: Regression) -> Floats:
    """Return the fitted means without covariates, shape (n,); zero where not used."""
    model, used = fit.model, fit.model.used
    null = model.changed(used[:, None].astype(float), terms=["(Intercept)"])
    level = solve(null, fit.design.domain_weights, fit.kind) if "(Intercept)" in model.terms else np.zeros(1)
    eta = null.predictor(level)
    return np.where(used, fit.kind.mean(np.where(used, eta, 1.0)), 0.0)
