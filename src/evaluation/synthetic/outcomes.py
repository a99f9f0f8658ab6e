"""Both answers of every resident to every question: the one with and the one without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit, logit

from evaluation.synthetic.participation import intercept_for
from evaluation.synthetic.switches import Switches, stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]
Answers = NDArray[np.bool_]

#: The wave to which published figures belong.
YEAR = 2016
#: Spread of places on the log odds scale: districts, blocks, districts from year to year.
DISTRICT_SPREAD, BLOCK_SPREAD, DISTRICT_YEAR_SPREAD = 0.15, 0.30, 0.03
#: Relative effect of one project, two, three or four, five and more.
INTENSITY_FACTORS = np.array([1.0, 1.0, 1.5, 1.8, 2.2])


@dataclass(frozen=True)
class Item:
    """One question.

    Attributes
    ----------
    number : int
        Of its streams of random numbers.
    loadings : mapping of str to float
        Log odds per unit of a covariate (age in tens of years from 45, tenure in years from 10).
    trait : float
        Log odds per unit of the unobserved trait; replaced where ``others`` is to be met.
    participants : float, optional
        Published share among participants.
    effect : float
        Mean effect of taking part on participants.
    others : float, optional
        Share among all others.
    trend : float
        Log odds per year.
    """

    number: int
    loadings: Mapping[str, float]
    trait: float
    participants: float | None = None
    effect: float = 0.0
    others: float | None = None
    trend: float = 0.0
    by_age: Mapping[int, float] = field(default_factory=dict)


_STAY = {"owner": 0.55, "tenure": 0.025, "children": 0.25, "age": 0.07, "woman": 0.06}
_RELY = {"owner": 0.05, "children": 0.12, "woman": 0.12, "age": -0.04, "income": 0.10}
_HAPPY = {"owner": 0.15, "children": 0.30, "woman": 0.15, "age": -0.05, "income": 0.15}
_SEOUL = {"owner": 0.25, "tenure": 0.015, "children": 0.10, "income": 0.05}
_KNOWS = {"children": 0.10, "woman": 0.15, "age": 0.08, "income": -0.05}

#: Everything (age groups 15-19, 20-29, all) that the city as a whole was published to say.
ITEMS: Mapping[str, Item] = {
    "stay": Item(0, _STAY, 0.50, participants=0.847, effect=0.04, others=0.762, trend=0.010),
    "live_in_seoul": Item(1, _SEOUL, 0.20, trend=-0.015, by_age={1: 0.685, 2: 0.667, 0: 0.594}),
    "rely": Item(2, _RELY, 0.25, participants=0.814, effect=0.03, others=0.760, trend=0.005),
    "happy": Item(3, _HAPPY, 0.85, participants=0.836, effect=0.0, others=0.785, trend=0.010),
}
#: The question that the roll-out moves: knows or used the visiting service of the community service center.
POLICY = Item(4, _KNOWS, 0.25, trend=0.05)
POLICY_SHARE, POLICY_YEAR = 0.35, 2014
#: A question about change, which only participants can be asked: they have more neighbours to lean on.
CHANGE = Item(5, {"tenure": -0.01, "children": 0.1}, 0.40, participants=0.80)
#: Trust in neighbours from 1 to 5: log odds of answering beyond each step; taking part adds log odds.
SCALE = Item(6, {"owner": 0.20, "tenure": 0.02, "age": 0.06, "woman": -0.05}, 0.45, effect=0.25)
SCALE_STEPS = (-2.6, -1.0, 0.4, 2.2)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What makes an item meet its published figures.

    Attributes
    ----------
    intercept : ndarray, shape (n,) or ()
        Log odds, by resident where age groups differ.
    trait : float
        Log odds per unit of the unobserved trait.
    effect : float
        Added chance of a participant with one project.
    """

    intercept: Floats
    trait: float
    effect: float = 0.0


@dataclass(frozen=True, eq=False)
class Leanings:
    """What residents lean to before the unobserved trait speaks: log odds by item, shape (n,) each."""

    observed: Mapping[str, Floats]


def lean(residents: pd.DataFrame, items: Mapping[str, Item], seed: int) -> Leanings:
    """Return the log odds that covariates and places give each item."""
    covariates: dict[str, Floats] = {
        "owner": residents["owner"].to_numpy(float),
        "tenure": residents["tenure_years"].to_numpy(float) - 10,
        "children": residents["children"].to_numpy(float),
        "age": (residents["age_years"].to_numpy(float) - 45) / 10,
        "woman": (residents["sex"].to_numpy() == 2).astype(float),
        "income": residents["income_band"].to_numpy(float) - 3,
    }
    block, district = residents["block"].to_numpy(), pd.factorize(residents["district"])[0]
    observed = {}
    for name, item in items.items():
        random = stream(seed, "places", item.number)
        total = DISTRICT_SPREAD * random.standard_normal(district.max() + 1)[district]
        total += BLOCK_SPREAD * random.standard_normal(block.max() + 1)[block]
        for covariate, loading in item.loadings.items():
            total += loading * covariates[covariate]
        observed[name] = total
    return Leanings(observed)


