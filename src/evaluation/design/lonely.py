"""The variance of one stage, and what happens to strata whose sample is a single unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from evaluation.design.collapse import sum_by
from evaluation.design.sampling import Stage, VarianceRules

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def stage_covariance(stage: Stage, totals: Floats, inherited: Floats, rules: VarianceRules, *, first: bool) -> Floats:
    """Return what one stage adds to the covariance, shape (k, k).

    Parameters
    ----------
    stage : Stage
        Units, strata and sampling fractions.
    totals : ndarray, shape (n_units, k)
        Contributions of the units.
    inherited : ndarray, shape (n_strata,)
        Probability of the units of the stages before, within which this stage's strata lie.
    rules : VarianceRules
        For lonely PSUs.
    first : bool
        True for the first stage.

    Notes
    -----
    A unit is in a column's domain where its contribution is not exactly zero; that is how
    ``lonely_domains`` and ``lonely_psu="average"``, which averages over the strata of the domain, know
    it. So one number has one standard error, however it was asked for: by ``domain``, by groups or as the
    total of an indicator.

    References
    ----------
    R twin: ``options(survey.lonely.psu, survey.adjust.domain.lonely)``; ``"centre"`` as survey 4.5 and Stata's
    ``singleunit(centered)`` have it, about the mean of all units.
    """
    if stage.pairs is not None:
        left_out = stage.lonely[stage.stratum, None] & (rules.pps == "hartley_rao")
        return stage.pairs.covariance(np.where(left_out, 0.0, totals))
    n = stage.units_per_stratum
    centre = sum_by(stage.stratum, stage.n_strata, totals) / n[:, None]
    larger = np.where(n > 1, n / np.maximum(n - 1, 1), 1.0 if rules.lonely_psu == "centre" else 0.0)
    factor = (inherited * larger)[stage.stratum] * (1 - stage.unit_fraction)
    alone = _alone(stage, totals, rules)
    if rules.lonely_psu == "centre" and alone.any():
        centre = np.where(alone, totals.mean(axis=0), centre)
    scaled = (totals - centre[stage.stratum]) * np.sqrt(factor)[:, None]
    if rules.lonely_psu == "average" and alone.any():
        scaled = np.where(alone[stage.stratum], 0.0, scaled) * _raised(stage, totals, alone, first=first)
    return np.asarray(scaled.T @ scaled)


def _alone(stage: Stage, totals: Floats, rules: VarianceRules) -> Mask:
    """Tell the strata to which the rule applies in each column, shape (n_strata, k) or (n_strata, 1)."""
    alone: Mask = stage.lonely[:, None]
    if not rules.lonely_domains or rules.lonely_psu in ("fail", "remove"):
        return alone
    drawn = np.zeros(stage.n_strata, dtype=bool)
    drawn[stage.stratum[stage.unit_fraction < 1]] = True
    return np.asarray(alone | (drawn[:, None] & (_units_present(stage, totals) == 1)))


def _units_present(stage: Stage, totals: Floats) -> Floats:
    return sum_by(stage.stratum, stage.n_strata, (totals != 0).astype(float))


def _raised(stage: Stage, totals: Floats, alone: Mask, *, first: bool) -> Floats:
    """Return the root of strata by strata with a variance, shape (k,); NaN where none has one."""
    counted = _units_present(stage, totals) > 0
    if not first:
        sampled = np.ones(stage.n_strata, dtype=bool)
        sampled[stage.stratum] = stage.unit_fraction < 1
        counted &= sampled[:, None]
    every, usable = counted.sum(axis=0), (counted & ~alone).sum(axis=0)
    ratio = np.divide(every, usable, out=np.full(len(every), np.nan), where=usable > 0)
    return np.asarray(np.sqrt(np.where(every == 0, 1.0, ratio)))
