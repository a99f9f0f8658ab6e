"""Multiplicity: what p-values become where many differences are tested at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, cast, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import fdrcorrection, multipletests

from evaluation.errors import EstimationError
from evaluation.estimation.arguments import came, column_names, require_choice
from evaluation.estimation.contrasts import joined, results_in
from evaluation.results import Estimates

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Adjustment = Literal["holm", "hochberg", "bonferroni", "sidak", "holm_sidak", "hommel", "bh", "by"]

#: The same methods as statsmodels calls them.
_AS_STATSMODELS = {
    "holm": "holm",
    "hochberg": "simes-hochberg",
    "bonferroni": "bonferroni",
    "sidak": "sidak",
    "holm_sidak": "holm-sidak",
    "hommel": "hommel",
    "bh": "fdr_bh",
    "by": "fdr_by",
}
#: Fewest draws: with fewer, no adjusted p-value could fall below 1 %.
FEWEST = 99
#: Rows of a comparison that stand beside the difference and are no hypotheses.
_BESIDE = ("mean_", "benchmark")
#: Quantities, by how they begin, and verbs, whose rows are levels of something and no differences.
_LEVELS = (*_BESIDE[:1], "benchmark", "share_", "alpha", "top_box_p", "top_box_c", "bottom_box_p", "bottom_box_c")
_OF_LEVELS = frozenset(
    {"survey_mean", "survey_prop", "survey_total", "survey_quantile", "survey_ratio", "survey_variance", "predictions"}
    | {"fay_herriot", "pooled_waves", "standardise_composition", "survey_median"}
)


@overload
def adjust_p_values(
    p: Estimates, *, method: Adjustment = ..., within: str | Sequence[str] | None = ...
) -> Estimates: ...


@overload
def adjust_p_values(
    p: pd.Series[Any], *, method: Adjustment = ..., within: str | Sequence[str] | None = ...
) -> pd.Series[Any]: ...


@overload
def adjust_p_values(
    p: Mapping[str, float] | Mapping[str, Estimates],
    *,
    method: Adjustment = ...,
    within: str | Sequence[str] | None = ...,
) -> dict[str, Any]: ...


@overload
def adjust_p_values(
    p: Sequence[float | None] | Floats, *, method: Adjustment = ..., within: str | Sequence[str] | None = ...
) -> Floats: ...


def adjust_p_values(p: Any, *, method: Adjustment = "holm", within: str | Sequence[str] | None = None) -> Any:
    """Adjust p-values of one family of tests for their number.

    Parameters
    ----------
    p : Estimates, mapping of name to Estimates or to p-value, Series, or sequence of float
        P-values from 0 to 1, or results whose p-values against zero are meant. Of a comparison the difference is
        tested, not the means beside it. All results of a mapping are one family, whatever samples they come from.
    method : str, default "holm"
        ``holm``, ``hochberg``, ``hommel``, ``bonferroni``, ``sidak``, ``holm_sidak`` hold the probability of one false
        finding or more (``hochberg`` and ``hommel`` under independence or positive dependence, the two of Šidák under
        independence); ``bh`` and ``by`` hold the expected share of false ones among the findings, ``by`` under any
        dependence.
    within : str or list of str, optional
        For estimates: key columns of which every combination is a family of its own, e.g. ``"term"``.

    Returns
    -------
    as ``p``
        Estimates with a further column ``p_<method>``; else adjusted p-values in the order given. A missing p-value
        stays missing and is not counted.

    Raises
    ------
    EstimationError
        A p-value outside 0 to 1, none at all, an unknown method or key column.

    References
    ----------
    Holm (1979); Hochberg (1988); Hommel (1988); Benjamini and Hochberg (1995); Benjamini and Yekutieli (2001). R
    twin: ``p.adjust``; computed by ``statsmodels.stats.multitest.multipletests``.

    Examples
    --------
    >>> adjust_p_values([0.01, None, 0.02, 0.04]).tolist()
    [0.03, nan, 0.04, 0.04]
    """
    require_choice(method, tuple(_AS_STATSMODELS), "adjust_p_values: method")
    if isinstance(p, Estimates):
        raw = np.where(hypotheses(p), p.tidy()["p_value"], np.nan)
        return _with_column(p, f"p_{method}", _by_family(raw, families_of(p, within, "adjust_p_values"), method))
    if within is not None:
        raise EstimationError("adjust_p_values: within names key columns of estimates, but p-values alone have none.")
    if isinstance(p, Mapping) and any(isinstance(part, Estimates) for part in p.values()):
        return _of_several(p, method)
    if isinstance(p, Mapping):
        return dict(zip(p, adjusted(_p_values(list(p.values())), method).tolist(), strict=True))
    made = adjusted(_p_values(p), method)
    return pd.Series(made, index=p.index, name=p.name) if isinstance(p, pd.Series) else made


def _of_several(parts: Mapping[str, Any], method: str) -> dict[str, Estimates]:
    """Adjust the p-values of several results together."""
    results = results_in(list(parts.values()), "adjust_p_values")
    raw = [np.where(hypotheses(part), part.tidy()["p_value"], np.nan) for part in results]
    whole = adjusted(np.concatenate(raw), method)
    own = np.split(whole, np.cumsum([len(part) for part in raw])[:-1])
    return {name: _with_column(part, f"p_{method}", p) for name, part, p in zip(parts, results, own, strict=True)}


def adjusted(p: Floats, method: str) -> Floats:
    """Return p-values of one family adjusted by one of the named methods; missing ones stay missing, shape (k,)."""
    known = ~np.isnan(p)
    made = np.full(len(p), np.nan)
    if not known.any():
        return made
    if method in ("bh", "by"):
        made[known] = fdrcorrection(p[known], method={"bh": "indep", "by": "negcorr"}[method])[1]
    elif method == "holm":
        # Not by multipletests, which collects garbage each time: half a second for every family.
        order = np.argsort(p[known], kind="stable")
        stepped = np.maximum.accumulate(np.sort(p[known]) * np.arange(known.sum(), 0, -1))
        made[np.flatnonzero(known)[order]] = np.minimum(stepped, 1.0)
    else:
        made[known] = multipletests(p[known], method=_AS_STATSMODELS[method])[1]
    return made


def _p_values(given: object) -> Floats:
    try:
        p = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise EstimationError(
            f"adjust_p_values needs numbers from 0 to 1, or estimates, got {type(given).__name__}. Write "
            f"[0.01, 0.2], or pass what an estimating verb returned."
        ) from None
    if p.ndim != 1 or not p.size:
        raise EstimationError(
            f"adjust_p_values needs one p-value and more in a row, got an array of shape {p.shape}. Write [0.01, 0.2]."
        )
    wrong = (p < 0) | (p > 1)
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        move = "P-values are shares, not per cent." if 1 < p[place] <= 100 else "Pass p-values, not statistics."
        raise EstimationError(
            f"adjust_p_values: p-values lie between 0 and 1, but {int(wrong.sum())} of {len(p)} do not (first: "
            f"{p[place]:g}, number {place + 1}). {move}",
            failures=pd.DataFrame({"number": np.flatnonzero(wrong) + 1, "p_value": p[wrong]}),
        )
    return p


def hypotheses(result: Estimates) -> Mask:
    """Tell which rows test something: they have a p-value, and are no mean beside a difference, shape (k,)."""
    tests = result.tidy()["p_value"].notna().to_numpy(dtype=bool)
    if "quantity" in result.keys:
        tests = tests & ~result.keys["quantity"].astype(str).str.startswith(_BESIDE).to_numpy(dtype=bool)
    if "subgroup" in result.keys:
        tests = tests & (result.keys["subgroup"] != "overall").to_numpy(dtype=bool)
    return np.asarray(tests, dtype=bool)


def is_logarithm(quantity: object) -> bool:
    """Tell whether a row is the logarithm of a ratio."""
    return str(quantity).startswith("log_")


def are_differences(result: Estimates) -> Mask:
    """Tell which rows are differences, for which zero means none, and no means or shares, shape (k,)."""
    if "quantity" in result.keys:
        return ~result.keys["quantity"].astype(str).str.startswith(_LEVELS).to_numpy(dtype=bool)
    return np.full(len(result), result.verb not in _OF_LEVELS)


def families_of(result: Estimates, within: str | Sequence[str] | None, verb: str) -> NDArray[np.int64]:
    """Return the family of each row: one for every combination of the named key columns, shape (k,)."""
    names = list(column_names(within, f"{verb}: within", "'term'"))
    strange = [name for name in names if name not in result.keys]
    if strange:
        raise EstimationError(
            f"{verb}: within='{strange[0]}' is no key column of the result. It has: {', '.join(result.keys.columns)}."
        )
    if not names:
        return np.zeros(len(result), dtype=np.int64)
    return np.asarray(result.keys.groupby(names, sort=False, dropna=False).ngroup(), dtype=np.int64)


def _by_family(p: Floats, family: NDArray[np.int64], method: str) -> Floats:
    made = np.full(len(p), np.nan)
    for own in np.unique(family):
        made[family == own] = adjusted(p[family == own], method)
    return made


def _with_column(result: Estimates, name: str, values: Floats, **fit: Any) -> Estimates:
    kept = {key: value for key, value in result.fit.items() if key != "families" or name not in result.columns}
    return replace(result, columns={**result.columns, name: values}, fit={**kept, **fit})


def stepdown(
    results: Estimates | Sequence[Estimates],
    *,
    replicates: int = 9_999,
    seed: int = 1,
    within: str | Sequence[str] | None = None,
) -> Estimates:
    """Adjust p-values by Romano and Wolf's stepdown, which knows how the estimates move together.

    Parameters
    ----------
    results : Estimates or list of Estimates
        Of one design, with their influence; every row is held against zero. Of a comparison the difference is tested,
        not the means beside it.
    replicates : int, default 9,999
        Draws of the joint null distribution, 99 and more; no p-value falls below 1 / (replicates + 1).
    seed : int, default 1
        Of the draws; recorded in ``fit``.
    within : str or list of str, optional
        Key columns of which every combination is a family of its own.

    Returns
    -------
    Estimates
        The rows, under one another, with a further column ``p_romano_wolf``.

    Raises
    ------
    EstimationError
        A result without influence (matching, imputation), results of different designs, too few draws, nothing to
        test.

    Notes
    -----
    The draws are a multiplier bootstrap of sampling units: each unit's contribution, about the mean of its stratum, is
    multiplied by an independent standard normal number. Their joint distribution is normal with exactly the design's
    covariance, so they are drawn from it, and whatever the covariance counts (stages, finite populations, the
    weighting chain, estimated propensities, replicates) is in them. Each draw is divided by the standard error and by
    the root of a chi-squared number over the design's degrees of freedom, so that one test alone keeps its t p-value.
    The largest statistic is held against the largest of all draws, the next against the largest of the rest, and so
    on; p is :math:`(1 + count) / (1 + B)`, and no p-value is below that of a larger statistic. The probability of one
    false finding or more is held, whatever the dependence.

    References
    ----------
    Romano and Wolf (2005), Econometrica 73, 1237-1282; Romano and Wolf (2016), Statistics and Probability Letters
    113, 38-40 (the p-values). Multipliers: Chernozhukov, Chetverikov and Kato (2013), Annals of Statistics 41.
    Stata twin: ``rwolf2``, which resamples.

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> from evaluation.estimation.means import survey_mean
    >>> answers = pd.DataFrame({"a": [1.0, 2, 1, 3, 2, 4], "b": [2.0, 4, 2, 6, 4, 8], "c": [-1.0, 1, 0, 1, -1, 0]})
    >>> found = stepdown(survey_mean(survey_design(answers), ["a", "b", "c"]), seed=1).tidy()
    >>> bool(found["p_romano_wolf"][0] == found["p_romano_wolf"][1] < found["p_romano_wolf"][2])
    True
    """
    parts = results_in(results, "stepdown")
    if not parts:
        raise EstimationError("stepdown needs at least one result; nothing was given.")
    count, chosen = draws_asked(replicates, seed, "stepdown")
    for part in parts:
        _refuse_without_influence(part)
    whole = joined(parts)
    tests = hypotheses(whole)
    if not tests.any():
        raise EstimationError("stepdown: no row has a standard error and degrees of freedom, so nothing is tested.")
    p = romano_wolf(whole, tests, families_of(whole, within, "stepdown"), count, chosen)
    return _with_column(whole, "p_romano_wolf", p, stepdown_replicates=count, stepdown_seed=chosen)


def draws_asked(replicates: object, seed: object, verb: str) -> tuple[int, int]:
    """Return number and seed of draws; an EstimationError where they are no whole numbers, or too few."""
    for name, value, least in (("replicates", replicates, FEWEST), ("seed", seed, 0)):
        whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        if not whole or cast(int, value) < least:
            why = f" With B draws no p-value is below 1/(B + 1); {FEWEST} reach 1 %." if name == "replicates" else ""
            raise EstimationError(f"{verb}: {name} must be a whole number from {least} on, got {value!r}.{why}")
    return int(cast(int, replicates)), int(cast(int, seed))


def _refuse_without_influence(part: Estimates) -> None:
    if part.contributions is None:
        raise EstimationError(
            f"stepdown draws from the joint influence of the estimates, but {part.verb} has none "
            f"({part.variance_method}). Use ev.adjust_p_values(result, method='holm'), which needs p-values alone."
        )


def romano_wolf(result: Estimates, tests: Mask, family: NDArray[np.int64], replicates: int, seed: int) -> Floats:
    """Return stepdown p-values of the rows that are ``tests``, family by family, missing elsewhere, shape (k,).

    Every family is drawn from the same seed, so that it does not hang on what else was asked.
    """
    made = np.full(len(result), np.nan)
    statistic = result.tidy()["statistic"].to_numpy(dtype=float)
    for own in np.unique(family[tests]):
        rows = np.flatnonzero(tests & (family == own))
        made[rows] = stepdown_p_values(statistic[rows], _null_draws(result, rows, replicates, seed))
    return made


def _null_draws(result: Estimates, rows: NDArray[np.int64], replicates: int, seed: int) -> Floats:
    """Return studentised draws under the null hypothesis, shape (replicates, len(rows))."""
    error = result.std_error[rows]
    size, direction = np.linalg.eigh(result.vcov[np.ix_(rows, rows)] / np.outer(error, error))
    rng = np.random.default_rng(seed)
    normal = rng.standard_normal((replicates, len(rows))) @ (direction * np.sqrt(np.clip(size, 0, None))).T
    place = rng.random(replicates)
    for df in np.unique(result.df[rows][np.isfinite(result.df[rows])]):
        normal[:, result.df[rows] == df] /= np.sqrt(stats.chi2.ppf(place, df) / df)[:, None]
    return np.asarray(normal)


def stepdown_p_values(
    statistics: Sequence[float] | Floats, null: Floats | pd.DataFrame, *, two_sided: bool = True
) -> Floats:
    """Return Romano and Wolf's stepdown p-values of given statistics under a given joint null distribution.

    Parameters
    ----------
    statistics : sequence of float, length k
        Studentised statistics; a missing one stays missing and is not counted.
    null : ndarray or DataFrame, shape (B, k)
        Draws of the same statistics under the null hypothesis, from whatever resampling suits the data.
    two_sided : bool, default True
        Compare sizes; else large positive values count against the null hypothesis.

    Returns
    -------
    ndarray, shape (k,)

    Raises
    ------
    EstimationError
        Other numbers of columns than of statistics, no draws, or missing draws.

    Examples
    --------
    >>> stepdown_p_values([3.0, 1.0], np.array([[0.1, 2.0], [-1.5, 0.3], [0.2, -0.4]])).tolist()
    [0.25, 0.5]
    """
    try:
        observed, draws = np.asarray(statistics, dtype=float), np.asarray(null, dtype=float)
    except (TypeError, ValueError):
        raise EstimationError(
            f"stepdown_p_values: statistics and draws must be numbers, got {came(statistics)} and {came(null)}."
        ) from None
    if draws.ndim != 2 or observed.ndim != 1 or draws.shape[1] != len(observed) or not len(draws):
        raise EstimationError(
            f"stepdown_p_values: expected draws with a column for each of {observed.size} statistics, got shape "
            f"{draws.shape}. One row is one draw of all of them together."
        )
    known = np.flatnonzero(~np.isnan(observed))
    if np.isnan(draws[:, known]).any():
        raise EstimationError(
            f"stepdown_p_values: {int(np.isnan(draws[:, known]).any(axis=1).sum())} of {len(draws)} draws miss a "
            f"statistic. Leave such draws out, or draw them again."
        )
    if two_sided:
        observed, draws = np.abs(observed), np.abs(draws)
    order = known[np.argsort(-observed[known], kind="stable")]
    largest_of_rest = np.maximum.accumulate(draws[:, order[::-1]], axis=1)[:, ::-1]
    exceeding = (largest_of_rest >= observed[order]).sum(axis=0)
    made = np.full(len(observed), np.nan)
    made[order] = np.maximum.accumulate((1 + exceeding) / (len(draws) + 1))
    return made
