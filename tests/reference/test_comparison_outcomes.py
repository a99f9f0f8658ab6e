"""Outcomes other than yes and no against stacked estimating equations made in R: items, indices, spreads."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev

data = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("comparison_data.py"))))
survey, close = data.survey, data.close

# The tolerances that the cases state of themselves.
STACKED = 1e-7
POLR = 1e-4  # R's optimiser of the ordered logit stops at about five digits

CASES = data.cases("integration")
ITEMS = ["belong1", "belong2", "belong3", "belong4"]


def by_quantity(result):
    return result.tidy().set_index("quantity")


def likert(design=None, **options):
    return ev.likert_difference(
        design or survey(), outcome="settle", treatment=options.pop("treatment", "participant"), **options
    )


def test_isurvey_likert_shares_mean_and_superiority():
    expected, rows = CASES["isurvey-likert"], by_quantity(likert())
    close(rows.loc["share_participants", "estimate"], expected["p_participants"], STACKED)
    close(rows.loc["share_comparison", "estimate"], expected["p_comparison"], STACKED)
    close(
        rows.loc[["probability_superiority", "somers_d", "mean_difference"], "estimate"],
        [expected["prob_superiority"], expected["somers_d"], expected["mean_diff"]],
        STACKED,
    )
    close(rows.loc["probability_superiority", "std_error"], expected["se_prob_superiority"], STACKED)
    close(rows.loc["mean_difference", "std_error"], expected["se_mean_diff"], STACKED)
    close(
        rows.loc["probability_superiority", ["conf_low", "conf_high"]].astype(float),
        expected["ci_prob_superiority_logit"],
        STACKED,
    )


def test_isurvey_likert_superiority_on_replicates_and_its_odds():
    expected = CASES["isurvey-likert"]
    replicated = likert(ev.as_replicates(survey(), kind="JKn"))
    error = by_quantity(replicated).loc["probability_superiority", "std_error"]
    close(error, expected["se_prob_superiority_replicates"], STACKED)
    row = next(address for address in likert().addresses() if "probability_superiority" in address)
    odds = ev.nonlinear_contrast(likert(), {"odds": "p / (1 - p)"}, names={"p": row})
    close(odds.estimate, [expected["gen_odds"]], STACKED)


def test_isurvey_likert_mean_ridits_are_superiority_over_everybody():
    expected, frame = CASES["isurvey-likert"], data.table("integration_survey")
    swapped = ev.survey_design(
        frame.assign(other=1 - frame["participant"]), weights="weight", strata="stratum", psu="psu", nested=True
    )
    for design, treatment, name in (
        (survey(), "participant", "mean_ridit_participants"),
        (swapped, "other", "mean_ridit_comparison"),
    ):
        rows = by_quantity(likert(design, treatment=treatment, against="all"))
        close(rows.loc["probability_superiority", "estimate"], expected[name], STACKED)
    everybody = by_quantity(likert(against="all")).loc["share_comparison", "estimate"].to_numpy(dtype=float)
    close(np.cumsum(everybody) - everybody / 2, expected["ridit_total_reference"], STACKED)


def test_isurvey_likert_rank_test():
    expected = CASES["isurvey-likert"]
    # R ranks equal values in the order of rows.
    test = ev.survey_ranktest(survey(), "settle", "participant", ties="rows")
    close(test.statistic, expected["svyranktest_t"], STACKED)
    close(test.p_value, expected["svyranktest_p"], 1e-5)  # a p-value of 7e-18 follows t at 1e-7
    close(test.estimate, expected["svyranktest_diff"], STACKED)


def test_isurvey_ordered_logit():
    expected = CASES["isurvey-ordered-logit"]
    raw = by_quantity(likert()).loc["log_common_odds_ratio"]
    close([raw["estimate"], raw["std_error"]], [expected["raw"]["log_or"], expected["raw"]["se"]], POLR)
    adjusted = ev.survey_ordinal(survey(), outcome="settle", covariates=["participant", *data.SURVEY_COVARIATES])
    rows = adjusted.tidy().set_index("term")
    close(
        rows.loc["participant", ["estimate", "std_error"]].astype(float),
        [expected["adjusted"]["log_or"], expected["adjusted"]["se"]],
        POLR,
    )
    thresholds = expected["adjusted"]["thresholds"]
    close(rows.loc[list(thresholds), "estimate"], list(thresholds.values()), POLR)


@pytest.mark.parametrize("method", ["stacked", "replicates"])
def test_isurvey_smd_outcome(method):
    expected = CASES["isurvey-smd-outcome"]
    design = survey() if method == "stacked" else ev.as_replicates(survey(), kind="JKn")
    effect = ev.group_difference(design, outcome="trust", treatment="participant")
    made = ev.standardised_difference(effect, design)
    row = made.tidy().iloc[0]
    close(made.estimate, [expected["d"], expected["mean1"], expected["mean0"]], STACKED)
    close(row["std_error"], expected["se" if method == "stacked" else "se_replicates"], STACKED)
    close([made.fit["sd_participants"], made.fit["sd_comparison"]], [expected["sd1"], expected["sd0"]], STACKED)
    assert made.fit["denominator"] == "pooled"
    if method == "stacked":
        close([row["conf_low"], row["conf_high"]], expected["ci"], STACKED)


def index(**options):
    return ev.outcome_index(survey(), ITEMS, treatment="participant", reversed=["belong4"], **options)


def test_isurvey_index_alpha():
    expected = CASES["isurvey-index"]
    rows = by_quantity(ev.cronbach_alpha(survey(), ITEMS, reversed=["belong4"]))
    close(rows.loc["alpha", "estimate"], expected["alpha_weighted"], STACKED)
    close(rows.loc["alpha", "unweighted"], expected["alpha_unweighted"], STACKED)
    close(rows.loc["alpha_standardised", "unweighted"], expected["alpha_standardised_unweighted"], STACKED)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("klk", {}),
        ("anderson_unscaled", {"method": "anderson", "rescale": False}),
        ("anderson", {"method": "anderson"}),
    ],
)
def test_isurvey_index_difference(name, options):
    expected, made = CASES["isurvey-index"], index(**options)
    close(made.estimate[0], expected[name]["diff"], STACKED)
    as_given = ev.group_difference(made.scored, outcome="index", treatment="participant")
    close(as_given.estimate[0], expected[name]["diff"], STACKED)
    close(as_given.std_error[0], expected[name]["se_index_fixed"], STACKED)
    assert made.std_error[0] > as_given.std_error[0]
    if "anderson" in name:
        close(made.items["weight"], [expected["anderson_weights"][item] for item in ITEMS], STACKED)
    if f"first5_{name}" in expected:
        close(made.scored.data["index"].head(), expected[f"first5_{name}"], STACKED)


def test_the_error_of_an_index_is_that_of_replicates_which_standardise_anew():
    replicated = ev.as_replicates(survey(), kind="JKn")
    for method in ("kling_liebman_katz", "anderson"):
        refitted = ev.outcome_index(replicated, ITEMS, treatment="participant", reversed=["belong4"], method=method)
        # Linearization and jackknife are two estimators: 0.5 % apart at most on these data.
        np.testing.assert_allclose(index(method=method).std_error[0], refitted.std_error[0], rtol=0.005)
