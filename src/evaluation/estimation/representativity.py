"""How representative response is: R-indicators and their parts, with errors that know that propensities are fitted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import crossed
from evaluation.design.design import Design, each_replicate, require_design
from evaluation.errors import ColumnError, EstimationError, EvaluationError
from evaluation.estimation.domains import Cells, cells_by, is_text, levels_of, names_of
from evaluation.estimation.propensity_moments import (
    Moment,
    between,
    category_between,
    category_within,
    mean_of,
    variance_of,
    within,
)
from evaluation.regression.families import inverse_link
from evaluation.regression.fitting import fit, influence
from evaluation.regression.formula import variables_of
from evaluation.regression.model import Model, read_model
from evaluation.results import Estimates

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]

#: A number with more values than this is no category.
MOST_VALUES = 30


@dataclass(frozen=True, eq=False)
class Propensities:
    """Response propensities of a design's cases.

    Attributes
    ----------
    design : Design
        All who were drawn, or a domain of them.
    model : Model
        Response on covariates.
    coefficients : ndarray, shape (p,)
        Of the logistic regression under the design's weights.
    """

    design: Design
    model: Model
    coefficients: Floats

    def fitted(self, coefficients: Floats) -> Floats:
        """Return the propensities of those in the regression, shape (m,)."""
        return np.asarray(inverse_link(self.model.x @ coefficients, "binomial")[self.model.used])

    def refitted(self, weights: Floats) -> Floats:
        """Return the coefficients under other weights, shape (p,)."""
        return fit(self.model, weights, "binomial", start=self.coefficients)


def propensities_of(design: Design, responded: str, covariates: Names) -> Propensities:
    """Fit response on covariates by a design-weighted logistic regression."""
    model = read_model(design, responded, covariates, "binomial")
    return Propensities(design, model, fit(model, design.domain_weights, "binomial"))


def require_response(design: Design, responded: str, names: Sequence[str], verb: str) -> None:
    """Refuse a response column other than 0 and 1 with both values, and variables missing for somebody drawn."""
    column = design.column(responded)
    if is_text(column) or not column[design.present].isin([0, 1]).all():
        raise ColumnError(f"{verb}: '{responded}' must be 1 for respondents and 0 for the others.")
    if column[design.present].nunique() < 2:
        raise EstimationError(
            f"{verb}: all who count have {responded} = {column[design.present].iloc[0]}. Use the design "
            f"weights of all who were drawn."
        )
    for name in names:
        unknown = int(design.column(name)[design.present].isna().sum())
        if unknown:
            raise EstimationError(
                f"{verb}: '{name}' is missing for {unknown:,} of {int(design.present.sum()):,} who were "
                f"drawn, so it cannot tell respondents from all. Take a variable that the frame knows of everybody."
            )


def r_indicator(
    design: Design, *, responded: str, covariates: Names, by: Names | None = None, conf_level: float = 0.95
) -> Estimates:
    """Estimate how much response varies with what the frame knows: R-indicator, and the bias it could do at worst.

    Parameters
    ----------
    design : Design
        All who were drawn, nonrespondents with their design weights; unadjusted for nonresponse.
    responded : str
        Column of 1 (responded) and 0.
    covariates : str or list of str
        Columns known for all who were drawn, or a one-sided formula with interactions.
    by : str or list of str, optional
        Columns whose combinations are domains, each with its own response model.
    conf_level : float, default 0.95
        Of the t interval, cut where the scale ends.

    Returns
    -------
    Estimates
        For each domain the rows (column ``quantity``), with :math:`S` the standard deviation of the propensities and
        :math:`\\bar\\rho` their mean:

        - ``response_rate``: :math:`\\bar\\rho`;
        - ``r_indicator``: :math:`1 - 2 S`, 1 where response hangs on none of the covariates;
        - ``r_indicator_adjusted``: with :math:`S^2` less what errors of the propensities add to it on average; 1, and
          without an error, where nothing is left;
        - ``maximal_bias``: :math:`S / \\bar\\rho` (adjusted), the largest bias of a mean of respondents, in standard
          deviations of the outcome, that these covariates can do;
        - ``maximal_contrast``: :math:`S / (\\bar\\rho (1 - \\bar\\rho))`, the largest difference between respondents
          and nonrespondents, in the same unit.

    Raises
    ------
    ColumnError
        A column does not exist or ``responded`` is no 0/1.
    EstimationError
        A covariate is missing for somebody drawn; nobody or everybody responded.
    IdentificationError
        Covariates are collinear, or one tells respondents from nonrespondents without fail.

    Notes
    -----
    Propensities :math:`\\rho_i` come from a logistic regression under the design weights, and
    :math:`S^2 = \\sum w (\\rho - \\bar\\rho)^2 / \\sum w`. Errors are those of the whole: the influence of a
    respondent on S goes directly through the weight and through the coefficients. The adjustment takes off
    :math:`\\sum w (z - \\bar z)' V (z - \\bar z) / \\sum w`, V being the covariance of the coefficients under the
    design and :math:`z = \\rho (1 - \\rho) x`, and adds the sampling variance of :math:`\\bar\\rho` at
    known coefficients; it counts as known. In a simple random sample that is nearly the adjustment of Shlomo, Skinner
    and Schouten. Near :math:`S = 0` no standard error is normal: an indicator within two errors of 1 says that there
    is no sign of it.

    A high indicator is no proof that answers are unbiased: what moves response may stand in no frame. Indicators are
    comparable only between samples with the same covariates.

    References
    ----------
    Schouten, Cobben and Bethlehem (2009), Survey Methodology 35, 101-113, equations (2) and (8). Shlomo, Skinner and
    Schouten (2012), Journal of Statistical Planning and Inference 142, 201-211.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> drawn = pd.DataFrame({"answered": [1, 1, 1, 0, 1, 0, 0, 0], "area": list("aaaabbbb")})
    >>> found = r_indicator(survey_design(drawn), responded="answered", covariates="area")
    >>> found.keys["quantity"].tolist()[:2], found.estimate[:2].round(6).tolist()
    (['response_rate', 'r_indicator'], [0.5, 0.5])
    """
    parts = [
        _Part(found, _indicators(found), _quantities(responded, by_values))
        for found, by_values in _domains(design, responded, covariates, by, "r_indicator")
    ]
    found = _estimated("r_indicator", design, parts, responded, conf_level)
    highest = np.where(np.isin(found.keys["quantity"], _SHARES), 1.0, np.inf)
    limits = np.clip(found.confidence_interval(), 0.0, highest[:, None])
    return replace(found, interval=limits, interval_method="t, within the scale")


#: Quantities from 0 to 1, and those from 0.
_SHARES = ("response_rate", "r_indicator", "r_indicator_adjusted")
_QUANTITIES = (*_SHARES, "maximal_bias", "maximal_contrast")


def _quantities(responded: str, by_values: dict[str, object]) -> pd.DataFrame:
    return pd.DataFrame([{"term": responded, "quantity": name, **by_values} for name in _QUANTITIES])


def _indicators(found: Propensities) -> Functional:
    bias = _bias(found)

    def indicators(p: Floats, w: Floats) -> list[Moment]:
        mean, variance = mean_of(p, w), variance_of(p, w)
        spread, adjusted = variance.root(), replace(variance, value=variance.value - bias).root()
        return [
            mean,
            spread.scaled(-2.0, shift=1.0),
            adjusted.scaled(-2.0, shift=1.0),
            adjusted.over(mean),
            adjusted.over(mean.times_complement()),
        ]

    return indicators


def _bias(found: Propensities) -> float:
    """Return by how much errors of the propensities raise their variance on average, less sampling's own share."""
    design, model, used = found.design, found.model, found.model.used
    w, p, x = design.domain_weights[used], found.fitted(found.coefficients), model.x[used]
    k = x.shape[1]

    def moving(weights: Floats) -> Floats:
        own = weights[used]
        return np.append(found.refitted(weights), own @ p / own.sum())

    if design.replicates is None:
        z = np.zeros((len(design), k + 1))
        z[:, :k] = influence(model, design.domain_weights, found.coefficients, "binomial")
        z[used, k] = mean_of(p, w).in_weights
        covariance = design.engine.covariance(design.contributions(z))
    else:
        covariance = design.engine.covariance(each_replicate(design, moving))
    slope = x * (p * (1 - p))[:, None]
    slope = slope - w @ slope / w.sum()
    return float(w @ ((slope @ covariance[:k, :k]) * slope).sum(axis=1) / w.sum() - covariance[k, k])


