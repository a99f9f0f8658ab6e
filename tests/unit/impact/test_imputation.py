"""Imputation and two-stage effects: by hand, against the derivative, under other weights and orders."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import EstimationError, IdentificationError

DERIVATIVE = 2e-6
VERBS = (ev.imputation_did, ev.two_stage_did)


def waves(seed=1, districts=8, size=3, times=range(2012, 2018), effect=2.0):
    """Answers of new people in every wave, districts treated from 2014, 2016 or never; weights differ."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(d, 2 * d + k % 2, t) for d in range(districts) for t in times for k in range(size)],
        columns=["district", "dong", "year"],
    )
    start = np.array([2014, 2016, 0, 2014, 0, 2016, 0, 2014])[table["district"] % 8]
    table["first"] = start
    table["x"] = rng.normal(size=len(table))
    table["w"] = rng.uniform(1, 3, len(table))
    table["treated"] = ((start > 0) & (table["year"] >= start)).astype(float)
    table["y"] = table["district"] + (table["year"] - 2012) * 0.5 + 0.7 * table["x"] + effect * table["treated"]
    return table


def noisy(seed=1, **shape):
    table = waves(seed, **shape)
    return table.assign(y=table["y"] + np.random.default_rng(seed + 1).normal(size=len(table)))


def panel_of(table, **design):
    return ev.panel(ev.survey_design(table, weights="w", **design), time="year")


OPTIONS = {"outcome": "y", "cohort": "first", "covariates": ["x"], "place": "dong", "cluster": "district"}


def test_one_treated_place_and_one_other_by_hand():
    table = pd.DataFrame(
        {"place": list("aaabbb"), "year": [1, 2, 3] * 2, "first": [3, 3, 3, 0, 0, 0], "y": [1.0, 2, 9, 4, 6, 5]}
    )
    panel = ev.panel(ev.survey_design(table, psu="place"), unit="place", time="year")
    made = ev.imputation_did(panel, outcome="y", cohort="first", type="dynamic", pretrends=1)
    # untreated change of b from the mean of waves 1 and 2: 0; a without treatment 1.5; lead: 1 - 2
    assert made.keys["event_time"].tolist() == [None, -1, 0]
    np.testing.assert_allclose(made.estimate, [7.5, -1.0, 7.5])


@pytest.mark.parametrize("verb", VERBS)
def test_two_groups_and_two_waves_equal_the_regression(verb):
    table = noisy(times=(2013, 2014))
    table = table.assign(first=table["first"].where(table["first"] == 2014, 0), w=1.0)
    design = ev.survey_design(table, weights="w", psu="dong")
    ours = verb(ev.panel(design, time="year"), outcome="y", cohort="first", place="district")
    theirs = ev.twfe(design, outcome="y", treatment="treated", unit="district", time="year")
    np.testing.assert_allclose(ours.estimate, theirs.estimate)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["simple", "dynamic", "group", "calendar"])
def test_a_constant_effect_is_found_whatever_the_average(verb, kind):
    made = verb(panel_of(waves()), **OPTIONS, type=kind)
    after = made.keys["event_time"].map(lambda e: e is None or e >= 0) if kind == "dynamic" else slice(None)
    np.testing.assert_allclose(made.estimate[after], 2.0, atol=1e-9)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind", ["dynamic", "group", "calendar"])
def test_influence_is_the_derivative_in_the_weights(verb, kind):
    table = noisy()
    leads = {"pretrends": 2} if verb is ev.imputation_did and kind == "dynamic" else {}
    made = verb(panel_of(table, psu="dong"), **OPTIONS, type=kind, vcov="design", **leads)
    w, step = table["w"].to_numpy(), 1e-5
    for i in (0, 17, 60, 101, 143):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + step, w[i] - step
        slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
        np.testing.assert_allclose(made.influence[i] / w[i], slope, rtol=DERIVATIVE, atol=1e-9)


def test_influence_of_a_weighted_panel_is_the_derivative():
    table = noisy(size=1)
    panel = ev.panel(ev.survey_design(table, weights="w", psu="district"), unit="district", time="year")
    made = ev.imputation_did(panel, outcome="y", cohort="first", type="dynamic", cluster="district", vcov="cluster")
    w, step = table["w"].to_numpy(), 1e-5
    up, down = w.copy(), w.copy()
    up[4], down[4] = w[4] + step, w[4] - step
    slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
    np.testing.assert_allclose(made.influence[4] / w[4], slope, rtol=DERIVATIVE, atol=1e-9)


