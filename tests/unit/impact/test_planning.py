"""Planning a roll-out: correlations before it, the effect it can show by formula, and by simulation."""

import json

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError
from evaluation.impact.planning.timetable import coefficients, read_timetable

EXACT = 1e-10
STAGED = {2014: 3, 2015: 4, 2016: 2, 0: 3}
WAVES = range(2012, 2018)
KNOWN = {"icc": 0.05, "cac": 0.5, "std_dev": 6.0}


def people(schedule=STAGED, persons=4, seed=3):
    table = read_timetable(schedule, list(WAVES), "test")
    rng = np.random.default_rng(seed)
    rows = [
        (place, wave, 0 if np.isinf(first) else int(first), 0.3 * place + rng.normal())
        for place, first in enumerate(table.cohort)
        for wave in WAVES
        for _ in range(persons)
    ]
    return pd.DataFrame(rows, columns=["place", "year", "first", "y"])


def cell_means(frame):
    return frame.groupby(["place", "year"])["y"].mean().unstack().to_numpy()


def test_coefficients_are_those_of_the_public_estimators():
    frame, table = people(), read_timetable(STAGED, list(WAVES), "test")
    over_time = ev.panel(ev.survey_design(frame), time="year")
    simple = ev.aggregate(ev.att_gt(over_time, outcome="y", cohort="first", cluster="place"))
    a = coefficients(table, "att_gt")
    assert np.isclose((a * cell_means(frame)).sum(), simple.estimate[0], rtol=EXACT)
    others = ~np.eye(table.n_places, dtype=bool)
    without = np.array([(coefficients(table, "att_gt", kept=kept) * cell_means(frame)).sum() for kept in others])
    deviations = without - simple.estimate[0]
    error = np.sqrt((table.n_places - 1) / table.n_places * (deviations**2).sum())
    assert np.isclose(error, simple.std_error[0], rtol=EXACT)
    treated = frame.assign(d=((frame["year"] >= frame["first"]) & (frame["first"] > 0)).astype(float))
    twfe = ev.twfe(ev.survey_design(treated), outcome="y", treatment="d", unit="place", time="year", cluster="place")
    assert np.isclose((coefficients(table, "twfe") * cell_means(frame)).sum(), twfe.estimate[0], rtol=EXACT)


def test_generalised_least_squares_is_never_less_precise():
    found = {
        method: ev.rollout_mde(STAGED, waves=WAVES, persons=30, method=method, **KNOWN).std_error
        for method in ("att_gt", "twfe", "gls")
    }
    assert found["gls"] < min(found["att_gt"], found["twfe"])


def test_more_persons_help_until_shocks_are_all_that_is_left():
    found = ev.rollout_mde(STAGED, waves=WAVES, persons=[20, 200, 20_000], **KNOWN).tidy()
    assert found["effect"].is_monotonic_decreasing
    assert found["share_shocks"].is_monotonic_increasing
    assert np.isclose(found["effect"].iloc[2], found["effect"].iloc[3], rtol=0.01)
    assert found["share_shocks"].iloc[3] == 1.0


def test_without_correlation_between_persons_there_is_no_floor():
    found = ev.rollout_mde(STAGED, waves=WAVES, persons=20, icc=0.0, cac=0.0, std_dev=1.0).tidy()
    assert found["effect"].iloc[1] == 0.0


def test_correlations_are_the_analysis_of_variance_on_balanced_data():
    frame = people()
    before = frame[frame["year"] < 2014]
    found = ev.cluster_correlations(
        ev.panel(ev.survey_design(frame), time="year"), outcome="y", cluster="place", cohort="first"
    )
    means, (g, t) = cell_means(before), (12, 2)
    person = before.groupby(["place", "year"])["y"].var().mean()
    between = t * means.mean(axis=1).var(ddof=1)
    rest = means - means.mean(axis=0) - means.mean(axis=1, keepdims=True) + means.mean()
    within = (rest**2).sum() / ((g - 1) * (t - 1))
    lasting, passing = (between - within) / t, within - person / 4
    expected = [
        (lasting + passing) / (lasting + passing + person),
        lasting / (lasting + passing),
        np.sqrt(lasting + passing + person),
        lasting,
        passing,
        person,
    ]
    assert np.allclose(found.estimate, expected, rtol=EXACT)
    assert found.fit["waves"] == [2012, 2013]
    assert (found.df == 11).all()


