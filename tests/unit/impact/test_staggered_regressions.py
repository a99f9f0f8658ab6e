"""Regressions of a staged roll-out: by hand, under known effects, asked again, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError

TIGHT = 1e-9
#: Dates by district: several cohorts, two never treated.
DATES = [2014, 2014, 2014, 2015, 2015, 2015, 2016, 2016, 0, 0, 0]
YEARS = range(2011, 2018)


def close(ours, expected, tolerance=TIGHT):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=1e-10)


def districts(effect=lambda g, t: 2.0, noise=0.0, dates=DATES, years=YEARS, seed=1):
    """Districts by year with effects of both, and one of the policy by cohort and year."""
    random = np.random.default_rng(seed)
    rows = [
        {"gu": gu, "year": year, "first": g, "x": random.normal(), "w": 1.0 + gu % 3}
        for gu, g in enumerate(dates)
        for year in years
    ]
    frame = pd.DataFrame(rows)
    frame["y"] = 3.0 * frame["gu"] + (frame["year"] - 2012) ** 2 + noise * random.normal(size=len(frame))
    treated = (frame["first"] > 0) & (frame["year"] >= frame["first"])
    own = [effect(g, t) for g, t in zip(frame["first"], frame["year"], strict=True)]
    frame["y"] += np.where(treated, own, 0.0)
    return frame


def persons(seed=3, n=2_600, effect=lambda g, t: 2.0):
    """New persons in every year, in districts with shocks of their own, with strata and weights."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame({"gu": random.integers(0, len(DATES), n), "year": random.integers(2011, 2018, n)})
    frame["first"] = np.array(DATES)[frame["gu"]]
    frame["dong"] = frame["gu"] * 10 + random.integers(0, 3, n)
    frame["x"], frame["w"] = random.normal(40, 10, n), random.uniform(0.5, 3, n)
    frame["female"] = random.integers(0, 2, n)
    treated = (frame["first"] > 0) & (frame["year"] >= frame["first"])
    own = [effect(g, t) for g, t in zip(frame["first"], frame["year"], strict=True)]
    frame["y"] = frame["dong"] % 7 + 0.1 * frame["x"] + frame["year"] % 4 + np.where(treated, own, 0.0)
    frame["y"] += random.normal(0, 1, n)
    frame["visits"] = random.poisson(np.exp(0.2 + 0.1 * frame["female"] + 0.3 * treated))
    frame["glad"] = (random.uniform(size=n) < 0.3 + 0.2 * treated).astype(int)
    return frame


def waves(frame, unit="gu", weights=None, **declared):
    design = ev.survey_design(frame, weights=weights, psu=unit, **declared)
    return ev.panel(design, unit=unit, time="year")


def sections(frame, weights="w"):
    return ev.panel(ev.survey_design(frame, weights=weights), time="year")


VERBS = {
    "event_study_twfe": lambda panel, **more: ev.event_study_twfe(panel, outcome="y", cohort="first", **more),
    "sun_abraham": lambda panel, **more: ev.sun_abraham(panel, outcome="y", cohort="first", **more),
    "extended_notyet": lambda panel, **more: ev.extended_twfe(
        panel, outcome="y", cohort="first", type="dynamic", **more
    ),
    "extended_never": lambda panel, **more: ev.extended_twfe(
        panel, outcome="y", cohort="first", type="dynamic", control_group="nevertreated", **more
    ),
    "stacked": lambda panel, **more: ev.stacked_did(panel, outcome="y", cohort="first", window=(2, 1), **more),
}
COUNTS = {
    "poisson": lambda panel, **more: ev.extended_twfe(
        panel, outcome="visits", cohort="first", type="dynamic", family="poisson", covariates=["female"], **more
    ),
    "binomial": lambda panel, **more: ev.extended_twfe(
        panel, outcome="glad", cohort="first", type="group", family="binomial", **more
    ),
}
every_verb = pytest.mark.parametrize("verb", VERBS)
every_fit = pytest.mark.parametrize("verb", [*VERBS, *COUNTS])


def asked(verb, panel, **more):
    return (VERBS | COUNTS)[verb](panel, **more)


# by hand