@pytest.mark.parametrize("verb", VERBS)
def test_leaving_a_district_out_equals_estimating_without_it(verb):
    table = noisy()
    made = verb(panel_of(table), **OPTIONS, type="dynamic")
    for place, district in enumerate(range(8)):
        rest = verb(panel_of(table[table["district"] != district]), **OPTIONS, type="dynamic", vcov="design")
        np.testing.assert_allclose(made.refit.left_out()[place], rest.estimate, atol=1e-9)
        zero = made.refit.again(np.where(table["district"] == district, 0.0, table["w"]))
        np.testing.assert_allclose(zero, rest.estimate, atol=1e-9)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("unit", [None, "person"])
def test_another_order_of_the_roll_out_equals_estimating_under_it(verb, unit):
    table = noisy(size=3).assign(w=1.0)
    table["person"] = table["district"] * 3 + table.groupby(["district", "year"]).cumcount()
    design = ev.survey_design(table, weights="w", psu="district")
    columns = {"outcome": "y", "cohort": "first", "cluster": "district"}
    made = verb(ev.panel(design, unit=unit, time="year"), **columns, type="dynamic")
    order = np.array([0, 2014, 2016, 0, 2014, 2014, 2016, 0.0])
    moved = table.assign(first=order[table["district"]])
    again = ev.panel(ev.survey_design(moved, weights="w", psu="district"), unit=unit, time="year")
    theirs = verb(again, **columns, type="dynamic")
    since = made.keys["event_time"].isin(theirs.keys["event_time"]).to_numpy()
    ours = made.refit.reordered(np.where(order == 0, np.inf, order)[None])[0]
    rows = theirs.tidy().set_index("event_time")["estimate"]
    np.testing.assert_allclose(ours[0], theirs.estimate[0])
    np.testing.assert_allclose(ours[1:][since[1:]], rows.loc[made.keys["event_time"][1:][since[1:]]], atol=1e-9)


def test_scale_of_weights_and_order_of_rows_change_nothing():
    table = noisy()
    one = ev.imputation_did(panel_of(table), **OPTIONS, type="dynamic")
    other = table.assign(w=table["w"] * 1e6).sample(frac=1, random_state=3)
    two = ev.imputation_did(panel_of(other), **OPTIONS, type="dynamic")
    np.testing.assert_allclose(one.estimate, two.estimate)
    np.testing.assert_allclose(one.std_error, two.std_error)


def test_leads_are_tested_together():
    made = ev.imputation_did(panel_of(noisy()), **OPTIONS, type="dynamic", pretrends=2)
    test = ev.pretrend_test(made)
    rows = made.take(np.array([1, 2]))
    wald = rows.estimate @ np.linalg.solve(rows.vcov, rows.estimate)
    assert (test.ndf, test.ddf) == (2, 6)
    np.testing.assert_allclose(test.statistic, wald * 6 / (7 * 2))


def test_places_that_were_treated_from_the_start_are_counted_and_named():
    table = noisy()
    table["first"] = table["first"].where(table["district"] != 0, 2012)
    made = ev.imputation_did(panel_of(table), **OPTIONS)
    rest = ev.imputation_did(panel_of(table[table["district"] != 0]), **OPTIONS)
    np.testing.assert_allclose(made.estimate, rest.estimate)
    assert made.fit["n_places_without_untreated"] == 2
    assert {(r["cohort"], r["reason"]) for r in made.fit["not_identified"]} == {(2012, "no_period_before")}


def test_a_place_with_one_untreated_answer_is_kept():
    table = noisy()
    odd = (table["dong"] == 0) & (table["year"] < 2014) & (table.index != table.index[0])
    made = ev.two_stage_did(panel_of(table[~odd]), **OPTIONS, type="dynamic", vcov="cluster")
    assert np.isfinite(made.std_error).all()


def test_waves_in_which_everybody_is_treated_are_told():
    table = noisy()
    table["first"] = table["first"].replace(0, 2017)
    made = ev.imputation_did(panel_of(table), **OPTIONS)
    assert {(r["time"], r["reason"]) for r in made.fit["not_identified"]} == {(2017, "no_comparison")}


def test_the_authors_variance_needs_a_cluster():
    with pytest.raises(EstimationError, match="bjs"):
        ev.imputation_did(panel_of(noisy()), outcome="y", cohort="first", vcov="bjs")


