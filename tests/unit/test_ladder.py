"""The ladder of adjustments and the bounds below it: each rung is its own verb, and all have one covariance."""

import runpy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.comparison.sensitivity.marginal_sensitivity import extreme_mean
from evaluation.errors import ColumnError, EstimationError, IdentificationError, WeightingError

made = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("handmade_participants.py"))))

SAME = 1e-12
DERIVATIVE = 1e-5
STEP = 1e-5
COVARIATES = ["age", "sex"]
#: Rungs that are one verb each.
VERBS = ["unweighted", "raw", "regression_adjusted", "g_computation", "ipw", "aipw"]
SHOWN = [*VERBS[:2], "explained", *VERBS[2:4], "entropy", *VERBS[4:], "overlap", "bound_low", "bound_high"]


@pytest.fixture
def respondents():
    frame = made.respondents()
    frame["trust"] = np.round(3 + 0.4 * frame["stays"] + np.random.default_rng(5).normal(0, 1, len(frame)), 2)
    return frame


def ladder(design, **options):
    return ev.effect_ladder(design, **{"outcome": "stays", "treatment": "joined", "covariates": COVARIATES, **options})


def bounds(design, **options):
    given = {"outcome": "stays", "treatment": "joined", "covariates": COVARIATES}
    return ev.sensitivity_bounds(design, **{**given, **options})


# --- the ladder ---------------------------------------------------------------------------------------------------


def test_each_rung_is_what_its_own_verb_says(respondents):
    design = made.design_of(respondents)
    result = ladder(design, methods=[*VERBS, "ipwra"])
    assert result.keys["method"].tolist() == [*VERBS, "ipwra"]
    given = {"outcome": "stays", "treatment": "joined"}
    alone = [ev.group_difference(design, **given)]
    verbs = (ev.regression_adjusted, ev.g_computation, ev.ipw, ev.aipw, ev.ipwra)
    alone += [verb(design, covariates=COVARIATES, **given) for verb in verbs]
    assert result.estimate[1:] == pytest.approx([one.estimate[0] for one in alone], abs=SAME)
    assert result.std_error[1:] == pytest.approx([one.std_error[0] for one in alone], rel=1e-9)
    joined = respondents["joined"] == 1
    assert result.estimate[0] == pytest.approx(respondents["stays"].groupby(joined).mean().diff().iloc[1], abs=SAME)


def test_the_unweighted_rung_knows_strata_and_psus(respondents):
    design = made.design_of(respondents)
    result = ladder(design, methods=["unweighted"])
    respondents["one"] = 1.0
    plain = ev.survey_design(respondents, weights="one", strata="stratum", psu="psu")
    alone = ev.group_difference(plain, outcome="stays", treatment="joined")
    assert result.std_error[0] == pytest.approx(alone.std_error[0], rel=1e-9)


def test_all_rungs_rest_on_the_same_respondents(respondents):
    respondents.loc[::5, "age"] = np.nan
    respondents.loc[::7, "stays"] = np.nan
    result = ladder(made.design_of(respondents), missing="complete_cases")
    complete = respondents.dropna(subset=["age", "stays"])
    counts = complete["joined"].value_counts()
    assert (result.n_obs == len(complete)).all()
    assert (result.columns["n_participants"] == counts[1]).all()
    assert (result.columns["n_comparison"] == counts[0]).all()
    raw = ev.group_difference(made.design_of(complete), outcome="stays", treatment="joined")
    assert result.estimate[1] == pytest.approx(raw.estimate[0], abs=SAME)
    assert result.fit["n_left_out"] == len(respondents) - len(complete)


def test_rungs_can_be_contrasted_since_they_have_one_covariance(respondents):
    design = made.design_of(respondents)
    result = ladder(design)
    assert np.isfinite(result.vcov).all()
    moved = ev.contrast(result, {"moved": {"stays | method=raw": 1, "stays | method=aipw": -1}})
    parts = ev.decompose_gap(
        design, outcome="stays", comparator_outcome="city", treatment="joined", covariates=COVARIATES
    )
    selection = parts.keys["part"].tolist().index("selection")
    assert moved.estimate[0] == pytest.approx(parts.estimate[selection], abs=SAME)
    assert moved.std_error[0] == pytest.approx(parts.std_error[selection], rel=1e-9)
    apart = np.sqrt(result.std_error[1] ** 2 + result.std_error[SHOWN.index("aipw")] ** 2)
    assert moved.std_error[0] < 0.5 * apart


