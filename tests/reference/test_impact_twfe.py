"""Two-way fixed effects against fixest, clubSandwich, summclust, svyglm and TwoWayFEWeights, on simulated roll-outs."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import evaluation as ev
from evaluation.errors import FewClustersWarning, SharedTreatmentWarning

ESTIMATE = 1e-8
ERROR = 1e-6
FLOOR = 1e-12

FOLDER = Path(__file__).parent / "impact"
PERSONS = ["age", "age_squared", "female", "edu_1", "edu_2", "low", "hhsize"]
DONG = {"outcome": "y", "treatment": "d_dong", "covariates": PERSONS, "unit": "dong", "time": "year"}
PANEL = {"outcome": "y", "unit": "gu", "time": "year"}
FEW = {"outcome": "y", "treatment": "d", "covariates": ["x"], "unit": "gu", "time": "year", "cluster": "gu"}


def cases(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["cases"]


TWFE, DID, SURVEY = (cases(name) for name in ("twfe_vcov", "did_estimators", "survey_did"))


def persons(weights=None, **declared):
    frame = pd.read_csv(FOLDER / "seoul_rcs.csv")
    frame["age_squared"] = frame["age"] ** 2
    frame["edu_1"], frame["edu_2"] = (frame["edu"] == 1).astype(int), (frame["edu"] == 2).astype(int)
    return ev.survey_design(frame, weights=weights, **declared)


def districts():
    frame = pd.read_csv(FOLDER / "seoul_gu_panel.csv")
    since = (frame["year"] - frame["g"]).where(frame["g"] > 0)
    for e in sorted(since.dropna().astype(int).unique()):
        frame[f"rel::{e}"] = (since == e).astype(int)
    for year in range(2010, 2021):
        frame[f"x_{year}"] = frame["x"] * (frame["year"] == year)
    return frame


def close(ours, expected, tolerance):
    np.testing.assert_allclose(ours, expected, rtol=tolerance, atol=FLOOR)


def agree(result, expected, order=None):
    """Hold every coefficient that the reference has: estimate, error, limits; p-values beyond underflow."""
    tidy = result.tidy() if order is None else result.tidy().set_index("term").loc[order].reset_index()
    rows = pd.DataFrame(list(expected.values()))
    close(tidy["estimate"], rows["coef"], ESTIMATE)
    close(tidy["std_error"], rows["se"], ERROR)
    close(tidy["conf_low"], rows["lo"], ERROR)
    close(tidy["conf_high"], rows["hi"], ERROR)
    seen = rows["p"].to_numpy() > 1e-9
    close(tidy["p_value"][seen], rows["p"][seen], ERROR * 10)


@pytest.mark.parametrize(("rule", "cluster"), [("CR1_gu", "gu"), ("CR1_dong", "dong"), ("CR1_psu", "psu")])
@pytest.mark.parametrize("weights", [None, "w"])
def test_cluster_errors_of_repeated_cross_sections(weights, rule, cluster):
    expected = TWFE[f"rcs_twfe_dongFE_yearFE_{'weighted' if weights else 'unweighted'}"]
    result = ev.twfe(persons(weights), **DONG, cluster=cluster, vcov="CR1")
    agree(result, expected["vcov"][rule])
    close(result.fit["r2_within"], expected["r2_within"], ESTIMATE)
    assert result.fit["n_used"] == expected["nobs"]
    assert result.fit["n_units"] == expected["n_dong"]


@pytest.mark.parametrize("weights", [None, "w"])
def test_sandwich_without_small_sample_factor(weights):
    expected = TWFE[f"rcs_twfe_dongFE_yearFE_{'weighted' if weights else 'unweighted'}"]
    agree(ev.twfe(persons(weights), **DONG, cluster="gu", vcov="CR0"), expected["vcov"]["CR1_gu_no_adj"])


@pytest.mark.parametrize("weights", [None, "w"])
def test_rows_as_independent_are_answered_with_a_warning(weights):
    expected = TWFE[f"rcs_twfe_dongFE_yearFE_{'weighted' if weights else 'unweighted'}"]
    with pytest.warns(SharedTreatmentWarning):
        result = ev.twfe(persons(weights), **DONG, vcov="HC1")
    agree(result, expected["vcov"]["HC1"])


def test_an_interaction_with_its_covariance():
    expected = TWFE["rcs_twfe_interaction_low"]
    result = ev.twfe(
        persons("w"),
        outcome="y",
        treatment=["d_dong", "d_dong:low"],
        covariates=["low", "age", "female"],
        unit="dong",
        time="year",
        cluster="gu",
        vcov="CR1",
    )
    agree(result, expected["table"], list(expected["table"]))
    among_low = ev.contrast(result, {"among low": {"d_dong": 1, "d_dong:low": 1}})
    close(among_low.estimate[0], expected["sum_effect_low"], ESTIMATE)
    place = [expected["order"].index(term) for term in ("d_dong", "d_dong:low")]
    covariance = np.array(expected["V"])[np.ix_(place, place)]
    close(among_low.std_error[0], np.sqrt(covariance.sum()), ERROR)
    close(result.vcov[:2, :2], covariance, ERROR)


@pytest.mark.parametrize("treatment", ["d", "dose"])
@pytest.mark.parametrize(("rule", "vcov"), [("CR1_gu", "CR1"), ("HC1", "HC1"), ("iid", "iid")])
def test_a_panel_of_districts(treatment, rule, vcov):
    cluster = "gu" if vcov == "CR1" else None
    design = ev.survey_design(districts())
    heeded = contextlib.nullcontext() if cluster else pytest.warns(SharedTreatmentWarning)
    with heeded:
        result = ev.twfe(design, **PANEL, treatment=treatment, cluster=cluster, vcov=vcov)
    agree(result, TWFE[f"panel_twfe_{treatment}"]["vcov"][rule])


def test_each_district_with_its_own_trend():
    result = ev.twfe(ev.survey_design(districts()), **PANEL, treatment="d", cluster="gu", trends=True, vcov="CR1")
    agree(result, TWFE["panel_twfe_gu_trend"]["vcov"]["CR1_gu"])


def test_a_covariate_by_year_under_population_weights():
    design = ev.survey_design(districts(), weights="pop")
    more = [f"x_{year}" for year in range(2010, 2021)]
    more = [name for name in more if design.data[name].any()]
    result = ev.twfe(design, **PANEL, treatment="d", covariates=more, cluster="gu", vcov="CR1")
    agree(result, TWFE["panel_twfe_x_by_year_popweight"]["vcov"]["CR1_gu"], ["d"])


@pytest.mark.parametrize(("case", "weights"), [("few_cv3_jackknife", None), ("few_cv3_jackknife_w", "w")])
def test_the_jackknife_with_every_cluster_left_out(case, weights):
    expected = TWFE[case]
    design = ev.survey_design(pd.read_csv(FOLDER / "seoul_few.csv"), weights=weights)
    with pytest.warns(FewClustersWarning):
        result = ev.twfe(design, **FEW)
    close(result.estimate[0], expected["coef"], ESTIMATE)
    close(result.std_error[0], expected["CV3_se"], ERROR)
    assert result.df[0] == expected["df"]
    without = ev.leave_one_out(result).tidy().query("term == 'd'")
    assert without["gu"].astype(str).tolist() == list(expected["loo"])
    close(without["estimate"], list(expected["loo"].values()), ESTIMATE)
    with pytest.warns(FewClustersWarning):
        centred = ev.twfe(design, **FEW, vcov="CV3J")
    close(centred.std_error[0], expected["CV3J_se"], ERROR)


def test_leverage_of_each_cluster():
    expected = TWFE["few_summclust"]
    with pytest.warns(FewClustersWarning):
        result = ev.twfe(ev.survey_design(pd.read_csv(FOLDER / "seoul_few.csv")), **FEW)
    without = ev.leave_one_out(result).tidy().query("term == 'd'")
    close(without["leverage"], list(expected["leverage"].values()), ESTIMATE)
    close(without["partial_leverage"], expected["partial_leverage"], ESTIMATE)


@pytest.mark.parametrize(("case", "weights"), [("few_crv_ols", None), ("few_crv_wls", "w")])
def test_sandwich_and_jackknife_of_another_package(case, weights):
    expected = TWFE[case]
    design = ev.survey_design(pd.read_csv(FOLDER / "seoul_few.csv"), weights=weights)
    with pytest.warns(FewClustersWarning):
        plain = ev.twfe(design, **FEW, vcov="CR0")
    close(plain.estimate[0], expected["clubSandwich"]["CR0"]["coef"], ESTIMATE)
    close(plain.std_error[0], expected["clubSandwich"]["CR0"]["se"], ERROR)
    with pytest.warns(FewClustersWarning):
        jackknife = ev.twfe(design, **FEW)
    close(jackknife.std_error[0], np.sqrt(11 / 12) * expected["clubSandwich_within"]["CR3"]["se"], ERROR)


def test_the_panel_jackknife_of_another_package():
    result = ev.twfe(ev.survey_design(districts()), **PANEL, treatment="d", cluster="gu")
    close(result.std_error[0], np.sqrt(36 / 37) * TWFE["panel_crv"]["clubSandwich_within"]["CR3"]["se"], ERROR)


def test_event_time_dummies():
    expected = DID["es_twfe_gu_panel"]["event_time"]
    result = ev.twfe(ev.survey_design(districts()), **PANEL, treatment=list(expected), cluster="gu", vcov="CR1")
    agree(result, expected)


def test_errors_of_the_sampling_design():
    expected = SURVEY["svyglm_strat_psu_gaussian"]
    design = persons("w", strata="stratum", psu="psu", nested=True)
    result = ev.twfe(
        design,
        outcome="y",
        treatment=["d_dong", "d_dong:low"],
        covariates=["low", "age", "female"],
        unit="gu",
        time="year",
    )
    named = {term: row for term, row in expected["coef"].items() if term in set(result.keys["term"])}
    assert "d_dong" in named
    agree(result, named, list(named))
    assert result.df[0] == expected["df_resid"]


def test_where_no_degrees_of_freedom_are_left_there_is_no_p_value():
    expected = SURVEY["svyglm_cluster_gu_gaussian"]
    result = ev.twfe(
        persons("w", psu="gu"),
        outcome="y",
        treatment=["d_dong", "d_dong:low"],
        covariates=["low", "age", "female"],
        unit="gu",
        time="year",
    )
    close(result.std_error[0], expected["coef"]["d_dong"]["se"], ERROR)
    assert result.df[0] == expected["df_resid"] < 0
    assert result.tidy()["p_value"].isna().all()


def test_weights_of_the_treated_cells():
    expected = cases("weights_efficient")["twfe_weights_gu_panel"]
    weights = ev.twfe_weights(ev.survey_design(districts()), **PANEL, treatment="d")
    close(weights.coefficient, expected["beta"], ESTIMATE)
    cells = expected["n_pos"]  # R divides the variance of the weights by cells less one, the paper by cells
    close(weights.sensitivity * np.sqrt((cells - 1) / cells), expected["sensibility"], ESTIMATE)
    close(weights.frame["weight"].sum(), expected["sum_pos"], ESTIMATE)
    assert (weights.n_positive, weights.n_negative) == (expected["n_pos"], expected["n_neg"])
