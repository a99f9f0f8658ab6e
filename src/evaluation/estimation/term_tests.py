"""Tests of terms of a regression: whether several coefficients are zero at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, did_you_mean
from evaluation.estimation.arguments import require_number
from evaluation.estimation.quadratic_forms import saddlepoint_exceeds, sum_exceeds
from evaluation.regression.fitting import solve
from evaluation.regression.glm import Regression
from evaluation.results import Estimates, TestResult

Floats = NDArray[np.float64]
TermTest = Literal["Wald", "working_wald", "LRT", "working_lrt"]

_NAMES = {
    "Wald": "Wald test of terms",
    "working_wald": "Rao-Scott working Wald test of terms",
    "LRT": "Rao-Scott working likelihood ratio test of terms",
}


def term_test(
    fit: Estimates, terms: str | Sequence[str], *, method: TermTest = "Wald", df: float | None = None
) -> TestResult:
    """Test whether all coefficients of terms of a regression are zero.

    Parameters
    ----------
    fit : Regression
        From ``survey_glm``; for "Wald" any result whose rows are coefficients.
    terms : str or list of str
        Terms of the formula (a text column stands for all its levels) or single coefficients.
    method : {"Wald", "working_wald", "LRT", "working_lrt"}, default "Wald"
        "Wald": with the design's covariance. The others take the covariance, or the likelihood, as if respondents
        were drawn independently, and correct for that in the reference distribution, which keeps its size with few
        sampling units. "working_lrt" is another name of "LRT".
    df : float, optional
        Denominator degrees of freedom; default those of the coefficients, ``inf`` for a chi-squared reference.

    Returns
    -------
    TestResult
        Wald: F, or chi-squared where ``df`` is infinite. Otherwise the statistic, to be held against a weighted sum
        of chi-squared variables whose ``weights`` are the design effects of the tested coefficients. No p-value
        where no degrees of freedom are left.

    Raises
    ------
    EstimationError
        No such term, a result that cannot be refitted, or a covariance without inverse.

    Notes
    -----
    With :math:`V_0` the inverse information under weights of mean one and :math:`V` the design's covariance, the
    weights are the eigenvalues of :math:`V_0^{-1} V` (of the tested block). The likelihood ratio is the difference of
    deviances under such weights. For a family with dispersion both statistic and weights are in its unit, as R's.
    The tail is exact by numerical inversion; a design with ``linearization="r"`` takes R's saddlepoint.

    References
    ----------
    Rao and Scott (1984), Annals of Statistics 12, 46-60; Lumley and Scott (2014), Australian & New Zealand Journal
    of Statistics 56, 1-14. R twin: ``survey::regTermTest``; Stata: ``test`` after ``svy``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.regression.glm import survey_glm
    >>> respondents = pd.DataFrame({"y": [1.0, 2, 4, 4, 6, 9], "x": [0.0, 1, 2, 3, 4, 5]})
    >>> fit = survey_glm(survey_design(respondents), outcome="y", covariates=["x"])
    >>> round(term_test(fit, "x").statistic, 4) == round(float(fit.tidy()["statistic"][1] ** 2), 4)
    True
    """
    name = _method(method)
    if not isinstance(fit, Estimates):
        raise EstimationError(f"term_test needs a regression, got {type(fit).__name__}. Fit it with ev.survey_glm.")
    if df is not None:
        df = require_number(df, "term_test: df", above=0, infinite=True, move="Leave it out for those of the design.")
    if not isinstance(terms, (str, list, tuple)):
        raise EstimationError(
            f"term_test: terms must be a term or a list of terms, got {terms!r}. Write 'age', or ['age', 'sex']."
        )
    named = [terms] if isinstance(terms, str) else list(terms)
    tested = _coefficients(fit, named)
    degrees = float(fit.df[tested].min()) if df is None else float(df)
    hypothesis = f"all coefficients of {', '.join(named)} are zero"
    facts = {"kind": "terms", "variables": named}
    if name == "Wald":
        return replace(_wald(fit, tested, degrees, hypothesis), facts=facts)
    if not isinstance(fit, Regression) or len(fit) != len(fit.coefficients):
        raise EstimationError(
            f"term_test: method='{method}' needs the whole regression from ev.survey_glm, got rows of {fit.verb}. "
            f"method='Wald' needs coefficients alone."
        )
    return replace(_working(fit, tested, degrees, name, hypothesis), facts=facts)


def _method(method: object) -> str:
    """Return the test's name; capitals do not matter."""
    by_spelling = {name.lower(): name for name in _NAMES} | {"working_lrt": "LRT"}
    if not isinstance(method, str) or method.lower() not in by_spelling:
        options = (*_NAMES, "working_lrt")
        raise EstimationError(f"term_test: no method {method!r}. {did_you_mean(method, options)}")
    return by_spelling[method.lower()]


