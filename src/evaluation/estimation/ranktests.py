"""Rank tests under the design: whether groups differ in where they stand in the population's order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special, stats

from evaluation.design.design import Design, require_design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.arguments import require_conf_level
from evaluation.estimation.domains import Cells, code_levels, outcomes_of
from evaluation.estimation.ttests import mean_by_cell
from evaluation.results import TestResult

Floats = NDArray[np.float64]
RankTest = Literal["wilcoxon", "KruskalWallis", "vanderWaerden", "median"]
Ties = Literal["midpoint", "rows"]

_SCORES: dict[str, Callable[[Floats], Floats]] = {
    "wilcoxon": lambda rank: rank,
    "KruskalWallis": lambda rank: rank,
    "vanderWaerden": lambda rank: np.asarray(special.ndtri(rank)),
    "median": lambda rank: (rank > 0.5).astype(float),
}


def survey_ranktest(
    design: Design,
    outcome: str,
    by: str,
    *,
    test: RankTest | Callable[[Floats], Floats] = "wilcoxon",
    ties: Ties | None = None,
    conf_level: float = 0.95,
) -> TestResult:
    """Test whether an outcome has the same distribution in two or more groups, by ranks in the population.

    Parameters
    ----------
    design : Design
        Any design, finite populations included; a domain restricts the test.
    outcome : str
        Numeric or ordered column.
    by : str
        Column of the groups.
    test : {"wilcoxon", "KruskalWallis", "vanderWaerden", "median"} or function, default "wilcoxon"
        Score of a rank: itself (both first names), its normal quantile, whether it lies above the median, or a
        function of ranks between 0 and 1, shape (n,), such as ``lambda rank: rank**2``.
    ties : {"midpoint", "rows"}, optional
        Rank of equal values: the middle of the step that the estimated distribution takes there (default), or the
        plain mean of the steps' middles in the order of rows, which is R's and depends on that order where weights
        differ (default of a design with ``linearization="r"``).
    conf_level : float, default 0.95
        Of the interval of the difference between two groups.

    Returns
    -------
    TestResult
        Two groups: t of the difference in mean score, second level less first. More: Wald F; R prints F times its
        numerator's degrees of freedom as "Chisq" and takes the p-value from F too.

    Raises
    ------
    ColumnError
        The outcome is text without an order.
    EstimationError
        Fewer than two groups, an unknown test, or negative weights.

    Notes
    -----
    A rank is the estimated share of the population below, plus half of what is equal. The test is the design-based
    regression of scores on groups; under the hypothesis the sampling error of the ranks themselves cancels.
    Degrees of freedom are those of the design less the number of groups plus one.

    References
    ----------
    Lumley and Scott (2013), Biometrika 100, 831-842. R twin: ``survey::svyranktest``.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> respondents = pd.DataFrame({"y": [1.0, 2.0, 3.0, 4.0], "group": ["a", "a", "b", "b"]})
    >>> survey_ranktest(survey_design(respondents), "y", "group").estimate
    0.5
    """
    require_design(design, "survey_ranktest")
    design.require_no_negative_weights("survey_ranktest")
    (score, name), conf_level = _score(test), require_conf_level(conf_level, "survey_ranktest")
    values = _ordered(design, outcome, by)
    answered = ~np.isnan(values) & design.present
    levels, code = code_levels(design.column(by), answered)
    if len(levels) < 2:
        raise EstimationError(f"survey_ranktest: by='{by}' has {len(levels)} level among those who answered, not two.")
    used = code >= 0
    rule = ties or ("rows" if design.linearization == "r" else "midpoint")
    if rule not in ("midpoint", "rows"):
        raise EstimationError(f"survey_ranktest: ties must be 'midpoint' or 'rows', got {ties!r}.")
    scores = np.zeros(len(design))
    scores[used] = _scored(score, _ranks(values[used], design.weights[used], rule))
    if np.ptp(scores[used]) == 0:
        raise EstimationError(
            f"survey_ranktest: every respondent has the same score of '{outcome}', so none stands out."
        )
    df = float(design.degrees_of_freedom(used) - (len(levels) - 1))
    cells = Cells(code, pd.DataFrame(index=range(len(levels))))
    hypothesis = f"{outcome} is distributed alike whatever {by}"
    found = _compared(design, scores, cells, df, (f"rank test, {name}", hypothesis), conf_level)
    return replace(found, facts={"kind": "alike", "variables": [outcome], "by": by, "levels": levels})


def _score(test: RankTest | Callable[[Floats], Floats]) -> tuple[Callable[[Floats], Floats], str]:
    if callable(test):
        return test, "own scores"
    if not isinstance(test, str) or test not in _SCORES:
        raise EstimationError(f"survey_ranktest: no test {test!r}. {did_you_mean(test, _SCORES)}")
    return _SCORES[test], test


def _scored(score: Callable[[Floats], Floats], ranks: Floats) -> Floats:
    """Return the scores of ranks, shape (n,); an EstimationError where the function makes something else of them."""
    asked = "survey_ranktest: test must take an array of ranks between 0 and 1 and return as many numbers"
    move = "Write it like lambda rank: rank**2."
    try:
        found = np.asarray(score(ranks), dtype=float)
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise EstimationError(f"{asked}, but it fails: {error}. {move}") from error
    if found.shape != ranks.shape:
        raise EstimationError(f"{asked}: {ranks.size:,} were given, shape {found.shape} came back. {move}")
    if not np.isfinite(found).all():
        lost = ~np.isfinite(found)
        raise EstimationError(
            f"{asked}, but {int(lost.sum()):,} of {ranks.size:,} are missing or infinite (lowest: at rank "
            f"{ranks[lost].min():.6g}). Take a function that has a value at every rank."
        )
    return found


def _ordered(design: Design, outcome: str, by: str) -> Floats:
    """Return values in whose order respondents stand, shape (n,): numbers, or places of ordered categories."""
    if outcome == by:
        raise ColumnError(f"survey_ranktest: '{outcome}' is the outcome and the group. They are two columns.")
    column = design.column(outcome)
    if isinstance(column.dtype, pd.CategoricalDtype) and column.cat.ordered:
        return np.where(column.isna(), np.nan, column.cat.codes.to_numpy(dtype=float))
    outcomes = outcomes_of(design, [outcome], listwise=False, verb="survey_ranktest")
    return np.where(outcomes.answered[:, 0], outcomes.values[:, 0], np.nan)


def _ranks(values: Floats, weights: Floats, ties: Ties) -> Floats:
    """Return estimated population ranks between 0 and 1, shape (n,)."""
    order = np.argsort(values, kind="stable")
    step = np.unique(values[order], return_inverse=True)[1]
    sorted_weights = weights[order]
    if ties == "rows":
        middle = np.cumsum(sorted_weights) - sorted_weights / 2
        at = np.bincount(step, weights=middle) / np.bincount(step)
    else:
        mass = np.bincount(step, weights=sorted_weights)
        at = np.cumsum(mass) - mass / 2
    ranks = np.empty(len(values))
    ranks[order] = at[step] / weights.sum()
    return ranks


def _compared(
    design: Design, scores: Floats, cells: Cells, df: float, names: tuple[str, str], conf_level: float
) -> TestResult:
    means, k = mean_by_cell(design, scores, cells), len(cells) - 1
    apart = np.vstack([-np.ones(k), np.eye(k)])
    difference = means.estimate @ apart
    covariance = design.engine.covariance(means.contributions @ apart)
    groups = np.bincount(cells.code[cells.code >= 0])
    enough = df > 0 and np.linalg.matrix_rank(covariance, hermitian=True) == k
    wald = float(difference @ np.linalg.solve(covariance, difference)) / k if enough else np.nan
    about: dict[str, Any] = {"distribution": "F"}
    statistic = wald
    if k == 1:
        error = float(np.sqrt(covariance[0, 0]))
        half = error * float(stats.t.ppf((1 + conf_level) / 2, df if df > 0 else np.nan))
        statistic = float(np.sign(difference[0]) * np.sqrt(wald))
        about = {
            "distribution": "t",
            "estimate": float(difference[0]),
            "std_error": error,
            "conf_low": float(difference[0]) - half,
            "conf_high": float(difference[0]) + half,
            "conf_level": conf_level,
        }
    return TestResult(
        test=names[0],
        hypothesis=names[1],
        statistic=statistic,
        ndf=float(k),
        ddf=df,
        p_value=float(stats.f.sf(wald, k, df)) if enough else np.nan,
        n_obs=int(groups.sum()),
        provenance=design.provenance,
        smallest_group=int(groups.min()),
        **about,
    )