def test_several_outcomes_make_one_ladder_each(respondents):
    design = made.design_of(respondents)
    both = ladder(design, outcome=["stays", "city"], methods=["raw", "aipw"])
    assert both.keys.to_numpy().tolist() == [[name, rung] for name in ("stays", "city") for rung in ("raw", "aipw")]
    assert both.estimate[2:] == pytest.approx(ladder(design, outcome="city", methods=["raw", "aipw"]).estimate)
    assert both.fit["n_left_out"] == {"stays": 0, "city": 0}


def test_the_ladder_goes_through_a_weighting_chain(respondents):
    size = respondents["w"].sum()
    design = ev.rake(made.design_of(respondents), {"sex": {"f": 0.55 * size, "m": 0.45 * size}})
    result = ladder(design)
    alone = ev.aipw(design, outcome="stays", treatment="joined", covariates=COVARIATES)
    assert result.std_error[SHOWN.index("aipw")] == pytest.approx(alone.std_error[0], rel=1e-9)
    assert result.estimate[0] == pytest.approx(ladder(made.design_of(respondents)).estimate[0], abs=SAME)
    assert result.influence.shape == (len(respondents), len(SHOWN))


def test_replicates_carry_the_ladder_too(respondents):
    design = made.design_of(respondents)
    jackknife = ladder(ev.as_replicates(design, kind="JKn"))
    assert jackknife.std_error == pytest.approx(ladder(design).std_error, rel=0.15)


def test_a_published_gap_is_the_first_rung_and_keeps_its_missing_error(respondents):
    result = ladder(made.design_of(respondents), benchmark=made.published())
    tidy = result.tidy()
    assert tidy["method"].tolist() == ["benchmark", *SHOWN]
    assert tidy.loc[0, "estimate"] == pytest.approx(0.253)
    assert np.isnan(tidy.loc[0, "std_error"])
    own = ladder(made.design_of(respondents))
    assert result.vcov[1:, 1:] == pytest.approx(own.vcov)
    assert np.isnan(result.vcov[0]).all()
    assert result.influence is None
    assert "benchmark: none (published figures)" in result.variance_method


def outside_gap(design, **options):
    item = ev.Measurement("stays", "I want to stay", "residents", "web", 2016)
    verdict = ev.assess_comparability(item, item, contains_participants=True)
    share = ev.survey_mean(ev.domain(design, {"joined": 1}), "stays")
    return ev.benchmark_difference(share, 0.59, comparability=verdict, **options)


def test_a_benchmark_of_the_same_sample_joins_the_covariance(respondents):
    design = made.design_of(respondents)
    joined = ladder(design, benchmark=outside_gap(design))
    assert joined.keys["method"].iloc[0] == "benchmark"
    assert np.isfinite(joined.vcov).all()
    assert joined.influence is not None
    with_error = ladder(design, benchmark=outside_gap(design, std_error=0.02))
    assert with_error.vcov[0, 0] == pytest.approx(joined.vcov[0, 0] + 0.02**2)
    assert np.isnan(with_error.vcov[0, 1:]).all()


def test_a_benchmark_goes_to_its_own_outcome(respondents):
    design = made.design_of(respondents)
    gaps = {"city": made.published(item="city")}
    result = ladder(design, outcome=["stays", "city"], methods=["raw", "aipw"], benchmark=gaps)
    assert result.keys["method"].tolist() == ["raw", "aipw", "benchmark", "raw", "aipw"]
    plain = ladder(design, outcome=["stays", "city"], methods=["raw", "aipw"])
    assert result.estimate[[0, 1, 3, 4]] == pytest.approx(plain.estimate)
    assert result.vcov[np.ix_([0, 1, 3, 4], [0, 1, 3, 4])] == pytest.approx(plain.vcov)
    with pytest.raises(EstimationError, match="belongs to 'settle', which is none of the outcomes stays, city"):
        ladder(design, outcome=["stays", "city"], benchmark=made.published(item="settle"))


@pytest.mark.parametrize("given", ["alone", "by outcome"])
def test_a_gap_of_another_item_is_no_rung(respondents, given):
    design = made.design_of(respondents)
    gap = made.published(item="settle")
    with pytest.raises(EstimationError, match=r"a gap of 'settle' and cannot be a rung of 'stays'\. Hold 'stays'"):
        ladder(design, benchmark=gap if given == "alone" else {"stays": gap})