def test_known_correlations_are_recovered():
    rng = np.random.default_rng(5)
    g, t, m = 400, 3, 10
    lasting, passing = rng.normal(0, np.sqrt(0.06), (g, 1)), rng.normal(0, np.sqrt(0.04), (g, t))
    y = (lasting + passing)[:, :, None] + rng.normal(0, np.sqrt(0.9), (g, t, m))
    place, year, _ = np.indices(y.shape)
    frame = pd.DataFrame({"place": place.ravel(), "year": year.ravel() + 2012, "y": y.ravel(), "w": 1.0})
    frame["w"] = rng.uniform(0.5, 2.0, len(frame))
    design = ev.survey_design(frame, weights="w")
    found = ev.cluster_correlations(ev.panel(design, time="year"), outcome="y", cluster="place").tidy()
    found = found.set_index("term")
    for term, truth in (("icc", 0.10), ("cac", 0.6), ("var_person", 0.9)):
        assert abs(found.loc[term, "estimate"] - truth) < 3 * found.loc[term, "std_error"]


def test_correlations_feed_the_plan_and_given_numbers_go_first():
    found = ev.cluster_correlations(ev.panel(ev.survey_design(people()), time="year"), outcome="y", cluster="place")
    plan = ev.rollout_mde(STAGED, waves=WAVES, persons=40, correlations=found, icc=0.02)
    assert plan.correlations.icc == 0.02
    assert plan.correlations.std_dev == found.estimate[2]


def test_one_wave_tells_no_autocorrelation():
    frame = people().query("year == 2012 or year == 2013")
    over_time = ev.panel(ev.survey_design(frame.assign(first=2013)), time="year")
    found = ev.cluster_correlations(over_time, outcome="y", cluster="place", cohort="first")
    assert np.isfinite(found.estimate[0])
    assert np.isnan(found.estimate[1])
    with pytest.raises(EstimationError, match="cac missing"):
        ev.rollout_mde(STAGED, waves=WAVES, persons=40, correlations=found)


def test_simulated_size_and_power_agree_with_the_formula():
    schedule, waves = {2014: 6, 2015: 6, 0: 8}, range(2012, 2017)
    plan = ev.rollout_mde(schedule, waves=waves, persons=40, power=0.8, **KNOWN)
    found = ev.rollout_power(
        schedule, waves=waves, persons=40, effect=[0, plan.effect], draws=1000, permutations=199, seed=2, **KNOWN
    )
    rows = found.tidy().set_index(["effect", "test"])
    assert np.isclose(rows["sd_estimate"].iloc[0], plan.std_error, rtol=0.08)
    assert (rows.loc[0.0, "rejected"] < 0.075).all()
    assert (rows.loc[plan.effect, "rejected"].between(0.65, 0.9)).all()


def test_formula_and_simulation_are_of_the_same_estimator_by_default_and_name_it():
    schedule, asked = {3: 12, 0: 13}, {"persons": 10, "waves": [1, 2, 3, 4], "icc": 0.254, "cac": 0.735}
    plan = ev.rollout_mde(schedule, std_dev=1.158, **asked)
    found = ev.rollout_power(
        schedule, effect=plan.effect, std_dev=1.158, draws=1000, permutations=99, test="jackknife", **asked
    )
    assert plan.method == found.method == "att_gt"
    assert np.isclose(found.tidy()["sd_estimate"].iloc[0], plan.std_error, rtol=0.08)
    assert 0.74 < found.tidy()["rejected"].iloc[0] < 0.86
    before_and_after = ev.rollout_mde(schedule, std_dev=1.158, method="means", **asked)
    assert before_and_after.effect < 0.85 * plan.effect
    assert "estimator: group-time effects (CS)" in plan.text("en")
    assert "추정 방법: 시행 전후 평균의 차이" in before_and_after.text("ko")
    assert found.setting_text("en").startswith("group-time effects (CS); ")


