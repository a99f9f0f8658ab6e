"""Generalised linear models with design-based standard errors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import formulaic
import numpy as np
import pandas as pd
from formulaic.errors import FormulaicError
from numpy.typing import NDArray
from scipy import special

from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import ColumnError, EstimationError, IdentificationError, did_you_mean
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Family = Literal["gaussian", "binomial"]

#: Newton steps stop when the coefficients move by less than this, relative to their size.
TOLERANCE = 1e-9
MAXIMUM_STEPS = 100
#: Beyond this the fitted log odds mean that a covariate separates the answers.
SEPARATION = 30.0


def survey_glm(
    design: Design,
    *,
    outcome: str,
    covariates: str | Sequence[str],
    family: Family = "gaussian",
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the coefficients of a linear or logistic regression in the population.

    Parameters
    ----------
    design : Design
        Any design; a domain restricts the regression, not the design.
    outcome : str
        Numeric column; for "binomial" 0/1, boolean, or text with two levels of which the first
        (of categories in their order, else sorted) is the reference.
    covariates : str or list of str
        Column names, or a one-sided formula such as ``"~ ell + meals"``; a name that is no
        plain identifier stands in backticks there. Text columns become
        levels, of which the first (of categories in their order, else sorted) is the reference; levels
        that nobody in the regression has are left out.
    family : {"gaussian", "binomial"}, default "gaussian"
        Identity or logit link.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per coefficient. Degrees of freedom are the design's plus one minus the number of
        coefficients, as in R.

    Raises
    ------
    ColumnError
        A column does not exist, or the outcome is not of the family's kind.
    EstimationError
        The outcome is constant, weights are negative, or the iteration does not converge.
    IdentificationError
        Covariates are collinear, or one separates the outcome's levels.

    Notes
    -----
    Coefficients solve :math:`\\sum_i w_i x_i (y_i - \\mu_i) = 0`; the influence is
    :math:`A^{-1} w_i x_i (y_i - \\mu_i)` with :math:`A = \\sum_i w_i v_i x_i x_i'`. Respondents with a missing
    value are a domain left out.

    References
    ----------
    Binder (1983), International Statistical Review 51, 279-292. R twin: ``survey::svyglm``
    (``quasibinomial`` for "binomial"); Stata: ``svy: regress``, ``svy: logit``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 4.0, 5.0], "x": [0.0, 1.0, 2.0, 3.0]})
    >>> survey_glm(survey_design(respondents), outcome="y", covariates="~ x").estimate.round(6).tolist()
    [0.9, 1.4]
    """
    require_design(design, "survey_glm")
    if family not in ("gaussian", "binomial"):
        raise EstimationError(f"family must be 'gaussian' or 'binomial', got {family!r}.")
    design.require_no_negative_weights("survey_glm")
    model = read_model(design, outcome, covariates, family)
    _refuse_constant(model, outcome)
    coefficients = fit(model, design.domain_weights, family)
    z = influence(model, design.domain_weights, coefficients, family)
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(design, lambda weights: fit(model, weights, family))
    df = design.degrees_of_freedom(model.used) + 1 - len(coefficients)
    n_used = int(model.used.sum())
    return Estimates(
        verb="survey_glm",
        keys=pd.DataFrame({"term": model.terms}),
        estimate=coefficients,
        vcov=design.engine.covariance(contributions),
        df=np.full(len(coefficients), float(df)),
        n_obs=np.full(len(coefficients), n_used),
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
        fit={
            "outcome": outcome,
            "family": family,
            "formula": model.formula,
            "reference": model.reference,
            "n_used": n_used,
            "n_left_out": int(design.present.sum()) - n_used,
            "df_residual": df,
        },
    )


@dataclass(frozen=True, eq=False)
class Model:
    """A regression to be fitted, whatever the weights.

    Attributes
    ----------
    x : ndarray, shape (n, p)
        Model matrix; zero where ``used`` is False.
    y : ndarray, shape (n,)
        Outcome; zero where ``used`` is False.
    used : ndarray of bool, shape (n,)
        Respondents who count and have a value in every column.
    terms : list of str
        Names of the p coefficients.
    formula : str
        Right-hand side.
    reference : str
        Level of the outcome that stands for zero.
    """

    x: Floats
    y: Floats
    used: Mask
    terms: list[str]
    formula: str
    reference: str


