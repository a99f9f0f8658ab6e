"""The roll-out: dated totals as they were, plan and reality apart."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.synthetic.population import City
from evaluation.synthetic.rollout import (
    FULL_EFFECT,
    SPILLOVER,
    district_cohorts,
    district_doses,
    dong_effects,
    untreated_drift,
)
from evaluation.synthetic.switches import Switches


@pytest.mark.parametrize(
    ("date", "dongs", "districts"),
    [
        ("2015-07-01", 80, 13),
        ("2016-07-01", 283, 18),
        ("2017-07-18", 342, 24),
        ("2018-05-01", 408, 25),
        ("2019-07-18", 424, 25),
    ],
)
def test_dongs_and_districts_covered_at_each_date_are_the_real_totals(
    city: City, date: str, dongs: int, districts: int
) -> None:
    covered = city.dongs[city.dongs["covered_from"] <= date]
    assert (len(covered), covered["district"].nunique()) == (dongs, districts)


def test_the_plan_of_2016_was_complete_in_2017(city: City) -> None:
    dongs = city.dongs
    assert [(dongs["planned_wave"] <= year).sum() for year in (2015, 2016, 2017)] == [80, 283, 424]
    assert (dongs["planned_wave"] <= dongs["covered_wave"]).all()


def test_verified_districts_were_reached_as_reported(city: City) -> None:
    waves = city.dongs.groupby("district")["covered_wave"].value_counts().unstack(fill_value=0)
    assert waves.loc[320, 2015] == 14
    assert waves.loc[560, 2016] == 18
    assert waves.loc[140, [2017, 2018]].tolist() == [4, 11]
    assert waves.loc[215, 2017] == 15
    assert waves.loc[680, [2018, 2019]].tolist() == [6, 16]


def test_what_is_not_verified_says_so(city: City) -> None:
    split = city.dongs.groupby("district")["split"].first()
    assert (split == "illustrative").sum() == 16
    assert set(split) == {"verified", "stage_verified", "illustrative"}


def test_village_plans_lie_in_14_and_35_early_dongs(city: City) -> None:
    plans = city.dongs[city.dongs["village_plan"] > 0]
    first = plans[plans["village_plan"] == 2014]
    assert first.groupby("district").size().to_dict() == {200: 4, 290: 4, 320: 3, 545: 3}
    assert (len(plans), plans["district"].nunique()) == (35, 13)
    assert (plans["covered_wave"] == 2015).all()


def test_doses_and_cohorts_of_districts_come_from_their_dongs(city: City) -> None:
    doses = district_doses(city.dongs)
    assert doses.loc[110, 2015] == pytest.approx(3 / 17)
    assert doses[2014].sum() == 0
    assert (doses[2019] == 1).all()
    assert district_cohorts(city.dongs).value_counts().to_dict() == {2015: 13, 2016: 5, 2017: 6, 2018: 1}
    assert (district_doses(city.dongs, planned=True)[2017] == 1).all()


def effects(city: City, year: int, **turned: bool) -> np.ndarray:
    return dong_effects(city.dongs, city.dongs["residents"].to_numpy(), year, Switches(**turned))


def test_heterogeneous_effects_average_to_the_same(city: City) -> None:
    alike = effects(city, 2025, heterogeneous_effects=False)
    assert alike == pytest.approx(np.full(424, FULL_EFFECT))
    assert np.average(effects(city, 2025), weights=city.dongs["residents"]) == pytest.approx(FULL_EFFECT)


def test_anticipation_comes_one_wave_early_only(city: City) -> None:
    wave = city.dongs["covered_wave"].to_numpy()
    calm, eager = effects(city, 2016), effects(city, 2016, anticipation=True)
    assert (eager[wave == 2017] > 0).all()
    assert (eager[wave != 2017] == calm[wave != 2017]).all()


def test_spillover_reaches_uncovered_dongs_of_begun_districts_only(city: City) -> None:
    wave, district = city.dongs["covered_wave"].to_numpy(), city.dongs["district"].to_numpy()
    extra = effects(city, 2015, spillover=True) - effects(city, 2015)
    assert set(np.round(extra, 12)) == {0.0, SPILLOVER}
    assert (extra[wave <= 2015] == 0).all()
    assert (extra[district == 680] == 0).all()
    # Jongno: dongs 1 to 3 of 17 are covered.
    assert np.flatnonzero(extra[district == 110]).tolist() == list(range(3, 17))


def test_growing_effects_go_on(city: City) -> None:
    wave = city.dongs["covered_wave"].to_numpy()
    grown, calm = effects(city, 2019, growing_effects=True), effects(city, 2019)
    assert grown[wave == 2015] == pytest.approx(4 * calm[wave == 2015])
    assert grown[wave >= 2018] == pytest.approx(calm[wave >= 2018])


def test_the_pre_trend_is_a_slope_of_early_dongs(city: City) -> None:
    wave = city.dongs["covered_wave"].to_numpy()
    drift = untreated_drift(city.dongs, 2014, Switches(pre_trend=0.5))
    assert drift[wave == 2015] == pytest.approx(0.02)
    assert drift[wave == 2019] == pytest.approx(0.0)
    assert (untreated_drift(city.dongs, 2014, Switches()) == 0).all()
