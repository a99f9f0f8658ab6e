"""The synthetic city, put together: people, projects, roll-out, and both answers of everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import logit

from evaluation.errors import SurveyError
from evaluation.synthetic.frame import make_frame
from evaluation.synthetic.outcomes import (
    CHANGE,
    ITEMS,
    POLICY,
    POLICY_SHARE,
    POLICY_YEAR,
    SCALE,
    YEAR,
    Answers,
    Calibration,
    answers,
    calibrate,
    draws,
    lean,
    policy_chances,
    scale_answers,
)
from evaluation.synthetic.participation import add_participation, intercept_for, make_projects
from evaluation.synthetic.registers import Registers, read_registers
from evaluation.synthetic.rollout import WAVES, add_schedule, dong_effects, untreated_drift
from evaluation.synthetic.switches import Switches, stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

SEED = 2016
#: One resident stands for ten real persons, one household for ten households, one project for ten projects.
ONE_IN = 10


@dataclass(frozen=True, eq=False)
class City:
    """A synthetic Seoul whose truth is known.

    Attributes
    ----------
    residents : pandas.DataFrame, 883,295 rows
        Of 15 and over, in the order of households: ``district, sex, age_group, age_years, education, owner,
        tenure_years, children, income_band, household, block, dong``; the unobserved ``sociability``;
        ``participant, joined_year, intensity, project``; for each item of 2016 both potential answers,
        ``<item>_without`` and ``<item>_with`` (``trust_neighbours`` runs from 1 to 5); ``lean_on_more``, asked
        of participants alone. Codes are those of the survey's codebook.
    households, blocks, dongs, projects : pandas.DataFrame
        One row each.
    switches : Switches
        What was on.
    seed, one_in : int
        Random numbers; real persons per resident.
    registers : Registers
        Official figures.
    odds : ndarray
        Log odds of taking part given what can be measured, for a trait of zero.
    calibrations : mapping of str to Calibration
        By item.
    leanings : mapping of str to ndarray
        Log odds by item before intercept and trait.
    """

    residents: pd.DataFrame
    households: pd.DataFrame
    blocks: pd.DataFrame
    dongs: pd.DataFrame
    projects: pd.DataFrame
    switches: Switches
    seed: int
    one_in: int
    registers: Registers
    odds: Floats
    calibrations: Mapping[str, Calibration]
    leanings: Mapping[str, Floats]

    @property
    def dong_place(self) -> Whole:
        """Row of ``dongs`` of each resident."""
        return np.searchsorted(self.dongs["dong"].to_numpy(), self.residents["dong"].to_numpy())

    def __repr__(self) -> str:
        return f"Synthetic city: {len(self.residents):,} residents, one for {self.one_in} persons, seed {self.seed}"


def synthesize(seed: int = SEED, switches: Switches | None = None, *, one_in: int = ONE_IN) -> City:
    """Make the synthetic city.

    Parameters
    ----------
    seed : int
        The same seed gives the same city, byte for byte.
    switches : Switches, optional
        Default: trait, overlap in place, heterogeneity and informative nonresponse on, all else off.
    one_in : int
        Real persons per resident, 5 to 200. Published shares are met to 0.05 points at 10; a coarser city
        is for quick looks.

    Returns
    -------
    City

    Raises
    ------
    SurveyError
        ``one_in`` is out of bounds.
    SourceError
        The tables of official figures are not there.
    """
    if not 5 <= one_in <= 200:
        raise SurveyError(f"one_in must lie between 5 and 200 persons per resident, got {one_in}.")
    switches = switches or Switches()
    registers = read_registers()
    frame = make_frame(registers, seed, one_in)
    residents, dongs = frame.residents, add_schedule(frame.dongs, registers)
    place = np.searchsorted(dongs["dong"].to_numpy(), residents["dong"].to_numpy())
    odds = add_participation(residents, dongs["village_plan"].to_numpy()[place], switches, seed, one_in)
    projects = make_projects(residents, seed, one_in)
    extra = {"knows_center": POLICY, "lean_on_more": CHANGE, "trust_neighbours": SCALE}
    leanings = lean(residents, {**ITEMS, **extra}, seed).observed
    calibrations = {}
    for name, item in ITEMS.items():
        numbers = draws(residents, item, leanings[name], seed, YEAR)
        calibrations[name] = calibrate(item, residents, leanings[name], numbers, switches)
        both = answers(item, calibrations[name], residents, leanings[name], numbers, switches)
        residents[f"{name}_without"], residents[f"{name}_with"] = (answer.astype(np.int8) for answer in both)
    residents["lean_on_more"] = _change_answers(residents, leanings["lean_on_more"], seed)
    both_trusts = scale_answers(residents, leanings["trust_neighbours"], seed, YEAR)
    for end, trust in zip(("without", "with"), both_trusts, strict=True):
        residents[f"trust_neighbours_{end}"] = trust.astype(np.int8)
    calibrations["knows_center"] = _policy_calibration(residents, leanings["knows_center"], seed)
    dongs["residents"] = np.bincount(place, minlength=len(dongs))
    places = (residents, frame.households, frame.blocks, dongs, projects)
    return City(*places, switches, seed, one_in, registers, odds, calibrations, leanings)


def _change_answers(residents: pd.DataFrame, leaning: Floats, seed: int) -> NDArray[np.int8]:
    """What participants say of a change; -1 for all others, who cannot be asked."""
    members = np.flatnonzero(residents["participant"])
    trait = CHANGE.trait * residents["sociability"].to_numpy(float)[members]
    numbers = stream(seed, "answers", CHANGE.number, YEAR).random(len(residents))[members]
    thresholds = logit(numbers) - leaning[members] - trait
    said = np.full(len(residents), -1, dtype=np.int8)
    said[members] = thresholds < intercept_for(thresholds, round((CHANGE.participants or 0.0) * len(members)))
    return said


def _policy_calibration(residents: pd.DataFrame, leaning: Floats, seed: int) -> Calibration:
    numbers = stream(seed, "answers", POLICY.number, POLICY_YEAR).random(len(residents))
    chances = policy_chances(residents, leaning, 0.0, seed, POLICY_YEAR)
    thresholds = logit(numbers) - logit(chances)
    return Calibration(np.array(intercept_for(thresholds, round(POLICY_SHARE * len(residents)))), POLICY.trait)


def check_year(year: int) -> None:
    """Raise a SurveyError unless there is a wave in that year."""
    if year not in WAVES:
        raise SurveyError(f"year must be a wave from {WAVES[0]} to {WAVES[-1]}, got {year}.")


def potential_answers(city: City, item: str, year: int = YEAR) -> tuple[Answers, Answers]:
    """Return both answers of every resident to a question about oneself, without and with taking part.

    Parameters
    ----------
    city : City
        From ``synthesize``.
    item : {"stay", "live_in_seoul", "rely", "happy"}
        Question.
    year : int
        Wave; those of 2016 stand in ``city.residents``.
    """
    check_year(year)
    if year == YEAR:
        without, with_ = (city.residents[f"{item}_{end}"].to_numpy() == 1 for end in ("without", "with"))
        return without, with_
    leaning = city.leanings[item]
    numbers = draws(city.residents, ITEMS[item], leaning, city.seed, year)
    return answers(ITEMS[item], city.calibrations[item], city.residents, leaning, numbers, city.switches, year)


def potential_policy_answers(city: City, year: int) -> tuple[Answers, Answers]:
    """Return whether every resident knows the service, had there been no roll-out, and with the one there was.

    Parameters
    ----------
    city : City
        From ``synthesize``.
    year : int
        Wave.
    """
    check_year(year)
    place, leaning = city.dong_place, city.leanings["knows_center"]
    intercept = float(city.calibrations["knows_center"].intercept)
    chances = policy_chances(city.residents, leaning, intercept, city.seed, year)
    chances = chances + untreated_drift(city.dongs, year, city.switches)[place]
    effects = dong_effects(city.dongs, city.dongs["residents"].to_numpy(), year, city.switches)
    numbers = stream(city.seed, "answers", POLICY.number, year).random(len(chances))
    return numbers < chances, numbers < chances + effects[place]


def true_answers(city: City, year: int) -> dict[str, Answers]:
    """Return what every resident would truthfully answer in a wave, by item."""
    takes_part = (city.residents["participant"] == 1) & (city.residents["joined_year"] <= year)
    given = {}
    for item in ITEMS:
        without, with_ = potential_answers(city, item, year)
        given[item] = np.where(takes_part, with_, without)
    given["knows_center"] = potential_policy_answers(city, year)[1]
    return given


def true_trust(city: City, year: int) -> Whole:
    """Return every resident's true trust in neighbours, 1 to 5, in a wave."""
    residents = city.residents
    takes_part = (residents["participant"] == 1) & (residents["joined_year"] <= year)
    without, with_ = scale_answers(residents, city.leanings["trust_neighbours"], city.seed, year)
    return np.where(takes_part, with_, without)
