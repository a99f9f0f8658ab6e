"""The staged roll-out of the community service centers: which dong was covered when, and what it did there."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.synthetic.registers import Registers
from evaluation.synthetic.switches import Switches

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: Yearly waves, each in October.
WAVES = tuple(range(2010, 2020))
#: Effect of full coverage, as a share of residents; half of it in the first October.
FULL_EFFECT = 0.06
FIRST_SHARE = 0.5
ANTICIPATED_SHARE = FIRST_SHARE / 3
SPILLOVER = 0.02
#: Relative effect by the year in which a dong was first covered, before it is scaled to a mean of 1.
COHORT_FACTORS = {2015: 1.30, 2016: 1.05, 2017: 0.85, 2018: 0.60, 2019: 0.40}
#: Village plans: dongs of 2014-2015 by district (14), and how many more there were in 2016 (21 in 11 districts).
VILLAGE_PLANS_2014 = {200: 4, 290: 4, 320: 3, 545: 3}
VILLAGE_PLANS_MORE = {200: 1, 290: 1}
FIRST_WAVE = 2015


def add_schedule(dongs: pd.DataFrame, registers: Registers) -> pd.DataFrame:
    """Return the dongs with the dates on which they were covered, and were to be covered.

    Parameters
    ----------
    dongs : pandas.DataFrame
        ``district, number``; within a district dongs are covered in the order of their numbers.
    registers : Registers
        Stocks of covered dongs by district and date.

    Returns
    -------
    pandas.DataFrame
        With ``covered_from`` (date), ``covered_wave`` and ``planned_wave`` (first wave under it),
        ``village_plan`` (2014, 2016 or 0).
    """
    schedule, covered = registers.schedule, dongs.copy()
    for column, wave in (("dongs_covered", "covered_wave"), ("dongs_planned", "planned_wave")):
        stocks = schedule.pivot(index="district", columns="wave", values=column)
        reached = stocks.loc[dongs["district"]].to_numpy() >= dongs["number"].to_numpy()[:, None]
        covered[wave] = stocks.columns.to_numpy()[reached.argmax(axis=1)]
    dates = schedule.drop_duplicates("wave").set_index("wave")["date"]
    covered["covered_from"] = dates.loc[covered["covered_wave"]].to_numpy()
    covered["village_plan"] = _village_plans(covered)
    return covered


def _village_plans(dongs: pd.DataFrame) -> Whole:
    number, district = dongs["number"], dongs["district"]
    first = district.map(VILLAGE_PLANS_2014).fillna(0).astype(int)
    early = dongs["covered_wave"] == FIRST_WAVE
    elsewhere = early & ~district.isin(list(VILLAGE_PLANS_2014))
    later = elsewhere | (number - first).between(1, district.map(VILLAGE_PLANS_MORE).fillna(0))
    return np.where(number <= first, 2014, np.where(later, 2016, 0))


def district_doses(dongs: pd.DataFrame, *, planned: bool = False) -> pd.DataFrame:
    """Return the share of each district's dongs that is covered in each wave.

    Parameters
    ----------
    dongs : pandas.DataFrame
        From ``add_schedule``.
    planned : bool
        By the plan of 2016.

    Returns
    -------
    pandas.DataFrame, shape (25, 10)
        Districts by waves, 0 to 1.
    """
    wave = dongs["planned_wave" if planned else "covered_wave"]
    return pd.DataFrame({year: (wave <= year).groupby(dongs["district"]).mean() for year in WAVES})


def district_cohorts(dongs: pd.DataFrame, *, planned: bool = False) -> pd.Series:
    """Return the first wave in which any dong of a district is covered, by district."""
    return dongs.groupby("district")["planned_wave" if planned else "covered_wave"].min()


def dong_effects(dongs: pd.DataFrame, residents: Whole, year: int, switches: Switches) -> Floats:
    """Return what the roll-out has added to the outcome by a wave, dong by dong.

    Parameters
    ----------
    dongs : pandas.DataFrame
        From ``add_schedule``.
    residents : ndarray, shape (424,)
        Residents of each dong; the mean effect over cohorts is that of a resident.
    year : int
        Wave.
    switches : Switches
        Heterogeneity, growth, anticipation and spillover.

    Returns
    -------
    ndarray, shape (424,)
        Added share of residents.
    """
    wave = dongs["covered_wave"].to_numpy()
    factor = np.ones(len(dongs))
    if switches.heterogeneous_effects:
        factor = np.array([COHORT_FACTORS[cohort] for cohort in wave])
        factor = factor / np.average(factor, weights=residents)
    since = year - wave
    later = 1.0 + (since - 1) * switches.growing_effects
    share = np.where(since >= 1, later, np.where(since == 0, FIRST_SHARE, 0.0))
    if switches.anticipation:
        share = np.where(since == -1, ANTICIPATED_SHARE, share)
    effects = FULL_EFFECT * factor * share
    if switches.spillover:
        effects = effects + SPILLOVER * ((since < 0) & _has_begun(dongs, year))
    return effects


def _has_begun(dongs: pd.DataFrame, year: int) -> NDArray[np.bool_]:
    """Whether some dong of the district is covered."""
    covered = dongs["covered_wave"] <= year
    return np.asarray(covered.groupby(dongs["district"]).transform("max"), dtype=bool)


def untreated_drift(dongs: pd.DataFrame, year: int, switches: Switches) -> Floats:
    """Return by how much each dong's outcome has drifted apart without any roll-out (share of residents)."""
    earliness = (2019 - dongs["covered_wave"].to_numpy()) / (2019 - FIRST_WAVE)
    return switches.pre_trend / 100 * (year - WAVES[0]) * earliness
