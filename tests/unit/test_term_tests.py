"""Tests of terms of a regression against R, by properties, and what they refuse."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evaluation as ev
from evaluation.errors import EstimationError

REFERENCE = runpy.run_path(str(Path(__file__).with_name("reference_designs.py")))
api_design, expected = REFERENCE["api_design"], REFERENCE["expected"]

TOLERANCE = 1e-6
FIRST_ITEM = [("dstrat", 67), ("dclus1", 143), ("dsc", 216)]


def logistic(design):
    return ev.survey_glm(design, outcome="comp.imp", covariates=["api99", "meals", "stype"], family="binomial")


@pytest.mark.parametrize(("name", "item"), FIRST_ITEM)
def test_wald_and_working_tests_are_those_of_r(name, item):
    fit = logistic(api_design(name))
    for step, method in enumerate(("Wald", "working_wald", "LRT")):
        want = expected()[f"dev_{item + step:03d}"]
        test = ev.term_test(fit, "stype", method=method)
        statistic = want["Ftest"][0] if method == "Wald" else want["chisq"][0]
        assert test.statistic == pytest.approx(statistic, rel=TOLERANCE)
        assert test.p_value == pytest.approx(want["p_value"], rel=TOLERANCE)
        assert [test.ndf, test.ddf] == [want["df"][0], want["ddf"][0]]
        assert list(test.weights) == pytest.approx(want.get("lambda", []), rel=TOLERANCE)


@pytest.mark.parametrize(("name", "item"), FIRST_ITEM)
def test_infinite_degrees_of_freedom_give_r_s_chi_squared(name, item):
    want = expected()[f"dev_{item + 3:03d}"]
    fit = ev.survey_glm(api_design(name), outcome="api00", covariates=["ell", "meals", "mobility", "stype"])
    test = ev.term_test(fit, "stype", df=np.inf)
    assert test.statistic == pytest.approx(want["chisq"][0], rel=TOLERANCE)
    assert np.log(test.p_value) == pytest.approx(np.log(want["p_value"]), rel=TOLERANCE)
    assert (test.distribution, test.df) == ("chi-squared", want["df"][0])


def test_one_coefficient_is_its_own_t_squared():
    fit = logistic(api_design("dclus1"))
    row = fit.tidy().set_index("term").loc["meals"]
    test = ev.term_test(fit, "meals")
    assert test.statistic == pytest.approx(row["statistic"] ** 2, rel=1e-10)
    assert test.p_value == pytest.approx(row["p_value"], rel=1e-8)
    level = ev.term_test(fit, "stype[T.H]")
    assert level.ndf == 1


def test_with_independent_respondents_the_working_tests_come_near_the_classical_one():
    rng = np.random.default_rng(8)
    frame = pd.DataFrame({"x": rng.normal(size=2000), "kind": rng.choice(list("abc"), 2000)})
    frame["y"] = (rng.random(2000) < 1 / (1 + np.exp(-frame["x"]))).astype(float)
    fit = ev.survey_glm(ev.survey_design(frame), outcome="y", covariates=["x", "kind"], family="binomial")
    test = ev.term_test(fit, "kind", method="LRT")
    assert test.weights == pytest.approx([1, 1], abs=0.1)
    assert test.p_value == pytest.approx(stats.chi2.sf(test.statistic, 2), abs=0.03)
    assert ev.term_test(fit, "kind", method="working_lrt").p_value == test.p_value


def test_all_coefficients_may_be_tested_at_once_and_scaled_weights_change_nothing():
    design = api_design("dsc", "exact")
    frame = design.data.assign(wt=design.data["wt"] * 11)
    other = ev.survey_design(frame, weights="wt", strata="stratum", psu="dnum", nested=True)
    for method in ("Wald", "working_wald", "LRT"):
        first, second = (ev.term_test(logistic(it), ["api99", "stype"], method=method) for it in (design, other))
        assert second.p_value == pytest.approx(first.p_value, rel=1e-6)
        assert first.ndf == 3
    whole = ev.term_test(logistic(design), ["(Intercept)", "api99", "meals", "stype"], method="LRT")
    assert whole.ndf == 5


def test_an_offset_and_a_domain_stay_in_the_smaller_model():
    design = ev.domain(api_design("dclus1"), {"stype": ["E", "M"]})
    fit = ev.survey_glm(
        design, outcome="api.stu", covariates=["ell", "stype"], family="poisson", offset="~ log(enroll)"
    )
    test = ev.term_test(fit, "stype", method="LRT")
    smaller = ev.survey_glm(design, outcome="api.stu", covariates=["ell"], family="poisson", offset="~ log(enroll)")
    gap = smaller.glance()["deviance"][0] - fit.glance()["deviance"][0]
    assert test.statistic == pytest.approx(gap, rel=1e-6)


def test_without_degrees_of_freedom_there_is_no_p_value():
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"psu": np.repeat(range(4), 25), "x": rng.normal(size=100), "z": rng.normal(size=100)})
    frame["u"], frame["y"] = rng.normal(size=100), rng.normal(size=100) + frame["x"]
    fit = ev.survey_glm(ev.survey_design(frame, psu="psu"), outcome="y", covariates=["x", "z", "u"])
    for method in ("Wald", "working_wald", "LRT"):
        test = ev.term_test(fit, "x", method=method)
        assert test.ddf == 0
        assert np.isnan(test.p_value)
        assert "no p-value" in test.summary()
    with pytest.raises(EstimationError, match="has no inverse: too few sampling units"):
        ev.term_test(fit, ["(Intercept)", "x", "z", "u"])


def test_what_cannot_be_tested_is_refused():
    fit = logistic(api_design("dclus1"))
    with pytest.raises(EstimationError, match=r"has no term 'stypes'\. Did you mean 'stype'\?"):
        ev.term_test(fit, "stypes")
    with pytest.raises(EstimationError, match=r"no method 'wold'\. Did you mean 'Wald'"):
        ev.term_test(fit, "stype", method="wold")
    with pytest.raises(EstimationError, match="none was given"):
        ev.term_test(fit, [])
    with pytest.raises(EstimationError, match="got rows of survey_mean"):
        ev.term_test(ev.survey_mean(api_design("dclus1"), "api00"), "api00", method="LRT")
    with pytest.raises(EstimationError, match="needs a regression, got DataFrame"):
        ev.term_test(fit.tidy(), "stype")
