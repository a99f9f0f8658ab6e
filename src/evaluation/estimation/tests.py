"""Tests of association under the design."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import Design, require_design
from evaluation.errors import EstimationError
from evaluation.estimation.domains import Cells, code_levels, levels_of
from evaluation.estimation.totals import Ratios, domain_totals, ratios
from evaluation.results import TestResult

Floats = NDArray[np.float64]


def survey_chisq(design: Design, row: str, column: str) -> TestResult:
    """Test whether two categorical variables are independent in the population.

    Parameters
    ----------
    design : Design
        Any design.
    row, column : str
        Categorical columns; a respondent counts who answered both, a level that somebody chose.

    Returns
    -------
    TestResult
        F statistic with its two degrees of freedom and p-value.

    Raises
    ------
    EstimationError
        Row and column are one variable, a variable has a single level, or no degrees of freedom are left.

    Notes
    -----
    Pearson's statistic over the trace of the generalised design effect matrix, referred to F with
    Satterthwaite degrees of freedom (second-order correction).

    References
    ----------
    Rao and Scott (1984), Annals of Statistics 12, 46-60; Thomas and Rao (1987), JASA 82, 630-636.
    R twin: ``survey::svychisq(statistic = "F")``; Stata: ``svy: tabulate``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"a": ["x", "x", "y", "y"] * 5, "b": ["u", "v", "v", "v"] * 5})
    >>> round(survey_chisq(survey_design(respondents), "a", "b").p_value, 4)
    0.0157
    """
    require_design(design, "survey_chisq")
    if row == column:
        raise EstimationError(f"survey_chisq: '{row}' is both row and column. Name two different variables.")
    rows, row_code = levels_of(design, row, "survey_chisq")
    levels, column_code = levels_of(design, column, "survey_chisq")
    counted = (row_code >= 0) & (column_code >= 0) & design.present
    rows, row_code = code_levels(design.column(row), counted)
    levels, column_code = code_levels(design.column(column), counted)
    if min(len(rows), len(levels)) < 2:
        raise EstimationError(f"survey_chisq: '{row}' and '{column}' need two levels each to be compared.")
    shares = _joint_shares(design, np.where(counted, row_code * len(levels) + column_code, -1), len(rows) * len(levels))
    n_obs = int(counted.sum())
    table = shares.estimate.reshape(len(rows), len(levels))
    delta = _design_effects(table, design.engine.covariance(shares.contributions), n_obs)
    trace = float(np.trace(delta))
    ndf = trace**2 / float(np.trace(delta @ delta))
    design_df = design.degrees_of_freedom(counted)
    if design_df <= 0:
        raise EstimationError(
            f"survey_chisq: the design leaves {design_df} degrees of freedom, so there is no p-value."
        )
    expected = np.outer(table.sum(axis=1), table.sum(axis=0))
    pearson = n_obs * float(((table - expected) ** 2 / expected).sum())
    statistic, ddf = pearson / trace, ndf * design_df
    return TestResult(
        test="Rao-Scott F (second order)",
        hypothesis=f"{row} and {column} are independent",
        statistic=statistic,
        ndf=ndf,
        ddf=ddf,
        p_value=float(stats.f.sf(statistic, ndf, ddf)),
        n_obs=n_obs,
        provenance=design.provenance,
    )


def _joint_shares(design: Design, code: NDArray[np.int64], k: int) -> Ratios:
    ones = np.ones((len(design), 1))
    crossed = domain_totals(design, ones, Cells(code, pd.DataFrame(index=range(k))))
    everyone = domain_totals(design, ones, Cells(np.where(code >= 0, 0, -1), pd.DataFrame(index=range(1))))
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
