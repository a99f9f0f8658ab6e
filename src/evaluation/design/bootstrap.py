"""Bootstrap factors: resampling units of every stage that bears variance, with the finite population in the scale."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.design.sampling import Stage

Floats = NDArray[np.float64]


def bearing_stages(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """Return the stages down to the last that bears variance.

    A later stage bears none below units drawn with replacement, nor where it takes every unit there is.
    """
    inherited, last = stages[0].fraction, 1
    for number, (before, stage) in enumerate(itertools.pairwise(stages), start=2):
        inherited = inherited[before.stratum]
        if ((inherited > 0) & (stage.fraction < 1)).any():
            last = number
        inherited = inherited * stage.fraction
    return tuple(stages[:last])


def rao_wu(stages: Sequence[Stage], replicates: int, generator: np.random.Generator) -> Floats:
    """Resample n - 1 of n units with replacement at each stage, shape (units of the last stage, replicates).

    Parameters
    ----------
    stages : sequence of Stage
        Those that bear variance, first stage first.
    replicates : int
        Number of bootstrap samples.
    generator : numpy.random.Generator
        Source of chance.

    Notes
    -----
    A unit drawn r times has the factor :math:`1 + c (\\frac{n}{n-1} r - 1)`, which has mean 1 and variance
    :math:`c^2`. At the first stage :math:`c^2 = 1 - f`: without a finite population correction, Rao and Wu's own
    :math:`r n / (n - 1)`. A later stage multiplies the factor A of its parent and takes

    .. math:: c^2 = \\frac{f_1 \\cdots f_{s-1} (1 - f_s)}{E(A^2)},

    so that a total's expected variance is that of the multistage formula (Särndal et al. 1992, 4.3), term by term,
    and no factor is negative. A stratum with one unit keeps its factor 1.

    References
    ----------
    Rao and Wu (1988), JASA 83, 231-241; Rao, Wu and Yue (1992), Survey Methodology 18, 209-217; multiplication over
    stages after Beaumont and Émond (2022), Stats 5, 339-357.
    """
    factors = np.ones((stages[0].n_strata, replicates))
    inherited = np.ones(stages[0].n_strata)
    square = np.ones(stages[0].n_strata)
    for stage in stages:
        n = stage.units_per_stratum
        share = np.where(n > 1, inherited * (1 - stage.fraction) / square, 0.0)
        own = _multiplicities(stage, replicates, generator)
        own *= (n / np.maximum(n - 1, 1))[stage.stratum, None]
        own -= 1.0
        own *= np.sqrt(share)[stage.stratum, None]
        own += 1.0
        own *= factors[stage.stratum]
        factors = own
        inherited = (inherited * stage.fraction)[stage.stratum]
        square = (square * (1 + share))[stage.stratum]
    return np.ascontiguousarray(factors)


def _multiplicities(stage: Stage, replicates: int, generator: np.random.Generator) -> Floats:
    """Return how often each unit is among n - 1 drawn with replacement in its stratum, shape (n_units, replicates)."""
    drawn = np.zeros((stage.n_units, replicates))
    for units in _members(stage):
        if len(units) > 1:
            equal = np.full(len(units), 1 / len(units))
            drawn[units] = generator.multinomial(len(units) - 1, equal, size=replicates).T
    return drawn


def preston(stages: Sequence[Stage], replicates: int, generator: np.random.Generator) -> Floats:
    """Resample half of the units without replacement at each stage, shape (units of the last stage, replicates).

    Parameters
    ----------
    stages, replicates, generator
        As in :func:`rao_wu`.

    Notes
    -----
    Of n units, :math:`m = \\lfloor n/2 \\rfloor` are drawn. With :math:`\\delta = 1` for those,
    :math:`\\lambda_s^2 = m_s f_1 \\cdots f_{s-1} (1 - f_s) / (n_s - m_s)`, the factor is

    .. math:: 1 + \\sum_s \\lambda_s \\prod_{k<s} \\sqrt{n_k / m_k} \\delta_k (\\delta_s n_s / m_s - 1).

    Where first-stage fractions are large and more than one stage bears variance, some factors are negative.

    References
    ----------
    Preston (2009), Survey Methodology 35, 227-234. R twin: ``survey::as.svrepdesign(type = "mrbbootstrap")``.
    """
    factors = chosen = np.ones((stages[0].n_strata, replicates))
    inherited = np.ones(stages[0].n_strata)
    for stage in stages:
        n = stage.units_per_stratum
        half = np.maximum(n // 2, 1)
        rate = np.where(n > 1, half * inherited * (1 - stage.fraction) / np.maximum(n - half, 1), 0.0)
        drawn = _halves(stage, replicates, generator)
        above = stage.stratum
        deviation = drawn * (n / half)[stage.stratum, None] - 1.0
        factors = factors[above] + np.sqrt(rate)[stage.stratum, None] * chosen[above] * deviation
        chosen = chosen[above] * drawn * np.sqrt(n / half)[stage.stratum, None]
        inherited = (inherited * stage.fraction)[stage.stratum]
    return np.ascontiguousarray(factors)


def _halves(stage: Stage, replicates: int, generator: np.random.Generator) -> Floats:
    """Return 1 for the units drawn, half of each stratum, shape (n_units, replicates)."""
    drawn = np.ones((stage.n_units, replicates))
    for units in _members(stage):
        if len(units) > 1:
            rank = generator.random((len(units), replicates)).argsort(axis=0).argsort(axis=0)
            drawn[units] = rank < len(units) // 2
    return drawn


def _members(stage: Stage) -> list[NDArray[np.int64]]:
    order = np.argsort(stage.stratum, kind="stable")
    return np.split(order, np.cumsum(stage.units_per_stratum)[:-1])
