"""Degrees of freedom where sampling units are few or unequal: how well the data know their own standard errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by, sum_by
from evaluation.design.design import Design, require_design
from evaluation.design.sampling import Sampling
from evaluation.design.variance import TaylorEngine
from evaluation.errors import DesignError, EstimationError, require_flag
from evaluation.estimation.contrasts import contrast
from evaluation.estimation.domains import cells_by, code_levels, outcomes_of
from evaluation.regression.glm import Regression
from evaluation.results import Estimates

Floats = NDArray[np.float64]

#: With more sampling units than this the degrees of freedom of the design serve; the table of pairs would be large.
MAXIMUM_UNITS = 2_000
METHOD = "Satterthwaite (Bell-McCaffrey)"


def small_sample_df(
    result: Estimates,
    design: Design | None = None,
    *,
    contrasts: Mapping[str, Mapping[str, float]] | None = None,
    enlarge_errors: bool = False,
) -> Estimates:
    """Estimate degrees of freedom from how unequal the sampling units are, instead of counting units less strata.

    Parameters
    ----------
    result : Estimates
        From ``survey_mean``, ``survey_prop(interval="t")`` or ``survey_glm``, on linearization.
    design : Design, optional
        What it was made from; a regression brings its own.
    contrasts : mapping of label to mapping of row to coefficient, optional
        As in ``contrast``: the degrees of freedom are then those of the differences, which are returned. All rows of
        one contrast must be of one variable.
    enlarge_errors : bool, default False
        Divide each standard error by the root of the share of the variance that the design's estimator would find on
        average: with few unequal units it is too small, since large units pull the estimate to themselves. Better
        covered, and no longer the design's own: the result then has no influence function.

    Returns
    -------
    Estimates
        With its ``df``, intervals and p-values changed, and ``df_method`` in ``glance()``. Rows whose error is known
        to be zero have no degrees of freedom (NaN).

    Raises
    ------
    EstimationError
        Another kind of result, replicates, more than 2,000 sampling units, or an interval that is no t interval.

    Notes
    -----
    The estimated variance is a quadratic form :math:`y' Q y`. If the outcomes were independent with the model's
    variance (constant, or :math:`\\mu (1 - \\mu)`) its first two moments would be those of a chi-squared variable with
    :math:`2 E^2 / V = (\\mathrm{tr}\\, A \\Omega)^2 / \\mathrm{tr} (A \\Omega)^2` degrees of freedom, A the engine's
    form and :math:`\\Omega` the covariance of the contributions of units, the estimated coefficients counted in.
    Equal units give units less strata; one unit that holds half of the weight gives far fewer. Weights count as
    they are at the end of the chain, and lonely-PSU rules without their extension to domains. The share is
    :math:`\\mathrm{tr} A \\Omega / \\mathrm{tr} A \\Omega_0`, :math:`\\Omega_0` with the coefficients known.

    Answers alike within units make it harder: with units of 60, 8, 6 and 6 respondents and a correlation of 0.2
    within them 95 % intervals of a mean held it in 76 % of 2,000 samples with design degrees of freedom, in 83 % with
    these, in 91 % with enlarged errors too (with a correlation of 0: 88, 92 and 96 %).

    References
    ----------
    Bell and McCaffrey (2002), Survey Methodology 28, 169-181; Pustejovsky and Tipton (2018), Journal of Business and
    Economic Statistics 36, 672-683. Compare R: ``survey::svyglm(std.errors = "Bell-McCaffrey", degf = TRUE)`` from
    4.5 on, which enlarges the standard errors as well, and takes one number for all coefficients.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> respondents = pd.DataFrame({"block": list("aabbccdd"), "y": [1.0, 2, 4, 3, 6, 7, 5, 9]})
    >>> design = survey_design(respondents, psu="block")
    >>> small_sample_df(survey_mean(design, "y"), design).df.round(6).tolist()
    [3.0]
    """
    if isinstance(result, Regression) and design is None:
        design = result.design
    if design is None:
        raise DesignError(f"small_sample_df needs the design that {_name(result)} was made from: pass it as design=.")
    require_design(design, "small_sample_df")
    require_flag(enlarge_errors, "small_sample_df: enlarge_errors", EstimationError)
    _refuse_unsuited(result)
    _refuse_other_design(result, design)
    combined, matrix = result, np.eye(len(result))
    if contrasts is not None:
        combined, matrix = contrast(result, contrasts), np.zeros((len(contrasts), len(result)))
        addresses = result.addresses()
        for row, coefficients in enumerate(contrasts.values()):
            for address, coefficient in coefficients.items():
                matrix[row, addresses.index(address)] = coefficient
    form = variance_form(design)
    moments = [_row_moments(result, design, row, form) for row in matrix]
    changed = replace(
        combined,
        df=np.array([found.df for found in moments]),
        interval=None,
        fit={**combined.fit, "df_method": METHOD},
    )
    return _enlarged(changed, np.array([found.share for found in moments])) if enlarge_errors else changed


def _enlarged(result: Estimates, share: Floats) -> Estimates:
    """Return the result with variances divided by the share of them that is found on average, shape (k,)."""
    factor = 1 / np.sqrt(share)
    return replace(
        result,
        vcov=result.vcov * np.outer(factor, factor),
        engine=None,
        contributions=None,
        influence_of=None,
        method=f"{result.variance_method}, enlarged for few units",
    )


def _name(result: object) -> str:
    return result.verb if isinstance(result, Estimates) else type(result).__name__


def _refuse_unsuited(result: Estimates) -> None:
    known = isinstance(result, Regression) or _name(result) in ("survey_mean", "survey_prop")
    if not known or not isinstance(result, Estimates):
        raise EstimationError(
            f"small_sample_df knows means, shares and regression coefficients, got {_name(result)}. For a difference "
            f"pass the means, and the difference as contrasts={{...}}."
        )
    if result.interval is not None:
        raise EstimationError(
            f"small_sample_df changes t intervals, but {result.verb} made {result.interval_method} ones. "
            f"Ask for interval='t' first."
        )


def _refuse_other_design(result: Estimates, design: Design) -> None:
    engine = result.engine
    if isinstance(engine, TaylorEngine) and not engine.sampling.is_same_sample(design.sampling):
        raise DesignError(
            f"small_sample_df: {result.verb} was made from another design than the one that was passed (other "
            f"respondents or sampling units). Pass the design that it was made from."
        )


def _row_moments(result: Estimates, design: Design, coefficients: Floats, form: Floats) -> WorkingMoments:
    used = np.flatnonzero(coefficients)
    terms = [str(term) for term in result.keys["term"].iloc[used]]
    if isinstance(result, Regression):
        model, place = _regression(result), {int(at): result.model.terms.index(terms[i]) for i, at in enumerate(used)}
    elif len(set(terms)) == 1:
        model, place = _domains(result, design, terms[0])
    else:
        raise EstimationError(
            f"small_sample_df: a contrast of several variables ({', '.join(dict.fromkeys(terms))}) has no common "
            f"model. Put the difference into a column of the data, and take its mean."
        )
    row = np.zeros((model.x.shape[1], 1))
    for at in used:
        row[place[int(at)]] += coefficients[at]
    return working_moments(design, model, row, form)[0]


@dataclass(frozen=True, eq=False)
class WorkingModel:
    """A linear predictor with the variance that outcomes would have if they were independent.

    Attributes
    ----------
    x : ndarray, shape (n, p)
        Zero in rows that do not count.
    information : ndarray, shape (n,)
        Square of the slope of the mean over the variance of the outcome: one for an identity link.
    """

    x: Floats
    information: Floats


def _domains(result: Estimates, design: Design, term: str) -> tuple[WorkingModel, dict[int, int]]:
    """Return means by domain as a regression on dummies of the domains, and the dummy of each row of the result."""
    by = [str(name) for name in result.keys.columns if name not in ("term", "level")]
    cells = cells_by(design, by or None)
    if result.verb == "survey_prop":
        answered = code_levels(design.column(term), design.present)[1] >= 0
    else:
        answered = outcomes_of(design, [term], listwise=False, verb="small_sample_df").answered[:, 0]
    code = np.where(answered & design.present, cells.code, -1)
    x = (code[:, None] == np.arange(len(cells))).astype(float)
    rows = np.flatnonzero((result.keys["term"] == term).to_numpy())
    keys = list(map(tuple, cells.keys.astype(object).to_numpy().tolist())) if by else [()]
    place = {int(at): keys.index(tuple(result.keys[by].iloc[at].tolist())) if by else 0 for at in rows}
    return WorkingModel(x, np.ones(len(design))), place


def _regression(result: Regression) -> WorkingModel:
    used = result.model.used
    y, mean = np.where(used, result.model.y, 1.0), np.where(used, result.mean, 0.5)
    return WorkingModel(result.model.x, np.where(used, result.kind.information(y, mean, expected=True), 0.0))


@dataclass(frozen=True)
class WorkingMoments:
    """What a variance estimate would be like if outcomes were independent.

    Attributes
    ----------
    df : float
        Degrees of freedom of a chi-squared variable with its first two moments; NaN where it is always zero.
    share : float
        Its mean over the variance; NaN likewise.
    """

    df: float
    share: float


def working_moments(
    design: Design, model: WorkingModel, combinations: Floats, form: Floats | None = None
) -> list[WorkingMoments]:
    """Return the moments of the estimated variances of linear combinations of a model's coefficients.

    Parameters
    ----------
    design : Design
        On linearization, with at most 2,000 sampling units.
    model : WorkingModel
        p coefficients.
    combinations : ndarray, shape (p, k)
        Coefficients of the k combinations.
    form : ndarray, shape (n_units, n_units), optional
        From ``variance_form``, where it is known already.
    """
    form = variance_form(design) if form is None else form
    w, x, v = design.domain_weights, model.x, model.information
    used = (np.abs(x) > 0).any(axis=0)
    x = x[:, used]
    inverse = np.linalg.pinv(x.T @ ((w * v)[:, None] * x), hermitian=True)
    spread = (v * w**2)[:, None] * x
    inner = inverse @ (x.T @ spread) @ inverse
    unit, n_units = design.sampling.unit, design.sampling.n_units
    found = []
    for column in combinations[used].T:
        q = x @ (inverse @ column)
        leverage = sum_by(unit, n_units, (w * v * q)[:, None] * x)
        crossed = leverage @ inverse @ sum_by(unit, n_units, q[:, None] * spread).T
        own = mass_by(unit, n_units, v * (w * q) ** 2)
        product = form @ (np.diag(own) - crossed - crossed.T + leverage @ inner @ leverage.T)
        known, trace, square = float(np.diag(form) @ own), float(np.trace(product)), float((product * product.T).sum())
        exists = trace > 1e-12 * known
        found.append(WorkingMoments(trace**2 / square if exists else np.nan, trace / known if exists else np.nan))
    return found


def variance_form(design: Design) -> Floats:
    """Return the variance engine as a matrix between sampling units: what it makes of one unit's contribution alone."""
    if design.replicates is not None or not isinstance(design.engine, TaylorEngine):
        raise EstimationError(
            "small_sample_df needs linearization; replicates have the degrees of freedom of their factors. "
            "Use the design that the replicates were made from."
        )
    n_units = design.sampling.n_units
    if n_units > MAXIMUM_UNITS:
        raise EstimationError(
            f"small_sample_df: {n_units:,} sampling units are more than {MAXIMUM_UNITS:,}, where the degrees of "
            f"freedom of the design ({design.degrees_of_freedom()}) serve as well."
        )
    return replace(design.engine, sampling=_one_form(design.sampling), outside=()).covariance(np.eye(n_units))


def _one_form(sampling: Sampling) -> Sampling:
    """Return the sampling with lonely-PSU rules that are the same whatever numbers they are asked of.

    The mean of other strata raises all variances alike, which leaves their degrees of freedom as they are.
    """
    rules = sampling.rules
    lonely = "remove" if rules.lonely_psu == "average" else rules.lonely_psu
    parts = tuple(replace(part, sampling=_one_form(part.sampling)) for part in sampling.parts)
    return replace(sampling, rules=replace(rules, lonely_psu=lonely, lonely_domains=False), parts=parts)
