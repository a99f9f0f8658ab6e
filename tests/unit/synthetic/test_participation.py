"""Who takes part: published profile, projects of three and more, an exactly known pull of the trait."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

from evaluation.synthetic.participation import TRAIT, intercept_for, odds_bounds, propensity
from evaluation.synthetic.population import City


def test_participants_have_the_published_number_and_profile(city: City) -> None:
    members = city.residents[city.residents["participant"] == 1]
    assert len(members) == 12_874
    assert (members["sex"] == 2).mean() == pytest.approx(0.73, abs=0.0005)
    assert members["age_group"].isin([3, 4]).mean() == pytest.approx(0.59, abs=0.0005)
    assert members["age_group"].isin([1, 2]).mean() == pytest.approx(0.09, abs=0.0005)


def test_repeaters_are_the_published_share(city: City) -> None:
    counts = city.residents["intensity"].value_counts()
    assert counts[[2, 3, 4]].tolist() == [271, 85, 14]
    assert ((city.residents["intensity"] > 0) == (city.residents["participant"] == 1)).all()


def test_projects_have_three_members_and_more_of_one_district(city: City) -> None:
    members = city.residents[city.residents["participant"] == 1]
    by_project = members.groupby("project")
    assert by_project.size().min() >= 3
    assert (by_project["district"].nunique() == 1).all()
    assert by_project.size().to_dict() == city.projects.set_index("project")["size"].to_dict()
    assert len(city.projects) == 498


def pull_of_the_trait(city: City) -> float:
    """Its coefficient by maximum likelihood, all that is measured held at its true odds."""
    taken, trait = city.residents["participant"].to_numpy(), city.residents["sociability"].to_numpy()
    return float(brentq(lambda pull: ((taken - expit(city.odds + pull * trait)) * trait).sum(), -2, 2))


def test_the_trait_pulls_exactly_as_stated_and_not_at_all_when_off(city: City, coarse: Callable[..., City]) -> None:
    assert pull_of_the_trait(city) == pytest.approx(TRAIT, abs=0.03)  # standard error 0.010
    off = coarse(unobserved_trait=False)
    assert pull_of_the_trait(off) == pytest.approx(0, abs=0.08)  # standard error 0.022
    assert odds_bounds(off.odds, off.switches) == (1.0, 1.0)


def test_the_bounds_of_the_odds_are_exact(city: City) -> None:
    gamma, marginal = odds_bounds(city.odds, city.switches)
    assert gamma == pytest.approx(np.exp(4 * TRAIT))
    fine = np.linspace(-2, 2, 20_001)
    density = np.exp(-(fine**2) / 2)
    ratios = []
    for odds in (city.odds.min(), np.median(city.odds), city.odds.max()):
        chance = np.average(expit(odds + TRAIT * fine), weights=density)
        own = odds + TRAIT * np.array([-2.0, 2.0])
        ratios.extend(np.exp(np.abs(own - logit(chance))))
    assert marginal == pytest.approx(max(ratios), rel=1e-5)
    everyone = np.exp(
        np.abs(city.odds + TRAIT * city.residents["sociability"] - logit(propensity(city.odds, city.switches)))
    )
    assert everyone.max() <= marginal + 1e-6


def test_the_chance_given_what_is_measured_is_a_chance(city: City) -> None:
    chance = propensity(city.odds, city.switches)
    taken = city.residents["participant"].to_numpy()
    order = np.argsort(chance)
    for part in np.array_split(order, 10):
        expected = chance[part].sum()
        assert taken[part].sum() == pytest.approx(expected, abs=5 * np.sqrt(expected))


def test_center_projects_overlap_the_early_dongs_unless_switched_off(city: City, coarse: Callable[..., City]) -> None:
    def rate_ratio(some: City) -> float:
        plan = some.dongs["village_plan"].to_numpy()[some.dong_place] > 0
        taken = some.residents["participant"]
        return float(taken[plan].mean() / taken[~plan].mean())

    assert rate_ratio(city) == pytest.approx(2.0, abs=0.2)
    assert rate_ratio(coarse(overlap_in_place=False)) == pytest.approx(1.0, abs=0.2)


def test_the_intercept_is_the_root_of_a_step() -> None:
    thresholds = np.random.default_rng(1).normal(size=1_000)
    for count in (1, 437, 999, 1_000):
        assert (thresholds < intercept_for(thresholds, count)).sum() == count