@every_verb
def test_two_places_and_two_waves_are_a_difference_in_differences(verb):
    frame = pd.DataFrame(
        {"gu": [1, 1, 2, 2], "year": [2015, 2016] * 2, "first": [2016, 2016, 0, 0], "y": [1.0, 5, 2, 3]}
    )
    if verb == "stacked":
        result = ev.stacked_did(waves(frame), outcome="y", cohort="first", window=(1, 0))
    else:
        result = asked(verb, waves(frame))
    close(result.estimate[0], (5 - 1) - (3 - 2))
    assert result.tidy().query("event_time == 0")["estimate"].iloc[0] == pytest.approx(3.0)


def test_waves_may_be_counted_from_zero():
    frame = districts(dates=[1, 1, 2, 0, 0], years=range(4))
    close(asked("extended_notyet", waves(frame)).estimate, 2.0)


def test_effects_of_counts_and_shares_by_hand():
    means = {(1, 0): 2.0, (1, 1): 6.0, (0, 0): 4.0, (0, 1): 5.0}
    rows = [
        {"gu": gu, "year": 2015 + year, "first": 2016 * gu, "n": mean + spread}
        for (gu, year), mean in means.items()
        for spread in (-1.0, 1.0)
    ]
    counts = ev.panel(ev.survey_design(pd.DataFrame(rows)), time="year")
    result = ev.extended_twfe(counts, outcome="n", cohort="first", family="poisson")
    close(result.estimate, [6 - 2 * 5 / 4])
    shares = {(1, 0): 1, (1, 1): 3, (0, 0): 2, (0, 1): 2}
    rows = [
        {"gu": gu, "year": 2015 + year, "first": 2016 * gu, "yes": int(i < k)}
        for (gu, year), k in shares.items()
        for i in range(4)
    ]
    answers = ev.panel(ev.survey_design(pd.DataFrame(rows)), time="year")
    result = ev.extended_twfe(answers, outcome="yes", cohort="first", family="binomial")
    close(result.estimate, [3 / 4 - 1 / 4])


def test_a_two_by_two_decomposition_by_hand():
    frame = districts(dates=[2013, 0], years=[2012, 2013], noise=1.0)
    made = ev.goodman_bacon(waves(frame), outcome="y", cohort="first")
    y = frame["y"].to_numpy()
    close(made.frame["estimate"], [y[1] - y[0] - y[3] + y[2]])
    close(made.frame["weight"], [1.0])


# known effects


@every_verb
def test_one_constant_effect_is_found_by_all(verb):
    result = asked(verb, waves(districts()), cluster="gu")
    rows = result.tidy()
    since = pd.to_numeric(rows["event_time"])
    close(rows.loc[since >= 0, "estimate"], 2.0)
    close(rows.loc[since < 0, "estimate"], 0.0)
    close(result.estimate[0], 2.0)


@pytest.mark.parametrize("verb", ["sun_abraham", "extended_notyet", "extended_never"])
def test_effects_that_differ_by_cohort_and_grow_are_recovered_cell_by_cell(verb):
    effect = lambda g, t: (g - 2012) * (1 + t - g)  # noqa: E731
    frame = districts(effect)
    options = {"outcome": "y", "cohort": "first", "type": "cells"}
    if verb == "sun_abraham":
        result = ev.sun_abraham(waves(frame), **options)
    else:
        group = "nevertreated" if verb == "extended_never" else "notyettreated"
        result = ev.extended_twfe(waves(frame), **options, control_group=group)
    cells = result.tidy().iloc[1:]
    expected = [effect(g, t) if t >= g else 0.0 for g, t in zip(cells["cohort"], cells["time"], strict=True)]
    close(cells["estimate"], expected)
    treated = frame[(frame["first"] > 0) & (frame["year"] >= frame["first"])]
    mean = np.mean([effect(g, t) for g, t in zip(treated["first"], treated["year"], strict=True)])
    close(result.estimate[0], mean)


def test_event_time_dummies_are_contaminated_where_sun_and_abraham_are_not():
    panel = waves(districts(lambda g, t: (g - 2012) * (1 + t - g)))
    dummies, clean = (VERBS[verb](panel).tidy() for verb in ("event_study_twfe", "sun_abraham"))
    lead = pd.to_numeric(dummies["event_time"]) < -1
    assert np.abs(dummies.loc[lead, "estimate"]).max() > 0.1
    close(clean.loc[lead, "estimate"], 0.0)
    assert "contaminated" in ev.event_study_twfe(panel, outcome="y", cohort="first").fit


