"""Multinomial logit: cases that reduce to known ones, replicates, and calls that are refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import ColumnError, EstimationError, IdentificationError
from evaluation.regression.model import model_of
from evaluation.regression.multinomial import _derivative, _score_and_information, fit_multinomial

R = Path(__file__).parents[1] / "reference" / "survey"


def clusters(**columns):
    frame = pd.read_csv(R / "apiclus1.csv").assign(**columns)
    return ev.survey_design(frame, weights="pw", psu="dnum", fpc="fpc")


def fitted(**arguments):
    return ev.survey_multinomial(clusters(), **{"outcome": "stype", "covariates": ["meals", "mobility"], **arguments})


def test_two_categories_are_a_logistic_regression():
    one = clusters()
    y = (one.data["awards"] == "Yes").to_numpy(dtype=float)
    model = model_of(one, y, "awards", ["meals", "mobility"])
    coefficients = fit_multinomial(model, one.weights, 1)
    logistic = ev.survey_glm(one, outcome="awards", covariates=["meals", "mobility"], family="binomial")
    assert coefficients == pytest.approx(logistic.estimate, rel=1e-10)
    contributions = one.contributions(_derivative(model, one.weights, coefficients))
    assert one.engine.covariance(contributions) == pytest.approx(logistic.vcov, rel=1e-9)


def test_one_binary_covariate_gives_the_log_odds_of_shares():
    fit = fitted(covariates="awards")
    table = ev.survey_prop(clusters(), "stype", by="awards").tidy()
    shares = table.pivot_table(index="level", columns="awards", values="estimate").to_numpy()
    odds = np.log(shares[1:] / shares[0])
    found = fit.estimate.reshape(2, 2)
    assert found[:, 0] == pytest.approx(odds[:, 0], rel=1e-9)
    assert found.sum(axis=1) == pytest.approx(odds[:, 1], rel=1e-9)


def test_the_influence_is_the_numerical_derivative_in_the_weights():
    fit = fitted()
    exact = _derivative(fit.model, fit.design.weights, fit.coefficients)
    for row in (0, 90, 182):
        step = np.zeros(183)
        step[row] = 1e-3 * fit.design.weights[row]
        up, down = (fit_multinomial(fit.model, fit.design.weights + s * step, 2, fit.coefficients) for s in (1, -1))
        assert (up - down) / (2 * step[row]) == pytest.approx(exact[row], rel=1e-5, abs=1e-10)


def test_the_likelihood_is_at_its_maximum():
    fit = fitted()
    weights = fit.design.weights
    gradient, _ = _score_and_information(fit.model, weights, fit.coefficients)
    assert np.abs(gradient).max() < 1e-10 * weights.sum() * fit.model.x.max()


def test_replicates_agree_with_linearization():
    frame = pd.read_csv(R / "apistrat.csv")
    frame["band"] = pd.qcut(frame["api99"], 3, labels=["low", "middle", "high"])
    one = ev.survey_design(frame, weights="pw", strata="stype", fpc="fpc")
    linear, jackknife = (
        ev.survey_multinomial(by, outcome="band", covariates=["awards", "stype"])
        for by in (one, ev.as_replicates(one, kind="JKn"))
    )
    assert jackknife.estimate == pytest.approx(linear.estimate, rel=1e-9)
    assert jackknife.std_error == pytest.approx(linear.std_error, rel=0.1)


def test_another_reference_is_a_difference_of_coefficients():
    usual, other = fitted(), fitted(reference="M")
    assert other.keys["level"].tolist() == ["E"] * 3 + ["H"] * 3
    assert other.estimate[:3] == pytest.approx(-usual.estimate[3:], rel=1e-9)
    assert other.estimate[3:] == pytest.approx(usual.estimate[:3] - usual.estimate[3:], rel=1e-9)
    turned = ev.contrast(usual, {"E": {"meals | level=M": -1}})
    assert turned.std_error[0] == pytest.approx(other.std_error[1], rel=1e-9)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"reference": "X"}, ColumnError, r"reference 'X' is no category of 'stype'"),
        ({"outcome": "sch.wide"}, ColumnError, r"expected at least three"),
        ({"outcome": "stpe"}, ColumnError, r"no column 'stpe' in the data. Did you mean 'stype'"),
        ({"outcome": "enroll"}, ColumnError, r"expected at most 50 categories"),
        ({"covariates": ["meal"]}, ColumnError, r"names 'meal', no column of the data. Did you mean 'meals'"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(arguments, error, message):
    with pytest.raises(error, match=message):
        fitted(**arguments)


def test_an_outcome_that_is_all_missing_is_refused():
    with pytest.raises(EstimationError, match="'none' is missing for every respondent"):
        ev.survey_multinomial(clusters(none=np.nan), outcome="none", covariates="meals")


def test_separation_is_named():
    high = pd.read_csv(R / "apiclus1.csv")["stype"] == "H"
    with pytest.raises(IdentificationError, match=r"'high' separates the outcome's categories: "):
        ev.survey_multinomial(clusters(high=high), outcome="stype", covariates=["meals", "high"])