@pytest.mark.parametrize("verb", VERBS)
def test_fewer_than_three_clusters_are_refused(verb):
    with pytest.raises(EstimationError, match="at least 3 clusters"):
        verb(panel_of(noisy(districts=2)), **OPTIONS)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"first": 2011}, "everybody is treated from the first wave"),
        ({"first": 0}, "nobody is treated"),
        ({"x": np.arange(8.0).repeat(18)}, "'x' is not identified"),
    ],
)
def test_what_cannot_be_imputed_is_refused(change, told):
    with pytest.raises(IdentificationError, match=told):
        ev.imputation_did(panel_of(noisy().assign(**change)), **OPTIONS)


@pytest.mark.parametrize("wrong", [0, [0], True, "3"])
def test_leads_that_are_no_leads_are_refused(wrong):
    with pytest.raises(EstimationError, match=r"pretrends (is|must be)"):
        ev.imputation_did(panel_of(noisy()), **OPTIONS, type="dynamic", pretrends=wrong)


def test_leads_of_an_average_without_event_times_are_refused():
    with pytest.raises(EstimationError, match="type='dynamic'"):
        ev.imputation_did(panel_of(noisy()), **OPTIONS, pretrends=2)


def places(seed=5, n=24):
    """Places seen in six waves, treated at random from wave 2013, 2015 or never."""
    rng = np.random.default_rng(seed)
    level = rng.normal(size=n)
    start = rng.permutation(np.repeat([2013, 2015, 0], n // 3))
    table = pd.DataFrame([(g, 2010 + t) for g in range(n) for t in range(7)], columns=["gu", "year"])
    table["first"] = start[table["gu"]]
    treated = (table["first"] > 0) & (table["year"] >= table["first"])
    return table.assign(y=level[table["gu"]] + 2.0 * treated + 0.3 * rng.normal(size=len(table)))


def random_timing(table, **options):
    panel = ev.panel(ev.survey_design(table, psu="gu"), unit="gu", time="year")
    return ev.efficient_did(panel, outcome="y", cohort="first", **options)


def test_full_adjustment_in_two_waves_is_the_difference_in_differences():
    table = places()
    table = table[table["year"].isin([2014, 2015]) & (table["first"] != 2013)]
    design = ev.survey_design(table.assign(d=(table["first"] == 2015) & (table["year"] == 2015)), psu="gu")
    ours = random_timing(table, beta=1, vcov="neyman")
    theirs = ev.twfe(design, outcome="y", treatment="d", unit="gu", time="year")
    np.testing.assert_allclose(ours.estimate, theirs.estimate)
    change = table.pivot(index="gu", columns="year", values="y").diff(axis=1)[2015]
    treated = table.groupby("gu")["first"].first() == 2015
    by_hand = change[treated].var() / 8 + change[~treated].var() / 8
    np.testing.assert_allclose(ours.std_error**2, by_hand)


def test_full_adjustment_equals_group_time_effects_summed_up():
    table = places()
    panel = ev.panel(ev.survey_design(table, psu="gu"), unit="gu", time="year")
    cells = ev.att_gt(panel, outcome="y", cohort="first", control_group="notyettreated")
    for kind in ("simple", "group", "calendar"):
        theirs = ev.aggregate(cells, type=kind).estimate
        np.testing.assert_allclose(random_timing(table, type=kind, beta=1).estimate, theirs)


def test_the_efficient_adjustment_has_the_smallest_variance():
    error = [random_timing(places(), beta=beta, vcov="neyman").std_error[0] for beta in ("efficient", 0, 1)]
    assert error[0] < min(error[1:])


def test_means_of_respondents_by_place_stand_for_the_places():
    table = noisy(districts=8, size=4)
    design = ev.survey_design(table, weights="w")
    ours = ev.efficient_did(ev.panel(design, time="year"), outcome="y", cohort="first", place="district")
    means = (
        table.assign(wy=table["w"] * table["y"])
        .groupby(["district", "year", "first"], as_index=False)[["w", "wy"]]
        .sum()
    )
    means = means.assign(gu=means["district"], y=means["wy"] / means["w"])
    np.testing.assert_allclose(ours.estimate, random_timing(means).estimate)
    np.testing.assert_allclose(ours.std_error, random_timing(means).std_error)


def test_efficient_effects_can_be_asked_again():
    table = places()
    made = random_timing(table, type="dynamic", vcov="jackknife")
    rest = random_timing(table[table["gu"] != 3], type="dynamic")
    np.testing.assert_allclose(made.refit.left_out()[3], rest.estimate)
    rng = np.random.default_rng(1)
    order = rng.permutation(table.groupby("gu")["first"].first().to_numpy())
    moved = random_timing(table.assign(first=order[table["gu"]]), type="dynamic")
    np.testing.assert_allclose(made.refit.reordered(np.where(order == 0, np.inf, order)[None])[0], moved.estimate)
    np.testing.assert_allclose(made.refit.again(np.ones(len(table))), made.estimate)


def test_what_random_timing_cannot_use_is_named():
    table = places()
    table.loc[table["gu"] == 0, "first"] = 2010
    table.loc[table["gu"] == 1, "first"] = 2016
    made = random_timing(table)
    reasons = {(row["cohort"], row["reason"]) for row in made.fit["not_identified"]}
    assert reasons == {(2010, "no_period_before"), (2016, "no_comparison")}
    assert made.fit["n_places_left_out"] == 2


def test_unequal_weights_of_units_are_refused_under_random_timing():
    table = places().assign(w=lambda t: 1.0 + t["gu"] % 2)
    panel = ev.panel(ev.survey_design(table, weights="w", psu="gu"), unit="gu", time="year")
    with pytest.raises(EstimationError, match="counts every unit once"):
        ev.efficient_did(panel, outcome="y", cohort="first")


def test_random_timing_of_places_that_start_together_is_refused():
    table = noisy(size=2).assign(w=1.0)
    panel = ev.panel(ev.survey_design(table, weights="w"), time="year")
    with pytest.raises(EstimationError, match="Use place='district'"):
        ev.efficient_did(panel, outcome="y", cohort="first", place="dong", cluster="district")


@pytest.mark.parametrize(
    ("wrong", "told"), [({"beta": 0.5}, "beta must be"), ({"vcov": "design"}, "no sampling"), ({"type": "e"}, "type")]
)
def test_options_that_random_timing_does_not_have_are_refused(wrong, told):
    with pytest.raises(EstimationError, match=told):
        random_timing(places(), **wrong)


@pytest.mark.parametrize("verb", VERBS)
def test_replicates_of_the_sample_agree_with_its_linearisation(verb):
    design = ev.survey_design(noisy(districts=16, size=6), weights="w", psu="dong", strata="district")
    options = {"outcome": "y", "cohort": "first", "covariates": ["x"], "place": "district"}
    taylor = verb(ev.panel(design, time="year"), **options)
    replicated = verb(ev.panel(ev.as_replicates(design, kind="JKn"), time="year"), **options)
    np.testing.assert_allclose(taylor.estimate, replicated.estimate)
    np.testing.assert_allclose(taylor.std_error, replicated.std_error, rtol=0.1)


def test_what_was_left_out_stands_below_the_table():
    table = noisy()
    table["first"] = table["first"].where(table["district"] != 0, 2012)
    made = ev.imputation_did(panel_of(table), **OPTIONS)
    notes = " ".join(ev.table(made, lang="en").notes)
    assert "without treatment is not identified: 18 (2 places" in notes
    assert "mean over all treated observations" in notes
    assert "무작위" in " ".join(ev.table(random_timing(places()), lang="ko").notes)


@pytest.mark.parametrize("verb", VERBS)
def test_rows_with_a_cohort_of_one_district_have_no_jackknife_error(verb):
    table = noisy()
    table["first"] = table["first"].where(table["district"] != 7, 2015)
    made = verb(panel_of(table), **OPTIONS, type="group")
    assert np.isnan(made.std_error).tolist() == [True, False, True, False]
    assert any("hangs on a single place (district)" in line for line in made.remarks("en"))
    supported = verb(panel_of(table), **OPTIONS, type="group", supported_only=True)
    assert supported.keys["cohort"].tolist() == [None, 2014, 2016]
    assert np.isfinite(supported.std_error).all()
    assert {(row["cohort"], row["reason"]) for row in supported.fit["not_identified"]} == {(2015, "single_treated")}
    np.testing.assert_allclose(supported.estimate[1:], made.estimate[[1, 3]])
    apart = verb(panel_of(table), **OPTIONS, type="group", vcov="cluster")
    assert np.isfinite(apart.std_error).all()


def test_effects_of_supported_cohorts_are_their_own_derivative():
    table = noisy()
    table["first"] = table["first"].where(table["district"] != 7, 2015)
    made = ev.imputation_did(panel_of(table), **OPTIONS, type="dynamic", supported_only=True)
    w, step = table["w"].to_numpy(), 1e-5
    for i in (0, 20, 60, 130):
        up, down = w.copy(), w.copy()
        up[i], down[i] = w[i] + step, w[i] - step
        slope = (made.refit.again(up) - made.refit.again(down)) / (2 * step)
        np.testing.assert_allclose(made.influence[i] / w[i], slope, rtol=DERIVATIVE, atol=1e-9)
