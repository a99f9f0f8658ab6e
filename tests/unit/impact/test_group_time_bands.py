"""Bands from multiplied clusters, and remarks on what numbers do not show."""

import itertools

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError


def study(n_places=12, vcov="jackknife", **arguments):
    rng = np.random.default_rng(4)
    place, year, _ = (part.ravel() for part in np.meshgrid(range(n_places), range(2013, 2018), range(10)))
    first = np.array([2015, 2016, 0])[place % 3]
    y = ((first > 0) & (year >= first)) + rng.normal(0, 1, len(place))
    frame = pd.DataFrame({"place": place, "year": year, "first": first, "y": y})
    panel = ev.panel(ev.survey_design(frame), time="year")
    return ev.event_study(panel, outcome="y", cohort="first", cluster="place", vcov=vcov, **arguments)


@pytest.mark.parametrize("vcov", ["jackknife", "cluster"])
def test_few_clusters_are_multiplied_by_every_combination_of_signs(vcov):
    made = study(9, vcov)
    bands = ev.simultaneous_bands(made, seed=1, method="multiplier")
    rows = np.flatnonzero((made.std_error > 0) & (made.keys["term"] != "overall").to_numpy())
    parts = made.contributions[:, rows] * (np.sqrt(8 / 9) if vcov == "jackknife" else 1.0)
    signs = np.array(list(itertools.product([-1.0, 1.0], repeat=9)))
    largest = np.sort((np.abs(signs @ parts) / made.std_error[rows]).max(axis=1))
    # The smallest draw that at least 95 % of the 512 do not exceed.
    drawn = bands.fit.get("band_drawn_value", bands.fit["band_critical_value"])
    assert drawn == pytest.approx(largest[int(np.ceil(0.95 * 511))])
    assert bands.fit["band_critical_value"] == pytest.approx(max(drawn, made.critical_value[rows].max()))
    assert (bands.fit["band_draws"], bands.fit["band_enumerated"]) == (512, True)
    tidy = bands.tidy().iloc[rows]
    half = bands.fit["band_critical_value"] * tidy["std_error"]
    np.testing.assert_allclose(tidy["band_high"], tidy["estimate"] + half)
    again = ev.simultaneous_bands(made, seed=2, method="multiplier")
    assert again.tidy().equals(bands.tidy())


@pytest.mark.parametrize("weights", ["rademacher", "mammen", "webb"])
def test_drawn_multipliers_repeat_with_the_seed_and_come_near_the_normal(weights):
    made = study(60, "cluster")
    one, two = (ev.simultaneous_bands(made, seed=3, method="multiplier", weights=weights) for _ in range(2))
    assert one.tidy().equals(two.tidy())
    assert (one.fit["band_draws"], one.fit["band_enumerated"], one.fit["band_weights"]) == (999, False, weights)
    many = ev.simultaneous_bands(made, seed=3, method="multiplier", weights=weights, draws=20_000)
    by_t = ev.simultaneous_bands(made, seed=3, draws=100_000)
    assert many.fit["band_critical_value"] == pytest.approx(by_t.fit["band_critical_value"], rel=0.06)


def test_a_band_is_never_narrower_than_the_intervals():
    bands = ev.simultaneous_bands(study(6, min_e=0, max_e=0), seed=1, method="multiplier")
    tidy = bands.tidy().iloc[1:]
    # Six clusters have 64 combinations of signs: their tail is shorter than that of t on five degrees of freedom.
    assert bands.fit["band_drawn_value"] < bands.critical_value[1]
    np.testing.assert_allclose(tidy["band_high"], tidy["conf_high"])


def test_multipliers_need_errors_by_cluster():
    made = study(12, "design")
    with pytest.raises(EstimationError, match=r"not by cluster \(taylor\). Use method='t', or name cluster"):
        ev.simultaneous_bands(made, seed=1, method="multiplier")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "bootstrap"}, "method must be 't' or 'multiplier'"),
        ({"method": "multiplier", "weights": "normal"}, "no weights 'normal'"),
        ({"draws": 10}, "100 draws"),
    ],
)
def test_a_band_that_does_not_exist_is_answered(arguments, message):
    with pytest.raises(EstimationError, match=message):
        ev.simultaneous_bands(study(), seed=1, **arguments)


def test_leads_say_what_they_are_measured_against():
    universal, varying = study(), study(base_period="varying")
    assert universal.fit["leads_against"] == "leads_universal"
    assert varying.fit["leads_against"] == "leads_varying"
    assert "not comparable with leads against the last untreated wave" in " ".join(varying.remarks("en"))
    assert "universal" in " ".join(universal.remarks("ko"))
    assert "varying base" in repr(varying)
    without = ev.aggregate(
        ev.att_gt(
            ev.panel(ev.domain(study().refit.design, {"year": [2014, 2015]}), time="year"),
            outcome="y",
            cohort="first",
        )
    )
    assert "base" not in " ".join(without.remarks("en"))


def test_sums_say_their_weights_in_words():
    assert "sum of weights over all waves used" in repr(study())
    assert "number of clusters" in repr(study(weights="clusters"))
    assert "before the first start" in repr(study(weights="population_pre"))
    assert "시행 집단의 가중" in " ".join(ev.table(study(), lang="ko").notes)
