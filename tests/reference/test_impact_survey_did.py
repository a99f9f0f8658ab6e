"""Design-based regressions with treatment by period and by subgroup against R survey: every case of survey_did.json."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import evaluation as ev
from evaluation.errors import EstimationError

known = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("impact_data.py"))))

TOLERANCE = 1e-7
#: R stops when the deviance moves by less than 1e-8 and takes the error from the weights before that.
POISSON_ERROR = 1e-6

CASES = known.cases("survey_did")
FAMILY = {"gaussian": ("y", "gaussian"), "logit": ("ybin", "binomial"), "poisson": ("ycnt", "poisson")}
TERMS = {"d_dong", "low", "age"}


def answers():
    """Persons, with district, year and cohort as categories."""
    frame = known.data("seoul_rcs.csv")
    return frame.assign(
        district=frame["gu"].map("d{:02d}".format),
        wave=frame["year"].map("y{}".format),
        group=frame["g_gu"].map("g{:04d}".format),
    )


def sampled(frame):
    return ev.survey_design(frame, weights="w", strata="stratum", psu="psu", nested=True, lonely_psu="centre")


def by_district(frame):
    return ev.survey_design(frame, weights="w", psu="district")


def held(fit, case, error=TOLERANCE):
    """Hold coefficients, errors, tests and intervals; no p-value where no degrees of freedom are left."""
    rows = fit.tidy().set_index("term")
    for term, expected in case["coef"].items():
        row = rows.loc[term]
        known.close(row["estimate"], expected["coef"], TOLERANCE)
        known.close(row["std_error"], expected["se"], error)
        known.close(row["statistic"], expected["t"], error)
        assert row["df"] == case["df_resid"]
        for ours, theirs in (("p_value", "p"), ("conf_low", "lo"), ("conf_high", "hi")):
            if expected[theirs] is None:
                assert np.isnan(row[ours])
            elif ours == "p_value" and expected[theirs] < 1e-9:
                known.close(np.log(row[ours]), np.log(expected[theirs]), error)
            else:
                known.close(row[ours], expected[theirs], error, floor=error * row["std_error"])


def test_every_case_is_held_here():
    here = {f"svyglm_{design}_{kind}" for design in ("strat_psu", "cluster_gu") for kind in FAMILY}
    assert here | {
        "svyglm_replicate_JK1_gu",
        "svyglm_subpop_city",
        "cell_means_gu_year",
        "did_2x2_design_based",
    } == set(CASES)


FORMULA = "~ d_dong + low + d_dong:low + age + female + district + wave"


@pytest.mark.parametrize("kind", FAMILY)
def test_a_regression_with_treatment_by_group_is_that_of_r(kind):
    case, made, (outcome, family) = CASES[f"svyglm_strat_psu_{kind}"], sampled(answers()), FAMILY[kind]
    error = POISSON_ERROR if kind == "poisson" else TOLERANCE
    fit = ev.survey_glm(made, outcome=outcome, covariates=FORMULA, family=family)
    assert made.degrees_of_freedom() == case["degf"]
    held(fit, case, error)
    test, expected = ev.term_test(fit, "d_dong:low"), case["regTermTest"]
    known.close(test.statistic, expected["F"], error)
    assert test.ndf == expected["df"]
    assert test.ddf == expected["ddf"]
    known.close(test.p_value, expected["p"], error)
    both = ev.contrast(fit, {"with low": {"d_dong": 1, "d_dong:low": 1}})
    known.close(both.estimate[0], case["contrast_sum"]["est"], TOLERANCE)
    known.close(both.std_error[0], case["contrast_sum"]["se"], error)


@pytest.mark.parametrize("kind", FAMILY)
def test_more_coefficients_than_districts_leave_errors_without_a_p_value(kind):
    case, (outcome, family) = CASES[f"svyglm_cluster_gu_{kind}"], FAMILY[kind]
    error, made = POISSON_ERROR if kind == "poisson" else TOLERANCE, by_district(answers())
    regressors = ["d_dong", "low", "d_dong:low", "age", "female"]
    fit = ev.fe_regression(
        made, outcome=outcome, regressors=regressors, effects=["gu", "year"], family=family, vcov="design"
    )
    assert made.degrees_of_freedom() == case["degf"]
    assert case["df_resid"] < 0
    held(fit, case, error)
    test = ev.term_test(fit, "d_dong:low")
    known.close(test.statistic, case["regTermTest"]["F"], 2 * error)  # a square
    assert test.ddf == case["regTermTest"]["ddf"]
    assert np.isnan(test.p_value)
    both = ev.contrast(fit, {"with low": {"d_dong": 1, "d_dong:low": 1}})
    known.close(both.estimate[0], case["contrast_sum"]["est"], TOLERANCE)
    known.close(both.std_error[0], case["contrast_sum"]["se"], error)
    with pytest.raises(EstimationError, match=f"49 coefficients, but the design has {case['degf']} degrees of freedom"):
        ev.survey_glm(made, outcome=outcome, covariates=FORMULA, family=family)


def test_the_jackknife_of_districts_is_that_of_r():
    case, frame = CASES["svyglm_replicate_JK1_gu"], answers()
    made = ev.as_replicates(by_district(frame), kind="JK1")
    held(
        ev.survey_glm(made, outcome="y", covariates="~ d_dong + low + d_dong:low + age + female + group + wave"),
        case,
    )


def test_a_subpopulation_keeps_the_whole_design():
    case = CASES["svyglm_subpop_city"]
    city = ev.domain(sampled(answers()), {"city": 1})
    fit = ev.survey_glm(city, outcome="y", covariates=["d_dong", "age", "female", "district", "wave"])
    assert int(fit.n_obs[0]) == case["n"]
    assert city.degrees_of_freedom() == case["degf"]
    held(fit, case)


def test_means_of_districts_and_years_and_their_design_effects_are_those_of_r():
    case = CASES["cell_means_gu_year"]
    found = ev.survey_mean(sampled(answers()), "y", by=["gu", "year"], deff=True).tidy().set_index(["gu", "year"])
    rows = found.loc[list(zip(case["gu"], case["year"], strict=True))]
    for ours, theirs in (("estimate", "mean"), ("std_error", "se"), ("deff", "deff")):
        known.close(rows[ours].to_numpy(), np.array(case[theirs], dtype=float), TOLERANCE)


def test_two_groups_and_two_years_are_those_of_r_and_of_the_group_time_effect():
    case, frame = CASES["did_2x2_design_based"], answers()
    frame = frame.assign(tr=(frame["g_dong"] == 2015).astype(int), po=(frame["year"] == 2016).astype(int))
    part = ev.domain(sampled(frame), {"year": [2014, 2016], "g_dong": [2015, 0]})
    fit = ev.survey_glm(part, outcome="y", covariates="~ tr + po + tr:po")
    assert part.degrees_of_freedom() == case["degf"]
    held(fit, case)
    effect = ev.att_gt(ev.panel(part, time="year"), outcome="y", cohort="g_dong")
    known.close(effect.estimate, [case["coef"]["tr:po"]["coef"]], TOLERANCE)
    known.close(effect.std_error, [case["coef"]["tr:po"]["se"]], TOLERANCE)


def test_marginal_effects_of_the_interaction_are_the_contrast_of_coefficients():
    """In a linear model the effect of treatment among people with low income is the sum of two coefficients."""
    case = CASES["svyglm_strat_psu_gaussian"]
    fit = ev.survey_glm(
        sampled(answers()), outcome="y", covariates="~ d_dong + low + d_dong:low + age + female + district + wave"
    )
    found = ev.marginal_effects(fit, "d_dong", by="low").tidy()
    rows = found.set_index("low") if "low" in found else found.set_index("level")
    known.close(rows.loc[1, "estimate"], case["contrast_sum"]["est"], TOLERANCE)
    known.close(rows.loc[1, "std_error"], case["contrast_sum"]["se"], TOLERANCE)
    known.close(rows.loc[0, "estimate"], case["coef"]["d_dong"]["coef"], TOLERANCE)
