"""Power on samples of the synthetic city: effects arrive as asked, and what cannot be had is refused."""

import json

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import EstimationError
from evaluation.synthetic.population import synthesize

#: Two standard errors of five small surveys, as a share.
NEAR = 0.02


@pytest.fixture(scope="module")
def city():
    return synthesize(one_in=200)


def test_an_effect_arrives_and_is_found_more_often_than_none(city):
    found = ev.city_power(
        ev.read_rollout("seoul_2016"), effect=[0, 0.1], waves=(2014, 2015), draws=5, permutations=99, city=city
    )
    rows = found.tidy().set_index(["effect", "test"])
    moved = rows.loc[(0.1, "jackknife"), "mean_estimate"] - rows.loc[(0.0, "jackknife"), "mean_estimate"]
    assert abs(moved - 0.1) < NEAR
    assert (rows.loc[0.1, "rejected"] == 1).all()
    assert (rows.loc[0.0, "rejected"] < 1).all()
    assert rows.loc[(0.0, "jackknife"), "mean_std_error"] > 0
    assert np.isnan(rows.loc[(0.0, "randomization"), "mean_std_error"])
    assert json.loads(json.dumps(found.to_dict()))["fit"]["outcome"] == "stay"
    assert "samples of a synthetic city" in repr(ev.table(found, lang="en"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"effect": 0.9}, "cannot be had"),
        ({"outcome": "knows_center"}, "outcome"),
        ({"draws": 2}, "draws must be a whole number of 5 or more"),
        ({"shocks": -1}, "shocks"),
        ({"test": "bootstrap"}, "test"),
    ],
)
def test_what_cannot_be_simulated_is_refused(city, changed, said):
    asked = {"effect": 0.02, "waves": (2014, 2015), "draws": 5, "city": city} | changed
    with pytest.raises(EstimationError, match=said):
        ev.city_power({"110": 2015, "140": 0}, **asked)


def test_a_schedule_without_a_start_is_refused(city):
    with pytest.raises(EstimationError, match="at least one district that starts"):
        ev.city_power({"110": 0}, effect=0.1, city=city)
