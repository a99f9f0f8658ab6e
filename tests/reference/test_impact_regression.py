"""Errors of regressions with absorbed effects against fixest, clubSandwich and svyglm, each number they print."""

import contextlib

import numpy as np
import pandas as pd
import pytest
from tests.reference.impact_data import cases, close, data

import evaluation as ev
from evaluation.errors import FewClustersWarning, SharedTreatmentWarning

ESTIMATE = 1e-8
ERROR = 1e-6
#: fixest stops its steps once the deviance moves by less than 1e-8 of itself: the weights behind its errors are those
#: of the step before, which for these counts is 6e-6 away from where steps lead.
ITERATED, STOPPED = 1e-6, 1e-5

TWFE, SURVEY = cases("twfe_vcov"), cases("survey_did")
PERSONS = ["age", "age_squared", "female", "edu_1", "edu_2", "low", "hhsize"]
DONG = {"outcome": "y", "regressors": "d_dong", "covariates": PERSONS, "effects": ["dong", "year"], "time": "year"}
FEW = {"outcome": "y", "regressors": "d", "covariates": ["x"], "effects": ["gu", "year"], "time": "year"}


def persons(weights=None, **declared):
    frame = data("seoul_rcs.csv")
    frame["age_squared"] = frame["age"] ** 2
    frame["edu_1"], frame["edu_2"] = (frame["edu"] == 1).astype(int), (frame["edu"] == 2).astype(int)
    return ev.survey_design(frame, weights=weights, **declared)


@contextlib.contextmanager
def heeded(rule):
    """Expect the warning of rules that take rows as independent."""
    if rule in ("HC1", "iid"):
        with pytest.warns(SharedTreatmentWarning):
            yield
    else:
        yield


def agree(result, expected, estimate=ESTIMATE, error=ERROR):
    """Hold estimate, error, statistic, p-value and limits of every coefficient; p-values beyond underflow."""
    tidy, rows = result.tidy(), pd.DataFrame(list(expected.values()))
    close(tidy["estimate"], rows["coef"], estimate)
    close(tidy["std_error"], rows["se"], error)
    close(tidy["statistic"], rows["t"], error)
    for ours, theirs in (("conf_low", "lo"), ("conf_high", "hi")):
        assert (np.abs(tidy[ours] - rows[theirs]) <= 3 * error * rows["se"]).all()
    seen = rows["p"].to_numpy() > 1e-9
    close(tidy["p_value"][seen], rows["p"][seen], error * 10)
    small = ~seen & (rows["p"].to_numpy() > 1e-200)
    close(np.log(tidy["p_value"][small]), np.log(rows["p"][small]), error * 10)


RULES = {
    "iid": {"vcov": "iid"},
    "HC1": {"vcov": "HC1"},
    "CR1_dong": {"cluster": "dong", "vcov": "CR1"},
    "CR1_gu": {"cluster": "gu", "vcov": "CR1"},
    "CR1_psu": {"cluster": "psu", "vcov": "CR1"},
    "CR1_twoway_gu_year": {"cluster": ["gu", "year"]},
    "CR1_twoway_dong_year": {"cluster": ["dong", "year"]},
    "CR1_gu_K_full_t_conv": {"cluster": "gu", "vcov": "CR1", "small_sample": "all", "df": "residual"},
    "CR1_gu_no_adj": {"cluster": "gu", "vcov": "CR0"},
    "conley_5km": {"vcov": "conley", "coordinates": ("lat", "lon"), "cutoff": 5},
    "conley_3km": {"vcov": "conley", "coordinates": ("lat", "lon"), "cutoff": 3},
}
PERSON_CASES = [
    (weights, rule)
    for weights in ("unweighted", "weighted")
    for rule in TWFE[f"rcs_twfe_dongFE_yearFE_{weights}"]["vcov"]
    if not rule.endswith("_nofix_se")
]


@pytest.mark.parametrize(("weights", "rule"), PERSON_CASES)
def test_every_error_of_repeated_cross_sections(weights, rule):
    design = persons("w" if weights == "weighted" else None)
    with heeded(rule):
        result = ev.fe_regression(design, **DONG, **RULES[rule])
    agree(result, TWFE[f"rcs_twfe_dongFE_yearFE_{weights}"]["vcov"][rule])


