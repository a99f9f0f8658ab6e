"""Variances, covariances and correlations of a population, by domain, with their influence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import mass_by
from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import column_names
from evaluation.estimation.contrasts import joined
from evaluation.estimation.domains import Cells, Outcomes, cells_by, counts, degrees_of_freedom, outcomes_of
from evaluation.estimation.totals import Ratios, domain_totals, ratios
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Names = str | Sequence[str]
Pair = tuple[int, int]
#: From central moments, shape (m, kinds, D), and respondents, (D,), to estimates, (m, D), and slopes, (m, kinds, D).
Formula = Callable[[Floats, NDArray[np.int64]], tuple[Floats, Floats]]

#: A spread below this share of the mean is the noise of floating point.
CONSTANT = 1e-12


def survey_variance(
    design: Design,
    variables: Names,
    *,
    by: Names | None = None,
    listwise: bool = False,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate population variances of numeric variables.

    Parameters
    ----------
    design : Design
        Any design.
    variables : str or list of str
        Numeric columns; a missing answer leaves its respondent out of that variable only.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    listwise : bool, default False
        Leave a respondent out of all variables where one is missing.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable and domain, in squared units; NaN where a domain holds one respondent. Square roots are
        ``nonlinear_contrast(..., {"sd": "sqrt(y)"})``.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        Nobody who counts answered.

    Notes
    -----
    :math:`s^2 = \\frac{n}{n-1} \\sum w_i (y_i - \\bar y)^2 / \\sum w_i`, n the respondents who answered (R counts those
    who did not as well, a difference of order :math:`1/n^2`). The mean is estimated too, but moving it does not move
    the sum of squares to first order; each replicate takes its own mean.

    References
    ----------
    R twin: ``survey::svyvar``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> survey_variance(survey_design(pd.DataFrame({"y": [1.0, 2.0, 3.0, 6.0]})), "y").estimate.round(6).tolist()
    [4.666667]
    """
    require_design(design, "survey_variance")
    outcomes = outcomes_of(design, variables, listwise=listwise, verb="survey_variance")
    pairs = [(j, j) for j in range(len(outcomes.names))]
    return _of_pairs("survey_variance", design, outcomes, pairs, by, conf_level)


def survey_covariance(
    design: Design,
    variables: Sequence[str],
    *,
    by: Names | None = None,
    listwise: bool = True,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate the population covariances of numeric variables, variances included.

    Parameters
    ----------
    design : Design
        Any design.
    variables : list of str
        At least two numeric columns.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    listwise : bool, default True
        Leave a respondent out of all pairs where one variable is missing, as R does; False: out of the pairs with that
        variable, and the matrix of a domain may then have no square root.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per pair and domain; ``term`` is ``"a:b"``, or ``"a"`` for the variance of a.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        Fewer than two variables, or nobody answered.

    References
    ----------
    R twin: ``survey::svyvar`` of several variables.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 3.0, 2.0]})
    >>> survey_covariance(survey_design(respondents), ["x", "y"]).tidy()[["term", "estimate"]].round(6).values.tolist()
    [['x', 1.0], ['x:y', 0.5], ['y', 1.0]]
    """
    require_design(design, "survey_covariance")
    outcomes = _several(design, variables, listwise, "survey_covariance")
    pairs = list(combinations_with_replacement(range(len(outcomes.names)), 2))
    return _of_pairs("survey_covariance", design, outcomes, pairs, by, conf_level)


def survey_correlation(
    design: Design,
    variables: Sequence[str],
    *,
    by: Names | None = None,
    listwise: bool = True,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate Pearson correlations of numeric variables in the population.

    Parameters
    ----------
    design : Design
        Any design.
    variables : list of str
        At least two numeric columns.
    by : str or list of str, optional
        Columns whose combinations are the domains.
    listwise : bool, default True
        Leave a respondent out of all pairs where one variable is missing; False: out of the pairs with that variable.
    conf_level : float, default 0.95
        Of the t interval, which may leave -1 to 1.

    Returns
    -------
    Estimates
        One row per pair and domain; ``term`` is ``"a:b"``. NaN in a domain where a variable does not vary.

    Raises
    ------
    ColumnError
        A column does not exist or is text.
    EstimationError
        Fewer than two variables, nobody answered, or a variable that does not vary at all.

    References
    ----------
    R twin: ``survey::svycontrast`` of the moments; ``jtools::svycor`` gives the same estimate.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"x": [1.0, 2.0, 3.0], "y": [1.0, 3.0, 2.0]})
    >>> survey_correlation(survey_design(respondents), ["x", "y"]).estimate.round(6).tolist()
    [0.5]
    """
    require_design(design, "survey_correlation")
    outcomes = _several(design, variables, listwise, "survey_correlation")
    for j, name in enumerate(outcomes.names):
        rows = outcomes.answered[:, j] & design.present
        if np.ptp(outcomes.values[rows, j]) <= CONSTANT * np.abs(outcomes.values[rows, j]).max():
            raise EstimationError(
                f"survey_correlation: '{name}' is {outcomes.values[rows, j][0]:g} for all {int(rows.sum())} "
                f"respondents who count, so it is correlated with nothing. Leave it out."
            )
    pairs = list(combinations(range(len(outcomes.names)), 2))
    return _of_pairs("survey_correlation", design, outcomes, pairs, by, conf_level)