def partial_r_indicators(
    design: Design, *, responded: str, covariates: Names, by: Names | None = None, conf_level: float = 0.95
) -> Estimates:
    """Estimate which variables and which of their categories make response unrepresentative.

    Parameters
    ----------
    design : Design
        All who were drawn, nonrespondents with their design weights; unadjusted for nonresponse.
    responded : str
        Column of 1 (responded) and 0.
    covariates : str or list of str
        Categories known for all who were drawn (numbers with up to 30 values count as such; group others first), or
        a one-sided formula of them.
    by : str or list of str, optional
        Columns whose combinations are domains, each with its own response model.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        For each domain and variable a row of the variable (``level`` empty), then of each category, "unconditional"
        and "conditional" (column ``quantity``):

        - unconditional, of a variable: standard deviation of the mean propensities of its categories; of a category:
          root of its share times its mean propensity less that of all, negative where it responds less;
        - conditional, of a variable: standard deviation of the propensities within the cells of all other variables,
          what is left to this one once the others are known; of a category: the part that its members make up
          (the squares of the categories add up to that of the variable).

        Zero is no loss of representativity; ``r_indicator`` is :math:`1 - 2 S`, of which these are parts.

    Raises
    ------
    ColumnError
        As ``r_indicator``; a number has too many values to be a category.
    EstimationError, IdentificationError
        As ``r_indicator``.

    Notes
    -----
    Errors are linearised as those of ``r_indicator``. They exist only where an indicator is not zero. No adjustment
    is made for the errors of the propensities: in small samples the indicators of variables are somewhat too large.

    References
    ----------
    Schouten, Shlomo and Skinner (2011), Journal of Official Statistics 27, 231-253. De Heij, Schouten and Shlomo
    (2015), RISQ manual 2.1, where the same numbers are called Pu and Pc.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> drawn = pd.DataFrame({"answered": [1, 1, 1, 0, 1, 0, 0, 0], "area": list("aaaabbbb")})
    >>> found = partial_r_indicators(survey_design(drawn), responded="answered", covariates="area").tidy()
    >>> found[found["quantity"] == "unconditional"][["level", "estimate"]].round(4).to_numpy().tolist()
    [['', 0.25], ['a', 0.1768], ['b', -0.1768]]
    """
    parts = [
        _partial(found, responded, covariates, by_values)
        for found, by_values in _domains(design, responded, covariates, by, "partial_r_indicators")
    ]
    return _estimated("partial_r_indicators", design, parts, responded, conf_level)