def test_a_ladder_that_cannot_be_climbed_is_refused(respondents):
    design = made.design_of(respondents)
    with pytest.raises(EstimationError, match="Did you mean 'aipw'"):
        ladder(design, methods=["aipww"])
    with pytest.raises(EstimationError, match="name a rung twice"):
        ladder(design, methods=["raw", "raw"])
    with pytest.raises(EstimationError, match="methods must be rungs"):
        ladder(design, methods=[])
    changed = ev.Measurement("stays_more_than_before")
    verdict = ev.assess_comparability(changed, changed, contains_participants=False)
    with pytest.raises(IdentificationError, match="asks whether something has changed"):
        ladder(design, comparability=verdict)


def test_further_rungs_are_the_verbs_that_make_them(respondents):
    design = made.design_of(respondents)
    result = ladder(design)
    assert result.keys["method"].tolist() == SHOWN
    given = {"outcome": "stays", "treatment": "joined", "covariates": COVARIATES}
    linear = ev.oaxaca_blinder(design, **given)
    overlapping = ev.aipw(design, **given, estimand="ATO")
    ends = ev.sensitivity_bounds(design, **given, lambda_=[1.5])
    balanced = ev.entropy_balance(design, treatment="joined", covariates=COVARIATES)
    even = ev.group_difference(balanced, outcome="stays", treatment="joined")
    for rung, estimate, error in (
        ("explained", linear.estimate[1], linear.std_error[1]),
        ("entropy", even.estimate[0], even.std_error[0]),
        ("overlap", overlapping.estimate[0], overlapping.std_error[0]),
        ("bound_low", ends.estimate[0], ends.std_error[0]),
        ("bound_high", ends.estimate[1], ends.std_error[1]),
    ):
        row = SHOWN.index(rung)
        assert result.estimate[row] == pytest.approx(estimate, abs=SAME)
        assert result.std_error[row] == pytest.approx(error, rel=1e-9)
    assert result.fit["lambda"] == 1.5
    assert ladder(design, methods=["bounds"], lambda_=1.3).fit["lambda"] == 1.3


def test_every_row_names_whom_it_is_about_and_how_many_it_is_worth(respondents):
    design = made.design_of(respondents)
    result = ladder(design)
    of = dict(zip(SHOWN, result.columns["estimand"], strict=True))
    assert of == {
        **dict.fromkeys(SHOWN, "ATT"),
        **dict.fromkeys(("unweighted", "raw", "explained"), "as they are"),
        "overlap": "ATO",
    }
    joined = respondents["joined"] == 1
    effective = dict(zip(SHOWN, result.columns["ess_comparison"], strict=True))
    assert effective["unweighted"] == pytest.approx((~joined).sum())
    w = respondents.loc[~joined, "w"]
    assert effective["raw"] == pytest.approx(w.sum() ** 2 / (w**2).sum())
    alone = ev.ipw(design, outcome="stays", treatment="joined", covariates=COVARIATES)
    assert effective["ipw"] == pytest.approx(alone.fit["ess_comparison"])
    assert effective["ipw"] < effective["raw"]
    assert np.isnan(effective["explained"])
    assert np.isfinite(result.vcov).all()


def test_the_sentence_of_the_ladder_is_about_its_last_rung_of_the_same_people(respondents):
    result = ladder(made.design_of(respondents))
    last = ev.statement(result, "en").sentences[-1]
    assert last.startswith(f"{result.estimate[SHOWN.index('aipw')]:.3f}")
    only = ladder(made.design_of(respondents), methods=["explained", "bounds"])
    assert not ev.statement(only, "en").sentences[-1].endswith("not ruled out.")


def test_a_design_that_was_balanced_already_is_refused(respondents):
    balanced = ev.entropy_balance(made.design_of(respondents), treatment="joined", covariates=COVARIATES)
    with pytest.raises(WeightingError, match=r"Give the design from before entropy_balance\."):
        ladder(balanced)
    with pytest.raises(WeightingError, match="decompose_gap: the design was balanced"):
        ev.decompose_gap(
            balanced, outcome="stays", comparator_outcome="city", treatment="joined", covariates=COVARIATES
        )
    with pytest.raises(WeightingError, match="judge_comparison: the design was balanced"):
        ev.judge_comparison(balanced, outcome="stays", treatment="joined", covariates=COVARIATES)


