"""Persons in households in blocks in dongs in 25 districts, with the official sex and age totals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri

from evaluation.synthetic.registers import CELL_VARIABLES, Registers, whole_parts
from evaluation.synthetic.switches import stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

#: The unobserved trait keeps within these bounds, so that its influence on the odds is bounded exactly.
TRAIT_BOUND = 2.0
HOUSEHOLDS_IN_BLOCK = 55
_AGE_FROM = np.array([15, 20, 30, 40, 50, 60, 65])
_AGE_YEARS = np.array([5, 10, 10, 10, 10, 5, 31])
_SENIOR = 7
_INCOME_CUTS = np.array([-0.85, -0.1, 0.5, 1.2])


@dataclass(frozen=True, eq=False)
class Frame:
    """The places and people of the city before anything happens.

    Attributes
    ----------
    residents : pandas.DataFrame
        One row per resident of 15 and over, in the order of households; indexed 0 to n - 1.
    households, blocks, dongs : pandas.DataFrame
        One row each, in the order of places; ``first`` and ``size`` locate what belongs to them.
    """

    residents: pd.DataFrame
    households: pd.DataFrame
    blocks: pd.DataFrame
    dongs: pd.DataFrame


def make_frame(registers: Registers, seed: int, one_in: int) -> Frame:
    """Make the city's places and people.

    Parameters
    ----------
    registers : Registers
        Persons, households and dongs by district.
    seed : int
        Of the city.
    one_in : int
        How many real persons (and households) one of the frame stands for.

    Returns
    -------
    Frame
    """
    residents, home_counts = _people(registers, seed, one_in)
    dongs = _dongs(registers, home_counts, seed)
    blocks = _blocks(dongs)
    size = np.bincount(residents["household"])
    households = pd.DataFrame({"block": np.repeat(np.arange(len(blocks)), blocks["size"])})
    households["first"], households["size"] = np.cumsum(size) - size, size
    households["district"] = blocks["district"].to_numpy()[households["block"]]
    residents["block"] = households["block"].to_numpy()[residents["household"]]
    residents["dong"] = blocks["dong"].to_numpy()[residents["block"]]
    _add_traits(residents, households, seed)
    return Frame(residents, households, blocks, dongs)


def _people(registers: Registers, seed: int, one_in: int) -> tuple[pd.DataFrame, Whole]:
    """Residents by household; the first of a household is 20 or over wherever there are enough of them."""
    cells = registers.population
    counts = whole_parts(cells["persons"].to_numpy(float), round(cells["persons"].sum() / one_in))
    people = {name: np.repeat(cells[name].to_numpy(), counts) for name in CELL_VARIABLES}
    random = stream(seed, "households")
    key = random.random(len(people["district"])) + (people["age_group"] == 1)
    order = np.lexsort((key, people["district"]))
    homes = np.round(registers.districts["households"].to_numpy() / one_in).astype(np.int64)
    residents_of = np.bincount(np.searchsorted(registers.codes, people["district"]))
    household, start = [], 0
    for residents, home in zip(residents_of, homes, strict=True):
        household.append(start + np.concatenate([np.arange(home), random.integers(0, home, residents - home)]))
        start += home
    homes_of_people = np.concatenate(household)
    by_home = np.argsort(homes_of_people, kind="stable")
    frame = pd.DataFrame({name: values[order][by_home].astype(np.int64) for name, values in people.items()})
    frame["household"] = homes_of_people[by_home]
    return frame, homes


def _dongs(registers: Registers, homes: Whole, seed: int) -> pd.DataFrame:
    """Dongs with synthetic numbers under real district codes; their sizes are drawn."""
    counts = registers.districts["dongs"].to_numpy()
    shares = np.clip(stream(seed, "dongs").gamma(8.0, 1 / 8, counts.sum()), 0.4, 1.9)
    place = np.repeat(np.arange(len(counts)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    district = registers.codes[place]
    households = np.concatenate([whole_parts(shares[place == k], int(homes[k])) for k in range(len(counts))])
    return pd.DataFrame(
        {
            "dong": district * 100 + number,
            "district": district,
            "number": number,
            "households": households,
            "split": registers.districts["split"].to_numpy()[place],
        }
    )


def _blocks(dongs: pd.DataFrame) -> pd.DataFrame:
    homes = dongs["households"].to_numpy()
    counts = np.maximum(1, homes // HOUSEHOLDS_IN_BLOCK)
    place = np.repeat(np.arange(len(dongs)), counts)
    number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    size = (number + 1) * homes[place] // counts[place] - number * homes[place] // counts[place]
    return pd.DataFrame(
        {
            "dong": dongs["dong"].to_numpy()[place],
            "district": dongs["district"].to_numpy()[place],
            "first": np.cumsum(size) - size,
            "size": size,
        }
    )


def _add_traits(residents: pd.DataFrame, households: pd.DataFrame, seed: int) -> None:
    n, group = len(residents), residents["age_group"].to_numpy() - 1
    random = stream(seed, "persons")
    within = random.random(n)
    within = np.where(group + 1 == _SENIOR, within**1.6, within)
    age = _AGE_FROM[group] + np.floor(within * _AGE_YEARS[group]).astype(np.int64)
    schooling = random.standard_normal(n) - 0.035 * (age - 45)
    education = 1 + np.searchsorted(np.array([-1.1, 0.1, 1.5]), schooling)
    residents["age_years"] = age
    residents["education"] = np.where(group == 0, np.minimum(education, 2), education)
    _add_dwelling(residents, households, seed)
    low = ndtr(-TRAIT_BOUND)
    drawn = low + (1 - 2 * low) * stream(seed, "trait").random(n)
    residents["sociability"] = np.clip(ndtri(drawn), -TRAIT_BOUND, TRAIT_BOUND)


def _add_dwelling(residents: pd.DataFrame, households: pd.DataFrame, seed: int) -> None:
    """What a household shares: ownership, years in the neighbourhood, children, income."""
    random, n = stream(seed, "dwelling"), len(households)
    home, age = residents["household"].to_numpy(), residents["age_years"].to_numpy()
    head_age, head_education = (
        residents[name].to_numpy()[households["first"].to_numpy()] for name in ("age_years", "education")
    )
    owner = random.random(n) < expit(-1.2 + 0.035 * (head_age - 35))
    years = np.minimum(random.standard_gamma(1.3, n) * (3.0 + 5.0 * owner + 0.05 * head_age), 60.0)
    parents = np.bincount(home, weights=(age >= 30) & (age < 50), minlength=n) > 0
    children = random.random(n) < np.where(parents, 0.5, 0.05)
    income = random.standard_normal(n) + 0.35 * (head_education - 2) + 0.4 * owner - 0.25 * (head_age >= 65)
    residents["owner"] = owner[home].astype(np.int64)
    residents["tenure_years"] = np.minimum(np.floor(years[home]).astype(np.int64), age)
    residents["children"] = children[home].astype(np.int64)
    residents["income_band"] = 1 + np.searchsorted(_INCOME_CUTS, income)[home]