def _partial(found: Propensities, responded: str, covariates: Names, by_values: dict[str, object]) -> _Part:
    names = variables_of(covariates)
    used = found.model.used
    coded = {name: _categories(found.design, name, used) for name in names}
    rows: list[dict[str, object]] = []
    counted: list[Mask] = []
    for quantity in ("unconditional", "conditional"):
        for name, (levels, code) in coded.items():
            rows += [{"term": name, "level": level, "quantity": quantity, **by_values} for level in ("", *levels)]
            counted += [np.ones(len(code), dtype=bool), *(code == place for place in range(len(levels)))]

    def indicators(p: Floats, w: Floats) -> list[Moment]:
        found: list[Moment] = []
        for levels, code in coded.values():
            found.append(between(p, w, code).root())
            found += [category_between(p, w, code == place) for place in range(len(levels))]
        for name, (levels, code) in coded.items():
            others = [own for other, own in coded.items() if other != name]
            cell = _crossed(others, len(code))
            found.append(within(p, w, cell).root())
            found += [category_within(p, w, code == place, cell).root() for place in range(len(levels))]
        return found

    return _Part(found, indicators, pd.DataFrame(rows), counted)


def _categories(design: Design, name: str, used: Mask) -> tuple[list[str], Codes]:
    """Return a variable's levels among those in the regression, and each one's place, shape (m,)."""
    column = design.column(name)
    distinct = int(column[used].nunique())
    if not is_text(column) and distinct > MOST_VALUES:
        raise ColumnError(
            f"partial_r_indicators: '{name}' has {distinct:,} values, so it has no categories to compare: "
            f"at most {MOST_VALUES} are taken for such. Group it first, e.g. with pandas.cut; ev.r_indicator takes it "
            f"as it is."
        )
    levels, code = levels_of(design, name, "partial_r_indicators")
    seen, place = np.unique(code[used], return_inverse=True)
    return [str(levels[at]) for at in seen], place.astype(np.int64)


def _crossed(coded: Sequence[tuple[list[str], Codes]], n: int) -> Codes:
    if not coded:
        return np.zeros(n, dtype=np.int64)
    return crossed([code for _, code in coded], [len(levels) for levels, _ in coded])[0]


#: Indicators from propensities and weights of those in a regression, each shape (m,).
Functional = Callable[[Floats, Floats], list[Moment]]


