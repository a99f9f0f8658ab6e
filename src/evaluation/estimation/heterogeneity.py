"""Heterogeneity: whether a difference is the same in all subgroups, tested on their joint covariance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.errors import EstimationError, did_you_mean
from evaluation.results import Estimates, TestResult

#: The method of rows that nothing was adjusted in, and the subgroup that is everybody.
RAW, OVERALL = "raw", "overall"


def heterogeneity_test(
    effects: Estimates, *, by: str | None = None, outcome: str | None = None, method: str | None = None
) -> TestResult:
    """Test whether a difference is the same in all levels of a column.

    Parameters
    ----------
    effects : Estimates
        From ``subgroup_effects``; of any other result with influence all rows are held against each other.
    by : str, optional
        The column, where ``effects`` has several.
    outcome : str, optional
        The outcome, where it has several.
    method : str, optional
        "raw", or the method of adjustment; default the adjusted rows, where there are any.

    Returns
    -------
    TestResult
        F on the number of levels with an estimate less one, and the degrees of freedom of the smallest level.

    Raises
    ------
    EstimationError
        Fewer than two estimates, a choice that is open or unknown, no joint covariance, or one without inverse.

    Notes
    -----
    With the differences :math:`C\theta` from the first level, :math:`F = (C\theta)' (C V C')^{-1} C\theta / q`
    on q and d degrees of freedom; V is the joint covariance, in which levels share sampling units, and d the smallest
    of the levels' own degrees of freedom: a level that few units hold bears no more. R's d is the design's, less q.

    References
    ----------
    Lumley (2010), Complex Surveys, section 5.2. R twin: ``survey::svycontrast`` on ``svyby(covmat = TRUE)``, or the
    interaction in ``regTermTest``.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> answers = pd.DataFrame({"y": [1.0, 2, 3, 4, 6, 8], "sex": ["f", "f", "f", "m", "m", "m"]})
    >>> heterogeneity_test(survey_mean(survey_design(answers), "y", by="sex")).ndf
    1.0
    """
    if not isinstance(effects, Estimates):
        raise EstimationError(f"heterogeneity_test needs estimates, got {type(effects).__name__}.")
    if "subgroup" not in effects.keys:
        return equal_rows(effects, _told_apart(effects))
    keys = effects.keys.astype(str)
    rows = (keys["subgroup"] != OVERALL).to_numpy()
    adjusted_by = next((name for name in keys["method"].unique() if name != RAW), RAW)
    for column, wanted in (("subgroup", by), ("term", outcome), ("method", method or adjusted_by)):
        known = list(keys.loc[rows, column].unique())
        if wanted is None and len(known) == 1:
            wanted = known[0]
        if wanted not in known:
            argument = {"subgroup": "by", "term": "outcome", "method": "method"}[column]
            hint = did_you_mean(wanted, known) if wanted is not None else f"Known: {', '.join(known)}."
            raise EstimationError(f"heterogeneity_test: say which in {argument}=, got {wanted!r}. {hint}")
        rows = rows & (keys[column] == wanted).to_numpy()
    at = np.flatnonzero(rows & can_be_held(effects))
    return equal_rows(effects.take(at), str(keys["subgroup"].iloc[at[0]]) if len(at) else str(by))


def _told_apart(effects: Estimates) -> str:
    """Return the column whose levels the rows are; an EstimationError where they are different quantities."""
    columns = [name for name in effects.keys if name not in ("term", "level", "quantity", "part", "method")]
    kinds = [name for name in ("quantity", "part", "method") if name in effects.keys]
    several = [name for name in kinds if effects.keys[name].nunique() > 1]
    if len(effects) > 1 and (several or not columns or effects.keys["term"].nunique() > 1):
        shown = ", ".join(map(str, effects.keys[several[0] if several else "term"].unique()[:4]))
        raise EstimationError(
            f"heterogeneity_test: expected one number in several subgroups, got {len(effects)} rows of {effects.verb} "
            f"that are no subgroups ({shown}). Estimate them together, ev.subgroup_effects(..., by='sex'), or "
            f"ev.survey_mean(..., by='sex') for means."
        )
    return str(next(iter(columns), "term"))


def can_be_held(effects: Estimates) -> NDArray[np.bool_]:
    """Tell which rows have an estimate, an error and degrees of freedom, shape (k,)."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.isfinite(effects.estimate) & (effects.std_error > 0) & (effects.df > 0))


def equal_rows(rows: Estimates, by: str) -> TestResult:
    """Test whether all rows, which share their influence, estimate the same number; ``by`` tells them apart."""
    q, df = len(rows) - 1, float(rows.df.min(initial=np.inf))
    if q < 1:
        raise EstimationError(
            "heterogeneity_test: fewer than two levels have an estimate, so there is nothing to hold against each "
            "other. Merge levels that are too small."
        )
    contrasts = np.column_stack([-np.ones(q), np.eye(q)])
    block, gap = contrasts @ rows.vcov @ contrasts.T, contrasts @ rows.estimate
    scale = np.sqrt(np.clip(np.diag(block), 0, None))
    if rows.contributions is None or not np.isfinite(block).all() or not (scale > 0).all():
        raise EstimationError(
            f"heterogeneity_test: the joint covariance of the {q + 1} levels is not known ({rows.variance_method}). "
            f"Estimate them in one call on one design."
        )
    if np.linalg.matrix_rank(block / np.outer(scale, scale), hermitian=True) < q:
        raise EstimationError(
            f"heterogeneity_test: {q + 1} levels on {df:g} degrees of freedom: their covariance has no inverse. Merge "
            f"levels, or test fewer."
        )
    statistic = float(gap @ np.linalg.solve(block, gap)) / q
    return TestResult(
        test="Wald test of equal differences",
        hypothesis=f"{rows.keys['term'].iloc[0]} is the same in all levels of {by}",
        statistic=statistic,
        ndf=float(q),
        ddf=df,
        p_value=float(stats.f.sf(statistic, q, df)) if df > 0 else np.nan,
        n_obs=int(rows.n_obs.sum()),
        provenance=rows.provenance,
        facts={"kind": "equal", "variables": [str(rows.keys["term"].iloc[0])], "by": by},
    )