def test_the_same_seed_gives_the_same_simulation():
    run = lambda: ev.rollout_power(STAGED, waves=WAVES, persons=20, effect=1, draws=100, permutations=99, **KNOWN)  # noqa: E731
    assert run().to_dict() == run().to_dict()


def test_a_jackknife_that_hangs_on_one_place_is_refused_in_words():
    found = ev.rollout_power(
        {2015: 5, 2016: 1, 2017: 4}, waves=range(2013, 2018), persons=20, effect=0, draws=100, permutations=99, **KNOWN
    )
    rows = found.tidy().set_index("test")
    assert np.isnan(rows.loc["jackknife", "rejected"])
    assert "single place" in found.text("en")
    assert "한 곳" in found.text("ko")
    assert rows.loc["randomization", "rejected"] < 0.2


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"icc": 5}, EstimationError, "icc is a share"),
        ({"icc": None}, EstimationError, "icc missing"),
        ({"persons": 0}, EstimationError, "persons must be a number of 1"),
        ({"alpha": 5}, EstimationError, "5 % is 0.05"),
        ({"power": 0.04}, EstimationError, "above alpha"),
        ({"method": "means"}, IdentificationError, "3 dates"),
        ({"method": "csdid"}, EstimationError, "method"),
        ({"waves": [2015]}, EstimationError, "two waves"),
        ({"waves": ["2015", "2016"]}, EstimationError, "waves must be a list of numbers"),
        ({"df": 0}, EstimationError, "df must be a number above 0"),
        ({"correlations": 0.05}, EstimationError, "cluster_correlations"),
    ],
)
def test_wrong_plans_are_refused(changes, error, message):
    with pytest.raises(error, match=message):
        ev.rollout_mde(STAGED, **{"waves": WAVES, "persons": 40, **KNOWN, **changes})


@pytest.mark.parametrize("schedule", [{2015: 2.5, 0: 3}, {"2015": 3, 0: 3}, [2015, 2016], {}, None])
def test_a_schedule_that_cannot_be_read_says_how_to_write_it(schedule):
    with pytest.raises(EstimationError, match="Write"):
        ev.rollout_mde(schedule, waves=WAVES, persons=40, **KNOWN)


def test_schedules_come_as_series_and_as_roll_out():
    table = read_timetable(STAGED, list(WAVES), "test")
    series = pd.Series(np.where(np.isinf(table.cohort), 0, table.cohort), index=[f"d{i}" for i in range(12)])
    same = [ev.rollout_mde(schedule, waves=WAVES, persons=40, **KNOWN).effect for schedule in (STAGED, series)]
    assert same[0] == same[1]
    rollout = ev.read_rollout("seoul_2016")
    found = ev.rollout_mde(rollout, persons=40, waves=range(2010, 2020), **KNOWN)
    assert sum(found.places.values()) == len(rollout.districts)


def test_plans_are_shown_in_both_languages():
    plan = ev.rollout_mde(STAGED, waves=WAVES, persons=[40, 80], **KNOWN)
    power = ev.rollout_power(STAGED, waves=WAVES, persons=40, effect=[0, 1], draws=100, permutations=99, **KNOWN)
    for result in (plan, power):
        json.dumps(result.to_dict(), allow_nan=False)
        for lang in ("ko", "en"):
            assert "_" not in repr(ev.table(result, lang=lang)).replace("cluster_", "")
            assert ev.plot(result, lang=lang).png()[:4] == b"\x89PNG"
    assert "12 places" in plan.text("en")
    assert "지역 12곳" in plan.text("ko")