def draws(residents: pd.DataFrame, item: Item, leaning: Floats, seed: int, year: int) -> Floats:
    """Return one number between 0 and 1 per resident: yes where it lies below the chance.

    In the year of the published figures those of participants are spread evenly over people alike, so that
    their shares do not depend on luck.
    """
    random = stream(seed, "answers", item.number, year)
    numbers = random.random(len(residents))
    if year != YEAR:
        return numbers
    members = np.flatnonzero(residents["participant"])
    likeness = np.round(leaning[members] + item.trait * residents["sociability"].to_numpy()[members], 9)
    members = members[np.argsort(likeness, kind="stable")]
    width = max(1, int(np.sqrt(len(members))))
    for start in range(0, len(members), width):
        alike = members[start : start + width]
        numbers[alike] = (random.permutation(len(alike)) + random.random(len(alike))) / len(alike)
    return np.asarray(np.clip(numbers, 1e-9, 1 - 1e-9))


def calibrate(item: Item, residents: pd.DataFrame, leaning: Floats, numbers: Floats, switches: Switches) -> Calibration:
    """Find intercept, weight of the trait and effect that reproduce an item's published shares exactly."""
    sociable = residents["sociability"].to_numpy()
    thresholds = logit(numbers) - leaning
    if item.by_age:
        return _by_age(item, residents["age_group"].to_numpy(), thresholds - item.trait * sociable)
    takes_part = residents["participant"].to_numpy() == 1
    members = int(takes_part.sum())
    without = round(members * ((item.participants or 0.0) - item.effect))
    mine, its = (thresholds[takes_part], sociable[takes_part]), (thresholds[~takes_part], sociable[~takes_part])

    def others_beyond(trait: float) -> float:
        intercept = intercept_for(mine[0] - trait * mine[1], without)
        return float(np.mean(its[0] - trait * its[1] < intercept)) - (item.others or 0.0)

    trait = item.trait
    if item.others is not None and switches.unobserved_trait:
        trait = round(float(brentq(others_beyond, -1.0, 3.0, xtol=1e-5)), 4)
    intercept = intercept_for(mine[0] - trait * mine[1], without)
    chances = expit(intercept + leaning[takes_part] + trait * mine[1])
    gaps = (numbers[takes_part] - chances) / _factors(residents, switches)[takes_part]
    wanted = round(members * (item.participants or 0.0))
    effect = intercept_for(gaps, wanted) if item.effect else 0.0
    return Calibration(np.array(intercept), trait, effect)


def _by_age(item: Item, age_group: Whole, thresholds: Floats) -> Calibration:
    """Intercepts of the named age groups, and of the rest so that the whole city comes out."""
    intercept = np.zeros(len(thresholds))
    rest, left = np.ones(len(thresholds), dtype=bool), round(len(thresholds) * item.by_age[0])
    for group, share in item.by_age.items():
        if group:
            here = age_group == group
            count = round(int(here.sum()) * share)
            intercept[here] = intercept_for(thresholds[here], count)
            rest, left = rest & ~here, left - count
    intercept[rest] = intercept_for(thresholds[rest], left)
    return Calibration(intercept, item.trait)


def _factors(residents: pd.DataFrame, switches: Switches) -> Floats:
    if not switches.heterogeneous_effects:
        return np.ones(len(residents))
    return np.asarray(INTENSITY_FACTORS[residents["intensity"].to_numpy()])


def answers(
    item: Item,
    calibration: Calibration,
    residents: pd.DataFrame,
    leaning: Floats,
    numbers: Floats,
    switches: Switches,
    year: int = YEAR,
) -> tuple[Answers, Answers]:
    """Return the answer of every resident had they not taken part, and had they taken part."""
    drift = item.trend * (year - YEAR)
    chances = expit(
        calibration.intercept + drift + leaning + calibration.trait * residents["sociability"].to_numpy(float)
    )
    gain = calibration.effect * _factors(residents, switches)
    return numbers < chances, numbers < chances + gain


def scale_answers(residents: pd.DataFrame, leaning: Floats, seed: int, year: int) -> tuple[Whole, Whole]:
    """Return everybody's trust in neighbours, 1 to 5, had they not taken part, and had they taken part."""
    numbers = stream(seed, "answers", SCALE.number, year).random(len(residents))
    feeling = leaning + SCALE.trait * residents["sociability"].to_numpy(float) + logit(numbers)
    steps = np.array(SCALE_STEPS)
    return 1 + np.searchsorted(steps, feeling), 1 + np.searchsorted(steps, feeling + SCALE.effect)


def policy_chances(residents: pd.DataFrame, leaning: Floats, intercept: float, seed: int, year: int) -> Floats:
    """Return the chance of knowing the service without any roll-out, shocks of districts and years included."""
    district = pd.factorize(residents["district"])[0]
    random = stream(seed, "places", POLICY.number, year)
    shock = DISTRICT_YEAR_SPREAD * random.standard_normal(district.max() + 1)
    trend = POLICY.trend * (year - POLICY_YEAR)
    return np.asarray(
        expit(intercept + trend + shock[district] + leaning + POLICY.trait * residents["sociability"].to_numpy(float))
    )
