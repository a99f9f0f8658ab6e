"""Group-time effects had the places been treated in another order, without a place, or under other weights."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError

KINDS = ["cross-sections", "panel"]
TYPES = ["simple", "group", "dynamic", "calendar"]


def waves(seed=1, n_places=12, per_wave=15, years=(2013, 2014, 2015, 2016)):
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(n_places), per_wave * len(years))
    year = np.tile(np.repeat(years, per_wave), n_places)
    first = np.array([2015, 2016, 0])[place % 3]
    frame = pd.DataFrame({"place": place, "year": year, "first": first, "sex": rng.integers(0, 2, len(place))})
    frame["id"] = place * per_wave + np.tile(np.arange(per_wave), n_places * len(years))
    gain = np.where((first > 0) & (year >= first), 1.0, 0.0)
    size = rng.uniform(0.5, 2, n_places * per_wave)[frame["id"]]
    return frame.assign(y=gain + frame["sex"] * (year - 2013) * 0.2 + rng.normal(0, 1, len(place)), w=size)


def effects(frame, kind="cross-sections", **arguments):
    unit = "id" if kind == "panel" else None
    if kind == "panel":
        frame = frame.assign(sex=frame["id"] % 2)
    design = ev.survey_design(frame, weights="w", psu=unit)
    return ev.att_gt(ev.panel(design, unit=unit, time="year"), outcome="y", cohort="first", **arguments)


def shuffled(frame, seed):
    """The same data had the places got each other's dates, and the date of each place."""
    own = frame.groupby("place")["first"].first().to_numpy()
    dates = np.random.default_rng(seed).permutation(own)
    return frame.assign(first=dates[frame["place"]]), np.where(dates == 0, np.inf, dates)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariates", [(), ["sex"]])
