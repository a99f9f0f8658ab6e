"""t tests under the design: one mean, two means, pairs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError
from evaluation.estimation.arguments import require_conf_level, require_number
from evaluation.estimation.domains import Cells, code_levels, outcomes_of
from evaluation.estimation.small_sample import WorkingModel, working_moments
from evaluation.estimation.totals import Ratios, domain_totals, ratios
from evaluation.results import TestResult

Floats = NDArray[np.float64]
DegreesOfFreedom = Literal["design", "satterthwaite"]


def survey_ttest(
    design: Design,
    outcome: str,
    *,
    by: str | None = None,
    mu: float = 0.0,
    paired_with: str | None = None,
    df: DegreesOfFreedom = "design",
    conf_level: float = 0.95,
) -> TestResult:
    """Test a population mean, the difference of two groups' means, or the mean difference of pairs.

    Parameters
    ----------
    design : Design
        Any design; a domain restricts the test, not the design.
    outcome : str
        Numeric column.
    by : str, optional
        Column with two levels among those who answered; the second level's mean less the first's is tested.
    mu : float, default 0
        Value of the mean or difference under the hypothesis.
    paired_with : str, optional
        Another numeric column of the same respondents: the mean of outcome less this is tested among those who
        answered both.
    df : {"design", "satterthwaite"}, default "design"
        Degrees of freedom of the design among the respondents used, less one, as in R; or estimated from how
        unequal the sampling units are (``small_sample_df``), for few of them.
    conf_level : float, default 0.95
        Of the interval.

    Returns
    -------
    TestResult
        t, degrees of freedom, p-value, estimate and interval; no p-value where no degrees of freedom are left or the
        error is zero.

    Raises
    ------
    ColumnError
        A column does not exist or is text, or one column is named twice.
    EstimationError
        ``by`` has other than two levels, or is given with ``paired_with``; nobody answered, or all gave one answer.

    Notes
    -----
    The two groups share sampling units, so the variance is that of the difference, not the sum of two variances.

    References
    ----------
    Korn and Graubard (1999), Analysis of Health Surveys, section 3.4. R twin: ``survey::svyttest``; Stata: ``svy:
    mean`` with ``lincom``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 3.0, 4.0, 8.0], "group": ["a", "a", "b", "b"]})
    >>> survey_ttest(survey_design(respondents), "y", by="group").estimate
    4.0
    """
    require_design(design, "survey_ttest")
    _refuse_arguments(outcome, by, paired_with, mu, df, conf_level)
    values = _values(design, outcome, paired_with)
    answered = ~np.isnan(values) & design.present
    _refuse_constant(design, values, answered, outcome, paired_with)
    what = f"mean of {outcome}" if paired_with is None else f"mean of {outcome} - {paired_with}"
    cells = Cells(np.where(answered, 0, -1), pd.DataFrame(index=range(1)))
    kind, combination = ("one sample", np.ones((1, 1))) if paired_with is None else ("pairs", np.ones((1, 1)))
    facts: dict[str, Any] = {"kind": "mean", "variables": [outcome], "number": float(mu)}
    if paired_with is not None:
        facts |= {"kind": "pairs", "variables": [outcome, paired_with]}
    if by is not None:
        levels, code = two_groups(design, by, answered)
        cells, combination = Cells(code, pd.DataFrame(index=range(2))), np.array([[-1.0], [1.0]])
        kind, what = "two samples", f"{what}, {by}={levels[1]} less {by}={levels[0]},"
        facts |= {"kind": "two_means", "by": by, "levels": levels}
    means = mean_by_cell(design, values, cells)
    used = cells.code >= 0
    degrees = float(design.degrees_of_freedom(used) - 1)
    if df == "satterthwaite":
        x = (cells.code[:, None] == np.arange(len(cells))).astype(float)
        degrees = working_moments(design, WorkingModel(x, np.ones(len(design))), combination)[0].df
    estimate = float(means.estimate @ combination[:, 0])
    variance = float(design.engine.covariance(means.contributions @ combination)[0, 0])
    found = (estimate, variance, mu, degrees)
    test = _t_test(design, f"t test, {kind}", f"{what} is {mu:g}", found, cells.code, conf_level)
    return replace(test, facts=facts)


def _refuse_arguments(
    outcome: str, by: str | None, paired_with: str | None, mu: float, df: str, conf_level: float
) -> None:
    if by is not None and paired_with is not None:
        raise EstimationError(
            "survey_ttest: by= compares two groups, paired_with= two answers of the same respondents. Give one of them."
        )
    if outcome in (by, paired_with):
        raise ColumnError(f"survey_ttest: '{outcome}' is named as the outcome and once more. They are two columns.")
    require_number(mu, "survey_ttest: mu", move="It is the mean, or the difference, under the hypothesis.")
    if df not in ("design", "satterthwaite"):
        raise EstimationError(f"survey_ttest: df must be 'design' or 'satterthwaite', got {df!r}.")
    require_conf_level(conf_level, "survey_ttest")


def _values(design: Design, outcome: str, paired_with: str | None) -> Floats:
    """Return the outcome, or outcome less its pair, shape (n,); NaN where one is missing."""
    names = [outcome] if paired_with is None else [outcome, paired_with]
    outcomes = outcomes_of(design, names, listwise=True, verb="survey_ttest")
    values = outcomes.values[:, 0] if paired_with is None else outcomes.values[:, 0] - outcomes.values[:, 1]
    return np.where(outcomes.answered[:, 0], values, np.nan)


def _refuse_constant(
    design: Design, values: Floats, answered: NDArray[np.bool_], outcome: str, paired_with: str | None
) -> None:
    """Raise an EstimationError where everybody gave one answer, which has no sampling error to test with."""
    used = values[answered]
    if len(used) > 1 and np.ptp(used) == 0:
        what = f"'{outcome}'" if paired_with is None else f"'{outcome}' less '{paired_with}'"
        raise EstimationError(
            f"survey_ttest: {what} is {used[0]:g} for all {len(used)} respondents who count, so it is constant and "
            f"there is no sampling error to test with. Test a variable that varies.",
            failures=design.data.loc[answered],
        )


def two_groups(design: Design, by: str, answered: NDArray[np.bool_]) -> tuple[list[object], NDArray[np.int64]]:
    """Return the two levels of a column and each respondent's place among them, shape (n,)."""
    levels, code = code_levels(design.column(by), answered)
    if len(levels) != 2:
        shown = ", ".join(map(repr, levels[:4])) or "none"
        raise EstimationError(
            f"survey_ttest: by='{by}' must have two levels among those who answered, found {len(levels)} ({shown}). "
            f"Restrict with ev.domain, or use ev.survey_glm with '{by}' as covariate."
        )
    return levels, code