def test_correlations_are_shown_in_both_languages():
    found = ev.cluster_correlations(ev.panel(ev.survey_design(people()), time="year"), outcome="y", cluster="place")
    assert "intra-cluster correlation" in repr(ev.table(found, lang="en"))
    assert "지역 내 상관" in repr(ev.table(found, lang="ko"))


def test_decaying_shocks_are_told():
    plan = ev.rollout_mde(STAGED, waves=WAVES, persons=40, autocorrelation="ar1", **KNOWN)
    assert "AR(1)" in repr(ev.table(plan, lang="en"))
    assert plan.std_error != ev.rollout_mde(STAGED, waves=WAVES, persons=40, **KNOWN).std_error
    with pytest.raises(EstimationError, match="autocorrelation"):
        ev.rollout_mde(STAGED, waves=WAVES, persons=40, autocorrelation="ar2", **KNOWN)


def test_sampling_in_units_is_noise_of_the_design_and_not_of_places():
    """Persons of one sampling unit are alike: taken for persons drawn one by one, that looks like shocks of places."""
    rng = np.random.default_rng(12)
    rows = [
        (place, wave, f"{place}-{wave}-{unit}", mean + rng.normal())
        for place in range(30)
        for wave in (2012, 2013)
        for unit in range(6)
        for mean in [rng.normal(0, 1.5)]
        for _ in range(5)
    ]
    frame = pd.DataFrame(rows, columns=["place", "year", "unit", "y"])
    over_time = ev.panel(ev.survey_design(frame, strata="place", psu="unit"), time="year")
    found = {
        noise: ev.cluster_correlations(over_time, outcome="y", cluster="place", noise=noise).tidy().set_index("term")
        for noise in ("design", "persons")
    }
    shocks = {noise: rows.loc["var_place_wave", "estimate"] for noise, rows in found.items()}
    assert abs(shocks["design"]) < 2 * found["design"].loc["var_place_wave", "std_error"]
    # six units of variance 2.25 each hold 0.375 of a place's mean, of which persons one by one would explain little
    assert 0.2 < shocks["persons"] - shocks["design"] < 0.4


def test_correlations_that_cannot_be_told_are_refused():
    frame = people()
    over_time = ev.panel(ev.survey_design(frame), time="year")
    with pytest.raises(EstimationError, match="noise"):
        ev.cluster_correlations(over_time, outcome="y", cluster="place", noise="taylor")
    with pytest.raises(IdentificationError, match="before the first treated period"):
        ev.cluster_correlations(
            ev.panel(ev.survey_design(frame.query("year > 2014")), time="year"),
            outcome="y",
            cluster="place",
            cohort="first",
        )
    lonely = frame.groupby(["place", "year"], as_index=False).first()
    with pytest.raises(IdentificationError, match="single answer"):
        ev.cluster_correlations(ev.panel(ev.survey_design(lonely), time="year"), outcome="y", cluster="place")
    units = ev.panel(ev.survey_design(lonely, psu="place"), unit="place", time="year")
    with pytest.raises(EstimationError, match="Leave unit out"):
        ev.cluster_correlations(units, outcome="y", cluster="place")


def test_places_that_lack_a_wave_are_left_out_and_counted():
    frame = people()
    frame = frame[~((frame["place"] == 0) & (frame["year"] == 2012))]
    found = ev.cluster_correlations(ev.panel(ev.survey_design(frame), time="year"), outcome="y", cluster="place")
    assert found.fit["n_clusters"] == 11
    assert found.fit["n_clusters_left_out"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"draws": 10}, "draws"),
        ({"permutations": 5}, "permutations"),
        ({"alpha": 5}, "5 % is 0.05"),
        ({"seed": -1}, "seed"),
        ({"test": "bootstrap"}, "test"),
        ({"method": "gls"}, "method"),
        ({"effect": None}, "effect"),
    ],
)
def test_wrong_simulations_are_refused(changes, message):
    given = {"waves": WAVES, "persons": 40, "effect": 0, "draws": 100, "permutations": 99, **KNOWN, **changes}
    with pytest.raises(EstimationError, match=message):
        ev.rollout_power(STAGED, **given)