def test_stacks_average_cohorts_by_their_treated():
    frame = districts(lambda g, t: (g - 2012.0) * (1 + t - g))
    result = asked("stacked", waves(frame))
    shares = {2014: 3 / 8, 2015: 3 / 8, 2016: 2 / 8}
    at = {e: sum(share * (g - 2012) * (1 + e) for g, share in shares.items()) for e in (0, 1)}
    close(result.estimate, [(at[0] + at[1]) / 2, 0.0, 0.0, at[0], at[1]])


def test_stacks_without_weights_mix_trends_of_cohorts_into_the_effect():
    frame = districts(lambda g, t: (g - 2012.0) * (1 + t - g), noise=1.0)
    frame["y"] += np.where(frame["first"] == 0, 0.0, 1.0) * frame["gu"] ** 2
    weighted, plain = (
        ev.stacked_did(waves(frame), outcome="y", cohort="first", window=(2, 1), weights=weights)
        for weights in ("wing", "none")
    )
    assert {row["weight"] for row in plain.fit["stack_weights"]} == {1.0}
    assert abs(weighted.estimate[0] - plain.estimate[0]) > 1e-3


def test_true_multiplicative_effects_are_recovered_from_counts():
    frame = persons(n=30_000)
    result = asked("poisson", sections(frame, None))
    after = (frame["first"] > 0) & (frame["year"] >= frame["first"])
    base = np.exp(0.2 + 0.1 * frame.loc[after, "female"])
    truth = float((base * (np.exp(0.3) - 1)).mean())
    assert abs(result.estimate[0] - truth) < 3 * result.std_error[0]
    assert result.std_error[0] < 0.2 * truth


# one engine


@every_fit
def test_influence_is_the_derivative_in_the_weights(verb):
    frame = persons()
    refit = asked(verb, sections(frame), cluster="gu").refit
    weights, influence = frame["w"].to_numpy(), refit.influence()
    close(refit.again(weights), refit.estimate, 1e-8)
    close((influence * weights[:, None]).sum(axis=0), 0.0)
    for row in (4, 77, 1_500):
        step = np.zeros(len(frame))
        step[row] = 1e-4 * weights[row]
        slope = (refit.again(weights + step) - refit.again(weights - step)) / (2 * step[row])
        np.testing.assert_allclose(influence[row], slope, rtol=1e-5, atol=1e-9)


@every_fit
def test_leaving_out_a_district_equals_asking_without_its_people(verb):
    frame = persons()
    result = asked(verb, sections(frame), cluster="gu")
    without = result.refit.left_out()
    for gu in (0, 9):
        alone = asked(verb, sections(frame[frame["gu"] != gu]), cluster="gu")
        close(without[gu], alone.estimate, 1e-7)
    g = len(DATES)
    expected = (g - 1) / g * ((without - result.estimate) ** 2).sum(axis=0)
    close(np.diag(result.vcov), expected, 1e-8)
    assert result.df.tolist() == [g - 1] * len(result)


@every_fit
def test_another_order_of_the_rollout_equals_relabelled_data(verb):
    frame = persons()
    refit = asked(verb, sections(frame), cluster="gu").refit
    order = np.random.default_rng(5).permutation(refit.clusters.cohort)
    made = refit.reordered(np.stack([refit.clusters.cohort, order, np.full(len(order), 2013.5)]))
    close(made[0], refit.estimate, 1e-7)
    first = dict(zip(refit.clusters.levels, np.where(np.isinf(order), 0, order), strict=True))
    moved = asked(verb, sections(frame.assign(first=frame["gu"].map(first))), cluster="gu")
    close(made[1], moved.estimate, 1e-7)
    assert np.isnan(made[2]).all()


@every_fit
def test_scale_of_weights_and_order_of_rows_change_nothing(verb):
    frame = persons()
    moved = frame.assign(w=100 * frame["w"]).sample(frac=1, random_state=1)
    for vcov in ("jackknife", "CR1", "design"):
        first, second = (asked(verb, sections(each), cluster="gu", vcov=vcov) for each in (frame, moved))
        close(first.estimate, second.estimate, 1e-7)
        close(first.std_error, second.std_error, 1e-6)