@pytest.mark.parametrize("estimand", ["ATE", "ATC", "ATO", "ATM"])
def test_each_estimand_has_the_rungs_that_it_can_have(respondents, estimand):
    design = made.design_of(respondents)
    result = ladder(design, estimand=estimand)
    rungs = result.keys["method"].tolist()
    assert ("g_computation" in rungs) == (estimand in ("ATE", "ATC"))
    assert ("overlap" in rungs) == (estimand != "ATO")
    alone = ev.aipw(design, outcome="stays", treatment="joined", covariates=COVARIATES, estimand=estimand)
    assert result.estimate[rungs.index("aipw")] == pytest.approx(alone.estimate[0], abs=SAME)
    if estimand == "ATO":
        with pytest.raises(EstimationError, match=r"has no rung 'g_computation'\. It has: unweighted, raw, ipw"):
            ladder(design, estimand=estimand, methods=["g_computation"])


def test_missing_covariates_are_refused_unless_the_reader_says_what_they_mean(respondents):
    respondents.loc[::5, "age"] = np.nan
    design = made.design_of(respondents)
    with pytest.raises(ColumnError, match="missing='indicator'"):
        ladder(design)
    whole = ladder(design, missing="indicator")
    assert (whole.n_obs == len(respondents)).all()
    alone = ev.oaxaca_blinder(design, outcome="stays", treatment="joined", covariates=COVARIATES, missing="indicator")
    assert "explained:age missing" in alone.keys["part"].tolist()
    assert whole.estimate[SHOWN.index("explained")] == pytest.approx(alone.estimate[1], abs=SAME)


def test_the_ladder_carries_the_grade_of_what_was_declared(respondents):
    item = ev.Measurement("stays", "I want to stay", "residents", "web", 2016)
    verdict = ev.assess_comparability(item, item, contains_participants=False, evidence="adjusted", failed=["balance"])
    result = ladder(made.design_of(respondents), comparability=verdict)
    assert (result.fit["evidence_grade"], result.fit["differs_in"]) == (1, [])


@pytest.mark.parametrize(("lang", "words"), [("en", "doubly robust"), ("ko", "이중강건")])
def test_the_rungs_have_names_in_both_languages(respondents, lang, words):
    result = ladder(made.design_of(respondents))
    assert words in repr(ev.table(result, lang=lang))
    assert words in ev.statement(result, lang).sentences[0]


def test_respondents_that_separate_are_told_the_way_out(respondents):
    respondents["rare"] = np.where(
        (respondents["joined"] == 1) & (respondents["sex"] == "f"), 1.0, respondents["stays"]
    )
    design = made.design_of(respondents)
    with pytest.raises(IdentificationError, match="Or use family='gaussian'"):
        ladder(design, outcome="rare")
    assert np.isfinite(ladder(design, outcome="rare", family="gaussian").std_error).all()


# --- bounds -------------------------------------------------------------------------------------------------------


def test_at_lambda_one_both_bounds_are_the_weighted_difference(respondents):
    design = made.design_of(respondents)
    result = bounds(design)
    alone = ev.ipw(design, outcome="stays", treatment="joined", covariates=COVARIATES)
    assert result.keys["lambda"].tolist() == [1.0, 1.0, 1.5, 1.5, 2.0, 2.0]
    assert result.estimate[:2] == pytest.approx([alone.estimate[0]] * 2, abs=SAME)
    assert result.std_error[:2] == pytest.approx([alone.std_error[0]] * 2, rel=1e-9)


def test_bounds_of_a_yes_or_no_are_known_in_closed_form(respondents):
    design = made.design_of(respondents)
    result = bounds(design, lambda_=2.5)
    alone = ev.ipw(design, outcome="stays", treatment="joined", covariates=COVARIATES)
    ours, theirs = alone.estimate[1], alone.estimate[2]
    for row, odds in ((6, 2.5**2), (7, 2.5**-2)):
        assert result.estimate[row] == pytest.approx(ours - odds * theirs / (odds * theirs + 1 - theirs), abs=SAME)


@pytest.mark.parametrize("seed", range(5))
def test_no_choice_of_factors_goes_beyond_the_extreme(seed):
    rng = np.random.default_rng(seed)
    y, w = np.round(rng.normal(size=8), 1), rng.uniform(0.2, 3, 8)
    order = np.argsort(-y)
    found, _ = extreme_mean(y[order], 1.8 * w[order], w[order] / 1.8)
    least, _ = extreme_mean(y[order[::-1]], 1.8 * w[order[::-1]], w[order[::-1]] / 1.8, largest=False)
    corners = 1.8 ** (2.0 * ((np.arange(2**8)[:, None] >> np.arange(8)) & 1) - 1)
    every = (corners * w) @ y / (corners @ w)
    assert found == pytest.approx(every.max(), abs=SAME)
    assert least == pytest.approx(every.min(), abs=SAME)


