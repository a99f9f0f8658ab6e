"""Rare groups over several waves of one survey, and estimates that rest on too little being refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from evaluation.design.design import Design, domain, require_design
from evaluation.errors import ColumnError, EstimationError, did_you_mean
from evaluation.estimation.arguments import column_names, is_number
from evaluation.estimation.means import survey_mean
from evaluation.estimation.trend import breaks_of_survey
from evaluation.results import Estimates, VarianceEngine

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

#: Why a row is refused; keys of the vocabulary, and words of their own.
FEW_RESPONDENTS = "fewer respondents than the stated minimum"
FEW_UNITS = "fewer degrees of freedom than the stated minimum"
NO_ERROR = "no sampling error can be estimated"
ABSENT_WAVE = "nobody in one of the waves"
REWORDED_WAVES = "asked in other words in one of the waves"


def pooled_waves(
    design: Design,
    variables: str | Sequence[str],
    *,
    by: str | Sequence[str] = "district",
    time: str = "year",
    waves: Sequence[Any] | None = None,
    minimum_n: int = 30,
    minimum_df: float = 3,
    conf_level: float = 0.95,
) -> Estimates:
    """Estimate means of small groups over several waves, every wave counting alike, or refuse to.

    Parameters
    ----------
    design : Design
        One design that holds all waves; take the rare group as its domain. Sampling units that come again in several
        waves carry one id in all of them, and one stratum, so that their covariance is counted.
    variables : str or list of str
        Numeric columns.
    by : str or list of str, default "district"
        Columns of the areas.
    time : str, default "year"
        Column of the wave.
    waves : sequence, optional
        Values of ``time``; default all that the domain has.
    minimum_n : int, default 30
        Fewest respondents over all waves together.
    minimum_df : float, default 3
        Fewest degrees of freedom: sampling units less strata with a respondent of the group, over all waves.
    conf_level : float, default 0.95
        Of the t interval.

    Returns
    -------
    Estimates
        One row per variable and area. ``refused_because`` says in words why a row has no numbers, empty where it has;
        an item that the survey's changes.csv says was worded anew between these waves has none. ``waves_alike`` is
        the p-value (Wald) of equal means in all waves.

    Raises
    ------
    ColumnError
        A column does not exist, or is both area and time.
    EstimationError
        Fewer than two waves, or one that the domain does not have.

    Notes
    -----
    :math:`\\bar y_d = T^{-1} \\sum_t \\bar y_{dt}`: the average level of these waves. It stands for any single one of
    them only if nothing changed in between, which is an assumption; a low ``waves_alike`` speaks against it, a high
    one has little power in groups as small as these.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> rng = np.random.default_rng(1)
    >>> frame = pd.DataFrame({"year": np.repeat([2015, 2016], 60), "district": list("aab") * 40})
    >>> frame["y"] = rng.normal(size=120)
    >>> result = pooled_waves(survey_design(frame), "y", minimum_n=50)
    >>> result.tidy()[["district", "n_obs", "refused_because"]].to_numpy().tolist()
    [['a', 80, ''], ['b', 40, 'fewer respondents than the stated minimum']]
    """
    require_design(design, "pooled_waves")
    areas = list(column_names(by, "pooled_waves: by"))
    if not areas:
        raise EstimationError("pooled_waves: by names no area. Write by='district', or the columns of your areas.")
    require_minima(minimum_n, minimum_df)
    if time in areas:
        raise ColumnError(f"pooled_waves: '{time}' is the time and cannot be an area too. Leave it out of by.")
    chosen = _waves(design, time, waves)
    restricted = domain(design, {time: chosen})
    whole = survey_mean(restricted, variables, by=areas, conf_level=conf_level)
    each = survey_mean(restricted, variables, by=[*areas, time], conf_level=conf_level)
    each = each.take(np.flatnonzero(each.n_obs > 0))
    member = _membership(whole, each, areas)
    average = np.where(member, 1 / len(chosen), 0.0)
    engine, contributions = _means_of_waves(each)
    contributions = contributions @ average.T
    pooled = replace(
        whole,
        verb="pooled_waves",
        estimate=average @ each.estimate,
        vcov=engine.covariance(contributions),
        engine=engine,
        contributions=contributions,
        influence_of=None if each.influence_of is None else lambda: _influence(each) @ average.T,
        columns={"waves_alike": np.array([_alike(each, rows, df) for rows, df in zip(member, whole.df, strict=True)])},
        fit={"time": time, "waves": [str(wave) for wave in chosen], "assumption": "the same level in every wave"},
    )
    terms = whole.keys["term"]
    breaks = breaks_of_survey(design.provenance.survey, list(dict.fromkeys(terms)), sorted(chosen))
    reworded = terms.isin(breaks).to_numpy(dtype=bool)
    return _refused(pooled, minimum_n, minimum_df, absent=member.sum(axis=1) < len(chosen), reworded=reworded)


def _waves(design: Design, time: str, waves: Sequence[Any] | None) -> list[Any]:
    column = design.column(time)
    found = sorted(column[design.present].dropna().unique().tolist())
    if waves is not None and (isinstance(waves, str) or not isinstance(waves, Iterable)):
        raise EstimationError(
            f"pooled_waves: waves must list two values and more of '{time}', got {waves!r}. Write waves={found[:2]}."
        )
    chosen = found if waves is None else list(waves)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise EstimationError(f"pooled_waves needs two different waves and more of '{time}', got {chosen}.")
    unknown = [wave for wave in chosen if wave not in found]
    if unknown:
        raise EstimationError(
            f"pooled_waves: nobody in the domain has {time} = {unknown[0]!r}. {did_you_mean(unknown[0], found)}"
        )
    return chosen


def _membership(whole: Estimates, each: Estimates, areas: list[str]) -> Mask:
    """Tell which means of one wave belong to each variable and area."""
    key = ["term", *areas]
    place = {name: at for at, name in enumerate(whole.keys[key].itertuples(index=False, name=None))}
    member = np.zeros((len(whole), len(each)), dtype=bool)
    for row, name in enumerate(each.keys[key].itertuples(index=False, name=None)):
        member[place[name], row] = True
    return member


def _means_of_waves(each: Estimates) -> tuple[VarianceEngine, Floats]:
    if each.contributions is None or each.engine is None:
        raise EstimationError("pooled_waves: the means of waves have no influence function.")
    return each.engine, each.contributions


def _influence(each: Estimates) -> Floats:
    return np.zeros((0, len(each))) if each.influence_of is None else each.influence_of()


def _alike(each: Estimates, rows: Mask, df: float) -> float:
    """Return the p-value of equal means in the waves that are there."""
    at = np.flatnonzero(rows)
    q = len(at) - 1
    left = df - q + 1
    if q < 1 or left <= 0:
        return np.nan
    apart = np.eye(len(at))[1:] - np.eye(len(at))[0]
    gap, covariance = apart @ each.estimate[at], apart @ each.vcov[np.ix_(at, at)] @ apart.T
    if np.linalg.matrix_rank(covariance, hermitian=True) < q:
        return np.nan
    wald = float(gap @ np.linalg.solve(covariance, gap))
    return float(stats.f.sf(wald * left / (df * q), q, left))


def refuse_small(result: Estimates, *, minimum_n: int = 30, minimum_df: float = 3) -> Estimates:
    """Take the numbers from every row that rests on too little, and say why in words.

    Parameters
    ----------
    result : Estimates
        Estimates of small groups.
    minimum_n : int, default 30
        Fewest respondents behind a row.
    minimum_df : float, default 3
        Fewest degrees of freedom.

    Returns
    -------
    Estimates
        With a further column ``refused_because``: the reason, empty where the row stands. The words are terms of the
        workbench, so tables show them in Korean or English; ``glance()`` has the minima.

    Raises
    ------
    EstimationError
        Not estimates, or a minimum below zero.

    Examples
    --------
    >>> import pandas as pd
    >>> from evaluation.design.declaration import survey_design
    >>> frame = pd.DataFrame({"y": [1.0, 2.0, 3.0, 5.0, 6.0], "area": list("aaaab")})
    >>> refused = refuse_small(survey_mean(survey_design(frame), "y", by="area"), minimum_n=3, minimum_df=1)
    >>> refused.tidy()["refused_because"].tolist()
    ['', 'fewer respondents than the stated minimum']
    """
    if not isinstance(result, Estimates):
        raise EstimationError(f"refuse_small needs estimates, got {type(result).__name__}.")
    none = np.zeros(len(result), dtype=bool)
    return _refused(result, minimum_n, minimum_df, absent=none, reworded=none)


def require_minima(minimum_n: object, minimum_df: object) -> None:
    """Raise an EstimationError unless both minima are numbers that are not negative."""
    known = is_number(minimum_n) and is_number(minimum_df)
    if not known or not (minimum_n >= 0 and minimum_df >= 0):  # type: ignore[operator]
        raise EstimationError(
            f"minima must be 0 or above, got minimum_n={minimum_n!r}, minimum_df={minimum_df!r}. Write numbers, such "
            f"as minimum_n=30, minimum_df=3."
        )


def _refused(result: Estimates, minimum_n: int, minimum_df: float, *, absent: Mask, reworded: Mask) -> Estimates:
    require_minima(minimum_n, minimum_df)
    few, unsure = result.n_obs < minimum_n, (result.df < minimum_df) | np.isnan(result.df)
    unknown = ~(result.std_error > 0)
    reason = np.select(
        [reworded, absent, few, unsure, unknown],
        [REWORDED_WAVES, ABSENT_WAVE, FEW_RESPONDENTS, FEW_UNITS, NO_ERROR],
        "",
    )
    gone = reason != ""
    contributions = result.contributions
    # What is refused needs no mark, which would tell that few gave one of the answers; a small count keeps its own.
    counted = gone & (result.n_obs >= result.provenance.min_cell)
    return replace(
        result,
        bases=np.where(counted, 0, result.base_sizes),
        cell_counts=None if result.cell_counts is None else np.where(gone, 0, result.cell_counts),
        estimate=np.where(gone, np.nan, result.estimate),
        vcov=np.where(gone[:, None] | gone[None, :], np.nan, result.vcov),
        contributions=None if contributions is None else np.where(gone, np.nan, contributions),
        influence_of=None if gone.any() else result.influence_of,
        interval=None if result.interval is None else np.where(gone[:, None], np.nan, result.interval),
        columns={**_emptied(result, gone), "refused_because": reason.astype(object)},
        fit={**result.fit, "minimum_n": minimum_n, "minimum_df": float(minimum_df), "n_refused": int(gone.sum())},
    )


def _emptied(result: Estimates, gone: Mask) -> dict[str, NDArray[Any]]:
    """Return the further columns, numbers of refused rows taken out."""
    return {
        name: np.where(gone, np.nan, values.astype(float)) if np.issubdtype(values.dtype, np.number) else values
        for name, values in result.columns.items()
    }
