"""Samples: drawn as stated, weighted to the population, right on average."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.errors import SurveyError
from evaluation.synthetic.outcomes import ITEMS
from evaluation.synthetic.population import City
from evaluation.synthetic.sampling import citizen_module, citizen_survey, participant_roster, public_use, small_file
from evaluation.synthetic.truth import expectations, truth_of

POPULATION = 8_832_952
#: Weights are kept at six decimals.
ROUNDED = 0.05


@pytest.fixture(scope="session")
def citizens(city: City) -> pd.DataFrame:
    return citizen_survey(city)


def share(sample: pd.DataFrame, item: str) -> float:
    answered = sample[sample[item] < 9]
    return float(np.average(answered[item], weights=answered["weight"]))


def test_the_citizen_survey_has_25_strata_of_32_blocks_of_25_households(citizens: pd.DataFrame) -> None:
    assert citizens["district"].nunique() == 25
    assert set(citizens.groupby("district")["block_draw"].nunique()) == {32}
    assert citizens.groupby("block_draw")["household_id"].nunique().max() == 25
    assert citizens["household_id"].nunique() > 19_000  # of 20,000: in some nobody answers
    assert citizens["person_id"].is_unique
    assert citizens.groupby("household_id")["block_draw"].nunique().max() == 1


def test_nine_in_ten_members_answer(city: City, citizens: pd.DataFrame) -> None:
    drawn = 20_000 * len(city.residents) / len(city.households)
    assert len(citizens) / drawn == pytest.approx(0.91, abs=0.02)


def test_weights_add_up_to_the_population_cell_by_cell(city: City, citizens: pd.DataFrame) -> None:
    assert citizens["weight"].sum() == pytest.approx(POPULATION, abs=ROUNDED)
    cells = ["district", "sex", "age_group"]
    official = city.registers.population.set_index(cells)["persons"]
    assert (citizens.groupby(cells)["weight"].sum() - official).abs().max() < ROUNDED
    assert citizens["weight_design"].sum() == pytest.approx(POPULATION, rel=0.02)


def test_the_public_file_holds_the_same_people_and_no_sampling_units(citizens: pd.DataFrame) -> None:
    public = public_use(citizens, seed=1)
    assert not {"dong", "block_draw", "weight_design", "dong_cohort", "dong_covered", "village_plan"} & set(public)
    assert len(public) == len(citizens)
    assert np.sort(public["weight"]) == pytest.approx(np.sort(citizens["weight"]))
    assert share(public, "stay") == pytest.approx(share(citizens, "stay"))
    # The order gives no block away: neighbours in the file live in the same district only by chance.
    homes = public.drop_duplicates("household_id")["district"].to_numpy()
    assert (homes[1:] == homes[:-1]).mean() < 0.06
    sizes = [sample.groupby("household_id").size().value_counts().to_dict() for sample in (public, citizens)]
    assert sizes[0] == sizes[1]


def test_the_small_file_has_200_people_of_8_blocks_in_each_district(city: City, citizens: pd.DataFrame) -> None:
    small = small_file(citizens, city, seed=1)
    assert len(small) == 5_000
    assert set(small.groupby("district").size()) == {200}
    assert set(small.groupby("district")["block_draw"].nunique()) == {8}
    assert small["weight"].sum() == pytest.approx(POPULATION, abs=ROUNDED)
    assert small["weight_design"].sum() == pytest.approx(citizens["weight_design"].sum(), rel=0.03)
    by_sex = city.registers.population.groupby("sex")["persons"].sum()
    assert (small.groupby("sex")["weight"].sum() - by_sex).abs().max() < ROUNDED


def test_the_module_has_5000_citizens_in_proportion_to_the_districts(city: City) -> None:
    module = citizen_module(city)
    assert len(module) == 5_000
    persons = city.registers.population.groupby("district")["persons"].sum()
    expected = persons / persons.sum() * 5_000
    assert (module.groupby("district").size() - expected).abs().max() < 1
    assert module["weight_design"].sum() == pytest.approx(POPULATION, abs=1)
    assert module["weight"].sum() == pytest.approx(POPULATION, abs=ROUNDED)
    assert module["weight_design"].max() / module["weight_design"].min() < 1.02


def test_the_roster_sample_has_1200_members_of_150_project_draws(city: City) -> None:
    roster = participant_roster(city)
    assert len(roster) == 1_200
    assert set(roster.groupby("project_draw").size()) == {8}
    assert roster.groupby("project_draw")["project_type"].nunique().max() == 1
    assert roster.groupby("project_type")["project_draw"].nunique().min() >= 2
    assert roster["weight_design"].sum() == pytest.approx(128_743, abs=ROUNDED)
    assert roster["weight"].sum() == pytest.approx(128_743, abs=ROUNDED)
    assert (roster.loc[roster["responded"] == 0, "weight"] == 0).all()
    silent = roster["responded"] == 0
    assert (
        roster.loc[silent, [*ITEMS, "knows_center", "lean_on_more", "trust_neighbours", "education", "participant"]]
        .isna()
        .all(axis=None)
    )
    assert roster.loc[~silent, "participant"].eq(1).all()


def test_45_in_100_of_the_roster_respond(city: City) -> None:
    rates = [participant_roster(city, seed=seed)["responded"].mean() for seed in range(20)]
    assert np.mean(rates) == pytest.approx(0.45, abs=0.01)


def test_the_roster_shows_on_average_what_is_expected_and_not_the_truth(city: City, truth: dict[str, Any]) -> None:
    rosters = [participant_roster(city, seed=seed) for seed in range(40)]
    shares = np.array([share(roster[roster["responded"] == 1], "stay") for roster in rosters])
    error = shares.std(ddof=1) / np.sqrt(len(shares))
    assert shares.mean() == pytest.approx(truth["expectations"]["roster"]["stay"], abs=3 * error)
    assert truth["expectations"]["roster"]["response_rate"] == pytest.approx(0.45, abs=1e-5)
    assert 0.01 < truth["expectations"]["roster"]["stay"] - truth["items"]["stay"]["participants"] < 0.03


def test_the_citizen_survey_shows_on_average_what_is_expected(coarse: Callable[..., City]) -> None:
    city = coarse(mode_effect=True)
    expected = expectations(city)["citizens"]["stay"]["all"]
    shares = np.array([share(citizen_survey(city, seed=seed), "stay") for seed in range(1_000, 1_060)])
    assert shares.mean() == pytest.approx(expected, abs=4 * shares.std(ddof=1) / np.sqrt(len(shares)))
    assert expected - truth_of(city)["items"]["stay"]["all"] > 0.02


def test_citizen_surveys_are_right_on_average_and_as_precise_as_the_usual_formula_says(
    coarse: Callable[..., City],
) -> None:
    city = coarse(informative_nonresponse=False)
    residents = city.residents
    true = np.where(residents["participant"] == 1, residents["stay_with"], residents["stay_without"]).mean()
    draws = [citizen_survey(city, seed=seed) for seed in range(60)]
    estimates = np.array([share(sample, "stay") for sample in draws])
    variances = [with_replacement_variance(sample) for sample in draws]
    assert estimates.mean() - true == pytest.approx(0, abs=4 * estimates.std() / np.sqrt(60))
    # The ratio of 60 draws' variance has a spread of about 0.18; the formula ignores post-stratification.
    assert np.mean(variances) / estimates.var(ddof=1) == pytest.approx(1.1, abs=0.45)


def with_replacement_variance(sample: pd.DataFrame) -> float:
    answered = sample[sample["stay"] < 9]
    total = answered["weight"].sum()
    score = answered["weight"] * (answered["stay"] - share(sample, "stay")) / total
    units = score.groupby([answered["district"], answered["block_draw"]]).sum().groupby(level=0)
    return float((units.var() * units.size()).sum())


def test_the_design_effect_is_that_of_a_real_survey(citizens: pd.DataFrame) -> None:
    p = share(citizens, "stay")
    simple = p * (1 - p) / (citizens["stay"] < 9).sum()
    assert 1.6 < with_replacement_variance(citizens) / simple < 2.2


def test_another_wave_is_another_sample_and_participants_appear_when_they_join(city: City) -> None:
    early, late = citizen_survey(city, 2011), citizen_survey(city, 2014)
    assert early["participant"].sum() == 0
    assert 0.004 < np.average(late["participant"], weights=late["weight"]) < 0.013
    assert (early["district_dose"] == 0).all()
    assert not set(early["person_id"]) & set(late["person_id"])
    assert not set(early["block_draw"]) & set(late["block_draw"])


def test_a_year_without_a_wave_is_refused(city: City) -> None:
    with pytest.raises(SurveyError, match="a wave from 2010 to 2019, got 2020"):
        citizen_survey(city, 2020)