@every_verb
def test_cohort_effects_equal_unit_effects_in_a_balanced_panel(verb):
    frame = districts(noise=1.0)
    panel = asked(verb, waves(frame), cluster="gu", vcov="CR0")
    repeated = asked(verb, sections(frame, None), cluster="gu", vcov="CR0")
    close(panel.estimate, repeated.estimate, 1e-8)
    close(panel.std_error, repeated.std_error, 1e-7)


def test_effects_of_dongs_are_those_of_a_regression_with_their_dummies():
    frame = persons(n=900)
    result = ev.sun_abraham(
        sections(frame), outcome="y", cohort="first", covariates=["x", "female"], place="dong", type="cells"
    )
    cells = result.tidy().iloc[1:]
    there = cells["std_error"] > 0
    parts = [
        ((frame["first"] == g) & (frame["year"] == t)).to_numpy(float)
        for g, t in cells.loc[there, ["cohort", "time"]].to_numpy()
    ]
    dummies = [pd.get_dummies(frame[name], dtype=float).to_numpy() for name in ("dong", "year")]
    x = np.column_stack([*parts, frame[["x", "female"]], *dummies])
    root = np.sqrt(frame["w"].to_numpy())
    expected = np.linalg.lstsq(x * root[:, None], frame["y"] * root, rcond=None)[0][: len(parts)]
    close(cells.loc[there, "estimate"], expected, 1e-7)


def test_errors_of_replicates_are_near_those_of_influence():
    frame = persons().assign(block=lambda rows: rows.index % 160)
    design = ev.survey_design(frame, weights="w", psu="block")
    replicates = ev.as_replicates(design, kind="JK1")
    for verb in ("sun_abraham", "stacked"):
        linear, again = (asked(verb, ev.panel(each, time="year")) for each in (design, replicates))
        np.testing.assert_allclose(again.std_error, linear.std_error, rtol=0.1, atol=1e-9)


def test_the_leads_are_tested_together():
    panel = waves(districts(noise=1.0))
    for verb in ("event_study_twfe", "sun_abraham", "extended_never", "stacked"):
        test = ev.pretrend_test(asked(verb, panel, cluster="gu"))
        assert 0 < test.p_value < 1
    two = ev.event_study_twfe(panel, outcome="y", cohort="first", reference=[-2, -1], cluster="gu")
    rows = two.tidy().set_index("event_time")
    assert rows.loc[-2, "estimate"] == rows.loc[-1, "estimate"] == 0
    assert ev.pretrend_test(two).ndf == ev.pretrend_test(asked("event_study_twfe", panel, cluster="gu")).ndf - 1


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "stacked"])
def test_the_regression_behind_a_result_gives_the_same_estimates_and_errors(verb):
    panel = sections(persons())
    result = asked(verb, panel, cluster="gu")
    close(result.combine @ result.solved.coefficients, result.estimate, 1e-8)
    regression, scores = result.regression, result.solved.within[1:] * result.regression.weights
    parts = result.combine @ result.solved.inverse @ (scores * result.solved.residual)
    sums = np.stack([parts[:, regression.levels["cluster"] == g].sum(axis=1) for g in range(len(DATES))])
    close((sums**2).sum(axis=0), asked(verb, panel, cluster="gu", vcov="CR0").std_error ** 2, 1e-8)
    few = result.take(np.array([0, 2]))
    close(few.refit.left_out(), result.refit.left_out()[:, [0, 2]])
    close(few.combine @ few.solved.coefficients, result.estimate[[0, 2]], 1e-8)


@every_verb
def test_corrected_errors_are_wider_and_have_fewer_degrees_of_freedom(verb):
    panel = sections(persons())
    plain, corrected, cubed = (asked(verb, panel, cluster="gu", vcov=vcov) for vcov in ("CR0", "CR2", "CR3"))
    there = plain.std_error > 0
    assert (corrected.std_error[there] > plain.std_error[there]).all()
    assert (cubed.std_error[there] > corrected.std_error[there]).all()
    assert (corrected.df[there] < len(DATES) - 1).all()
    if verb == "event_study_twfe":  # CV3 is CR3 less its factor; the others also estimate shares anew
        own, g = asked(verb, panel, cluster="gu").std_error, len(DATES)
        close(own[1:], cubed.std_error[1:] * np.sqrt((g - 1) / g), 1e-2)