def read_model(
    design: Design, outcome: str, covariates: str | Sequence[str], family: Family, among: Mask | None = None
) -> Model:
    """Return outcome and model matrix of a regression among the respondents who count (and are ``among`` some)."""
    y, reference = read_outcome(design, outcome, family)
    formula = _formula(covariates)
    safe, aliases = _with_aliases(formula)
    frame = _covariates(design, safe, aliases, formula)
    used = frame.notna().all(axis=1).to_numpy() & ~np.isnan(y) & design.present
    if among is not None:
        used &= among
    _refuse_nothing(used, outcome, formula)
    try:
        matrix = formulaic.model_matrix(safe, _with_seen_levels(frame.loc[used]), na_action="ignore")
    except FormulaicError as error:
        raise _unreadable(formula, error) from None
    x = np.zeros((len(design), matrix.shape[1]))
    x[used] = np.asarray(matrix, dtype=float)
    complete = np.isfinite(x).all(axis=1)
    used &= complete
    _refuse_nothing(used, outcome, formula)
    x[~used] = 0.0
    terms = [_without_aliases(str(name), aliases) for name in matrix.columns]
    refuse_collinear(x[used], terms)
    named = ["(Intercept)" if term == "Intercept" else term for term in terms]
    return Model(x, np.where(used, y, 0.0), used, named, formula, reference)


def variables_of(covariates: str | Sequence[str]) -> list[str]:
    """Return the columns that covariates name, be they a list or a one-sided formula.

    Examples
    --------
    >>> variables_of(["age", "sex"]), variables_of("~ log(age) * C(`the.sex`)")
    (['age', 'sex'], ['age', 'the.sex'])
    """
    if not covariates:
        return []
    formula = _formula(covariates)
    safe, aliases = _with_aliases(formula)
    return [aliases.get(name, name) for name in _names_in(safe, formula)]


def _names_in(safe: str, formula: str) -> list[str]:
    try:
        return sorted(str(name) for name in formulaic.Formula(safe).required_variables)
    except FormulaicError as error:
        raise _unreadable(formula, error) from None


def _covariates(design: Design, safe: str, aliases: Mapping[str, str], formula: str) -> pd.DataFrame:
    names = _names_in(safe, formula)
    for name in names:
        _require_named(design, aliases.get(name, name), formula)
    columns = {name: _plain_column(design.data[aliases.get(name, name)]) for name in names}
    return pd.DataFrame(columns, index=design.data.index)


def _unreadable(formula: str, error: FormulaicError) -> ColumnError:
    return ColumnError(f"the formula '~ {formula}' cannot be read: {' '.join(str(error).split())}")


def _with_seen_levels(frame: pd.DataFrame) -> pd.DataFrame:
    """Drop levels that nobody in the regression has; they would make columns of zeros."""
    categorical = [name for name in frame if isinstance(frame[name].dtype, pd.CategoricalDtype)]
    return frame.assign(**{str(name): frame[name].cat.remove_unused_categories() for name in categorical})


def _refuse_nothing(used: Mask, outcome: str, formula: str) -> None:
    if not used.any():
        raise EstimationError(f"no respondent who counts answered '{outcome}' and all of {formula}.")


def _refuse_constant(model: Model, outcome: str) -> None:
    y = model.y[model.used]
    if np.ptp(y) == 0:
        raise EstimationError(f"outcome '{outcome}' is constant ({y[0]:g}) for all {len(y)} respondents used.")


def _plain_column(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return pd.Series(column.to_numpy(dtype=float, na_value=np.nan), index=column.index)
    return column.astype(object).where(column.notna(), None)


def _with_aliases(formula: str) -> tuple[str, dict[str, str]]:
    """Replace each name in backticks by one that is a plain identifier; a dot means something to formulaic."""
    names = dict.fromkeys(re.findall(r"`([^`]+)`", formula))
    aliases = {f"column_{number}": name for number, name in enumerate(names)}
    for alias, name in aliases.items():
        formula = formula.replace(f"`{name}`", alias)
    return formula, aliases


def _without_aliases(term: str, aliases: Mapping[str, str]) -> str:
    return re.sub(r"\bcolumn_\d+\b", lambda found: aliases.get(found[0], found[0]), term)


def _formula(covariates: str | Sequence[str]) -> str:
    if isinstance(covariates, str) and covariates.lstrip().startswith("~"):
        return covariates.strip().removeprefix("~").strip()
    names = [covariates] if isinstance(covariates, str) else list(covariates)
    return " + ".join(["1", *(f"`{name}`" for name in names)])


def _require_named(design: Design, name: str, formula: str) -> None:
    if name not in design.data.columns:
        hint = did_you_mean(name, design.data.columns)
        raise ColumnError(f"the formula '~ {formula}' names '{name}', no column of the data. {hint}")


def read_outcome(design: Design, outcome: str, family: Family) -> tuple[Floats, str]:
    """Return a numeric or two-level outcome, shape (n,), NaN where missing, and the level that stands for zero."""
    column = design.column(outcome)
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        if family == "binomial" and not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
            raise ColumnError(f"outcome '{outcome}' of a binomial regression must be 0/1 or have two levels.")
        return values, "0" if family == "binomial" else ""
    levels = _levels(column[design.present])
    if family == "gaussian":
        raise ColumnError(
            f"outcome '{outcome}' is text ({', '.join(levels[:4])}), expected numbers. Did you mean family='binomial'?"
        )
    if len(levels) != 2:
        raise ColumnError(f"outcome '{outcome}' has {len(levels)} levels ({', '.join(levels[:4])}), expected two.")
    second = (column.astype(str) == levels[1]).to_numpy(dtype=float)
    return np.where(column.isna().to_numpy(), np.nan, second), levels[0]


def _levels(column: pd.Series) -> list[str]:
    seen = column.dropna().unique()
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(level) for level in column.cat.categories if level in set(seen)]
    return sorted(map(str, seen))