@dataclass(frozen=True, eq=False)
class _Part:
    """The indicators of one domain: propensities, what is made of them, their names, and who stands behind each."""

    propensities: Propensities
    indicators: Functional
    keys: pd.DataFrame
    counted: Sequence[Mask] = ()


def _domains(
    design: Design, responded: str, covariates: Names, by: Names | None, verb: str
) -> list[tuple[Propensities, dict[str, object]]]:
    """Return the propensities of each domain with what the domain is called."""
    require_design(design, verb)
    design.require_no_negative_weights(verb)
    require_response(design, responded, _variables(covariates, verb), verb)
    cells = cells_by(design, by, taken=("quantity",))
    found: list[tuple[Propensities, dict[str, object]]] = []
    for d in range(len(cells)):
        own = replace(design, inside=cells.code == d)
        values = {str(name): value for name, value in cells.keys.iloc[d].items()}
        found.append((_told(own, responded, covariates, cells, d, verb), values))
    return found


def _variables(covariates: Names, verb: str) -> list[str]:
    names_of(covariates, verb)
    return variables_of(covariates)


def _told(design: Design, responded: str, covariates: Names, cells: Cells, d: int, verb: str) -> Propensities:
    """Return the propensities of a domain; an error names the domain."""
    where = f"{verb}, {cells.name(d)}" if cells.name(d) else verb
    require_response(design, responded, [], where)
    try:
        return propensities_of(design, responded, covariates)
    except EvaluationError as error:
        text = str(error).replace("the outcome's levels", "respondents from nonrespondents")
        raise type(error)(f"{where}: {text}", failures=error.failures) from None


def _estimated(verb: str, design: Design, parts: Sequence[_Part], responded: str, conf_level: float) -> Estimates:
    moments = [_moments(part, design.domain_weights) for part in parts]
    z = np.hstack([_derivative(part, made) for part, made in zip(parts, moments, strict=True)])
    if design.replicates is None:
        contributions = design.contributions(z)
    else:
        contributions = each_replicate(design, lambda weights: _values(parts, weights))
    sizes = [_sizes(part) for part in parts]
    n_obs, rarer = (np.concatenate([size[place] for size in sizes]) for place in range(2))
    df = np.concatenate(
        [np.full(len(part.keys), float(design.degrees_of_freedom(part.propensities.model.used))) for part in parts]
    )
    return Estimates(
        verb=verb,
        keys=pd.concat([part.keys for part in parts], ignore_index=True),
        estimate=np.array([moment.value for made in moments for moment in made]),
        vcov=design.engine.covariance(contributions),
        df=df,
        n_obs=n_obs,
        provenance=design.provenance,
        engine=design.engine,
        contributions=contributions,
        influence_of=lambda: design.influence(z),
        conf_level=conf_level,
        cell_counts=rarer,
        fit={"responded": responded, "formula": parts[0].propensities.model.formula},
    )


def _moments(part: _Part, weights: Floats, coefficients: Floats | None = None) -> list[Moment]:
    propensities = part.propensities
    p = propensities.fitted(propensities.coefficients if coefficients is None else coefficients)
    return part.indicators(p, weights[propensities.model.used])


def _values(parts: Sequence[_Part], weights: Floats) -> Floats:
    """Return the indicators under a replicate's weights, the model fitted again, shape (k,)."""
    made = (moment for part in parts for moment in _moments(part, weights, part.propensities.refitted(weights)))
    return np.array([moment.value for moment in made])


def _derivative(part: _Part, moments: Sequence[Moment]) -> Floats:
    """Return the indicators' derivative in the final weights, directly and through the coefficients, shape (n, k)."""
    found = part.propensities
    model, used = found.model, found.model.used
    p = found.fitted(found.coefficients)
    slope = model.x[used] * (p * (1 - p))[:, None]
    through = np.column_stack([moment.in_propensities for moment in moments]).T @ slope
    z = influence(model, found.design.domain_weights, found.coefficients, "binomial") @ through.T
    z[used] += np.column_stack([moment.in_weights for moment in moments])
    return np.where(used[:, None], z, 0.0)


def _sizes(part: _Part) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cases behind each indicator, and the fewer of its respondents and nonrespondents, each (k,)."""
    y = part.propensities.model.y[part.propensities.model.used]
    counted = part.counted or [np.ones(len(y), dtype=bool)] * len(part.keys)
    n = np.array([int(rows.sum()) for rows in counted], dtype=np.int64)
    ones = np.array([int(y[rows].sum()) for rows in counted], dtype=np.int64)
    return n, np.minimum(ones, n - ones)
