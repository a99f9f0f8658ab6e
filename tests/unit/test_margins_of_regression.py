"""Predictions, average marginal effects and predictive margins: R's numbers, known cases, and refused calls."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError

ESTIMATE, ERROR = 1e-8, 1e-6
R = Path(__file__).parents[1] / "reference" / "survey"
NEW = pd.DataFrame({"api99": [500, 700, 600], "meals": [80, 20, 50], "stype": ["E", "H", "M"]})


def expected(item):
    items = json.loads((R / "expected.json").read_text(encoding="utf-8"))["items"]
    return next(one["expect"] for one in items if one["id"] == item)


def clusters(**arguments):
    return ev.survey_design(pd.read_csv(R / "apiclus1.csv"), weights="pw", psu="dnum", fpc="fpc", **arguments)


def schools():
    return ev.survey_design(pd.read_csv(R / "apistrat.csv"), weights="pw", strata="stype", fpc="fpc")


def logistic(design, covariates=("api99", "meals", "stype")):
    return ev.survey_glm(design, outcome="comp.imp", covariates=covariates, family="binomial")


def fits(design):
    return {
        "logistic": ev.survey_glm(
            design, outcome="awards", covariates="~ api99 * stype + log(enroll)", family="binomial"
        ),
        "poisson": ev.survey_glm(
            design, outcome="api.stu", covariates=["meals", "stype"], family="poisson", offset="~ log(enroll)"
        ),
        "ordinal": ev.survey_ordinal(design, outcome="stype", levels=["E", "M", "H"], covariates=["meals", "awards"]),
        "multinomial": ev.survey_multinomial(design, outcome="stype", covariates=["meals", "awards"]),
    }


@pytest.mark.parametrize(("item", "design"), [("dev_072", schools), ("dev_148", clusters)])
def test_linear_predictors_and_their_errors_are_those_of_r(item, design):
    predicted = ev.predictions(logistic(design()), NEW, type="link")
    numbers = expected(item)
    assert predicted.estimate == pytest.approx(numbers["link"], rel=ESTIMATE)
    assert predicted.std_error == pytest.approx(numbers["se"], rel=ERROR)
    assert predicted.keys.columns.tolist() == ["term", "api99", "meals", "stype"]


def test_predicted_chances_stay_between_0_and_1_and_follow_the_delta_method():
    linear, chance = (ev.predictions(logistic(schools()), NEW, type=scale) for scale in ("link", "response"))
    expit = 1 / (1 + np.exp(-linear.estimate))
    assert chance.estimate == pytest.approx(expit, rel=1e-12)
    assert chance.std_error == pytest.approx(linear.std_error * expit * (1 - expit), rel=1e-10)
    limits = 1 / (1 + np.exp(-linear.confidence_interval()))
    assert chance.confidence_interval() == pytest.approx(limits, rel=1e-12)


def test_without_new_data_every_respondent_in_the_regression_is_predicted():
    fit = logistic(schools())
    predicted = ev.predictions(fit)
    assert predicted.keys["row"].tolist() == list(range(1, 201))
    assert predicted.estimate == pytest.approx(fit.mean, rel=1e-12)
    assert np.average(predicted.estimate, weights=fit.design.weights) == pytest.approx(
        ev.survey_prop(schools(), "comp.imp").estimate[1], rel=1e-9
    )


@pytest.mark.parametrize("kind", ["logistic", "poisson", "ordinal", "multinomial"])
def test_the_influence_of_everything_is_its_numerical_derivative_in_the_weights(kind):
    one = schools()
    new = pd.DataFrame({"api99": [600], "stype": ["H"], "enroll": [900], "meals": [30], "awards": ["Yes"]})
    variable = "awards" if kind in ("ordinal", "multinomial") else "stype"

    def made(design):
        fit = fits(design)[kind]
        return [ev.predictions(fit, new), ev.marginal_effects(fit), ev.predictive_margins(fit, variable)]

    results = made(one)
    for row in (3, 120):
        step = np.zeros(200)
        step[row] = 1e-3 * one.weights[row]
        up, down = (
            made(replace(one, weights=one.weights + s * step, base_weights=one.weights + s * step)) for s in (1, -1)
        )
        for result, high, low in zip(results, up, down, strict=True):
            exact = result.influence[row] / one.weights[row]
            slope = (high.estimate - low.estimate) / (2 * step[row])
            assert slope == pytest.approx(exact, rel=1e-4, abs=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("kind", ["logistic", "ordinal", "multinomial"])
def test_replicates_agree_with_linearization(kind):
    linear, jackknife = fits(schools())[kind], fits(ev.as_replicates(schools(), kind="JKn"))[kind]
    for verb in (ev.marginal_effects, lambda fit: ev.predictions(fit, fit.design.data.head(3))):
        one, other = verb(linear), verb(jackknife)
        assert other.estimate == pytest.approx(one.estimate, rel=1e-8, abs=1e-12)
        assert other.std_error == pytest.approx(one.std_error, rel=0.2, abs=1e-9)


def test_effects_of_a_linear_model_are_its_coefficients():
    fit = ev.survey_glm(clusters(), outcome="api00", covariates=["meals", "stype", "sch.wide"])
    effects = ev.marginal_effects(fit)
    assert effects.keys["term"].tolist() == ["meals", "stype", "stype", "sch.wide"]
    assert effects.keys["contrast"].tolist() == ["dY/dX", "H - E", "M - E", "Yes - No"]
    assert effects.estimate == pytest.approx(fit.estimate[1:], rel=1e-10)
    assert effects.std_error == pytest.approx(fit.std_error[1:], rel=1e-9)


def test_the_slope_of_a_transformed_variable_is_that_of_the_transformation():
    fit = ev.survey_glm(clusters(), outcome="api00", covariates="~ log(enroll) + I(meals**2)")
    effects = ev.marginal_effects(fit)
    data, weights = fit.design.data, fit.design.weights
    by_hand = [
        fit.estimate[1] * np.average(1 / data["enroll"], weights=weights),
        fit.estimate[2] * np.average(2 * data["meals"], weights=weights),
    ]
    assert effects.estimate == pytest.approx(by_hand, rel=1e-9)


def test_effects_by_group_are_those_of_the_group():
    fit = logistic(schools(), ["api99", "mobility"])
    by_group = ev.marginal_effects(fit, "api99", by="stype")
    assert by_group.keys.columns.tolist() == ["term", "contrast", "stype"]
    slope = fit.mean * (1 - fit.mean) * fit.estimate[1]
    for level, found in zip("EHM", by_group.estimate, strict=True):
        inside = (fit.design.data["stype"] == level).to_numpy()
        assert found == pytest.approx(np.average(slope[inside], weights=fit.design.weights[inside]), rel=1e-10)
    assert by_group.n_obs.tolist() == [100, 50, 50]


def test_effects_on_the_chances_of_categories_sum_to_zero_and_chances_to_one():
    for kind in ("ordinal", "multinomial"):
        fit = fits(schools())[kind]
        assert ev.marginal_effects(fit).estimate.reshape(-1, 3).sum(axis=1) == pytest.approx(0, abs=1e-12)
        assert ev.predictive_margins(fit, "awards").estimate.reshape(-1, 3).sum(axis=1) == pytest.approx(1)
        assert ev.predictions(fit, fit.design.data.head(4)).estimate.reshape(-1, 3).sum(axis=1) == pytest.approx(1)


def test_predictive_margins_are_those_of_r_under_rs_convention():
    fit = ev.survey_glm(clusters(linearization="r"), outcome="api00", covariates=["ell", "meals"])
    margins = ev.predictive_margins(fit, "stype")
    numbers = expected("dev_432")
    at = [numbers["vcov"]["rows"].index(level) for level in margins.keys["value"]]
    assert margins.estimate == pytest.approx([numbers["estimate"][level] for level in "EHM"], rel=ESTIMATE)
    assert margins.vcov == pytest.approx(np.array(numbers["vcov"]["values"])[np.ix_(at, at)], rel=ERROR)


def test_contrasts_of_predictive_margins_are_effects():
    fit = logistic(schools())
    margins = ev.predictive_margins(fit, "stype")
    difference = ev.contrast(margins, {"H - E": {"stype | value=H": 1, "stype | value=E": -1}})
    effect = ev.marginal_effects(fit, "stype").take(np.array([0]))
    assert difference.estimate == pytest.approx(effect.estimate, rel=1e-10)
    assert difference.std_error == pytest.approx(effect.std_error, rel=1e-9)


def test_a_regression_without_covariates_predicts_the_mean_and_has_no_effects():
    fit = ev.survey_glm(clusters(), outcome="api00", covariates="~ 1")
    mean = ev.survey_mean(clusters(), "api00")
    found = ev.predictions(fit, pd.DataFrame({"any": [1, 2]}))
    assert found.estimate == pytest.approx([mean.estimate[0]] * 2, rel=1e-12)
    assert found.std_error == pytest.approx([mean.std_error[0]] * 2, rel=1e-9)
    with pytest.raises(EstimationError, match="no covariates, so there is nothing to vary"):
        ev.marginal_effects(fit)


def test_a_number_is_set_to_each_of_its_values_or_to_those_given():
    fit = ev.survey_glm(clusters(), outcome="api00", covariates=["meals", "stype"])
    found = ev.predictive_margins(fit, "meals", at=[10, 60])
    assert np.diff(found.estimate)[0] == pytest.approx(50 * fit.estimate[1], rel=1e-10)
    with pytest.raises(EstimationError, match=r"'meals' has \d+ different numbers, expected at most 20"):
        ev.predictive_margins(fit, "meals")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda f: ev.predictions(f, NEW.drop(columns="meals")), ColumnError, r"names 'meals', no column of new_data"),
        (lambda f: ev.predictions(f, NEW.assign(stype="X")), ColumnError, r"'stype' is 'X' in new_data, a level that"),
        (lambda f: ev.predictions(f, NEW.assign(api99=[1, None, 2])), ColumnError, r"'api99' is missing in 1 of 3"),
        (lambda f: ev.predictions(f, NEW.assign(api99="high")), ColumnError, r"'api99' holds text in new_data"),
        (lambda f: ev.predictions(f, {"api99": 1}), EstimationError, r"new_data must be a DataFrame"),
        (lambda f: ev.predictions(f, NEW.head(0)), EstimationError, r"0 rows of new_data, expected 1 to 5,000"),
        (lambda f: ev.predictions(f, type="odds"), EstimationError, r"must be 'response' or 'link', got 'odds'"),
        (lambda f: ev.predictions(f.take(np.array([1])), NEW), EstimationError, r"needs the whole regression"),
        (lambda f: ev.predictions(ev.survey_mean(f.design, "meals")), EstimationError, r"needs a regression, got surv"),
        (lambda f: ev.marginal_effects(f, "meal"), ColumnError, r"'meal' is not in the regression. Did you mean"),
        (lambda f: ev.marginal_effects(f, by="stpe"), ColumnError, r"no column 'stpe' in the data. Did you mean"),
        (lambda f: ev.predictive_margins(f, "stpe"), ColumnError, r"no column 'stpe' in the data"),
        (lambda f: ev.predictive_margins(f, "stype", at=["X"]), ColumnError, r"nobody in the regression has stype = "),
        (lambda f: ev.predictive_margins(f, "stype", at=[]), EstimationError, r"at=\[\] names no value"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(call, error, message):
    fit = logistic(schools())
    with pytest.raises(error, match=message):
        call(fit)


def test_categories_have_no_link_scale_and_take_no_further_variable():
    fit = fits(schools())["ordinal"]
    with pytest.raises(EstimationError, match="type='link' exists for survey_glm only"):
        ev.predictions(fit, type="link")
    with pytest.raises(ColumnError, match=r"'sch\.wide' is not in the regression\. Add it"):
        ev.predictive_margins(fit, "sch.wide")
