"""Adjusted and raw differences against stacked estimating equations made in R, on four data sets."""

import sys
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import evaluation as ev

sys.path.insert(0, str(Path(__file__).parent))
from comparison_data import (
    ERROR,
    ESTIMATE,
    FOLDER,
    LALONDE_COVARIATES,
    NHEFS_FORMULA,
    STACKED,
    SURVEY_COVARIATES,
    agree,
    agree_in_ratios,
    cases,
    close,
    iid,
    lalonde,
    nhanes,
    nhefs,
    survey,
)

#: The references average predictions by the fitted score, where ours by default are averaged over the target group.
FITTED = {"target": "fitted"}
VERBS = {
    "ipw": ev.ipw,
    "aipw": partial(ev.aipw, **FITTED),
    "ipwra": partial(ev.ipwra, **FITTED),
    "gcomp": ev.g_computation,
}

#: The overlap population is defined by the propensity score, so g-computation has no case there.
ADJUSTED = [(e, name) for e in ("ATE", "ATT", "ATO") for name in VERBS if (e, name) != ("ATO", "gcomp")]


LALONDE, NHANES, NHEFS, SURVEY = (cases(name) for name in ("lalonde", "nhanes", "nhefs", "integration"))


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC", "ATO"])
def test_lalonde_weighting(estimand, outcome):
    expected = LALONDE[f"lalonde-ipw-{estimand}"]
    arguments = {"treatment": "treat", "covariates": LALONDE_COVARIATES, "estimand": estimand}
    result = ev.ipw(lalonde(), outcome=outcome, **arguments)
    agree(result, expected[outcome], factor=iid(614))
    close(result.fit["ess_participants"], expected["ess_treated"], STACKED)
    close(result.fit["ess_comparison"], expected["ess_control"], STACKED)
    if outcome == "above5k":
        agree_in_ratios(ev.ipw, expected[outcome], iid(614), design=lalonde(), outcome=outcome, **arguments)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
def test_lalonde_g_computation(estimand, outcome):
    result = ev.g_computation(
        lalonde(), outcome=outcome, treatment="treat", covariates=LALONDE_COVARIATES, estimand=estimand
    )
    agree(result, LALONDE[f"lalonde-gcomp-{estimand}-{outcome}"], factor=iid(614))


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
@pytest.mark.parametrize("name", ["aipw", "ipwra"])
def test_lalonde_doubly_robust(name, estimand, outcome):
    result = VERBS[name](
        lalonde(), outcome=outcome, treatment="treat", covariates=LALONDE_COVARIATES, estimand=estimand
    )
    agree(result, LALONDE[f"lalonde-dr-{estimand}-{outcome}"][name], factor=iid(614))


def test_survey_raw_difference():
    expected = SURVEY["isurvey-raw"]
    arguments = {"outcome": "settle_high", "treatment": "participant"}
    result = ev.group_difference(survey(), **arguments)
    agree(result, expected, estimate=ESTIMATE)
    tidy = result.tidy()
    close(tidy["std_error"][1:], [expected["se_participants"], expected["se_comparison"]], ERROR)
    close(tidy.loc[0, ["conf_low", "conf_high"]].to_numpy(dtype=float), expected["ci_diff"], ERROR)
    close(tidy["p_value"][0], expected["p_diff"], ERROR)
    assert tidy["n_obs"].tolist() == [3015, *expected["n"]]
    agree_in_ratios(ev.group_difference, expected, design=survey(), **arguments)


def test_survey_participants_against_everybody_share_what_they_share():
    expected = SURVEY["isurvey-vs-total"]
    result = ev.group_difference(survey(), outcome="settle_high", treatment="participant", against="all")
    agree(result, expected, estimate=ESTIMATE)
    assert result.std_error[0] < 0.9 * expected["wrong_se_if_independent"]


@pytest.mark.parametrize(("estimand", "name"), ADJUSTED)
def test_survey_adjusted_difference(estimand, name):
    expected = SURVEY[f"isurvey-adjusted-{estimand}"]
    arguments = {
        "design": survey(),
        "outcome": "settle_high",
        "treatment": "participant",
        "covariates": SURVEY_COVARIATES,
        "estimand": estimand,
    }
    result = VERBS[name](**arguments)
    agree(result, expected[name])
    assert result.df[0] == expected[name]["df"]
    agree_in_ratios(VERBS[name], expected[name], **arguments)


@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
def test_survey_marginal_difference_of_one_regression(estimand):
    expected = SURVEY[f"isurvey-logit-ame-{estimand}"]
    result = ev.regression_adjusted(
        survey(), outcome="settle_high", treatment="participant", covariates=SURVEY_COVARIATES, estimand=estimand
    )
    agree(result, expected)
    assert result.std_error[0] > expected["se_diff_conditional_delta"]


def test_survey_replicates_fit_every_model_again():
    expected = SURVEY["isurvey-adjusted-ATT"]["aipw"]
    result = VERBS["aipw"](
        ev.as_replicates(survey(), kind="JKn"),
        outcome="settle_high",
        treatment="participant",
        covariates=SURVEY_COVARIATES,
    )
    agree(result, {"diff": expected["diff"]})
    # R's number is about the full-sample estimate, ours about the mean of the replicates.
    close(result.std_error[0], expected["se_diff_replicates"], 1e-3)


