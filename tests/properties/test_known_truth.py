"""A city whose truth is known: what decomposition, ladder and bounds recover of it, and what they cannot."""

import functools

import numpy as np
import pytest

import evaluation as ev
from evaluation.synthetic.outcomes import ITEMS
from evaluation.synthetic.participation import odds_bounds
from evaluation.synthetic.population import potential_answers, synthesize
from evaluation.synthetic.sampling import DONT_KNOW, citizen_survey
from evaluation.synthetic.switches import Switches
from evaluation.synthetic.truth import decomposition, truth_of

#: Everything measured that moves participation.
COVARIATES = ["sex", "age_group", "owner", "tenure_years", "children", "village_plan"]
LINES = ("gap", "item_mismatch", "others_against_all", "selection_and_effect")
#: Every participant and every fifth other: their sampling error is a fifth of a point, the trait moves 2.6.
ONE_OTHER_IN = 5
CLOSE = 0.002
EXACT = 1e-10
DRAWS = 8


@functools.cache
def city_with(trait):
    return synthesize(switches=Switches(unobserved_trait=trait, informative_nonresponse=trait))


@functools.cache
def truth_with(trait):
    parts = decomposition(city_with(trait))
    return {**parts, "selection_and_effect": parts["selection"] + parts["effect"]}


def people(city):
    frame = city.residents[["sex", "age_group", "owner", "tenure_years", "children", "participant"]].copy()
    frame["village_plan"] = city.dongs["village_plan"].to_numpy()[city.dong_place]
    takes_part = frame["participant"].to_numpy() == 1
    for item in ITEMS:
        without, with_ = potential_answers(city, item)
        frame[item] = np.where(takes_part, with_, without).astype(float)
    return frame


@functools.cache
def design_with(trait):
    """All participants and a part of the others, weighted back to the city."""
    frame = people(city_with(trait))
    takes_part = frame["participant"].to_numpy() == 1
    kept = takes_part | (np.arange(len(frame)) % ONE_OTHER_IN == 0)
    others = (~takes_part).sum() / (~takes_part & kept).sum()
    frame = frame[kept].assign(w=np.where(takes_part, 1.0, others)[kept])
    nominal = {name: frame[name].astype(str) for name in ("sex", "age_group", "village_plan")}
    return ev.survey_design(frame.assign(**nominal), weights="w", strata="participant")


def decomposed(design, **options):
    given = {"outcome": "stay", "comparator_outcome": "live_in_seoul", "treatment": "participant"}
    return ev.decompose_gap(design, **{**given, "covariates": COVARIATES, **options})


@functools.cache
def parts_with(trait):
    return decomposed(design_with(trait)).tidy().set_index("part")


def bounds(item, value):
    return ev.sensitivity_bounds(
        design_with(True), outcome=item, treatment="participant", covariates=COVARIATES, lambda_=[value]
    )


def test_of_the_whole_city_the_identified_lines_are_exact_whatever_the_trait_does():
    frame = people(city_with(True))
    options = {"covariates": ["sex"], "estimator": "regression_adjusted", "family": "gaussian"}
    result = decomposed(ev.survey_design(frame), **options)
    estimate = dict(zip(result.keys["part"], result.estimate, strict=True))
    for line in LINES:
        assert estimate[line] == pytest.approx(truth_with(True)[line], abs=EXACT)
    assert estimate["remainder"] == 0.0


def test_without_the_trait_all_four_lines_recover_the_truth():
    parts, truth = parts_with(False), truth_with(False)
    for line in ("gap", "item_mismatch", "others_against_all", "selection", "effect"):
        assert abs(parts.loc[line, "estimate"] - truth[line]) < 3 * parts.loc[line, "std_error"]
    assert parts.loc["effect", "estimate"] == pytest.approx(truth["effect"], abs=CLOSE)
    assert parts.loc["selection", "estimate"] == pytest.approx(truth["selection"], abs=CLOSE)


def test_with_the_trait_the_identified_lines_still_do():
    parts, truth = parts_with(True), truth_with(True)
    for line in LINES:
        assert abs(parts.loc[line, "estimate"] - truth[line]) < 3 * parts.loc[line, "std_error"]
        assert parts.loc[line, "identified"] == "yes"


def test_with_the_trait_the_effect_is_too_large_by_what_the_trait_makes_and_says_what_it_assumes():
    parts, truth = parts_with(True), truth_with(True)
    hidden = truth_of(city_with(True))["items"]["stay"]["selection_unobserved"]
    assert hidden == pytest.approx(0.026, abs=0.0005)
    assert parts.loc["effect", "estimate"] - truth["effect"] == pytest.approx(hidden, abs=CLOSE)
    assert truth["selection"] - parts.loc["selection", "estimate"] == pytest.approx(hidden, abs=CLOSE)
    assert parts.loc["effect", "conf_low"] > truth["effect"]
    assert parts.loc["effect", "identified"].startswith("assumed: nothing unobserved")