def test_weights_of_stacks_taken_as_known_make_errors_too_wide_where_years_differ():
    panel = sections(persons())
    known, estimated = (asked("stacked", panel, cluster="gu", vcov=vcov) for vcov in ("CR0", "cluster"))
    assert known.std_error[0] > 2 * estimated.std_error[0]
    close(asked("stacked", panel, cluster="gu").std_error[0], estimated.std_error[0], 0.4)


@pytest.mark.parametrize("weights", ["wing", "none"])
def test_the_stacked_regression_gives_the_same_estimates_and_errors(weights):
    panel = sections(persons())
    result = ev.stacked_did(
        panel, outcome="y", cohort="first", window=(2, 1), weights=weights, cluster="gu", vcov="CR0"
    )
    close(result.combine @ result.solved.coefficients, result.estimate, 1e-8)
    cells = result.solved.within[1:] * result.regression.weights * result.solved.residual
    sums = np.stack([cells[:, result.regression.levels["cluster"] == g].sum(axis=1) for g in range(len(DATES))])
    errors = np.sqrt(((sums @ result.solved.inverse @ result.combine.T) ** 2).sum(axis=0))
    close(errors, result.std_error, 1e-8)


@pytest.mark.parametrize("verb", ["stacked", "poisson"])
def test_rows_taken_from_a_result_can_be_asked_again(verb):
    result = asked(verb, sections(persons()), cluster="gu")
    few = result.take(np.array([0, 2]))
    close(few.refit.left_out(), result.refit.left_out()[:, [0, 2]])
    close(few.refit.influence(), result.refit.influence()[:, [0, 2]])


def test_effective_clusters_are_fewer_than_clusters():
    result = asked("sun_abraham", sections(persons()), cluster="gu")
    effective = result.columns["effective_clusters"]
    assert np.isnan(effective[result.std_error == 0]).all()
    assert ((effective[result.std_error > 0] > 1) & (effective[result.std_error > 0] <= len(DATES))).all()


@every_fit
def test_few_cluster_inference_takes_every_result(verb):
    result = asked(verb, sections(persons()), cluster="gu")
    assert ev.randomization_inference(result, draws=99, seed=1).p_value < 0.2
    assert ev.wild_cluster_bootstrap(result, draws=199, seed=1).p_value < 0.2


def test_results_feed_tables_figures_and_leave_one_out():
    result = asked("sun_abraham", waves(districts(noise=1.0)), cluster="gu")
    assert len(ev.leave_one_out(result).tidy()) == len(result) * len(DATES)
    for lang in ("ko", "en"):
        assert ev.plot(result, lang=lang).png().startswith(b"\x89PNG")
        assert ev.table(result, lang=lang).title


# what a roll-out does not identify


def test_without_anybody_never_treated_the_last_cohort_is_compared_with_until_its_date():
    frame = districts(dates=[2014, 2014, 2015, 2015, 2016, 2016], noise=0.0)
    for verb in ("sun_abraham", "extended_notyet"):
        result = asked(verb, waves(frame), cluster="gu")
        rows = result.tidy()
        close(rows.loc[pd.to_numeric(rows["event_time"]) >= 0, "estimate"], 2.0)
        told = pd.DataFrame(result.fit["not_identified"])
        assert set(told["time"]) == {2016, 2017}
        assert set(told["reason"]) == {"last_cohort"}
    with pytest.raises(IdentificationError, match="nevertreated"):
        asked("extended_never", waves(frame))


def test_event_time_dummies_need_a_second_reference_where_nobody_is_never_treated():
    panel = waves(districts(dates=[2014, 2014, 2015, 2015, 2016, 2016]))
    with pytest.raises(IdentificationError, match="second reference period"):
        ev.event_study_twfe(panel, outcome="y", cohort="first")
    rows = ev.event_study_twfe(panel, outcome="y", cohort="first", reference=(-3, -1)).tidy()
    close(rows.loc[pd.to_numeric(rows["event_time"]) >= 0, "estimate"], 2.0)


