"""Three surveys of the city: citizens by blocks and households, participants by roster, citizens one by one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from evaluation.errors import SurveyError
from evaluation.synthetic.outcomes import SCALE, YEAR, Answers
from evaluation.synthetic.participation import PARTICIPANTS
from evaluation.synthetic.population import City, check_year, true_answers, true_trust
from evaluation.synthetic.registers import CELL_VARIABLES, whole_parts
from evaluation.synthetic.rollout import district_cohorts, district_doses
from evaluation.synthetic.switches import stream

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

BLOCKS, HOUSEHOLDS = 32, 25
ROSTER, TAKE, ROSTER_RESPONSE = 1_200, 8, 0.45
#: Influence of the trait on the log odds of answering the Center.
ROSTER_PULL = 0.6
MODULE = 5_000
SMALL = 5_000
#: Whole blocks kept per district in the small file.
SMALL_BLOCKS = 8
DONT_KNOW, DONT_KNOW_SHARE = 9, 0.015
#: Share of "no" that an interviewer, or a new wording, turns into "yes".
MODE_SHIFT, WORDING_SHIFT, WORDING_YEAR = 0.15, 0.12, 2015
REWORDED = ("rely", "knows_center")
VISIT, WEB, TELEPHONE = 1, 2, 3
VISIT_SHARE = 0.7
#: What a person answers about their life, as against what a frame knows.
BACKGROUND = ("age_years", "education", "owner", "tenure_years", "children", "income_band", "participant")
#: Mark in every row of every file.
MARK = "synthetic"


def citizen_survey(
    city: City,
    year: int = YEAR,
    *,
    seed: int | None = None,
    reworded: Collection[str] = (),
    reread: Collection[str] = (),
) -> pd.DataFrame:
    """Draw a citizen survey: all members aged 15 and over of 800 households in each of 25 districts.

    Parameters
    ----------
    city : City
        From ``synthesize``.
    year : int
        Wave, 2010 to 2019.
    seed : int, optional
        Of the sample; else the city's.
    reworded : collection of str
        Items that this wave asks in new words, to which more people agree.
    reread : collection of str
        Items whose "don't know" was a slip of coding, put right: everybody's answer is there.

    Returns
    -------
    pandas.DataFrame
        One row per respondent. Stratum ``district``; PSU ``block_draw`` (32 in each district, drawn with
        chances in proportion to households, with replacement: each block stands for ten alike); 25
        households of the block; ``weight_design`` (households' chance and response by sex and age) and
        ``weight`` (post-stratified to district, sex and age); answers coded 1, 0 and 9 = don't know.
    """
    check_year(year)
    seed = city.seed if seed is None else seed
    homes, draw = _households(city, seed, year)
    size = city.households["size"].to_numpy()[homes]
    rows = np.repeat(city.households["first"].to_numpy()[homes] - np.cumsum(size) + size, size)
    rows = rows + np.arange(len(rows))
    interview = np.repeat(np.arange(len(homes)), size)
    people = city.residents.iloc[rows].reset_index(drop=True)
    per_district = city.registers.districts.set_index("district")["households"]
    base = people["district"].map(per_district).to_numpy(float) / (BLOCKS * HOUSEHOLDS)
    responds = stream(seed, "response", year).random(len(rows)) < citizen_response(city, people)
    weight = _respond_weights(people, base, responds)
    random = stream(seed, "reporting", 0, year, 0)
    mode = np.where(random.random(len(homes))[interview] < VISIT_SHARE, VISIT, WEB)
    given = _reported(city, rows, mode, year, seed, 0, reworded, reread)
    sample = pd.DataFrame({"person_id": year * 100_000 + 1 + np.arange(len(rows)), "year": year})
    sample["district"], sample["dong"] = people["district"], people["dong"]
    sample["block_draw"] = _block_draw(year, people["district"].to_numpy(), draw[interview])
    sample["household_id"] = year * 100_000 + 1 + interview
    sample["weight_design"] = weight
    sample = _with_answers(sample, people, mode, given, city, year)[responds].reset_index(drop=True)
    sample["person_id"] = year * 100_000 + 1 + np.arange(len(sample))
    sample.insert(7, "weight", _poststratified(city, sample))
    return _rounded(sample)


def pooled(surveys: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return citizen surveys of several waves in one table, with ``stratum``: wave and district."""
    waves = pd.concat(surveys, ignore_index=True)
    waves.insert(6, "stratum", waves["year"] * 1_000 + waves["district"])
    return waves


def _block_draw(year: int, district: Whole | int, draw: Whole) -> Whole:
    """Name of a drawn block that no other wave or district uses."""
    return np.asarray(year * 100_000 + district * 100 + draw)


def _households(city: City, seed: int, year: int) -> tuple[Whole, Whole]:
    """Rows of the drawn households, and the number of each one's block draw within its district."""
    random, blocks = stream(seed, "citizens", year), city.blocks
    size, first = blocks["size"].to_numpy(), blocks["first"].to_numpy()
    homes = []
    for code in city.registers.codes:
        here = np.flatnonzero(blocks["district"].to_numpy() == code)
        ends = np.cumsum(size[here])
        for block in here[np.searchsorted(ends, random.random(BLOCKS) * ends[-1], side="right")]:
            homes.append(first[block] + np.sort(random.permutation(size[block])[:HOUSEHOLDS]))
    draw = np.tile(np.repeat(np.arange(1, BLOCKS + 1), HOUSEHOLDS), len(city.registers.codes))
    return np.concatenate(homes), draw


def citizen_response(city: City, people: pd.DataFrame) -> Floats:
    """Return each person's chance to answer the citizen survey.

    Older people and women answer more often, and so do the sociable if that is switched on.
    """
    log_odds = 2.3 + 0.3 * (people["sex"] == 2) + 0.02 * (people["age_years"] - 45)
    if city.switches.informative_nonresponse:
        log_odds = log_odds + 0.35 * people["sociability"]
    return np.asarray(expit(log_odds.to_numpy(float)))


def roster_response(city: City, people: pd.DataFrame) -> Floats:
    """Return each participant's chance to answer the Center's call: 0.45 on average over all of them."""
    if not city.switches.informative_nonresponse:
        return np.full(len(people), ROSTER_RESPONSE)
    everyone = city.residents.loc[city.residents["participant"] == 1, "sociability"].to_numpy()
    intercept = brentq(lambda start: expit(start + ROSTER_PULL * everyone).mean() - ROSTER_RESPONSE, -5.0, 5.0)
    return np.asarray(expit(round(float(intercept), 6) + ROSTER_PULL * people["sociability"].to_numpy(float)))


def _respond_weights(people: pd.DataFrame, base: Floats, responds: Answers) -> Floats:
    """Base weights over the weighted response rate of each sex and age group."""
    cell = (people["sex"] * 10 + people["age_group"]).to_numpy()
    drawn = np.bincount(cell, weights=base)
    answered = np.bincount(cell, weights=base * responds, minlength=len(drawn))
    return np.asarray(base * drawn[cell] / np.where(answered > 0, answered, 1.0)[cell])


def _poststratified(city: City, sample: pd.DataFrame) -> Floats:
    """Weights that reproduce the official counts of district by sex by age group."""
    persons = city.registers.population.set_index(list(CELL_VARIABLES))["persons"]
    cells = pd.MultiIndex.from_frame(sample[list(CELL_VARIABLES)])
    place = persons.index.get_indexer(cells)
    sums = np.bincount(place, weights=sample["weight_design"], minlength=len(persons))
    if (sums == 0).any():
        raise SurveyError(
            f"{int((sums == 0).sum())} cells of district, sex and age group have no respondent. Use a finer city."
        )
    return np.asarray(sample["weight_design"].to_numpy() * (persons.to_numpy() / sums)[place])


def shift_of(city: City, item: str, year: int, interviewer: Floats, reworded: Collection[str] = ()) -> Floats:
    """Return the chance that a "no" is reported as "yes", by whether (or how often) an interviewer asks."""
    mode = MODE_SHIFT * interviewer * city.switches.mode_effect
    switched = city.switches.wording_break and year >= WORDING_YEAR and item in REWORDED
    wording = WORDING_SHIFT * (switched or item in reworded)
    return np.asarray(1 - (1 - mode) * (1 - wording))


def _reported(
    city: City,
    rows: Whole,
    mode: Whole,
    year: int,
    seed: int,
    survey: int,
    reworded: Collection[str] = (),
    reread: Collection[str] = (),
) -> dict[str, Whole]:
    """What people say: the truth, moved by interviewer and wording where switched on, or "don't know"."""
    given = {}
    for number, (item, truth) in enumerate(true_answers(city, year).items(), start=1):
        random = stream(seed, "reporting", survey, year, number)
        yes = truth[rows]
        swayed, unsure = random.random(len(rows)), random.random(len(rows))
        yes = yes | (swayed < shift_of(city, item, year, (mode != WEB).astype(float), reworded))
        coded = (unsure < DONT_KNOW_SHARE) & (item not in reread)
        given[item] = np.where(coded, DONT_KNOW, yes.astype(np.int64))
    unsure = stream(seed, "reporting", survey, year, 0, SCALE.number).random(len(rows))
    given["trust_neighbours"] = np.where(unsure < DONT_KNOW_SHARE, DONT_KNOW, true_trust(city, year)[rows])
    return given


def _with_answers(
    sample: pd.DataFrame, people: pd.DataFrame, mode: Whole, given: Mapping[str, Whole], city: City, year: int
) -> pd.DataFrame:
    for name in ("sex", "age_group", *BACKGROUND):
        sample[name] = people[name].to_numpy()
    sample["participant"] = ((people["participant"] == 1) & (people["joined_year"] <= year)).astype(np.int64)
    sample["intensity"] = people["intensity"].where(sample["participant"] == 1).astype(float)
    sample["mode"] = mode
    for item, answer in given.items():
        sample[item] = answer
    planned = city.switches.planned_schedule
    wave = city.dongs.set_index("dong")["planned_wave" if planned else "covered_wave"]
    sample["district_cohort"] = sample["district"].map(district_cohorts(city.dongs, planned=planned))
    sample["district_dose"] = sample["district"].map(district_doses(city.dongs, planned=planned)[year])
    if "dong" in sample:
        sample["dong_cohort"] = sample["dong"].map(wave)
        sample["village_plan"] = sample["dong"].map(city.dongs.set_index("dong")["village_plan"])
        sample["dong_covered"] = (sample["dong_cohort"] <= year).astype(np.int64)
    sample["data"] = MARK
    return sample


def _rounded(sample: pd.DataFrame) -> pd.DataFrame:
    """Six decimals for weights and doses, so that a file's values are the same on every machine."""
    numbers = [name for name in ("weight_design", "weight", "district_dose") if name in sample]
    sample[numbers] = sample[numbers].round(6)
    return sample


def public_use(sample: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """Return a citizen survey as it would be released: no dong, no block, households in random order.

    Parameters
    ----------
    sample : pandas.DataFrame
        From ``citizen_survey``.
    seed : int
        Of the order.
    """
    random = stream(seed, "public_file")
    homes, place = np.unique(sample["household_id"], return_inverse=True)
    order = random.permutation(len(homes))[place]
    public = sample.drop(columns=["dong", "block_draw", "village_plan", "dong_cohort", "dong_covered", "weight_design"])
    public["household_id"] = sample["year"].to_numpy() * 100_000 + 1 + order
    public = public.iloc[np.lexsort((sample["person_id"], order))].reset_index(drop=True)
    public["person_id"] = public["year"] * 100_000 + 1 + np.arange(len(public))
    return public


def small_file(sample: pd.DataFrame, city: City, *, seed: int) -> pd.DataFrame:
    """Return 5,000 respondents of a citizen survey with their design: 8 of 32 blocks and 200 people per district.

    Parameters
    ----------
    sample : pandas.DataFrame
        From ``citizen_survey``.
    city : City
        Gives the official counts.
    seed : int
        Of the choice.

    Returns
    -------
    pandas.DataFrame
        ``weight_design`` is the survey's own times 32/8 and times people in those blocks over 200;
        ``weight`` is raked anew to district and to sex by age (cells of district by sex by age would be
        too small).
    """
    random, kept = stream(seed, "small_file"), []
    per_district = SMALL // len(city.registers.codes)
    factor = np.ones(len(sample))
    for code in city.registers.codes:
        blocks = _block_draw(int(sample["year"].iloc[0]), code, 1 + random.permutation(BLOCKS)[:SMALL_BLOCKS])
        here = np.flatnonzero(sample["block_draw"].isin(blocks))
        chosen = np.sort(random.permutation(here)[:per_district])
        factor[chosen] = BLOCKS / SMALL_BLOCKS * len(here) / per_district
        kept.append(chosen)
    rows = np.concatenate(kept)
    small = sample.iloc[rows].reset_index(drop=True)
    small["weight_design"] = small["weight_design"].to_numpy() * factor[rows]
    small["weight"] = _raked(city, small)
    return _rounded(small)


def _raked(city: City, sample: pd.DataFrame) -> Floats:
    weight: Floats = np.array(sample["weight_design"], dtype=np.float64)
    population = city.registers.population
    targets: list[tuple[Whole, Floats]] = []
    for names in (["district"], ["sex", "age_group"]):
        persons = population.groupby(names)["persons"].sum()
        cells = pd.MultiIndex.from_frame(sample[names]) if len(names) > 1 else pd.Index(sample[names[0]])
        targets.append((persons.index.get_indexer(cells), persons.to_numpy(float)))
    for _ in range(60):
        for place, wanted in targets:
            weight = weight * (wanted / np.bincount(place, weights=weight, minlength=len(wanted)))[place]
    return weight


def participant_roster(city: City, *, seed: int | None = None) -> pd.DataFrame:
    """Draw participants from the Center's roster: 1,200 in 150 projects, about 45 in 100 answer.

    Parameters
    ----------
    city : City
        From ``synthesize``.
    seed : int, optional
        Of the sample; else the city's.

    Returns
    -------
    pandas.DataFrame
        All 1,200, ``responded`` 1 or 0 (then answers are blank). Stratum ``project_type``; PSU
        ``project_draw``: projects with chances in proportion to members, with replacement, 8 members of
        each; ``weight_design`` adds up to the participants, ``weight`` does so over respondents (adjusted
        by project type and sex), 0 for the others.
    """
    seed = city.seed if seed is None else seed
    rows, draws = _members(city, seed)
    people = city.residents.iloc[rows].reset_index(drop=True)
    type_of = city.projects.set_index("project")["project_type"]
    sample = pd.DataFrame({"person_id": YEAR * 100_000 + 1 + np.arange(len(rows)), "year": YEAR})
    sample["project_type"] = people["project"].map(type_of)
    sample["project_draw"], sample["district"] = draws, people["district"]
    members = city.projects.groupby("project_type")["size"].sum()
    members = members * (PARTICIPANTS / members.sum())
    stratum = sample["project_type"]
    sample["weight_design"] = (stratum.map(members) / stratum.map(stratum.value_counts())).to_numpy(float)
    responds = stream(seed, "response", 0, 1).random(len(people)) < roster_response(city, people)
    sample["responded"] = responds.astype(np.int64)
    cell = (stratum * 10 + people["sex"]).to_numpy()
    drawn = np.bincount(cell, weights=sample["weight_design"])
    answered = np.bincount(cell, weights=sample["weight_design"] * responds, minlength=len(drawn))
    ratio = np.divide(drawn, answered, out=np.zeros(len(drawn)), where=answered > 0)
    sample["weight"] = sample["weight_design"] * responds * ratio[cell]
    mode = np.full(len(rows), TELEPHONE)
    given = _reported(city, rows, mode, YEAR, seed, 1)
    given["lean_on_more"] = people["lean_on_more"].to_numpy(np.int64)
    sample = _with_answers(sample, people, mode, given, city, YEAR)
    blank = [*BACKGROUND, "mode", *given]
    sample[blank] = sample[blank].astype(float)
    sample.loc[~responds, blank] = np.nan
    return _rounded(sample.assign(joined_year=people["joined_year"]))


def _members(city: City, seed: int) -> tuple[Whole, Whole]:
    """Rows of the members drawn, and the number of each one's project draw."""
    random, residents = stream(seed, "roster"), city.residents
    members = np.flatnonzero(residents["participant"])
    members = members[np.argsort(residents["project"].to_numpy()[members], kind="stable")]
    size = city.projects["size"].to_numpy()
    first, kind = np.cumsum(size) - size, city.projects["project_type"].to_numpy()
    types = np.unique(kind)
    allocated = whole_parts(np.array([size[kind == k].sum() for k in types], float), ROSTER // TAKE)
    chosen = []
    for k, number in zip(types, allocated, strict=True):
        here = np.flatnonzero(kind == k)
        ends = np.cumsum(size[here])
        chosen.append(here[np.searchsorted(ends, random.random(number) * ends[-1], side="right")])
    drawn = np.repeat(np.concatenate(chosen), TAKE)
    within = np.floor(random.random(len(drawn)) * size[drawn]).astype(np.int64)
    return members[first[drawn] + within], 1 + np.repeat(np.arange(ROSTER // TAKE), TAKE)


def citizen_module(city: City, year: int = YEAR, *, seed: int | None = None) -> pd.DataFrame:
    """Draw the 5,000-citizen module: people one by one, in proportion to the districts.

    Parameters
    ----------
    city : City
        From ``synthesize``.
    year : int
        Wave, 2010 to 2019.
    seed : int, optional
        Of the sample; else the city's.

    Returns
    -------
    pandas.DataFrame, 5,000 rows
        Stratum ``district``, no clusters; ``weight_design`` is persons over sample of the district,
        ``weight`` is raked to district and to sex by age.
    """
    check_year(year)
    seed = city.seed if seed is None else seed
    random, district = stream(seed, "module", year), city.residents["district"].to_numpy()
    persons = city.registers.population.groupby("district")["persons"].sum()
    parts = whole_parts(persons.to_numpy(float), MODULE)
    chosen = [
        np.sort(random.choice(np.flatnonzero(district == code), part, replace=False))
        for code, part in zip(persons.index, parts, strict=True)
    ]
    rows = np.concatenate(chosen)
    people = city.residents.iloc[rows].reset_index(drop=True)
    mode = np.where(random.random(len(rows)) < VISIT_SHARE, VISIT, WEB)
    columns: dict[str, Any] = {"person_id": year * 100_000 + 1 + np.arange(len(rows)), "year": year}
    sample = pd.DataFrame({**columns, "district": people["district"]})
    sample["weight_design"] = np.repeat(persons.to_numpy() / parts, parts)
    sample = _with_answers(sample, people, mode, _reported(city, rows, mode, year, seed, 2), city, year)
    sample.insert(4, "weight", _raked(city, sample))
    return _rounded(sample)
