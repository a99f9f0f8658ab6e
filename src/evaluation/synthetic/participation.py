"""Who took part in a community project, in which one, and how strongly the unobserved trait decided it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit

from evaluation.synthetic.frame import TRAIT_BOUND
from evaluation.synthetic.registers import whole_parts
from evaluation.synthetic.switches import Switches, stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Group members 2012-2015, at least (Seoul Institute); projects; who took part in 2, 3-4, 5 and more.
PARTICIPANTS, PROJECTS = 128_743, 4_978
REPEATERS = (2_707, 851, 142)
SHARE_WOMEN = 0.73
#: Under 30, 30 to 49, 50 and over.
SHARES_BY_AGE = (0.09, 0.59, 0.32)
AGE_CLASS = np.array([0, 0, 1, 1, 2, 2, 2])
SMALLEST_PROJECT = 3
#: Influence on the log odds of taking part.
TRAIT, CHILDREN, OWNER, TENURE = 0.45, 0.5, 0.15, 0.02
IN_PLACE = {2014: 0.9, 2016: 0.6, 0: 0.0}
_JOINED, _JOINED_SHARES = np.array([2012, 2013, 2014, 2015]), np.array([0.15, 0.2, 0.3, 0.35])
_TYPE_SHARES = np.array([0.34, 0.24, 0.18, 0.14, 0.10])


def age_class(age_group: NDArray[np.integer]) -> Whole:
    """Return 0 under 30, 1 at 30 to 49, 2 above, from the age groups 1 to 7."""
    return np.asarray(AGE_CLASS[age_group - 1])


def observed_odds(residents: pd.DataFrame, village_plan: Whole, switches: Switches) -> Floats:
    """Return the log odds of taking part that measured covariates make, without the intercept of the cell."""
    odds = CHILDREN * residents["children"] + OWNER * residents["owner"] + TENURE * residents["tenure_years"]
    if switches.overlap_in_place:
        odds = odds + np.select([village_plan == 2014, village_plan == 2016], [IN_PLACE[2014], IN_PLACE[2016]], 0.0)
    return np.asarray(odds, dtype=np.float64)


def intercept_for(thresholds: Floats, count: int) -> float:
    """Return the intercept at which exactly ``count`` of the thresholds lie below it.

    A person says yes where ``threshold < intercept``, so the root lies between two order statistics; taking
    the middle keeps the answer of every person the same on every machine.

    Examples
    --------
    >>> intercept_for(np.array([0.3, 0.1, 0.2]), 2)
    0.25
    """
    ordered = np.partition(thresholds, [count - 1, count]) if count < len(thresholds) else np.sort(thresholds)
    above = ordered[count] if count < len(thresholds) else ordered[-1] + 1.0
    return float((ordered[count - 1] + above) / 2)


def add_participation(
    residents: pd.DataFrame, village_plan: Whole, switches: Switches, seed: int, one_in: int
) -> Floats:
    """Draw participants so that number, sex and age come out as published; add them to ``residents``.

    Parameters
    ----------
    residents : pandas.DataFrame
        Gains ``participant``, ``joined_year``, ``intensity`` (1, 2, 3 for 3-4, 4 for 5+; 0 others).
    village_plan : ndarray
        Of each resident's dong: 2014, 2016 or 0.
    switches : Switches
        Trait and overlap in place.
    seed, one_in : int
        As in ``make_frame``.

    Returns
    -------
    ndarray, shape (n,)
        Log odds of taking part given what can be measured, for a trait of zero.
    """
    random, n = stream(seed, "participation"), len(residents)
    odds = observed_odds(residents, village_plan, switches)
    pull = TRAIT * residents["sociability"].to_numpy() if switches.unobserved_trait else np.zeros(n)
    thresholds = logit(random.random(n)) - odds - pull
    cell = age_class(residents["age_group"].to_numpy()) + 3 * (residents["sex"].to_numpy() == 2)
    shares = np.outer([1 - SHARE_WOMEN, SHARE_WOMEN], SHARES_BY_AGE).ravel()
    counts = whole_parts(shares, round(PARTICIPANTS / one_in))
    intercepts = np.array([intercept_for(thresholds[cell == k], int(counts[k])) for k in range(6)])
    takes_part = thresholds < intercepts[cell]
    members = np.flatnonzero(takes_part)
    residents["participant"] = takes_part.astype(np.int64)
    residents["joined_year"] = _filled(n, members, random.choice(_JOINED, len(members), p=_JOINED_SHARES))
    repeated = np.round(np.array(REPEATERS) / PARTICIPANTS * len(members)).astype(np.int64)
    intensity = np.repeat([1, 2, 3, 4], [len(members) - repeated.sum(), *repeated])
    residents["intensity"] = _filled(n, members, random.permutation(intensity))
    return np.asarray(odds + intercepts[cell])


def _filled(n: int, places: Whole, values: Whole) -> Whole:
    full = np.zeros(n, dtype=np.int64)
    full[places] = values
    return full


def make_projects(residents: pd.DataFrame, seed: int, one_in: int) -> pd.DataFrame:
    """Put participants into projects of three or more in their district; add ``project`` to ``residents``.

    Returns
    -------
    pandas.DataFrame
        ``project, district, project_type, size``; people of a like sociability tend to meet.
    """
    random = stream(seed, "projects")
    members = np.flatnonzero(residents["participant"])
    likeness = residents["sociability"].to_numpy()[members] + 1.5 * random.standard_normal(len(members))
    district = residents["district"].to_numpy()[members]
    members = members[np.lexsort((likeness, district))]
    codes, counts = np.unique(district, return_counts=True)
    numbers = np.clip(whole_parts(counts.astype(float), round(PROJECTS / one_in)), 1, counts // SMALLEST_PROJECT)
    sizes = [
        SMALLEST_PROJECT
        + whole_parts(random.standard_gamma(1.2, number) + 0.02, int(count - SMALLEST_PROJECT * number))
        for count, number in zip(counts, numbers, strict=True)
    ]
    project_of = np.concatenate(
        [code * 1000 + 1 + np.repeat(np.arange(len(size)), size) for code, size in zip(codes, sizes, strict=True)]
    )
    residents["project"] = _filled(len(residents), members, project_of)
    projects = pd.DataFrame({"district": np.repeat(codes, numbers), "size": np.concatenate(sizes)})
    projects.insert(0, "project", np.unique(project_of))
    projects["project_type"] = 1 + random.choice(len(_TYPE_SHARES), len(projects), p=_TYPE_SHARES)
    return projects


def propensity(odds: Floats, switches: Switches) -> Floats:
    """Return the chance of taking part given what can be measured: the trait integrated out.

    Parameters
    ----------
    odds : ndarray
        Log odds for a trait of zero.
    """
    if not switches.unobserved_trait:
        return np.asarray(expit(odds))
    grid = np.linspace(float(odds.min()), float(odds.max()), 2001)
    trait, weights = _trait_nodes()
    chances = (expit(grid[:, None] + TRAIT * trait) * weights).sum(axis=1)
    return np.asarray(np.interp(odds, grid, chances))


def _trait_nodes() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(41)
    trait = TRAIT_BOUND * nodes
    density = weights * np.exp(-(trait**2) / 2)
    return trait, density / density.sum()


def odds_bounds(odds: Floats, switches: Switches) -> tuple[float, float]:
    """Return the exact bounds of the trait's influence on the odds of taking part.

    Returns
    -------
    gamma : float
        Largest odds ratio between two persons alike in all that is measured (Rosenbaum).
    marginal : float
        Largest odds ratio, either way, between a person's own chance and the chance given what is
        measured (the marginal sensitivity model's Lambda).
    """
    if not switches.unobserved_trait:
        return 1.0, 1.0
    own = np.linspace(float(odds.min()), float(odds.max()), 201)
    middle = logit(propensity(own, switches))
    apart = np.maximum(own + TRAIT * TRAIT_BOUND - middle, middle - own + TRAIT * TRAIT_BOUND)
    return float(np.exp(2 * TRAIT * TRAIT_BOUND)), float(np.exp(apart.max()))
