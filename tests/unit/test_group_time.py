"""Effects by cohort and time: hand-made cases, derivatives, left-out clusters, known truth, wrong input."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation import wording
from evaluation.errors import ColumnError, DesignError, EstimationError, IdentificationError
from evaluation.impact import identification
from evaluation.impact.staggered import cell_table, difference

EXACT = 1e-10
# Central differences with steps of 1e-5 of a weight.
DERIVATIVE = 1e-6

ESTIMATORS = ["dr", "ipw", "reg"]


def respondents(seed=1, n_places=20, per_wave=12, waves=(2013, 2014, 2015, 2016, 2017)):
    """New respondents in every wave; trends differ by sex and age, the policy adds 1 plus 0.5 a year."""
    rng = np.random.default_rng(seed)
    place = np.repeat(np.arange(n_places), per_wave * len(waves))
    year = np.tile(np.repeat(waves, per_wave), n_places)
    first = np.array([2015, 2016, 2017, 0])[place % 4]
    n = len(place)
    woman = (rng.random(n) < 0.4 + 0.2 * (first == 2015)).astype(int)
    age = rng.normal(45 + 4 * (first == 2016), 12, n)
    effect = np.where((first > 0) & (year >= first), 1 + 0.5 * (year - first), 0.0)
    y = 10 + 0.3 * (year - 2013) * (1 + woman + (age - 45) / 20) + effect + rng.normal(0, 1.5, n)
    frame = pd.DataFrame({"place": place, "year": year, "first": first, "woman": woman, "age": age, "y": y})
    frame["stratum"], frame["psu"] = place % 4, place * 100 + rng.integers(0, 3, n)
    return frame.assign(w=rng.uniform(0.5, 2, n), sex=np.where(woman == 1, "f", "m"), band=(age // 10).clip(3, 5))


def people(seed=2, n=160, waves=(2013, 2014, 2015, 2016)):
    """The same persons in every wave."""
    rng = np.random.default_rng(seed)
    x, first = rng.normal(0, 1, n), np.array([2015, 2016, 0, 0])[np.arange(n) % 4]
    weight, level = rng.uniform(0.5, 2, n), rng.normal(0, 1, n)
    parts = []
    for year in waves:
        gain = np.where((first > 0) & (year >= first), 2.0, 0.0)
        y = level + 0.4 * (year - 2013) * x + gain + rng.normal(0, 0.5, n)
        parts.append(pd.DataFrame({"id": np.arange(n), "year": year, "first": first, "x": x, "w": weight, "y": y}))
    return pd.concat(parts, ignore_index=True).assign(place=lambda frame: frame["id"] % 16)


def cross_sections(frame=None, **declared):
    frame = respondents() if frame is None else frame
    return ev.panel(ev.survey_design(frame, weights="w", **declared), time="year")


def person_panel(frame=None):
    frame = people() if frame is None else frame
    return ev.panel(ev.survey_design(frame, weights="w", psu="id"), unit="id", time="year")


def effects(panel, **arguments):
    return ev.att_gt(panel, **{"outcome": "y", "cohort": "first", **arguments})


def value(result, cohort, time, column="estimate"):
    tidy = result.tidy().set_index(["cohort", "time"])
    return tidy.loc[(cohort, time), column]


def weighted(frame, **where):
    for name, wanted in where.items():
        frame = frame[frame[name] == wanted]
    return np.average(frame["y"], weights=frame["w"])


def test_without_covariates_an_effect_is_a_difference_of_differences_of_weighted_means():
    frame = respondents()
    later = weighted(frame, first=2015, year=2016) - weighted(frame, first=2015, year=2014)
    frame["open"] = ((frame["first"] == 0) | (frame["first"] == 2017)).astype(int)
    others = weighted(frame, open=1, year=2016) - weighted(frame, open=1, year=2014)
    for estimator in ESTIMATORS:
        assert value(effects(cross_sections(), estimator=estimator), 2015, 2016) == pytest.approx(
            later - others, abs=EXACT
        )


def test_never_treated_may_be_zero_missing_or_infinite():
    frame = respondents()
    for never in (np.nan, np.inf):
        other = frame.assign(first=frame["first"].astype(float).replace(0.0, never))
        np.testing.assert_allclose(
            effects(cross_sections(other)).estimate, effects(cross_sections()).estimate, rtol=EXACT
        )


def test_a_cohort_after_the_last_wave_is_one_never_treated():
    frame = respondents()
    later = frame.assign(first=frame["first"].replace(0, 2030))
    ours = effects(cross_sections(later), control_group="nevertreated")
    np.testing.assert_allclose(
        ours.estimate, effects(cross_sections(), control_group="nevertreated").estimate, rtol=EXACT
    )


@pytest.mark.parametrize(("estimator", "verb"), [("dr", "aipw"), ("ipw", "ipw"), ("reg", "g_computation")])
def test_an_effect_in_a_panel_is_the_adjusted_difference_of_changes(estimator, verb):
    made = effects(person_panel(), covariates=["x"], estimator=estimator, control_group="nevertreated")
    wide = people().pivot(index="id", columns="year", values="y")
    persons = people().drop_duplicates("id").set_index("id")
    persons["change"] = wide[2016] - wide[2014]
    persons["treated"] = (persons["first"] == 2015).astype(int)
    design = ev.survey_design(persons.reset_index(), weights="w")
    design = ev.domain(design, {"first": [0, 2015]})
    other = getattr(ev, verb)(design, outcome="change", treatment="treated", covariates=["x"], estimand="ATT")
    assert value(made, 2015, 2016) == pytest.approx(other.estimate[0], rel=1e-9)
    assert value(made, 2015, 2016, "std_error") == pytest.approx(other.std_error[0], rel=1e-8)


def moved(panel, row, share, arguments):
    weights = panel.design.weights.copy()
    weights[row] *= 1 + share
    design = replace(panel.design, weights=weights, base_weights=weights)
    return effects(replace(panel, design=design), **arguments)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", ["collapsed", "by row", "panel"])
def test_influence_is_the_derivative_in_the_weights(kind, estimator):
    panel = person_panel() if kind == "panel" else cross_sections()
    names = {"collapsed": ["sex", "band"], "by row": ["sex", "age"], "panel": ["x"]}[kind]
    arguments = {"covariates": names, "estimator": estimator}
    made = effects(panel, **arguments)
    whole, rows = ev.aggregate(made, type="dynamic"), [0, 17, 333, 401]
    for row in rows:
        up, down = moved(panel, row, 1e-5, arguments), moved(panel, row, -1e-5, arguments)
        slope = (up.estimate - down.estimate) / 2e-5
        np.testing.assert_allclose(made.influence[row], slope, rtol=DERIVATIVE, atol=1e-9)
        ends = [ev.aggregate(end, type="dynamic").estimate for end in (up, down)]
        np.testing.assert_allclose(whole.influence[row], (ends[0] - ends[1]) / 2e-5, rtol=DERIVATIVE, atol=1e-9)


@pytest.mark.parametrize("weights", ["sample", "population_pre"])
@pytest.mark.parametrize("kind", ["simple", "group", "calendar"])
def test_estimated_cohort_sizes_are_in_the_influence(kind, weights):
    panel = cross_sections()
    made = ev.aggregate(effects(panel), type=kind, weights=weights)
    for row in (5, 90, 640):
        ends = [ev.aggregate(moved(panel, row, step, {}), type=kind, weights=weights) for step in (1e-5, -1e-5)]
        slope = (ends[0].estimate - ends[1].estimate) / 2e-5
        np.testing.assert_allclose(made.influence[row], slope, rtol=DERIVATIVE, atol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("kind", ["cross-sections", "panel"])
def test_collapsing_changes_nothing(kind, estimator, monkeypatch):
    frame = people().assign(x=lambda frame: frame["x"].round())
    panel = cross_sections() if kind == "cross-sections" else person_panel(frame)
    arguments = {"covariates": ["sex", "band"] if kind == "cross-sections" else ["x"], "estimator": estimator}
    small = effects(panel, cluster="place", **arguments)
    monkeypatch.setattr(cell_table, "ROWS_PER_PATTERN", 10**9)
    large = effects(panel, cluster="place", **arguments)
    assert small.fit["n_table_rows"] < large.fit["n_table_rows"]
    np.testing.assert_allclose(small.estimate, large.estimate, rtol=1e-9)
    np.testing.assert_allclose(small.contributions, large.contributions, atol=1e-9)
    np.testing.assert_allclose(small.influence, large.influence, atol=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_row_order_and_weight_scale_change_nothing(estimator):
    frame = respondents()
    other = frame.sample(frac=1, random_state=3).reset_index(drop=True).assign(w=lambda f: f["w"] * 1000)
    arguments = {"covariates": ["sex", "age"], "estimator": estimator}
    one = effects(cross_sections(frame, strata="stratum", psu="psu"), **arguments)
    two = effects(cross_sections(other, strata="stratum", psu="psu"), **arguments)
    np.testing.assert_allclose(two.estimate, one.estimate, rtol=1e-9)
    np.testing.assert_allclose(two.std_error, one.std_error, rtol=1e-9)


@pytest.mark.parametrize("kind", ["collapsed", "by row", "panel"])
def test_the_jackknife_is_what_leaving_the_rows_out_gives(kind):
    frame = people() if kind == "panel" else respondents()
    make = person_panel if kind == "panel" else cross_sections
    arguments = {"covariates": {"collapsed": ["sex", "band"], "by row": ["sex", "age"], "panel": ["x"]}[kind]}
    made = effects(make(frame), cluster="place", **arguments)
    sums = ev.aggregate(made, type="dynamic")
    for number, place in [(0, 0), (7, 7)]:
        without = effects(make(frame[frame["place"] != place].reset_index(drop=True)), **arguments)
        np.testing.assert_allclose(made.contributions[number] + made.estimate, without.estimate, rtol=1e-8)
        again = ev.aggregate(without, type="dynamic").estimate
        np.testing.assert_allclose(sums.contributions[number] + sums.estimate, again, rtol=1e-8)
    g = frame["place"].nunique()
    variance = (g - 1) / g * (made.contributions**2).sum(axis=0)
    np.testing.assert_allclose(made.std_error, np.sqrt(variance), rtol=EXACT)
    assert set(made.df) == {g - 1}


def test_cluster_sums_have_no_small_sample_factor():
    panel = cross_sections()
    made = effects(panel, cluster="place", vcov="cluster")
    sums = pd.DataFrame(made.influence).groupby(panel.design.data["place"]).sum().to_numpy()
    np.testing.assert_allclose(made.vcov, sums.T @ sums, rtol=1e-9, atol=1e-15)
    assert made.variance_method == "CR0, 20 clusters (place)"


def test_the_default_error_is_the_designs():
    panel = cross_sections(strata="stratum", psu="psu")
    made = effects(panel)
    expected = panel.design.engine.covariance(
        pd.DataFrame(made.influence).groupby(panel.design.sampling.unit).sum().to_numpy()
    )
    np.testing.assert_allclose(made.vcov, expected, rtol=1e-9, atol=1e-15)
    assert made.variance_method == "taylor"


def raked(frame, units):
    return ev.rake(ev.survey_design(frame, weights="w", psu=units), ev.margins({"sex": {"f": 900, "m": 900}}))


def test_the_influence_goes_through_the_weighting_chain():
    frame = respondents()
    made = effects(ev.panel(raked(frame, "place"), time="year"), covariates=["sex", "age"])
    for row in (3, 410):
        ends = []
        for step in (1e-5, -1e-5):
            other = frame.assign(w=frame["w"].where(frame.index != row, frame["w"] * (1 + step)))
            ends.append(effects(ev.panel(raked(other, "place"), time="year"), covariates=["sex", "age"]).estimate)
        np.testing.assert_allclose(made.influence[row], (ends[0] - ends[1]) / 2e-5, rtol=DERIVATIVE, atol=1e-8)


def test_replicates_repeat_the_weighting_chain_and_give_about_the_same_error():
    design = raked(respondents(n_places=60), "place")
    linear = effects(ev.panel(design, time="year"))
    again = effects(ev.panel(ev.as_replicates(design, kind="JK1"), time="year"))
    assert again.variance_method == "replicates (JK1)"
    np.testing.assert_allclose(again.std_error, linear.std_error, rtol=0.1)
    sums = [ev.aggregate(made, type="group") for made in (linear, again)]
    np.testing.assert_allclose(sums[0].estimate, sums[1].estimate, rtol=1e-9)
    np.testing.assert_allclose(sums[0].std_error, sums[1].std_error, rtol=0.1)
    with pytest.raises(EstimationError, match="vcov='jackknife'"):
        effects(ev.panel(ev.as_replicates(design, kind="JK1"), time="year"), cluster="place", vcov="cluster")


def test_known_truth_is_recovered_where_trends_differ_by_who_lives_there():
    frame = respondents(seed=11, n_places=80, per_wave=60)
    truth = np.array([1.0, 1.5, 2.0])
    for estimator in ESTIMATORS:
        made = ev.aggregate(
            effects(cross_sections(frame), covariates=["sex", "age"], estimator=estimator), type="dynamic", min_e=0
        )
        assert (np.abs(made.estimate[1:] - truth) < 4 * made.std_error[1:]).all()
    biased = ev.aggregate(effects(cross_sections(frame)), type="dynamic", min_e=0)
    assert (np.abs(biased.estimate[1:] - truth) > 2 * biased.std_error[1:]).any()


def test_synthetic_seouls_effects_by_district_cohort_are_recovered():
    folder = Path(__file__).parents[2] / "surveys" / "seoul_2016"
    rows = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["rollout"]["by_district_cohort"]
    truth = pd.DataFrame(rows).set_index(["district_cohort", "year"])["effect"]
    waves = ev.panel(ev.survey_design(ev.read_survey("seoul_2016", sample="citizens_waves")), time="year")
    asked = {"outcome": "knows_center", "cohort": "district_cohort", "covariates": ["sex", "age_group"]}
    made = ev.att_gt(waves, **asked)
    known = truth.loc[list(zip(made.keys["cohort"], made.keys["time"], strict=True))].to_numpy()
    apart = (made.estimate - known) / made.std_error
    assert np.abs(apart).max() < 3.5
    assert 0.6 < np.sqrt((apart**2).mean()) < 1.4
    districts = ev.att_gt(waves, **asked, cluster="district")
    lost = {(row["cohort"], row["time"]) for row in districts.fit["without_error"]}
    assert lost == {(2015, 2017), (2016, 2017), (2017, 2016), (2017, 2017)}
    years = ev.aggregate(districts, type="dynamic", supported_only=True, min_e=0)
    assert (years.std_error > 0).all()


def test_a_universal_base_is_zero_and_leads_lead_to_it():
    made = effects(cross_sections(), base_period="universal")
    row = made.keys.index[(made.keys["cohort"] == 2016) & (made.keys["time"] == 2015)][0]
    assert (made.estimate[row], made.std_error[row]) == (0.0, 0.0)
    varying = effects(cross_sections(), control_group="nevertreated")
    steps = value(varying, 2016, 2014) + value(varying, 2016, 2015)
    level = value(effects(cross_sections(), base_period="universal", control_group="nevertreated"), 2016, 2013)
    assert level == pytest.approx(-steps, abs=EXACT)


def test_anticipation_moves_the_base_before_it():
    made = effects(cross_sections(), anticipation=2, control_group="nevertreated")
    cells = made.identified.tidy().set_index(["cohort", "time"])
    assert cells.loc[(2017, 2015), "base_time"] == 2014
    assert cells.loc[(2017, 2017), "base_time"] == 2014
    assert cells.loc[(2015, 2016), "reason"] == "no_period_before"


def all_treated():
    return respondents().query("first > 0").reset_index(drop=True)


def test_without_never_treated_the_last_cohort_serves_for_comparison_only():
    cells = ev.identified_cells(cross_sections(all_treated()), cohort="first", cluster="place").tidy()
    reasons = cells.set_index(["cohort", "time"])["reason"]
    assert reasons[(2017, 2014)] == "last_cohort"
    assert reasons[(2015, 2017)] == "no_comparison"
    assert reasons[(2015, 2016)] == ""
    row = cells.set_index(["cohort", "time"]).loc[(2015, 2016)]
    assert (row["n_treated_clusters"], row["n_control_clusters"]) == (5, 5)
    assert (row["n_treated"], row["n_control"]) == (5 * 12 * 2, 5 * 12 * 2)


def test_what_is_identified_is_told_without_an_outcome():
    panel = cross_sections(respondents().drop(columns="y"))
    assert ev.identified_cells(panel, cohort="first").tidy()["is_identified"].all()


def test_every_reason_has_words_in_both_languages():
    names = ("NO_PERIOD_BEFORE", "NO_COMPARISON", "LAST_COHORT", "NO_ANSWERS", "ZERO_WEIGHTS")
    codes = [getattr(identification, name) for name in names]
    codes += [difference.NO_OVERLAP, difference.NO_MODEL, difference.NOBODY]
    for code in codes:
        assert len({code, wording.term(code, "ko"), wording.term(code, "en")}) == 3


def test_an_effect_that_hangs_on_one_cluster_has_no_jackknife_error_and_says_so():
    frame = all_treated()
    frame = frame[(frame["first"] < 2017) | (frame["place"] == 2)].reset_index(drop=True)
    made = effects(cross_sections(frame), cluster="place")
    lost = {"cohort": 2015, "time": 2016, "hangs_on": ["2"]}
    assert lost in made.fit["without_error"]
    assert np.isnan(value(made, 2015, 2016, "std_error"))
    assert value(made, 2015, 2016, "n_control_clusters") == 1
    assert np.isfinite(value(made, 2015, 2015, "std_error"))
    assert np.isnan(ev.aggregate(made).std_error[0])
    kept = ev.aggregate(made, supported_only=True)
    assert np.isfinite(kept.std_error[0])
    assert set(kept.fit["cell_weights"]["overall"]) == {"2015,2015"}
    with pytest.raises(EstimationError, match="supported_only"):
        ev.pretrend_test(made.take(np.flatnonzero(made.keys["cohort"] == 2016)))


def test_an_effect_whose_groups_do_not_overlap_is_named_not_dropped():
    frame = respondents()
    frame["apart"] = np.where(frame["first"] == 2015, 1.0, 0.0) + (frame["year"] == 2013) * (frame.index % 2)
    made = effects(cross_sections(frame), covariates=["apart"])
    named = {(row["cohort"], row["time"]): row["reason"] for row in made.fit["not_identified"]}
    assert named[(2015, 2016)] == "no_overlap"
    assert (2015, 2016) not in set(zip(made.keys["cohort"], made.keys["time"], strict=True))
    assert (2016, 2016) in set(zip(made.keys["cohort"], made.keys["time"], strict=True))


def test_a_covariate_the_comparison_group_does_not_have_is_named():
    frame = respondents()
    frame["band"] = np.where((frame["first"] == 2015) & (frame.index % 3 == 0), "only there", "everywhere")
    made = effects(cross_sections(frame), covariates=["band"], estimator="reg")
    named = {(row["cohort"], row["time"]): row["reason"] for row in made.fit["not_identified"]}
    assert named[(2015, 2015)] == "no_model"


def test_missing_answers_leave_out_the_respondent_and_in_a_panel_the_person():
    frame = respondents()
    frame.loc[frame.index % 50 == 0, "y"] = np.nan
    made = effects(cross_sections(frame))
    assert made.fit["n_left_out"] == len(frame[frame["y"].isna()])
    kept = effects(cross_sections(frame.dropna().reset_index(drop=True)))
    np.testing.assert_allclose(made.estimate, kept.estimate, rtol=EXACT)
    persons = people()
    persons.loc[3, "y"] = np.nan
    assert effects(person_panel(persons)).fit["n_left_out"] == 1


def test_a_domain_restricts_the_years():
    panel = ev.panel(ev.domain(ev.survey_design(respondents(), weights="w"), {"year": [2013, 2014, 2015]}), time="year")
    made = effects(panel)
    assert set(made.keys["time"]) == {2014, 2015}
    assert value(made, 2015, 2015) == pytest.approx(value(effects(cross_sections()), 2015, 2015), abs=EXACT)


def test_sums_print_their_weights():
    made = effects(cross_sections(), cluster="place")
    for kind in ("simple", "group", "dynamic", "calendar"):
        record = ev.aggregate(made, type=kind).fit["cell_weights"]
        for row in record.values():
            assert sum(row.values()) == pytest.approx(1.0)
    equal = ev.aggregate(made, weights="clusters")
    assert equal.fit["cohort_weights"] == {"2015": 5.0, "2016": 5.0, "2017": 5.0}
    pre = ev.aggregate(made, weights="population_pre").fit["cohort_weights"]
    frame = respondents().query("year < 2015")
    assert pre == {str(g): pytest.approx(frame.loc[frame["first"] == g, "w"].sum()) for g in (2015, 2016, 2017)}


def test_an_event_study_is_the_dynamic_sum_on_a_universal_base():
    study = ev.event_study(cross_sections(), outcome="y", cohort="first", cluster="place")
    tidy = study.tidy()
    assert tidy["event_time"].tolist() == [None, -4, -3, -2, -1, 0, 1, 2]
    assert tidy["term"].tolist() == ["overall"] + ["y"] * 7
    assert tidy["estimate"][0] == pytest.approx(tidy["estimate"][5:].mean())
    window = ev.event_study(cross_sections(), outcome="y", cohort="first", min_e=-2, max_e=1)
    assert window.keys["event_time"].tolist() == [None, -2, -1, 0, 1]
    assert study.addresses()[7] == "y | event_time=2"


def test_leads_are_tested_together_and_too_many_are_refused():
    study = ev.event_study(cross_sections(), outcome="y", cohort="first", cluster="place")
    test = ev.pretrend_test(study)
    leads = study.take(np.array([1, 2, 3]))
    wald = leads.estimate @ np.linalg.solve(leads.vcov, leads.estimate)
    assert (test.ndf, test.ddf) == (3, 17)
    assert test.statistic == pytest.approx(wald * 17 / (19 * 3))
    few = respondents(n_places=8, waves=tuple(range(2010, 2018)))
    with pytest.raises(EstimationError, match="degrees of freedom"):
        ev.pretrend_test(effects(cross_sections(few), cluster="place"))
    with pytest.raises(EstimationError, match="hold no leads"):
        ev.pretrend_test(ev.aggregate(effects(cross_sections()), type="group"))
    with pytest.raises(EstimationError, match="no effect before treatment"):
        ev.pretrend_test(ev.aggregate(effects(cross_sections()), type="dynamic", min_e=0))


def test_bands_are_wider_than_intervals_and_repeat_with_the_seed():
    study = ev.event_study(cross_sections(), outcome="y", cohort="first", cluster="place")
    bands = ev.simultaneous_bands(study, seed=5)
    tidy = bands.tidy()
    rows = tidy["std_error"].gt(0) & tidy["term"].ne("overall")
    assert (tidy.loc[rows, "band_low"] < tidy.loc[rows, "conf_low"]).all()
    assert tidy.loc[~rows, "band_low"].isna().all()
    assert tidy.equals(ev.simultaneous_bands(study, seed=5).tidy())
    single = ev.aggregate(effects(cross_sections(), cluster="place"), type="dynamic", min_e=1, max_e=1)
    alone = ev.simultaneous_bands(single, seed=5, draws=200_000).fit["band_critical_value"]
    assert alone == pytest.approx(single.critical_value[1], rel=0.02)


def test_two_effects_can_be_contrasted_under_the_jackknife():
    made = effects(cross_sections(), cluster="place")
    rows = ["y | cohort=2015,time=2016", "y | cohort=2016,time=2016"]
    gap = ev.contrast(made, {"gap": {rows[0]: 1, rows[1]: -1}})
    at = [made.addresses().index(row) for row in rows]
    spread = made.contributions[:, at[0]] - made.contributions[:, at[1]]
    assert gap.std_error[0] == pytest.approx(np.sqrt(19 / 20 * (spread**2).sum()))


def test_periods_need_not_follow_each_other():
    made = effects(cross_sections(respondents(waves=(2011, 2014, 2016, 2017))), cluster="place")
    assert set(ev.aggregate(made, type="dynamic").keys["event_time"][1:]) >= {-2, 0, 1}
    assert made.identified.tidy().set_index(["cohort", "time"]).loc[(2015, 2016), "base_time"] == 2014


def test_results_and_cards_are_the_same_on_every_run():
    panel = cross_sections()
    assert repr(panel) == "kind: repeated cross-sections\nyear: 2013, 2014, 2015, 2016, 2017\nn: 1,200"
    assert repr(effects(panel)) == repr(effects(panel))
    assert panel._repr_html_() == cross_sections()._repr_html_()
    assert "last_cohort" not in repr(ev.identified_cells(cross_sections(all_treated()), cohort="first"))


# wrong input


def test_nevertreated_without_any_is_refused_with_the_way_out():
    with pytest.raises(IdentificationError) as raised:
        effects(cross_sections(all_treated()), control_group="nevertreated")
    assert str(raised.value) == (
        'control_group="nevertreated", but all 900 respondents are treated by 2017 (first: 2015). '
        'Use control_group="notyettreated"; ATT(g, t) is then available up to 2016.'
    )


@pytest.mark.parametrize(
    ("cohort", "message"),
    [(0, "nobody was treated"), (2030, "after the last wave"), (2013, "so before the first wave")],
)
def test_nothing_identified_is_refused(cohort, message):
    frame = respondents().assign(first=lambda f: np.where(f["first"] > 0, cohort, 0))
    with pytest.raises(IdentificationError, match=message):
        ev.identified_cells(cross_sections(frame), cohort="first")


def test_text_or_missing_time_is_refused():
    with pytest.raises(ColumnError, match="'year' is text"):
        cross_sections(respondents().assign(year=lambda f: f["year"].astype(str) + "년"))
    with pytest.raises(ColumnError, match="missing in 1 rows") as raised:
        cross_sections(respondents().assign(year=lambda f: f["year"].where(f.index != 4)))
    assert raised.value.failures.index.tolist() == [4]
    with pytest.raises(EstimationError, match="needs two waves"):
        cross_sections(respondents().assign(year=2015))


def test_a_unit_twice_in_a_wave_or_absent_from_one_is_refused():
    frame = people()
    with pytest.raises(ColumnError, match="must be unique") as raised:
        person_panel(pd.concat([frame, frame.iloc[[0]]], ignore_index=True))
    assert len(raised.value.failures) == 2
    short = frame.drop(index=5).reset_index(drop=True)
    with pytest.raises(ColumnError, match="1 rows are missing, of 1 of 160 units") as raised:
        person_panel(short)
    assert raised.value.failures.to_dict("records") == [{"id": 5, "year": 2013.0}]
    design = ev.survey_design(short, weights="w", psu="id")
    restricted = ev.panel(design, unit="id", time="year", incomplete="restrict")
    assert (len(restricted.rows), restricted.n_left_out) == (159, 1)
    whole = person_panel(frame[frame["id"] != 5].reset_index(drop=True))
    np.testing.assert_allclose(effects(restricted).estimate, effects(whole).estimate, rtol=EXACT)


def test_a_panel_whose_rows_count_as_independent_is_refused():
    with pytest.raises(DesignError, match="psu='id'"):
        ev.panel(ev.survey_design(people(), weights="w"), unit="id", time="year")


def test_a_cohort_that_changes_within_a_unit_is_refused():
    frame = people()
    frame.loc[3, "first"] = 2015
    with pytest.raises(ColumnError, match="changes within 1 of 160 units") as raised:
        effects(person_panel(frame))
    assert set(raised.value.failures["id"]) == {3}


@pytest.mark.parametrize(
    ("change", "message"),
    [({"first": "stage 1"}, "cohort 'first' is text"), ({"first": -2015}, "negative in 1200 rows")],
)
def test_a_cohort_that_is_no_period_is_refused(change, message):
    with pytest.raises(ColumnError, match=message):
        effects(cross_sections(respondents().assign(**change)))


def test_clusters_must_be_there_and_more_than_one():
    frame = respondents()
    with pytest.raises(ColumnError, match="missing in 1 rows"):
        effects(cross_sections(frame.assign(place=frame["place"].where(frame.index != 9))), cluster="place")
    with pytest.raises(ColumnError, match="a single value"):
        effects(cross_sections(frame.assign(place=1)), cluster="place")
    with pytest.raises(ColumnError, match="changes within"):
        effects(person_panel(people().assign(place=lambda f: f["year"])), cluster="place")


def test_negative_weights_are_refused():
    design = ev.survey_design(respondents(), weights="w")
    weights = design.weights.copy()
    weights[0] = -1
    with pytest.raises(EstimationError, match="weights of zero and above"):
        ev.panel(replace(design, weights=weights), time="year")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"estimator": "aipw"}, "estimator must be"),
        ({"control_group": "never"}, "control_group must be"),
        ({"base_period": "first"}, "base_period must be"),
        ({"anticipation": -1}, "anticipation must be"),
        ({"vcov": "bootstrap"}, "vcov must be"),
        ({"vcov": "jackknife"}, "needs cluster="),
        ({"outcome": "sex"}, "'sex' is"),
        ({"outcome": "why"}, "no column 'why'"),
        ({"covariates": "~ 0 + age"}, "drops the intercept"),
        ({"cohort": "frist"}, "Did you mean 'first'"),
        ({"conf_level": 95}, "conf_level"),
    ],
)
def test_an_argument_that_does_not_exist_is_answered(arguments, message):
    with pytest.raises((EstimationError, ColumnError), match=message):
        effects(cross_sections(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "event"}, "type must be one of"),
        ({"weights": "equal"}, "weights must be one of"),
        ({"weights": "clusters"}, "needs effects of ev.att_gt"),
        ({"type": "dynamic", "max_e": -1}, "no effect after treatment is left"),
    ],
)
def test_a_sum_that_does_not_exist_is_answered(arguments, message):
    with pytest.raises(EstimationError, match=message):
        ev.aggregate(effects(cross_sections()), **arguments)


def test_verbs_say_what_they_need():
    design = ev.survey_design(respondents(), weights="w")
    with pytest.raises(EstimationError, match="needs a panel, got Design"):
        effects(design)
    with pytest.raises(EstimationError, match="got Estimates"):
        ev.aggregate(ev.survey_mean(design, "y"))
    with pytest.raises(EstimationError, match="needs group-time effects"):
        ev.pretrend_test(ev.survey_mean(design, "y"))
    with pytest.raises(DesignError, match="needs a design"):
        ev.panel(respondents(), time="year")
    with pytest.raises(EstimationError, match="100 draws"):
        ev.simultaneous_bands(effects(cross_sections()), seed=1, draws=5)
