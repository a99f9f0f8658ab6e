"""Places and people: official totals below, plausible homes above."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.errors import SourceError, SurveyError
from evaluation.synthetic.frame import TRAIT_BOUND
from evaluation.synthetic.population import City, synthesize
from evaluation.synthetic.registers import read_registers


def test_persons_by_district_sex_and_age_are_the_official_ones_to_the_nearest_ten(city: City) -> None:
    made = city.residents.groupby(["district", "sex", "age_group"]).size() * city.one_in
    official = city.registers.population.set_index(["district", "sex", "age_group"])["persons"]
    assert len(made) == 350
    assert (made - official).abs().max() < 10
    assert len(city.residents) == round(official.sum() / 10) == 883_295


def test_households_and_dongs_by_district_are_the_official_ones(city: City) -> None:
    official = city.registers.districts.set_index("district")
    homes = city.households.groupby("district").size() * city.one_in
    assert (homes - official["households"]).abs().max() <= 5
    assert (city.dongs.groupby("district").size() == official["dongs"]).all()
    assert len(city.dongs) == 424
    assert city.dongs["dong"].is_unique


def test_places_nest(city: City) -> None:
    residents, homes, blocks = city.residents, city.households, city.blocks
    assert (homes["block"].to_numpy()[residents["household"]] == residents["block"]).all()
    assert (blocks["dong"].to_numpy()[residents["block"]] == residents["dong"]).all()
    assert (residents["dong"] // 100 == residents["district"]).all()
    assert (np.bincount(residents["household"]) == homes["size"]).all()
    first = residents["household"].to_numpy()[homes["first"]]
    assert (first == np.arange(len(homes))).all()
    assert blocks["size"].between(40, 110).all()
    assert blocks["size"].sum() == len(homes)


def test_nobody_under_twenty_heads_a_household(city: City) -> None:
    assert city.residents["age_years"].to_numpy()[city.households["first"]].min() >= 20


def test_ages_lie_in_their_groups_and_nobody_lived_here_before_being_born(city: City) -> None:
    residents = city.residents
    bounds = residents.groupby("age_group")["age_years"].agg(["min", "max"])
    assert bounds["min"].tolist() == [15, 20, 30, 40, 50, 60, 65]
    assert bounds["max"].tolist() == [19, 29, 39, 49, 59, 64, 95]
    assert (residents["tenure_years"] <= residents["age_years"]).all()


def test_the_trait_is_a_truncated_normal(city: City) -> None:
    trait = city.residents["sociability"]
    assert trait.abs().max() <= TRAIT_BOUND
    assert abs(trait.mean()) < 0.005
    # Variance of a standard normal cut at 2: 1 - 2 * 2 * phi(2) / (2 * Phi(2) - 1).
    assert trait.var() == pytest.approx(1 - 4 * 0.05399097 / 0.95449974, abs=0.004)


def test_a_city_too_coarse_or_too_fine_is_refused() -> None:
    with pytest.raises(SurveyError, match="between 5 and 200 persons per resident, got 1000"):
        synthesize(one_in=1000)


def test_absent_tables_are_named(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "surveys" / "seoul_2016"
    folder.mkdir(parents=True)
    monkeypatch.setenv("EVALUATION_PROJECT", str(tmp_path))
    with pytest.raises(SourceError, match=r"margins\.csv is not there"):
        read_registers()
    (folder / "margins.csv").write_text("margin,level,value\n", encoding="utf-8")
    (folder / "districts.csv").write_text("district,households\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"districts\.csv: .* missing \['dongs', 'split'\]"):
        read_registers()