@pytest.mark.parametrize("outcome", ["stays", "trust"])
def test_the_bounds_influence_is_their_numerical_derivative(respondents, outcome):
    result = bounds(made.design_of(respondents), outcome=outcome)
    influence = result.influence
    for row in (0, 9, 40):
        ends = []
        for step in (STEP, -STEP):
            moved = respondents.copy()
            moved.loc[row, "w"] *= 1 + step
            ends.append(bounds(made.design_of(moved), outcome=outcome).estimate)
        slope = (ends[0] - ends[1]) / (2 * STEP)
        assert influence[row] == pytest.approx(slope, abs=DERIVATIVE * np.abs(influence).max())


def test_bounds_widen_and_the_breakdown_is_where_they_reach_zero(respondents):
    design = made.design_of(respondents)
    result = bounds(design, outcome="trust", lambda_=[1, 1.2, 1.6, 3])
    low, high = result.estimate[::2], result.estimate[1::2]
    assert (np.diff(low) < 0).all()
    assert (np.diff(high) > 0).all()
    where = result.fit["breakdown_lambda"]
    assert where > 1
    there = bounds(design, outcome="trust", lambda_=[where])
    assert np.abs(there.estimate).min() == pytest.approx(0, abs=1e-6)
    by_interval = result.fit["breakdown_lambda_interval"]
    assert 1 <= by_interval <= where
    if by_interval > 1:
        limits = bounds(design, outcome="trust", lambda_=[by_interval]).confidence_interval()
        assert min(abs(limits[0, 0]), abs(limits[1, 1])) == pytest.approx(0, abs=1e-6)


def test_a_difference_that_is_negative_breaks_down_from_the_other_side(respondents):
    design = made.design_of(respondents)
    mirrored = respondents.assign(trust=-respondents["trust"])
    ours = bounds(design, outcome="trust")
    theirs = bounds(made.design_of(mirrored), outcome="trust")
    assert theirs.estimate[::2] == pytest.approx(-ours.estimate[1::2], abs=1e-10)
    for name in ("breakdown_lambda", "breakdown_lambda_interval"):
        assert theirs.fit[name] == pytest.approx(ours.fit[name], rel=1e-5)


def test_replicates_carry_the_bounds_but_no_breakdown_of_intervals(respondents):
    design = made.design_of(respondents)
    jackknife = bounds(ev.as_replicates(design, kind="JKn"))
    assert jackknife.std_error == pytest.approx(bounds(design).std_error, rel=0.15)
    assert np.isnan(jackknife.fit["breakdown_lambda_interval"])


def test_a_lambda_below_one_is_refused(respondents):
    for wrong in (0.5, [1.0, float("nan")], []):
        with pytest.raises(EstimationError, match="1 or more"):
            bounds(made.design_of(respondents), lambda_=wrong)


# --- the known truth ----------------------------------------------------------------------------------------------


def test_the_truth_stands_beside_every_rung_and_every_part():
    rungs = ev.known_effects("seoul_2016", item="stay", key="method")
    assert rungs.columns.tolist() == ["term", "method", "truth"]
    assert set(rungs["method"]) == {"benchmark", *VERBS, "entropy", "ipwra"}
    assert rungs["truth"].tolist() == [0.040003] * len(rungs)
    parts = ev.known_effects("seoul_2016", item="stay", key="part").set_index("part")["truth"]
    assert parts.drop(["gap", "selection_and_effect"]).sum() == pytest.approx(parts["gap"], abs=2e-6)
    whole = ev.known_effects("seoul_2016", item="rely")
    assert whole.loc[whole["quantity"] == "mean_others", "truth"].tolist() == [0.760007]
    assert whole["part"].eq("").all()


def test_a_real_survey_has_no_known_effects_nor_has_an_item_that_participation_does_not_move():
    assert ev.known_effects("api_2000", item="api00") is None
    assert ev.known_effects("seoul_2016", item="knows_center") is None
    with pytest.raises(EstimationError, match="key must be one of"):
        ev.known_effects("seoul_2016", item="stay", key="rung")


def test_labels_do_not_touch_the_numbers(respondents):
    result = ladder(made.design_of(respondents))
    words = ev.table(result, lang="ko").data
    assert isinstance(words, pd.DataFrame)
    assert words["method"].tolist() == SHOWN
    assert words["estimate"].tolist() == result.estimate.tolist()
    assert replace(result, conf_level=0.9).confidence_interval()[0, 0] > result.confidence_interval()[0, 0]