def test_cohorts_treated_from_the_first_wave_on_are_left_out_and_listed():
    frame = districts(dates=[2005, 2005, *DATES])
    for verb in ("event_study_twfe", "sun_abraham", "extended_notyet"):
        result = asked(verb, waves(frame), cluster="gu")
        close(result.estimate[0], 2.0)
        told = pd.DataFrame(result.fit["not_identified"])
        assert set(told["cohort"]) == {2005}
        assert set(told["reason"]) == {"no_period_before"}
        assert result.fit["n_clusters"] == len(DATES)
    stacked = asked("stacked", waves(frame), cluster="gu")
    assert stacked.fit["trimmed"] == [{"cohort": 2005, "reason": "outside_window"}]


def test_a_cohort_in_one_district_has_no_jackknife_error():
    frame = districts(dates=[2014, 2014, 2015, 2016, 2016, 0, 0, 0], noise=1.0)
    for verb in ("sun_abraham", "stacked"):
        result = asked(verb, waves(frame), cluster="gu")
        assert np.isnan(result.std_error[0])
        assert {"term": "overall", "event_time": None} in result.fit["without_error"]
    group = ev.sun_abraham(waves(frame), outcome="y", cohort="first", type="group", cluster="gu")
    assert np.isnan(group.std_error).tolist() == [True, False, True, False]


@pytest.mark.parametrize("verb", ["sun_abraham", "stacked"])
def test_rows_without_a_jackknife_say_why_in_print_and_below_the_table(verb):
    frame = districts(dates=[2014, 2014, 2015, 2016, 2016, 0, 0, 0], noise=1.0)
    result = asked(verb, waves(frame), cluster="gu")
    said = result.remarks("en")
    assert len(said) == 1
    assert "overall" in said[0]
    assert "gu" in said[0]
    assert result.remarks("ko")[0] in repr(result) or said[0] in repr(result)
    assert said[0] in repr(ev.table(result, lang="en"))
    whole = districts(dates=[2014, 2014, 2016, 2016, 0, 0, 0], noise=1.0)
    assert asked(verb, waves(whole), cluster="gu").remarks("en") == ()


def test_a_cell_without_answers_is_listed():
    frame = persons()
    frame = frame[~((frame["first"] == 2016) & (frame["year"] == 2013))]
    for verb in ("sun_abraham", "extended_never"):
        result = asked(verb, sections(frame), cluster="gu")
        assert result.fit["not_identified"] == [{"cohort": 2016, "time": 2013, "reason": "no_answers"}]


def test_rows_say_on_how_few_of_a_group_and_wave_they_rest():
    result = ev.sun_abraham(sections(persons()), outcome="y", cohort="first", type="group")
    frame = persons()
    after = frame[(frame["first"] > 0) & (frame["year"] >= frame["first"])]
    now = after.groupby(["first", "year"]).size()
    before = frame[frame["year"] == frame["first"] - 1].groupby("first").size()
    free = frame[frame["first"] == 0].groupby("year").size()
    smallest = [
        min(now[g].min(), before[g], free[now[g].index].min(), free[g - 1])
        for g in now.index.get_level_values(0).unique()
    ]
    assert result.base_sizes.tolist() == [min(smallest), *smallest]


# what is refused


@every_fit
def test_two_clusters_are_too_few(verb):
    frame = persons().assign(half=lambda rows: rows["first"] > 0)
    with pytest.raises(EstimationError, match="at least 3"):
        asked(verb, sections(frame), cluster="half")