@pytest.mark.parametrize(("estimand", "name"), ADJUSTED)
def test_nhanes_adjusted_difference(estimand, name):
    expected = NHANES[f"nhanes-adjusted-{estimand}"]
    result = VERBS[name](
        nhanes(),
        outcome="HI_CHOL",
        treatment="participant",
        covariates=["race", "agecat", "female"],
        estimand=estimand,
    )
    agree(result, expected[name])
    assert result.df[0] == expected[name]["df"]


def test_nhanes_raw_difference():
    agree(
        ev.group_difference(nhanes(), outcome="HI_CHOL", treatment="participant"),
        NHANES["nhanes-raw"],
        estimate=ESTIMATE,
    )


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_nhefs_weighting(estimand):
    expected = NHEFS[f"nhefs-ipw-{estimand}"]
    result = ev.ipw(nhefs(), outcome="wt82_71", treatment="qsmk", covariates=NHEFS_FORMULA, estimand=estimand)
    agree(result, expected, factor=iid(1566))
    close([result.fit["ess_participants"], result.fit["ess_comparison"]], expected["ess"], STACKED)


@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
@pytest.mark.parametrize("name", ["aipw", "ipwra", "regression_adjustment"])
def test_nhefs_doubly_robust(name, estimand):
    verb = VERBS.get(name, ev.g_computation)
    result = verb(nhefs(), outcome="wt82_71", treatment="qsmk", covariates=NHEFS_FORMULA, estimand=estimand)
    agree(result, NHEFS[f"nhefs-dr-{estimand}"][name], factor=iid(1566))


@pytest.mark.parametrize("estimand", ["ATE", "ATT"])
def test_nhefs_weighting_of_a_share(estimand):
    expected = NHEFS[f"nhefs-binary-{estimand}"]
    arguments = {"outcome": "gain5", "treatment": "qsmk", "covariates": NHEFS_FORMULA, "estimand": estimand}
    agree(ev.ipw(nhefs(), **arguments), expected, factor=iid(1566))
    agree_in_ratios(ev.ipw, expected, iid(1566), design=nhefs(), **arguments)


def test_nhefs_raw_difference():
    agree(
        ev.group_difference(nhefs(), outcome="wt82_71", treatment="qsmk"),
        NHEFS["nhefs-unadjusted"],
        estimate=ESTIMATE,
    )


# --- overlap ----------------------------------------------------------------------------------------------------


def test_lalonde_overlap():
    expected = LALONDE["lalonde-ps"]
    result = ev.overlap(lalonde(), treatment="treat", covariates=LALONDE_COVARIATES)
    participants, others = result.tidy().to_dict("records")
    close([participants["minimum"], participants["maximum"]], expected["ps_range_treated"], STACKED)
    close([others["minimum"], others["maximum"]], expected["ps_range_control"], STACKED)
    assert participants["n_outside"] == expected["n_treated_outside_control_range"]
    assert others["n_outside"] == expected["n_control_outside_treated_range"]
    weighting = LALONDE["lalonde-ipw-ATT"]
    close([participants["ess"], others["ess"]], [weighting["ess_treated"], weighting["ess_control"]], STACKED)
    close(others["largest_weight_share"], weighting["max_weight_share_control"], STACKED)
    rows = pd.read_csv(FOLDER / "lalonde_expected_rows.csv")
    close(result.scores, rows["ps"], STACKED)


# --- sensitivity and external figures -------------------------------------------------------------------------

E_VALUES = {
    "evalue-rr": {"estimate": 84.7 / 59.4, "low": 1.21, "high": 1.68},
    "evalue-rr-protective": {"estimate": 0.8, "low": 0.71, "high": 0.91},
    "evalue-or-common": {"estimate": 2.1, "low": 1.3, "high": 3.4, "scale": "odds_ratio"},
    "evalue-smd": {"estimate": 0.35, "std_error": 0.09, "scale": "smd"},
    "evalue-ci-crosses": {"estimate": 1.2, "low": 0.95, "high": 1.5},
    "evalue-nonnull": {"estimate": 84.7 / 59.4, "low": 1.21, "high": 1.68, "null": 1.2},
}


@pytest.mark.parametrize("name", list(E_VALUES))
def test_e_values(name):
    result = ev.e_value(**E_VALUES[name])
    close([result.point, result.limit], [LALONDE[name]["point"], LALONDE[name]["ci"]], ESTIMATE)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("isurvey-benchmark-fixed", {}),
        ("isurvey-benchmark-se", {"std_error": 0.011}),
        ("isurvey-benchmark-n", {"n": 1500, "deff": 1.5}),
    ],
)
def test_survey_against_an_external_figure(name, options):
    expected = SURVEY[name]
    item = ev.Measurement("settle_high", "", "residents", "", 2016)
    verdict = ev.assess_comparability(item, item, contains_participants=True)
    share = ev.survey_mean(ev.domain(survey(), {"participant": 1}), "settle_high")
    result = ev.benchmark_difference(share, 0.758, comparability=verdict, **options)
    row = result.tidy().iloc[0]
    close(row["estimate"], expected["diff"], ESTIMATE)
    close(row["std_error"], expected["se"], ESTIMATE)
    close(row["statistic"], expected["t"], ESTIMATE)
    close(row["p_value"], expected["p_two_sided"], ERROR)
    close([row["conf_low"], row["conf_high"]], expected["ci"], ESTIMATE)
    if "df_satterthwaite_benchmark_df_inf" in expected:
        close(result.fit["df_satterthwaite"], expected["df_satterthwaite_benchmark_df_inf"], ERROR)