def _several(design: Design, variables: Sequence[str], listwise: bool, verb: str) -> Outcomes:
    if len(column_names(variables, f"{verb}: variables", "'income'")) < 2:
        raise EstimationError(f"{verb} needs at least two variables, got {variables!r}. Write ['a', 'b'].")
    return outcomes_of(design, variables, listwise=listwise, verb=verb)


def _of_pairs(
    verb: str, design: Design, outcomes: Outcomes, pairs: list[Pair], by: Names | None, conf_level: float
) -> Estimates:
    cells = cells_by(design, by)
    formula = _correlation if verb == "survey_correlation" else _covariance
    parts = []
    for pair in pairs:
        answered = np.asarray(outcomes.answered[:, list(pair)].all(axis=1), dtype=bool)
        moments = _Moments.of(design, outcomes, pair, answered, cells)
        names = ":".join(outcomes.names[j] for j in dict.fromkeys(pair))
        keys = pd.concat([pd.DataFrame({"term": [names] * len(cells)}), cells.keys], axis=1)
        parts.append(moments.estimates(verb, keys, formula, degrees_of_freedom(design, cells, answered), conf_level))
    return joined(parts)


@dataclass(frozen=True, eq=False)
class _Moments:
    """Means by domain of the product of two variables, less their domains' means, and of both squares.

    Attributes
    ----------
    design : Design
    made : Ratios
        Moment by moment, then, where there are replicates, both variables' own means.
    n : ndarray of int, shape (D,)
        Respondents who answered both.
    """

    design: Design
    made: Ratios
    n: NDArray[np.int64]

    @classmethod
    def of(cls, design: Design, outcomes: Outcomes, pair: Pair, answered: Mask, cells: Cells) -> _Moments:
        one, other = (_centred(design, outcomes.values[:, j], answered, cells) for j in pair)
        products = [one * other] if pair[0] == pair[1] else [one * other, one * one, other * other]
        means = [] if design.replicates is None else [one, other]
        columns = np.column_stack([*products, *means, answered.astype(float)])
        q, d = columns.shape[1], np.arange(len(cells))
        numerator = (d[None, :] * q + np.arange(q - 1)[:, None]).ravel()
        made = ratios(domain_totals(design, columns, cells), numerator, np.tile(d * q + q - 1, q - 1))
        return cls(design, made, counts(design, cells, answered))

    def estimates(
        self, verb: str, keys: pd.DataFrame, formula: Formula, df: NDArray[np.int64], conf_level: float
    ) -> Estimates:
        """Return what ``formula`` makes of the moments of each domain."""
        by_line = self._central(self.made.estimate[None, :])
        estimate, slopes = formula(by_line, self.n)

        def linear(influence: Floats) -> Floats:
            by_kind = influence.reshape(len(influence), -1, len(self.n))
            return np.asarray((by_kind[:, : slopes.shape[1]] * slopes).sum(axis=1))

        if self.design.replicates is None:
            contributions = linear(self.made.contributions)
        else:
            contributions = formula(self._central(self.made.contributions), self.n)[0]
        return Estimates(
            verb=verb,
            keys=keys,
            estimate=estimate[0],
            vcov=self.design.engine.covariance(contributions),
            df=df.astype(float),
            n_obs=self.n,
            provenance=self.design.provenance,
            engine=self.design.engine,
            contributions=contributions,
            influence_of=lambda: linear(self.made.influence()),
            conf_level=conf_level,
        )

    def _central(self, means: Floats) -> Floats:
        """Return moments about the mean of each line of weights, shape (m, kinds, D), from means of shape (m, -1)."""
        by_kind = means.reshape(len(means), -1, len(self.n))
        if self.design.replicates is None:
            return by_kind
        moments, one, other = by_kind[:, :-2], by_kind[:, -2], by_kind[:, -1]
        apart = np.stack([one * other, one * one, other * other], axis=1)
        return np.asarray(moments - apart[:, : moments.shape[1]])


def _covariance(central: Floats, n: NDArray[np.int64]) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        correction = np.where(n > 1, n / (n - 1), np.nan)
    slopes = np.zeros(central.shape)
    slopes[:, 0] = correction
    return central[:, 0] * correction, slopes


def _correlation(central: Floats, n: NDArray[np.int64]) -> tuple[Floats, Floats]:
    product, one, other = central[:, 0], central[:, 1], central[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(one * other > 0, 1 / np.sqrt(one * other), np.nan)
        slopes = [scale, -product * scale / (2 * one), -product * scale / (2 * other)]
        return product * scale, np.stack(slopes, axis=1)


def _centred(design: Design, values: Floats, answered: Mask, cells: Cells) -> Floats:
    """Return answers less the mean of their domain, zero where there is none, shape (n,)."""
    rows = answered & design.present & (cells.code >= 0)
    code, weights = cells.code[rows], design.weights[rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = mass_by(code, len(cells), weights * values[rows]) / mass_by(code, len(cells), weights)
    apart = values[rows] - mean[code]
    centred = np.zeros(len(design))
    centred[rows] = np.where(np.abs(apart) <= CONSTANT * np.abs(mean[code]), 0.0, apart)
    return centred