@pytest.mark.parametrize("weights", ["unweighted", "weighted"])
def test_the_plain_errors_of_an_indefinite_matrix_are_kept(weights):
    expected = TWFE[f"rcs_twfe_dongFE_yearFE_{weights}"]["vcov"]["CR1_twoway_gu_year_nofix_se"]
    result = ev.fe_regression(persons("w" if weights == "weighted" else None), **DONG, cluster=["gu", "year"])
    close(result.fit["std_error_unrepaired"], list(expected.values()), ERROR)
    assert result.fit["n_eigenvalues_repaired"] > 0
    assert result.df.tolist() == [7] * len(result)


@pytest.mark.parametrize("treatment", ["d", "dose"])
@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("NW3", {"vcov": "newey_west", "lags": 3, "unit": "gu"}),
        ("DK3", {"vcov": "driscoll_kraay", "lags": 3}),
        ("twoway", {"cluster": ["gu", "year"]}),
        ("CR1_gu", {"cluster": "gu", "vcov": "CR1"}),
        ("HC1", {"vcov": "HC1"}),
        ("iid", {"vcov": "iid"}),
    ],
)
def test_every_error_of_a_panel(treatment, rule, asked):
    design = ev.survey_design(data("seoul_gu_panel.csv"))
    with heeded(rule):
        result = ev.fe_regression(
            design, outcome="y", regressors=treatment, effects=["gu", "year"], time="year", **asked
        )
    agree(result, TWFE[f"panel_twfe_{treatment}"]["vcov"][rule])


def test_each_district_with_its_own_trend():
    design = ev.survey_design(data("seoul_gu_panel.csv"))
    result = ev.fe_regression(
        design, outcome="y", regressors="d", effects=["gu", "year"], trends="gu", time="year", cluster="gu", vcov="CR1"
    )
    agree(result, TWFE["panel_twfe_gu_trend"]["vcov"]["CR1_gu"])


@pytest.mark.parametrize(
    ("case", "rule", "outcome", "family", "weights", "error"),
    [
        ("rcs_poisson", "CR1_gu", "ycnt", "poisson", "w", STOPPED),
        ("rcs_poisson", "HC1", "ycnt", "poisson", "w", STOPPED),
        ("rcs_logit", "CR1_gu", "ybin", "binomial", None, ITERATED),
    ],
)
def test_counts_and_shares(case, rule, outcome, family, weights, error):
    expected = TWFE[case]
    asked = {"cluster": "gu", "vcov": "CR1"} if rule == "CR1_gu" else {"vcov": "HC1"}
    result = ev.fe_regression(
        persons(weights),
        outcome=outcome,
        regressors="d_dong",
        covariates=["age", "female", "low"],
        effects=["gu", "year"],
        family=family,
        df="normal",
        **asked,
    )
    agree(result, expected["vcov"][rule], ITERATED, error)
    close(result.fit["deviance"], expected["deviance"], ESTIMATE)


def few(case):
    return ev.survey_design(data("seoul_few.csv"), weights="w" if case == "few_crv_wls" else None)


CLUB = [
    (case, source, rule)
    for case in ("few_crv_ols", "few_crv_wls", "panel_crv")
    for source in ("clubSandwich", "clubSandwich_within")
    for rule in TWFE[case][source]
]


@pytest.mark.parametrize(("case", "source", "rule"), CLUB)
def test_errors_corrected_for_leverage(case, source, rule):
    expected = TWFE[case][source][rule]
    asked = {
        "CR0": {"vcov": "CR0"},
        "CR1": {"vcov": "CR1", "small_sample": "clusters"},
        "CR1S": {"vcov": "CR1", "small_sample": "all"},
        "CR2": {"vcov": "CR2", "small_sample": "all" if source == "clubSandwich" else "nonnested"},
        "CR3": {"vcov": "CR3"},
    }[rule]
    model = FEW | ({} if case.startswith("few") else {"covariates": []})
    design = few(case) if case.startswith("few") else ev.survey_design(data("seoul_gu_panel.csv"))
    for df, name in (("satterthwaite", "p_satt"), ("clusters", "p_naive_t"), ("normal", "p_z")):
        with warned(case):
            result = ev.fe_regression(design, **model, cluster="gu", df=df, **asked)
        tidy = result.tidy().iloc[0]
        close(tidy["estimate"], expected["coef"], ESTIMATE)
        close(tidy["std_error"], expected["se"], ERROR)
        close(np.log(tidy["p_value"]), np.log(expected[name]), ERROR * 10)
        if df == "satterthwaite":
            close(tidy["df"], expected["df_satt"], ERROR)


@contextlib.contextmanager
def warned(case):
    if case.startswith("few"):
        with pytest.warns(FewClustersWarning):
            yield
    else:
        yield