def _coefficients(fit: Estimates, named: Sequence[str]) -> NDArray[np.int64]:
    """Return the rows of the coefficients that terms have."""
    rows = [str(term) for term in fit.keys["term"]]
    owners = list(fit.model.term_of) if isinstance(fit, Regression) and len(fit.model.terms) == len(rows) else rows
    found: list[int] = []
    for name in named:
        own = [at for at, row in enumerate(rows) if name in (row, owners[at]) or row.startswith(f"{name}[")]
        if not own:
            options = list(dict.fromkeys([*owners, *rows]))
            raise EstimationError(f"term_test: the regression has no term '{name}'. {did_you_mean(name, options)}")
        found += own
    if not found:
        raise EstimationError("term_test needs at least one term; none was given.")
    return np.unique(np.array(found, dtype=np.int64))


def _wald(fit: Estimates, tested: NDArray[np.int64], df: float, hypothesis: str) -> TestResult:
    q, block, beta = len(tested), fit.vcov[np.ix_(tested, tested)], fit.estimate[tested]
    _refuse_singular(block, q, df)
    wald = float(beta @ np.linalg.solve(block, beta))
    known = df > 0
    infinite = np.isinf(df)
    return TestResult(
        test=_NAMES["Wald"],
        hypothesis=hypothesis,
        statistic=wald if infinite else wald / q,
        ndf=float(q),
        ddf=df,
        p_value=float(stats.chi2.sf(wald, q) if infinite else stats.f.sf(wald / q, q, df)) if known else np.nan,
        n_obs=int(fit.n_obs.max()),
        provenance=fit.provenance,
        distribution="chi-squared" if infinite else "F",
    )


def _refuse_singular(block: Floats, q: int, df: float) -> None:
    scale = np.sqrt(np.clip(np.diag(block), 0, None))
    correlation = block / np.where(scale > 0, np.outer(scale, scale), 1.0)
    if not np.isfinite(block).all() or np.linalg.matrix_rank(correlation, hermitian=True) < q:
        raise EstimationError(
            f"term_test: the covariance of {q} coefficients on {df:g} degrees of freedom has no inverse: too few "
            f"sampling units for so many coefficients. Test fewer at once, or use method='LRT', which needs no inverse."
        )


@dataclass(frozen=True, eq=False)
class _Working:
    """What the tested coefficients would be like if respondents were drawn independently."""

    covariance: Floats
    scaled: Floats


def _working(fit: Regression, tested: NDArray[np.int64], df: float, name: str, hypothesis: str) -> TestResult:
    working = _as_if_independent(fit)
    inside = np.ix_(tested, tested)
    precision = np.linalg.inv(working.covariance[inside])
    root = np.linalg.cholesky(precision)
    weights = np.asarray(np.linalg.eigvalsh(root.T @ fit.vcov[inside] @ root)[::-1], dtype=np.float64)
    if name == "LRT":
        statistic = max(_deviance(fit, working, tested) - _deviance(fit, working, None), 0.0)
    else:
        statistic = float(fit.estimate[tested] @ precision @ fit.estimate[tested])
    return TestResult(
        test=_NAMES[name],
        hypothesis=hypothesis,
        statistic=statistic,
        ndf=float(len(tested)),
        ddf=df,
        p_value=_tail(fit, statistic, weights, df),
        n_obs=int(fit.n_obs.max()),
        provenance=fit.provenance,
        distribution="sum of chi-squared",
        weights=tuple(map(float, weights)),
    )


def _as_if_independent(fit: Regression) -> _Working:
    used = fit.model.used
    weights = np.where(used, fit.design.domain_weights, 0.0)
    scaled = weights * used.sum() / weights.sum()
    y, mean = np.where(used, fit.model.y, 1.0), np.where(used, fit.mean, 0.5)
    information = np.where(used, fit.kind.information(y, mean, expected=True), 0.0)
    covariance = np.linalg.inv(fit.model.matrix.gram(scaled * information))
    return _Working(np.asarray(covariance, dtype=np.float64), scaled)


def _deviance(fit: Regression, working: _Working, without: NDArray[np.int64] | None) -> float:
    """Return the deviance of the regression, or of the one ``without`` some coefficients."""
    model, used, coefficients = fit.model, fit.model.used, fit.coefficients
    if without is not None:
        kept = np.setdiff1d(np.arange(len(coefficients)), without)
        model = model.changed(model.x[:, kept], terms=[model.terms[at] for at in kept])
        coefficients = solve(model, fit.design.domain_weights, fit.kind) if len(kept) else np.zeros(0)
    mean = fit.kind.mean(model.predictor(coefficients)[used])
    return float(working.scaled[used] @ fit.kind.deviance(model.y[used], mean))


def _tail(fit: Regression, statistic: float, weights: Floats, df: float) -> float:
    positive = weights[weights > 1e-12 * np.abs(weights).max()]
    if len(positive) == 0:
        return np.nan
    if fit.design.linearization == "r":
        return saddlepoint_exceeds(statistic, positive, df, whole_df=True)
    return sum_exceeds(statistic, positive, df)