def test_another_order_gives_what_the_verb_gives_for_it(kind, covariates):
    frame = waves()
    made = effects(frame, kind, covariates=covariates, cluster="place")
    orders = [shuffled(frame, seed) for seed in range(3)]
    cohorts = np.stack([dates for _, dates in orders])
    again = made.refit.reordered(cohorts)
    for row, (other, _) in enumerate(orders):
        whole = effects(other, kind, covariates=covariates, cluster="place")
        np.testing.assert_allclose(again[row], whole.estimate, rtol=1e-9, atol=1e-12)
        for type_ in TYPES:
            sums = ev.aggregate(made, type=type_)
            expected = ev.aggregate(whole, type=type_).estimate
            np.testing.assert_allclose(sums.refit.reordered(cohorts)[row], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weights", ["sample", "population_pre", "clusters"])
def test_sizes_of_the_cohorts_follow_the_order(weights):
    frame = waves().query("place != 4 or year < 2015").reset_index(drop=True)
    frame = frame.assign(w=frame["w"] * (1 + frame["place"]))
    other, dates = shuffled(frame, 5)
    made = ev.aggregate(effects(frame, cluster="place"), weights=weights)
    whole = ev.aggregate(effects(other, cluster="place"), weights=weights)
    np.testing.assert_allclose(made.refit.reordered(dates[None])[0], whole.estimate, rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("covariates", [(), ["sex"]])
@pytest.mark.parametrize("weights", ["sample", "clusters"])
def test_zero_weights_leave_a_place_out(kind, covariates, weights):
    made = effects(waves(), kind, covariates=covariates, cluster="place")
    for result in (made, ev.aggregate(made, type="dynamic", weights=weights)):
        left_out = result.refit.left_out()
        for place in (0, 7):
            zero = np.where(made.refit.clusters.code == place, 0.0, made.refit.design.domain_weights)
            np.testing.assert_allclose(result.refit.again(zero), left_out[place], rtol=1e-8, atol=1e-12)
        np.testing.assert_allclose(result.contributions + result.estimate, left_out, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("estimator", ["dr", "ipw", "reg"])
@pytest.mark.parametrize("kind", KINDS)
def test_leaving_places_out_at_once_is_leaving_each_out(kind, estimator):
    """Also where a covariate is in one place of each side, and all of a cohort in one place."""
    frame = waves(n_places=10, per_wave=20).query("first != 2016 or place == 1").reset_index(drop=True)
    frame = frame.assign(w=1.0, only=(frame["place"].isin([3, 5]) & (frame["id"] % 2 == 0)).astype(float))
    rng = np.random.default_rng(3)
    frame["level"] = rng.normal(0, 1, int(frame["id"].max()) + 1)[frame["id"]]
    asked = {"covariates": ["level", "only"], "estimator": estimator, "control_group": "nevertreated"}
    made = effects(frame, kind, cluster="place", **asked)
    known = dict(zip(zip(made.keys["cohort"], made.keys["time"], strict=True), range(len(made)), strict=True))
    for number, place in enumerate(made.refit.clusters.levels):
        there = []
        try:
            alone = effects(frame[frame["place"] != place].reset_index(drop=True), kind, **asked)
        except IdentificationError:
            assert place in (3, 5)
        else:
            keys = list(zip(alone.keys["cohort"], alone.keys["time"], strict=True))
            own = [row for row, key in enumerate(keys) if key in known]
            there = [known[keys[row]] for row in own]
            np.testing.assert_allclose(made.refit.left_out()[number, there], alone.estimate[own], rtol=1e-9, atol=1e-12)
        gone = sorted(set(range(len(made))) - set(there))
        assert np.isnan(made.refit.left_out()[number, gone]).all()


def test_effects_refit_whatever_the_rule_of_their_errors():
    frame = waves()
    asked = [effects(frame, cluster="place", vcov=vcov) for vcov in ("jackknife", "cluster", "design")]
    for made in asked[1:]:
        np.testing.assert_allclose(made.refit.left_out(), asked[0].refit.left_out())
    assert isinstance(ev.aggregate(asked[0]), type(asked[0]).__mro__[1])


def test_a_thousand_orders_cost_no_pass_over_the_rows():
    frame = waves(n_places=24)
    made = ev.aggregate(effects(frame, cluster="place"), type="dynamic")
    own = made.refit.clusters.cohort
    rng = np.random.default_rng(1)
    orders = np.stack([rng.permutation(own) for _ in range(999)] + [own])
    drawn = made.refit.reordered(orders)
    assert drawn.shape == (1000, len(made))
    np.testing.assert_allclose(drawn[-1], made.estimate, rtol=1e-10)
    # Under exchangeable orders the truth's own order stands out.
    assert (np.abs(drawn[:-1, 0]) >= abs(made.estimate[0])).mean() < 0.05


def test_places_that_are_not_treated_as_wholes_have_no_other_order():
    frame = waves()
    frame["first"] = np.where(frame.index % 2, frame["first"], 0)
    made = effects(frame, cluster="place")
    assert made.refit.reordered is None
    assert made.refit.clusters.cohort is None
    assert effects(frame).refit.reordered is None


def test_an_order_with_a_date_the_roll_out_has_not_is_refused():
    made = effects(waves(), cluster="place")
    dates = np.full((1, 12), 2014.0)
    with pytest.raises(EstimationError, match="treats places from 2014, but its cohorts are 2015, 2016, inf"):
        made.refit.reordered(dates)


@pytest.mark.parametrize("estimator", ["dr", "ipw", "reg"])
@pytest.mark.parametrize("kind", KINDS)
def test_profiles_at_once_are_each_order_by_its_rows(kind, estimator, monkeypatch):
    """Also where a profile is rare, so that some orders separate the groups or leave regressions undetermined."""
    frame = waves(per_wave=12)
    rng = np.random.default_rng(8)
    band = rng.choice(["a", "b", "c", "d"], int(frame["id"].max()) + 1, p=[0.5, 0.3, 0.17, 0.03])
    frame = frame.assign(band=band[frame["id"]])
    made = effects(frame, kind, covariates=["sex", "band"], estimator=estimator, cluster="place")
    own = made.refit.clusters.cohort
    orders = np.stack([rng.permutation(own) for _ in range(12)])
    at_once = made.refit.reordered(orders)
    assert made.fitted.profiles is not None
    monkeypatch.setitem(made.fitted.__dict__, "profiles", None)
    by_rows = made.refit.reordered(orders)
    assert (np.isnan(at_once) == np.isnan(by_rows)).all()
    np.testing.assert_allclose(at_once, by_rows, rtol=1e-8, atol=1e-10)
    assert np.isfinite(by_rows).any()