def test_the_jackknife_is_cr3_but_for_a_factor_under_weights_too():
    for case in ("few_crv_ols", "few_crv_wls"):
        with pytest.warns(FewClustersWarning):
            result = ev.fe_regression(few(case), **FEW, cluster="gu")
        close(result.std_error[0], np.sqrt(11 / 12) * TWFE[case]["clubSandwich_within"]["CR3"]["se"], ERROR)


FAMILIES = {"gaussian": "y", "logit": "ybin", "poisson": "ycnt"}
DESIGNS = {"strat_psu": {"strata": "stratum", "psu": "psu", "nested": True}, "cluster_gu": {"psu": "gu"}}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("declared", DESIGNS)
def test_errors_of_the_sampling_design(declared, family):
    expected = SURVEY[f"svyglm_{declared}_{family}"]
    result = ev.fe_regression(
        persons("w", **DESIGNS[declared]),
        outcome=FAMILIES[family],
        regressors=["d_dong", "d_dong:low"],
        covariates=["low", "age", "female"],
        effects=["gu", "year"],
        family={"logit": "binomial"}.get(family, family),
    )
    order = ["d_dong", "low", "d_dong:low", "age", "female"]
    tidy = result.tidy().set_index("term")
    held = [term for term in order if term in expected["coef"]]
    assert held[0] == "d_dong"
    for term in held:
        numbers = expected["coef"][term]
        close(tidy.loc[term, "estimate"], numbers["coef"], ITERATED)
        close(tidy.loc[term, "std_error"], numbers["se"], ITERATED)
        if numbers.get("p") is None:
            assert np.isnan(tidy.loc[term, "p_value"])
        else:
            close(tidy.loc[term, "p_value"], numbers["p"], 1e-5)
    assert result.df[0] == expected["df_resid"]
    among = ev.contrast(result, {"among low": {"d_dong": 1, "d_dong:low": 1}})
    close(among.estimate[0], expected["contrast_sum"]["est"], ITERATED)
    close(among.std_error[0], expected["contrast_sum"]["se"], ITERATED)


def test_errors_of_replicates():
    expected = SURVEY["svyglm_replicate_JK1_gu"]
    design = ev.as_replicates(persons("w", psu="gu"), kind="JK1")
    result = ev.fe_regression(
        design,
        outcome="y",
        regressors=["d_dong", "d_dong:low"],
        covariates=["low", "age", "female"],
        effects=["g_gu", "year"],
    )
    tidy = result.tidy().set_index("term")
    for term in ("d_dong", "low", "d_dong:low", "age"):
        close(tidy.loc[term, "estimate"], expected["coef"][term]["coef"], ESTIMATE)
        close(tidy.loc[term, "std_error"], expected["coef"][term]["se"], ERROR)
    assert result.df[0] == expected["df_resid"]


def test_a_part_of_the_sample():
    expected = SURVEY["svyglm_subpop_city"]
    design = ev.domain(persons("w", **DESIGNS["strat_psu"]), {"city": 1})
    result = ev.fe_regression(
        design, outcome="y", regressors="d_dong", covariates=["age", "female"], effects=["gu", "year"]
    )
    tidy = result.tidy().set_index("term")
    for term in ("d_dong", "age"):
        close(tidy.loc[term, "estimate"], expected["coef"][term]["coef"], ESTIMATE)
        close(tidy.loc[term, "std_error"], expected["coef"][term]["se"], ERROR)
    assert result.df[0] == expected["df_resid"]


def test_two_groups_and_two_years():
    expected = SURVEY["did_2x2_design_based"]
    frame = data("seoul_rcs.csv")
    frame["part"] = (frame["year"].isin([2014, 2016]) & frame["g_dong"].isin([2015, 0])).astype(int)
    frame["tr"], frame["po"] = (frame["g_dong"] == 2015).astype(int), (frame["year"] == 2016).astype(int)
    design = ev.domain(ev.survey_design(frame, weights="w", **DESIGNS["strat_psu"]), {"part": 1})
    result = ev.fe_regression(design, outcome="y", regressors="tr:po", covariates=["tr", "po"])
    tidy = result.tidy().set_index("term")
    for term in ("tr", "po", "tr:po"):
        close(tidy.loc[term, "estimate"], expected["coef"][term]["coef"], ESTIMATE)
        close(tidy.loc[term, "std_error"], expected["coef"][term]["se"], ERROR)
    assert result.df[0] == expected["df_resid"]
