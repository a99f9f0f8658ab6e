"""Tests of association under the design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.arguments import require_choice
from evaluation.estimation.domains import Cells, code_levels, levels_of
from evaluation.estimation.quadratic_forms import saddlepoint_exceeds, sum_exceeds
from evaluation.estimation.totals import Ratios, domain_totals, ratios
from evaluation.results import TestResult

Floats = NDArray[np.float64]
ChiSquare = Literal["F", "Chisq", "Wald", "adjWald", "lincom", "saddlepoint"]

_NAMES = {
    "F": "Rao-Scott F (second order)",
    "Chisq": "Rao-Scott chi-squared (first order)",
    "Wald": "Wald F of observed less expected counts",
    "adjWald": "Wald F of observed less expected counts, adjusted",
    "lincom": "Pearson against its sum of chi-squared",
    "saddlepoint": "Pearson against its sum of chi-squared (saddlepoint)",
}


def survey_chisq(design: Design, row: str, column: str, *, statistic: ChiSquare = "F") -> TestResult:
    """Test whether two categorical variables are independent in the population.

    Parameters
    ----------
    design : Design
        Any design.
    row, column : str
        Categorical columns; a respondent counts who answered both, a level that somebody chose.
    statistic : {"F", "Chisq", "Wald", "adjWald", "lincom", "saddlepoint"}, default "F"
        "F" and "Chisq": Pearson's statistic over its mean design effect, with the second-order correction (referred
        to F) or the first-order one (to chi-squared). "lincom" and "saddlepoint": against the sum of chi-squared
        variables that Pearson's statistic follows, exactly or nearly. "Wald" and "adjWald": observed less expected
        counts, which with few sampling units rejects too often.

    Returns
    -------
    TestResult
        Statistic with its distribution and p-value. ``weights`` are the generalised design effects.

    Raises
    ------
    EstimationError
        Row and column are one variable, a variable has a single level, weights below zero, no degrees of freedom
        are left, or the counts have no regular covariance (Wald).

    Notes
    -----
    Pearson's :math:`X^2` is distributed as :math:`\\sum_k \\delta_k \\chi^2_1` with :math:`\\delta` the
    eigenvalues of the design effect matrix. Second order: :math:`X^2 / \\sum \\delta` on F with
    :math:`\\nu = (\\sum \\delta)^2 / \\sum \\delta^2` and :math:`\\nu` times the design degrees of freedom, which are
    also those of "lincom" and "saddlepoint". A design with ``linearization="r"`` follows R in these two: both by the
    saddlepoint of whole degrees of freedom, which is what R does where its package CompQuadForm is not installed.

    References
    ----------
    Rao and Scott (1984), Annals of Statistics 12, 46-60; Thomas and Rao (1987), JASA 82, 630-636.
    R twin: ``survey::svychisq``; Stata: ``svy: tabulate``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"a": ["x", "x", "y", "y"] * 5, "b": ["u", "v", "v", "v"] * 5})
    >>> round(survey_chisq(survey_design(respondents), "a", "b").p_value, 4)
    0.0157
    """
    require_design(design, "survey_chisq")
    require_choice(statistic, tuple(_NAMES), "survey_chisq: statistic")
    design.require_no_negative_weights("survey_chisq")
    table = _cross_table(design, row, column)
    if table.df <= 0:
        raise EstimationError(f"survey_chisq: the design leaves {table.df} degrees of freedom, so there is no p-value.")
    make = _wald if statistic in ("Wald", "adjWald") else _pearson
    return make(design, table, statistic, f"{row} and {column} are independent")


@dataclass(frozen=True, eq=False)
class _CrossTable:
    """Two categorical variables: the cell of each respondent (-1 where in none), numbers of levels, n and df."""

    code: NDArray[np.int64]
    shape: tuple[int, int]
    n_obs: int
    df: int
    facts: Mapping[str, object]

    @property
    def cells(self) -> Cells:
        return Cells(self.code, pd.DataFrame(index=range(self.shape[0] * self.shape[1])))


def _cross_table(design: Design, row: str, column: str) -> _CrossTable:
    if row == column:
        raise EstimationError(f"survey_chisq: '{row}' is both row and column. Name two different variables.")
    rows, row_code = levels_of(design, row, "survey_chisq")
    levels, column_code = levels_of(design, column, "survey_chisq")
    counted = (row_code >= 0) & (column_code >= 0) & design.present
    rows, row_code = code_levels(design.column(row), counted)
    levels, column_code = code_levels(design.column(column), counted)
    if min(len(rows), len(levels)) < 2:
        raise EstimationError(f"survey_chisq: '{row}' and '{column}' need two levels each to be compared.")
    code = np.where(counted, row_code * len(levels) + column_code, -1)
    facts = {"kind": "independent", "variables": [row, column]}
    return _CrossTable(code, (len(rows), len(levels)), int(counted.sum()), design.degrees_of_freedom(counted), facts)


def _pearson(design: Design, table: _CrossTable, statistic: ChiSquare, hypothesis: str) -> TestResult:
    shares = _joint_shares(design, table)
    observed = shares.estimate.reshape(table.shape)
    delta = _design_effects(observed, design.engine.covariance(shares.contributions), table.n_obs)
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0))
    pearson = table.n_obs * float(((observed - expected) ** 2 / expected).sum())
    trace, k = float(np.trace(delta)), len(delta)
    effective = trace**2 / float(np.trace(delta @ delta))
    weights = np.sort(np.linalg.eigvals(delta).real)[::-1]
    ndf, ddf, value, distribution, deff = float(k), effective * table.df, pearson, "sum of chi-squared", 1.0
    if statistic == "F":
        ndf, value, distribution = effective, pearson / trace, "F"
        p_value = float(stats.f.sf(value, ndf, ddf))
    elif statistic == "Chisq":
        ddf, distribution, deff = np.inf, "chi-squared", trace / k
        p_value = float(stats.chi2.sf(pearson / deff, k))
    else:
        p_value = mixture_p(design, pearson, weights, ddf, exact=statistic == "lincom")
    return TestResult(
        test=_NAMES[statistic],
        hypothesis=hypothesis,
        statistic=value,
        ndf=ndf,
        ddf=ddf,
        p_value=p_value,
        n_obs=table.n_obs,
        provenance=design.provenance,
        distribution=distribution,
        deff=deff,
        weights=tuple(map(float, weights)),
        facts=table.facts,
    )


def mixture_p(design: Design, statistic: float, weights: Floats, df: float, *, exact: bool) -> float:
    """Return the p-value of a statistic that follows a weighted sum of chi-squared variables.

    Parameters
    ----------
    design : Design
        ``linearization="r"`` asks for R's saddlepoint in either case.
    statistic, weights, df
        As in ``quadratic_forms.sum_exceeds``; weights that are zero but for rounding count as zero.
    exact : bool
        By numerical inversion instead of the saddlepoint approximation.
    """
    positive = weights[weights > 1e-12 * np.abs(weights).max()]
    if design.linearization == "r":
        return saddlepoint_exceeds(statistic, positive, df, whole_df=True)
    return sum_exceeds(statistic, positive, df) if exact else saddlepoint_exceeds(statistic, positive, df)


def _wald(design: Design, table: _CrossTable, statistic: ChiSquare, hypothesis: str) -> TestResult:
    """Test that observed counts are those expected under independence, all but the first row and column."""
    totals = domain_totals(design, np.ones((len(design), 1)), table.cells)
    counts = totals.estimate.reshape(table.shape)
    size, k = counts.sum(), (table.shape[0] - 1) * (table.shape[1] - 1)
    by_row, by_column = counts.sum(axis=1) / size, counts.sum(axis=0) / size
    residual = (counts - size * np.outer(by_row, by_column))[1:, 1:].ravel()
    rows, columns = (np.eye(levels) for levels in table.shape)
    slopes = np.einsum("ia,jb->ijab", rows - by_row[:, None], columns - by_column[:, None])[1:, 1:].reshape(k, -1)
    covariance = slopes @ design.engine.covariance(totals.contributions) @ slopes.T
    if np.linalg.matrix_rank(covariance, hermitian=True) < k:
        raise EstimationError(
            f"survey_chisq: {k} contrasts of counts have a singular covariance on {table.df} degrees of freedom. Use "
            f"statistic='F', which needs no inverse, or merge levels."
        )
    value = float(residual @ np.linalg.solve(covariance, residual)) / k
    ddf = float(table.df)
    if statistic == "adjWald":
        ddf = table.df - k + 1.0
        value *= ddf / table.df
    return TestResult(
        test=_NAMES[statistic],
        hypothesis=hypothesis,
        statistic=value if ddf > 0 else np.nan,
        ndf=float(k),
        ddf=ddf,
        p_value=float(stats.f.sf(value, k, ddf)) if ddf > 0 else np.nan,
        n_obs=table.n_obs,
        provenance=design.provenance,
        facts=table.facts,
    )


def _joint_shares(design: Design, table: _CrossTable) -> Ratios:
    ones, k = np.ones((len(design), 1)), table.shape[0] * table.shape[1]
    crossed = domain_totals(design, ones, table.cells)
    everyone = domain_totals(design, ones, Cells(np.where(table.code >= 0, 0, -1), pd.DataFrame(index=range(1))))
    return ratios(crossed, np.arange(k), np.zeros(k, dtype=np.int64), below=everyone)


def _design_effects(table: Floats, covariance: Floats, n_obs: int) -> Floats:
    shares = table.ravel()
    n_rows, n_columns = table.shape
    full = np.eye(shares.size)
    main = np.hstack([np.repeat(np.eye(n_rows), n_columns, axis=0), np.tile(np.eye(n_columns), (n_rows, 1))])
    inner = [r * n_columns + c for r in range(1, n_rows) for c in range(1, n_columns)]
    interaction = full[:, inner] - main @ np.linalg.lstsq(main, full[:, inner], rcond=None)[0]
    inverse = np.divide(1.0, shares, out=np.zeros_like(shares), where=shares > 0)
    simple = interaction.T @ (inverse[:, None] * interaction) / n_obs
    weighted = inverse[:, None] * interaction
    return np.asarray(np.linalg.solve(simple, weighted.T @ covariance @ weighted))
