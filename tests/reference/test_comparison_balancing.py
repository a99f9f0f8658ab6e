"""Balancing weights, trimming and adjusted differences against stacked estimating equations made in R."""

import sys
from pathlib import Path

import numpy as np
import pytest

import evaluation as ev

sys.path.insert(0, str(Path(__file__).parent))
import comparison_data as known

LALONDE, NHANES, NHEFS, SURVEY = (known.cases(name) for name in ("lalonde", "nhanes", "nhefs", "integration"))
WHO = {"treatment": "treat", "covariates": known.LALONDE_COVARIATES}
#: The references of covariate balancing scores state this.
CBPS = 1e-5


def effective(weights):
    return weights.sum() ** 2 / (weights**2).sum()


def of_comparison(design, treatment="treat"):
    return design.weights[(design.data[treatment] == 0).to_numpy()]


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("moments", [1, 2])
@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_lalonde_entropy_balancing(estimand, moments, outcome):
    expected = LALONDE[f"lalonde-ebal-{estimand}-m{moments}"]
    squares = ["age", "educ", "re74", "re75"] if moments == 2 else None
    balanced = ev.entropy_balance(known.lalonde(), **WHO, estimand=estimand, moments=moments, squares=squares)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], estimate=known.STACKED, factor=known.iid(614))
    others = of_comparison(balanced)
    known.close(effective(others), expected["ess_control"], known.STACKED)
    known.close(others.max() / others.mean(), expected["max_weight_control"], known.STACKED)
    if outcome == "above5k":
        arguments = {"outcome": outcome, "treatment": "treat"}
        known.agree_in_ratios(ev.group_difference, expected[outcome], known.iid(614), design=balanced, **arguments)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATT", "ATE"])
def test_lalonde_covariate_balancing_score(estimand, outcome):
    expected = LALONDE[f"lalonde-cbps-{estimand}"]
    balanced = ev.cbps(known.lalonde(), **WHO, estimand=estimand)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], estimate=CBPS, error=CBPS, factor=known.iid(614))
    known.close(effective(of_comparison(balanced)), expected["ess_control"], CBPS)


@pytest.mark.parametrize("outcome", ["re78", "above5k"])
@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATC", "ATO", "ATM"])
def test_lalonde_propensity_weights_are_those_of_ipw(estimand, outcome):
    expected = LALONDE[f"lalonde-ipw-{estimand}"]
    balanced = ev.propensity_weights(known.lalonde(), **WHO, estimand=estimand)
    result = ev.group_difference(balanced, outcome=outcome, treatment="treat")
    known.agree(result, expected[outcome], factor=known.iid(614))
    known.close(effective(of_comparison(balanced)), expected["ess_control"], known.STACKED)
    direct = ev.ipw(known.lalonde(), outcome=outcome, **WHO, estimand=estimand)
    np.testing.assert_allclose(result.estimate, direct.estimate, rtol=1e-12)
    np.testing.assert_allclose(result.std_error, direct.std_error, rtol=1e-12)


@pytest.mark.parametrize(("name", "arguments"), [
    ("isurvey", {"outcome": "settle_high", "covariates": known.SURVEY_COVARIATES}),
    ("nhanes", {"outcome": "HI_CHOL", "covariates": known.NHANES_COVARIATES}),
])  # fmt: skip
def test_surveys_entropy_balancing(name, arguments):
    cases, design = {"isurvey": (SURVEY, known.survey()), "nhanes": (NHANES, known.nhanes())}[name]
    expected = cases[f"{name}-adjusted-ATT"]["ebal"]
    covariates, outcome = arguments["covariates"], arguments["outcome"]
    seen = design if name == "isurvey" else ev.domain(design, {outcome: [0, 1]})
    balanced = ev.entropy_balance(seen, treatment="participant", covariates=covariates)
    result = ev.group_difference(balanced, outcome=outcome, treatment="participant")
    known.agree(result, expected)
    assert result.df[0] == expected["df"]
    refitted = ev.entropy_balance(
        ev.domain(ev.as_replicates(design, kind="JKn"), {outcome: [0, 1]}),
        treatment="participant",
        covariates=covariates,
    )
    again = ev.group_difference(refitted, outcome=outcome, treatment="participant")
    known.close(again.estimate[0], expected["diff"], known.ESTIMATE)
    known.close(again.std_error[0], expected["se_diff_replicates"], 1e-3)


@pytest.mark.parametrize("estimand", ["ATE", "ATT", "ATO"])
def test_survey_unweighted_propensity(estimand):
    expected = SURVEY[f"isurvey-adjusted-{estimand}"]
    balanced = ev.propensity_weights(
        known.survey(),
        treatment="participant",
        covariates=known.SURVEY_COVARIATES,
        estimand=estimand,
        propensity="unweighted",
    )
    result = ev.group_difference(balanced, outcome="settle_high", treatment="participant")
    known.close(result.estimate[0], expected["ipw_unweighted_ps"]["diff"], known.ESTIMATE)