def mean_by_cell(design: Design, values: Floats, cells: Cells) -> Ratios:
    """Return the weighted means of ``values``, shape (n,), by cell; rows outside every cell do not count."""
    inside = cells.code >= 0
    known = np.where(inside, values, 0.0)
    weights = np.where(inside, design.weights, 0.0)
    centre = float(weights @ known / weights.sum())
    columns = np.column_stack([np.where(inside, known - centre, 0.0), inside.astype(float)])
    totals = domain_totals(design, columns, cells)
    at = 2 * np.arange(len(cells))
    return ratios(totals, at, at + 1, centre)


def _t_test(
    design: Design,
    test: str,
    hypothesis: str,
    found: tuple[float, float, float, float],
    code: NDArray[np.int64],
    conf_level: float,
) -> TestResult:
    """Return the test of an estimate with its variance against ``mu`` on ``df`` degrees of freedom."""
    estimate, variance, mu, df = found
    error = float(np.sqrt(max(variance, 0.0)))
    error = error if error > 1e-12 * abs(estimate) else 0.0
    statistic = (estimate - mu) / error if error > 0 else np.nan
    usable = df if df > 0 else np.nan
    half = float(stats.t.ppf((1 + conf_level) / 2, usable)) * error
    groups = np.bincount(code[code >= 0])
    return TestResult(
        test=test,
        hypothesis=hypothesis,
        statistic=statistic if df > 0 else np.nan,
        ndf=1.0,
        ddf=df,
        p_value=float(2 * stats.t.sf(abs(statistic), usable)),
        n_obs=int(groups.sum()),
        provenance=design.provenance,
        distribution="t",
        estimate=estimate,
        std_error=error,
        conf_low=estimate - half,
        conf_high=estimate + half,
        conf_level=conf_level,
        smallest_group=int(groups.min()),
    )