def test_covariates_that_effects_take_up_are_refused_by_name():
    frame = districts(noise=1.0).assign(fixed=lambda rows: rows["gu"] ** 2)
    with pytest.raises(IdentificationError, match="'fixed' is not identified"):
        ev.sun_abraham(waves(frame), outcome="y", cohort="first", covariates=["fixed"])
    with pytest.raises(IdentificationError, match="twice"):
        ev.extended_twfe(
            sections(persons().assign(twice=lambda rows: 2 * rows["x"])),
            outcome="y", cohort="first", covariates=["x", "twice"],
        )  # fmt: skip


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda p: ev.sun_abraham(p, outcome="y", cohort="never"), IdentificationError, "0, missing"),
        (lambda p: ev.sun_abraham(p, outcome="y", cohort="once"), IdentificationError, "one date"),
        (lambda p: ev.sun_abraham(p, outcome="y", cohort="first", type="dynmic"), EstimationError, "dynamic"),
        (lambda p: ev.sun_abraham(p, outcome="y", cohort="first", place="half"), ColumnError, "smaller place"),
        (lambda p: ev.sun_abraham(p, outcome="y", cohort="first", vcov="CR1"), EstimationError, "needs cluster"),
        (lambda p: ev.event_study_twfe(p, outcome="y", cohort="first", reference=-9), EstimationError, "-9"),
        (lambda p: ev.extended_twfe(p, outcome="y", cohort="first", family="gamma"), EstimationError, "family"),
        (lambda p: ev.extended_twfe(p, outcome="y", cohort="first", family="binomial"), ColumnError, "0/1"),
        (
            lambda p: ev.extended_twfe(p, outcome="glad", cohort="first", family="binomial", place="gu"),
            EstimationError,
            "Leave place out",
        ),
        (lambda p: ev.extended_twfe(p, outcome="y", cohort="first", control_group="all"), EstimationError, "control"),
        (lambda p: ev.stacked_did(p, outcome="y", cohort="first", window=(0, 2)), EstimationError, "window"),
        (lambda p: ev.stacked_did(p, outcome="y", cohort="first", window=3), EstimationError, "window"),
        (lambda p: ev.stacked_did(p, outcome="y", cohort="first", window=(9, 9)), IdentificationError, "shorter"),
        (
            lambda p: ev.stacked_did(p, outcome="y", cohort="first", window=(2, 1), weights="all"),
            EstimationError,
            "'wing' or 'none'",
        ),
        (lambda p: ev.goodman_bacon(p, outcome="y"), EstimationError, "either cohort"),
        (lambda p: ev.goodman_bacon(p, outcome="y", cohort="first"), EstimationError, "place="),
        (lambda p: ev.goodman_bacon(p, outcome="y", cohort="first", place="gu"), EstimationError, "cells='means'"),
        (lambda p: ev.goodman_bacon(p, outcome="y", cohort="first", place="half"), ColumnError, "smaller place"),
        (lambda p: ev.goodman_bacon(p, outcome="y", treatment="x", place="gu"), ColumnError, "0 or 1"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_next_move(call, error, message):
    frame = persons().assign(never=0, once=2014, half=lambda rows: rows["gu"] > 5)
    with pytest.raises(error, match=message):
        call(sections(frame))


def test_a_treatment_that_switches_off_is_refused_with_its_places():
    frame = districts()
    frame["d"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    frame.loc[(frame["gu"] == 3) & (frame["year"] == 2017), "d"] = 0
    with pytest.raises(ColumnError, match="switches off in 1 of 11 'gu'") as caught:
        ev.goodman_bacon(waves(frame), outcome="y", treatment="d")
    assert set(caught.value.failures["gu"]) == {3}


def test_missing_answers_are_counted_by_regressions_and_refused_by_the_decomposition():
    frame = districts(noise=1.0)
    frame.loc[[3, 40], "y"] = np.nan
    result = asked("sun_abraham", waves(frame), cluster="gu")
    assert (result.fit["n_used"], result.fit["n_left_out"]) == (len(frame) - 2, 2)
    with pytest.raises(ColumnError, match="2 are missing"):
        ev.goodman_bacon(waves(frame), outcome="y", cohort="first")


# the decomposition


def test_comparisons_reproduce_the_coefficient_under_weights_of_places():
    frame = districts(lambda g, t: (g - 2012) * (1 + t - g), noise=1.0, dates=[2011, *DATES])
    made = ev.goodman_bacon(waves(frame, weights="w"), outcome="y", cohort="first")
    frame["d"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    twfe = ev.twfe(ev.survey_design(frame, weights="w"), outcome="y", treatment="d", unit="gu", time="year")
    close(made.coefficient, twfe.estimate[0])
    close((made.frame["weight"] * made.frame["estimate"]).sum(), twfe.estimate[0])
    assert set(made.frame["type"]) == {
        "treated_vs_untreated",
        "earlier_vs_later",
        "later_vs_earlier",
        "later_vs_always_treated",
    }
    close(made.by_type()["contribution"].sum(), made.coefficient)


def test_people_are_decomposed_by_the_means_of_places():
    frame = persons()
    made = ev.goodman_bacon(sections(frame), outcome="y", cohort="first", place="gu", cells="means")
    sums = frame.assign(wy=frame["w"] * frame["y"]).groupby(["gu", "year", "first"], as_index=False)[["w", "wy"]].sum()
    sums["y"], sums["w"] = sums["wy"] / sums["w"], sums.groupby("gu")["w"].transform("mean")
    sums["d"] = ((sums["first"] > 0) & (sums["year"] >= sums["first"])).astype(int)
    twfe = ev.twfe(ev.survey_design(sums, weights="w"), outcome="y", treatment="d", unit="gu", time="year")
    close(made.coefficient, twfe.estimate[0])
    close((made.frame["weight"] * made.frame["estimate"]).sum(), made.coefficient)


def test_people_with_equal_numbers_in_every_wave_are_decomposed_exactly():
    frame = pd.concat([districts(noise=1.0, seed=seed) for seed in (1, 2, 3)])
    frame["d"] = ((frame["first"] > 0) & (frame["year"] >= frame["first"])).astype(int)
    made = ev.goodman_bacon(sections(frame), outcome="y", treatment="d", place="gu")
    twfe = ev.twfe(ev.survey_design(frame, weights="w"), outcome="y", treatment="d", unit="gu", time="year")
    close(made.coefficient, twfe.estimate[0])


def test_the_decomposition_says_that_it_is_a_diagnosis():
    made = ev.goodman_bacon(waves(districts(noise=1.0)), outcome="y", cohort="first")
    assert "without standard errors" in made.statement("en")
    assert "진단" in made.statement("ko")
    assert "std_error" not in made.tidy()
    assert repr(made) == repr(ev.goodman_bacon(waves(districts(noise=1.0)), outcome="y", cohort="first"))
    assert made.to_dict()["rows"][0]["untreated"] is None
    for lang in ("ko", "en"):
        table, figure = ev.table(made, lang=lang), ev.plot(made, lang=lang)
        assert made.statement(lang) in table.notes
        assert len(table.frame) == len(made.frame) == len(figure.data)
        assert figure.png() == ev.plot(made, lang=lang).png()


def test_what_was_left_out_is_printed():
    frame = districts(dates=[2005, 2005, *DATES], noise=1.0)
    assert "no wave before treatment: cohort 2005 (2011, 2012" in repr(asked("sun_abraham", waves(frame)))
    assert "no wave at some time of the window: cohort 2005\n" in repr(asked("stacked", waves(frame)))
    assert "other times since treatment" in repr(asked("event_study_twfe", waves(frame)))


def test_stacks_of_a_domain_are_those_of_its_rows_alone():
    rng = np.random.default_rng(7)
    n = 1200
    frame = pd.DataFrame({"gu": rng.integers(0, 12, n), "year": rng.integers(2012, 2019, n)})
    frame["first"] = np.array([2015, 2016, 0])[frame["gu"] % 3]
    frame["y"], frame["x"] = rng.normal(size=n), rng.normal(size=n)
    frame["w"] = rng.uniform(0.5, 2, n)
    kept = frame["year"] <= 2017
    asked = {"outcome": "y", "cohort": "first", "window": (2, 1), "cluster": "gu", "covariates": ["x"]}
    whole = ev.domain(ev.survey_design(frame, weights="w"), {"year": list(range(2012, 2018))})
    part = ev.survey_design(frame[kept], weights="w")
    found, alone = (ev.stacked_did(ev.panel(each, time="year"), **asked) for each in (whole, part))
    np.testing.assert_allclose(found.estimate, alone.estimate, atol=1e-12)
    np.testing.assert_allclose(found.std_error, alone.std_error, rtol=1e-9)
    sampled = [ev.stacked_did(ev.panel(each, time="year"), **asked | {"cluster": None}) for each in (whole, part)]
    np.testing.assert_allclose(sampled[0].estimate, sampled[1].estimate, atol=1e-12)