def refuse_collinear(x: Floats, terms: list[str]) -> None:
    """Raise an IdentificationError where a column is a combination of those before it, or rows are too few."""
    if len(x) < len(terms):
        raise IdentificationError(
            f"{len(x)} respondents cannot identify {len(terms)} coefficients. Use fewer covariates, or merge levels."
        )
    norm = np.sqrt((x**2).sum(axis=0))
    empty = norm == 0
    scaled = x / np.where(empty, 1.0, norm)
    diagonal = np.abs(np.diag(np.linalg.qr(scaled, mode="r")))
    redundant = [term for term, size in zip(terms, diagonal, strict=True) if size < 1e-10]
    if redundant:
        raise IdentificationError(
            f"{redundant[0]} is constant or a combination of the covariates before it, so its coefficient is not "
            f"identified. Drop it, or one of those that make it up."
        )


def inverse_link(eta: Floats, family: Family) -> Floats:
    """Return the mean of the outcome at a linear predictor."""
    return np.asarray(special.expit(eta)) if family == "binomial" else eta


def curvature(mean: Floats, family: Family) -> Floats:
    """Return the derivative of the mean in the linear predictor."""
    return mean * (1 - mean) if family == "binomial" else np.ones_like(mean)


def mean_and_information(model: Model, weights: Floats, coefficients: Floats, family: Family) -> tuple[Floats, Floats]:
    """Return the fitted means, shape (n,), and the information matrix, shape (p, p)."""
    mean = inverse_link(model.x @ coefficients, family)
    weighted = (weights * curvature(mean, family))[:, None] * model.x
    return mean, np.asarray(model.x.T @ weighted)


def fit(model: Model, weights: Floats, family: Family, start: Floats | None = None) -> Floats:
    """Return the coefficients that solve the weighted score equations, shape (p,), sought from ``start``."""
    coefficients = np.zeros(model.x.shape[1]) if start is None else start
    for _ in range(MAXIMUM_STEPS):
        mean, information = mean_and_information(model, weights, coefficients, family)
        try:
            move = np.linalg.solve(information, model.x.T @ (weights * (model.y - mean)))
        except np.linalg.LinAlgError:
            _refuse_separation(model, coefficients)
            raise IdentificationError("the information matrix is singular: covariates are collinear.") from None
        coefficients = coefficients + move
        if np.max(np.abs(move)) <= TOLERANCE * max(1.0, float(np.max(np.abs(coefficients)))):
            return coefficients
        if not np.isfinite(coefficients).all():
            break
        if family == "binomial" and np.max(np.abs(move) * _reach(model)) > 0.5:
            _refuse_separation(model, coefficients)
    raise EstimationError(
        f"the regression did not converge in {MAXIMUM_STEPS} steps; rescale covariates of very different size."
    )


def _reach(model: Model) -> Floats:
    return np.asarray(np.abs(model.x).max(axis=0))


def _refuse_separation(model: Model, coefficients: Floats) -> None:
    if np.abs(model.x @ coefficients).max() > SEPARATION:
        reach = np.abs(coefficients) * np.ptp(model.x[model.used], axis=0)
        term = model.terms[int(np.argmax(reach))]
        raise IdentificationError(
            f"'{term}' separates the outcome's levels (or nearly): its coefficient runs away, and no estimate exists. "
            f"Merge its levels, or leave it out."
        )


def influence(model: Model, weights: Floats, coefficients: Floats, family: Family) -> Floats:
    """Return the coefficients' derivative in each respondent's weight, shape (n, p)."""
    mean, information = mean_and_information(model, weights, coefficients, family)
    return np.asarray(np.linalg.solve(information, (model.x * (model.y - mean)[:, None]).T).T)
