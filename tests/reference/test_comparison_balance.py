"""Balance, overlap, the group against the total and external figures against the references of cobalt and survey."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import rankdata

import evaluation as ev

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))
ESTIMATE, ERROR, STACKED = known.ESTIMATE, known.ERROR, known.STACKED
LALONDE_COVARIATES, SURVEY_COVARIATES = known.LALONDE_COVARIATES, known.SURVEY_COVARIATES
close, lalonde, survey = known.close, known.lalonde, known.survey
LALONDE, SURVEY = known.cases("lalonde"), known.cases("integration")
#: A standardised difference that should be zero is rounding noise in both.
NOISE = 1e-6
NAMES = {
    "mean1_un": "mean_participants_raw",
    "mean0_un": "mean_comparison_raw",
    "smd_un": "smd_raw",
    "smd_adj": "smd_weighted",
    "mean1_adj": "mean_participants_weighted",
    "mean0_adj": "mean_comparison_weighted",
    "var_ratio_un": "variance_ratio_raw",
    "var_ratio_adj": "variance_ratio_weighted",
    "ks_un": "ks_raw",
    "ks_adj": "ks_weighted",
}


def hold_against(balance, expected):
    rows = balance.tidy()
    labels = rows["covariate"] + np.where(rows["level"] == "", "", "_" + rows["level"])
    ours = rows.set_index(labels)
    assert set(ours.index) == set(expected)
    for label, numbers in expected.items():
        for theirs, name in NAMES.items():
            if theirs in numbers:
                wanted = np.nan if numbers[theirs] is None else numbers[theirs]
                np.testing.assert_allclose(ours.loc[label, name], wanted, rtol=STACKED, atol=NOISE)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC", "ATO", "ATM"])
def test_lalonde_balance_is_that_of_cobalt(estimand):
    expected = LALONDE[f"lalonde-balance-{estimand}"]
    denominator = "balanced" if estimand in ("ATO", "ATM") else None
    groups = {"treatment": "treat", "covariates": LALONDE_COVARIATES, "estimand": estimand}
    hold_against(ev.balance_table(lalonde(), **groups, denominator=denominator), expected)
    hold_against(ev.balance_table(ev.propensity_weights(lalonde(), **groups), denominator=denominator), expected)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_survey_balance_is_that_of_cobalt(estimand):
    expected = SURVEY[f"isurvey-balance-{estimand}"]
    groups = {"treatment": "participant", "covariates": SURVEY_COVARIATES, "estimand": estimand}
    hold_against(ev.balance_table(survey(), **groups), expected)
    hold_against(ev.balance_table(ev.propensity_weights(survey(), **groups)), expected)


def test_lalonde_overlap_and_scores():
    expected, weighting = LALONDE["lalonde-ps"], LALONDE["lalonde-ipw-ATT"]
    result = ev.overlap(lalonde(), treatment="treat", covariates=LALONDE_COVARIATES)
    participants, others = result.tidy().to_dict("records")
    close([participants["minimum"], participants["maximum"]], expected["ps_range_treated"], STACKED)
    close([others["minimum"], others["maximum"]], expected["ps_range_control"], STACKED)
    assert participants["n_outside"] == expected["n_treated_outside_control_range"]
    assert others["n_outside"] == expected["n_control_outside_treated_range"]
    close([participants["ess"], others["ess"]], [weighting["ess_treated"], weighting["ess_control"]], STACKED)
    close(others["largest_weight_share"], weighting["max_weight_share_control"], STACKED)
    close(result.scores, known.table("lalonde_expected_rows")["ps"], STACKED)


def test_lalonde_scores_tell_participants_from_others_as_the_reference_says():
    """The area under the curve is the chance that a participant has the higher score."""
    result = ev.overlap(lalonde(), treatment="treat", covariates=LALONDE_COVARIATES)
    treated = known.table("lalonde")["treat"].to_numpy() == 1
    ranks = rankdata(result.scores)
    n1, n0 = treated.sum(), (~treated).sum()
    close((ranks[treated].sum() - n1 * (n1 + 1) / 2) / (n1 * n0), LALONDE["lalonde-ps"]["auc"], ESTIMATE)
    e = result.scores
    close(np.log(np.where(treated, e, 1 - e)).sum(), LALONDE["lalonde-ps"]["logLik"], STACKED)


def test_lalonde_coefficients_of_the_propensity_score():
    frame = lalonde().data.assign(
        hispan=lambda rows: (rows["race"] == "hispan") * 1.0, white=lambda rows: (rows["race"] == "white") * 1.0
    )
    names = {"age": "age", "educ": "educ", "racehispan": "hispan", "racewhite": "white", "married": "married"}
    names |= {"nodegree": "nodegree", "re74": "re74", "re75": "re75"}
    fitted = ev.survey_glm(
        ev.survey_design(frame), outcome="treat", covariates=list(names.values()), family="binomial"
    ).tidy()
    found = fitted.set_index("term")["estimate"]
    for theirs, ours in names.items():
        close(found[ours], LALONDE["lalonde-ps"]["coef"][theirs], STACKED)


def test_participants_against_the_whole_sample_share_what_they_share():
    expected = SURVEY["isurvey-vs-total"]
    result = ev.group_difference(survey(), outcome="settle_high", treatment="participant", against="all")
    close(result.estimate, [expected["diff"], expected["mean_participants"], expected["mean_comparison"]], ESTIMATE)
    close(result.std_error[0], expected["se_diff"], ERROR)
    close(result.confidence_interval()[0], expected["ci_diff"], ERROR)
    close(np.hypot(*result.std_error[1:]), expected["wrong_se_if_independent"], ERROR)
    replicates = ev.group_difference(
        ev.as_replicates(survey(), kind="JKn"), outcome="settle_high", treatment="participant", against="all"
    )
    # R's replicates deviate from the full-sample estimate, ours from their mean.
    close(replicates.std_error[0], expected["se_diff_replicates"], 1e-3)


def share_of_participants():
    return ev.survey_mean(ev.domain(survey(), {"participant": 1}), "settle_high")


def verdict():
    item = ev.Measurement("settle_high", "", "residents", "", 2016)
    return ev.assess_comparability(item, item, contains_participants=True)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("isurvey-benchmark-fixed", {}),
        ("isurvey-benchmark-se", {"std_error": 0.011}),
        ("isurvey-benchmark-n", {"n": 1500, "deff": 1.5}),
    ],
)
def test_participants_against_an_external_figure(name, options):
    expected = SURVEY[name]
    result = ev.benchmark_difference(share_of_participants(), 0.758, comparability=verdict(), **options)
    row = result.tidy().iloc[0]
    close([row["estimate"], row["std_error"], row["statistic"]], [expected[k] for k in ("diff", "se", "t")], ESTIMATE)
    close(row["p_value"], expected["p_two_sided"], ERROR)
    close([row["conf_low"], row["conf_high"]], expected["ci"], ESTIMATE)
    if "ci_logit_scale" in expected:
        logit = ev.benchmark_difference(share_of_participants(), 0.758, comparability=verdict(), interval="logit")
        close(logit.confidence_interval()[0], expected["ci_logit_scale"], ESTIMATE)
    if "df_satterthwaite_benchmark_df_inf" in expected:
        close(result.fit["df_satterthwaite"], expected["df_satterthwaite_benchmark_df_inf"], ERROR)
