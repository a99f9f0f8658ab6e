"""Proportional odds: R's numbers, cases that reduce to known ones, and calls that are refused."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.regression.ordinal import _derivative, _score_and_information, fit_ordinal

ERROR = 1e-6
R = Path(__file__).parents[1] / "reference" / "survey"


def schools():
    frame = pd.read_csv(R / "apistrat.csv")
    return frame.assign(mealcat=pd.cut(frame["meals"], [0, 25, 50, 75, 100], include_lowest=True))


def design(frame=None, **arguments):
    return ev.survey_design(schools() if frame is None else frame, weights="pw", strata="stype", fpc="fpc", **arguments)


def fitted(**arguments):
    return ev.survey_ordinal(
        design(), **{"outcome": "mealcat", "covariates": ["avg.ed", "mobility", "stype"], **arguments}
    )


def test_coefficients_and_errors_are_those_of_r_as_far_as_r_goes():
    items = json.loads((R / "expected.json").read_text(encoding="utf-8"))["items"]
    numbers = next(item["expect"] for item in items if item["id"] == "dev_431")
    fit = fitted()
    # R stops its search at five digits and takes second derivatives by differences.
    assert fit.estimate == pytest.approx(list(numbers["coef"].values()), rel=1e-4)
    assert fit.std_error == pytest.approx(list(numbers["se"].values()), rel=5e-4)


def test_errors_are_those_of_r_when_its_search_and_differences_are_made_finer():
    # svyolr(..., control = list(reltol = 1e-16, maxit = 2000, ndeps = rep(1e-5, 7),
    #        parscale = c(1, .02, 1, 1, 1, 1, 1)))
    assert fitted().std_error[:3] == pytest.approx([0.5025731691626, 0.0117106318095, 0.4470873459012], rel=ERROR)


def test_the_likelihood_is_at_its_maximum():
    fit = fitted()
    weights = np.where(fit.model.used, fit.design.weights, 0)
    gradient, information = _score_and_information(fit.model, weights, fit.coefficients)
    assert np.abs(gradient).max() < 1e-10 * weights.sum()
    assert np.linalg.eigvalsh(information).min() > 0


def test_the_influence_is_the_numerical_derivative_in_the_weights():
    fit = fitted()
    exact = _derivative(fit.model, fit.design.weights, fit.coefficients)
    for row in (0, 90, 199):
        step = np.zeros(200)
        step[row] = 1e-3 * fit.design.weights[row]
        up, down = (fit_ordinal(fit.model, fit.design.weights + s * step, 3, fit.coefficients) for s in (1, -1))
        assert (up - down) / (2 * step[row]) == pytest.approx(exact[row], rel=1e-5, abs=1e-10)


def test_without_covariates_thresholds_are_the_log_odds_of_cumulative_shares():
    fit = fitted(covariates="~ 1")
    shares = np.cumsum(ev.survey_prop(design(), "mealcat").estimate)[:-1]
    assert fit.estimate == pytest.approx(np.log(shares / (1 - shares)), rel=1e-9)


def test_turning_the_scale_round_turns_the_signs():
    there, back = fitted(), fitted(levels=schools()["mealcat"].cat.categories[::-1].tolist())
    assert back.estimate[:4] == pytest.approx(-there.estimate[:4], rel=1e-8)
    assert back.estimate[4:] == pytest.approx(-there.estimate[:3:-1], rel=1e-8)
    assert back.std_error[:4] == pytest.approx(there.std_error[:4], rel=1e-8)


def test_replicates_agree_with_linearization():
    fit = ev.survey_ordinal(ev.as_replicates(design(), kind="JKn"), outcome="mealcat", covariates=["avg.ed", "stype"])
    linear = ev.survey_ordinal(design(), outcome="mealcat", covariates=["avg.ed", "stype"])
    assert fit.estimate.tolist() == pytest.approx(linear.estimate.tolist(), rel=1e-9)
    assert fit.std_error == pytest.approx(linear.std_error, rel=0.1)


def test_numbers_need_no_levels_and_missing_values_leave_a_level_out():
    frame = schools().assign(grade=lambda f: f["mealcat"].cat.codes.astype(float))
    frame.loc[frame["grade"] == 3, "mobility"] = np.nan
    fit = ev.survey_ordinal(design(frame), outcome="grade", covariates="mobility")
    assert fit.keys["term"].tolist() == ["mobility", "0|1", "1|2"]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"outcome": "stype"}, ColumnError, r"'stype' is text \('E', 'H', 'M'\), whose order is not known"),
        ({"outcome": "stype", "levels": ["E", "M"]}, ColumnError, r"holds 'H', which is not among levels"),
        ({"outcome": "sch.wide", "levels": ["No", "Yes"]}, ColumnError, r"2 categories .* expected at least three"),
        ({"outcome": "enroll"}, ColumnError, r"different values, expected at most 50 categories"),
        ({"outcome": "mealct"}, ColumnError, r"no column 'mealct' in the data. Did you mean 'mealcat'"),
        ({"covariates": "~ 0 + avg.ed"}, ColumnError, r"avg"),
        ({"covariates": "~ 0 + mobility"}, EstimationError, r"thresholds take the place of the intercept"),
        ({"covariates": ["mobilty"]}, ColumnError, r"names 'mobilty', no column of the data. Did you mean 'mobility'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        fitted(**arguments)


def test_an_outcome_that_is_all_missing_is_refused():
    with pytest.raises(EstimationError, match="'none' is missing for every respondent who counts"):
        ev.survey_ordinal(design(schools().assign(none=np.nan)), outcome="none", covariates="mobility")


def test_separation_is_named():
    frame = schools().assign(grade=lambda f: f["mealcat"].cat.codes, top=lambda f: f["mealcat"].cat.codes == 3)
    with pytest.raises(IdentificationError, match=r"'top' separates the outcome's levels: "):
        ev.survey_ordinal(design(frame), outcome="grade", covariates=["mobility", "top"])


def test_parallel_slopes_are_tested_by_the_joint_covariance_of_logistic_regressions():
    fit = fitted(covariates=["mobility"])
    frame = schools().assign(**{f"above{k}": lambda f, k=k: f["mealcat"].cat.codes > k for k in range(3)})
    one = design(frame)
    fits = [ev.survey_glm(one, outcome=f"above{k}", covariates=["mobility"], family="binomial") for k in range(3)]
    joint = one.engine.covariance(np.hstack([each.contributions[:, [1]] for each in fits]))
    slopes = np.array([each.estimate[1] for each in fits])
    apart = np.array([[-1, 1, 0], [-1, 0, 1]])
    wald = (apart @ slopes) @ np.linalg.solve(apart @ joint @ apart.T, apart @ slopes)
    test = ev.parallel_slopes_test(fit)
    assert (test.ndf, test.ddf) == (2, fit.df[0])
    assert test.statistic == pytest.approx(wald / 2, rel=1e-8)
    jackknife = ev.parallel_slopes_test(
        ev.survey_ordinal(ev.as_replicates(design(), kind="JKn"), outcome="mealcat", covariates="mobility")
    )
    assert jackknife.statistic == pytest.approx(test.statistic, rel=0.3)


def test_slopes_that_are_parallel_pass_and_others_fail():
    rng = np.random.default_rng(5)
    x = rng.normal(size=4000)
    odds = x + rng.logistic(size=4000)
    frame = pd.DataFrame(
        {"x": x, "even": np.digitize(odds, [-1, 1]), "uneven": np.digitize(odds + x * (odds > 0), [-1, 1])}
    )
    p_values = [
        ev.parallel_slopes_test(ev.survey_ordinal(ev.survey_design(frame), outcome=name, covariates="x")).p_value
        for name in ("even", "uneven")
    ]
    assert p_values[0] > 0.05
    assert p_values[1] < 1e-6


def test_parallel_slopes_need_an_ordinal_regression_with_slopes():
    with pytest.raises(EstimationError, match=r"needs a regression from ev\.survey_ordinal"):
        ev.parallel_slopes_test(ev.survey_mean(design(), "mobility"))
    with pytest.raises(EstimationError, match="has no covariates, so there are no slopes"):
        ev.parallel_slopes_test(fitted(covariates="~ 1"))


def test_a_constant_outcome_is_refused():
    with pytest.raises(EstimationError, match=r"'same' is constant \(3\) for all 200 respondents"):
        ev.survey_ordinal(design(schools().assign(same=3)), outcome="same", covariates="mobility")
