"""Matching, errors of matched differences and Rosenbaum bounds against MatchIt 4.7.1 and R."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import evaluation as ev

data = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))
cases, close, lalonde, table, LALONDE_COVARIATES = (
    data.cases, data.close, data.lalonde, data.table, data.LALONDE_COVARIATES,
)  # fmt: skip

# The README of the references states 1e-6 for matching and 1e-8 for Rosenbaum bounds.
MATCHED = 1e-6
BOUNDS = 1e-8

LALONDE = cases("lalonde")
CUTPOINTS = {
    "age": [20.5, 25.5, 30.5, 40.5],
    "educ": [8.5, 11.5, 12.5],
    "re74": [0.5, 5000, 15000],
    "re75": [0.5, 5000, 15000],
}
OPTIONS = {
    "lalonde-match-nn": {},
    "lalonde-match-nn-caliper": {"distance": "logit", "caliper": 0.2},
    "lalonde-match-nn-replace": {"replacement": True},
    "lalonde-match-nn-exact-race": {"exact": "race"},
    "lalonde-match-cem": {"method": "cem", "cutpoints": CUTPOINTS, "exact": ["race", "married", "nodegree"]},
    "lalonde-match-subclass": {"method": "subclass", "subclasses": 6},
}
PAIRED = [name for name in OPTIONS if name.startswith("lalonde-match-nn")]
#: Columns of the reference's rows that hold MatchIt's weights.
ROWS = {name: "wm_" + name.removeprefix("lalonde-match-") for name in OPTIONS} | {
    "lalonde-match-subclass": "wm_subclass6"
}


def matched(name, **more):
    return ev.match(lalonde(), treatment="treat", covariates=LALONDE_COVARIATES, **OPTIONS[name], **more)


@pytest.mark.parametrize("name", PAIRED)
def test_every_pair_is_the_one_of_matchit(name):
    pairs = matched(name).pairs
    ids = table("lalonde")["id"]
    ours = dict(zip(ids[pairs["participant"]], ids[pairs["comparison"]], strict=True))
    assert {who: ours.get(who) for who in LALONDE[name]["pairs"]} == LALONDE[name]["pairs"]


@pytest.mark.parametrize("name", OPTIONS)
def test_every_weight_is_the_one_of_matchit_up_to_the_scale_of_a_group(name):
    weights, theirs = matched(name).weights, table("lalonde_expected_rows")[ROWS[name]].to_numpy()
    participants = table("lalonde")["treat"].to_numpy() == 1
    for group in (participants, ~participants):
        close(weights[group] / weights[group].sum(), theirs[group] / theirs[group].sum(), 1e-12)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "lalonde-match-subclass"])
def test_counts_and_effective_numbers_are_those_of_matchit(name):
    expected, counts = LALONDE[name], matched(name).tidy()
    assert counts["n_obs"].tolist() == [expected["n_treated_all"], expected["n_control_all"]]
    assert counts["n_matched"].tolist() == [expected["n_treated_matched"], expected["n_control_matched"]]
    close(counts["ess"], [expected["ess_treated"], expected["ess_control"]], MATCHED)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_effect_and_its_error_are_those_of_matchit_and_sandwich(name):
    expected, found = LALONDE[name], matched(name)
    by_pairs = expected.get("se_pair_cluster_HC1")
    effect = ev.matched_difference(found, outcome="re78", std_error="pairs" if by_pairs else "HC1")
    close(effect.estimate[0], expected["att_re78"], MATCHED)
    close(effect.std_error[0], by_pairs or expected["se_HC1"], MATCHED)
    assert effect.variance_method == ("matched pairs (CR1)" if by_pairs else "matched weights (HC1)")
    if "att_above5k" in expected:
        close(ev.matched_difference(found, outcome="above5k").estimate[0], expected["att_above5k"], MATCHED)


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "lalonde-match-subclass"])
def test_the_balance_of_matched_groups_is_that_of_matchit(name):
    rows = ev.balance_table(matched(name)).tidy()
    level = rows["level"].astype(str)
    names = rows["covariate"] + np.where(level == "", "", "_" + level)
    ours = dict(zip(names, rows["smd_weighted"], strict=True))
    for covariate, expected in LALONDE[name]["smd_adj"].items():
        np.testing.assert_allclose(ours[covariate], expected, rtol=MATCHED, atol=1e-6, err_msg=covariate)


def test_the_caliper_is_a_share_of_the_standard_deviation_over_everybody():
    expected = 0.36090239412617
    close(matched("lalonde-match-nn-caliper").settings["caliper_width"], expected, MATCHED)
    raw = ev.match(
        lalonde(), treatment="treat", covariates=LALONDE_COVARIATES, distance="logit", caliper=expected,
        std_caliper=False,
    )  # fmt: skip
    pd.testing.assert_frame_equal(raw.pairs, matched("lalonde-match-nn-caliper").pairs)


def test_tied_partners_with_equal_shares_do_not_depend_on_the_order_of_rows():
    expected = LALONDE["lalonde-match-nn-replace"]
    averaged = matched("lalonde-match-nn-replace", average_ties=True)
    close(ev.matched_difference(averaged, outcome="re78").estimate[0], expected["att_re78_ties_averaged"], MATCHED)
    partners = averaged.pairs.groupby("participant").size()
    assert (partners > 1).sum() == expected["n_treated_with_tied_nearest_control"]
    frame = table("lalonde").sample(frac=1, random_state=3).reset_index(drop=True)
    shuffled = ev.match(
        ev.survey_design(frame), treatment="treat", covariates=LALONDE_COVARIATES, replacement=True, average_ties=True
    )
    close(ev.matched_difference(shuffled, outcome="re78").estimate[0], expected["att_re78_ties_averaged"], MATCHED)


def test_subclasses_have_the_cutpoints_and_members_of_matchit():
    expected, found = LALONDE["lalonde-match-subclass"], matched("lalonde-match-subclass")
    close(found.settings["cutpoints"], expected["cutpoints"], MATCHED)
    participants = table("lalonde")["treat"].to_numpy() == 1
    assert np.bincount(found.subclass[participants]).tolist() == expected["n_treated"]
    assert np.bincount(found.subclass[~participants]).tolist() == expected["n_control"]


@pytest.mark.parametrize(("outcome", "test"), [("re78", "wilcoxon"), ("above5k", "mcnemar")])
def test_rosenbaum_bounds_are_those_of_the_reference(outcome, test):
    expected = LALONDE["lalonde-rosenbaum"]
    rows = pd.DataFrame(expected[test])
    bounds = ev.rosenbaum_bounds(matched("lalonde-match-nn"), outcome=outcome, gamma=rows["gamma"].tolist())
    close(bounds.tidy()["p_high"], rows["p_upper"], BOUNDS)
    close(bounds.tidy()["p_low"], rows["p_lower"], BOUNDS)
    if test == "mcnemar":
        assert (bounds.statistic, bounds.n_informative) == (49, sum(expected["discordant"].values()))