def test_at_the_true_lambda_selection_and_effect_lie_within_the_bounds_and_say_so():
    city, truth = city_with(True), truth_with(True)
    marginal = odds_bounds(city.odds, city.switches)[1]
    parts = decomposed(design_with(True), lambda_=marginal).tidy().set_index("part")
    for line in ("selection", "effect"):
        assert parts.loc[f"{line}_low", "estimate"] < truth[line] < parts.loc[f"{line}_high", "estimate"]
        assert parts.loc[f"{line}_low", "identified"] == f"Λ = {marginal:g}"
    ends = decomposed(design_with(True), lambda_=1.0).tidy().set_index("part")
    assert ends.loc["effect_low", "conf_low"] > truth["effect"]


def test_what_was_observed_explains_as_much_as_the_linear_selection():
    parts = parts_with(False)
    shares = [name for name in parts.index if name.startswith("explained:")]
    assert len(shares) == len(COVARIATES)
    assert parts.loc[shares, "estimate"].sum() == pytest.approx(parts.loc["explained", "estimate"], abs=EXACT)
    assert parts.loc["explained", "estimate"] == pytest.approx(truth_with(False)["selection"], abs=2 * CLOSE)


def test_the_ladder_climbs_to_the_truth_only_without_the_trait():
    for trait, missed in ((False, 0.0), (True, 0.0257)):
        ladder = ev.effect_ladder(
            design_with(trait), outcome="stay", treatment="participant", covariates=COVARIATES, methods=["raw", "aipw"]
        )
        raw, adjusted = ladder.estimate - truth_with(trait)["effect"]
        assert raw == pytest.approx(truth_with(trait)["selection"], abs=CLOSE)
        assert adjusted == pytest.approx(missed, abs=CLOSE)


def test_surveys_of_the_city_recover_all_four_lines_on_average_and_in_their_intervals():
    truth, estimates, covered = truth_with(False), [], []
    for seed in range(1, DRAWS + 1):
        sample = citizen_survey(city_with(False), seed=seed)
        answers = sample[["stay", "live_in_seoul"]]
        sample = sample.assign(**answers.where(answers != DONT_KNOW))
        nominal = {name: sample[name].astype(str) for name in ("sex", "age_group", "village_plan")}
        design = ev.survey_design(
            sample.assign(**nominal), weights="weight_design", strata="district", psu="block_draw"
        )
        options = {"by_covariate": False, "lambda_": None}
        parts = decomposed(design, family="gaussian", **options).tidy().set_index("part")
        estimates.append(parts["estimate"])
        covered.append([abs(parts.loc[line, "estimate"] - truth[line]) < 3 * parts.loc[line, "std_error"]
                        for line in truth])  # fmt: skip
    mean = np.mean(estimates, axis=0)
    spread = np.std(estimates, axis=0, ddof=1) / np.sqrt(DRAWS)
    for line, place in zip(parts.index, range(len(mean)), strict=True):
        assert abs(mean[place] - truth.get(line, 0.0)) < 3.5 * spread[place]
    assert np.all(covered)


def test_the_citizens_that_are_on_file_cover_what_is_identified():
    survey = ev.read_survey("seoul_2016", sample="citizens")
    parts = decomposed(ev.survey_design(survey), family="gaussian").tidy().set_index("part")
    truth = ev.known_effects("seoul_2016", item="stay", key="part").set_index("part")["truth"]
    for line in LINES:
        assert abs(parts.loc[line, "estimate"] - truth[line]) < 3 * parts.loc[line, "std_error"]


@pytest.mark.parametrize("item", list(ITEMS))
def test_at_the_true_lambda_the_bounds_hold_the_truth(item):
    city = city_with(True)
    without, with_ = potential_answers(city, item)
    members = city.residents["participant"].to_numpy() == 1
    effect = with_[members].mean() - without[members].mean()
    marginal = odds_bounds(city.odds, city.switches)[1]
    assert marginal == pytest.approx(2.657, abs=0.001)
    low, high = bounds(item, marginal).estimate
    assert low < effect < high


def test_without_allowing_for_the_trait_they_do_not():
    for item in ("stay", "happy"):
        result = bounds(item, 1.0)
        known = ev.known_effects("seoul_2016", item=item, key="method")["truth"].iloc[0]
        assert result.confidence_interval()[0, 0] > known
