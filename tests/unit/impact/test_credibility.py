"""Credibility of an effect: placebos, composition, missing answers, layers of its variance, subgroups."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, WeightingError

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "reference" / "impact_data.py")))

EXACT = 1e-9


@pytest.fixture(scope="module")
def persons():
    frame = known.data("seoul_rcs.csv")
    return frame.assign(
        sex=np.where(frame["female"] == 1, "f", "m"),
        school=frame["edu"].map("e{}".format),
        answered=frame["y_mis"].notna().astype(int),
    )


def sampled(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu", nested=True, lonely_psu="centre")


def over_time(frame):
    return ev.panel(sampled(frame), time="year")


def overall(panel, outcome="y", **options):
    return ev.aggregate(ev.att_gt(panel, outcome=outcome, cohort="g_gu", **options))


# placebo dates


def test_a_date_one_wave_earlier_is_the_lead_of_an_event_study(persons):
    found = ev.placebo_dates(over_time(persons), outcome="y", cohort="g_gu", cluster="gu", shifts=1)
    effects = ev.att_gt(over_time(persons), outcome="y", cohort="g_gu", cluster="gu")
    lead = ev.aggregate(effects, type="dynamic").tidy().query("event_time == -1")
    assert np.isclose(found.estimate[0], lead["estimate"].iloc[0], rtol=EXACT)
    assert np.isclose(found.std_error[0], lead["std_error"].iloc[0], rtol=EXACT)


def test_placebo_dates_read_no_answer_from_the_true_date_on(persons):
    treated = (persons["g_gu"] > 0) & (persons["year"] >= persons["g_gu"])
    spoilt = persons.assign(y=persons["y"].where(~treated, 1e6))
    options = {"outcome": "y", "cohort": "g_gu", "cluster": "gu", "shifts": [1, 2, 3]}
    as_it_is = ev.placebo_dates(over_time(persons), **options)
    assert np.allclose(as_it_is.estimate, ev.placebo_dates(over_time(spoilt), **options).estimate, rtol=EXACT)


def test_an_effect_that_begins_too_early_is_found_at_the_earlier_date(persons):
    early = (persons["g_gu"] > 0) & (persons["year"] == persons["g_gu"] - 1)
    found = ev.placebo_dates(
        over_time(persons.assign(y=persons["y"] + 3.0 * early)), outcome="y", cohort="g_gu", cluster="gu", shifts=1
    )
    assert found.tidy()["p_value"].iloc[0] < 0.001
    clear = ev.placebo_dates(
        over_time(persons.assign(y=persons["y"] + 3.0 * early)),
        outcome="y",
        cohort="g_gu",
        cluster="gu",
        shifts=1,
        anticipation=1,
    )
    assert clear.tidy()["p_value"].iloc[0] > 0.01


def test_a_shift_without_waves_before_it_says_so(persons):
    found = ev.placebo_dates(over_time(persons), outcome="y", cohort="g_gu", cluster="gu", shifts=[1, 9])
    row = found.tidy().iloc[1]
    assert np.isnan(row["estimate"])
    assert "no wave before" in repr(ev.table(found, lang="en"))
    assert "조사가 없음" in repr(ev.table(found, lang="ko"))
    assert found.joint.ndf == 1


def test_the_joint_test_of_one_row_is_its_t_test(persons):
    found = ev.placebo_dates(over_time(persons), outcome="y", cohort="g_gu", cluster="gu", shifts=2)
    assert np.isclose(found.joint.p_value, found.tidy()["p_value"].iloc[0], rtol=EXACT)


def test_placebos_of_a_panel_of_units_are_those_of_its_waves():
    panel = known.data("seoul_gu_panel.csv")
    units = ev.panel(ev.survey_design(panel, psu="gu"), unit="gu", time="year")
    found = ev.placebo_dates(units, outcome="y", cohort="g", cluster="gu", shifts=[1, 2])
    assert np.isfinite(found.std_error).all()


@pytest.mark.parametrize("method", ["imputation_did", "two_stage_did", "sun_abraham", "extended_twfe"])
def test_other_estimators_see_only_rows_before_the_true_date(persons, method):
    treated = (persons["g_gu"] > 0) & (persons["year"] >= persons["g_gu"])
    spoilt = persons.assign(y=persons["y"].where(~treated, 1e6))
    options = {"outcome": "y", "cohort": "g_gu", "cluster": "gu", "shifts": [1, 2, 9], "method": method}
    found = ev.placebo_dates(over_time(spoilt), **options)
    assert np.allclose(
        found.estimate, ev.placebo_dates(over_time(persons), **options).estimate, rtol=EXACT, equal_nan=True
    )
    assert (found.tidy()["p_value"].iloc[:2] > 0.05).all()
    assert found.tidy()["reason"].tolist() == ["", "", "placebo_too_early"]


def test_options_of_another_estimator_are_refused(persons):
    with pytest.raises(EstimationError, match="weights goes with method='att_gt'"):
        ev.placebo_dates(
            over_time(persons), outcome="y", cohort="g_gu", cluster="gu", method="imputation_did", weights="clusters"
        )


@pytest.mark.parametrize("vcov", ["design", "cluster", "jackknife"])
def test_every_rule_of_errors_joins_placebos(persons, vcov):
    found = ev.placebo_outcomes(over_time(persons), outcomes=["age", "low"], cohort="g_gu", cluster="gu", vcov=vcov)
    for row, outcome in enumerate(("age", "low")):
        alone = overall(over_time(persons), outcome, cluster="gu", vcov=vcov)
        assert np.isclose(found.std_error[row], alone.std_error[0], rtol=EXACT)
    assert 0 < found.joint.p_value < 1


@pytest.mark.parametrize("shifts", [0, [1, 1], [-1], "one", []])
def test_wrong_shifts_are_refused(persons, shifts):
    with pytest.raises(EstimationError, match="shifts"):
        ev.placebo_dates(over_time(persons), outcome="y", cohort="g_gu", shifts=shifts)


# placebo outcomes and subgroups


def test_a_placebo_outcome_has_the_effect_of_its_own_estimation(persons):
    found = ev.placebo_outcomes(over_time(persons), outcomes=["age", "hhsize"], cohort="g_gu", cluster="gu")
    for row, outcome in enumerate(("age", "hhsize")):
        alone = overall(over_time(persons), outcome, cluster="gu")
        assert np.isclose(found.estimate[row], alone.estimate[0], rtol=EXACT)
        assert np.isclose(found.std_error[row], alone.std_error[0], rtol=EXACT)
    rows = found.tidy()
    assert (rows["p_holm"] >= rows["p_value"]).all()
    assert (rows["p_romano_wolf"] >= rows["p_value"] - 0.02).all()


def test_the_same_outcome_twice_counts_once_in_the_joint_test(persons):
    frame = persons.assign(again=2.0 * persons["age"])
    found = ev.placebo_outcomes(over_time(frame), outcomes=["age", "again"], cohort="g_gu", cluster="gu")
    assert found.joint.ndf == 1


def test_an_outcome_with_missing_answers_keeps_its_own_respondents(persons):
    found = ev.placebo_outcomes(over_time(persons), outcomes=["age", "y_mis"], cohort="g_gu", cluster="gu")
    assert found.n_obs[1] < found.n_obs[0]


def test_effects_in_subgroups_are_those_of_their_domains(persons):
    found = ev.subgroup_impacts(over_time(persons), outcome="y", cohort="g_gu", by=["sex", "school"], cluster="gu")
    for level in ("f", "m"):
        row = found.tidy().query("level == @level").iloc[0]
        alone = overall(ev.panel(ev.domain(sampled(persons), {"sex": [level]}), time="year"), cluster="gu")
        assert np.isclose(row["estimate"], alone.estimate[0], rtol=EXACT)
        assert np.isclose(row["std_error"], alone.std_error[0], rtol=EXACT)
    assert found.keys["subgroup"].tolist() == ["overall", "sex", "sex", "school", "school", "school"]


def test_two_levels_differ_as_their_contrast_does(persons):
    found = ev.subgroup_impacts(over_time(persons), outcome="y", cohort="g_gu", by="sex", cluster="gu")
    gap = found.take(np.array([1, 2]))
    difference = gap.estimate[0] - gap.estimate[1]
    error = np.sqrt(gap.vcov[0, 0] + gap.vcov[1, 1] - 2 * gap.vcov[0, 1])
    test = ev.heterogeneity_test(found, by="sex")
    assert np.isclose(test.statistic, (difference / error) ** 2, rtol=EXACT)
    assert np.isclose(found.tidy()["p_heterogeneity"].iloc[1], test.p_value, rtol=EXACT)


def test_a_subgroup_that_some_places_do_not_have_still_stands_beside_the_others(persons):
    frame = persons.assign(part=np.where((persons["gu"] <= 2) & (persons["sex"] == "f"), "m", persons["sex"]))
    found = ev.subgroup_impacts(over_time(frame), outcome="y", cohort="g_gu", by="part", cluster="gu")
    assert np.isfinite(found.vcov[np.ix_([1, 2], [1, 2])]).all()


def test_a_subgroup_nobody_of_whom_is_compared_has_a_reason(persons):
    frame = persons.assign(where=np.where(persons["g_gu"] == 2015, "first", "others"))
    found = ev.subgroup_impacts(over_time(frame), outcome="y", cohort="g_gu", by="where", cluster="gu")
    row = found.tidy().query("level == 'first'").iloc[0]
    assert np.isnan(row["estimate"])
    assert row["reason"] == "no_comparison"


def test_subgroups_by_design_errors_share_sampling_units(persons):
    found = ev.subgroup_impacts(over_time(persons), outcome="y", cohort="g_gu", by="sex")
    assert found.vcov[1, 2] != 0
    assert found.variance_method == "taylor"


# composition


def test_a_mix_that_shifts_with_treatment_is_found_and_held(persons):
    rng = np.random.default_rng(4)
    treated = (persons["g_gu"] > 0) & (persons["year"] >= persons["g_gu"])
    old = rng.random(len(persons)) < np.where(treated, 0.6, 0.4)
    frame = persons.assign(old=np.where(old, "old", "young"))
    found = ev.composition_test(over_time(frame), covariates=["old", "age"], cohort="g_gu", cluster="gu")
    assert found.joint.p_value < 1e-3
    row = found.tidy().query("level == 'old'").iloc[0]
    assert abs(row["estimate"] - 0.2) < 3 * row["std_error"]
    held = ev.hold_composition(sampled(frame), time="year", to=2014, covariates=["old", "age"], within="g_gu")
    after = ev.composition_test(
        ev.panel(held, time="year"), covariates=["old", "age"], cohort="g_gu", cluster="gu"
    ).tidy()
    assert (after["standardised"].abs() < 0.01).all()


def test_waves_have_exactly_the_mix_of_the_one_that_is_held(persons):
    held = ev.hold_composition(sampled(persons), time="year", to=2014, covariates=["sex", "age"], within="g_gu")
    frame = persons.assign(held=held.weights, f=(persons["sex"] == "f") * 1.0)
    for column in ("f", "age"):
        means = frame.groupby(["g_gu", "year"])[[column, "held"]].apply(
            lambda rows: np.average(rows.iloc[:, 0], weights=rows["held"])
        )
        wanted = means.xs(2014, level="year")
        assert np.allclose(means, wanted.loc[means.index.get_level_values("g_gu")], rtol=1e-7)
    sums = frame.groupby(["g_gu", "year"])[["w", "held"]].sum()
    assert np.allclose(sums["held"], sums["w"], rtol=1e-8)
    assert np.allclose(frame.loc[frame["year"] == 2014, "held"], frame.loc[frame["year"] == 2014, "w"], rtol=1e-12)


def test_errors_know_that_the_held_mix_is_estimated(persons):
    """The derivative of an estimate in each design weight against a small change of that weight."""
    few = persons[persons["year"].isin([2013, 2014, 2015])].iloc[::9].reset_index(drop=True)
    few = few.assign(group=few["sex"])

    def held(frame):
        return ev.hold_composition(
            ev.survey_design(frame, weights="w"), time="year", to=2014, covariates=["age", "low"], within="group"
        )

    whole = ev.survey_mean(held(few), "y", by="year")
    influence = whole.influence
    for row in (0, 7, 25, 60):
        moved = []
        for step in (1e-5, -1e-5):
            weights = few["w"].to_numpy().copy()
            weights[row] *= 1 + step
            moved.append(ev.survey_mean(held(few.assign(w=weights)), "y", by="year").estimate)
        assert np.allclose((moved[0] - moved[1]) / 2e-5, influence[row], rtol=1e-4, atol=1e-8)


def test_holding_the_mix_is_written_into_the_chain_and_replayed(persons):
    held = ev.hold_composition(sampled(persons), time="year", to=2014, covariates=["sex"], within="g_gu")
    again = ev.replay_chain(sampled(persons), held.chain())
    assert np.allclose(again.weights, held.weights, rtol=1e-12)
    assert held.history["step"].iloc[-1] == "hold_composition"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"to": 2030}, WeightingError, "no wave 2030"),
        ({"covariates": ["sx"]}, ColumnError, "sx"),
        ({"covariates": ["y_mis"]}, ColumnError, "is missing for"),
        ({"covariates": ["year"]}, WeightingError, "cannot be brought together"),
        ({"time": "yer"}, ColumnError, "yer"),
    ],
)
def test_a_mix_that_cannot_be_held_is_refused(persons, options, error, message):
    with pytest.raises(error, match=message):
        ev.hold_composition(sampled(persons), **{"time": "year", "to": 2014, "covariates": ["sex"], **options})


@pytest.mark.parametrize(("covariates", "message"), [("y_mis", "is missing in"), ("year", None), ("pid", None)])
def test_covariates_that_have_no_mix_are_refused(persons, covariates, message):
    frame = persons.assign(year_of=persons["year"], same=1.0, code=persons["pid"].map("p{}".format))
    wrong = {"year": "same", "pid": "code"}.get(covariates, covariates)
    with pytest.raises(ColumnError, match=message or "same for everybody|levels"):
        ev.composition_test(over_time(frame), covariates=wrong, cohort="g_gu")


def test_the_mix_of_a_panel_of_units_cannot_change():
    panel = known.data("seoul_gu_panel.csv")
    units = ev.panel(ev.survey_design(panel, psu="gu"), unit="gu", time="year")
    with pytest.raises(EstimationError, match="the same units"):
        ev.composition_test(units, covariates="x", cohort="g")


# missing answers


def limits(panel, **options):
    given = {"outcome": "y_mis", "cohort": "g_gu", "lowest": 0, "highest": 100, **options}
    return ev.missing_outcome_bounds(panel, **given)


def test_no_answers_of_those_missing_lead_beyond_the_worst_case(persons):
    panel = over_time(persons)
    rows = limits(panel, cluster="gu").tidy().set_index("assumption")
    rng = np.random.default_rng(7)
    gone = persons["y_mis"].isna()
    for _ in range(5):
        filled = persons.assign(z=persons["y_mis"].where(~gone, rng.choice([0.0, 100.0], len(persons))))
        effect = overall(over_time(filled), "z").estimate[0]
        assert rows.loc["worst_case", "lower"] <= effect <= rows.loc["worst_case", "upper"]


def test_the_worst_case_is_reached_by_some_answers(persons):
    treated = persons["g_gu"] == 2016
    frame = persons[persons["year"].isin([2015, 2016]) & (treated | (persons["g_gu"] == 0))]
    found = limits(over_time(frame)).tidy().set_index("assumption")
    after, own = frame["year"] == 2016, frame["g_gu"] == 2016
    best = frame["y_mis"].fillna(pd.Series(np.where(after == own, 100.0, 0.0), index=frame.index))
    effect = overall(over_time(frame.assign(z=best)), "z").estimate[0]
    assert np.isclose(found.loc["worst_case", "upper"], effect, rtol=EXACT)


def test_those_missing_like_those_who_answered_is_weighting_for_response(persons):
    for options in ({"vcov": "design"}, {"cluster": "gu"}):
        row = limits(over_time(persons), **options).tidy().iloc[0]
        weighted = ev.adjust_nonresponse(sampled(persons), response="answered", by=["g_gu", "year"])
        effect = overall(ev.panel(weighted, time="year"), "y_mis", **options)
        assert np.isclose(row["lower"], effect.estimate[0], rtol=EXACT)
        assert np.isclose(row["upper"], effect.estimate[0], rtol=EXACT)
        # the design knows the response by derivative on both sides; the jackknife is the linearised one here
        tolerance = EXACT if "vcov" in options else 0.01
        assert np.isclose(row["std_error_lower"], effect.std_error[0], rtol=tolerance)


def test_at_the_breakdown_the_limits_touch_zero(persons):
    found = limits(over_time(persons))
    row = limits(over_time(persons), shift=found.breakdown).tidy().iloc[-1]
    assert abs(min(row["lower"], row["upper"], key=abs)) < 1e-8


def test_an_interval_of_limits_that_meet_is_the_usual_one(persons):
    row = limits(over_time(persons), cluster="gu").tidy().iloc[0]
    effect = limits(over_time(persons), cluster="gu", conf_level=0.9).tidy().iloc[0]
    assert row["conf_high"] - row["upper"] > effect["conf_high"] - effect["upper"] > 0
    wide = limits(over_time(persons), cluster="gu").tidy().iloc[1]
    # far from each other, each limit is one-sided: 1.69 instead of 2.03 errors
    assert np.isclose((wide["conf_high"] - wide["upper"]) / wide["std_error_upper"], 1.688, atol=0.002)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outcome": "y"}, "missing for nobody"),
        ({"lowest": 60}, "outside 60 to 100"),
        ({"highest": 0}, "above 0"),
        ({"shift": -1}, "shift"),
    ],
)
def test_wrong_bounds_are_refused(persons, options, message):
    with pytest.raises(EstimationError, match=message):
        limits(over_time(persons), **options)


def test_response_models_are_made_again_without_each_place(persons):
    weighted = ev.adjust_nonresponse(
        sampled(persons), response="answered", covariates=["age", "low"], method="inverse_propensity"
    )
    effects = overall(ev.panel(weighted, time="year"), "y_mis", cluster="gu")
    again = ev.reweighted_jackknife(effects)
    assert again.estimate[0] == effects.estimate[0]
    assert again.std_error[0] != effects.std_error[0]
    left = persons["gu"] != persons["gu"].iloc[0]
    by_hand = ev.adjust_nonresponse(
        sampled(persons[left]), response="answered", covariates=["age", "low"], method="inverse_propensity"
    )
    alone = overall(ev.panel(by_hand, time="year"), "y_mis").estimate[0]
    row = again.engine.labels.index(persons["gu"].iloc[0])
    assert np.isclose(again.estimate[0] + again.contributions[row, 0], alone, rtol=1e-7)


def test_the_jackknife_with_weighting_is_that_of_replicates_of_districts(persons):
    design = ev.survey_design(persons, weights="w", psu="gu")
    weighted = ev.adjust_nonresponse(design, response="answered", by="year")
    effects = ev.reweighted_jackknife(overall(ev.panel(weighted, time="year"), "y_mis", cluster="gu"))
    replicates = ev.as_replicates(weighted, kind="JK1")
    design_based = overall(ev.panel(replicates, time="year"), "y_mis")
    deviations = design_based.contributions[:-1, 0] - design_based.contributions[-1, 0]
    assert np.isclose(effects.std_error[0], np.sqrt(36 / 37 * (deviations**2).sum()), rtol=1e-7)


def test_without_weighting_there_is_nothing_to_make_again(persons):
    with pytest.raises(EstimationError, match="no weighting step"):
        ev.reweighted_jackknife(overall(over_time(persons), cluster="gu"))


def test_imputed_outcomes_are_combined_by_rubin(persons):
    rng = np.random.default_rng(3)
    gone = persons["y_mis"].isna().to_numpy()
    spread = persons["y_mis"].std()
    columns = {
        f"y_{m}": persons["y_mis"].fillna(0) + gone * (persons["y_mis"].mean() + spread * rng.normal(size=len(gone)))
        for m in range(4)
    }
    designs = ev.imputed_designs(
        persons.assign(**columns),
        {"filled": list(columns)},
        weights="w",
        strata="stratum",
        psu="psu",
        nested=True,
        lonely_psu="centre",
    )
    each = [overall(ev.panel(design, time="year"), "filled", cluster="gu") for design in designs]
    whole = ev.with_imputations(designs, lambda design: overall(ev.panel(design, time="year"), "filled", cluster="gu"))
    assert np.isclose(whole.estimate[0], np.mean([one.estimate[0] for one in each]), rtol=EXACT)
    within = np.mean([one.vcov[0, 0] for one in each])
    between = np.var([one.estimate[0] for one in each], ddof=1)
    assert np.isclose(whole.vcov[0, 0], within + 1.25 * between, rtol=EXACT)
    assert whole.df[0] < 36


# layers of the variance


def test_layers_add_up_and_more_sample_buys_only_its_own(persons):
    effects = ev.aggregate(ev.att_gt(over_time(persons), outcome="y", cohort="g_gu", cluster="gu"), type="group")
    frame = ev.variance_layers(effects, samples=[2, 10]).tidy()
    for _, rows in frame.groupby(frame["cohort"].astype(str)):
        by = rows.set_index(["layer", "sample"])["variance"]
        assert np.isclose(by["total", 1], by["sampling", 1] + by["shocks", 1], rtol=EXACT)
        assert np.isclose(by["larger", 2], by["shocks", 1] + by["sampling", 1] / 2, rtol=EXACT)
        assert np.isclose(by["larger", np.inf], by["shocks", 1], rtol=EXACT)


def test_layers_are_the_jackknife_and_the_design(persons):
    found = ev.variance_layers(overall(over_time(persons), cluster="gu")).tidy().set_index("layer")["variance"]
    assert np.isclose(found["total"], overall(over_time(persons), cluster="gu").vcov[0, 0], rtol=EXACT)
    assert np.isclose(found["sampling"], overall(over_time(persons)).vcov[0, 0], rtol=EXACT)


def test_a_negative_difference_is_printed_and_not_clipped(persons):
    effects = ev.aggregate(ev.att_gt(over_time(persons), outcome="y", cohort="g_gu", cluster="gu"), type="dynamic")
    found = ev.variance_layers(effects)
    row = found.tidy().query("layer == 'shocks'").iloc[0]
    assert row["variance"] < 0
    assert np.isnan(row["std_error"])
    assert "negative" in found.text("en")
    assert "음수" in found.text("ko")
    assert f"{row['variance']:.4g}" in repr(ev.table(found, lang="en"))


def test_shocks_of_places_are_found_where_there_are_some():
    rng = np.random.default_rng(8)
    g, t, m = 40, 4, 60
    shocks = rng.normal(0, 1.0, (g, t))[:, :, None]
    y = shocks + rng.normal(0, 3.0, (g, t, m))
    place, year, _ = np.indices(y.shape)
    frame = pd.DataFrame({"place": place.ravel(), "year": year.ravel() + 1, "y": y.ravel()})
    frame["first"] = np.where(frame["place"] < 20, 3, 0)
    design = ev.survey_design(frame)
    effects = ev.aggregate(ev.att_gt(ev.panel(design, time="year"), outcome="y", cohort="first", cluster="place"))
    share = ev.variance_layers(effects).tidy().set_index("layer")["share"]
    # shocks have variance 1, a place's mean of 60 persons a sampling variance of 0.15
    assert 0.75 < share["shocks"] < 0.95


def test_layers_need_places(persons):
    with pytest.raises(EstimationError, match="cluster="):
        ev.variance_layers(overall(over_time(persons)))
    with pytest.raises(EstimationError, match="needs effects"):
        ev.variance_layers(ev.survey_mean(sampled(persons), "y"))


def test_places_that_are_the_sampling_units_have_no_layers():
    frame = pd.DataFrame(
        [(g, t, 3 * (g < 6)) for g in range(12) for t in range(1, 5)], columns=["place", "year", "first"]
    )
    frame["y"] = np.random.default_rng(1).normal(size=len(frame))
    frame["region"] = frame["place"] // 2
    for psu in ("place", "region"):
        design = ev.survey_design(frame, psu=psu)
        made = ev.aggregate(ev.att_gt(ev.panel(design, time="year"), outcome="y", cohort="first", cluster="place"))
        with pytest.raises(EstimationError, match=f"samples 'place' as a whole .psu: {psu}."):
            ev.variance_layers(made)


# all of them


def results(persons):
    panel = over_time(persons)
    yield ev.placebo_dates(panel, outcome="y", cohort="g_gu", cluster="gu")
    yield ev.placebo_outcomes(panel, outcomes=["age", "hhsize"], cohort="g_gu", cluster="gu")
    yield ev.composition_test(panel, covariates=["age", "sex"], cohort="g_gu", cluster="gu")
    yield ev.subgroup_impacts(panel, outcome="y", cohort="g_gu", by="sex", cluster="gu")
    yield ev.variance_layers(overall(panel, cluster="gu"))
    yield limits(panel, cluster="gu", shift=[1, 2])


def test_results_are_tables_figures_and_records_in_both_languages(persons):
    for result in results(persons):
        json.dumps(result.to_dict(), allow_nan=False)
        assert repr(result) == repr(result)
        assert len(result.tidy())
        for lang in ("ko", "en"):
            assert len(ev.table(result, lang=lang).frame)
            assert ev.plot(result, lang=lang).png()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        ("placebo_dates", {"outcome": "y"}),
        ("placebo_outcomes", {"outcomes": "y"}),
        ("composition_test", {"covariates": "age"}),
        ("subgroup_impacts", {"outcome": "y", "by": "sex"}),
        ("missing_outcome_bounds", {"outcome": "y_mis", "lowest": 0, "highest": 100}),
    ],
)
def test_a_design_that_is_not_ordered_in_time_is_refused(persons, verb, options):
    with pytest.raises(EstimationError, match=f"{verb} needs a panel"):
        getattr(ev, verb)(sampled(persons), cohort="g_gu", **options)


@pytest.mark.parametrize(
    ("verb", "options", "error", "message"),
    [
        ("placebo_outcomes", {"outcomes": []}, EstimationError, "at least one outcome"),
        ("placebo_outcomes", {"outcomes": "agee"}, ColumnError, "agee"),
        ("placebo_outcomes", {"outcomes": "age", "replicates": 9}, EstimationError, "replicates"),
        ("composition_test", {"covariates": []}, EstimationError, "at least one covariate"),
        ("subgroup_impacts", {"outcome": "y", "by": []}, EstimationError, "by=..."),
        ("subgroup_impacts", {"outcome": "y", "by": "pid"}, ColumnError, "levels"),
        ("subgroup_impacts", {"outcome": "y", "by": "sex", "families": "each"}, EstimationError, "families"),
        ("placebo_dates", {"outcome": "y", "method": "twfe"}, EstimationError, "method"),
        ("placebo_dates", {"outcome": ["y", "age"]}, ColumnError, "outcome"),
    ],
)
def test_wrong_questions_are_refused(persons, verb, options, error, message):
    with pytest.raises(error, match=message):
        getattr(ev, verb)(over_time(persons), cohort="g_gu", **options)


def test_a_subgroup_of_one_wave_has_a_reason(persons):
    few = (persons["gu"] == 1) & (persons["year"] == 2013) & (persons["sex"] == "f")
    frame = persons.assign(part=np.where(few, "rare", "common"))
    found = ev.subgroup_impacts(over_time(frame), outcome="y", cohort="g_gu", by="part")
    row = found.tidy().query("level == 'rare'").iloc[0]
    assert np.isnan(row["estimate"])
    assert row["reason"]


ESTIMATORS = {
    "fe_regression": lambda panel: ev.fe_regression(
        panel.design, outcome="y_mis", regressors=["d_gu"], effects=["gu", "year"], cluster="gu"
    ),
    "imputation_did": lambda panel: ev.imputation_did(panel, outcome="y_mis", cohort="g_gu", cluster="gu"),
    "extended_twfe": lambda panel: ev.extended_twfe(panel, outcome="y_mis", cohort="g_gu", cluster="gu"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_has_layers_and_a_jackknife_with_its_weighting(persons, name):
    weighted = ev.adjust_nonresponse(
        sampled(persons), response="answered", covariates=["age"], method="inverse_propensity"
    )
    effects = ESTIMATORS[name](ev.panel(weighted, time="year"))
    layers = ev.variance_layers(effects).tidy().set_index("layer")["variance"]
    assert np.isclose(np.atleast_1d(layers.loc["total"])[0], effects.vcov[0, 0], rtol=EXACT)
    again = ev.reweighted_jackknife(effects)
    assert 0 < abs(again.std_error[0] / effects.std_error[0] - 1) < 0.01
