"""Many tests at once: worked by hand, against an explicit bootstrap of units, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

import evaluation as ev
from evaluation.errors import EstimationError

#: Adjusted p-values of 9,999 draws differ by chance by about this.
CHANCE = 0.02


def answers(seed=5, units=24, size=5):
    rng = np.random.default_rng(seed)
    n = units * size
    frame = pd.DataFrame(
        {
            "psu": np.repeat(np.arange(units), size),
            "stratum": np.repeat([1, 2], n // 2),
            "w": rng.uniform(1, 3, n),
            "joined": rng.integers(0, 2, n),
        }
    )
    shared = rng.normal(size=n) + np.repeat(rng.normal(size=units), size)
    frame["a"] = shared + 0.75 * frame["joined"]
    frame["b"] = shared + 0.5 * rng.normal(size=n) + 0.45 * frame["joined"]
    frame["c"] = rng.normal(size=n) + 0.2 * frame["joined"]
    frame["twice_a"] = 2 * frame["a"] + 3
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu")


def difference(design, outcome, **more):
    return ev.group_difference(design, outcome=outcome, treatment="joined", **more)


def test_holm_multiplies_the_smallest_by_all_the_next_by_one_less_and_never_falls():
    assert ev.adjust_p_values([0.03, 0.01, 0.025]).tolist() == pytest.approx([0.05, 0.03, 0.05])


def test_a_missing_p_value_stays_missing_and_is_not_counted():
    with_gap = ev.adjust_p_values([0.01, None, 0.04], method="bonferroni")
    assert with_gap[[0, 2]].tolist() == pytest.approx([0.02, 0.08])
    assert np.isnan(with_gap[1])
    assert np.isnan(ev.adjust_p_values([np.nan, np.nan])).all()


@pytest.mark.parametrize("method", ["holm", "hochberg", "hommel", "bonferroni", "sidak", "holm_sidak", "bh", "by"])
def test_every_method_keeps_the_order_and_lowers_no_p_value(method):
    p = np.array([0.2, 0.001, 0.04, 0.04, 0.7, 0.012])
    adjusted = ev.adjust_p_values(p, method=method)
    assert (adjusted >= p - 1e-15).all()
    assert (adjusted <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


@pytest.mark.parametrize(("method", "name"), [("holm", "holm"), ("bh", "fdr_bh"), ("by", "fdr_by")])
def test_our_own_ways_agree_with_statsmodels(method, name):
    p = np.random.default_rng(3).uniform(size=40) ** 3
    p[5] = p[17]
    np.testing.assert_allclose(ev.adjust_p_values(p, method=method), multipletests(p, method=name)[1], rtol=1e-12)


def test_a_series_and_a_mapping_keep_their_names():
    series = ev.adjust_p_values(pd.Series([0.01, 0.2], index=["x", "y"]))
    assert series.to_dict() == ev.adjust_p_values({"x": 0.01, "y": 0.2}) == pytest.approx({"x": 0.02, "y": 0.2})


def test_of_a_comparison_the_difference_is_tested_and_not_the_means():
    found = ev.adjust_p_values(difference(answers(), "a"))
    column = found.tidy()["p_holm"]
    assert column[0] == found.tidy()["p_value"][0]
    assert column[1:].isna().all()


def test_results_of_a_mapping_are_one_family_and_within_makes_several():
    design = answers()
    parts = {name: difference(design, name) for name in ("a", "b")}
    together = ev.adjust_p_values(parts, method="bonferroni")
    for name, part in parts.items():
        assert together[name].tidy()["p_bonferroni"][0] == pytest.approx(min(1, 2 * part.tidy()["p_value"][0]))
    means = ev.survey_mean(design, ["a", "b"], by="joined")
    alone = ev.adjust_p_values(means, method="bonferroni", within="term")
    assert alone.tidy()["p_bonferroni"].tolist() == pytest.approx(np.minimum(1, 2 * means.tidy()["p_value"]).tolist())


def test_stepdown_is_monotone_bounded_by_the_t_test_and_mostly_below_holm():
    design = answers()
    found = ev.stepdown([difference(design, name) for name in ("a", "b", "c")], seed=3)
    rows = found.tidy().query("quantity == 'difference'").sort_values("p_value")
    p = rows["p_romano_wolf"].to_numpy()
    assert (np.diff(p) >= 0).all()
    assert (p >= rows["p_value"] - CHANCE).all()
    holm = ev.adjust_p_values(rows["p_value"].to_numpy())
    assert (p <= holm + CHANCE).all()
    assert p.sum() < holm.sum()


def test_two_scales_of_one_answer_are_one_test_to_stepdown_and_two_to_holm():
    design = answers()
    found = ev.stepdown([difference(design, name) for name in ("a", "twice_a")])
    rows = found.tidy().query("quantity == 'difference'")
    assert rows["p_romano_wolf"].nunique() == 1
    assert rows["p_romano_wolf"].iloc[0] == pytest.approx(rows["p_value"].iloc[0], abs=CHANCE / 2)
    assert ev.adjust_p_values(rows["p_value"].to_numpy())[0] == pytest.approx(2 * rows["p_value"].iloc[0])


def test_the_draws_are_those_of_a_multiplier_bootstrap_of_units():
    """Units times normal numbers, each divided by its error: what the covariance alone gives faster."""
    design = answers()
    whole = ev.stepdown([difference(design, name).take(np.array([0])) for name in ("a", "b", "c")], seed=1)
    contributions, stratum = whole.contributions, design.sampling.stages[0].stratum
    scaled = np.zeros_like(contributions)
    for own in np.unique(stratum):
        rows = stratum == own
        n = rows.sum()
        scaled[rows] = (contributions[rows] - contributions[rows].mean(axis=0)) * np.sqrt(n / (n - 1))
    rng = np.random.default_rng(8)
    normal = rng.standard_normal((20_000, len(scaled))) @ scaled / whole.std_error
    df = whole.df[0]
    by_hand = ev.stepdown_p_values(
        whole.estimate / whole.std_error, normal / np.sqrt(rng.chisquare(df, 20_000) / df)[:, None]
    )
    np.testing.assert_allclose(whole.columns["p_romano_wolf"], by_hand, atol=CHANCE)


def test_a_false_finding_among_five_true_nulls_is_as_rare_as_promised():
    rng, findings, samples = np.random.default_rng(20), 0, 300
    for sample in range(samples):
        frame = pd.DataFrame(rng.normal(size=(40, 5)) + rng.normal(size=(40, 1)), columns=list("vwxyz"))
        means = ev.survey_mean(ev.survey_design(frame), list("vwxyz"))
        findings += (ev.stepdown(means, replicates=399, seed=sample).columns["p_romano_wolf"] <= 0.05).any()
    # Five per cent of 300 are 15, give or take three times their standard deviation of 3.8.
    assert 4 <= findings <= 27


def test_a_seed_gives_the_same_p_values_again_and_another_nearly_the_same():
    means = ev.survey_mean(answers(), ["a", "b", "c"])
    first, again, other = (ev.stepdown(means, seed=seed).columns["p_romano_wolf"] for seed in (1, 1, 2))
    assert (first == again).all()
    np.testing.assert_allclose(first, other, atol=CHANCE)
    assert ev.stepdown(means, seed=2, replicates=499).fit["stepdown_seed"] == 2


def test_replicates_of_a_design_step_down_too():
    taylor, replicated = answers(), ev.as_replicates(answers(), kind="JKn")
    p = [ev.stepdown(difference(design, "b")).columns["p_romano_wolf"][0] for design in (taylor, replicated)]
    assert p[0] == pytest.approx(p[1], abs=CHANCE)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([0.2, 1.2], r"1 of 2 do not \(first: 1.2, number 2\).*not per cent"),
        ([0.2, -3.1], "Pass p-values, not statistics"),
        ([], "one p-value and more"),
        ([[0.1, 0.2]], r"shape \(1, 2\)"),
        (["low"], "numbers from 0 to 1"),
    ],
)
def test_what_is_no_p_value_is_refused(given, message):
    with pytest.raises(EstimationError, match=message):
        ev.adjust_p_values(given)


def test_offending_p_values_travel_with_the_error():
    with pytest.raises(EstimationError) as caught:
        ev.adjust_p_values([0.2, 1.2, 7.0])
    assert caught.value.failures["number"].tolist() == [2, 3]


def test_an_unknown_method_or_family_is_refused():
    with pytest.raises(EstimationError, match="Did you mean 'holm'"):
        ev.adjust_p_values([0.1], method="holms")
    with pytest.raises(EstimationError, match="no key column of the result"):
        ev.adjust_p_values(difference(answers(), "a"), within="outcome")
    with pytest.raises(EstimationError, match="within names key columns"):
        ev.adjust_p_values([0.1], within="term")


def test_stepdown_without_influence_names_what_serves_instead():
    median = ev.survey_quantile(answers(), "a", probabilities=[0.5])
    with pytest.raises(EstimationError, match=r"joint influence.*adjust_p_values"):
        ev.stepdown(median)


def test_matching_has_no_influence_but_p_values_that_holm_can_take():
    matched = ev.match(answers(), treatment="joined", covariates="w", caliper=0.2)
    parts = {name: ev.matched_difference(matched, outcome=name) for name in ("a", "b")}
    with pytest.raises(EstimationError, match=r"matched_difference has none .*method='holm'"):
        ev.stepdown(list(parts.values()))
    adjusted = ev.adjust_p_values(parts)
    raw = [part.tidy()["p_value"][0] for part in parts.values()]
    assert [adjusted[name].tidy()["p_holm"][0] for name in parts] == pytest.approx(list(ev.adjust_p_values(raw)))
    assert ev.equivalence_test(parts["a"], margin=50).tidy()["conclusion"][0] == "shown"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"replicates": 20}, "replicates must be a whole number from 99 on, got 20.*below 1/"),
        ({"replicates": 99.5}, "replicates must be a whole number"),
        ({"seed": -1}, "seed must be a whole number from 0 on"),
        ({"seed": True}, "seed must be a whole number"),
    ],
)
def test_draws_that_cannot_be_are_refused(more, message):
    with pytest.raises(EstimationError, match=message):
        ev.stepdown(ev.survey_mean(answers(), "a"), **more)


def test_a_null_distribution_of_other_statistics_is_refused():
    with pytest.raises(EstimationError, match="a column for each of 2 statistics"):
        ev.stepdown_p_values([1.0, 2.0], np.zeros((10, 3)))
    with pytest.raises(EstimationError, match="1 of 3 draws miss"):
        ev.stepdown_p_values([1.0], np.array([[1.0], [np.nan], [0.2]]))
